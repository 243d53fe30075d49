"""Membership: which nodes belong to the cluster, and how the first ring comes about.

A node without seeds founds a cluster of one. Nodes with seeds and a cluster size K send each other
every node without a cluster that they have met (*candidates*). As soon as one sees K of them,
itself the lowest by node id, it proposes a first ring with a new random cluster id to the other
K-1. Each promises itself to one proposer only; when all have promised, the proposer keeps the ring,
and from then on sends it to every node in it that has none. A promise ends when its proposer has
been out of reach for ten seconds, so that a proposer that died can be replaced.

A node with seeds of a cluster that exists already is not in its ring: it waits, and is a *visitor*
to the members, until an operator has it join. The first member that it meets sends it the ring;
from then on it dials all members, so all of them know of it. A node dropped from the ring has left:
it serves no client any more.

An outage changes nothing here: no node leaves a ring by being unreachable.

The greeting is what a node says of itself when it connects; `meet` judges the other's. A foreign
cluster, an other protocol version or an impostor of this node is refused with the reason.

Source: Dynamo 4.8; SEMANTICS 8.
"""

from collections.abc import Callable

import msgspec

from respdyn.cluster.identity import META
from respdyn.cluster.messages import PROTOCOL_VERSION
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import DamagedError, PeerError
from respdyn.ports import random_bits
from respdyn.ring.claim import claim
from respdyn.ring.ring import MAX_MEMBERS, Member, Ring, decode_ring, validate_member

RING = META + b"ring"
MAX_VISITORS = 64
VERSIONS_AHEAD_MAX = 1 << 20    # that a member can have missed; each takes a vote of the majority
_PROMISE_MS = 10_000
_VISIT_MS = 60_000      # a visitor that cannot be reached for so long is forgotten


class Greeting(msgspec.Struct, frozen=True, array_like=True):
    """What a node says of itself when it connects."""

    protocol: int
    cluster_id: str
    member: Member
    cluster_size: int
    n: int = 0              # how many copies it expects


class Visitor(msgspec.Struct):
    """A node that is not in our ring and has connected to us."""

    member: Member
    n: int
    was_member: bool        # it has been in this cluster, and left or was removed
    seen_ms: int


class Membership:
    """The ring as this node knows it, or its way to the first one."""

    def __init__(self, node: ThisNode, here: Member) -> None:
        self.here = here
        self.candidates: dict[str, Member] = {here.node_id: here}
        self.own_addresses: set[str] = set()      # seeds that turned out to be this node
        self.visitors: dict[str, Visitor] = {}
        self.awaited: Ring | None = None          # of the cluster that this node waits to join
        # Members that are no more. One that runs still forwards what its clients ask of it.
        self.parted: dict[str, Member] = node.parted
        # Host and peer port of members that have moved since, as another member has met them.
        self.moved: dict[str, tuple[str, int]] = {}
        self._node = node
        settings = node.settings
        self._cluster_size = settings.cluster_size
        self._n = settings.n
        self._partitions = settings.partitions
        self._rng = node.random
        self.trace = node.trace
        self._proposal: Ring | None = None        # ours
        self._promises: set[str] = set()          # who promised to adopt ours
        self._promised_to = ""
        self._promised_ms = 0
        self.released: list[str] = []             # to be notified that their promise to us is void

    @property
    def ring(self) -> Ring | None:
        """The newest ring that is known here."""
        return self._node.ring

    # ---- the handshake ----

    def greeting(self) -> bytes:
        """What to say of oneself."""
        cluster_id = self.ring.cluster_id if self.ring else ""
        return msgspec.msgpack.encode(
            Greeting(PROTOCOL_VERSION, cluster_id, self.here, self._cluster_size, self._n)
        )

    def meet(self, data: bytes) -> Member:
        """Judge a greeting. Raises `PeerError` with the reason for a refusal."""
        try:
            other = msgspec.msgpack.decode(data, type=Greeting)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"the greeting is malformed: {wrong}") from wrong
        if other.protocol != PROTOCOL_VERSION:
            raise PeerError(
                f"the peer speaks protocol version {other.protocol}, this node {PROTOCOL_VERSION}"
            )
        member = other.member
        if member.node_id == self.here.node_id:
            if address_of(member) == address_of(self.here):
                raise PeerError("that is this node itself")
            raise PeerError(
                f"another process uses this node's id {member.node_id[:8]}: "
                "was its data directory copied?"
            )
        _check_member(member)
        ours = self.ring.cluster_id if self.ring else ""
        if other.cluster_id and ours and other.cluster_id != ours:
            raise PeerError(
                f"the peer belongs to cluster {other.cluster_id[:8]}, this node to {ours[:8]}"
            )
        if self.ring is None and not other.cluster_id:
            self.candidates[member.node_id] = member
        elif self.ring is not None and self.ring.member(member.node_id) is None:
            if len(self.visitors) >= MAX_VISITORS and member.node_id not in self.visitors:
                raise PeerError(f"{MAX_VISITORS} nodes wait to join already")
            self.visitors[member.node_id] = Visitor(
                member, other.n, other.cluster_id != "", self._node.now.now_ms
            )
        elif self.ring is not None:
            # A member: who waited at its address was the same process, or has gone.
            for name, visitor in list(self.visitors.items()):
                if address_of(visitor.member) == address_of(member):
                    del self.visitors[name]
        return member

    def forget_visitors(self, now_ms: int, is_connected: Callable[[str], bool]) -> None:
        """Drop visitors that have gone, or are members by now, and members of old that have."""
        for name in [name for name in self.parted if not is_connected(name)]:
            del self.parted[name]
        for name, visitor in list(self.visitors.items()):
            if is_connected(name):
                visitor.seen_ms = now_ms
            if (self.ring is not None and self.ring.member(name) is not None) or (
                now_ms - visitor.seen_ms > _VISIT_MS
            ):
                del self.visitors[name]

    @property
    def awaits(self) -> str:
        """The id of the cluster that this node waits to join, or ""."""
        return self.awaited.cluster_id if self.awaited is not None else ""

    def known(self) -> tuple[Member, ...]:
        """All nodes to keep a connection to but visitors: the members of the ring and those of old
        that are still there, of the ring of the cluster that this node waits to join, or who forms
        one with it.
        """
        ring = self.ring or self.awaited
        if ring is not None:
            return (*(self.parted[name] for name in sorted(self.parted)), *ring.members)
        return tuple(self.candidates[name] for name in sorted(self.candidates))

    def learn_moved(self, data: bytes) -> None:
        """Where a peer has met members that are not where the ring says."""
        try:
            statement = msgspec.msgpack.decode(data, type=dict[str, tuple[str, int]])
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed control message: {wrong}") from wrong
        members = {member.node_id: member for member in self.known()}
        for name, (host, port) in statement.items():
            if name in members:
                _check_member(msgspec.structs.replace(members[name], host=host, peer_port=port))
                self.moved[name] = (host, port)
        self.moved = {name: place for name, place in self.moved.items() if name in members}

    # ---- the first ring ----

    def found_alone(self) -> Ring:
        """A cluster of one."""
        ring = self._first_ring((self.here,))
        self.adopt(ring)
        return ring

    def learn_candidates(self, data: bytes) -> bool:
        """Nodes without a cluster that a peer has met; True when some are new here."""
        members = _decode(data, list[Member])
        new = False
        for member in members:
            _check_member(member)
            if self.ring is None and member.node_id not in self.candidates and (
                len(self.candidates) < MAX_MEMBERS
            ):
                self.candidates[member.node_id] = member
                new = True
        return new

    def candidates_statement(self) -> bytes:
        """The candidates, for `learn_candidates` of a peer."""
        return msgspec.msgpack.encode([self.candidates[name] for name in sorted(self.candidates)])

    def propose(self, reachable: list[str]) -> tuple[Ring, list[str]] | None:
        """The first ring to propose and to whom, when it is this node's turn; else None."""
        if self.ring is not None or self._cluster_size < 2 or self.awaits:
            return None
        able = sorted({self.here.node_id, *(n for n in reachable if n in self.candidates)})
        chosen = able[: self._cluster_size]
        if len(chosen) < self._cluster_size or chosen[0] != self.here.node_id:
            return None
        if self._promised_to not in ("", self.here.node_id):
            return None
        proposal = self._proposal
        if proposal is None or [member.node_id for member in proposal.members] != chosen:
            self._proposal = self._first_ring(tuple(self.candidates[name] for name in chosen))
            self._promises = {self.here.node_id}
            self._promised_to = self.here.node_id
        assert self._proposal is not None
        return self._proposal, [name for name in chosen if name not in self._promises]

    def promise(self, proposer: str, data: bytes, now_ms: int, is_reachable: bool) -> bytes | None:
        """Answer a proposal: the cluster id promised to, or None for a refusal.

        `is_reachable`: whether the proposer promised to earlier still answers.
        """
        ring = decode_ring(data)
        if self.ring is not None or ring.member(self.here.node_id) is None or self.awaits:
            return None
        if (
            self._promised_to not in ("", proposer)
            and (is_reachable or now_ms - self._promised_ms < _PROMISE_MS)
            and not (self._promised_to == self.here.node_id and proposer < self.here.node_id)
        ):
            return None
        if self._promised_to == self.here.node_id:
            self.released.extend(sorted(self._promises - {self.here.node_id}))
            self._proposal = None
        self._promised_to = proposer
        self._promised_ms = now_ms
        return ring.cluster_id.encode()

    def promised_to(self) -> str:
        """The proposer that this node has promised itself to, or ""."""
        return self._promised_to

    def release(self, proposer: str) -> None:
        """The proposer has given up its own proposal."""
        if self._promised_to == proposer:
            self._promised_to = ""

    def promised(self, peer: str, cluster_id: bytes) -> bool:
        """A peer promised to adopt our proposal. True when all have: the ring is adopted."""
        proposal = self._proposal
        if self.ring is not None or proposal is None:
            return False
        if proposal.cluster_id.encode() != cluster_id or proposal.member(peer) is None:
            return False
        self._promises.add(peer)
        if len(self._promises) < len(proposal.members):
            return False
        self.adopt(proposal)
        return True

    # ---- the ring ----

    def adopt(self, ring: Ring) -> bool:
        """Take a ring if it is this cluster's and newer than what is known; True if taken.

        Raises `PeerError` for another cluster's ring.
        """
        if self.ring is not None:
            if ring.cluster_id != self.ring.cluster_id:
                raise PeerError(f"a ring of another cluster, {ring.cluster_id[:8]}")
            if ring.partitions != self.ring.partitions:
                raise PeerError("a ring with another number of partitions")
            if ring.version - self.ring.version > VERSIONS_AHEAD_MAX:
                raise PeerError(f"a ring of version {ring.version}, after {self.ring.version}")
            if not ring.newer_than(self.ring):
                return False
        elif ring.member(self.here.node_id) is None:
            known = self.awaited
            if known is None:
                self.trace.event("waits_to_join", cluster=ring.cluster_id[:8])
            if known is None or known.cluster_id != ring.cluster_id or ring.newer_than(known):
                self.awaited = ring
            return False
        before = self.ring
        if before is not None:
            self.parted.update(
                {one.node_id: one for one in before.members if one.node_id != self.here.node_id}
            )
        for member in ring.members:
            self.parted.pop(member.node_id, None)
        self._node.ring = ring
        self.awaited = None
        self.candidates = {self.here.node_id: self.here}
        self._proposal = None
        if before is None or before.members != ring.members or bool(before.goal) != bool(ring.goal):
            self.trace.event(
                "ring_adopted", cluster=ring.cluster_id[:8], version=ring.version, n=ring.n,
                members=len(ring.members), partitions=ring.partitions, moving=len(ring.moves),
            )
        return True

    def restore(self, data: bytes) -> None:
        """The ring kept in the store."""
        self._node.ring = decode_ring(data)

    def _first_ring(self, members: tuple[Member, ...]) -> Ring:
        members = tuple(sorted(members, key=lambda member: member.node_id))
        n = min(self._n, len(members))
        ring = Ring(
            cluster_id=f"{random_bits(self._rng, 128):032x}", version=1, n=n, members=members,
            owners=claim(members, self._partitions, n, None),
        )
        ring.validate()
        return ring


def address_of(member: Member) -> str:
    """Where a member's peer listener is, as "host:port"."""
    return f"{member.host}:{member.peer_port}"


def _check_member(member: Member) -> None:
    try:
        validate_member(member)
    except DamagedError as wrong:
        raise PeerError(f"a member that cannot be: {wrong}") from None


def _decode(data: bytes, kind: type[list[Member]]) -> list[Member]:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as wrong:
        raise PeerError(f"a malformed control message: {wrong}") from wrong

