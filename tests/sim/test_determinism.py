"""The same seed gives the same run, byte for byte, whatever salts the interpreter's hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.report import Story
from respdyn.sim.run import run_once
from tests.sim.long_way import LongWay

PROGRAM = """
from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.run import run_once
print([run_once(draw(seed), Node).digest for seed in (3, 4, 19)])
print(run_once(draw(4).with_scripts(), Node).digest)
"""


def digests(salt: str) -> str:
    """The digests of some seeds in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": salt},
    ).stdout


def test_hash_salts_do_not_reach_a_run() -> None:
    assert digests("0") == digests("1") == digests("4242")


def test_printing_the_story_changes_nothing() -> None:
    story = Story()
    assert run_once(draw(7), Node, story).digest == run_once(draw(7), Node).digest
    assert story.all_lines(b"")


def test_seeds_differ() -> None:
    assert run_once(draw(1), Node).digest != run_once(draw(2), Node).digest


@pytest.mark.parametrize("seed", [2, 5, 7])
def test_the_fast_path_changes_nothing(seed: int) -> None:
    assert run_once(draw(seed), Node).digest == run_once(draw(seed), LongWay).digest
