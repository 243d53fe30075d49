"""Replies are those of redis-server, byte for byte: chosen cases, in RESP2 and RESP3.

Each story begins with an empty database and is run at both. A step is a line of words; `\\x00` and
the like stand for bytes. Replies that depend on the time are compared in `test_time.py`.
"""

import time
from collections.abc import Iterator

import pytest

from tests.commands.executor import Executor
from tests.commands.key_stories import LOOKING, MOVING
from tests.commands.real import Connection
from tests.commands.stories import BITS, COPIES, COUNTERS, PIECES

FAR_S = "9999999999"
FAR_MS = "9999999999000"

STORIES = {
    **PIECES,
    **BITS,
    **COPIES,
    **COUNTERS,
    **MOVING,
    **LOOKING,
    "get and set": "GET k / SET k v / GET k / SET k / SET / GET / GET a b / STRLEN k / STRLEN no",
    "set nx xx": "SET k v NX / SET k w NX / GET k / SET n v XX / GET n / SET k w XX / GET k",
    "set get": "SET k v GET / SET k w GET / SET k x NX GET / SET n x XX GET / SET n x NX GET"
               " / GET k / GET n / SET k y XX GET / SET k y GET GET",
    "set contradictions": "SET k v NX XX / SET k v XX NX / SET k v EX 10 PX 10 / SET k v KEEPTTL"
                          " EX 1 / SET k v EX 1 KEEPTTL / SET k v EXAT 1 PXAT 1 / SET k v PERSIST"
                          " / SET k v nope / SET k v EX / SET k v NX NX / SET k v EX 100 EX 200",
    "set times": f"SET k v EXAT {FAR_S} / EXPIRETIME k / PEXPIRETIME k / SET k v PXAT {FAR_MS}"
                 " / PEXPIRETIME k / SET k w KEEPTTL / PEXPIRETIME k / SET k w / PEXPIRETIME k"
                 " / SET n v KEEPTTL / TTL n / set k v exat 5000000000 / expiretime k",
    "set bad times": "SET k v EX 0 / SET k v EX -1 / SET k v EX a / SET k v PX 0 / SET k v PX 1.5"
                     " / SET k v EX 9223372036854775807 / SET k v PX 9223372036854775807"
                     " / SET k v EXAT 0 / SET k v PXAT -5 / SET k v EX 9223372036854775"
                     " / SET k v EX 9223372036854776 / SET k v PXAT 9223372036854775807"
                     " / PEXPIRETIME k / EXPIRETIME k"
                     " / SET k v EX 01 / SET k v EX +1 / SET k v EX \\x201 / SET k v EX 1_0"
                     " / SET k v EX -0 / SET k v EX 99999999999999999999 / GET k",
    "set in the past": "SET k v EXAT 1 / GET k / EXISTS k / TTL k / SET k v NX / GET k",
    "option words end at nul": "SET k v NX\\x00zz / SET k v nX\\x00 / SET k v N\\x00X / GET k",
    "setnx setex": "SETNX k v / SETNX k w / GET k / SETEX k 100 v / SETEX k 0 v / SETEX k -1 v"
                   " / SETEX k a v / PSETEX k 100000 v / PSETEX k 0 v / PSETEX k 1.5 v / SETEX k 1"
                   " / SETEX k 9223372036854775807 v / PSETEX k 9223372036854775807 v / SETNX k",
    "getset getdel": "GETSET k v / GETSET k w / GET k / GETDEL k / GETDEL k / GET k / GETSET k"
                     " / SET k v EX 100 / GETSET k w / TTL k / GETDEL / GETDEL a b",
    "getex": f"GETEX no / GETEX no EX 0 / GETEX no EX a / SET k v / GETEX k / TTL k"
             f" / GETEX k PXAT {FAR_MS} / PEXPIRETIME k / GETEX k EXAT {FAR_S} / EXPIRETIME k"
             " / GETEX k PERSIST / TTL k / GETEX k PERSIST / GETEX k EX 0 / GETEX k EX a"
             " / GETEX k EX 1 PX 1 / GETEX k PERSIST EX 1 / GETEX k NX / GETEX k KEEPTTL"
             " / GETEX k EXAT 1 / GET k / GETEX k EX / GETEX k EX 9223372036854775807",
    "mget mset": "MSET a 1 b 2 / MGET a b c a / MSET a 3 a 4 / GET a / MSET a / MSET a 1 b / MGET"
                 " / MSET / SET a v EX 100 / MSET a w / TTL a / MGET a",
    "del exists": "MSET a 1 b 2 c 3 / EXISTS a b no a / EXISTS a / EXISTS no / TOUCH a b no a"
                  " / DEL a a no / DEL a / UNLINK b c b / EXISTS a b c / DEL / EXISTS / UNLINK"
                  " / TOUCH / TOUCH a / SET a v EXAT 1 / EXISTS a / DEL a / UNLINK a / TOUCH a",
    "type": "TYPE no / SET k v / TYPE k / TYPE / TYPE a b / SET k v EXAT 1 / TYPE k",
    "expire": "EXPIRE no 10 / SET k v / EXPIRE k 100 / EXPIRE k 0 / GET k / SET k v / EXPIRE k -1"
              " / GET k / SET k v / EXPIRE k a / EXPIRE k / EXPIRE k 1 2 / EXPIRE k 1 NX XX"
              " / EXPIRE k 1 GT LT / EXPIRE k 1 NX GT / EXPIRE k 1 NX LT / EXPIRE k 1 zz\\x0d\\x0a"
              " / EXPIRE k 1 \\x0az / EXPIRE k a zz / EXPIRE k 1 z\\x00y"
              " / EXPIRE k 9223372036854775"
              " / EXPIRE k 9223372036854776 / EXPIRE k 9223372036854775807"
              " / EXPIRE no 9223372036854775807 / EXPIRE k -9223372036854775 / GET k",
    "expire too low": "SET k v / EXPIRE k -9223372036854775808 / EXPIRE k -9223372036854776"
                      " / EXPIREAT k -9223372036854776 / PEXPIREAT k -9223372036854775808 / GET k"
                      " / SET k v / PEXPIRE k -9223372036854775808 / GET k",
    "pexpire": "SET k v / PEXPIRE k 9223372036854775807 / PEXPIRE k 100000 / PEXPIRE k 0 / GET k"
               " / PEXPIRE k 1.5 / PEXPIRE k 01 / PEXPIRE k",
    "expireat": f"SET k v / EXPIREAT k {FAR_S} / EXPIRETIME k / PEXPIRETIME k"
                f" / PEXPIREAT k {FAR_MS}"
                " / EXPIREAT k 9223372036854775807 / PEXPIREAT k 9223372036854775807"
                " / PEXPIRETIME k / EXPIRETIME k / PEXPIREAT k 1 / GET k / EXPIREAT k 1"
                " / SET k v / EXPIREAT k -5 / GET k / EXPIREAT k / PEXPIREAT k",
    "expire rounds": "SET k v / PEXPIREAT k 5000000000499 / EXPIRETIME k / PEXPIREAT k"
                     " 5000000000500 / EXPIRETIME k / PEXPIREAT k 5000000000999 / EXPIRETIME k",
    "expire conditions":
        "SET k v / EXPIREAT k 5000000000 XX / TTL k / EXPIREAT k 5000000000 GT / TTL k"
        " / EXPIREAT k 5000000000 LT / EXPIRETIME k / EXPIREAT k 6000000000 LT / EXPIRETIME k"
        " / EXPIREAT k 6000000000 NX / EXPIREAT k 6000000000 GT / EXPIRETIME k"
        " / EXPIREAT k 6000000000 GT / EXPIREAT k 6000000000 LT / EXPIREAT k 7000000000 XX"
        " / EXPIRETIME k / EXPIREAT k 8000000000 XX GT / EXPIRETIME k / EXPIREAT k 6000000000 XX"
        " GT / EXPIREAT k 6000000000 XX LT / EXPIRETIME k / PERSIST k / EXPIREAT k 6000000000 NX"
        " / EXPIREAT k 1 GT / GET k / EXPIREAT k 1 LT / GET k / EXPIREAT k 6000000000 NX",
    "ttl": "TTL no / PTTL no / EXPIRETIME no / PEXPIRETIME no / SET k v / TTL k / PTTL k"
           " / EXPIRETIME k / PEXPIRETIME k / PERSIST k / PERSIST no / EXPIREAT k 5000000000"
           " / PERSIST k / PERSIST k / TTL k / TTL / PTTL a b / PERSIST",
    "nothing is left of an old expiry": "SET k v EX 100 / DEL k / SET k w / TTL k / EXPIREAT k"
                                        " 5000000000 / SET k x / TTL k / EXPIREAT k 5000000000"
                                        " / GETSET k y / TTL k",
    "binary": "SET \\x00\\xff\\x0d\\x0a v\\x00\\x0d\\x0a / GET \\x00\\xff\\x0d\\x0a"
              " / STRLEN \\x00\\xff\\x0d\\x0a / SET  / SET k \\x20 / GET k / GETSET k \\x0d\\x0a"
              " / KEYS \\x00* / MGET k \\x00\\xff\\x0d\\x0a",
    "keys": "MSET a 1 / KEYS a* / KEYS b* / KEYS [a] / KEYS [^a] / KEYS / KEYS a b / KEYS ?"
            " / SET a v EXAT 1 / KEYS *",
    "scan": "SET a 1 / SCAN 0 / SCAN 0 MATCH a / SCAN 0 MATCH b / SCAN 0 COUNT 5 MATCH *"
            " TYPE STRing"
            " / SCAN 0 TYPE hash / SCAN 0 TYPE string\\x00x / SCAN 0 COUNT 0 / SCAN 0 COUNT -1"
            " / SCAN 0 COUNT a / SCAN 0 COUNT / SCAN 0 MATCH / SCAN 0 NOPE 1 / SCAN 0 MATCH a"
            " MATCH b / SCAN / SCAN x / SCAN \\x200 / SCAN 1x / SCAN - / SCAN 18446744073709551616"
            " / SCAN 0\\x00x / SCAN 0x / SCAN 0 COUNT 9223372036854775807"
            " / SCAN 0 COUNT 9223372036854775808 / SCAN 000000000000000000000000000000",
    "whole databases": "DBSIZE / MSET a 1 b 2 / DBSIZE / DBSIZE x / FLUSHDB zz"
                       " / FLUSHALL ASYNC SYNC"
                       " / DBSIZE / FLUSHDB ASYNC / DBSIZE / SET a 1 / FLUSHALL sync / DBSIZE",
    "unknown": "NOPE / nope a b / NOPE a\\x0d\\x0ab cc / NOPE\\x0d\\x0a / NOPE\\x00x a\\x00b c"
               " / CLIENT NOPE / CLIENT nope\\x0d\\x0a a / client nope\\x00zz / COMMAND NOPE x"
               " / CONFIG nope / CLIENT / CONFIG / CONFIG SET a / CLIENT SETNAME / COMMAND COUNT x"
               " / CLIENT ID x / CLIENT REPLY / CLIENT NO-EVICT / CLIENT KILL / COMMAND GETKEYS get"
               " / gEt / cLiEnT nOpE / \\xe9\\xff \\xe9 / PING2 \\xff"
               f" / {'N' * 200} {'a' * 100} {'b' * 100} {'c' * 100}"
               f" / NOPE {'a' * 128} b / NOPE {'a' * 122} bcd / NOPE {'a' * 124} bcd"
               f" / CLIENT {'n' * 200}",
}


def argv_of(line: str) -> list[bytes]:
    """The words of a step."""
    words = line.strip(" ").split(" ")
    return [word.encode("latin-1").decode("unicode_escape").encode("latin-1") for word in words]


def compare(story: str, resp: int, redis: Connection) -> None:
    """A story's replies are those of Redis."""
    redis.call(b"HELLO", b"%d" % resp)
    ours = Executor(int(time.time() * 1000), resp3=resp == 3)
    for step in story.split(" / "):
        argv = argv_of(step)
        ours.now_ms = int(time.time() * 1000)
        expected = redis.call(*argv)
        assert ours(*argv) == expected, step


def side_by_side(
    redis: Connection, story: list[list[bytes]]
) -> Iterator[tuple[list[bytes], bytes, bytes]]:
    """Each command with the executor's reply and that of Redis, both empty at first."""
    redis.call(b"FLUSHALL")
    ours = Executor(0)
    for argv in story:
        ours.now_ms = int(time.time() * 1000)
        theirs = redis.call(*argv)
        yield argv, ours(*argv), theirs


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int, redis: Connection) -> None:
    compare(story, resp, redis)
