"""Set commands on several keys: each set is read whole, at its own coordinator, and then combined.

So what one answers is no single moment of all its keys, unless they live at the same nodes and the
command stands in a transaction. What is stored takes the place of all that its key held, as SET
does. SMOVE adds the member to the one set, with W copies, before it removes it from the other: who
dies in between leaves it in both, never in none.

Source: Redis `t_set.c` (sinterGenericCommand, sunionDiffGenericCommand, smoveCommand).
"""

from collections.abc import Callable, Generator
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands import long_algebra
from respdyn.commands.arguments import counted_at, integer_of, option_pairs
from respdyn.commands.declare import GATHER, UPDATE, Argv, Command, Further, Then
from respdyn.commands.folding import bulks_of, first_error
from respdyn.commands.long_algebra import Members, is_long, pieces, read
from respdyn.commands.long_writes import storing
from respdyn.errors import ReplyError
from respdyn.resp.replies import ONE, ZERO, bulk, integer, set_
from respdyn.types import sets, values
from respdyn.types.sets import in_order
from respdyn.types.values import WRONG_TYPE

Combine = Callable[[list[list[bytes]]], list[bytes]]
LongCombine = Callable[[list[list[bytes]]], Members]
Finish = Callable[[Argv, list[bytes], list[bytes]], Generator[int, None, Then]]


def intersect(found: list[list[bytes]]) -> list[bytes]:
    """What is in all of the sets, in the order of the first."""
    rest = [set(members) for members in found[1:]]
    return [member for member in found[0] if all(member in other for other in rest)]


def unite(found: list[list[bytes]]) -> list[bytes]:
    """What is in any of the sets."""
    return in_order(dict.fromkeys(member for members in found for member in members))


def subtract(found: list[list[bytes]]) -> list[bytes]:
    """What is in the first set and in none of the others."""
    gone = {member for members in found[1:] for member in members}
    return [member for member in found[0] if member not in gone]


def members_parts(argv: Argv) -> list[Argv]:
    return [[b"SMEMBERS", key] for key in argv[1:]]


def stored_parts(argv: Argv) -> list[Argv]:
    return [[b"SMEMBERS", key] for key in argv[2:]]


def _folding(combine: Combine) -> Callable[[list[bytes]], bytes]:
    def fold(replies: list[bytes]) -> bytes:
        wrong = first_error(replies)
        if wrong:
            return wrong
        found = combine([bulks_of(reply) for reply in replies])
        return set_([bulk(member) for member in found], replies[0][:1] == b"~")
    return fold


def _storing(combine: Combine) -> Callable[[Argv, list[bytes], bool], Then]:
    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
        found = combine([bulks_of(reply) for reply in replies])
        storing = [b"DYN.STORESET", argv[1], argv[0].upper(), *found]
        return Further([storing], lambda stored: stored[0])
    return then


Long = Callable[[Argv, list[bytes], bool], Generator[int, None, Then] | None]


def _long(combine: LongCombine, finish: Finish) -> Long:
    """The same of many members."""
    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Generator[int, None, Then] | None:
        return steps(argv, replies, resp3) if is_long(replies) else None

    def steps(argv: Argv, replies: list[bytes], resp3: bool) -> Generator[int, None, Then]:
        found: list[list[bytes]] = []
        for reply in replies:
            found.append((yield from read(reply)))
        members = yield from combine(found)
        return (yield from finish(argv, replies, members))
    return then


def _reply(
    argv: Argv, replies: list[bytes], members: list[bytes]
) -> Generator[int, None, Then]:
    parts = [b"%b%d\r\n" % (b"~" if replies[0][:1] == b"~" else b"*", len(members))]
    for some in pieces(members):
        parts.append(b"".join(map(bulk, some)))
        yield len(some)
    return b"".join(parts)


def _stored(
    argv: Argv, replies: list[bytes], members: list[bytes]
) -> Generator[int, None, Then]:
    yield 1
    storing = [b"DYN.STORESET", argv[1], argv[0].upper(), *members]
    return Further([storing], lambda stored: stored[0])


def _counted(
    argv: Argv, replies: list[bytes], members: list[bytes]
) -> Generator[int, None, Then]:
    yield 1
    limit = _limit(argv, 2 + len(replies))
    return integer(min(len(members), limit) if limit else len(members))


def sintercard_parts(argv: Argv) -> list[Argv]:
    count = integer_of(argv[1])
    if count is None or count < 1:
        raise ReplyError("ERR numkeys should be greater than 0")
    if count > len(argv) - 2:
        raise ReplyError("ERR Number of keys can't be greater than number of args")
    _limit(argv, 2 + count)
    return [[b"SMEMBERS", key] for key in argv[2 : 2 + count]]


def _limit(argv: Argv, position: int) -> int:
    limit = 0
    for _, value in option_pairs(argv, position, b"LIMIT"):
        number = integer_of(value)
        if number is None or number < 0:
            raise ReplyError("ERR LIMIT can't be negative")
        limit = number
    return limit


def sintercard_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    limit = _limit(argv, 2 + len(replies))
    size = len(intersect([bulks_of(reply) for reply in replies]))
    return integer(min(size, limit) if limit else size)


def smove_parts(argv: Argv) -> list[Argv]:
    return [[b"SISMEMBER", argv[1], argv[3]], [b"EXISTS", argv[1]], [b"TYPE", argv[2]]]


def smove_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Add it there; when that is done remove it here."""
    if replies[1] == ZERO:
        return ZERO
    if replies[2] not in (b"+set\r\n", b"+none\r\n"):
        raise ReplyError(WRONG_TYPE)
    if replies[0] == ZERO or argv[1] == argv[2]:
        return replies[0]
    taking = [b"SREM", argv[1], argv[3]]
    return Further(
        [[b"SADD", argv[2], argv[3]]], lambda _: Further([taking], lambda _: ONE)
    )


def storeset(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    members = list(dict.fromkeys(argv[3:]))
    if members:
        return integer(len(members)), sets.replace(rec, stamp, members, 0)
    return ZERO, values.remove(rec, stamp) if values.exists(rec, now_ms) else b""


_LONG: Final[dict[Combine, LongCombine]] = {
    intersect: long_algebra.intersect, unite: long_algebra.unite,
    subtract: long_algebra.subtract,
}
_EACH: Final = "O(N) with N the members of all sets"
_ORDER: Final = ("nondeterministic_output_order",)
_STORES: Final = "OW update; RO access"


def _combining(name: str, summary: str, combine: Combine) -> Command:
    return Command(
        name, f"{name.upper()} key [key ...]", summary,
        since="1.0.0", group="set", flags="readonly", access="RO access", complexity=_EACH,
        tips=_ORDER, promise="converges", route=GATHER, parts=members_parts,
        fold=_folding(combine), long_then=_long(_LONG[combine], _reply),
    )


def _keeping(name: str, summary: str, combine: Combine, access: str) -> Command:
    return Command(
        name, f"{name.upper()} destination key [key ...]", summary,
        since="1.0.0", group="set", flags="write denyoom", access=access, complexity=_EACH,
        promise="last-writer", route=GATHER, parts=stored_parts, then=_storing(combine),
        long_then=_long(_LONG[combine], _stored),
    )


COMMANDS: tuple[Command, ...] = (
    _combining("sinter", "Gives the members that are in all of the sets.", intersect),
    _combining("sunion", "Gives the members that are in any of the sets.", unite),
    _combining("sdiff", "Gives the members of the first set that are in none of the others.",
               subtract),
    _keeping("sinterstore", "Stores what is in all of the sets in place of what the key holds.",
             intersect, "RW update; RO access"),
    _keeping("sunionstore", "Stores what is in any of the sets in place of what the key holds.",
             unite, _STORES),
    _keeping("sdiffstore",
             "Stores what is in the first set and in none of the others in place of what the key"
             " holds.", subtract, _STORES),
    Command(
        "sintercard", "SINTERCARD numkeys key [key ...] [LIMIT limit]",
        "Returns how many members are in all of the sets, and counts no further than the limit.",
        since="7.0.0", group="set", flags="readonly movablekeys", access="RO access",
        complexity=_EACH, promise="converges", route=GATHER, parts=sintercard_parts,
        then=sintercard_then,
        long_then=_long(long_algebra.intersect, _counted), counted_keys=counted_at(1),
    ),
    Command(
        "dyn.storeset", "DYN.STORESET key <SINTERSTORE | SUNIONSTORE | SDIFFSTORE> [member ...]",
        "Stores a set in place of all that a key holds; none, and the key is gone. It is the second"
        " step of these commands.",
        since="0.1.0", group="set", flags="write denyoom", access="OW update",
        complexity="O(N) with N the number of members",
        promise="last-writer", route=UPDATE, write=storeset, event="s dyn.storeset",
        long_write=storing(b"SADD", 1),
    ),
    Command(
        "smove", "SMOVE source destination member",
        "Moves a member to another set: adds it there, then removes it here. In between both"
        " have it.",
        since="1.0.0", group="set", flags="write fast",
        access="RW access delete; RW insert", promise="per-coordinator",
        route=GATHER, parts=smove_parts, then=smove_then,
    ),
)
