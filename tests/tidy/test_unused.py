"""What nothing uses is deleted: each name that `respdyn` defines is spoken of elsewhere in it.

By words, not by meaning: a name that is used for something else as well hides one that is unused.
What tests alone use counts as unused, for then the tests prove nothing that runs.
"""

import ast
import re
from collections import Counter

from tests.tidy.sources import SOURCES, name_of, tree_of

# Names that nothing in the package speaks of, and why they are there.
EXCEPTIONS = {
    **dict.fromkeys((
        "connection_made", "connection_lost", "data_received", "eof_received", "pause_writing",
        "resume_writing",
    ), "asyncio calls them"),
    "boolean": "one of RESP3's replies; the encoder is tested as a whole",
    "count_by_owner": "how tests see which hints are kept",
    "first_reachable": "tests ask the preference list by it",
    "reachable_nodes": "tests ask the preference list by it",
    "rows_of_dots": "the context that a delta of an element map has",
}

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def definitions(tree: ast.Module) -> list[str]:
    """Functions, classes, methods, and constants of a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found += [one.id for one in node.targets if isinstance(one, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return [name for name in found if not name.startswith("__")]


def words_of(text: str) -> Counter[str]:
    """How often each word stands in a source, comments left out."""
    return Counter(_WORD.findall("\n".join(line.split("  # ")[0] for line in text.splitlines())))


def test_nothing_is_unused() -> None:
    words: Counter[str] = Counter()
    defined: dict[str, list[str]] = {}
    for path in SOURCES:
        words += words_of(path.read_text())
        for name in definitions(tree_of(path)):
            defined.setdefault(name, []).append(name_of(path))
    unused = {
        name: places for name, places in defined.items()
        if words[name] <= len(places) and name not in EXCEPTIONS
    }
    assert not unused, unused
    assert set(EXCEPTIONS) <= set(defined), "an exception for what is not there any more"


def test_it_finds_what_is_unused() -> None:
    source = "A: int = 1\nB = 2\n\nclass C:\n    def d(self): return B\n"
    words = words_of(source)
    assert [name for name in definitions(ast.parse(source)) if words[name] < 2] == ["C", "d", "A"]
