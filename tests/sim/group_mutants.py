"""Deliberate bugs of transactions. See `mutants`.

Source: SEMANTICS 7.
"""

from typing import Any

from respdyn.coordination.groups import GroupExecution
from respdyn.node import Node
from tests.sim.bugs import SMALL, Bug


class HalfRunning(GroupExecution):
    """A group that does its first half now and the rest in a later turn."""

    def run_steps(self) -> None:
        steps = range(len(self._replies))
        half = len(steps) // 2
        for index in steps[:half]:
            self.run_step(index)
        deferred: list[Any] = self._groups.deferred     # type: ignore[attr-defined]
        deferred.append((self, steps[half:]))


class AppliesGroupsInTwoTurns(Node):
    """What a transaction changes leaves in two frames."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        groups = self.groups
        groups.deferred = []                            # type: ignore[attr-defined]
        groups.running_class = lambda: HalfRunning      # type: ignore[method-assign]

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        deferred = self.groups.deferred      # type: ignore[attr-defined]
        while deferred:
            running, steps = deferred.pop(0)
            for index in steps:
                running.run_step(index)


class NeverChanged(GroupExecution):
    """A group that does not look at its watched keys."""

    def has_changed(self) -> bool:
        return False


class IgnoresWatches(Node):
    """EXEC runs whatever has become of the watched keys."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        self.groups.running_class = lambda: NeverChanged   # type: ignore[method-assign]


CALM = SMALL | {"transactors": 4}

MUTANTS = (
    Bug(AppliesGroupsInTwoTurns, CALM),
    Bug(IgnoresWatches, CALM),
)
