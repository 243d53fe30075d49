"""Deliberate bugs of membership and transfer; as in `mutants`.

With a single owner for each partition there is nobody else who could answer in its place.
"""

from respdyn.cluster.transfer import UNFILLED, Transfers
from respdyn.node import Node
from respdyn.ring.ring import FILL, Member, Ring
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class SwappedTransfers(Node):
    """A node that goes by other rules of transfer."""

    transfers_class = Transfers

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.transfers.__class__ = self.transfers_class


class DropsBeforeOthersHaveIt(SwappedTransfers):
    """Who is no owner by the ring to come drops what it holds as soon as it hears of it."""

    class transfers_class(Transfers):
        def adopt(self, ring: Ring, is_empty_handed: bool) -> set[int]:
            taken = super().adopt(ring, is_empty_handed)
            for partition, move in self.moving.items():
                if move.phase == FILL and self._here not in ring.names(move.owners):
                    self._replica.empty(partition)
            return taken


class CountsBeforeItIsFilled(SwappedTransfers):
    """A new owner says at once that it holds everything, and that it has proved it."""

    class transfers_class(Transfers):
        def to_fill(self) -> list[int]:
            for partition in super().to_fill():
                self.got(partition)
            return []

        def to_verify(self) -> list[int]:
            for partition in super().to_verify():
                self.proved(partition)
            return []


class ForgetsWhatItLacks(Node):
    """A node that was wiped, and is restarted before it is filled, believes that it is whole."""

    def restore(self, pairs: list[bytes]) -> None:
        kept: list[bytes] = []
        for at in range(0, len(pairs), 2):
            if pairs[at] != UNFILLED:
                kept += pairs[at : at + 2]
        super().restore(kept)


# Members come and go without any other trouble.
MOVING = SMALL | EXCHANGING | {
    "spares": 2, "n": 1, "r": 1, "w": 1, "partitions": 16, "harm_ms": 4_000,
    "keys": keys(12, "register"),
}

MUTANTS = (
    Bug(DropsBeforeOthersHaveIt, MOVING),
    Bug(CountsBeforeItIsFilled, MOVING | {
        "keys": keys(60, "register"), "exchange_ms": 5_000,
    }, first=4),
    Bug(ForgetsWhatItLacks, SMALL | EXCHANGING | {
        "faults": ("wipe", "kill"), "r": 1, "partitions": 64, "keys": keys(30, "register"),
        "fault_every_ms": 150, "delay_us": 5_000,
    }, first=2),
)
