"""Turns of a node whose clients send scripts at their largest, counted as in `test_long_turns`.

A script runs in a process of its own, which is no part of a turn and not counted here. What the
node does for it is.
"""

import pytest

from respdyn.ports import ScriptHost
from respdyn.sessions.session import Session
from tests.cluster.test_long_turns import LINES_MAX, Watched, keys

MANY = 4_000
LINES_OF_A_KEY = 120    # of a script, in the turns that take and write it


class Apart(ScriptHost):
    """The process of scripts: what it is given it does between two turns."""

    def __init__(self, inner: ScriptHost) -> None:
        self.inner = inner
        self.given: list[bytes] = []

    def submit(self, frame: bytes) -> None:
        self.given.append(frame)

    def stop(self, number: int) -> None:
        self.inner.stop(number)


class WatchedScripts(Watched):
    """A node alone that runs scripts."""

    def __init__(self, **changes: object) -> None:
        super().__init__(**changes)
        self.apart = Apart(self.alone.scripts)
        self.node.scripts.host = self.apart
        self.outcomes: list[bytes] = []

    def turn(self, session: Session | None = None, argv: list[bytes] | None = None) -> None:
        super().turn(session, argv)
        given, self.apart.given = self.apart.given, []
        for frame in given:
            self.alone.scripts.submit(frame)
        self.outcomes += self.alone.scripts.take()

    def _turn(self, session: Session | None, argv: list[bytes] | None) -> None:
        self.alone.node.advance(self.alone.now_ms, self.alone.wall_ms)
        outcomes, self.outcomes = self.outcomes, []
        for frame in outcomes:
            self.node.scripts.receive(frame)
        super()._turn(session, argv)


FOR_EACH = b"for i = 1, #KEYS do redis.call(%b) end return #KEYS"
FUNCTION = b"redis.register_function('f%d', function() return 1 end)\n"
MEGABYTES = b" --" + b"x" * (8 << 20)


@pytest.mark.parametrize(("argv", "lines_max"), [
    ([b"EVAL", FOR_EACH % b"'set', KEYS[i], i", b"%d" % MANY, *keys()], MANY * LINES_OF_A_KEY),
    ([b"EVAL", FOR_EACH % b"'get', KEYS[i]", b"%d" % MANY, *keys()], MANY * LINES_OF_A_KEY),
    ([b"EVAL", b"for i = 1, 4000 do redis.call('incr', KEYS[1]) end return 4000", b"1", b"k"], 0),
    ([b"EVAL", b"local t = {} for i = 1, 4000 do t[i] = i end return t", b"0"], 0),
    ([b"EVAL", b"return #ARGV", b"0", *keys()], 0),
    ([b"EVAL", b"return 1" + MEGABYTES, b"0"], 0),
    ([b"SCRIPT", b"LOAD", b"return 1" + MEGABYTES], 0),
    ([b"SCRIPT", b"EXISTS", *(b"%040x" % number for number in range(MANY))], 0),
    ([b"FUNCTION", b"LOAD", b"#!lua name=many\n" + b"".join(
        FUNCTION % number for number in range(MANY // 2)
    )], 0),
    ([b"FUNCTION", b"LOAD", b"#!lua name=long\n" + FUNCTION % 1 + MEGABYTES], 0),
], ids=["writes keys", "reads keys", "writes one key often", "long reply", "arguments",
        "long text", "SCRIPT LOAD", "SCRIPT EXISTS", "many functions", "FUNCTION LOAD"])
def test_a_script_at_its_largest_makes_no_turn_long(argv: list[bytes], lines_max: int) -> None:
    """To take, read and write its keys is one step, as that of a transaction."""
    watched = WatchedScripts()
    client = watched.connect()
    reply = client(*argv)
    assert not isinstance(reply, str), reply
    assert watched.longest <= LINES_MAX + lines_max


def test_the_functions_of_a_large_library_are_called_in_small_turns() -> None:
    watched = WatchedScripts()
    client = watched.connect()
    code = b"".join(FUNCTION % number for number in range(MANY // 2)) + MEGABYTES
    assert client(b"FUNCTION", b"LOAD", b"#!lua name=many\n" + code) == b"many"
    watched.longest = 0
    assert client(b"FCALL", b"f7", b"0") == 1
    assert client(b"FCALL", b"f%d" % (MANY // 2 - 1), b"1", b"k") == 1
    assert watched.longest <= LINES_MAX


@pytest.mark.parametrize("text", [b"EVAL", b"FCALL"])
def test_a_script_of_more_keys_than_a_transaction_may_have_is_refused(text: bytes) -> None:
    watched = WatchedScripts(transaction_commands=100)
    client = watched.connect()
    client(b"FUNCTION", b"LOAD", b"#!lua name=one\n" + FUNCTION % 1)
    call = [b"EVAL", b"return 1"] if text == b"EVAL" else [b"FCALL", b"f1"]
    assert client(*call, b"100", *keys(100)) == 1
    reply = client(*call, b"101", *keys(101))
    assert reply == "ERR the script has more than 100 keys (transaction-commands)"
    assert watched.node.counters.transactions_too_large == 1
