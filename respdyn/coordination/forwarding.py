"""Forwarding: commands that another node runs for this one.

At most one node coordinates a request. A forwarded command may be held up on its way: in a cut, in
a buffer of a node that is paused. Then its sender gives the node up and the question is whether the
command may be run elsewhere. If the held-up copy could still be begun afterwards, even a plain SET
could bring back a value that was overwritten or deleted meanwhile. So a forwarded command carries a
*window*, and its receiver does not begin it when it may be older than that (see `messages`).

A read that was lost is run again when the window has passed. A write is run again only if the other
node said that it has not begun it, a little later, until its deadline (while nodes start, stop or
take over from each other they may for moments disagree on who coordinates a key, and pass a command
on until its hops are used up); of any other the reply says that the outcome is unknown. Not
even a plain SET may be run twice: the first run is an event of its own, and may exist on that node
alone, unseen, while the second is acknowledged and then overwritten or deleted. When the node comes
back, the first would survive as a sibling: what was deleted would be there again.

While a write to a key is away, whatever comes after it on the same key follows it to the same node
on the same connection, and is run again behind it if it is run again. What a node refuses, it
refuses with all that was sent of that key before this was known. Where a later one of the same
client was begun all the same, the earlier is given up: its client gets the error that it was not
done.
So one client's pipeline takes effect in order.

Source: SEMANTICS 1.7; riak_kv issues 1188 and 1754 are what becomes of it otherwise.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.latencies import Latencies
from respdyn.cluster.link import SLOWEST_BYTES_MS, Link
from respdyn.cluster.messages import (
    ENVELOPE,
    IS_SLOPPY,
    NOT_RUN,
    NUMBER,
    TAKES_EARLY,
    TOO_FEW,
    UNKNOWN,
    bulk,
)
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import MOVING_TIMES, NEVER, Deadlines
from respdyn.commands.declare import READ
from respdyn.coordination.calls import LAST, Call, OutstandingForwards, Retry, Waiting, refuse
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator

OUTCOME_UNKNOWN: Final = "TIMEOUT no answer from the coordinator: the outcome is unknown"
NO_AGREEMENT: Final = (
    "TRYAGAIN the nodes do not agree yet on who owns this key: nothing was done"
)

_OVERLOAD: Final = b"-OVERLOAD"

# After a window has passed: clocks tick in whole milliseconds.
_MARGIN_MS: Final = 10

# Before a command is sent again that no node has begun: the nodes are about to agree.
RETRY_MS: Final = 5


class Forwarding:
    """Commands that this node has forwarded to others."""

    def __init__(
        self, node: ThisNode,
        line_up: Callable[[Locator, list[Waiting], int], bool], run_line: Callable[[Locator], None],
        too_few: Callable[[Call], None],
    ) -> None:
        self._now = node.now
        self.bits = TAKES_EARLY         # of envelopes
        self.away: dict[Locator, OutstandingForwards] = {}
        self.lost: Callable[[str], None] = lambda peer: None    # called with each peer that is lost
        self.failed: Callable[[str], None] = lambda peer: None     # and with each that was no use
        self.latencies = Latencies(lambda took_ms, requests: None)
        self._counters = node.counters
        self._link_to = node.link_to
        self._line_up = line_up
        self._run_line = run_line
        self._too_few = too_few
        self._calls: dict[int, Call] = {}
        self._first_ms = NEVER      # none of them is due before this
        self._retries: Deadlines[Retry] = Deadlines()
        self._number = 0

    def send(self, call: Call, locator: Locator, peer: str, waiter: Waiter) -> None:
        """Ask a peer to run a command on one key."""
        now_ms = self._now.now_ms
        link = self._link_to(peer)
        argv = call.argv
        window_ms = link.window_ms + link.allowance_ms(sum(map(len, argv)))
        if call.hops:
            window_ms = max(0, min(window_ms, call.until_ms - now_ms))
        timeout_ms = max(1, call.deadline_ms - now_ms)
        self._number = number = self._number + 1
        call.number = number
        call.frame = link.number + 1
        call.peer = peer
        call.waiter = waiter
        call.locator = locator
        call.again_ms = now_ms + window_ms + _MARGIN_MS
        call.is_done = False
        away = self.away.get(locator)
        if away is None and call.command.route is not READ:
            away = self.away[locator] = OutstandingForwards(peer)
        if away is not None:
            away.commands += 1
        call.away = away
        self._calls[number] = call
        if call.deadline_ms < self._first_ms:
            self._first_ms = call.deadline_ms
        terms = call.terms
        size = len(argv)
        envelope = ENVELOPE.pack(
            number, call.db, 3 if call.resp3 else 2, call.hops + 1, terms.r, terms.w,
            self.bits | IS_SLOPPY if terms.sloppy else self.bits, timeout_ms, window_ms, size,
        )
        if size == 3:       # one formatting instead of four: most commands are SETs
            one, two, three = argv
            item = b"$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
                ENVELOPE.size, envelope, len(one), one, len(two), two, len(three), three,
            )
        else:
            item = bulk(envelope) + b"".join(map(bulk, argv))
        link.forwards.append(item)
        link.forward_bytes += len(item)
        link.forward_count += 1
        link.forward_items += 1 + size
        self._counters.commands_forwarded += 1

    def answered(self, link: Link, number: int, reply: bytes) -> None:
        """A peer's answer to a forwarded command."""
        call = self._calls.get(number)
        if call is None or call.peer != link.peer:
            return
        self._returned(call, reply != NOT_RUN)
        if reply[:9] == _OVERLOAD:
            self.failed(link.peer)
        if reply == NOT_RUN:
            if call.hops:
                call.waiter.fill(refuse(call.waiter, call.locator))
            elif call.away is None:
                call.again_ms = self._now.now_ms + RETRY_MS
                self._read_again([call], NO_AGREEMENT)
        elif reply == UNKNOWN:
            self._lost([call])
        elif reply == TOO_FEW and not call.hops:
            self._too_few(call)
        else:
            if not call.hops:
                took_ms = self._now.now_ms - call.began_ms
                self.latencies.forwarded(took_ms, call.command.route is READ)
            self.latencies.whom = call.peer
            call.waiter.fill(reply)
            self.latencies.whom = ""

    def goes_on(self, link: Link, item: bytes) -> None:
        """A peer still works on a forwarded command: it has its time from now on.

        Raises `PeerError`.
        """
        if len(item) != 1 + NUMBER.size:
            raise PeerError("a statement about a command without its number")
        call = self._calls.get(NUMBER.unpack(item[1:])[0])
        if call is None or call.peer != link.peer:
            return
        call.deadline_ms = max(call.deadline_ms, self._now.now_ms + call.terms.timeout_ms)
        call.waiter.goes_on()

    def lose(self, peer: str) -> None:
        """The peer will not answer."""
        self.lost(peer)
        lost = [call for call in self._calls.values() if call.peer == peer]
        for call in lost:
            self._returned(call, True)
        self._lost(lost)

    def fell_silent(self, peer: str) -> None:
        """The peer says nothing for longer than it should: reads need not wait for its end.

        Not those that stand behind a write on their key, which may be begun there.
        """
        waits = self._calls.values()
        reads = [one for one in waits if one.peer == peer and one.command.route is READ]
        reads = [one for one in reads if one.away is None]
        for call in reads:
            self._returned(call, True)
        self._lost(reads)

    def _returned(self, call: Call, may_have_begun: bool) -> None:
        """The command is no longer away."""
        del self._calls[call.number]
        call.is_done = True
        away = call.away
        if away is None:
            return
        away.commands -= 1
        if call.hops:
            pass                # whose order that is, another node knows
        elif not may_have_begun:
            self._refused(call, away)
        elif away.commands or away.refused is not None:
            away.begin(call)
        if away.commands == 0:
            del self.away[call.locator]
            if away.refused is not None:
                self._send_again(call.locator, away, away.refused)

    def _refused(self, call: Call, away: OutstandingForwards) -> None:
        """No node has begun it: it waits until all commands on its key are back."""
        if away.is_behind(call) or call.deadline_ms <= self._now.now_ms + RETRY_MS:
            self._counters.timeouts += 1
            call.waiter.fail(NO_AGREEMENT)
            return
        refused = away.refused
        if refused is None:
            refused = away.refused = []
        at = len(refused)
        while at and refused[at - 1].call.number > call.number:
            at -= 1
        waiting = Waiting(call, call.waiter)
        refused.insert(at, waiting)
        if self._line_up(call.locator, [waiting], at):
            away.has_line = True

    def _send_again(
        self, locator: Locator, away: OutstandingForwards, refused: list[Waiting]
    ) -> None:
        """All commands on a key are back: those that no node has begun may be sent once more.

        Not where one behind them was begun: a pipeline's earlier SET would undo its later one.
        """
        for waiting in refused:
            if not waiting.is_done and away.is_behind(waiting.call):
                waiting.is_done = True
                self._counters.timeouts += 1
                waiting.waiter.fail(NO_AGREEMENT)
        if away.has_line:
            self.run_later(locator)

    def run_later(self, locator: Locator) -> None:
        """Have a key's line run after a moment."""
        self._retries.add(Retry(locator, self._now.now_ms + RETRY_MS), RETRY_MS)

    def _lost(self, lost: list[Call]) -> None:
        """Have reads run again when they may be; the outcome of the others is unknown."""
        reads = []
        for call in lost:
            if call.hops:
                call.waiter.fill(UNKNOWN)
            elif call.command.route is READ:
                reads.append(call)
            else:
                self._counters.timeouts += 1
                self._gave_up(call)
        self._read_again(reads, OUTCOME_UNKNOWN)

    def _gave_up(self, call: Call) -> None:
        """The reply says that the outcome of the command is unknown, and which node it waited for.
        """
        took_ms = self._now.now_ms - call.began_ms
        self.latencies.forwarded(took_ms, call.command.route is READ)
        self.latencies.whom = call.peer
        call.waiter.fail(OUTCOME_UNKNOWN)
        self.latencies.whom = ""

    def _read_again(self, reads: list[Call], too_late: str) -> None:
        """Have reads run again, key by key in their order, if there is time left."""
        lines: dict[Locator, list[Call]] = {}
        for call in reads:
            if call.deadline_ms <= call.again_ms:
                self._counters.timeouts += 1
                call.waiter.fail(too_late)
            else:
                lines.setdefault(call.locator, []).append(call)
        for locator, line in lines.items():
            again_ms = max(self._now.now_ms, *(one.again_ms for one in line))
            if self._line_up(locator, [Waiting(one, one.waiter) for one in line], LAST):
                self._retries.add(Retry(locator, again_ms), again_ms - self._now.now_ms)

    # ---- time ----

    def expire(self) -> None:
        """Run again what is due; end the commands that were not answered in time."""
        now_ms = self._now.now_ms
        for retry in self._retries.expired(now_ms):
            retry.is_done = True
            self._run_line(retry.locator)
        if now_ms < self._first_ms:
            return
        calls = self._calls.values()
        overdue = [call for call in calls if call.deadline_ms <= now_ms]
        self._first_ms = min(
            (call.deadline_ms for call in calls if call.deadline_ms > now_ms), default=NEVER
        )
        for call in overdue:
            if self._is_on_its_way(call):
                continue
            self._returned(call, True)
            self._counters.timeouts += 1
            self.failed(call.peer)
            if call.hops:
                call.waiter.fill(UNKNOWN)
            else:
                self._gave_up(call)

    def _is_on_its_way(self, call: Call) -> bool:
        """Whether bytes that it waits for have moved lately; then its time counts from there.

        And more for its size: the coordinator sends it on to others.
        """
        timeout_ms = call.terms.timeout_ms
        moving_ms = self._link_to(call.peer).moving_ms(call.frame)
        until_ms = min(moving_ms, call.began_ms + MOVING_TIMES * timeout_ms) + timeout_ms
        until_ms += sum(map(len, call.argv)) // SLOWEST_BYTES_MS
        if until_ms <= self._now.now_ms:
            return False
        call.deadline_ms = until_ms
        self._first_ms = min(self._first_ms, until_ms)
        return True

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        return min(self._retries.first_ms, self._first_ms)

    def is_idle(self) -> bool:
        """Whether no forwarded command waits."""
        return not self._calls

