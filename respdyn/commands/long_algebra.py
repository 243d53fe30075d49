"""Combining many members of several sets or sorted sets, in pieces (`cluster/slices`).

The same as in `set_algebra` and `score_algebra`, as generators: each yield is the steps of a
piece. The members of a set come in the order in which they were read, not sorted.
"""

from collections.abc import Callable, Generator, Iterator
from heapq import merge
from itertools import islice
from typing import Final, TypeVar

from respdyn.commands.folding import bulks_of

LONG_BYTES: Final = 16_384      # of what was read; less is combined at once
PIECE: Final = 500              # members in a row
_RUN: Final = 4_000             # members that are sorted in a row
_STEPS: Final = 1               # that a member is taken for

Item = TypeVar("Item")
Members = Generator[int, None, list[bytes]]


def is_long(replies: list[bytes]) -> bool:
    """Whether so much was read that it is combined in pieces."""
    return sum(map(len, replies)) > LONG_BYTES


def read(reply: bytes) -> Members:
    """The bulk strings of an array or a set."""
    found: list[bytes] = []
    at = start = reply.index(b"\n") + 1
    end = len(reply)
    while at < end:
        for _ in range(PIECE):
            if at >= end:
                break
            line = reply.index(b"\r", at)
            at = line + 4 + int(reply[at + 1 : line])
        found += bulks_of(b"*\r\n" + reply[start:at])
        start = at
        yield PIECE * _STEPS
    return found


def pieces(items: list[Item]) -> Iterator[list[Item]]:
    """Some at a time."""
    for at in range(0, len(items), PIECE):
        yield items[at : at + PIECE]


def as_set(members: list[bytes]) -> Generator[int, None, set[bytes]]:
    """The set of these."""
    found: set[bytes] = set()
    for some in pieces(members):
        found.update(some)
        yield PIECE * _STEPS
    return found


def unite(found: list[list[bytes]]) -> Members:
    """What is in any of them."""
    united: dict[bytes, None] = {}
    for members in found:
        for some in pieces(members):
            united.update(dict.fromkeys(some))
            yield PIECE * _STEPS
    return list(united)


def intersect(found: list[list[bytes]]) -> Members:
    """What is in all of them."""
    rest: list[set[bytes]] = []
    for members in found[1:]:
        rest.append((yield from as_set(members)))
    return (yield from _those(found[0], lambda member: all(member in other for other in rest)))


def subtract(found: list[list[bytes]]) -> Members:
    """What is in the first and in none of the others."""
    rest: list[set[bytes]] = []
    for members in found[1:]:
        rest.append((yield from as_set(members)))
    return (yield from _those(
        found[0], lambda member: not any(member in other for other in rest)))


def _those(members: list[bytes], are_wanted: Callable[[bytes], bool]) -> Members:
    found: list[bytes] = []
    for some in pieces(members):
        found += [member for member in some if are_wanted(member)]
        yield PIECE * _STEPS
    return found


def ranked(items: list[Item]) -> Generator[int, None, list[Item]]:
    """Sorted: runs that are sorted by themselves, then merged."""
    runs: list[list[Item]] = []
    for at in range(0, len(items), _RUN):
        runs.append(sorted(items[at : at + _RUN]))      # type: ignore[type-var]
        yield _RUN * _STEPS // 4
    merged = merge(*runs)                               # type: ignore[type-var]
    found: list[Item] = []
    while some := list(islice(merged, PIECE)):
        found += some
        yield PIECE * _STEPS
    return found
