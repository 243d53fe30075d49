"""Dispatch: from a command's words to its execution, here, at its key's coordinator, or in parts.

A command on one key runs at an owner of the key. Writes run at the first owner that can be reached
(so that a key's writers are serialised and commands that read first behave as in Redis while
nothing fails), reads at this node if it owns the key. Everything else is forwarded.

A command that reads before it writes makes its key busy until the read quorum has answered, and
those that arrive meanwhile wait in line (`lines`). Plain reads and blind writes take effect in the
call.

While no owner can be reached, a node that stands in runs the command (`fallback`), if the terms
are sloppy.

Source: Dynamo 4.5, 4.6 and 6.4; SEMANTICS 2.
"""

from binascii import crc_hqx
from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.causal.codec import BIG, ELEMENTS, LIVE, PLAIN
from respdyn.causal.tokens import Seal
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.hint import bare
from respdyn.cluster.messages import TOO_FEW
from respdyn.cluster.plan import Plan
from respdyn.cluster.questions import Run
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import GATHER, READ, UPDATE, Command
from respdyn.commands.table import lookup
from respdyn.coordination.calls import (
    Answering,
    Call,
    Continuation,
    PeerReply,
    Updating,
    Waiting,
    check_intervals,
    check_siblings,
    must_refuse,
    refuse,
)
from respdyn.coordination.fallback import Fallback
from respdyn.coordination.forwarding import Forwarding
from respdyn.coordination.gather import Gather, Note
from respdyn.coordination.item_moves import STEP_DOTS, ItemMoves
from respdyn.coordination.keyspace_events import KeyspaceEvents
from respdyn.coordination.lines import Lines
from respdyn.coordination.long_work import LONG_VALUE, LongWork
from respdyn.coordination.may_write import (
    CANNOT_STORE,
    NO_LEASE,
    NO_OWNER,
    too_few,
    why_not_write,
)
from respdyn.errors import ReplyError, UsedTwice
from respdyn.ports import random_bits
from respdyn.resp.replies import error
from respdyn.ring.hashing import BRACE, Locator, locator_in, slot_of, slot_of_locator
from respdyn.types.values import exists

_MAX_HOPS: Final = 2


class Dispatcher:
    """Routes commands on keys."""

    def __init__(self, node: ThisNode, coordinator: Coordinator, fallback: Fallback) -> None:
        self.none_can_store = False      # this node's disk fails, and no other can store either
        self.lines = Lines(node.now, self._next)
        self.busy = self.lines.busy     # keys that are read before they are written
        self.item_moves = ItemMoves(node, self.lines, self.run, self.apply)
        self.long_work = LongWork(
            node, coordinator, self.lines, self.apply, self.item_moves.under_way)
        self.forwarding = Forwarding(
            node, self.lines.line_up, self.lines.next_in_line, self._too_few_there
        )
        self._away = self.forwarding.away
        self._node = node
        self._now = node.now
        self._replica = node.replica
        self._slots = node.replica.slots
        self._coordinator = coordinator
        self._kept_for = coordinator.keepers.by_partition
        self._counters = node.counters
        self._here = node.identity.node_id
        self._fallback = fallback
        self.token_keys: tuple[bytes, ...] = ()     # the newest first, see `token_keys`
        self.keyspace_events: KeyspaceEvents | None = None     # while a client wants them

    # ---- one key ----

    def execute(
        self, command: Command, argv: list[bytes], db: int, resp3: bool, terms: Terms,
        target: Target, deadline_ms: int = 0, hops: int = 0, until_ms: int = 0,
        is_read: bool = False,
    ) -> bytes | None:
        """Run a command on one key. The reply, or None: then `target` has given it a place.

        The reply comes by `deadline_ms`; 0 stands for the terms' time-out from now. `hops` and
        `until_ms` are those of a forwarded command: how often, and when it must have been begun.
        `is_read`: a quorum was read since it came.
        """
        key = argv[command.keys.first]
        slot = slot_of(key) if BRACE in key else crc_hqx(key, 0) & 16383
        locator = locator_in(slot, db, key)
        plan = self._node.plans[slot]
        route = command.route
        deadline_ms = deadline_ms or self._now.now_ms + terms.timeout_ms
        if self.busy and locator in self.busy and not command.overtakes:
            call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
            self.lines.line_up(locator, [Waiting(call, target.hold())])
            return None
        if hops and must_refuse(target, locator, self._now.now_ms > until_ms):
            return refuse(target, locator)
        if (
            not plan.is_owner
            or (
                route is not READ and plan.coordinator != self._here
                and not (hops and plan.deprioritized == self._here)
            )
            or (self._away and not hops and locator in self._away)
            or (self._node.clock_is_doubted and not hops and plan.replicas.readers)
        ):
            call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
            return self._elsewhere(call, locator, plan, target)
        if route is READ:
            record = self._slots[slot].get(locator, b"")
            self._counters.looked_up(is_there := bool(record) and exists(record, self._now.wall_ms))
            if record and not is_there:
                self._replica.note_expired(locator, record)
            argv = self.drawn(command, argv)
            if record and (record[1] & BIG or len(record) > LONG_VALUE) and (
                self.long_work.is_long(command, argv, record, resp3)
            ):
                call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
                if self.long_work.read(call, locator, plan, record, target):
                    return None
            reply = self.read_again(command, argv, resp3, locator, record)
            r = terms.r if terms.r <= plan.n else plan.n
            if r <= 1 and not (self._kept_for and plan.partition in self._kept_for):
                if self.keyspace_events is not None:
                    self.keyspace_events.read(
                        command, argv, locator, self._now.wall_ms, resp3, reply
                    )
                return reply
            answers = (plan.replicas if terms.sloppy else plan.strict).answers
            if answers < r:
                return self._too_few("R", r, answers)
            if hops and len(plan.replicas.readers) < r - 1 and isinstance(target, PeerReply):
                return TOO_FEW
            waiter = target.hold()
            if self.keyspace_events is not None:
                waiter = self.keyspace_events.wait_for_read(
                    waiter, command, argv, locator, self._now.wall_ms, resp3
                )
            reader = Answering(waiter, reply, command, argv, resp3, locator, self.read_again)
            self._coordinator.read(plan, reader, locator, record, r, terms.sloppy, deadline_ms)
            return None
        if (
            command.order is not None and locator not in self.busy
            and self.long_work.must_prepare(command, argv, self._replica.get(locator))
        ):
            call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
            self.long_work.prepare(call, locator, target)
            return None
        if (
            ((terms.r > 1 and plan.n > 1) or plan.partition in self._kept_for)
            and (route is UPDATE or (
                command.reads_before_write is not None and command.reads_before_write(argv)
            ))
            and not (is_read and not self._coordinator.is_contested(locator))
        ):
            call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
            return self._read_first(call, locator, plan, target)
        if command.move is not None or (
            command.long_write is not None
            and self.long_work.steps_of(command, argv, locator, resp3) is not None
        ):
            call = Call(command, argv, db, resp3, terms, deadline_ms, hops, until_ms)
            return self._change(call, locator, plan, target)
        return self.apply(
            command, argv, locator, plan, resp3, terms, deadline_ms, target, until_ms
        )

    def drawn(self, command: Command, argv: list[bytes]) -> list[bytes]:
        """The words of a read, and behind them the seed of its choice, if it makes one."""
        if not command.draws:
            return argv
        return [*argv, random_bits(self._node.random, 64).to_bytes(8)]

    def _seal(self, locator: bytes) -> Seal:
        return Seal(self.token_keys, locator, self._node.ends)

    def read_again(
        self, command: Command, argv: list[bytes], resp3: bool, locator: Locator, record: bytes
    ) -> bytes:
        """The reply of a read: from the record here, later perhaps from the join of several."""
        try:
            if command.wants_seal:
                return command.read_at(
                    argv, record, self._now.wall_ms, resp3, self._seal(locator)
                )
            return command.read(argv, record, self._now.wall_ms, resp3)
        except ReplyError as wrong:
            return error(wrong.text)

    def apply(
        self, command: Command, argv: list[bytes], locator: Locator, plan: Plan, resp3: bool,
        terms: Terms, deadline_ms: int, target: Target, until_ms: int = 0,
    ) -> bytes | None:
        """The write itself: run the command on the record here, join and ship the delta."""
        refusal = why_not_write(self._node, plan, terms.w, terms.sloppy)
        if refusal:
            self._counters.quorum_failures += refusal.startswith("NOQUORUM")
            return error(refusal)
        if plan.is_owner:
            slot = slot_of_locator(locator)
            record = self._slots[slot].get(locator, b"")
            stamp = self._node.stamp(plan.partition)
        else:
            record = self._fallback.record(locator)
            stamp = bare(self._node.stamp(plan.partition))
        try:
            if command.wants_seal:
                reply, delta = command.write_at(
                    argv, record, self._now.wall_ms, resp3, stamp, self._seal(locator)
                )
                if delta and delta[1] & LIVE:
                    limits = self._node.settings
                    check_siblings(
                        self._counters, record, delta, limits.siblings_max, limits.siblings_warn
                    )
            else:
                words = [*argv, plan.place_of(self._here)] if command.wants_place else argv
                reply, delta = command.write(words, record, self._now.wall_ms, resp3, stamp)
            if record and not record[1] & PLAIN and delta:
                check_intervals(self._counters, record, delta)
        except UsedTwice as wrong:
            self._counters.counters_used_twice += 1
            self._node.trace.event("counter_used_twice", command=command.name)
            self._replica.used_twice()
            return error(wrong.text)
        except ReplyError as wrong:
            return error(wrong.text)
        if not delta:
            if self.keyspace_events is not None:
                self.keyspace_events.written(
                    command, argv, locator, record, record, self._now.wall_ms
                )
            return reply
        # A command that overwrites the key made the delta from all that is here: no need to join,
        # but to report what was not here. Clients that send contexts want their siblings kept.
        overwrites = command.reports_siblings and not delta[1] & ELEMENTS
        if not delta[1] & PLAIN and not self._node.identity.minted(delta):
            return error(NO_LEASE)
        if not plan.is_owner:
            self._fallback.keep(plan, locator, delta, overwrites)
        elif overwrites:
            self._replica.replace(locator, record, delta)
        elif not (self._replica.cleared and self._replica.is_cleared(locator, delta)):
            self._replica.join(locator, delta)
        # else it removes only what FLUSHALL has removed here: others may yet have to learn that.
        if plan.is_instant:
            self._counters.writes_coordinated += 1
            if self.keyspace_events is not None:
                after = self._replica.get(locator)
                self.keyspace_events.written(
                    command, argv, locator, record, after, self._now.wall_ms
                )
            return reply
        waiter = target.hold()
        if self.keyspace_events is not None:
            after = (self._replica.get if plan.is_owner else self._fallback.record)(locator)
            waiter = self.keyspace_events.wait_for_write(
                waiter, command, argv, locator, record, after, self._now.wall_ms
            )
        self._coordinator.write(
            plan, waiter, reply, locator, delta, terms.w, terms.sloppy, deadline_ms,
            command.reports_siblings and delta[1] & LIVE != 0, until_ms,
        )
        return None

    def _change(
        self, call: Call, locator: Locator, plan: Plan, target: Target
    ) -> bytes | None:
        """A write whose quorum was read, if it wants one: `apply` it, or begin its move."""
        command, argv = call.command, call.argv
        if command.long_write is not None and plan.is_owner:
            steps = self.long_work.steps_of(command, argv, locator, call.resp3)
            if steps is not None:
                self.long_work.write(steps, call, locator, target)
                return None
        if command.move is None or argv[1] == argv[2]:
            return self.apply(
                command, argv, locator, plan, call.resp3, call.terms, call.deadline_ms, target,
                call.until_ms,
            )
        refusal = why_not_write(self._node, plan, call.terms.w, call.terms.sloppy, STEP_DOTS)
        if refusal:
            return error(refusal)
        record = (self._replica.get if plan.is_owner else self._fallback.record)(locator)
        try:
            move = command.move(argv, record, self._now.wall_ms, call.resp3)
        except ReplyError as wrong:
            return error(wrong.text)
        if isinstance(move, bytes):
            return move
        return self.item_moves.begin(
            move, call.db, locator, plan, call.resp3, call.terms, call.deadline_ms, target
        )

    def preview(
        self, command: Command, argv: list[bytes], record: bytes, resp3: bool, locator: Locator
    ) -> bytes:
        """The reply that `apply` gave to a waiter, computed once more from what was there."""
        stamp = self._node.stamp(self._node.plans[slot_of_locator(locator)].partition)
        if command.wants_seal:
            return command.write_at(
                argv, record, self._now.wall_ms, resp3, stamp, self._seal(locator)
            )[0]
        return command.write(argv, record, self._now.wall_ms, resp3, stamp)[0]

    def _too_few(self, letter: str, wanted: int, reachable: int) -> bytes:
        self._counters.quorum_failures += 1
        return error(too_few(letter, wanted, reachable))

    # ---- read, then write ----

    def _read_first(
        self, call: Call, locator: Locator, plan: Plan, target: Target
    ) -> bytes | None:
        r, is_sloppy = min(call.terms.r, plan.n), call.terms.sloppy
        answers = (plan.replicas if is_sloppy else plan.strict).answers
        if answers < r:
            return self._too_few("R", r, answers)
        waiter = target.hold()
        self.busy[locator] = deque()

        def failed(text: str) -> None:
            waiter.fail(text)
            self.lines.next_in_line(locator)

        reader = Updating(lambda: self._finish(call, locator, waiter), failed)
        if plan.is_owner:
            record = self._replica.get(locator)
            self._coordinator.read(plan, reader, locator, record, r, is_sloppy, call.deadline_ms)
        else:
            left_ms = max(1, call.deadline_ms - self._now.now_ms)
            self._fallback.read(plan, reader, locator, r, left_ms, True)
        return None

    def _finish(self, call: Call, locator: Locator, waiter: Waiter) -> None:
        """The second half of a read-modify-write."""
        plan = self._node.plans[slot_of_locator(locator)]
        if call.hops and self._now.now_ms > call.until_ms:
            waiter.fill(refuse(waiter, locator))
        elif plan.is_owner and self._coordinator.is_contested(locator):
            # A SET before it may yet cover a sibling: read again after that.
            self.lines.line_up(locator, [Waiting(call, waiter)], 0)
            self.forwarding.run_later(locator)
            return
        else:
            reply = self._elsewhere(call, locator, plan, waiter) if (
                (not plan.is_owner or self._node.store_failure) and plan.coordinator != self._here
            ) else self._change(call, locator, plan, waiter)
            if reply is not None:
                waiter.fill(reply)
            if locator in self.item_moves.under_way:
                return
        self.lines.next_in_line(locator, plan.is_owner)

    def _next(self, waiting: Waiting, is_read: bool) -> bytes | None:
        """Run a command whose turn in its key's line has come."""
        call = waiting.call
        return self.execute(
            call.command, call.argv, call.db, call.resp3, call.terms, waiting.waiter,
            call.deadline_ms, call.hops, call.until_ms, is_read,
        )

    # ---- several keys ----

    def gather(
        self, command: Command, argv: list[bytes], db: int, resp3: bool, terms: Terms,
        target: Target, deadline_ms: int = 0, note: Note | None = None,
    ) -> bool:
        """Run a command on several keys as commands on one. True if it takes more than this turn.

        `note` is called for each key.
        """
        return Gather(
            self._node, self.run, command, argv, db, resp3, terms, target, deadline_ms, note
        ).is_long

    def run(
        self, argv: list[bytes], db: int, resp3: bool, terms: Terms, target: Target,
        deadline_ms: int = 0,
    ) -> bytes | None:
        """Run a command on one or several keys, given its words."""
        command = lookup(argv)
        if command.single is not None and len(argv) == 2:
            command = command.single
        if command.route is GATHER:
            self.gather(command, argv, db, resp3, terms, target, deadline_ms)
            return None
        return self.execute(command, argv, db, resp3, terms, target, deadline_ms)

    def run_for_task(self, request: Run, done: Callable[[bytes], None]) -> None:
        """Run a command for a task of the control path; `done` gets the reply."""
        try:
            reply = self.run(
                request.argv, request.db, False, self._node.default_terms, Continuation(done)
            )
        except ReplyError as wrong:
            reply = error(wrong.text)
        if reply is not None:
            done(reply)

    # ---- elsewhere ----

    def _elsewhere(self, call: Call, locator: Locator, plan: Plan, target: Target) -> bytes | None:
        """Have a call run by a node that may."""
        away = self._away.get(locator)
        if away is not None:
            peer = away.peer
        elif call.command.route is READ:
            readers = plan.replicas.readers
            good = [link for link in readers if not link.deprioritized]
            owners = [link.peer for link in good or readers]
            if call.terms.sloppy and not call.hops and self._fallback.must_read(plan, call.terms.r):
                return self._run_here(call, locator, plan, target)
            peer = owners[slot_of_locator(locator) % len(owners)] if owners else ""
        else:
            peer = plan.coordinator if plan.has_owner or call.terms.sloppy else ""
            if peer == self._here:
                return self._run_here(call, locator, plan, target)
        if not peer:
            if self._node.store_failure and call.command.route is not READ:
                return error(CANNOT_STORE.format(self._node.store_failure))
            self._counters.quorum_failures += 1
            return error(NO_OWNER)
        if call.hops >= _MAX_HOPS:
            can_write = not self._node.store_failure and self._node.identity.can_mint(1)
            if call.command.route is not READ and can_write and plan.may_be_last(call.terms):
                return self._run_here(call, locator, plan, target)
            return refuse(target, locator)
        self.forwarding.send(call, locator, peer, target.hold())
        return None

    def _run_here(self, call: Call, locator: Locator, plan: Plan, target: Target) -> bytes | None:
        """Run a call here, as there is no other node: this one stands in, or is deprioritized."""
        command, terms = call.command, call.terms
        if command.route is READ:
            r = min(terms.r, plan.n)
            if plan.replicas.answers < r:
                return self._too_few("R", r, plan.replicas.answers)
            reader = Answering(
                target.hold(), b"", command, self.drawn(command, call.argv), call.resp3, locator,
                self.read_again,
            )
            left_ms = max(1, call.deadline_ms - self._now.now_ms)
            self._fallback.read(plan, reader, locator, r, left_ms, False)
            return None
        if (terms.r > 1 or not plan.is_owner) and (
            command.route is UPDATE
            or (command.reads_before_write is not None and command.reads_before_write(call.argv))
        ):
            return self._read_first(call, locator, plan, target)
        return self._change(call, locator, plan, target)

    def _too_few_there(self, call: Call) -> None:
        """An owner that was to answer a read reaches too few others: ask those that we reach."""
        plan = self._node.plans[slot_of_locator(call.locator)]
        reply = self._run_here(call, call.locator, plan, call.waiter)
        if reply is not None:
            call.waiter.fill(reply)

    # ---- time ----

    def expire(self) -> None:
        """Time passes."""
        self.lines.expire()
        self.forwarding.expire()

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        return min(self.lines.next_deadline(), self.forwarding.next_deadline())

    def is_idle(self) -> bool:
        """Whether no command waits for a key or for another node."""
        return not self.busy and self.forwarding.is_idle()
