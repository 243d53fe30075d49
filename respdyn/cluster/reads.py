"""Reads for keys that this node owns: R answers, one reply, and the repair of who was behind.

A read is answered from the copy here once R-1 others have confirmed its digest; a replica that
holds something else sends it, the join of all is the answer, and those that were behind get the
join back (read repair). Where an answer is late the read goes to one more replica.

*Sloppy quorum*: a read goes to stand-ins for what they keep only where owners do not suffice; one
that keeps nothing completes the quorum, for this node itself speaks for the owners. Nodes that keep
hints for the owners of the read are included besides (see `keepers`).

Source: Dynamo 4.5 and 5; SEMANTICS 2 and 3.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.causal.codec import digest
from respdyn.causal.parts import is_big
from respdyn.cluster.keepers import NO_KEEPERS, Keepers
from respdyn.cluster.latencies import Latencies
from respdyn.cluster.link import Link
from respdyn.cluster.messages import PROBE, pair
from respdyn.cluster.now import Now
from respdyn.cluster.plan import Plan, ReplicaSet
from respdyn.cluster.quorum import Reader, ReadOp, ReadRound
from respdyn.cluster.replica import Replica
from respdyn.cluster.statistics import Counters
from respdyn.cluster.timeouts import NEVER, Deadlines
from respdyn.ring.hashing import Locator
from respdyn.types import values

NOT_MATCHED: Final = (
    "TIMEOUT the copies of this big key differ, and could not be made equal in time"
)
# Makes the copies of some peers and ours equal, then says whether it could.
Match = Callable[[list[str], Locator, Callable[[bool], None]], None]


def _ignore(is_same: bool) -> None:
    """No caller waits."""


def _no_match(peers: list[str], locator: Locator, done: Callable[[bool], None]) -> None:
    """Until the node has tasks there are no copies to compare."""
    done(False)


class MatchedRead:
    """A read that waits until copies are equal, for as long as its round might have taken."""

    __slots__ = ("deadline_ms", "is_done", "reader")

    def __init__(self, reader: Reader, deadline_ms: int) -> None:
        self.reader = reader
        self.deadline_ms = deadline_ms
        self.is_done = False


class Reads:
    """The reads that this node drives; `Coordinator` gets their answers."""

    def __init__(
        self, replica: Replica, counters: Counters, speculative_ms: int,
        link_to: Callable[[str], Link], send_cleared: Callable[[Link, Locator], None],
        keepers: Keepers, now: Now, plan_for: Callable[[Locator], Plan],
    ) -> None:
        self._now = now
        self.plan_for = plan_for
        self.keepers = keepers
        self.message_max_age_ms = NEVER
        self.match: Match = _no_match
        self.can_store = True           # False while this node's disk fails
        self.latencies = Latencies(lambda took_ms, requests: None)
        self._replica = replica
        self.counters = counters
        self.speculative_ms = speculative_ms
        self._link_to, self.send_cleared = link_to, send_cleared
        self._touched: list[ReplicaSet] = []             # with open rounds
        self._reads: Deadlines[ReadRound] = Deadlines()
        self._matched: Deadlines[MatchedRead] = Deadlines()
        self._retries: deque[ReadRound] = deque()

    def read(
        self, plan: Plan, reader: Reader, locator: Locator, record: bytes, r: int, is_sloppy: bool,
        deadline_ms: int,
    ) -> None:
        """Ask R-1 others whether they hold `record` too; `reader` gets the outcome."""
        replicas = plan.replicas if is_sloppy else plan.strict
        keepers = self.keepers.of(plan.partition) if self.keepers.by_partition else NO_KEEPERS
        read_round = self._round_for(replicas, r - 1, deadline_ms, keepers, is_sloppy)
        self.counters.reads_coordinated += 1
        self._ask(read_round, ReadOp(reader, locator, record, self._now.now_ms))

    def _round_for(
        self, replicas: ReplicaSet, need: int, deadline_ms: int, keepers: tuple[str, ...],
        is_sloppy: bool,
    ) -> ReadRound:
        """This turn's round for such reads; one that is over already takes no more."""
        for read_round in replicas.open_reads:
            if (
                not read_round.is_done
                and read_round.deadline_ms == deadline_ms and read_round.need == need
                and read_round.keepers is keepers and read_round.is_sloppy == is_sloppy
            ):
                return read_round
        return self._open_read(replicas, need, deadline_ms, keepers, is_sloppy)

    def _ask(self, read_round: ReadRound, op: ReadOp) -> None:
        """Ask the round's replicas about one key."""
        place = (read_round, len(read_round.ops))
        read_round.ops.append(op)
        entry = pair(op.locator, digest(op.record))
        for peer in read_round.requested:
            link = self._link_to(peer)
            link.verifies.append(entry)
            link.reads.append(place)
        if read_round.probed or read_round.keepers:
            self.counters.sloppy_reads += 1
            for peer in (*read_round.probed, *read_round.keepers):
                self._probe(self._link_to(peer), read_round, len(read_round.ops) - 1)

    def _probe(self, link: Link, read_round: ReadRound, index: int) -> None:
        """Ask one that stands in, or keeps hints, whether it has something else."""
        op = read_round.ops[index]
        link.verifies.append(pair(PROBE + op.locator, digest(op.record)))
        link.reads.append((read_round, index))

    def _open_read(
        self, replicas: ReplicaSet, need: int, deadline_ms: int, keepers: tuple[str, ...],
        is_sloppy: bool,
    ) -> ReadRound:
        now_ms = self._now.now_ms
        read_round = ReadRound(need, deadline_ms, now_ms + self.speculative_ms, now_ms)
        read_round.is_sloppy = is_sloppy
        replicas.turns += 1
        count = len(replicas.readers)
        order = [replicas.readers[(replicas.turns + i) % count].peer for i in range(count)]
        order.sort(key=lambda peer: bool(self._link_to(peer).deprioritized))
        read_round.requested = order[:need]
        read_round.spare = order[need:]
        if replicas.probed:
            missing = need - len(read_round.requested)
            read_round.probed = list(replicas.probed[:missing])
            read_round.spare_probes = list(replicas.probed[missing:])
        read_round.open_answers = need
        read_round.keepers = keepers
        read_round.besides = list(keepers)
        for peer in (*read_round.requested, *read_round.probed, *keepers):
            self._link_to(peer).read_rounds.append(read_round)
        replicas.open_reads.insert(0, read_round)
        self._touched.append(replicas)
        self._reads.add(read_round, deadline_ms - now_ms)
        if read_round.spare or read_round.spare_probes:
            self._retries.append(read_round)
        return read_round

    def _ask_spare(self, read_round: ReadRound) -> bool:
        """Ask one more replica for every key of the round; False when there is none."""
        while read_round.spare or read_round.spare_probes:
            is_owner = bool(read_round.spare)
            link = self._link_to((read_round.spare or read_round.spare_probes).pop(0))
            if not link.is_up:
                continue
            read_round.open_answers += 1
            link.read_rounds.append(read_round)
            if is_owner:
                read_round.requested.append(link.peer)
                for index, op in enumerate(read_round.ops):
                    link.verifies.append(pair(op.locator, digest(op.record)))
                    link.reads.append((read_round, index))
            else:
                read_round.probed.append(link.peer)
                for index in range(len(read_round.ops)):
                    self._probe(link, read_round, index)
            self.counters.speculative_reads += 1
            return True
        return False

    def _read_on(self, read_round: ReadRound) -> None:
        """Too few owners are left: ask those that stand in by now, or end the readers with an
        error.

        What was answered counts no more, but what differed is known.
        """
        read_round.is_done = True
        for op in read_round.ops:
            plan = self.plan_for(op.locator)
            replicas = plan.replicas if read_round.is_sloppy else plan.strict
            if not plan.is_owner or replicas.answers <= read_round.need:
                self.counters.quorum_failures += 1
                read_round.fail_one(op)
                continue
            keepers = self.keepers.of(plan.partition) if self.keepers.by_partition else NO_KEEPERS
            again = self._round_for(
                replicas, read_round.need, read_round.deadline_ms, keepers, read_round.is_sloppy
            )
            self._ask(again, op)

    def _finish_read(self, read_round: ReadRound) -> None:
        self.latencies.read(self._now.now_ms - read_round.began_ms, len(read_round.ops))
        for op in read_round.ops:
            if op.answers is None:
                op.reader.agree()
            elif op.big:
                self._match(op, read_round.deadline_ms)
            else:
                self._reconcile(op, read_round.requested)
                op.reader.differ(op.joined)

    def _match(self, op: ReadOp, deadline_ms: int) -> None:
        """Make big copies equal in pieces, those of all who hold another, then answer from ours.

        It goes on when the reader's time is over: the next one may find them equal.
        """
        self.counters.big_reads_matched += 1
        matched = MatchedRead(op.reader, deadline_ms)
        self._matched.add(matched, deadline_ms - self._now.now_ms)

        def ended(is_same: bool) -> None:
            if matched.is_done:
                return
            matched.is_done = True
            if is_same:
                op.reader.differ(self._replica.get(op.locator))
            else:
                op.reader.fail(NOT_MATCHED)

        self.match(op.big, op.locator, ended)

    def _expire_matched(self) -> None:
        """Copies that could not be made equal in time."""
        for matched in self._matched.expired(self._now.now_ms):
            matched.is_done = True
            self.counters.timeouts += 1
            matched.reader.fail(NOT_MATCHED)

    def _reconcile(self, op: ReadOp, requested: list[str]) -> None:
        """Join here what the others held, and send the join to those that were behind.

        A node whose disk fails keeps nothing: it would not know an end.
        """
        assert op.answers is not None
        if op.joined:
            # A replica that differed has sent, before that, what was cleared.
            op.joined = self._replica.uncleared(op.locator, op.joined)
        if 0 < values.ends_ms(op.joined) < self._now.wall_ms:
            return      # each replica drops it, and some have
        if self._now.now_ms - op.began_ms > self.message_max_age_ms:
            return      # it may be deleted since, and the deletion forgotten
        joined = op.joined
        if joined and self.can_store:
            joined = self._replica.receive(op.locator, joined)
        held = dict(op.answers)
        for peer in requested:
            link = self._link_to(peer)
            is_same = self._replica.are_same(held.get(peer, op.record), op.joined)
            if is_same or not link.is_up or not link.can_store:
                continue
            self.counters.read_repairs += 1
            if op.joined:
                if is_big(joined):      # it holds little of it, or nothing
                    self.match([peer], op.locator, _ignore)
                else:
                    link.stores.append(pair(op.locator, joined))
            else:
                self.send_cleared(link, op.locator)
