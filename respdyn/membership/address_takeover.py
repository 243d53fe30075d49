"""Replacing a dead node by address: a node that lost its disk finds the place that it had.

A node that starts with an empty data directory has a new node id and is a stranger to the cluster:
a *visitor* that waits. If it stands exactly where a member stood, at the same host and peer port,
and no member reaches that member, the two are one machine. Each member that knows of such a visitor
sends it this statement:

    member -- GOSSIP_PLACE (cluster, that member's node id, is it reached, members) --> visitor

The visitor takes the place when a majority of the members has said so at the same time and none of
them reaches the member: the process begins anew under the member's node id, in a new life, and is
an owner that lost everything from then on (decision 0014 says how it is filled, and that no read
uses it before). Nothing changes in the ring.

Why this cannot make two of one: a member speaks only to whom it reached by dialling the very
address of the lost member, and an address has one listener. It says "reached" while it has any
connection to the member, wherever that is now.

What it does not do: a process that was given a node id by name keeps that one; one that has stored
a ring or a record belongs somewhere already; one that was a member before must come back empty.

Source: decision 0027.
"""

from typing import Final

import msgspec

from respdyn.cluster.link import Link
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import PeerError
from respdyn.membership.membership import MAX_VISITORS, Membership, Visitor, address_of
from respdyn.ring.ring import Member

FRESH_MS: Final = 5_000         # what was said so long ago counts no more; it is said every second


class Takeover(msgspec.Struct, frozen=True, array_like=True):
    """What a member says to a visitor that stands at the address of another member."""

    cluster_id: str
    node_id: str            # of that other member
    is_reached: bool        # by the one who says it
    members: int            # of the ring


class AddressTakeovers:
    """This node's part: a member sees visitors, a visitor receives members' statements."""

    def __init__(self, node: ThisNode, membership: Membership) -> None:
        self.may_take = False           # this node has an empty directory, and no name given to it
        self._node = node
        self._membership = membership
        self._links = node.links
        self._trace = node.trace
        self._said: dict[str, tuple[Takeover, int]] = {}     # by member, and when
        self._refused: set[str] = set()                     # visitors that the log has named
        self._has_found = False

    # ---- a member ----

    def statements(self) -> list[tuple[Link, bytes]]:
        """What to say to visitors now, each on its link. Our connection to them is to the address
        at which they say they are, since that is what is dialled.
        """
        ring = self._membership.ring
        if ring is None or not self._node.is_member():
            return []
        found = []
        for name, visitor in sorted(self._membership.visitors.items()):
            link = self._links.get(name)
            member = self.place_of(visitor)
            if member is None or link is None or not link.is_connected:
                continue
            is_reached = self._is_reached(member.node_id)
            if is_reached and name not in self._refused and len(self._refused) < MAX_VISITORS:
                self._refused.add(name)
                self._trace.event(
                    "place_refused", visitor=name[:8], member=member.node_id[:8],
                    address=address_of(member), reason="the member is reached elsewhere",
                )
            said = Takeover(ring.cluster_id, member.node_id, is_reached, len(ring.members))
            found.append((link, msgspec.msgpack.encode(said)))
        self._refused &= set(self._membership.visitors)
        return found

    def place_of(self, visitor: Visitor) -> Member | None:
        """The member where this visitor stands, if it could take that place."""
        ring = self._membership.ring
        if ring is None or visitor.was_member:
            return None
        at = address_of(visitor.member)
        for member in ring.members:
            link = self._links.get(member.node_id)
            newest = link.member if link is not None and link.member is not None else member
            if address_of(newest) == at and member.node_id != self._membership.here.node_id:
                return newest
        return None

    def has_successor(self, node_id: str) -> bool:
        """Whether a visitor waits at the address of this member, which is unreachable from here."""
        return not self._is_reached(node_id) and any(
            member is not None and member.node_id == node_id
            for member in map(self.place_of, self._membership.visitors.values())
        )

    def _is_reached(self, node_id: str) -> bool:
        link = self._links.get(node_id)
        return node_id == self._membership.here.node_id or (
            link is not None and (link.is_up or link.is_connected)
        )

    # ---- a visitor ----

    def receive(self, peer: str, body: bytes) -> None:
        """A member has said something of the place where this node stands. Raises `PeerError`."""
        try:
            said = msgspec.msgpack.decode(body, type=Takeover)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed takeover: {wrong}") from wrong
        if self.may_take and self._membership.ring is None:
            self._said[peer] = (said, self._node.now.now_ms)

    def found(self) -> str:
        """The node id whose place this node is to take, once; "" as long as there is none."""
        if self._has_found or not self._said or self._membership.ring is not None:
            return ""
        fresh = [
            said for peer, (said, at_ms) in sorted(self._said.items())
            if self._node.now.now_ms - at_ms <= FRESH_MS and self._is_reached(peer)
        ]
        if not fresh or any(said.is_reached for said in fresh):
            return ""
        if len({(said.cluster_id, said.node_id) for said in fresh}) > 1:
            return ""           # a member has old news
        if len(fresh) < most_of(max(said.members for said in fresh)):
            return ""
        self._has_found = True
        self._trace.event("takes_place", member=fresh[0].node_id[:8], said_by=len(fresh))
        return fresh[0].node_id


def most_of(members: int) -> int:
    """How many members must have said it: a majority of all, or all but the lost one if fewer.

    >>> [most_of(members) for members in (2, 3, 4, 5, 6)]
    [1, 2, 3, 3, 4]
    """
    return min(members - 1, members // 2 + 1)
