"""Statements of peers, and the room that handles each kind: one table.

A kind that is not in it was added by a newer version. It is counted (`statements_unknown`) and
passed over, so that two versions can stand side by side while a cluster is upgraded. A kind that is
known and malformed costs its sender the link.
"""

from collections.abc import Callable

import msgspec

from respdyn.cluster import messages
from respdyn.cluster.cleared_gossip import ClearedGossip
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.link import Link
from respdyn.cluster.messages import (
    GOSSIP_CANDIDATES,
    GOSSIP_CHANGED,
    GOSSIP_CLEARED,
    GOSSIP_CLOCK,
    GOSSIP_COLLECTED,
    GOSSIP_COUNT,
    GOSSIP_ENDS,
    GOSSIP_EVENT,
    GOSSIP_GAVE,
    GOSSIP_GOES_ON,
    GOSSIP_HELD,
    GOSSIP_INTEREST,
    GOSSIP_KEEPS,
    GOSSIP_KEYS,
    GOSSIP_KNOWN,
    GOSSIP_LEAVING,
    GOSSIP_LIBRARY,
    GOSSIP_LIFE,
    GOSSIP_MESSAGE,
    GOSSIP_MOVED,
    GOSSIP_OFFER,
    GOSSIP_PLACE,
    GOSSIP_PROMISE,
    GOSSIP_PROPOSAL,
    GOSSIP_RELEASE,
    GOSSIP_RING,
    GOSSIP_SCRIPT,
    GOSSIP_STATE,
    GOSSIP_USER,
    GOSSIP_VOTE,
    GOSSIP_WAITS,
)
from respdyn.cluster.statistics import Counters
from respdyn.coordination.scripts import Scripts
from respdyn.errors import DamagedError, PeerError
from respdyn.membership.gossip import Gossip
from respdyn.replication.collection import Collection
from respdyn.sessions.draining import Draining
from respdyn.sessions.notifications import Notifications

Handler = Callable[[Link, bytes], None]


class StatementHandlers:
    """Hands each statement to the room that it concerns."""

    def __init__(
        self, counters: Counters, receive_clock: Handler, gossip: Gossip, keepers: Keepers,
        cleared: ClearedGossip, collection: Collection, notifications: Notifications,
        draining: Draining, scripts: Scripts, goes_on: Handler,
    ) -> None:
        self._counters = counters
        self._handlers: dict[bytes, Handler] = {
            GOSSIP_CANDIDATES: gossip.receive_candidates,
            GOSSIP_PROPOSAL: gossip.receive_proposal,
            GOSSIP_PROMISE: gossip.receive_promise,
            GOSSIP_RELEASE: gossip.receive_release,
            GOSSIP_RING: gossip.receive_ring,
            GOSSIP_CLEARED: lambda link, item: cleared.receive(item[1:]),
            GOSSIP_MESSAGE: notifications.pubsub.receive_message,
            GOSSIP_COUNT: notifications.pubsub.receive_count,
            GOSSIP_USER: gossip.receive_statement,
            GOSSIP_LIBRARY: gossip.receive_statement,
            GOSSIP_EVENT: notifications.keyspace_events.receive_event,
            GOSSIP_INTEREST: notifications.receive_interest,
            GOSSIP_CLOCK: receive_clock,
            GOSSIP_CHANGED: notifications.trackers.receive,
            GOSSIP_LEAVING: draining.receive,
            GOSSIP_COLLECTED: lambda link, item: collection.receive(item[1:]),
            GOSSIP_ENDS: gossip.receive_ends,
            GOSSIP_VOTE: gossip.receive_vote,
            GOSSIP_STATE: gossip.receive_state,
            GOSSIP_HELD: gossip.receive_held,
            GOSSIP_MOVED: gossip.receive_moved,
            GOSSIP_KEEPS: lambda link, item: keepers.receive(link, item[1:]),
            GOSSIP_GAVE: lambda link, item: keepers.receive_gave(item[1:]),
            GOSSIP_LIFE: gossip.receive_life,
            GOSSIP_KNOWN: gossip.receive_life,
            GOSSIP_KEYS: gossip.receive_keys,
            GOSSIP_PLACE: gossip.receive_place,
            GOSSIP_SCRIPT: scripts.receive_script,
            GOSSIP_WAITS: notifications.waits.receive,
            GOSSIP_OFFER: notifications.waits.receive_offer,
            GOSSIP_GOES_ON: goes_on,
        }
        kinds = {getattr(messages, name) for name in dir(messages) if name[:7] == "GOSSIP_"}
        assert self._handlers.keys() == kinds, "each kind of statement has a handler"

    def receive(self, link: Link, item: bytes) -> None:
        """A peer's statement. Raises `PeerError` when it is malformed."""
        handle = self._handlers.get(item[:1])
        if handle is None:
            if not item:
                raise PeerError("an empty statement")
            self._counters.statements_unknown += 1
            return
        try:
            handle(link, item)
        except (DamagedError, msgspec.MsgspecError) as wrong:
            raise PeerError(f"a malformed statement: {wrong}") from wrong
