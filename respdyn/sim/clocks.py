"""What one node believes the time to be: a monotonic clock that drifts, a wall clock that errs.

The world's own time is in microseconds since its beginning. Nodes see milliseconds.
"""

# The wall clock's reading when a world begins: a date, so that 48-bit milliseconds are in use.
EPOCH_MS = 1_700_000_000_000
_MILLION = 1_000_000
_BILLION = 1_000_000_000


class Clock:
    """One node's clocks, as functions of the world's time."""

    __slots__ = ("_mono_base_ms", "_rate", "offset_ms", "skew_ms", "worst_ms")

    def __init__(self, drift_ppm: int, skew_ms: int, mono_base_ms: int) -> None:
        self._rate = _MILLION + drift_ppm
        self._mono_base_ms = mono_base_ms
        self.skew_ms = skew_ms          # the error that this clock has in calm
        self.offset_ms = skew_ms        # the error that it has now
        self.worst_ms = abs(skew_ms)    # the largest error it ever had, drift excepted

    def mono_ms(self, now_us: int) -> int:
        """The monotonic clock; never goes back, whatever the wall clock does."""
        return self._mono_base_ms + now_us * self._rate // _BILLION

    def wall_ms(self, now_us: int) -> int:
        """The wall clock."""
        return EPOCH_MS + now_us * self._rate // _BILLION + self.offset_ms

    def reach_us(self, mono_ms: int) -> int:
        """The world's time at which the monotonic clock first shows `mono_ms`."""
        return -(-(mono_ms - self._mono_base_ms) * _BILLION // self._rate)

    def jump(self, offset_ms: int) -> None:
        """Set the wall clock's error."""
        self.offset_ms = offset_ms
        self.worst_ms = max(self.worst_ms, abs(offset_ms))

    def set_right(self) -> None:
        """Back to the error of calm days."""
        self.offset_ms = self.skew_ms
