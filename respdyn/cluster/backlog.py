"""Backlogs (back-pressure): whether too much waits for a disk to store it, or a peer to take it.

A queue that only has an end stops its writers too late. So it is judged long before, by two
measures: its bytes, and how long the oldest of it has waited, since a slow disk is behind with far
fewer bytes than a quick one. The verdict has a memory: who is behind stays so until half is done,
so that those who wait for it do not start and stop with each piece.

    queue = Backlog(most=64 << 20)
    queue.add(number, size, now_ms)     numbers grow
    queue.done(number)                  this and all before it
    queue.judge(now_ms, age_ms)         once a turn: whether `is_behind` has changed

Who is behind refuses nothing: `sessions/holding.py` lets those wait who write much.

Source: TCP's queues under bulk load (bufferbloat): Nichols and Jacobson, *Controlling Queue Delay*
(2012), judge a queue by how long things stay in it.
"""

from collections import deque
from typing import Final

LEAST_SHARE: Final = 64     # of `most`: with fewer bytes than that no node is behind, however slow


class Backlog:
    """What was handed over and is not done."""

    __slots__ = ("_low", "_parts", "bytes", "is_behind", "most")

    def __init__(self, most: int) -> None:
        self.most = most            # bytes at which it is behind in any case
        self.bytes = 0
        self.is_behind = False
        self._low = 0               # at so many bytes it no longer is
        self._parts: deque[tuple[int, int, int]] = deque()      # number, bytes, since when

    def add(self, number: int, size: int, now_ms: int) -> None:
        """So many bytes more, under a number above all before."""
        self._parts.append((number, size, now_ms))
        self.bytes += size

    def done(self, number: int) -> None:
        """Everything up to this number is done."""
        parts = self._parts
        while parts and parts[0][0] <= number:
            self.bytes -= parts.popleft()[1]

    def clear(self) -> None:
        """It will not be done any more."""
        self._parts.clear()
        self.bytes = 0

    def judge(self, now_ms: int, age_ms: int) -> bool:
        """Whether it has come to be behind, or is no longer. `age_ms`: how long a part may wait."""
        if self.is_behind:
            if self.bytes > self._low:
                return False
            self.is_behind = False
            return True
        size = self.bytes
        if size <= self.most and (
            size * LEAST_SHARE <= self.most or now_ms - self._parts[0][2] <= age_ms
        ):
            return False
        self.is_behind = True
        self._low = min(size, self.most) // 2
        return True
