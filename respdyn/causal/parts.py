"""Records of parts of a record, and the same record in its other form.

What a record says of some dots, or of some elements, is a record: it has seen just these, and says
which of them live. So whatever is joined to it learns nothing else, and the join of all parts is
the whole, in whatever order they come.
"""

from collections.abc import Iterable
from typing import Final

from blake3 import blake3

from respdyn.causal import big, spans
from respdyn.causal.codec import BIG, ELEMENTS, ENTRY_BYTES, encode_entries, entries_of, rows_of
from respdyn.causal.element_map import INLINE, Entry, key_entries_of
from respdyn.causal.marks import mark_of
from respdyn.causal.rows import ROW_BYTES, common_rows, covers, edges_of, rows_of_dots

_u64: Final = int.from_bytes


def fitting(record: bytes) -> bytes:
    """A record as it is kept: an element map of many elements in a form of its own (`big`)."""
    return big.taken_apart(record) if big.should_be_big(record) else record


def flat(record: bytes) -> bytes:
    """A record as it is sent: in one piece of bytes."""
    return big.put_together(record) if record and record[1] & BIG else record


def stub(record: bytes) -> bytes:
    """A record as it is sent for a comparison: of a big one the head, which shows that it is big.
    """
    return bytes(record) if is_big(record) else record


def is_big(record: bytes) -> bool:
    """Whether it is a big map, or the head of one."""
    return len(record) > 1 and record[1] & BIG != 0


def restricted(record: bytes, rows: bytes) -> bytes:
    """What a record says of the dots that these rows cover, and of no others: a record as well.

    The join of such pieces is the record, in whatever order they come.
    """
    common = common_rows(rows_of(record), rows)
    if record and record[1] & BIG:
        return encode_entries(common, spans.entries_within(record, common))
    edges = edges_of(common)
    return encode_entries(
        common, [entry for entry in entries_of(record) if covers(edges, entry[1])]
    )


def about(record: bytes, elements: Iterable[bytes]) -> bytes:
    """What a record with many elements says of some of them and of the key as a whole."""
    entries: list[Entry] = key_entries_of(record)
    for element in dict.fromkeys(elements):
        entries += [(element, dot, payload) for dot, payload in big.cells_of(record, element)]
    entries.sort()
    return encode_entries(rows_of_dots([dot for _, dot, _ in entries]), entries)


def beside(delta: bytes, record: bytes) -> bytes:
    """What stands beside what a delta has written, of a record that it was joined into."""
    if not record[1] & BIG or not delta[1] & ELEMENTS:
        return flat(record)
    return about(record, [
        element for element, _, _ in entries_of(delta) if element[:1] in INLINE
    ])


def sum_of(record: bytes, span: bytes) -> tuple[bytes, int]:
    """A short digest of what a record says of the dots in these rows, and how many of them live."""
    if not record:
        return b"", 0
    common = common_rows(rows_of(record), span)
    if record[1] & BIG:
        count, mark = spans.total_within(record, common)
    else:
        count = mark = 0
        edges = edges_of(common)
        for element, dot, payload in entries_of(record):
            if covers(edges, dot):
                count += 1
                mark ^= mark_of(element, dot, payload)
    if not common:
        return b"", 0
    return blake3(b"".join((common, count.to_bytes(8), mark.to_bytes(8)))).digest(16), count


def piece_of(record: bytes, span: bytes, cells: int, size: int) -> tuple[bytes, bytes]:
    """What a record says of the first dots in these rows, and which rows those are.

    That is about so many cells and bytes, but one cell at least; b"" if it says nothing of them.
    """
    if not record:
        return span, b""
    covered: list[bytes] = []
    entries: list[Entry] = []
    if not record[1] & BIG:
        return span, restricted(record, span) if common_rows(rows_of(record), span) else b""
    held = 0
    for at in range(0, len(span), ROW_BYTES):
        row = span[at : at + ROW_BYTES]
        found = spans.first_within(record, row, cells - len(entries))
        for place, (_, dot, payload) in enumerate(found):
            held += len(payload) + ENTRY_BYTES
            if held > size or place + len(entries) + 1 >= cells:
                # Up to this dot, of whatever elements it is.
                found = [entry for entry in found[:place] if entry[1] != dot]
                found += spans.first_within(record, rows_of_dots([dot]), spans.ALL)
                row = row[:24] + dot[16:]
                break
        entries += found
        covered.append(row)
        if held > size or len(entries) >= cells:
            break
    taken = b"".join(covered)
    common = common_rows(rows_of(record), taken)
    if not common:
        return taken, b""
    edges = edges_of(taken)
    entries += [entry for entry in key_entries_of(record) if covers(edges, entry[1])]
    entries.sort()
    return taken, encode_entries(common, entries)


def cut_rows(rows: bytes, pieces: int) -> list[bytes]:
    """The same dots in about so many pieces of about as many counters, each some rows."""
    total = sum(
        _u64(rows[at + 24 : at + 32]) - _u64(rows[at + 16 : at + 24])
        for at in range(0, len(rows), ROW_BYTES)
    )
    most = -(-total // pieces)
    cut: list[bytes] = []
    held, room = b"", most
    for at in range(0, len(rows), ROW_BYTES):
        actor = rows[at : at + 16]
        lo, hi = _u64(rows[at + 16 : at + 24]), _u64(rows[at + 24 : at + 32])
        while lo < hi:
            end = min(hi, lo + room)
            held += actor + lo.to_bytes(8) + end.to_bytes(8)
            room -= end - lo
            lo = end
            if not room:
                cut.append(held)
                held, room = b"", most
    if held:
        cut.append(held)
    return cut
