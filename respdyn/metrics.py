"""Plain counters and fixed-bucket histograms: what happened, at the price of an addition.

A counter is an attribute of a slotted object (`metrics.client_bytes_in += n`, about 50 ns); a
histogram a list of bucket counts found by bisection. Nothing here knows how they are shown:
`server/exposition.py` reads them at each scrape.
"""

from bisect import bisect_left
from typing import Final

# Upper bounds in microseconds: roughly 1, 2.5, 5 per decade, from 50 us to 10 s.
LATENCY_BOUNDS_US: Final = (
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
)


class Histogram:
    """How many observations fell at or below each bound, and their sum.

    >>> h = Histogram((10, 100))
    >>> for value in (5, 10, 50, 500): h.observe(value)
    >>> h.cumulative(), h.count, h.total
    ([2, 3, 4], 4, 565)
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...] = LATENCY_BOUNDS_US) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)   # the last: above every bound
        self.total = 0

    def observe(self, value: int) -> None:
        """Count one value. Most are small: compiled, a few comparisons cost less than a call."""
        index = 0
        for bound in self.bounds:
            if value <= bound:
                break
            index += 1
        self.counts[index] += 1
        self.total += value

    def observe_many(self, value: int, times: int) -> None:
        """Count one value several times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)

    def cumulative(self) -> list[int]:
        """Per bound, and at the end for infinity, how many were at or below it."""
        sums = []
        running = 0
        for count in self.counts:
            running += count
            sums.append(running)
        return sums

    def quantile(self, share: float) -> int:
        """The bound below which at least this share lies; 0 if nothing was observed.

        As coarse as the buckets are; beyond the last bound, it is the last bound.
        """
        sums = self.cumulative()
        if not sums[-1]:
            return 0
        wanted = share * sums[-1]
        for bound, running in zip(self.bounds, sums, strict=False):
            if running >= wanted:
                return bound
        return self.bounds[-1]


class ServerMetrics:
    """What the sockets did. One per process; read by INFO and the exposition."""

    __slots__ = (
        "client_bytes_in", "client_bytes_out", "client_reads", "client_writes",
        "clients_connected", "clients_idle_closed", "clients_opened", "clients_output_closed",
        "clients_paused", "clients_protected", "clients_protocol_errors", "clients_refused",
        "http_refused", "http_requests",
        "peer_bytes_in", "peer_bytes_out", "peer_dials", "peer_faults", "peer_frames_in",
        "peer_frames_lost",
        "peer_frames_out", "peer_links", "peer_links_abandoned", "peer_output_dropped",
        "peer_protocol_errors", "peer_refused", "storage_failed", "storage_failures", "turn_us",
        "turns",
    )

    def __init__(self) -> None:
        self.client_bytes_in = 0
        self.client_bytes_out = 0
        self.client_reads = 0               # pieces that sockets gave, and were given
        self.client_writes = 0
        self.clients_connected = 0
        self.clients_opened = 0
        self.clients_refused = 0            # max-clients
        self.clients_protected = 0          # protected-mode
        self.clients_protocol_errors = 0
        self.clients_paused = 0             # times client-output-soft made a client wait
        self.clients_output_closed = 0      # client-output-limit
        self.clients_idle_closed = 0        # timeout
        self.peer_links = 0
        self.peer_links_abandoned = 0
        self.peer_dials = 0
        self.peer_refused = 0               # strangers, wrong secrets, other clusters
        self.peer_protocol_errors = 0
        self.peer_faults = 0                # frames whose handling failed here
        self.peer_frames_in = 0
        self.peer_frames_out = 0
        self.peer_frames_lost = 0           # no link when the turn ended
        self.peer_output_dropped = 0        # peer-output-limit
        self.peer_bytes_in = 0
        self.peer_bytes_out = 0
        self.http_requests = 0
        self.http_refused = 0
        self.storage_failed = 0             # 1 while the store cannot write
        self.storage_failures = 0
        self.turns = 0
        self.turn_us = Histogram()
