"""Garbage collection of tombstones: what a deletion leaves, and when it may be forgotten.

A tombstone is the memory of a deletion: without it an older copy of the value, somewhere, would
bring the value back. It may go once no older copy can exist. `GarbageIndex` has the tombstones here
and since when it holds each as it is now; `replication/collection` agrees with the other owners.

Collecting is fenced by a number for each partition. Before an owner lets any node forget anything
it *promises* a number, durably; what is forgotten is forgotten under that number, which each owner
then remembers as *collected*. So an owner that was left out, because its disk is an older copy of
itself or because it was no owner at that time, meets a higher number than it has promised when it
comes back. It may hold what the others deleted and forgot: it gives its copy up and is filled anew.

An expired value becomes a tombstone first, by a rule computed from its `expire_at`, and is
collected like any other. One that covers nothing but itself (`values.ends_ms`) leaves nothing:
each replica drops it alone once no node's clock can take it for alive.

Source: SEMANTICS 4 and 5; "all three agree" alone brought deleted data back in 39-61 of 3000
simulated schedules. Decisions 0017 and 0033.
"""

from typing import Final

from respdyn.causal.codec import EXPIRES, LIVE
from respdyn.cluster.identity import META
from respdyn.cluster.replica import Replica
from respdyn.ring.hashing import SLOTS, Locator
from respdyn.types import values

_PROMISED: Final = META + b"promised"
_COLLECTED: Final = META + b"collected"
_EARLY: Final = META + b"early"

LOOK_RECORDS: Final = 2048   # looked at in one go, unless one slot has more
MOST_DUE: Final = 8192       # found and not yet dealt with; the rest is found again

Due = dict[int, dict[Locator, bytes]]     # by partition: locator -> record as it was found


class GarbageIndex:
    """The tombstones and the expired values of the partitions that this node owns."""

    def __init__(self, replica: Replica) -> None:
        self.tombstones: Due = {}
        self.expired: Due = {}
        self.due = 0
        self.rounds = 0                                     # walks over all that is owned
        self.oldest_ms = 0                                  # of the last whole walk
        self._replica = replica
        self._since: dict[Locator, tuple[bytes, int]] = {}    # tombstone -> as it is, held since
        self._slot = 0
        self._oldest_ms = 0

    def __len__(self) -> int:
        """How many tombstones this node knows of."""
        return len(self._since)

    def age_ms(self, locator: Locator, record: bytes, now_ms: int) -> int:
        """For how long this node has held a tombstone just as it is; -1 if it does not."""
        known = self._since.get(locator)
        return now_ms - known[1] if known is not None and known[0] == record else -1

    def look(
        self, owned: dict[int, int], now_ms: int, wall_ms: int, grace_ms: int, margin_ms: int,
        stagger_ms: int, over_ms: int,
    ) -> int:
        """Walk on for a while, note what is due, and drop what leaves nothing; how many that was.

        `owned`: partition -> this node's place among its owners. The first owner finds a thing due
        after `grace_ms` (a tombstone) or `margin_ms` (an expired value); the others wait longer by
        `stagger_ms` for each place, so that they step in only if it does not. `over_ms`: what was
        over before that (ms since 1970) is dropped if it leaves nothing.
        """
        if self.due >= MOST_DUE:
            return 0
        dropped = 0
        replica = self._replica
        width = replica.width
        seen = 0
        for slot in replica.filled(self._slot, SLOTS):
            partition = slot // width
            place = owned.get(partition)
            if place is None:
                continue
            table = replica.slots[slot]
            seen += len(table)
            wait_ms = place * stagger_ms
            for locator in self._look_into(
                table, partition, now_ms, grace_ms + wait_ms, wall_ms - margin_ms - wait_ms,
                over_ms,
            ):
                replica.let_go(locator)
                dropped += 1
            if seen >= LOOK_RECORDS or self.due >= MOST_DUE:
                self._next(slot + 1)
                return dropped
        self._next(SLOTS)
        return dropped

    def _look_into(
        self, table: dict[Locator, bytes], partition: int, now_ms: int, grace_ms: int,
        limit_ms: int, over_ms: int,
    ) -> list[Locator]:
        """Note what is due in a slot; which values are over and leave nothing."""
        since = self._since
        over: list[Locator] = []
        for locator, record in table.items():
            form = record[1]
            if form & (LIVE | EXPIRES) == LIVE:
                continue
            if form & LIVE:
                ends_ms = values.ends_ms(record)
                if ends_ms:
                    if ends_ms < over_ms:
                        over.append(locator)
                elif values.is_expired(record, limit_ms):
                    self._note(self.expired, partition, locator, record)
                continue
            known = since.get(locator)
            if known is None or known[0] != record:
                since[locator] = (record, now_ms)
                continue
            age_ms = now_ms - known[1]
            self._oldest_ms = max(self._oldest_ms, age_ms)
            if age_ms >= grace_ms:
                self._note(self.tombstones, partition, locator, record)
        return over

    def _note(
        self, due: Due, partition: int, locator: Locator, record: bytes
    ) -> None:
        found = due.setdefault(partition, {})
        if locator not in found:
            self.due += 1
        found[locator] = record

    def _next(self, slot: int) -> None:
        if slot < SLOTS:
            self._slot = slot
            return
        self._slot = 0
        self.rounds += 1
        self.oldest_ms, self._oldest_ms = self._oldest_ms, 0
        self._forget_the_living()

    def _forget_the_living(self) -> None:
        """Once a walk: what has become something else, or has gone, is no tombstone of ours."""
        replica = self._replica
        gone = [name for name, (record, _) in self._since.items() if replica.get(name) != record]
        for name in gone:
            del self._since[name]

    def take(self, due: Due, most: int, most_partitions: int) -> Due:
        """Some of what is due, by partition, taken off the list."""
        taken: Due = {}
        for partition in list(due)[:most_partitions]:
            found = due[partition]
            names = list(found)[:most]
            taken[partition] = {name: found.pop(name) for name in names}
            if not found:
                del due[partition]
            self.due -= len(names)
            most -= len(names)
            if most <= 0:
                break
        return taken

    def forget(self, locator: Locator) -> None:
        """The tombstone is collected."""
        self._since.pop(locator, None)
        self._replica.forget(locator)


class Promises:
    """The numbers under which this node has let tombstones be forgotten, by partition."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.promised = _restored(replica, _PROMISED)
        self.collected = _restored(replica, _COLLECTED)
        self.early = _restored(replica, _EARLY)     # of these, before the grace was over

    def promise(self, partition: int, number: int) -> bool:
        """Promise a number; True if that is news, and must be made durable before it is sent."""
        if number <= self.promised.get(partition, 0):
            return False
        self.promised[partition] = number
        self._replica.put_meta(_PROMISED + partition.to_bytes(2, "big"), number.to_bytes(8, "big"))
        return True

    def collect(self, partition: int, number: int, is_early: bool) -> None:
        """Tombstones are forgotten under this number."""
        stored, partition_name = number.to_bytes(8, "big"), partition.to_bytes(2, "big")
        if number > self.collected.get(partition, 0):
            self.collected[partition] = number
            self._replica.put_meta(_COLLECTED + partition_name, stored)
        if is_early and number > self.early.get(partition, 0):
            self.early[partition] = number
            self._replica.put_meta(_EARLY + partition_name, stored)

    def has_missed(self, partition: int, collected: int) -> bool:
        """Whether others have collected under a number that this node never promised."""
        return collected > self.promised.get(partition, 0)


def _restored(replica: Replica, name: bytes) -> dict[int, int]:
    return {
        int.from_bytes(key[-2:], "big"): int.from_bytes(value, "big")
        for key, value in replica.meta.items()
        if key.startswith(name) and len(key) == len(name) + 2
    }

