"""The intervals of a context as bytes, as they stand in a record: its *rows*.

A row is actor (16 bytes), lo u64, hi u64, big-endian; rows are sorted, those of one actor neither
overlap nor touch. So equal contexts have equal rows, and rows and dots (24 bytes: actor, counter)
compare as bytes. What is done to one record at a time is done here without building a `Context`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final

from respdyn.causal.context import Context, claim_lo
from respdyn.causal.dot import Actor, intern_actor
from respdyn.errors import DamagedError

ROW_BYTES: Final = 32

_pack_row: Final = Struct(">16sQQ").pack
_iterate_rows: Final = Struct(">16sQQ").iter_unpack
_u64: Final = int.from_bytes


def claim_rows(rows: bytes, actor: bytes, counter: int, floor: int) -> bytes:
    """These rows united with what `context.claim` allows."""
    at = end_of(rows, actor)
    if not at or rows[at - 32 : at - 16] != actor:
        return rows[:at] + _pack_row(actor, claim_lo(0, counter, floor), counter) + rows[at:]
    previous = _u64(rows[at - 8 : at])
    lo = claim_lo(previous, counter, floor)
    if lo == previous:
        return rows[: at - 8] + counter.to_bytes(8) + rows[at:]
    return rows[:at] + _pack_row(actor, lo, counter) + rows[at:]


def actors_of(rows: bytes) -> Iterator[bytes]:
    """The actor of each interval."""
    for at in range(0, len(rows), ROW_BYTES):
        yield rows[at : at + 16]


def end_of(rows: bytes, actor: bytes) -> int:
    """Where the rows of an actor end, or would stand."""
    at = len(rows)
    while at and rows[at - 32 : at - 16] > actor:
        at -= ROW_BYTES
    return at


def encode_rows(context: Context) -> bytes:
    """The intervals of a context, sorted; equal contexts have equal bytes."""
    return b"".join([_pack_row(*row) for row in context.rows()])


def decode_rows(rows: bytes) -> Context:
    """The context of these intervals. Raises `DamagedError` unless it encodes to these bytes."""
    edges_of(rows)
    return build_rows(rows)


def edges_of(rows: bytes) -> list[bytes]:
    """Both ends of each interval as 24-byte dots, strictly growing.

    So `bisect_left(edges, dot) & 1` says whether the rows cover a dot. Raises `DamagedError`
    unless the rows are those of a context.
    """
    if len(rows) % ROW_BYTES:
        raise DamagedError("intervals cut short")
    edges: list[bytes] = []
    last = b""
    for at in range(0, len(rows), ROW_BYTES):
        lo = rows[at : at + 24]
        hi = rows[at : at + 16] + rows[at + 24 : at + 32]
        if not last < lo < hi:
            raise DamagedError("intervals out of order")
        edges += (lo, hi)
        last = hi
    return edges


def build_rows(rows: bytes) -> Context:
    """The context of rows that are known to be sound."""
    spans: dict[Actor, list[int]] = {}
    for raw, lo, hi in _iterate_rows(rows):
        spans.setdefault(intern_actor(raw), []).extend((lo, hi))
    return Context({actor: tuple(edges) for actor, edges in spans.items()})


def covers(edges: list[bytes], dot: bytes) -> bool:
    """Whether rows with these edges (`edges_of`) cover a dot."""
    return bisect_left(edges, dot) & 1 == 1


def unite_rows(a: bytes, b: bytes) -> bytes:
    """The rows of both contexts together; `a` or `b` itself if that one holds both already."""
    if a == b or not b:
        return a
    if not a:
        return b
    both = merge_rows(sorted(
        [a[at : at + ROW_BYTES] for at in range(0, len(a), ROW_BYTES)]
        + [b[at : at + ROW_BYTES] for at in range(0, len(b), ROW_BYTES)]
    ))
    if both == a:
        return a
    return b if both == b else both


def merge_rows(spans: Iterable[bytes]) -> bytes:
    """The rows of intervals that are sorted, but may overlap and touch."""
    rows: list[bytes] = []
    last = top = b""        # the last row's actor and lo, and its hi
    for row in spans:
        if rows and row[:16] == last[:16] and row[16:24] <= top:
            if row[24:] > top:
                top = row[24:]
                rows[-1] = last + top
            continue
        last, top = row[:24], row[24:]
        rows.append(row)
    return b"".join(rows)


def rows_of_dots(dots: Iterable[bytes]) -> bytes:
    """The rows that cover these dots (24 bytes each, in any order) and nothing else."""
    return merge_rows(
        dot[:16] + (_u64(dot[16:]) - 1).to_bytes(8) + dot[16:] for dot in sorted(dots)
    )


def common_rows(a: bytes, b: bytes) -> bytes:
    """The rows of what both contexts cover."""
    rows: list[bytes] = []
    at = other = 0
    while at < len(a) and other < len(b):
        one, two = a[at : at + ROW_BYTES], b[other : other + ROW_BYTES]
        if one[:16] == two[:16]:
            lo, hi = max(one[16:24], two[16:24]), min(one[24:], two[24:])
            if lo < hi:
                rows.append(one[:16] + lo + hi)
        if one[:16] + one[24:] <= two[:16] + two[24:]:
            at += ROW_BYTES
        else:
            other += ROW_BYTES
    return b"".join(rows)


def minus_rows(a: bytes, b: bytes) -> bytes:
    """The rows of what the first context covers and the second does not."""
    rows: list[bytes] = []
    for at in range(0, len(a), ROW_BYTES):
        actor, lo, hi = a[at : at + 16], a[at + 16 : at + 24], a[at + 24 : at + 32]
        for other in range(0, len(b), ROW_BYTES):
            first, last = b[other + 16 : other + 24], b[other + 24 : other + 32]
            if b[other : other + 16] != actor or last <= lo or first >= hi:
                continue
            if lo < first:
                rows.append(actor + lo + first)
            lo = last
            if lo >= hi:
                break
        if lo < hi:
            rows.append(actor + lo + hi)
    return b"".join(rows)
