"""How long requests took, by what they did and by the part that this node had in them.

*Coordinated*: from the turn in which this node began to count a quorum to the answer that made it;
what needs nobody's answer is not in it. *Forwarded*: from a client's command to the answer of the
node that ran it. Counted in rounds where there are rounds, so the cost is per turn. The core's
time has whole milliseconds; the histograms are in microseconds, as all others are.
"""

from collections.abc import Callable, Iterator

from respdyn.metrics import Histogram


class Latencies:
    """Four histograms, and whoever wants to know what clients feel."""

    def __init__(self, waited: Callable[[int, int], None]) -> None:
        self._waited = waited
        # Hears of each wait: its name among the latency events, and milliseconds.
        self.tell: Callable[[str, int], None] = lambda kind, took_ms: None
        self.reset()

    def reset(self) -> None:
        """All to zero (CONFIG RESETSTAT)."""
        self.coordinated_reads = Histogram()
        self.coordinated_writes = Histogram()
        self.forwarded_reads = Histogram()
        self.forwarded_writes = Histogram()

    def read(self, took_ms: int, requests: int) -> None:
        """So many reads of a round have their quorum."""
        self.coordinated_reads.observe_many(1000 * took_ms, requests)
        self._waited(took_ms, requests)
        self.tell("quorum-read", took_ms)

    def wrote(self, took_ms: int, requests: int) -> None:
        """So many writes of a round have their quorum."""
        self.coordinated_writes.observe_many(1000 * took_ms, requests)
        self._waited(took_ms, requests)
        self.tell("quorum-write", took_ms)

    def forwarded(self, took_ms: int, is_read: bool) -> None:
        """Another node has run a command for a client of this one."""
        histogram = self.forwarded_reads if is_read else self.forwarded_writes
        histogram.observe(1000 * took_ms)
        self.tell("forward", took_ms)

    def rows(self) -> Iterator[tuple[str, str, Histogram]]:
        """Operation, role and histogram."""
        yield "read", "coordinated", self.coordinated_reads
        yield "write", "coordinated", self.coordinated_writes
        yield "read", "forwarded", self.forwarded_reads
        yield "write", "forwarded", self.forwarded_writes
