"""The mark of a cell, 64 bits, and of many cells: the XOR of theirs.

A cell is one live dot of an element with its payload. Equal sets of cells have equal marks, in
whatever order they came about, so a mark is kept by one XOR for each cell that comes or goes, and
copies of a key are compared without reading them. A plain crc32 of the cell would not do: the XOR
of such sums is linear, and blind to two payloads that change places. Marks are against accidents,
not against an attacker who looks for two states with one mark.

The last steps are those of splitmix64 (Steele et al., "Fast Splittable Pseudorandom Number
Generators", 2014).
"""

from typing import Final
from zlib import crc32

_ALL: Final = (1 << 64) - 1
_u64: Final = int.from_bytes


def mark_of(element: bytes, dot: bytes, payload: bytes) -> int:
    """The mark of one cell; the dot as 24 bytes, actor and counter."""
    mixed = _u64(dot[:8]) ^ _u64(dot[16:]) ^ crc32(payload, crc32(element)) << 32
    mixed = mixed + 0x9E3779B97F4A7C15 & _ALL
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _ALL
    return mixed ^ mixed >> 31
