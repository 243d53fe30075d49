"""The list: items, each an element of its own, named by its position (`positions`).

A payload is clock u64, value. LSET writes the same position with a new dot: an LSET beside an LSET
leaves one item, with the later value; an LSET beside a pop of the item leaves it, with the new one.

A push adds and covers nothing; a pop covers the dots of what it gives. So what is pushed stays
until a client has popped or removed just that; of two pops that do not know each other both may
give the same item.

Source: Redis `t_list.c` and `rdb.c`; decision 0053.
"""

from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.types import keyed, list_order, positions
from respdyn.types.dump import DumpError, pack_count, pack_string, unpack_count, unpack_string
from respdyn.types.packed import (
    pack_items,
    pack_listpack,
    unpack_items,
    unpack_listpack,
    unpack_ziplist,
)
from respdyn.types.view import Draft, ElementKind, View, always, never

LETTER: Final[bytes] = list_order.LETTER

_CLOCK: Final = 8
_NODE_BYTES: Final = 8192       # of a listpack in a dump: Redis's `list-max-listpack-size` of -2
_ITEM_BYTES: Final = 11         # that an item in a listpack may take besides its bytes
_PLAIN: Final = 1               # containers in a dump: an item by itself, and a listpack
_PACKED: Final = 2
_TABLE: Final = 1               # numbers in a dump: a list of strings, and Redis's forms since
_ZIPLIST: Final = 10
_QUICKLIST: Final = 14
_QUICKLIST_2: Final = 18
DUMP_NUMBERS: Final[tuple[int, ...]] = (_TABLE, _ZIPLIST, _QUICKLIST, _QUICKLIST_2)


def count(view: View) -> int:
    """How many items there are."""
    return view.size()


def at(view: View, start: int, stop: int) -> list[bytes]:
    """The elements of the items from `start` to `stop`, both counted from the left, inclusive."""
    if view.is_big():
        return list_order.order_of(view).span(start, stop + 1)
    size = count(view)
    if stop < size - start:
        return view.first(LETTER, stop + 1)[start:]
    return view.last(LETTER, size - start)[: stop - start + 1]


def first(view: View, count: int) -> list[bytes]:
    """The elements of so many items at the left end, from left to right."""
    if view.is_big():
        return list_order.order_of(view).span(0, count)
    return view.first(LETTER, count)


def last(view: View, count: int) -> list[bytes]:
    """The elements of so many items at the right end, from left to right."""
    if view.is_big():
        order = list_order.order_of(view)
        return order.span(len(order) - count, len(order))
    return view.last(LETTER, count)


def value(view: View, element: bytes) -> bytes:
    """An item's value, that with the highest clock."""
    cells = view.cells(element)
    if len(cells) == 1:
        return cells[0][1][_CLOCK:]
    return max((payload[:_CLOCK], dot, payload[_CLOCK:]) for dot, payload in cells)[2]


def values(view: View) -> list[bytes]:
    """The values of all items."""
    return [value(view, element) for element in view.elements()]


def push(
    draft: Draft, items: list[bytes], *, is_left: bool, end: list[bytes] | None = None
) -> None:
    """LPUSH or RPUSH: the first of the items first. `end`: the element at that end, if known."""
    if end is None:
        end = first(draft, 1) if is_left else last(draft, 1)
    draft.begin()
    dots = draft.next_dots(len(items))
    made = (positions.before_first if is_left else positions.after_last)(
        end[0][1:] if end else b"", draft.clock, dots)
    for position, item in zip(made, items, strict=True):
        draft.add(LETTER + position, draft.clock.to_bytes(_CLOCK) + item)


def insert(draft: Draft, order: list[bytes], place: int, item: bytes, *, is_after: bool) -> None:
    """LINSERT: an item beside the one at `place` of all elements in their order."""
    left = place if is_after else place - 1
    if left < 0 or left + 1 == len(order):
        push(draft, [item], is_left=left < 0)
        return
    draft.begin()
    position = positions.between(
        order[left][1:], order[left + 1][1:], draft.next_dot(), is_after=is_after)
    draft.add(LETTER + position, draft.clock.to_bytes(_CLOCK) + item)


def put(draft: Draft, element: bytes, item: bytes) -> None:
    """LSET: another value for an item."""
    clock = keyed.clock_above(draft.stamp, draft.highest(draft.cells(element)))
    draft.put(element, clock.to_bytes(_CLOCK) + item)


# ---- the key ----

def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """LSET once more: the values that `delta` wrote, of items that are still there."""
    made, draft = view_of(delta, 0), Draft(record, 0, ITEMS, always, stamp)
    for element in made.elements():
        if draft.cells(element):
            put(draft, element, value(made, element))
    return draft.delta()


def encoding(record: bytes) -> bytes:
    """What OBJECT ENCODING answers."""
    return b"quicklist"


def dump(record: bytes, now_ms: int) -> bytes:
    """Number and content of a dump: listpacks one after the other, what is long by itself."""
    nodes: list[bytes] = []
    packed: list[bytes] = []
    size = 0
    for item in [*values(view_of(record, now_ms)), None]:
        bytes_more = 0 if item is None else len(item) + _ITEM_BYTES
        if packed and (item is None or size + bytes_more > _NODE_BYTES):
            nodes.append(pack_count(_PACKED) + pack_string(pack_listpack(packed)))
            packed, size = [], 0
        if item is not None and bytes_more > _NODE_BYTES:
            nodes.append(pack_count(_PLAIN) + pack_string(item))
        elif item is not None:
            packed.append(item)
            size += bytes_more
    return b"".join((bytes([_QUICKLIST_2]), pack_count(len(nodes)), *nodes))


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key from number and content of a dump. Raises `DumpError`."""
    number, place = packed[0], 1
    found: list[bytes] = []
    nodes = 1
    if number != _ZIPLIST:
        nodes, place = unpack_count(packed, 1)
    for _ in range(nodes):
        container = _PACKED
        if number == _QUICKLIST_2:
            container, place = unpack_count(packed, place)
        held, place = unpack_string(packed, place)
        if number == _TABLE or container == _PLAIN:
            found.append(held)
        elif container != _PACKED:
            raise DumpError("Bad data format")
        else:
            found += unpack_listpack(held) if number == _QUICKLIST_2 else unpack_ziplist(held)
    if place != len(packed) or not found:
        raise DumpError("Bad data format")
    return replace(record, stamp, found, at_ms)


def replace(record: bytes, stamp: Stamp, found: list[bytes], at_ms: int) -> bytes:
    """The new state of a key: a list in place of all that it holds, with a time to live or 0."""
    draft = Draft(record, 0, ITEMS, never, stamp)
    push(draft, found, is_left=False)
    draft.expire_key(at_ms)
    return draft.delta()


def pack(record: bytes, now_ms: int) -> bytes:
    """The items as one piece of bytes, for another key."""
    return pack_items(values(view_of(record, now_ms)))


def unpack(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key that is given what `pack` made. Raises `DumpError`."""
    return replace(record, stamp, unpack_items(packed), at_ms)


def view_of(record: bytes, now_ms: int) -> View:
    """All items of a record, whatever type it shows and whether or not the key has expired."""
    return View(record, now_ms, ITEMS, always)


ITEMS: Final[ElementKind] = list_order.ITEMS
