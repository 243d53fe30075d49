"""A flag: a type for tests, to prove that a type needs no more than its module and its rows.

Element `q` holds the state: clock u64, then `1` for up or `0` for down. Of concurrent states up is
shown. Remarks on the newest one say when it expires, as with a string.
"""

from respdyn.causal import codec
from respdyn.causal.dot import Stamp
from respdyn.commands.declare import READ, UPDATE, Argv, Command
from respdyn.resp.replies import ONE, ZERO, null
from respdyn.types import resets, values
from respdyn.types.values import Kind

ELEMENT = b"q"


def cells(record: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(clock, dot, state) of each live one, the newest first."""
    return sorted(((payload[:8], dot, payload[8:]) for element, dot, payload
                   in codec.entries_of(record) if element == ELEMENT), reverse=True)


def is_up(record: bytes) -> bool:
    return any(state == b"1" for _, _, state in cells(record))


def assign(record: bytes, stamp: Stamp, state: bytes, at_ms: int = 0) -> bytes:
    """The new state of a key, which covers all that it holds."""
    actor, counter, floor, clock = stamp
    clock = max(clock, codec.max_clock(record) + 1 if record else 0)
    dot = actor + counter.to_bytes(8)
    made = [(ELEMENT, dot, clock.to_bytes(8) + state)]
    if at_ms:
        made.append((b"x" + dot, dot, clock.to_bytes(8) + at_ms.to_bytes(8)))
    rows = codec.claim_rows(codec.rows_of(record), actor, counter, floor)
    return codec.encode_entries(rows, sorted([*resets.left(record, stamp), *made]))


def ends_at(record: bytes) -> int | None:
    found = cells(record)
    times = [int.from_bytes(payload[8:16]) for element, _, payload in codec.entries_of(record)
             if found and element == b"x" + found[0][1]]
    return None if not found else 0 if not times or 0 in times else max(times)


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    return [state for _, _, state in cells(record)] if values.exists(record, now_ms) else []


def expire(record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    actor, counter, floor, clock = stamp
    target = b"x" + cells(record)[0][1]
    kept = [entry for entry in codec.entries_of(record) if entry[0] != target]
    kept.append((target, actor + counter.to_bytes(8), clock.to_bytes(8) + at_ms.to_bytes(8)))
    rows = codec.claim_rows(codec.rows_of(record), actor, counter, floor)
    return codec.encode_entries(rows, sorted(kept))


def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    return assign(record, stamp, cells(delta)[0][2])


def dump(record: bytes, now_ms: int) -> bytes:
    return b"\xc8" + (b"1" if is_up(record) else b"0")


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    return assign(record, stamp, packed[1:], at_ms)


FLAG = Kind("flag", ends_at, siblings, expire, cover, lambda record: b"bit", (200,), dump, load)


def change(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    values.is_kind(rec, FLAG, now_ms)
    state = b"1" if argv[0].upper() == b"FLAG.RAISE" else b"0"
    return ONE, assign(rec, stamp, state)


def show(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    if not values.is_kind(rec, FLAG, now_ms):
        return null(resp3)
    return ONE if is_up(rec) else ZERO


COMMANDS = (
    Command("flag.raise", "FLAG.RAISE key", "Raises a flag.", since="0.1.0", group="generic",
            flags="write denyoom", access="RW update", promise="converges",
            route=UPDATE, write=change, event="d raised"),
    Command("flag.lower", "FLAG.LOWER key", "Lowers a flag.", since="0.1.0", group="generic",
            flags="write denyoom", access="RW update", promise="converges",
            route=UPDATE, write=change, event="d lowered"),
    Command("flag.show", "FLAG.SHOW key", "Returns whether a flag is up.", since="0.1.0",
            group="generic", flags="readonly", access="RO access", promise="converges",
            route=READ, read=show),
)
