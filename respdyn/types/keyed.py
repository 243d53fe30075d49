"""What a collection is as a key: when it was born, and until when it lives.

A write that finds no such key leaves a *birth*, element `k`: clock u64, and the letter of the type.
Where concurrent writes made one key two types, the one that was born last is shown (`values`).

The time to live of a collection is bound to its births, as that of a string is to its value:
element `x` + the birth's dot, payload clock u64, expire_at u64 (0 = PERSIST). The longest holds,
PERSIST beats any, and a birth without a remark weakens nothing: so who has missed the key and
writes to it does not end its time to live, and an EXPIRE of a key that was deleted and made anew
concurrently means nothing. Elements that survive a concurrent DEL have no birth and no time to
live; the next write gives them a birth.

Source: decision 0036; SEMANTICS 5.
"""

from typing import Final

from respdyn.causal import codec, element_map
from respdyn.causal.context import claim_lo
from respdyn.causal.dot import Stamp
from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.causal.rows import end_of, rows_of_dots, unite_rows

# (element, dot as 24 bytes, payload)
Entry = tuple[bytes, bytes, bytes]
Cells = list[tuple[bytes, bytes]]       # (dot, payload) of each live dot of an element

BIRTH: Final = b"k"
REMARK: Final = b"x"
ELEMENT_REMARK: Final = b"t"
FIELD: Final = b"f"
SCORE: Final = b"z"
_u64: Final = int.from_bytes


def clock_above(stamp: Stamp, highest: int) -> int:
    """A clock for a new payload: the stamp's, or above all that it covers, be they wrong."""
    return max(stamp[3], min(highest + 1, CLOCK_MAX))


def expire_at(births: Cells, remarks: dict[bytes, Cells]) -> int:
    """When a key with these births expires; 0 if it does not. `remarks` by the birth's dot."""
    bounds = [
        _u64(payload[8:16]) for birth, _ in births for _, payload in remarks.get(birth, ())
    ]
    return longest(bounds)


def longest(bounds: list[int]) -> int:
    """The end of what has all these ends, in ms; 0, which none has, stands for no end."""
    return 0 if not bounds or 0 in bounds else max(bounds)


def key_expires_at(letter: bytes, record: bytes) -> int:
    """When a key that shows this type expires; 0 if it does not."""
    if not record[1] & codec.EXPIRES:
        return 0
    entries = _about_key(record)
    return expire_at(births_of(entries, letter), remarks_of(entries))


def one_version(record: bytes, now_ms: int) -> list[bytes]:
    """The one version, b"", of a collection in which no change hides a concurrent one."""
    return [b""]


def _about_key(record: bytes) -> list[Entry]:
    if record[1] & codec.ELEMENTS:
        return element_map.key_entries_of(record)
    return codec.entries_of(record)


def births_of(entries: list[Entry], letter: bytes) -> Cells:
    """The births of the type with this letter."""
    return [
        (dot, payload) for element, dot, payload in entries
        if element == BIRTH and payload[8:9] == letter
    ]


def remarks_of(entries: list[Entry]) -> dict[bytes, Cells]:
    """The remarks on the key's time to live, by the dot that they are about."""
    found: dict[bytes, Cells] = {}
    for element, dot, payload in entries:
        if element[:1] == REMARK:
            found.setdefault(element[1:], []).append((dot, payload))
    return found


def expire(letter: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """EXPIRE, and PERSIST with 0, of the collection that a key shows: a delta.

    It has as many dots of its own as there are births, from the stamp's on; one more if there was
    none. It covers the earlier remarks on these births.
    """
    entries = _about_key(record)
    births, remarks = births_of(entries, letter), remarks_of(entries)
    actor, counter, floor, _ = stamp
    highest = codec.max_clock(record)
    clock = clock_above(stamp, highest).to_bytes(8)
    made: list[Entry] = []
    if not births:
        dot = actor + counter.to_bytes(8)
        births = [(dot, clock + letter)]
        made.append((BIRTH, dot, clock + letter))
    gone: list[bytes] = []
    for birth, _ in births:
        gone += [dot for dot, _ in remarks.get(birth, ())]
        dot = actor + (counter + len(made)).to_bytes(8)
        made.append((REMARK + birth, dot, clock + at_ms.to_bytes(8)))
    rows = unite_rows(
        rows_of_dots(gone), claimed(codec.rows_of(record), actor, counter, len(made), floor)
    )
    made.sort()
    return codec.encode_entries(rows, made)


def claimed(rows: bytes, actor: bytes, counter: int, count: int, floor: int) -> bytes:
    """The row with `count` own dots from `counter` on, and what `context.claim` allows before.

    `rows`: those of the key here. Raises `UsedTwice`.
    """
    at = end_of(rows, actor)
    previous = _u64(rows[at - 8 : at]) if at and rows[at - 32 : at - 16] == actor else 0
    lo = claim_lo(previous, counter, floor)
    return actor + lo.to_bytes(8) + (counter + count - 1).to_bytes(8)
