"""Which room may see which. The table is the architecture; this test is its lock.

Two towers never see each other: what a command means (types, commands) and how a cluster agrees
(ring, cluster). They meet in coordination. And whatever decides is deterministic: from `causal` up
to `node` no module reaches for time, chance, threads or the outside; these are arguments.
"""

import ast

import pytest

from tests.tidy.sources import PACKAGE, SOURCES, name_of, room_of, tree_of

# What each room may import of ours, besides itself, `errors` and `ports`.
TABLE: dict[str, set[str]] = {
    "errors": set(),
    "build": set(),
    "ports": set(),
    "metrics": set(),
    "config": {"config_access", "config_redis", "config_values"},
    "config_access": {"config_values"},
    "config_redis": {"config_values"},
    "config_values": set(),
    "config_view": {"config", "config_redis", "config_values"},
    "causal": set(),
    "resp": set(),
    "ring": set(),
    "storage": set(),
    "types": {"causal"},
    "commands": {"types", "resp", "causal"},
    # Commands on records, in a process of its own: no node, no cluster.
    "scripting": {"commands", "types", "resp", "causal", "ring"},
    "cluster": {"types", "causal", "ring", "metrics", "config"},
    "replication": {"cluster", "types", "causal", "ring"},
    "membership": {"cluster", "ring", "config", "config_values"},
    "coordination": {"cluster", "commands", "types", "resp", "ring", "causal", "config_values",
                     "scripting.job"},
    "handlers": {"sessions", "coordination", "replication", "membership", "cluster"},
    "host": {"config"},
    "sessions": {"coordination", "membership", "cluster", "commands", "types", "resp", "ring",
                 "config", "config_values", "host", "scripting.job"},
    "admin": {"sessions", "coordination", "replication", "membership", "cluster", "commands",
              "types", "resp", "ring"},
    "local": {"admin", "sessions", "coordination", "replication", "membership", "cluster",
              "commands", "types", "resp", "ring", "config", "config_redis", "config_values",
              "config_view", "host"},
    "node": {"handlers", "local", "admin", "sessions", "coordination", "replication",
             "membership", "cluster", "types", "resp", "ring", "causal", "config", "host",
             "metrics"},
    # The simulator judges what nodes hold: who owns a key (ring), and what it is (types). Its
    # clients send bytes (resp), its traitor speaks as nodes do (cluster.messages, causal.codec).
    "sim": {"node", "sessions.session", "commands", "storage.memory", "types.values",
            "types.streams", "types.stream_groups", "resp",
            "ring", "config", "cluster.messages", "causal.codec", "causal.parts",
            "scripting.inline", "scripting.job", "sessions.acl_rules"},
    "server": {"build", "node", "sessions.session", "host", "storage", "resp", "config",
               "config_values", "metrics", "scripting", "sessions.acl_rules"},
    "cli": {"build", "server", "sim", "commands.table", "config", "config_values"},
}
FOR_EVERYONE = {"errors", "ports"}

DETERMINISTIC = (
    "causal", "types", "resp", "commands", "scripting", "ring", "cluster", "replication",
    "membership", "coordination", "sessions", "admin", "local", "handlers", "node",
)
BANNED = {"asyncio", "os", "random", "secrets", "socket", "threading", "time", "uuid"}


def imports_of(tree: ast.Module) -> list[tuple[int, str]]:
    """Every module that a file imports, wherever in the file, with the line.

    `from a import b` counts as `a.b`: b may be a module.
    """
    found = []
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            found += [(statement.lineno, alias.name) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            start = "." * statement.level + (statement.module or "")
            found += [(statement.lineno, f"{start}.{alias.name}") for alias in statement.names]
    return found


def breaches(room: str, tree: ast.Module) -> list[tuple[int, str]]:
    """What a file of `room` imports of ours though it may not."""
    allowed = TABLE[room] | FOR_EVERYONE | {room}
    found = []
    for line, module in imports_of(tree):
        first, _, inside = module.partition(".")
        if first == "":
            found.append((line, module))   # relative: says not which room
        elif first == "respdyn" and not any(f"{inside}.".startswith(f"{a}.") for a in allowed):
            found.append((line, module))
    return found


def outside(tree: ast.Module) -> list[tuple[int, str]]:
    """What a file imports of time, chance, threads and the outside."""
    return [(line, module) for line, module in imports_of(tree) if module.split(".")[0] in BANNED]


def files_of(sources: dict[str, ast.Module]) -> dict[str, list[str]]:
    """What each module imports of the others, those under TYPE_CHECKING as well.

    `sources`: trees by module name. `from a import b` is a's module unless `a.b` is one.
    """
    found: dict[str, list[str]] = {}
    for name, tree in sources.items():
        modules = set()
        for _, module in imports_of(tree):
            while module and module not in sources:
                module = module.rpartition(".")[0]
            modules.add(module)
        found[name] = sorted(modules - {"", name})
    return found


def circles(edges: dict[str, list[str]]) -> list[set[str]]:
    """Modules that import each other, directly or through others: Tarjan's components."""
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index = low[name] = len(low)
        stack.append(name)
        for other in edges[name]:
            if other not in low:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index:
            at = stack.index(name)
            circle = set(stack[at:])
            del stack[at:]
            if len(circle) > 1:
                found.append(circle)

    for name in sorted(edges):
        if name not in low:
            visit(name)
    return sorted(found, key=sorted)


def test_every_room_is_in_the_table() -> None:
    assert sorted({room_of(path) for path in SOURCES} - {"__init__"}) == sorted(TABLE)


def test_rooms_see_only_what_the_table_allows() -> None:
    found = [
        f"{name_of(path)}:{line} imports {module}"
        for path in SOURCES for line, module in breaches(room_of(path), tree_of(path))
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_files_import_each_other_in_a_circle() -> None:
    trees = {
        name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"):
        tree_of(path) for path in SOURCES
    }
    found = [sorted(circle) for circle in circles(files_of(trees))]
    assert not found, found


def test_the_node_is_known_to_its_two_drivers_alone() -> None:
    found = {
        room_of(path) for path in SOURCES for _, module in imports_of(tree_of(path))
        if f"{module}.".startswith("respdyn.node.")
    }
    assert found == {"server", "sim"}


# What `ThisNode` may be made of: facts. None of these makes another room work or sends a message.
FACTS = {
    "causal.dot", "causal.hybrid_clock", "cluster.admission", "cluster.hints", "cluster.identity",
    "cluster.link", "cluster.messages", "cluster.now", "cluster.plan", "cluster.replica",
    "cluster.slices", "cluster.statistics", "cluster.terms", "cluster.transfer_state", "config",
    "ports", "ring.hashing", "ring.ring",
}


def test_what_all_rooms_are_given_holds_facts_only() -> None:
    tree = tree_of(PACKAGE / "cluster" / "this_node.py")
    ours = {module.rpartition(".")[0] for _, module in imports_of(tree)
            if module.startswith("respdyn.")}
    assert {module.removeprefix("respdyn.") for module in ours} == FACTS


# Who else has a time of its own: a view of one command, and a script's job, as its node gave it.
OWN_TIME = {"respdyn/types/view.py", "respdyn/scripting/overlay.py"}


def times_kept(tree: ast.Module) -> list[int]:
    """Lines where an object keeps the time."""
    return [
        node.lineno for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        and node.attr.strip("_") in ("now_ms", "wall_ms")
        and isinstance(node.value, ast.Name) and node.value.id == "self"
    ]


def test_the_time_is_kept_in_one_place() -> None:
    inside = [path for path in SOURCES if room_of(path) in DETERMINISTIC]
    found = {name_of(path) for path in inside if times_kept(tree_of(path))}
    assert found == {"respdyn/cluster/now.py"} | OWN_TIME


def test_a_copy_of_the_time_is_found() -> None:
    """The lock itself."""
    tree = ast.parse("def f(self, now):\n    self._now_ms = now.now_ms\n    now.wall_ms = 1\n")
    assert times_kept(tree) == [2]


@pytest.mark.parametrize("room", DETERMINISTIC)
def test_whatever_decides_is_given_time_and_chance(room: str) -> None:
    found = [
        f"{name_of(path)}:{line} imports {module}"
        for path in SOURCES if room_of(path) == room
        for line, module in outside(tree_of(path))
    ]
    assert not found, "\n" + "\n".join(found)


def test_breaches_are_found_wherever_they_hide() -> None:
    """The lock itself."""
    tree = ast.parse(
        "import respdyn.ring.claim, os.path\n"
        "from respdyn import cluster, errors\n"
        "def f():\n"
        "    from ..node import Node\n"
        "    from time import monotonic\n"
    )
    assert breaches("ring", tree) == [(2, "respdyn.cluster"), (4, "..node.Node")]
    assert outside(tree) == [(1, "os.path"), (5, "time.monotonic")]


def test_circles_are_found_however_long_and_wherever_they_hide() -> None:
    """The lock itself."""
    sources = {
        "p.a": "from p import b\n",
        "p.b": "def f():\n    from p.c import one\n",
        "p.c": "if TYPE_CHECKING:\n    from p.a import two\n",
        "p.d": "import p.a\nfrom p.e import three\n",
        "p.e": "import os.path\nfrom p.e import itself\n",
    }
    edges = files_of({name: ast.parse(text) for name, text in sources.items()})
    assert edges["p.d"] == ["p.a", "p.e"] and edges["p.e"] == []
    assert circles(edges) == [{"p.a", "p.b", "p.c"}]
