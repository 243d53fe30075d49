"""The simulator can fail: it notices each deliberate bug where the real node passes."""

from dataclasses import replace

import pytest

from respdyn.node import Node
from respdyn.sim.plan import draw
from respdyn.sim.run import run_once
from tests.sim import group_mutants, hint_mutants
from tests.sim.mutants import MUTANTS, Bug


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug", MUTANTS + hint_mutants.MUTANTS + group_mutants.MUTANTS,
    ids=lambda bug: bug.node.__name__,
)
def test_deliberate_bug_is_noticed(bug: Bug) -> None:
    for seed in range(1, bug.within + 1):
        plan = replace(draw(seed), **bug.changes)
        failure = run_once(plan, bug.node).failure
        assert "TypeError" not in failure, "the bug itself is out of date"
        if failure and not run_once(plan, Node).failure:
            return
    pytest.fail(f"{bug.node.__name__} was not noticed within {bug.within} seeds")
