"""How a big key is stored: its head under its locator, and a row for each of its elements.

    a row's name    0x40 | locator's slot and database (3) | length of the key u32 | key | place
    a row's value   for each cell: dot 24 | length of the payload u32 | payload

So one element that is written costs the disk a row and a head, however many there are. Rows of one
key stand together, in the order in which memory has them (`cell_tree.place_of`), and behind all
heads: a store that is read from end to end gives the head first. A pair whose name begins with
`SWEEP` deletes every name from the rest of it up to, not including, the value; the pairs of a batch
are done in their order, so a key may be deleted and written in one.

**A row that is lost** must not count as an element that was removed: its head says that its dot was
seen. So what is read back is compared with the mark and the counts of the head. Where they differ
the key claims no more than what it can show, its live dots, and the node begins a new life, as for
any damage (decision 0050).
"""

from collections.abc import Iterator
from typing import Final, cast

from respdyn.causal import big, cell_tree, element_map
from respdyn.causal.codec import BIG, encode_entries, verify_head
from respdyn.causal.element_map import Entry
from respdyn.causal.form import is_long_enough
from respdyn.causal.marks import mark_of
from respdyn.causal.parts import fitting
from respdyn.causal.rows import covers, edges_of, rows_of_dots
from respdyn.errors import DamagedError
from respdyn.ports import ROW, SWEEP
from respdyn.ring.hashing import Locator, is_locator

_HEAD: Final = 8                # of a name, before the key
_CELL: Final = 28               # of a cell, before its payload
_u64: Final = int.from_bytes


def prefix_of(locator: Locator) -> bytes:
    """How the names of a key's rows begin."""
    return ROW + locator[:3] + (len(locator) - 3).to_bytes(4) + locator[3:]


def behind(prefix: bytes) -> bytes:
    """A name behind all rows that begin so: kinds are letters."""
    return prefix + b"\xff"


def sweep_of(locator: Locator) -> tuple[bytes, bytes]:
    """The pair that deletes all rows of a key."""
    prefix = prefix_of(locator)
    return SWEEP + prefix, behind(prefix)


def touched_rows(locator: Locator, record: bytes) -> list[bytes]:
    """Flat pairs for the elements in which a big record differs from the one before it."""
    prefix = prefix_of(locator)
    pairs: list[bytes] = []
    touched: list[bytes] = big.trees_of(record).touched
    for element in touched:
        pairs += (prefix + cell_tree.place_of(element), _packed(big.cells_of(record, element)))
    return pairs


def all_rows(locator: Locator, record: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of each row of a big record, in order."""
    prefix = prefix_of(locator)
    for kind in sorted(element_map.counts_of(record)):
        for element in big.every_name(record, kind):
            yield prefix + cell_tree.place_of(element), _packed(big.cells_of(record, element))


def pairs_of(locator: Locator, record: bytes) -> list[bytes]:
    """Flat pairs of all that is stored of a key: the record, or the head and all rows."""
    pairs = [locator, record]
    if record[1] & BIG:
        for name, value in all_rows(locator, record):
            pairs += (name, value)
    return pairs


def _packed(cells: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([dot + len(payload).to_bytes(4) + payload for dot, payload in cells])


def one_head_each(batch: list[bytes], locators: set[bytes]) -> list[bytes]:
    """A turn's batch with the last head only of each of these big keys, where that stands."""
    last: dict[bytes, int] = {}
    for at in range(0, len(batch), 2):
        if batch[at] in locators:
            last[batch[at]] = at
    kept: list[bytes] = []
    for at in range(0, len(batch), 2):
        if last.get(batch[at], at) == at or not batch[at + 1] or not batch[at + 1][1] & BIG:
            kept += (batch[at], batch[at + 1])
    return kept


class Loading:
    """Big keys while the store is read: their heads, then their rows."""

    def __init__(self) -> None:
        self.orphans: dict[Locator, None] = {}        # locators with rows, and no big head
        self._heads: dict[Locator, bytes] = {}
        self._rows: dict[Locator, list[Entry]] = {}

    def head(self, locator: Locator, head: bytes) -> bool:
        """A head was read; False if it is damaged."""
        try:
            verify_head(head)
        except DamagedError:
            return False
        self._heads[locator] = head
        self._rows[locator] = []
        return True

    def row(self, name: bytes, value: bytes) -> bool:
        """A row was read; False if it makes no sense."""
        key_bytes = _u64(name[4:_HEAD])
        locator = cast(Locator, name[1:4] + name[_HEAD : _HEAD + key_bytes])
        place = name[_HEAD + key_bytes :]
        if not is_locator(locator) or len(locator) != 3 + key_bytes:
            return False
        rows = self._rows.get(locator)
        if rows is None:
            self.orphans[locator] = None
            return True
        element = place[5:]
        at = 0
        while at < len(value):
            start = at + _CELL
            end = start + _u64(value[at + 24 : start])
            if (
                end > len(value) or element[:1] not in element_map.INLINE
                or cell_tree.place_of(element) != place
                or not is_long_enough(element[:1], end - start)
                or not any(value[at + 16 : at + 24])    # no dot has the number 0
            ):
                return False
            rows.append((element, value[at : at + 24], value[start:end]))
            at = end
        return True

    def finish(self) -> Iterator[tuple[Locator, bytes, bool]]:
        """Each big key with its record, and whether that is what it was."""
        for locator, head in self._heads.items():
            inline = self._rows.pop(locator)
            key = element_map.key_entries_of(head)
            mark = 0
            counts: dict[bytes, int] = {}
            last = b""
            for element, dot, payload in inline:
                mark ^= mark_of(element, dot, payload)
                if element != last:
                    counts[element[:1]] = counts.get(element[:1], 0) + 1
                    last = element
            for element, dot, payload in key:
                mark ^= mark_of(element, dot, payload)
            edges = edges_of(element_map.rows_of(head))
            if (
                mark == element_map.mark_in(head) and counts == element_map.counts_of(head)
                and all(covers(edges, dot) for _, dot, _ in inline)
            ):
                yield locator, big.assemble(head, inline), True
                continue
            # A damaged head may name a dot with the number 0, which no dot has.
            left = sorted(entry for entry in key + inline if any(entry[1][16:]))
            rows = rows_of_dots([dot for _, dot, _ in left])
            yield locator, fitting(encode_entries(rows, left)), False
        self._heads.clear()
