"""Lists against redis-server: chosen stories, dumps both ways, any sequence at all."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.types.dump import seal
from tests.commands.executor import Executor
from tests.commands.list_stories import LISTS
from tests.commands.real import Connection
from tests.commands.test_elements import parsed
from tests.commands.test_like_redis import argv_of, side_by_side
from tests.commands.test_machine import BAD, command


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", LISTS.values(), ids=LISTS)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    redis.call(b"HELLO", b"%d" % resp)
    ours = Executor(int(time.time() * 1000), resp3=resp == 3)
    for step in story.split(" / "):
        argv = argv_of(step)
        ours.now_ms = int(time.time() * 1000)
        expected = redis.call(*argv)
        if argv[0] == b"SELECT":
            ours.records = ours.databases[int(argv[1])]
            continue
        assert ours(*argv) == expected, step


KEYS = st.sampled_from([b"a", b"b", b"{a}c"])
ITEMS = st.sampled_from([b"1", b"22", b"-3", b"x", b"", b"\x00\xff", b"y" * 70])
PLACES = st.one_of(st.sampled_from([b"0", b"1", b"2", b"5", b"-1", b"-2", b"-4"]), BAD)
SIDES = st.sampled_from([b"LEFT", b"RIGHT", b"left"])
COUNTS = st.sampled_from([(), (b"0",), (b"1",), (b"3",), (b"-1",), (b"x",)])
COMMANDS = st.one_of(
    *[command(st.sampled_from([b"LPUSH", b"RPUSH", b"LPUSHX", b"RPUSHX"]), KEYS,
              st.lists(ITEMS, min_size=1, max_size=4).map(tuple)) for _ in range(3)],
    command(st.sampled_from([b"LPOP", b"RPOP"]), KEYS, COUNTS),
    command(b"LRANGE", KEYS, PLACES, PLACES),
    command(st.sampled_from([b"LLEN", b"DEL", b"EXISTS", b"TYPE", b"GET", b"EXPIRETIME"]), KEYS),
    command(b"LINDEX", KEYS, PLACES),
    command(b"LSET", KEYS, PLACES, ITEMS),
    command(b"LINSERT", KEYS, st.sampled_from([b"BEFORE", b"AFTER", b"no"]), ITEMS, ITEMS),
    command(b"LREM", KEYS, PLACES, ITEMS),
    command(b"LTRIM", KEYS, PLACES, PLACES),
    command(b"LPOS", KEYS, ITEMS, st.sampled_from([(), (b"RANK", b"2"), (b"RANK", b"-1")]),
            st.sampled_from([(), (b"COUNT", b"0"), (b"COUNT", b"2", b"MAXLEN", b"3")])),
    command(b"LMOVE", KEYS, KEYS, SIDES, SIDES),
    command(b"RPOPLPUSH", KEYS, KEYS),
    command(b"LMPOP", b"2", KEYS, KEYS, SIDES, st.sampled_from([(), (b"COUNT", b"2")])),
    command(b"OBJECT", b"ENCODING", KEYS),
    command(b"SET", KEYS, ITEMS),
    command(b"EXPIREAT", KEYS, st.sampled_from([b"5000000000", b"1"])),
    command(st.sampled_from([b"RENAME", b"RENAMENX", b"COPY"]), KEYS, KEYS),
)


@settings(max_examples=200, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COMMANDS, min_size=1, max_size=60))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[list[bytes]]
) -> None:
    for argv, mine, theirs in side_by_side(redis, story):
        if argv[0] == b"OBJECT" and {theirs, mine} <= {b"$6\r\nembstr\r\n", b"$3\r\nraw\r\n"}:
            continue
        assert mine == theirs, argv


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(ITEMS, st.binary(max_size=300), st.just(b"z" * 9000)), min_size=1,
                max_size=200))
def test_dumps_of_each_are_restored_by_the_other(redis: Connection, items: list[bytes]) -> None:
    redis.call(b"FLUSHALL")
    ours = Executor(int(time.time() * 1000))
    words = [b"RPUSH", b"k", *items]
    assert ours(*words) == redis.call(*words)
    theirs, mine = parsed(redis.call(b"DUMP", b"k")), parsed(ours(b"DUMP", b"k"))
    assert isinstance(theirs, bytes) and isinstance(mine, bytes)
    assert redis.call(b"RESTORE", b"r", b"0", mine) == b"+OK\r\n"
    assert ours(b"RESTORE", b"r", b"0", theirs) == b"+OK\r\n"
    look = [b"LRANGE", b"r", b"0", b"-1"]
    assert redis.call(*look) == ours(*look) == ours(b"LRANGE", b"k", b"0", b"-1")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 10, 14, 18]), st.binary(max_size=60))
def test_a_hostile_dump_is_refused_or_taken_and_nothing_else(number: int, content: bytes) -> None:
    reply = Executor(0)(b"RESTORE", b"k", b"0", seal(bytes([number]) + content))
    assert reply in (b"+OK\r\n", b"-ERR Bad data format\r\n")


def test_old_forms_of_lists_are_read() -> None:
    ours = Executor(0)
    ziplist = bytes.fromhex("10000000 0c000000 0200 00f2 0201 62 ff".replace(" ", ""))
    one = bytes([len(ziplist)]) + ziplist
    for packed, wanted in (
        (b"\x01\x02\x01a\xc0\x05", [b"a", b"5"]),
        (b"\x0a" + one, [b"1", b"b"]),
        (b"\x0e\x02" + one + one, [b"1", b"b", b"1", b"b"]),
    ):
        reply = ours(b"RESTORE", b"k", b"0", seal(packed), b"REPLACE")
        assert reply == b"+OK\r\n", packed
        assert parsed(ours(b"LRANGE", b"k", b"0", b"-1")) == wanted


def test_the_steps_of_a_move_take_exactly_what_was_seen() -> None:
    ours = Executor(0)
    ours(b"RPUSH", b"l", b"a", b"b")
    found = parsed(ours(b"DYN.LPEEK", b"l", b"RIGHT"))
    assert isinstance(found, list) and found[0] == b"b"
    assert ours(b"DYN.LPLACE", b"m", b"LEFT", b"b") == b":1\r\n"
    assert ours(b"LSET", b"l", b"1", b"c") == b"+OK\r\n"
    assert ours(b"DYN.LTAKE", b"l", b"RIGHT", *found[1:]) == b"+OK\r\n"
    assert parsed(ours(b"LRANGE", b"l", b"0", b"-1")) == [b"a", b"c"]
    again = parsed(ours(b"DYN.LPEEK", b"l", b"RIGHT"))
    assert isinstance(again, list)
    assert ours(b"DYN.LTAKE", b"l", b"RIGHT", *again[1:]) == b"+OK\r\n"
    assert parsed(ours(b"LRANGE", b"l", b"0", b"-1")) == [b"a"]
    assert ours(b"DYN.LMOVE", b"l", b"m", b"LEFT", b"LEFT").startswith(b"-ERR DYN.LMOVE of two")
    assert parsed(ours(b"DYN.LMPOP", b"m", b"LEFT", b"2")) == [b"m", [b"b"]]
