"""Doubles as Redis reads and prints them, and as integers that add up without rounding.

Scores are read by `strtod` of C: decimal or hexadecimal, infinite by name. Python's `float` rounds
as it does. They are printed as `%.17g`, which every reader turns into the same double again.

A double is a whole number of *grains*, 2**-1074, the smallest that there is.

Source: Redis `util.c` (string2d), `t_zset.c` (zslParseRange),
`util.c` (double2ll); C11 7.22.1.3; IEEE 754.
"""

import re
from math import inf, isinf, nan
from struct import Struct
from typing import Final

GRAIN_BITS: Final = 1074
ONE: Final = 1 << GRAIN_BITS        # 1.0 in grains

_WHOLE_MAX: Final = 1 << 62
_SPACES: Final = b" \t\n\v\f\r"
_NUMBER: Final = re.compile(
    rb"([+-]?)(?:(0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?)"
    rb"|((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rb"|(inf(?:inity)?)|(nan(?:\([0-9a-z_]*\))?))", re.IGNORECASE,
)
_NOT_ZERO: Final = re.compile(rb"[1-9a-fA-F]")
_packing: Final = Struct(">d")


def read(text: bytes) -> float | None:
    """The score that a client wrote; None for what is none, NaN, or out of the range of doubles."""
    found = _NUMBER.fullmatch(text)
    return None if found is None else _in_range(found)


def read_bound(text: bytes) -> float | None:
    """The end of a range: as C reads it, up to a NUL byte; nothing is 0; None if it is none."""
    text = text.split(b"\0", 1)[0]
    if not text:
        return 0.0
    found = _NUMBER.fullmatch(text.lstrip(_SPACES))
    return None if found is None or found[5] else _value(found)


def read_loosely(text: bytes) -> float | None:
    """What SORT sorts by: the same, but None also for what is out of the range of doubles."""
    text = text.split(b"\0", 1)[0]
    if not text:
        return 0.0
    found = _NUMBER.fullmatch(text.lstrip(_SPACES))
    return None if found is None else _in_range(found)


def _in_range(found: re.Match[bytes]) -> float | None:
    if found[5]:
        return None
    value = _value(found)
    if not found[4] and (isinf(value) or (not value and not _is_zero(found))):
        return None
    return value


def print_double(value: float) -> bytes:
    """A double's text.

    >>> [print_double(value) for value in (1.0, 0.1, 1e20, float("-inf"))]
    [b'1', b'0.10000000000000001', b'1e+20', b'-inf']
    """
    return b"%.17g" % value


def print_packed(value: float) -> bytes:
    """A double's text in a listpack of Redis: whole numbers are kept as integers.

    >>> [print_packed(value) for value in (1e17, 0.5, 1e20)]
    [b'100000000000000000', b'0.5', b'1e+20']
    """
    if abs(value) <= _WHOLE_MAX and value.is_integer():
        return b"%d" % value
    return print_double(value)


def pack(value: float) -> bytes:
    """A double's eight bytes."""
    return _packing.pack(value)


def unpack(held: bytes) -> float:
    """What `pack` made; of anything else some number."""
    return read_packed(held[:8].ljust(8, b"\0")) or 0.0


def read_packed(held: bytes) -> float | None:
    """The double of eight bytes; None if they are not so many, or NaN."""
    if len(held) != 8:
        return None
    value: float = _packing.unpack(held)[0]
    return value if value == value else None


def grains_of(value: float) -> int:
    """A finite double as a number of grains."""
    above, below = value.as_integer_ratio()
    return above << GRAIN_BITS - (below.bit_length() - 1)


def from_grains(grains: int) -> float:
    """The nearest double, ties to even; infinite beyond their range."""
    try:
        return grains / ONE
    except OverflowError:
        return inf if grains > 0 else -inf


def _value(found: re.Match[bytes]) -> float:
    sign, hexadecimal, decimal, infinite, _ = found.groups()
    if infinite:
        value = inf
    elif decimal:
        value = float(decimal)
    elif hexadecimal:
        try:
            value = float.fromhex(hexadecimal.decode())
        except OverflowError:
            value = inf
    else:
        value = nan
    return -value if sign == b"-" else value


def _is_zero(found: re.Match[bytes]) -> bool:
    """Whether all digits before an exponent are zeros."""
    if found[2]:
        return _NOT_ZERO.search(re.split(rb"[pP]", found[2][2:])[0]) is None
    return _NOT_ZERO.search(re.split(rb"[eE]", found[3])[0]) is None
