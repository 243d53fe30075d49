"""The second byte of a record: what it holds, known without reading the rest.

`form` adds up: 1 PLAIN, 2 EXPIRES (an expiry of the key or of an element is mentioned; if this is
off, a reader need not look), 4 LIVE (a value is alive; off means tombstone), 8 ELEMENTS (an element
map), 16 BIG (its head; the elements are elsewhere, see `big`). The first byte is the version of the
layout, bytes 2 to 6 are the checksum of form and body.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final
from zlib import crc32

VERSION: Final = 1
PLAIN: Final = 1
EXPIRES: Final = 2
LIVE: Final = 4
ELEMENTS: Final = 8
BIG: Final = 16

HEAD_BYTES: Final = 6         # where a body begins: at the clock

# A payload has at least so many bytes. Those that are not named begin with their clock alone, but
# for a set's members, which have none.
_PAYLOAD_MIN: Final = {
    b"b": 10, b"c": 10, b"f": 9, b"g": 48, b"k": 9, b"m": 0, b"p": 48, b"s": 16, b"t": 16,
    b"u": 16, b"x": 16, b"z": 9,
}
CLOCK_BYTES: Final = 8
# These make no key live: baselines and births.
_LIFELESS: Final = frozenset((b"b", b"k", b"r"))
_TAGGED: Final = (b"f", b"z")   # fields and scores
_RESET: Final = 0x72            # the tag of one that holds baselines only
_NO_EXPIRY: Final = bytes(8)
_pack_head: Final = Struct(">BBI").pack


def seal(form: int, body: bytes) -> bytes:
    """A record from its form and body. The checksum begins with version and form."""
    return _pack_head(VERSION, form, crc32(body, VERSION << 8 | form)) + body


def with_value(plain: bytes, parts: Sequence[bytes | memoryview]) -> bytes:
    """A record that ends with an empty value, with the one that these make; each is copied once."""
    start, form = plain[HEAD_BYTES:], plain[1]
    checksum = crc32(start, VERSION << 8 | form)
    for part in parts:
        checksum = crc32(part, checksum)
    return b"".join((_pack_head(VERSION, form, checksum), start, *parts))


def is_long_enough(kind: bytes, payload_bytes: int) -> bool:
    """Whether a payload of this kind can have so many bytes."""
    return payload_bytes >= _PAYLOAD_MIN.get(kind, CLOCK_BYTES)


def form_of(kind: bytes, payload: bytes) -> int:
    """What an entry adds to the form of its record. 16 bytes of the payload are enough."""
    if kind == b"x" or kind == b"t":
        return EXPIRES
    if kind in _LIFELESS or (kind in _TAGGED and payload[8] == _RESET):
        return 0
    if kind == b"s" and payload[8:16] != _NO_EXPIRY:
        return EXPIRES | LIVE
    return LIVE
