"""The time, for all rooms of a node: set once a turn, by `Node.advance`, stored nowhere else.

Everybody holds the one object and asks it. A copy of the time is a room that can be forgotten, and
then lives in the past.
"""


class Now:
    """The time of this turn, in milliseconds."""

    __slots__ = ("now_ms", "wall_ms")

    def __init__(self) -> None:
        self.now_ms = 0         # monotonic: for deadlines and pauses
        self.wall_ms = 0        # since 1970, as far as it is trusted: for expiry and for stamps
