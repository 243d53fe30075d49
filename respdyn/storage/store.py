"""The store: bytes that survive, and the frames that carry them to another process.

`Store` itself is one of the core's ports (`respdyn.ports`); this is its home for readers:

    store.load()                     everything, once, before the node starts
    store.submit(7, pairs, sync)     never waits; 7 is a generation, larger every time
    store.durable() -> 7             that batch and all before it survive

Pairs travel flat, `[key, value, key, value, ...]`, and an empty value deletes. `memory.MemoryStore`
keeps them in a dict. `rocksdb.RocksStore` sends them to a process of its own (`process`, which owns
a `database`), because a RocksDB binding holds the interpreter lock while it writes and syncs, and a
server that waits for a disk stops every client.

A frame between the two is one joined string, so that a batch costs its sender one pass:

    | version u8 | kind u8 | flags u16 | count u32 | generation u64 | payload bytes u64 |
    | length u32 | length u32 | ... count of them | payload: the items, joined |

in the machine's own byte order: a frame never leaves it. What does get stored is sealed: four bytes
of CRC-32 over key and value, then the value, so that a value that changed on the disk, or came to
stand under another key, is recognised. Sealing happens in the storage process.
"""

import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from respdyn.errors import DamagedError
from respdyn.ports import Store

__all__ = [
    "BATCH",
    "COPIED",
    "COPY",
    "DAMAGED",
    "DAMAGED_RANGE",
    "DURABLE",
    "FAILED",
    "HEALED",
    "LOAD",
    "LOADED",
    "OPENED",
    "PAIRS",
    "RECOVERED",
    "REFUSED",
    "RESTORED",
    "SCRUBBED",
    "SYNC",
    "Frame",
    "FrameReader",
    "Store",
    "StoreError",
    "encode_frame",
    "frame_parts",
    "seal",
    "unseal",
]

# The mark that a backup bears; it is no damage, and has the same consequence: a new life.
RESTORED = "this is a backup that was restored"

VERSION = 1

# To the storage process.
BATCH = 1  # flat pairs; flags: SYNC
LOAD = 2  # send everything
COPY = 11  # make a copy of everything up to here; items: the directory
HEALED = 15  # what was damaged has been written again
# From it.
OPENED = 3  # generation: how many pairs there are, roughly
REFUSED = 4  # the directory cannot be used; items: the reason. The process ends
PAIRS = 5  # flat pairs, an answer to LOAD
LOADED = 6  # that was all of them; generation: how many
DURABLE = 7  # this generation and all before it
FAILED = 8  # nothing is durable for now; items: the reason. It keeps trying
RECOVERED = 9  # the trouble is over
DAMAGED = 10  # generation: how many damages were found; items: what they are
COPIED = 12  # the copy is made, or items: why not
DAMAGED_RANGE = 13  # what is between items[0] and items[1] cannot be read any more: write it again
SCRUBBED = 14  # all was looked at once more; generation: how many pairs

SYNC = 1
"""Flag of a BATCH: on stable storage before it is reported durable."""

HEADER = struct.Struct("=BBHIQQ")
LENGTH_BYTES = 4
LARGE = 64 << 10    # an item from here on is not copied into a frame
SEAL_BYTES = 4

assert array("I").itemsize == LENGTH_BYTES


class StoreError(Exception):
    """The store cannot be used. The text names the directory and the reason, for an operator."""


class Frame(NamedTuple):
    """One message between a node and its storage process."""

    kind: int
    flags: int
    generation: int
    items: list[bytes]


def encode_frame(kind: int, flags: int, generation: int, items: Sequence[bytes] = ()) -> bytes:
    """The frame as bytes.

    >>> FrameReader().feed(encode_frame(BATCH, SYNC, 7, [b"key", b"value"]))
    [Frame(kind=1, flags=1, generation=7, items=[b'key', b'value'])]
    """
    lengths = array("I", map(len, items))
    parts = [
        HEADER.pack(VERSION, kind, flags, len(items), generation, sum(lengths)),
        lengths.tobytes(),
    ]
    parts += items
    return b"".join(parts)


def frame_parts(kind: int, flags: int, generation: int, items: Sequence[bytes]) -> list[bytes]:
    """The same frame in pieces that follow each other: a large item is one, and is not copied.

    >>> large = bytes(LARGE)
    >>> parts = frame_parts(BATCH, SYNC, 7, [b"key", large, b"other", b"value"])
    >>> len(parts), parts[1] is large
    (3, True)
    >>> b"".join(parts) == encode_frame(BATCH, SYNC, 7, [b"key", large, b"other", b"value"])
    True
    """
    lengths = array("I", map(len, items))
    parts: list[bytes] = []
    small = [
        HEADER.pack(VERSION, kind, flags, len(items), generation, sum(lengths)),
        lengths.tobytes(),
    ]
    for item in items:
        if len(item) < LARGE:
            small.append(item)
        else:
            parts += (b"".join(small), item)
            small = []
    if small:
        parts.append(b"".join(small))
    return parts


class FrameReader:
    """Bytes in, whole frames out; keeps what is incomplete."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that `data` completes.

        Raises `DamagedError` if the bytes are no frame; only a broken peer sends such.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            version, kind, flags, count, generation, payload_bytes = HEADER.unpack_from(
                buffer, start
            )
            if version != VERSION:
                raise DamagedError(f"storage frame of version {version}")
            body = start + HEADER.size
            end = body + LENGTH_BYTES * count + payload_bytes
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                items = _split(bytes(view[body:end]), count)
            frames.append(Frame(kind, flags, generation, items))
            start = end
        del buffer[:start]
        return frames


def _split(body: bytes, count: int) -> list[bytes]:
    """The items of a frame, from its lengths and payload."""
    lengths = array("I")
    position = LENGTH_BYTES * count
    lengths.frombytes(body[:position])
    items: list[bytes] = []
    append = items.append
    for length in lengths:
        end = position + length
        append(body[position:end])
        position = end
    if position != len(body):
        raise DamagedError("a storage frame's lengths do not add up")
    return items


def seal(key: bytes, value: bytes) -> bytes:
    """What is stored under `key`: a checksum over both, then the value.

    >>> unseal(b"key", seal(b"key", b"value"))
    b'value'
    >>> unseal(b"other", seal(b"key", b"value")) is None
    True
    """
    return crc32(value, crc32(key)).to_bytes(SEAL_BYTES, "big") + value


def unseal(key: bytes, sealed: bytes) -> bytes | None:
    """The value that `seal` was given with this key; None if this is not what it made."""
    value = sealed[SEAL_BYTES:]
    if crc32(value, crc32(key)).to_bytes(SEAL_BYTES, "big") + value == sealed:
        return value
    return None
