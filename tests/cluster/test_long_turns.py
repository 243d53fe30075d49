"""No command makes a turn long: each at its largest, measured in lines of the node's own code.

Lines are counted, not milliseconds, and only those of respdyn: a loop that goes through everything
at once passes several for each thing. What C does for one line (joining, sorting) is not seen; for
big values the bytes that a turn allocates are counted instead.
"""

import sys
import tracemalloc
from pathlib import Path
from types import FrameType

import hiredis
import pytest

import respdyn
from respdyn.cluster.messages import HEADER
from respdyn.cluster.slices import SLICE
from respdyn.coordination.calls import UNANSWERED_MAX
from respdyn.coordination.gather import PIECE
from respdyn.node import Node
from respdyn.sessions.session import Session
from tests.commands.alone import Alone
from tests.little import Little

MANY = 4_000
LINES_MAX = 40_000      # of a turn; a loop that is not sliced passes several times as many
LINES_OF_A_STEP = 350   # of one command of a transaction, which is no slice
COPIED_MAX = 3 << 20    # bytes that a turn may come to hold while it works on a big value
HOME = str(Path(respdyn.__file__).parent)
_FORWARDED = 15         # a header's field: how many commands its frame forwards
BACKGROUND = HOME + "/replication/"     # it has measures of its own (`admission`)


class Lines:
    """Counts the lines of respdyn that are passed."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Lines":
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, arg: object) -> object:
        file = frame.f_code.co_filename
        if not file.startswith(HOME) or file.startswith(BACKGROUND):
            return None
        if frame.f_back is not None and frame.f_back.f_code.co_filename.startswith(BACKGROUND):
            return None         # what the background walks with
        return self._passed

    def _passed(self, frame: FrameType, event: str, arg: object) -> object:
        self.count += event == "line"
        return self._passed


class Watched:
    """A node alone whose turns are measured."""

    def __init__(self, **changes: object) -> None:
        self.alone = Alone(**changes)
        self.node: Node = self.alone.node
        self.longest = 0
        self.turns = 0
        self.largest = 0

    def connect(self) -> "Caller":
        return Caller(self, self.alone.connect().session)

    def turn(self, session: Session | None = None, argv: list[bytes] | None = None) -> None:
        """One turn, with a command if there is one."""
        alone = self.alone
        alone.now_ms += 1
        alone.wall_ms += 1
        if tracemalloc.is_tracing():
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            self._turn(session, argv)
            self.largest = max(self.largest, tracemalloc.get_traced_memory()[1] - before)
            return
        with Lines() as lines:
            self._turn(session, argv)
        self.longest = max(self.longest, lines.count)

    def _turn(self, session: Session | None, argv: list[bytes] | None) -> None:
        alone = self.alone
        alone.node.advance(alone.now_ms, alone.wall_ms)
        if session is not None and argv is not None:
            alone.node.sessions.command(session, argv)
        out = alone.node.drain()
        if out.generation:
            alone.node.durable(out.generation)
        self.turns += 1


class Caller:
    """A client of it."""

    def __init__(self, watched: Watched, session: Session) -> None:
        self.watched = watched
        self.session = session
        self._reader = hiredis.Reader(replyError=lambda text: text)

    def __call__(self, *argv: bytes) -> object:
        """The reply, however many turns it takes."""
        self.watched.turn(self.session, list(argv))
        for _ in range(100_000):
            self._reader.feed(self.session.take())
            reply = self._reader.gets()
            if reply is not False:
                return reply
            self.watched.turn()
        raise AssertionError("no reply")


def keys(count: int = MANY) -> list[bytes]:
    return [b"key:%d" % number for number in range(count)]


def fill(watched: Watched, count: int = MANY) -> None:
    """Keys, without measuring."""
    session = watched.alone.connect().session
    for key in keys(count):
        watched.node.sessions.command(session, [b"SET", key, b"v"])
    watched.alone.turn()
    session.take()


@pytest.mark.parametrize("argv", [
    [b"MGET", *keys()],
    [b"EXISTS", *keys()],
    [b"TOUCH", *keys()],
    [b"DEL", *keys()],
    [b"UNLINK", *keys()],
    [b"MSET", *(word for key in keys() for word in (key, b"new"))],
    [b"MSETNX", *(word for key in keys() for word in (key + b"new", b"new"))],
    [b"KEYS", b"*7*"],
    [b"SCAN", b"0", b"COUNT", b"1000000"],
    [b"FLUSHDB"],
    [b"FLUSHALL"],
], ids=lambda argv: argv[0].decode())
def test_many_keys_take_many_turns(argv: list[bytes]) -> None:
    watched = Watched()
    fill(watched)
    client, other = watched.connect(), watched.connect()
    reply = client(*argv)
    assert watched.longest <= LINES_MAX
    assert watched.turns >= 10
    held = other(b"DBSIZE")
    expected = {
        b"MGET": [b"v"] * MANY, b"EXISTS": MANY, b"TOUCH": MANY, b"DEL": MANY, b"UNLINK": MANY,
        b"MSET": b"OK", b"MSETNX": 1, b"FLUSHDB": b"OK", b"FLUSHALL": b"OK",
    }.get(argv[0])
    if expected is not None:
        assert reply == expected
    elif argv[0] == b"KEYS":
        assert isinstance(reply, list)
        assert sorted(reply) == sorted(key for key in keys() if b"7" in key)
    else:
        assert isinstance(reply, list)
        assert reply[0] == b"0" and sorted(reply[1]) == sorted(keys())
    gone = argv[0] in (b"DEL", b"UNLINK", b"FLUSHDB", b"FLUSHALL")
    assert held == (0 if gone else 2 * MANY if argv[0] == b"MSETNX" else MANY)


def test_others_are_served_between_the_slices() -> None:
    watched = Watched()
    fill(watched)
    client, other = watched.connect(), watched.connect()
    watched.turn(client.session, [b"DEL", *keys()])
    assert other(b"SET", b"mine", b"1") == b"OK"
    assert client.session.pending, "the long one is still under way"


def test_what_comes_behind_a_long_command_runs_behind_it() -> None:
    watched = Watched()
    fill(watched)
    client = watched.connect()
    last = keys()[0]                # MSET goes through its keys from the end
    pairs = [word for key in keys() for word in (key, b"new")]
    watched.turn(client.session, [b"MSET", *pairs])
    watched.turn(client.session, [b"SET", last, b"newer"])
    assert client(b"GET", last) == b"OK"
    assert client(b"PING") == b"OK"
    assert client(b"PING") == b"newer"


def test_no_more_is_sent_to_others_than_they_answer() -> None:
    """200,000 DELs waited at their coordinators until they were too old, and peers looked dead."""
    little = Little(3).ready()
    client = little.client("A")
    client("MSET", *(word for key in keys() for word in (key, b"v")))
    sent = 0

    def tap(source: int, target: int, items: list[bytes]) -> None:
        nonlocal sent
        sent += HEADER.unpack(items[0])[_FORWARDED] if source == 0 else 0

    little.tap = tap
    little.holds = {(1, 0), (2, 0)}
    client.send("DEL", *keys())
    little.run(MANY // 50)
    assert UNANSWERED_MAX // 3 < sent <= UNANSWERED_MAX + PIECE
    little.holds = set()
    assert client.receive() == MANY
    assert sent > MANY // 2 and client("DBSIZE") == 0


# ---- messages ----


def listen(watched: Watched, patterns: list[bytes]) -> Session:
    """A session in RESP2 that listens to them, without measuring."""
    session = watched.alone.connect().session
    for pattern in patterns:
        watched.node.sessions.command(session, [b"PSUBSCRIBE", pattern])
    watched.alone.turn()
    session.take()
    return session


def messages(session: Session) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(session.take())
    found = []
    while (one := reader.gets()) is not False:
        found.append(one)
    return found


def collect(watched: Watched, publisher: Caller, listener: Session, *argv: bytes) -> tuple[
    object, list[list[bytes]]
]:
    """The publisher's reply, and what was received by then."""
    watched.turn(publisher.session, list(argv))
    received = messages(listener)
    while not publisher.session.out:
        watched.turn()
        received += messages(listener)
    return messages(publisher.session)[0], received


@pytest.mark.parametrize("name", [b"chan7", b"x7" * 5_000], ids=["short", "long"])
@pytest.mark.parametrize("pattern", [b"chan%d*", b"*%d*", b"*[7-9]?%d"])
def test_many_patterns_take_many_turns(pattern: bytes, name: bytes) -> None:
    watched = Watched()
    listener = listen(watched, [pattern % number for number in range(MANY)])
    reply, received = collect(watched, watched.connect(), listener, b"PUBLISH", name, b"hello")
    assert watched.longest <= LINES_MAX
    assert reply == len(received)
    if pattern == b"chan%d*":
        assert reply == (name == b"chan7") and watched.turns == 1, "only those that can match"
    elif pattern == b"*%d*":
        assert reply == 1 and watched.turns >= MANY // SLICE


def test_messages_keep_their_order_while_one_is_delivered_in_slices() -> None:
    watched = Watched()
    listener = listen(watched, [b"*%d*" % number for number in range(MANY)] + [b"b*"])
    one, two = watched.connect(), watched.connect()
    watched.turn(one.session, [b"PUBLISH", b"a1", b"first"])
    watched.turn(two.session, [b"PUBLISH", b"b", b"second"])
    received = messages(listener)
    while not (one.session.out and two.session.out):
        watched.turn()
        received += messages(listener)
    assert [message[1:] for message in received] == [
        [b"*1*", b"a1", b"first"], [b"b*", b"b", b"second"],
    ]
    assert messages(one.session) == [1] and messages(two.session) == [1]


def test_who_no_longer_listens_receives_no_more_of_a_message_under_way() -> None:
    watched = Watched()
    patterns = [b"*x*", *(b"*%d*" % number for number in range(MANY)), b"*a*"]
    listener = listen(watched, patterns)
    publisher = watched.connect()
    watched.turn(publisher.session, [b"PUBLISH", b"a", b"hello"])
    watched.turn(listener, [b"PUNSUBSCRIBE", b"*a*"])
    while not publisher.session.out:
        watched.turn()
    assert [message[0] for message in messages(listener)] == [b"punsubscribe"]
    assert messages(publisher.session) == [0]


def test_to_listen_to_many_channels_takes_many_turns_and_so_does_leaving_them() -> None:
    watched = Watched()
    client = watched.connect()
    channels = keys()
    for verb, count in ((b"SUBSCRIBE", MANY), (b"UNSUBSCRIBE", 0)):
        watched.turns = 0
        watched.turn(client.session, [verb, *channels])
        watched.turn(client.session, [b"PING"])
        received = messages(client.session)
        while not received or received[-1] not in ([b"pong", b""], b"PONG"):
            watched.turn()
            received += messages(client.session)
        assert [one[2] for one in received[:-1]][-1] == count and len(received) == MANY + 1
        assert watched.turns >= 10
    watched.turn(client.session, [b"SUBSCRIBE", *channels])
    while client.session.has_barrier:
        watched.turn()
    watched.node.close_session(client.session)
    while watched.node.next_deadline() <= watched.alone.now_ms:
        watched.turn()
    assert watched.connect()(b"PUBSUB", b"CHANNELS") == []
    assert watched.longest <= LINES_MAX


# ---- transactions ----


def test_a_transaction_at_its_largest_is_one_step_and_all_else_is_in_slices() -> None:
    """The step itself may not be sliced: that bounds how many commands there may be."""
    steps = 500
    watched = Watched(transaction_commands=steps)
    client = watched.connect()
    assert client(b"MULTI") == b"OK"
    for _ in range(steps):
        assert client(b"INCR", b"counter") == b"QUEUED"
    watched.turns = watched.longest = 0
    assert client(b"EXEC") == list(range(1, steps + 1))
    assert watched.turns >= 5
    assert watched.longest <= steps * LINES_OF_A_STEP + LINES_MAX


def test_a_transaction_with_more_commands_is_refused() -> None:
    watched = Watched(transaction_commands=10)
    client = watched.connect()
    refusal = b"ERR the transaction has more than 10 commands"
    for queued in ([b"SET", b"a", b"1"], [b"MGET", *keys(4)], [b"MSET", b"a", b"1", b"b", b"2"]):
        assert client(b"MULTI") == b"OK"
        size = {b"SET": 1, b"MGET": 4, b"MSET": 2}[queued[0]]
        for _ in range(10 // size):
            assert client(*queued) == b"QUEUED"
        for _ in range(10 % size):
            assert client(b"GET", b"a") == b"QUEUED"
        assert _bytes(client(*queued)).startswith(refusal)
        assert b"EXECABORT" in _bytes(client(b"EXEC"))
    assert watched.node.counters.transactions_too_large == 3


def test_watching_many_keys_takes_many_turns_and_too_many_are_refused() -> None:
    watched = Watched(transaction_commands=1_000)
    fill(watched, 1_000)
    client, other = watched.connect(), watched.connect()
    assert client(b"WATCH", *keys(1_000)) == b"OK"
    assert watched.turns >= 10 and watched.longest <= LINES_MAX
    assert b"more than 1000 keys" in _bytes(client(b"WATCH", b"one more"))
    assert client(b"MGET", *keys(1_000)) == [b"v"] * 1_000, "they are read where they are watched"
    assert other(b"SET", keys()[700], b"changed") == b"OK"
    client(b"MULTI")
    client(b"SET", b"mine", b"1")
    assert client(b"EXEC") is None
    assert watched.longest <= LINES_MAX + 1_000 * LINES_OF_A_STEP


def _bytes(reply: object) -> bytes:
    return reply.encode() if isinstance(reply, str) else bytes(reply)


# ---- big values ----

BIG = 16 << 20


@pytest.mark.parametrize(("argv", "expected"), [
    ([b"STRLEN", b"big"], BIG),
    ([b"GETRANGE", b"big", b"8000000", b"8000003"], b"\0\0\0\0"),
    ([b"GETBIT", b"big", b"64000000"], 0),
    ([b"BITCOUNT", b"big"], 8),
    ([b"BITCOUNT", b"big", b"-3", b"-1"], 8),
    ([b"BITPOS", b"big", b"1"], 8 * (BIG - 1)),
    ([b"BITPOS", b"big", b"0"], 0),
    ([b"BITFIELD_RO", b"big", b"GET", b"u8", b"#%d" % (BIG - 1)], [255]),
    ([b"BITFIELD", b"big", b"GET", b"u8", b"#%d" % (BIG - 1)], [255]),
], ids=lambda one: b" ".join(one).decode() if isinstance(one, list) and one != [255] else "")
def test_who_looks_at_a_part_of_a_big_value_copies_no_more(
    argv: list[bytes], expected: object
) -> None:
    watched = Watched()
    client = watched.connect()
    watched.node.sessions.command(client.session, [b"SETRANGE", b"big", b"%d" % (BIG - 1), b"\xff"])
    watched.alone.turn()
    client.session.take()
    tracemalloc.start()
    try:
        assert client(*argv) == expected
    finally:
        tracemalloc.stop()
    assert watched.largest <= COPIED_MAX


@pytest.mark.parametrize(("argv", "expected"), [
    ([b"BITCOUNT", b"big"], 8), ([b"BITCOUNT", b"big", b"1", b"-2", b"BIT"], 7),
    ([b"BITPOS", b"big", b"1"], 8 * (BIG - 1)), ([b"BITPOS", b"big", b"1", b"9"], 8 * (BIG - 1)),
], ids=lambda one: b" ".join(one).decode() if isinstance(one, list) else "")
def test_all_of_a_big_value_is_looked_at_in_many_turns(argv: list[bytes], expected: int) -> None:
    """The reply is the value at one moment: a change meanwhile is not in it."""
    watched = Watched()
    client, other = watched.connect(), watched.connect()
    client(b"SETRANGE", b"big", b"%d" % (BIG - 1), b"\xff")
    watched.turns = 0
    watched.turn(client.session, argv)
    assert other(b"SET", b"big", b"x") == b"OK"
    assert not client.session.out, "it is under way"
    assert client(b"PING") == expected
    assert watched.turns >= 30


@pytest.mark.parametrize("argv", [
    [b"SETBIT", b"big", b"5", b"1"],
    [b"SETRANGE", b"big", b"5", b"hello"],
    [b"APPEND", b"big", b"hello"],
], ids=lambda argv: argv[0].decode())
def test_a_change_of_a_big_value_makes_it_anew_twice_at_most(argv: list[bytes]) -> None:
    """Once for the value and once for its record."""
    watched = Watched()
    client = watched.connect()
    watched.node.sessions.command(client.session, [b"SETRANGE", b"big", b"%d" % (BIG - 1), b"\xff"])
    watched.alone.turn()
    client.session.take()
    tracemalloc.start()
    try:
        assert isinstance(client(*argv), int)
    finally:
        tracemalloc.stop()
    assert watched.largest <= 2 * BIG + COPIED_MAX
