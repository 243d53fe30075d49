"""Long random sequences of commands, right and wrong, run at redis-server and at respdyn alike."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands.dumps import dump
from tests.commands.executor import Executor
from tests.commands.real import Connection

KEYS = st.sampled_from([b"a", b"b", b"{a}c", b"", b"\x00\xff"])
VALUES = st.one_of(st.sampled_from([b"", b"v", b"10", b"\r\n"]), st.binary(max_size=20))
# Far ahead, long past, or no time at all: nothing may expire while a test runs.
DATES_S = st.sampled_from([b"5000000000", b"6000000000", b"7000000000", b"1", b"0", b"-3"])
DATES_MS = st.sampled_from([b"5000000000001", b"6000000000000", b"7000000000499", b"1", b"-1"])
TTLS = st.sampled_from([b"100000", b"20000000", b"0", b"-1"])
BAD = st.sampled_from([b"x", b"", b"1.5", b"01", b"+1", b" 1", b"-0", b"9223372036854775807",
                       b"9223372036854775808", b"-9223372036854775808", b"9223372036854775"])
PLACES = st.sampled_from([b"0", b"1", b"-1", b"7", b"-9", b"30", b"9000000000"])
FLOATS = st.one_of(
    st.floats(width=64, min_value=-1e30, max_value=1e30).map(lambda number: b"%r" % number),
    st.decimals(-1000, 1000, places=5).map(lambda number: str(number).encode()),
)
NUMBERS = st.sampled_from([b"1", b"-3", b"0", b"9223372036854775807", b"1.5", b"-0.1", b"3e2"])
CASES = st.sampled_from([bytes.upper, bytes.lower, bytes.title])

PLAIN_OPTIONS = [st.just((word,)) for word in (b"NX", b"XX", b"GET", b"KEEPTTL", b"PERSIST")]
TIMED_OPTIONS = [
    st.tuples(st.sampled_from([b"EX", b"PX"]), st.one_of(TTLS, BAD)),
    st.tuples(st.just(b"EXAT"), st.one_of(DATES_S, BAD)),
    st.tuples(st.just(b"PXAT"), st.one_of(DATES_MS, BAD)),
    st.just((b"EX",)),
    st.just((b"nope",)),
]
OPTIONS = st.lists(st.one_of(*PLAIN_OPTIONS, *TIMED_OPTIONS), max_size=3).map(
    lambda options: tuple(word for option in options for word in option)
)
# Conditions are compared with dates only: a relative time that comes a millisecond later on one
# side can be greater there and equal here.
CONDITIONS = st.lists(
    st.sampled_from([b"NX", b"XX", b"GT", b"LT", b"nope"]), max_size=2
).map(tuple)


def command(*parts: object) -> st.SearchStrategy[list[bytes]]:
    """Words, or strategies for one word or for several."""
    strategies = [
        st.just((part,)) if isinstance(part, bytes) else
        part.map(lambda drawn: drawn if isinstance(drawn, tuple) else (drawn,))
        for part in parts
        if isinstance(part, bytes | st.SearchStrategy)
    ]
    return st.tuples(*strategies).map(lambda drawn: [word for part in drawn for word in part])


COMMANDS = st.one_of(
    command(st.sampled_from([b"GET", b"STRLEN", b"TYPE", b"GETDEL", b"PERSIST"]), KEYS),
    command(b"SET", KEYS, VALUES, OPTIONS),
    command(b"SET", KEYS, VALUES),
    command(b"GETEX", KEYS, OPTIONS),
    command(st.sampled_from([b"GETSET", b"SETNX"]), KEYS, VALUES),
    command(b"SETEX", KEYS, st.one_of(TTLS, BAD), VALUES),
    command(b"PSETEX", KEYS, st.one_of(TTLS, BAD), VALUES),
    command(st.sampled_from([b"EXPIRE", b"PEXPIRE"]), KEYS, st.one_of(TTLS, BAD)),
    command(b"EXPIREAT", KEYS, st.one_of(DATES_S, BAD), CONDITIONS),
    command(b"PEXPIREAT", KEYS, st.one_of(DATES_MS, BAD), CONDITIONS),
    command(
        st.sampled_from([b"DEL", b"UNLINK", b"EXISTS", b"TOUCH", b"MGET"]),
        st.lists(KEYS, max_size=4).map(tuple),
    ),
    command(b"MSET", st.lists(st.one_of(KEYS, VALUES), max_size=6).map(tuple)),
    command(st.sampled_from([b"TTL", b"EXPIRETIME", b"PTTL", b"PEXPIRETIME"]), KEYS),
    command(b"DBSIZE"),
    command(b"APPEND", KEYS, VALUES),
    command(st.sampled_from([b"INCR", b"DECR", b"INCR"]), KEYS),
    command(st.sampled_from([b"INCRBY", b"DECRBY", b"INCRBYFLOAT"]), KEYS,
            st.one_of(NUMBERS, BAD)),
    command(b"INCRBYFLOAT", KEYS, FLOATS),
    command(b"SETRANGE", KEYS, PLACES, VALUES),
    command(st.sampled_from([b"GETRANGE", b"BITCOUNT"]), KEYS, PLACES, PLACES),
    command(b"BITPOS", KEYS, st.sampled_from([b"0", b"1"]),
            st.lists(PLACES, max_size=2).map(tuple)),
    command(b"SETBIT", KEYS, PLACES, st.sampled_from([b"0", b"1"])),
    command(b"GETBIT", KEYS, PLACES),
    command(b"BITOP", st.sampled_from([b"AND", b"OR", b"XOR", b"NOT"]), KEYS, KEYS, KEYS),
    command(b"LCS", KEYS, KEYS, st.sampled_from([(), (b"LEN",), (b"IDX", b"WITHMATCHLEN")])),
    command(b"MSETNX", KEYS, VALUES, KEYS, VALUES),
    command(st.sampled_from([b"RENAME", b"RENAMENX"]), KEYS, KEYS),
    command(b"MOVE", KEYS, st.sampled_from([b"0", b"1", b"16", b"x"])),
    command(b"DUMP", KEYS),
    command(b"RESTORE", KEYS, st.one_of(st.just(b"0"), BAD), VALUES.map(dump), st.sampled_from(
        [(), (b"REPLACE",), (b"IDLETIME", b"5"), (b"FREQ", b"256")]
    )),
    command(st.sampled_from([b"SORT", b"SORT_RO"]), KEYS, st.sampled_from(
        [(), (b"ALPHA", b"DESC"), (b"LIMIT", b"0", b"x"), (b"BY", b"w*"), (b"STORE", b"{a}c")]
    )),
    command(b"COPY", KEYS, KEYS, st.sampled_from([(), (b"REPLACE",)])),
    command(b"BITFIELD", KEYS, b"OVERFLOW", st.sampled_from([b"SAT", b"WRAP", b"FAIL"]),
            st.sampled_from([b"SET", b"INCRBY"]), st.sampled_from([b"u8", b"i5", b"i64", b"u63"]),
            PLACES, st.one_of(NUMBERS, BAD)),
    command(
        st.sampled_from([b"GET", b"SET", b"TTL", b"EXPIRE", b"SETEX", b"FLUSHDB", b"DBSIZE"]),
        st.lists(st.one_of(KEYS, BAD), max_size=5).map(tuple),
    ),
)
TOLERANCES = {b"TTL": 1, b"EXPIRETIME": 2, b"PTTL": 2000, b"PEXPIRETIME": 2000}


def same(argv: list[bytes], mine: bytes, theirs: bytes) -> bool:
    """Equal bytes; for a time to come, equal but for the time the test takes."""
    tolerance = TOLERANCES.get(argv[0].upper(), 0)
    if tolerance and mine[:1] == theirs[:1] == b":" and min(int(mine[1:]), int(theirs[1:])) > 0:
        return abs(int(mine[1:]) - int(theirs[1:])) <= tolerance
    return mine == theirs


@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(COMMANDS, CASES), min_size=1, max_size=40))
def test_any_sequence_of_commands_is_answered_as_by_redis(
    redis: Connection, story: list[tuple[list[bytes], object]]
) -> None:
    redis.call(b"FLUSHALL")
    ours = Executor(0)
    for words, spell in story:
        assert callable(spell)
        argv = [spell(words[0]), *words[1:]]
        ours.now_ms = int(time.time() * 1000)
        theirs = redis.call(*argv)
        mine = ours(*argv)
        assert same(argv, mine, theirs), (argv, mine, theirs)
    for key in (b"a", b"b", b"{a}c", b"", b"\x00\xff"):
        assert ours(b"GET", key) == redis.call(b"GET", key)
