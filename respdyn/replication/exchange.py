"""Anti-entropy: owners compare hash trees and repair what reads and writes have missed.

An exchange is a task between this node and one other owner. It compares the roots of some
partitions; where they differ the leaves; in the segments that differ the keys. Writes are under way
all the time, so what differs is only a *suspect*. After a pause it is looked at again: a key whose
digests have become equal was a write in flight; one that has changed is looked at once more; one
that is the same on both sides and still differs is a difference. Then the peer's record is
fetched and joined here, and the join is sent back if the peer was behind. Nothing else is sent.

What hints have changed at an owner is compared with the others soon after: where only two nodes
could stand in for three owners, one of them was kept no hint.

One exchange runs at a time, a batch of partitions with one peer, the peers in turn, so a round over
all takes batches x `exchange-interval`. A peer that comes up is compared at once. Every question
and answer is bounded in entries and bytes, and a turn hashes about five hundred records at most,
unless a single partition has more. Every step needs room from the admission controller
(`admission`); without room the rest of an exchange waits for its turn, so repair is as quick as
clients allow.

Deliberately not here: trees on disk. After a restart all is hashed once.

Source: Dynamo 4.7; decision 0012.
"""

from collections.abc import Generator
from typing import Final

from respdyn.causal.big import weight
from respdyn.causal.parts import flat, is_big, stub
from respdyn.cluster.admission import EXCHANGE, cost
from respdyn.cluster.cleared_gossip import ClearedGossip
from respdyn.cluster.matching import match
from respdyn.cluster.messages import pair
from respdyn.cluster.questions import Fetch, Keys, Leaves, Mend, Mending, Page, Roots, Segments
from respdyn.cluster.tasks import Answer, Request, Task, TaskRunner, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import DamagedError
from respdyn.replication.hash_tree import HashTrees, Position
from respdyn.ring.hashing import Locator, is_locator, slot_of_locator

BATCH: Final = 16            # partitions of an exchange in the regular round
URGENT_BATCH: Final = 64     # and with a peer that has come up
URGENT_PAUSE_MS: Final = 10  # between two of those
HANDOFF_MS: Final = 1000     # hints go first, if there are nodes that may have kept some
QUIET_MS: Final = 500        # without a hint, until what hints have changed is compared
PAUSE_MS: Final = 200        # until a suspect is looked at again
LOOKS: Final = 4             # at a suspect, before it is left to the next round
MOST_RECORDS: Final = 512    # hashed for one question, unless a single partition has more
HASHED_BYTES: Final = 64     # what hashing a record costs, as bytes moved
MOST_SUSPECTS: Final = 8192  # of an exchange; the rest is for the next
PAGE_KEYS: Final = 500       # of an answer to `Keys`
PAGE_BYTES: Final = 256 * 1024  # the same
FETCH_KEYS: Final = 64       # of a `Fetch`
FETCH_BYTES: Final = 256 * 1024  # of records in an answer to it, unless a single one has more

Suspects = dict[Locator, tuple[bytes, bytes]]      # locator -> (digest here, digest there)
_Steps = Generator[list[Request], list[Answer], bool]


class Exchange:
    """Runs this node's exchanges, and answers those of others."""

    def __init__(self, node: ThisNode, tasks: TaskRunner, cleared: ClearedGossip) -> None:
        self.is_running = False
        self.trees = HashTrees(node.replica, node.now)
        self._node = node
        self._tasks = tasks
        self._cleared = cleared
        self._next_ms = 0
        self._shared: dict[str, list[int]] = {}          # by peer, sorted
        self._clean: dict[tuple[str, int], int] = {}     # when they last were the same
        self._urgent: dict[str, dict[int, None]] = {}    # by peer: partitions due at once
        self._mend_ms = 0                                # when a repair was last requested
        self._repaired_before = 0
        self._repaired: set[tuple[str, int]] = set()     # and not found clean since
        self._hinted: set[int] = set()                   # partitions that hints have changed
        self._hinted_ms = 0                              # and the last time that one did
        self._turn = 0                                   # rotates the peers
        self._places: dict[str, int] = {}                # where each peer's round stands
        # Of the exchange under way.
        self._suspects: Suspects = {}
        self._examined: dict[int, int] = {}              # partition -> when it was begun
        self._again: tuple[str, int, int] | None = None  # whom, when, the how many-th look

    # ---- the answering side ----

    def answer(self, ask: Roots | Segments | Keys | Fetch | Mend) -> Answer:
        """This node's answer to another's exchange. What makes no sense is answered with less."""
        trees, replica = self.trees, self._node.replica
        if isinstance(ask, Mend):
            return self._mend(ask.starts)
        if isinstance(ask, Roots):
            return self._roots([one for one in ask.partitions if trees.slots_of(one)])
        if isinstance(ask, Segments):
            cleared = replica.cleared.get(ask.partition, {})
            return Leaves(trees.segments(ask.partition), sorted(cleared.items()))
        if isinstance(ask, Keys):
            entries, position = trees.keys(
                ask.partition, ask.segments, (ask.slot, ask.place),
                (trees.slots_of(ask.partition).stop, 0), PAGE_KEYS, PAGE_BYTES,
            )
            return Page(entries, *position)
        answer: list[tuple[bytes, bytes]] = []
        size = 0
        for locator, known in ask.names[:FETCH_KEYS]:
            record = replica.get(locator) if is_locator(locator) else b""
            digested = replica.digest(record)
            wanted = stub(record) if digested == known else b""
            size += len(wanted)
            if answer and size > FETCH_BYTES:
                break
            answer.append((digested, wanted))
        self._node.admission.spend(EXCHANGE, cost(len(answer), size))
        return answer

    def _roots(self, partitions: list[int]) -> list[bytes]:
        """The roots of the first few, at least of one."""
        roots: list[bytes] = []
        records = 0
        for partition in partitions[:URGENT_BATCH]:
            records += self.trees.cost(partition)
            if roots and records > MOST_RECORDS:
                break
            roots.append(self.trees.root(partition))
        self._node.admission.spend(EXCHANGE, records * HASHED_BYTES)
        return roots

    def _mend(self, starts: bool) -> Mending:
        """All that is shared with able peers is due at once; how much of it is still to do."""
        node = self._node
        if starts:
            self._mend_ms = node.now.now_ms
            self._repaired_before = node.counters.exchange_keys_repaired
            for peer in sorted(self._shared):
                self.came_up(peer)
        left = sum(
            self._clean.get((peer, partition), -1) < self._mend_ms
            for peer, partitions in self._shared.items() if self._is_able(peer)
            for partition in partitions
        )
        return Mending(left, node.counters.exchange_keys_repaired - self._repaired_before)

    # ---- when ----

    def planned(self) -> None:
        """The ring or the reachability of a node has changed."""
        shared: dict[str, list[int]] = {}
        here = self._node.identity.node_id
        transfers = self._node.transfers
        for plan in self._node.plans[:: self._node.replica.width]:
            if plan.is_holder:
                lost = transfers.has_lost(here, plan.partition)     # so did it: each other's hope
                for owner in plan.holders:
                    if owner != here and (lost or not transfers.lacks(owner, plan.partition)):
                        shared.setdefault(owner, []).append(plan.partition)
        if shared == self._shared:
            return
        before, self._shared = self._shared, shared
        pairs = {(peer, one) for peer, partitions in shared.items() for one in partitions}
        self._clean = {key: at for key, at in self._clean.items() if key in pairs}
        self._repaired &= pairs
        for peer, due in self._urgent.items():
            self._urgent[peer] = {one: None for one in due if (peer, one) in pairs}
        for peer in sorted(shared):
            self.hasten(peer, sorted(set(shared[peer]) - set(before.get(peer, []))))

    def came_up(self, peer: str) -> None:
        """What is shared with this peer is due at once."""
        self.hasten(peer, self._shared.get(peer, []))

    def hasten(self, peer: str, partitions: list[int]) -> None:
        """These partitions are to be compared with this peer at once."""
        shared = set(self._shared.get(peer, []))
        due = [one for one in partitions if one in shared]
        if due:
            self._urgent.setdefault(peer, {}).update(dict.fromkeys(due))
            self._next_ms = min(self._next_ms, self._node.now.now_ms + URGENT_PAUSE_MS)

    def is_hasty(self, peer: str, partition: int) -> bool:
        """Whether a requested comparison has not begun."""
        return partition in self._urgent.get(peer, {})

    def hinted(self, partition: int) -> None:
        """A hint has changed this owner's copy: the other owners may have been kept none."""
        self._hinted.add(partition)
        self._hinted_ms = self._node.now.now_ms

    def _hasten_hinted(self) -> None:
        """When no more hints come: compare what they have changed, with every owner."""
        if self._hinted and self._node.now.now_ms >= self._hinted_ms + QUIET_MS:
            for peer in sorted(self._shared):
                self.hasten(peer, sorted(self._hinted))
            self._hinted.clear()

    def suspect(self, partition: int) -> None:
        """Something of this partition is missing here: compare it with every owner at once."""
        for peer, partitions in self._shared.items():
            if partition in partitions:
                self._urgent.setdefault(peer, {})[partition] = None
                self._clean.pop((peer, partition), None)
        self._next_ms = min(self._next_ms, self._node.now.now_ms + URGENT_PAUSE_MS)

    def _lead_ms(self) -> int:
        """For how long handoff goes first where a node may have kept hints."""
        ring = self._node.ring
        return HANDOFF_MS if ring is not None and len(ring.members) > ring.n else 0

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        if self.is_running or not self._shared or not self._node.settings.exchange_interval_ms:
            return NEVER
        return self._next_ms

    def tick(self) -> None:
        """Begin the exchange that is due."""
        node = self._node
        now_ms, interval_ms = node.now.now_ms, node.settings.exchange_interval_ms
        if self.is_running or not interval_ms or now_ms < self._next_ms or not self._shared:
            return
        self._next_ms = now_ms + interval_ms
        self._hasten_hinted()
        if node.store_failure:
            self._again = None
            return
        if not node.admission.room(EXCHANGE):
            self._next_ms = node.admission.ready_ms(EXCHANGE)
            return
        if self._again is not None:
            peer, _, look = self._again
            self._again = None
            if self._is_able(peer):
                self._run(peer, self._look_again(peer, look))
                return
        peer, partitions = self._choose()
        if partitions:
            self._suspects = {}
            self._examined = {}
            node.counters.exchanges += len(partitions)
            self._run(peer, self._compare(peer, partitions))
        elif self._lead_ms():
            self._next_ms = min(self._next_ms, now_ms + self._lead_ms())

    def _run(self, peer: str, task: Task) -> None:
        self.is_running = True

        def done(_: bytes) -> None:
            self.is_running = False
            if self._again is not None:
                self._next_ms = self._again[1]
            elif any(self._urgent.get(one) for one in self._urgent if self._may_begin(one)):
                self._next_ms = self._node.now.now_ms + URGENT_PAUSE_MS

        self._tasks.start_quietly(task, self._node.settings.request_timeout_ms, done)

    def _is_able(self, peer: str) -> bool:
        link = self._node.links.get(peer)
        return link is not None and link.is_up and link.can_store

    def _may_begin(self, peer: str) -> bool:
        """Whether a peer may be compared with: one that has just come up is given its hints first.
        """
        now_ms = self._node.now.now_ms
        return self._is_able(peer) and now_ms >= self._node.links[peer].changed_ms + self._lead_ms()

    def _choose(self) -> tuple[str, list[int]]:
        """The next peer, and the partitions to compare with it."""
        peers = [peer for peer in sorted(self._shared) if self._may_begin(peer)]
        if not peers:
            return "", []
        self._turn += 1
        order = [peers[(self._turn + at) % len(peers)] for at in range(len(peers))]
        awaiting = self._node.transfers.awaiting
        for peer in order:
            urgent = self._urgent.get(peer, {})
            partitions = [one for one in urgent if one not in awaiting][:URGENT_BATCH]
            if partitions:
                for partition in partitions:
                    del urgent[partition]
                return peer, partitions
        peer = order[0]
        shared = self._shared[peer]
        place = self._places.get(peer, 0) % len(shared)
        self._places[peer] = place + BATCH
        return peer, [one for one in shared[place : place + BATCH] if one not in awaiting]

    # ---- what is remembered ----

    def clean_age_ms(self) -> int:
        """How long ago the stalest of all comparisons was clean; -1 if one never was."""
        oldest = 0
        for peer, partitions in self._shared.items():
            for partition in partitions:
                at = self._clean.get((peer, partition))
                if at is None:
                    return -1
                oldest = max(oldest, self._node.now.now_ms - at)
        return oldest

    def due(self) -> int:
        """How many comparisons are due at once."""
        return sum(map(len, self._urgent.values()))

    def last_clean_ms(self, peer: str, partition: int) -> int | None:
        """The begin of the last exchange that found no difference; None if there was none."""
        return self._clean.get((peer, partition))

    def _found_clean(self, peer: str, partition: int, begun_ms: int) -> None:
        self._repaired.discard((peer, partition))
        if self._node.links[peer].is_up:
            self._clean[peer, partition] = begun_ms

    # ---- the first look ----

    def _compare(self, peer: str, partitions: list[int]) -> Task:
        differing: list[int] = []
        left = partitions
        while left:
            begun_ms = self._node.now.now_ms
            ours = self._roots(left)
            (raw,) = yield [(peer, Roots(left[: len(ours)]))]
            theirs = answer_as(list[bytes], raw)
            if not theirs:
                return b""
            for partition, one, two in zip(left, ours, theirs, strict=False):
                if one == two:
                    self._found_clean(peer, partition, begun_ms)
                else:
                    differing.append(partition)
                    self._examined[partition] = begun_ms
            left = left[min(len(ours), len(theirs)) :]
            if left and not self._node.admission.room(EXCHANGE):
                self._put_off(peer, left)
                break
        for at, partition in enumerate(differing):
            has_room = at == 0 or self._node.admission.room(EXCHANGE)
            if len(self._suspects) >= MOST_SUSPECTS or not has_room:
                self._put_off(peer, differing[at:])
                break
            if not (yield from self._descend(peer, partition)):
                return b""
        self._conclude(peer, 1)
        return b""

    def _put_off(self, peer: str, partitions: list[int]) -> None:
        """These are compared as soon as there is room."""
        for partition in partitions:
            self._examined.pop(partition, None)
            self._urgent.setdefault(peer, {})[partition] = None

    def _descend(self, peer: str, partition: int) -> _Steps:
        """Find the suspects of one partition; False when the peer does not answer."""
        trees = self.trees
        (raw,) = yield [(peer, Segments(partition))]
        reported = answer_as(Leaves, raw)
        if reported is None:
            return False
        self._clear_alike(peer, partition, reported.cleared)
        segments = trees.differing(partition, reported.leaves)
        slots = trees.slots_of(partition)
        at: Position = (slots.start, 0)
        while segments and at < (slots.stop, 0):
            (raw,) = yield [(peer, Keys(partition, segments, *at))]
            page = answer_as(Page, raw)
            if page is None or (page.slot, page.place) <= at:
                return False
            upto = (page.slot, page.place)
            self._node.admission.spend(EXCHANGE, HASHED_BYTES * len(page.entries))
            entries, _ = trees.keys(partition, segments, at, upto, 1 << 62, 1 << 62)
            ours = dict(entries)
            theirs = {
                name: digested for name, digested in page.entries
                if is_locator(name) and slot_of_locator(name) in slots
            }
            for name in sorted(ours.keys() | theirs.keys()):
                one, two = ours.get(name, b""), theirs.get(name, b"")
                if one != two:
                    self._suspects[name] = (one, two)
            if len(self._suspects) >= MOST_SUSPECTS:
                self._urgent.setdefault(peer, {})[partition] = None
                break
            at = upto
        return True

    def _clear_alike(
        self, peer: str, partition: int, cleared: list[tuple[int, dict[bytes, int]]]
    ) -> None:
        """What was cleared on either side is cleared on both."""
        node = self._node
        known = node.replica.cleared.get(partition, {})
        for db, tops in cleared:
            mine = known.get(db, {})
            if 0 <= db < 16 and any(top > mine.get(actor, 0) for actor, top in tops.items()):
                node.replica.clear(partition, db, tops)
        theirs = dict(cleared)
        for db, tops in sorted(node.replica.cleared.get(partition, {}).items()):
            if tops != theirs.get(db, {}):
                self._cleared.send_tops(node.links[peer], db, partition, tops)

    # ---- the second look ----

    def _look_again(self, peer: str, look: int) -> Task:
        """Repair the suspects that are differences."""
        node = self._node
        left = sorted(self._suspects.items())
        unsettled: Suspects = {}
        while left:
            if len(left) < len(self._suspects) and not node.admission.room(EXCHANGE):
                # What has just changed is to have its pause.
                pause_ms = PAUSE_MS if unsettled else 0
                again_ms = max(node.admission.ready_ms(EXCHANGE), node.now.now_ms + pause_ms)
                self._suspects = unsettled | dict(left)
                self._again = (peer, again_ms, look)
                return b""
            chunk = self._chunk(left)
            (raw,) = yield [(peer, Fetch([(name, two) for name, (_, two) in chunk]))]
            reported = answer_as(list[tuple[Locator, bytes]], raw)
            if not reported:
                return b""
            for (name, (one, two)), (now, record) in zip(chunk, reported, strict=False):
                mine = node.replica.digest(node.replica.get(name))
                if mine == now:
                    continue
                if (mine, now) != (one, two):
                    unsettled[name] = (mine, now)
                    continue
                self._examined.pop(self._partition_of(name), None)
                if is_big(record) or is_big(node.replica.get(name)):
                    yield from self._match(peer, name)
                else:
                    self._repair(peer, name, record)
            left = left[min(len(chunk), len(reported)) :]
        self._suspects = unsettled
        self._conclude(peer, look + 1)
        return b""

    def _chunk(self, left: list[tuple[Locator, tuple[bytes, bytes]]]) -> (
        list[tuple[Locator, tuple[bytes, bytes]]]
    ):
        """As many as may be sent at once: they may all have to go to the peer."""
        size = 0
        for at, (name, _) in enumerate(left[:FETCH_KEYS]):
            size += len(name) + weight(self._node.replica.get(name))
            if at and size > FETCH_BYTES:
                return left[:at]
        return left[:FETCH_KEYS]

    def _match(self, peer: str, name: Locator) -> Generator[list[Request], list[Answer], None]:
        """Make a big key equal here and at the peer, in pieces."""
        node = self._node
        self._noted(peer, name)
        before = node.counters.pieces_matched
        yield from match(node, peer, name, EXCHANGE)
        node.counters.exchange_keys_repaired += node.counters.pieces_matched > before

    def _noted(self, peer: str, name: Locator) -> None:
        """A key differs: look at once whether that was all, but not for ever."""
        self._node.counters.exchange_differences += 1
        key = (peer, self._partition_of(name))
        if key not in self._repaired:
            self._repaired.add(key)
            self._urgent.setdefault(peer, {})[key[1]] = None

    def _repair(self, peer: str, name: Locator, record: bytes) -> None:
        """Join what the peer holds, and send it the join if it was behind."""
        node = self._node
        replica, link = node.replica, node.links[peer]
        self._noted(peer, name)
        node.admission.spend(EXCHANGE, cost(1, len(record)))
        held = replica.get(name)
        if held and replica.is_cleared(name, held):
            # It came in beside the clearing: drop it.
            replica.clear(self._partition_of(name), name[2], {})
            return
        joined = held
        if record:
            if replica.is_cleared(name, record):
                self._cleared.send_cleared(link, name)
                return
            try:
                replica.check(record)
            except DamagedError:
                return                      # the peer finds out when it looks at its own
            joined = replica.receive(name, record)
            node.counters.exchange_keys_repaired += joined != held
        if not replica.are_same(joined, record) and link.is_connected and link.can_store:
            link.stores.append(pair(name, flat(joined)))
            node.admission.spend(EXCHANGE, cost(1, weight(joined)))
            node.counters.exchange_keys_repaired += 1

    def _partition_of(self, name: Locator) -> int:
        return slot_of_locator(name) // self._node.replica.width

    def _conclude(self, peer: str, look: int) -> None:
        """Whatever was examined and has no suspects left is clean; the rest is looked at again."""
        doubtful = {self._partition_of(name) for name in self._suspects}
        for partition, begun_ms in list(self._examined.items()):
            if partition not in doubtful:
                del self._examined[partition]
                self._found_clean(peer, partition, begun_ms)
        if self._suspects and look < LOOKS:
            self._again = (peer, self._node.now.now_ms + PAUSE_MS, look)
