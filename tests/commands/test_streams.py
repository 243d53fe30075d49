"""Streams against redis-server: chosen stories, dumps both ways, any sequence at all."""

import time
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.types.dump import seal
from tests.commands.executor import Executor
from tests.commands.real import Connection
from tests.commands.stream_stories import STREAMS
from tests.commands.test_elements import parsed
from tests.commands.test_like_redis import argv_of, side_by_side
from tests.commands.test_machine import BAD, command


def told(ours: Executor, redis: Connection, story: str) -> None:
    """Tell both a story; their replies are the same."""
    for step in story.split(" / "):
        argv = argv_of(step)
        ours.now_ms = int(time.time() * 1000)
        assert ours(*argv) == redis.call(*argv), step


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STREAMS.values(), ids=STREAMS)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    redis.call(b"HELLO", b"%d" % resp)
    ours = Executor(int(time.time() * 1000), resp3=resp == 3)
    told(ours, redis, story)


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


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(*ENTRIES), min_size=1, max_size=60))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[list[bytes]]
) -> None:
    for argv, mine, theirs in side_by_side(redis, story):
        if argv[0] == b"OBJECT" and {theirs, mine} <= {b"$6\r\nembstr\r\n", b"$3\r\nraw\r\n"}:
            continue
        assert mine == theirs, argv


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
        told(ours, redis, story)


def test_a_long_stream_is_as_a_short_one(redis: Connection) -> None:
    ours = Executor(int(time.time() * 1000))
    for number in range(1, 301):
        words = [b"XADD", b"s", b"%d-%d" % (number // 3, number % 3), b"a", b"%d" % number]
        assert ours(*words) == redis.call(*words)
    assert ours.records[b"s"][1] & 16
    told(ours, redis,
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
    story += [[b"XDEL", b"k", story[at][2]] for at in sorted(gone) if at < len(story)]
    for words in story:
        assert ours(*words) == redis.call(*words)
    theirs, mine = parsed(redis.call(b"DUMP", b"k")), parsed(ours(b"DUMP", b"k"))
    assert isinstance(theirs, bytes) and isinstance(mine, bytes)
    assert redis.call(b"RESTORE", b"r", b"0", mine) == b"+OK\r\n"
    assert ours(b"RESTORE", b"r", b"0", theirs) == b"+OK\r\n"
    for key in (b"k", b"r"):
        look = [b"XRANGE", key, b"-", b"+"]
        assert redis.call(*look) == ours(*look)
    assert _told(redis.call(b"XINFO", b"STREAM", b"r")) == _told(ours(b"XINFO", b"STREAM", b"r"))


def _told(reply: bytes) -> object:
    """What XINFO tells, but for how Redis stores it."""
    found = parsed(reply)
    assert isinstance(found, list)
    return found[:2] + found[6:]


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
    whole = parsed(ours(b"DUMP", b"s"))
    assert isinstance(whole, bytes)
    packed = bytearray(whole[:-10])
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(1, len(packed) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del packed[data.draw(st.integers(1, len(packed) - 1)):]
    assert ours(*HOSTILE, seal(bytes(packed))) in REPLIES
    for look in ((b"XRANGE", b"k", b"-", b"+"), (b"XINFO", b"STREAM", b"k", b"FULL")):
        assert ours(*look)[:1] in b"*-"
    ours(b"XADD", b"k", b"*", b"a", b"b")
