"""The simulator can fail: it notices each deliberate bug where the real node passes."""

from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace

import pytest

from respdyn.node import Node
from respdyn.sim.plan import Plan, draw
from respdyn.sim.run import run_once
from tests.sim import (
    collection_mutants,
    forgetting_mutants,
    group_mutants,
    hint_mutants,
    holding_mutants,
    loss_mutants,
    member_mutants,
    script_mutants,
    traitor_mutants,
)
from tests.sim.bugs import Bug
from tests.sim.mutants import MUTANTS

BUGS = {
    bug.node.__name__: bug for bug in (
        *MUTANTS, *forgetting_mutants.MUTANTS, *hint_mutants.MUTANTS, *group_mutants.MUTANTS,
        *member_mutants.MUTANTS, *loss_mutants.MUTANTS, *holding_mutants.MUTANTS,
        *traitor_mutants.MUTANTS,
        *collection_mutants.MUTANTS, *script_mutants.MUTANTS,
    )
}


def plans(bug: Bug) -> list[Plan]:
    """Where the bug is looked for, one plan after the other."""
    seeds = range(bug.first, bug.first + bug.within)
    return [replace(draw(seed).without_operators(), **bug.changes) for seed in seeds]


def run_planted(plan: Plan, bug: Bug) -> str:
    """What the simulator says of a plan with a bug."""
    with pytest.MonkeyPatch.context() as patch:
        for place, name, function in getattr(bug.node, "patches", ()):
            patch.setattr(place, name, function)
        return run_once(plan, bug.node).failure


def search(name: str) -> str:
    """Look for a bug; what is wrong with the bug, the simulator or the node, or "" for nothing."""
    bug = BUGS[name]
    for plan in plans(bug):
        failure = run_planted(plan, bug)
        if not failure:
            continue
        if " fell: " in failure and "AssertionError" not in failure:
            return f"the bug itself is out of date: {failure}"
        if real := run_once(plan, Node).failure:
            return f"the real node fails too, with seed {plan.seed}: {real}"
        return ""
    return f"not noticed within {bug.within} seeds from {bug.first} on"


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest, cores: ProcessPoolExecutor) -> dict[str, Future[str]]:
    """Of every bug that is asked for, looked for side by side."""
    wanted = [
        str(item.callspec.params["name"]) for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_deliberate_bug_is_noticed
    ]
    return {name: cores.submit(search, name) for name in wanted}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_deliberate_bug_is_noticed(name: str, verdicts: dict[str, Future[str]]) -> None:
    assert verdicts[name].result() == ""
