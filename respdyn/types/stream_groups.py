"""Consumer groups of a stream: what a group was given, and who has not acknowledged what.

    g  \\1 group                     clock u64, beginning, last id, passed id, read i64, rows
    u  group's length u32, group, consumer      clock u64, last seen u64, ms
    p  group's length u32, group, id            clock u64, given u64, ms, how often u64,
                                                dot of the entry, consumer

A group is given whatever it was not given, by id: not what has an id above its last one, for an
entry may come from another coordinator and have a lower one. What it was given it knows by *dots*:
rows, the shape of a context, that cover the dots of all entries given. When it is given the entry
of dot (A, n), what this node has seen of A up to n counts as given too: A's ids grow with its
counters, so all of these came before, or are deleted, or are no entries. So the rows stay short.

CREATE and SETID are a *beginning*: how often one was set before, and the dot of this one. Of
concurrent states with one beginning the rows unite, of a later beginning nothing is left of an
earlier one; of two groups made concurrently what either lacks is given again. One that is set to an
id that no entry has reached is given nothing up to that: the passed id.

XACK covers what it sees of an entry that is pending; a consumer that is given an entry, or claims
it, writes it anew. So an XACK beside an XCLAIM leaves it pending. That a pending entry was deleted
is known by its dot: one that is not here, and that the context does not cover, is yet to come.

Source: Redis `t_stream.c`; decision 0058.
"""

from struct import Struct
from typing import Final, NamedTuple

from respdyn.causal import codec
from respdyn.causal.element_map import counts_of
from respdyn.causal.rows import ROW_BYTES, common_rows, covers, edges_of, rows_of_dots, unite_rows
from respdyn.types import keyed
from respdyn.types.stream_order import (
    CONSUMER,
    ENTRY,
    ID_BYTES,
    LETTER,
    PENDING,
    Late,
    StreamOrder,
    order_of,
    unknown_to,
)
from respdyn.types.streams import LAST_ID, ZERO_ID, Whole, count, first_id, whole_of
from respdyn.types.view import Draft, View

GROUP: Final = LETTER + b"\1"
UNKNOWN: Final = -1             # how many entries a group has read
SEEN_MS: Final = 1000           # a consumer that is given nothing is noted so often

_pack_group: Final = Struct(">Q28s16s16sq").pack
_unpack_group: Final = Struct(">Q28s16s16sq").unpack_from
_GROUP_BYTES: Final = 76
_pack_pending: Final = Struct(">QQQ24s").pack
_unpack_pending: Final = Struct(">QQQ24s").unpack_from
_PENDING_BYTES: Final = 48
_NO_DOT: Final = bytes(24)
_u64: Final = int.from_bytes


class Group(NamedTuple):
    """What a group was given."""

    start: bytes        # its beginning: u32, dot
    last: bytes         # the highest id
    passed: bytes       # up to this id it is given nothing
    read: int           # how many entries, by Redis's reckoning, or `UNKNOWN`
    rows: bytes         # the dots


class Pending(NamedTuple):
    """An entry that was given and is not acknowledged."""

    consumer: bytes
    given_ms: int
    times: int
    dot: bytes = _NO_DOT        # of the entry; zeros for one that is not there


# ---- looking ----

def group_of(view: View, name: bytes) -> Group | None:
    """A group; None if there is none of this name."""
    cells = view.cells(GROUP + name)
    if not cells:
        return None
    held = [(*_unpack_group(payload), payload[_GROUP_BYTES:]) for _, payload in cells]
    if len(held) == 1:
        return Group._make(held[0][1:])
    latest = max(start[:4] for _, start, *_ in held)
    by_start: dict[bytes, Group] = {}
    for _, start, last, passed, _, rows in held:
        if start[:4] == latest:
            one = by_start.get(start, Group(start, ZERO_ID, ZERO_ID, UNKNOWN, b""))
            by_start[start] = Group(
                start, max(one.last, last), max(one.passed, passed), UNKNOWN,
                unite_rows(one.rows, rows))
    states = list(by_start.values())
    rows = states[0].rows
    for other in states[1:]:
        rows = common_rows(rows, other.rows)
    return Group(
        max(by_start), min(one.last for one in states), min(one.passed for one in states), UNKNOWN,
        rows)


def groups_of(view: View) -> list[bytes]:
    """The names of all groups, sorted."""
    if view.is_big():
        return [element[2:] for element in order_of(view).of_prefix(GROUP)]
    return [element[2:] for element in view.elements_of(LETTER) if element[1:2] == b"\1"]


def pending_name(group: bytes, id_: bytes) -> bytes:
    """The element of an entry that is pending."""
    return _of(PENDING, group) + id_


def _of(letter: bytes, group: bytes) -> bytes:
    return letter + len(group).to_bytes(4) + group


def pending_of(view: View, element: bytes) -> Pending | None:
    """What is pending there; of several, the latest. None if nothing is."""
    cells = view.cells(element)
    if not cells:
        return None
    payload = cells[0][1]
    if len(cells) > 1:
        payload = max((held[:8], dot, held) for dot, held in cells)[2]
    _, given_ms, times, dot = _unpack_pending(payload)
    return Pending(payload[_PENDING_BYTES:], given_ms, times, dot)


def is_deleted(view: View, element: bytes) -> bool:
    """Whether the entry that is pending there is gone, and not only yet to come."""
    held = pending_of(view, element)
    return held is None or held.dot == _NO_DOT or covers(
        edges_of(codec.rows_of(view.record)), held.dot)


class PendingList:
    """What is pending of one group, by id."""

    def __init__(self, view: View, group: bytes) -> None:
        self._view = view
        self._prefix = _of(PENDING, group)
        self._order = order_of(view)

    def count(self) -> int:
        """How many there are."""
        return self._order.count_between(self._prefix + ZERO_ID, self._prefix + LAST_ID)

    def between(self, low: bytes, high: bytes = LAST_ID) -> list[bytes]:
        """The elements of the ids from one to another, both inclusive."""
        return list(self._order.aside(self._prefix + low, self._prefix + high))

    def ids(self) -> tuple[bytes, bytes]:
        """The lowest and the highest id. There must be one."""
        found = self.between(ZERO_ID)
        return found[0][-ID_BYTES:], found[-1][-ID_BYTES:]

    def by_consumer(self) -> dict[bytes, list[bytes]]:
        """The elements of each consumer that has any."""
        found: dict[bytes, list[bytes]] = {}
        for element in self.between(ZERO_ID):
            held = pending_of(self._view, element)
            if held is not None:
                found.setdefault(held.consumer, []).append(element)
        return found


def consumers_of(view: View, group: bytes) -> dict[bytes, int]:
    """All consumers, sorted, and when each was last seen, in ms; 0 for one that only has entries.
    """
    prefix = _of(CONSUMER, group)
    elements = order_of(view).of_prefix(prefix)
    found = {element[len(prefix) :]: seen_ms(view, group, element[len(prefix) :])
             for element in elements}
    for consumer in PendingList(view, group).by_consumer():
        found.setdefault(consumer, 0)
    return dict(sorted(found.items()))


def seen_ms(view: View, group: bytes, consumer: bytes) -> int:
    """When a consumer was last seen; -1 if it was not."""
    cells = view.cells(_of(CONSUMER, group) + consumer)
    return max((_u64(payload[8:16]) for _, payload in cells), default=-1)


def new_entries(view: View, name: bytes, group: Group, most: int) -> list[bytes]:
    """The elements of so many entries that the group was not given, by id; 0 for all of them."""
    order = order_of(view)
    found = late_entries(view, name, group)
    edges = edges_of(group.rows)
    for element in order.behind(max(group.last, group.passed)):
        if most and len(found) >= most:
            break
        if not _is_given(view, element, edges):
            found.append(element)
    return found[:most] if most else found


def late_entries(view: View, name: bytes, group: Group) -> list[bytes]:
    """The elements of entries up to the group's last id that it was not given, by id."""
    passed = ENTRY + group.passed
    return sorted(
        element for element in _late(view, order_of(view), name, group) if element > passed)


def _is_given(view: View, element: bytes, edges: list[bytes]) -> bool:
    return all(covers(edges, dot) for dot, _ in view.cells(element))


def _late(view: View, order: StreamOrder, name: bytes, group: Group) -> set[bytes]:
    """The entries whose ids are not above the last one, and that were not given."""
    known = order.late.get(name)
    if known is None or known.start != group.start or known.last > group.last:
        found = _first_look(view, order, group)
        order.late[name] = Late(group.start, group.last, group.rows, found)
        return found
    if known.last != group.last or known.rows != group.rows:
        edges = edges_of(group.rows)
        for element in [*known.entries, *order.between(known.last, group.last)]:
            if not _is_given(view, element, edges):
                known.entries.add(element)
            else:
                known.entries.discard(element)
        order.late[name] = Late(group.start, group.last, group.rows, known.entries)
    return known.entries


def _first_look(view: View, order: StreamOrder, group: Group) -> set[bytes]:
    """The same from nothing: by the entries up to the last one, or by those that were not given,
    whichever are fewer."""
    given = order.span(ZERO_ID, group.last)
    if 2 * len(given) > order.count():
        top = ENTRY + group.last
        return {element for element in unknown_to(view, group.rows) if element <= top}
    edges = edges_of(group.rows)
    return {element for element in given if not _is_given(view, element, edges)}


# ---- what Redis counts ----

def distance(view: View, whole: Whole, id_: bytes) -> int:
    """How many entries were ever added up to an id; `UNKNOWN`, if that is not known."""
    if not whole.added:
        return 0
    size, first = count(view), first_id(view)
    if id_ == whole.last or (not size and id_ < whole.last):
        return whole.added
    if id_ > whole.last or not size:
        return UNKNOWN
    if whole.deleted == ZERO_ID or whole.deleted < first:
        if id_ < first:
            return whole.added - size
        if id_ == first:
            return whole.added - size + 1
    return UNKNOWN


def has_gaps(view: View, whole: Whole, low: bytes) -> bool:
    """Whether XDEL may have removed an entry with this id or a higher one."""
    if not count(view) or whole.deleted == ZERO_ID or whole.deleted < first_id(view):
        return False
    return low <= whole.deleted


def lag(view: View, whole: Whole, group: Group) -> int | None:
    """How many entries are yet to be given; None if that is not known."""
    if not whole.added:
        return 0
    if group.read != UNKNOWN and not has_gaps(view, whole, group.last):
        return whole.added - group.read
    read = distance(view, whole, group.last)
    return None if read == UNKNOWN else whole.added - read


# ---- changing ----

def write_group(draft: Draft, name: bytes, group: Group) -> None:
    """What the group was given from now on."""
    draft.begin()
    element = GROUP + name
    clock = keyed.clock_above(draft.stamp, draft.highest(draft.cells(element)))
    draft.put(element, _pack_group(clock, *group[:4]) + group.rows)


def begun(view: View, before: Group | None, dot: bytes, id_: bytes, read: int) -> Group:
    """A group as CREATE or SETID makes it: it was given all up to this id. `dot`: a new one."""
    turn = _u64(before.start[:4]) + 1 if before is not None else 0
    start = turn.to_bytes(4) + dot
    return Group(start, id_, _passed(view, id_), read, _rows_up_to(view, id_))


def _passed(view: View, id_: bytes) -> bytes:
    return id_ if id_ > whole_of(view).last else ZERO_ID


def moved_up(view: View, group: Group, id_: bytes) -> Group:
    """The group as if it was given all up to a higher id."""
    rows = unite_rows(group.rows, _rows_up_to(view, id_))
    passed = max(group.passed, _passed(view, id_))
    return Group(group.start, id_, passed, group.read, rows)


def consumers_in(record: bytes) -> int:
    """How many consumers all groups of a record have."""
    if not record or not record[1] & codec.ELEMENTS:
        return 0
    return counts_of(record).get(CONSUMER, 0)


def _rows_up_to(view: View, id_: bytes) -> bytes:
    """Rows that cover the entries up to an id and no other."""
    if not count(view) or id_ == ZERO_ID:
        return b""
    order = order_of(view)
    tops: dict[bytes, int] = {}     # by actor: the lowest counter of its entries behind the id
    for element in order.behind(id_):
        for dot, _ in view.cells(element):
            tops[dot[:16]] = min(tops.get(dot[:16], 1 << 63), _u64(dot[16:]))
    rows = codec.rows_of(view.record)
    kept: list[bytes] = []
    for at in range(0, len(rows), ROW_BYTES):
        top = tops.get(rows[at : at + 16], 1 << 63) - 1
        if _u64(rows[at + 16 : at + 24]) < top:
            kept.append(rows[at : at + 24] + min(rows[at + 24 : at + 32], top.to_bytes(8)))
    found = b"".join(kept)
    if not tops:
        return found
    edges = edges_of(found)
    others = [dot for element in order.between(ZERO_ID, id_) for dot, _ in view.cells(element)
              if not covers(edges, dot)]
    return unite_rows(found, rows_of_dots(others))


def given(view: View, whole: Whole, group: Group, elements: list[bytes]) -> Group:
    """The group once it was given these entries, in the order of their ids."""
    tops: dict[bytes, bytes] = {}
    last, read = group.last, group.read
    for element in elements:
        id_ = element[1:]
        for dot, _ in view.cells(element):
            tops[dot[:16]] = max(tops.get(dot[:16], b""), dot[16:])
        if id_ > last:
            if read != UNKNOWN and not has_gaps(view, whole, id_):
                read += 1
            elif whole.added:
                read = distance(view, whole, id_)
            last = id_
    rows = codec.rows_of(view.record)
    kept: list[bytes] = []
    for at in range(0, len(rows), ROW_BYTES):
        top = tops.get(rows[at : at + 16], b"")
        if top and rows[at + 16 : at + 24] < top:
            kept.append(rows[at : at + 24] + min(rows[at + 24 : at + 32], top))
    return Group(group.start, last, group.passed, read, unite_rows(group.rows, b"".join(kept)))


def write_pending(draft: Draft, element: bytes, held: Pending) -> None:
    """An entry is pending with this consumer."""
    draft.begin()
    there = draft.cells(ENTRY + element[-ID_BYTES:])
    dot = there[0][0] if there else held.dot
    clock = keyed.clock_above(draft.stamp, draft.highest(draft.cells(element)))
    draft.put(element, _pack_pending(clock, held.given_ms, held.times, dot) + held.consumer)


def see(draft: Draft, group: bytes, consumer: bytes, *, always: bool) -> bool:
    """Note that a consumer was here; whether it is new. Not `always`: if it was not lately."""
    before = seen_ms(draft, group, consumer)
    if before >= 0 and not always and before + SEEN_MS > draft.now_ms:
        return False
    write_seen(draft, group, consumer, draft.now_ms)
    return before < 0


def write_seen(draft: Draft, group: bytes, consumer: bytes, at_ms: int) -> None:
    """A consumer was here at this time."""
    element = _of(CONSUMER, group) + consumer
    draft.begin()
    clock = keyed.clock_above(draft.stamp, draft.highest(draft.cells(element)))
    draft.put(element, clock.to_bytes(8) + at_ms.to_bytes(8))


def forget_consumer(draft: Draft, group: bytes, consumer: bytes) -> int:
    """Remove a consumer, and what is pending with it; how much that was."""
    elements = PendingList(draft, group).by_consumer().get(consumer, [])
    for element in elements:
        draft.drop(element)
    draft.drop(_of(CONSUMER, group) + consumer)
    return len(elements)


def forget_group(draft: Draft, group: bytes) -> None:
    """Remove a group, and all that it has."""
    order = order_of(draft)
    elements = order.of_prefix(_of(CONSUMER, group)) + PendingList(draft, group).between(ZERO_ID)
    for element in elements:
        draft.drop(element)
    draft.drop(GROUP + group)

