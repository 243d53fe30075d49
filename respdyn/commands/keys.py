"""Commands that concern a key whatever it holds: deleting, existing, expiring, what type it is.

Expiry is absolute and decided here, once, by the coordinator. A time that has already passed
deletes the key. EXPIRE and PERSIST make a delta beside the value and never copy the value, so a
concurrent SET is not shadowed by them.

Source: Redis `db.c`, `expire.c`; SEMANTICS 4 (deleting) and 5 (expiry).
"""

from collections.abc import Iterable
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import (
    INT64_MAX,
    INT64_MIN,
    invalid_expire,
    parse_integer,
    quoted,
    word,
)
from respdyn.commands.declare import GATHER, READ, UPDATE, Argv, Command
from respdyn.commands.folding import as_sum, once
from respdyn.errors import ReplyError
from respdyn.resp.replies import ONE, ZERO, integer
from respdyn.types import values

_EXPIRE_OPTIONS: Final = frozenset((b"NX", b"XX", b"GT", b"LT"))


def delete(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if values.exists(rec, now_ms):
        return ONE, values.remove(rec, stamp)
    return ZERO, b""


def exists(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    return ONE if values.exists(rec, now_ms) else ZERO


def type_(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    return b"+%b\r\n" % (values.kind_at(rec, now_ms) or "none").encode()


def delete_parts(argv: Argv) -> Iterable[Argv]:
    """One command per key; a key that is named twice is deleted, and counted, once."""
    return ([argv[0], key] for key in once(argv[1:]))


def count_parts(argv: Argv) -> Iterable[Argv]:
    """One command per key; a key that is named twice counts twice."""
    return ([argv[0], key] for key in argv[1:])


def _expire(
    argv: Argv, rec: bytes, now_ms: int, stamp: Stamp, unit_ms: int, base_ms: int
) -> tuple[bytes, bytes]:
    given = _expire_options(argv)
    name = argv[0].decode().lower()
    when = parse_integer(argv[2])
    if not -(-INT64_MIN // unit_ms) <= when <= INT64_MAX // unit_ms:
        raise invalid_expire(name)
    when *= unit_ms
    if when > INT64_MAX - base_ms:
        raise invalid_expire(name)
    when += base_ms
    current = values.expire_at(rec, now_ms)
    if current is None:
        return ZERO, b""
    if given and not _is_wanted(given, when, current):
        return ZERO, b""
    if when <= now_ms:
        return ONE, values.remove(rec, stamp)
    return ONE, values.expire(rec, stamp, when)


def _expire_options(argv: Argv) -> set[bytes]:
    given = set()
    for argument in argv[3:]:
        option = word(argument)
        if option not in _EXPIRE_OPTIONS:
            shown = quoted(argument.split(b"\0", 1)[0].rstrip(b"\r\n"))
            raise ReplyError(f"ERR Unsupported option {shown}")
        given.add(option)
    if b"NX" in given and len(given) > 1:
        raise ReplyError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in given and b"LT" in given:
        raise ReplyError("ERR GT and LT options at the same time are not compatible")
    return given


def _is_wanted(given: set[bytes], when: int, current: int) -> bool:
    """Whether NX, XX, GT, LT let `when` replace `current`; 0 = none, which counts as for ever."""
    if b"NX" in given and current:
        return False
    if b"XX" in given and not current:
        return False
    if b"GT" in given and (not current or when <= current):
        return False
    return not (b"LT" in given and current and when >= current)


def expire(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _expire(argv, rec, now_ms, stamp, 1000, now_ms)


def pexpire(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _expire(argv, rec, now_ms, stamp, 1, now_ms)


def expireat(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _expire(argv, rec, now_ms, stamp, 1000, 0)


def pexpireat(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _expire(argv, rec, now_ms, stamp, 1, 0)


def persist(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if not values.expire_at(rec, now_ms):
        return ZERO, b""
    return ONE, values.expire(rec, stamp, 0)


def ttl(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    when = values.expire_at(rec, now_ms)
    return _no_time(when) if not when else integer((when - now_ms + 500) // 1000)


def pttl(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    when = values.expire_at(rec, now_ms)
    return _no_time(when) if not when else integer(when - now_ms)


def expiretime(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    when = values.expire_at(rec, now_ms)
    return _no_time(when) if not when else integer((when + 500) // 1000)


def pexpiretime(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    when = values.expire_at(rec, now_ms)
    return _no_time(when) if not when else integer(when)


def _no_time(when: int | None) -> bytes:
    return b":-2\r\n" if when is None else b":-1\r\n"


_COUNTED: Final = ("request_policy:multi_shard", "response_policy:agg_sum")
_EACH = "O(N) with N the number of keys"
_CONDITION = "[NX | XX | GT | LT]"

DEL: Final[Command] = Command(
    "del", "DEL key", "Deletes a key.",
    since="1.0.0", group="generic", flags="write", access="RM delete",
    promise="converges", route=UPDATE, write=delete,
)
UNLINK: Final[Command] = Command(
    "unlink", "UNLINK key", "Deletes a key.",
    since="4.0.0", group="generic", flags="write fast", access="RM delete",
    promise="converges", route=UPDATE, write=delete, event="g del",
)
EXISTS: Final[Command] = Command(
    "exists", "EXISTS key", "Returns whether a key exists.",
    since="1.0.0", group="generic", flags="readonly fast", access="RO",
    promise="last-writer", route=READ, read=exists,
)
TOUCH: Final[Command] = Command(
    "touch", "TOUCH key", "Returns whether a key exists.",
    since="3.2.1", group="generic", flags="readonly fast", access="RO",
    promise="last-writer", route=READ, read=exists,
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "del", "DEL key [key ...]",
        "Deletes keys and returns how many there were. A value set concurrently survives.",
        since="1.0.0", group="generic", flags="write", access="RM delete",
        complexity=_EACH, tips=_COUNTED, promise="converges",
        route=GATHER, parts=delete_parts, fold=as_sum, single=DEL,
    ),
    Command(
        "unlink", "UNLINK key [key ...]", "Deletes keys, here in the same way as DEL.",
        since="4.0.0", group="generic", flags="write fast", access="RM delete",
        complexity=_EACH, tips=_COUNTED, promise="converges",
        route=GATHER, parts=delete_parts, fold=as_sum, single=UNLINK,
    ),
    Command(
        "exists", "EXISTS key [key ...]", "Returns how many of the keys exist.",
        since="1.0.0", group="generic", flags="readonly fast", access="RO",
        complexity=_EACH, tips=_COUNTED, promise="last-writer",
        route=GATHER, parts=count_parts, fold=as_sum, single=EXISTS,
    ),
    Command(
        "touch", "TOUCH key [key ...]",
        "Returns how many of the keys exist. Nothing is evicted here, so no access time is kept.",
        since="3.2.1", group="generic", flags="readonly fast", access="RO",
        complexity=_EACH, tips=_COUNTED, promise="last-writer",
        route=GATHER, parts=count_parts, fold=as_sum, single=TOUCH,
    ),
    Command(
        "type", "TYPE key", "Returns what type of value a key holds.",
        since="1.0.0", group="generic", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=type_,
    ),
    Command(
        "expire", f"EXPIRE key seconds {_CONDITION}",
        "Sets a key's time to live in seconds. Of concurrent times the longest holds.",
        since="1.0.0", group="generic", flags="write fast", access="RW update",
        promise="converges", route=UPDATE, write=expire,
    ),
    Command(
        "pexpire", f"PEXPIRE key milliseconds {_CONDITION}",
        "Sets a key's time to live in milliseconds. Of concurrent times the longest holds.",
        since="2.6.0", group="generic", flags="write fast", access="RW update",
        promise="converges", route=UPDATE, write=pexpire, event="g expire",
    ),
    Command(
        "expireat", f"EXPIREAT key unix-time-seconds {_CONDITION}",
        "Sets when a key expires, in seconds since 1970.",
        since="1.2.0", group="generic", flags="write fast", access="RW update",
        promise="converges", route=UPDATE, write=expireat, event="g expire",
    ),
    Command(
        "pexpireat", f"PEXPIREAT key unix-time-milliseconds {_CONDITION}",
        "Sets when a key expires, in milliseconds since 1970.",
        since="2.6.0", group="generic", flags="write fast", access="RW update",
        promise="converges", route=UPDATE, write=pexpireat, event="g expire",
    ),
    Command(
        "persist", "PERSIST key", "Removes a key's time to live: it no longer expires.",
        since="2.2.0", group="generic", flags="write fast", access="RW update",
        promise="converges", route=UPDATE, write=persist,
    ),
    Command(
        "ttl", "TTL key", "Gives a key's time to live in seconds.",
        since="1.0.0", group="generic", flags="readonly fast", access="RO access",
        tips=("nondeterministic_output",), promise="last-writer", route=READ, read=ttl,
    ),
    Command(
        "pttl", "PTTL key", "Gives a key's time to live in milliseconds.",
        since="2.6.0", group="generic", flags="readonly fast", access="RO access",
        tips=("nondeterministic_output",), promise="last-writer", route=READ, read=pttl,
    ),
    Command(
        "expiretime", "EXPIRETIME key", "Returns when a key expires, in seconds since 1970.",
        since="7.0.0", group="generic", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=expiretime,
    ),
    Command(
        "pexpiretime", "PEXPIRETIME key", "Returns when a key expires, in milliseconds since 1970.",
        since="7.0.0", group="generic", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=pexpiretime,
    ),
)
