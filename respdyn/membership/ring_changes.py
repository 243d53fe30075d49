"""Ring changes carried on: each member goes by the newest ring, and one proposes the next.

From the commit of a change on the members carry it on by themselves: the one with the lowest node
id that can be reached proposes the next ring whenever partitions may enter their next phase; the
others step in only when it does not. What an operator stages and commits is `admin/staging`.

No node is ever removed automatically, and nothing here is needed for reading or writing.

Source: Dynamo 4.8.1 and 4.9; decision 0014.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.identity import Identity
from respdyn.cluster.link import Link
from respdyn.cluster.tasks import TaskRunner
from respdyn.cluster.this_node import ThisNode
from respdyn.config import Settings
from respdyn.config_values import ConfigError
from respdyn.errors import DamagedError
from respdyn.membership.decision import VOTE, Decision
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import RING, Membership
from respdyn.membership.token_keys import TOKEN_KEYS, decode_keys
from respdyn.ring.ring import Member, Ring, decode_ring

DRIVE_MS: Final = 150              # between two proposals of those who carry on
STEP_IN_MS: Final = 1_500          # for each member before this one that should have proposed
SEND_MS: Final = 30                # between two states sent: many partitions fill in that time


class RingChanges:
    """This node's part in changing the ring."""

    def __init__(
        self, node: ThisNode, membership: Membership, tasks: TaskRunner, coordinator: Coordinator,
        gossip: Gossip, send_lives: Callable[[], None], replan: Callable[[], None],
    ) -> None:
        self.decision = gossip.decision = Decision(
            node.identity.node_id, node.random, node.replica.put_synced, gossip.send_vote,
            gossip.decided, lambda peer: gossip.send_ring(node.link_to(peer)), node.now,
        )
        gossip.adopted = self.adopted
        self._node = node
        self._membership = membership
        self._tasks = tasks
        self._coordinator = coordinator
        self._gossip = gossip
        self._send_lives = send_lives
        self._replan = replan
        self.is_committing = False      # an operator's change is being proposed here
        self._next_ms = 0
        self._sent_ms = 0
        self._adopted_ms = 0
        self._stored_version = 0
        self._sealed: list[tuple[int, int, int]] = []   # (generation, ring version, votes)
        self._open: list[object] = []           # rounds begun under an earlier ring
        self._begun: set[int] = set()           # and tasks

    # ---- the ring ----

    def restore(self) -> None:
        """Take back what the store holds."""
        node = self._node
        node.transfers.restore()
        if node.ring is not None:
            self._stored_version = node.ring.version     # it comes from there
        self.decision.restore(
            node.replica.meta.get(VOTE), node.identity.actor, node.identity.is_new_life
        )

    def found(self) -> None:
        """Without a ring and seeds: found a cluster of one. Raises `ConfigError` if that cannot be
        what is wanted: a size is given, or this directory was begun with seeds.
        """
        node = self._node
        size = node.settings.cluster_size
        if node.ring is not None or node.settings.seeds:
            return
        if size > 1:
            raise ConfigError(
                f"cluster-size {size}: without seeds this node would be a cluster of one, with "
                "one copy of everything; give --seeds, or leave cluster-size out"
            )
        if RING in node.replica.meta and size != 1:
            raise ConfigError(
                "seeds (empty): the ring in this data directory is damaged, so it is not known "
                "which cluster it is of; give the seeds, or --cluster-size 1 if it was alone"
            )
        if not node.identity.is_new_life:
            raise ConfigError(
                "seeds (empty): this data directory was begun with seeds and knows no cluster yet; "
                "give them again, or start a cluster of one with an empty directory"
            )
        self._membership.found_alone()
        self._gossip.keep_ring()

    def adopted(self) -> None:
        """A new ring is known, and will be stored with this turn's batch."""
        self.go_by_ring()
        self._replan()

    def go_by_ring(self) -> None:
        """Everything but the plans follows the ring that is known here."""
        node = self._node
        ring, identity = node.ring, node.identity
        if ring is None:
            return
        node.replica.set_partitions(ring.partitions)
        here = ring.member(identity.node_id)
        # A member of this ring that has lost what it knew when it became one. A life in which no
        # ring was stored yet is as new as one that has just begun: it may have been killed before
        # it could learn that it is a member.
        is_new = identity.is_new_life or self._stored_version == 0
        is_empty_handed = node.transfers.ring is None and is_new and (
            here is not None and here.incarnation != incarnation(identity.actor)
        )
        if is_empty_handed:
            self.decision.begin_life(identity.actor)
        for partition in sorted(node.transfers.adopt(ring, is_empty_handed)):
            identity.floors[partition] = identity.counter
        self.decision.adopt(ring)
        # What is under way began under an earlier ring.
        self._adopted_ms = node.now.now_ms
        self._next_ms = min(self._next_ms, node.now.now_ms + DRIVE_MS)
        self._open = list(self._coordinator.unfinished())
        self._begun = self._tasks.running()

    def peer_began(self, link: Link) -> None:
        """A peer's connection to us is a new one: it has sent nothing on it yet."""
        if link.is_up:
            self._replan()

    def lost_memory(self) -> None:
        """This node has forgotten things: its votes and its data may be among them."""
        node = self._node
        node.trace.event("memory_lost", actor=node.identity.actor.hex()[:8])
        self.decision.begin_life(node.identity.actor)
        self._send_lives()
        if node.transfers.ring is not None:
            node.transfers.adopt(node.transfers.ring, True)
            self._replan()

    def seal(self, generation: int) -> None:
        """The votes given so far and the ring are synced with this generation."""
        ring = self._node.ring
        self._sealed.append(
            (generation, ring.version if ring is not None else 0, self.decision.seal())
        )

    def durable(self, generation: int) -> None:
        """Everything up to this generation is on the disk."""
        while self._sealed and self._sealed[0][0] <= generation:
            _, version, votes = self._sealed.pop(0)
            self._stored_version = max(self._stored_version, version)
            self.decision.release(votes)

    # ---- carrying on ----

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        first_ms = self.decision.next_deadline()
        transfers = self._node.transfers
        ring = transfers.ring
        if ring is not None:
            if transfers.has_changed or transfers.own.version != ring.version:
                first_ms = min(first_ms, self._sent_ms + SEND_MS)
            if transfers.is_changing:
                first_ms = min(first_ms, self._next_ms)
        return first_ms

    def tick(self) -> None:
        """Announce what has changed here, and propose what may go on."""
        node = self._node
        transfers = node.transfers
        ring = transfers.ring
        self.decision.tick()
        if ring is None:
            return
        if node.now.now_ms >= self._sent_ms + SEND_MS:
            self._sent_ms = node.now.now_ms
            if transfers.own.version != ring.version and self._is_settled(ring):
                transfers.settle()
            if transfers.has_changed:
                transfers.has_changed = False
                self._gossip.send_state()
        if transfers.is_changing and node.now.now_ms >= self._next_ms:
            self._next_ms = node.now.now_ms + DRIVE_MS
            self._carry_on(ring)

    def _is_settled(self, ring: Ring) -> bool:
        """Whether the ring is on the disk and all that began before it is answered."""
        if self._stored_version < ring.version:
            return False
        if any(not one.is_done for one in self._open):  # type: ignore[attr-defined]
            return False
        self._open = []
        return not self._tasks.is_running(self._begun)

    def _carry_on(self, ring: Ring) -> None:
        node = self._node
        if self.is_committing or self.decision.is_proposing() or not node.is_member():
            return
        here = node.identity.node_id
        before = sum(
            1 for member in ring.members if member.node_id < here and self.is_up(member.node_id)
        )
        if node.now.now_ms - self._adopted_ms < before * STEP_IN_MS:
            return
        following = node.transfers.next_ring(node.now.now_ms)
        if following is not None:
            self.decision.propose(following)

    def is_up(self, name: str) -> bool:
        """Whether a member is this node, or can be reached."""
        if name == self._node.identity.node_id:
            return True
        link = self._node.links.get(name)
        return link is not None and link.is_up


def member_of(settings: Settings, identity: Identity) -> Member:
    """This node as others are to know it."""
    return Member(
        node_id=identity.node_id, host=settings.host,
        client_port=settings.client_port or settings.tls_port,
        cluster_port=settings.cluster_port or settings.tls_cluster_port,
        peer_port=settings.peer_port, http_port=settings.http_port, zone=settings.zone,
        weight=settings.weight, incarnation=incarnation(identity.actor),
    )


def incarnation(actor: bytes) -> int:
    """The number by which a ring knows the life in which a member joined."""
    return int.from_bytes(actor[:8], "big") >> 1


def damaged_in(meta: dict[bytes, bytes]) -> int:
    """How many of a node's own facts are damaged that it cannot do without: others know them."""
    checks: tuple[tuple[bytes, Callable[[bytes], object]], ...] = (
        (RING, decode_ring), (TOKEN_KEYS, decode_keys),
    )
    damaged = 0
    for name, decode in checks:
        try:
            decode(meta[name])
        except KeyError:
            continue
        except DamagedError:
            damaged += 1
    return damaged
