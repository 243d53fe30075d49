"""Patterns of PSUBSCRIBE, so kept that few of them are compared with a channel's name.

A pattern's beginning, up to its first character that is not just itself, must be the beginning of
every name that it matches. Patterns are kept by that, at most `LEAD_MAX` bytes of it; of a name's
beginnings there are no more than so many to be looked up. Each pattern is compiled once, when the
first listens to it. What is left to compare are the patterns that begin as the name does: of
100,000 that begin with a star, all of them.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.commands.scan import Glob, glob_of, lead_of

LEAD_MAX: Final = 32


class Patterns:
    """The patterns, and what matches."""

    def __init__(self) -> None:
        self._globs: dict[bytes, Glob] = {}
        self._weights: dict[bytes, int] = {}
        self._by_lead: dict[bytes, dict[bytes, None]] = {}
        self._lengths: dict[int, int] = {}          # of leads: how many leads are so long

    def add(self, pattern: bytes) -> None:
        """It has a subscriber; nothing happens if it was here."""
        if pattern in self._globs:
            return
        self._globs[pattern] = glob = glob_of(pattern)
        self._weights[pattern] = glob.weight
        lead = lead_of(pattern)[:LEAD_MAX]
        alike = self._by_lead.get(lead)
        if alike is None:
            alike = self._by_lead[lead] = {}
            self._lengths[len(lead)] = self._lengths.get(len(lead), 0) + 1
        alike[pattern] = None

    def remove(self, pattern: bytes) -> None:
        """It has no subscriber any more."""
        del self._globs[pattern], self._weights[pattern]
        lead = lead_of(pattern)[:LEAD_MAX]
        alike = self._by_lead[lead]
        del alike[pattern]
        if not alike:
            del self._by_lead[lead]
            self._lengths[len(lead)] -= 1
            if not self._lengths[len(lead)]:
                del self._lengths[len(lead)]

    def candidates(self, name: bytes) -> Iterator[bytes]:
        """The patterns that begin as this name does, as they are now. They may change meanwhile."""
        for length in sorted(self._lengths):
            alike = self._by_lead.get(name[:length])
            if alike is not None and length <= len(name):
                yield from list(alike)

    def weight(self, pattern: bytes) -> int:
        """What it costs to compare a byte of a name with it."""
        return self._weights.get(pattern, 0)

    def matches(self, pattern: bytes, name: bytes) -> bool:
        """Whether a name matches, and the pattern is still here."""
        glob = self._globs.get(pattern)
        return glob is not None and glob.matches(name)
