"""What nodes say of what FLUSHALL and FLUSHDB have cleared, so that it stays cleared everywhere.

A *cleared context* says of a partition's database which dots are gone, even where a node still
holds them (see `cleared`). It is sent to a peer that greets, to one that has shown a record which
lies below it, and to one that is handed a partition; a node that receives one raises its own to it.

Source: SEMANTICS 6.
"""

import msgspec

from respdyn.cluster.cleared import check_tops, raise_to
from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_CLEARED, bulk
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator, slot_of_locator

_Cleared = tuple[int, int, dict[bytes, int]]      # database, partition, actor -> counter


class ClearedGossip:
    """Sends and receives cleared contexts."""

    def __init__(self, node: ThisNode) -> None:
        self._node = node

    def greet(self, link: Link) -> None:
        """Send a peer what was cleared of the partitions that it holds."""
        node = self._node
        for partition, dbs in sorted(node.replica.cleared.items()):
            if link.peer in node.transfers.holders(partition):
                for db, tops in sorted(dbs.items()):
                    self.send_tops(link, db, partition, tops)

    def send_cleared(self, link: Link, locator: Locator) -> None:
        """A peer holds a record that was cleared here: send it the cleared context."""
        hints, replica = self._node.hints, self._node.replica
        partition = slot_of_locator(locator) // replica.width
        tops = hints.cleared(locator) if hints.count else {}
        raise_to(tops, replica.cleared.get(partition, {}).get(locator[2], {}))
        if tops:
            self.send_tops(link, locator[2], partition, tops)

    def send_tops(self, link: Link, db: int, partition: int, tops: dict[bytes, int]) -> None:
        """Send a peer what was cleared of a partition's database."""
        if link.is_connected:
            body = msgspec.msgpack.encode((db, partition, tops))
            link.gossips.append(bulk(GOSSIP_CLEARED + body))

    def receive(self, body: bytes) -> None:
        """A peer's cleared context. Raises `PeerError`, `msgspec.MsgspecError`."""
        replica = self._node.replica
        db, partition, tops = msgspec.msgpack.decode(body, type=_Cleared)
        try:
            check_tops(tops)
            self._node.ends.check_tops(tops)
        except ValueError as wrong:
            raise PeerError(str(wrong)) from None
        ring = self._node.ring
        if ring is None or not 0 <= partition < ring.partitions or not 0 <= db < 16:
            raise PeerError("a cleared context of a partition that does not exist")
        known = replica.cleared.get(partition, {}).get(db, {})
        if any(counter > known.get(actor, 0) for actor, counter in tops.items()):
            replica.clear(partition, db, tops)
