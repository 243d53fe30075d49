"""The terms of a call: how many answers it needs, from whom, and for how long it may wait."""

from typing import Final


class Terms:
    """N, R and W as Dynamo means them, for one connection or one call.

    `r` and `w` count distinct nodes. `sloppy` lets fallbacks stand in for unreachable primaries.
    `r_wish` and `w_wish` are the words that a client stated them in, b"" if it did not: when the
    number of copies changes, a connection's `r` and `w` are found anew
    (`coordination/consistency`).
    """

    __slots__ = ("r", "r_wish", "sloppy", "timeout_ms", "w", "w_wish")

    def __init__(
        self, r: int, w: int, sloppy: bool, timeout_ms: int, r_wish: bytes = b"",
        w_wish: bytes = b"",
    ) -> None:
        self.r = r
        self.w = w
        self.sloppy = sloppy
        self.timeout_ms = timeout_ms
        self.r_wish = r_wish
        self.w_wish = w_wish


ANY: Final = Terms(1, 1, True, 0)       # one answer is enough
