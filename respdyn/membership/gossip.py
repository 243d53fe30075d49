"""Gossip: statements that nodes send without a request: candidates, rings, votes, states, users.

A new connection is greeted with what the other may have missed: the ring, or the candidates while
there is none, this node's state, for whom it keeps hints, and the cleared contexts of the
partitions that both hold. After that a statement travels when something changed, and the candidates
once a heartbeat while the cluster forms.

A ring says where members were when they joined. A node that meets a member elsewhere announces that
to every peer, so that two that have moved find each other, and a visitor finds all.

Once a heartbeat a member also sends a statement to visitors that stand at a lost member's address
(see `address_takeover`).

Within a frame statements come first, and a connection never reorders. So whatever a node answers
under a ring reaches the other after that ring: a node that counts an answer knows at least what its
sender knew. Decision 0014 rests on that.
"""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from respdyn.cluster.cleared_gossip import ClearedGossip
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.link import Link
from respdyn.cluster.lives import Lives
from respdyn.cluster.messages import (
    GOSSIP_CANDIDATES,
    GOSSIP_COLLECTED,
    GOSSIP_ENDS,
    GOSSIP_HELD,
    GOSSIP_KEYS,
    GOSSIP_MOVED,
    GOSSIP_PLACE,
    GOSSIP_PROMISE,
    GOSSIP_PROPOSAL,
    GOSSIP_RELEASE,
    GOSSIP_RING,
    GOSSIP_STATE,
    GOSSIP_VOTE,
    bulk,
)
from respdyn.cluster.shared_names import SharedNames
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import DamagedError
from respdyn.membership.address_takeover import AddressTakeovers
from respdyn.membership.decision import Decision
from respdyn.membership.membership import RING, Membership, address_of
from respdyn.membership.token_keys import PROOF_BYTES, TokenKeys
from respdyn.ring.ring import Member, Ring, decode_ring


class Gossip:
    """Sends and receives statements of the control path."""

    def __init__(
        self, node: ThisNode, membership: Membership, replan: Callable[[], None],
        held_back: Callable[[], None], collected: Callable[[Link], bytes],
        keepers: Keepers, token_keys: TokenKeys,
        cleared: ClearedGossip,
    ) -> None:
        # Users and libraries, by the letter of their statements; `sessions` has them.
        self.statements: dict[bytes, SharedNames] = {}
        # `RingChanges` sets these two.
        self.decision: Decision | None = None
        self.adopted: Callable[[], None] = replan
        # And who lets this node answer only when it has met the others these two.
        self.lives: Lives | None = None
        self.is_silent = False      # this node does not say yet what it holds
        # And `AddressTakeovers` this one: begin anew under another node id.
        self.begin_again: Callable[[str], None] = lambda node_id: None
        self.takeovers = AddressTakeovers(node, membership)
        self._node = node
        self.token_keys = token_keys
        self._membership = membership
        self._replica = node.replica
        self._links = node.links
        self._transfers = node.transfers
        self._replan = replan
        self._held_back = held_back
        self._collected = collected
        self._cleared = cleared
        self._keepers = keepers
        self._next_ms = 0

    # ---- sending ----

    def greet(self, link: Link) -> None:
        """Send a peer, newly connected or newly up, what it may have missed."""
        membership = self._membership
        if link.is_member and (ends := self._node.ends.statement()):
            _send(link, GOSSIP_ENDS, ends)
        if self.lives is not None:
            self.lives.send(link)
            self.lives.answer(link)
        if membership.ring is None:
            _send(link, GOSSIP_CANDIDATES, membership.candidates_statement())
            return
        if link.is_member:       # before the ring: who knows that, knows a key
            _send(link, GOSSIP_KEYS, self.token_keys.statement())
        self.send_ring(link)
        if moved := self._moved():
            _send(link, GOSSIP_MOVED, moved)
        if membership.ring.member(link.peer) is None:
            return
        for letter, statements in self.statements.items():
            for body in statements.statements():
                _send(link, letter, body)
        _send(link, GOSSIP_COLLECTED, self._collected(link))
        if not self.is_silent:
            _send(link, GOSSIP_STATE, self._transfers.statement())
        self._keepers.greet(link)
        self._cleared.greet(link)

    def send_ring(self, link: Link) -> None:
        """Send a peer the ring."""
        assert self._membership.ring is not None
        _send(link, GOSSIP_RING, self.token_keys.proved(self._membership.ring.encode()))

    def met(self, link: Link, member: Member) -> None:
        """A peer has said who and where it is."""
        before, link.member = link.member, member
        if before is not None and address_of(before) == address_of(member):
            return
        if moved := self._moved():
            for other in self._connected():
                _send(other, GOSSIP_MOVED, moved)

    def _moved(self) -> bytes:
        """Which members are somewhere else than the ring says, by their own statements."""
        membership = self._membership
        if membership.ring is None:
            return b""
        found = {}
        for member in membership.ring.members:
            link = self._links.get(member.node_id)
            if link is not None and link.member is not None and (
                address_of(link.member) != address_of(member)
            ):
                found[member.node_id] = link.member.host, link.member.peer_port
        return msgspec.msgpack.encode(found) if found else b""

    def send_state(self) -> None:
        """Send every member what has changed here."""
        if self.is_silent:
            return
        statement = self._transfers.statement()
        ring = self._membership.ring
        for link in self._connected():
            if ring is not None and ring.member(link.peer) is not None:
                _send(link, GOSSIP_STATE, statement)

    def turn_ends(self) -> None:
        """Send every peer how far actors have come, before what is said of their dots."""
        if news := self._node.ends.turn_ends():
            for link in self._connected():
                if link.is_member:
                    _send(link, GOSSIP_ENDS, news)

    def send_vote(self, peer: str, body: bytes) -> None:
        """A message about the next ring; a peer that cannot be reached does not get it."""
        link = self._links.get(peer)
        if link is not None:
            _send(link, GOSSIP_VOTE, body)

    def send_to_members(self, letter: bytes, body: bytes) -> None:
        """A statement is new here: send it to every member."""
        for link in self._connected():
            if link.is_member:
                _send(link, letter, body)

    def send_keys(self) -> None:
        """Send the members the token keys, and make and read tokens by them from now on."""
        self._replan()
        for link in self._connected():
            if link.is_member:
                _send(link, GOSSIP_KEYS, self.token_keys.statement())

    def send_held(self, link: Link) -> None:
        """A peer is back, and not yet presented to clients: let it see that as we do."""
        _send(link, GOSSIP_HELD, b"")

    def tick(self, every_ms: int) -> None:
        """Once a heartbeat, while there is no ring: candidates to every peer, and our proposal."""
        now_ms = self._node.now.now_ms
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + every_ms
        links = self._links
        self._membership.forget_visitors(
            now_ms, lambda name: name in links and links[name].is_connected
        )
        for link, said in self.takeovers.statements():
            _send(link, GOSSIP_PLACE, said)
        if place := self.takeovers.found():
            self.begin_again(place)
        if self._membership.ring is None:
            self._send_candidates()

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        return self._next_ms

    def _send_candidates(self) -> None:
        statement = self._membership.candidates_statement()
        for link in self._connected():
            _send(link, GOSSIP_CANDIDATES, statement)
        self._propose()

    def _propose(self) -> None:
        proposal = self._membership.propose([link.peer for link in self._connected()])
        if proposal is not None:
            for peer in proposal[1]:
                _send(self._links[peer], GOSSIP_PROPOSAL, proposal[0].encode())

    def _connected(self) -> list[Link]:
        return [link for _, link in sorted(self._links.items()) if link.is_connected]

    # ---- receiving ----

    def receive_ring(self, link: Link, item: bytes) -> None:
        """The ring as a peer has it."""
        statement = item[1:]
        if self.token_keys.is_proved(statement) or link.is_member or self._membership.ring is None:
            self._learn_ring(decode_ring(statement[PROOF_BYTES:]))

    def receive_candidates(self, link: Link, item: bytes) -> None:
        """Nodes without a cluster that a peer has met."""
        if self._membership.learn_candidates(item[1:]):
            self._send_candidates()
        else:
            self._propose()

    def receive_promise(self, link: Link, item: bytes) -> None:
        """A peer will adopt this node's first ring."""
        if self._membership.promised(link.peer, item[1:]):
            self._adopted()

    def receive_release(self, link: Link, item: bytes) -> None:
        """A peer needs no promise any more."""
        self._membership.release(link.peer)

    def receive_statement(self, link: Link, item: bytes) -> None:
        """What holds of a user or a library."""
        self.statements[item[:1]].receive(item[1:])

    def receive_vote(self, link: Link, item: bytes) -> None:
        """A message about the next ring."""
        if self.decision is not None:
            self.decision.receive(link.peer, item[1:])

    def receive_state(self, link: Link, item: bytes) -> None:
        """What a peer holds and knows."""
        if self._transfers.receive(link, item[1:]):
            self._replan()

    def receive_life(self, link: Link, item: bytes) -> None:
        """Who a peer is, or what it remembers of this node."""
        if self.lives is not None:
            self.lives.receive(link, item)

    def receive_held(self, link: Link, item: bytes) -> None:
        """A peer does not show this node to its clients yet."""
        self._held_back()

    def receive_keys(self, link: Link, item: bytes) -> None:
        """The cluster's token keys."""
        if self.token_keys.receive(item[1:]):
            self.send_keys()

    def receive_ends(self, link: Link, item: bytes) -> None:
        """How far actors have come."""
        self._node.ends.receive(link.peer if link.is_member else "", item[1:])

    def receive_moved(self, link: Link, item: bytes) -> None:
        """Where members are that have moved."""
        self._membership.learn_moved(item[1:])

    def receive_place(self, link: Link, item: bytes) -> None:
        """A member stood where this node stands."""
        self.takeovers.receive(link.peer, item[1:])

    def _learn_ring(self, ring: Ring) -> None:
        if self._membership.adopt(ring):
            self._adopted()

    def receive_proposal(self, link: Link, item: bytes) -> None:
        """A peer proposes a first ring."""
        membership = self._membership
        if membership.ring is not None:
            self.send_ring(link)
            return
        earlier = self._links.get(membership.promised_to())
        answer = membership.promise(
            link.peer, item[1:], self._node.now.now_ms, earlier is not None and earlier.is_connected
        )
        if answer is not None:
            _send(link, GOSSIP_PROMISE, answer)
        for peer in membership.released:
            _send(self._links[peer], GOSSIP_RELEASE, b"")
        membership.released.clear()

    # ---- the ring ----

    def restore(self, is_named: bool) -> None:
        """The ring that the store kept. `is_named`: this node's id was given to it by name."""
        kept = self._replica.meta.get(RING)
        self.takeovers.may_take = not (kept or self._replica.records or is_named)
        if kept is not None:
            with suppress(DamagedError):     # a member sends it, or `RingChanges.found` refuses
                self._membership.restore(kept)

    def keep_ring(self) -> None:
        """Store the ring."""
        assert self._membership.ring is not None
        self._replica.put_synced(RING, self._membership.ring.encode())

    def decided(self, ring: Ring) -> None:
        """A majority has accepted the next ring."""
        self._learn_ring(ring)

    def _adopted(self) -> None:
        """A new ring is known here: keep it, send it to every peer, plan by it."""
        self.keep_ring()
        self.adopted()
        for link in self._connected():
            self.greet(link)

    def dials(self, seeds: tuple[str, ...]) -> dict[str, str | None]:
        """Peer addresses to connect to, with the node ids expected there."""
        membership = self._membership
        own = address_of(membership.here)
        wanted: dict[str, str | None] = {}
        for member in membership.known():
            link = self._links.get(member.node_id)
            newest = link.member if link is not None and link.member is not None else member
            wanted[address_of(newest)] = member.node_id
            if (moved := membership.moved.get(member.node_id)) and (
                link is None or not link.is_connected
            ):
                wanted.setdefault(f"{moved[0]}:{moved[1]}", member.node_id)
        for name, visitor in sorted(membership.visitors.items()):
            wanted[address_of(visitor.member)] = name       # perhaps in a dead member's place
        if not self._node.is_member():
            for seed in seeds:
                wanted.setdefault(seed, None)
        wanted.pop(own, None)
        return wanted


def _send(link: Link, kind: bytes, body: bytes) -> None:
    if link.is_connected:
        link.gossips.append(bulk(kind + body))
