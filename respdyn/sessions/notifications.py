"""Notifications: pub/sub messages, keyspace events, invalidations, and slots that moved.

One door for the node to all rooms that do so, because they get the same things: statements of
peers, links that come and go, time, and which records a turn has changed. Nothing here costs
anything while no client listens.
"""

from __future__ import annotations

from respdyn.cluster.link import Link
from respdyn.cluster.this_node import ThisNode
from respdyn.config import Settings
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.expiring import Expiring
from respdyn.coordination.keyspace_events import KeyspaceEvents
from respdyn.coordination.waits import Waits
from respdyn.ring.hashing import Locator
from respdyn.sessions.draining import Draining
from respdyn.sessions.moved_slots import MovedSlots
from respdyn.sessions.pubsub import PubSub
from respdyn.sessions.session import Session
from respdyn.sessions.tracking import Trackers


class Notifications:
    """Assembles these rooms and passes on what concerns them."""

    def __init__(
        self, node: ThisNode, dispatcher: Dispatcher, sessions: dict[int, Session],
        draining: Draining, moved_slots: MovedSlots,
    ) -> None:
        links = node.links
        self.pubsub = PubSub(links, node.now, node.slices, node.counters)
        self.keyspace_events = KeyspaceEvents(self.pubsub.deliver_event, links)
        self.trackers = Trackers(
            links, node.replica, sessions, lambda: self.keyspace_events.trackers,
            self._tracking_changed,
        )
        self._expiring = Expiring(node, self._expired)
        self.waits = Waits(node)
        self._now = node.now
        self._are_changes_wanted = False        # by clients that track, here or at a peer
        self._dispatcher = dispatcher
        self._draining = draining
        self._moved_slots = moved_slots

    def settings_changed(self, settings: Settings) -> None:
        """Take over what CONFIG SET may have changed."""
        self.trackers.most_keys = settings.tracking_table_max_keys
        self.trackers.shrink()
        self.keyspace_events.ask(settings.notify_keyspace_events)
        self._interest_changed()

    def receive_interest(self, link: Link, item: bytes) -> None:
        """The classes of events that a peer's clients ask for."""
        self.keyspace_events.receive_interest(link, item)
        self._interest_changed()

    def _tracking_changed(self) -> None:
        self.keyspace_events.ask_for_changes(bool(self.trackers.sessions))
        self._interest_changed()

    def _interest_changed(self) -> None:
        """A client here wants events now, or none does any more."""
        is_wanted = self.keyspace_events.is_wanted()
        self._dispatcher.keyspace_events = self.keyspace_events if is_wanted else None
        self._are_changes_wanted = bool(self.trackers.sessions or self.keyspace_events.trackers)
        self._expiring.watch(is_wanted or self._are_changes_wanted)

    def _expired(self, locator: Locator) -> None:
        self.keyspace_events.expired(locator)
        if self._are_changes_wanted:
            self.trackers.expired(locator)

    def greet(self, link: Link) -> None:
        """A peer is newly connected: announce to it what the clients here want."""
        self.keyspace_events.greet(link)
        self._draining.greet(link)

    def forget(self, session: Session) -> None:
        """A client is gone, or begins anew."""
        self.pubsub.forget(session)
        if session.tracking is not None:
            self.trackers.disable(session)

    def lose(self, peer: str) -> None:
        """Nothing that waits for this peer will be answered; what it said may not have come."""
        self.pubsub.lose(peer)
        self.waits.lose(peer)
        if self.trackers.sessions:
            self.trackers.flush()

    def tick(self) -> None:
        """Time passes."""
        now_ms, wall_ms = self._now.now_ms, self._now.wall_ms
        self.pubsub.expire()
        self.waits.tick()
        if self.trackers.is_over():
            self.trackers.shrink()
        self._expiring.tick()
        self._moved_slots.look(now_ms, wall_ms, self._draining.is_leaving)
        self._draining.tick(now_ms)

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        if self.trackers.is_over():
            return self._now.now_ms + 1
        first_ms = min(self.pubsub.next_deadline(), self._expiring.next_deadline())
        first_ms = min(first_ms, self._draining.next_deadline())
        return min(first_ms, self.waits.next_deadline())

    def turn_ends(self, batch: list[bytes]) -> None:
        """The turn has changed these records, flat pairs."""
        if self.waits.keys:
            self.waits.turn_ends(batch)
        if self._expiring.is_watching:
            self._expiring.note(batch)
        if self._are_changes_wanted:
            self.trackers.turn_ends(batch)
