"""Element maps of many elements: a head, and two trees that never change (`persistent_tree`).

A small element map is one piece of bytes and is copied with every write. A large one would be
copied as well, so above `BIG_BYTES` it is taken apart: the head, in the layout of `element_map`
with the form BIG and without elements; the cells in a tree by element; their dots in a tree by
dot. A write makes a few new nodes in each, about the logarithm of the number of elements, and a
new head. All else is shared, so a state that a caller holds on to stays as it is.

The digest is that of the head: whether a copy is big makes no difference to it. Between nodes such
a record travels as a small one does (`flat`), or in pieces: what it says of some stretch of dots
(`restricted`) is a record by itself, for it names the dots that it has seen and those that live.

Source: decision 0050.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.causal import cell_tree, dot_tree, element_map
from respdyn.causal.big_record import BigRecord, Lineage
from respdyn.causal.element_map import (
    INLINE,
    Entry,
    counts_of,
    inline_entries,
    key_entries_of,
    mark_in,
    pack_body,
    pack_inline,
    pack_key,
    rows_of,
)
from respdyn.causal.form import BIG, CLOCK_BYTES, ELEMENTS, EXPIRES, LIVE, form_of, seal
from respdyn.causal.marks import mark_of
from respdyn.causal.persistent_tree import Node, leaves
from respdyn.causal.rows import ROW_BYTES, covers, edges_of, unite_rows

BIG_BYTES: Final = 2048         # a map of more is taken apart
SMALL_BYTES: Final = 1024       # and put together again once its cells have less
# Those of whose elements nothing must be found by its order in the record.
KINDS: Final = frozenset((b"e", b"f", b"g", b"l", b"m", b"p", b"t", b"u", b"z"))
ORDERED: Final = (b"e", b"g", b"l", b"p", b"u", b"z")   # those for which lineages are kept
# So many joins are kept, and one more for each 16 elements; after more, all is read as well.
LINEAGE_MIN: Final = 1000
ONE_BY_ONE: Final = 200         # elements that a join takes out, be they most of all
_ALL: Final = 1 << 62
_u64: Final = int.from_bytes


def should_be_big(record: bytes) -> bool:
    """Whether a small record should be taken apart."""
    return len(record) > BIG_BYTES and record[1] & ELEMENTS != 0 and not record[1] & BIG and (
        all(kind in KINDS for kind in counts_of(record)) and bool(counts_of(record))
    )


def trees_of(record: bytes) -> BigRecord:
    """A big record as what it is."""
    assert isinstance(record, BigRecord), "a head without its elements"
    return record


def weight(record: bytes) -> int:
    """How many bytes a record takes, its elements among them."""
    if not record or not record[1] & BIG:
        return len(record)
    big = trees_of(record)
    cells: Node | None = big.cells
    dots: Node | None = big.dots
    return (
        len(record) + (cells.weight if cells is not None else 0)
        + (dots.weight if dots is not None else 0)
    )


def roots_of(record: bytes) -> list[Node]:
    """The roots of both trees of a big record."""
    big = trees_of(record)
    cells: Node | None = big.cells
    dots: Node | None = big.dots
    return [root for root in (cells, dots) if root is not None]


def weight_of_cells(record: bytes) -> int:
    """How many bytes the elements of a big record take."""
    cells: Node | None = trees_of(record).cells
    return 0 if cells is None else cells.weight


# ---- to and fro ----

def taken_apart(record: bytes) -> bytes:
    """A small element map as a big one: all its elements are touched."""
    entries = element_map.entries_of(record)
    inline = [entry for entry in entries if entry[0][:1] in INLINE]
    return _made(record, inline, mark_in(record))


def put_together(record: bytes) -> bytes:
    """A big map as a small one, in one piece of bytes, as it is stored and sent."""
    return seal(*element_map.build(rows_of(record), entries_of(record), mark_in(record)))


def assemble(head: bytes, inline: list[Entry]) -> bytes:
    """A big record from its head as it was stored and its elements in the order of their places.

    What the head says is believed; the mark of the elements is to be compared by the caller.
    """
    return _made(head, inline, mark_in(head))


def _made(head: bytes, inline: list[Entry], mark: int) -> bytes:
    actors = element_map.actors_of(rows_of(head))
    places = {actor: place for place, actor in enumerate(actors)}
    groups: dict[bytes, list[Entry]] = {}
    for entry in inline:
        groups.setdefault(entry[0], []).append(entry)
    cells: list[tuple[bytes, bytes]] = []
    dots: list[bytes] = []
    for element, held in groups.items():
        place = cell_tree.place_of(element)
        cells.append((place, b"".join([pack_inline(entry, places) for entry in held])))
        for _, dot, payload in held:
            key = dot_tree.key_of(places[dot[:16]], dot[16:], place)
            dots.append(key + mark_of(element, dot, payload).to_bytes(8))
    cells.sort()
    dots.sort()
    counts: dict[bytes, int] = {}
    for element in groups:
        counts[element[:1]] = counts.get(element[:1], 0) + 1
    return _sealed(
        cell_tree.build(cells), dot_tree.build(dots), actors, list(groups), mark, counts,
        rows_of(head), key_entries_of(head),
    )


def _sealed(
    cells: Node | None, dots: Node | None, actors: list[bytes], touched: list[bytes], mark: int,
    counts: dict[bytes, int], rows: bytes, key: list[Entry],
) -> bytes:
    form = ELEMENTS | BIG
    top = bytes(CLOCK_BYTES)
    if cells is not None:
        top = cells.top
        if cells.live:
            form |= LIVE
    if counts.get(b"t", 0):
        form |= EXPIRES
    for element, _, payload in key:
        form |= form_of(element[:1], payload)
        top = max(top, payload[:CLOCK_BYTES])
    big = BigRecord(seal(form, pack_body(top, mark, counts, rows, pack_key(key), b"")))
    big.cells = cells
    big.dots = dots
    big.actors = actors
    big.touched = touched
    return big


def entries_of(record: bytes) -> list[Entry]:
    """All entries of a big map, sorted by element and dot."""
    big = trees_of(record)
    entries = key_entries_of(record)
    cells: Node | None = big.cells
    actors: list[bytes] = big.actors
    if cells is not None:
        for data in leaves(cells, b""):
            entries += inline_entries(data, 0, len(data), actors)
    entries.sort()
    return entries


# ---- looking ----

def cells_of(record: bytes, element: bytes) -> list[tuple[bytes, bytes]]:
    """(dot, payload) of each cell of an element of an element map, big or small."""
    if not record[1] & BIG:
        return element_map.cells_of(record, element)
    big = trees_of(record)
    cells: Node | None = big.cells
    packed = cell_tree.find(cells, element)
    if not packed:
        return []
    actors: list[bytes] = big.actors
    return [
        (dot, payload) for _, dot, payload in inline_entries(packed, 0, len(packed), actors)
    ]


def names_of(record: bytes, kind: bytes, count: int, place: bytes = b"") -> list[bytes]:
    """So many elements of a kind of an element map, in some order that it has.

    From a place on (`cell_tree.place_of`), if the map is big.
    """
    if not record[1] & BIG:
        return element_map.names_of(record, kind, count)
    big = trees_of(record)
    cells: Node | None = big.cells
    found: list[bytes] = []
    if count > 0:
        for element in cell_tree.names(cells, place, kind):
            found.append(element)
            if len(found) >= count:
                break
    return found


def every_name(record: bytes, kind: bytes) -> Iterator[bytes]:
    """All elements of a kind of a big map, in the order of the tree."""
    cells: Node | None = trees_of(record).cells
    return cell_tree.names(cells, b"", kind)


def nth(record: bytes, kind: bytes, index: int) -> bytes:
    """The element of a kind at this place of the order."""
    big = trees_of(record)
    cells: Node | None = big.cells
    before = sum(count for other, count in counts_of(record).items() if other < kind)
    return cell_tree.nth(cells, kind, index, before)


def first_of(record: bytes) -> tuple[bytes, bytes]:
    """Element and payload of a first cell of an element map; b"" for both if there is none."""
    if not record[1] & BIG:
        return element_map.first_of(record)
    big = trees_of(record)
    cells: Node | None = big.cells
    if cells is None:
        return b"", b""
    for data in leaves(cells, b""):
        return element_map.first_in(data, 0)
    return b"", b""


def has_upto(record: bytes, actor: bytes, counter: int) -> bool:
    """Whether a cell with a dot of this actor up to this counter lives in a big map."""
    big = trees_of(record)
    actors: list[bytes] = big.actors
    dots: Node | None = big.dots
    if any(dot[:16] == actor and _u64(dot[16:]) <= counter
           for _, dot, _ in key_entries_of(record)):
        return True
    if actor not in actors:
        return False
    start = actors.index(actor).to_bytes(2)
    return dot_tree.total(dots, start + bytes(8), start + counter.to_bytes(8))[0] > 0


def is_plain(record: bytes) -> bool:
    """Whether a big map's elements have one cell each, a field's a value: nothing is counted."""
    if not record[1] & BIG:
        return False
    big = trees_of(record)
    cells: Node | None = big.cells
    return cells is None or not (cells.odd or cells.crowded)


# ---- joining ----

class _Change:
    """What is to become of a big map: kept apart until all is known."""

    def __init__(self, record: bytes) -> None:
        big = trees_of(record)
        self.cells: Node | None = big.cells
        self.dots: Node | None = big.dots
        self.actors: list[bytes] = big.actors
        self.places = {actor: place for place, actor in enumerate(self.actors)}
        self.counts = counts_of(record)
        self.mark = mark_in(record)
        self.key = key_entries_of(record)
        self.touched: list[bytes] = []

    def place(self, actor: bytes) -> int:
        """The place of an actor, be it a new one."""
        found = self.places.get(actor, -1)
        if found < 0:
            found = self.places[actor] = len(self.actors)
            self.actors = [*self.actors, actor]
        return found

    def write(self, element: bytes, before: bytes, after: list[Entry]) -> None:
        """Give an element these cells in place of those before."""
        after.sort()
        packed = b"".join([pack_inline(entry, self.places) for entry in after])
        self.cells = cell_tree.put(self.cells, element, before, packed)
        kind = element[:1]
        self.counts[kind] = self.counts.get(kind, 0) + bool(after) - bool(before)
        self.touched.append(element)

    def come(self, entry: Entry) -> None:
        """A dot is alive from now on."""
        element, dot, payload = entry
        mark = mark_of(element, dot, payload)
        self.mark ^= mark
        if element[:1] in INLINE:
            self.dots = dot_tree.put(self.dots, self._key(element, dot) + mark.to_bytes(8))

    def go(self, entry: Entry) -> None:
        """A dot is dead from now on."""
        element, dot, payload = entry
        self.mark ^= mark_of(element, dot, payload)
        if element[:1] in INLINE:
            self.dots = dot_tree.drop(self.dots, self._key(element, dot))

    def _key(self, element: bytes, dot: bytes) -> bytes:
        return dot_tree.key_of(self.place(dot[:16]), dot[16:], cell_tree.place_of(element))


def joined(record: bytes, their_rows: bytes, theirs: list[Entry]) -> bytes:
    """A big map joined with what another record holds; the map itself if it knows all of that.

    It touches the elements of the other and those that the other has seen die.
    """
    change = _Change(record)
    our_rows = rows_of(record)
    rows = unite_rows(our_rows, their_rows)
    edges, their_edges = edges_of(our_rows), edges_of(their_rows)
    listed = {dot + element: payload for element, dot, payload in theirs}
    gone: list[Entry] = []
    new: dict[bytes, list[Entry]] = {}
    for entry in theirs:
        if not covers(edges, entry[1]):
            new.setdefault(entry[0], []).append(entry)
    key: list[Entry] = []
    for entry in change.key:
        stays = _fate(entry, their_edges, listed)
        if stays is not entry:
            gone.append(entry)
        if stays is not None:
            (key if stays is entry else new.setdefault(entry[0], [])).append(stays)
    for element, fresh in new.items():
        if element[:1] not in INLINE:
            key += fresh
    key.sort()
    covered = _covered(change, their_rows)
    if covered is None:
        return _rebuilt(change, rows, their_rows, theirs, key, edges)
    names = dict.fromkeys(covered)
    names.update(dict.fromkeys(element for element in new if element[:1] in INLINE))
    for element in names:
        before = cell_tree.find(change.cells, element)
        left = new.get(element, [])[:]
        is_changed = bool(left)
        for entry in inline_entries(before, 0, len(before), change.actors):
            stays = _fate(entry, their_edges, listed)
            if stays is not entry:
                gone.append(entry)
                is_changed = True
                if stays is not None:
                    new.setdefault(element, []).append(stays)
            if stays is not None:
                left.append(stays)
        if is_changed:
            for entry in left:
                change.place(entry[1][:16])
            change.write(element, before, left)
    if not gone and not new and rows == our_rows:
        return record
    for entry in gone:
        change.go(entry)
    for fresh in new.values():
        for entry in fresh:
            change.come(entry)
    made = _sealed(
        change.cells, change.dots, change.actors, change.touched, change.mark, change.counts, rows,
        key,
    )
    if any(kind in change.counts for kind in ORDERED) and _baselines(change.key) == _baselines(key):
        _note_lineage(record, made)
    return made


def _baselines(key: list[Entry]) -> list[Entry]:
    return [entry for entry in key if entry[0] == b"r"]


def _note_lineage(record: bytes, made: bytes) -> None:
    """Say of a big map of which other it was made; but if its elements are not what they were,
    though nothing touched them: that is where baselines of the whole key changed."""
    was, became = trees_of(record), trees_of(made)
    before: Lineage | None = was.lineage
    touched: list[bytes] = became.touched
    mark, count = seal_of(record)
    steps = before.steps + 1 if before is not None else 1
    if steps > LINEAGE_MIN + (count >> 4):
        before, steps = None, 1
    became.lineage = Lineage(steps, mark, count, touched, before)


def seal_of(record: bytes) -> tuple[int, int]:
    """The seal of an ordered map's state: its mark, and how many it has of its main kind."""
    counts = counts_of(record)
    return mark_in(record), max(counts.get(kind, 0) for kind in ORDERED)


def lineage_of(record: bytes) -> Lineage | None:
    """The states that a big map was made of, the last one first."""
    found: Lineage | None = trees_of(record).lineage
    return found


def end_lineage(record: bytes) -> None:
    """Forget of which states a big map was made: no caller will need it."""
    trees_of(record).lineage = None


def _fate(
    entry: Entry, their_edges: list[bytes], listed: dict[bytes, bytes]
) -> Entry | None:
    """What becomes of a cell of ours: it stays, or goes, if another has seen it die.

    One event has one payload, but for a bug: then all keep the same one.
    """
    element, dot, payload = entry
    if not covers(their_edges, dot):
        return entry
    other = listed.get(dot + element)
    if other is None:
        return None
    return entry if other <= payload else (element, dot, other)


def _covered(change: _Change, their_rows: bytes) -> list[bytes] | None:
    """The elements with dots that these rows cover; None if those are most of many."""
    found: list[bytes] = []
    covered = stretches(change.actors, their_rows)
    count = 0
    for low, high in covered:
        count += dot_tree.total(change.dots, low, high)[0]
    if count > ONE_BY_ONE and change.dots is not None and count > change.dots.count >> 1:
        return None
    for low, high in covered:
        for entry in dot_tree.between(change.dots, low, high, _ALL):
            found.append(_element_at(change.cells, entry))
    return found


def _element_at(cells: Node | None, entry: bytes) -> bytes:
    """The element of which the tree of dots speaks."""
    return cell_tree.first_with(cells, entry[10:15], entry[:10])


def _rebuilt(
    change: _Change, rows: bytes, their_rows: bytes, theirs: list[Entry], key: list[Entry],
    edges: list[bytes],
) -> bytes:
    """The outcome of a join that takes more than it leaves: made anew of what is left."""
    left = _outside(change, their_rows)
    ours = {dot + element for element, dot, _ in left}
    for entry in theirs:
        element, dot, payload = entry
        if element[:1] in INLINE and dot + element not in ours and (
            not covers(edges, dot) or _is_alive(change, entry)
        ):
            left.append(entry)
    mark = 0
    for element, dot, payload in left + key:
        mark ^= mark_of(element, dot, payload)
    head = _sealed(None, None, [], [], mark, {}, rows, key)
    return _made(head, left, mark) if left else head


def _is_alive(change: _Change, entry: Entry) -> bool:
    """Whether this very cell is alive in a map."""
    element, dot, _ = entry
    packed = cell_tree.find(change.cells, element)
    held = inline_entries(packed, 0, len(packed), change.actors)
    return any(one[1] == dot for one in held)


def _outside(change: _Change, their_rows: bytes) -> list[Entry]:
    """The cells whose dots these rows do not cover."""
    found: list[Entry] = []
    for place, actor in enumerate(change.actors):
        start = place.to_bytes(2)
        low = bytes(8)
        stretches: list[tuple[bytes, bytes]] = []
        for at in range(0, len(their_rows), ROW_BYTES):
            if their_rows[at : at + 16] == actor:
                stretches.append((low, their_rows[at + 16 : at + 24]))
                low = their_rows[at + 24 : at + 32]
        stretches.append((low, b"\xff" * 8))
        for first, last in stretches:
            found += cells_between(change.cells, change.dots, change.actors, start + first,
                                    start + last, _ALL)
    return found


def outside(record: bytes, rows: bytes) -> list[Entry]:
    """The cells of a big map whose dots these rows do not cover."""
    return _outside(_Change(record), rows)


def cells_between(
    cells: Node | None, dots: Node | None, actors: list[bytes], low: bytes, high: bytes, most: int
) -> list[Entry]:
    """The cells with dots above `low` up to `high`, in the order of their dots."""
    found: list[Entry] = []
    for entry in dot_tree.between(dots, low, high, most):
        element = _element_at(cells, entry)
        dot = actors[_u64(entry[:2])] + entry[2:10]
        packed = cell_tree.find(cells, element)
        for one in inline_entries(packed, 0, len(packed), actors):
            if one[1] == dot:
                found.append(one)
    return found


def stretches(actors: list[bytes], rows: bytes) -> list[tuple[bytes, bytes]]:
    """These rows as the tree of dots knows them; none of actors that have no cells."""
    places = {actor: place for place, actor in enumerate(actors)}
    found: list[tuple[bytes, bytes]] = []
    for at in range(0, len(rows), ROW_BYTES):
        place = places.get(rows[at : at + 16], -1)
        if place >= 0:
            start = place.to_bytes(2)
            found.append((start + rows[at + 16 : at + 24], start + rows[at + 24 : at + 32]))
    return found
