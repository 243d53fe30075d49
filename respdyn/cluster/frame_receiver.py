"""Frames received: a peer's acknowledgements, questions and writes take effect here.

The order within a frame matters and is fixed (see `messages`): gossip first, so that a ring that
the peer adopted is known before its writes; then what differs, then the acknowledgements that it
belongs to; then verifies, before the writes of the same turn; forwarded commands last.
"""

from collections.abc import Callable, Collection
from typing import Final

from respdyn.causal.codec import ELEMENTS, LIVE, digest, join_records
from respdyn.causal.parts import beside, flat, stub
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.failure import FailureDetector
from respdyn.cluster.link import LAZY_MS, Link
from respdyn.cluster.messages import (
    EARLY_OK,
    EARLY_PAIR,
    FLAG_BULK,
    FLAG_CANNOT_STORE,
    FLAG_CONGESTED,
    FLAG_DECLINES,
    FLAG_HURRY,
    FLAG_NO_ROOM,
    IN_FEEDBACK,
    IN_VERIFY,
    POSITION,
    PROBE,
    decode_numbers,
    hint_name,
    pair,
    read_header,
)
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import DamagedError, PeerError
from respdyn.ring.hashing import is_locator, slot_of_locator
from respdyn.types import values

# So many frames of earlier connections, with none of the latest between them, are too many.
STRAYS_MAX: Final = 8


class Receiver:
    """Applies frames."""

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, detector: FailureDetector,
        gossip: Callable[[Link, bytes], None],
        forwarded: Callable[[Link, list[bytes], int, int], int],
        answered: Callable[[Link, int, bytes], None],
        on_request: Callable[[Link, bytes], None],
        on_response: Callable[[Link, bytes], None],
        storing_changed: Callable[[Link, bool], None],
        room_changed: Callable[[Link, bool], None],
        observe_clock: Callable[[Link, int], None],
        forget_requests: Callable[[Link], None],
        peer_began: Callable[[Link], None], on_mark: Callable[[Link, int], None],
    ) -> None:
        self._now = node.now
        self.can_store = True
        self.message_max_age_ms = node.settings.message_max_age_ms
        self.touched: list[Link] = []         # peers whose frames took effect this turn
        self._replica = node.replica
        self._hints = node.hints
        self._coordinator = coordinator
        self._detector = detector
        self._counters = node.counters
        self._owns = node.transfers.holds
        self._gossip = gossip
        self._forwarded = forwarded
        self._answered = answered
        self._on_request = on_request
        self._on_response = on_response
        self._storing_changed = storing_changed
        self._room_changed = room_changed
        self._observe_clock = observe_clock
        self._forget_requests = forget_requests
        self._peer_began = peer_began
        self._on_mark = on_mark

    def frame(self, link: Link, items: list[bytes]) -> None:
        """Apply one frame. Raises `PeerError` when it breaks the protocol."""
        (
            _, flags, epoch, number, ack_epoch, applied, durable, clock, peer_now_ms, echo_ms, mark,
            verifies, feedbacks, stores, differs, forwards, answers, requests, responses, gossips,
        ) = read_header(items)
        if epoch != link.peer_epoch and epoch not in link.old_epochs:
            self._forget_requests(link)
            link.start_peer_epoch(epoch, self._now.now_ms)
            self._peer_began(link)
        if epoch != link.peer_epoch or 0 < number <= link.peer_number:
            self._counters.frames_dropped += 1
            if epoch != link.peer_epoch:
                self._stray(link)
            return
        link.strays = 0
        if number > link.peer_number + 1:
            raise PeerError(f"frame {number} came after frame {link.peer_number}")
        received_ms = max(link.peer_epoch_ms, echo_ms if echo_ms <= self._now.now_ms else 0)
        if self._now.now_ms - received_ms > self.message_max_age_ms:
            # It may bring what was deleted meanwhile, and the deletion forgotten (`collect`).
            raise PeerError(f"a frame that may be {self._now.now_ms - received_ms} ms old")
        end_verifies = 1 + 2 * verifies
        end_feedbacks = end_verifies + 2 * feedbacks
        end_stores = end_feedbacks + 2 * stores
        end_differs = end_stores + 2 * differs
        start_tail = len(items) - 2 * answers - requests - responses - gossips
        if start_tail < end_differs + 2 * forwards:
            raise PeerError("a frame with fewer items than its header says")
        self._counters.frames_received += 1
        link.compare_clocks(self._now.now_ms, peer_now_ms, echo_ms)
        self._observe_clock(link, clock)
        if number:
            if link.peer_number != number:
                link.peer_number = number
            link.owe(self._now.now_ms if flags & FLAG_HURRY else self._now.now_ms + LAZY_MS)
            if not link.is_touched:
                link.is_touched = True
                self.touched.append(link)
        if gossips:
            for item in items[-gossips:]:
                if link.is_member or item[:1] in link.open_statements:
                    self._gossip(link, item)
                else:
                    self._counters.strangers_ignored += 1
        if not link.is_member and len(items) - 1 != gossips:
            raise PeerError("no member of this cluster: it may greet, and nothing else")
        if mark > link.mark:
            self._on_mark(link, mark)
        for at in range(end_stores, end_differs, 2):
            record = items[at + 1]
            if record:
                self._check(record, self._replica.check_received)
            self._coordinator.differ(link, items[at], record)
        # Before the acknowledgement: what the peer could not store is no copy.
        if link.can_store == bool(flags & FLAG_CANNOT_STORE):
            self._storing_changed(link, not flags & FLAG_CANNOT_STORE)
        if ack_epoch == link.epoch:
            self._acknowledged(link, applied, durable)
        link.is_congested = bool(flags & FLAG_CONGESTED)
        if flags & FLAG_BULK:
            link.bulk_ms = self._now.now_ms
        if link.declines_coordination != bool(flags & FLAG_DECLINES):
            self._detector.busy(link, not link.declines_coordination)
        if link.has_room == bool(flags & FLAG_NO_ROOM):
            self._room_changed(link, not flags & FLAG_NO_ROOM)
        if verifies:
            self._verify(link, number, items, end_verifies)
        refused: Collection[int] = ()
        if feedbacks or stores:
            refused = self._store(link, number, items, end_verifies, end_feedbacks, end_stores)
        at = end_differs
        for _ in range(forwards):
            if at >= start_tail:
                raise PeerError("a forwarded command that is cut short")
            at = self._forwarded(link, items, at, echo_ms)
        if at != start_tail:
            raise PeerError("a frame whose forwarded commands do not add up")
        for _ in range(answers):
            reply = items[at + 1]
            if reply[:2] == EARLY_OK:
                self._answer_early(link, items[at], reply[1:], feedbacks, refused)
            else:
                for answered in decode_numbers(items[at]):
                    self._answered(link, answered, reply)
            at += 2
        for item in items[at : at + requests]:
            self._on_request(link, item)
        for item in items[at + requests : at + requests + responses]:
            self._on_response(link, item)

    def end_turn(self, generation: int) -> None:
        """The turn ends: links whose frames changed something wait for this batch (0: none)."""
        for link in self.touched:
            link.end_turn(generation)
        self.touched.clear()

    def _stray(self, link: Link) -> None:
        """A frame of an earlier connection. Raises `PeerError` where no other come any more.

        Which of two connections is the later one shows in whose frames came first. If those of
        the earlier did, the one that stands must end: on the next all is well again.
        """
        link.strays += 1
        if link.strays > STRAYS_MAX:
            raise PeerError("frames of an earlier connection, and none of a later one")

    def _acknowledged(self, link: Link, applied: int, durable: int) -> None:
        if applied > link.number or durable > applied:
            raise PeerError("an acknowledgement of a frame that was never sent")
        if applied > link.applied:
            oldest_ms = link.silent_since_ms()
            newest = link.applies(applied)
            if newest is not None and oldest_ms is not None:
                self._detector.receive(link, newest.sent_ms, oldest_ms, self._now.now_ms)
        if durable > link.durable:
            link.durable = durable
        self._coordinator.latencies.whom = link.peer
        self._coordinator.acknowledge(link, applied, durable)

    def _verify(self, link: Link, number: int, items: list[bytes], end: int) -> None:
        """Compare digests; send what we hold where it differs.

        If something was cleared that the peer may not know of, that is sent first: what it holds
        may lie below.
        """
        slots = self._replica.slots
        cleared_sent: set[bytes] = set()
        for at in range(1, end, 2):
            locator, theirs = items[at], items[at + 1]
            if not is_locator(locator):
                self._probed(link, number, (at - 1) // 2, locator, theirs)
                continue
            slot = slot_of_locator(locator)
            record = slots[slot].get(locator, b"")
            # The digest of a plain record is its head: most comparisons end here.
            if record and theirs and (record.startswith(theirs) or digest(record) == theirs):
                continue
            if record or theirs:
                position = POSITION.pack(number, IN_VERIFY, (at - 1) // 2)
                link.differs.append(pair(position, stub(record)))
                if theirs and self._replica.cleared and locator[:3] not in cleared_sent:
                    cleared_sent.add(locator[:3])
                    self._coordinator.send_cleared(link, locator)

    def _probed(
        self, link: Link, number: int, index: int, name: bytes, theirs: bytes
    ) -> None:
        """An owner's probe: what is kept here for others? Only what differs is sent."""
        locator = name[1:]
        if name[:1] != PROBE or not is_locator(locator):
            raise PeerError("a locator that cannot be")
        record = join_records(self._hints.seen(locator), self._replica.get(locator))
        is_cleared = bool(theirs and self._hints.count and self._hints.cleared(locator))
        if is_cleared:
            self._coordinator.send_cleared(link, locator)
        if is_cleared or (record and digest(record) != theirs):
            link.differs.append(pair(POSITION.pack(number, IN_VERIFY, index), flat(record)))

    def _store(
        self, link: Link, number: int, items: list[bytes], start: int, middle: int, end: int
    ) -> Collection[int]:
        """Join records; the sender of the first part wants siblings that were here before, and what
        covered them before they came: its sender knows whether that can be.

        Returns the positions in the first part of those that were not simply taken.
        """
        if not self.can_store:
            # And say so: the flag is in every frame until the disk works again.
            return range((middle - start) // 2)
        link.has_stored = True
        take, receive, check = self._replica.take, self._replica.receive, self._replica.check
        refused: list[int] = []
        self._counters.records_received += (end - start) // 2
        for at in range(start, end, 2):
            name, record = items[at], items[at + 1]
            if take(name, record):
                continue
            self._check(record, check)
            if is_locator(name):
                new = receive(name, record)
            else:
                new = self._keep(name, record)
            if (
                at < middle and new is not record and new and new != record
                and (
                    (new[1] & LIVE and values.is_contested(record, new))
                    or (not record[1] & ELEMENTS and not values.lives(record, new))
                )
            ):
                position = POSITION.pack(number, IN_FEEDBACK, (at - start) // 2)
                link.differs.append(pair(position, beside(record, new)))
                refused.append((at - start) // 2)
        return refused

    def _answer_early(
        self, link: Link, item: bytes, reply: bytes, feedbacks: int, refused: Collection[int]
    ) -> None:
        """The peer has run commands for us, and their records have come with this frame."""
        if len(item) % EARLY_PAIR.size:
            raise PeerError("an early answer that is cut short")
        for number, index in EARLY_PAIR.iter_unpack(item):
            if index >= feedbacks:
                raise PeerError("an early answer to a record that was never sent")
            if index not in refused:
                self._answered(link, number, reply)

    def _keep(self, name: bytes, record: bytes) -> bytes:
        """Keep a record for an owner that its sender cannot reach."""
        owner, locator, is_whole = hint_name(name)
        if self._owns(locator):         # by this node's ring it need not be kept for another
            return self._replica.receive(locator, record)
        return self._hints.keep(owner, locator, record, is_whole)

    def _check(self, record: bytes, check: Callable[[bytes], None]) -> None:
        try:
            check(record)
        except DamagedError as wrong:
            raise PeerError(f"a damaged record: {wrong}") from wrong
