"""Deliberate bugs: nodes that each break one rule, to prove that the simulator can fail.

Each is a subclass of `Node`, given to the world in the real one's place. `MUTANTS`, at the end,
says within how many seeds, counted from 1, the simulator must notice each of them.

Source: SEMANTICS 1 to 5; riak_kv issue 679 and its kin for most of the ideas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from respdyn.causal.codec import LIVE, VALUE, context_of, decode, digest, encode
from respdyn.causal.context import Context
from respdyn.causal.dot import Actor, Dot, Stamp, intern_actor
from respdyn.causal.dotted_map import DottedMap
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.identity import META, Identity
from respdyn.cluster.messages import pair, read_header
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Reader, ReadOp, Waiter, WriteRound
from respdyn.config import Settings
from respdyn.engine.asking import Promise
from respdyn.engine.calls import Updating
from respdyn.engine.collection import Collection, Name, Promised
from respdyn.engine.drained import Drained
from respdyn.node import Node
from respdyn.ports import Random, Trace
from respdyn.resp.replies import OK
from respdyn.ring.ring import Member


class Swapped(Node):
    """A node with another coordinator."""

    coordinator_class = Coordinator

    def make_coordinator(self) -> Coordinator:
        return self.coordinator_class(
            self.replica, self.hints, self.counters, self.settings.speculative_ms, self.stamp,
            self._plan_for, self.link_to, self.gossip.tell_cleared,
        )


class Shipping(Coordinator):
    """A coordinator that changes what it ships."""

    def changed(self, locator: bytes, delta: bytes, is_plain: bool) -> bytes:
        """The delta to ship, and to join here, instead of the right one."""
        return delta

    def write(
        self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
        w: int, is_sloppy: bool, deadline_ms: int, wants_feedback: bool, until_ms: int = 0,
        early: str = "", number: int = 0,
    ) -> None:
        delta = self.changed(locator, delta, wants_feedback)
        self._replica.join(locator, delta)
        super().write(
            plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, wants_feedback,
            until_ms, early, number,
        )


def widened(delta: bytes, spans: Sequence[tuple[Actor, int, int]]) -> bytes:
    """A delta whose context covers more than it should."""
    state = decode(delta)
    context = state.context
    for actor, lo, hi in spans:
        context = context.add(actor, lo, hi)
    return encode(DottedMap(state.entries, context))


def of_dots(entries: Mapping[bytes, Mapping[Dot, bytes]]) -> Context:
    """A context of these dots and nothing else."""
    context = Context()
    for dots in entries.values():
        for actor, counter in dots:
            context = context.add(actor, counter - 1, counter)
    return context


# ---- contexts ----


class ClaimsEverything(Swapped):
    """A new dot (actor, n) claims to cover (0, n]."""

    class coordinator_class(Shipping):
        def changed(self, locator: bytes, delta: bytes, is_plain: bool) -> bytes:
            return widened(delta, [(actor, 0, hi) for actor, _, hi in context_of(delta).rows()])


class ClaimsBelowItsFloor(Node):
    """A new dot claims from the previous one on, although that one is of an earlier start."""

    def stamp(self, partition: int) -> Stamp:
        actor, counter, _, clock = super().stamp(partition)
        return actor, counter, 0, clock


class CoversWhatItHasNotSeen(Swapped):
    """A SET covers the next dots of the other actors too."""

    class coordinator_class(Shipping):
        def changed(self, locator: bytes, delta: bytes, is_plain: bool) -> bytes:
            rows = context_of(delta).rows()
            return widened(delta, [(actor, hi, hi + 8) for actor, _, hi in rows[1:]])


class CoversNothing(Swapped):
    """A SET ships its bare dot, whatever it has overwritten here."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, wants_feedback: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            if wants_feedback:
                entries = decode(delta).entries
                delta = encode(DottedMap(entries, of_dots(entries)))
            super().write(
                plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, False, until_ms
            )

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.dispatcher.forwarding.bits = 0         # early answers need the replicas' word


class CoversSiblingsUnread(Swapped):
    """DYN.PUTCTX covers what the server holds, not what its client has read."""

    class coordinator_class(Shipping):
        def changed(self, locator: bytes, delta: bytes, is_plain: bool) -> bytes:
            if is_plain or not delta[1] & LIVE:
                return delta
            return widened(delta, context_of(self._replica.get(locator)).rows())


class HearsNoConflicts(Swapped):
    """A SET does not ask whether replicas held siblings."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, wants_feedback: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            super().write(
                plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, False, until_ms
            )

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.dispatcher.forwarding.bits = 0         # early answers need the replicas' word


class DropsTombstones(Swapped):
    """A deletion is forgotten where it was coordinated, as soon as it was shipped."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, wants_feedback: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            super().write(
                plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, wants_feedback,
                until_ms, early, number,
            )
            if not self._replica.get(locator)[1] & LIVE:
                self._replica.drop(locator)


# ---- quorums ----


class AnswersBeforeW(Swapped):
    """One copy is enough for an acknowledgement."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, wants_feedback: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            super().write(
                plan, waiter, reply, locator, delta, 1, is_sloppy, deadline_ms, wants_feedback,
                until_ms, early, number,
            )


class CountsItselfTwice(Swapped):
    """This node's own copy counts as two of W."""

    class coordinator_class(Coordinator):
        def _answer_here(self, rounds: list[WriteRound]) -> None:
            super()._answer_here(rounds)
            super()._answer_here(rounds)


class AnswersBeforeDurable(Node):
    """`always` is treated as `everysec`."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self._waits_for_disk = False


class AcknowledgesWhatItDropped(Node):
    """Every twentieth frame is acknowledged and thrown away."""

    frames = 0

    def frame(self, peer: str, items: list[bytes]) -> None:
        self.frames += 1
        link = self.link_to(peer)
        epoch, number = read_header(items)[2:4]
        if self.frames % 20 == 0 and epoch == link.peer_epoch and number == link.peer_number + 1:
            link.peer_number = link.durable_number = number
            link.speak_by_ms = 0
            return
        super().frame(peer, items)


class ReadsItselfOnly(Swapped):
    """A read-modify-write looks at this node's copy alone: DEL, GETDEL, SETNX."""

    class coordinator_class(Coordinator):
        def read(
            self, plan: Plan, reader: Reader, locator: bytes, record: bytes, r: int,
            is_sloppy: bool, deadline_ms: int,
        ) -> None:
            if isinstance(reader, Updating):
                reader.agree()
            else:
                super().read(plan, reader, locator, record, r, is_sloppy, deadline_ms)


class IgnoresDeadlines(Swapped):
    """A request waits for its quorum for ever."""

    class coordinator_class(Coordinator):
        def expire(self, now_ms: int) -> None:
            self.now_ms = now_ms


# ---- repair ----


def winner_only(record: bytes) -> bytes:
    """A record without all values but the one with the highest clock."""
    state = decode(record)
    dotted = state.entries.get(VALUE, {})
    if len(dotted) < 2:
        return record
    first = max(dotted, key=lambda dot: (dotted[dot][:8], dot))
    return encode(DottedMap({VALUE: {first: dotted[first]}}, state.context))


class RepairsWithTheWinner(Swapped):
    """Read repair writes the winner back, not the join."""

    class coordinator_class(Coordinator):
        def _reconcile(self, op: ReadOp, asked: list[str]) -> None:
            if op.joined:
                op.joined = winner_only(op.joined)
            super()._reconcile(op, asked)


class RepairsNobody(Swapped):
    """Stale replicas stay stale."""

    class coordinator_class(Coordinator):
        def _reconcile(self, op: ReadOp, asked: list[str]) -> None:
            if op.joined:
                self._replica.join(op.locator, op.joined)


def valued(record: bytes) -> bytes:
    """A digest of the values alone."""
    if not record or not record[1] & LIVE:
        return b""
    entries = decode(record).entries
    return digest(encode(DottedMap(entries, of_dots(entries))))


class ComparesValuesOnly(Swapped):
    """Digests leave the context out, so a deletion equals an absence."""

    class coordinator_class(Coordinator):
        def read(
            self, plan: Plan, reader: Reader, locator: bytes, record: bytes, r: int,
            is_sloppy: bool, deadline_ms: int,
        ) -> None:
            super().read(plan, reader, locator, record, r, is_sloppy, deadline_ms)
            right, wrong = pair(locator, digest(record)), pair(locator, valued(record))
            for link in plan.replicas.readers:
                link.verifies = [wrong if one == right else one for one in link.verifies]

    def frame(self, peer: str, items: list[bytes]) -> None:
        verifies = read_header(items)[10]
        items = list(items)
        for at in range(1, 1 + 2 * verifies, 2):
            record = self.replica.get(items[at])
            if items[at + 1] == valued(record):
                items[at + 1] = digest(record)
        super().frame(peer, items)


# ---- lives ----


class ForgetsOnRestart(Node):
    """Every second record on the disk is not taken back."""

    def restore(self, pairs: list[bytes]) -> None:
        kept: list[bytes] = []
        for at in range(0, len(pairs), 2):
            if pairs[at].startswith(META) or at % 4 == 0:
                kept += pairs[at : at + 2]
        super().restore(kept)


class MintsTwice(Node):
    """A restart goes on from the highest counter that it finds, not from the end of its lease."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        identity = self.identity
        records = [record for table in self.replica.slots for record in table.values()]
        tops = [context_of(record).top(identity.actor) for record in records]
        identity.counter = identity.floor = max(tops, default=0)

    def _lost_memory(self) -> None:
        pass


class SameActor(Identity):
    """An identity whose actor is made of the node id."""

    def begin_life(self, rng: Random) -> None:
        super().begin_life(rng)
        self.actor = intern_actor(bytes.fromhex(self.node_id)[:16])


class KeepsItsNameWithoutItsMemory(Node):
    """A node that lost its disk goes on as the same actor."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.identity = SameActor(settings.lease_block)


# ---- messages and clients ----


class RunsForwardsTwice(Node):
    """A forwarded command is coordinated twice."""

    def frame(self, peer: str, items: list[bytes]) -> None:
        link = self.link_to(peer)
        dropped = self.counters.frames_dropped
        super().frame(peer, items)
        fields = read_header(items)
        verifies, feedbacks, stores, differs, forwards = fields[10:15]
        at = 1 + 2 * (verifies + feedbacks + stores + differs)
        if dropped == self.counters.frames_dropped:
            for _ in range(forwards):
                at = self.dispatcher.forwarded(link, items, at, fields[9])


class AnswersWhatItForwards(Node):
    """Who forwarded a SET answers it by itself, before it holds the record."""

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        forwarding = self.dispatcher.forwarding
        for number, call in list(forwarding._calls.items()):
            if call.argv[0] == b"SET" and len(call.argv) == 3 and not call.hops:
                forwarding.answered(self.link_to(call.peer), number, OK)


class TakesRepeatedFrames(Node):
    """A frame that comes twice takes effect twice."""

    def frame(self, peer: str, items: list[bytes]) -> None:
        link = self.link_to(peer)
        epoch, number = read_header(items)[2:4]
        if epoch == link.peer_epoch and number and number == link.peer_number:
            link.peer_number -= 1
        super().frame(peer, items)


class AnswersOutOfOrder(Node):
    """Replies that leave in one turn leave backwards."""

    def drain(self) -> Drained:
        drained = super().drain()
        for session in drained.sessions:
            session.out.reverse()
        return drained


class NeverExpires(Node):
    """The clock by which values expire stands still."""

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        self.dispatcher.wall_ms = 1_600_000_000_000


class GoesByItsClock(Node):
    """A wall clock that has jumped is believed."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        self.standing.clock._limit_ms = 1 << 40


class CoordinatesWithAnyClock(Node):
    """A node whose clock is off from all others takes part as if it were not."""

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        self.wall_ms = self.dispatcher.wall_ms = wall_ms
        self.dispatcher.sends_away = False


# ---- forgetting ----


class Collecting(Node):
    """A node with another way to collect tombstones."""

    collection_class = Collection

    def _assemble(self, here: Member) -> None:
        super()._assemble(here)
        self.collection = self.collection_class(self)


class CollectsWithoutTheAbsent(Collecting):
    """Owners that cannot be reached are not asked."""

    class collection_class(Collection):
        def _others(self, partition: int) -> list[str] | None:
            node = self._node
            plan = self._plan(partition)
            if plan is None or not plan.is_owner:
                return None
            return [owner for owner in plan.owners if (
                owner in node.links and node.links[owner].is_up
            )]


class CollectsWithoutTheirWord(Collecting):
    """What owners say about a tombstone is not listened to."""

    class collection_class(Collection):
        def _agreed(self, question: Promise, told: list[Promised | None]) -> list[Name]:
            return question.names

        def _has_settled(self, locator: bytes) -> bool:
            return True


class KeepsWhatOthersForgot(Collecting):
    """An older copy of a disk is kept although tombstones were collected since."""

    class collection_class(Collection):
        def _give_up(self, partition: int, number: int) -> None:
            self._promise(partition, number)


@dataclass(frozen=True)
class Bug:
    """A deliberate bug, and within how many seeds it must be found.

    `changes` to the plan make rare circumstances common, so that the test is short.
    """

    node: type[Node]
    within: int
    changes: dict[str, Any] = field(default_factory=dict)


LOSING = {
    "durability": "no", "engine": "rocksdb", "faults": ("power", "cut"), "flushes": False,
}
EXPIRING = {
    "keys": (("key:0", "session"), ("key:1", "session")), "nodes": 3, "n": 3, "r": 1, "w": 2,
    "faults": ("power",), "fault_every_ms": 300, "heartbeat_ms": 100, "failure_timeout_ms": 200,
}
DELETING = {"keys": (("key:0", "delete"), ("key:1", "delete")), "faults": ("cut", "isolate")}
JUMPING = {
    "keys": (("key:0", "expiry"), ("key:1", "volatile")), "faults": ("jump",), "nodes": 3, "n": 3,
    "r": 2, "w": 2, "fault_every_ms": 700,
}
# Without exchange, which mends in time what these bugs leave behind.
ALONE = {"exchange_ms": 0}
# Tombstones are collected within the run: keys rest for long, and so do nodes that are away.
FORGETTING = {
    "grace_ms": 2_500, "heartbeat_ms": 100, "failure_timeout_ms": 1_000, "harm_ms": 15_000,
    "keys": tuple((f"key:{index}", "delete") for index in range(30)), "engine": "rocksdb",
    "operations": 400, "pipeline": 1, "nodes": 3, "n": 3, "r": 2, "w": 2,
}

MUTANTS = (
    Bug(ClaimsEverything, 100),
    Bug(ClaimsBelowItsFloor, 100, LOSING | EXPIRING | ALONE),
    Bug(CoversWhatItHasNotSeen, 100),
    Bug(CoversNothing, 100),
    Bug(CoversSiblingsUnread, 100),
    Bug(HearsNoConflicts, 100),
    Bug(DropsTombstones, 100, DELETING),
    Bug(AnswersBeforeW, 100),
    Bug(CountsItselfTwice, 100),
    Bug(AnswersBeforeDurable, 100, LOSING | {"durability": "always", "fault_every_ms": 300}),
    Bug(AcknowledgesWhatItDropped, 100),
    Bug(ReadsItselfOnly, 100, DELETING),
    Bug(IgnoresDeadlines, 100),
    Bug(RepairsWithTheWinner, 100),
    Bug(RepairsNobody, 100, ALONE),
    Bug(ComparesValuesOnly, 100, DELETING | ALONE),
    Bug(ForgetsOnRestart, 100),
    Bug(MintsTwice, 100, LOSING),
    Bug(KeepsItsNameWithoutItsMemory, 100),
    Bug(RunsForwardsTwice, 100),
    Bug(AnswersWhatItForwards, 100),
    Bug(TakesRepeatedFrames, 100),
    Bug(AnswersOutOfOrder, 100),
    Bug(NeverExpires, 100),
    Bug(GoesByItsClock, 100, JUMPING),
    Bug(CoordinatesWithAnyClock, 100, JUMPING),


    Bug(CollectsWithoutTheAbsent, 100, FORGETTING | {"faults": ("pause", "kill", "isolate")}),
    Bug(CollectsWithoutTheirWord, 100, FORGETTING | {"faults": ("cut", "kill"), "exchange_ms": 0}),
    Bug(KeepsWhatOthersForgot, 100, FORGETTING | {
        "faults": ("restore",), "fault_every_ms": 2_000,
    }),
)
