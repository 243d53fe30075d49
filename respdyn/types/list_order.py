"""The items of a big list in their order, kept beside its record.

A big record has its elements in an order of checksums (`causal.big`). That of their positions is
read once and then follows the record: a big record says of which states it was made, and what was
touched since. As the orders of sorted sets (`score_order`), it changes no answer and is given up
when there are too many.
"""

from typing import Final

from sortedcontainers import SortedList  # type: ignore[import-untyped]

from respdyn.causal import big, element_map
from respdyn.types.score_order import Orders, Seal
from respdyn.types.view import View

LETTER: Final = b"l"


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
        found: list[bytes] = list(self._sorted.islice(max(start, 0), max(end, 0)))
        return found


def order_of(view: View) -> Places:
    """The elements in their order. It is not to be changed, nor kept. Of a big record alone."""
    assert view.is_big(), "the order of what was changed"
    seal = _seal(view.record)
    order = ORDERS.take(seal)
    if order is None:
        order = _followed(view)
    if order is None:
        order = Places(view.elements())
    ORDERS.keep(seal, order)
    big.end_lineage(view.record)
    return order


def _followed(view: View) -> Places | None:
    """The order of a state that this one was made of, with what was touched since."""
    touched: dict[bytes, None] = {}
    state = big.lineage_of(view.record)
    while state is not None:
        touched.update(dict.fromkeys(state.touched))
        order = ORDERS.take((state.mark, state.size))
        if order is not None:
            for element in touched:
                if element[:1] == LETTER:
                    order.set(element, is_there=bool(view.cells(element)))
            return order
        state = state.before
    return None


def _seal(record: bytes) -> Seal:
    return element_map.mark_in(record), element_map.counts_of(record).get(LETTER, 0)


ORDERS: Final[Orders[Places]] = Orders()
