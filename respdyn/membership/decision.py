"""Decisions about the ring: single-decree Paxos among the members, once per ring version.

A node that wants to change the ring proposes the next version to the members of the present one. A
majority must first *promise* a ballot and report what they have accepted before, then *accept* the
ring; with that it is decided, and gossip brings it to every node. Two proposers at once may disturb
each other, but never both succeed: any two majorities have a member in common, and the second
proposer finds the first one's ring there and completes it instead of its own.

    prepare(ballot)       ->  promise(ballot, what was accepted)     or refused
    accept(ballot, ring)  ->  accepted(ballot)                       or refused

What a member has promised and accepted is durable before it is sent. One that lost its disk does
not know what it has accepted; it votes again only when every other member has reported what *it*
has accepted for this version and promised to accept nothing older, and fewer than a majority have
forgotten. Its promises need not come back: an acceptance is requested only in the life that gave
the promise. If a majority has forgotten, as in a cluster that was restored from backups, all must
be there and report for a minute that they know of nothing newer.

Data needs none of this. Messages may be lost, repeated or late; a proposer tries again with a
higher ballot after a while.

Source: Lamport, Paxos Made Simple (2001); decision 0014.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.identity import META
from respdyn.cluster.now import Now
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import PeerError
from respdyn.membership.votes import (
    Accept,
    Accepted,
    Ballot,
    Kept,
    Message,
    Prepare,
    Promise,
    Recall,
    Recalled,
    Refused,
    decoder,
    encoder,
)
from respdyn.ports import Random, random_bits
from respdyn.ring.ring import Ring, decode_ring

VOTE: Final = META + b"vote"
AMNESIA_MS: Final = 60_000  # a majority has forgotten: for so long all must know of nothing newer
RETRY_MS: Final = 400       # after so long without an answer a proposer begins a higher ballot
_LARGEST_ROUND: Final = 1 << 40


class Decision:
    """This member's votes, and its own proposal if it has one."""

    def __init__(
        self, here: str, rng: Random, keep: Callable[[bytes, bytes], None],
        send: Callable[[str, bytes], None], decided: Callable[[Ring], None],
        send_ring: Callable[[str], None], now: Now,
    ) -> None:
        self.ring: Ring | None = None
        self.life = b""                     # this node's actor
        self.held: list[tuple[str, Message]] = []     # answers that wait for the disk
        self._sealed = 0                    # of these: handed to the disk
        self._here = here
        self._rng = rng
        self._keep = keep
        self._send = send
        self._decided = decided
        self._send_ring = send_ring
        self._kept = Kept()
        self._recalled: dict[str, Recalled] = {}
        self._recall_ballot: Ballot = (0, 0)
        self._next_recall_ms = 0
        self._now = now
        self._amnesia_ms: int | None = None     # since when all reported, and most have forgotten
        # The proposal under way.
        self._wanted: Ring | None = None
        self._ballot: Ballot = (0, 0)
        self._offered = b""                 # the ring of this ballot, once promises are enough
        self._promises: dict[str, Promise] = {}
        self._accepts: set[str] = set()
        self._retry_ms = 0
        self._highest = 0                   # round seen anywhere
        self._has_offered = False           # a ring of ours may be decided, now or later

    # ---- the ring ----

    def restore(self, kept: bytes | None, life: bytes, is_new_life: bool) -> None:
        """Take back what the store holds. In a new life nothing of it can be trusted."""
        self.life = life
        if kept and not is_new_life:
            try:
                self._kept = msgspec.msgpack.decode(kept, type=Kept)
            except msgspec.MsgspecError:
                self._kept = Kept(has_forgotten=True)

    def begin_life(self, life: bytes) -> None:
        """This node has forgotten things: its votes may be among them."""
        self.life = life
        self._kept = Kept(has_forgotten=True)
        self._keep_votes()

    @property
    def has_forgotten(self) -> bool:
        """Whether this member may have given votes that it does not know of."""
        return self._kept.has_forgotten

    def adopt(self, ring: Ring) -> None:
        """A ring is decided: the vote is on the one after it."""
        self.ring = ring
        self._has_offered = False
        if self._kept.version != ring.version + 1:
            self._kept = Kept(ring.version + 1, has_forgotten=self.has_forgotten)
        self._recalled = {}
        self._amnesia_ms = None
        self._drop_proposal()
        if len(ring.members) == 1:
            self._kept.has_forgotten = False    # no other node could have had its vote

    # ---- proposing ----

    def propose(self, ring: Ring) -> None:
        """Begin to propose the next ring; what is decided in the end may be another's."""
        assert self.ring is not None and ring.version == self.ring.version + 1
        self._wanted = ring
        self._begin_ballot(self._now.now_ms)

    def is_proposing(self) -> bool:
        """Whether a proposal of this node is under way."""
        return self._wanted is not None

    def withdraw(self) -> bool:
        """Try no more. True if what was sent may still succeed."""
        self._drop_proposal()
        return self._has_offered

    def tick(self) -> None:
        """Try again what got no answer; ask again what was forgotten."""
        now_ms = self._now.now_ms
        if self._wanted is not None and now_ms >= self._retry_ms:
            self._begin_ballot(now_ms)
        if self.has_forgotten and self._members() and now_ms >= self._next_recall_ms:
            self._next_recall_ms = now_ms + RETRY_MS
            self._recalled = {}
            self._highest += 1
            self._recall_ballot = (self._highest, random_bits(self._rng, 62))
            assert self.ring is not None
            for name in self._members():
                if name != self._here:
                    self._out(name, Recall(self.ring.version + 1, self._recall_ballot))

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        first_ms = NEVER if self._wanted is None else self._retry_ms
        if self.has_forgotten and self._members():
            first_ms = min(first_ms, self._next_recall_ms)
        return first_ms

    def _drop_proposal(self) -> None:
        self._wanted = None
        self._offered = b""
        self._promises = {}
        self._accepts = set()

    def _begin_ballot(self, now_ms: int) -> None:
        assert self.ring is not None
        # Two who disturb each other must not keep step.
        self._retry_ms = now_ms + RETRY_MS + int(self._rng.random() * RETRY_MS)
        self._highest += 1
        self._ballot = (self._highest, random_bits(self._rng, 62))
        self._offered = b""
        self._promises = {}
        self._accepts = set()
        for name in self._members():
            self._out(name, Prepare(self.ring.version + 1, self._ballot))

    def _members(self) -> list[str]:
        if self.ring is None or self.ring.member(self._here) is None:
            return []
        return [member.node_id for member in self.ring.members]

    def _is_majority(self, votes: int) -> bool:
        return 2 * votes > len(self._members())

    # ---- messages ----

    def receive(self, peer: str, data: bytes) -> None:
        """A member's message. Raises `PeerError` or `DamagedError` when it is malformed."""
        try:
            message = decoder.decode(data)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed vote: {wrong}") from wrong
        self._take(peer, message)

    def seal(self) -> int:
        """How many answers wait for what is handed to the disk now."""
        count = len(self.held) - self._sealed
        self._sealed += count
        return count

    def release(self, count: int) -> None:
        """What the first so many held answers promise is on the disk."""
        held, self.held = self.held[:count], self.held[count:]
        self._sealed -= count
        for peer, message in held:
            self._out(peer, message)

    def _out(self, peer: str, message: Message) -> None:
        if peer == self._here:
            self._take(peer, message)
        else:
            self._send(peer, encoder.encode(message))

    def _take(self, peer: str, message: Message) -> None:
        ring = self.ring
        if ring is None or ring.member(self._here) is None:
            return
        if message.version <= ring.version:
            if isinstance(message, Prepare | Accept | Recall):
                self._send_ring(peer)
            return
        if message.version != ring.version + 1 or ring.member(peer) is None:
            return              # it knows a newer ring, and will send it
        if isinstance(message, Promise | Accept | Recalled) and message.ring:
            offered = decode_ring(message.ring)
            if not offered.newer_than(ring) or offered.version != message.version:
                raise PeerError("a vote on a ring that cannot be")
        if isinstance(message, Prepare):
            self._prepare(peer, message)
        elif isinstance(message, Accept):
            self._accept(peer, message)
        elif isinstance(message, Promise):
            self._promised(peer, message)
        elif isinstance(message, Accepted):
            self._accepted(peer, message)
        elif isinstance(message, Refused):
            self._refused(message)
        elif isinstance(message, Recall):
            self._recall(peer, message)
        else:
            self._recall_answered(peer, message)

    # ---- the acceptor ----

    def _prepare(self, peer: str, ask: Prepare) -> None:
        kept = self._kept
        if self.has_forgotten:
            return
        if ask.ballot <= kept.promised or ask.ballot[0] > _LARGEST_ROUND:
            self._out(peer, Refused(ask.version, ask.ballot, kept.promised))
            return
        kept.promised = ask.ballot
        self._keep_votes()
        self.held.append(
            (peer, Promise(ask.version, ask.ballot, self.life, kept.accepted, kept.ring))
        )

    def _accept(self, peer: str, ask: Accept) -> None:
        kept = self._kept
        if self.has_forgotten:
            return
        if (
            ask.ballot < kept.promised or ask.life != self.life or ask.ballot[0] > _LARGEST_ROUND
        ):
            self._out(peer, Refused(ask.version, ask.ballot, kept.promised))
            return
        kept.promised = kept.accepted = ask.ballot
        kept.ring = ask.ring
        self._keep_votes()
        self.held.append((peer, Accepted(ask.version, ask.ballot)))

    def _keep_votes(self) -> None:
        self._keep(VOTE, msgspec.msgpack.encode(self._kept))

    def _recall(self, peer: str, ask: Recall) -> None:
        kept = self._kept
        if ask.ballot[0] > _LARGEST_ROUND:
            return
        if ask.ballot > kept.promised:
            kept.promised = ask.ballot
        self._keep_votes()
        self.held.append((peer, Recalled(
            ask.version, ask.ballot, self.has_forgotten, kept.promised, kept.accepted, kept.ring
        )))

    def _recall_answered(self, peer: str, answer: Recalled) -> None:
        """A member reports what it accepted; after all have, this node knows what it may have."""
        self._highest = max(self._highest, min(answer.promised[0], _LARGEST_ROUND))
        if not self.has_forgotten or answer.ballot != self._recall_ballot:
            return
        if answer.promised != answer.ballot:
            return              # a higher one is under way: ask again, higher still
        self._recalled[peer] = answer
        members = self._members()
        others = [name for name in members if name != self._here]
        if any(name not in self._recalled for name in others):
            return
        forgotten = 1 + sum(self._recalled[name].has_forgotten for name in others)
        if self._is_majority(forgotten):
            # Restored from backups, most likely: no node remembers what they may have decided,
            # unless one that became a member by it turns up and sends that ring.
            if self._amnesia_ms is None:
                self._amnesia_ms = self._now.now_ms
            if self._now.now_ms - self._amnesia_ms < AMNESIA_MS:
                return
        best = max(self._recalled.values(), key=lambda one: one.accepted)
        self._kept = Kept(answer.version, answer.promised, best.accepted, best.ring)
        self._recalled = {}
        self._keep_votes()
        self._amnesia_ms = None

    # ---- the proposer ----

    def _promised(self, peer: str, answer: Promise) -> None:
        if answer.ballot != self._ballot or self._wanted is None or self._offered:
            return
        self._promises[peer] = answer
        if not self._is_majority(len(self._promises)):
            return
        best = max(self._promises.values(), key=lambda one: one.accepted)
        self._offered = best.ring or self._wanted.encode()
        self._has_offered = True
        for name in sorted(self._promises):
            self._out(name, Accept(
                answer.version, self._ballot, self._promises[name].life, self._offered
            ))

    def _accepted(self, peer: str, answer: Accepted) -> None:
        if answer.ballot != self._ballot or not self._offered:
            return
        self._accepts.add(peer)
        if self._is_majority(len(self._accepts)):
            ring = decode_ring(self._offered)
            self._drop_proposal()
            self._decided(ring)

    def _refused(self, answer: Refused) -> None:
        self._highest = max(self._highest, min(answer.promised[0], _LARGEST_ROUND))
