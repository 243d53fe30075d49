"""The list commands on one key. Those that move items between keys are in `list_moves`.

Source: Redis `t_list.c`; `types/lists.py` says what concurrent changes do.
"""

from typing import Final

from respdyn.commands.arguments import (
    INT64_MIN,
    integer_of,
    option_pairs,
    parse_integer,
    syntax_error,
    word,
    wrong_arity,
)
from respdyn.commands.declare import READ, UPDATE, WRITE, Argv, Command, Order
from respdyn.commands.elements import LIST, Change, changing, looking, view_of
from respdyn.commands.long_reads import LONG, SOUGHT, STEPS, Answer, array_head, in_pieces
from respdyn.commands.long_writes import LONG as MANY
from respdyn.commands.long_writes import PIECE, Steps, last, naming, taking
from respdyn.errors import ReplyError
from respdyn.resp.replies import (
    EMPTY_ARRAY,
    OK,
    ZERO,
    array,
    bulk,
    bulks,
    integer,
    null,
    null_array,
)
from respdyn.types import list_order, lists
from respdyn.types.view import Draft, View

_MINUS_ONE: Final = b":-1\r\n"


def _pushing(is_left: bool, only_there: bool) -> Change:
    def push(argv: Argv, draft: Draft, resp3: bool) -> bytes:
        if not draft.open() and only_there:
            return ZERO
        size = lists.count(draft) + len(argv) - 2
        lists.push(draft, argv[2:], is_left=is_left)
        return integer(size)
    return push


def _popping(is_left: bool) -> Change:
    def pop(argv: Argv, draft: Draft, resp3: bool) -> bytes:
        if len(argv) > 3:
            raise wrong_arity("lpop" if is_left else "rpop")
        count = -1
        if len(argv) == 3:
            count = positive(argv[2], "value is out of range, must be positive")
        if not draft.open():
            return null(resp3) if count < 0 else null_array(resp3)
        if not count:
            return EMPTY_ARRAY
        found = taken(draft, abs(count), is_left)
        return bulk(found[0]) if count < 0 else bulks(found)
    return pop


def positive(argument: bytes, text: str) -> int:
    """A count that may be 0, or `text` as the error. Raises `ReplyError`."""
    count = integer_of(argument)
    if count is None or count < 0:
        raise ReplyError(f"ERR {text}")
    return count


def taken(draft: Draft, count: int, is_left: bool) -> list[bytes]:
    """So many items, taken from an end."""
    elements = lists.first(draft, count) if is_left else lists.last(draft, count)[::-1]
    found = [lists.value(draft, element) for element in elements]
    for element in elements:
        draft.drop(element)
    return found


def llen(argv: Argv, view: View, resp3: bool) -> bytes:
    return integer(lists.count(view))


def lindex(argv: Argv, view: View, resp3: bool) -> bytes:
    if not view.open():
        return null(resp3)
    elements = _one_at(view, argv[2])
    return bulk(lists.value(view, elements[0])) if elements else null(resp3)


def _one_at(view: View, argument: bytes) -> list[bytes]:
    index, size = parse_integer(argument), lists.count(view)
    if index < 0:
        index += size
    return lists.at(view, index, index) if 0 <= index < size else []


def lrange(argv: Argv, view: View, resp3: bool) -> bytes:
    start, stop = parse_integer(argv[2]), parse_integer(argv[3])
    start, stop = _within(start, stop, lists.count(view))
    if start > stop:
        return EMPTY_ARRAY
    return bulks([lists.value(view, element) for element in lists.at(view, start, stop)])


def _within(start: int, stop: int, size: int) -> tuple[int, int]:
    """First and last of a range that may count from the end; nothing is in it if the first is the
    greater."""
    start = max(start + size if start < 0 else start, 0)
    stop = min(stop + size if stop < 0 else stop, size - 1)
    return start, stop


def _long_range(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    view = view_of(LIST, rec, now_ms)
    if not view.is_big():
        return None
    start, stop = _within(parse_integer(argv[2]), parse_integer(argv[3]), lists.count(view))
    if stop - start < LONG:
        return None

    def shown(elements: list[bytes]) -> list[bytes]:
        some = view_of(LIST, rec, now_ms)       # what it has read goes with it
        return [bulk(lists.value(some, element)) for element in elements]
    return in_pieces(lists.at(view, start, stop), shown, array_head, resp3)


def _long_trim(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
    view = view_of(LIST, rec, now_ms)
    if not view.is_big():
        return None
    size = lists.count(view)
    start, stop = _within(parse_integer(argv[2]), parse_integer(argv[3]), size)
    if start > stop:
        return None             # nothing is left: the key is deleted in one step
    return trims(argv, start, size - 1 - stop) if size - 1 - stop + start > MANY else None


def trims(argv: Argv, left: int, right: int) -> Steps:
    """LTRIM, of so many items from either end, some at a time."""
    while left > 0:
        yield [argv[0], argv[1], b"%d" % min(left, PIECE), b"-1"]
        left -= PIECE
    while right > 0:
        yield [argv[0], argv[1], b"0", b"%d" % (-1 - min(right, PIECE))]
        right -= PIECE
    return OK


def _size(rec: bytes, now_ms: int) -> int:
    return lists.count(view_of(LIST, rec, now_ms))


def lset(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    if not draft.open():
        raise ReplyError("ERR no such key")
    elements = _one_at(draft, argv[2])
    if not elements:
        raise ReplyError("ERR index out of range")
    lists.put(draft, elements[0], argv[3])
    return OK


def linsert(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    side = word(argv[2])
    if side not in (b"BEFORE", b"AFTER"):
        raise syntax_error()
    if not draft.open():
        return ZERO
    order = draft.elements()
    for place, element in enumerate(order):
        if lists.value(draft, element) == argv[3]:
            lists.insert(draft, order, place, argv[4], is_after=side == b"AFTER")
            return integer(len(order) + 1)
    return _MINUS_ONE


def lrem(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    count = parse_integer(argv[2])
    order = draft.elements()
    left = abs(count) or len(order)
    removed = 0
    for element in order if count >= 0 else reversed(order):
        if removed == left:
            break
        if lists.value(draft, element) == argv[3]:
            draft.drop(element)
            removed += 1
    return integer(removed)


def ltrim(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    start, stop = parse_integer(argv[2]), parse_integer(argv[3])
    size = lists.count(draft)
    start, stop = _within(start, stop, size)
    if start > stop:
        start, stop = size, size - 1
    gone = lists.first(draft, start) + lists.last(draft, size - 1 - stop)
    for element in gone:
        draft.drop(element)
    return OK


def lpos(argv: Argv, view: View, resp3: bool) -> bytes:
    rank, count, most = _lpos_options(argv)
    nothing = null(resp3) if count < 0 else EMPTY_ARRAY
    if not view.open():
        return nothing
    order = view.elements()
    size = len(order)
    wanted, matches = argv[2], 0
    found: list[int] = []
    for index in range(min(size, most or size)):
        place = index if rank > 0 else size - 1 - index
        if lists.value(view, order[place]) != wanted:
            continue
        matches += 1
        if matches >= abs(rank):
            found.append(place)
            if count < 0 or len(found) == count:
                break
    if count < 0:
        return integer(found[0]) if found else nothing
    return array([integer(place) for place in found])


def _long_lpos(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    rank, count, most = _lpos_options(argv)
    view = view_of(LIST, rec, now_ms)
    if not view.is_big() or min(lists.count(view), most or LONG + 1) <= LONG:
        return None
    elements = lists.at(view, 0, lists.count(view) - 1)
    return _find(elements, argv[2], rank, count, most or len(elements), rec, now_ms, resp3)


def _find(
    elements: list[bytes], wanted: bytes, rank: int, count: int, most: int, rec: bytes,
    now_ms: int, resp3: bool,
) -> Answer:
    """LPOS among very many, some at a time."""
    size = len(elements)
    found: list[int] = []
    matches = 0
    for start in range(0, min(size, most), SOUGHT):
        view = view_of(LIST, rec, now_ms)       # what it has read goes with it
        for index in range(start, min(start + SOUGHT, size, most)):
            place = index if rank > 0 else size - 1 - index
            if lists.value(view, elements[place]) == wanted:
                matches += 1
                if matches >= abs(rank):
                    found.append(place)
                    if count < 0 or len(found) == count:
                        break
        else:
            yield SOUGHT * STEPS
            continue
        break
    if count < 0:
        return integer(found[0]) if found else null(resp3)
    return array([integer(place) for place in found])


def _lpos_options(argv: Argv) -> tuple[int, int, int]:
    """RANK, COUNT (-1 if there is none), MAXLEN (0 for no limit)."""
    rank, count, most = 1, -1, 0
    for option, argument in option_pairs(argv, 3, b"RANK", b"COUNT", b"MAXLEN"):
        if option == b"RANK":
            rank = parse_integer(argument)
            if not rank:
                raise ReplyError(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second"
                    " ... or use negative to start from the end of the list"
                )
        elif option == b"COUNT":
            count = positive(argument, "COUNT can't be negative")
        else:
            most = positive(argument, "MAXLEN can't be negative")
    if rank == INT64_MIN:       # it has no positive counterpart: Redis takes all from the end
        rank, count = -1, min(count, 0)
    return rank, count, most


def by_place(argv: Argv) -> Order:
    """What finds a list's items by their places."""
    return list_order.ORDERS


_EACH: Final = "O(N) with N the number of items that are named"
_ALL: Final = "O(N) with N the number of items"


def _push(name: str, summary: str, since: str, *, is_left: bool, only_there: bool) -> Command:
    return Command(
        name, f"{name.upper()} key element [element ...]", summary,
        since=since, group="list", flags="write denyoom fast", access="RW insert",
        complexity=_EACH, promise="converges", route=UPDATE if only_there else WRITE,
        write=changing(LIST, _pushing(is_left, only_there)),
        event="l lpush" if is_left else "l rpush", long_write=naming(2, fold=last), order=by_place,
    )


def _pop(name: str, summary: str, *, is_left: bool) -> Command:
    return Command(
        name, f"{name.upper()} key [count]", summary,
        since="1.0.0", group="list", flags="write fast", access="RW access delete",
        complexity="O(N) with N the number of items that are given", promise="per-coordinator",
        route=UPDATE, write=changing(LIST, _popping(is_left)), event=f"l {name}",
        long_write=taking(_size), order=by_place,
    )


COMMANDS: tuple[Command, ...] = (
    _push("lpush", "Puts items before all others of a list; creates the list if need be.",
          "1.0.0", is_left=True, only_there=False),
    _push("rpush", "Puts items behind all others of a list; creates the list if need be.",
          "1.0.0", is_left=False, only_there=False),
    _push("lpushx", "Puts items before all others of a list, if it is there.",
          "2.2.0", is_left=True, only_there=True),
    _push("rpushx", "Puts items behind all others of a list, if it is there.",
          "2.2.0", is_left=False, only_there=True),
    _pop("lpop", "Gives the first items of a list and removes them.", is_left=True),
    _pop("rpop", "Gives the last items of a list and removes them.", is_left=False),
    Command(
        "llen", "LLEN key", "Returns how many items a list has.",
        since="1.0.0", group="list", flags="readonly fast", access="RO",
        promise="converges", route=READ, read=looking(LIST, llen),
    ),
    Command(
        "lindex", "LINDEX key index", "Gives the item of a list at a place.",
        since="1.0.0", group="list", flags="readonly", access="RO access", complexity=_ALL,
        promise="converges", route=READ, read=looking(LIST, lindex),
        order=by_place,
    ),
    Command(
        "lrange", "LRANGE key start stop", "Gives the items of a list between two places.",
        since="1.0.0", group="list", flags="readonly", access="RO access", complexity=_ALL,
        promise="converges", route=READ, read=looking(LIST, lrange),
        long_read=_long_range, order=by_place,
    ),
    Command(
        "lset", "LSET key index element", "Gives an item of a list another value.",
        since="1.0.0", group="list", flags="write denyoom", access="RW update", complexity=_ALL,
        promise="last-writer", route=UPDATE, write=changing(LIST, lset), event="l lset",
        order=by_place,
    ),
    Command(
        "linsert", "LINSERT key <BEFORE | AFTER> pivot element",
        "Puts an item beside the first one of a list that has this value.",
        since="2.2.0", group="list", flags="write denyoom", access="RW insert", complexity=_ALL,
        promise="converges", route=UPDATE, write=changing(LIST, linsert), event="l linsert",
    ),
    Command(
        "lrem", "LREM key count element",
        "Removes items of a list that have this value: so many from the left, or, below 0, from the"
        " right; 0 for all.",
        since="1.0.0", group="list", flags="write", access="RW delete", complexity=_ALL,
        promise="converges", route=UPDATE, write=changing(LIST, lrem), event="l lrem",
    ),
    Command(
        "ltrim", "LTRIM key start stop", "Removes the items of a list outside of two places.",
        since="1.0.0", group="list", flags="write", access="RW delete", complexity=_ALL,
        promise="converges", route=UPDATE, write=changing(LIST, ltrim), event="l ltrim",
        long_write=_long_trim, order=by_place,
    ),
    Command(
        "lpos", "LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        "Returns at which places of a list a value is.",
        since="6.0.6", group="list", flags="readonly", access="RO access", complexity=_ALL,
        promise="converges", route=READ, read=looking(LIST, lpos),
        long_read=_long_lpos, order=by_place,
    ),
)
