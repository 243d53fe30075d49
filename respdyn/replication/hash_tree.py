"""Merkle trees, one for each partition: what two owners compare to find keys that differ.

A tree has two levels. Its leaves are *segments*, fixed shares of the partition's keys: a slot, and
within it the leading bits of the key's CRC-32, about a thousand to a partition. A leaf is the XOR
of the hashes of its keys, each over locator and digest of the record, so the order in which keys
came does not matter. The root is a hash over all leaves and the partition's cleared context.

A write pays for none of this: it marks its slot as stale (`Replica.stale`, one byte for each slot),
and the leaves of stale slots are made anew when they are next read. An expired value has the same
bytes as before, with one exception: what each replica drops by itself when its time is over
(`values.ends_ms`) is left out from then on, so that no replica gives it back to a quicker one. Each
slot knows when the first of its values comes to that.

The price is that a slot is hashed whole, about a microsecond for each record, however little of it
has changed. That is fine for the usual slot with tens of records and bad for one with a million.

Source: Dynamo 4.7; decision 0012.
"""

from typing import Final
from zlib import crc32

from blake3 import blake3

from respdyn.causal.codec import digest
from respdyn.cluster.cleared import Cleared
from respdyn.cluster.now import Now
from respdyn.cluster.replica import Replica
from respdyn.ring.hashing import SLOTS, Locator
from respdyn.types.values import ends_ms

SEGMENTS: Final = 1024          # of a partition, unless it has more slots
LEAF_BYTES: Final = 8
ROOT_BYTES: Final = 16
_NEVER: Final = 1 << 62

Position = tuple[int, int]      # slot, and the CRC-32 of a key in it


class HashTrees:
    """The trees of all partitions of a replica."""

    def __init__(self, replica: Replica, now: Now) -> None:
        self._now = now
        self._replica = replica
        self._width = 0
        self._ends_ms = [_NEVER] * SLOTS            # when something in a slot is to be left out
        self._fit()

    def _fit(self) -> None:
        """Begin anew when the number of partitions has changed."""
        width = self._replica.width
        if width == self._width:
            return
        self._width = width
        per_slot = max(1, SEGMENTS // width)
        self._per_slot = per_slot
        self._shift = 33 - per_slot.bit_length()
        self._empty = bytes(LEAF_BYTES * per_slot)
        self._leaves = [self._empty] * SLOTS        # by slot, its segments one after the other
        self._hashes: dict[int, bytes] = {}         # by partition, over its leaves
        self._first_end_ms = [_NEVER] * (SLOTS // width)    # by partition, of its slots or sooner
        self._replica.stale[:] = b"\x01" * SLOTS

    def slots_of(self, partition: int) -> range:
        """The slots of a partition; empty if there is no such partition."""
        self._fit()
        if not 0 <= partition < SLOTS // self._width:
            return range(0)
        return range(partition * self._width, (partition + 1) * self._width)

    def cost(self, partition: int) -> int:
        """How many records must be hashed before the root is known."""
        slots = self.slots_of(partition)
        self._age(partition, slots)
        tables, find = self._replica.slots, self._replica.stale.find
        records = 0
        slot = find(1, slots.start, slots.stop)
        while slot >= 0:
            records += len(tables[slot])
            slot = find(1, slot + 1, slots.stop)
        return records

    def root(self, partition: int) -> bytes:
        """Equal roots: equal records, and the same was cleared."""
        self._refresh(partition)
        leaves = self._hashes.get(partition)
        if leaves is None:
            leaves = self._hashes[partition] = blake3(self.segments(partition)).digest(ROOT_BYTES)
        cleared = self._replica.cleared.get(partition)
        if not cleared:
            return leaves
        return blake3(leaves + _flat(cleared)).digest(ROOT_BYTES)

    def segments(self, partition: int) -> bytes:
        """All leaves of a partition, `LEAF_BYTES` each."""
        self._refresh(partition)
        slots = self.slots_of(partition)
        return b"".join(self._leaves[slots.start : slots.stop])

    def differing(self, partition: int, theirs: bytes) -> list[int]:
        """The segments in which another's leaves differ, sorted."""
        ours = self.segments(partition)
        return [
            at // LEAF_BYTES for at in range(0, len(ours), LEAF_BYTES)
            if ours[at : at + LEAF_BYTES] != theirs[at : at + LEAF_BYTES]
        ]

    def keys(
        self, partition: int, segments: list[int], start: Position, stop: Position,
        most: int, most_bytes: int,
    ) -> tuple[list[tuple[Locator, bytes]], Position]:
        """Locators and digests in some segments from a position on, and where to go on from.

        Ends at `stop`, or at the first position at which there are `most` or `most_bytes` of them.
        Keys with the same position come together.
        """
        slots = self.slots_of(partition)
        found: list[tuple[Locator, bytes]] = []
        size = 0
        wanted: dict[int, set[int]] = {}
        for segment in segments:
            wanted.setdefault(slots.start + segment // self._per_slot, set()).add(
                segment % self._per_slot
            )
        for slot in sorted(wanted):
            if not start[0] <= slot <= stop[0] or slot not in slots:
                continue
            parts, table = wanted[slot], self._replica.slots[slot]
            last = (-1, -1)
            for place, locator in sorted((crc32(name[3:]), name) for name in table):
                here = (slot, place)
                if here < start or place >> self._shift not in parts or (
                    0 < ends_ms(table[locator]) <= self._now.wall_ms
                ):
                    continue
                if here >= stop:
                    break
                if here != last and (len(found) >= most or size >= most_bytes):
                    return found, here
                last = here
                digested = digest(table[locator])
                size += len(locator) + len(digested)
                found.append((locator, digested))
        return found, stop

    def _refresh(self, partition: int) -> None:
        slots = self.slots_of(partition)
        self._age(partition, slots)
        stale = self._replica.stale
        slot = stale.find(1, slots.start, slots.stop)
        if slot < 0:
            return
        self._hashes.pop(partition, None)
        while slot >= 0:
            stale[slot] = 0
            self._leaves[slot] = self._hash(slot)
            slot = stale.find(1, slot + 1, slots.stop)

    def _age(self, partition: int, slots: range) -> None:
        """Slots in which the time of a value is over are stale."""
        wall_ms, stale = self._now.wall_ms, self._replica.stale
        if not slots or self._first_end_ms[partition] > wall_ms:
            return
        ends = self._ends_ms
        for slot in slots:
            if ends[slot] <= wall_ms:
                ends[slot] = _NEVER
                stale[slot] = 1
        self._first_end_ms[partition] = min(ends[slots.start : slots.stop])

    def _hash(self, slot: int) -> bytes:
        """The leaves of a slot."""
        table, wall_ms = self._replica.slots[slot], self._now.wall_ms
        first_ms = _NEVER
        if not table:
            self._ends_ms[slot] = first_ms
            return self._empty
        shift = self._shift
        leaves = [0] * self._per_slot
        for locator, record in table.items():
            over_ms = ends_ms(record)
            if over_ms:
                if over_ms <= wall_ms:
                    continue
                first_ms = min(first_ms, over_ms)
            hashed = blake3(locator + digest(record)).digest(LEAF_BYTES)
            leaves[crc32(locator[3:]) >> shift] ^= int.from_bytes(hashed, "big")
        self._ends_ms[slot] = first_ms
        partition = slot // self._width
        self._first_end_ms[partition] = min(self._first_end_ms[partition], first_ms)
        return b"".join(leaf.to_bytes(LEAF_BYTES, "big") for leaf in leaves)


def _flat(cleared: Cleared) -> bytes:
    """A cleared context as bytes: equal contexts, equal bytes."""
    return b"".join(
        bytes([db]) + actor + top.to_bytes(8, "big")
        for db, tops in sorted(cleared.items()) for actor, top in sorted(tops.items())
    )
