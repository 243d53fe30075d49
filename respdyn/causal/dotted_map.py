"""What every key holds: elements with dotted payloads, under one context. One join for all types.

A string has one element, a set one per member, a hash one per field. An element maps dots to
payloads: more than one dot means concurrent writes that no client has decided between. The context
holds every event this state knows of; an event in the context whose dot is not live was overwritten
or removed. So absence is information, a removal needs no marker of its own, and the state of a
replica, a delta, a hint and a tombstone are the same kind of thing, applied by the same join.

Nothing here knows what a payload means. A map is never changed once it was joined or encoded.

Source: SEMANTICS 1.4; Almeida et al., "Delta State Replicated Data Types" (2018), section 7.
"""

from collections.abc import Mapping

from respdyn.causal.context import Context
from respdyn.causal.dot import Dot

Dotted = Mapping[Dot, bytes]

_NONE: Dotted = {}


class DottedMap:
    """Elements and their live dots. Every live dot is in the context; no element is empty."""

    __slots__ = ("context", "entries")

    def __init__(self, entries: Mapping[bytes, Dotted], context: Context) -> None:
        self.entries = entries
        self.context = context

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DottedMap):
            return False
        return self.entries == other.entries and self.context == other.context

    def __repr__(self) -> str:
        return f"DottedMap({self.entries!r}, {self.context!r})"


def join(a: DottedMap, b: DottedMap) -> DottedMap:
    """Everything that a and b know; a or b itself (the same object) if it knows all already.

    A live dot survives if both have it, or if one has it and the other has not seen its event.
    Commutative, associative and idempotent, so deltas may be lost, repeated and reordered.
    """
    context = a.context.unite(b.context)
    entries: dict[bytes, Dotted] = {}
    is_a, is_b = context is a.context, context is b.context or context == b.context
    for element, ours in a.entries.items():
        theirs = b.entries.get(element, _NONE)
        if ours == theirs:
            entries[element] = ours
            continue
        live = _join_dots(ours, theirs, a.context, b.context)
        if live:
            entries[element] = live
        is_a = is_a and live == ours
        is_b = is_b and live == theirs
    for element, theirs in b.entries.items():
        if element not in a.entries:
            live = {dot: theirs[dot] for dot in theirs if not a.context.covers(dot)}
            if live:
                entries[element] = live
                is_a = False
            is_b = is_b and len(live) == len(theirs)
    if is_a:
        return a
    return b if is_b else DottedMap(entries, context)


def _join_dots(
    ours: Dotted, theirs: Dotted, our_context: Context, their_context: Context
) -> Dotted:
    """The dots of one element that survive a join.

    One event has one payload. Should a bug have given it two, every replica keeps the same one.
    """
    live: dict[Dot, bytes] = {}
    for dot, payload in ours.items():
        other = theirs.get(dot)
        if other is None:
            if not their_context.covers(dot):
                live[dot] = payload
        else:
            live[dot] = max(payload, other)
    for dot, payload in theirs.items():
        if dot not in ours and not our_context.covers(dot):
            live[dot] = payload
    return live
