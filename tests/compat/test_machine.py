"""The machine itself, and a few stories of it with every test run."""

import pytest

from compat.machine import machine
from compat.machine.cast import Cast
from compat.machine.differences import NOT_RUN, OWN_CONTENT, RUN_BY_STEPS
from compat.machine.machine import Differs, Pair, commands_of_cluster, commands_of_stories, compare
from compat.machine.scenes import NAMES, Scene, declared
from compat.machine.several import Stage, alike
from compat.machine.wire import Wire, end_of, members
from compat.scope import redis_commands
from respdyn.commands.declare import Command
from respdyn.commands.table import COMMANDS
from tests.commands.real import Redis, running
from tests.server.process import node


@pytest.mark.slow
def test_random_stories_are_answered_as_by_redis(redis_server: Redis) -> None:
    with node("--engine=memory") as (_, port):
        pair = Pair(Wire("127.0.0.1", redis_server.port), [Wire("127.0.0.1", port)])
        machine.run_stories(pair, 300, number=7)
    assert pair.stories >= 300


def test_a_difference_is_found_wherever_it_is() -> None:
    """The machine's own eyes."""
    ok = b"+OK\r\n"
    story = [[b"SET", b"k", b"v"], [b"GET", b"k"]]
    compare(story, [ok, b"$1\r\nv\r\n"], [ok, b"$1\r\nv\r\n"])
    for mine in ([ok, b"$1\r\nw\r\n"], [ok], [b"-ERR\r\n", b"$1\r\nv\r\n"]):
        with pytest.raises(Differs, match="SET k v"):
            compare(story, mine, [ok, b"$1\r\nv\r\n"])
    compare([[b"TTL", b"k"]], [b":99\r\n"], [b":100\r\n"])
    with pytest.raises(Differs):
        compare([[b"TTL", b"k"]], [b":-1\r\n"], [b":1\r\n"])
    with pytest.raises(Differs):
        compare([[b"TIME"]], [b"-ERR\r\n"], [b"*0\r\n"])
    queued = [[b"MULTI"], [b"TTL", b"k"], [b"GET", b"k"], [b"EXEC"]]
    before = [ok, b"+QUEUED\r\n", b"+QUEUED\r\n"]
    compare(queued, [*before, b"*2\r\n:9\r\n$1\r\nv\r\n"], [*before, b"*2\r\n:10\r\n$1\r\nv\r\n"])
    with pytest.raises(Differs):
        compare(queued, [*before, b"*2\r\n:9\r\n$1\r\nw\r\n"],
                [*before, b"*2\r\n:9\r\n$1\r\nv\r\n"])


def test_what_is_answered_late_is_run_again_but_not_for_ever() -> None:
    class Side:
        def __init__(self, lates: int) -> None:
            self.lates = lates

        def run(self, story: list[list[bytes]]) -> list[bytes]:
            if story[0] == [b"GET", b"k"] and self.lates:
                self.lates -= 1
                return [b"-TIMEOUT no answer\r\n"]
            return [b"*0\r\n" if words[0] == b"KEYS" else b"+OK\r\n" for words in story]

    for lates in (0, 1, 2):
        pair = Pair(Side(0), [Side(lates)])             # type: ignore[arg-type, list-item]
        pair.run([[b"GET", b"k"]], False, 0)
        assert (pair.late, pair.stories) == (lates, 1)
    with pytest.raises(Differs, match="TIMEOUT"):
        Pair(Side(0), [Side(3)]).run([[b"GET", b"k"]], False, 0)   # type: ignore[arg-type, list-item]


@pytest.mark.parametrize("reply", [
    b"+OK\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"*-1\r\n", b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", b"_\r\n",
    b"%1\r\n+a\r\n:1\r\n", b"~1\r\n+a\r\n", b"=5\r\ntxt:a\r\n", b",1.5\r\n", b"#t\r\n",
    b"|1\r\n+a\r\n:1\r\n+b\r\n", b">1\r\n+x\r\n",
])
def test_replies_are_kept_apart(reply: bytes) -> None:
    assert end_of(reply + b"+more\r\n", 0) == len(reply)
    assert all(not end_of(reply[:cut], 0) for cut in range(len(reply)))


def test_members_of_a_map_are_keys_and_values() -> None:
    assert members(b"%1\r\n+a\r\n*1\r\n:1\r\n") == [b"+a\r\n", b"*1\r\n:1\r\n"]


def _all() -> list[Command]:
    return [sub for command in COMMANDS for sub in (command.subcommands or (command,))]


def test_every_command_is_run_or_there_is_a_reason() -> None:
    known = [*commands_of_stories(), *commands_of_cluster()]
    names = {*(one.name for one in known), *NAMES}
    for command in _all():
        container = command.name.partition("|")[0]
        assert (
            command.name in names or command.name.startswith("dyn.")
            or command.name in NOT_RUN or container in NOT_RUN or command.promise == "refused"
            or command.name not in redis_commands()
        ), command.name
    assert not (set(NOT_RUN) | set(OWN_CONTENT)) - set(redis_commands())
    assert set(RUN_BY_STEPS) <= set(NAMES)
    assert all(declared(name).name == name for name in NAMES)


@pytest.mark.slow
def test_what_connections_receive_of_each_other_is_compared() -> None:
    """Two servers of one kind, and one that is in a state of its own: the machine sees it."""
    scene = Scene(b"KEA", (True, False, True), (
        (0, (b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", b"<id 2>")), (0, (b"GET", b"a")),
        (1, (b"SUBSCRIBE", b"x")), (0, (b"SET", b"a", b"1")), (0, (b"PUBLISH", b"x", b"m")),
        (0, (b"CLIENT", b"GETREDIR")), (2, (b"CLIENT", b"LIST")), (2, (b"MONITOR",)),
        (0, (b"CLIENT", b"KILL", b"<addr 1>")), (0, (b"CLIENT", b"PAUSE", b"100000", b"WRITE")),
        (0, (b"DEL", b"a")),
    ))
    with running() as one, running() as other:
        theirs, mine = Cast("127.0.0.1", one.port), Cast("127.0.0.1", other.port)
        stage = Stage(theirs, mine)
        stage.run(scene)
        stage.run(scene)
        assert stage.stories == 2
        mine.prompt([[b"ACL", b"SETUSER", b"default", b"-publish"]])
        with pytest.raises(Differs, match="NOPERM"):
            stage.run(scene)


def test_messages_of_patterns_and_forgotten_channels_come_in_any_order() -> None:
    def message(kind: bytes, name: bytes) -> bytes:
        return b"*2\r\n$%d\r\n%b\r\n$1\r\n%b\r\n" % (len(kind), kind, name)

    one, two = message(b"pmessage", b"a"), message(b"pmessage", b"b")
    words = [b"PUBLISH", b"a", b"b"]
    assert alike(words, [one, two, b"+OK\r\n"], [two, one, b"+OK\r\n"])
    assert not alike(words, [one, two], [one]) and not alike(words, [one], [two])
    first = [message(b"unsubscribe", b"a"), message(b"unsubscribe", b"b")]
    assert not alike([b"UNSUBSCRIBE", b"a", b"b"], first, first[::-1])

    def left(name: bytes, count: int) -> bytes:
        return b"*3\r\n$11\r\nunsubscribe\r\n$1\r\n%b\r\n:%d\r\n" % (name, count)

    in_order = [left(b"a", 1), left(b"b", 0)]
    assert alike([b"unsubscribe"], in_order, [left(b"b", 1), left(b"a", 0)])
    assert not alike([b"UNSUBSCRIBE"], in_order, [left(b"a", 1), left(b"b", 1)])
