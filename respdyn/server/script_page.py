"""The page of memory that a node and its script process share, and how their frames are
distinguished.

Apart from both, so that the server need not import what only the process needs.
"""

import mmap
from collections.abc import Iterator
from typing import Final

_LENGTH_BYTES: Final = 4            # before each frame, big-endian
PAGE_BYTES: Final = mmap.PAGESIZE
# What the nursery reports, a line each.
FORKED: Final = b"p"                # a worker, with its process id, in the order of wishes
ENDED_SO: Final = b"s"              # a worker that has died, with its status
LACKS: Final = b"x"                 # what scripts need, why it cannot be imported: no worker comes
NUMBER: Final = slice(0, 8)         # the job at hand, 0 for none: written by the process
STOP: Final = slice(8, 16)          # the job that must stop: written by the server


def framed(frame: bytes) -> bytes:
    """A frame with its length before it."""
    return len(frame).to_bytes(_LENGTH_BYTES) + frame


def take_frames(held: bytearray) -> Iterator[bytes]:
    """The whole frames at the front of what was received, which are taken away."""
    while len(held) >= _LENGTH_BYTES:
        end = _LENGTH_BYTES + int.from_bytes(held[:_LENGTH_BYTES])
        if len(held) < end:
            return
        frame = bytes(held[_LENGTH_BYTES:end])
        del held[:end]
        yield frame
