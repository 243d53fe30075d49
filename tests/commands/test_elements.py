"""Hashes and sets against redis-server: chosen stories, dumps both ways, any sequence at all."""

import time

import hiredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.types.dump import DumpError, seal
from tests.commands.element_stories import HASHES, MOVED, SETS
from tests.commands.executor import Executor
from tests.commands.real import Connection
from tests.commands.test_like_redis import compare, side_by_side
from tests.commands.test_machine import BAD, command

STORIES = {**HASHES, **SETS, **MOVED}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    compare(story, resp, redis)


KEYS = st.sampled_from([b"a", b"b", b"{a}c", b""])
NAMES = st.sampled_from([b"1", b"22", b"-3", b"x", b"", b"\x00\xff", b"y" * 70])
VALUES = st.one_of(st.sampled_from([b"", b"v", b"10", b"-1.5"]), st.binary(max_size=70))
AMOUNTS = st.one_of(st.sampled_from([b"1", b"-5", b"0", b"1.5", b"9223372036854775807"]), BAD)
COUNTS = st.sampled_from([(), (b"0",), (b"x",), (b"200",)])
COMMANDS = st.one_of(
    command(b"HSET", KEYS, st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4).map(
        lambda pairs: tuple(word for pair in pairs for word in pair))),
    command(st.sampled_from([b"HSETNX", b"HMSET"]), KEYS, NAMES, VALUES),
    command(st.sampled_from([b"HGET", b"HEXISTS", b"HSTRLEN"]), KEYS, NAMES),
    command(st.sampled_from([b"HDEL", b"HMGET", b"SADD", b"SADD", b"SREM", b"SMISMEMBER"]), KEYS,
            st.lists(NAMES, min_size=1, max_size=4).map(tuple)),
    command(st.sampled_from([b"HGETALL", b"HKEYS", b"HVALS", b"HLEN", b"SMEMBERS", b"SCARD"]),
            KEYS),
    command(st.sampled_from([b"HINCRBY", b"HINCRBYFLOAT"]), KEYS, NAMES, AMOUNTS),
    command(b"HRANDFIELD", KEYS, COUNTS),
    command(st.sampled_from([b"SPOP", b"SRANDMEMBER"]), KEYS, st.sampled_from([(b"0",), (b"x",)])),
    command(b"SRANDMEMBER", KEYS, b"200"),
    command(st.sampled_from([b"HSCAN", b"SSCAN"]), KEYS, b"0", st.sampled_from(
        [(b"COUNT", b"1000"), (b"COUNT", b"1000", b"MATCH", b"2*"), (b"COUNT", b"0")])),
    command(b"SISMEMBER", KEYS, NAMES),
    command(b"SMOVE", KEYS, KEYS, NAMES),
    command(st.sampled_from(
        [b"SINTER", b"SUNION", b"SDIFF", b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"]
    ), KEYS, st.lists(KEYS, min_size=1, max_size=3).map(tuple)),
    command(b"SINTERCARD", st.sampled_from([b"1", b"2", b"x", b"9"]), KEYS, KEYS, st.sampled_from(
        [(), (b"LIMIT", b"1"), (b"LIMIT", b"-1")])),
    command(st.sampled_from(
        [b"DEL", b"EXISTS", b"TYPE", b"GET", b"STRLEN", b"PERSIST", b"EXPIRETIME", b"INCR"]
    ), KEYS),
    command(b"OBJECT", b"ENCODING", KEYS),
    command(b"SET", KEYS, VALUES),
    command(b"EXPIREAT", KEYS, st.sampled_from([b"5000000000", b"6000000000", b"1"])),
    command(st.sampled_from([b"RENAME", b"RENAMENX", b"COPY"]), KEYS, KEYS),
    command(b"MGET", KEYS, KEYS),
)
# Redis shows hashes in the order in which fields were made, sets in that of its hash function.
UNORDERED = {b"HGETALL": 2, b"HKEYS": 1, b"HVALS": 1, b"SMEMBERS": 1, b"SINTER": 1, b"SUNION": 1,
             b"SDIFF": 1, b"HRANDFIELD": 1, b"SRANDMEMBER": 1}
# It keeps a hash table for a collection that has shrunk; and what it stores by SUNIONSTORE.
BIGGER = (b"$9\r\nhashtable\r\n", b"$8\r\nlistpack\r\n", b"$6\r\nintset\r\n")


def parsed(reply: bytes) -> object:
    reader = hiredis.Reader(replyError=lambda text: text)
    reader.feed(reply)
    return reader.gets()


def in_order(argv: list[bytes], reply: bytes) -> object:
    """A reply, what has no order put into one."""
    found = parsed(reply)
    name = argv[0].upper()
    if name in (b"HSCAN", b"SSCAN") and isinstance(found, list):
        step = 2 if name == b"HSCAN" else 1
        return found[0], sorted(zip(*[iter(found[1])] * step, strict=True))
    if name not in UNORDERED or not isinstance(found, list):
        return found
    return sorted(zip(*[iter(found)] * UNORDERED[name], strict=True))


@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COMMANDS, min_size=1, max_size=50))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[list[bytes]]
) -> None:
    for argv, mine, theirs in side_by_side(redis, story):
        if argv[0] == b"OBJECT" and theirs == BIGGER[0] and mine in BIGGER:
            continue
        assert in_order(argv, mine) == in_order(argv, theirs), (argv, mine, theirs)


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(VALUES, VALUES, min_size=1, max_size=150), st.booleans())
def test_dumps_of_each_are_restored_by_the_other(
    redis: Connection, pairs: dict[bytes, bytes], is_set: bool
) -> None:
    redis.call(b"FLUSHALL")
    ours = Executor(int(time.time() * 1000))
    words = [b"SADD", b"k", *pairs] if is_set else [
        b"HSET", b"k", *[word for pair in pairs.items() for word in pair]]
    look = [b"SMEMBERS" if is_set else b"HGETALL"]
    assert ours(*words) == redis.call(*words)
    theirs, mine = parsed(redis.call(b"DUMP", b"k")), parsed(ours(b"DUMP", b"k"))
    assert isinstance(theirs, bytes) and isinstance(mine, bytes)
    assert redis.call(b"RESTORE", b"r", b"0", mine) == b"+OK\r\n"
    assert ours(b"RESTORE", b"r", b"0", theirs) == b"+OK\r\n"
    expected = in_order(look, redis.call(*look, b"k"))
    assert in_order(look, redis.call(*look, b"r")) == expected
    assert in_order(look, ours(*look, b"r")) == expected
    assert ours(b"RESTORE", b"r", b"0", theirs).startswith(b"-BUSYKEY")
    assert ours(b"RESTORE", b"r", b"5000000000000", theirs, b"REPLACE", b"ABSTTL") == b"+OK\r\n"
    assert ours(b"EXPIRETIME", b"r") == b":5000000000\r\n"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([2, 4, 9, 11, 13, 16]), st.binary(max_size=60))
def test_a_hostile_dump_is_refused_or_taken_and_nothing_else(number: int, content: bytes) -> None:
    ours = Executor(0)
    reply = ours(b"RESTORE", b"k", b"0", seal(bytes([number]) + content))
    assert reply in (b"+OK\r\n", b"-ERR Bad data format\r\n")
    assert issubclass(DumpError, ValueError)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(VALUES, VALUES, min_size=1, max_size=20), st.data())
def test_a_damaged_dump_is_refused_or_taken_and_nothing_else(
    pairs: dict[bytes, bytes], data: st.DataObject
) -> None:
    ours = Executor(0)
    ours(b"HSET", b"k", *[word for pair in pairs.items() for word in pair])
    ours(b"SADD", b"s", *pairs)
    for key in (b"k", b"s"):
        dumped = parsed(ours(b"DUMP", key))
        assert isinstance(dumped, bytes)
        body = bytearray(dumped[:-10])
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
        reply = ours(b"RESTORE", b"r", b"0", seal(bytes(body)), b"REPLACE")
        assert reply in (b"+OK\r\n", b"-ERR Bad data format\r\n") or b"not other types" in reply


def test_old_forms_of_hashes_are_read() -> None:
    ours = Executor(0)
    zipmap = bytes.fromhex("02 01 61 01 00 31 01 62 01 00 32 ff")
    packed = seal(b"\x09" + bytes([len(zipmap)]) + zipmap)
    assert ours(b"RESTORE", b"m", b"0", packed) == b"+OK\r\n"
    assert parsed(ours(b"HGETALL", b"m")) == [b"a", b"1", b"b", b"2"]
    # Redis 6's: a -> 1, b -> -300, c -> text.
    entries = [b"\x01a", b"\xf2", b"\x01b", b"\xc0\xd4\xfe", b"\x01c", b"\x04text"]
    body, before = b"", 0
    for entry in entries:
        tail = 10 + len(body)
        whole = bytes([before]) + entry
        body, before = body + whole, len(whole)
    ziplist = (len(body) + 11).to_bytes(4, "little") + tail.to_bytes(4, "little") + (
        len(entries).to_bytes(2, "little") + body + b"\xff")
    packed = seal(b"\x0d" + bytes([len(ziplist)]) + ziplist)
    assert ours(b"RESTORE", b"z", b"0", packed) == b"+OK\r\n"
    assert parsed(ours(b"HGETALL", b"z")) == [b"a", b"1", b"b", b"-300", b"c", b"text"]


def test_a_scan_of_many_meets_each_element_once() -> None:
    ours = Executor(0)
    names = [b"n%d" % number for number in range(700)]
    ours(b"SADD", b"s", *names)
    ours(b"HSET", b"h", *[word for name in names for word in (name, b"1")])
    for scan, key, step in ((b"SSCAN", b"s", 1), (b"HSCAN", b"h", 2)):
        met: list[bytes] = []
        cursor = b"0"
        while True:
            cursor, found = parsed(ours(scan, key, cursor, b"COUNT", b"50"))    # type: ignore[misc]
            assert 50 <= len(found) // step <= 60 or cursor == b"0"
            met += found[::step]
            if cursor == b"0":
                break
        assert sorted(met) == sorted(names)


def test_a_set_is_stored_in_place_of_whatever_was_there() -> None:
    ours = Executor(0)
    ours(b"SET", b"k", b"v")
    assert ours(b"DYN.STORESET", b"k", b"SUNIONSTORE", b"2", b"1", b"2") == b":2\r\n"
    assert parsed(ours(b"SMEMBERS", b"k")) == [b"1", b"2"]
    assert ours(b"DYN.STORESET", b"k", b"SUNIONSTORE") == b":0\r\n"
    assert ours(b"EXISTS", b"k") == b":0\r\n"
