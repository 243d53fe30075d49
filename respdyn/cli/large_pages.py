"""Large pages for large pieces of memory: the process begins once more with a C library set so.

A value of many megabytes is copied into memory that the system has just given, page by page, each
cleared first: of such a copy four fifths are that. With pages of 2 MiB it is less than a third of
it. glibc asks for them where memory is taken in large pieces, if a variable says so when the
process begins; from within it cannot be set. Elsewhere, or where the system gives none, nothing
is done.

Source: decision 0068; glibc manual, "Memory Allocation Tunables".
"""

import os
import platform
import sys
from pathlib import Path
from typing import Final

_VARIABLE: Final = "GLIBC_TUNABLES"
_ASKED: Final = "glibc.malloc.hugetlb"
_SINCE: Final = (2, 35)         # of glibc
_SYSTEM: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_PROGRAMS: Final = ("respdyn", "main.py")


def environment() -> dict[str, str]:
    """What a process that is to have large pages needs in its environment; else nothing."""
    held = os.environ.get(_VARIABLE, "")
    library, version = platform.libc_ver()
    if _ASKED in held or library != "glibc" or "[madvise]" not in _system():
        return {}
    if tuple(int(part) for part in version.split(".")[:2]) < _SINCE:
        return {}
    return {_VARIABLE: f"{held}:{_ASKED}=1".removeprefix(":")}


def begin_anew() -> None:
    """Replace this process by the same program with large pages; returns if it has them."""
    if os.path.basename(sys.argv[0]) not in _PROGRAMS:
        return
    found = environment()
    if found:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **found})


def _system() -> str:
    """What the system gives: `always`, `madvise` or `never`, the chosen one in brackets."""
    try:
        return _SYSTEM.read_text()
    except OSError:
        return ""
