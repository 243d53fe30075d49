"""The time, for all rooms of a node: set once a turn, by `Node.advance`, stored nowhere else.

All rooms hold the one object and read it. A room with a copy of the time can be forgotten when time
passes, and then lives in the past.
"""


class Now:
    """The time of this turn, in milliseconds."""

    __slots__ = ("now_ms", "wall_ms")

    def __init__(self) -> None:
        self.now_ms = 0         # monotonic: for deadlines and pauses
        self.wall_ms = 0        # since 1970, as far as it is trusted: for expiry and for stamps
