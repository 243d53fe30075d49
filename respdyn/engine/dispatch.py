"""From a command's words to whoever runs it: here, at its key's coordinator, or in parts.

A command on one key runs at an owner of the key. Writes run at the first owner that can be reached
(so that a key's writers are serialised and commands that read first behave as in Redis while
nothing fails), reads at this node if it owns the key. Everything else is forwarded, once.

A command that reads before it writes makes its key *busy* until the read quorum has answered;
commands on that key that arrive meanwhile wait in line, so one client's pipeline takes effect in
order. Plain reads and blind writes take effect in the call.

At most one node coordinates a request: when a forwarded one may have been run already, it is tried
again elsewhere only if running it twice does no harm; otherwise the client is told that the outcome
is unknown.

Source: Dynamo 4.5 and 6.4; SEMANTICS 1.7 and 2.
"""

from binascii import crc_hqx
from collections import deque
from collections.abc import Callable

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.counters import Counters
from respdyn.cluster.deadlines import Deadlines
from respdyn.cluster.link import Link
from respdyn.cluster.messages import ENVELOPE, bulk as encode_bulk
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.replica import LIVE, Replica
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import GATHER, READ, UPDATE, WRITE, Command
from respdyn.commands.table import lookup
from respdyn.engine.calls import Answering, Call, Forward, Gathering, Part, PeerReply, Updating
from respdyn.types.strings import Stamp
from respdyn.errors import PeerError, ReplyError
from respdyn.resp.replies import error
from respdyn.ring.hashing import PREFIX, slot_of

_MAX_HOPS = 2
_UNKNOWN = "TIMEOUT no answer from the coordinator: the outcome is unknown"
_NO_OWNER = "NOQUORUM reachable=0: no owner of this key can be reached"
CANNOT_STORE = (
    "MISCONF this node cannot store: {}. Writes are refused here until the cause is gone; "
    "reads and other nodes go on"
)
_NO_LEASE = "MISCONF the lease of this node's counter is not stored yet; try again"

Waiting = tuple[Call, Waiter]


class Away:
    """A key with a write that was forwarded: where to, and how many commands on it are there."""

    __slots__ = ("commands", "peer")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.commands = 1


class Dispatcher:
    """Routes commands on keys."""

    def __init__(
        self, replica: Replica, coordinator: Coordinator, counters: Counters, here: str,
        stamp: Callable[[], Stamp], can_mint: Callable[[], bool],
        link_to: Callable[[str], Link],
    ) -> None:
        self.now_ms = 0                 # monotonic, for deadlines
        self.wall_ms = 0                # for expiry
        self.plans: list[Plan] = []
        self.cannot_store = ""          # the reason, while the disk fails
        self._replica = replica
        self._slots = replica.slots
        self._coordinator = coordinator
        self._counters = counters
        self._here = here
        self._stamp = stamp
        self._can_mint = can_mint
        self._link_to = link_to
        self._busy: dict[bytes, deque[Waiting]] = {}
        self._forwards: dict[int, Forward] = {}
        self._deadlines: Deadlines[Forward] = Deadlines()
        self._away: dict[bytes, Away] = {}
        self._number = 0
        self._terms: dict[tuple[int, int, bool, int], Terms] = {}

    # ---- one key ----

    def execute(
        self, command: Command, argv: list[bytes], db: int, resp3: bool, terms: Terms,
        target: Target, hops: int = 0,
    ) -> bytes | None:
        """Run a command on one key. The reply, or None: then `target` was asked for a place."""
        key = argv[command.keys.first]
        slot = slot_of(key) if b"{" in key else crc_hqx(key, 0) & 16383
        locator = PREFIX[db][slot] + key
        plan = self.plans[slot]
        route = command.route
        if (
            not plan.is_owner
            or (route is not READ and plan.coordinator != self._here)
            or (self._away and locator in self._away)
        ):
            call = Call(command, argv, db, resp3, terms, hops)
            return self._elsewhere(call, locator, plan, target, terms.timeout_ms)
        if self._busy and locator in self._busy:
            call = Call(command, argv, db, resp3, terms, hops)
            self._busy[locator].append((call, target.hold()))
            return None
        if route is READ:
            record = self._slots[slot].get(locator, b"")
            try:
                if command.wants_loc:
                    reply = command.read_at(argv, record, self.wall_ms, resp3, locator)
                else:
                    reply = command.read(argv, record, self.wall_ms, resp3)
            except ReplyError as wrong:
                return error(wrong.text)
            if terms.r <= 1:
                return reply
            if len(plan.replicas.readers) + 1 < terms.r:
                return self._too_few("R", terms.r, len(plan.replicas.readers) + 1)
            call = Call(command, argv, db, resp3, terms, hops)
            reader = Answering(target.hold(), reply, call, locator, self._read_again)
            self._coordinator.read(plan, reader, locator, record, terms)
            return None
        if terms.r > 1 and (
            route is UPDATE or (command.observes is not None and command.observes(argv))
        ):
            call = Call(command, argv, db, resp3, terms, hops)
            return self._read_first(call, locator, slot, plan, target)
        return self._apply(command, argv, locator, plan, resp3, terms, target)

    def _apply(
        self, command: Command, argv: list[bytes], locator: bytes, plan: Plan, resp3: bool,
        terms: Terms, target: Target,
    ) -> bytes | None:
        """The write itself: run the command on the record here, join and ship the delta."""
        if len(plan.replicas.writers) + 1 < terms.w:
            return self._too_few("W", terms.w, len(plan.replicas.writers) + 1)
        if self.cannot_store:
            return error(CANNOT_STORE.format(self.cannot_store))
        if not self._can_mint():
            return error(_NO_LEASE)
        record = self._slots[locator[0] << 8 | locator[1]].get(locator, b"")
        try:
            if command.wants_loc:
                reply, delta = command.write_at(
                    argv, record, self.wall_ms, resp3, self._stamp(), locator
                )
            else:
                reply, delta = command.write(argv, record, self.wall_ms, resp3, self._stamp())
        except ReplyError as wrong:
            return error(wrong.text)
        if not delta:
            return reply
        self._replica.join(locator, delta)
        if plan.is_instant:
            self._counters.writes_coordinated += 1
            return reply
        # A delta with a value of its own overwrites what it saw: it wants to hear of what it did
        # not see. Clients that send contexts want their siblings kept.
        wants_feedback = delta[1] & LIVE != 0 and not command.wants_loc
        self._coordinator.write(
            plan, target.hold(), reply, locator, delta, terms, wants_feedback
        )
        return None

    def _read_again(self, call: Call, locator: bytes, record: bytes) -> bytes:
        """The reply of a read, from the join of what the replicas hold."""
        command = call.command
        try:
            if command.wants_loc:
                return command.read_at(call.argv, record, self.wall_ms, call.resp3, locator)
            return command.read(call.argv, record, self.wall_ms, call.resp3)
        except ReplyError as wrong:
            return error(wrong.text)

    def _too_few(self, letter: str, wanted: int, reachable: int) -> bytes:
        self._counters.quorum_failures += 1
        return error(f"NOQUORUM {letter}={wanted} reachable={reachable}: nothing was done")

    # ---- read, then write ----

    def _read_first(
        self, call: Call, locator: bytes, slot: int, plan: Plan, target: Target
    ) -> bytes | None:
        terms = call.terms
        if len(plan.replicas.readers) + 1 < terms.r:
            return self._too_few("R", terms.r, len(plan.replicas.readers) + 1)
        waiter = target.hold()
        self._busy[locator] = deque()

        def run() -> None:
            self._finish(call, locator, waiter)

        def failed(text: str) -> None:
            waiter.fail(text)
            self._next_in_line(locator)

        record = self._slots[slot].get(locator, b"")
        self._coordinator.read(plan, Updating(run, failed), locator, record, terms)
        return None

    def _finish(self, call: Call, locator: bytes, waiter: Waiter) -> None:
        """The second half of a read-modify-write."""
        plan = self.plans[locator[0] << 8 | locator[1]]
        if not plan.is_owner:
            waiter.fail(_UNKNOWN)
        else:
            reply = self._apply(
                call.command, call.argv, locator, plan, call.resp3, call.terms, waiter
            )
            if reply is not None:
                waiter.fill(reply)
        self._next_in_line(locator)

    def _next_in_line(self, locator: bytes) -> None:
        """The key is free: run what waited for it, until one of those makes it busy again."""
        line = self._busy.pop(locator)
        while line:
            call, waiter = line.popleft()
            reply = self.execute(
                call.command, call.argv, call.db, call.resp3, call.terms, waiter, call.hops
            )
            if reply is not None:
                waiter.fill(reply)
            again = self._busy.get(locator)
            if again is not None:
                again.extend(line)
                return

    # ---- several keys ----

    def gather(
        self, command: Command, argv: list[bytes], db: int, resp3: bool, terms: Terms,
        target: Target,
    ) -> bytes | None:
        """Run a command on several keys as commands on one."""
        parts = command.parts(argv)
        gathering = Gathering(len(parts), command.fold, target.hold())
        for index, part_argv in enumerate(parts):
            part = Part(gathering, index)
            reply = self.run(part_argv, db, resp3, terms, part)
            if reply is not None:
                part.fill(reply)
        return None

    def run(
        self, argv: list[bytes], db: int, resp3: bool, terms: Terms, target: Target
    ) -> bytes | None:
        """Run a command on one or several keys, given its words."""
        command = lookup(argv)
        if command.single is not None and len(argv) == 2:
            command = command.single
        if command.route is GATHER:
            return self.gather(command, argv, db, resp3, terms, target)
        return self.execute(command, argv, db, resp3, terms, target)

    # ---- forwarding ----

    def _elsewhere(
        self, call: Call, locator: bytes, plan: Plan, target: Target, timeout_ms: int
    ) -> bytes | None:
        """Forward a call to a node that may run it.

        While a write to the key is away, what comes after it follows it: to the same node, on the
        same connection. So one client's pipeline takes effect in order.
        """
        away = self._away.get(locator)
        if away is not None:
            peer = away.peer
        elif call.command.route is READ:
            owners = [link.peer for link in plan.replicas.readers]
            peer = owners[(locator[0] << 8 | locator[1]) % len(owners)] if owners else ""
        else:
            peer = plan.coordinator
            if not peer and self.cannot_store and plan.is_owner:
                return error(CANNOT_STORE.format(self.cannot_store))
        if not peer:
            self._counters.quorum_failures += 1
            return error(_NO_OWNER)
        if call.hops >= _MAX_HOPS:
            return error("TRYAGAIN the nodes do not agree yet on who owns this key")
        link = self._link_to(peer)
        self._number += 1
        forward = Forward(
            self._number, call, target.hold(), peer, self.now_ms + timeout_ms, locator
        )
        if away is not None:
            away.commands += 1
        elif call.command.route is not READ:
            self._away[locator] = Away(peer)
        self._forwards[forward.number] = forward
        self._deadlines.add(forward, timeout_ms)
        terms = call.terms
        argv = call.argv
        envelope = ENVELOPE.pack(
            forward.number, call.db, 3 if call.resp3 else 2, call.hops + 1, terms.r, terms.w,
            terms.sloppy, timeout_ms, len(argv),
        )
        link.forwards.append(
            b"$%d\r\n%b\r\n" % (len(envelope), envelope) + b"".join(map(encode_bulk, argv))
        )
        link.forward_count += 1
        link.forward_items += 1 + len(argv)
        self._counters.commands_forwarded += 1
        return None

    def forwarded(self, link: Link, items: list[bytes], at: int) -> int:
        """A peer's forwarded command, at this position of its frame; the position behind it."""
        envelope = items[at]
        if len(envelope) != ENVELOPE.size:
            raise PeerError("a forwarded command without a proper envelope")
        fields: tuple[int, ...] = ENVELOPE.unpack(envelope)
        number, db, protocol, hops, r, w, sloppy, timeout_ms, size = fields
        end = at + 1 + size
        if end > len(items) or not size or db > 15:
            raise PeerError("a forwarded command that is cut short")
        argv = items[at + 1 : end]
        waiter = PeerReply(link, number)
        terms = self._terms.get((r, w, bool(sloppy), timeout_ms))
        if terms is None:
            if len(self._terms) > 1000:
                self._terms.clear()
            terms = Terms(r, w, bool(sloppy), timeout_ms)
            self._terms[r, w, bool(sloppy), timeout_ms] = terms
        try:
            command = lookup(argv)
            if command.single is not None and size == 2:
                command = command.single
            if command.route not in (READ, WRITE, UPDATE) or size <= command.keys.first:
                raise PeerError(f"a forwarded command that is not forwarded: {command.name}")
            reply = self.execute(command, argv, db, protocol == 3, terms, waiter, hops)
        except ReplyError as wrong:
            reply = error(wrong.text)
        if reply is not None:
            waiter.fill(reply)
        return end

    def answered(self, link: Link, number: int, reply: bytes) -> None:
        """The reply to a command that we forwarded."""
        forward = self._forwards.get(number)
        if forward is None or forward.peer != link.peer:
            return
        self._returned(forward)
        forward.waiter.fill(reply)

    def _returned(self, forward: Forward) -> None:
        """The command is no longer away."""
        self._forwards.pop(forward.number, None)
        forward.is_done = True
        away = self._away.get(forward.locator)
        if away is not None and away.peer == forward.peer:
            away.commands -= 1
            if away.commands == 0:
                del self._away[forward.locator]

    def lose(self, peer: str) -> None:
        """The peer is gone: try again what may be tried again, tell the others."""
        lost = [one for one in self._forwards.values() if one.peer == peer]
        for forward in lost:
            self._returned(forward)
        for forward in lost:
            call = forward.call
            left_ms = forward.deadline_ms - self.now_ms
            if not _is_repeatable(call) or left_ms <= 0:
                self._counters.timeouts += 1
                forward.waiter.fail(_UNKNOWN)
                continue
            terms = Terms(call.terms.r, call.terms.w, call.terms.sloppy, left_ms)
            reply = self.execute(
                call.command, call.argv, call.db, call.resp3, terms, forward.waiter, call.hops
            )
            if reply is not None:
                forward.waiter.fill(reply)

    def expire(self, now_ms: int) -> None:
        """Tell those whose forwarded command was not answered in time."""
        self.now_ms = now_ms
        for forward in self._deadlines.expired(now_ms):
            self._returned(forward)
            self._counters.timeouts += 1
            forward.waiter.fail(_UNKNOWN)

    def next_deadline(self) -> int | None:
        """When `expire` has work at the earliest."""
        return self._deadlines.next_ms()

    def is_idle(self) -> bool:
        """Whether no forwarded command waits."""
        return not self._forwards and not self._busy


def _is_repeatable(call: Call) -> bool:
    """Whether running the call twice does what running it once does."""
    command = call.command
    if command.route is READ:
        return True
    observes = command.observes is not None and command.observes(call.argv)
    return command.route is WRITE and not command.wants_loc and not observes
