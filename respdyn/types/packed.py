"""The compact forms in which Redis keeps small collections, and writes them into a dump.

    listpack   total u32 | elements u16 | entries | 0xFF     an entry ends with its own size
    ziplist    total u32 | tail u32 | elements u16 | entries | 0xFF     each begins with the size of
               the one before it
    zipmap     elements u8 | entries | 0xFF                  of Redis before 2.6
    intset     bytes of a number u32 | numbers u32 | numbers, sorted

All numbers in them are little-endian. A listpack and an intset are read and written, the others
read. Bytes that are not what they claim to be raise `DumpError`.

Source: Redis `listpack.c`, `ziplist.c`, `zipmap.c`, `intset.c`.
"""

from itertools import pairwise
from typing import Final

from respdyn.types.dump import DumpError, integer_of

_END: Final = 0xFF
_UNKNOWN: Final = 0xFFFF        # elements that a header does not count
_HEAD: Final = 6
_INT64_DIGITS: Final = 20
_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1


def _wrong() -> DumpError:
    return DumpError("Bad data format")


def _number(packed: bytes, at: int, size: int) -> int:
    """A signed little-endian number."""
    if at + size > len(packed):
        raise _wrong()
    return int.from_bytes(packed[at : at + size], "little", signed=True)


def _unsigned(packed: bytes, at: int, size: int) -> int:
    if at + size > len(packed):
        raise _wrong()
    return int.from_bytes(packed[at : at + size], "little")


def _text(packed: bytes, at: int, size: int) -> bytes:
    if at + size > len(packed):
        raise _wrong()
    return packed[at : at + size]


# ---- between nodes ----

def pack_items(items: list[bytes]) -> bytes:
    """Items as they go from one key to another: each behind its length, u32 big-endian."""
    return b"".join(part for item in items for part in (len(item).to_bytes(4), item))


def unpack_items(packed: bytes) -> list[bytes]:
    """What `pack_items` made. Raises `DumpError`."""
    items: list[bytes] = []
    at = 0
    while at < len(packed):
        size = int.from_bytes(_text(packed, at, 4))
        items.append(_text(packed, at + 4, size))
        at += 4 + size
    return items


# ---- listpack ----

def pack_listpack(items: list[bytes]) -> bytes:
    """Items as a listpack; what reads as an integer is kept as one."""
    entries = []
    for item in items:
        entry = _listpack_entry(item)
        entries.append(entry + _size_behind(len(entry)))
    body = b"".join(entries)
    return b"".join((
        (len(body) + _HEAD + 1).to_bytes(4, "little"),
        min(len(items), _UNKNOWN).to_bytes(2, "little"), body, b"\xff",
    ))


def _listpack_entry(item: bytes) -> bytes:
    number = integer_of(item, _INT64_DIGITS)
    if number is not None and _INT64_MIN <= number <= _INT64_MAX:
        if 0 <= number < 128:
            return bytes([number])
        if -4096 <= number < 4096:
            return (0xC000 | number & 0x1FFF).to_bytes(2, "big")
        for kind, size in ((0xF1, 2), (0xF2, 3), (0xF3, 4), (0xF4, 8)):
            if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
                return bytes([kind]) + number.to_bytes(size, "little", signed=True)
    if len(item) < 64:
        return bytes([0x80 | len(item)]) + item
    if len(item) < 4096:
        return (0xE000 | len(item)).to_bytes(2, "big") + item
    return b"\xf0" + len(item).to_bytes(4, "little") + item


def _size_behind(size: int) -> bytes:
    """An entry's size in groups of 7 bits, to be read from its end."""
    groups = [size & 127]
    while size := size >> 7:
        groups.append(size & 127)
    return bytes([groups[-1], *[group | 128 for group in reversed(groups[:-1])]])


def unpack_listpack(packed: bytes) -> list[bytes]:
    """The items of a listpack. Raises `DumpError`."""
    if len(packed) < _HEAD + 1 or _unsigned(packed, 0, 4) != len(packed) or packed[-1] != _END:
        raise _wrong()
    items: list[bytes] = []
    at, end = _HEAD, len(packed) - 1
    while at < end:
        start = at
        item, at = _listpack_item(packed, at)
        behind = _size_behind(at - start)
        if _text(packed, at, len(behind)) != behind:
            raise _wrong()
        at += len(behind)
        items.append(item)
    counted = _unsigned(packed, 4, 2)
    if at != end or counted not in (len(items), _UNKNOWN):
        raise _wrong()
    return items


def _listpack_item(packed: bytes, at: int) -> tuple[bytes, int]:
    first = packed[at]
    if first < 0x80:
        return b"%d" % first, at + 1
    if first < 0xC0:
        size = first & 63
        return _text(packed, at + 1, size), at + 1 + size
    if first < 0xE0:
        number = (first & 31) << 8 | _unsigned(packed, at + 1, 1)
        return b"%d" % (number - 8192 if number >= 4096 else number), at + 2
    if first < 0xF0:
        size = (first & 15) << 8 | _unsigned(packed, at + 1, 1)
        return _text(packed, at + 2, size), at + 2 + size
    if first == 0xF0:
        size = _unsigned(packed, at + 1, 4)
        return _text(packed, at + 5, size), at + 5 + size
    width = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}.get(first)
    if width is None:
        raise _wrong()
    return b"%d" % _number(packed, at + 1, width), at + 1 + width


# ---- what older versions wrote ----

def unpack_ziplist(packed: bytes) -> list[bytes]:
    """The items of a ziplist. Raises `DumpError`."""
    if len(packed) < 11 or _unsigned(packed, 0, 4) != len(packed) or packed[-1] != _END:
        raise _wrong()
    items: list[bytes] = []
    at, end = 10, len(packed) - 1
    before = last = 0
    while at < end:
        last = at
        size, at = (packed[at], at + 1) if packed[at] < 254 else (
            _unsigned(packed, at + 1, 4), at + 5)
        if size != before or at >= end:
            raise _wrong()
        item, at = _ziplist_item(packed, at)
        before = at - last
        items.append(item)
    counted = _unsigned(packed, 8, 2)
    if at != end or counted not in (len(items), _UNKNOWN):
        raise _wrong()
    if items and _unsigned(packed, 4, 4) != last:
        raise _wrong()
    return items


def _ziplist_item(packed: bytes, at: int) -> tuple[bytes, int]:
    first = packed[at]
    if first < 0x40:
        return _text(packed, at + 1, first), at + 1 + first
    if first < 0x80:
        size = (first & 63) << 8 | _unsigned(packed, at + 1, 1)
        return _text(packed, at + 2, size), at + 2 + size
    if first == 0x80:
        size = int.from_bytes(_text(packed, at + 1, 4), "big")
        return _text(packed, at + 5, size), at + 5 + size
    width = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}.get(first)
    if width is not None:
        return b"%d" % _number(packed, at + 1, width), at + 1 + width
    if 0xF1 <= first <= 0xFD:
        return b"%d" % ((first & 15) - 1), at + 1
    raise _wrong()


def unpack_zipmap(packed: bytes) -> list[bytes]:
    """Keys and values of a zipmap, in turn. Raises `DumpError`."""
    if len(packed) < 2 or packed[-1] != _END:
        raise _wrong()
    items: list[bytes] = []
    at, end = 1, len(packed) - 1
    while at < end:
        for is_value in (False, True):
            size, at = (packed[at], at + 1) if packed[at] < 254 else (
                _unsigned(packed, at + 1, 4), at + 5)
            free = 0
            if is_value:
                free, at = _unsigned(packed, at, 1), at + 1
            items.append(_text(packed, at, size))
            at += size + free
            if at > end or (at == end and not is_value):
                raise _wrong()
    return items


# ---- intset ----

def pack_intset(numbers: list[int]) -> bytes:
    """Sorted numbers as an intset."""
    widest = max(abs(number) if number >= 0 else abs(number + 1) for number in numbers)
    size = 2 if widest < 1 << 15 else 4 if widest < 1 << 31 else 8
    return b"".join((
        size.to_bytes(4, "little"), len(numbers).to_bytes(4, "little"),
        *[number.to_bytes(size, "little", signed=True) for number in numbers],
    ))


def unpack_intset(packed: bytes) -> list[int]:
    """The numbers of an intset. Raises `DumpError`."""
    size, count = _unsigned(packed, 0, 4), _unsigned(packed, 4, 4)
    if size not in (2, 4, 8) or not count or len(packed) != 8 + size * count:
        raise _wrong()
    numbers = [_number(packed, at, size) for at in range(8, len(packed), size)]
    if any(one >= two for one, two in pairwise(numbers)):
        raise _wrong()
    return numbers
