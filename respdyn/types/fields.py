"""A field of a hash: a register and a counter in one element, as a string is one for a key.

A field's cells, one for each live dot, begin with a clock u64 and a tag:

    v   value                                   HSET
    w   size u32 of the baselines, baselines, value     HSET over increments of others
    c   run 24, size of P u16, P, N             one actor's unbroken run of increments
    r   baselines                               HDEL over increments of others: not alive

Runs and baselines are those of `counters`: a *run* is named by its first dot, its sums only grow; a
*baseline* says how much of a run a reset has seen. What a reader sees is

    the winner's value + sum over runs of (P - P0) - (N - N0)

with the highest baselines known, the winner being the value with the highest (clock, dot); 0 if
there is none. A run that has not gone beyond its baseline is none: a delta that is late can bring
one back that was reset. A winner that is no number is shown as it is, and the increments wait.
Baselines also stand in the key's own cell `r`, which whatever covers the whole key leaves behind.

A run goes on only above the floor, and its actor needs no baseline for it. A baseline is run 24,
size of P0 u16, size of N0 u16, P0, N0. Numbers are in units of 10**-17 (`long_double`).

The score of a sorted set's member has the same cells (`scores`), with a double for the value and
other units; only `shown` is of fields alone.

Readers take any bytes: what is cut short reads as less, and nothing is raised.

Source: decision 0036; SEMANTICS 6. A resettable counter after Baquero et al., "Making
Operation-based CRDTs Operation-based" (2014), with baselines instead of causal stability.
"""

from typing import Final, NamedTuple

from respdyn.causal import big, codec
from respdyn.causal.dot import Stamp
from respdyn.causal.rows import covers
from respdyn.types.counters import base_units
from respdyn.types.keyed import FIELD, SCORE, Cells, Entry, clock_above
from respdyn.types.long_double import print_units

VALUE: Final = 0x76
VALUE_OVER: Final = 0x77
RUN: Final = 0x63
RESET: Final = 0x72

KEY_BASELINES: Final = b"r"
_COUNTED: Final = (FIELD, SCORE)
_PLAIN_MAX: Final = 40          # bytes of a number that is written out
_SHIFTED: Final = b"\0"         # no number that is written out begins so
_RUN_BYTES: Final = 24
_TAG: Final = 8
_BODY: Final = 9
_u64: Final = int.from_bytes

# By the name of a run, what was seen of it: (P, N).
Sums = dict[bytes, tuple[int, int]]


class Shown(NamedTuple):
    """What a field shows, and what its time to live is bound to: a dot, or the names of its runs.
    """

    text: bytes
    bound_to: list[bytes]
    is_counted: bool


class Added(NamedTuple):
    """What the cells of an element add up to."""

    winner: bytes           # clock and dot of the value that wins; b"" if there is none
    held: bytes             # that value
    total: int              # what the runs that are going have moved it by
    going: list[bytes]      # the names of these runs


def shown(cells: Cells, baselines: Sums) -> Shown | None:
    """What a reader sees of a field; None if it is not there. `baselines`: the key's own."""
    winner, text, total, going = added_up(cells, baselines)
    if not going:
        return Shown(text, [winner[8:]], False) if winner else None
    if not winner:
        return Shown(print_units(total), sorted(going), True)
    base = base_units(text)
    if base is None:
        return Shown(text, [winner[8:]], False)
    return Shown(print_units(base + total), [winner[8:]], True)


def added_up(cells: Cells, baselines: Sums) -> Added:
    """The value that wins, and the increments that count. `baselines`: the key's own."""
    winner = held = b""
    runs: Sums = {}
    seen: Sums = baselines
    for dot, payload in cells:
        tag = payload[_TAG]
        if tag in (VALUE, VALUE_OVER):
            rank = payload[:8] + dot
            if tag == VALUE_OVER:
                size = _u64(payload[_BODY : _BODY + 4])
                seen = joined(seen, sums_in(payload[_BODY + 4 : _BODY + 4 + size]))
                value = payload[_BODY + 4 + size :]
            else:
                value = payload[_BODY:]
            if rank > winner:
                winner, held = rank, value
        elif tag == RUN:
            run, sums = run_in(payload)
            runs = joined(runs, {run: sums})
        elif tag == RESET:
            seen = joined(seen, sums_in(payload[_BODY:]))
    total = 0
    going: list[bytes] = []
    for run, (added, taken) in runs.items():
        before, below = seen.get(run, (0, 0))
        if added > before or taken > below:
            total += max(added - before, 0) - max(taken - below, 0)
            going.append(run)
    return Added(winner, held, total, going)


def values_in(cells: Cells) -> list[bytes]:
    """The values that stand side by side in a field, the winner first; increments not counted."""
    ranked: list[tuple[bytes, bytes]] = []
    for dot, payload in cells:
        if payload[_TAG] == VALUE:
            ranked.append((payload[:8] + dot, payload[_BODY:]))
        elif payload[_TAG] == VALUE_OVER:
            size = _u64(payload[_BODY : _BODY + 4])
            ranked.append((payload[:8] + dot, payload[_BODY + 4 + size :]))
    ranked.sort(reverse=True)
    return [held for _, held in ranked]


def seen_in(cells: Cells) -> Sums:
    """All that these cells say of runs, be it sums or baselines."""
    seen: Sums = {}
    for _, payload in cells:
        tag = payload[_TAG]
        if tag == RUN:
            run, sums = run_in(payload)
            seen = joined(seen, {run: sums})
        elif tag == RESET:
            seen = joined(seen, sums_in(payload[_BODY:]))
        elif tag == VALUE_OVER:
            size = _u64(payload[_BODY : _BODY + 4])
            seen = joined(seen, sums_in(payload[_BODY + 4 : _BODY + 4 + size]))
    return seen


def foreign(seen: Sums, actor: bytes, floor: int) -> Sums:
    """Without the runs that this actor began above its floor: of these it knows all."""
    return {
        run: sums for run, sums in seen.items()
        if run[:16] != actor or _u64(run[16:]) <= floor
    }


def baselines(record: bytes, stamp: Stamp, edges: list[bytes] | None = None) -> list[Entry]:
    """What a reset must write, under the stamp's dot, of the runs of all fields that it covers.

    It covers the whole record, or the dots within `edges` (`codec.edges_of`). One entry or none.
    """
    if not record or not record[1] & codec.ELEMENTS:
        return []
    if big.is_plain(record) and KEY_BASELINES[0] not in codec.letters_of(record):
        return []
    actor, counter, floor, _ = stamp
    seen: Sums = {}
    going: set[bytes] = set()       # runs that go on
    highest = 0
    for element, dot, payload in codec.entries_of(record):
        kind = element[:1]
        if kind not in _COUNTED and kind != KEY_BASELINES:
            continue
        highest = max(highest, _u64(payload[:8]))
        if edges is not None and not covers(edges, dot):
            if kind in _COUNTED and payload[_TAG] == RUN:
                going.add(run_in(payload)[0])
        elif kind in _COUNTED:
            seen = joined(seen, seen_in([(dot, payload)]))
        else:
            seen = joined(seen, key_sums(payload))
    kept = foreign(seen, actor, floor)
    kept.update({run: sums for run, sums in seen.items() if run in going})
    if not kept:
        return []
    payload = key_payload(clock_above(stamp, highest), kept)
    return [(KEY_BASELINES, actor + counter.to_bytes(8), payload)]


def begins_with_value(record: bytes, letter: bytes) -> bool:
    """Whether a record's first element is of this kind and has a value: then it is alive."""
    if not record[1] & codec.ELEMENTS:
        return False
    element, payload = big.first_of(record)
    return element[:1] == letter and payload[_TAG] in (VALUE, VALUE_OVER)


def own_run(cells: Cells, actor: bytes, floor: int) -> tuple[bytes, bytes, int, int]:
    """The run that this actor may continue: its dot, name and sums; empty bytes for none."""
    for dot, payload in cells:
        if payload[_TAG] == RUN:
            run, (added, taken) = run_in(payload)
            if run[:16] == actor and _u64(run[16:]) > floor:
                return dot, run, added, taken
    return b"", b"", 0, 0


def joined(one: Sums, other: Sums) -> Sums:
    """The highest that any of both has seen of each run."""
    if not one or not other:
        return one or other
    both = dict(one)
    for run, (added, taken) in other.items():
        before = both.get(run, (0, 0))
        both[run] = max(before[0], added), max(before[1], taken)
    return both


def value_payload(clock: int, value: bytes, baselines: Sums) -> bytes:
    """The payload of a value that covers what these baselines say."""
    if not baselines:
        return b"%bv%b" % (clock.to_bytes(8), value)
    packed = pack_sums(baselines)
    return b"%bw%b%b%b" % (clock.to_bytes(8), len(packed).to_bytes(4), packed, value)


def run_payload(clock: int, run: bytes, added: int, taken: int) -> bytes:
    """The payload of a run with these sums."""
    up = _packed(added)
    return b"".join((clock.to_bytes(8), b"c", run, len(up).to_bytes(2), up, _packed(taken)))


def reset_payload(clock: int, baselines: Sums) -> bytes:
    """The payload of a field that was removed over these runs."""
    return b"%br%b" % (clock.to_bytes(8), pack_sums(baselines))


def key_payload(clock: int, baselines: Sums) -> bytes:
    """The payload of the key's own cell of baselines."""
    return clock.to_bytes(8) + pack_sums(baselines)


def key_sums(payload: bytes) -> Sums:
    """The baselines in the key's own cell."""
    return sums_in(payload[8:])


def run_in(payload: bytes) -> tuple[bytes, tuple[int, int]]:
    """Name and sums of the run in a payload."""
    start = _BODY + _RUN_BYTES
    middle = start + 2 + _u64(payload[start : start + 2])
    return payload[_BODY:start], (_number(payload[start + 2 : middle]), _number(payload[middle:]))


def pack_sums(baselines: Sums) -> bytes:
    """Baselines as bytes, sorted by run."""
    parts: list[bytes] = []
    for run in sorted(baselines):
        up, down = map(_packed, baselines[run])
        parts += (run, len(up).to_bytes(2), len(down).to_bytes(2), up, down)
    return b"".join(parts)


def sums_in(packed: bytes) -> Sums:
    """What `pack_sums` made."""
    found: Sums = {}
    at = 0
    while at < len(packed):
        run = packed[at : at + _RUN_BYTES]
        start = at + _RUN_BYTES + 4
        middle = start + _u64(packed[start - 4 : start - 2])
        at = middle + _u64(packed[start - 2 : start])
        found[run] = _number(packed[start:middle]), _number(packed[middle:at])
    return found


def _packed(number: int) -> bytes:
    """A number's bytes; of one with many zeros at its end, as scores have, how many and the rest.
    """
    plain = number.to_bytes((number.bit_length() + 7) >> 3)
    if len(plain) <= _PLAIN_MAX:
        return plain
    zeros = (number & -number).bit_length() - 1
    rest = number >> zeros
    shifted = _SHIFTED + zeros.to_bytes(2) + rest.to_bytes((rest.bit_length() + 7) >> 3)
    return shifted if len(shifted) < len(plain) else plain


def _number(packed: bytes) -> int:
    """What `_packed` made."""
    if packed[:1] == _SHIFTED:
        return _u64(packed[3:]) << _u64(packed[1:3])
    return _u64(packed)
