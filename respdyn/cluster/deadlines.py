"""Deadlines without a timer for each: first in, first out within one length of time.

All requests that may wait equally long expire in the order in which they began, so a queue per
length is sorted by itself. The lengths are few (one, until somebody says DYN.WITH TIMEOUT).
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Dated(Protocol):
    """What has a deadline, on the monotonic clock, and knows when it no longer matters."""

    deadline_ms: int
    is_done: bool


T = TypeVar("T", bound=Dated)


class Deadlines(Generic[T]):
    """Things with deadlines; those that are done are passed over."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[T]] = {}

    def add(self, thing: T, length_ms: int) -> None:
        """Remember a thing whose deadline is about `length_ms` from now."""
        queue = self._queues.get(length_ms)
        if queue is None:
            queue = self._queues[length_ms] = deque()
        at = len(queue)
        while at and queue[at - 1].deadline_ms > thing.deadline_ms:
            at -= 1
        queue.insert(at, thing)

    def expired(self, now_ms: int) -> Iterator[T]:
        """Those whose deadline has passed and that are not done, each once."""
        for length, queue in list(self._queues.items()):
            while queue and (queue[0].is_done or queue[0].deadline_ms <= now_ms):
                thing = queue.popleft()
                if not thing.is_done:
                    yield thing
            if not queue:
                del self._queues[length]

    def next_ms(self) -> int | None:
        """The earliest deadline that still matters, or None."""
        first: int | None = None
        for queue in self._queues.values():
            while queue and queue[0].is_done:
                queue.popleft()
            if queue and (first is None or queue[0].deadline_ms < first):
                first = queue[0].deadline_ms
        return first

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
