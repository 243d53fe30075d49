"""Versions of a key: what a replica holds, for a person to compare, and for WATCH."""

import msgspec

from respdyn.causal.big import weight
from respdyn.causal.codec import BIG, context_of, is_live
from respdyn.causal.hybrid_clock import ms_of
from respdyn.cluster.replica import Replica
from respdyn.types import values


class Version(msgspec.Struct, array_like=True):
    """One replica's version of a key."""

    holds: str = "absent"        # value, expired, tombstone, absent
    dots: list[str] = []         # "actor:counter" of the live values, by the actor's first digits
    context: str = ""            # "actor:(lo,hi] ..."
    clock_ms: int = 0            # of the newest live value, since 1970
    size: int = 0                # bytes of the record
    expire_at: int = 0           # ms since 1970; 0 for none


def version_of(record: bytes, wall_ms: int) -> Version:
    """Describe a record; b"" is an absent one."""
    if not record:
        return Version()
    live = [] if record[1] & BIG else values.live_entries(record)
    newest = max((int.from_bytes(payload[:8], "big") for _, _, payload in live), default=0)
    if not is_live(record):
        holds = "tombstone"
    else:
        holds = "value" if values.exists(record, wall_ms) else "expired"
    return Version(
        holds=holds,
        dots=[
            f"{dot.hex()[:8]}:{int.from_bytes(dot[16:], 'big')}"
            for dot in sorted({dot for _, dot, _ in live})
        ],
        context=" ".join(
            f"{actor.hex()[:8]}:({lo},{hi}]" for actor, lo, hi in context_of(record).rows()
        ),
        clock_ms=ms_of(newest),
        size=weight(record),
        expire_at=values.ends_at(record) or 0,
    )


# ---- WATCH: Redis `multi.c`; SEMANTICS 7 ----


def watched_version(record: bytes, now_ms: int) -> bytes:
    """What WATCH remembers of a key: whether it is alive, and its record's digest."""
    return (b"+" if values.exists(record, now_ms) else b"-") + _digest(record)


def _digest(record: bytes) -> bytes:
    return Replica.digest(record) if record else b""


def has_changed(version: bytes, record: bytes, now_ms: int) -> bool:
    """Whether it was written, deleted or given another time since, or has expired.

    What was absent and is unknown now was only forgotten: FLUSHALL clears tombstones too.
    """
    if version[:1] == b"-" and not record:
        return False
    if version[1:] != _digest(record):
        return True
    return version[:1] == b"+" and not values.exists(record, now_ms)
