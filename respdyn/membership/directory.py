"""The directory: where each node is, by its own last word, and how this node sees it."""

from respdyn.cluster.this_node import ThisNode
from respdyn.membership.membership import Membership
from respdyn.ring.ring import Member


class Directory:
    """Addresses and states by node id."""

    def __init__(self, node: ThisNode, membership: Membership) -> None:
        self._node = node
        self._membership = membership

    def state_of(self, node_id: str) -> str:
        """How this node sees another: up, down, or up but cannot store."""
        node = self._node
        if node_id == node.identity.node_id:
            return "cannot-store" if node.store_failure else "up"
        link = node.links.get(node_id)
        if link is None or not link.is_up:
            return "down"
        return "up" if link.can_store else "cannot-store"

    def member(self, node_id: str) -> Member | None:
        """A node's addresses: as it last announced them, else as the ring has them."""
        node = self._node
        link = node.links.get(node_id)
        if link is not None and link.member is not None:
            return link.member
        if node_id == node.identity.node_id:
            return self._membership.here
        return node.ring.member(node_id) if node.ring is not None else None

    def address_of(self, node_id: str) -> str:
        """Where its clients connect; "?" if that is not known."""
        member = self.member(node_id)
        return f"{member.host}:{member.client_port}" if member is not None else "?"

    def whom(self, peer: str) -> tuple[str, str]:
        """A peer and its address, or "" twice: for a message about what waited for it."""
        member = self.member(peer) if peer else None
        return peer, f"{member.host}:{member.client_port}" if member is not None else ""

    def reachable(self) -> list[str]:
        """This node and all members that can be reached."""
        others = [
            peer for peer, link in sorted(self._node.links.items()) if link.is_up and link.is_member
        ]
        return [self._node.identity.node_id, *others]
