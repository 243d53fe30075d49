"""MONITOR: what is shown, what is hidden, and what it may cost."""

import re
from collections.abc import Iterator

import pytest

from tests.commands.alone import Alone
from tests.commands.real import Redis, running
from tests.commands.several import Ear, words_of

STEPS = (
    "a SET k v / a get k / a AUTH x / a AUTH u p / a HELLO 2 AUTH default x / a HELLO 2"
    " / a CONFIG GET maxmemory / a ACL SETUSER joe >pw / a ACL WHOAMI / a CLIENT GETNAME"
    " / a CLIENT SETNAME me / a PING / a MULTI / a SET a 1 / a CONFIG GET maxmemory / a GET a"
    " / a EXEC / a EXEC / a SUBSCRIBE c / a UNSUBSCRIBE / a nope / a SET k / a SELECT 2"
    ' / a SET a\\x20b\\x00\\x0a\\x0d\\x09\\x07\\x08"\\\\\\xff v / a INCR k / a INCR a / a MGET k a'
    " / a DEL k a / a PUBLISH c x / m PING / m GET k / m PUBSUB CHANNELS / m SET k v / m MULTI"
    " / m MONITOR / m EXEC / a RESET / a PING / m RESET / m GET k / a PING / a QUIT"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with running() as redis:
        yield redis


def without_time_and_port(shown: bytes) -> bytes:
    return re.sub(rb"\+\d+\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\]", rb"+time [\1 address]", shown)


def test_what_is_shown_is_what_redis_shows(server: Redis) -> None:
    alone = Alone()
    ours = {name: alone.connect() for name in "am"}
    theirs = {name: Ear(server.port) for name in "am"}
    assert ours["m"].say("MONITOR") == b"+OK\r\n"
    theirs["m"].say([b"MONITOR"])
    assert theirs["m"].receive(5) == b"+OK\r\n"
    for step in STEPS.split(" / "):
        who, line = step.split(" ", 1)
        answer = ours[who].call(*words_of(line))
        theirs[who].say(words_of(line))
        for name, client in ours.items():
            mine = (answer if name == who else b"") + client.session.take()
            if line.startswith("HELLO"):
                theirs[name].more(0.3)      # the reply names the server
                continue
            got = b""
            while without_time_and_port(got) != without_time_and_port(mine):
                more = theirs[name].receive(1)
                if not more:
                    break
                got += more
            assert without_time_and_port(got) == without_time_and_port(mine), (step, name)
    assert theirs["m"].more() == b""
    for ear in theirs.values():
        ear.close()


def test_nothing_is_shown_while_no_client_looks() -> None:
    alone = Alone()
    a, m = alone.connect(), alone.connect()
    m.say("MONITOR")
    assert b" flags=O " in a.say("CLIENT LIST")
    alone.node.close_session(m.session)
    a.say("SET k v")
    assert not alone.node.sessions.monitors.sessions


def test_a_wrong_password_is_hidden_and_a_right_one_too() -> None:
    alone = Alone(requirepass="secret")
    a, m = alone.connect(), alone.connect()
    m.say("AUTH secret")
    m.say("MONITOR")
    for line in ("AUTH wrong1", "AUTH default wrong2", "HELLO 3 AUTH default wrong3 SETNAME x",
                 "HELLO 3 SETNAME x AUTH default secret", "CONFIG SET requirepass wrong4",
                 "ACL SETUSER joe >wrong5"):
        a.say(line)
    shown = m.session.take()
    assert b"wrong" not in shown and b"secret" not in shown
    assert shown.count(b"(redacted)") == 7
