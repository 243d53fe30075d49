"""Which keys expire next, for keyspace events and for caches of clients (CLIENT TRACKING).

An expiry is no write. It follows from `expire_at`, so no node sends or mints anything for it, and
while no client wants events this room is empty and costs nothing. Else it keeps the times of the
records here that have one, soonest first: at the start by a walk through the slots a few at a time,
afterwards from each turn's batch.

The key's coordinator announces it when the time has come. Each other owner looks again `GRACE_MS`
later: if it is the coordinator by then, the one before may have died without a word, and it
announces it. So an expiry is announced at least once while one owner lives, twice at a failure,
late by the grace at most.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.commands.events import LONG_PAST_MS
from respdyn.ring.hashing import SLOTS, Locator, is_locator, slot_of_locator
from respdyn.types.values import ends_at, expire_at

GRACE_MS: Final = 5000          # longer than it takes to notice that a node has failed
SLOTS_PER_TICK: Final = 64      # of the first walk
ANNOUNCED_PER_TICK: Final = 1000     # keys whose time has come
EXPIRES: Final = 2              # the bit of a record's second byte: it mentions an expiry
_SLACK: Final = 1000            # outdated entries that are let be

Due = tuple[int, Locator, int]    # when to look, locator, when it expires


class Expiring:
    """The times of this node's keys."""

    def __init__(
        self, node: ThisNode, announce: Callable[[Locator], None]
    ) -> None:
        self.is_watching = False
        self._node = node
        self._now = node.now
        self._replica = node.replica
        self._here = node.identity.node_id
        self._announce = announce
        self._times: dict[Locator, int] = {}      # when a key expires, by locator
        self._queue: list[Due] = []             # a heap; some of it is outdated
        self._walked = SLOTS                    # slots of the first walk

    def watch(self, is_wanted: bool) -> None:
        """Begin to watch, or forget everything."""
        if is_wanted == self.is_watching:
            return
        self.is_watching = is_wanted
        self._walked = 0 if is_wanted else SLOTS
        self._times.clear()
        self._queue.clear()

    def note(self, batch: list[bytes]) -> None:
        """A turn's changed records, flat pairs; the node's own facts are among them."""
        for at in range(0, len(batch), 2):
            locator, record = batch[at], batch[at + 1]
            if is_locator(locator) and (
                locator in self._times or (record and record[1] & EXPIRES)
            ):
                self._keep(locator, record)

    def _keep(self, locator: Locator, record: bytes) -> None:
        at = ends_at(record)
        if not at or at <= self._now.wall_ms - LONG_PAST_MS:    # went with its write, if any
            self._times.pop(locator, None)
        elif self._times.get(locator) != at:
            self._times[locator] = at
            heappush(self._queue, (at, locator, at))
            if len(self._queue) > 2 * len(self._times) + _SLACK:
                self._queue = [(at, name, at) for name, at in self._times.items()]
                heapify(self._queue)

    def tick(self) -> None:
        """Announce the keys whose time has come."""
        wall_ms = self._now.wall_ms
        if not self.is_watching or not self._node.plans:
            return
        if self._walked < SLOTS:
            self._walk()
        for _ in range(ANNOUNCED_PER_TICK):
            if not self._queue or self._queue[0][0] > wall_ms:
                return
            self._come(*heappop(self._queue))

    def _come(self, due: int, locator: Locator, at: int) -> None:
        """A time has come. If the key has another by now, there is another entry for it."""
        if self._times.get(locator) != at:
            return
        plan = self._node.plans[slot_of_locator(locator)]
        if plan.coordinator != self._here and due == at:
            heappush(self._queue, (at + GRACE_MS, locator, at))
            return
        del self._times[locator]
        if plan.coordinator == self._here and ends_at(self._replica.get(locator)) == at:
            self._announce(locator)

    def _walk(self) -> None:
        """The records that were here before a client wanted events."""
        end = min(SLOTS, self._walked + SLOTS_PER_TICK)
        for table in self._replica.slots[self._walked : end]:
            for locator, record in table.items():
                if record[1] & EXPIRES and expire_at(record, self._now.wall_ms):
                    self._keep(locator, record)
        self._walked = end

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        if not self.is_watching:
            return NEVER
        if self._walked < SLOTS:
            return self._now.now_ms + 1
        if not self._queue:
            return NEVER
        return self._now.now_ms + max(1, self._queue[0][0] - self._now.wall_ms)
