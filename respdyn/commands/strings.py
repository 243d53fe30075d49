"""The string commands: what SET, GET and their kin do to one key.

A key's string is a register that may hold several concurrent values; these commands see the
winner, and a write covers all that its coordinator holds. MGET and MSET are made of GETs and SETs.

Source: Redis `t_string.c`; SEMANTICS 3 (siblings) and 5 (expiry).
"""

from collections.abc import Iterable
from typing import Final

from respdyn.causal.codec import LARGE
from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import (
    GETEX_OPTIONS,
    SET_OPTIONS,
    expire_at,
    parse_options,
    word,
    wrong_arity,
)
from respdyn.commands.declare import GATHER, READ, UPDATE, WRITE, Argv, Command
from respdyn.commands.folding import all_ok, as_array, last_pairs
from respdyn.resp.replies import NULL2, NULL3, OK, ONE, ZERO, bulk, bulk_view, integer
from respdyn.types import values
from respdyn.types.strings import assign
from respdyn.types.values import text, view

_OBSERVING: Final = frozenset((b"NX", b"XX", b"GET", b"KEEPTTL"))

# The one option that caches give all the time; the general parser costs as much as the rest of SET.
_TIME_TO_LIVE: Final = {b"EX": b"EX", b"ex": b"EX", b"PX": b"PX", b"px": b"PX"}


def get(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    if len(rec) >= LARGE:
        held = view(rec, now_ms)
        return bulk_view(held) if held is not None else (NULL3 if resp3 else NULL2)
    found = text(rec, now_ms)
    if found is None:
        return NULL3 if resp3 else NULL2
    return b"$%d\r\n%b\r\n" % (len(found), found)


def set_(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if len(argv) == 3:
        return OK, assign(rec, stamp, argv[2], 0)
    if len(argv) == 5 and (unit := _TIME_TO_LIVE.get(argv[3])) is not None:
        return OK, assign(rec, stamp, argv[2], expire_at(unit, argv[4], now_ms, "set"))
    options = parse_options(argv, 3, SET_OPTIONS)
    given = options.given
    when = options.expire_at(now_ms, "set")
    reply = get(argv, rec, now_ms, resp3) if b"GET" in given else b""
    if (b"NX" in given or b"XX" in given) and values.exists(rec, now_ms) == (b"NX" in given):
        return reply or (NULL3 if resp3 else NULL2), b""
    if b"KEEPTTL" in given:
        when = values.expire_at(rec, now_ms) or 0
    return reply or OK, assign(rec, stamp, argv[2], when)


def set_observes(argv: Argv) -> bool:
    """Whether this SET depends on what is there: then a quorum is read before it writes."""
    if len(argv) == 3 or (len(argv) == 5 and argv[3] in _TIME_TO_LIVE):
        return False
    return any(word(argument) in _OBSERVING for argument in argv[3:])


def setnx(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if values.exists(rec, now_ms):
        return ZERO, b""
    return ONE, assign(rec, stamp, argv[2], 0)


def setex(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return OK, assign(rec, stamp, argv[3], expire_at(b"EX", argv[2], now_ms, "setex"))


def psetex(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return OK, assign(rec, stamp, argv[3], expire_at(b"PX", argv[2], now_ms, "psetex"))


def getset(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return get(argv, rec, now_ms, resp3), assign(rec, stamp, argv[2], 0)


def getdel(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    reply = get(argv, rec, now_ms, resp3)
    return reply, values.remove(rec, stamp) if values.exists(rec, now_ms) else b""


def getex(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    options = parse_options(argv, 2, GETEX_OPTIONS)
    found = text(rec, now_ms)
    if found is None:
        return (NULL3 if resp3 else NULL2), b""
    reply = bulk(found)
    when = options.expire_at(now_ms, "getex")
    if options.unit:
        if when <= now_ms:
            return reply, values.remove(rec, stamp)
        return reply, values.expire(rec, stamp, when)
    if b"PERSIST" in options.given and values.expire_at(rec, now_ms):
        return reply, values.expire(rec, stamp, 0)
    return reply, b""


def strlen(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    found = view(rec, now_ms)
    return ZERO if found is None else integer(len(found))


def mget_parts(argv: Argv) -> Iterable[Argv]:
    return ([b"GET", key] for key in argv[1:])


def mset_parts(argv: Argv) -> Iterable[Argv]:
    """One SET per key; of a key that is named twice, the last value, as if set in order."""
    if len(argv) % 2 == 0:
        raise wrong_arity("mset")
    return ([b"SET", key, new] for key, new in last_pairs(argv))


COMMANDS: tuple[Command, ...] = (
    Command(
        "get", "GET key", "Gives the value of a key.",
        since="1.0.0", group="string", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=get,
    ),
    Command(
        "set",
        "SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds"
        " | PXAT unix-time-milliseconds | KEEPTTL]",
        "Stores a value, and with it when the key expires; creates the key if need be.",
        since="1.0.0", group="string", flags="write denyoom",
        access="RW access update variable_flags",
        notes="RW and ACCESS due to the optional `GET` argument",
        promise="last-writer", route=WRITE, write=set_, event="$ set",
        reads_before_write=set_observes,
        reports_siblings=True,
    ),
    Command(
        "setnx", "SETNX key value", "Stores a value only if the key does not exist.",
        since="1.0.0", group="string", flags="write denyoom fast", access="OW insert",
        promise="per-coordinator", route=UPDATE, write=setnx, event="$ set", reports_siblings=True,
    ),
    Command(
        "setex", "SETEX key seconds value", "Stores a value and its time to live in seconds.",
        since="2.0.0", group="string", flags="write denyoom", access="OW update",
        promise="last-writer", route=WRITE, write=setex, event="$ set", reports_siblings=True,
    ),
    Command(
        "psetex", "PSETEX key milliseconds value",
        "Stores a value and its time to live in milliseconds.",
        since="2.6.0", group="string", flags="write denyoom", access="OW update",
        promise="last-writer", route=WRITE, write=psetex, event="$ set", reports_siblings=True,
    ),
    Command(
        "getset", "GETSET key value", "Stores a value and gives the one that it replaces.",
        since="1.0.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="per-coordinator", route=UPDATE, write=getset, event="$ set", reports_siblings=True,
    ),
    Command(
        "getdel", "GETDEL key", "Gives the value of a key and deletes the key.",
        since="6.2.0", group="string", flags="write fast", access="RW access delete",
        promise="per-coordinator", route=UPDATE, write=getdel, event="g del",
    ),
    Command(
        "getex",
        "GETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds"
        " | PXAT unix-time-milliseconds | PERSIST]",
        "Gives the value of a key and sets or removes its time to live.",
        since="6.2.0", group="string", flags="write fast", access="RW access update",
        notes="RW and UPDATE because it changes the TTL",
        promise="converges", route=UPDATE, write=getex, event="g expire",
    ),
    Command(
        "strlen", "STRLEN key", "Gives the length of a key's value in bytes.",
        since="2.2.0", group="string", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=strlen,
    ),
    Command(
        "mget", "MGET key [key ...]", "Gives the values of several keys.",
        since="1.0.0", group="string", flags="readonly fast", access="RO access",
        complexity="O(N) with N the number of keys", tips=("request_policy:multi_shard",),
        promise="last-writer", route=GATHER, parts=mget_parts, fold=as_array,
        nulls=(NULL2, NULL3),
    ),
    Command(
        "mset", "MSET key value [key value ...]",
        "Stores the values of several keys. Not one step: others may see some of them first.",
        since="1.0.1", group="string", flags="write denyoom", access="OW update",
        complexity="O(N) with N the number of keys",
        tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
        promise="last-writer", route=GATHER, parts=mset_parts, fold=all_ok,
    ),
)
