"""CLIENT PAUSE, UNPAUSE and UNBLOCK."""

import pytest

from tests.commands.alone import Alone
from tests.commands.real import Connection
from tests.commands.test_like_redis import argv_of
from tests.local.test_operating import later, stats

STORY = (
    "CLIENT PAUSE x / CLIENT PAUSE -1 / CLIENT PAUSE 1 x / CLIENT PAUSE / CLIENT UNPAUSE"
    " / CLIENT UNPAUSE x / CLIENT UNBLOCK x / CLIENT UNBLOCK 1000 / CLIENT UNBLOCK 1000 TIMEOUT"
    " / CLIENT UNBLOCK 1000 error / CLIENT UNBLOCK 1000 x / CLIENT UNBLOCK"
    " / CLIENT PAUSE 9223372036854775808 / CLIENT PAUSE nan / CLIENT PAUSE 1e400 / CLIENT PAUSE 1.5"
    " / CLIENT PAUSE -9223372036854775808 / CLIENT PAUSE 9223372036854775808 WRITE"
    " / CLIENT UNBLOCK 9223372036854775807 / CLIENT UNBLOCK 9223372036854775808"
    " / CLIENT UNBLOCK x 0 TIMEOUT / client unblock 1 timeout x / CLIENT PAUSE 1 ALL x"
)


def test_replies_are_those_of_redis(redis: Connection) -> None:
    client = Alone().connect()
    for step in STORY.split(" / "):
        assert client.call(*argv_of(step)) == redis.call(*argv_of(step)), step


def test_all_commands_wait_for_the_end_of_a_pause_and_keep_their_order() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    assert admin.say("CLIENT PAUSE 5000") == b"+OK\r\n"
    for line in ("SET k v", "GET k", "PING", "SET k w", "GET k"):
        assert client.say(line) == b""
    later(alone, 4999)
    assert client.session.take() == b"" and admin.say("PING") == b""
    assert alone.node.next_deadline() <= alone.now_ms + 1
    later(alone, 1)
    assert client.session.take() == b"+OK\r\n$1\r\nv\r\n+PONG\r\n+OK\r\n$1\r\nw\r\n"
    assert admin.session.take() == b"+PONG\r\n"
    assert client.say("GET k") == b"$1\r\nw\r\n"


def test_only_writes_wait_when_only_writes_are_paused() -> None:
    alone = Alone()
    admin, reader, writer = alone.connect(), alone.connect(), alone.connect()
    writer.say("SET k v")
    admin.say("CLIENT PAUSE 100000 WRITE")
    assert reader.say("GET k") == b"$1\r\nv\r\n" and reader.say("PING") == b"+PONG\r\n"
    for line in ("SET k w", "GET k", "PUBLISH c m"):
        assert writer.say(line) == b""
    assert stats(admin, "clients")["blocked_clients"] == "1"
    multi = alone.connect()
    for line, reply in (("MULTI", b"+OK\r\n"), ("GET k", b"+QUEUED\r\n"),
                        ("EXEC", b"*1\r\n$1\r\nv\r\n"), ("MULTI", b"+OK\r\n")):
        assert multi.say(line) == reply
    for line in ("SET k x", "EXEC"):
        assert multi.say(line) == b""
    assert admin.say("CLIENT UNPAUSE") == b"+OK\r\n"
    alone.turn()
    assert writer.session.take() == b"+OK\r\n$1\r\nw\r\n:0\r\n"
    assert multi.session.take() == b"+QUEUED\r\n*1\r\n+OK\r\n"
    assert stats(admin, "clients")["blocked_clients"] == "0"
    assert stats(admin, "commandstats")["cmdstat_set"].startswith("calls=3,")


def test_a_second_pause_makes_it_longer_and_never_weaker() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("CLIENT PAUSE 1000 WRITE")
    admin.say("CLIENT PAUSE 10 WRITE")
    later(alone, 500)
    assert client.say("SET k v") == b""
    later(alone, 500)
    assert client.session.take() == b"+OK\r\n"
    admin.say("CLIENT PAUSE 1000 ALL")
    assert client.say("GET k") == b""
    later(alone, 1000)
    assert client.session.take() == b"$1\r\nv\r\n"


@pytest.mark.parametrize("ends", [True, False])
def test_who_leaves_during_a_pause_is_forgotten(ends: bool) -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("CLIENT PAUSE 1000")
    client.say("SET k v")
    if ends:
        alone.node.close_session(client.session)
        later(alone, 2000)
        assert admin.say("EXISTS k") == b":0\r\n"
    else:
        later(alone, 2000)
        assert admin.say("EXISTS k") == b":1\r\n"


@pytest.mark.parametrize("timeout", [
    "9223372036854775807", "9223372036854775806", "4611686018427387904", "4294967296",
])
def test_unpause_ends_a_pause_however_long_it_is(timeout: str) -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    assert admin.say(f"CLIENT PAUSE {timeout}") == b"+OK\r\n"
    assert client.say("SET k v") == b""
    later(alone, 1 << 31)
    assert client.session.take() == b""
    other = alone.connect()
    assert other.say("HELLO 2").startswith(b"*14\r\n")
    assert other.say("CLIENT SETINFO LIB-NAME x") == b"+OK\r\n"
    assert other.say("PING") == b""
    # Its own commands wait, and yet it is read.
    assert other.say("CLIENT UNPAUSE") == b"+PONG\r\n+OK\r\n"
    assert client.session.take() == b"+OK\r\n"
    assert client.say("GET k") == b"$1\r\nv\r\n"


def test_who_may_not_end_a_pause_does_not_end_it_from_behind() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER u on nopass ~* +get +auth +ping")
    assert client.say("AUTH u x") == b"+OK\r\n"
    assert admin.say("CLIENT PAUSE 1000000") == b"+OK\r\n"
    assert client.say("PING") == b"" and client.say("CLIENT UNPAUSE") == b""
    assert alone.node.sessions.pausing.is_on
