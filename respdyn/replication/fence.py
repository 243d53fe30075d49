"""The fence around tombstones: when nothing is in doubt, and what this node has promised.

A deletion is forgotten only while every owner can be reached and can store, all go by one ring, and
no node keeps a hint of its partition. A *promise* is a number that an owner has on its disk before
others forget anything under it: a copy from before has never promised it, so it is noticed.

Source: decisions 0017 and 0033.
"""

from respdyn.cluster.plan import Plan
from respdyn.cluster.this_node import ThisNode
from respdyn.replication.tombstones import Promises
from respdyn.ring.hashing import SLOTS


class Fence:
    """What has to hold before anything is forgotten."""

    def __init__(self, node: ThisNode) -> None:
        self.promises = Promises(node.replica)
        self.disturbed_ms = 0
        self._node = node
        self._generation_of: dict[int, int] = {}    # partition -> when the promise was stored

    def _others(self, partition: int) -> list[str] | None:
        """The other owners of a partition, if nothing is in doubt here; else None."""
        node = self._node
        plan = self._plan(partition)
        if plan is None or not plan.is_owner or not node.transfers.is_at_rest(partition):
            return None
        if node.store_failure or node.hints.oldest_of(partition):
            return None
        others = [owner for owner in plan.owners if owner != node.identity.node_id]
        for owner in others:
            link = node.links.get(owner)
            if link is None or not link.is_up or not link.can_store:
                return None
        return others

    def _members(self) -> list[str]:
        """All other members, owners or not: any may keep hints, or a copy that it once owned."""
        ring = self._node.ring
        here = self._node.identity.node_id
        members = ring.members if ring is not None else ()
        return [member.node_id for member in members if member.node_id != here]

    def _is_up(self, member: str) -> bool:
        link = self._node.links.get(member)
        return link is not None and link.is_up

    def _reachable_members(self) -> tuple[list[str], bool]:
        """Those in reach, and whether that is all."""
        members = self._members()
        up = [member for member in members if self._is_up(member)]
        return up, len(up) == len(members)

    def _settled_ms(self) -> int:
        """What was sent so long ago has arrived or never will: clocks may drift by a sixteenth."""
        age_ms = self._node.settings.message_max_age_ms
        return age_ms + age_ms // 16

    def _is_free(self, partition: int) -> bool:
        """Whether nothing older of a partition can come from this node any more.

        It keeps no hint of it, and no copy unless it is an owner; and for so long that whatever it
        has sent of those has arrived.
        """
        node = self._node
        for_ms = self._settled_ms()
        width = node.replica.width
        if not 0 <= partition < SLOTS // width or not node.transfers.is_at_rest(partition):
            return False
        rested_ms = node.now.now_ms - self.disturbed_ms
        if rested_ms < for_ms or not node.hints.is_free(partition, for_ms):
            return False
        if node.identity.node_id in node.transfers.holders(partition):
            return True
        return not any(node.replica.slots[partition * width : (partition + 1) * width])

    def disturb(self) -> None:
        """The ring has changed here, or a copy that was another's was given back."""
        self.disturbed_ms = self._node.now.now_ms

    def _plan(self, partition: int) -> Plan | None:
        plans = self._node.plans
        at = partition * self._node.replica.width
        return plans[at] if 0 <= at < len(plans) else None

    def _version(self) -> int:
        ring = self._node.ring
        return ring.version if ring is not None else 0

    def _promise_here(self, partition: int) -> int:
        """A number that no request had before: a copy from before the question has never
        promised it, and it is on the disk only with all that came before it.
        """
        promises = self.promises
        number = 1 + max(
            promises.collected.get(partition, 0), promises.promised.get(partition, 0)
        )
        self._promise(partition, number)
        return number

    def _promise(self, partition: int, number: int) -> None:
        """Promise, and note with which batch that goes to the disk."""
        if self.promises.promise(partition, number):
            self._node.replica.must_sync = True
            self._generation_of[partition] = self._node.generation + 1

    def _is_promise_durable(self, partition: int) -> bool:
        return self._node.durable_to >= self._generation_of.get(partition, 0)
