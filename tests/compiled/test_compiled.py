"""The compiled build is the same program: equal digests, and the tests of real processes hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.compiled.conftest import ROOT, environment

pytestmark = pytest.mark.slow

DIGESTS = """
from respdyn.build import build
from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.run import run_once
print(build())
for seed in (1, 3, 4, 7, 19, 23):
    outcome = run_once(draw(seed), Node)
    assert not outcome.failure, outcome.failure
    print(seed, outcome.digest)
"""
# What passes sockets, signals, disks and terminals: there a compiled node could differ unseen by
# the simulator. Not what gives a turn or a connection a stub for its node: compiled, they refuse
# it. The sources are last on the path, so that what is compiled is found first.
CHOSEN = (
    "tests/cli/test_cluster.py", "tests/cli/test_cluster_clients.py", "tests/cli/test_main.py",
    "tests/server/test_draining.py", "tests/server/test_memory.py",
    "tests/server/test_operating.py", "tests/server/test_place.py",
    "tests/server/test_serve.py", "tests/server/test_users.py",
)
PYTEST = ("-P", "-m", "pytest", "-q", "-x", "--import-mode=append", "-o", "pythonpath=")


def digests(python: str | Path) -> list[str]:
    """Which build it is, then the digests of some seeds."""
    return subprocess.run(
        [python, "-P", "-c", DIGESTS], check=True, capture_output=True, text=True, timeout=300,
        cwd=ROOT, env=environment(),
    ).stdout.splitlines()


def test_a_seed_has_the_same_digest_compiled_and_interpreted(compiled_python: Path) -> None:
    compiled, interpreted = digests(compiled_python), digests(sys.executable)
    assert (compiled[0], interpreted[0]) == ("compiled", "interpreted")
    assert len(compiled) == 7 and compiled[1:] == interpreted[1:]


@pytest.mark.parametrize("path", CHOSEN)
def test_what_holds_for_real_processes_holds_compiled(compiled_python: Path, path: str) -> None:
    tried = subprocess.run(
        [compiled_python, *PYTEST, path], capture_output=True, text=True, timeout=900, cwd=ROOT,
        env=environment(), check=False,
    )
    assert tried.returncode == 0, tried.stdout[-6000:]
