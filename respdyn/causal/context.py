"""A context says which events a node or client has seen: per actor, a few intervals of counters.

An interval `(lo, hi]` holds the counters lo+1 .. hi. Intervals of one actor are kept flat and
sorted, `(lo, hi, lo, hi, ...)`, strictly growing: those that touch are merged, so equal sets of
events have equal contexts. The usual actor has one interval. Because counters serve all keys of a
node, an interval mostly holds counters that other keys used; seeing those means nothing here, and
that is what lets two writes to one key share an interval.

A context is never changed once made; every method that differs from it returns a new one.

Source: SEMANTICS 1.3; the interval form is that of interval version vectors (Mukund et al., 2015).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from respdyn.causal.dot import Actor, Dot
from respdyn.errors import UsedTwice

Spans = tuple[int, ...]


class Context:
    """A set of dots.

    >>> a = Actor(b"a" * 16)
    >>> seen = Context().add(a, 0, 2).add(a, 4, 5)
    >>> seen.covers((a, 2)), seen.covers((a, 3)), seen.top(a)
    (True, False, 5)
    >>> seen.add(a, 2, 4) == Context({a: (0, 5)})
    True
    """

    __slots__ = ("spans",)

    def __init__(self, spans: dict[Actor, Spans] | None = None) -> None:
        """`spans`: canonical as described above, no empty tuples; kept, not copied."""
        self.spans: Mapping[Actor, Spans] = {} if spans is None else spans

    def covers(self, dot: Dot) -> bool:
        """Whether the event is in the set."""
        spans = self.spans.get(dot[0])
        if spans is None:
            return False
        if len(spans) == 2:
            return spans[0] < dot[1] <= spans[1]
        return bisect_left(spans, dot[1]) & 1 == 1

    def unite(self, other: "Context") -> "Context":
        """Both sets together; `self` or `other` itself if that one holds both already."""
        mine, theirs = self.spans, other.spans
        if mine == theirs or not theirs:
            return self
        united = dict(mine)
        is_mine = True
        for actor, spans in theirs.items():
            own = mine.get(actor)
            if own is None:
                united[actor] = spans
                is_mine = False
            elif own != spans:
                united[actor] = both = _merge(own, spans)
                is_mine = is_mine and both == own
        if is_mine:
            return self
        return other if len(united) == len(theirs) and united == theirs else Context(united)

    def add(self, actor: Actor, lo: int, hi: int) -> "Context":
        """This set and the interval `(lo, hi]`."""
        assert 0 <= lo < hi
        own = self.spans.get(actor)
        united = dict(self.spans)
        united[actor] = (lo, hi) if own is None else _merge(own, (lo, hi))
        return Context(united)

    def is_within(self, other: "Context") -> bool:
        """Whether every event of this set is in the other."""
        theirs = other.spans
        for actor, spans in self.spans.items():
            known = theirs.get(actor)
            if known is None:
                return False
            if known == spans:
                continue
            for at in range(0, len(spans), 2):
                edge = bisect_right(known, spans[at])
                if not edge & 1 or spans[at + 1] > known[edge]:
                    return False
        return True

    def top(self, actor: Actor) -> int:
        """The highest counter of this actor in the set; 0 if there is none."""
        spans = self.spans.get(actor)
        return 0 if spans is None else spans[-1]

    def rows(self) -> list[tuple[Actor, int, int]]:
        """Each interval as (actor, lo, hi), sorted: the same for equal contexts."""
        rows: list[tuple[Actor, int, int]] = []
        for actor, spans in self.spans.items():
            if len(spans) == 2:
                rows.append((actor, spans[0], spans[1]))
            else:
                rows += [(actor, spans[at], spans[at + 1]) for at in range(0, len(spans), 2)]
        rows.sort()
        return rows

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.spans == other.spans

    def __repr__(self) -> str:
        inside = ", ".join(f"{actor.hex()[:8]}:({lo}, {hi}]" for actor, lo, hi in self.rows())
        return f"Context({inside})"


def claim(context: Context, actor: Actor, counter: int, floor: int) -> tuple[int, int]:
    """The interval `(lo, hi]` that a coordinator may say its new dot `(actor, counter)` covers.

    `context` is that of the key in the coordinator's local state, `floor` the counter at which this
    life started or last took the key's partition. From its previous dot p for this key the
    coordinator covers `(p, counter]`, but only if p is above the floor: everything it minted for
    this key since then went through the very state it looks at. Of older counters it may have
    forgotten some (a tail of the disk that was lost, a copy given up and taken back), and covering
    a forgotten dot makes the next join delete what others still hold of it. Then it covers its
    bare dot, which is always right, at the price of one more interval.

    Source: SEMANTICS 1.3. With `(0, n]` 2958 of 3000 simulated schedules lost data, with `(p, n]`
    whatever p is 215, with this rule none.
    """
    return claim_lo(context.top(actor), counter, floor), counter


def claim_lo(previous: int, counter: int, floor: int) -> int:
    """The `lo` of `claim`, given the previous counter (0 = none). Raises `UsedTwice`."""
    if counter <= previous:
        raise UsedTwice
    return previous if previous > floor else counter - 1


def _merge(one: Spans, two: Spans) -> Spans:
    """The union of two canonical span tuples, canonical."""
    if one[-1] < two[0]:
        return one + two
    if two[-1] < one[0]:
        return two + one
    if len(one) == 2 == len(two):
        return (min(one[0], two[0]), max(one[1], two[1]))
    if len(one) < len(two):
        one, two = two, one
    for at in range(0, len(two), 2):
        # What lies within [lo, hi] goes; an end of ours stays an end unless it falls inside theirs.
        lo, hi = two[at], two[at + 1]
        left, right = bisect_left(one, lo), bisect_right(one, hi)
        inner = (() if left & 1 else (lo,)) + (() if right & 1 else (hi,))
        one = one[:left] + inner + one[right:]
    return one
