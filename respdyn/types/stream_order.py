"""The entries of a big stream in the order of their ids, and its groups, kept beside its record.

As the orders of lists and sorted sets (`list_order`, `score_order`): read once, then it follows the
record, and changes no answer. That of a small record is made when it is needed.

Besides, it remembers of each group which entries are *late*: their ids are not above the last one
that the group was given, but no consumer was given them. They came from another coordinator.
"""

from collections.abc import Iterator
from typing import Final

from sortedcontainers import SortedList  # type: ignore[import-untyped]

from respdyn.causal import big
from respdyn.causal.rows import covers, edges_of
from respdyn.types.score_order import Orders
from respdyn.types.view import ElementKind, View, always, has_cells, nothing_expires

LETTER: Final[bytes] = b"g"     # of groups, and of the stream as a whole: every stream has that
ENTRY: Final[bytes] = b"e"
PENDING: Final[bytes] = b"p"
CONSUMER: Final[bytes] = b"u"
ID_BYTES: Final = 16
_LETTERS: Final = ENTRY + LETTER + PENDING + CONSUMER


class Late:
    """The late entries of a group whose last id and delivered rows are these."""

    __slots__ = ("edges", "entries", "last", "rows", "start")

    def __init__(self, start: bytes, last: bytes, rows: bytes, entries: set[bytes]) -> None:
        self.start = start              # which beginning of the group: see `stream_groups`
        self.last = last
        self.rows = rows
        self.edges = edges_of(rows)
        self.entries = entries          # elements


class StreamOrder:
    """Elements of a stream, by their names."""

    __slots__ = ("_aside", "_entries", "late")

    def __init__(self, entries: list[bytes], aside: list[bytes]) -> None:
        self._entries = SortedList(entries)
        self._aside = SortedList(aside)
        self.late: dict[bytes, Late] = {}       # by group

    def __len__(self) -> int:
        return len(self._entries) + len(self._aside)

    def set(self, element: bytes, *, is_there: bool) -> None:
        """Have an element in it, or not."""
        names = self._entries if element[:1] == ENTRY else self._aside
        if not is_there:
            names.discard(element)
        elif element not in names:
            names.add(element)

    # ---- entries ----

    def count(self) -> int:
        """How many there are."""
        return len(self._entries)

    def first(self, count: int) -> list[bytes]:
        """So many entries from the beginning."""
        return list(self._entries.islice(0, count))

    def last(self, count: int) -> list[bytes]:
        """So many entries at the end, in their order."""
        size = len(self._entries)
        return list(self._entries.islice(max(size - count, 0), size))

    def count_below(self, element: bytes) -> int:
        """How many entries have a lower id."""
        found: int = self._entries.bisect_left(element)
        return found

    def between(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[bytes]:
        """The entries from one id to another, both inclusive."""
        found: Iterator[bytes] = self._entries.irange(ENTRY + low, ENTRY + high, reverse=reverse)
        return found

    def span(self, low: bytes, high: bytes) -> list[bytes]:
        """The entries from one id to another, both inclusive, as a list."""
        entries = self._entries
        found: list[bytes] = entries[
            entries.bisect_left(ENTRY + low) : entries.bisect_right(ENTRY + high)
        ]
        return found

    def behind(self, last: bytes) -> Iterator[bytes]:
        """The entries with higher ids."""
        found: Iterator[bytes] = self._entries.irange(ENTRY + last, inclusive=(False, True))
        return found

    # ---- groups, consumers, what is pending ----

    def aside(self, low: bytes, high: bytes) -> Iterator[bytes]:
        """The elements from one name to another, both inclusive."""
        found: Iterator[bytes] = self._aside.irange(low, high)
        return found

    def of_prefix(self, prefix: bytes) -> list[bytes]:
        """The elements whose names begin so."""
        found: list[bytes] = []
        for element in self._aside.irange(prefix):
            if not element.startswith(prefix):
                break
            found.append(element)
        return found

    def count_between(self, low: bytes, high: bytes) -> int:
        """How many elements there are from one name to another, both inclusive."""
        found: int = self._aside.bisect_right(high) - self._aside.bisect_left(low)
        return found


def order_of(view: View) -> StreamOrder:
    """The elements in their order. It is not to be changed, nor kept."""
    if view.is_big():
        return ORDERS.of(view)
    return _read(view)


def _read(view: View) -> StreamOrder:
    aside = [element for letter in (LETTER, PENDING, CONSUMER)
             for element in view.elements_of(letter)]
    return StreamOrder(view.elements_of(ENTRY), aside)


def _follow(order: StreamOrder, view: View, element: bytes) -> None:
    cells = view.cells(element)
    order.set(element, is_there=bool(cells))
    if element[:1] != ENTRY:
        return
    for late in order.late.values():
        if cells and element[1:] <= late.last and not all(
            covers(late.edges, dot) for dot, _ in cells
        ):
            late.entries.add(element)
        else:
            late.entries.discard(element)


def unknown_to(view: View, rows: bytes) -> list[bytes]:
    """The entries with a dot that these rows do not cover."""
    if view.is_big():
        found = {entry[0]: None for entry in big.outside(view.record, rows)}
        return [element for element in found if element[:1] == ENTRY]
    edges = edges_of(rows)
    return [
        element for element in view.elements_of(ENTRY)
        if not all(covers(edges, dot) for dot, _ in view.cells(element))
    ]


def _view_of(record: bytes, now_ms: int) -> View:
    return View(record, now_ms, _ANY, always)


_ANY: Final[ElementKind] = ElementKind(LETTER, nothing_expires, has_cells)      # to look at
ORDERS: Final[Orders[StreamOrder]] = Orders(
    _LETTERS, _read, _follow, lambda: StreamOrder([], []), _view_of)
