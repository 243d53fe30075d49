"""The coordinator: drives requests for keys that this node owns: N copies, W or R answers.

A write is joined here first, then shipped as a delta to every other owner that can be reached; the
reply leaves when W distinct nodes have it as durably as the policy promises. Reads begin in
`reads`; the answers to both, and their deadlines, come here.

*Conflict feedback*: a replica that already held a sibling of a plain SET says so in its
acknowledgement; then one covering write goes out before the reply. With 2W > N, an acknowledged SET
so beats every SET acknowledged earlier, whatever the clocks say.

*Sloppy quorum*: a node that stands in for a missing owner is sent the write as a hint and counts
like an owner. Where no owner can be reached this node may itself stand in: then what it keeps is a
hint as well.

What an owner does not answer, because it is cut off or down, is sent on to stand-ins, and a read
goes to them once the owner is down (see `sent_on`).

*Early answers*: a node that forwarded a plain SET and is itself one of the replicas learns which
record is that of its command. Once it holds it without a sibling beside, two nodes do, it and this
one, and with W of 2 it answers its client itself: no acknowledgement and no answer need travel, and
theirs may wait for company. A conflict is covered only if that very node reports it too, because
then it has not answered; so the round ends with that node's word, however many others have the
record. For what it does not answer by itself it gets the answer. Not where the answer waits for a
disk.

Everything is counted in rounds (see `quorum`), which belong to a turn; an operation is a tuple.

Source: Dynamo 4.5 and 5; SEMANTICS 2 and 3.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.causal import big
from respdyn.causal.codec import BIG, ELEMENTS, LARGE, PLAIN, context_of, join_records
from respdyn.causal.dot import Stamp
from respdyn.causal.parts import is_big
from respdyn.cluster.hint import WHOLE_BYTES, bare, is_remark
from respdyn.cluster.hints import Hints
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.link import Link, find_flight, overdue
from respdyn.cluster.messages import (
    HINT_PART,
    HINT_WHOLE,
    IN_FEEDBACK,
    POSITION,
    pair,
    pair_head,
)
from respdyn.cluster.now import Now
from respdyn.cluster.plan import Plan, ReplicaSet, silent
from respdyn.cluster.quorum import ReadRound, Waiter, WriteOp, WriteRound
from respdyn.cluster.reads import Reads
from respdyn.cluster.replica import Replica
from respdyn.cluster.sent_on import SentOn
from respdyn.cluster.statistics import Counters
from respdyn.cluster.timeouts import NEVER, Deadlines
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator
from respdyn.types import values

_NOT_COVERED: Final = (
    "TIMEOUT other values were met, and this node could not write over them: the outcome is unknown"
)


class Coordinator(Reads):
    """The requests that this node drives."""

    def __init__(
        self, replica: Replica, hints: Hints, counters: Counters, speculative_ms: int,
        stamp: Callable[[int], Stamp], plan_for: Callable[[Locator], Plan],
        link_to: Callable[[str], Link], send_cleared: Callable[[Link, Locator], None],
        keepers: Keepers, now: Now,
    ) -> None:
        super().__init__(
            replica, counters, speculative_ms, link_to, send_cleared, keepers, now, plan_for
        )
        self.waits_for_disk = False
        self._hints = hints
        self._stamp = stamp
        self.sent_on = SentOn(counters, plan_for, link_to, self._kept, self._have_kept, now)
        self._opened: list[WriteRound] = []              # this turn's, for this node's own answer
        self._undurable: deque[tuple[int, list[WriteRound]]] = deque()
        self._writes: Deadlines[WriteRound] = Deadlines()

    # ---- writing ----

    def write(
        self, plan: Plan, waiter: Waiter, reply: bytes, locator: Locator, delta: bytes,
        w: int, is_sloppy: bool, deadline_ms: int, reports_siblings: bool, until_ms: int = 0,
        early: str = "", number: int = 0,
    ) -> None:
        """Ship a delta that was joined here; `waiter` gets `reply` when W nodes have it.

        `w` is the caller's; the plan says how many answers that takes.

        `until_ms`, of a command that was forwarded: its sender may run it elsewhere after that, so
        nothing more may be written for it. `early`: the sender, one of the replicas, if it may
        answer the command of this number as soon as it holds the record.
        """
        replicas = plan.replicas if is_sloppy else plan.strict
        needed = plan.writes_needed(w)
        for write_round in replicas.open_writes:
            if (
                not write_round.is_done
                and write_round.deadline_ms == deadline_ms and write_round.w == needed
                and write_round.is_sloppy == is_sloppy and write_round.early == early
            ):
                break
        else:
            write_round = self._open_write(replicas, needed, is_sloppy, deadline_ms, early)
        if early:
            assert reports_siblings, "who answers early must report siblings"
            write_round.numbers.append(number)
        op = (waiter, reply, locator, delta, until_ms or deadline_ms)
        self._ship(replicas, write_round, op, reports_siblings)
        if replicas.is_short:
            self._ship_hints(plan, replicas, write_round, op, reports_siblings)

    def _open_write(
        self, replicas: ReplicaSet, w: int, is_sloppy: bool, deadline_ms: int, early: str
    ) -> WriteRound:
        now_ms = self._now.now_ms
        write_round = WriteRound(w, is_sloppy, replicas.copies, deadline_ms, now_ms, early)
        for link in replicas.shipped:
            link.write_rounds.append(write_round)
        write_round.sent_to = replicas.sent_to
        self._opened.append(write_round)
        replicas.open_writes.insert(0, write_round)
        self._touched.append(replicas)
        self._writes.add(write_round, deadline_ms - now_ms)
        return write_round

    def _ship(
        self, replicas: ReplicaSet, write_round: WriteRound, op: WriteOp, reports_siblings: bool
    ) -> None:
        self.counters.writes_coordinated += 1
        if len(op[3]) < LARGE:
            entry = pair(op[2], op[3])
        else:
            entry = pair_head(op[2], op[3])
            for link in (*replicas.writers, *replicas.besides):
                link.bodies[id(entry)] = entry, op[3]
        if reports_siblings:
            place = (write_round, len(write_round.ops))
            for link in replicas.writers:
                link.feedbacks.append(entry)
                link.writes.append(place)
        else:
            write_round.quiet.append(len(write_round.ops))
            for link in replicas.writers:
                link.stores.append(entry)
        for link in replicas.besides:
            link.stores.append(entry)
        write_round.ops.append(op)

    def _ship_hints(
        self, plan: Plan, replicas: ReplicaSet, write_round: WriteRound, op: WriteOp,
        reports_siblings: bool,
    ) -> None:
        """Send the write of `_ship` to those who stand in, each for another owner."""
        self.counters.copies_unkept += replicas.unkept
        if not replicas.stand_ins:
            return
        self.counters.sloppy_writes += 1
        place = (write_round, len(write_round.ops) - 1) if reports_siblings else None
        kind, content = self._kept(plan, op)
        for link, owner in replicas.stand_ins:
            entry = pair(b"%b%b%b" % (kind, owner, op[2]), content)
            self._have_kept(link, owner, plan, entry, place)

    def _kept(self, plan: Plan, op: WriteOp) -> tuple[bytes, bytes]:
        """What is to be kept of a write for an owner that does not get it, and of which kind."""
        locator, content = op[2], op[3]
        if plan.is_owner:
            state, is_whole = self._replica.get(locator), True
        else:
            state, is_whole = self._hints.find(locator)
        if state and not state[1] & BIG and (len(state) <= WHOLE_BYTES or is_remark(content)):
            content = state
        return HINT_WHOLE if is_whole and content == state else HINT_PART, content

    def _have_kept(
        self, link: Link, owner: bytes, plan: Plan, entry: bytes,
        place: tuple[WriteRound, int] | None,
    ) -> None:
        """Send a hint. `place`: of the write in its round, if siblings beside it are reported."""
        self.keepers.gave(link.peer, owner, plan.partition)
        if place is not None:
            link.feedbacks.append(entry)
            link.writes.append(place)
        else:
            link.stores.append(entry)

    def _finish_write(self, write_round: WriteRound) -> None:
        conflicts = write_round.conflicts
        ops = write_round.ops
        write_round.ops = []
        if write_round.early:       # it has answered all but those that it has reported
            for index in write_round.reported:
                assert conflicts is not None
                self._cover(ops[index], conflicts[index], write_round)
            return
        self.latencies.wrote(self._now.now_ms - write_round.began_ms, len(ops))
        for index, op in enumerate(ops):
            if conflicts is not None and index in conflicts:
                self._cover(op, conflicts[index], write_round)
            else:
                op[0].fill(op[1])

    def _cover(self, op: WriteOp, held: bytes, write_round: WriteRound) -> None:
        """Write once more, over the siblings that a replica held, before the client gets its reply.

        `held` is what the replica made of our write and of what was there. If our value is dead in
        it, a client has seen it and written over it: the siblings are theirs to cover, and writing
        ours again would bring back what they may have deleted. If it is dead here only, a later
        write has come that has not seen the siblings either: they are removed, without a value.
        """
        waiter, reply, locator, delta, until_ms = op
        if self._now.now_ms > min(until_ms, write_round.began_ms + self.message_max_age_ms):
            waiter.fail(_NOT_COVERED)
            return
        plan = self.plan_for(locator)
        owner = plan.stands_in_for or plan.owners[0]
        if plan.is_owner:
            before = self._replica.get(locator)
            joined = self._replica.receive(locator, held)
        else:
            before = self._hints.find(locator)[0]
            self._hints.keep(owner, locator, held, False)
            joined = self._hints.find(locator)[0]
        # A hint that is gone has been delivered: what became of it then is the owners' business.
        is_alive = values.lives(delta, before)
        can_remove = plan.is_owner and not delta[1] & ELEMENTS     # else others are in `held`
        if not values.lives(delta, held) or not (can_remove or is_alive):
            # Perhaps no client has seen it: then the life that minted it has ended.
            if self._replica.is_of_this_life(delta):
                return waiter.fill(reply)
            return waiter.fail(_NOT_COVERED)
        self.counters.conflicts_covered += 1
        stamp = self._stamp(plan.partition)
        stamp = stamp if plan.is_owner else bare(stamp)
        cover = values.cover(delta, joined, stamp) if is_alive else values.remove_context(
            context_of(held), stamp, joined
        )
        if not self._replica.minted(cover):
            return waiter.fail(_NOT_COVERED)
        if plan.is_owner:
            self._replica.join(locator, cover)
        else:
            self._hints.keep(owner, locator, cover, not cover[1] & ELEMENTS)
        self.write(
            plan, waiter, reply, locator, cover, write_round.w, write_round.is_sloppy,
            write_round.deadline_ms, False,
        )

    def is_contested(self, locator: Locator) -> bool:
        """Whether a key here has siblings that a write of this node may be about to cover."""
        record = self._replica.get(locator)
        if not record or record[1] & PLAIN or big.is_plain(record):
            return False
        open_ops = (op for write_round in self._writes.open() for op in write_round.ops)
        return any(op[2] == locator for op in open_ops) and len(values.siblings(record, 0)) > 1

    # ---- answers ----

    def acknowledge(self, link: Link, applied: int, durable: int) -> None:
        """The peer has applied its frames from us up to one number, and stored up to another."""
        while link.unapplied and link.unapplied[0].number <= applied:
            for read_round in link.unapplied.popleft().read_rounds:
                if read_round.acknowledge(link.peer):
                    self._finish_read(read_round)
        while link.undurable and link.undurable[0].number <= durable:
            for write_round in link.undurable.popleft().write_rounds:
                if write_round.early == link.peer:
                    write_round.is_settled = True
                    link.working -= len(write_round.numbers)
                if write_round.acknowledge(link.peer):
                    self._finish_write(write_round)

    def differ(self, link: Link, position: bytes, record: bytes) -> None:
        """The peer holds something else than what we sent it to verify, or beside our write."""
        if len(position) != POSITION.size:
            raise PeerError("a differing entry without a proper position")
        number, section, index = POSITION.unpack(position)
        if section > IN_FEEDBACK or (section and not record):
            raise PeerError("a differing entry that cannot be")
        flight = find_flight(link.undurable if section == IN_FEEDBACK else link.unapplied, number)
        if flight is None:
            return
        if section == IN_FEEDBACK:
            if index >= len(flight.writes):
                raise PeerError("a differing entry for a write that was never sent")
            write_round, place = flight.writes[index]
            if write_round.is_done:
                return
            if write_round.early == link.peer:
                write_round.reported[place] = None
            conflicts = write_round.conflicts = write_round.conflicts or {}
            conflicts[place] = join_records(conflicts.get(place, b""), record)
            return
        if index >= len(flight.reads):
            raise PeerError("a differing entry for a read that was never sent")
        read_round, place = flight.reads[index]
        op = read_round.ops[place]
        self.counters.digest_mismatches += 1
        if op.answers is None:
            op.answers = []
        if is_big(record):          # its head: the rest is fetched in pieces
            op.answers.append((link.peer, record))
            op.big.append(link.peer)
            if read_round.is_done:
                self.match([link.peer], op.locator, lambda is_same: None)
            return
        record = self._replica.uncleared(op.locator, record)
        op.answers.append((link.peer, record))
        if record:
            op.joined = join_records(op.joined, record) if op.joined else record
        if read_round.is_done:      # too late for the reader, in time for the repair
            self._reconcile(op, [link.peer] if link.peer in read_round.requested else [])

    def lose(self, link: Link) -> None:
        """The peer will not answer the requests it has."""
        writes, reads = link.lose()
        self._lose_rounds(link, writes)
        for read_round in reads:
            if link.peer in read_round.besides:     # as if it had never been included
                if read_round.acknowledge(link.peer):
                    self._finish_read(read_round)
                continue
            read_round.open_answers -= 1
            if (
                not read_round.is_done
                and not self._ask_spare(read_round)
                and read_round.agreed + read_round.open_answers < read_round.need
            ):
                self._read_on(read_round)

    def lose_writes(self, link: Link) -> None:
        """The peer cannot store what it was sent."""
        self._lose_rounds(link, link.lose_writes())

    def _lose_rounds(self, link: Link, rounds: list[WriteRound]) -> None:
        for write_round in rounds:
            if write_round.early == link.peer and not write_round.is_settled:
                write_round.early = ""
                link.working -= len(write_round.numbers)
                if write_round.is_now_done():
                    self._finish_write(write_round)
            was_done = write_round.is_done
            if write_round.acknowledged + write_round.open_answers == write_round.w:
                self.sent_on.ask(write_round, link.peer)
            write_round.lose(link.peer)
            if write_round.is_done and not was_done:
                self.counters.quorum_failures += len(write_round.ops)
                write_round.ops = []

    # ---- time and the turn ----

    def expire(self) -> None:
        """Fail what has waited too long; ask once more what is slow."""
        now_ms, self.latencies.whom = self._now.now_ms, ""
        for write_round in overdue(self._writes, self.keepers.links, now_ms):
            self.counters.timeouts += len(write_round.ops)
            self.latencies.whom = silent(self.plan_for(write_round.ops[0][2]))
            write_round.fail()
            write_round.ops = []
        self.sent_on.look(self.speculative_ms)
        retries = self._retries
        while retries and (retries[0].is_done or retries[0].retry_ms <= now_ms):
            read_round = retries.popleft()
            if not read_round.is_done:
                self._ask_spare(read_round)
        for read_round in overdue(self._reads, self.keepers.links, now_ms):
            self.counters.timeouts += len(read_round.ops)
            self.latencies.whom = silent(self.plan_for(read_round.ops[0].locator))
            read_round.fail()
        self._expire_matched()

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        retries = self._retries
        while retries and retries[0].is_done:
            retries.popleft()
        retry_ms = retries[0].retry_ms if retries else NEVER
        first_ms = min(min(self._writes.first_ms, self._reads.first_ms), self._matched.first_ms)
        return min(min(first_ms, retry_ms), self.sent_on.next_deadline())

    def seal(self) -> None:
        """The turn ends: its rounds take no more operations."""
        for replicas in self._touched:
            replicas.open_writes.clear()
            replicas.open_reads.clear()
        self._touched.clear()

    def stored(self, generation: int) -> None:
        """The turn's writes were handed to the store under this generation (0: nothing was)."""
        opened = self._opened
        if not opened:
            return
        self._opened = []
        if self.waits_for_disk and generation:
            self._undurable.append((generation, opened))
        else:
            self._answer_here(opened)

    def durable(self, generation: int) -> None:
        """Everything up to this generation is on this node's disk."""
        undurable = self._undurable
        while undurable and undurable[0][0] <= generation:
            self._answer_here(undurable.popleft()[1])

    def _answer_here(self, rounds: list[WriteRound]) -> None:
        for write_round in rounds:
            if write_round.acknowledge():
                self._finish_write(write_round)

    def has_opened(self) -> bool:
        """Whether writes were begun since the last `stored`."""
        return bool(self._opened)

    def unfinished(self) -> list[WriteRound | ReadRound]:
        """Rounds that a client or peer waits for."""
        return [*self._writes.open(), *self._reads.open()]

    def in_flight(self) -> int:
        """Rounds that are not certain yet, and those done whose place in the queue is not up."""
        return len(self._writes) + len(self._reads)

