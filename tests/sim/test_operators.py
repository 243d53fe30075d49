"""Worlds whose members change while they are in use and in trouble."""

import pytest

from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.run import run


@pytest.mark.slow
@pytest.mark.parametrize("seed", [410, 415, 416, 417, 419])
def test_members_change_under_faults_and_nothing_is_lost(seed: int) -> None:
    outcome = run(draw(seed).with_operators(), Node)
    assert not outcome.failure, "\n".join(outcome.lines())
    assert any(name.startswith("change ") for name in outcome.counts)
