"""Latencies of requests, by what they did and by the part that this node had in them.

*Coordinated*: from the turn in which this node began to count a quorum to the answer that made it;
what needs no other node's answer is not in it. *Forwarded*: from a client's command to the answer
of the node that ran it, or to the end of the patience for it. Counted in rounds where there are
rounds, so the cost is per turn. The core's time has whole milliseconds; the histograms are in
microseconds, as all others are.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from respdyn.cluster.timeouts import NEVER
from respdyn.metrics import LATENCY_BOUNDS_US, Histogram

# Where so many milliseconds fall among the bounds.
_PLACES: Final = [bisect_left(LATENCY_BOUNDS_US, 1000 * ms) for ms in range(64)]


class Latencies:
    """Four histograms, and a callback for long waits."""

    def __init__(self, waited: Callable[[int, int], None]) -> None:
        self._waited = waited
        # Called for each wait that long: its name among the latency events, and milliseconds.
        self.note_wait: Callable[[str, int], None] = lambda kind, took_ms: None
        self.log_ms = NEVER
        # The peer whose answer, or want of one, last filled waiters in this turn; or "".
        self.whom = ""
        self.reset()

    def reset(self) -> None:
        """All to zero (CONFIG RESETSTAT)."""
        self.coordinated_reads = Histogram()
        self.coordinated_writes = Histogram()
        self.forwarded_reads = Histogram()
        self.forwarded_writes = Histogram()

    def read(self, took_ms: int, requests: int) -> None:
        """So many reads of a round have their quorum."""
        self._note("quorum-read", self.coordinated_reads, took_ms, requests)
        self._waited(took_ms, requests)

    def wrote(self, took_ms: int, requests: int) -> None:
        """So many writes of a round have their quorum."""
        self._note("quorum-write", self.coordinated_writes, took_ms, requests)
        self._waited(took_ms, requests)

    def forwarded(self, took_ms: int, is_read: bool) -> None:
        """Another node has run a command for a client of this one."""
        histogram = self.forwarded_reads if is_read else self.forwarded_writes
        self._note("forward", histogram, took_ms, 1)

    def _note(self, kind: str, histogram: Histogram, took_ms: int, times: int) -> None:
        if 0 <= took_ms < len(_PLACES):
            histogram.counts[_PLACES[took_ms]] += times
            histogram.total += 1000 * took_ms * times
        else:
            histogram.observe_many(1000 * took_ms, times)
        if took_ms >= self.log_ms:
            self.note_wait(kind, took_ms)

    def rows(self) -> Iterator[tuple[str, str, Histogram]]:
        """Operation, role and histogram."""
        yield "read", "coordinated", self.coordinated_reads
        yield "write", "coordinated", self.coordinated_writes
        yield "read", "forwarded", self.forwarded_reads
        yield "write", "forwarded", self.forwarded_writes
