"""The replica: the records that this node holds, and the one way in which they change, the join.

The table is one dictionary per slot, locator -> record. A record is immutable bytes, the same in
memory, on disk and on the wire, so storing what a peer sent costs a dictionary entry and no
encoding. Whatever changes is also put into the turn's batch for the store.

A partition may carry a *cleared context* (FLUSHALL): per database, for each actor, the highest
counter that was seen when it was emptied. It joins by maximum. A record that lies wholly below it
is as good as absent, wherever it comes from and however late.

This room knows nothing of quorums, peers or commands.
"""

from collections.abc import Callable, Iterator
from typing import Final, cast

from respdyn.causal.big import weight
from respdyn.causal.codec import (
    BIG,
    ELEMENTS,
    actors_of,
    context_of,
    digest,
    is_live,
    is_sound_lone,
    join_records,
    rows_of,
    verify,
    verify_head,
)
from respdyn.causal.parts import fitting, is_big
from respdyn.cluster.cleared import (
    Cleared,
    above,
    decode_tops,
    encode_tops,
    is_below,
    raise_by,
    raise_to,
)
from respdyn.cluster.element_rows import (
    Loading,
    all_rows,
    behind,
    one_head_each,
    pairs_of,
    prefix_of,
    sweep_of,
    touched_rows,
)
from respdyn.cluster.ends import CLOCK_TOP, Ends
from respdyn.cluster.identity import META, Identity
from respdyn.cluster.key_table import KeyTable
from respdyn.cluster.statistics import Counters
from respdyn.errors import DamagedError
from respdyn.ports import ROW, SWEEP
from respdyn.ring.hashing import SLOTS, Locator, is_locator, slot_of_locator
from respdyn.types import values
from respdyn.types.values import LIVE_EXPIRING, is_timed

HINT: Final = META + b"hint"     # what `hints` keeps is stored under names that begin so
_CLEARED: Final = META + b"cleared"


class Replica(KeyTable):
    """This node's copy of the slots."""

    def __init__(
        self, identity: Identity, lost_memory: Callable[[], None], counters: Counters | None = None
    ) -> None:
        super().__init__()
        self._identity = identity
        self._lost_memory = lost_memory
        self.stale = bytearray(SLOTS)                # 1: changed since its leaves were made
        self.batch: list[bytes] = []                 # flat pairs for the store, this turn's
        self.heads: set[bytes] = set()               # big keys that this turn has changed
        self._loading = Loading()
        self.records = 0                             # tombstones included
        self.bytes = 0                               # of locators and records
        self.cleared: dict[int, Cleared] = {}        # by partition
        # By partition and database: the tops of what was let go, as in a record.
        self._gone: dict[int, dict[int, dict[bytes, bytes]]] = {}
        self.meta: dict[bytes, bytes] = {}
        self.must_sync = False                       # this turn's batch holds what must not wait
        self.ends = Ends(identity, self.put_meta, lost_memory, counters or Counters())
        self._highest = self.ends.highest

    def minted(self, record: bytes) -> bool:
        """Take over the dots of a write that was made here; see `Identity.minted`."""
        return self._identity.minted(record)

    # ---- the data path ----

    # `slot_of_locator` and `is_locator` are spelled out here: a call would cost more than they do.

    def is_live(self, locator: Locator) -> bool:
        """Whether the key has a value, expired or not."""
        return is_live(self.get(locator))

    def join(self, locator: Locator, delta: bytes) -> bytes:
        """Join a delta into the record and return the outcome; unchanged when nothing is new."""
        slot = locator[0] << 8 | locator[1]
        table = self.slots[slot]
        old = table.get(locator)
        if old is None:
            if delta[1] & ELEMENTS:
                return self._put_map(locator, b"", delta)
            table[locator] = delta
            self.stale[slot] = 1
            self.records += 1
            self.bytes += len(locator) + len(delta)
            self._count(locator, b"", delta)
            self.batch += (locator, delta)
            return delta
        new = join_records(old, delta)
        if new is not old and new != old:
            if (new[1] | old[1]) & ELEMENTS:
                return self._put_map(locator, old, new)
            table[locator] = new
            self.stale[slot] = 1
            self.bytes += len(new) - len(old)
            if new[1] != old[1] or new[1] == LIVE_EXPIRING:
                self._count(locator, old, new)
            self.batch += (locator, new)
        return new

    def replace(self, locator: Locator, old: bytes, new: bytes) -> None:
        """As `join`, for a new state made from the old one, which it therefore covers."""
        if (new[1] | old[1] if old else new[1]) & ELEMENTS:
            self._put_map(locator, old, new)
            return
        slot = locator[0] << 8 | locator[1]
        self.slots[slot][locator] = new
        self.stale[slot] = 1
        if old:
            self.bytes += len(new) - len(old)
            if new[1] != old[1] or new[1] == LIVE_EXPIRING:
                self._count(locator, old, new)
        else:
            self.records += 1
            self.bytes += len(locator) + len(new)
            self._count(locator, b"", new)
        self.batch.append(locator)
        self.batch.append(new)

    def _put_map(self, locator: Locator, old: bytes, new: bytes) -> bytes:
        """Put a record into the table where it or the one before (b"": none) is an element map.

        What is large is kept as a big one (`causal.big`); of that the store is given what differs.
        """
        slot = slot_of_locator(locator)
        was_big = bool(old) and old[1] & BIG != 0
        new = fitting(new)
        self.slots[slot][locator] = new
        self.stale[slot] = 1
        if not old:
            self.records += 1
            self.bytes += len(locator)
        self.bytes += weight(new) - weight(old)
        self._count(locator, old, new)
        if not new[1] & BIG:
            if was_big:
                self.batch += sweep_of(locator)
                self.let_fall(old)
            self.batch += (locator, new)
        elif was_big:
            self.batch += (locator, new)
            self.batch += touched_rows(locator, new)
            self.heads.add(locator)
        else:
            self.batch += pairs_of(locator, new)
        return new

    def turn_ends(self) -> list[bytes]:
        """What the store is given of this turn."""
        self.free_some()
        batch, self.batch = self.batch, []
        if self.heads:
            batch = one_head_each(batch, self.heads)
            self.heads.clear()
        return batch

    def check(self, record: bytes) -> None:
        """Judge a record from outside. Raises `DamagedError`.

        A dot of this node's actor that it has not minted yet means that this node has forgotten
        what it sent to others (its data directory is an older copy): it must mint under a new name
        before it mints that dot a second time. What claims more of an actor than was proved here,
        or was written in a time to come, is refused (`ends`).
        """
        self._check(record, verify)

    def check_received(self, record: bytes) -> None:
        """The same of what a peer says that it holds: of a big record the head alone (`parts`)."""
        self._check(record, verify_head if is_big(record) else verify)

    def _check(self, record: bytes, is_sound: Callable[[bytes], None]) -> None:
        is_sound(record)
        self.ends.check_clock(record)
        rows = rows_of(record)
        self.ends.check_rows(rows)
        identity = self._identity
        if (
            rows.find(identity.actor) >= 0
            and context_of(record).top(identity.actor) > identity.counter
        ):
            self._lost_memory()

    def is_of_this_life(self, delta: bytes) -> bool:
        """Whether a write made here was made in the life that goes on."""
        return rows_of(delta).find(self._identity.actor) >= 0

    def used_twice(self) -> None:
        """A record that is held contains dots of this node that are yet to come."""
        self._lost_memory()

    def take(self, name: bytes, record: bytes) -> bool:
        """Check and store a record from outside if that is simple: the usual case, at least cost.

        It is if the record is a lone value of another node, newer than a lone value of the same
        node here or the first of its key. False: nothing was done, `check` and `receive` it.
        """
        if (
            not is_sound_lone(record) or record[14:30] == self._identity.actor or self.cleared
            or len(name) < 3 or name[0] > 63 or name[2] > 15
            or record[38:46] > self._highest.get(record[14:30], b"") or record[6] >= CLOCK_TOP
        ):
            return False
        locator = cast(Locator, name)
        slot = locator[0] << 8 | locator[1]
        table = self.slots[slot]
        old = table.get(locator)
        if old is None:
            self.records += 1
            self.bytes += len(locator) + len(record)
            self._count(locator, b"", record)
        elif old[1] != record[1] or old[14:38] != record[14:38] or old[38:46] >= record[38:46]:
            return False
        else:
            self.bytes += len(record) - len(old)
        table[locator] = record
        self.stale[slot] = 1
        self.batch += (locator, record)
        return True

    def receive(self, locator: Locator, record: bytes) -> bytes:
        """As `join`, for a record from outside that was checked; what was cleared stays cleared."""
        if self.cleared:
            record = self.uncleared(locator, record)
            if not record:
                return self.get(locator)
        if rows_of(record).find(self._identity.actor) >= 0:
            self._recall(locator, record)
        return self.join(locator, record)

    def _recall(self, locator: Locator, record: bytes) -> None:
        """If it has dots of this node for the key that are forgotten here, later ones may be.

        Then none of those before now may be claimed: the floor of the partition rises (`claim`).
        """
        identity = self._identity
        held = self.get(locator)
        known = context_of(held).top(identity.actor) if held else 0
        if context_of(record).top(identity.actor) > known:
            partition = slot_of_locator(locator) // self.width
            identity.floors[partition] = identity.counter

    # ---- cleared contexts ----

    def is_cleared(self, locator: Locator, record: bytes) -> bool:
        """Whether everything in the record happened before its database was emptied here."""
        cleared = self.cleared.get(slot_of_locator(locator) // self.width)
        tops = cleared.get(locator[2]) if cleared else None
        if not tops or not record:
            return False
        return is_below(record, tops)

    def uncleared(self, locator: Locator, record: bytes) -> bytes:
        """What of a record happened after its database was emptied here; b"" if nothing did."""
        if not self.cleared or not record:
            return record
        cleared = self.cleared.get(slot_of_locator(locator) // self.width)
        tops = cleared.get(locator[2]) if cleared else None
        return above(record, tops) if tops else record

    def tops(self, partition: int) -> Cleared:
        """By database, for each actor, the highest counter that the partition has seen."""
        found: dict[int, dict[bytes, bytes]] = {      # counters as in a record: they compare
            db: dict(tops) for db, tops in self._gone.get(partition, {}).items()
        }
        for slot in range(partition * self.width, (partition + 1) * self.width):
            for locator, record in self.slots[slot].items():
                tops = found.get(locator[2])
                if tops is None:
                    tops = found[locator[2]] = {}
                raise_by(tops, record)
        seen = {db: dict(tops) for db, tops in self.cleared.get(partition, {}).items()}
        for db, high in found.items():
            raise_to(
                seen.setdefault(db, {}),
                {actor: int.from_bytes(hi, "big") for actor, hi in high.items()},
            )
        return seen

    def clear(self, partition: int, db: int, tops: dict[bytes, int]) -> None:
        """Raise the cleared context of a partition's database and drop what it covers.

        Also what this node has yet to mint, if it covers that: then that is minted in a new life.
        """
        if tops.get(self._identity.actor, 0) > self._identity.counter:
            self._lost_memory()
        cleared = self.cleared.setdefault(partition, {}).setdefault(db, {})
        raise_to(cleared, tops)
        for slot in range(partition * self.width, (partition + 1) * self.width):
            table = self.slots[slot]
            for locator in [name for name in table if name[2] == db]:
                left = self.uncleared(locator, table[locator])
                if not left:
                    self.drop(locator)
                elif left is not table[locator]:
                    self.join(locator, left)
        self.put_meta(
            _CLEARED + bytes([db]) + partition.to_bytes(2, "big"), encode_tops(cleared)
        )

    def let_go(self, locator: Locator) -> None:
        """Drop a value that is over. A FLUSHALL still speaks of it: who has prolonged it loses it.
        """
        partition = slot_of_locator(locator) // self.width
        gone = self._gone.setdefault(partition, {}).setdefault(locator[2], {})
        raise_by(gone, self.get(locator))
        self.collected(locator)
        self.drop(locator)

    def forget(self, locator: Locator) -> None:
        """Drop a record, tombstones included, as if it had never been."""
        self.drop(locator)

    def empty(self, partition: int) -> None:
        """Drop all records of a partition: others know better."""
        for slot in range(partition * self.width, (partition + 1) * self.width):
            for locator in list(self.slots[slot]):
                self.drop(locator)

    def drop(self, locator: Locator) -> None:
        """Forget a record: it was cleared, or others keep it now."""
        slot = slot_of_locator(locator)
        record = self.slots[slot].pop(locator)
        self.stale[slot] = 1
        self.records -= 1
        self.bytes -= len(locator) + weight(record)
        self._count(locator, record, b"")
        if record[1] & BIG:
            self.batch += sweep_of(locator)
            self.let_fall(record)
        self.batch += (locator, b"")

    @staticmethod
    def digest(record: bytes) -> bytes:
        """The digest of this state of a key: equal digests, equal states."""
        return digest(record)

    @staticmethod
    def are_same(one: bytes, other: bytes) -> bool:
        """Whether two records say the same, in whatever form they are kept."""
        return one == other or (
            bool(one) and bool(other) and (one[1] | other[1]) & BIG != 0
            and digest(one) == digest(other)
        )

    @staticmethod
    def joined(one: bytes, other: bytes) -> bytes:
        """The join of two records, of which none need be here."""
        return join_records(one, other)

    @staticmethod
    def siblings_with(record: bytes, delta: bytes) -> tuple[int, int]:
        """How many values a record holds, expired or not, and how many after joining a delta."""
        after = join_records(record, delta)
        return len(values.siblings(record, 0)), len(values.siblings(after, 0))

    # ---- what survives ----

    def put_meta(self, name: bytes, value: bytes) -> None:
        """Keep one of the node's own facts; `name` starts with `META`."""
        self.meta[name] = value
        self.batch += (name, value)

    def drop_meta(self, name: bytes) -> None:
        """Keep one of them no longer."""
        if self.meta.pop(name, None) is not None:
            self.batch += (name, b"")

    def put_synced(self, name: bytes, value: bytes) -> None:
        """As `put_meta`; it is on the disk before this turn's batch counts as durable."""
        self.put_meta(name, value)
        self.must_sync = True

    def restore(self, pairs: list[bytes]) -> int:
        """Take back what the store gave at start; returns how many records were damaged."""
        damaged = 0
        for index in range(0, len(pairs), 2):
            name, record = pairs[index], pairs[index + 1]
            if name.startswith(HINT):
                continue
            if name[:2] == META:
                self.meta[name] = record
                if name.startswith(_CLEARED):
                    self._restore_cleared(name, record)
                continue
            if name[:1] == ROW:
                damaged += not self._loading.row(name, record)
            elif not is_locator(name):
                damaged += 1
            elif len(record) > 1 and record[1] & BIG:
                damaged += not self._loading.head(name, record)
            else:
                try:
                    verify(record)
                except DamagedError:
                    damaged += 1
                    continue
                self._take_back(name, record)
        return damaged

    def restored(self) -> int:
        """That was all that the store has; returns how many big keys lack something.

        These claim from now on no more than they can show.
        """
        damaged = 0
        for locator, record, is_whole in self._loading.finish():
            self._take_back(locator, record)
            if not is_whole:
                damaged += 1
                self.batch += sweep_of(locator)
                self.batch += pairs_of(locator, record)
        for locator in self._loading.orphans:
            self.batch += sweep_of(locator)
        self._loading = Loading()
        return damaged

    def _take_back(self, locator: Locator, record: bytes) -> None:
        slot = slot_of_locator(locator)
        self.slots[slot][locator] = record
        self.stale[slot] = 1
        self.records += 1
        self.bytes += len(locator) + weight(record)
        self._count(locator, b"", record)

    # ---- damage ----

    def damaged_in(self, slot: int) -> list[Locator]:
        """The locators of a slot's records that fail their checksum."""
        found = []
        for locator, record in self.slots[slot].items():
            try:
                (verify_head if record[1] & BIG else verify)(record)
            except DamagedError:
                found.append(locator)
        return found

    def lose(self, locator: Locator) -> None:
        """Forget a record that is damaged. Its stored copy stays until another is written."""
        slot = slot_of_locator(locator)
        record = self.slots[slot].pop(locator)
        self.stale[slot] = 1
        self.records -= 1
        self.bytes -= len(locator) + weight(record)
        partition = slot // self.width      # the record's own bits do not say what it was
        left = [
            record for each in range(partition * self.width, (partition + 1) * self.width)
            for name, record in self.slots[each].items() if name[2] == locator[2]
        ]
        self.live[locator[2]][partition] = sum(map(is_live, left))
        self.timed[locator[2]][partition] = sum(map(is_timed, left))

    def stored(self, low: bytes, high: bytes) -> list[bytes]:
        """Flat pairs of all that the store should hold from `low` up to, not including, `high`."""
        first = int.from_bytes(low[:2].ljust(2, b"\0"), "big")
        last = int.from_bytes(high[:2].ljust(2, b"\0"), "big")
        pairs: list[bytes] = []
        for slot in range(min(first, SLOTS), min(last + 1, SLOTS)):
            for locator, record in self.slots[slot].items():
                if low <= locator < high:
                    pairs += (locator, record)
        if high > ROW and low < SWEEP:
            pairs += self._stored_rows(low, high)
        for name, value in self.meta.items():
            if low <= name < high:
                pairs += (name, value)
        return pairs

    def _stored_rows(self, low: bytes, high: bytes) -> list[bytes]:
        """The rows of big keys from one name up to another."""
        pairs: list[bytes] = []
        for table in self.slots:
            for locator, record in table.items():
                if record[1] & BIG and prefix_of(locator) < high and behind(
                    prefix_of(locator)
                ) > low:
                    for name, value in all_rows(locator, record):
                        if low <= name < high:
                            pairs += (name, value)
        return pairs

    def _restore_cleared(self, name: bytes, value: bytes) -> None:
        db, partition = name[-3], int.from_bytes(name[-2:], "big")
        raise_to(self.cleared.setdefault(partition, {}).setdefault(db, {}), decode_tops(value))

    def actors(self) -> Iterator[bytes]:
        """Whose dots are here, as often as they are."""
        for table in self.slots:
            for record in table.values():
                yield from actors_of(rows_of(record))
        for cleared in self.cleared.values():
            for tops in cleared.values():
                yield from tops
