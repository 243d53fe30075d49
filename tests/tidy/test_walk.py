"""docs/walk.md leads to files and functions that exist, and its lists name all that is touched."""

import ast
import re
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, ROOT, SOURCES, name_of, tree_of

WALK = ROOT / "docs" / "walk.md"
LINK = re.compile(r"\]\(([^)#]+)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)`")
PLACE = re.compile(r"`([\w/]+(?:/|\.py|\.md))`")

# Words in this form that are no names of the code: the two towers, a setting, and files.
WORDS = {"types", "commands", "ring", "cluster", "coordination", "speculative"}
FILES = (".md", ".py", ".toml")


def sections() -> dict[str, str]:
    """The text under each heading."""
    parts = re.split(r"^#+ (.*)\n", WALK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def steps() -> list[str]:
    """Each numbered step, and each paragraph."""
    text = re.sub(r"^```.*?^```", "", WALK.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [part for part in re.split(r"\n\n|\n(?=\d+\. )", text) if part.strip()]


def linked(text: str) -> set[str]:
    """The files of the package that a text links."""
    paths = {(WALK.parent / target).resolve() for target in LINK.findall(text)}
    return {name_of(path) for path in paths if path.is_relative_to(PACKAGE)}


def defined(path: Path) -> set[str]:
    """Names of a file's functions, classes and constants; methods also behind their class."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{one.name}" for one in node.body
                      if isinstance(one, ast.FunctionDef)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_what_it_links_is_there() -> None:
    targets = LINK.findall(WALK.read_text())
    assert targets
    assert not [target for target in targets if not (WALK.parent / target).exists()]
    places = [place for step in steps() for place in PLACE.findall(step)]
    assert not [place for place in places if not (ROOT / place).exists()]


@pytest.mark.parametrize("step", steps(), ids=lambda step: step[:30])
def test_each_function_is_in_a_file_that_its_step_links(step: str) -> None:
    there = {name for path in linked(step) for name in defined(ROOT / path)}
    example = re.findall(r"Example: `([^`]+)`", step)
    names = {name for name in NAME.findall(step) if not name.endswith(FILES)}
    assert not names - there - WORDS - set(example)


def test_each_list_names_every_file_that_its_example_touched() -> None:
    examples = {
        title: found[1] for title, text in sections().items()
        if (found := re.search(r"Example: `([^`]+)`", text))
    }
    assert len(examples) == 6
    for title, example in examples.items():
        word = re.compile(rf"(?<![\w]){re.escape(example)}(?![\w])")
        touched = {name_of(path) for path in SOURCES if word.search(path.read_text())}
        assert touched and touched <= linked(sections()[title]), title


def test_the_flag_touches_what_a_type_is_said_to() -> None:
    """The rows that its test puts into tables are in the files of the list, and in no others."""
    tree = tree_of(ROOT / "tests" / "types" / "test_new_type.py")
    homes = {
        alias.name: f"{node.module}.{alias.name}".replace(".", "/") + ".py"
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    patched = {
        ast.unparse(node.args[0]).split(".")[0] for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("setitem", "setattr")
    }
    assert {homes[name] for name in patched} == linked(sections()["Add a type"])
