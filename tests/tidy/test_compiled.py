"""What is compiled (docs/builds.md) can be compiled without becoming another program."""

import ast
import tomllib

from tests.tidy.sources import ROOT, SOURCES, name_of, tree_of


def _compiled() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hooks = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    return {pattern.removeprefix("/") for pattern in hooks["custom"]["compiled"]}


def _bases(path: str) -> dict[str, list[str]]:
    """Each class of a module with the names of what it inherits from."""
    return {
        node.name: [
            name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
            for name in (
                base.value if isinstance(base, ast.Subscript) else base for base in node.bases
            )
        ]
        for node in ast.walk(tree_of(ROOT / path)) if isinstance(node, ast.ClassDef)
    }


def test_each_module_that_is_compiled_is_there() -> None:
    assert _compiled() <= {name_of(path) for path in SOURCES}


def test_no_module_that_is_compiled_defines_messages() -> None:
    for path in _compiled():
        assert not any("Struct" in bases for bases in _bases(path).values()), path


def test_no_interpreted_class_inherits_from_a_compiled_one() -> None:
    for path in map(name_of, SOURCES):
        if path in _compiled():
            continue
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree_of(ROOT / path)) if isinstance(node, ast.ImportFrom)
            if f"{(node.module or '').replace('.', '/')}.py" in _compiled()
            for alias in node.names
        }
        for name, bases in _bases(path).items():
            assert not imported & set(bases), f"{path}: {name} inherits from what is compiled"


def test_constants_of_what_is_compiled_are_final() -> None:
    """Else each use is a search in the module's dictionary. Types have their name in CamelCase."""
    for path in _compiled():
        names = [
            target.id for node in tree_of(ROOT / path).body if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)
            if not isinstance(getattr(node.value, "value", None), str)      # text for people
        ]
        assert not [n for n in names if n.strip("_").isupper() and len(n) > 1], path


def test_no_module_looks_into_an_object_by_its_dict() -> None:
    """What is compiled has none: a page of metrics then dies where only a release shows it."""
    for path in SOURCES:
        if name_of(path).startswith("respdyn/cli/"):        # sees no node
            continue
        for node in ast.walk(tree_of(path)):
            looks = isinstance(node, ast.Attribute) and node.attr == "__dict__"
            looks |= isinstance(node, ast.Name) and node.id == "vars"
            assert not looks, f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
