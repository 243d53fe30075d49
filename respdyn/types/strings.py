"""The string: a register that keeps concurrent values side by side, and their expiries apart.

Element `s` holds the values. A payload is clock u64, expire_at u64 (0 = none), value. A plain
reader sees the winner, the live value with the highest (clock, dot): a pure function of the joined
state, so all replicas agree. An expired winner means an absent key; no older sibling pops up.

EXPIRE and PERSIST do not write the value again, which would shadow a concurrent SET. They add a
remark: element `x` + the value's actor + counter, payload clock u64, expire_at u64 (0 = PERSIST).
Among the remarks on a value the longest decides, PERSIST beats any, and without one the value's own
expire_at does. A remark whose value is gone means nothing to a reader; it stays until a SET or DEL
covers it, because its value may only be late.

Each writer returns a delta, itself a record, for `codec.join_records(old, delta)`. Those of
`assign` and `remove` are the whole new state. The usual key (PLAIN form) is read and overwritten
without decoding.

Source: SEMANTICS 3, 4 and 5; Redis src/t_string.c and src/expire.c for what a client sees.
"""

from bisect import bisect_left

from respdyn.causal import codec
from respdyn.causal.codec import PLAIN_EXPIRING, PLAIN_VALUE, VALUE
from respdyn.causal.context import Context, claim
from respdyn.causal.dot import Dot, Stamp, intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.causal.tokens import decode_token, encode_token

__all__ = [
    "Stamp", "assign", "context_with_dot", "decode_token", "encode_token", "exists", "expire",
    "expire_at", "put", "remove", "remove_context", "siblings", "value",
]

_u64 = int.from_bytes
_encode_plain = codec.encode_plain


def value(record: bytes, now_ms: int) -> bytes | None:
    """What GET answers: the winner's value; None if the key is absent or expired."""
    if not record:
        return None
    form = record[1]
    if form == 5:
        return record[PLAIN_VALUE:]
    if form == 7:
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
    if form == 5:
        return True
    if form == 7:
        return _u64(record[46:54]) > now_ms
    return _winner(record, now_ms) is not None


def expire_at(record: bytes, now_ms: int) -> int | None:
    """When the winner expires, in ms; 0 if it does not; None if the key is absent or expired."""
    if not record:
        return None
    form = record[1]
    if form == 5:
        return 0
    if form == 7:
        at = _u64(record[46:54])
        return at if at > now_ms else None
    found = _winner(record, now_ms)
    return None if found is None else found[1]


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
        return _encode_plain(clock, actor, counter - 1, counter, expire_at, value)
    highest = _u64(record[6:14])
    if clock <= highest:
        clock = _clock_above(highest)
    if record[1] & 1 and record[14:30] == actor:
        previous = _u64(record[38:46])
        assert counter > previous
        if previous > floor or previous == counter - 1:     # `context.claim` in short
            return _encode_plain(clock, actor, _u64(record[30:38]), counter, expire_at, value)
    rows = codec.claim_rows(codec.rows_of(record), actor, counter, floor)
    written = codec.encode_lone(rows, clock, actor, counter, expire_at, value)
    return _with_early_remarks(written, record)


def remove(record: bytes, stamp: Stamp) -> bytes:
    """DEL: the new state of the key, which covers everything `record` holds; b"" if no value lives.

    It needs no new dot, so `stamp` is not used up.
    """
    if not codec.is_live(record):
        return b""
    return _with_early_remarks(codec.encode_tombstone(codec.rows_of(record)), record)


def expire(record: bytes, stamp: Stamp, expire_at: int) -> bytes:
    """EXPIRE, and PERSIST with 0: a delta with one remark on the winner; b"" if there is no value.

    It covers the earlier remarks on the winner, so that of two EXPIREs one after the other the
    second counts. Remarks on siblings stay: should a sibling win one day, they still hold.
    """
    ranked = _ranked(record)
    if not ranked:
        return b""
    actor, counter, floor, clock = stamp
    target = b"x" + ranked[0][0]
    context = Context()
    for element, dot, _ in codec.entries_of(record):
        if element == target:
            at = _u64(dot[16:])
            context = context.add(intern_actor(dot[:16]), at - 1, at)
    context = context.add(actor, *claim(codec.context_of(record), actor, counter, floor))
    highest = codec.max_clock(record)
    payload = max(clock, _clock_above(highest)).to_bytes(8) + expire_at.to_bytes(8)
    return codec.encode(DottedMap({target: {(actor, counter): payload}}, context))


def put(context: Context, stamp: Stamp, value: bytes, expire_at: int) -> bytes:
    """PUTCTX: a delta with one value that covers what the client has read, and nothing else.

    The stamp's clock should be above `codec.max_clock` of the record that it is joined with.
    """
    actor, counter, _, clock = stamp
    rows = codec.encode_rows(context_with_dot(context, stamp))
    return codec.encode_lone(rows, clock, actor, counter, expire_at, value)


def remove_context(context: Context) -> bytes:
    """DELCTX: a delta that removes exactly what the client has read; b"" if that is nothing."""
    return codec.encode_tombstone(codec.encode_rows(context)) if context else b""


def context_with_dot(context: Context, stamp: Stamp) -> Context:
    """PUTCTX's reply: the client's context and the new dot, never what else the server holds."""
    actor, counter, _, _ = stamp
    return context.add(actor, counter - 1, counter)


def _clock_above(highest: int) -> int:
    """A clock above all that is covered, even if one of those is from the far future."""
    return highest + 1 if highest < CLOCK_MAX else CLOCK_MAX


def _with_early_remarks(written: bytes, record: bytes) -> bytes:
    """A new state that keeps those remarks of the old one whose value has not arrived here.

    An EXPIRE can overtake the SET it is bound to. Nobody here has seen that value, so it survives
    as a sibling when it comes, and must still find its expiry.
    """
    if record[1] & 3 != codec.EXPIRES:
        return written
    edges = codec.edges_of(codec.rows_of(record))
    early: dict[bytes, dict[Dot, bytes]] = {}
    for element, dot, payload in codec.entries_of(record):
        if element[:1] == b"x" and not bisect_left(edges, element[1:]) & 1:
            early.setdefault(element, {})[(intern_actor(dot[:16]), _u64(dot[16:]))] = payload
    if not early:
        return written
    state = codec.decode(written)
    return codec.encode(DottedMap({**state.entries, **early}, state.context))


def _ranked(record: bytes) -> list[tuple[bytes, int, bytes]]:
    """(dot as 24 bytes, effective expire_at, value) of each live value, the winner first."""
    values: list[tuple[bytes, bytes, bytes]] = []
    remarks: dict[bytes, list[int]] = {}
    for element, dot, payload in codec.entries_of(record):
        if element == VALUE:
            values.append((payload[:8], dot, payload))
        elif element[:1] == b"x":
            remarks.setdefault(element[1:], []).append(_u64(payload[8:16]))
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
    return ranked


def _winner(record: bytes, now_ms: int) -> tuple[bytes, int, bytes] | None:
    """The winner of a GENERAL record, None if there is none or it is expired."""
    if not record[1] & codec.LIVE:
        return None
    ranked = _ranked(record)
    if not ranked or 0 < ranked[0][1] <= now_ms:
        return None
    return ranked[0]
