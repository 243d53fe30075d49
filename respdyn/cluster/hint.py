"""One hint: what is kept for an owner under one name, how that is stored, and what may be kept.

`Hints` keeps them all.
"""

from typing import Final

from respdyn.causal.codec import EXPIRES, LIVE, VALUE, entries_of, is_live
from respdyn.causal.dot import Stamp
from respdyn.cluster.replica import HINT

ID_BYTES: Final = 20          # a stored name is HINT + owner (so many bytes) + partition (2) + name
# A record is kept under its locator, whose first byte is below 64; a cleared context under this,
# the database (1 byte) and the partition (2).
CLEARING: Final = b"\x80"
# A record no larger than this travels as a hint in one piece, not as the change alone, so that a
# reader can be answered from it. Larger ones, say a set of a million members, do not.
WHOLE_BYTES: Final = 4096
VERSION: Final = 1
HEAD_BYTES: Final = 10            # version, is it whole?, since when (8)

# A hint on its way: its name, since when it is kept (ms since 1970), its content.
Entry = tuple[bytes, int, bytes]


class Hint:
    """What is kept for one owner under one name."""

    __slots__ = (
        "added", "content", "given", "is_restored", "is_whole", "serial", "since_ms", "taken",
    )

    def __init__(self, content: bytes, since_ms: int, is_whole: bool, serial: int) -> None:
        self.is_restored = False        # it was on the disk when this node started
        self.added = b""                # if so: what has come since then
        self.given = b""                # of a big record: the rows that its owner was given
        self.taken = b""                # and those that are on their way
        self.content = content          # a record, or a cleared context
        self.since_ms = since_ms        # when the oldest write in it came
        self.is_whole = is_whole
        self.serial = serial            # of the oldest write in it that was not delivered


class Shelf:
    """The hints for one owner of one partition."""

    __slots__ = ("hints", "oldest_ms")

    def __init__(self) -> None:
        self.hints: dict[bytes, Hint] = {}
        self.oldest_ms = 0              # none is older

    def look(self) -> None:
        """Find out how old the oldest one is."""
        self.oldest_ms = min((hint.since_ms for hint in self.hints.values()), default=0)


def bare(stamp: Stamp) -> Stamp:
    """A stamp whose dot claims nothing besides itself, for a key that this node does not own.

    What it minted for the key before may have been delivered and forgotten: by the floor rule
    (SEMANTICS 1.3) a claim over that would delete it.
    """
    actor, counter, _, clock = stamp
    return actor, counter, counter, clock


def is_remark(record: bytes) -> bool:
    """Whether it speaks of the expiry of values that it does not hold: half of what was done.

    >>> is_remark(b"")
    False
    """
    return bool(record) and record[1] & (LIVE | EXPIRES) == EXPIRES


def stands_alone(record: bytes) -> bool:
    """Whether a part of a key's state is a version that a client has written: a string's value.

    >>> stands_alone(b"")
    False
    """
    return is_live(record) and all(element == VALUE for element, _, _ in entries_of(record))


def head_of(hint: Hint) -> bytes:
    """What goes before a hint's content in the store."""
    return bytes((VERSION, hint.is_whole)) + hint.since_ms.to_bytes(8, "big")


def stored_name(owner: str, partition: int, name: bytes) -> bytes:
    """Under which name the store keeps it."""
    return HINT + bytes.fromhex(owner) + partition.to_bytes(2, "big") + name
