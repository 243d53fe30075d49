"""Numbers that look random and follow from a seed, so that a reply can be computed twice.

Nothing below the node reaches for randomness: who draws the seed keeps it, and when the command
is run again, on more copies or for an event, the choice is the same.

Source: splitmix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014).
"""

from collections.abc import Iterator
from typing import Final

from respdyn.causal.dot import Stamp

_ALL: Final = (1 << 64) - 1


class Chance:
    """A sequence of numbers from a seed."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _ALL

    def below(self, count: int) -> int:
        """A number from 0 to count - 1."""
        self._state = self._state + 0x9E3779B97F4A7C15 & _ALL
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _ALL
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _ALL
        return (mixed ^ mixed >> 31) % count

    def sample(self, size: int, count: int) -> list[int]:
        """So many different numbers from 0 to size - 1, in any order; all if that is too many."""
        return list(self.each(size, count))

    def each(self, size: int, count: int) -> Iterator[int]:
        """The same, one after the other."""
        taken: dict[int, int] = {}      # the first steps of a Fisher-Yates shuffle
        for at in range(min(count, size)):
            other = at + self.below(size - at)
            yield taken.get(other, other)
            taken[other] = taken.get(at, at)


def chance_of(stamp: Stamp) -> Chance:
    """The chance of a write: its actor's 128 random bits and its counter."""
    actor = stamp[0]
    return Chance(int.from_bytes(actor[:8]) ^ int.from_bytes(actor[8:]) ^ stamp[1] << 20)
