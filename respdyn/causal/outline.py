"""The outline of a record: the same record without its large strings, and a record filled again.

What is to be known of a key whose value has many megabytes (whether it exists, when it expires, who
wins, what a join leaves) never depends on those bytes. So all that is worked out on the outline,
which is short, and the values are put in once, where a record is made. An outline is read as any
record; its checksum is that of the whole, so it names the same state. It is never stored nor sent.

Element maps hold no large strings but as siblings of one, and are left as they are.
"""

from struct import Struct
from typing import Final
from zlib import crc32

from respdyn.causal.form import ELEMENTS, EXPIRES, HEAD_BYTES, PLAIN, VERSION
from respdyn.causal.rows import ROW_BYTES

LARGE: Final = 64 << 10       # from here on bytes are not copied where that can be helped

_PLAIN_VALUE: Final = 46      # as in `codec`
_PLAIN_EXPIRING: Final = 54
_ROWS: Final = 18
_ENTRY_BYTES: Final = 32
_KEPT: Final = 16             # of a string's payload: its clock, and when it expires
_VALUE: Final = 0x73
_u64: Final = int.from_bytes
_unpack_entry: Final = Struct(">II24s").unpack_from
_pack_sizes: Final = Struct(">II").pack


def outline(record: bytes) -> bytes:
    """A record without its large strings; the record itself if it has none."""
    if len(record) < LARGE or record[1] & ELEMENTS:
        return record
    if record[1] & PLAIN:
        return record[: _start_of(record)]
    at = _ROWS + ROW_BYTES * _u64(record[14:18])
    parts = [record[:at]]
    while at < len(record):
        element_bytes, payload_bytes, _ = _unpack_entry(record, at)
        end = at + _ENTRY_BYTES + element_bytes + payload_bytes
        if payload_bytes < LARGE or not _is_value(record, at, element_bytes):
            parts.append(record[at:end])
        else:
            parts.append(_pack_sizes(1, _KEPT))
            parts.append(record[at + 8 : at + _ENTRY_BYTES + 1 + _KEPT])
        at = end
    return b"".join(parts)


def value_in(record: bytes, dot: bytes) -> memoryview | None:
    """The string with this dot in a record, in its place; None if it is not there."""
    if record[1] & PLAIN:
        is_there = record[14:30] + record[38:46] == dot
        return memoryview(record)[_start_of(record) :] if is_there else None
    if record[1] & ELEMENTS:
        return None
    at = _ROWS + ROW_BYTES * _u64(record[14:18])
    while at < len(record):
        element_bytes, payload_bytes, found = _unpack_entry(record, at)
        end = at + _ENTRY_BYTES + element_bytes + payload_bytes
        if found == dot and _is_value(record, at, element_bytes):
            return memoryview(record)[at + _ENTRY_BYTES + 1 + _KEPT : end]
        at = end
    return None


def filled(hollow: bytes, one: bytes, other: bytes) -> bytes:
    """A record made from outlines of these two, with the strings in it again, each copied once."""
    if hollow[1] & PLAIN:
        parts: list[bytes | memoryview] = [hollow[HEAD_BYTES:]]
        if len(hollow) == _start_of(hollow):
            parts.append(_found(hollow[14:30] + hollow[38:46], one, other))
        return _sealed(hollow[1], parts)
    at = _ROWS + ROW_BYTES * _u64(hollow[14:18])
    parts = [hollow[HEAD_BYTES:at]]
    while at < len(hollow):
        element_bytes, payload_bytes, dot = _unpack_entry(hollow, at)
        end = at + _ENTRY_BYTES + element_bytes + payload_bytes
        if payload_bytes == _KEPT and _is_value(hollow, at, element_bytes):
            value = _found(dot, one, other)
            parts.append(_pack_sizes(1, _KEPT + len(value)))
            parts.append(hollow[at + 8 : end])
            parts.append(value)
        else:
            parts.append(hollow[at:end])
        at = end
    return _sealed(hollow[1], parts)


def _found(dot: bytes, one: bytes, other: bytes) -> memoryview:
    value = value_in(one, dot) if one else None
    if value is None:
        value = value_in(other, dot) if other else None
    assert value is not None, "a string of neither record"
    return value


def _start_of(plain: bytes) -> int:
    return _PLAIN_EXPIRING if plain[1] & EXPIRES else _PLAIN_VALUE


def _is_value(record: bytes, at: int, element_bytes: int) -> bool:
    return element_bytes == 1 and record[at + _ENTRY_BYTES] == _VALUE


def _sealed(form: int, parts: list[bytes | memoryview]) -> bytes:
    """As `form.seal`, of a body in parts."""
    checksum = VERSION << 8 | form
    for part in parts:
        checksum = crc32(part, checksum)
    return b"".join((bytes((VERSION, form)), checksum.to_bytes(4, "big"), *parts))
