"""A value as Redis writes it into its RDB files, which is what DUMP gives and RESTORE takes.

One byte for the type, the value, the format's version (2 bytes) and a CRC64 over all of it (8
bytes), both little-endian. A string is a length and that many bytes; or, if it is the decimal of a
32-bit integer, the integer; or it is compressed by LZF. Compressed strings are read; none are
written, which every Redis accepts.

This module knows the footer and the string; counters are strings of digits. What a number stands
for is said in `values.KINDS`. Other numbers that Redis has are known, so that it can be said that
their types are not offered.

Source: Redis `rdb.c`, `lzf_d.c`, `crc64.c`; the CRC is that of Jones.
"""

from typing import Final

import anycrc  # type: ignore[import-untyped]

VERSION: Final = 10             # of Redis 7.0; older ones are read as well

_STRING: Final = 0
_TYPES: Final = frozenset((*range(6), 7, *range(9, 20)))    # that Redis 7.0 knows
_FOOTER: Final = 10
_LONGEST_INTEGER: Final = 11
_SIZE_MAX: Final = 512 * 1024 * 1024
_INT8, _INT16, _INT32, _LZF = range(4)      # what stands in place of a length
_crc64 = anycrc.Model("CRC64-REDIS").calc


class DumpError(ValueError):
    """The bytes are no dump, or one of a type that is not offered here."""


class WrongFooterError(DumpError):
    """The version is a later one, or the checksum is wrong."""


def seal(packed: bytes) -> bytes:
    """A value as DUMP gives it: its number and content, then the footer."""
    body = packed + VERSION.to_bytes(2, "little")
    crc: int = _crc64(body)
    return body + crc.to_bytes(8, "little")


def unseal(payload: bytes) -> bytes:
    """The number and content of a dump. Raises `DumpError`."""
    if len(payload) < _FOOTER:
        raise WrongFooterError("too short")
    if int.from_bytes(payload[-10:-8], "little") > VERSION:
        raise WrongFooterError("a later version")
    crc = int.from_bytes(payload[-8:], "little")
    if crc and crc != _crc64(payload[:-8]):     # zero: written without one
        raise WrongFooterError("a wrong checksum")
    return payload[:-_FOOTER]


def not_offered(packed: bytes) -> DumpError:
    """Why a dump whose number stands for no kind of ours cannot be restored."""
    if not packed or packed[0] not in _TYPES:
        return DumpError("Bad data format")
    return DumpError("only strings can be restored here so far, not other types")


def pack_text(value: bytes) -> bytes:
    """A string's number and content."""
    return bytes([_STRING]) + pack_string(value)


def unpack_text(packed: bytes) -> bytes:
    """The string of which these are number and content. Raises `DumpError`."""
    return unpack_string(packed, 1)[0]


def pack_count(size: int) -> bytes:
    """A length, as it stands before a string or before the elements of a collection."""
    if size < 64:
        return bytes([size])
    if size < 16384:
        return (0x4000 | size).to_bytes(2, "big")
    return b"\x80" + size.to_bytes(4, "big")


def unpack_count(body: bytes, at: int) -> tuple[int, int]:
    """A length, and the position behind it. Raises `DumpError`."""
    size, is_integer, at = _length(body, at)
    if is_integer or size > _SIZE_MAX:
        raise DumpError("Bad data format")
    return size, at


def unpack_number(body: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, written as a length is, and the position behind it."""
    number, is_integer, at = _length(body, at)
    if is_integer:
        raise DumpError("Bad data format")
    return number, at


def pack_string(value: bytes) -> bytes:
    """A string as an element of a collection."""
    number = integer_of(value)
    if number is not None:
        for kind, size in ((_INT8, 1), (_INT16, 2), (_INT32, 4)):
            if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
                return bytes([0xC0 | kind]) + number.to_bytes(size, "little", signed=True)
    return pack_count(len(value)) + value


def integer_of(text: bytes, longest: int = _LONGEST_INTEGER) -> int | None:
    """The integer that the text is the decimal of, if it is one of so many characters at most."""
    if not text or len(text) > longest or not text.removeprefix(b"-").isdigit():
        return None
    number = int(text)
    return number if b"%d" % number == text else None


def unpack_string(body: bytes, at: int) -> tuple[bytes, int]:
    """A string, and the position behind it. Raises `DumpError`."""
    size, is_integer, at = _length(body, at)
    if not is_integer:
        return _slice(body, at, size), at + size
    if size <= _INT32:
        held = _slice(body, at, 1 << size)
        return b"%d" % int.from_bytes(held, "little", signed=True), at + (1 << size)
    if size != _LZF:
        raise DumpError("Bad data format")
    packed, at = unpack_count(body, at)
    full, at = unpack_count(body, at)
    return _unpack(_slice(body, at, packed), full), at + packed


def _length(body: bytes, at: int) -> tuple[int, bool, int]:
    """A length, or what stands in its place; which of both; and the position behind it."""
    first = _slice(body, at, 1)[0]
    kind, rest = first >> 6, first & 63
    if kind == 0:
        return rest, False, at + 1
    if kind == 1:
        return rest << 8 | _slice(body, at + 1, 1)[0], False, at + 2
    if kind == 3:
        return rest, True, at + 1
    size = {0x80: 4, 0x81: 8}.get(first)
    if size is None:
        raise DumpError("Bad data format")
    return int.from_bytes(_slice(body, at + 1, size), "big"), False, at + 1 + size


def _slice(body: bytes, at: int, size: int) -> bytes:
    if at + size > len(body):
        raise DumpError("Bad data format")
    return body[at : at + size]


def _unpack(packed: bytes, size: int) -> bytes:
    """LZF: runs of literals, and copies of what was written before."""
    out = bytearray()
    at, end = 0, len(packed)
    while at < end:
        control = packed[at]
        at += 1
        if control < 32:
            out += _slice(packed, at, control + 1)
            at += control + 1
        else:
            count = control >> 5
            if count == 7:
                count += _slice(packed, at, 1)[0]
                at += 1
            start = len(out) - ((control & 31) << 8 | _slice(packed, at, 1)[0]) - 1
            at += 1
            count += 2
            if start < 0:
                raise DumpError("Bad data format")
            piece = bytes(out[start : start + count])
            while len(piece) < count:               # it overlaps with what it makes
                piece += piece[: count - len(piece)]
            out += piece
        if len(out) > size:
            raise DumpError("Bad data format")
    if len(out) != size:
        raise DumpError("Bad data format")
    return bytes(out)
