"""The 80-bit `long double` of x86, in integers: what INCRBYFLOAT reads, adds and prints.

Redis computes in long double and stores the decimal text, `%.17Lf` without trailing zeros. Done
with exact integers here, so every replica, whatever its machine, gets the same digits. A printed
number has at most 17 digits behind the point, so it is an integer in units of 10**-17: that is
what a counter adds up.

Numbers beyond the range are refused when read, as by Redis; infinity can be read but not stored.

Source: Redis `util.c` (string2ld, ld2string); C11 7.22.1.3 for what strtold reads.
"""

import re
from fractions import Fraction
from typing import Final

UNIT_DIGITS: Final = 17
UNIT: Final = 10**UNIT_DIGITS

_TEXT_MAX: Final = 5 * 1024            # Redis's buffer for such a text
_MANTISSA_BITS: Final = 64
_MAX_EXPONENT: Final = 16384           # values stay below 2**16384
_MIN_EXPONENT: Final = -16445          # the smallest denormal
_DIGITS_MAX: Final = 12_000            # decimal exponents beyond it are out of the range for sure

_LONG: Final = 10**4000                # beyond it numbers are read and printed in two parts

_DECIMAL: Final = re.compile(rb"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL: Final = re.compile(
    rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]+))?"
)
_PRINTED: Final = re.compile(rb"(-?)([0-9]+)(?:\.([0-9]{1,17}))?")
_INFINITE: Final = re.compile(rb"([+-]?)(?:inf|infinity)", re.IGNORECASE)


def read(text: bytes) -> Fraction | None:
    """The number a text stands for, rounded to a long double; None if it is none, or infinite."""
    if not text or len(text) >= _TEXT_MAX:
        return None
    found, base, power_of = _DECIMAL.fullmatch(text), 10, 10
    if found is None:
        found, base, power_of = _HEXADECIMAL.fullmatch(text), 16, 2
        if found is None:
            return None
    sign, whole, part, exponent = found.groups()
    if not whole and not part:
        return None
    digits = int(whole + part, 16) if base == 16 else _integer(whole + part)
    shift = _bounded(exponent or b"0") - len(part) * (4 if base == 16 else 1)
    if not digits:
        return Fraction(0)
    size = len((whole + part).lstrip(b"0")) * (4 if base == 16 else 1)
    limit = _DIGITS_MAX if base == 10 else 4 * _DIGITS_MAX
    if not -limit < shift + size < limit:
        return None
    exact = Fraction(digits) * Fraction(power_of) ** shift
    rounded = round_off(exact)
    if rounded is None or not rounded:
        return None
    return -rounded if sign == b"-" else rounded


def is_infinite(text: bytes) -> bool:
    """Whether a text names infinity, which can be read but never stored."""
    return _INFINITE.fullmatch(text) is not None


def round_off(number: Fraction) -> Fraction | None:
    """The nearest long double, ties to even; None if that is infinite."""
    if not number:
        return number
    sign = -1 if number < 0 else 1
    above, below = abs(number.numerator), number.denominator
    exponent = above.bit_length() - below.bit_length() - _MANTISSA_BITS
    quotient = 0
    while True:
        exponent = max(exponent, _MIN_EXPONENT)
        quotient = _divide(above, below, exponent)
        if quotient.bit_length() <= _MANTISSA_BITS:
            break
        exponent += 1
    if quotient.bit_length() + exponent > _MAX_EXPONENT:
        return None
    return sign * Fraction(quotient) * Fraction(2) ** exponent


def units_of(number: Fraction) -> int:
    """What is printed of a number, in units of 10**-17; ties to even."""
    return round(number * UNIT)


def print_units(units: int) -> bytes:
    """The text of so many units.

    >>> [print_units(units * UNIT // 10) for units in (0, 30, -5, 105)]
    [b'0', b'3', b'-0.5', b'10.5']
    """
    whole, part = divmod(abs(units), UNIT)
    sign = b"-" if units < 0 else b""
    if not part:
        return sign + _decimal(whole)
    return b"%b%b.%b" % (sign, _decimal(whole), (b"%017d" % part).rstrip(b"0"))


def exact_units(text: bytes) -> int | None:
    """What `print_units` printed; None for any other text."""
    found = _PRINTED.fullmatch(text)
    if found is None:
        return None
    sign, whole, part = found.groups()
    units = _integer(whole) * UNIT + int((part or b"0").ljust(UNIT_DIGITS, b"0"))
    return -units if sign else units


def _integer(digits: bytes) -> int:
    """As `int`, which refuses more than 4300 digits."""
    if len(digits) <= 4000:
        return int(digits)
    return int(digits[:-4000]) * _LONG + int(digits[-4000:])


def _decimal(number: int) -> bytes:
    """As `str`, which refuses more than 4300 digits; a long double has up to 4933."""
    if number < _LONG:
        return b"%d" % number
    high, low = divmod(number, _LONG)
    return _decimal(high) + (b"%d" % low).rjust(4000, b"0")


def _divide(above: int, below: int, exponent: int) -> int:
    """above / below / 2**exponent to the nearest integer, ties to even."""
    if exponent >= 0:
        below <<= exponent
    else:
        above <<= -exponent
    quotient, rest = divmod(above, below)
    if 2 * rest > below or (2 * rest == below and quotient & 1):
        quotient += 1
    return quotient


def _bounded(exponent: bytes) -> int:
    """An exponent, cut down to where every number is out of range anyway."""
    digits = exponent.lstrip(b"+-").lstrip(b"0")
    if len(digits) > 9:
        digits = b"999999999"
    value = int(digits or b"0")
    return -value if exponent[:1] == b"-" else value
