"""Readiness of this node: whether it serves, is overloaded, can store, and has the right time.

Load balancers ask for it over HTTP, and peers get it with each frame when they choose who runs a
command; what peers' frames say of them is noted here too. It keeps no command from being served.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.link import Link
from respdyn.cluster.messages import (
    FLAG_BULK,
    FLAG_CANNOT_STORE,
    FLAG_CONGESTED,
    FLAG_DECLINES,
    FLAG_NO_ROOM,
    GOSSIP_CLOCK,
    bulk,
)
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import ReplyError
from respdyn.membership.clock_watch import ClockWatch
from respdyn.membership.membership import Membership

BULK_MS: Final = 500         # after the last part of a great value its work is done
COMPANY_MS: Final = 3000     # for all peers to be in reach; then a quorum of them will do

_FORMING = "CLUSTERDOWN the cluster is forming: {} of {} nodes have met"
_AWAITS = "CLUSTERDOWN this node waits to be joined: DYN.CLUSTER JOIN at a member, PLAN, COMMIT"
_LEFT = "CLUSTERDOWN this node has left the cluster and can be stopped"
_STOPPING = "LOADING this node is stopping"


class Readiness:
    """Judges this node by what it knows of itself."""

    def __init__(
        self, node: ThisNode, membership: Membership, in_flight: Callable[[], int],
        has_met: Callable[[], bool], retires: Callable[[], bool],
        stores_again: Callable[[str], None], lose_writes: Callable[[Link], None],
        replan: Callable[[], None],
    ) -> None:
        """`in_flight`: commands that clients wait for. `has_met`: whether the other nodes were met.

        `retires`: whether this node leaves the cluster. `stores_again`: a peer's disk works again.
        """
        self.is_busy = False        # as announced to peers
        self.bulk_ms = -BULK_MS     # when a part of a great value last came
        self.is_out = False         # this node was dropped from the ring
        self.clock = ClockWatch(
            node.now, node.settings.max_clock_offset_ms, node.settings.heartbeat_ms, node.trace
        )
        self._node = node
        self._membership = membership
        self._in_flight = in_flight
        self._has_met = has_met
        self._retires = retires
        self._stores_again = stores_again
        self._lose_writes = lose_writes
        self._replan = replan
        self.unreached: dict[str, str] = {}     # peer addresses, and why no node was met there
        self._clock_offset_logged = False
        self.started_ms = node.now.now_ms
        self._is_ready = False      # once ready, it stays so: then its replies speak for it
        self.clock.start(node.now.now_ms, node.now.wall_ms)

    # ---- ready ----

    def observe(self, link: Link, clock: int) -> None:
        """A peer's hybrid clock came with a frame, which brought its other clock as well."""
        node = self._node
        if not link.is_timed:
            self.clock.note(link)
        if not node.clock.observe(clock, node.now.wall_ms):
            node.counters.clocks_refused += 1
            if not self._clock_offset_logged:
                self._clock_offset_logged = True
                node.trace.event("clock_offset", limit_ms=node.settings.max_clock_offset_ms)

    def unready(self) -> str:
        """Why commands are not served, or not as they should be; "" if they are."""
        node = self._node
        if node.stopping:
            return "the node is stopping"
        if self._retires():
            return "the node leaves the cluster"
        if self._is_ready and not self.is_out:
            return ""
        ring = node.ring
        if self.is_out or self._membership.awaits:
            return "the node waits to be joined, or has left the cluster"
        if ring is None:
            return "the cluster is forming: {} of {} nodes".format(*self._met())
        up = 1 + sum(1 for link in node.links.values() if link.is_up)
        terms = node.default_terms
        is_patient = node.now.now_ms < self.started_ms + COMPANY_MS
        wanted = len(ring.members) if is_patient else max(terms.r, terms.w)
        if up < wanted:
            return f"{up} of {wanted} nodes are in reach"
        if not self._has_met():
            return "the other nodes are being met"
        if left := len(node.transfers.to_fill()):
            return f"the copy here is being filled: {left} partitions are left"
        self._is_ready = True
        return ""

    def refusal(self) -> ReplyError:
        """Why commands on keys are not accepted, for the client that gave one."""
        if self._node.stopping:
            return ReplyError(_STOPPING)
        if self.is_out:
            return ReplyError(_LEFT)
        if self._membership.awaits:
            return ReplyError(_AWAITS)
        return ReplyError(_FORMING.format(*self._met()))

    def _met(self) -> tuple[int, int | str]:
        """How many nodes have met while the cluster is forming, and how many are wanted."""
        return len(self._membership.candidates), self._node.settings.cluster_size or "?"

    # ---- peers ----

    def peer_stores(self, link: Link, can_store: bool) -> None:
        """A peer's disk has failed, or works again."""
        node = self._node
        link.can_store = can_store
        node.trace.event("peer_storing" if can_store else "peer_cannot_store", peer=link.peer[:8])
        self._replan()
        if can_store:
            self._stores_again(link.peer)
        else:
            self._lose_writes(link)

    def peer_has_room(self, link: Link, has_room: bool) -> None:
        """A peer has no room for more hints, or has some again."""
        link.has_room = has_room
        self._node.trace.event("peer_has_room" if has_room else "peer_full", peer=link.peer[:8])
        self._replan()

    def flags(self, hints_are_full: bool, is_congested: bool) -> int:
        """What every frame says of this node."""
        node = self._node
        flags = FLAG_CANNOT_STORE if node.store_failure else 0
        if self.declines_coordination():
            flags |= FLAG_DECLINES
        if hints_are_full:
            flags |= FLAG_NO_ROOM
        if node.now.now_ms < self.bulk_ms + BULK_MS:
            flags |= FLAG_BULK
        if is_congested:
            flags |= FLAG_CONGESTED
        return flags

    def moved(self, peer: str, arrived: int) -> None:
        """So many bytes of our connection to a peer, many at a time, have arrived there."""
        self._node.link_to(peer).moved(arrived, self._node.now.now_ms)

    def unacknowledged(self, peer: str, for_ms: int) -> None:
        """The machine of a peer has acknowledged nothing for so long, though bytes were sent again.

        0: it does acknowledge, or that is unknown.
        """
        self._node.link_to(peer).unacknowledged_ms = for_ms

    def has_bulk(self, peer: str = "") -> None:
        """A part of a great value has come, from a client or in a peer's frame, and not its end.

        What follows may be long turns; the next frames announce that to all peers.
        """
        if peer:
            self._node.link_to(peer).is_coming(self._node.now.now_ms)
        was_sent = self._node.now.now_ms < self.bulk_ms + BULK_MS // 2
        if not was_sent:
            self.bulk_ms = self._node.now.now_ms
            self._say()

    # ---- deprioritized ----

    def declines_coordination(self) -> bool:
        """Whether this node would rather not coordinate: too much waits, or its clock is off."""
        node = self._node
        working = self._in_flight() + sum(link.working for link in node.links.values())
        soft = node.settings.inflight_soft
        is_busy = working > (soft // 2 if self.is_busy else soft)
        if is_busy != self.is_busy:
            self.is_busy = is_busy
            node.trace.event("busy" if is_busy else "busy_no_more", in_flight=working)
            self._say()
        return is_busy or self.clock.is_doubted

    def _say(self) -> None:
        """The next frame to every peer has the news in its flags."""
        for link in self._node.links.values():
            link.speak_by_ms = 0

    # ---- the time ----

    def send_clock(self, link: Link) -> None:
        """Send a peer this node's clock."""
        link.gossips.append(bulk(GOSSIP_CLOCK + self.clock.statement()))

    def time(self, now_ms: int, wall_ms: int) -> None:
        """Time passes: judge the wall clock, and set the time to go by."""
        node = self._node
        was_doubted = self.clock.is_doubted
        if self.clock.advance(now_ms, wall_ms):
            for link in node.links.values():
                if link.is_connected:
                    self.send_clock(link)
            self._judge()
        elif self.clock.has_news:
            self._judge()
        self._note_doubt(was_doubted)

    def judge_clock(self) -> None:
        """This node has met the others and is about to answer: by their time, if need be."""
        was_doubted = self.clock.is_doubted
        self._judge()
        self._note_doubt(was_doubted)

    def _judge(self) -> None:
        node = self._node
        ring = node.ring
        self.clock.judge(node.links.values(), len(ring.members) if ring else 1, node.now.now_ms)

    def _note_doubt(self, was_doubted: bool) -> None:
        if self.clock.is_doubted != was_doubted:
            self._node.clock_is_doubted = self.clock.is_doubted
            self._say()
            self._replan()
