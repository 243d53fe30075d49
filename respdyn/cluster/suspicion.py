"""Phi accrual: how suspicious a peer's silence is by its answers so far, and whether it is slow.

*Phi* is the suspicion that a silence of some length raises, given how long this peer has taken to
answer so far: phi 3 means that one silence in a thousand would be longer though all is well, phi 8
one in a hundred million. So a link that is always slow is given time, and one that never is, less.
The delays are taken as normally distributed, with a least deviation, since a quiet link knows
nothing yet of the pauses that there will be. One sample is the worst delay of an interval, not that
of a message: a busy link would otherwise forget a bad second within a tenth of one.

The *pace* is for the peer that answers later than it used to: its delays lately, beside its usual
ones. A peer that always was far away is not late by that.

The *success ratio* is for the peer that is there and no use: it answers, but too late, or its
commands time out.

Source: Hayashibara et al., "The phi accrual failure detector" (2004); the logistic approximation of
the normal distribution is Bowling's (2009); success ratio as in Voldemort's threshold detector.
"""

from collections import deque
from math import exp, log10, sqrt
from typing import Final

SAMPLES: Final = 100        # intervals that are remembered
ENOUGH: Final = 8           # below so many, phi is not used
PHI_MAX: Final = 40.0

LATELY: Final = 8           # answers that make a pace
USUALLY: Final = 400        # intervals that make it the usual one: a minute of traffic

PARTS: Final = 10           # of the time over which answers are counted
BAD_LEAST: Final = 5        # fewer bad answers than these say nothing
SICK: Final = 0.8           # below this share of good answers a peer is sick
WELL: Final = 0.95          # and from this share on it is well again


class Delays:
    """How long a peer has taken to answer, lately."""

    __slots__ = ("_least_ms", "_samples", "_squares", "_sum")

    def __init__(self, least_ms: float) -> None:
        self._least_ms = least_ms       # of the standard deviation
        self._samples: deque[int] = deque()
        self._sum = 0
        self._squares = 0

    def note(self, delay_ms: int) -> None:
        """The worst delay of one more interval."""
        if len(self._samples) == SAMPLES:
            old = self._samples.popleft()
            self._sum -= old
            self._squares -= old * old
        self._samples.append(delay_ms)
        self._sum += delay_ms
        self._squares += delay_ms * delay_ms

    def worst_ms(self) -> int:
        """The longest of those that are remembered."""
        return max(self._samples, default=0)

    def phi(self, silence_ms: int) -> float:
        """How suspicious a silence of this length is; 0.0 while too little is known.

        >>> delays = Delays(100)
        >>> for _ in range(20): delays.note(10)
        >>> [round(delays.phi(ms), 1) for ms in (10, 210, 410, 610)]
        [0.3, 1.6, 4.5, 9.9]
        """
        count = len(self._samples)
        if count < ENOUGH:
            return 0.0
        mean = self._sum / count
        deviation = max(sqrt(max(0.0, self._squares / count - mean * mean)), self._least_ms)
        y = (silence_ms - mean) / deviation
        power = y * (1.5976 + 0.070566 * y * y)
        if power > 90:
            return PHI_MAX
        if power < -90:
            return 0.0
        e = exp(-power)
        return -log10(e / (1 + e))


class Pace:
    """How quick a peer is lately, and how quick it usually is. Both are running means."""

    __slots__ = ("is_late", "lately_ms", "usual_ms")

    def __init__(self) -> None:
        self.lately_ms = 0.0
        self.usual_ms = -1.0        # nothing is known
        self.is_late = False

    def note(self, delay_ms: int) -> None:
        """An answer took so long."""
        self.lately_ms += (delay_ms - self.lately_ms) / LATELY

    def settle(self) -> None:
        """One more interval: what is lately so becomes usual, a little."""
        if self.usual_ms < 0:
            self.usual_ms = self.lately_ms
        else:
            self.usual_ms += (self.lately_ms - self.usual_ms) / USUALLY

    def judge(self, least_ms: float, times: float) -> bool:
        """Whether it is so many times slower than usual; well again it is at half of that."""
        bound_ms = max(least_ms, times * self.usual_ms)
        if self.is_late:
            bound_ms /= 2
        self.is_late = self.usual_ms >= 0 and self.lately_ms > bound_ms
        return self.is_late

    def forget(self) -> None:
        """What was lately so was before it was lost."""
        self.lately_ms = max(self.usual_ms, 0.0)


class Answers:
    """Good and bad answers of the last `PARTS` parts of time."""

    __slots__ = ("_bad", "_good", "is_sick")

    def __init__(self) -> None:
        self.is_sick = False
        self._good: deque[int] = deque([0], maxlen=PARTS)
        self._bad: deque[int] = deque([0], maxlen=PARTS)

    def good(self) -> None:
        """One that came in time."""
        self._good[-1] += 1

    def bad(self) -> None:
        """One that was late, or never came."""
        self._bad[-1] += 1

    def judge(self) -> bool:
        """Sick or well: two thresholds, so that a peer between them stays what it was."""
        good, bad = sum(self._good), sum(self._bad)
        share = good / (good + bad) if good + bad else 1.0
        if self.is_sick:
            self.is_sick = share < WELL
        else:
            self.is_sick = bad >= BAD_LEAST and share < SICK
        return self.is_sick

    def roll(self) -> None:
        """A part of time has passed."""
        self._good.append(0)
        self._bad.append(0)

    def forget(self) -> None:
        """What was, was before the connection broke."""
        self._good = deque([0], maxlen=PARTS)
        self._bad = deque([0], maxlen=PARTS)
        self.is_sick = False
