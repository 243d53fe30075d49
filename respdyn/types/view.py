"""A collection as its commands see it: `View` to look at, `Draft` to change.

Commands know elements by name: one byte for the kind, then the field or member. A view gives an
element's cells, (dot, payload) of each live dot. A draft is a view that can be written to; it mints
one dot for each cell that it writes, from the stamp's counter on, and reads back what it wrote.
What it did comes out as a delta: the new cells, under a context that covers the cells it saw of
the elements it touched, and nothing else; or, where the key was absent before or is so afterwards,
all that is known of the key.

Source: decision 0036; SEMANTICS 1.3 (the claim) and 6.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from respdyn.causal import codec
from respdyn.causal.dot import Stamp
from respdyn.causal.rows import rows_of_dots, unite_rows
from respdyn.types import resets
from respdyn.types.keyed import BIRTH, ELEMENT_REMARK, REMARK, Cells, Entry, claimed, clock_above

_NONE: Final[Cells] = []
_u64: Final = int.from_bytes


class ElementKind(NamedTuple):
    """What a type of many elements must say of them."""

    letter: bytes
    # What is to be done before the first change of a key that is there.
    prepare: Callable[["Draft"], None]
    # Whether an element is there, its time to live aside.
    is_live: Callable[["View", bytes], bool]


# Whether a record shows the wanted kind at a time; raises `ReplyError` if it shows another.
IsThere = Callable[[bytes, int], bool]


class View:
    """The elements of one kind in a record; none if the key is absent or expired.

    The record is opened by the first question, so that mistakes in a command's words come first.
    """

    def __init__(
        self, record: bytes, now_ms: int, kind: ElementKind, is_there: IsThere
    ) -> None:
        self.record = record
        self.now_ms = now_ms
        self.kind = kind
        self.exists = False
        self._is_there = is_there
        self._is_open = False
        self._cells: dict[bytes, Cells] = {}

    def open(self) -> bool:
        """Whether the key is there. Raises `ReplyError`, WRONGTYPE."""
        if self._is_open:
            return self.exists
        self._is_open = True
        if self.record and self._is_there(self.record, self.now_ms):
            self.exists = True
            self._read()
        return self.exists

    def _read(self) -> None:
        for element, dot, payload in codec.entries_of(self.record):
            held = self._cells.get(element)
            if held is None:
                self._cells[element] = [(dot, payload)]
            else:
                held.append((dot, payload))

    def cells(self, element: bytes) -> Cells:
        """The cells of an element, whatever their time to live; none if it is not there."""
        self.open()
        return self._cells.get(element, _NONE)

    def elements(self) -> list[bytes]:
        """The elements of this kind, sorted; alive or not."""
        return self.elements_of(self.kind.letter)

    def elements_of(self, letter: bytes) -> list[bytes]:
        """The elements whose names begin with a letter, sorted."""
        self.open()
        return sorted(element for element in self._cells if element[:1] == letter)

    def remark_at(self, element: bytes, bound_to: list[bytes]) -> int:
        """When an element expires by the remarks on what it is bound to; 0 if it does not."""
        bounds = [
            _u64(payload[8:16]) for name in bound_to
            for _, payload in self.cells(ELEMENT_REMARK + element + name)
        ]
        return 0 if not bounds or 0 in bounds else max(bounds)


class Draft(View):
    """A view that a command writes to."""

    def __init__(
        self, record: bytes, now_ms: int, kind: ElementKind, is_there: IsThere, stamp: Stamp
    ) -> None:
        super().__init__(record, now_ms, kind, is_there)
        self.stamp = stamp
        self.actor, self._next, self.floor, self.clock = stamp
        self._fresh: dict[bytes, Cells] = {}
        self._gone: list[bytes] = []
        self._left: list[Entry] = []
        self._is_begun = False
        self._is_whole = False          # all that is in the record is covered

    # ---- reading before writing ----

    def highest(self, cells: Cells) -> int:
        """The highest clock of cells that begin with one."""
        return max((_u64(payload[:8]) for _, payload in cells), default=0)

    def is_fresh(self, element: bytes) -> bool:
        """Whether this draft has written the element."""
        return element in self._fresh

    # ---- writing ----

    def put(self, element: bytes, payload: bytes) -> bytes:
        """Write one cell in place of all that an element has; its dot."""
        self.begin()
        self.drop(element)
        return self.add(element, payload)

    def add(self, element: bytes, payload: bytes) -> bytes:
        """Write one cell beside those that an element has; its dot. After `begin`."""
        dot = self._mint()
        self._cells[element] = [*self._cells.get(element, _NONE), (dot, payload)]
        self._fresh.setdefault(element, []).append((dot, payload))
        return dot

    def drop(self, element: bytes) -> None:
        """Cover all cells of an element."""
        self.begin()
        for dot, _ in self._cells.pop(element, _NONE):
            self._gone.append(dot)
        self._fresh.pop(element, None)

    def drop_dot(self, element: bytes, dot: bytes) -> None:
        """Cover one cell of an element."""
        self.begin()
        self._gone.append(dot)
        self._cells[element] = [cell for cell in self._cells[element] if cell[0] != dot]
        if element in self._fresh:
            self._fresh[element] = [cell for cell in self._fresh[element] if cell[0] != dot]

    def expire_key(self, at_ms: int) -> None:
        """Give a key that was absent before a time to live; 0 for none."""
        if at_ms:
            birth = self._fresh[BIRTH][0][0]
            clock = clock_above(self.stamp, 0)
            self.add(REMARK + birth, clock.to_bytes(8) + at_ms.to_bytes(8))

    def begin(self) -> None:
        """Before the first change: an absent key is born, what is there and has expired goes."""
        if self._is_begun:
            return
        self._is_begun = True
        if not self.open():
            self._cover_all()
            self._born()
            return
        self.kind.prepare(self)
        if not any(payload[8:9] == self.kind.letter for _, payload in self._cells.get(BIRTH, ())):
            self._born()

    def _born(self) -> None:
        clock = clock_above(self.stamp, codec.max_clock(self.record) if self.record else 0)
        dot = self._mint()
        payload = clock.to_bytes(8) + self.kind.letter
        self._cells[BIRTH] = [*self._cells.get(BIRTH, _NONE), (dot, payload)]
        self._fresh.setdefault(BIRTH, []).append((dot, payload))

    def _cover_all(self) -> None:
        if self._is_whole or not self.record:
            return
        self._is_whole = True
        stamp = self.actor, self._next, self.floor, self.clock
        self._left = resets.left(self.record, stamp)
        if resets.has_dot(self._left, stamp):
            self._next += 1

    def next_dot(self) -> bytes:
        """The dot of the cell that is written next."""
        return self.actor + self._next.to_bytes(8)

    def _mint(self) -> bytes:
        dot = self.next_dot()
        self._next += 1
        return dot

    # ---- the outcome ----

    def is_empty(self) -> bool:
        """Whether nothing of this kind is left."""
        letter, is_live = self.kind.letter, self.kind.is_live
        return not any(
            element[:1] == letter and is_live(self, element) for element in self._cells
        )

    def delta(self) -> bytes:
        """What was changed, as a record to be joined; b"" if nothing was."""
        if not self._is_begun:
            return b""
        if self.is_empty():
            if not self.exists:
                return b""
            self._fresh.clear()
            self._cover_all()
        rows = codec.rows_of(self.record) if self._is_whole else rows_of_dots(self._gone)
        counter = self.stamp[1]
        if self._next > counter:
            rows = unite_rows(rows, claimed(
                codec.rows_of(self.record), self.actor, counter, self._next - counter, self.floor,
            ))
        made = self._left + [
            (element, dot, payload)
            for element, cells in self._fresh.items() for dot, payload in cells
        ]
        made.sort()
        return codec.encode_entries(rows, made)
