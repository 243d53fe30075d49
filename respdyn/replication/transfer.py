"""Transfer of partitions: filling what this node is to hold, proving it, handing over the rest.

*Filling* is for a node to which partitions come, and for one that lost its disk. It pulls all
records of some partitions from one owner, page by page, then has the exchange compare them with the
others. Writes arrive all the while, so order does not matter: everything is joined.

*Proving* is the same comparison once more, begun after all old owners have said that they ship
every write here too. Equal hash trees then mean that nothing acknowledged is missing.

*Handing over*: a node that holds records of partitions that are not its own, because the ring
changed or because it was away when it did, offers their names and digests to the owners, gives them
what they do not hold just so, and drops its copies once enough owners have everything durably and
every member knows the ring by which it is no owner. It gives only to nodes that confirm their own
id and that they are owners: a copy handed to oneself and then dropped is how data was lost
elsewhere.

All of it is in the background: one page is under way at a time, with a pause after each.

Source: Dynamo 4.9; Riak's product advisory on handoff to 127.0.0.1; decision 0014.
"""

from collections.abc import Callable
from typing import Final, TypeGuard
from zlib import crc32

from respdyn.causal.big import weight
from respdyn.causal.parts import flat, is_big, stub
from respdyn.cluster.admission import TRANSFER, cost
from respdyn.cluster.cleared_gossip import ClearedGossip
from respdyn.cluster.matching import Matching, match
from respdyn.cluster.questions import Give, Offer, Pause, Pull, Records, Sizes
from respdyn.cluster.tasks import Answer, Task, TaskRunner, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.cluster.transfer_state import Progress
from respdyn.errors import DamagedError
from respdyn.replication.exchange import Exchange
from respdyn.ring.hashing import SLOTS, Locator, is_locator, slot_of_locator

LOOK_MS: Final = 50          # between two looks at what is to be done
PULL_PARTITIONS: Final = 16  # of a pull
PAGE_BYTES: Final = 128 * 1024  # of records in an answer, unless a single one has more
PAGE_RECORDS: Final = 300    # of an answer: to take them is a millisecond or two
PAUSE_MS: Final = 2          # after each page: others may have a turn
AGAIN_MS: Final = 1_000      # until a comparison that was not clean is requested again
MATCHES: Final = 5              # tries at a big key that is written meanwhile
OFFER_KEYS: Final = 1000     # of an `Offer`
DROPPED: Final = 2000        # records dropped in one turn
HANDED_PARTITIONS: Final = 32  # that are handed over before the next look
_SAMPLE: Final = 64          # records that stand for all of a partition when bytes are estimated


class Transfer:
    """This node's part in transfers."""

    def __init__(
        self, node: ThisNode, tasks: TaskRunner, exchange: Exchange, cleared: ClearedGossip,
        replan: Callable[[], None], has_dropped: Callable[[], None],
    ) -> None:
        self._node = node
        self._tasks = tasks
        self._exchange = exchange
        self._cleared = cleared
        self._replan = replan
        self._has_dropped = has_dropped     # called when this node no longer holds a partition
        self._next_ms = 0
        self._is_pulling = False
        self._is_handing = False
        # When each partition was pulled; and since when comparisons count as proof.
        self._pulled: dict[int, tuple[int, int]] = {}         # partition -> (move, when)
        self._proving: dict[int, tuple[int, int]] = {}
        self._requested_ms: dict[tuple[str, int], int] = {}
        self._handed: dict[int, dict[Locator, bytes]] = {}      # what the owners have
        self._begun_ms = 0
        self._wanted = 0

    # ---- the answering side ----

    def answer(self, ask: Pull | Offer | Give | Sizes) -> Answer:
        """This node's answer to another's transfer."""
        if isinstance(ask, Pull):
            return self._page(ask)
        if isinstance(ask, Sizes):
            return self.sizes()
        node = self._node
        here = node.identity.node_id
        if node.transfers.ring is None or not 0 <= ask.partition < node.transfers.ring.partitions:
            return None
        if ask.to != here or here not in node.transfers.serving(ask.partition):
            return None
        if isinstance(ask, Offer):
            replica = node.replica
            return [
                index for index, (name, digested) in enumerate(ask.entries[:OFFER_KEYS])
                if self._is_of(name, ask.partition)
                and replica.digest(replica.get(name)) != digested
            ]
        if node.store_failure:
            return None
        for name, record in ask.records:
            if self._is_of(name, ask.partition):
                self._take(name, record)
        return True

    def _page(self, ask: Pull) -> Records:
        """The records from a position on; none, and the same position, when it is too early."""
        admission = self._node.admission
        if not admission.room(TRANSFER):
            return Records([], [], ask.slot, ask.place)
        page = self._records(ask)
        admission.spend(TRANSFER, _cost(page.records))
        return page

    def _records(self, ask: Pull) -> Records:
        replica = self._node.replica
        trees = self._exchange.trees
        partitions = [p for p in ask.partitions[:PULL_PARTITIONS] if trees.slots_of(p)]
        records: list[tuple[Locator, bytes]] = []
        size = 0
        cleared = []
        if partitions and (ask.slot, ask.place) <= (trees.slots_of(partitions[0]).start, 0):
            cleared = [
                (db, p, tops) for p in partitions
                for db, tops in sorted(replica.cleared.get(p, {}).items())
            ]
        for partition in partitions:
            for slot in trees.slots_of(partition):
                if slot < ask.slot or not replica.slots[slot]:
                    continue
                table = replica.slots[slot]
                first = ask.place if slot == ask.slot else 0
                last = -1
                for place, name in sorted((crc32(name[3:]), name) for name in table):
                    if place < first:
                        continue
                    if place != last and (size >= PAGE_BYTES or len(records) >= PAGE_RECORDS):
                        return Records(records, cleared, slot, place)
                    last = place
                    record = stub(table[name])
                    records.append((name, record))
                    size += len(name) + len(record)
        return Records(records, cleared, SLOTS, 0)

    def sizes(self) -> list[tuple[int, int, int]]:
        """How much is here of each partition: records, and about how many bytes."""
        replica = self._node.replica
        found = []
        for partition in range(SLOTS // replica.width):
            tables = replica.slots[partition * replica.width : (partition + 1) * replica.width]
            count = sum(map(len, tables))
            if count:
                sample: list[int] = []
                for table in tables:
                    for name, record in table.items():
                        sample.append(len(name) + weight(record))
                        if len(sample) >= _SAMPLE:
                            break
                    if len(sample) >= _SAMPLE:
                        break
                found.append((partition, count, count * sum(sample) // len(sample)))
        return found

    def _is_of(self, name: bytes, partition: int) -> TypeGuard[Locator]:
        width = self._node.replica.width
        return is_locator(name) and slot_of_locator(name) // width == partition

    def _take(self, name: Locator, record: bytes) -> None:
        replica = self._node.replica
        try:
            replica.check(record)
        except DamagedError:
            return              # the comparison that follows finds it missing
        replica.receive(name, record)

    # ---- when ----

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        transfers = self._node.transfers
        if transfers.moving or transfers.unfilled or transfers.leftovers:
            return self._next_ms
        return NEVER

    def tick(self) -> None:
        """Note what is done; begin what is due."""
        node = self._node
        transfers = node.transfers
        if transfers.ring is None or node.now.now_ms < self._next_ms:
            return
        self._next_ms = node.now.now_ms + LOOK_MS
        if not (transfers.moving or transfers.unfilled or transfers.leftovers):
            return
        if node.store_failure or not node.is_member():
            return
        if self._note_filled() or self._note_proved():
            self._replan()
        todo = transfers.to_fill()
        transfers.awaiting = {
            p for p in todo if p not in self._pulled or self._pulled[p][0] != self._move(p)
        }
        if self._wanted and not todo:
            node.trace.event(
                "filled", partitions=self._wanted, took_ms=node.now.now_ms - self._begun_ms
            )
            self._wanted = 0
        if not self._is_pulling:
            self._pull_next()
        if not self._is_handing:
            self._hand_over_next()

    def _clean(self, partition: int, since_ms: int) -> list[str]:
        """Peers with whom a comparison begun since then was clean."""
        node = self._node
        here = node.identity.node_id
        found = []
        for peer in node.transfers.holders(partition):
            at_ms = self._exchange.last_clean_ms(peer, partition) if peer != here else None
            if at_ms is not None and at_ms >= since_ms:
                found.append(peer)
        return found

    def _compare(self, partition: int, since_ms: int) -> list[str]:
        """The peers found equal since then; the others are compared again."""
        node = self._node
        clean = self._clean(partition, since_ms)
        for peer in node.transfers.holders(partition):
            if peer == node.identity.node_id or peer in clean:
                continue
            key = (peer, partition)
            if node.now.now_ms - self._requested_ms.get(key, -AGAIN_MS) >= AGAIN_MS and (
                not self._exchange.is_hasty(peer, partition)
            ):
                self._requested_ms[key] = node.now.now_ms
                self._exchange.hasten(peer, [partition])
        return clean

    def _note_filled(self) -> bool:
        """Whether some partition has been filled."""
        transfers = self._node.transfers
        w = self._node.default_terms.w
        has_filled = False
        for partition in transfers.to_fill():
            pulled = self._pulled.get(partition)
            if pulled is None or pulled[0] != self._move(partition):
                continue
            if transfers.is_fillable(partition, self._compare(partition, pulled[1]), w):
                del self._pulled[partition]
                transfers.got(partition)
                has_filled = True
        return has_filled

    def _note_proved(self) -> bool:
        """Whether this node has proved that it holds all of some partition."""
        node = self._node
        has_proved = False
        for partition in node.transfers.to_verify():
            since = node.transfers.moving[partition].since
            proving = self._proving.get(partition)
            if proving is None or proving[0] != since:
                # Nothing that was compared before this moment counts.
                proving = self._proving[partition] = (since, node.now.now_ms + 1)
                for peer in node.transfers.holders(partition):
                    self._requested_ms.pop((peer, partition), None)
                continue
            clean = self._compare(partition, proving[1])
            if node.transfers.is_verified(partition, clean, node.default_terms.w):
                del self._proving[partition]
                node.transfers.proved(partition)
                has_proved = True
        return has_proved

    def _move(self, partition: int) -> int:
        move = self._node.transfers.moving.get(partition)
        return -1 if move is None else move.begun

    def forget(self, partition: int) -> None:
        """What is here of a partition was dropped: whatever was done with it counts no more."""
        self._pulled.pop(partition, None)
        self._proving.pop(partition, None)
        self._handed.pop(partition, None)
        self._next_ms = 0

    # ---- filling ----

    def _pull_next(self) -> None:
        node = self._node
        transfers = node.transfers
        source = ""
        chosen: list[int] = []
        for partition in sorted(transfers.awaiting):
            plan = node.plans[partition * node.replica.width]
            readers = [link.peer for link in plan.replicas.readers]
            if not readers:
                others = [o for o in plan.owners if o != node.identity.node_id]
                if all(transfers.has_lost(other, partition) for other in others):
                    # No owner has it: what the comparison brings is all there is.
                    self._pulled[partition] = (self._move(partition), node.now.now_ms)
                continue
            if not source:
                source = readers[partition % len(readers)]
            if source in readers and len(chosen) < PULL_PARTITIONS:
                chosen.append(partition)
        if chosen:
            if not self._wanted:
                self._begun_ms, self._wanted = node.now.now_ms, len(transfers.to_fill())
                node.trace.event("filling", partitions=self._wanted)
            self._is_pulling = True
            self._tasks.start_quietly(
                self._pull(source, sorted(chosen)), node.settings.request_timeout_ms,
                self._pull_ended,
            )

    def _pull_ended(self, _: bytes) -> None:
        self._is_pulling = False

    def _pull(self, source: str, partitions: list[int]) -> Task:
        node = self._node
        moves = {partition: self._move(partition) for partition in partitions}
        begun_ms = node.now.now_ms
        width = node.replica.width
        slot, place = 0, 0
        while slot < SLOTS:
            if not node.admission.room(TRANSFER):
                yield [Pause(LOOK_MS)]
                continue
            (raw,) = yield [(source, Pull(partitions, slot, place))]
            page = answer_as(Records, raw)
            if page is None or (page.slot, page.place) < (slot, place):
                yield [Pause(LOOK_MS)]
                return b""
            if (page.slot, page.place) == (slot, place) and not page.records:
                yield [Pause(LOOK_MS)]      # the other is busy with its clients
                continue
            for db, partition, tops in page.cleared:
                if partition in moves and 0 <= db < 16:
                    node.replica.clear(partition, db, tops)
            for name, record in page.records:
                if is_locator(name) and slot_of_locator(name) // width in moves:
                    self._take(name, record)
            node.counters.records_filled += len(page.records)
            node.admission.spend(TRANSFER, _cost(page.records))
            slot, place = page.slot, page.place
            yield [Pause(PAUSE_MS)]
        for partition, move in moves.items():
            if move == self._move(partition):
                self._pulled[partition] = (move, begun_ms)
        return b""

    # ---- handing over ----

    def _hand_over_next(self) -> None:
        node = self._node
        transfers = node.transfers
        left = DROPPED
        due: list[tuple[int, list[str]]] = []
        for partition, version in sorted(transfers.leftovers.items()):
            if left <= 0 or len(due) >= HANDED_PARTITIONS:
                break
            if not transfers.all_know(version):
                continue
            if partition in self._handed:
                left -= self._drop(partition, left)
                continue
            owners = [
                link.peer for link in node.plans[
                    partition * node.replica.width
                ].replicas.readers if link.can_store
            ]
            serving = transfers.serving(partition)
            if len(owners) >= min(node.default_terms.w, len(serving)):
                due.append((partition, owners))
        if due and left > 0:
            self._is_handing = True
            self._tasks.start_quietly(
                self._hand_over_all(due), node.settings.request_timeout_ms, self._handing_ended
            )

    def _handing_ended(self, _: bytes) -> None:
        self._is_handing = False

    def _hand_over_all(self, due: list[tuple[int, list[str]]]) -> Task:
        for partition, owners in due:
            if partition in self._node.transfers.leftovers:
                yield from self._hand_over(partition, owners)
        return b""

    def _hand_over(self, partition: int, owners: list[str]) -> Task:
        node = self._node
        width = node.replica.width
        held: dict[Locator, bytes] = {}
        for table in node.replica.slots[partition * width : (partition + 1) * width]:
            held.update(table)
        names = list(held)
        for owner in owners:
            for db, tops in sorted(node.replica.cleared.get(partition, {}).items()):
                self._cleared.send_tops(node.links[owner], db, partition, tops)
            for at in range(0, len(names), OFFER_KEYS):
                while not node.admission.room(TRANSFER):
                    yield [Pause(LOOK_MS)]
                some = names[at : at + OFFER_KEYS]
                entries = [(name, node.replica.digest(held[name])) for name in some]
                (raw,) = yield [(owner, Offer(owner, partition, entries))]
                wanted = answer_as(list[int], raw)
                if wanted is None:
                    yield [Pause(AGAIN_MS)]
                    return b""
                node.admission.spend(TRANSFER, _cost(entries))
                left = [some[index] for index in wanted if 0 <= index < len(some)]
                for name in [name for name in left if is_big(held[name])]:
                    left.remove(name)
                    if not (yield from self._match(owner, partition, name)):
                        yield [Pause(AGAIN_MS)]
                        return b""
                    held[name] = node.replica.get(name)
                while left:
                    size = count = 0
                    while count < len(left) and (count == 0 or size < PAGE_BYTES):
                        size += weight(held[left[count]])
                        count += 1
                    node.admission.spend(TRANSFER, cost(count, size))
                    (raw,) = yield [(owner, Give(
                        owner, partition, [(name, flat(held[name])) for name in left[:count]]
                    ))]
                    if raw is not True:
                        yield [Pause(AGAIN_MS)]
                        return b""
                    left = left[count:]
                yield [Pause(PAUSE_MS)]
        self._handed[partition] = held
        return b""

    def _match(self, owner: str, partition: int, name: Locator) -> Matching:
        """Give an owner a big key, in pieces: True once it says that it holds the same, for good.
        """
        node = self._node
        for _ in range(MATCHES):
            if not (yield from match(node, owner, name, TRANSFER)):
                return False
            entries = [(name, node.replica.digest(node.replica.get(name)))]
            (raw,) = yield [(owner, Offer(owner, partition, entries))]
            if answer_as(list[int], raw) == []:
                return True
            yield [Pause(LOOK_MS)]
        return False

    def _drop(self, partition: int, most: int) -> int:
        """Forget what the owners have, at most so many records; how many it were."""
        node = self._node
        held = self._handed[partition]
        if node.identity.node_id in node.transfers.holders(partition):
            del self._handed[partition]
            return 0
        dropped = 0
        while held and dropped < most:
            name, record = held.popitem()
            if node.replica.get(name) is record or node.replica.get(name) == record:
                node.replica.drop(name)
                dropped += 1
        if not held:
            del self._handed[partition]
            node.transfers.note_leftovers()
            self._has_dropped()
        return dropped

    # ---- what an operator sees ----

    def progress(self) -> Progress:
        """How far it has come, as plain numbers."""
        node = self._node
        transfers = node.transfers
        if transfers.ring is None:
            return Progress(0, 0, 0, 0, 0, 0, 0, 0)
        left = len(transfers.to_fill())
        done = self._wanted - left
        eta_ms = 0 if not left else -1
        if left and done > 0:
            eta_ms = (node.now.now_ms - self._begun_ms) * left // done
        return transfers.progress(node.counters.records_filled, eta_ms)


def _cost(entries: list[tuple[Locator, bytes]]) -> int:
    return cost(len(entries), sum(len(name) + len(rest) for name, rest in entries))
