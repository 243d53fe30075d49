"""What WATCH remembers of a key, and whether that is still so.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from respdyn.cluster.replica import Replica
from respdyn.types.values import exists


def version_of(record: bytes, now_ms: int) -> bytes:
    """What WATCH remembers of a key: whether it is alive, and its record's digest."""
    return (b"+" if exists(record, now_ms) else b"-") + _digest(record)


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
    return version[:1] == b"+" and not exists(record, now_ms)
