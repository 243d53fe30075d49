"""Admission control: how much background work may be done now, so that clients do not feel it.

Hints, repair, transfer, exchange, collection and the scrub share one *rate*, in bytes a second. Its
owner lowers it by half when clients wait for too long and raises it step by step when they do not,
as TCP does with its window; while there are no clients it doubles. Background work requests room
before each piece:

    room = admission.room(HINTS)            # bytes that may be moved now; 0: not now
    if room:
        ... move about as much ...
        admission.spend(HINTS, cost(records, moved))
    else:
        try again at admission.ready_ms(HINTS)

A piece may be larger than the room, so that any record fits: the kind is in debt then, and waits.
Kinds that requested room within the last second share the rate by weight, so hints come long before
collection, and the lowest still gets its part: nothing starves for ever. No work is stopped once it
has begun.

*Too long*: the 99th percentile of what clients waited for in the last half second (quorums, and
turns of this node's loop) is above `background-latency`, and also above twice what it was in times
when nothing was done in the background: on a slow machine that is no reason to do nothing.

Source: Dynamo 6.5 (the admission controller and its feedback loop).
"""

from collections.abc import Iterator
from typing import Final

from respdyn.cluster.now import Now
from respdyn.config import Settings
from respdyn.metrics import Histogram

HINTS, REPAIR, TRANSFER, EXCHANGE, COLLECTION, SCRUB = range(6)
KINDS: Final = ("hints", "repair", "transfer", "exchange", "collection", "scrub")
WEIGHTS: Final = (32, 16, 8, 4, 2, 1)

WINDOW_MS: Final = 500          # between two looks at the latency
REQUESTS_MS: Final = 1000           # a kind that requested room so recently has a share
BURST_MS: Final = 25            # at most so much of the rate is moved at once
BURST_LEAST: Final = 64 * 1024  # and at least so many bytes of a share
DEBT_MS: Final = 2000           # no piece is paid for longer
ENOUGH: Final = 20              # requests in a window that say something
HELD_MS: Final = 10             # between two looks at whether a disk still is behind
RECORD_BYTES: Final = 512       # what a record costs beside its bytes
STEPS: Final = 64               # from nothing to the full rate, while clients are there
FIRST_RATE: Final = 1 << 20     # to begin with

# Milliseconds. Fine where it matters.
BOUNDS_MS: Final = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 80, 120, 200, 300, 500, 1000, 2000, 5000)


def cost(records: int, size: int) -> int:
    """What moving so many records of so many bytes together costs.

    >>> cost(2, 100)
    1124
    """
    return records * RECORD_BYTES + size


class Admission:
    """Shares out the rate, and moves it. Times are monotonic, in milliseconds."""

    def __init__(self, now: Now) -> None:
        self.most = 32 << 20            # bytes a second, when no client waits
        self.least = 256 << 10          # and when all do
        self.slow_ms = 10
        self.is_held = False            # a disk is behind, or a peer: nothing is done meanwhile
        self.rate = FIRST_RATE
        self.calm_ms = 0.0              # the percentile while nothing was done, smoothed
        self.seen_ms = 0                # and the last one
        self.slowed = 0                 # windows after which the rate was lowered
        self.spent = [0] * len(KINDS)   # since the start
        self.refused = [0] * len(KINDS)
        self._now = now
        self._filled_ms = 0             # when the levels last rose
        self._level = [float(BURST_LEAST)] * len(KINDS)
        self._requested_ms = [-REQUESTS_MS - 1] * len(KINDS)
        self._spent_before = 0
        self._window_ms = 0
        self._waits = Histogram(BOUNDS_MS)
        self._turns = Histogram(BOUNDS_MS)

    # ---- for those who work ----

    def settings_changed(self, settings: Settings) -> None:
        """Take over what CONFIG SET may have changed."""
        self.most = settings.background_rate
        self.least = settings.background_floor
        self.slow_ms = settings.background_latency_ms

    def room(self, kind: int) -> int:
        """How many bytes this kind may move now; 0 for none."""
        self._requested_ms[kind] = self._now.now_ms
        room = int(self._level[kind])
        if room > 0 and not self.is_held:
            return room
        self.refused[kind] += 1
        return 0

    def spend(self, kind: int, size: int) -> None:
        """So much was moved; more than there was room for, if a piece was large."""
        self.spent[kind] += size
        debt = -self._share(kind) * DEBT_MS / 1000
        self._level[kind] = max(self._level[kind] - size, min(debt, self._level[kind]))

    def ready_ms(self, kind: int) -> int:
        """When there will be room, as far as is known now."""
        if self.is_held:
            return self._now.now_ms + HELD_MS
        missing = 1 - self._level[kind]
        if missing <= 0:
            return self._now.now_ms
        return self._now.now_ms + max(1, int(missing * 1000 / self._share(kind)))

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Of each kind: its name, the bytes moved, and how often there was no room."""
        yield from zip(KINDS, self.spent, self.refused, strict=True)

    # ---- what clients feel ----

    def waited(self, wait_ms: int, requests: int) -> None:
        """So many requests of clients were answered after so long."""
        self._waits.observe_many(wait_ms, requests)

    def turned(self, turn_ms: int) -> None:
        """A turn of this node took so long: whatever came meanwhile waited for its end."""
        self._turns.observe(turn_ms)

    # ---- time ----

    def tick(self) -> None:
        """Time passes. Call before the others, every turn."""
        now_ms = self._now.now_ms
        passed_ms = min(now_ms - self._filled_ms, 1000)
        self._filled_ms = now_ms
        if passed_ms > 0:
            for kind in range(len(KINDS)):
                if self._level[kind] < 0 or now_ms - self._requested_ms[kind] <= REQUESTS_MS:
                    share = self._share(kind)
                    most = max(share * BURST_MS / 1000, BURST_LEAST)
                    if self._level[kind] < most:
                        filled = self._level[kind] + share * passed_ms / 1000
                        self._level[kind] = min(filled, most)
        if now_ms - self._window_ms >= WINDOW_MS:
            self._window_ms = now_ms
            self._look()

    def _share(self, kind: int) -> float:
        """Bytes a second for this kind, given which others have requested room of late."""
        since = self._now.now_ms - REQUESTS_MS
        others = sum(
            WEIGHTS[other] for other in range(len(KINDS))
            if other != kind and self._requested_ms[other] >= since
        )
        return self.rate * WEIGHTS[kind] / (WEIGHTS[kind] + others)

    def _look(self) -> None:
        """Judge the window that ends, and begin another."""
        spent = sum(self.spent)
        was_calm = spent == self._spent_before
        self._spent_before = spent
        seen = 0
        for histogram in (self._waits, self._turns):
            if histogram.count >= ENOUGH:
                seen = max(seen, histogram.quantile(0.99))
        self._waits = Histogram(BOUNDS_MS)
        self._turns = Histogram(BOUNDS_MS)
        self.seen_ms = seen
        limit_ms = max(self.slow_ms, 2 * self.calm_ms)
        if was_calm and seen:
            # A fault is no calm: what it teaches is bounded.
            self.calm_ms += (min(seen, 10 * self.slow_ms) - self.calm_ms) / 8
        if seen > limit_ms and not was_calm:
            self.slowed += 1
            self.rate = max(self.rate // 2, self.least)
        else:
            step = self.most // STEPS if seen else self.rate
            self.rate = max(min(self.rate + step, self.most), self.least)
