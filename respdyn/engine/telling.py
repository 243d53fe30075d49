"""What clients are told unasked: messages, keyspace events, expiries.

One door for the node to all rooms that do so, because they hear the same things: statements of
peers, links that come and go, time, and which records a turn has changed. Nothing here costs
anything while no client listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from respdyn.cluster.messages import (
    GOSSIP_COUNT,
    GOSSIP_EVENT,
    GOSSIP_INTEREST,
    GOSSIP_LEAVING,
    GOSSIP_MESSAGE,
)
from respdyn.engine.expiring import Expiring
from respdyn.engine.notices import Notices
from respdyn.engine.pubsub import PubSub

if TYPE_CHECKING:
    from respdyn.cluster.link import Link
    from respdyn.cluster.replica import Replica
    from respdyn.config import Settings
    from respdyn.engine.dispatch import Dispatcher
    from respdyn.engine.draining import Draining


class Telling:
    """Assembles these rooms and passes on what concerns them."""

    def __init__(
        self, links: dict[str, Link], replica: Replica, dispatcher: Dispatcher, here: str,
        draining: Draining,
    ) -> None:
        self.pubsub = PubSub(links)
        self.notices = Notices(self.pubsub, links)
        self._expiring = Expiring(replica, dispatcher, here, self.notices.expired)
        self._dispatcher = dispatcher
        self._draining = draining
        self._hearers = {
            GOSSIP_MESSAGE: self.pubsub.heard_message,
            GOSSIP_COUNT: self.pubsub.heard_count,
            GOSSIP_EVENT: self.notices.heard_event,
            GOSSIP_INTEREST: self._heard_interest,
            GOSSIP_LEAVING: draining.heard,
        }

    def settings_changed(self, settings: Settings) -> None:
        """Take over what CONFIG SET may have changed."""
        self.notices.ask(settings.notify_keyspace_events)
        self._interest_changed()

    def heard(self, link: Link, item: bytes) -> bool:
        """A peer's statement; False if it concerns somebody else. Raises `PeerError`."""
        hear = self._hearers.get(item[:1])
        if hear is None:
            return False
        hear(link, item)
        return True

    def _heard_interest(self, link: Link, item: bytes) -> None:
        self.notices.heard_interest(link, item)
        self._interest_changed()

    def _interest_changed(self) -> None:
        """Somebody asks for events now, or nobody does any more."""
        is_wanted = self.notices.is_wanted()
        self._dispatcher.notices = self.notices if is_wanted else None
        self._expiring.watch(is_wanted)

    def greet(self, link: Link) -> None:
        """A peer is newly connected: tell it what the clients here ask for."""
        self.notices.greet(link)
        self._draining.greet(link)

    def lose(self, peer: str) -> None:
        """Nothing that waits for this peer will be answered."""
        self.pubsub.lose(peer)

    def advance(self, now_ms: int, wall_ms: int) -> None:
        """Time passes."""
        self.pubsub.expire(now_ms)
        self._expiring.tick(now_ms, wall_ms)

    def next_deadline(self) -> int:
        """When `advance` has work at the earliest."""
        return min(self.pubsub.next_deadline(), self._expiring.next_deadline())

    def turn_ends(self, batch: list[bytes]) -> None:
        """The turn has changed these records, flat pairs."""
        if self._expiring.is_watching:
            self._expiring.note(batch)
