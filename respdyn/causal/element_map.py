"""The body of an element map: a key that holds a hash, a set or another type of many elements.

    body        clock u64 | mark u64 | rows u32 | key bytes u32 | kinds u8
                | kinds x (kind u8, elements u32) | rows x (actor 16, lo u64, hi u64)
                | key entries | inline entries
    key entry   element length u32 | payload length u32 | actor 16 | counter u64
                | element | payload
    inline      element length u32 | payload length u32 | actor u16 | counter u64
                | element | payload

Everything before the inline entries is the *head*: enough to see whether two copies are equal
(rows, mark and counts of all cells), whether and until when the key lives, and what it was. Key
entries are about the key as a whole (births `k`, remarks on its time to live `x`, strings `s`,
runs and baselines of counters `c`, `b`, baselines of fields `r`, and any kind that is not known
here); inline entries are its elements (fields `f`, members `m`, `z`, `l`, `e`, `g`, `u`, `p`) and
remarks on those (`t`). Their actor is an index into the distinct actors of the rows. Both are
sorted by element, actor, counter.

A map is written in this form exactly if a kind of `KINDS` is in it; equal maps have equal bytes.
`clock` is the highest clock of all payloads that have one; `elements` counts distinct names.

Source: decision 0036.
"""

from struct import Struct
from typing import Final

from respdyn.causal.form import CLOCK_BYTES, ELEMENTS, form_of, is_long_enough
from respdyn.causal.marks import mark_of
from respdyn.causal.rows import ROW_BYTES, covers, edges_of
from respdyn.errors import DamagedError

# (element, dot as 24 bytes, payload)
Entry = tuple[bytes, bytes, bytes]

INLINE: Final = frozenset(b"efglmptuz"[at : at + 1] for at in range(9))
KINDS: Final = INLINE | {b"k", b"r"}    # with one of these a map has this form

_CLOCKLESS: Final = b"m"
_FIXED: Final = 31              # where the counts begin
_COUNT_BYTES: Final = 5
KEY_ENTRY_BYTES: Final = 32
INLINE_BYTES: Final = 18
_ACTORS_MAX: Final = 65536
_ZERO: Final = bytes(8)

_pack_fixed: Final = Struct(">QIIB").pack
_unpack_fixed: Final = Struct(">QQIIB").unpack_from
_pack_count: Final = Struct(">cI").pack
_pack_sizes: Final = Struct(">II").pack
_pack_inline: Final = Struct(">IIH8s").pack
_unpack_sizes: Final = Struct(">II").unpack_from
_unpack_key: Final = Struct(">II24s").unpack_from
_unpack_inline: Final = Struct(">IIH8s").unpack_from


def is_element_map(entries: list[Entry]) -> bool:
    """Whether a map of these entries is written in this form."""
    return any(entry[0][:1] in KINDS for entry in entries)


def build(rows: bytes, entries: list[Entry], mark: int = -1) -> tuple[int, bytes]:
    """Form and body of a map of sorted entries; `mark`, if the caller knows it already."""
    form, top = ELEMENTS, _ZERO
    key: list[bytes] = []
    inline: list[bytes] = []
    counts: dict[bytes, int] = {}
    actors: dict[bytes, int] = {}
    for at in range(0, len(rows), ROW_BYTES):
        actors.setdefault(rows[at : at + 16], len(actors))
    assert len(actors) <= _ACTORS_MAX
    last = b""
    is_marked = mark >= 0
    mark = max(mark, 0)
    for element, dot, payload in entries:
        kind = element[:1]
        form |= form_of(kind, payload)
        if kind != _CLOCKLESS and payload[:CLOCK_BYTES] > top:
            top = payload[:CLOCK_BYTES]
        if not is_marked:
            mark ^= mark_of(element, dot, payload)
        if kind not in INLINE:
            key += (_pack_sizes(len(element), len(payload)), dot, element, payload)
            continue
        if element != last:
            last = element
            counts[kind] = counts.get(kind, 0) + 1
        inline += (
            _pack_inline(len(element), len(payload), actors[dot[:16]], dot[16:]), element, payload
        )
    return form, pack_body(top, mark, counts, rows, b"".join(key), b"".join(inline))


def pack_body(
    top: bytes, mark: int, counts: dict[bytes, int], rows: bytes, key: bytes, inline: bytes
) -> bytes:
    """The body with this head: its highest clock, its mark, how many elements of each kind."""
    kinds = [kind for kind in sorted(counts) if counts[kind]]
    return b"".join((
        top, _pack_fixed(mark, len(rows) // ROW_BYTES, len(key), len(kinds)),
        *[_pack_count(kind, counts[kind]) for kind in kinds], rows, key, inline,
    ))


def pack_key(entries: list[Entry]) -> bytes:
    """Key entries as bytes."""
    return b"".join([
        _pack_sizes(len(element), len(payload)) + dot + element + payload
        for element, dot, payload in entries
    ])


def pack_inline(entry: Entry, places: dict[bytes, int]) -> bytes:
    """An inline entry as bytes, its actor by its place."""
    element, dot, payload = entry
    return _pack_inline(len(element), len(payload), places[dot[:16]], dot[16:]) + element + payload


def rows_of(record: bytes) -> bytes:
    """The rows of an element map."""
    start = _FIXED + _COUNT_BYTES * record[_FIXED - 1]
    return record[start : start + ROW_BYTES * int.from_bytes(record[22:26])]


def mark_in(record: bytes) -> int:
    """The mark of all cells of an element map."""
    return int.from_bytes(record[14:22])


def head_of(record: bytes) -> bytes:
    """The body of an element map up to its inline entries: it differs where two maps differ."""
    _, _, rows, key_bytes, kinds = _unpack_fixed(record, 6)
    return record[6 : _FIXED + _COUNT_BYTES * kinds + ROW_BYTES * rows + key_bytes]


def head_end(record: bytes) -> int:
    """Where the inline entries begin."""
    _, _, rows, key_bytes, kinds = _unpack_fixed(record, 6)
    end: int = _FIXED + _COUNT_BYTES * kinds + ROW_BYTES * rows + key_bytes
    return end


def counts_of(record: bytes) -> dict[bytes, int]:
    """How many elements there are of each inline kind."""
    counts: dict[bytes, int] = {}
    for at in range(_FIXED, _FIXED + _COUNT_BYTES * record[_FIXED - 1], _COUNT_BYTES):
        counts[record[at : at + 1]] = int.from_bytes(record[at + 1 : at + _COUNT_BYTES])
    return counts


def first_of(record: bytes) -> tuple[bytes, bytes]:
    """Element and payload of the first inline entry; b"" for both if there is none."""
    return first_in(record, head_end(record))


def first_in(inline: bytes, at: int) -> tuple[bytes, bytes]:
    """The same of inline entries that begin here."""
    if at >= len(inline):
        return b"", b""
    element_bytes, payload_bytes, _, _ = _unpack_inline(inline, at)
    middle = at + INLINE_BYTES + element_bytes
    return inline[at + INLINE_BYTES : middle], inline[middle : middle + payload_bytes]


def key_entries_of(record: bytes) -> list[Entry]:
    """The entries about the key as a whole, sorted."""
    end = head_end(record)
    at = end - int.from_bytes(record[26:30])
    entries: list[Entry] = []
    while at < end:
        element_bytes, payload_bytes, dot = _unpack_key(record, at)
        start = at + KEY_ENTRY_BYTES
        middle = start + element_bytes
        at = middle + payload_bytes
        entries.append((record[start:middle], dot, record[middle:at]))
    return entries


def inline_entries(record: bytes, at: int, end: int, actors: list[bytes]) -> list[Entry]:
    """The inline entries that stand from `at` to `end`; `actors` are those of the rows."""
    entries: list[Entry] = []
    while at < end:
        element_bytes, payload_bytes, actor, counter = _unpack_inline(record, at)
        start = at + INLINE_BYTES
        middle = start + element_bytes
        at = middle + payload_bytes
        entries.append((record[start:middle], actors[actor] + counter, record[middle:at]))
    return entries


def cells_of(record: bytes, element: bytes) -> list[tuple[bytes, bytes]]:
    """(dot, payload) of each entry of one inline element.

    Where its name does not occur nothing is read. A place where it does may lie within another
    name or a payload: so what stands before it is gone through, sizes only.
    """
    at = head_end(record)
    size = len(record)
    cells: list[tuple[bytes, bytes]] = []
    actors: list[bytes] = []
    place = record.find(element, at + INLINE_BYTES)
    while place >= 0:
        while at + INLINE_BYTES < place:
            element_bytes, payload_bytes = _unpack_sizes(record, at)
            at += INLINE_BYTES + element_bytes + payload_bytes
        if at >= size:
            return cells
        if at + INLINE_BYTES == place:
            element_bytes, payload_bytes, actor, counter = _unpack_inline(record, at)
            start = place + element_bytes
            at = start + payload_bytes
            if element_bytes == len(element):
                actors = actors or actors_of(rows_of(record))
                cells.append((actors[actor] + counter, record[start:at]))
            elif cells:
                return cells
        place = record.find(element, max(at + INLINE_BYTES, place + 1))
    return cells


def entries_of(record: bytes) -> list[Entry]:
    """All entries of an element map, sorted by element and dot."""
    end = head_end(record)
    key = key_entries_of(record)
    entries = key + inline_entries(record, end, len(record), actors_of(rows_of(record)))
    if key and len(entries) > len(key):
        entries.sort()
    return entries


def names_of(record: bytes, kind: bytes, count: int) -> list[bytes]:
    """The first elements of an inline kind, so many of them."""
    at = head_end(record)
    names: list[bytes] = []
    while at < len(record) and len(names) < count:
        element_bytes, payload_bytes = _unpack_sizes(record, at)
        element = record[at + INLINE_BYTES : at + INLINE_BYTES + element_bytes]
        if element[:1] == kind and (not names or names[-1] != element):
            names.append(element)
        at += INLINE_BYTES + element_bytes + payload_bytes
    return names


def last_names_of(record: bytes, kind: bytes, count: int) -> list[bytes]:
    """The last elements of an inline kind, so many of them, in their order."""
    at = head_end(record)
    places: list[int] = []
    while at < len(record):
        element_bytes, payload_bytes = _unpack_sizes(record, at)
        if record[at + INLINE_BYTES : at + INLINE_BYTES + 1] == kind:
            places.append(at)
        at += INLINE_BYTES + element_bytes + payload_bytes
    names: list[bytes] = []
    while places and len(names) < count:
        at = places.pop()
        element_bytes, _ = _unpack_sizes(record, at)
        element = record[at + INLINE_BYTES : at + INLINE_BYTES + element_bytes]
        if not names or names[-1] != element:
            names.append(element)
    names.reverse()
    return names


def letters_of(record: bytes) -> list[int]:
    """The first byte of each element in an element map, sorted: it is read no further than needed.

    Elements are counted by kind before the entries; those about the key are read.
    """
    _, _, rows, key_bytes, kinds = _unpack_fixed(record, 6)
    letters = [record[_FIXED + _COUNT_BYTES * at] for at in range(kinds)]
    at = _FIXED + _COUNT_BYTES * kinds + ROW_BYTES * rows
    end = at + key_bytes
    while at < end:
        element_bytes, payload_bytes, _ = _unpack_key(record, at)
        letters.append(record[at + KEY_ENTRY_BYTES])
        at += KEY_ENTRY_BYTES + element_bytes + payload_bytes
    return sorted(set(letters))


def meet(
    ours: list[Entry], our_rows: bytes, theirs: list[Entry], their_rows: bytes
) -> tuple[list[Entry], int, int]:
    """The entries that survive a join, sorted, and how they differ from ours.

    That is the XOR of the marks of what came and went, and how many those are. A live dot survives
    if both have it, or if one has it and the other has not seen it (`dotted_map.join`).
    """
    marks = changes = 0
    both = {dot + element: payload for element, dot, payload in theirs}
    left: list[Entry] = []
    edges = edges_of(their_rows)
    for entry in ours:
        element, dot, payload = entry
        other = both.pop(dot + element, None)
        if other <= payload if other is not None else not covers(edges, dot):
            left.append(entry)
        else:
            marks ^= mark_of(element, dot, payload)
            changes += 1
            if other is not None:       # one event has one payload, but for a bug: all keep one
                marks ^= mark_of(element, dot, other)
                left.append((element, dot, other))
    if both:
        edges = edges_of(our_rows)
        known = len(left)
        for entry in theirs:
            element, dot, payload = entry
            if dot + element in both and not covers(edges, dot):
                left.append(entry)
                marks ^= mark_of(element, dot, payload)
                changes += 1
        if len(left) > known:
            left.sort()
    return left, marks, changes


def verify(record: bytes) -> None:
    """Raise `DamagedError` unless this is what `build` makes. Version and checksum were checked."""
    size = len(record)
    if size < _FIXED:
        raise DamagedError("an element map cut short")
    clock, mark, row_count, key_bytes, kinds = _unpack_fixed(record, 6)
    start = _FIXED + _COUNT_BYTES * kinds
    at = start + ROW_BYTES * row_count
    if at + key_bytes > size:
        raise DamagedError("an element map cut short")
    rows = record[start:at]
    edges = edges_of(rows)
    form, top, found = _verify_key(record, at, at + key_bytes, edges)
    more, clock_bytes, marks, counts = _verify_inline(record, at + key_bytes, rows, edges)
    form |= more | ELEMENTS
    stated = b"".join(_pack_count(kind, counts[kind]) for kind in sorted(counts))
    if (
        form != record[1] or clock != int.from_bytes(max(top, clock_bytes))
        or mark != found[0] ^ marks or record[_FIXED:start] != stated
        or not (counts or found[1])
    ):
        raise DamagedError("a head that the contents do not have")


def _verify_key(
    record: bytes, at: int, end: int, edges: list[bytes]
) -> tuple[int, bytes, tuple[int, bool]]:
    """Form, highest clock, mark of the key entries; and whether they ask for this form."""
    form, mark, is_wanted, top = 0, 0, False, _ZERO
    last = (b"", b"")
    while at < end:
        if at + KEY_ENTRY_BYTES > end:
            raise DamagedError("an entry cut short")
        element_bytes, payload_bytes, dot = _unpack_key(record, at)
        start = at + KEY_ENTRY_BYTES
        middle = start + element_bytes
        at = middle + payload_bytes
        if at > end:
            raise DamagedError("an entry cut short")
        element, payload = record[start:middle], record[middle:at]
        kind = element[:1]
        if kind in INLINE:
            raise DamagedError("an element among what is about the key")
        form |= _check_entry(element, dot, payload, last, edges)
        last = (element, dot)
        top = max(top, payload[:CLOCK_BYTES])
        mark ^= mark_of(element, dot, payload)
        is_wanted = is_wanted or kind in KINDS
    return form, top, (mark, is_wanted)


def _verify_inline(
    record: bytes, at: int, rows: bytes, edges: list[bytes]
) -> tuple[int, bytes, int, dict[bytes, int]]:
    """Form, highest clock, mark and counts of the inline entries, which end the record."""
    form, mark, top = 0, 0, _ZERO
    counts: dict[bytes, int] = {}
    actors = actors_of(rows)
    last = (b"", b"")
    size = len(record)
    while at < size:
        if at + INLINE_BYTES > size:
            raise DamagedError("an entry cut short")
        element_bytes, payload_bytes, actor, counter = _unpack_inline(record, at)
        start = at + INLINE_BYTES
        middle = start + element_bytes
        at = middle + payload_bytes
        if at > size:
            raise DamagedError("an entry cut short")
        element, payload = record[start:middle], record[middle:at]
        kind = element[:1]
        if kind not in INLINE or actor >= len(actors):
            raise DamagedError("no element, or of an actor that is not in the context")
        dot = actors[actor] + counter
        form |= _check_entry(element, dot, payload, last, edges)
        if element != last[0]:
            counts[kind] = counts.get(kind, 0) + 1
        last = (element, dot)
        if kind != _CLOCKLESS:
            top = max(top, payload[:CLOCK_BYTES])
        mark ^= mark_of(element, dot, payload)
    return form, top, mark, counts


def _check_entry(
    element: bytes, dot: bytes, payload: bytes, last: tuple[bytes, bytes], edges: list[bytes]
) -> int:
    """What a sound entry adds to the form. Raises `DamagedError`."""
    kind = element[:1]
    if not is_long_enough(kind, len(payload)):
        raise DamagedError("an entry cut short")
    if (element, dot) <= last:
        raise DamagedError("entries out of order")
    if not covers(edges, dot):
        raise DamagedError("a live dot outside of its context")
    return form_of(kind, payload)


def actors_of(rows: bytes) -> list[bytes]:
    """The distinct actors of rows, in their order."""
    actors: list[bytes] = []
    for at in range(0, len(rows), ROW_BYTES):
        actor = rows[at : at + 16]
        if not actors or actors[-1] != actor:
            actors.append(actor)
    return actors
