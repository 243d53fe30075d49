"""Replies that depend on the time: against redis-server within a tolerance, and by hand exactly."""

import time

import pytest

from tests.commands.executor import Executor
from tests.commands.real import Connection

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize("step", [
    "SET k v EX 100", "SET k v PX 100000", "SETEX k 100 v", "PSETEX k 100000 v", "EXPIRE k 100",
    "PEXPIRE k 100000", "GETEX k EX 100", "GETEX k PX 100000", "EXPIRE k 100 NX",
    "SET k v EX 9000000000", "PEXPIRE k 9000000000000000", "EXPIRE k 200 LT",
])
def test_relative_times_count_from_now(step: str, redis: Connection) -> None:
    ours = Executor(int(time.time() * 1000))
    for argv in ([b"SET", b"k", b"v"], step.encode().split(b" ")):
        ours.now_ms = int(time.time() * 1000)
        assert ours(*argv) == redis.call(*argv)
    for query, tolerance in (
        (b"TTL", 1), (b"PTTL", 2000), (b"EXPIRETIME", 2), (b"PEXPIRETIME", 2000)
    ):
        ours.now_ms = int(time.time() * 1000)
        mine, theirs = int(ours(query, b"k")[1:]), int(redis.call(query, b"k")[1:])
        assert abs(mine - theirs) <= tolerance, query


def test_seconds_are_rounded_to_the_nearest() -> None:
    server = Executor(NOW_MS)
    server(b"SET", b"k", b"v", b"PX", b"1500")
    for passed_ms, shown in ((0, 2), (1, 1), (1000, 1), (1001, 0), (1499, 0)):
        server.now_ms = NOW_MS + passed_ms
        assert server(b"TTL", b"k") == b":%d\r\n" % shown


def test_a_key_is_gone_in_the_millisecond_it_expires_in() -> None:
    server = Executor(NOW_MS)
    server(b"SET", b"k", b"v", b"PX", b"10")
    server.now_ms += 9
    assert server(b"GET", b"k") == b"$1\r\nv\r\n"
    server.now_ms += 1
    assert server(b"GET", b"k") == b"$-1\r\n"
    assert server(b"TTL", b"k") == b":-2\r\n"
    assert server(b"DEL", b"k") == b":0\r\n"
    assert server(b"SET", b"k", b"w", b"XX") == b"$-1\r\n"
    assert server(b"SETNX", b"k", b"w") == b":1\r\n"


def test_a_time_that_is_now_has_passed() -> None:
    server = Executor(NOW_MS)
    server(b"SET", b"k", b"v")
    assert server(b"PEXPIREAT", b"k", b"%d" % NOW_MS) == b":1\r\n"
    assert server(b"GET", b"k") == b"$-1\r\n"
    server(b"SET", b"k", b"v")
    assert server(b"GETEX", b"k", b"PXAT", b"%d" % NOW_MS) == b"$1\r\nv\r\n"
    assert server(b"EXISTS", b"k") == b":0\r\n"


@pytest.mark.parametrize("command", [b"EXPIRE", b"PEXPIRE", b"SET", b"PSETEX"])
def test_a_sum_beyond_64_bits_is_refused(command: bytes) -> None:
    """The largest time to live that still fits behind now, and the first that does not."""
    server = Executor(NOW_MS)
    server(b"SET", b"k", b"v")
    unit = 1000 if command == b"EXPIRE" else 1
    most = ((1 << 63) - 1 - NOW_MS) // unit
    for ttl, is_good in ((most, True), (most + 1, False)):
        number = b"%d" % ttl
        argv = {
            b"SET": [b"SET", b"k", b"v", b"PX", number],
            b"PSETEX": [b"PSETEX", b"k", number, b"v"],
        }.get(command, [command, b"k", number])
        assert server(*argv).startswith(b"-ERR invalid expire time in '") != is_good
