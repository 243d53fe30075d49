"""Draining: a node stops or leaves the ring; others coordinate for it, and its clients move.

On `begin` this node sends its peers that it is *leaving*, and they deprioritize it: another owner
coordinates its keys and cluster-aware clients are shown that one, while the node goes on serving
whatever still comes. Clients that want it (`CLIENT MAINT_NOTIFICATIONS ON`, which redis-py,
node-redis and others send by themselves in RESP3) are pushed

    MOVING sequence seconds host:port

on the client port: connect there for so long, finish here what is under way. On the cluster port it
is `SMIGRATED sequence [[from, to, slots], ...]`. A client that connects meanwhile gets it at once.
The node may stop when all clients that got it have gone (`is_clear`); those who do not know the
message are served until it does.

A member that leaves the cluster does the same from the moment it knows that it is to leave. Once it
is out of the ring it forwards what its clients still ask, for `drain-timeout`, and then refuses.

A node that has just started stands aside in the same way until it has met the others (`arrival`):
they may see it before it sees them, and it would refuse what they forward for want of a quorum.

Source: redis-py and node-redis, whose parsers say what these messages look like.
"""

from collections.abc import Callable
from typing import Final
from zlib import crc32

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_LEAVING
from respdyn.cluster.messages import bulk as statement
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.resp.replies import array, bulk, integer, push, text
from respdyn.ring.ring import Member, Ring
from respdyn.sessions.moved_slots import Ranges, migrations
from respdyn.sessions.session import Session

GONE_S: Final = 600             # for so long clients stay away from a node that does not come back
NOWHERE: Final = b"none"        # an endpoint type: the client knows where to connect anew


class Draining:
    """This node's leaving, and which of its clients have been notified."""

    def __init__(
        self, node: ThisNode, sessions: dict[int, Session], replan: Callable[[], None],
        ranges: Callable[[], Ranges], here: Member,
    ) -> None:
        self.is_leaving = False
        # The other way round: a node that has just started can be seen by its peers before it sees
        # a quorum of them itself. Until it does, or for a while, others coordinate.
        self.is_arriving = True
        self.retires = False            # it leaves the ring for good, and still serves clients
        self.notified = 0                   # clients that were sent MOVING
        self._ring: Ring | None = None          # that was looked at last
        self._refuses_ms = NEVER                # out of the ring: from then on clients are refused
        self._node = node
        self._sessions = sessions
        self._replan = replan
        self._ranges = ranges
        self._here = here
        self._seconds = 0
        self._sequence = 0
        self._moved = b""               # the body of SMIGRATED
        self._notified: list[tuple[Link, int, int]] = []    # peer, epoch and number of the frame

    # ---- among nodes ----

    def greet(self, link: Link) -> None:
        """Announce to a newly connected peer whether this node leaves."""
        if link.is_connected:
            link.gossips.append(
                statement(GOSSIP_LEAVING + (b"1" if self.stands_aside else b"0"))
            )

    def receive(self, link: Link, item: bytes) -> None:
        """A peer stands aside, or does so no longer."""
        is_leaving = item[1:] == b"1"
        if link.is_leaving != is_leaving:
            link.is_leaving = is_leaving
            self._replan()

    @property
    def stands_aside(self) -> bool:
        """Whether others are to coordinate: this node is about to stop, or has only just begun."""
        return self.is_leaving or self.is_arriving

    def tick(self, now_ms: int) -> None:
        """See whether this node leaves the ring."""
        ring = self._node.ring
        if ring is not self._ring or self.retires:
            self._ring = ring
            self._retire(now_ms, ring)

    def arrived(self) -> None:
        """This node has met its peers, or waited for them long enough."""
        self.is_arriving = False
        for link in self._node.links.values():
            self.greet(link)
        self._replan()

    def next_deadline(self) -> int:
        """When `tick` has work at the latest."""
        return self._refuses_ms

    def _retire(self, now_ms: int, ring: Ring | None) -> None:
        """A member that leaves: its clients go first, and are refused when it has been out long
        enough. One that was removed by force knows nothing before it is out: it refuses at once.
        """
        here = ring.member(self._here.node_id) if ring is not None else None
        if not self.retires:
            if here is not None and here.state == "leaving":
                self.retires = True
                self._node.trace.event("draining", reason="leaves the cluster")
                self.begin(GONE_S)
        elif here is None and self._refuses_ms == NEVER:
            self._refuses_ms = now_ms + self._node.settings.drain_timeout_ms
        elif here is None and (now_ms >= self._refuses_ms or not self._sessions):
            self.retires = False
            self._refuses_ms = NEVER
            self._node.trace.event(
                "drained", notified=self.notified, clients_left=len(self._sessions)
            )
            self._replan()

    # ---- clients ----

    def begin(self, seconds: int) -> None:
        """Begin to leave. `seconds`: for how long clients shall stay with another node."""
        before = self._ranges()
        self.is_leaving = True
        self._seconds = seconds
        self._sequence = self._node.now.wall_ms // 1000
        for link in self._node.links.values():
            self.greet(link)
        self._notified = [
            (link, link.epoch, link.number + 1) for link in self._node.links.values() if link.is_up
        ]
        self._replan()
        self._moved = self._migrations(before, self._ranges())
        for session in list(self._sessions.values()):
            self.notify(session)

    def end(self) -> None:
        """Stay after all. Clients that have moved stay where they are."""
        self.is_leaving = False
        for link in self._node.links.values():
            self.greet(link)
        self._replan()

    def notify(self, session: Session) -> None:
        """Push MOVING to a client, if this node leaves and the client wants to know."""
        if not self.is_leaving or not session.moving or session.resp != 3:
            return
        if session.listener == "cluster":
            message = [bulk(b"SMIGRATED"), integer(self._sequence), self._moved]
        else:
            where = self._where(session)
            if not where:
                return              # nowhere to go
            message = [bulk(b"MOVING"), integer(self._sequence), integer(self._seconds), where]
        self.notified += 1
        session.push(push(message, True))

    def is_clear(self) -> bool:
        """Whether all notified clients have gone, or have nowhere to go: all nodes stop."""
        return not self._others() or not any(
            session.moving and session.resp == 3 for session in self._sessions.values()
        )

    def is_announced(self) -> bool:
        """Whether all peers that are up know that this node leaves.

        Frames keep their order both ways, so whatever they had forwarded before has come as well.
        """
        return all(
            not link.is_up or link.epoch != epoch or link.applied >= number
            for link, epoch, number in self._notified
        )

    def works_for_others(self) -> bool:
        """Whether commands wait here that peers have forwarded."""
        return any(link.working for link in self._node.links.values())

    def _others(self) -> list[Member]:
        """Nodes that clients may go to, this node's right neighbour first."""
        found = [
            link.member for peer, link in sorted(self._node.links.items())
            if link.is_up and not link.is_leaving and link.member is not None
        ]
        at = sum(1 for one in found if one.node_id < self._here.node_id)
        return found[at:] + found[:at]

    def _where(self, session: Session) -> bytes:
        """The same place for all connections of one machine: they are one pool, most often."""
        if session.moving == NOWHERE:
            return b"_\r\n"
        others = self._others()
        if not others:
            return b""
        machine = session.address.rpartition(":")[0]
        member = others[crc32(machine.encode()) % len(others)]
        settings = self._node.settings
        port = member.client_port
        if session.is_tls and settings.client_port:     # as far from the other as it is here
            port += settings.tls_port - settings.client_port
        return text(f"{member.host}:{port}")

    def _migrations(self, before: Ranges, after: Ranges) -> bytes:
        """Which slots this node has handed to whom, as SMIGRATED lists them."""
        addresses = {
            peer: f"{link.member.host}:{link.member.cluster_port}"
            for peer, link in self._node.links.items() if link.member is not None
        }
        addresses[self._here.node_id] = f"{self._here.host}:{self._here.cluster_port}"
        own = [slots for slots in before if slots[2] == self._here.node_id]
        return array(migrations(own, after, addresses))
