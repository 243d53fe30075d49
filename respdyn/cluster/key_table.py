"""The table of records, a dictionary for each slot, and how many keys there are in it.

Keys are counted by database and partition, those with a time to live apart. A value that has
expired counts until a read meets it, or it is collected.
"""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

from respdyn.causal.big import roots_of
from respdyn.causal.codec import is_live
from respdyn.causal.persistent_tree import Node, take_down
from respdyn.ring.hashing import SLOTS, Locator, slot_of_locator
from respdyn.types.values import is_timed

NODES_FREED: Final = 1000        # of big records that are no more, in a turn: about a millisecond
OVER_MAX: Final = 10_000         # expired values that are distinguished from those never read


class KeyTable:
    """The records by slot and locator; the code that changes them counts what came and went."""

    def __init__(self) -> None:
        self.slots: list[dict[Locator, bytes]] = [{} for _ in range(SLOTS)]
        self._present = bytearray(SLOTS)             # 1 where a slot has records, or had some
        self.width = 64                              # slots of a partition
        self.live = [[0] * (SLOTS // 64) for _ in range(16)]   # [database][partition]
        self.timed = [[0] * (SLOTS // 64) for _ in range(16)]  # of these, with a time to live
        # Values that a read has met expired, as they were then: they are counted no more.
        self._over: dict[Locator, bytes] = {}
        self._over_before = 0                        # such that were written again since
        self._falling: list[Node] = []               # of big records that are no more
        self._fell: list[Node] = []                  # the same, in this turn

    def get(self, locator: Locator) -> bytes:
        """The record, or b"" for none."""
        return self.slots[locator[0] << 8 | locator[1]].get(locator, b"")

    def _count(self, locator: Locator, before: bytes, after: bytes) -> None:
        """A record came, changed its form, or went; b"" is none."""
        slot = slot_of_locator(locator)
        partition = slot // self.width
        if not before:
            self._present[slot] = 1
        was_live, is_live_now = is_live(before), is_live(after)
        if was_live != is_live_now:
            self.live[locator[2]][partition] += 1 if is_live_now else -1
        was_timed, is_timed_now = is_timed(before), is_timed(after)
        if was_timed != is_timed_now:
            self.timed[locator[2]][partition] += 1 if is_timed_now else -1

    def let_fall(self, record: bytes) -> None:
        """A big record is no more: its nodes are freed some at a time, from the next turn on."""
        self._fell += roots_of(record)

    def free_some(self) -> None:
        """Free what this turn may; what has fallen in it may still be looked at."""
        take_down(self._falling, NODES_FREED)
        self._falling += self._fell
        self._fell.clear()

    def note_expired(self, locator: Locator, record: bytes) -> None:
        """A read has met this record, and its value has expired: it counts no more as a key."""
        before = self._over.get(locator)
        if not is_live(record) or before == record:
            return
        if before is not None:
            self._over_before += 1          # written again, and expired again
        elif len(self._over) >= OVER_MAX:
            self._look_over()
            if len(self._over) >= OVER_MAX:
                return
        self._over[locator] = record

    def keys(self, db: int) -> tuple[list[int], list[int]]:
        """By partition: the keys that have a value, and those of them that have a time to live.

        Expired values count until a read meets them, or they are collected.
        """
        return self.keys_of(range(db, db + 1))[0]

    def keys_of(self, dbs: range) -> list[tuple[list[int], list[int]]]:
        """`keys` of several databases in a row: those that have expired are looked at once."""
        self._look_over()
        counts = [(self.live[db][:], self.timed[db][:]) for db in dbs]
        for locator, record in self._over.items():
            if locator[2] in dbs:
                live, timed = counts[locator[2] - dbs.start]
                partition = slot_of_locator(locator) // self.width
                live[partition] -= 1
                timed[partition] -= is_timed(record)
        return counts

    def expired_keys(self) -> int:
        """How many expired values reads have met, those that are collected since left out."""
        return self._over_before + len(self._over)

    def collected(self, locator: Locator) -> None:
        """This expired value is counted among those that are collected."""
        self._over.pop(locator, None)

    def _look_over(self) -> None:
        """Leave out what was written again."""
        again = [name for name, record in self._over.items() if self.get(name) != record]
        for name in again:
            del self._over[name]
        self._over_before += len(again)

    def partitions(self) -> int:
        """How many there are."""
        return SLOTS // self.width

    def set_partitions(self, partitions: int) -> None:
        """Fix the number of partitions, once the ring is known; the counts are made anew."""
        if SLOTS // partitions == self.width:
            return
        self.width = SLOTS // partitions
        self.live = [[0] * partitions for _ in range(16)]
        self.timed = [[0] * partitions for _ in range(16)]
        for table in self.slots:
            for locator, record in table.items():
                self._count(locator, b"", record)

    def filled(self, first: int, last: int) -> Iterator[int]:
        """The slots from `first` up to, not including, `last` that hold records: most hold none."""
        slots, find = self.slots, self._present.find
        slot = find(1, first, last)
        while slot >= 0:
            if slots[slot]:
                yield slot
            else:
                self._present[slot] = 0
            slot = find(1, slot + 1, last)

    def walk(
        self, slots: range, db: int, position: int
    ) -> Iterator[tuple[int, int, Locator, bytes]]:
        """Records of a database in an order that never changes: (slot, place, locator, record).

        Within a slot records are ordered by the CRC-32 of their key. `position` is the first
        place wanted in the first slot. Keys with the same place come together.
        """
        for slot in slots:
            table = self.slots[slot]
            if table:
                yield from (
                    (slot, place, locator, table[locator])
                    for place, locator in sorted(
                        (crc32(name[3:]), name) for name in table if name[2] == db
                    )
                    if place >= position
                )
            position = 0
