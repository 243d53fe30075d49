"""Scrubbing: values are checked against their checksums in the background, in memory and on disk.

Memory is walked slot by slot, a few hundred records or a megabyte at a time; a value that is larger
is paid for with a longer pause. A record that fails is dropped, its
node begins a new life (it has forgotten something that it sent to others), and exchange brings the
record back from the other owners at once. The disk is walked by the storage process; what it finds
damaged comes back as a range of names, and this node writes what it holds there once more: while it
runs, memory is the better copy. So nothing that fails its checksum is served, and none of it waits
for a restart to be noticed.

A record of which there is no other copy is lost, and counted.

Source: SEMANTICS 8; Cassandra and Riak find such damage when it is read, which may be never.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.admission import SCRUB
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.replication.exchange import Exchange
from respdyn.ring.hashing import SLOTS, Locator, slot_of_locator

RECORDS: Final = 256            # checked at once, unless a slot has more
BYTES: Final = 1 << 20          # and of so many bytes; a checksum takes 1 ms for them
CHECKED_BYTES: Final = 32       # what checking a record costs, as bytes moved


class Scrub:
    """Walks this node's records, for ever."""

    def __init__(
        self, node: ThisNode, exchange: Exchange, lost_memory: Callable[[], None]
    ) -> None:
        self._node = node
        self._exchange = exchange
        self._lost_memory = lost_memory
        self._slot = 0
        self._next_ms = 0

    def tick(self) -> None:
        """Check the records that are due."""
        node = self._node
        interval_ms = node.settings.scrub_interval_ms
        if not interval_ms or node.now.now_ms < self._next_ms or not node.replica.records:
            return
        self._next_ms = node.now.now_ms + interval_ms
        if not node.admission.room(SCRUB):
            self._next_ms = max(self._next_ms, node.admission.ready_ms(SCRUB))
            return
        replica = node.replica
        checked = size = 0
        for slot in replica.filled(self._slot, SLOTS):
            checked += len(replica.slots[slot])
            size += sum(map(len, replica.slots[slot].values()))
            for locator in replica.damaged_in(slot):
                self._lost(locator)
            if checked >= RECORDS or size >= BYTES:
                self._slot = slot + 1
                break
        else:
            self._slot = 0
            node.counters.scrubs += 1
        node.counters.scrub_records += checked
        self._next_ms += interval_ms * (size // BYTES)
        node.admission.spend(SCRUB, checked * CHECKED_BYTES)

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        node = self._node
        if not node.settings.scrub_interval_ms or not node.replica.records:
            return NEVER
        return self._next_ms

    def _lost(self, locator: Locator) -> None:
        node = self._node
        node.counters.scrub_damages += 1
        partition = slot_of_locator(locator) // node.replica.width
        node.trace.event("record_damaged_in_memory", partition=partition)
        node.replica.lose(locator)
        self._lost_memory()
        self._exchange.suspect(partition)

    def rewrite(self, low: bytes, high: bytes) -> None:
        """The store holds nothing that can be read between these names: write it once more."""
        node = self._node
        node.counters.scrub_disk_damages += 1
        pairs = [*node.replica.stored(low, high), *node.hints.stored(low, high)]
        node.replica.batch += pairs
        node.trace.event("damage_on_disk_mended", records=len(pairs) // 2)
