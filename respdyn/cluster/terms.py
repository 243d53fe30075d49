"""The terms of a call: how many answers it needs, from whom, and for how long it may wait."""


class Terms:
    """N, R and W as Dynamo means them, for one connection or one call.

    `r` and `w` count distinct nodes. `sloppy` lets fallbacks stand in for unreachable primaries.
    Immutable by convention: a changed copy is made with `replace`.
    """

    __slots__ = ("r", "sloppy", "timeout_ms", "w")

    def __init__(self, r: int, w: int, sloppy: bool, timeout_ms: int) -> None:
        self.r = r
        self.w = w
        self.sloppy = sloppy
        self.timeout_ms = timeout_ms
