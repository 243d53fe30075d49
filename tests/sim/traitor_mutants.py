"""Deliberate bugs that show when a member lies: each takes one bound away.

Source: decision 0046.
"""

from respdyn.causal.minting import LEVELS
from respdyn.config import Settings
from respdyn.errors import DamagedError
from respdyn.node import Node
from respdyn.ports import Random, Trace
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class BelievesClaims(Node):
    """Whatever is stated of an actor is believed."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.this.ends.check_rows = lambda rows: None       # type: ignore[method-assign]


class BelievesClearings(Node):
    """Whatever is stated to be cleared is believed."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.this.ends.check_tops = lambda tops: None       # type: ignore[method-assign]


class BelievesAnyProof(Node):
    """A proof is not checked."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.this.ends._check = _check_level                # type: ignore[method-assign]


def _check_level(actor: bytes, known_level: int, known: bytes, level: int, proof: bytes) -> None:
    if level > LEVELS:
        raise DamagedError("a proof of no level")


class BelievesInTheFuture(Node):
    """A record may have been written in a time to come."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.this.ends.check_clock = lambda record: None    # type: ignore[method-assign]


_LIED_TO = SMALL | EXCHANGING | {
    "traitor": True, "fault_every_ms": 50, "clients": 8, "keys": keys(4, "register"),
}
MUTANTS = (
    Bug(BelievesClaims, _LIED_TO), Bug(BelievesClearings, _LIED_TO),
    Bug(BelievesAnyProof, _LIED_TO, first=3), Bug(BelievesInTheFuture, _LIED_TO, first=2),
)
