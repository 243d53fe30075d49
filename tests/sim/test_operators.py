"""Worlds whose members change while they are in use and in trouble."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.report import Outcome
from respdyn.sim.run import run

SEEDS = (410, 415, 416, 417, 419)


def go(seed: int) -> Outcome:
    """Run a seed with operators."""
    return run(draw(seed).with_operators(), Node)


@pytest.mark.slow
def test_members_change_under_faults_and_nothing_is_lost(cores: ProcessPoolExecutor) -> None:
    for outcome in cores.map(go, SEEDS):
        assert not outcome.failure, "\n".join(outcome.lines())
        assert any(name.startswith("change ") for name in outcome.counts)
