"""Deliberate bugs of what a node does that has lost something it held; as in `mutants`."""

from respdyn.cluster.transfer import UNFILLED
from respdyn.engine.scrub import Scrub
from respdyn.node import Node
from respdyn.ring.ring import Member
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class NeverScrubs(Node):
    """Nobody looks whether what is in memory still passes its checksum."""

    class scrub_class(Scrub):
        def tick(self) -> None:
            pass

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.scrub = self.scrub_class(self, self._lost_memory)


class ForgetsWhatItLacks(Node):
    """A node that was wiped, and is restarted before it is filled, believes that it is whole."""

    def restore(self, pairs: list[bytes]) -> None:
        kept: list[bytes] = []
        for at in range(0, len(pairs), 2):
            if pairs[at] != UNFILLED:
                kept += pairs[at : at + 2]
        super().restore(kept)


MUTANTS = (
    Bug(NeverScrubs, SMALL | EXCHANGING | {"faults": ("decay",)}),
    Bug(ForgetsWhatItLacks, SMALL | EXCHANGING | {
        "faults": ("wipe", "kill"), "r": 1, "partitions": 64, "keys": keys(30, "register"),
        "fault_every_ms": 150, "delay_us": 5_000,
    }, first=2),
)
