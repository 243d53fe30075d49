"""The join of a small delta into a large element map: only the bytes of what changes are made anew.

`splice` gives what `element_map.meet` and `build` would, or None where that takes more than one
pass over the entries: where the map's actors change (its cells name them by their place among the
rows), where the delta has nothing new, or something twice, where what goes has a time to live, or
was the last that was alive. Then the caller takes the long way.

What a delta covers of a map is looked for only where both contexts meet: a live dot of the map is
in its own context. Of a new element that is nothing, for the claim of a delta begins behind the
last dot of its actor that the map has seen.

Source: decision 0036.
"""

from struct import Struct
from typing import Final

from respdyn.causal.element_map import (
    INLINE,
    INLINE_BYTES,
    Entry,
    actors_of,
    counts_of,
    first_in,
    head_end,
    inline_entries,
    key_entries_of,
    mark_in,
    pack_body,
    pack_inline,
    pack_key,
    rows_of,
)
from respdyn.causal.form import CLOCK_BYTES, ELEMENTS, EXPIRES, LIVE, form_of
from respdyn.causal.marks import mark_of
from respdyn.causal.rows import ROW_BYTES, covers, edges_of, unite_rows

GONE_MAX: Final = 64            # dots that a delta covers of a map; of more, the long way

_CLOCKLESS: Final = b"m"
_TIMED: Final = (b"t", b"x")
_unpack_sizes: Final = Struct(">II").unpack_from
_unpack_cell: Final = Struct(">II10s").unpack_from
_pack_cell_dot: Final = Struct(">H8s").pack
_u64: Final = int.from_bytes


def splice(ours: bytes, their_rows: bytes, theirs: list[Entry]) -> tuple[int, bytes] | None:
    """Form and body of the element map `ours` joined with a delta; None for the long way."""
    our_rows = rows_of(ours)
    edges = edges_of(our_rows)
    for entry in theirs:
        if covers(edges, entry[1]):
            return None
    covered = _both(our_rows, their_rows)
    rows = unite_rows(our_rows, their_rows)
    actors = actors_of(our_rows)
    if covered is None or (rows != our_rows and actors_of(rows) != actors):
        return None
    key: list[Entry] = []
    gone: list[Entry] = []
    for entry in key_entries_of(ours):
        (gone if entry[1] in covered else key).append(entry)
    new: dict[bytes, list[Entry]] = {}
    for entry in theirs:
        if entry[0][:1] not in INLINE:
            key.append(entry)
        else:
            new.setdefault(entry[0], []).append(entry)
    key.sort()
    places = {actor: place for place, actor in enumerate(actors)}
    counts = counts_of(ours)
    pieces: list[bytes] = []
    written = head_end(ours)
    looked_for = [_pack_cell_dot(places[dot[:16]], dot[16:]) for dot in covered]
    for element, start, end in _touched(ours, looked_for, sorted(new)):
        left = new.get(element, [])
        before = inline_entries(ours, start, end, actors)
        for entry in before:
            if entry[1] in covered:
                gone.append(entry)
            else:
                left.append(entry)
        left.sort()
        kind = element[:1]
        counts[kind] = counts.get(kind, 0) + bool(left) - bool(before)
        pieces.append(ours[written:start])
        pieces += [pack_inline(entry, places) for entry in left]
        written = end
    if not gone and not theirs and rows == our_rows:
        return None
    pieces.append(ours[written:])
    inline = b"".join(pieces)
    form = _form(ours, key, gone, theirs, inline)
    if form < 0:
        return None
    top = _top(ours, key, gone, theirs, inline)
    mark = mark_in(ours)
    for element, dot, payload in gone + theirs:
        mark ^= mark_of(element, dot, payload)
    return form, pack_body(top.to_bytes(8), mark, counts, rows, pack_key(key), inline)


def _both(ours: bytes, theirs: bytes) -> set[bytes] | None:
    """The dots that both rows cover; None if they are many."""
    dots: set[bytes] = set()
    for at in range(0, len(theirs), ROW_BYTES):
        actor = theirs[at : at + 16]
        lo, hi = _u64(theirs[at + 16 : at + 24]), _u64(theirs[at + 24 : at + 32])
        for place in range(0, len(ours), ROW_BYTES):
            if ours[place : place + 16] != actor:
                continue
            first = max(lo, _u64(ours[place + 16 : place + 24]))
            last = min(hi, _u64(ours[place + 24 : place + 32]))
            if last - first > GONE_MAX:
                return None
            dots.update(actor + counter.to_bytes(8) for counter in range(first + 1, last + 1))
    return dots


def _touched(
    record: bytes, looked_for: list[bytes], names: list[bytes]
) -> list[tuple[bytes, int, int]]:
    """Each element that is named, or has a cell that is looked for, and where its cells stand.

    In order. The entries are read no further than the last of them.
    """
    found: list[tuple[bytes, int, int]] = []
    at = first = head_end(record)       # `first`: of the current element
    size = len(record)
    current, is_touched = b"", False
    following = 0
    left = [dot for dot in looked_for if record.find(dot, at) >= 0]
    while at < size:
        element_bytes, payload_bytes, cell_dot = _unpack_cell(record, at)
        element = record[at + INLINE_BYTES : at + INLINE_BYTES + element_bytes]
        if element != current:
            if is_touched:
                found.append((current, first, at))
            current, first, is_touched = element, at, False
            while following < len(names) and names[following] < element:
                found.append((names[following], at, at))
                following += 1
            if following < len(names) and names[following] == element:
                is_touched = True
                following += 1
            elif not left and following == len(names):
                return found
        if left and cell_dot in left:
            is_touched = True
            left = [dot for dot in left if record.find(dot, at + INLINE_BYTES) >= 0]
        at += INLINE_BYTES + element_bytes + payload_bytes
    if is_touched:
        found.append((current, first, at))
    found += [(name, at, at) for name in names[following:]]
    return found


def _form(
    ours: bytes, key: list[Entry], gone: list[Entry], new: list[Entry], inline: bytes
) -> int:
    """The form of the outcome; -1 if it takes a look at all entries."""
    if not inline or any(element[:1] in _TIMED for element, _, _ in gone):
        return -1
    form = ELEMENTS | ours[1] & EXPIRES
    for element, _, payload in key + new:
        form |= form_of(element[:1], payload)
    if not form & LIVE:
        element, payload = first_in(inline, 0)
        if not form_of(element[:1], payload) & LIVE:
            return -1
    return form | LIVE


def _top(
    ours: bytes, key: list[Entry], gone: list[Entry], new: list[Entry], inline: bytes
) -> int:
    """The highest clock of the outcome; all entries are read only if what goes had the highest."""
    before = _u64(ours[6:14])
    top = _highest(new)
    if top >= before or _highest(gone) < before:
        return max(top, before)
    top = max(top, _highest(key))
    at, size = 0, len(inline)
    while at < size and top < before:
        element_bytes, payload_bytes = _unpack_sizes(inline, at)
        start = at + INLINE_BYTES + element_bytes
        if inline[at + INLINE_BYTES : at + INLINE_BYTES + 1] != _CLOCKLESS:
            top = max(top, _u64(inline[start : start + CLOCK_BYTES]))
        at = start + payload_bytes
    return top


def _highest(entries: list[Entry]) -> int:
    """The highest clock of entries; 0 if none has one."""
    return max(
        (_u64(payload[:CLOCK_BYTES]) for element, _, payload in entries
         if element[:1] != _CLOCKLESS), default=0,
    )
