"""Handoff: what was kept for an owner is offered to it, and forgotten when it has it durably.

Offered at once when the owner comes up, and when something is kept for one that is up: another node
may be cut off from an owner that this one reaches. What an owner does not take is offered again a
second later, and every `hint-interval` for as long as there is something to offer; never "when
nothing else is going on", which may be never. One message of bounded size is under way to each
owner, and how soon the next may follow is for the admission controller to say, so that handoff runs
beside clients and not before them.

The owner joins what it is given as it would join a write. It takes nothing that is too old by its
own clock, and nothing that it does not own by its ring: then this node's ring is older, or newer,
and after the next change the hint has another address (`Hints.retarget`).

Source: Dynamo 4.6; decision 0013; riak_kv issues 715 and 1706 (handoff that waited for idleness).
"""

from collections.abc import Callable
from typing import Final

from respdyn.causal.parts import flat
from respdyn.cluster.admission import HINTS, cost
from respdyn.cluster.cleared import decode_tops
from respdyn.cluster.hint import CLEARING, Entry
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.questions import Deliver, Held, HintSerial, HintsUpto
from respdyn.cluster.tasks import Answer, Task, TaskRunner
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import DamagedError
from respdyn.replication.exchange import Exchange
from respdyn.ring.hashing import is_locator, slot_of_locator

MESSAGE_BYTES: Final = 64 * 1024    # of a message, unless a single hint has more
MESSAGE_HINTS: Final = 100          # a millisecond for the owner; several may come in one turn
AGAIN_MS: Final = 1000              # until what an owner did not take is offered again
UNANSWERED_MS: Final = 100             # and until what it did not answer in time is
TAKEN, NOT_NOW, NOT_MINE = 1, 0, 2     # what an owner says to hints that it is given


class Handoff:
    """Gives owners their hints, and takes this node's."""

    def __init__(
        self, node: ThisNode, tasks: TaskRunner, keepers: Keepers, exchange: Exchange,
        room_changed: Callable[[], None],
    ) -> None:
        self.is_full = False        # this node takes no more hints, as announced to others
        self._room_changed = room_changed
        self._node = node
        self._tasks = tasks
        self._keepers = keepers
        self._exchange = exchange
        self._due_ms: dict[str, int] = {}       # by owner: when to offer the next
        self._under_way: set[str] = set()       # owners that have not answered
        self._timer_ms = 0

    # ---- giving ----

    def came_up(self, owner: str) -> None:
        """An owner can be reached again."""
        self._due_ms[owner] = self._node.now.now_ms

    def planned(self) -> None:
        """The ring, or the reachability of a node, has changed."""
        node = self._node
        if node.transfers.ring is not None:
            node.hints.retarget(node.transfers.holders, node.identity.node_id)
            self._keepers.planned(member.node_id for member in node.transfers.ring.members)

    def tick(self) -> None:
        """Send what is due; drop what is too old."""
        node = self._node
        hints = node.hints
        hints.tick()
        self._keepers.tick()
        if hints.is_full() != self.is_full:
            self.is_full = not self.is_full
            self._room_changed()
        if not hints.count:
            return
        if node.now.now_ms >= self._timer_ms:
            self._timer_ms = node.now.now_ms + node.settings.hint_interval_ms
            hints.expire()
            for owner in hints.owners():
                self._due_ms.setdefault(owner, node.now.now_ms)
        for owner in hints.fresh:       # no sooner than after what the owner has refused
            self._due_ms.setdefault(owner, node.now.now_ms)
        hints.fresh.clear()
        for owner, due_ms in list(self._due_ms.items()):
            if node.now.now_ms >= due_ms and owner not in self._under_way:
                del self._due_ms[owner]
                if self._is_able(owner):
                    self._offer(owner)

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        if not self._node.hints.count:
            return NEVER
        for owner in self._node.hints.fresh:
            if self._is_able(owner) and owner not in self._due_ms:
                return self._node.now.now_ms
        due = [at for owner, at in self._due_ms.items() if owner not in self._under_way]
        return min([self._timer_ms, *due])

    def _is_able(self, owner: str) -> bool:
        link = self._node.links.get(owner)
        return link is not None and link.is_up and link.can_store

    def _offer(self, owner: str) -> None:
        node = self._node
        room = node.admission.room(HINTS)
        if not room:
            self._due_ms[owner] = max(node.admission.ready_ms(HINTS), node.now.now_ms + 1)
            return
        entries = node.hints.take(owner, min(room, MESSAGE_BYTES), MESSAGE_HINTS)
        if entries:
            size = sum(len(name) + len(content) for name, _, content in entries)
            node.admission.spend(HINTS, cost(len(entries), size))
            self._under_way.add(owner)
            self._tasks.start_quietly(
                self._give(owner, entries), node.settings.request_timeout_ms, lambda _: None
            )

    def _give(self, owner: str, entries: list[Entry]) -> Task:
        hints = self._node.hints
        serial, taken_ms = hints.serial, self._node.now.wall_ms
        (answer,) = yield [(owner, Deliver(entries))]
        self._under_way.discard(owner)
        if answer == TAKEN:
            hints.forget(owner, entries, serial, taken_ms)
            self._due_ms[owner] = self._node.now.now_ms
        else:
            wait_ms = UNANSWERED_MS if answer is None else AGAIN_MS
            self._due_ms[owner] = self._node.now.now_ms + wait_ms
        return b""

    # ---- taking ----

    def answer(self, ask: Deliver) -> int:
        """Take what another node has kept for this one."""
        node = self._node
        hints, replica = node.hints, node.replica
        if node.store_failure:
            return NOT_NOW
        ring = node.ring
        oldest_ms = node.now.wall_ms - node.settings.hint_max_age_ms
        for name, since_ms, content in ask.entries:
            if len(name) < 4 or not (is_locator(name) or name[:1] == CLEARING):
                return NOT_NOW
            partition = hints.partition_of(name)
            if ring is None or partition >= ring.partitions or (
                node.identity.node_id not in node.transfers.holders(partition)
            ):
                return NOT_MINE
            if since_ms < oldest_ms:
                node.counters.hints_dropped += 1
            elif not is_locator(name):
                replica.clear(partition, name[1], decode_tops(content))
                self._exchange.hinted(partition)
            else:
                try:
                    replica.check(content)
                except DamagedError:        # it would be no better the next time
                    node.counters.hints_dropped += 1
                    continue
                before = replica.get(name)
                if replica.receive(name, content) != before:
                    self._exchange.hinted(partition)
                node.counters.records_received += 1
        return TAKEN

    def answer_of(self, ask: Held | HintSerial | HintsUpto) -> Answer:
        """What is kept here: of a key, or how far it has been delivered."""
        node = self._node
        if isinstance(ask, HintSerial):
            return node.hints.serial
        if isinstance(ask, HintsUpto):
            return node.hints.count_upto(ask.serial)
        locator = ask.locator
        if not is_locator(locator):
            return False, b"", {}
        if node.plans and node.plans[slot_of_locator(locator)].is_owner:
            partition = node.hints.partition_of(locator)
            cleared = node.replica.cleared.get(partition, {}).get(locator[2], {})
            return True, flat(node.replica.get(locator)), cleared
        _, is_whole = node.hints.find(locator)
        return is_whole, flat(node.hints.seen(locator)), node.hints.cleared(locator)
