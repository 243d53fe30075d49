"""Keys that are busy, and the commands that wait in line for each.

A command that reads before it writes makes its key *busy* until the read quorum has answered;
commands on that key that arrive meanwhile wait in line, so one client's pipeline takes effect in
order. The first in line when the key is free runs, and makes it busy again if it must read.
That read is for those behind it as well: what was acknowledged before one of them came, was so
before the read began. So a pipeline on one key costs a round for all that waits, not one for each.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

from respdyn.cluster.now import Now
from respdyn.cluster.timeouts import Deadlines
from respdyn.coordination.calls import LAST, Call, QueuedGroup, Waiting
from respdyn.ring.hashing import Locator

LINE_MOST: Final = 500      # commands that share one read: a turn that runs them ends
_WAITED: Final = "TIMEOUT an earlier command on this key is not answered yet: nothing was done"


class Lines:
    """Who waits for which key. `run` begins a command, given whether its quorum was read."""

    def __init__(self, now: Now, run: Callable[[Waiting, bool], bytes | None]) -> None:
        self._now = now
        self.busy: dict[Locator, deque[Waiting]] = {}
        self._run = run
        self._waiting: Deadlines[Waiting] = Deadlines()

    def line_up(self, locator: Locator, waiting: list[Waiting], at: int = LAST) -> bool:
        """Put commands in a key's line. True if it was free: then the caller must run the line."""
        for one in waiting:
            self._waiting.add(one, one.deadline_ms - self._now.now_ms)
        line = self.busy.get(locator)
        if line is None:
            self.busy[locator] = deque(waiting)
        else:
            for place, one in enumerate(waiting, at):
                line.insert(place, one)
        return line is None

    def next_in_line(self, locator: Locator, is_read: bool = False) -> None:
        """The key is free: run what waited for it, until one of those makes it busy again.

        `is_read`: who made it busy has read a quorum, for those that were behind it as well.
        """
        line = self.busy.pop(locator)
        while line:
            waiting = line.popleft()
            if waiting.is_done:
                continue
            waiting.is_done = True
            if isinstance(waiting, QueuedGroup):           # a transaction's group takes the key
                self.busy[locator] = line
                waiting.take()
                return
            reply = self._run(waiting, is_read and waiting.reads_with is line)
            if reply is not None:
                waiting.waiter.fill(reply)
            again = self.busy.get(locator)
            if again is not None:
                again.extend(line)
                _let_read(waiting.call, again)
                return

    def expire(self) -> None:
        """Time passes."""
        for waiting in self._waiting.expired(self._now.now_ms):
            waiting.is_done = True
            waiting.waiter.fail(_WAITED)

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        return self._waiting.first_ms


def _let_read(reader: Call, line: deque[Waiting]) -> None:
    """A call begins to read: for those in line now, too, if its terms are not less than theirs."""
    for one in islice(line, LINE_MOST):
        if (
            not isinstance(one, QueuedGroup) and one.call.terms.r <= reader.terms.r
            and one.call.terms.sloppy == reader.terms.sloppy
        ):
            one.reads_with = line
