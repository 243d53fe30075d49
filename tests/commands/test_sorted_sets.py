"""Sorted sets against redis-server: chosen stories, dumps both ways, any sequence at all; and the
order that is kept beside a record."""

import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from respdyn.types import doubles, sorted_sets
from respdyn.types.dump import seal
from respdyn.types.score_order import Order
from tests.commands.alone import Alone
from tests.commands.executor import Executor
from tests.commands.real import Connection
from tests.commands.score_stories import PLACES, SORTED, SORTED_SETS
from tests.commands.test_elements import parsed
from tests.commands.test_like_redis import compare, side_by_side
from tests.commands.test_machine import BAD, command

STORIES = {**SORTED_SETS, **PLACES, **SORTED}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    compare(story, resp, redis)


KEYS = st.sampled_from([b"a", b"b", b"{a}c", b"s"])
NAMES = st.sampled_from([b"1", b"x", b"xx", b"", b"\x00\xff", b"y" * 70])
SCORES = st.one_of(
    st.sampled_from([b"0", b"1", b"-1", b"2.5", b"inf", b"-inf", b"1e17", b"0.1"]), BAD,
    st.floats(allow_nan=False).filter(lambda score: score != 0).map(lambda score: b"%.17g" % score),
)
ENDS = st.one_of(
    st.sampled_from([b"-inf", b"+inf", b"(1", b"1", b"0", b"(2.5", b"-1", b"3"]),
    st.sampled_from([b"-", b"+", b"[x", b"(x", b"[xx", b"["]), SCORES,
)
RANGED = st.lists(st.sampled_from([
    (b"WITHSCORES",), (b"REV",), (b"BYSCORE",), (b"BYLEX",), (b"LIMIT", b"0", b"2"),
    (b"LIMIT", b"1", b"-1"),
]), max_size=3).map(lambda options: tuple(word for option in options for word in option))
PAIRS = st.lists(st.tuples(SCORES, NAMES), min_size=1, max_size=4).map(
    lambda pairs: tuple(word for pair in pairs for word in pair))
COMBINED = st.lists(st.sampled_from([
    (b"WITHSCORES",), (b"AGGREGATE", b"MIN"), (b"AGGREGATE", b"MAX"), (b"WEIGHTS", b"2", b"-1"),
    (b"WEIGHTS", b"inf", b"0.5"), (b"LIMIT", b"1"),
]), max_size=2).map(lambda options: tuple(word for option in options for word in option))
COMMANDS = st.one_of(
    command(b"ZADD", KEYS, PAIRS),
    command(b"ZADD", KEYS, st.lists(
        st.sampled_from([b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"]), max_size=2).map(tuple),
        PAIRS),
    command(b"ZINCRBY", KEYS, SCORES, NAMES),
    command(st.sampled_from([b"ZREM", b"ZMSCORE"]), KEYS,
            st.lists(NAMES, min_size=1, max_size=3).map(tuple)),
    command(st.sampled_from([b"ZSCORE", b"ZRANK", b"ZREVRANK"]), KEYS, NAMES),
    command(b"ZRANGE", KEYS, ENDS, ENDS, RANGED),
    command(b"ZRANGESTORE", KEYS, KEYS, ENDS, ENDS, RANGED),
    command(st.sampled_from([
        b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE", b"ZRANGEBYLEX", b"ZREVRANGEBYLEX", b"ZREVRANGE",
    ]), KEYS, ENDS, ENDS, RANGED),
    command(st.sampled_from([
        b"ZCOUNT", b"ZLEXCOUNT", b"ZREMRANGEBYSCORE", b"ZREMRANGEBYLEX", b"ZREMRANGEBYRANK",
    ]), KEYS, ENDS, ENDS),
    command(st.sampled_from([b"ZPOPMIN", b"ZPOPMAX"]), KEYS,
            st.sampled_from([(), (b"2",), (b"0",), (b"x",)])),
    command(b"ZMPOP", b"2", KEYS, KEYS, st.sampled_from([b"MIN", b"MAX"]),
            st.sampled_from([(), (b"COUNT", b"3")])),
    command(st.sampled_from([b"ZUNION", b"ZINTER", b"ZDIFF", b"ZINTERCARD"]), b"2", KEYS, KEYS,
            COMBINED),
    command(st.sampled_from([b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"]), KEYS, b"2", KEYS,
            KEYS, COMBINED),
    command(b"ZSCAN", KEYS, b"0"),
    command(st.sampled_from([
        b"DEL", b"EXISTS", b"TYPE", b"GET", b"ZCARD", b"PERSIST", b"EXPIRETIME", b"SCARD",
    ]), KEYS),
    command(b"OBJECT", b"ENCODING", KEYS),
    command(b"SADD", b"s", NAMES),
    command(b"SET", KEYS, NAMES),
    command(b"EXPIREAT", KEYS, st.sampled_from([b"5000000000", b"1"])),
    command(st.sampled_from([b"RENAME", b"COPY"]), KEYS, KEYS),
)
# It keeps a skip list for a sorted set that has shrunk, or that it stores.
LARGER = b"$8\r\nskiplist\r\n"


@settings(max_examples=250, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(COMMANDS, min_size=1, max_size=50))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[list[bytes]]
) -> None:
    for argv, mine, theirs in side_by_side(redis, story):
        if argv[0] == b"OBJECT" and theirs == LARGER and mine == b"$8\r\nlistpack\r\n":
            continue
        assert mine == theirs, argv


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.one_of(NAMES, st.binary(max_size=70)), st.floats(allow_nan=False),
                       min_size=1, max_size=200))
def test_dumps_of_each_are_restored_by_the_other(
    redis: Connection, scores: dict[bytes, float]
) -> None:
    redis.call(b"FLUSHALL")
    ours = Executor(int(time.time() * 1000))
    words = [b"ZADD", b"k"]
    for name, score in scores.items():
        words += [b"%.17g" % (score + 0.0), name]
    assert ours(*words) == redis.call(*words)
    look = [b"0", b"-1", b"WITHSCORES"]
    theirs, mine = parsed(redis.call(b"DUMP", b"k")), parsed(ours(b"DUMP", b"k"))
    assert isinstance(theirs, bytes) and isinstance(mine, bytes)
    assert redis.call(b"RESTORE", b"r", b"0", mine) == b"+OK\r\n"
    assert ours(b"RESTORE", b"r", b"0", theirs) == b"+OK\r\n"
    expected = redis.call(b"ZRANGE", b"k", *look)
    assert redis.call(b"ZRANGE", b"r", *look) == expected
    assert ours(b"ZRANGE", b"r", *look) == expected
    assert ours(b"OBJECT", b"ENCODING", b"r") == redis.call(b"OBJECT", b"ENCODING", b"r")
    assert ours(b"RESTORE", b"r", b"0", theirs).startswith(b"-BUSYKEY")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([3, 5, 12, 17]), st.binary(max_size=60))
def test_a_hostile_dump_is_refused_or_taken_and_nothing_else(number: int, content: bytes) -> None:
    ours = Executor(0)
    reply = ours(b"RESTORE", b"k", b"0", seal(bytes([number]) + content))
    assert reply in (b"+OK\r\n", b"-ERR Bad data format\r\n")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, st.floats(allow_nan=False), min_size=1), st.booleans(), st.data())
def test_a_damaged_dump_is_refused_or_taken_and_nothing_else(
    scores: dict[bytes, float], is_large: bool, data: st.DataObject
) -> None:
    ours = Executor(0)
    for name, score in scores.items():
        ours(b"ZADD", b"k", b"%.17g" % score, name)
    if is_large:
        ours(b"ZADD", b"k", b"1", b"z" * 65)
    dumped = parsed(ours(b"DUMP", b"k"))
    assert isinstance(dumped, bytes)
    body = bytearray(dumped[:-10])
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    reply = ours(b"RESTORE", b"r", b"0", seal(bytes(body)), b"REPLACE")
    assert reply in (b"+OK\r\n", b"-ERR Bad data format\r\n") or b"not other types" in reply
    ours(b"ZRANGE", b"r", b"0", b"-1", b"WITHSCORES")


def test_old_forms_and_what_no_sorted_set_can_be() -> None:
    ours = Executor(0)
    old = b"\x03\x03\x01a\xfe\x01b\x031.5\x01c\xff"
    assert ours(b"RESTORE", b"o", b"0", seal(old)) == b"+OK\r\n"
    assert parsed(ours(b"ZRANGE", b"o", b"0", b"-1", b"WITHSCORES")) == [
        b"c", b"-inf", b"b", b"1.5", b"a", b"inf"]
    nan = b"\x05\x01\x01a" + doubles.pack(float("nan"))[::-1]
    twice = b"\x05\x02\x01a" + bytes(8) + b"\x01a" + bytes(8)
    for content in (nan, twice, b"\x05\x00", b"\x03\x01\x01a\xfd", old[:-1], nan[:-1]):
        assert ours(b"RESTORE", b"n", b"0", seal(content)) == b"-ERR Bad data format\r\n"


def test_a_scan_of_many_meets_each_member_once() -> None:
    ours = Executor(0)
    names = [b"n%d" % number for number in range(700)]
    ours(b"ZADD", b"z", *[word for name in names for word in (b"1", name)])
    met: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, found = parsed(ours(b"ZSCAN", b"z", cursor, b"COUNT", b"50"))  # type: ignore[misc]
        assert 50 <= len(found) // 2 <= 60 or cursor == b"0"
        met += found[::2]
        if cursor == b"0":
            break
    assert sorted(met) == sorted(names)


def test_the_order_follows_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read once, and then follows what is touched. And it is that of the record."""
    ours = Executor(0)
    chance = random.Random(3)
    scores: dict[bytes, float] = {}
    read = []
    made = sorted_sets.Order
    monkeypatch.setattr(sorted_sets, "Order", lambda found: read.append(1) or made(found))
    monkeypatch.setattr(sorted_sets, "ORDERS", sorted_sets.orders())
    for number in range(200):
        scores[b"%d" % number] = number % 7
        ours(b"ZADD", b"z", b"%d" % (number % 7), b"%d" % number)
    ours(b"ZRANGE", b"z", b"0", b"0")
    read.clear()
    for _ in range(300):
        name = b"%d" % chance.randrange(250)
        choice = chance.randrange(6)
        if choice < 2:
            scores[name] = chance.randrange(9)
            ours(b"ZADD", b"z", b"%d" % scores[name], name)
        elif choice < 4:
            scores[name] = scores.get(name, 0) + 2
            ours(b"ZINCRBY", b"z", b"2", name)
        elif choice == 4:
            scores.pop(name, None)
            ours(b"ZREM", b"z", name)
        else:
            lowest = min((score, name) for name, score in scores.items())
            del scores[lowest[1]]
            assert parsed(ours(b"ZPOPMIN", b"z"))[0] == lowest[1]       # type: ignore[index]
        expected = [name for _, name in sorted((score, name) for name, score in scores.items())]
        assert parsed(ours(b"ZRANGE", b"z", b"0", b"-1")) == expected
        assert ours(b"ZCARD", b"z") == b":%d\r\n" % len(scores)
    assert not read


def test_orders_that_are_too_many_are_given_up() -> None:
    orders = sorted_sets.orders(most=100)
    for number in range(4):
        orders.keep((number, 40), Order({b"%d" % one: 0.0 for one in range(40)}))
    assert orders.members == 80 and orders.dropped == 2
    assert orders.take((0, 40)) is None and orders.take((3, 40)) is not None
    orders.keep((9, 400), Order({b"%d" % one: 0.0 for one in range(400)}))
    assert orders.members == 400 and orders.take((9, 400)) is not None


def test_a_sorted_set_is_stored_in_place_of_whatever_was_there() -> None:
    ours = Executor(0)
    ours(b"SET", b"k", b"v")
    assert ours(b"DYN.STOREZSET", b"k", b"ZUNIONSTORE", b"x", b"1.5", b"y", b"1") == b":2\r\n"
    assert parsed(ours(b"DYN.SCORES", b"k")) == [b"y", b"1", b"x", b"1.5"]
    assert ours(b"DYN.STOREZSET", b"k", b"ZUNIONSTORE", b"x") == b"-ERR syntax error\r\n"
    assert ours(b"DYN.STOREZSET", b"k", b"ZUNIONSTORE") == b":0\r\n"
    assert ours(b"EXISTS", b"k") == b":0\r\n"
    ours(b"SADD", b"s", b"m")
    assert parsed(ours(b"DYN.SCORES", b"s")) == [b"m", b"1"]
    assert ours(b"DYN.SCORES", b"s", b"ZRANGE", b"0", b"-1").startswith(b"-WRONGTYPE")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_a_number_of_grains(value: float) -> None:
    assert doubles.from_grains(doubles.grains_of(value)) == value
    assert doubles.read(doubles.print_double(value)) == value


def test_steps_of_sort() -> None:
    ours = Executor(0)
    ours(b"RPUSH", b"l", b"b", b"a")
    ours(b"HSET", b"h", b"f", b"1")
    assert parsed(ours(b"DYN.ITEMS", b"l")) == [b"list", b"b", b"a"]
    assert parsed(ours(b"DYN.ITEMS", b"no")) == [b"none"]
    assert ours(b"DYN.ITEMS", b"h").startswith(b"-WRONGTYPE")
    assert parsed(ours(b"DYN.LOOKUP", b"h", b"FIELD", b"f")) == b"1"
    assert parsed(ours(b"DYN.LOOKUP", b"h")) is parsed(ours(b"DYN.LOOKUP", b"l")) is None
    assert ours(b"DYN.LOOKUP", b"h", b"FIELD").startswith(b"-ERR syntax")
    assert ours(b"DYN.STORELIST", b"l", b"SORTSTORE", b"x") == b":1\r\n"
    assert parsed(ours(b"LRANGE", b"l", b"0", b"-1")) == [b"x"]
    assert ours(b"DYN.STORELIST", b"l", b"SORTSTORE") == b":0\r\n"
    assert ours(b"EXISTS", b"l") == b":0\r\n"
    ours(b"RPUSH", b"far", b"1e400", b"1")
    assert ours(b"SORT", b"far").startswith(b"-ERR One or more scores")


def test_info_shows_the_orders_that_are_kept() -> None:
    client = Alone().connect()

    def kept_bytes() -> int:
        (line,) = [line for line in client.say("INFO dynamo").split(b"\r\n")
                   if line.startswith(b"dynamo_orders_members:")]
        return int(line.partition(b":")[2])

    before = kept_bytes()
    client.call(b"ZADD", b"scores", *(b"%d" % (one // 2) for one in range(1000)))
    client.say("ZRANK scores 7")
    assert kept_bytes() == before + 500
