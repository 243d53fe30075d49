"""Streams against redis-server: chosen stories, dumps both ways, any sequence at all."""

import re
import time
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.types.dump import seal
from tests.commands.executor import Executor
from tests.commands.real import Connection
from tests.commands.stream_stories import GROUPS, STREAMS
from tests.commands.test_elements import parsed
from tests.commands.test_like_redis import argv_of, side_by_side
from tests.commands.test_machine import BAD, command


def run_at_both(ours: Executor, redis: Connection, story: str) -> None:
    """Run a story at both; their replies are the same."""
    for step in story.split(" / "):
        argv = argv_of(step)
        ours.now_ms = int(time.time() * 1000)
        assert without_times(ours(*argv)) == without_times(redis.call(*argv)), step


def without_times(reply: bytes) -> bytes:
    """The reply without the times that XPENDING, XINFO CONSUMERS and FULL show."""
    reply = re.sub(rb":\d+\r\n(:\d+\r\n)", rb":-\r\n\1", reply)
    return re.sub(rb"((idle|seen-time)\r\n:)\d+", rb"\1-", reply)


STORIES = STREAMS | GROUPS


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    redis.call(b"HELLO", b"%d" % resp)
    ours = Executor(int(time.time() * 1000), resp3=resp == 3)
    run_at_both(ours, redis, story)


KEYS = st.sampled_from([b"a", b"b", b"{a}c"])
IDS = st.one_of(
    st.builds(lambda ms, seq: b"%d-%d" % (ms, seq), st.integers(0, 6), st.integers(0, 3)),
    st.builds(lambda ms: b"%d-*" % ms, st.integers(0, 6)), BAD,
)
ENDS = st.one_of(st.sampled_from([b"-", b"+", b"(2-1", b"(3", b"1", b"5"]), IDS)
FIELDS = st.sampled_from([(b"a", b"1"), (b"a", b"x", b"b", b"-7"), (b"", b"\x00\xff")])
TRIMS = st.sampled_from([
    (), (b"MAXLEN", b"3"), (b"MAXLEN", b"=", b"1"), (b"MINID", b"3"), (b"MAXLEN", b"~", b"2"),
    (b"MAXLEN", b"0"), (b"MINID", b"~", b"4", b"LIMIT", b"10"), (b"NOMKSTREAM",),
])
COUNTS = st.sampled_from([(), (b"COUNT", b"2"), (b"COUNT", b"0"), (b"count", b"x")])
ENTRIES = [
    *[command(b"XADD", KEYS, TRIMS, IDS, FIELDS) for _ in range(5)],
    command(st.sampled_from([b"XRANGE", b"XREVRANGE"]), KEYS, ENDS, ENDS, COUNTS),
    command(b"XTRIM", KEYS, TRIMS),
    command(b"XDEL", KEYS, IDS, IDS),
    command(b"XSETID", KEYS, IDS,
            st.sampled_from([(), (b"ENTRIESADDED", b"5"), (b"MAXDELETEDID", b"2-1")])),
    command(st.sampled_from([b"XLEN", b"DEL", b"EXISTS", b"TYPE", b"GET", b"EXPIRETIME"]), KEYS),
    command(b"XINFO", b"STREAM", KEYS),
    command(b"OBJECT", b"ENCODING", KEYS),
    command(b"EXPIREAT", KEYS, st.sampled_from([b"5000000000", b"1"])),
    command(b"SET", KEYS, b"x"),
    command(st.sampled_from([b"RENAME", b"RENAMENX", b"COPY"]), KEYS, KEYS),
]


GROUP = st.sampled_from([b"g", b"h"])
CONSUMER = st.sampled_from([b"c", b"d", b""])
NEW = st.one_of(st.sampled_from([b">", b">", b">", b"0"]), IDS)
CONSUMED = [
    command(b"XGROUP", b"CREATE", KEYS, GROUP, st.sampled_from([b"0", b"$", b"2-1", b"9"]),
            st.sampled_from([(), (b"MKSTREAM",), (b"ENTRIESREAD", b"2")])),
    command(b"XGROUP", b"SETID", KEYS, GROUP, st.sampled_from([b"0", b"$", b"2-1", b"9"])),
    command(b"XGROUP", b"DESTROY", KEYS, GROUP),
    command(b"XGROUP", st.sampled_from([b"CREATECONSUMER", b"DELCONSUMER"]), KEYS, GROUP, CONSUMER),
    *[command(b"XREADGROUP", b"GROUP", GROUP, CONSUMER, COUNTS,
              st.sampled_from([(), (), (b"NOACK",)]), b"STREAMS", KEYS, NEW) for _ in range(4)],
    command(b"XREAD", COUNTS, b"STREAMS", KEYS, KEYS, IDS, IDS),
    command(b"XACK", KEYS, GROUP, IDS, IDS),
    command(b"XPENDING", KEYS, GROUP, st.sampled_from([(), (b"-", b"+", b"5"),
                                                       (b"(2", b"+", b"2", b"c")])),
    command(b"XCLAIM", KEYS, GROUP, CONSUMER, b"0", IDS, IDS,
            st.sampled_from([(), (b"FORCE",), (b"JUSTID",), (b"RETRYCOUNT", b"3"),
                             (b"LASTID", b"4-1")])),
    command(b"XAUTOCLAIM", KEYS, GROUP, CONSUMER, b"0", ENDS, COUNTS),
    command(b"XINFO", b"GROUPS", KEYS),
    command(b"XINFO", b"CONSUMERS", KEYS, GROUP),
    command(b"XINFO", b"STREAM", KEYS, b"FULL"),
]


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(*ENTRIES, *CONSUMED), min_size=1, max_size=60))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[list[bytes]]
) -> None:
    for argv, mine, theirs in side_by_side(redis, story):
        if argv[0] == b"OBJECT" and {theirs, mine} <= {b"$6\r\nembstr\r\n", b"$3\r\nraw\r\n"}:
            continue
        assert settled(mine) == settled(theirs), argv


def settled(reply: bytes) -> bytes:
    """The reply without times, and without how Redis stores a stream."""
    return re.sub(rb"(radix-tree-(keys|nodes)\r\n:)\d+", rb"\1-", without_times(reply))


def test_whole_nodes_are_trimmed_as_by_redis(redis: Connection) -> None:
    ours = Executor(int(time.time() * 1000))
    for number in range(1, 451):
        words = [b"XADD", b"s", b"%d-1" % number, b"a", b"b"]
        assert ours(*words) == redis.call(*words)
    for story in (
        "XTRIM s MAXLEN ~ 401 / XTRIM s MAXLEN ~ 400 LIMIT 40 / XLEN s / XTRIM s MAXLEN ~ 350"
        " / XLEN s / XTRIM s MINID ~ 190 / XTRIM s MINID ~ 201 LIMIT 100 / XRANGE s - + COUNT 1"
        " / XTRIM s MAXLEN 240 / XTRIM s MINID ~ 451 LIMIT 60 / XLEN s",
        "XADD s MAXLEN ~ 0 451-1 a b / XLEN s / XADD s MINID ~ 900 452-1 a b / XLEN s"
        " / XINFO STREAM s",
    ):
        run_at_both(ours, redis, story)


def test_a_long_stream_is_as_a_short_one(redis: Connection) -> None:
    ours = Executor(int(time.time() * 1000))
    for number in range(1, 301):
        words = [b"XADD", b"s", b"%d-%d" % (number // 3, number % 3), b"a", b"%d" % number]
        assert ours(*words) == redis.call(*words)
    assert ours.records[b"s"][1] & 16
    run_at_both(ours, redis,
         "XRANGE s 5 9 / XREVRANGE s + - COUNT 3 / XLEN s / XDEL s 5-1 100-0 7-7 / XRANGE s 5 5"
         " / XREVRANGE s + - COUNT 1 / XADD s 99-7 a b / XADD s 101-* a b / XRANGE s 99 +"
         " / XTRIM s MAXLEN 10 / XRANGE s - + / XSETID s 300 / XADD s MAXLEN 3 300-1 a b"
         " / XRANGE s - + / XDEL s 300-1 / XLEN s")


VALUES = st.one_of(st.sampled_from([b"1", b"-22", b"", b"x" * 70, b"y" * 5000]),
                   st.binary(max_size=40))
SEVERAL = st.lists(st.tuples(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"7"]), VALUES), min_size=1, max_size=3),
    st.integers(0, 1 << 63), st.integers(1, 1 << 64),
), max_size=150)


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SEVERAL, st.sets(st.integers(0, 149)))
def test_dumps_of_each_are_restored_by_the_other(
    redis: Connection, entries: list[tuple[list[tuple[bytes, bytes]], int, int]], gone: set[int]
) -> None:
    redis.call(b"FLUSHALL")
    ours = Executor(int(time.time() * 1000))
    story = [[b"XADD", b"k", b"0-1", b"a", b"b"]]
    ids = sorted({(ms + 1, seq % (1 << 64)) for _, ms, seq in entries})
    for (fields, _, _), (ms, seq) in zip(entries, ids, strict=False):
        story.append([b"XADD", b"k", b"%d-%d" % (ms, seq), *chain.from_iterable(fields)])
    story += [
        [b"XGROUP", b"CREATE", b"k", b"g", b"0"], [b"XGROUP", b"CREATE", b"k", b"none", b"$"],
        [b"XREADGROUP", b"GROUP", b"g", b"one", b"COUNT", b"7", b"STREAMS", b"k", b">"],
        [b"XREADGROUP", b"GROUP", b"g", b"two", b"COUNT", b"3", b"STREAMS", b"k", b">"],
        *[[b"XDEL", b"k", story[at][2]] for at in sorted(gone) if at < len(story)],
    ]
    for words in story:
        assert ours(*words) == redis.call(*words)
    theirs, mine = parsed(redis.call(b"DUMP", b"k")), parsed(ours(b"DUMP", b"k"))
    assert isinstance(theirs, bytes) and isinstance(mine, bytes)
    assert redis.call(b"RESTORE", b"r", b"0", mine) == b"+OK\r\n"
    assert ours(b"RESTORE", b"r", b"0", theirs) == b"+OK\r\n"
    for key in (b"k", b"r"):
        for look in (
            [b"XRANGE", key, b"-", b"+"], [b"XINFO", b"STREAM", key],
            [b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"], [b"XINFO", b"GROUPS", key],
            [b"XPENDING", key, b"g"],
            [b"XREADGROUP", b"GROUP", b"g", b"two", b"COUNT", b"5", b"STREAMS", key, b">"],
        ):
            assert times_aside(redis.call(*look)) == times_aside(ours(*look))


def times_aside(reply: bytes) -> bytes:
    """The reply without the times that FULL shows of what is pending."""
    return re.sub(rb":1\d{12}\r\n", b":-\r\n", settled(reply))


HOSTILE = (b"RESTORE", b"k", b"0")
REPLIES = (b"+OK\r\n", b"-ERR Bad data format\r\n")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([15, 19]), st.binary(max_size=60))
def test_a_hostile_dump_is_refused_or_taken_and_nothing_else(number: int, content: bytes) -> None:
    assert Executor(0)(*HOSTILE, seal(bytes([number]) + content)) in REPLIES


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_so_is_a_sound_dump_with_other_bytes_in_it(data: st.DataObject) -> None:
    ours = Executor(1000)
    for number in range(1, 5):
        ours(b"XADD", b"s", b"%d-1" % number, b"a", b"%d" % number, b"b", b"x")
    ours(b"XDEL", b"s", b"2-1")
    ours(b"XGROUP", b"CREATE", b"s", b"g", b"0")
    ours(b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", b"2", b"STREAMS", b"s", b">")
    whole = parsed(ours(b"DUMP", b"s"))
    assert isinstance(whole, bytes)
    packed = bytearray(whole[:-10])
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(1, len(packed) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(1, len(packed) - 1)):]
    assert ours(*HOSTILE, seal(bytes(packed))) in REPLIES
    for look in (
        (b"XRANGE", b"k", b"-", b"+"), (b"XINFO", b"STREAM", b"k", b"FULL"), (b"DUMP", b"k"),
        (b"XREADGROUP", b"GROUP", b"g", b"d", b"STREAMS", b"k", b">"), (b"XPENDING", b"k", b"g"),
        (b"XADD", b"k", b"*", b"a", b"b"), (b"XAUTOCLAIM", b"k", b"g", b"d", b"0", b"0"),
    ):
        assert ours(*look)[:1] in b"*-$"


def test_the_steps_of_reading() -> None:
    ours = Executor(1000)
    ours(b"XADD", b"s", b"1-1", b"a", b"1")
    ours(b"XGROUP", b"CREATE", b"s", b"g", b"0")
    assert parsed(ours(b"DYN.XLAST", b"s")) == b"1-1"
    assert parsed(ours(b"DYN.XLASTS", b"s", b"no")) == [b"1-1", b"0-0"]
    entry = [b"1-1", [b"a", b"1"]]
    assert parsed(ours(b"DYN.XREAD", b"s", b"0", b"0")) == [entry]
    assert ours(b"DYN.XREAD", b"s", b"1-1", b"0") == b"*-1\r\n"
    assert ours(b"DYN.XCHECK", b"s", b"g", b">") == b"+OK\r\n"
    assert ours(b"DYN.XCHECK", b"s", b"h", b">").startswith(b"-NOGROUP No such key 's' or")
    words = [b"DYN.XREADGROUP", b"s", b"g", b">", b"c", b"0"]
    assert parsed(ours(*words, b"WAITED", b"ACK")) == [entry]
    assert ours(*words, b"NOACK") == b"*-1\r\n"
    gone = b"-UNBLOCKED the stream key no longer exists\r\n"
    assert ours(b"DYN.XREADGROUP", b"t", b"g", b">", b"c", b"0", b"WAITED", b"ACK") == gone
    ours(b"SET", b"s", b"v")
    assert ours(*words, b"WAITED", b"ACK") == gone
