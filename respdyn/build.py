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
    found = []
    for path in package.rglob("*.*"):
        stem, _, rest = path.name.partition(".")
        if f".{rest}" in EXTENSION_SUFFIXES:
            found.append(".".join([*path.relative_to(package).parent.parts, stem]))
    return tuple(sorted(found))


def build() -> str:
    """`compiled` or `interpreted`."""
    return COMPILED if compiled_modules() else INTERPRETED


def shown_build() -> str:
    """The same for a person."""
    if compiled_modules():
        return f"the {COMPILED} build, {len(compiled_modules())} modules"
    return f"the {INTERPRETED} build, about half as fast as the compiled one (docs/builds.md)"
