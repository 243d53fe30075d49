"""Deliberate bugs of what clients feel of a disk that is behind; as in `mutants`."""

from respdyn.commands.declare import Command
from respdyn.node import Node
from respdyn.ring.ring import Member
from respdyn.sessions.holding import Holding
from respdyn.sessions.session import Session
from tests.sim.bugs import SMALL, Bug, keys


class HoldsNoClient(Node):
    """Clients write as fast as they can, whatever waits for the disk."""

    class holding_class(Holding):
        def stops(self, session: Session, command: Command, argv: list[bytes]) -> bool:
            return False

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.sessions.holding = self.holding_class(self.this, [])


MUTANTS = (
    Bug(HoldsNoClient, SMALL | {
        "faults": ("slow-disk",), "durability": "everysec", "write_us": 8_000, "pipeline": 8,
        "operations": 2_500, "backlog_bytes": 4_000, "keys": keys(6, "register"),
    }),
)
