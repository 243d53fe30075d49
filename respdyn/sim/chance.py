"""All chance of a world, drawn from named streams of one seed.

Each part of the world has a stream of its own, so that one more draw in the network does not
change what the clients do.
"""

import random
from collections.abc import Sequence
from math import log
from typing import TypeVar

from respdyn.ports import Random, random_bits

T = TypeVar("T")


class Chance(random.Random, Random):
    """One stream: Python's own generator, which is also the port that a node is given.

    Only `random` is used of what it inherits: the one method whose sequence Python keeps.
    """

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(f"{seed}/{name}")
        self._name = f"{seed}/{name}"

    def secret(self) -> bytes:
        """Follows from the seed. From a stream of its own: no other draw changes."""
        return random_bits(Chance(0, self._name + "/secret"), 256).to_bytes(32, "big")

    def below(self, limit: int) -> int:
        """An integer in [0, limit)."""
        return int(self.random() * limit)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + int(self.random() * (high - low + 1))

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def wait(self, mean: float) -> int:
        """A waiting time around `mean`, exponentially spread, at most ten times as long."""
        return min(int(-log(1.0 - self.random()) * mean), int(mean * 10))

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return choices[int(self.random() * len(choices))]

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """All of them, in any order."""
        rest = list(things)
        for last in range(len(rest) - 1, 0, -1):
            other = self.below(last + 1)
            rest[last], rest[other] = rest[other], rest[last]
        return rest
