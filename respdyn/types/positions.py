"""Where a list's items stand: positions are bytes, and their order is that of the items.

    position   major u64 | unique 8 | levels
    level      digit u32 | unique 8

A push gets a major beyond the end that its coordinator sees, and by its clock: 2**63 + clock on the
right, 2**63 - clock on the left. So of pushes that do not know each other, the items end up in the
order of their times, those of one command together: these share major and unique, and number a
level below. What is inserted between two stands beside one of them on its level, or on a level
below the left one. Unique is four bytes of the actor and of the counter in the item's dot: no
two nodes mint the same position.

Source: decision 0053. After Logoot (Weiss et al., 2009), with room for a run of inserts at one
place, so that positions stay short: after 2000 at one place 28 bytes, at random places 52.
"""

from collections.abc import Sequence
from typing import Final

_STEP: Final = 4096             # room for later inserts between two that followed each other
_MIDDLE: Final = 1 << 63
_TOP: Final = (1 << 32) - 1
_HALF: Final = 1 << 31
_HEAD: Final = 16               # bytes of major and unique
_LEVEL: Final = 12
_LOWEST: Final = bytes(11) + b"\1"      # a level below all others: digit 0, of no item


def unique_of(dot: bytes) -> bytes:
    """What distinguishes the position of an item from all others, given its dot."""
    return dot[:4] + dot[-4:]


def after_last(last: bytes, clock: int, dots: Sequence[bytes]) -> list[bytes]:
    """Positions on the right of the last one there, b"" if there is none, for so many items."""
    major = max(_MIDDLE + clock, int.from_bytes(last[:8]) + 1 if last else 0)
    head = major.to_bytes(8) + unique_of(dots[0])
    if len(dots) == 1:
        return [head]
    return [head + _level(at, unique_of(dot)) for at, dot in enumerate(dots, 1)]


def before_first(first: bytes, clock: int, dots: Sequence[bytes]) -> list[bytes]:
    """Positions on the left of the first one there, each before those of the dots before it."""
    major = min(_MIDDLE - clock, int.from_bytes(first[:8]) - 1 if first else _MIDDLE)
    head = major.to_bytes(8) + unique_of(dots[0])
    if len(dots) == 1:
        return [head]
    return [head + _level(_TOP - at, unique_of(dot)) for at, dot in enumerate(dots, 1)]


def between(left: bytes, right: bytes, dot: bytes, *, is_after: bool) -> bytes:
    """A position between two neighbours.

    `is_after`: others will be wanted between `left` and it, rather than between it and `right`.
    """
    unique = unique_of(dot)
    for step in (_STEP, 1):
        beside = ((right, -step), (left, step)) if is_after else ((left, step), (right, -step))
        for neighbour, distance in beside:
            digit = int.from_bytes(neighbour[-_LEVEL : 4 - _LEVEL]) + distance
            if len(neighbour) > _HEAD and 0 < digit < _TOP:
                found = neighbour[:-_LEVEL] + _level(digit, unique)
                if left < found < right:
                    return found
    found = left + _level(_TOP - _STEP if is_after else _STEP, unique)
    if found < right:
        return found
    found = _below(left, right, unique)
    assert left < found < right, "a position that is not between its neighbours"
    return found


def _below(left: bytes, right: bytes, unique: bytes) -> bytes:
    """A position below `left`, where `right` stands below it as well."""
    at = len(left)
    while True:
        digit = int.from_bytes(right[at : at + 4])
        if digit > 1:
            return right[:at] + _level(digit // 2, unique)
        if digit == 1:
            return right[:at] + _LOWEST + _level(_HALF, unique)
        at += _LEVEL


def _level(digit: int, unique: bytes) -> bytes:
    return digit.to_bytes(4) + unique
