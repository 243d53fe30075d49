"""What counts as a change: WATCH, caches and keyspace events judge every command as Redis does.

One client watches a key, one caches it, one subscribes to events; then another gives a command that
may or may not change it. Whether EXEC runs, who is sent what: the same at redis-server.
"""

import pytest

from tests.commands.real import Redis
from tests.commands.several import compare

_LISTEN = ["e CONFIG SET notify-keyspace-events KEA", "e PSUBSCRIBE __key*__:*"]
_WATCH = ["t CLIENT TRACKING ON", "t GET x", "w WATCH x"]
_JUDGE = ["w MULTI", "w ECHO ran", "w EXEC", "w GET x", "w EXPIRETIME x"]

# What is there before (each command by itself), and what is then said.
FOUND: dict[str, list[str]] = {
    "": [
        "SET x 1", "SET x 1 XX", "SETNX x 1", "SET x 1 NX", "GETSET x 1", "GETDEL x", "GETEX x",
        "GETEX x PERSIST", "GETEX x EX 100000", "APPEND x", "APPEND x v", "SETRANGE x 0",
        "SETRANGE x 5", "SETRANGE x 1 v", "SETBIT x 3 0", "SETBIT x 3 1", "BITFIELD x",
        "BITFIELD x GET u8 0", "BITFIELD x SET u8 0 0", "BITFIELD x INCRBY u8 0 0",
        "BITFIELD x INCRBY u8 8 1", "INCRBY x 0", "DECRBY x 0", "INCRBYFLOAT x 0", "INCR x",
        "EXPIRE x 100000", "EXPIRE x -1", "EXPIREAT x 5000000000 GT", "PERSIST x", "DEL x",
        "UNLINK x", "TOUCH x", "EXISTS x", "MSET x 1 y 1", "MSETNX x 1 y 1", "BITOP AND x y",
        "BITOP NOT x y", "RENAME x y", "COPY y x", "MOVE x 1", "SORT x STORE y",
    ],
    "SET x 1": [
        "SET x 1", "SET x 1 XX", "SETNX x 1", "SET x 1 NX", "SET x 2 NX GET", "SET x 1 KEEPTTL",
        "GETSET x 1", "GETDEL x", "GETEX x", "GETEX x PERSIST", "GETEX x EXAT 5000000000",
        "GETEX x EXAT 1", "APPEND x", "SETRANGE x 0", "SETRANGE x 0 1", "SETRANGE x 5",
        "SETRANGE x 3 v", "SETBIT x 3 1", "SETBIT x 3 0", "SETBIT x 20 0", "SETBIT x 7 1",
        "BITFIELD x", "BITFIELD x GET u8 0", "BITFIELD x SET u8 0 49", "BITFIELD x SET u8 0 50",
        "BITFIELD x INCRBY u8 0 0", "BITFIELD x INCRBY u8 0 256",
        "BITFIELD x OVERFLOW FAIL INCRBY u8 0 255", "BITFIELD x SET u8 8 0",
        "BITFIELD x OVERFLOW FAIL INCRBY u8 0 255 INCRBY u8 0 1",
        "BITFIELD x INCRBY u8 0 1 INCRBY u8 0 -1", "BITFIELD_RO x GET u8 0", "INCRBY x 0",
        "DECRBY x 0", "INCRBYFLOAT x 0", "INCRBYFLOAT x -0", "EXPIRE x 100000 XX",
        "EXPIREAT x 5000000000", "EXPIREAT x 5000000000 GT", "EXPIREAT x 5000000000 LT",
        "EXPIRE x 0", "EXPIRE x -1 XX", "PERSIST x", "DEL y", "DEL y x", "UNLINK y", "TOUCH x",
        "EXISTS x", "MSET x 1", "MSETNX x 1 y 1", "MSETNX y 1", "BITOP AND x x", "BITOP OR x y",
        "BITOP AND y x", "RENAME x x", "RENAMENX x x", "RENAME x y", "RENAMENX x y", "COPY x y",
        "MOVE x 1", "MOVE x 0", "SORT y STORE x", "FLUSHALL", "FLUSHDB", "OBJECT ENCODING x",
        "DUMP x", "SORT_RO y",
    ],
    "SET x 1 / SET y 2": [
        "COPY y x", "COPY y x REPLACE", "RENAMENX x y", "RENAMENX y x", "RENAME y x",
        "BITOP OR x x y", "MSET x 1 y 2", "DEL x y",
    ],
    "SET x 1 EXAT 5000000000": [
        "SET x 1 KEEPTTL", "SET x 1", "SET x 1 EXAT 5000000000", "GETEX x",
        "GETEX x EXAT 5000000000", "GETEX x PERSIST", "PERSIST x", "EXPIREAT x 5000000000",
        "EXPIREAT x 5000000000 NX", "EXPIREAT x 5000000000 XX", "EXPIREAT x 5000000000 GT",
        "EXPIREAT x 5000000000 LT", "EXPIREAT x 6000000000 GT", "EXPIREAT x 4000000000 LT",
        "INCRBY x 0", "SETBIT x 3 1", "SETRANGE x 0", "APPEND x", "RENAME x x", "EXPIREAT x 1 LT",
        "BITFIELD x INCRBY u8 0 0", "SETBIT x 0 1",
    ],
    "SET x ab": ["APPEND x", "SETRANGE x 0 ab", "SETBIT x 1 1", "INCRBY x 0", "BITOP AND x x"],
    "SET x \\x00": ["SETBIT x 0 0", "BITFIELD x SET u8 0 0", "BITFIELD x INCRBY u4 4 0"],
}
_EMPTY = ("APPEND x", "SETRANGE x 0", "SETRANGE x 5")     # with an empty value
# Redis sends rename_from first; here each is sent when it has happened.
_ANY_ORDER = ("RENAME", "RENAMENX", "MOVE")


@pytest.mark.parametrize("found", FOUND)
def test_what_changes_nothing_is_no_change(redis_server: Redis, found: str) -> None:
    steps = list(_LISTEN)
    for line in FOUND[found]:
        steps += [
            "t CLIENT TRACKING OFF", "s FLUSHALL",
            *(f"s {one}" for one in found.split(" / ") if one), *_WATCH,
            f"s {line} " if line in _EMPTY else f"s {line}", *_JUDGE,
        ]
    compare(redis_server, steps, ("t",), _ANY_ORDER)
