"""Tombstone collection: owners agree on what may be forgotten, of deletions and expired values.

This node walks over what it owns (`cluster.collect`) and deals with one partition at a time.

*A tombstone* goes in two steps. First a request to every other owner: promise a number, and say
which of the tombstones you hold too, the same to the byte, and for longer than any message can be
under way. It answers once the promise is on its disk. Then those that all hold are dropped, here
and there. An owner that misses the second step only keeps its tombstones for another round. A
partition is left alone while anything is in doubt: an owner that cannot be reached or cannot store,
another ring at another owner, a hint for the partition at any reachable node. Hints of unreachable
nodes are too old by now: no owner takes them.

*An expired value* is replaced by a tombstone once all owners hold the same record and its expiry is
past, by each one's clock, by more than clocks may differ: no client can prolong it then. No dot is
minted for that, but for a counter, whose runs are reset as by DEL. An owner that misses it gets it
by exchange.

A peer that has collected under a number that this node never promised proves that this node was
away without knowing it: `receive` gives the partition's copy up.

Source: SEMANTICS 4 and 5; decision 0017.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.link import Link
from respdyn.cluster.messages import pair
from respdyn.cluster.questions import Drop, Promise, Promised, Remnants, Same, Vow
from respdyn.cluster.tasks import Answer, Request, Task, TaskRunner, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import PeerError
from respdyn.replication.fence import Fence
from respdyn.replication.tombstones import Due, GarbageIndex
from respdyn.replication.transfer import Transfer
from respdyn.ring.hashing import Locator, is_locator, slot_of_locator
from respdyn.types.values import REMARK_LEAD_MS, is_expired, remove

BATCH: Final = 1024          # locators dealt with at once
PARTITIONS: Final = 64       # that they may be of
BUSY_PAUSE_MS: Final = 10    # until the next, while more is due
PAUSE_MS: Final = 1000       # between two collections of less than a batch: each costs a sync
# Expiries are dealt with when they are past by the clock offset that is allowed and this.
EXPIRY_MARGIN_MS: Final = 1000
_STAGGER_MS: Final = 10_000  # how much longer the second owner waits than the first, at the most

Name = tuple[Locator, bytes]      # a locator, and the digest of what should be there


class Collection(Fence):
    """Runs this node's collecting, and answers those of others."""

    def __init__(
        self, node: ThisNode, tasks: TaskRunner, transfer: Transfer, replan: Callable[[], None]
    ) -> None:
        super().__init__(node)
        self.garbage = GarbageIndex(node.replica)
        self._tasks = tasks
        self._transfer = transfer
        self._replan = replan
        self._next_ms = 0
        self._next_collect_ms = 0
        self._again_ms = 0      # no round before: another owner has refused a promise
        self._planned_version = -1
        self._is_running = False
        self._owned: dict[int, int] = {}            # partition -> this node's place

    # ---- when ----

    def planned(self) -> None:
        """The ring or the reachability of a node has changed."""
        node = self._node
        here = node.identity.node_id
        if self._version() != self._planned_version:
            self._planned_version = self._version()
            self.disturb()
        self._owned = {
            plan.partition: plan.owners.index(here)
            for plan in node.plans[:: node.replica.width] if plan.is_owner
        }

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        if self._is_running or not self._owned or not self._node.settings.collect_interval_ms:
            return NEVER
        return self._next_ms

    def tick(self) -> None:
        """Walk on, and begin what is due."""
        node = self._node
        interval_ms = node.settings.collect_interval_ms
        now_ms = node.now.now_ms
        if self._is_running or not interval_ms or now_ms < self._next_ms or not self._owned:
            return
        self._next_ms = now_ms + interval_ms
        if node.store_failure:
            return
        garbage = self.garbage
        grace_ms = self._grace_ms()
        # With a clock that is off nothing is taken for expired; tombstones have another clock.
        is_off = node.clock_is_doubted
        node.counters.expired_dropped += garbage.look(
            self._owned, node.now.now_ms, node.now.wall_ms, grace_ms,
            self._margin_ms(), min(_STAGGER_MS, grace_ms // 4),
            0 if is_off else node.now.wall_ms - self._over_ms(),
        )
        due = {} if is_off else garbage.take(garbage.expired, BATCH, PARTITIONS)
        if due:
            self._run(self._reduce(due))
            return
        if now_ms < self._again_ms or (now_ms < self._next_collect_ms and garbage.due < BATCH):
            return
        due = garbage.take(garbage.tombstones, BATCH, PARTITIONS)
        if due:
            self._next_collect_ms = node.now.now_ms + min(PAUSE_MS, grace_ms // 4)
            self._run(self._collect(due))

    def _grace_ms(self) -> int:
        """For how long this owner holds a tombstone, as things are now."""
        if self._is_alone():
            return 0
        grace_ms = self._node.settings.tombstone_grace_ms
        return min(grace_ms, self._settled_ms()) if self._reachable_members()[1] else grace_ms

    def _margin_ms(self) -> int:
        """So long after it expired a value is expired by every node's clock."""
        return self._node.settings.max_clock_offset_ms + EXPIRY_MARGIN_MS

    def _over_ms(self) -> int:
        """So long after its end a value that leaves nothing is dropped.

        By then no node's clock can take it for alive, and a remark on it that travels without it
        has come, for it was made long before the end.
        """
        late_ms = max(0, self._settled_ms() - REMARK_LEAD_MS)
        return 2 * self._node.settings.max_clock_offset_ms + EXPIRY_MARGIN_MS + late_ms

    def _is_alone(self) -> bool:
        """A cluster of one keeps no tombstones: no other node could bring anything back."""
        ring = self._node.ring
        return ring is not None and len(ring.members) == 1

    def _run(self, task: Task) -> None:
        self._is_running = True

        def done(_: bytes) -> None:
            self._is_running = False
            if self.garbage.expired or self.garbage.due >= BATCH:
                self._next_ms = min(self._next_ms, self._node.now.now_ms + BUSY_PAUSE_MS)

        self._tasks.start_quietly(task, self._node.settings.request_timeout_ms, done)

    # ---- the requesting side ----

    def _collect(self, due: Due) -> Task:
        """Have tombstones forgotten by all owners."""
        members, is_early = self._reachable_members()
        if self._is_alone():
            for found in due.values():
                self._forget(found)
            return b""
        questions = self._questions(due, is_early)
        if not questions:
            return b""
        # First every owner promises; then, after all owners have reported since when they hold the
        # tombstones, a request to every member finds out what else is left.
        requests: list[Request] = [
            (one, question) for question, owners in questions for one in owners
        ]
        version = self._version()
        vows = self._vows(questions, members) if is_early else []
        answers = iter((yield [*requests, *vows]))
        promised = [
            [answer_as(Promised, next(answers)) for _ in owners] for _, owners in questions
        ]
        if any(
            one is None or one.number != question.number
            for (question, _), reported in zip(questions, promised, strict=True) for one in reported
        ):
            self._wait_by_chance()
        refused = self._refused(vows, [answer_as(list[int], answer) for answer in answers])
        remnants = Remnants(version, [question.partition for question, _ in questions])
        reported = yield [(member, remnants) for member in members]
        free = [answer_as(list[bool], answer) for answer in reported]
        drops: list[Request] = []
        for at, (question, owners) in enumerate(questions):
            partition, number = question.partition, question.number
            is_free = all(words is not None and words[at : at + 1] == [True] for words in free)
            if not is_free or not self._is_free(partition) or partition in refused:
                continue
            agreed = self._agreed(question, promised[at])
            agreed = self._drop(partition, number, agreed, is_early)
            if agreed:
                drop = Drop(partition, version, number, agreed, is_early)
                drops += [(owner, drop) for owner in owners]
        if drops:
            yield drops
        return b""

    def _wait_by_chance(self) -> None:
        """Two that ask each other at one moment refuse each other: they must not go on in step."""
        pause_ms = min(PAUSE_MS, self._grace_ms() // 4)
        self._again_ms = self._node.now.now_ms + int(pause_ms * 3 * self._node.random.random())

    def _questions(self, due: Due, is_early: bool) -> list[tuple[Promise, list[str]]]:
        """What to ask of whom; nothing about a partition of which something is in doubt here."""
        digest = self._node.replica.digest
        questions = []
        for partition, found in due.items():
            others = self._others(partition)
            if others is None or not self._is_free(partition):
                continue
            names = [
                (locator, digest(record)) for locator, record in found.items()
                if is_early or self._is_over(locator, record)
            ]
            if names:
                number = self._promise_here(partition)
                questions.append((Promise(partition, self._version(), number, names), others))
        return questions

    def _is_over(self, locator: Locator, record: bytes) -> bool:
        """Whether the grace of a tombstone is over."""
        age_ms = self.garbage.age_ms(locator, record, self._node.now.now_ms)
        return age_ms >= self._node.settings.tombstone_grace_ms

    def _vows(
        self, questions: list[tuple[Promise, list[str]]], members: list[str]
    ) -> list[tuple[str, Vow]]:
        """The promises requested of members that are no owners."""
        vows = []
        for member in members:
            numbers = [
                (question.partition, question.number)
                for question, owners in questions if member not in owners
            ]
            if numbers:
                vows.append((member, Vow(self._version(), numbers)))
        return vows

    def _refused(self, vows: list[tuple[str, Vow]], reported: list[list[int] | None]) -> set[int]:
        """Partitions for which some member has not promised the number."""
        refused = set()
        for (_, vow), numbers in zip(vows, reported, strict=True):
            if numbers is None or len(numbers) != len(vow.numbers):
                numbers = [0] * len(vow.numbers)
            for (partition, number), promised in zip(vow.numbers, numbers, strict=True):
                if promised != number:
                    refused.add(partition)
                    self._promise(partition, promised)
        return refused

    def _agreed(self, question: Promise, reported: list[Promised | None]) -> list[Name]:
        """What all owners have promised to let go; nothing while anything is in doubt."""
        partition = question.partition
        for one in reported:
            if one is None or len(one.same) != len(question.names):
                return []
            if one.number > question.number:
                self._promise(partition, one.number)
                return []
        if question.version != self._version() or not self._is_promise_durable(partition):
            return []
        return [
            name for at, name in enumerate(question.names)
            if all(one is not None and one.same[at] for one in reported)
        ]

    def _forget(self, found: dict[Locator, bytes]) -> None:
        """There is no other owner."""
        for locator, record in found.items():
            if self._node.replica.get(locator) == record:
                self.garbage.forget(locator)
                self._node.counters.tombstones_collected += 1

    def _drop(
        self, partition: int, number: int, names: list[Name], is_early: bool
    ) -> list[Name]:
        """Forget those that are still as they were; which they are."""
        replica = self._node.replica
        dropped = [
            (locator, digested) for locator, digested in names
            if _is_in(locator, partition, replica.width)
            and replica.digest(replica.get(locator)) == digested != b""
        ]
        if dropped:
            self.promises.collect(partition, number, is_early)
        for locator, _ in dropped:
            self.garbage.forget(locator)
        self._node.counters.tombstones_collected += len(dropped)
        return dropped

    def _reduce(self, due: Due) -> Task:
        """Replace expired values by tombstones."""
        node = self._node
        replica = node.replica
        version = self._version()
        questions: list[tuple[str, Same]] = []
        sure: dict[int, list[str]] = {}
        for partition, found in due.items():
            others = self._others(partition)
            if others is None:
                continue
            sure[partition] = others
            names = [(locator, replica.digest(record)) for locator, record in found.items()]
            questions += [(owner, Same(partition, version, names)) for owner in others]
        answers = yield list(questions)
        differing: set[Locator] = set()
        for (_, question), answer in zip(questions, answers, strict=True):
            same = answer_as(list[bool], answer) or [False] * len(question.names)
            differing.update(
                name[0] for name, is_same in zip(question.names, same, strict=False) if not is_same
            )
        if version != self._version():
            return b""
        for partition, others in sure.items():
            for locator, record in due[partition].items():
                if (
                    locator not in differing and replica.get(locator) == record
                    and node.identity.can_mint()
                ):
                    self._reduce_one(locator, record, others)
        return b""

    def _reduce_one(self, locator: Locator, record: bytes, others: list[str]) -> None:
        node = self._node
        partition = slot_of_locator(locator) // node.replica.width
        reduced = remove(record, node.stamp(partition))
        if not reduced:
            return
        node.replica.replace(locator, record, reduced)
        node.replica.collected(locator)
        node.counters.expired_reduced += 1
        for owner in others:
            link = node.link_to(owner)
            if link.is_up and link.can_store:
                link.stores.append(pair(locator, reduced))

    # ---- the answering side ----

    def answer(self, question: Promise | Vow | Remnants | Drop | Same) -> Answer:
        """This node's word on what another owner would forget."""
        is_alike = question.version == self._version()
        if isinstance(question, Remnants):
            return [is_alike and self._is_free(partition) for partition in question.partitions]
        if isinstance(question, Vow):
            return [self._vow(*one) if is_alike else 0 for one in question.numbers]
        partition = question.partition
        is_sure = is_alike and self._others(partition) is not None
        if isinstance(question, Same):
            is_sure = is_sure and not self._node.clock_is_doubted
            limit_ms = self._node.now.wall_ms - self._margin_ms()
            return [
                is_sure and self._holds(partition, *name)
                and is_expired(self._node.replica.get(name[0]), limit_ms)
                for name in question.names[:BATCH]
            ]
        if isinstance(question, Drop):
            if not is_sure or self.promises.has_missed(partition, question.number):
                return False
            self._drop(partition, question.number, question.names[:BATCH], question.is_early)
            return True
        if not is_sure:
            return Promised(0, [])
        number = self._vow(partition, question.number)
        if number != question.number:
            return Promised(number, [False] * len(question.names))
        return Promised(question.number, [
            self._holds(partition, *name) and self._has_settled(name[0])
            for name in question.names[:BATCH]
        ])

    def _vow(self, partition: int, number: int) -> int:
        """Promise a number to another; which one is promised now, 0 for none."""
        if self._node.store_failure or self._plan(partition) is None:
            return 0
        promised = self.promises.promised.get(partition, 0)
        if number <= promised:      # what has come since that was promised may not be on the disk
            return promised if promised > number else 0
        self._promise(partition, number)
        return number

    def _holds(self, partition: int, locator: Locator, digested: bytes) -> bool:
        replica = self._node.replica
        return (
            _is_in(locator, partition, replica.width)
            and replica.digest(replica.get(locator)) == digested != b""
        )

    def _has_settled(self, locator: Locator) -> bool:
        """Whether whatever was sent here before the tombstone came has arrived or never will."""
        node = self._node
        age_ms = self.garbage.age_ms(locator, node.replica.get(locator), node.now.now_ms)
        return age_ms >= self._settled_ms()

    # ---- who was away ----

    def statement(self, link: Link) -> bytes:
        """What this node has collected. A peer that is no owner may be one later, or have been."""
        numbers = self.promises.collected, self.promises.early
        return msgspec.msgpack.encode(tuple(dict(sorted(one.items())) for one in numbers))

    def receive(self, body: bytes) -> None:
        """What a peer has collected. Raises `PeerError` when it is malformed."""
        collected, early = msgspec.msgpack.decode(body, type=tuple[dict[int, int], dict[int, int]])
        if not self._node.plans:
            return
        promises = self.promises
        forgotten = [one for one, number in early.items() if promises.has_missed(one, number)]
        for partition, number in sorted(collected.items()):
            plan = self._plan(partition)
            if plan is None:
                raise PeerError("a number collected of a partition that does not exist")
            if promises.has_missed(partition, number):
                self._give_up(partition, number)
        for partition in sorted(forgotten):
            self._node.hints.give_up_restored(partition)

    def _give_up(self, partition: int, number: int) -> None:
        """Others forgot deletions without this node: its copy may bring back what was deleted.

        What it holds came before, so nothing is lost that a quorum has acknowledged since.
        """
        node = self._node
        self._promise(partition, number)
        plan = self._plan(partition)
        if node.transfers.lose(partition) or (plan is not None and plan.is_holder):
            node.counters.partitions_given_up += 1
            node.trace.event("partition_given_up", partition=partition)
        node.replica.empty(partition)
        self._transfer.forget(partition)
        self._replan()


def _is_in(locator: Locator, partition: int, width: int) -> bool:
    return is_locator(locator) and slot_of_locator(locator) // width == partition
