"""Commands that another node runs for this one.

At most one node coordinates a request. A forwarded command may be held up on its way: in a cut, in
a buffer of a node that is paused. Then its sender gives the node up and the question is whether the
command may be run elsewhere. If the held-up copy could still be begun afterwards, even a plain SET
could bring back a value that was overwritten or deleted meanwhile. So a forwarded command carries a
*window*, and its receiver does not begin it when it may be older than that (see `messages`); the
sender runs it again only when the window has passed, and only a command that does the same when run
twice. For others the client is told that the outcome is unknown.

While a write to a key is away, whatever comes after it on the same key follows it to the same node
on the same connection, and is run again behind it if it is run again. So one client's pipeline
takes effect in order.

Source: SEMANTICS 1.7; riak_kv issues 1188 and 1754 are what becomes of it otherwise.
"""

from collections.abc import Callable

from respdyn.cluster.counters import Counters
from respdyn.cluster.deadlines import Deadlines
from respdyn.cluster.link import Link
from respdyn.cluster.messages import ENVELOPE, NOT_RUN, UNKNOWN, bulk
from respdyn.cluster.quorum import Waiter
from respdyn.commands.declare import READ, WRITE
from respdyn.engine.calls import Call, Doubtful, Forward, Retry, Waiting

OUTCOME_UNKNOWN = "TIMEOUT no answer from the coordinator: the outcome is unknown"

# How long a forwarded command may take to its coordinator before it is not begun there: four round
# trips, and at least this. A command lost with its node is run elsewhere after that time.
_WINDOW_MS = 250
_MARGIN_MS = 10


class Away:
    """A key with a write that was forwarded: where to, and how many commands on it are there."""

    __slots__ = ("commands", "peer")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.commands = 1


class Forwarding:
    """What this node has asked others to run."""

    def __init__(
        self, counters: Counters, link_to: Callable[[str], Link],
        line_up: Callable[[bytes, list[Waiting]], bool], run_line: Callable[[bytes], None],
    ) -> None:
        self.now_ms = 0
        self.away: dict[bytes, Away] = {}
        self._counters = counters
        self._link_to = link_to
        self._line_up = line_up
        self._run_line = run_line
        self._forwards: dict[int, Forward] = {}
        self._deadlines: Deadlines[Forward] = Deadlines()
        self._retries: Deadlines[Retry] = Deadlines()
        self._number = 0

    def send(
        self, call: Call, locator: bytes, peer: str, waiter: Waiter
    ) -> None:
        """Ask a peer to run a command on one key."""
        timeout_ms = max(1, call.deadline_ms - self.now_ms)
        link = self._link_to(peer)
        window_ms = max(_WINDOW_MS, int(4 * link.round_trip_ms))
        if call.hops:
            window_ms = min(window_ms, call.until_ms - self.now_ms)
        self._number += 1
        forward = Forward(
            self._number, call, waiter, peer, call.deadline_ms, locator,
            self.now_ms + window_ms + _MARGIN_MS,
        )
        away = self.away.get(locator)
        if away is not None:
            away.commands += 1
        elif call.command.route is not READ:
            self.away[locator] = Away(peer)
        self._forwards[forward.number] = forward
        self._deadlines.add(forward, timeout_ms)
        terms = call.terms
        argv = call.argv
        envelope = ENVELOPE.pack(
            forward.number, call.db, 3 if call.resp3 else 2, call.hops + 1, terms.r, terms.w,
            terms.sloppy, timeout_ms, window_ms, len(argv),
        )
        link.forwards.append(
            b"$%d\r\n%b\r\n" % (len(envelope), envelope) + b"".join(map(bulk, argv))
        )
        link.forward_count += 1
        link.forward_items += 1 + len(argv)
        self._counters.commands_forwarded += 1

    def answered(self, link: Link, number: int, reply: bytes) -> None:
        """What became of a command that a peer was asked to run."""
        forward = self._forwards.get(number)
        if forward is None or forward.peer != link.peer:
            return
        self._returned(forward)
        if reply == NOT_RUN:
            forward.again_ms = self.now_ms
            self._again([forward], True)
        elif reply == UNKNOWN:
            self._again([forward], False)
        else:
            forward.waiter.fill(reply)

    def lose(self, peer: str) -> None:
        """The peer will not answer."""
        lost = [one for one in self._forwards.values() if one.peer == peer]
        for forward in lost:
            self._returned(forward)
        self._again(lost, False)

    def _returned(self, forward: Forward) -> None:
        """The command is no longer away."""
        self._forwards.pop(forward.number, None)
        forward.is_done = True
        away = self.away.get(forward.locator)
        if away is not None and away.peer == forward.peer:
            away.commands -= 1
            if away.commands == 0:
                del self.away[forward.locator]

    def _again(self, lost: list[Forward], was_not_run: bool) -> None:
        """Have those run again that may be, key by key in their order; tell the others."""
        lines: dict[bytes, list[Forward]] = {}
        for forward in lost:
            call = forward.call
            if was_not_run and call.hops:
                forward.waiter.fill(NOT_RUN)
            elif call.hops:
                forward.waiter.fill(UNKNOWN)
            elif not (was_not_run or is_repeatable(call)) or forward.is_too_late():
                self._counters.timeouts += 1
                forward.waiter.fail(OUTCOME_UNKNOWN)
            else:
                if not was_not_run and call.command.route is not READ:
                    forward.waiter = Doubtful(forward.waiter, OUTCOME_UNKNOWN)
                lines.setdefault(forward.locator, []).append(forward)
        for locator, line in lines.items():
            waiting = [Waiting(one.call, one.waiter) for one in line]
            if self._line_up(locator, waiting):
                again_ms = max(self.now_ms, *(one.again_ms for one in line))
                self._retries.add(Retry(locator, again_ms), again_ms - self.now_ms)

    # ---- time ----

    def expire(self, now_ms: int) -> None:
        """Run again what is due; tell those whose command was not answered in time."""
        self.now_ms = now_ms
        for retry in self._retries.expired(now_ms):
            retry.is_done = True
            self._run_line(retry.locator)
        for forward in self._deadlines.expired(now_ms):
            self._returned(forward)
            self._counters.timeouts += 1
            if forward.call.hops:
                forward.waiter.fill(UNKNOWN)
            else:
                forward.waiter.fail(OUTCOME_UNKNOWN)

    def next_deadline(self) -> int | None:
        """When `expire` has work at the earliest."""
        times = [
            time for time in (self._deadlines.next_ms(), self._retries.next_ms())
            if time is not None
        ]
        return min(times) if times else None

    def is_idle(self) -> bool:
        """Whether no forwarded command waits."""
        return not self._forwards


def is_repeatable(call: Call) -> bool:
    """Whether running the call twice does what running it once does."""
    command = call.command
    if command.route is READ:
        return True
    observes = command.observes is not None and command.observes(call.argv)
    return command.route is WRITE and not command.wants_loc and not observes
