"""Hints: writes that this node keeps for owners that could not be given them.

A node that stands in for an owner puts nothing into its own copy of the slots, which it has no
right to answer from, but here, by owner and partition. A hint is the join of all that was written
to a key for that owner, or a cleared context. Each one is stored under a name of its own beside the
node's other facts, so hints survive a restart, and one that is forgotten is gone from the disk.
Owners are named by node id and not by actor: one that lost its disk needs its hints all the more.

A reader may be answered from a hint only if it is *whole*: it began with the full state of the key
as some coordinator knew it, not with a change alone. Half a counter would be a wrong number.

The age of a hint is that of the oldest write in it. What is older than `max_age_ms` is dropped and
never delivered, for a deletion that it does not know of may have been forgotten by then. If more
bytes are kept than `limit_bytes`, this node says so (`is_full`) and no node gives it more; until
others know that it keeps what comes, since what it acknowledged was counted toward W.

A read that is under way may have reached the owner before its hint did, and come here after.
So what was delivered is known here for `remember_ms` more, for as long as a read may take.

Source: Dynamo 4.6; decision 0013; riak_core issue 154 (hints that were not looked for after
a restart); Scylla issue 23712 (an old hint brought back what was deleted).
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final
from zlib import crc32

from respdyn.causal.codec import actors_of, join_records, rows_of
from respdyn.causal.parts import fitting
from respdyn.cluster.cleared import Tops, above, decode_tops, encode_tops, raise_by, raise_to
from respdyn.cluster.hint import CLEARING, Entry, Hint, Shelf, stored_name
from respdyn.cluster.hint_rows import (
    PIECE_BYTES,
    HintRows,
    is_given,
    is_taken_apart,
    size_of,
    sweep_of,
    take_piece,
)
from respdyn.cluster.identity import META
from respdyn.cluster.now import Now
from respdyn.cluster.replica import HINT, Replica
from respdyn.cluster.statistics import Counters
from respdyn.ring.hashing import Locator, is_locator, slot_of_locator

_ROOM_AGAIN: Final = 0.9           # of `limit_bytes`: at which a full node takes hints again


class Hints:
    """All hints of this node."""

    def __init__(
        self, replica: Replica, counters: Counters, limit_bytes: int, max_age_ms: int, now: Now
    ) -> None:
        self.limit_bytes = limit_bytes
        self.max_age_ms = max_age_ms
        self.remember_ms = 0            # for so long what was delivered
        self.count = 0
        self.bytes = 0
        self.serial = 0                 # of the last write that was kept
        self._rows = HintRows()
        self.fresh: dict[str, None] = {}    # owners with hints that handoff does not know of
        # Owners and partitions for which the first hint has come, or the last one gone.
        self.changed: dict[tuple[bytes, int], None] = {}
        self._delivered: dict[Locator, tuple[int, bytes]] = {}    # until when, and what
        self._now = now
        self._replica = replica
        self._counters = counters
        self._shelves: dict[str, dict[int, Shelf]] = {}     # by owner, by partition
        self._is_full = False
        self._touched: dict[int, int] = {}      # partition -> when a hint of it last came or went

    # ---- keeping ----

    def keep(self, owner: str, locator: Locator, record: bytes, is_whole: bool) -> bytes:
        """Join a record into what is kept for an owner; returns the outcome."""
        for tops in self._clearings(self._partition_of(locator), locator[2]):
            record = above(record, tops)
            if not record:
                return b""
        return self._keep(owner, self._partition_of(locator), locator, record, is_whole)

    def keep_cleared(self, owner: str, partition: int, db: int, tops: Tops) -> None:
        """Raise the cleared context that is kept for an owner; records below it are dropped."""
        name = CLEARING + bytes([db]) + partition.to_bytes(2, "big")
        shelf = self._shelves.get(owner, {}).get(partition)
        known = shelf.hints.get(name) if shelf is not None else None
        joined = decode_tops(known.content) if known is not None else {}
        raise_to(joined, tops)
        self._keep(owner, partition, name, encode_tops(joined), False)
        for other, parts in list(self._shelves.items()):
            shelf = parts.get(partition)
            for locator, hint in list(shelf.hints.items()) if shelf is not None else ():
                if is_locator(locator) and locator[2] == db:
                    left = above(hint.content, joined)
                    if left != hint.content:
                        self._replace(other, partition, locator, hint, left)

    def _keep(
        self, owner: str, partition: int, name: bytes, content: bytes, is_whole: bool
    ) -> bytes:
        self.serial += 1
        self.fresh[owner] = None
        self._touched[partition] = self._now.now_ms
        self._counters.hints_stored += 1
        shelf = self._shelves.setdefault(owner, {}).setdefault(partition, Shelf())
        hint = shelf.hints.get(name)
        if hint is None:
            if not shelf.hints:
                self.changed[bytes.fromhex(owner), partition] = None
            if not shelf.hints or self._now.wall_ms < shelf.oldest_ms:
                shelf.oldest_ms = self._now.wall_ms
            hint = shelf.hints[name] = Hint(b"", self._now.wall_ms, is_whole, self.serial)
            self.count += 1
            self.bytes += len(name)
            joined = content
        else:
            joined = join_records(hint.content, content) if is_locator(name) else content
            if hint.is_restored and is_locator(name):
                hint.added = fitting(join_records(hint.added, content))
            if joined == hint.content:
                return joined
            if joined == content:       # all that was kept before is superseded
                hint.since_ms = self._now.wall_ms
        joined = fitting(joined) if is_locator(name) else joined
        hint.is_whole |= is_whole
        self._replace(owner, partition, name, hint, joined, content)
        return joined

    def _replace(
        self, owner: str, partition: int, name: bytes, hint: Hint, new: bytes, added: bytes = b""
    ) -> None:
        """Change the content of a hint, here and in the store; b"": drop it.

        `added`: what it was joined with, if that is all that has changed.
        """
        if not new:
            self._drop(owner, partition, name)
            return
        old = hint.content
        self.bytes += size_of(name, new) - size_of(name, old)
        if is_taken_apart(name, old) and not (added and is_taken_apart(name, new)):
            self._replica.let_fall(old)
        self._replica.batch += self._rows.changed(owner, partition, name, hint, new, added)

    def _drop(self, owner: str, partition: int, name: bytes) -> None:
        self._touched[partition] = self._now.now_ms
        parts = self._shelves[owner]
        shelf = parts[partition]
        hint = shelf.hints.pop(name)
        self.count -= 1
        self.bytes -= len(name) + size_of(name, hint.content)
        if is_taken_apart(name, hint.content):
            self._replica.batch += sweep_of(owner, partition, name)
            self._replica.let_fall(hint.content)
        self._replica.batch += (stored_name(owner, partition, name), b"")
        if not shelf.hints:
            self.changed[bytes.fromhex(owner), partition] = None
            del parts[partition]
            if not parts:
                del self._shelves[owner]

    def is_full(self) -> bool:
        """Whether others should look for another node to keep their hints."""
        self._is_full = self.bytes >= self.limit_bytes * (_ROOM_AGAIN if self._is_full else 1)
        return self._is_full

    # ---- looking ----

    def find(self, locator: Locator) -> tuple[bytes, bool]:
        """The join of all that is kept under a key, and whether it is whole; b"" for nothing."""
        partition = self._partition_of(locator)
        joined, is_whole = b"", False
        for parts in self._shelves.values():
            shelf = parts.get(partition)
            hint = shelf.hints.get(locator) if shelf is not None else None
            if hint is not None and hint.since_ms >= self._now.wall_ms - self.max_age_ms:
                joined = join_records(joined, hint.content)
                is_whole = is_whole or hint.is_whole
        return joined, is_whole

    def seen(self, locator: Locator) -> bytes:
        """As `find`, for a reader who has owners' word too: what was just delivered counts."""
        joined = self.find(locator)[0]
        late = self._delivered.get(locator) if self._delivered else None
        return join_records(joined, late[1]) if late is not None else joined

    def places(self) -> dict[tuple[bytes, int], None]:
        """The owners and partitions for which something is kept."""
        return {
            (bytes.fromhex(owner), partition): None
            for owner, parts in sorted(self._shelves.items()) for partition in sorted(parts)
        }

    def keeps(self, partition: int) -> bool:
        """Whether a hint of a partition is kept, for any owner."""
        return any(partition in parts for parts in self._shelves.values())

    def cleared(self, locator: Locator) -> Tops:
        """What was cleared of a key's database, as far as that is kept for any owner."""
        joined: Tops = {}
        for tops in self._clearings(self._partition_of(locator), locator[2]):
            raise_to(joined, tops)
        return joined

    def tops(self, partition: int) -> dict[int, Tops]:
        """By database, for each actor, the highest counter that hints of a partition have seen."""
        found: dict[int, dict[bytes, bytes]] = {}
        for parts in self._shelves.values():
            shelf = parts.get(partition)
            for name, hint in shelf.hints.items() if shelf is not None else ():
                if is_locator(name):
                    raise_by(found.setdefault(name[2], {}), hint.content)
        seen = {
            db: {actor: int.from_bytes(hi, "big") for actor, hi in high.items()}
            for db, high in found.items()
        }
        for parts in self._shelves.values():
            shelf = parts.get(partition)
            for name, hint in shelf.hints.items() if shelf is not None else ():
                if not is_locator(name):
                    raise_to(seen.setdefault(name[1], {}), decode_tops(hint.content))
        return seen

    def walk(
        self, slots: range, db: int, position: int
    ) -> Iterator[tuple[int, int, Locator, bytes]]:
        """Records kept for all owners, in the order and the shape of `Replica.walk`."""
        width = self._replica.width
        for partition in range(slots.start // width, -(-slots.stop // width)):
            kept: list[bytes] = [
                name for name in self._delivered if self._partition_of(name) == partition
            ]
            for parts in self._shelves.values():
                kept += parts[partition].hints if partition in parts else ()
            names = {
                (slot_of_locator(name), crc32(name[3:]), name)
                for name in kept if is_locator(name) and name[2] == db
            }
            for slot, place, name in sorted(names):
                if slot in slots and (slot, place) >= (slots.start, position):
                    yield slot, place, name, self.seen(name)

    def oldest_of(self, partition: int) -> int:
        """Since when (ms since 1970) the oldest hint of a partition is kept; 0 for none."""
        return min(
            (parts[partition].oldest_ms for parts in self._shelves.values() if partition in parts),
            default=0,
        )

    def is_free(self, partition: int, for_ms: int) -> bool:
        """Whether no hint of a partition is kept here, nor was for so long.

        What came before this node started is not known of. What was delivered counts for as long
        as readers are answered from it.
        """
        for_ms += self.remember_ms
        return not self.oldest_of(partition) and (
            self._now.now_ms - self._touched.get(partition, -for_ms) >= for_ms
        )

    def oldest_age_ms(self) -> int:
        """The age of the oldest hint of all; 0 if there is none."""
        oldest = min(
            (shelf.oldest_ms for parts in self._shelves.values() for shelf in parts.values()),
            default=self._now.wall_ms,
        )
        return max(0, self._now.wall_ms - oldest)

    def age_ms(self, owner: str) -> int:
        """The age of the oldest hint for one owner; 0 if there is none."""
        shelves = self._shelves.get(owner, {}).values()
        wall_ms = self._now.wall_ms
        return wall_ms - min((shelf.oldest_ms for shelf in shelves), default=wall_ms)

    def count_by_owner(self) -> dict[str, int]:
        """How many hints are kept for whom."""
        return {
            owner: sum(len(shelf.hints) for shelf in parts.values())
            for owner, parts in sorted(self._shelves.items())
        }

    def count_upto(self, serial: int) -> int:
        """How many hints have something that was kept by then. Looks at all of them."""
        return sum(
            hint.serial <= serial
            for parts in self._shelves.values() for shelf in parts.values()
            for hint in shelf.hints.values()
        )

    # ---- delivering ----

    def owners(self) -> list[str]:
        """For whom there are hints."""
        return sorted(self._shelves)

    def take(self, owner: str, limit_bytes: int, limit_count: int) -> list[Entry]:
        """The next hints for an owner, so many and so much at the most, but at least one.

        Of one for a big key the next piece.
        """
        taken: list[Entry] = []
        size = 0
        for shelf in self._shelves.get(owner, {}).values():
            for name, hint in islice(shelf.hints.items(), limit_count - len(taken)):
                size += len(name) + min(size_of(name, hint.content), PIECE_BYTES)
                if taken and size > limit_bytes:
                    return taken
                content = hint.content
                if is_taken_apart(name, content):
                    content = take_piece(hint, limit_bytes)
                taken.append((name, hint.since_ms, content))
        return taken

    def forget(self, owner: str, delivered: list[Entry], serial: int, taken_ms: int) -> None:
        """The owner has these, durably. What was joined into one meanwhile stays.

        `serial` and `taken_ms` are the number of the last write, and the time, when they were
        taken: what stays is all of later.
        """
        touched: set[int] = set()
        for name, _, content in delivered:
            partition = self.partition_of(name)
            shelf = self._shelves.get(owner, {}).get(partition)
            hint = shelf.hints.get(name) if shelf is not None else None
            if hint is not None and is_taken_apart(name, hint.content):
                if not is_given(hint):
                    continue
                content = hint.content
            if hint is not None and hint.content == content:
                if is_locator(name):
                    self._delivered.pop(name, None)     # the latest stand last
                    self._delivered[name] = self._now.now_ms + self.remember_ms, content
                self._drop(owner, partition, name)
                self._counters.hints_delivered += 1
                touched.add(partition)
            elif hint is not None:
                hint.serial = max(hint.serial, serial + 1)
                hint.since_ms = max(hint.since_ms, taken_ms)
                touched.add(partition)
        for partition in touched:
            shelf = self._shelves.get(owner, {}).get(partition)
            if shelf is not None:
                shelf.look()

    def partition_of(self, name: bytes) -> int:
        """The partition of a hint's name."""
        if is_locator(name):
            return self._partition_of(name)
        return int.from_bytes(name[2:4], "big")

    def tick(self) -> None:
        """Forget what was delivered some time ago."""
        now_ms = self._now.now_ms
        while self._delivered:
            name = next(iter(self._delivered))
            if self._delivered[name][0] > now_ms:
                break
            del self._delivered[name]

    def expire(self) -> None:
        """Drop what is too old."""
        oldest_ms = self._now.wall_ms - self.max_age_ms
        for owner, parts in list(self._shelves.items()):
            for partition, shelf in list(parts.items()):
                if shelf.oldest_ms >= oldest_ms:
                    continue
                for name, hint in list(shelf.hints.items()):
                    if hint.since_ms < oldest_ms:
                        self._drop(owner, partition, name)
                        self._counters.hints_dropped += 1
                shelf.look()

    def give_up(self) -> int:
        """Drop all: they are as they were some time ago. How many it were."""
        count = self.count
        for owner, parts in list(self._shelves.items()):
            for partition, shelf in list(parts.items()):
                for name in list(shelf.hints):
                    self._drop(owner, partition, name)
        return count

    def give_up_restored(self, partition: int) -> None:
        """The disk is an older copy of itself: what it held of a partition was delivered long ago.

        Since then it may have been deleted, and the deletion forgotten. What has come since this
        node started is kept; so are cleared contexts, which bring nothing back.
        """
        for owner, parts in list(self._shelves.items()):
            shelf = parts.get(partition)
            for name, hint in list(shelf.hints.items()) if shelf is not None else ():
                if hint.is_restored and is_locator(name):
                    hint.is_restored = False
                    self._replace(owner, partition, name, hint, hint.added)
                    self._counters.hints_dropped += not hint.added

    # ---- the ring changes ----

    def retarget(self, owners_of: Callable[[int], tuple[str, ...]], here: str) -> None:
        """Hints for nodes that no longer own a partition are for those that do now.

        What has become this node's own goes into its copy.
        """
        for owner, parts in list(self._shelves.items()):
            for partition, shelf in list(parts.items()):
                owners = owners_of(partition)
                if owner in owners and here not in owners:
                    continue
                for name, hint in list(shelf.hints.items()):
                    if here in owners:
                        self._absorb(partition, name, hint)
                    if owner not in owners:
                        for other in owners:
                            if other != here:
                                self._pass_on(other, partition, name, hint)
                        self._drop(owner, partition, name)

    def _absorb(self, partition: int, name: bytes, hint: Hint) -> None:
        if is_locator(name):
            self._replica.receive(name, hint.content)
        else:
            self._replica.clear(partition, name[1], decode_tops(hint.content))

    def _pass_on(self, owner: str, partition: int, name: bytes, hint: Hint) -> None:
        if is_locator(name):
            known = self._shelves.get(owner, {}).get(partition, Shelf()).hints.get(name)
            added = hint.added
            if known is not None:
                added = join_records(added, known.added if known.is_restored else known.content)
            self.keep(owner, name, hint.content, hint.is_whole)
        else:
            self.keep_cleared(owner, partition, name[1], decode_tops(hint.content))
        shelf = self._shelves.get(owner, {}).get(partition)
        moved = shelf.hints.get(name) if shelf is not None else None
        if moved is not None and hint.is_restored and is_locator(name):
            moved.is_restored, moved.added = True, added
        if shelf is not None and moved is not None:
            moved.since_ms = min(moved.since_ms, hint.since_ms)
            shelf.oldest_ms = min(shelf.oldest_ms, hint.since_ms)
            self._replace(owner, partition, name, moved, moved.content)

    # ---- starting ----

    def restore(self, pairs: list[bytes]) -> int:
        """Take back those among what the store gave; returns how many were damaged."""
        damaged = 0
        if not pairs or not pairs[-2].startswith(META):     # pairs come in the order of names
            return 0
        for at in range(0, len(pairs), 2):
            name, value = pairs[at], pairs[at + 1]
            if name.startswith(HINT):
                more = self._rows.restore(self._shelves, name[len(HINT) :], value)
                damaged += more is None
                if more is not None:
                    self.count += more[0]
                    self.bytes += more[1]
        return damaged

    def actors(self) -> Iterator[bytes]:
        """Whose dots are kept here, as often as they are."""
        for parts in self._shelves.values():
            for shelf in parts.values():
                for name, hint in shelf.hints.items():
                    if name[0] < 64:
                        yield from actors_of(rows_of(hint.content))
                    else:
                        yield from decode_tops(hint.content)

    def stored(self, low: bytes, high: bytes) -> list[bytes]:
        """Flat pairs of all hints whose stored names are from `low` up to `high`."""
        if low[:1] <= HINT[:1] and high >= HINT:
            return self._rows.between(self._shelves, low, high)
        return []

    # ---- among these ----

    def _partition_of(self, locator: Locator) -> int:
        return slot_of_locator(locator) // self._replica.width

    def _clearings(self, partition: int, db: int) -> Iterator[Tops]:
        """Cleared contexts of a database that are kept for any owner."""
        name = CLEARING + bytes([db]) + partition.to_bytes(2, "big")
        for parts in self._shelves.values():
            shelf = parts.get(partition)
            if shelf is not None and name in shelf.hints:
                yield decode_tops(shelf.hints[name].content)
