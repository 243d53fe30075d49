"""The files that the tidy tests read."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "respdyn"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    """A file's name as one types it in the repository's root."""
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    """The room that a file of the package is in: a package, or a module of its own."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")
