"""What is known of this node: the facts that most rooms need, each with one owner.

Facts only, never a room: code that holds this can look at the node, mint a dot, and leave the rest
of its own work for later turns (`slices`), but not make others work or send a peer anything. The
node makes it before everything else and hands it to the rooms; each of them is given the other
rooms that it calls besides, by class. Who sets a fact stands beside it.
"""

from collections.abc import Callable, Iterable
from itertools import chain

from respdyn.causal.dot import Stamp
from respdyn.causal.hybrid_clock import HybridClock
from respdyn.cluster.admission import Admission
from respdyn.cluster.hints import Hints
from respdyn.cluster.identity import NODE, Identity
from respdyn.cluster.link import Link
from respdyn.cluster.messages import OPEN_STATEMENTS
from respdyn.cluster.now import Now
from respdyn.cluster.plan import Plan
from respdyn.cluster.replica import Replica
from respdyn.cluster.slices import Slices
from respdyn.cluster.statistics import Counters
from respdyn.cluster.terms import Terms
from respdyn.cluster.transfer_state import TransferState
from respdyn.config import Settings
from respdyn.ports import Random, Trace
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.ring import Member, Ring


class ThisNode:
    """One node, as it sees itself. Attributes are read everywhere and set where it says."""

    __slots__ = (
        "admission", "clock", "clock_is_doubted", "counters", "default_terms", "durable_to", "ends",
        "generation", "hints", "identity", "links", "memory_is_full", "now", "parted", "plans",
        "random", "replica", "ring", "settings", "slices", "stopping", "store_failure", "trace",
        "transfers",
    )

    def __init__(
        self, settings: Settings, random: Random, trace: Trace, lost_memory: Callable[[], None]
    ) -> None:
        self.now = Now()                                    # advanced by the node
        self.settings = settings                            # set by CONFIG SET
        self.random = random
        self.trace = trace
        self.counters = Counters()
        self.identity = Identity(settings.lease_block)
        self.replica = Replica(self.identity, lost_memory, self.counters)
        self.ends = self.replica.ends
        self.hints = Hints(
            self.replica, self.counters, settings.hint_max_bytes, settings.hint_max_age_ms,
            self.now,
        )
        self.clock = HybridClock(settings.max_clock_offset_ms)
        self.admission = Admission(self.now)
        self.links: dict[str, Link] = {}                    # by node id; see `link_to`
        self.transfers = TransferState("", self.replica, self.links)
        self.slices = Slices()                              # of work for later turns
        self.ring: Ring | None = None                       # the newest; by membership
        # Members that are no more. One that runs still forwards what its clients ask of it.
        self.parted: dict[str, Member] = {}                 # by membership
        self.plans: list[Plan] = []                         # by slot; by the node's `replan`
        # R and W of clients that set none; by what follows the ring.
        self.default_terms = Terms(1, 1, True, settings.request_timeout_ms)
        self.store_failure = ""                             # why the disk fails; by the node
        self.clock_is_doubted = False                       # others run commands; by readiness
        self.memory_is_full = False                         # `maxmemory` is reached; by sessions
        self.stopping = False                               # by the node
        self.generation = 0                                 # of the last batch, for the store
        self.durable_to = 0                                 # the last that the store has confirmed

    def begin(self, is_same_life: bool) -> None:
        """Take up the identity that the store holds, or a new one."""
        self.identity.begin(
            self.replica.meta, self.random, self.settings.node_id, is_same_life
        )
        self.ends.restore(self.replica.meta, chain(self.replica.actors(), self.hints.actors()))
        self.replica.put_meta(NODE, bytes.fromhex(self.identity.node_id))
        self.transfers = TransferState(self.identity.node_id, self.replica, self.links)

    def begin_life(self) -> None:
        """A new actor. What the old one has minted in this turn leaves with it, proved."""
        self.ends.show()
        self.identity.begin_life(self.random)

    def link_to(self, peer: str) -> Link:
        """The dealings with a peer, begun if there were none."""
        link = self.links.get(peer)
        if link is None:
            link = self.links[peer] = Link(peer, self.settings.peer_output_limit // 8)
            self.mark((link,))
        return link

    def plan_for(self, locator: Locator) -> Plan:
        """Who takes part in a request for this key now."""
        return self.plans[slot_of_locator(locator)]

    def mark(self, links: Iterable[Link]) -> None:
        """Note on links which peers may request, store and state: members, and those that were and
        are still there. None may as long as no ring is known.
        """
        if self.ring is None:
            return
        known = {member.node_id for member in self.ring.members} | self.parted.keys()
        for link in links:
            link.is_member = link.peer in known
            link.open_statements = OPEN_STATEMENTS

    def is_member(self) -> bool:
        """Whether this node is in the ring that it knows."""
        return self.ring is not None and self.ring.member(self.identity.node_id) is not None

    def stamp(self, partition: int) -> Stamp:
        """A new dot with its clock, for a key of this partition."""
        identity = self.identity
        identity.counter = counter = identity.counter + 1
        floor = identity.floor
        if identity.floors:
            floor = identity.floors.get(partition, floor)
        return identity.actor, counter, floor, self.clock.now(self.now.wall_ms)
