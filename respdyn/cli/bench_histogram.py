"""Latencies counted in microseconds, cheaply enough for a loop that does a million a second.

Two parts: a list with one place for each microsecond up to 65 ms, which the loop increments itself
(`fine[us] += 1` costs 50 ns, a method call as much again), and a dict for what took longer.
"""

from typing import Final

FINE_US: Final = 65_536
COARSE_US: Final = 1024         # steps beyond the fine part


class Histogram:
    """Latencies: exact to a microsecond up to 65 ms, then to about one millisecond."""

    __slots__ = ("coarse", "fine", "most_us")

    def __init__(self) -> None:
        self.fine = [0] * FINE_US
        self.coarse: dict[int, int] = {}
        self.most_us = 0

    def add(self, us: int) -> None:
        """Count one."""
        if us < FINE_US:
            self.fine[us] += 1
        else:
            self.add_slow(us)

    def add_slow(self, us: int) -> None:
        """Count one that is beyond the fine steps."""
        step = us // COARSE_US
        self.coarse[step] = self.coarse.get(step, 0) + 1
        self.most_us = max(self.most_us, us)

    def clear(self) -> None:
        """Forget all. `fine` stays the same list: hot loops hold it."""
        self.fine[:] = [0] * FINE_US
        self.coarse.clear()
        self.most_us = 0

    def count(self) -> int:
        """How many there are."""
        return sum(self.fine) + sum(self.coarse.values())

    def percentile(self, percent: float) -> float:
        """The microseconds that so many per cent did not exceed; 0 if there are none."""
        total = self.count()
        if not total:
            return 0.0
        wanted = min(int(percent / 100 * total), total - 1)
        seen = 0
        for us, times in enumerate(self.fine):
            seen += times
            if seen > wanted:
                return float(us)
        for step in sorted(self.coarse):
            seen += self.coarse[step]
            if seen > wanted:
                return float(min((step + 1) * COARSE_US, self.most_us))
        return float(self.most_us)

    def most(self) -> float:
        """The longest."""
        return float(self.most_us) if self.coarse else self.percentile(100)
