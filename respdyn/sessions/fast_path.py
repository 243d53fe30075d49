"""The fast path of `GET key` and `SET key value`, from a client's bytes to the reply in one piece.

A client's pipeline is a run of these more often than not, so what is the same for all of a run is
looked at once: the session, its terms, the time. From where a command begins this reads its words
where they lie, finds slot, plan and record, and does what `requests`, `router` and `dispatch` would
have them do; the tests run every case both ways, and any bytes cut anywhere. Whatever is out of the
ordinary about a command (an option, a header that is not written as usual, a key that is busy or
away, no quorum in reach, a record of the general form) ends the run, and it goes the long way.
What must be true of session and node before this may be called: `Sessions._is_usual`.

Compiled, numbers that are declared `i64` are machine words: a step through the bytes costs a few
instructions. It owns nothing: records, plans and counters are those that all other code uses.

Source: decision 0048.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING, Final, cast

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.plan import Plan
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Command
from respdyn.commands.table import TABLE
from respdyn.coordination.calls import Answering, Call
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.may_write import why_not_write
from respdyn.errors import UsedTwice
from respdyn.resp.replies import NULL2, NULL3, OK, bulk
from respdyn.resp.requests import DOLLAR, header_bytes, size_at
from respdyn.ring.hashing import BRACE, PREFIX, Locator, slot_of
from respdyn.sessions.session import PENDING_MAX, Session
from respdyn.types.strings import LARGE, LONE, LONE_EXPIRING, LONE_VALUE, assign, value
from respdyn.types.values import is_crowded

if TYPE_CHECKING:
    from mypy_extensions import i64

_GET: Final = TABLE[b"GET"]
_SET: Final = TABLE[b"SET"]

# How they begin, and whether it is a SET.
_HEADS: Final = {
    b"*2\r\n$3\r\nGET\r\n": False, b"*2\r\n$3\r\nget\r\n": False,
    b"*3\r\n$3\r\nSET\r\n": True, b"*3\r\n$3\r\nset\r\n": True,
}
_HEAD_BYTES: Final = 13
_WORD: Final = 8            # where the name begins in it
_WORD_END: Final = 11
_CR: Final = 0x0D
_LF: Final = 0x0A


class FastPath:
    """Runs the plain commands at the front of what a session has sent."""

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, dispatcher: Dispatcher,
        calls: dict[Command, int],
    ) -> None:
        self._node = node
        self._now = node.now
        self._replica = node.replica
        self._tables = node.replica.slots
        self._identity = node.identity
        self._busy = dispatcher.busy
        self._away = dispatcher.forwarding.away
        self._coordinator = coordinator
        self._kept_for = coordinator.keepers.by_partition
        self._dispatcher = dispatcher
        self._counters = node.counters
        self._here = node.identity.node_id
        self._calls = calls       # how often each command was called, as `router` counts it
        self.gets = self.sets = 0       # that the last run took

    def run(
        self, session: Session, data: bytes, start: int, most: int, soft_bytes: int
    ) -> int:
        """Run plain commands from where one begins, so many at most; where the first begins that
        was not run. How many there were: `gets` and `sets`.

        It also ends when more than `soft_bytes` of replies wait to be written, or more than
        `PENDING_MAX` are waited for.
        """
        self.gets = self.sets = 0
        node = self._node
        if node.clock_is_doubted:
            return start
        plans, busy, away, tables = node.plans, self._busy, self._away, self._tables
        terms, pending, out = session.terms, session.pending, session.out
        prefixes = PREFIX[session.db]
        null = NULL3 if session.resp == 3 else NULL2
        reads_alone = terms.r <= 1 and not self._kept_for
        writes_alone = not node.store_failure
        at: i64 = start
        end: i64 = len(data)
        left: i64 = most
        size: i64 = 0
        gets = sets = instant = misses = 0
        is_write = False
        while left > 0:
            # The words.
            head = _HEADS.get(data[at : at + _HEAD_BYTES])
            if head is None:
                break
            first = at + _HEAD_BYTES
            size = size_at(data, first, DOLLAR)
            if size < 0:
                break
            first += header_bytes(size)
            last = first + size
            after = last + 2
            if after > end or data[last] != _CR or data[last + 1] != _LF:
                break
            key = data[first:last]
            if head:
                size = size_at(data, after, DOLLAR)
                if size < 0:
                    break
                first = after + header_bytes(size)
                last = first + size
                after = last + 2
                if after > end or data[last] != _CR or data[last + 1] != _LF:
                    break
            # The key.
            slot = slot_of(key) if BRACE in key else crc_hqx(key, 0) & 16383
            locator = cast(Locator, prefixes[slot] + key)   # `locator_in`, without a call
            plan = plans[slot]
            if not plan.is_owner or (busy and locator in busy) or (away and locator in away):
                break
            record = tables[slot].get(locator, b"")
            # What is to be done.
            if head:
                if writes_alone and plan.is_instant and plan.has_owner and not session.reads:
                    if not self._assign(plan, locator, record, data[first:last]):
                        break
                    instant += 1
                    if pending:
                        session.reply(OK)
                    else:
                        out.append(OK)
                        session.out_bytes += 5
                elif not self._write(session, plan, locator, record, key, data[first:last],
                                     data[at + _WORD : at + _WORD_END]):
                    break
                sets += 1
                session.last_writes[plan.group] = locator
            else:
                if not record:
                    reply = null
                elif len(record) >= LARGE:
                    break           # on the slow road it is copied once
                elif record[1] == LONE:
                    reply = bulk(record[LONE_VALUE:])
                elif record[1] == LONE_EXPIRING:
                    alive = value(record, self._now.wall_ms)
                    if alive is None:
                        self._replica.note_expired(locator, record)
                        reply = null
                    else:
                        reply = bulk(alive)
                else:
                    break
                if reads_alone and not session.writes:
                    if pending:
                        session.reply(reply)
                    else:
                        out.append(reply)
                        session.out_bytes += len(reply)
                elif not self._read(session, plan, locator, record, reply, key,
                                    data[at + _WORD : at + _WORD_END]):
                    break
                if reply is null:
                    misses += 1
                gets += 1
            is_write = head
            at = after
            left -= 1
            if session.out_bytes > soft_bytes or len(pending) > PENDING_MAX:
                break
        if gets or sets:
            self._account(session, gets, sets, misses, instant, is_write)
        return at

    def _assign(self, plan: Plan, locator: Locator, record: bytes, new: bytes) -> bool:
        """SET where no other node and no disk is waited for; False if the slow road must say why
        it cannot be.
        """
        identity = self._identity
        if identity.counter >= identity.safe_end or is_crowded(record):
            return False
        try:
            delta = assign(record, self._node.stamp(plan.partition), new, 0)
        except UsedTwice:
            return False
        self._replica.replace(locator, record, delta)
        return True

    def _write(
        self, session: Session, plan: Plan, locator: Locator, record: bytes, key: bytes,
        new: bytes, word: bytes,
    ) -> bool:
        """SET with others: at its coordinator, or here and W must have it."""
        if not plan.has_owner or (session.reads and session.must_wait(key, True)):
            return False
        node, terms = self._node, session.terms
        argv = [word, key, new]
        deadline_ms = self._now.now_ms + terms.timeout_ms
        if plan.coordinator != self._here:
            call = Call(_SET, argv, session.db, session.resp == 3, terms, deadline_ms, 0, 0)
            self._dispatcher.forwarding.send(
                call, locator, plan.coordinator, session.hold_key(argv, True)
            )
            return True
        if why_not_write(node, plan, terms.w, terms.sloppy) or is_crowded(record):
            return False
        try:
            delta = assign(record, node.stamp(plan.partition), new, 0)
        except UsedTwice:
            return False
        self._replica.replace(locator, record, delta)
        if plan.is_instant:
            self._counters.writes_coordinated += 1
            session.reply(OK)
        else:
            self._coordinator.write(
                plan, session.hold_key(argv, True), OK, locator, delta, terms.w, terms.sloppy,
                deadline_ms, True,
            )
        return True

    def _read(
        self, session: Session, plan: Plan, locator: Locator, record: bytes, reply: bytes,
        key: bytes, word: bytes,
    ) -> bool:
        """GET of which R must agree, or behind this client's own write."""
        if session.writes and session.must_wait(key, False):
            return False
        terms = session.terms
        if terms.r <= 1 and plan.partition not in self._kept_for:
            session.reply(reply)
            return True
        if (plan.replicas if terms.sloppy else plan.strict).answers < terms.r:
            return False
        argv = [word, key]
        reader = Answering(
            session.hold_key(argv, False), reply, _GET, argv, session.resp == 3, locator,
            self._dispatcher.read_again,
        )
        self._coordinator.read(
            plan, reader, locator, record, terms.r, terms.sloppy,
            self._now.now_ms + terms.timeout_ms,
        )
        return True

    def _account(
        self, session: Session, gets: int, sets: int, misses: int, instant: int, is_write: bool
    ) -> None:
        """Note what has been run; `is_write`: the last of it."""
        self.gets, self.sets = gets, sets
        counters, calls = self._counters, self._calls
        if session.out:
            session.mark()
        counters.writes_coordinated += instant
        if gets:
            counters.keyspace_misses += misses
            counters.keyspace_hits += gets - misses
            calls[_GET] = calls.get(_GET, 0) + gets
        if sets:
            calls[_SET] = calls.get(_SET, 0) + sets
        session.last_command = _SET.name if is_write else _GET.name
        session.last_ms = self._now.wall_ms
