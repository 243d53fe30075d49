"""Deliberate bugs: nodes that each break one rule, to prove that the simulator can fail.

Each is a subclass of `Node`, given to the world in the real one's place. `MUTANTS`, at the end,
says under which plan and within how many seeds the simulator must notice each of them.

Source: SEMANTICS 1 to 5; riak_kv issue 679 and its kin for most of the ideas.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from respdyn.causal.codec import LIVE, VALUE, context_of, decode, digest, encode
from respdyn.causal.context import Context
from respdyn.causal.dot import Actor, Dot, Stamp
from respdyn.causal.dotted_map import DottedMap
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.identity import META, Identity
from respdyn.cluster.messages import pair, read_header
from respdyn.cluster.now import Now
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Reader, ReadOp, Waiter, WriteRound
from respdyn.cluster.this_node import ThisNode
from respdyn.config import Settings
from respdyn.coordination.calls import Updating
from respdyn.node import Node
from respdyn.ports import Random, Trace
from respdyn.resp.replies import OK
from respdyn.ring.ring import Member
from respdyn.sessions.turn_output import TurnOutput
from tests.sim.bugs import EXCHANGING, SMALL, Bug, keys


class Swapped(Node):
    """A node with another coordinator."""

    coordinator_class = Coordinator

    def make_coordinator(self) -> Coordinator:
        return self.coordinator_class(
            self.replica, self.hints, self.counters, self.settings.speculative_ms,
            self.this.stamp, self.this.plan_for, self.link_to, self.cleared_gossip.send_cleared,
            self.keepers, self.this.now,
        )


class Shipping(Coordinator):
    """A coordinator that changes what it ships."""

    def changed(self, locator: bytes, delta: bytes, is_plain: bool) -> bytes:
        """The delta to ship, and to join here, instead of the right one."""
        return delta

    def write(
        self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
        w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
        early: str = "", number: int = 0,
    ) -> None:
        delta = self.changed(locator, delta, reports_siblings)
        self._replica.join(locator, delta)
        super().write(
            plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, reports_siblings,
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

    class facts_class(ThisNode):
        __slots__ = ()

        def stamp(self, partition: int) -> Stamp:
            actor, counter, _, clock = super().stamp(partition)
            return actor, counter, 0, clock

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.this.__class__ = self.facts_class


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
            w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            if reports_siblings:
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


class ReceivesNoConflicts(Swapped):
    """A SET does not ask whether replicas held siblings."""

    class coordinator_class(Coordinator):
        def write(
            self, plan: Plan, waiter: Waiter, reply: bytes, locator: bytes, delta: bytes,
            w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
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
            w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            super().write(
                plan, waiter, reply, locator, delta, w, is_sloppy, deadline_ms, reports_siblings,
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
            w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
            early: str = "", number: int = 0,
        ) -> None:
            super().write(
                plan, waiter, reply, locator, delta, 1, is_sloppy, deadline_ms, reports_siblings,
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
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            self.updating: list[Updating] = []

        def read(
            self, plan: Plan, reader: Reader, locator: bytes, record: bytes, r: int,
            is_sloppy: bool, deadline_ms: int,
        ) -> None:
            if isinstance(reader, Updating):
                self.updating.append(reader)
            else:
                super().read(plan, reader, locator, record, r, is_sloppy, deadline_ms)

        def seal(self) -> None:
            while self.updating:
                self.updating.pop(0).agree()
            super().seal()


class IgnoresDeadlines(Swapped):
    """A request waits for its quorum for ever."""

    class coordinator_class(Coordinator):
        def expire(self) -> None:
            pass


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


class RepairsNoReplica(Swapped):
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
        verifies = read_header(items)[11]
        items = list(items)
        for at in range(1, 1 + 2 * verifies, 2):
            record = self.replica.get(items[at])
            if items[at + 1] == valued(record):
                items[at + 1] = digest(record)
        super().frame(peer, items)


class KeepsFlushesToItself(Swapped):
    """Who has flushed what a reader asks about says that it has nothing, and not why."""

    class coordinator_class(Coordinator):
        def __init__(self, *parts: Any) -> None:
            super().__init__(*parts)
            self.send_cleared = lambda link, locator: None


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

    def lost_memory(self) -> None:
        pass


class SameActor(Identity):
    """An identity whose actor is made of the node id."""

    def _take_name(self, secret: bytes) -> None:
        super()._take_name(bytes.fromhex(self.node_id)[:16])


class KeepsItsNameWithoutItsMemory(Node):
    """A node that lost its disk goes on as the same actor."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        super().__init__(settings, random, trace)
        self.identity = self.this.identity = SameActor(settings.lease_block)
        self.this.ends._identity = self.identity

    def lost_memory(self) -> None:
        """Whatever the others remember."""


# ---- messages and clients ----


class RunsForwardsTwice(Node):
    """A forwarded command is coordinated twice."""

    def frame(self, peer: str, items: list[bytes]) -> None:
        link = self.link_to(peer)
        dropped = self.counters.frames_dropped
        super().frame(peer, items)
        fields = read_header(items)
        verifies, feedbacks, stores, differs, forwards = fields[11:16]
        at = 1 + 2 * (verifies + feedbacks + stores + differs)
        if dropped == self.counters.frames_dropped:
            for _ in range(forwards):
                at = self.inbound.run(link, items, at, fields[9])


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

    def drain(self) -> TurnOutput:
        drained = super().drain()
        for session in drained.sessions:
            session.out.reverse()
        return drained


class NeverExpires(Node):
    """The clock by which values expire stands still."""

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        still = Now()
        still.now_ms, still.wall_ms = now_ms, 1_600_000_000_000
        self.dispatcher._now = self.groups.now = self.sessions.fast_path._now = still


class GoesByItsClock(Node):
    """A wall clock that has jumped is believed."""

    def start(self, now_ms: int, wall_ms: int) -> None:
        super().start(now_ms, wall_ms)
        self.readiness.clock._limit_ms = 1 << 40


class CoordinatesWithAnyClock(Node):
    """A node whose clock is off from all others takes part as if it were not."""

    def advance(self, now_ms: int, wall_ms: int) -> None:
        super().advance(now_ms, wall_ms)
        self.this.now.wall_ms = wall_ms
        self.this.clock_is_doubted = False


CONTEXTS = SMALL | {"keys": keys(2, "context")}
KILLS = SMALL | {"faults": ("kill",)}
CUTS = SMALL | {"faults": ("cut", "isolate")}
# What is acknowledged too early is still on its way when its sender dies.
FAR = SMALL | {"faults": ("kill", "isolate"), "delay_us": 20_000, "jitter_us": 20_000}
# A node that was away misses the last that was done to a key.
RESTING = KILLS | {"keys": keys(60, "delete"), "operations": 200}
DELETING = KILLS | {
    "keys": keys(30, "delete"), "fault_every_ms": 200, "operations": 800,
    "failure_timeout_ms": 300,
}
LOSING = SMALL | {"durability": "no", "faults": ("power", "cut")}
# An EXPIRE after a restart, at a node that has forgotten the SET before it.
EXPIRING = {
    "keys": keys(2, "session"), "nodes": 3, "n": 3, "r": 1, "w": 2, "durability": "no",
    "engine": "rocksdb", "faults": ("power",), "fault_every_ms": 300, "heartbeat_ms": 100,
    "failure_timeout_ms": 200, "exchange_ms": 0, "flushes": False,
}
JUMPING = SMALL | {"keys": keys(2, "expiry", "volatile"), "faults": ("jump",), "harm_ms": 3_000}

MUTANTS = (
    Bug(ClaimsEverything, CONTEXTS),
    Bug(ClaimsBelowItsFloor, EXPIRING, first=170, within=80),
    Bug(CoversWhatItHasNotSeen, CONTEXTS),
    Bug(CoversNothing, SMALL),
    Bug(CoversSiblingsUnread, CONTEXTS),
    Bug(ReceivesNoConflicts, CUTS | {"skew_ms": 200}),
    Bug(DropsTombstones, DELETING, first=2),
    Bug(AnswersBeforeW, FAR),
    Bug(CountsItselfTwice, FAR),
    Bug(AnswersBeforeDurable, SMALL | {"faults": ("power",), "sync_us": 8_000}),
    Bug(AcknowledgesWhatItDropped, SMALL | {"r": 1, "w": 3}),
    Bug(ReadsItselfOnly, DELETING | {
        "faults": ("isolate", "reset"), "keys": keys(8, "delete"),
    }, first=17),
    Bug(IgnoresDeadlines, CUTS | {
        "request_timeout_ms": 300, "failure_timeout_ms": 1_500, "heartbeat_ms": 500,
    }),
    Bug(RepairsWithTheWinner, CUTS | {"keys": keys(2, "context")}),
    Bug(RepairsNoReplica, RESTING | {"r": 1}),
    Bug(ComparesValuesOnly, RESTING),
    Bug(KeepsFlushesToItself, CUTS | {
        "flushes": True, "keys": keys(8, "delete"), "failure_timeout_ms": 400,
    }, first=6),
    Bug(ForgetsOnRestart, KILLS),
    Bug(MintsTwice, LOSING),
    Bug(KeepsItsNameWithoutItsMemory, SMALL | EXCHANGING | {"faults": ("wipe",)}),
    Bug(RunsForwardsTwice, CONTEXTS),
    Bug(AnswersWhatItForwards, FAR),
    Bug(TakesRepeatedFrames, CONTEXTS | {"faults": ("repeat",)}),
    Bug(AnswersOutOfOrder, SMALL | {"pipeline": 8}),
    Bug(NeverExpires, SMALL | {"keys": keys(2, "volatile")}),
    Bug(GoesByItsClock, JUMPING),
    Bug(CoordinatesWithAnyClock, JUMPING),
)
