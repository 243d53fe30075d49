"""Deliberate bugs of membership and transfer; as in `mutants`.

With a single owner for each partition there is no other node that could answer in its place.
"""

import msgspec

from respdyn.cluster.transfer_state import TransferState
from respdyn.node import Node
from respdyn.ring.ring import FILL, JOINT, READ, Member, Ring
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class SwappedTransfers(Node):
    """A node that goes by other rules of transfer."""

    transfers_class = TransferState

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.transfers.__class__ = self.transfers_class


class DropsBeforeOthersHaveIt(SwappedTransfers):
    """Who is no owner by the ring to come drops what it holds as soon as it receives it."""

    class transfers_class(TransferState):
        def adopt(self, ring: Ring, is_empty_handed: bool) -> set[int]:
            taken = super().adopt(ring, is_empty_handed)
            for partition, move in self.moving.items():
                if move.phase == FILL and self._here not in ring.names(move.owners):
                    self._replica.empty(partition)
            return taken


class CountsBeforeItIsFilled(SwappedTransfers):
    """A new owner says at once that it holds everything, and that it has proved it."""

    class transfers_class(TransferState):
        def to_fill(self) -> list[int]:
            for partition in super().to_fill():
                self.got(partition)
            return []

        def to_verify(self) -> list[int]:
            for partition in super().to_verify():
                self.proved(partition)
            return []


class SkipsTheJointPhase(SwappedTransfers):
    """Once the new owners are filled all is read from them, while some still write to the old."""

    class transfers_class(TransferState):
        def next_ring(self, now_ms: int) -> Ring | None:
            ring = super().next_ring(now_ms)
            if ring is None:
                return None
            moves = (
                msgspec.structs.replace(move, phase=READ) if move.phase == JOINT else move
                for move in ring.moves
            )
            return msgspec.structs.replace(ring, moves=tuple(moves))


# Members come and go without any other trouble.
MOVING = SMALL | EXCHANGING | {
    "spares": 2, "n": 1, "r": 1, "w": 1, "partitions": 16, "harm_ms": 4_000,
    "keys": keys(12, "register"),
}

# Three are made of one, while clients write to a single key and messages take their time.
GROWING = MOVING | {
    "nodes": 1, "n": 3, "r": 2, "w": 2, "spares": 3, "partitions": 1, "keys": keys(1, "register"),
    "clients": 8, "operations": 1_600, "harm_ms": 6_000, "delay_us": 20_000, "jitter_us": 20_000,
}

MUTANTS = (
    Bug(DropsBeforeOthersHaveIt, MOVING),
    Bug(CountsBeforeItIsFilled, MOVING | {
        "keys": keys(60, "register"), "exchange_ms": 5_000,
    }, first=4),
    Bug(SkipsTheJointPhase, GROWING, first=4, within=60),
)
