"""A hybrid logical clock: wall time where clocks agree, a counter where they do not.

One integer holds 48 bits of milliseconds and 16 bits of counter, so clocks compare as integers and
a counter that runs over simply borrows from the next millisecond. The clock decides which of
several concurrent values a plain reader sees, and what expiry and tombstone age are measured from.
It never decides causality; dots do.

Source: SEMANTICS 1.5; Kulkarni et al., "Logical Physical Clocks" (2014).
"""

from typing import Final

CLOCK_MAX: Final = 2**64 - 1
_COUNTER_BITS: Final = 16


def ms_of(clock: int) -> int:
    """The milliseconds in a clock."""
    return clock >> _COUNTER_BITS


class HybridClock:
    """One node's clock. It is given the wall clock at each use and never reads one itself."""

    __slots__ = ("last", "max_offset_ms")

    def __init__(self, max_offset_ms: int) -> None:
        self.max_offset_ms = max_offset_ms
        self.last = 0

    def now(self, wall_ms: int) -> int:
        """A clock above all that this node has made or adopted, even if the wall clock went back.

        >>> clock = HybridClock(500)
        >>> [clock.now(wall_ms) for wall_ms in (1, 1, 0, 2)]
        [65536, 65537, 65538, 131072]
        """
        wall = wall_ms << _COUNTER_BITS
        self.last = wall if wall > self.last else self.last + 1
        return self.last

    def observe(self, remote: int, wall_ms: int) -> bool:
        """Adopt a clock seen in a peer's data, so that the next one made here is above it.

        False, and nothing adopted, if it is more than `max_offset_ms` ahead of our wall clock: one
        node in the far future must not drag the others along. Its data is accepted all the same.
        """
        if remote > self.last:
            if (remote >> _COUNTER_BITS) - wall_ms > self.max_offset_ms:
                return False
            self.last = remote
        return True
