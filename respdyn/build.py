"""Which build this is: compiled or interpreted (docs/builds.md). Both are of the same sources."""

from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"


@cache
def compiled_modules() -> tuple[str, ...]:
    """The modules that run as machine code: this Python takes such a file before the source."""
    package = Path(__file__).parent
    found = {
        ".".join(path.relative_to(package).parts).removesuffix(suffix)
        for suffix in EXTENSION_SUFFIXES for path in package.rglob(f"*{suffix}")
    }
    return tuple(sorted(name for name in found if not name.endswith(".so")))


def build() -> str:
    """`compiled` or `interpreted`."""
    return COMPILED if compiled_modules() else INTERPRETED


def shown_build() -> str:
    """The same for a person."""
    if compiled_modules():
        return f"the {COMPILED} build, {len(compiled_modules())} modules"
    return f"the {INTERPRETED} build, about half as fast as the compiled one (docs/builds.md)"
