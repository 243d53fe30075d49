"""The driver of the node: what one loop iteration brings is one turn.

The first input of an iteration begins the turn (time is set, once) and schedules its end behind
everything else that is already readable. The end hands one batch to the store, one frame to each
peer and one piece of bytes to each client. One timer wakes the node when nothing else does.

    readable ---> begin: node.advance
    readable ---> node.command, node.frame ...           as many as there are
    call_soon --> end: node.drain -> store.submit, peers, clients, timer

Nothing is decided here; `respdyn.node` says what a driver owes it.
"""

import asyncio
from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Final

from respdyn.metrics import ServerMetrics
from respdyn.node import Node
from respdyn.ports import Store
from respdyn.sessions.session import Session

MILLISECOND_NS: Final = 1_000_000
LONG_NS: Final = 10 * MILLISECOND_NS    # then no more work of clients is taken into a turn
SHORTEST_TIMER_MS: Final = 1       # a deadline in the past must not make the loop spin


class Turn:
    """Between two drains. Who has input for the node calls `begin` first."""

    __slots__ = (
        "_call_soon", "_deadline_ms", "_durable", "_loop", "_now_ms", "_started_ns", "_store",
        "_timer", "_timer_ms", "_wanted", "flush", "is_behind", "is_open", "metrics", "node",
        "send", "submit",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, node: "Node", store: Store, metrics: ServerMetrics,
    ) -> None:
        self.node = node
        self.metrics = metrics
        self.is_open = False
        self.send: Callable[..., None] = lambda peer, *frame: None
        self.flush: Callable[[Session], None] = lambda session: None
        self.is_behind: Callable[[], bool] = lambda: False     # clients wait for the store
        self.submit: Callable[[int, list[bytes], bool], None] = store.submit
        self._loop = loop
        self._call_soon = loop.call_soon
        self._store = store
        self._durable = 0           # as given to the node
        self._wanted = 0            # a generation that the node waits for
        self._started_ns = 0
        self._now_ms = 0            # as given to the node
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = 0
        self._deadline_ms = 0       # as the node last said

    def begin(self) -> None:
        """Open the turn, if it is not: the node learns the time and what became durable."""
        if self.is_open:
            return
        self.is_open = True
        self._started_ns = now_ns = monotonic_ns()
        node = self.node
        self._now_ms = now_ns // MILLISECOND_NS
        node.advance(self._now_ms, time_ns() // MILLISECOND_NS)
        durable = self._store.durable()
        if durable != self._durable:
            self._durable = durable
            if durable >= self._wanted:
                self._wanted = 0
            node.durable(durable)
        self._call_soon(self._end)

    def is_long(self) -> bool:
        """Whether what was taken into this turn is enough.

        The next one is for the rest: peers are answered once a turn, and what leaves in one frame
        is taken by them in one turn as well.
        """
        return monotonic_ns() - self._started_ns > LONG_NS

    def stored(self, generation: int = 0) -> None:
        """Something may have become durable. It waits for the next turn unless it is wanted.

        It is by those who wait for its word, and while clients wait since the store is behind.
        """
        is_wanted = self._wanted or self.is_behind()
        if is_wanted and self._store.durable() > self._durable:
            self.begin()

    def _end(self) -> None:
        self.is_open = False
        out = self.node.drain()
        if out.generation:
            self.submit(out.generation, out.batch, out.sync)
            if out.sync:
                self._wanted = out.generation
        send = self.send
        for peer, frame in out.frames:
            send(peer, *frame)
        flush = self.flush
        for session in out.sessions:
            flush(session)
        if self._wanted or self.is_behind():
            self.stored()
        metrics = self.metrics
        metrics.turns += 1
        took_us = (monotonic_ns() - self._started_ns) // 1000
        metrics.turn_us.observe(took_us)
        self.node.turned(took_us)
        self._arm(self.node.next_deadline())

    def _arm(self, deadline_ms: int) -> None:
        """Wake at the deadline. An earlier timer stays: when it wakes, it is set anew.

        The time of the turn itself: go on at once, but behind what has come in.
        """
        self._deadline_ms = deadline_ms
        if deadline_ms == self._now_ms:
            self._call_soon(self.begin)
            return
        timer = self._timer
        if timer is not None:
            if self._timer_ms <= deadline_ms:
                return
            timer.cancel()
        wait_ms = max(deadline_ms - monotonic_ns() // MILLISECOND_NS, SHORTEST_TIMER_MS)
        self._timer = self._loop.call_later(wait_ms / 1000, self._wake)
        self._timer_ms = deadline_ms

    def _wake(self) -> None:
        self._timer = None
        if self.is_open:
            return              # its end sets a timer
        if self._deadline_ms > monotonic_ns() // MILLISECOND_NS:
            self._arm(self._deadline_ms)
        else:
            self.begin()
