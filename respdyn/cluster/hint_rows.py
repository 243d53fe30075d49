"""How hints are stored, and how one for a big key is: neither stored nor given whole.

In memory its record is taken apart like that of any big key (`causal.big`), so a write costs what
it touches. On the disk each write adds a row of its own, a record by itself, and what was read back
is the join of all:

    stored name    that of hints of this owner and partition | ADDED | length of the locator u32 |
                   locator | number u64

It is given to its owner a piece at a time (`causal.parts`). What was given is remembered as rows,
those of the dots that were spoken of, so writes may come meanwhile: what they speak of counts as
not given. A restart begins anew, which does no harm: a piece may be joined twice.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.causal.big import weight
from respdyn.causal.codec import join_records, rows_of, verify
from respdyn.causal.parts import fitting, is_big, piece_of
from respdyn.causal.rows import minus_rows, unite_rows
from respdyn.cluster.hint import (
    CLEARING,
    HEAD_BYTES,
    ID_BYTES,
    VERSION,
    Hint,
    Shelf,
    head_of,
    stored_name,
)
from respdyn.errors import DamagedError
from respdyn.ports import SWEEP
from respdyn.ring.hashing import is_locator

ADDED: Final = b"\x81"          # begins the names of rows, in place of a locator's first byte
PIECE_CELLS: Final = 500
PIECE_BYTES: Final = 64 << 10

Shelves = dict[str, dict[int, Shelf]]       # by owner, by partition


def is_taken_apart(name: bytes, content: bytes) -> bool:
    """Whether a hint is one for a big key."""
    return is_locator(name) and is_big(content)


def size_of(name: bytes, content: bytes) -> int:
    """How many bytes a hint's content takes."""
    return weight(content) if is_locator(name) else len(content)


# ---- given in pieces ----

def take_piece(hint: Hint, limit_bytes: int) -> bytes:
    """What of a big one is to be given next; it knows that this is on its way."""
    rows = minus_rows(rows_of(hint.content), hint.given)
    _, piece = piece_of(hint.content, rows, PIECE_CELLS, min(limit_bytes, PIECE_BYTES))
    hint.taken = rows_of(piece)
    return piece


def is_given(hint: Hint) -> bool:
    """The owner has what was on its way: whether that was the rest of a big one."""
    hint.given, hint.taken = unite_rows(hint.given, hint.taken), b""
    return not minus_rows(rows_of(hint.content), hint.given)


def _in_pieces(record: bytes) -> Iterator[bytes]:
    """Records whose join is this one, none of them large unless a single cell is."""
    rows = rows_of(record)
    while rows:
        covered, piece = piece_of(record, rows, PIECE_CELLS, PIECE_BYTES)
        rest = minus_rows(rows, covered)
        assert rest != rows, "a piece covers something"
        yield piece
        rows = rest


# ---- in the store ----

class HintRows:
    """Numbers the rows that are added, and makes the pairs for the store."""

    def __init__(self) -> None:
        self._last = 0

    def _next(self, owner: str, partition: int, name: bytes) -> bytes:
        self._last += 1
        return _prefix(owner, partition, name) + self._last.to_bytes(8)

    def changed(
        self, owner: str, partition: int, name: bytes, hint: Hint, new: bytes, added: bytes
    ) -> list[bytes]:
        """Give a hint other content; flat pairs for the store.

        `added`: what it was joined with, if that is all that has changed, else b"".
        """
        was_big = is_taken_apart(name, hint.content)
        if added and was_big and is_big(new):
            hint.content = new
            hint.given = minus_rows(hint.given, rows_of(added))
            hint.taken = minus_rows(hint.taken, rows_of(added))
            return [self._next(owner, partition, name), head_of(hint) + added]
        hint.content, hint.given, hint.taken = new, b"", b""
        swept = [*sweep_of(owner, partition, name)] if was_big else []
        return swept + self.all_of(owner, partition, name, hint)

    def all_of(self, owner: str, partition: int, name: bytes, hint: Hint) -> list[bytes]:
        """Flat pairs of all that is stored of a hint."""
        head, content = head_of(hint), hint.content
        stored = stored_name(owner, partition, name)
        pairs: list[bytes] = []
        for piece in _in_pieces(content) if is_taken_apart(name, content) else [content]:
            pairs += (stored, head + piece)
            stored = self._next(owner, partition, name)
        return pairs

    def between(self, shelves: Shelves, low: bytes, high: bytes) -> list[bytes]:
        """Flat pairs of all hints of which something has a name from `low` up to `high`."""
        pairs: list[bytes] = []
        for owner, parts in shelves.items():
            for partition, shelf in parts.items():
                for name, hint in shelf.hints.items():
                    stored = stored_name(owner, partition, name)
                    is_there = low <= stored < high
                    if is_taken_apart(name, hint.content):
                        is_there = stored < high and low < sweep_of(owner, partition, name)[1]
                    if is_there:
                        pairs += self.all_of(owner, partition, name, hint)
        return pairs

    def restore(self, shelves: Shelves, name: bytes, value: bytes) -> tuple[int, int] | None:
        """Take back what is stored under a name; how many hints and bytes there are more.

        None if it is damaged.
        """
        if len(name) < ID_BYTES + 6 or len(value) < HEAD_BYTES or value[0] != VERSION:
            return None
        owner, partition = name[:ID_BYTES].hex(), int.from_bytes(name[ID_BYTES:][:2], "big")
        name, content = name[ID_BYTES + 2 :], value[HEAD_BYTES:]
        if name[:1] == ADDED:
            end = 5 + int.from_bytes(name[1:5])
            if len(name) != end + 8:
                return None
            name, self._last = name[5:end], max(self._last, int.from_bytes(name[end:]))
        if is_locator(name):
            try:
                verify(content)
            except DamagedError:
                return None
        elif name[:1] != CLEARING:
            return None
        since_ms = int.from_bytes(value[2:HEAD_BYTES], "big")
        shelf = shelves.setdefault(owner, {}).setdefault(partition, Shelf())
        if not shelf.hints or since_ms < shelf.oldest_ms:
            shelf.oldest_ms = since_ms
        hint = shelf.hints.get(name)
        is_new = hint is None
        if hint is None:
            hint = shelf.hints[name] = Hint(b"", since_ms, False, 0)
            hint.is_restored = True
        before = size_of(name, hint.content)
        if is_locator(name):
            content = fitting(join_records(hint.content, content))
        hint.content = content
        hint.since_ms = min(hint.since_ms, since_ms)
        hint.is_whole |= bool(value[1])
        return is_new, is_new * len(name) + size_of(name, content) - before


def sweep_of(owner: str, partition: int, name: bytes) -> tuple[bytes, bytes]:
    """The pair that deletes all rows that were added to a hint."""
    prefix = _prefix(owner, partition, name)
    return SWEEP + prefix, prefix + b"\xff"


def _prefix(owner: str, partition: int, name: bytes) -> bytes:
    return stored_name(owner, partition, ADDED + len(name).to_bytes(4) + name)
