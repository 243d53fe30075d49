"""The page of memory that a node and its script process share, and how their frames are told apart.

Apart from both, so that the server need not import what only the process needs.
"""

import mmap
from typing import Final

LENGTH_BYTES: Final = 4             # before each frame, big-endian
PAGE_BYTES: Final = mmap.PAGESIZE
NUMBER: Final = slice(0, 8)         # the job at hand, 0 for none: written by the process
STOP: Final = slice(8, 16)          # the job that must stop: written by the server
