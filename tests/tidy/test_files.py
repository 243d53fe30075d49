"""How files look: short, introduced, pure Python, and silent about errors that are unforeseen."""

import ast
import re
from pathlib import Path

from tests.tidy.sources import PACKAGE, ROOT, SOURCES, TESTS, name_of, room_of, tree_of

MOST_LINES = 520
FEWEST_LINES = 40

# Shorter files, and why each stands alone. Declarations of commands may be few.
SHORT = {
    "respdyn/build.py": "the process and the command line ask it, and see no node",
    "respdyn/errors.py": "contract: all rooms raise these",
    "respdyn/causal/big_record.py": "not compiled: mypyc makes no heirs of bytes",
    "respdyn/causal/dot.py": "contract: a dot",
    "respdyn/causal/marks.py": "contract: copies are compared by it",
    "respdyn/cli/serve.py": "a program of its own, loaded when it is used",
    "respdyn/cli/version.py": "a program of its own, loaded when it is used",
    "respdyn/cluster/now.py": "contract: the time",
    "respdyn/cluster/statements.py": "contract: what a node states of itself",
    "respdyn/cluster/terms.py": "contract: the terms of a call",
    "respdyn/server/script_page.py": "contract: what two processes share",
}
# The most of the code that one package may be, in percent; commands are many by nature.
MOST_OF_THE_CODE = 15

# Files that are longer, with what they have. A number here only ever falls.
LONGER: dict[str, int] = {}

# The outermost loops, where an unforeseen error is logged instead of ending everything.
OUTERMOST = {"server", "cli"}

# Where else everything is caught, and why there is no narrower way.
NETS = {
    "respdyn/sim/run.py": 1,             # whatever a node raises is the simulator's finding
    "respdyn/storage/database.py": 1,    # the binding raises bare `Exception`s
}


def test_files_are_short_enough_to_read() -> None:
    for path in SOURCES + TESTS:
        lines = len(path.read_text().splitlines())
        name = name_of(path)
        assert lines <= LONGER.get(name, MOST_LINES), f"{name} has {lines} lines: make it two"
    for name, lines in LONGER.items():
        left = len((ROOT / name).read_text().splitlines())
        assert left == lines and lines > MOST_LINES, f"{name} has {left} lines now: say so here"


def test_no_file_is_a_crumb() -> None:
    """Else a reader opens three files for one idea."""
    lines = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    short = {
        name for name, count in lines.items()
        if count < FEWEST_LINES and not name.endswith("/__init__.py")
        and not name.startswith("respdyn/commands/")
    }
    assert short == set(SHORT), "give it a place in a file that uses it, or say why it stands alone"


def test_no_package_is_most_of_the_code() -> None:
    lines: dict[str, int] = {}
    for path in SOURCES:
        lines[room_of(path)] = lines.get(room_of(path), 0) + len(path.read_text().splitlines())
    most = sum(lines.values()) * MOST_OF_THE_CODE // 100
    assert not {room: count for room, count in lines.items()
                if count > most and room != "commands"}


def test_every_module_says_its_one_idea() -> None:
    silent = []
    for path in SOURCES + TESTS:
        docstring = ast.get_docstring(tree_of(path))
        if path.read_text().strip() and not docstring:
            silent.append(name_of(path))
    assert not silent


def test_every_directory_of_code_is_a_package() -> None:
    """Else two tests of one name would be one module."""
    directories = {path.parent for path in SOURCES + TESTS}
    assert not [name_of(path) for path in directories if not (path / "__init__.py").exists()]


def test_tests_stand_where_the_code_stands() -> None:
    packages = {room_of(path) for path in SOURCES if path.parent != PACKAGE}
    assert not [room for room in sorted(packages)
                if not any((ROOT / "tests" / room).glob("test_*.py"))]


def test_nothing_compiled_lies_beside_its_source() -> None:
    """A stale extension would silently win over the source that one edits."""
    compiled = [path for end in ("so", "pyd", "dylib") for path in PACKAGE.rglob(f"*.{end}")]
    assert not compiled


def nets(tree: ast.Module) -> list[int]:
    """Lines of handlers that catch every exception."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(
                one is None
                or (isinstance(one, ast.Name) and one.id in ("Exception", "BaseException"))
                for one in caught
            ):
                found.append(node.lineno)
    return found


def test_unforeseen_errors_are_caught_by_the_outermost_loops_alone() -> None:
    inside = [path for path in SOURCES if room_of(path) not in OUTERMOST]
    found = {name_of(path): nets(tree_of(path)) for path in inside}
    assert {name: len(lines) for name, lines in found.items() if lines} == NETS


def test_nets_are_found_in_every_form() -> None:
    text = "try: pass\nexcept {}: pass\n"
    for form in ("Exception", "BaseException as e", "(ValueError, Exception)", ""):
        assert nets(ast.parse(text.format(form))) == [2]
    assert nets(ast.parse(text.format("ValueError"))) == []


# ---- documents ----

DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def anchors_of(document: Path) -> set[str]:
    """What one can link to in a document: its headings as the forge writes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def dead_links(document: Path) -> list[str]:
    """Links of a document to files or headings of this repository that do not exist."""
    dead = []
    for link in LINK.findall(CODE.sub("", document.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        is_dead = not target.exists()
        if not is_dead and anchor and target.suffix == ".md":
            is_dead = anchor not in anchors_of(target)
        if is_dead:
            dead.append(f"{name_of(document)}: {link}")
    return dead


def test_links_in_documents_lead_somewhere() -> None:
    assert not [dead for document in DOCUMENTS for dead in dead_links(document)]
