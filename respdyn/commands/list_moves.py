"""List commands on several keys: LMOVE and RPOPLPUSH, which move an item, and LMPOP.

A moved item is first put into its destination, with W copies, and then removed from its source,
exactly as it was read: who dies in between leaves it in both lists, never in none. Alone, the whole
is one command on the source, DYN.LMOVE, at the source's coordinator; meanwhile the source is busy,
so no other client is given the item (`coordination/item_moves.py`). In a transaction it is the
steps themselves, within the one step of the group: DYN.LPEEK, DYN.LPLACE, DYN.LTAKE.

LMPOP tries one key after the other, each at its own coordinator.

Source: Redis `t_list.c` (lmoveGenericCommand, lmpopGenericCommand); decision 0053.
"""

from typing import Final

from respdyn.commands.arguments import counted_at, syntax_error, word
from respdyn.commands.declare import (
    GATHER,
    READ,
    UPDATE,
    WRITE,
    Argv,
    Command,
    Further,
    Move,
    Then,
)
from respdyn.commands.elements import LIST, changing, looking, view_of
from respdyn.commands.folding import bulks_of
from respdyn.commands.lists import by_place, positive, taken
from respdyn.commands.pops import COUNT, lmpop, parts_of, then_of
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, array, bulk, bulks, integer, null, null_array
from respdyn.types import lists
from respdyn.types.view import Draft, View

_LEFT, _RIGHT = b"LEFT", b"RIGHT"


def _side(argument: bytes) -> bool:
    """Whether it is the left one. Raises `ReplyError`."""
    side = word(argument)
    if side not in (_LEFT, _RIGHT):
        raise syntax_error()
    return side == _LEFT


# ---- LMOVE ----

def _moved(argv: Argv) -> Argv:
    """DYN.LMOVE for what LMOVE or RPOPLPUSH says. Raises `ReplyError`."""
    if len(argv) == 3:
        return [b"DYN.LMOVE", argv[1], argv[2], _RIGHT, _LEFT]
    _side(argv[3])
    _side(argv[4])
    return [b"DYN.LMOVE", *argv[1:]]


def move_parts(argv: Argv) -> list[Argv]:
    whole = _moved(argv)
    if argv[1] == argv[2]:
        return [whole]
    return [[b"DYN.LPEEK", argv[1], whole[3]]]


def move_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Put the item that was found into its destination; when that is done, remove it."""
    if argv[1] == argv[2]:
        return replies[0]
    found = bulks_of(replies[0])
    if not found:
        return null(resp3)
    whole = _moved(argv)
    move = _steps(whole, found)
    return Further(
        [move.place], lambda _: Further([move.take], lambda _: bulk(found[0]))
    )


def _steps(whole: Argv, found: list[bytes]) -> Move:
    """The two steps of a move, given DYN.LMOVE and what DYN.LPEEK finds."""
    _, source, destination, from_, to = whole
    return Move(
        bulk(found[0]), destination, [b"DYN.LPLACE", destination, to, found[0]],
        [b"DYN.LTAKE", source, from_, *found[1:]],
    )


def move_of(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Move | bytes:
    """What DYN.LMOVE between two lists has to do, or its reply if that is nothing.

    Raises `ReplyError`.
    """
    is_left = _side(argv[3])
    _side(argv[4])
    found = _end(view_of(LIST, rec, now_ms), is_left)
    return _steps(argv, found) if found else null(resp3)


def _end(view: View, is_left: bool) -> list[bytes]:
    """The item at an end, its element, and the dots of its cells; nothing if there is none."""
    elements = lists.first(view, 1) if is_left else lists.last(view, 1)
    if not elements:
        return []
    element = elements[0]
    return [lists.value(view, element), element, *(dot for dot, _ in view.cells(element))]


def lpeek(argv: Argv, view: View, resp3: bool) -> bytes:
    return bulks(_end(view, _side(argv[2])))


def lplace(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    is_left = _side(argv[2])
    size = lists.count(draft) + len(argv) - 3
    lists.push(draft, argv[3:], is_left=is_left)
    return integer(size)


def ltake(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    _side(argv[2])
    element = argv[3]
    if draft.open() and element[:1] == lists.LETTER:
        for dot, _ in draft.cells(element):
            if dot in argv[4:]:
                draft.drop_dot(element, dot)
    return OK


def lmove_within(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    """DYN.LMOVE within one list."""
    if argv[1] != argv[2]:
        raise ReplyError("ERR DYN.LMOVE of two lists runs alone: use LMOVE")
    is_left, to_left = _side(argv[3]), _side(argv[4])
    if not draft.open():
        return null(resp3)
    ends = lists.first(draft, 1), lists.last(draft, 1)
    found = taken(draft, 1, is_left)
    lists.push(draft, found, is_left=to_left, end=ends[not to_left])
    return bulk(found[0])


# ---- LMPOP of one key ----

def lmpop_one(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    is_left = _side(argv[2])
    count = positive(argv[3], COUNT)
    if not draft.open():
        return null_array(resp3)
    return array([bulk(argv[1]), bulks(taken(draft, count, is_left))])


_BETWEEN: Final = "In between both lists have it."

COMMANDS: tuple[Command, ...] = (
    Command(
        "lmove", "LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        "Moves an item from an end of a list to an end of another, or of the same: puts it there,"
        f" then removes it here. {_BETWEEN}",
        since="6.2.0", group="list", flags="write denyoom",
        access="RW access delete; RW insert", promise="per-coordinator",
        route=GATHER, parts=move_parts, then=move_then, whole=_moved,
    ),
    Command(
        "rpoplpush", "RPOPLPUSH source destination",
        "Moves the last item of a list to the left end of another, or of the same: puts it there,"
        f" then removes it here. {_BETWEEN}",
        since="1.2.0", group="list", flags="write denyoom",
        access="RW access delete; RW insert", promise="per-coordinator",
        route=GATHER, parts=move_parts, then=move_then, whole=_moved,
    ),
    Command(
        "lmpop", "LMPOP numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        "Gives items from an end of the first list that has any, and removes them.",
        since="7.0.0", group="list", flags="write movablekeys", access="RW access delete",
        complexity="O(N+M) with N the number of keys and M that of items that are given",
        promise="per-coordinator", route=GATHER, parts=parts_of(lmpop), then=then_of(lmpop),
        counted_keys=counted_at(1),
    ),
    Command(
        "dyn.lmove", "DYN.LMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        "Moves an item at the coordinator of the source. It is what LMOVE does when it is in no"
        " transaction.",
        since="0.1.0", group="list", flags="write denyoom",
        access="RW access delete; RW insert", promise="per-coordinator",
        route=UPDATE, write=changing(LIST, lmove_within), move=move_of, event="l lmove",
        order=by_place,
    ),
    Command(
        "dyn.lpeek", "DYN.LPEEK key <LEFT | RIGHT>",
        "Gives the item at an end of a list, its place and its dots. It is the first step of LMOVE"
        " in a transaction.",
        since="0.1.0", group="list", flags="readonly", access="RO access",
        promise="converges", route=READ, read=looking(LIST, lpeek),
        order=by_place,
    ),
    Command(
        "dyn.lplace", "DYN.LPLACE key <LEFT | RIGHT> element [element ...]",
        "Puts items at an end of a list, also while its key is busy. It is the second step of"
        " LMOVE.",
        since="0.1.0", group="list", flags="write denyoom", access="RW insert",
        complexity="O(N) with N the number of items", promise="converges",
        route=WRITE, write=changing(LIST, lplace), overtakes=True, event="l lpush",
        order=by_place,
    ),
    Command(
        "dyn.ltake", "DYN.LTAKE key <LEFT | RIGHT> place dot [dot ...]",
        "Removes exactly the item that DYN.LPEEK gave. It is the third step of LMOVE.",
        since="0.1.0", group="list", flags="write", access="RW delete",
        promise="converges", route=WRITE, write=changing(LIST, ltake), event="l lpop",
    ),
    Command(
        "dyn.lmpop", "DYN.LMPOP key <LEFT | RIGHT> count",
        "Gives items from an end of a list with the name of the key, and removes them. LMPOP is"
        " made of it.",
        since="0.1.0", group="list", flags="write", access="RW access delete",
        complexity="O(N) with N the number of items that are given", promise="per-coordinator",
        route=UPDATE, write=changing(LIST, lmpop_one), event="l lpop",
        order=by_place,
    ),
)
