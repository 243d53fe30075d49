"""Deadlines without a timer for each: first in, first out within one length of time.

All requests that may wait equally long expire in the order in which they began, so a queue per
length is sorted by itself. The lengths are few (one, until a client says DYN.WITH TIMEOUT).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

NEVER: Final = 1 << 62

# Who waits for bytes that move on a link has its time from when the last arrived, for at most so
# many times its time-out.
MOVING_TIMES: Final = 8


class Dated(Protocol):
    """What has a deadline, on the monotonic clock, and knows when it no longer matters."""

    deadline_ms: int
    is_done: bool


T = TypeVar("T", bound=Dated)


class Deadlines(Generic[T]):
    """Things with deadlines; those that are done are passed over.

    Called every turn, it costs one comparison while nothing is due.
    """

    def __init__(self) -> None:
        self.first_ms = NEVER       # nothing is due before this
        self._queues: dict[int, deque[T]] = {}

    def add(self, thing: T, length_ms: int) -> None:
        """Remember a thing whose deadline is about `length_ms` from now."""
        queue = self._queues.get(length_ms)
        if queue is None:
            queue = self._queues[length_ms] = deque()
        while queue and queue[0].is_done:
            queue.popleft()
        deadline_ms = thing.deadline_ms
        if deadline_ms < self.first_ms:
            self.first_ms = deadline_ms
        at = len(queue)
        while at and queue[at - 1].deadline_ms > deadline_ms:
            at -= 1
        queue.insert(at, thing)

    def expired(self, now_ms: int) -> Iterable[T]:
        """Those whose deadline has passed and that are not done, each once. Take them all."""
        return () if now_ms < self.first_ms else self._expired(now_ms)

    def _expired(self, now_ms: int) -> Iterator[T]:
        for queue in list(self._queues.values()):
            while queue and (queue[0].is_done or queue[0].deadline_ms <= now_ms):
                thing = queue.popleft()
                if not thing.is_done:
                    yield thing
        self._queues = {length: queue for length, queue in self._queues.items() if queue}
        self.first_ms = min(
            (queue[0].deadline_ms for queue in self._queues.values()), default=NEVER
        )

    def open(self) -> list[T]:
        """Those that are not done."""
        return [thing for queue in self._queues.values() for thing in queue if not thing.is_done]

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
