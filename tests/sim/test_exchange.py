"""The simulator notices when copies stay different until a client reads them."""

from respdyn.cluster.timeouts import NEVER
from respdyn.node import Node
from respdyn.replication.exchange import Exchange
from respdyn.sim.plan import draw
from respdyn.sim.run import run

SEEDS = range(1, 9)
COMPLAINT = "although no client writes"


class Silent(Exchange):
    """Answers, but never asks."""

    def tick(self) -> None:
        """Nothing is ever due."""

    def next_deadline(self) -> int:
        """Never."""
        return NEVER


class NeverExchanges(Node):
    """Leaves all repair to those who read."""

    def make_exchange(self) -> Exchange:
        return Silent(self.this, self.task_runner, self.cleared_gossip)


def complaints(node_class: type[Node]) -> int:
    plans = [draw(seed).changed(nodes=3, faults=("kill", "reset")) for seed in SEEDS]
    return sum(COMPLAINT in run(plan, node_class).failure for plan in plans)


def test_copies_that_stay_different_are_noticed() -> None:
    assert complaints(NeverExchanges) > 0


def test_exchange_makes_copies_equal_without_reads() -> None:
    assert complaints(Node) == 0
