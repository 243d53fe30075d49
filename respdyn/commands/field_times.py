"""The time to live of a hash's fields, and the commands that get, set or delete fields with it.

A field that has expired is not seen; `hexpired` is published with the next write to its key, which
covers what has expired.

Source: Redis 7.4 and 8.0, `t_hash.c` (hexpireGenericCommand, httlGenericCommand, hpersistCommand,
hgetdelCommand, hgetexCommand, hsetexCommand); what concurrent changes do: `types/hashes.py`.
"""

from collections.abc import Callable
from typing import Final

from respdyn.commands.arguments import (
    INT64_MAX,
    integer_of,
    invalid_expire,
    parse_integer,
    syntax_error,
    word,
    wrong_arity,
)
from respdyn.commands.declare import READ, UPDATE, Argv, Command
from respdyn.commands.elements import HASH, changing, looking
from respdyn.errors import ReplyError
from respdyn.resp.replies import ONE, ZERO, array, bulk, integer, null
from respdyn.types import hashes
from respdyn.types.view import Draft, View

# Redis keeps 46 bits of milliseconds: until the year 4199.
TIME_MAX_MS: Final = (1 << 46) - 1

NO_FIELD: Final = -2
NO_TIME: Final = -1
UNMET: Final = 0
SET: Final = 1
DELETED: Final = 2

_CONDITIONS: Final = (b"NX", b"XX", b"GT", b"LT")
# By the option: milliseconds in its unit, and whether it counts from now on.
_UNITS: Final = {
    b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False),
}


def _fields(argv: Argv, at: int, step: int = 1) -> list[bytes]:
    """What stands behind FIELDS, which is word `at`, and their number."""
    if at >= len(argv) or word(argv[at]) != b"FIELDS":
        raise ReplyError("ERR Mandatory argument FIELDS is missing or not at the right position")
    count = integer_of(argv[at + 1]) if at + 1 < len(argv) else None
    if count is None or not 0 < count <= INT64_MAX:
        raise ReplyError("ERR Parameter `numFields` should be greater than 0")
    if count * step != len(argv) - at - 2:
        raise ReplyError("ERR The `numfields` parameter must match the number of arguments")
    return argv[at + 2 :]


def _time(argument: bytes, unit_ms: int, base_ms: int, name: str) -> int:
    """When that is, in ms since 1970; `base_ms` is now, or 0 if the argument is a point in time."""
    time = parse_integer(argument)
    if time < 0:
        raise ReplyError("ERR invalid expire time, must be >= 0")
    if time * unit_ms > TIME_MAX_MS - base_ms:
        raise invalid_expire(name)
    return time * unit_ms + base_ms


def _expiring(unit_ms: int, is_relative: bool) -> Callable[[Argv, Draft, bool], bytes]:
    def hexpire(argv: Argv, draft: Draft, resp3: bool) -> bytes:
        draft.open()
        name = argv[0].decode("latin-1").lower()
        at_ms = _time(argv[2], unit_ms, draft.now_ms if is_relative else 0, name)
        condition = word(argv[3])
        has_condition = condition in _CONDITIONS
        return array([
            integer(_expire(draft, field, at_ms, condition if has_condition else b""))
            for field in _fields(argv, 4 if has_condition else 3)
        ])
    return hexpire


def _expire(draft: Draft, field: bytes, at_ms: int, condition: bytes) -> int:
    before = hashes.ends_at(draft, field)
    if before is None:
        return NO_FIELD
    is_met = {
        b"": True, b"NX": not before, b"XX": bool(before),
        b"GT": 0 < before < at_ms, b"LT": not before or at_ms < before,
    }
    if not is_met[condition]:
        return UNMET
    if at_ms <= draft.now_ms:
        hashes.remove(draft, field)
        return DELETED
    hashes.expire(draft, field, at_ms)
    return SET


def _reading_times(unit_ms: int, is_relative: bool) -> Callable[[Argv, View, bool], bytes]:
    def httl(argv: Argv, view: View, resp3: bool) -> bytes:
        view.open()
        found = [hashes.ends_at(view, field) for field in _fields(argv, 2)]
        base_ms = view.now_ms if is_relative else 0
        return array([
            integer(NO_FIELD if at is None else -(-(at - base_ms) // unit_ms) if at else NO_TIME)
            for at in found
        ])
    return httl


def hpersist(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    replies = []
    for field in _fields(argv, 2):
        before = hashes.ends_at(draft, field)
        if before:
            hashes.expire(draft, field, 0)
        replies.append(integer(NO_FIELD if before is None else SET if before else NO_TIME))
    return array(replies)


def hgetdel(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    replies = []
    for field in _fields(argv, 2):
        replies.append(_shown(draft, field, resp3))
        hashes.remove(draft, field)
    return array(replies)


def hgetex(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    option, at_ms, _, at = _options(argv, draft.now_ms, (b"PERSIST",), ())
    replies = []
    for field in _fields(argv, at):
        replies.append(_shown(draft, field, resp3))
        before = hashes.ends_at(draft, field)
        if before is None or not option or (option == b"PERSIST" and not before):
            continue
        if option != b"PERSIST" and at_ms <= draft.now_ms:
            hashes.remove(draft, field)
        else:
            hashes.expire(draft, field, at_ms)
    return array(replies)


def hsetex(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    option, at_ms, condition, at = _options(argv, draft.now_ms, (b"KEEPTTL",), (b"FNX", b"FXX"))
    words = _fields(argv, at, 2)
    is_there = [hashes.value(draft, field) is not None for field in words[::2]]
    if (condition == b"FNX" and any(is_there)) or (condition == b"FXX" and not all(is_there)):
        return ZERO
    for field, held in zip(words[::2], words[1::2], strict=True):
        ends_ms = (hashes.ends_at(draft, field) or 0) if option == b"KEEPTTL" else at_ms
        if 0 < ends_ms <= draft.now_ms:
            hashes.remove(draft, field)
            continue
        hashes.put(draft, field, held)
        if ends_ms:
            hashes.expire(draft, field, ends_ms)
    return ONE


def _options(
    argv: Argv, now_ms: int, further: tuple[bytes, ...], conditions: tuple[bytes, ...]
) -> tuple[bytes, int, bytes, int]:
    """What stands before FIELDS: an option about the time and when that is, a condition; and where
    FIELDS stands."""
    name = argv[0].decode("latin-1").lower()
    option = condition = b""
    at_ms, at = 0, 2
    while at < len(argv) and word(argv[at]) != b"FIELDS":
        given = word(argv[at])
        if given in conditions and not condition:
            condition = given
        elif given in further and not option:
            option = given
        elif given in _UNITS and not option:
            option = given
            at += 1
            if at == len(argv):
                raise wrong_arity(name)
            unit_ms, is_relative = _UNITS[given]
            at_ms = _time(argv[at], unit_ms, now_ms if is_relative else 0, name)
            if not at_ms or argv[at] == b"0":
                raise invalid_expire(name)
        else:
            raise syntax_error()
        at += 1
    return option, at_ms, condition, at


def _shown(view: View, field: bytes, resp3: bool) -> bytes:
    found = hashes.value(view, field)
    return null(resp3) if found is None else bulk(found)


_EACH: Final = "O(N) with N the number of fields that are named"


def _setting(name: str, word_of: str, what: str, unit_ms: int, is_relative: bool) -> Command:
    return Command(
        name,
        f"{name.upper()} key {word_of} [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        f"Sets {what} of fields. The longest of concurrent ones holds, HPERSIST beats any.",
        since="7.4.0", group="hash", flags="write denyoom fast", access="RW update",
        complexity=_EACH, promise="converges", route=UPDATE,
        write=changing(HASH, _expiring(unit_ms, is_relative)), event="h hexpire",
    )


def _reading(name: str, what: str, unit_ms: int, is_relative: bool) -> Command:
    return Command(
        name, f"{name.upper()} key FIELDS numfields field [field ...]",
        f"Returns {what} of fields: -1 for none, -2 where there is no field.",
        since="7.4.0", group="hash", flags="readonly fast", access="RO access", complexity=_EACH,
        promise="converges", route=READ, read=looking(HASH, _reading_times(unit_ms, is_relative)),
    )


COMMANDS: tuple[Command, ...] = (
    _setting("hexpire", "seconds", "the time to live in seconds", 1000, True),
    _setting("hpexpire", "milliseconds", "the time to live in milliseconds", 1, True),
    _setting("hexpireat", "unix-time-seconds", "the end, in seconds since 1970,", 1000, False),
    _setting("hpexpireat", "unix-time-milliseconds", "the end, in milliseconds since 1970,", 1,
             False),
    _reading("httl", "the time to live in seconds", 1000, True),
    _reading("hpttl", "the time to live in milliseconds", 1, True),
    _reading("hexpiretime", "the end, in seconds since 1970,", 1000, False),
    _reading("hpexpiretime", "the end, in milliseconds since 1970,", 1, False),
    Command(
        "hpersist", "HPERSIST key FIELDS numfields field [field ...]",
        "Ends the time to live of fields: they stay.",
        since="7.4.0", group="hash", flags="write fast", access="RW update", complexity=_EACH,
        promise="converges", route=UPDATE, write=changing(HASH, hpersist), event="h hpersist",
    ),
    Command(
        "hgetdel", "HGETDEL key FIELDS numfields field [field ...]",
        "Gives the values of fields and deletes them. A field set concurrently stays.",
        since="8.0.0", group="hash", flags="write fast", access="RW access delete",
        complexity=_EACH, promise="converges", route=UPDATE, write=changing(HASH, hgetdel),
        event="h hdel",
    ),
    Command(
        "hgetex",
        "HGETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds |"
        " PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        "Gives the values of fields and sets their time to live.",
        since="8.0.0", group="hash", flags="write denyoom fast", access="RW access update",
        complexity=_EACH, promise="converges", route=UPDATE, write=changing(HASH, hgetex),
        event="h hexpire",
    ),
    Command(
        "hsetex",
        "HSETEX key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds |"
        " PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
        "Stores fields with a time to live, perhaps only if all or none of them are there.",
        since="8.0.0", group="hash", flags="write denyoom fast", access="RW update",
        complexity=_EACH, promise="per-coordinator", route=UPDATE, write=changing(HASH, hsetex),
        event="h hset", reports_siblings=True,
    ),
)
