"""A collection as its commands see it: `View` to look at, `Draft` to change.

Commands know elements by name: one byte for the kind, then the field or member. A view gives an
element's cells, (dot, payload) of each live dot. A draft is a view that can be written to; it mints
one dot for each cell that it writes, from the stamp's counter on, and reads back what it wrote.
What it did comes out as a delta: the new cells, under a context that covers the cells it saw of
the elements it touched, and nothing else; or, where the key was absent before or is so afterwards,
all that is known of the key.

Source: decision 0036; SEMANTICS 1.3 (the claim) and 6.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from respdyn.causal import big, codec, element_map
from respdyn.causal.dot import Stamp
from respdyn.causal.persistent_tree import Node, leaves
from respdyn.causal.rows import rows_of_dots, unite_rows
from respdyn.types import resets
from respdyn.types.keyed import (
    BIRTH,
    ELEMENT_REMARK,
    REMARK,
    Cells,
    Entry,
    claimed,
    clock_above,
    longest,
)

# Elements of a small record that are looked up one by one; of more, all are read.
LOOKED_UP_MAX: Final = 8

_NONE: Final[Cells] = []
_u64: Final = int.from_bytes


class ElementKind(NamedTuple):
    """What a type of many elements must say of them."""

    letter: bytes
    # What is to be done before the first change of a key that is there.
    prepare: Callable[["Draft"], None]
    # Whether an element is there, its time to live aside.
    is_live: Callable[["View", bytes], bool]


def nothing_expires(draft: "Draft") -> None:
    """Of a kind whose elements have no time to live: no change finds one that has expired."""


def has_cells(view: "View", element: bytes) -> bool:
    """Of a kind whose elements are there as long as anything of them is."""
    return bool(view.cells(element))


# Whether a record shows the wanted kind at a time; raises `ReplyError` if it shows another.
IsThere = Callable[[bytes, int], bool]


def always(record: bytes, now_ms: int) -> bool:
    """The record counts as there, whatever type it shows."""
    return True


def never(record: bytes, now_ms: int) -> bool:
    """The record does not count: what is written takes the place of all of it."""
    return False


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
        self._is_read = False           # all that the record has is in `_cells`
        self._looked_up = 0

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
        """What concerns the key as a whole; its elements are read when they are needed."""
        if self.record[1] & codec.ELEMENTS:
            self._take(element_map.key_entries_of(self.record))
        else:
            self._read_all()

    def _read_all(self) -> None:
        if not self._is_read:
            self._is_read = True
            self._take(codec.entries_of(self.record))

    def _take(self, entries: list[Entry]) -> None:
        """Hold these cells, but for elements that are held already, be they changed since."""
        held = self._cells
        new: dict[bytes, Cells] = {}
        for element, dot, payload in entries:
            if element not in held:
                new.setdefault(element, []).append((dot, payload))
        held.update(new)

    def cells(self, element: bytes) -> Cells:
        """The cells of an element, whatever their time to live; none if it is not there."""
        if not self.open():
            return self._cells.get(element, _NONE)
        found = self._cells.get(element)
        if found is not None or self._is_read or element[:1] not in element_map.INLINE:
            return _NONE if found is None else found
        self._looked_up += 1
        if self._looked_up > LOOKED_UP_MAX and not self.record[1] & codec.BIG:
            self._read_all()
            return self._cells.get(element, _NONE)
        found = big.cells_of(self.record, element)
        self._cells[element] = found
        return found

    def elements(self) -> list[bytes]:
        """The elements of this kind, sorted; alive or not."""
        return self.elements_of(self.kind.letter)

    def elements_of(self, letter: bytes) -> list[bytes]:
        """The elements whose names begin with a letter, sorted."""
        if self.open():
            self._read_all()
        return sorted(
            element for element, cells in self._cells.items() if cells and element[:1] == letter
        )

    def first(self, letter: bytes, count: int) -> list[bytes]:
        """The first of the elements whose names begin with a letter, so many of them."""
        if self.open() and self._is_unread():
            return element_map.names_of(self.record, letter, count)
        return self.elements_of(letter)[:count]

    def last(self, letter: bytes, count: int) -> list[bytes]:
        """The last of them, in their order."""
        if self.open() and self._is_unread():
            return element_map.last_names_of(self.record, letter, count)
        return self.elements_of(letter)[-count:] if count else []

    def _is_unread(self) -> bool:
        """Whether the record's bytes say all, and its elements were not read yet."""
        return (
            self.record[1] & (codec.ELEMENTS | codec.BIG) == codec.ELEMENTS
            and not self._is_read and not self.is_changed()
        )

    def has_any(self, letter: bytes) -> bool:
        """Whether the record has elements whose names begin with a letter, from its head."""
        if not self.open():
            return False
        if self.record[1] & codec.ELEMENTS:
            return letter in element_map.counts_of(self.record)
        return bool(self.elements_of(letter))

    def size(self) -> int:
        """How many elements of this kind there are, alive or not."""
        return self.count_of(self.kind.letter)

    def count_of(self, letter: bytes) -> int:
        """How many elements there are whose names begin with a letter: from the record's head if
        they were not changed since."""
        if self.open() and not self.is_changed() and self.record[1] & codec.ELEMENTS:
            return element_map.counts_of(self.record).get(letter, 0)
        return len(self.elements_of(letter))

    def nth(self, index: int) -> bytes:
        """The element at this place of the order in which a big record has them."""
        return big.nth(self.record, self.kind.letter, index)

    def some_from(self, place: bytes, count: int) -> list[bytes]:
        """So many elements of a big record from a place on, in that order."""
        return big.names_of(self.record, self.kind.letter, count, place)

    def walk(self) -> Iterator[list[bytes]]:
        """The elements of this kind of a big record, some at a time, in that order.

        The cells of those that were given last are at hand.
        """
        return self.walk_of(self.kind.letter)

    def walk_of(self, letter: bytes) -> Iterator[list[bytes]]:
        """The same of the elements whose names begin with a letter."""
        for found in _leaves(self.record, letter):
            self._cells.update(found)
            yield list(found)
            for element in found:
                del self._cells[element]

    def is_big(self) -> bool:
        """Whether the elements are many, and are found by place and number (`causal.big`); not
        while they are being changed."""
        return (
            self.open() and not self.is_changed() and self.record[1] & codec.BIG != 0
        )

    def is_changed(self) -> bool:
        """Whether it was written to."""
        return False

    def remark_at(self, element: bytes, bound_to: list[bytes]) -> int:
        """When an element expires by the remarks on what it is bound to; 0 if it does not."""
        if not self.is_changed() and not (self.record and self.record[1] & codec.EXPIRES):
            return 0
        bounds = [
            _u64(payload[8:16]) for name in bound_to
            for _, payload in self.cells(ELEMENT_REMARK + element + name)
        ]
        return longest(bounds)


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
        self._cells[element] = [*self.cells(element), (dot, payload)]
        self._fresh.setdefault(element, []).append((dot, payload))
        return dot

    def drop(self, element: bytes) -> None:
        """Cover all cells of an element."""
        self.begin()
        self._gone += [dot for dot, _ in self.cells(element)]
        self._cells[element] = []
        self._fresh.pop(element, None)

    def drop_dot(self, element: bytes, dot: bytes) -> None:
        """Cover one cell of an element."""
        self.begin()
        self._gone.append(dot)
        self._cells[element] = [cell for cell in self.cells(element) if cell[0] != dot]
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

    def next_dots(self, count: int) -> list[bytes]:
        """The dots of so many cells that are written next."""
        return [self.actor + (self._next + at).to_bytes(8) for at in range(count)]

    def _mint(self) -> bytes:
        dot = self.next_dot()
        self._next += 1
        return dot

    # ---- the outcome ----

    def is_empty(self) -> bool:
        """Whether nothing of this kind is left."""
        letter, is_live = self.kind.letter, self.kind.is_live
        held = [element for element, cells in self._cells.items() if cells]
        if any(element[:1] == letter and is_live(self, element) for element in held):
            return False
        if not self.exists or self._is_read:
            return True
        # As many as were touched, and one more.
        names = big.names_of(self.record, letter, len(self._cells) + 1)
        if any(element not in self._cells and is_live(self, element) for element in names):
            return False
        return not any(is_live(self, element) for element in self.elements())

    def is_changed(self) -> bool:
        """Whether it was written to."""
        return self._is_begun

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


def _leaves(record: bytes, kind: bytes) -> Iterator[dict[bytes, Cells]]:
    """The elements of a kind of a big record with their cells, a leaf of its tree at a time.

    A reader that wants all elements of a million finds each by a search from the root otherwise.
    The tree never changes, so a walk may stop between two leaves and go on when others have been
    served.
    """
    trees = big.trees_of(record)
    cells: Node | None = trees.cells
    actors: list[bytes] = trees.actors
    if cells is None:
        return
    for data in leaves(cells, kind):
        found: dict[bytes, Cells] = {}
        letter = b""
        for element, dot, payload in element_map.inline_entries(data, 0, len(data), actors):
            letter = element[:1]
            if letter == kind:
                found.setdefault(element, []).append((dot, payload))
        if found:
            yield found
        if letter > kind:
            return
