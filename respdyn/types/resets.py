"""Resets: what a write must leave of a key that it covers, whatever the key holds.

SET, DEL and an increment of an expired key cover all that a coordinator holds of a key. Two things
must outlive that: remarks whose value has not come yet (`strings`), and of counters, in strings and
in fields, what the reset has seen of them (`counters`, `fields`). A type that must leave something
too adds it here.

Source: SEMANTICS 5 and 6.
"""

from bisect import bisect_left
from typing import Final

from respdyn.causal import codec
from respdyn.causal.dot import Stamp
from respdyn.types import counters, fields

_REMARKS: Final = (b"x", b"t")      # what they are about, a dot, stands at the end of their names
_DOT: Final = 24


def left(record: bytes, stamp: Stamp) -> list[counters.Entry]:
    """What stays of a record that is covered as a whole, sorted; some of it has the stamp's dot."""
    if not record or record[1] & codec.PLAIN or not (
        record[1] & (codec.EXPIRES | codec.ELEMENTS) or counters.has_runs(record)
    ):
        return []
    return sorted(
        _early_remarks(record) + counters.baselines(record, stamp)
        + fields.baselines(record, stamp)
    )


def left_within(record: bytes, stamp: Stamp, rows: bytes) -> list[counters.Entry]:
    """What stays if only the dots in these rows are covered; all of it has the stamp's dot."""
    edges = codec.edges_of(rows)
    return sorted(counters.baselines(record, stamp, edges) + fields.baselines(record, stamp, edges))


def has_dot(entries: list[counters.Entry], stamp: Stamp) -> bool:
    """Whether any entry has the stamp's dot, which the context must cover then."""
    dot = stamp[0] + stamp[1].to_bytes(8)
    return any(entry[1] == dot for entry in entries)


def _early_remarks(record: bytes) -> list[counters.Entry]:
    """Those remarks whose value has not arrived here, which a new state must keep.

    An EXPIRE can overtake the SET it is bound to. This node has not seen that value, so it survives
    as a sibling when it comes, and must still find its expiry.
    """
    if record[1] & 3 != codec.EXPIRES:
        return []
    edges = codec.edges_of(codec.rows_of(record))
    return [
        entry for entry in codec.entries_of(record)
        if entry[0][:1] in _REMARKS and not bisect_left(edges, entry[0][-_DOT:]) & 1
    ]
