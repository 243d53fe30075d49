"""Records of parts of a record, and the same record in its other form.

What a record says of some dots, or of some elements, is a record: it has seen just these, and says
which of them live. So whatever is joined to it learns nothing else, and the join of all parts is
the whole, in whatever order they come.
"""

from collections.abc import Iterable

from respdyn.causal import big
from respdyn.causal.codec import BIG, ELEMENTS, encode_entries, entries_of, rows_of
from respdyn.causal.element_map import INLINE, Entry, key_entries_of
from respdyn.causal.rows import common_rows, covers, edges_of, rows_of_dots


def fitting(record: bytes) -> bytes:
    """A record as it is kept: an element map of many elements in a form of its own (`big`)."""
    return big.taken_apart(record) if big.should_be_big(record) else record


def flat(record: bytes) -> bytes:
    """A record as it is sent: in one piece of bytes."""
    return big.put_together(record) if record and record[1] & BIG else record


def restricted(record: bytes, rows: bytes) -> bytes:
    """What a record says of the dots that these rows cover, and of no others: a record as well.

    The join of such pieces is the record, in whatever order they come.
    """
    common = common_rows(rows_of(record), rows)
    if record and record[1] & BIG:
        return encode_entries(common, big.entries_within(record, common))
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
