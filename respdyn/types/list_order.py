"""The items of a big list in their order, kept beside its record.

A big record has its elements in an order of checksums (`causal.big`). That of their positions is
read once and then follows the record: a big record says of which states it was made, and what was
touched since. As the orders of sorted sets (`score_order`), it changes no answer and is given up
when there are too many.
"""

from typing import Final

from sortedcontainers import SortedList  # type: ignore[import-untyped]

from respdyn.types.score_order import Orders
from respdyn.types.view import ElementKind, View, always, has_cells, nothing_expires

LETTER: Final[bytes] = b"l"


class Places:
    """The elements of a list, by their positions."""

    __slots__ = ("_sorted",)

    def __init__(self, elements: list[bytes]) -> None:
        self._sorted = SortedList(elements)

    def __len__(self) -> int:
        return len(self._sorted)

    def set(self, element: bytes, *, is_there: bool) -> None:
        """Have an element in it, or not."""
        if is_there:
            if element not in self._sorted:
                self._sorted.add(element)
        else:
            self._sorted.discard(element)

    def span(self, start: int, end: int) -> list[bytes]:
        """Those from one place up to another, which is not among them."""
        found: list[bytes] = self._sorted[max(start, 0) : max(end, 0)]
        return found


def order_of(view: View) -> Places:
    """The elements in their order. It is not to be changed, nor kept. Of a big record alone."""
    assert view.is_big(), "the order of what was changed"
    return ORDERS.of(view)


def _read(view: View) -> Places:
    return Places(view.elements())


def _follow(order: Places, view: View, element: bytes) -> None:
    order.set(element, is_there=bool(view.cells(element)))


def _view_of(record: bytes, now_ms: int) -> View:
    return View(record, now_ms, ITEMS, always)


ITEMS: Final[ElementKind] = ElementKind(LETTER, nothing_expires, has_cells)
ORDERS: Final[Orders[Places]] = Orders(LETTER, _read, _follow, lambda: Places([]), _view_of)
