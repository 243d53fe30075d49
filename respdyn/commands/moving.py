"""Giving a value another place: RENAME, RENAMENX, MOVE, COPY.

Two keys may live at different nodes, so there is no single step: the value is read, written at its
new place with W copies, and only then removed from the old one, exactly as it was read. Whichever
node dies in between, the value is at one place or at both, never at none; and what was written to
the old key in the meantime stays there. In a transaction, with both keys at the same nodes, it is
one step (`coordination/groups.py`).

Of siblings the one that is shown is moved; the others are removed with it, as by a SET.

The two steps are commands of their own, DYN.PLACE and DYN.TAKE, so that their coordinator publishes
Redis's keyspace events of the whole (`rename_to`) and not those of a SET and a DEL.

Source: Redis `db.c`; decision 0015.
"""

from typing import NamedTuple

from respdyn.causal.dot import Stamp
from respdyn.causal.tokens import Seal
from respdyn.commands.arguments import (
    SET_OPTIONS,
    parse_int32,
    parse_options,
    quoted,
    syntax_error,
    word,
)
from respdyn.commands.declare import GATHER, WRITE, Argv, Command, Further, Then
from respdyn.commands.dyn import delctx
from respdyn.commands.folding import first_error
from respdyn.commands.strings import set_, set_observes
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, ONE, ZERO, null
from respdyn.types import values
from respdyn.types.dump import DumpError

_DATABASES = 16
_PLACED = frozenset((b"RENAME_TO", b"COPY_TO", b"MOVE_TO"))      # events, in capitals
_TAKEN = frozenset((b"RENAME_FROM", b"MOVE_FROM"))

_NO_KEY = "ERR no such key"
_SAME = "ERR source and destination objects are the same"


class _Found(NamedTuple):
    """What DYN.FETCH has answered."""

    token: bytes
    value: bytes
    expire_at: bytes
    kind: bytes                 # b"" for a string


def _found(reply: bytes) -> _Found | None:
    """None if there is no key."""
    if reply[:1] != b"*" or reply[1:2] not in (b"3", b"4"):
        return None
    token, at = _bulk_at(reply, 4)
    value, at = _bulk_at(reply, at)
    end = reply.index(b"\r\n", at)
    kind = _bulk_at(reply, end + 2)[0] if reply[1:2] == b"4" else b""
    return _Found(token, value, reply[at + 1 : end], kind)


def _bulk_at(reply: bytes, at: int) -> tuple[bytes, int]:
    end = reply.index(b"\r\n", at)
    start = end + 2
    size = int(reply[at + 1 : end])
    return reply[start : start + size], start + size + 2


def place(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if word(argv[3]) not in _PLACED:
        raise syntax_error()
    if len(argv) < 6 or word(argv[-2]) != b"TYPE":
        return set_(_as_set(argv), rec, now_ms, resp3, stamp)
    kinds = [kind for kind in values.KINDS.values() if kind.name.encode() == argv[-1].lower()]
    if not kinds:
        raise ReplyError(f"ERR there is no type {quoted(argv[-1])}")
    options = parse_options(_as_set(argv[:-2]), 3, SET_OPTIONS)
    if b"NX" in options.given and values.exists(rec, now_ms):
        return null(resp3), b""
    try:
        unpack = kinds[0].unpack or kinds[0].load
        return OK, unpack(argv[2], rec, stamp, options.expire_at(now_ms, "dyn.place"))
    except DumpError as wrong:
        raise ReplyError(f"ERR {wrong}") from None


def take(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp, seal: Seal
) -> tuple[bytes, bytes]:
    if word(argv[3]) not in _TAKEN:
        raise syntax_error()
    return delctx(argv, rec, now_ms, resp3, stamp, seal)


def place_observes(argv: Argv) -> bool:
    return set_observes(_as_set(argv))


def _as_set(argv: Argv) -> Argv:
    return [b"SET", *argv[1:3], *argv[4:]]


def _placed(key: bytes, found: _Found, event: bytes, *, replaces: bool) -> Argv:
    """What makes the new key."""
    made = [b"DYN.PLACE", key, found.value, event]
    if not replaces:
        made.append(b"NX")
    if found.expire_at != b"0":
        made += [b"PXAT", found.expire_at]
    if found.kind:
        made += [b"TYPE", found.kind]
    return made


def rename_parts(argv: Argv) -> list[Argv]:
    """Read the old key; for RENAMENX look at the new one as well."""
    parts = [[b"DYN.FETCH", argv[1]]]
    if argv[0].upper() == b"RENAMENX":
        parts.append([b"EXISTS", argv[2]])
    return parts


def rename_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Write the new key; when that is done remove what was read from the old one."""
    found = _found(replies[0])
    if found is None:
        raise ReplyError(_NO_KEY)
    only_new = len(replies) == 2
    if only_new and replies[1] != ZERO:
        return ZERO
    if argv[1] == argv[2]:
        return OK
    return Further(
        [_placed(argv[2], found, b"RENAME_TO", replaces=not only_new)],
        lambda placed: _take(
            [b"DYN.TAKE", argv[1], found.token, b"RENAME_FROM"], placed, ONE if only_new else OK
        ),
    )


def _take(taking: Argv, replies: list[bytes], reply: bytes) -> Then:
    """Remove the old key, now that the new one is there."""
    if replies[0] != OK:
        return ZERO
    return Further([taking], lambda _: reply)


def move_parts(argv: Argv) -> list[Argv]:
    _database(argv[2])
    return [[b"DYN.FETCH", argv[1]]]


def move_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Write the key in the other database; when that is done remove it from this one."""
    found = _found(replies[0])
    if found is None:
        return ZERO
    return Further(
        [_placed(argv[1], found, b"MOVE_TO", replaces=False)],
        lambda placed: _take([b"DYN.TAKE", argv[1], found.token, b"MOVE_FROM"], placed, ONE),
        _database(argv[2]),
    )


def move_elsewhere(argv: Argv) -> tuple[int, bytes]:
    return _database(argv[2]), argv[1]


def _database(argument: bytes) -> int:
    index = parse_int32(argument)
    if not 0 <= index < _DATABASES:
        raise ReplyError("ERR DB index is out of range")
    return index


def _copy_options(argv: Argv) -> tuple[int | None, bool]:
    """The other database, if one is named, and whether the new key may be there already."""
    db: int | None = None
    replaces = False
    position = 3
    while position < len(argv):
        option = word(argv[position])
        if option == b"REPLACE":
            replaces = True
        elif option == b"DB" and position + 1 < len(argv):
            position += 1
            db = _database(argv[position])
        else:
            raise syntax_error()
        position += 1
    return db, replaces


def copy_parts(argv: Argv) -> list[Argv]:
    db, _ = _copy_options(argv)
    if db is None and argv[1] == argv[2]:
        raise ReplyError(_SAME)
    return [[b"DYN.FETCH", argv[1]]]


def copy_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Store what was read, with its expiry; unless REPLACE is given, only if the key is free."""
    found = _found(replies[0])
    if found is None:
        return ZERO
    db, replaces = _copy_options(argv)
    placing = _placed(argv[2], found, b"COPY_TO", replaces=replaces)
    return Further([placing], _copied, db)


def _copied(replies: list[bytes]) -> bytes:
    return ONE if replies[0] == OK else first_error(replies) or ZERO


def copy_elsewhere(argv: Argv) -> tuple[int, bytes] | None:
    db, _ = _copy_options(argv)
    return None if db is None else (db, argv[2])


COMMANDS: tuple[Command, ...] = (
    Command(
        "rename", "RENAME key newkey",
        "Gives a value another key: writes it there, then removes what was read here. In between"
        " both keys have it.",
        since="1.0.0", group="generic", flags="write",
        access="RW access delete; OW update", promise="per-coordinator",
        route=GATHER, parts=rename_parts, then=rename_then,
    ),
    Command(
        "renamenx", "RENAMENX key newkey",
        "Gives a value another key, if that is free: writes it there, then removes what was read"
        " here. In between both keys have it.",
        since="1.0.0", group="generic", flags="write fast",
        access="RW access delete; OW insert", promise="per-coordinator",
        route=GATHER, parts=rename_parts, then=rename_then,
    ),
    Command(
        "move", "MOVE key db",
        "Moves a key to another database, if it is free there: writes it there, then removes what"
        " was read here. In between both databases have it.",
        since="1.0.0", group="generic", flags="write fast", access="RW access update",
        promise="per-coordinator", route=GATHER, parts=move_parts, then=move_then,
        other_key=move_elsewhere,
    ),
    Command(
        "copy", "COPY source destination [DB destination-db] [REPLACE]",
        "Copies a value and its time to live to another key, here or in another database. It"
        " reads, then writes: what changes the source in between is not seen.",
        since="6.2.0", group="generic", flags="write denyoom",
        access="RO access; OW update", promise="per-coordinator",
        route=GATHER, parts=copy_parts, then=copy_then, other_key=copy_elsewhere,
    ),
    Command(
        "dyn.place",
        "DYN.PLACE key value <RENAME_TO | COPY_TO | MOVE_TO> [NX] [PXAT unix-time-milliseconds]"
        " [TYPE type]",
        "Stores a value as SET does, or what DYN.FETCH gave of another type; it is the second step"
        " of RENAME, COPY and MOVE, and publishes the"
        " keyspace event that is named.",
        since="0.1.0", group="generic", flags="write denyoom", access="OW update",
        promise="last-writer", route=WRITE, write=place, reads_before_write=place_observes,
        reports_siblings=True,
    ),
    Command(
        "dyn.take", "DYN.TAKE key context <RENAME_FROM | MOVE_FROM>",
        "Deletes exactly what was read with the context, as DYN.DELCTX does; it is the third step"
        " of RENAME and MOVE, and publishes the keyspace event that is named.",
        since="0.1.0", group="generic", flags="write", access="RW delete",
        promise="converges", route=WRITE, write_at=take, wants_seal=True,
    ),
)
