"""Deliberate bugs of sloppy quorums, hints and handoff; as in `mutants`."""

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.hint import Entry
from respdyn.cluster.hints import Hints
from respdyn.cluster.plan import Plan
from respdyn.cluster.questions import Deliver, Held, Question
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.replica import HINT
from respdyn.cluster.tasks import Answer, Task
from respdyn.config import Settings
from respdyn.node import Node
from respdyn.ports import Random, Trace
from respdyn.replication.handoff import Handoff
from respdyn.ring.ring import Member
from tests.sim.bugs import SMALL, Bug, keys
from tests.sim.mutants import Swapped, widened


class SwappedHandoff(Node):
    """A node with another handoff."""

    handoff_class = Handoff

    def make_handoff(self) -> Handoff:
        return self.handoff_class(
            self.this, self.task_runner, self.keepers, self.exchange, self._storing_here
        )


class ForgetsHintsBeforeTheyAreStored(SwappedHandoff):
    """A hint is forgotten as soon as it was sent."""

    class handoff_class(Handoff):
        def _give(self, owner: str, entries: list[Entry]) -> Task:
            self._node.hints.forget(owner, entries, 0, 0)
            return super()._give(owner, entries)


class GivesHintsToAnotherNode(SwappedHandoff):
    """Hints go to another node that is up, which takes whatever it is given."""

    class handoff_class(Handoff):
        def _give(self, owner: str, entries: list[Entry]) -> Task:
            up = sorted(link.peer for link in self._node.links.values() if link.is_up)
            (answer,) = yield [(up[(up.index(owner) + 1) % len(up)], Deliver(entries))]
            self._under_way.discard(owner)
            if answer == 1:
                self._node.hints.forget(owner, entries, 0, 0)
            return b""

        def answer(self, ask: Deliver) -> int:
            for name, _, content in ask.entries:
                self._node.replica.receive(name, content)
            return 1


class DropsHintsWhenANodeComesOrGoes(SwappedHandoff):
    """What was kept for others is dropped with the plans that it was kept by."""

    class handoff_class(Handoff):
        def planned(self) -> None:
            hints = self._node.hints
            for owner in hints.owners():
                hints.forget(owner, hints.take(owner, 1 << 40, 1 << 40), 0, 0)


class ForgetsHintsOnRestart(Node):
    """No node looks for hints at the start."""

    def restore(self, pairs: list[bytes]) -> None:
        kept: list[bytes] = []
        for at in range(0, len(pairs), 2):
            if not pairs[at].startswith(HINT):
                kept += pairs[at : at + 2]
        super().restore(kept)


class KeepsNothing(Node):
    """Hints are acknowledged and not kept."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.hints = self.this.hints = Forgetful(
            self.replica, self.counters, 1 << 30, 1 << 40, self.this.now
        )


class Forgetful(Hints):
    """Keeps no hints."""

    def keep(self, owner: str, locator: bytes, record: bytes, is_whole: bool) -> bytes:
        return record


class BelievesEachThatFindsNothing(Node):
    """A node that stands in says "not found" as if it were an owner."""

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        answer = self.task_runner._answer_here

        def believing(question: Question) -> Answer:
            reply = answer(question)
            return (True, *reply[1:]) if isinstance(question, Held) else reply  # type: ignore[index]

        self.task_runner._answer_here = believing


class ClaimsWhileItStandsIn(Swapped):
    """Without an owner, a new dot claims all since this node started."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            if not plan.is_owner:
                mine = self._replica._identity
                delta = widened(delta, [(mine.actor, mine.floor, mine.counter)])
                owner = plan.stands_in_for or plan.owners[0]
                self._hints.keep(owner, locator, delta, True)
            super().write(
                plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, reports_siblings,
                until_ms, early, number,
            )


class OffersHintsToThoseThatComeUp(SwappedHandoff):
    """A hint for an owner that is up already waits for the timer."""

    class handoff_class(Handoff):
        def tick(self) -> None:
            self._node.hints.fresh.clear()
            super().tick()


# A node that is cut off from all others is the only one that has what it acknowledges, and for
# some keys it stands in. Exchange would mend what others know too.
ALONE = SMALL | {
    "nodes": 5, "r": 1, "w": 1, "sloppy": True, "partitions": 16, "harm_ms": 2_500,
    "faults": ("isolate",), "keys": keys(6, "context", "register"), "failure_timeout_ms": 300,
}

MUTANTS = (
    Bug(ForgetsHintsBeforeTheyAreStored, ALONE | {
        "faults": ("isolate", "power", "slow-disk"), "fault_every_ms": 100, "sync_us": 30_000,
        "keys": keys(40, "context"), "operations": 500, "pipeline": 4, "harm_ms": 2_000,
        "failure_timeout_ms": 200,
    }, first=24, within=20),
    Bug(GivesHintsToAnotherNode, ALONE),
    Bug(DropsHintsWhenANodeComesOrGoes, ALONE),
    Bug(ForgetsHintsOnRestart, ALONE | {"faults": ("isolate", "kill"), "fault_every_ms": 150}),
    Bug(KeepsNothing, ALONE),
    Bug(BelievesEachThatFindsNothing, ALONE | {"faults": ("isolate", "halves")}),
    Bug(ClaimsWhileItStandsIn, ALONE | {"keys": keys(6, "context")}),
    Bug(OffersHintsToThoseThatComeUp, ALONE | {
        "r": 2, "w": 2, "faults": ("bridge",), "keys": keys(3, "register"), "operations": 800,
        "fault_every_ms": 700, "harm_ms": 4_000, "failure_timeout_ms": 1_000, "skew_ms": 0,
        "drift_ppm": 0,
    }, first=2),
)
