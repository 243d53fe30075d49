"""The counter: what a string becomes when it is incremented, exact whichever nodes increment it.

A *run* is a stretch of increments that one actor made to one key through one unbroken local state.
Element `c` + the run's actor + the counter of its first dot holds the run's sums (P, N) of what was
added and what was taken away, under the run's newest dot, which covers its earlier ones. Element
`b` + the same 24 bytes holds a *baseline* (P0, N0), under the dot of the SET or removal that had
seen the run so far. Concurrent baselines stay side by side. One run's sums only grow, so what a
baseline has seen is a prefix of the run, and the maximum of several is what any of them has seen:

    number shown = base + sum over live runs of (P - P0) - (N - N0), P0 and N0 the highest known

`base` is the string's winner; without a string it is 0. If the winner is not a number, it is shown
as it is, and the increments wait. A run has no live `c` once a reset has seen all of it.

Two rules keep this exact and small. An actor continues its run only if the run began above the
*floor* (SEMANTICS 1.3); below it the actor may have forgotten increments that others hold, so it
begins a new run. And the owner of such a run knows all of it: when it resets the run, or finds it
reset, it needs no baseline and drops those that there are. So a key with one coordinator has none,
and a SET makes it a plain string again. Baselines of other runs stay with the key.

Expiry: a remark is bound to a value's dot, and with a string below the counter it is bound to that
string. Without one, EXPIRE and PERSIST write the remark on every live run, named by its first dot;
of the remarks on live runs the longest holds, PERSIST beats any, and none means no expiry. A run
that is concurrent and has no remark does not weaken the others: INCR keeps a key's time to live. A
SET or DEL ends the remarks that it has seen; those on a run that is reset mean nothing. An
increment of an expired counter covers all there is and begins at 0.

A payload is clock u64, size of P u16, P, N; numbers are in units of 10**-17 (`long_double`). An
increment of 0 adds one unit to both, so that the run is alive. Writers return the whole new state.

DYN.PUTCTX and DELCTX cover what the client has read. Of a run that has moved on since then nothing
is taken back: how much the client had seen of it is not stored.

Source: SEMANTICS 6; a resettable counter after Baquero et al., "Making Operation-based CRDTs
Operation-based" (2014), with baselines instead of causal stability.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from respdyn.causal import codec
from respdyn.causal.dot import Stamp
from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.types.long_double import UNIT, exact_units, print_units, read, units_of

COUNT: Final = b"c"
BASELINE: Final = b"b"

# (element, dot as 24 bytes, payload), as from `codec.entries_of`
Entry = tuple[bytes, bytes, bytes]
# (dot as 24 bytes, effective expire_at, value), as in `strings`
Ranked = tuple[bytes, int, bytes]

_COUNT_LETTER, _BASELINE_LETTER = COUNT[0], BASELINE[0]
_u64: Final = int.from_bytes


def has_runs(record: bytes) -> bool:
    """Whether a record that is not PLAIN mentions a run of a string.

    In the GENERAL form `b` and `c` come before all other elements.
    """
    if record[1] & codec.ELEMENTS:
        letters = codec.letters_of(record)
        return _BASELINE_LETTER in letters or _COUNT_LETTER in letters
    at = codec.ROWS + codec.ROW_BYTES * _u64(record[14:18]) + codec.ENTRY_BYTES
    return len(record) > at and record[at] in (_BASELINE_LETTER, _COUNT_LETTER)


def ranked(
    entries: Sequence[Entry], strings: list[Ranked], remarks: dict[bytes, list[int]]
) -> list[Ranked]:
    """What readers see of a record with live runs, given its strings, the winner first.

    A counter without a string has the dot b"".
    """
    total = _total(entries)
    if strings:
        dot, at, text = strings[0]
        base = base_units(text)
        if base is None:
            return strings
        return [(dot, at, print_units(base + total)), *strings[1:]]
    bounds = [at for run in live_runs(entries) for at in remarks.get(run, ())]
    at = 0 if not bounds or 0 in bounds else max(bounds)
    return [(b"", at, print_units(total))]


def live_runs(entries: Sequence[Entry]) -> list[bytes]:
    """The names of the runs that are not reset, sorted: actor and counter of the first dot."""
    return sorted({element[1:] for element, _, _ in entries if element[:1] == COUNT})


def base_units(text: bytes) -> int | None:
    """A string's number in units, rounded as Redis would; None if it is none."""
    if text.isdigit() and len(text) < 19:
        return int(text) * UNIT
    number = read(text)
    return None if number is None else units_of(number)


def units_shown(record: bytes, text: bytes) -> int | None:
    """The number of a record's value `text`: exact if it was counted, else as of a string."""
    if not record[1] & codec.PLAIN and live_runs(codec.entries_of(record)):
        return exact_units(text)
    return base_units(text)


def add(record: bytes, stamp: Stamp, amount: int) -> bytes:
    """An increment by so many units: the new state of a key that is there."""
    actor, counter, floor, _ = stamp
    kept: list[Entry] = []
    own: list[Entry] = []       # baselines of runs that are ours to end
    run, added, taken = b"", 0, 0
    for entry in codec.entries_of(record):
        element = entry[0]
        if element[:1] not in (COUNT, BASELINE) or not _is_own(element[1:], actor, floor):
            kept.append(entry)
        elif element[:1] == BASELINE:
            own.append(entry)
        else:
            run = element[1:]
            added, taken = _sums(entry[2])
    kept += [entry for entry in own if entry[0][1:] == run]
    run = run or actor + counter.to_bytes(8)
    kept.append(_counted(run, stamp, _clock(record, stamp), added, taken, amount))
    kept.sort()
    return codec.encode_entries(_claimed(record, stamp), kept)


def restart(record: bytes, stamp: Stamp, amount: int, left: list[Entry]) -> bytes:
    """An increment of a key that is absent or expired: it covers all there is.

    `left`: what it must leave of that (`resets`).
    """
    actor, counter, _, _ = stamp
    run = actor + counter.to_bytes(8)
    made = _counted(run, stamp, _clock(record, stamp), 0, 0, amount)
    entries = sorted([*left, made])
    return codec.encode_entries(_claimed(record, stamp), entries)


def baselines(record: bytes, stamp: Stamp, edges: list[bytes] | None = None) -> list[Entry]:
    """What a reset must write, under the stamp's dot, of the runs that it covers.

    It covers the whole record, or the dots within `edges` (`codec.edges_of`). Sorted.
    """
    if not record or record[1] & codec.PLAIN or not has_runs(record):
        return []
    actor, counter, floor, _ = stamp
    seen: dict[bytes, tuple[int, int]] = {}
    moving: set[bytes] = set()      # runs that go on
    for element, dot, payload in codec.entries_of(record):
        if element[:1] not in (COUNT, BASELINE):
            continue
        if edges is not None and not bisect_left(edges, dot) & 1:
            if element[:1] == COUNT:
                moving.add(element[1:])
            continue
        added, taken = _sums(payload)
        before = seen.get(element[1:], (0, 0))
        seen[element[1:]] = (max(before[0], added), max(before[1], taken))
    dot, clock = actor + counter.to_bytes(8), _clock(record, stamp)
    return [
        (BASELINE + run, dot, _payload(clock, *sums))
        for run, sums in sorted(seen.items())
        if run in moving or not _is_own(run, actor, floor)
    ]


def _is_own(run: bytes, actor: bytes, floor: int) -> bool:
    """Whether this coordinator knows all of a run: it is its own, and began above the floor."""
    return run[:16] == actor and _u64(run[16:]) > floor


def _total(entries: Sequence[Entry]) -> int:
    """The sum over all live runs, in units."""
    sums: dict[bytes, tuple[int, int]] = {}
    for element, _, payload in entries:
        if element[:1] in (COUNT, BASELINE):
            added, taken = _sums(payload)
            before = sums.get(element, (0, 0))
            sums[element] = (max(before[0], added), max(before[1], taken))
    total = 0
    for element, (added, taken) in sums.items():
        if element[:1] == COUNT:
            start, end = sums.get(BASELINE + element[1:], (0, 0))
            total += (added - start) - (taken - end)
    return total


def _counted(
    run: bytes, stamp: Stamp, clock: int, added: int, taken: int, amount: int
) -> Entry:
    """A run's entry after one more increment."""
    if amount >= 0:
        added += amount or 1
    if amount <= 0:
        taken -= amount or -1
    return COUNT + run, stamp[0] + stamp[1].to_bytes(8), _payload(clock, added, taken)


def _claimed(record: bytes, stamp: Stamp) -> bytes:
    actor, counter, floor, _ = stamp
    return codec.claim_rows(codec.rows_of(record), actor, counter, floor)


def _clock(record: bytes, stamp: Stamp) -> int:
    """A clock above all in the record."""
    highest = codec.max_clock(record) if record else 0
    return max(stamp[3], min(highest + 1, CLOCK_MAX))


def _payload(clock: int, added: int, taken: int) -> bytes:
    size = (added.bit_length() + 7) >> 3
    return b"".join((
        clock.to_bytes(8), size.to_bytes(2), added.to_bytes(size),
        taken.to_bytes((taken.bit_length() + 7) >> 3),
    ))


def _sums(payload: bytes) -> tuple[int, int]:
    """(P, N), or (P0, N0)."""
    middle = 10 + _u64(payload[8:10])
    return _u64(payload[10:middle]), _u64(payload[middle:])
