"""Inbound commands of peers: a plain SET, any command on one key, a group, a script.

A peer forwards what its clients ask to a node that may run it (`dispatch`, `forwarding`). It comes
in a frame, as an envelope and the command's words; the reply goes back under the envelope's number.
Most are a plain `SET key value` that can begin at once: that is done in one piece, as
`sessions/fast_path` does those of this node's own clients.
"""

from binascii import crc_hqx
from typing import Final

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.link import Link
from respdyn.cluster.messages import ENVELOPE, IS_SLOPPY, NOT_RUN, TAKES_EARLY
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.terms import ANY, Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import READ, UPDATE, WRITE
from respdyn.commands.table import TABLE, lookup
from respdyn.coordination.borrowing import COMMIT, HOLD
from respdyn.coordination.calls import FULL, PeerReply
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.group_messages import Outcome, encoder, read_group
from respdyn.coordination.groups import GROUP, Groups
from respdyn.coordination.may_write import why_not_write
from respdyn.coordination.script_messages import read_call, read_commit, read_hold
from respdyn.coordination.script_sender import SCRIPT, ScriptSender
from respdyn.errors import PeerError, ReplyError, UsedTwice
from respdyn.resp.replies import OK, error
from respdyn.ring.hashing import BRACE, locator_in, slot_of
from respdyn.types.strings import assign
from respdyn.types.values import is_crowded

_SET: Final = TABLE[b"SET"]
_TERMS_MAX: Final = 1000        # different terms that are kept
_OVERLOAD = "OVERLOAD {} commands of one node wait at the coordinator already: nothing was done"


class Inbound:
    """Runs what peers forward."""

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, dispatcher: Dispatcher, groups: Groups,
        scripts: ScriptSender,
    ) -> None:
        self.working_max = 100_000      # commands that one peer may have waiting here
        self._node = node
        self._now = node.now
        self._here = node.identity.node_id
        self._replica = node.replica
        self._tables = node.replica.slots
        self._coordinator = coordinator
        self._dispatcher = dispatcher
        self._busy = dispatcher.busy
        self._away = dispatcher.forwarding.away
        self._groups = groups
        self._scripts = scripts
        self._terms: dict[tuple[int, int, int, int], Terms] = {}

    def forwarded(self, link: Link, items: list[bytes], at: int, echo_ms: int) -> int:
        """A peer's forwarded command, at this position of its frame; the position behind it.

        `echo_ms`: this node's time when it sent what the peer had last seen before the frame. A
        plain SET that can begin at once is done here, in one piece; `run` gets all others.
        """
        envelope = items[at]
        end = at + 4
        if (
            len(envelope) != ENVELOPE.size or end > len(items)
            or TABLE.get(items[at + 1]) is not _SET or self._dispatcher.keyspace_events is not None
        ):
            return self.run(link, items, at, echo_ms)
        number, db, _, hops, r, w, bits, timeout_ms, window_ms, size = ENVELOPE.unpack(envelope)
        key = items[at + 2]
        slot = slot_of(key) if BRACE in key else crc_hqx(key, 0) & 16383
        if size != 3 or db > 15 or not hops or not r or not w or not self._node.plans:
            return self.run(link, items, at, echo_ms)
        locator = locator_in(slot, db, key)
        plan = self._node.plans[slot]
        is_sloppy = bool(bits & IS_SLOPPY)
        replicas = plan.replicas if is_sloppy else plan.strict
        if (
            plan.coordinator != self._here or not plan.is_owner or plan.is_instant
            or plan.sizes is not None or locator in self._busy
            or locator in self._away or self._now.now_ms > echo_ms + window_ms
            or self._node.memory_is_full or link.working >= self.working_max
            or link.is_behind or locator in link.refused
            or why_not_write(self._node, plan, w, is_sloppy)
        ):
            return self.run(link, items, at, echo_ms)
        record = self._tables[slot].get(locator, b"")
        if is_crowded(record):
            return self.run(link, items, at, echo_ms)
        try:
            delta = assign(record, self._node.stamp(plan.partition), items[at + 3], 0)
        except UsedTwice:
            return self.run(link, items, at, echo_ms)
        self._replica.replace(locator, record, delta)
        reply = PeerReply(link, number)
        early = ""
        if (
            bits & TAKES_EARLY and w <= 2 and link in replicas.writers
            and not self._coordinator.waits_for_disk
        ):
            early = link.peer
            link.working += 1       # until the peer reports that the record has arrived
        else:
            reply.hold()
        self._coordinator.write(
            plan, reply, OK, locator, delta, w, is_sloppy, self._now.now_ms + timeout_ms, True,
            echo_ms + window_ms, early, number,
        )
        return end

    def run(self, link: Link, items: list[bytes], at: int, echo_ms: int) -> int:
        """As `forwarded`, of any command."""
        if len(items[at]) != ENVELOPE.size:
            raise PeerError("a forwarded command without a proper envelope")
        fields: tuple[int, ...] = ENVELOPE.unpack(items[at])
        number, db, protocol, hops, r, w, sloppy, timeout_ms, window_ms, size = fields
        end = at + 1 + size
        if end > len(items) or not size or db > 15 or not hops or not r or not w:
            raise PeerError("a forwarded command that is cut short")
        argv = items[at + 1 : end]
        waiter = PeerReply(link, number)
        least = self._node.default_terms if link.is_behind else ANY
        if argv[0] == SCRIPT:
            self._run_script(argv[-1], timeout_ms, echo_ms + window_ms, waiter, least)
            return end
        if argv[0] in (HOLD, COMMIT):
            self._run_hold(link.peer, argv, timeout_ms, echo_ms + window_ms, waiter)
            return end
        if argv[0] == GROUP:
            self._run_group(argv[-1], timeout_ms, echo_ms + window_ms, waiter, least)
            return end
        r, w, sloppy = max(r, least.r), max(w, least.w), sloppy & IS_SLOPPY
        terms = self._terms.get((r, w, sloppy, timeout_ms))
        if terms is None:
            if len(self._terms) > _TERMS_MAX:
                self._terms.clear()
            terms = self._terms[r, w, sloppy, timeout_ms] = Terms(r, w, bool(sloppy), timeout_ms)
        try:
            command = lookup(argv)
            if command.single is not None and size == 2:
                command = command.single
            if command.route not in (READ, WRITE, UPDATE):
                raise PeerError(f"a forwarded command that is not forwarded: {command.name}")
            if not self._node.plans:
                reply: bytes | None = NOT_RUN
            elif self._node.memory_is_full and "denyoom" in command.flag_words:
                reply = error(FULL)
            elif link.working >= self.working_max:
                self._node.counters.overloads += 1
                reply = error(_OVERLOAD.format(link.working))
            else:
                reply = self._dispatcher.execute(
                    command, argv, db, protocol == 3, terms, waiter, 0, hops, echo_ms + window_ms
                )
        except ReplyError as wrong:
            reply = error(wrong.text)
        if reply is not None:
            waiter.fill(reply)
        return end

    def _run_script(
        self, body: bytes, timeout_ms: int, until_ms: int, waiter: Waiter, least: Terms
    ) -> None:
        """A peer's script, with R and W as in `least` or more. Raises `PeerError`."""
        call = read_call(body)
        if not self._node.plans or self._now.now_ms > until_ms:
            waiter.fill(NOT_RUN)
            return
        if least is not ANY:
            call = call.with_least(least)
        # It ends a little before its sender gives it up, so that the sender gets the outcome.
        deadline_ms = self._now.now_ms + timeout_ms * 9 // 10
        self._scripts.forwarded(call, deadline_ms, waiter)

    def _run_hold(
        self, peer: str, argv: list[bytes], timeout_ms: int, until_ms: int, waiter: Waiter
    ) -> None:
        """Keys that a peer's script wants, or what it writes to them. Raises `PeerError`."""
        holds, deadline_ms = self._scripts.holds, self._now.now_ms + timeout_ms
        if argv[0] == COMMIT:
            holds.commit(peer, read_commit(argv[-1]), deadline_ms, waiter)
        elif not self._node.plans or self._now.now_ms > until_ms:
            waiter.fill(NOT_RUN)
        else:
            holds.hold(peer, read_hold(argv[-1]), deadline_ms, waiter)

    def _run_group(
        self, body: bytes, timeout_ms: int, until_ms: int, waiter: Waiter, least: Terms
    ) -> None:
        """A peer's group, with R and W as in `least` or more. Raises `PeerError`."""
        group = read_group(body)
        if not self._node.plans or self._now.now_ms > until_ms:
            waiter.fill(NOT_RUN)
            return

        def done(outcome: Outcome) -> None:
            is_word = isinstance(outcome, bytes)
            waiter.fill(outcome if is_word else encoder.encode(outcome))   # type: ignore[arg-type]

        try:
            if least is not ANY:
                group = group.with_least(least)
            self._groups.run(group, self._now.now_ms + timeout_ms, done, until_ms)
        except ReplyError as wrong:
            raise PeerError(f"a group with a command that is none: {wrong}") from wrong
