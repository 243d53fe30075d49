"""Cleared contexts: what FLUSHALL has removed, as the highest counter of each actor.

`tops` maps an actor to the counter up to which everything is gone. They join by maximum. A record
that lies wholly below is as good as absent, wherever it comes from and however late.

Source: decision 0011.
"""

from typing import Final

from respdyn.causal.big import has_upto
from respdyn.causal.codec import (
    BIG,
    PLAIN,
    ROW_BYTES,
    encode_rows,
    encode_tombstone,
    entries_of,
    join_records,
    rows_of,
)
from respdyn.causal.context import Context
from respdyn.causal.dot import Actor
from respdyn.causal.minting import COUNTER_MAX

ACTORS_MAX: Final = 32_768      # in a cleared context: as many lives as all nodes ever had

Tops = dict[bytes, int]

# Per database, per actor, the counter up to which everything is gone.
Cleared = dict[int, Tops]


def is_below(record: bytes, tops: Tops) -> bool:
    """Whether everything in the record happened before the clearing."""
    rows = rows_of(record)
    return all(
        int.from_bytes(rows[at + 24 : at + 32], "big") <= tops.get(rows[at : at + 16], 0)
        for at in range(0, len(rows), ROW_BYTES)
    )


def above(record: bytes, tops: Tops) -> bytes:
    """What of a record happened after the clearing; b"" if nothing did."""
    if is_below(record, tops):
        return b""
    if record[1] & PLAIN:      # a plain record has one dot, and it is a later one
        return record
    if not record[1] & BIG and all(int.from_bytes(dot[16:], "big") > tops.get(dot[:16], 0)
           for _, dot, _ in entries_of(record)):
        return record
    if record[1] & BIG and not any(has_upto(record, actor, top) for actor, top in tops.items()):
        return record
    gone = Context({Actor(actor): (0, top) for actor, top in tops.items()})
    return join_records(record, encode_tombstone(encode_rows(gone)))


def check_tops(tops: Tops) -> None:
    """Raises `ValueError` for what a peer cannot mean."""
    if len(tops) > ACTORS_MAX:
        raise ValueError(f"a cleared context of more than {ACTORS_MAX} actors")
    for actor, counter in tops.items():
        if len(actor) != 16 or not 0 < counter <= COUNTER_MAX:
            raise ValueError("a cleared context that cannot be")


def raise_to(tops: Tops, other: Tops) -> None:
    """Join `other` into `tops`."""
    for actor, counter in other.items():
        if counter > tops.get(actor, 0):
            tops[actor] = counter


def raise_by(tops: dict[bytes, bytes], record: bytes) -> None:
    """Raise to all that a record has seen. Counters are as in a record here: 8 bytes compare."""
    rows = rows_of(record)
    for at in range(0, len(rows), ROW_BYTES):
        actor, hi = rows[at : at + 16], rows[at + 24 : at + 32]
        if hi > tops.get(actor, b""):
            tops[actor] = hi


def encode_tops(tops: Tops) -> bytes:
    """As it is stored: sorted, 24 bytes for each actor."""
    return b"".join(actor + top.to_bytes(8, "big") for actor, top in sorted(tops.items()))


def decode_tops(value: bytes) -> Tops:
    """What `encode_tops` made."""
    return {
        value[at : at + 16]: int.from_bytes(value[at + 16 : at + 24], "big")
        for at in range(0, len(value), 24)
    }
