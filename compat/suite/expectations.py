"""What redis-py's tests do on Redis itself, and which of them are expected to fail here.

Two kinds of files, both text with one test a line, grouped by file:

`suite/redis-one.txt`, `suite/redis-cluster.txt`: the tests that talk to a server and pass on
redis-server 7.0.15, with the commands that each sends. Only these count; what Redis 7.0.15 fails
is no measure of respdyn.

`expected/one.txt`, `three.txt`, `cluster.txt`: of those, the ones that fail on respdyn. A line
that begins with `##` gives the reason for all that follow. A test that is out of scope is named
there too, so that the day on which it begins to pass is noticed.
"""

from collections.abc import Iterable
from pathlib import Path

from compat.places import HERE, CompatError
from compat.scope import why_out_of_scope

SUITE = HERE / "suite"
EXPECTED = HERE / "expected"

Commands = dict[str, frozenset[str]]        # of a test id

_HEAD = {
    "redis": "# Tests of redis-py that pass on redis-server 7.0.15, and the commands they send.\n"
             "# Written by: make compat PART=judge\n",
    "expected": "# Tests of redis-py that pass on redis-server 7.0.15 and fail here, by reason.\n"
                "# This list may only shrink: whatever passes must be taken out.\n",
}


def judge_file(mode: str) -> Path:
    """What Redis was seen to do, for a mode of ours."""
    return SUITE / ("redis-cluster.txt" if mode == "cluster" else "redis-one.txt")


def read_judged(mode: str) -> Commands:
    """The tests that count, with their commands."""
    found: Commands = {}
    at = ""
    for line in judge_file(mode).read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" "):
            at = line
            continue
        name, _, commands = line.strip().rpartition("  ")
        found[f"{at}::{name}"] = frozenset(commands.split())
    return found


def write_judged(mode: str, judged: Commands) -> None:
    """The same file, from a run."""
    judge_file(mode).write_text(_HEAD["redis"] + "".join(
        f"{file}\n" + "".join(
            f" {name}  {' '.join(sorted(judged[f'{file}::{name}']))}\n" for name in names
        )
        for file, names in _by_file(judged)
    ), encoding="utf-8")


def read_expected(mode: str) -> dict[str, str]:
    """Test ids that fail here, with the reason. Raises `CompatError` for one without."""
    found: dict[str, str] = {}
    path = EXPECTED / f"{mode}.txt"
    reason = at = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.startswith("## "):
            reason = line[3:]
        elif line.startswith("#") or not line:
            continue
        elif not line.startswith(" "):
            at = line
        elif not reason:
            raise CompatError(f"{path}: {line.strip()} has no reason")
        else:
            found[f"{at}::{line.strip()}"] = reason
    return found


def write_expected(mode: str, expected: dict[str, str]) -> None:
    """The same file, reasons with the most tests last."""
    groups: dict[str, list[str]] = {}
    for test, reason in expected.items():
        groups.setdefault(reason, []).append(test)
    parts = [_HEAD["expected"]]
    for reason, tests in sorted(groups.items(), key=lambda item: (len(item[1]), item[0])):
        parts.append(f"\n## {reason}\n")
        for file, names in _by_file(tests):
            parts.append(f"{file}\n" + "".join(f" {name}\n" for name in names))
    EXPECTED.mkdir(exist_ok=True)
    (EXPECTED / f"{mode}.txt").write_text("".join(parts), encoding="utf-8")


def why_test_is_out(commands: frozenset[str]) -> str:
    """The first thing that a test needs and that is out of scope; "" if nothing is."""
    reasons = sorted({reason for name in commands if (reason := why_out_of_scope(name))})
    return f"later, or never: {', '.join(reasons)}" if reasons else ""


def _by_file(tests: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Sorted, as (file, the rest of each id)."""
    found: dict[str, list[str]] = {}
    for test in sorted(tests):
        file, _, name = test.partition("::")
        found.setdefault(file, []).append(name)
    return sorted(found.items())
