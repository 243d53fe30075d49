"""Lists: what may be in them, by the replies that clients got. Items are unique values.

A *line* is a list that clients push to and pop from, or two: a source, and where LMOVE brings its
items, in one direction. Checked at every look at it, and at the end:

*Lost?* An item whose push was acknowledged is shown, or a pop has given it, or one of the pops
whose outcome is unknown has taken it, each as many as it may. A move whose outcome is not
known excuses nothing in the end: the item is in both lists or in one, never in none.

*Given twice?* Not while nothing fails, and nothing of what was popped is shown again by a node
that must have met the pop. In a cut, or where another node coordinates, two pops may give one item.

What is lost is judged when all is over, for what took an item may be answered later than the look
that misses it.
"""

from collections import Counter
from collections.abc import Sequence

from respdyn.sim.operations import DONE, NOTHING, UNKNOWN, Op


class Look:
    """What a client was shown of one of the lists, and whether it must have met what was before."""

    def __init__(self, op: Op, key: bytes, shown: Sequence[bytes], is_met: bool) -> None:
        self.op = op
        self.key = key
        self.shown = frozenset(shown)
        self.is_met = is_met


class Line:
    """One line."""

    def __init__(self, source: bytes, further: bytes = b"", is_calm: bool = False) -> None:
        self.source = source
        self.further = further              # where its items are moved to; b"": nowhere
        self._is_calm = is_calm             # nothing fails: every item is given once
        self._pushes: dict[bytes, Op] = {}
        self._takes: list[Op] = []          # pops, moves and removals of all, sent
        self._given: dict[tuple[bytes, bytes], list[Op]] = {}   # (key, item) -> who was given it
        self._looks: list[Look] = []

    # ---- what clients do ----

    def push(self, op: Op, items: Sequence[bytes]) -> None:
        """A push begins."""
        for item in items:
            self._pushes[item] = op

    def take(self, op: Op) -> None:
        """A pop, a move or a DEL begins."""
        self._takes.append(op)

    def gave(self, op: Op, key: bytes, items: Sequence[bytes]) -> str:
        """A pop or a move was answered with these; what is wrong with that, "" for nothing."""
        for item in items:
            known = self._given.setdefault((key, item), [])
            known.append(op)
            if self._is_calm and len(known) > 1:
                return f"{_name(item)} was given twice, although nothing fails"
        return self._unknown(op, items)

    def showed(self, op: Op, key: bytes, shown: Sequence[bytes], is_met: bool) -> str:
        """A list was shown whole, or a pop found it empty; what is wrong, "" for nothing."""
        self._looks.append(Look(op, key, shown, is_met))
        twice = [item for item, count in Counter(shown).items() if count > 1]
        if twice and (key == self.source or self._is_calm):
            return f"{_name(twice[0])} is shown twice"
        return self._unknown(op, shown) or (self._back(op, key, shown) if is_met else "")

    def _unknown(self, op: Op, items: Sequence[bytes]) -> str:
        for item in items:
            push = self._pushes.get(item)
            if push is None or push.invoke_us > op.end_us:
                return f"{_name(item)} was never pushed"
            if push.outcome == NOTHING:
                return f"the push of {_name(item)} was refused"
        return ""

    def _back(self, op: Op, key: bytes, shown: Sequence[bytes]) -> str:
        for item in shown:
            given = [one for one in self._given.get((key, item), ()) if one.end_us < op.invoke_us]
            if given and not (key == self.further and self._may_come_again(item)):
                return f"{_name(item)} is shown, which was given at {given[0].end_us} us"
        return ""

    def _may_come_again(self, item: bytes) -> bool:
        """Whether a second move may have brought it."""
        moves = self._given.get((self.source, item), ())
        return len(moves) > 1 or any(
            one.outcome not in (DONE, NOTHING) and one.argv[0] == b"LMOVE" for one in self._takes
        )

    # ---- when all is over ----

    def lost(self, final: dict[bytes, Sequence[bytes]]) -> str:
        """What was lost by any look, or in the end, where these are shown; "" for nothing."""
        for look in self._looks:
            if look.is_met and (wrong := self._missed(look)):
                return wrong
        shown = {item for items in final.values() for item in items}
        popped = {
            item for (key, item), _ in self._given.items() if key == (self.further or self.source)
        }
        missing = [
            item for item, push in self._pushes.items()
            if push.outcome == DONE and item not in shown and item not in popped
            and not self._is_deleted(push.invoke_us, 1 << 62)
        ]
        room = sum(
            _most(one) for one in self._takes if one.outcome == UNKNOWN and one.argv[0] != b"LMOVE"
        )
        if len(missing) > room:
            return (
                f"in the end {len(missing)} items are nowhere, among them {_name(missing[0])},"
                f" acknowledged at {self._pushes[missing[0]].end_us} us, and only {room} can have"
                " been taken by pops of unknown outcome"
            )
        return ""

    def _missed(self, look: Look) -> str:
        """What a look does not show although it was there."""
        begin_us, end_us = look.op.invoke_us, look.op.end_us
        missing = []
        for item, added in self._added_to(look.key):
            if added.end_us > begin_us or added.outcome != DONE or item in look.shown:
                continue
            given = self._given.get((look.key, item), ())
            if any(one.invoke_us < end_us for one in given):
                continue
            if not self._is_deleted(self._pushes[item].invoke_us, end_us):
                missing.append(item)
        room = sum(
            _most(one) for one in self._takes
            if one.outcome == UNKNOWN and one.invoke_us < end_us and _takes_from(one, look.key)
        )
        if len(missing) <= room:
            return ""
        return (
            f"{look.op} of {look.op.client} at {begin_us} us does not show {_name(missing[0])}, and"
            f" {len(missing) - 1} more, which were there before; {room} can have been taken by pops"
            " of unknown outcome"
        )

    def _added_to(self, key: bytes) -> list[tuple[bytes, Op]]:
        """Each item and who has certainly put it there."""
        if key == self.source:
            return list(self._pushes.items())
        return [
            (item, moves[0]) for (source, item), moves in self._given.items()
            if source == self.source
        ]

    def _is_deleted(self, since_us: int, until_us: int) -> bool:
        return any(
            one.argv[0] == b"DEL" and one.outcome != NOTHING and since_us < one.end_us
            and one.invoke_us < until_us for one in self._takes
        )


def _most(op: Op) -> int:
    """How many items a pop takes at most."""
    return int(op.argv[2]) if op.argv[0] in (b"LPOP", b"RPOP") and len(op.argv) > 2 else 1


def _takes_from(op: Op, key: bytes) -> bool:
    return op.argv[0] != b"DEL" and op.argv[1] == key


def _name(value: bytes) -> str:
    return value.decode("latin-1")
