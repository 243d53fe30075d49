"""The set commands on one key. Those on several are in `set_algebra`.

Source: Redis `t_set.c`; `types/sets.py` says what concurrent changes do.
"""

from typing import Final

from respdyn.commands.arguments import (
    INT64_MAX,
    INT64_MIN,
    integer_of,
    parse_integer,
    syntax_error,
)
from respdyn.commands.declare import READ, UPDATE, WRITE, Argv, Command
from respdyn.commands.elements import SET, changing, choosing, looking, step, taking, view_of
from respdyn.commands.long_reads import array_head, chosen, set_head, whole
from respdyn.commands.long_writes import naming
from respdyn.commands.long_writes import taking as taking_many
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY_ARRAY, ONE, ZERO, array, bulk, bulks, integer, null, set_
from respdyn.types import sets
from respdyn.types.chance import Chance
from respdyn.types.view import Draft, View


def sadd(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    return integer(sum(sets.add(draft, member) for member in argv[2:]))


def srem(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    return integer(sum(sets.remove(draft, member) for member in argv[2:]))


def smembers(argv: Argv, view: View, resp3: bool) -> bytes:
    return set_([bulk(member) for member in sets.members(view)], resp3)


def sismember(argv: Argv, view: View, resp3: bool) -> bytes:
    return ONE if sets.has(view, argv[2]) else ZERO


def smismember(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    return array([ONE if sets.has(view, member) else ZERO for member in argv[2:]])


def scard(argv: Argv, view: View, resp3: bool) -> bytes:
    return integer(sets.count(view))


def spop(argv: Argv, draft: Draft, resp3: bool, chance: Chance) -> bytes:
    if len(argv) > 3:
        raise syntax_error()
    if len(argv) == 2:
        taken = sets.some(draft, chance, 1)
        if not taken:
            return null(resp3)
        sets.remove(draft, taken[0])
        return bulk(taken[0])
    count = integer_of(argv[2])
    if count is None or count < 0:
        raise ReplyError("ERR value is out of range, must be positive")
    taken = sets.some(draft, chance, count)
    for member in taken:
        sets.remove(draft, member)
    return set_([bulk(member) for member in taken], resp3)


def srandmember(argv: Argv, view: View, resp3: bool, chance: Chance) -> bytes:
    if len(argv) > 3:
        raise syntax_error()
    if len(argv) == 2:
        chosen = sets.some(view, chance, 1)
        return bulk(chosen[0]) if chosen else null(resp3)
    count = parse_integer(argv[2])
    if count == INT64_MIN:
        raise ReplyError(
            f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}"
        )
    size = sets.count(view)
    if not size or not count:
        return EMPTY_ARRAY
    if count < 0:
        if view.is_big():
            return bulks([view.nth(chance.below(size))[1:] for _ in range(-count)])
        members = sets.members(view)
        return bulks([members[chance.below(size)] for _ in range(-count)])
    return bulks(sets.some(view, chance, count))


def sscan(argv: Argv, view: View, resp3: bool) -> bytes:
    cursor, members = step(
        argv, view, sets.members, lambda view: sets.integers(sets.members(view)) is not None,
        sets.has,
    )
    return array([cursor, bulks(members)])


def _size(rec: bytes, now_ms: int) -> int:
    return sets.count(view_of(SET, rec, now_ms))


_EACH: Final = "O(N) with N the number of members that are named"
_ALL: Final = "O(N) with N the number of members"
_VARIES: Final = ("nondeterministic_output",)

COMMANDS: tuple[Command, ...] = (
    Command(
        "sadd", "SADD key member [member ...]",
        "Adds members to a set and returns how many are new; creates the set if need be.",
        since="1.0.0", group="set", flags="write denyoom fast", access="RW insert",
        complexity=_EACH, promise="converges", route=WRITE, write=changing(SET, sadd),
        event="s sadd", long_write=naming(2),
    ),
    Command(
        "srem", "SREM key member [member ...]",
        "Removes members and returns how many there were. A member added concurrently stays.",
        since="1.0.0", group="set", flags="write fast", access="RW delete",
        complexity=_EACH, promise="converges", route=UPDATE, write=changing(SET, srem),
        event="s srem", long_write=naming(2),
    ),
    Command(
        "smembers", "SMEMBERS key", "Gives all members of a set.",
        since="1.0.0", group="set", flags="readonly", access="RO access", complexity=_ALL,
        tips=("nondeterministic_output_order",), promise="converges", route=READ,
        read=looking(SET, smembers),
        long_read=whole(SET, lambda view, element: bulk(element[1:]), set_head),
    ),
    Command(
        "sismember", "SISMEMBER key member", "Returns whether it is a member of a set.",
        since="1.0.0", group="set", flags="readonly fast", access="RO",
        promise="converges", route=READ, read=looking(SET, sismember),
    ),
    Command(
        "smismember", "SMISMEMBER key member [member ...]",
        "Returns for each of several whether it is a member of a set.",
        since="6.2.0", group="set", flags="readonly fast", access="RO access", complexity=_EACH,
        promise="converges", route=READ, read=looking(SET, smismember),
    ),
    Command(
        "scard", "SCARD key", "Returns how many members a set has.",
        since="1.0.0", group="set", flags="readonly fast", access="RO",
        promise="converges", route=READ, read=looking(SET, scard),
    ),
    Command(
        "spop", "SPOP key [count]",
        "Takes members out of a set, chosen at random. Two coordinators may give the same one.",
        since="1.0.0", group="set", flags="write fast", access="RW access delete",
        complexity=_ALL, tips=_VARIES, promise="per-coordinator", route=UPDATE,
        write=taking(SET, spop), event="s spop", long_write=taking_many(_size),
    ),
    Command(
        "srandmember", "SRANDMEMBER key [count]", "Gives members of a set, chosen at random.",
        since="1.0.0", group="set", flags="readonly", access="RO access", complexity=_ALL,
        tips=_VARIES, promise="converges", route=READ, read=choosing(SET, srandmember),
        draws=True, long_read=chosen(
            SET, lambda argv: integer_of(argv[2]) or 0, lambda view, element: bulk(element[1:]),
            array_head),
    ),
    Command(
        "sscan", "SSCAN key cursor [MATCH pattern] [COUNT count]",
        "Goes through the members of a set in steps.",
        since="2.8.0", group="set", flags="readonly", access="RO access",
        complexity="O(N) for a step, with N the number of members", tips=_VARIES,
        promise="converges", route=READ, read=looking(SET, sscan),
    ),
)
