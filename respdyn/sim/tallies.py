"""Counters: what the sum of all increments may be, by the replies that clients got.

All increments are positive and drawn from so wide a range that hardly two sets of them have the
same sum. A sum holds every acknowledged increment once, each in doubt once or not at all, and no
more; what a removal takes away is at most what began before it had ended, and at least what was
acknowledged before it began.
"""

from respdyn.sim.operations import DONE, NOTHING, Op

# Of so many increments in doubt all subsets are tried.
_DOUBTS_MOST = 10


class Tally:
    """One counter."""

    def __init__(self) -> None:
        self._adds: list[tuple[Op, int]] = []
        self._resets: list[Op] = []

    def add(self, op: Op, by: int) -> None:
        """An increment begins."""
        self._adds.append((op, by))

    def reset(self, op: Op) -> None:
        """A removal begins."""
        self._resets.append(op)

    def wrong(
        self, shown: int, begin_us: int, end_us: int, is_met: bool, meets_removals: bool
    ) -> str:
        """What is wrong with a sum that was shown to a read from begin to end; "" for nothing.

        `is_met`: the read meets what was acknowledged before; `meets_removals`: and so do removals.
        """
        resets = [op for op in self._resets if op.outcome != NOTHING and op.invoke_us < end_us]
        reach_us = max((op.end_us for op in resets), default=-1)
        floor_us = -1
        if meets_removals:
            floor_us = max((
                op.invoke_us for op in resets
                if op.outcome == DONE and op.result == 1 and op.end_us <= begin_us
            ), default=-1)
        sure = most = 0
        doubts = []
        for op, by in self._adds:
            if op.outcome == NOTHING or op.invoke_us >= end_us or op.end_us < floor_us:
                continue
            most += by
            if op.outcome == DONE and op.end_us <= begin_us and op.invoke_us >= reach_us:
                sure += by
            else:
                doubts.append(by)
        if shown > most:
            return f"{shown} is shown, more than {most}, the sum of all increments"
        if is_met and shown < sure:
            return f"{shown} is shown, less than {sure}, the sum of all acknowledged increments"
        if is_met and not resets and len(doubts) <= _DOUBTS_MOST:
            sums = {sure}
            for by in doubts:
                sums |= {one + by for one in sums}
            if shown not in sums:
                return f"{shown} is shown, which no increments beside {sure} add up to"
        return ""
