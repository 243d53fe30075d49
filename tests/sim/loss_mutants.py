"""Deliberate bugs of what a node does that has lost something it held; as in `mutants`."""

from respdyn.cluster.link import Link
from respdyn.cluster.transfer_state import UNFILLED
from respdyn.membership.clock_watch import ClockWatch
from respdyn.node import Node
from respdyn.replication.scrub import Scrub
from respdyn.ring.ring import Member
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class NeverScrubs(Node):
    """No node looks whether what is in memory still passes its checksum."""

    class scrub_class(Scrub):
        def tick(self) -> None:
            pass

    def make_scrub(self) -> Scrub:
        return self.scrub_class(self.this, self.exchange, self.lost_memory)


class ForgetsWhatItLacks(Node):
    """A node that was wiped, and is restarted before it is filled, believes that it is whole."""

    def restore(self, pairs: list[bytes]) -> None:
        kept: list[bytes] = []
        for at in range(0, len(pairs), 2):
            if pairs[at] != UNFILLED:
                kept += pairs[at : at + 2]
        super().restore(kept)


class NeverAsksWhatOthersRemember(Node):
    """A node takes its disk for what it was, whatever others remember of it."""

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.sessions.arrival.lives.went_back = lambda: None


class ServesBeforeItHasMetOthers(Node):
    """A node that starts answers at once."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        self.sessions.arrival.end(now_ms)


class JudgesItsClockLater(Node):
    """A node that starts goes by its own clock until the next heartbeat."""

    class watch_class(ClockWatch):
        def note(self, link: Link) -> None:
            pass

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.arrival._judge_clock = lambda: None
        self.readiness.clock = self.watch_class(
            self.this.now, self.settings.max_clock_offset_ms, self.settings.heartbeat_ms,
            self.trace,
        )


MUTANTS = (
    Bug(NeverAsksWhatOthersRemember, SMALL | EXCHANGING | {"faults": ("restore",)}),
    Bug(ServesBeforeItHasMetOthers, SMALL | {"faults": ("start",), "clients": 10}),
    Bug(JudgesItsClockLater, SMALL | {
        "faults": ("set-right",), "heartbeat_ms": 1_000, "failure_timeout_ms": 2_000,
        "durability": "everysec", "clients": 10, "fault_every_ms": 500, "n": 1, "r": 1, "w": 1,
        "keys": keys(12, "register"), "harm_ms": 6_000,
    }),
    Bug(NeverScrubs, SMALL | EXCHANGING | {"faults": ("decay",)}),
    Bug(ForgetsWhatItLacks, SMALL | EXCHANGING | {
        "faults": ("wipe", "kill"), "r": 1, "partitions": 64, "keys": keys(30, "register"),
        "fault_every_ms": 150, "delay_us": 5_000,
    }, first=2),
)
