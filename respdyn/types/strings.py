"""The string: a register that keeps concurrent values side by side, and their expiries apart.

Element `s` holds the values. A payload is clock u64, expire_at u64 (0 = none), value. A plain
reader sees the winner, the live value with the highest (clock, dot): a pure function of the joined
state, so all replicas agree. An expired winner means an absent key; no older sibling pops up.

EXPIRE and PERSIST do not write the value again, which would shadow a concurrent SET. They add a
remark: element `x` + the value's actor + counter, payload clock u64, expire_at u64 (0 = PERSIST).
Replicas drop a value that covers nothing but itself soon after its own time is over (`ends_ms`,
decision 0033). So a remark that may come later than that travels with the value.

Among the remarks on a value the longest decides, PERSIST beats any, and without one the value's own
expire_at does. A remark whose value is gone means nothing to a reader; it stays until a SET or DEL
covers it, because its value may only be late.

A string that is incremented becomes a counter; its number is what these readers then see as the
winner's value, and a SET or DEL resets it (`counters`).

Each writer returns a delta, itself a record, for `codec.join_records(old, delta)`. Those of
`assign` and `remove` are the whole new state. The usual key (PLAIN form) is read and overwritten
without decoding.

Source: SEMANTICS 3, 4 and 5; Redis src/t_string.c and src/expire.c for what a client sees.
"""

from bisect import bisect_left
from typing import Final

from respdyn.causal import codec
from respdyn.causal.codec import PLAIN_EXPIRING, PLAIN_VALUE, VALUE, encode_plain, unpack_plain
from respdyn.causal.context import Context, claim
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.causal.tokens import Seal
from respdyn.types import counters

__all__ = [
    "LONE", "LONE_EXPIRING", "LONE_VALUE", "Seal", "Stamp", "assign", "context_with_dot", "count",
    "ends_ms", "exists", "expire", "expire_at", "is_expired",
    "put", "remove", "remove_context", "siblings", "value", "written_ms",
]

# Forms of a record with one value that everybody has seen, without and with an expiry. The value of
# the first begins at `LONE_VALUE`.
LONE: Final = 5
LONE_EXPIRING: Final = 7
LONE_VALUE: Final = PLAIN_VALUE

_u64: Final = int.from_bytes
_CLOCK_BITS: Final = 16        # of a hybrid clock, below its milliseconds
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
    return None if found is None else found[2]


def exists(record: bytes, now_ms: int) -> bool:
    """Whether GET would answer a value."""
    if not record:
        return False
    form = record[1]
    if form == LONE:
        return True
    if form == LONE_EXPIRING:
        return _u64(record[46:54]) > now_ms
    return _winner(record, now_ms) is not None


def expire_at(record: bytes, now_ms: int) -> int | None:
    """When the winner expires, in ms; 0 if it does not; None if the key is absent or expired."""
    if not record:
        return None
    form = record[1]
    if form == LONE:
        return 0
    if form == LONE_EXPIRING:
        at = _u64(record[46:54])
        return at if at > now_ms else None
    found = _winner(record, now_ms)
    return None if found is None else found[1]


def is_expired(record: bytes, now_ms: int) -> bool:
    """Whether there is a value, and it has expired; False for a tombstone or an absent key."""
    if not record:
        return False
    if record[1] & codec.PLAIN:
        return record[1] == 7 and _u64(record[46:54]) <= now_ms
    ranked = _ranked(record) if record[1] & codec.LIVE else []
    return bool(ranked) and 0 < ranked[0][1] <= now_ms


def ends_ms(record: bytes) -> int:
    """When a value with a time to live is over that covers nothing but itself; 0 for all others.

    Nothing that is older than it can come back by its absence, for it has made nothing void. Not
    so if it covers another, even one that ends sooner: a replica that has not seen the covering
    write may have prolonged that one (EXPIRE, PERSIST), and would bring it back.
    """
    if not record or record[1] != LONE_EXPIRING or _u64(record[38:46]) - _u64(record[30:38]) != 1:
        return 0
    return max(_u64(record[46:54]), _u64(record[6:14]) >> _CLOCK_BITS)


def written_ms(record: bytes) -> int:
    """When it was last written, in ms since 1970, by the clock of whoever did."""
    return codec.max_clock(record) >> _CLOCK_BITS


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    """All values alive and not expired, the winner first; none if the winner is expired."""
    ranked = _ranked(record)
    if not ranked or 0 < ranked[0][1] <= now_ms:
        return []
    return [held for _, at, held in ranked if not 0 < at <= now_ms]


def assign(record: bytes, stamp: Stamp, value: bytes, expire_at: int) -> bytes:
    """SET: the new state of the key, one value that covers everything `record` holds."""
    actor, counter, floor, clock = stamp
    if not record:
        return encode_plain(clock, actor, counter - 1, counter, expire_at, value)
    if record[1] & 1:
        highest, last, lo, previous = unpack_plain(record)
    else:
        highest, last = _u64(record[6:14]), b""
    if clock <= highest:
        clock = _clock_above(highest)
    if last == actor:
        assert counter > previous
        if previous > floor or previous == counter - 1:     # `context.claim` in short
            return encode_plain(clock, actor, lo, counter, expire_at, value)
    rows = codec.claim_rows(codec.rows_of(record), actor, counter, floor)
    written = codec.encode_lone(rows, clock, actor, counter, expire_at, value)
    if record[1] & codec.PLAIN or not (
        record[1] & codec.EXPIRES or counters.has_runs(record)
    ):
        return written
    left = _early_remarks(record) + counters.baselines(record, stamp)
    if not left:
        return written
    return codec.encode_entries(rows, sorted(left + codec.entries_of(written)))


def remove(record: bytes, stamp: Stamp) -> bytes:
    """DEL: the new state of the key, which covers everything `record` holds; b"" if no value lives.

    It needs a new dot, that of `stamp`, only to reset a counter that others incremented.
    """
    if not codec.is_live(record):
        return b""
    rows = codec.rows_of(record)
    left = _early_remarks(record)
    reset = counters.baselines(record, stamp)
    if reset:
        rows = codec.claim_rows(rows, *stamp[:3])
    return codec.encode_entries(rows, sorted(left + reset))


def count(record: bytes, stamp: Stamp, amount: int, exists: bool) -> bytes:
    """INCR by so many units (10**-17): the new state of the key, its other siblings kept.

    `exists`: there is a value, and it is not expired.
    """
    if exists:
        return counters.add(record, stamp, amount)
    return counters.restart(record, stamp, amount, _early_remarks(record))


def expire(record: bytes, stamp: Stamp, expire_at: int) -> bytes:
    """EXPIRE, and PERSIST with 0: a delta with one remark on the winner; b"" if there is no value.

    Where others may have dropped the value by the time that they hear of it, the whole new state.

    A counter without a string has one on each of its runs.

    It covers the earlier remarks on the winner, so that of two EXPIREs one after the other the
    second counts. Remarks on siblings stay: should a sibling win one day, they still hold.
    """
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
        return codec.join_records(record, delta)
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
    reset = counters.baselines(record, stamp, codec.edges_of(codec.encode_rows(context)))
    if not reset:
        return written
    return codec.encode_entries(rows, sorted(reset + codec.entries_of(written)))


def remove_context(context: Context, stamp: Stamp | None = None, record: bytes = b"") -> bytes:
    """DELCTX: a delta that removes exactly what the client has read; b"" if that is nothing.

    `stamp` and `record` as for `put`.
    """
    if not context:
        return b""
    rows = codec.encode_rows(context)
    if stamp is None:
        return codec.encode_tombstone(rows)
    reset = counters.baselines(record, stamp, codec.edges_of(rows))
    if reset:
        rows = codec.encode_rows(context_with_dot(context, stamp, record))
    return codec.encode_entries(rows, reset)


def context_with_dot(context: Context, stamp: Stamp, record: bytes = b"") -> Context:
    """PUTCTX's reply: the client's context and the new dot, never what else the server holds.

    With the dot comes what `context.claim` allows: nothing of this key, but else there would be one
    interval more for each such write.
    """
    actor, counter, floor, _ = stamp
    held = codec.context_of(record) if record else Context()
    return context.add(actor, *claim(held, actor, counter, floor))


def _clock_above(highest: int) -> int:
    """A clock above all that is covered, even if one of those is from the far future."""
    return highest + 1 if highest < CLOCK_MAX else CLOCK_MAX


def _early_remarks(record: bytes) -> list[counters.Entry]:
    """Those remarks whose value has not arrived here, which a new state must keep.

    An EXPIRE can overtake the SET it is bound to. Nobody here has seen that value, so it survives
    as a sibling when it comes, and must still find its expiry.
    """
    if not record or record[1] & 3 != codec.EXPIRES:
        return []
    edges = codec.edges_of(codec.rows_of(record))
    return [
        entry for entry in codec.entries_of(record)
        if entry[0][:1] == b"x" and not bisect_left(edges, entry[0][1:]) & 1
    ]


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
    """The winner of a GENERAL record, None if there is none or it is expired."""
    if not record[1] & codec.LIVE:
        return None
    ranked = _ranked(record)
    if not ranked or 0 < ranked[0][1] <= now_ms:
        return None
    return ranked[0]
