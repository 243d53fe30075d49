"""The fast path of `GET key` and `SET key value`, without the layers in between.

A client's pipeline is a run of these more often than not, so what is the same for all of a run is
looked at once: the session, its terms, the time, who may coordinate. What they do is what `router`
and `dispatch` would have them do, written a second time in one piece; the tests run every case
both ways. Whatever is out of the ordinary about a command (an option, a key that is busy or away,
no quorum in reach, a record of the general form) ends the run, and that command goes the long way.
"""

from binascii import crc_hqx
from collections import deque
from typing import Final, cast

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Command
from respdyn.commands.table import TABLE
from respdyn.coordination.calls import Answering, Call
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.may_write import why_not_write
from respdyn.errors import UsedTwice
from respdyn.resp.replies import NULL2, NULL3, OK
from respdyn.ring.hashing import BRACE, PREFIX, Locator, slot_of
from respdyn.sessions.session import PENDING_MAX, Session
from respdyn.types.strings import LONE, LONE_EXPIRING, LONE_VALUE, assign, value
from respdyn.types.values import is_crowded

_GET: Final = TABLE[b"GET"]
_SET: Final = TABLE[b"SET"]


class FastPath:
    """Runs the plain commands at the front of what a session has asked for."""

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, dispatcher: Dispatcher,
        calls: dict[Command, int],
    ) -> None:
        self._node = node
        self._now = node.now
        self._replica = node.replica
        self._tables = node.replica.slots
        self._busy = dispatcher.busy
        self._away = dispatcher.forwarding.away
        self._coordinator = coordinator
        self._dispatcher = dispatcher
        self._counters = node.counters
        self._here = node.identity.node_id
        self._calls = calls       # how often each command was called, as `router` counts it

    def run(
        self, session: Session, ready: deque[list[bytes]], most: int, soft_bytes: int
    ) -> tuple[int, int]:
        """Take plain commands from `ready`, `most` of them, until one is not.

        Returns how many GETs and how many SETs were taken.

        It also ends when more than `soft_bytes` of replies wait to be written, or more than
        `PENDING_MAX` are waited for.
        """
        node, dispatcher = self._node, self._dispatcher
        if node.clock_is_doubted:
            return 0, 0
        plans, busy, away, tables = self._node.plans, self._busy, self._away, self._tables
        terms = session.terms
        deadline_ms = self._now.now_ms + terms.timeout_ms
        kept_for = self._coordinator.keepers.asked
        prefixes = PREFIX[session.db]
        pending, out = session.pending, session.out
        gets = sets = instant = misses = 0
        last_writes = session.last_writes
        find = TABLE.get
        for _ in range(most):
            if not ready:
                break
            argv = ready[0]
            command = find(argv[0])
            if command is _GET and len(argv) == 2:
                is_write = False
            elif command is _SET and len(argv) == 3:
                is_write = True
            else:
                break
            key = argv[1]
            slot = slot_of(key) if BRACE in key else crc_hqx(key, 0) & 16383
            locator = cast(Locator, prefixes[slot] + key)   # `locator_in`, without a call
            plan = plans[slot]
            if (
                not plan.is_owner or locator in busy or locator in away
                or (
                    (session.reads if is_write else session.writes)
                    and session.must_wait(key, is_write)
                )
            ):
                break
            record = tables[slot].get(locator, b"")
            if is_write:
                if not plan.has_owner:
                    break
                if plan.coordinator != self._here:
                    call = Call(
                        _SET, argv, session.db, session.resp == 3, terms, deadline_ms, 0, 0
                    )
                    dispatcher.forwarding.send(
                        call, locator, plan.coordinator, session.hold_key(argv, True)
                    )
                else:
                    if why_not_write(node, plan, terms.w, terms.sloppy):
                        break
                    if is_crowded(record):
                        break       # the slow road refuses it
                    try:
                        delta = assign(record, self._node.stamp(plan.partition), argv[2], 0)
                    except UsedTwice:
                        break       # the slow road says so
                    self._replica.replace(locator, record, delta)
                    if not plan.is_instant:
                        self._coordinator.write(
                            plan, session.hold_key(argv, True), OK, locator, delta, terms.w,
                            terms.sloppy, deadline_ms, True,
                        )
                    else:
                        instant += 1
                        if pending:
                            session.reply(OK)
                        else:
                            out.append(OK)
                            session.out_bytes += 5
                sets += 1
                last_writes[plan.group] = locator
            else:
                if not record:
                    misses += 1
                    reply = NULL3 if session.resp == 3 else NULL2
                elif record[1] == LONE:
                    found = record[LONE_VALUE:]
                    reply = b"$%d\r\n%b\r\n" % (len(found), found)
                elif record[1] == LONE_EXPIRING:
                    alive = value(record, self._now.wall_ms)
                    if alive is None:
                        misses += 1
                        self._replica.note_expired(locator, record)
                        reply = NULL3 if session.resp == 3 else NULL2
                    else:
                        reply = b"$%d\r\n%b\r\n" % (len(alive), alive)
                else:
                    break
                if terms.r > 1 or (kept_for and plan.partition in kept_for):
                    if (plan.replicas if terms.sloppy else plan.strict).answers < terms.r:
                        break
                    reader = Answering(
                        session.hold_key(argv, False), reply, _GET, argv, session.resp == 3,
                        locator, dispatcher.read_again,
                    )
                    self._coordinator.read(
                        plan, reader, locator, record, terms.r, terms.sloppy, deadline_ms
                    )
                elif pending:
                    session.reply(reply)
                else:
                    out.append(reply)
                    session.out_bytes += len(reply)
                gets += 1
            ready.popleft()
            if session.out_bytes > soft_bytes or len(pending) > PENDING_MAX:
                break
        if out and not session.is_dirty:
            session.is_dirty = True
            session.dirty.append(session)
        self._counters.writes_coordinated += instant
        calls = self._calls
        if gets:
            self._counters.keyspace_misses += misses
            self._counters.keyspace_hits += gets - misses
            calls[_GET] = calls.get(_GET, 0) + gets
            session.last_command = _GET.name
        if sets:
            calls[_SET] = calls.get(_SET, 0) + sets
            if not gets or is_write:
                session.last_command = _SET.name
        if gets or sets:
            session.last_ms = self._now.wall_ms
        return gets, sets
