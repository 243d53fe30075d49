"""The string: a register that keeps concurrent values side by side, and their expiries apart.

Element `s` holds the values. A payload is clock u64, expire_at u64 (0 = none), value. A plain
reader sees the winner, the live value with the highest (clock, dot): a pure function of the joined
state, so all replicas agree. An expired winner means an absent key; no older sibling pops up.

EXPIRE and PERSIST do not write the value again, which would shadow a concurrent SET. They add a
remark: element `x` + the value's actor + counter, payload clock u64, expire_at u64 (0 = PERSIST).
Replicas drop a value that covers nothing but itself soon after its own time is over
(`values.ends_ms`, decision 0033). So a remark that may come later than that travels with the value.

Among the remarks on a value the longest decides, PERSIST beats any, and without one the value's own
expire_at does. A remark whose value is gone means nothing to a reader; it stays until a SET or DEL
covers it, because its value may only be late.

Siblings that are all HyperLogLogs are one to a plain reader: what any of them has counted is in it
(`hyperloglog`).

A string that is incremented becomes a counter; its number is what these readers then see as the
winner's value, and a SET or DEL resets it (`counters`).

Each writer returns a delta, itself a record, for `codec.join_records(old, delta)`. Those of
`assign` and `count` are the whole new state. The usual key (PLAIN form) is read and overwritten
without decoding.

Source: SEMANTICS 3, 4 and 5; Redis src/t_string.c and src/expire.c for what a client sees.
"""

from collections.abc import Sequence
from typing import Final

from respdyn.causal import codec
from respdyn.causal.codec import PLAIN_EXPIRING, PLAIN_VALUE, VALUE, encode_plain, unpack_plain
from respdyn.causal.context import Context, claim
from respdyn.causal.dot import Stamp as Stamp
from respdyn.causal.dot import intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.causal.form import with_value
from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.causal.outline import LARGE as LARGE
from respdyn.causal.outline import filled, outline, value_in
from respdyn.errors import UsedTwice
from respdyn.types import counters, hyperloglog, resets
from respdyn.types.dump import integer_of, pack_text, unpack_text

# First bytes of the elements of a string, of a counter, and of remarks.
LETTER: Final = VALUE[0]
COUNT_LETTER: Final = counters.COUNT[0]
REMARK_LETTER: Final = ord("x")

# Forms of a record with one value that every replica has seen, without and with an expiry. The
# value of the first begins at `LONE_VALUE`.
LONE: Final = 5
LONE_EXPIRING: Final = 7
LONE_VALUE: Final = PLAIN_VALUE

_u64: Final = int.from_bytes
_CLOCK_BITS: Final = 16        # of a hybrid clock, below its milliseconds
_INT64_DIGITS: Final = 20
_EMBEDDED_MAX: Final = 44      # bytes of a string that Redis keeps beside the head of its object
# A remark on a value that ends sooner than this after it travels with the value.
REMARK_LEAD_MS: Final = 120_000


def value(record: bytes, now_ms: int) -> bytes | None:
    """What GET answers: the winner's value; None if the key is absent or expired."""
    if not record:
        return None
    form = record[1]
    if form == LONE:
        return record[LONE_VALUE:]
    if form == LONE_EXPIRING:
        if _u64(record[46:54]) <= now_ms:
            return None
        return record[PLAIN_EXPIRING:]
    found = _winner(record, now_ms)
    if found is None or len(record) < LARGE:
        return None if found is None else found[2]
    return bytes(_whole(record, found[0], found[2]))


def ends_at(record: bytes) -> int | None:
    """When the winner expires, in ms, be it past; 0 if it does not; None if no value is alive."""
    if not record or not record[1] & codec.LIVE:
        return None
    ranked = _ranked(outline(record))
    return ranked[0][1] if ranked else None


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    """All values alive and not expired, the winner first; none if the winner is expired."""
    ranked = _ranked(outline(record))
    if not ranked or 0 < ranked[0][1] <= now_ms:
        return []
    return [
        bytes(_whole(record, dot, held)) for dot, at, held in ranked if not 0 < at <= now_ms
    ]


def view(record: bytes, now_ms: int) -> memoryview | None:
    """As `value`, without a copy where it is large."""
    form = record[1] if record else 0
    if form == LONE:
        return memoryview(record)[LONE_VALUE:]
    if form == LONE_EXPIRING and _u64(record[46:54]) > now_ms:
        return memoryview(record)[PLAIN_EXPIRING:]
    found = _winner(record, now_ms) if form and not form & codec.PLAIN else None
    return None if found is None else _whole(record, found[0], found[2])


def assign_parts(
    record: bytes, stamp: Stamp, parts: Sequence[bytes | memoryview], expire_at: int
) -> bytes:
    """As `assign`, of a value that is put together here, and copied once if that can be."""
    written = assign(record, stamp, b"", expire_at)
    if written[1] & codec.PLAIN:
        return with_value(written, parts)
    return assign(record, stamp, b"".join(parts), expire_at)


def assign(record: bytes, stamp: Stamp, value: bytes, expire_at: int) -> bytes:
    """SET: the new state of the key, one value that covers everything `record` holds."""
    actor, counter, floor, clock = stamp
    if not record:
        return encode_plain(clock, actor, counter - 1, counter, expire_at, value)
    if expire_at == 0:
        written = codec.overwrite_plain(record, actor, counter, floor, clock, value)
        if written:
            return written
    if record[1] & 1:
        highest, last, lo, previous = unpack_plain(record)
    else:
        highest, last = _u64(record[6:14]), b""
    if clock <= highest:
        clock = _clock_above(highest)
    if last == actor:
        if counter <= previous:
            raise UsedTwice
        if previous > floor or previous == counter - 1:     # `context.claim` in short
            return encode_plain(clock, actor, lo, counter, expire_at, value)
    rows = codec.claim_rows(codec.rows_of(record), actor, counter, floor)
    written = codec.encode_lone(rows, clock, actor, counter, expire_at, value)
    left = resets.left(outline(record), stamp)
    if not left:
        return written
    return _beside(rows, left, written)


def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """The SET that made `delta` once more, over all that is in `record`."""
    new = value(delta, 0)
    assert new is not None, "conflict feedback is requested for SETs only"
    return assign(record, stamp, new, ends_at(delta) or 0)


def count(record: bytes, stamp: Stamp, amount: int, exists: bool) -> bytes:
    """INCR by so many units (10**-17): the new state of the key, its other siblings kept.

    `exists`: there is a value, and it is not expired.
    """
    if exists:
        return counters.add(record, stamp, amount)
    return counters.restart(record, stamp, amount, resets.left(record, stamp))


def expire(record: bytes, stamp: Stamp, expire_at: int) -> bytes:
    """EXPIRE, and PERSIST with 0: a delta with one remark on the winner; b"" if there is no value.

    Where others may have dropped the value by the time that this reaches them, the whole new state.

    A counter without a string has one on each of its runs.

    It covers the earlier remarks on the winner, so that of two EXPIREs one after the other the
    second counts. Remarks on siblings stay: should a sibling win one day, they still hold.
    """
    whole, record = record, outline(record)
    ranked = _ranked(record)
    if not ranked:
        return b""
    actor, counter, floor, clock = stamp
    entries = codec.entries_of(record)
    bound_to = [ranked[0][0]] if ranked[0][0] else counters.live_runs(entries)
    targets = [b"x" + name for name in bound_to]
    context = Context()
    for element, dot, _ in entries:
        if element in targets:
            at = _u64(dot[16:])
            context = context.add(intern_actor(dot[:16]), at - 1, at)
    context = context.add(actor, *claim(codec.context_of(record), actor, counter, floor))
    highest = codec.max_clock(record)
    payload = max(clock, _clock_above(highest)).to_bytes(8) + expire_at.to_bytes(8)
    marks = {target: {(actor, counter): payload} for target in targets}
    delta = codec.encode(DottedMap(marks, context))
    own_end = min(
        (_u64(payload[8:16]) for element, dot, payload in entries
         if element == VALUE and dot == ranked[0][0]), default=0,
    )
    if 0 < own_end <= (clock >> _CLOCK_BITS) + REMARK_LEAD_MS:
        return codec.join_records(whole, delta)
    return delta


def put(
    context: Context, stamp: Stamp, value: bytes, expire_at: int, record: bytes = b""
) -> bytes:
    """PUTCTX: a delta with one value that covers what the client has read, and nothing else.

    `record`: the key's, for the sums of counters that are covered, and for what the new dot may
    claim. The stamp's clock should be above its `codec.max_clock`.
    """
    actor, counter, _, clock = stamp
    rows = codec.encode_rows(context_with_dot(context, stamp, record))
    written = codec.encode_lone(rows, clock, actor, counter, expire_at, value)
    left = resets.left_within(outline(record), stamp, codec.encode_rows(context))
    if not left:
        return written
    return _beside(rows, left, written)


def context_with_dot(context: Context, stamp: Stamp, record: bytes = b"") -> Context:
    """PUTCTX's reply: the client's context and the new dot, never what else the server holds.

    With the dot comes what `context.claim` allows: nothing of this key, but else there would be one
    interval more for each such write.
    """
    actor, counter, floor, _ = stamp
    held = codec.context_of(record) if record else Context()
    return context.add(actor, *claim(held, actor, counter, floor))


def encoding(record: bytes) -> bytes:
    """How Redis would store the value, judged by the value alone."""
    found = view(record, 0)
    if found is not None and len(found) > _EMBEDDED_MAX:
        return b"raw"
    held = b"" if found is None else bytes(found)
    number = integer_of(held, _INT64_DIGITS)
    if number is not None and -(1 << 63) <= number < 1 << 63:
        return b"int"
    return b"embstr"


def dump(record: bytes, now_ms: int) -> bytes:
    """What DUMP says of the value, without the footer."""
    return pack_text(value(record, now_ms) or b"")


def load(packed: bytes, record: bytes, stamp: Stamp, expire_at: int) -> bytes:
    """RESTORE: the new state of the key, given what `dump` made. Raises `DumpError`."""
    return assign(record, stamp, unpack_text(packed), expire_at)


def _clock_above(highest: int) -> int:
    """A clock above all that is covered, even if one of those is from the far future."""
    return highest + 1 if highest < CLOCK_MAX else CLOCK_MAX


def _beside(rows: bytes, left: list[tuple[bytes, bytes, bytes]], written: bytes) -> bytes:
    """What was written, and what it must leave of the state before."""
    both = codec.encode_entries(rows, sorted(left + codec.entries_of(outline(written))))
    return both if len(written) < LARGE else filled(both, written, b"")


def _whole(record: bytes, dot: bytes, held: bytes) -> memoryview:
    """A value that was found in the outline of a record, by its dot; b"" is no string's."""
    found = value_in(record, dot) if len(record) >= LARGE and dot and not held else None
    return memoryview(held) if found is None else found


def _ranked(record: bytes) -> list[tuple[bytes, int, bytes]]:
    """(dot as 24 bytes, effective expire_at, value) of each live value, the winner first."""
    values: list[tuple[bytes, bytes, bytes]] = []
    remarks: dict[bytes, list[int]] = {}
    is_counted = False
    entries = codec.entries_of(record)
    for element, dot, payload in entries:
        if element == VALUE:
            values.append((payload[:8], dot, payload))
        elif element[:1] == b"x":
            remarks.setdefault(element[1:], []).append(_u64(payload[8:16]))
        elif element[:1] == b"c":
            is_counted = True
    if len(values) > 1:
        values.sort(reverse=True)
    ranked = []
    for _, dot, payload in values:
        bounds = remarks.get(dot)
        if bounds is None:
            at = _u64(payload[8:16])
        else:
            at = 0 if 0 in bounds else max(bounds)
        ranked.append((dot, at, payload[16:]))
    return counters.ranked(entries, ranked, remarks) if is_counted else ranked


def _winner(record: bytes, now_ms: int) -> tuple[bytes, int, bytes] | None:
    """The winner of a GENERAL record, None if there is none or it is expired; see `_whole`.

    Of siblings that are all HyperLogLogs, what they have counted together.
    """
    if not record[1] & codec.LIVE:
        return None
    ranked = _ranked(outline(record))
    if not ranked or 0 < ranked[0][1] <= now_ms:
        return None
    if len(ranked) > 1:
        merged = hyperloglog.merged([held for _, at, held in ranked if not 0 < at <= now_ms])
        if merged is not None:
            return ranked[0][0], ranked[0][1], merged
    return ranked[0]
