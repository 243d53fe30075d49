"""Transfer state: who is filled, who knows which ring, which partitions may go on.

Every node sends every other a `State` of itself: the newest ring that it goes by, the partitions
that it owns but has lost (a wiped disk), those to come that it holds by now, and those for which it
has proved it. A peer's state belongs to its connection: until it has sent one, it is no reader.

*Settled* at a ring means more than knowing it: the ring is on this node's disk, and everything that
the node began before it learned of it is answered. Only so the next phase can rely on this one.

From all states together follows what `advance` may do (`ready`), and from this node's own what it
has to fill, to prove and to hand over. How that is done is `replication/transfer`; what it is for,
and why it loses nothing, decision 0014.

Source: Dynamo 4.9, the confirmation before anything moves; SEMANTICS 8.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from respdyn.cluster.identity import META
from respdyn.cluster.link import Link
from respdyn.cluster.replica import Replica
from respdyn.cluster.statements import State
from respdyn.errors import PeerError
from respdyn.ring.change import advance, holders_of
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.ring import FILL, JOINT, READ, Move, Ring

UNFILLED = META + b"unfilled"
# A node to come that cannot be reached for so long does not hold up the writes of others.
STALLED_MS = 5_000


def is_changing(ring: Ring) -> bool:
    """Whether there is another ring to come without an operator's doing."""
    return bool(ring.goal) or any(member.state == "leaving" for member in ring.members)


@dataclass(frozen=True)
class Progress:
    """How far the changes of ownership are, as this node knows it."""

    moving: int             # partitions on their way, here or elsewhere
    filling: int            # of these: new owners do not hold everything yet
    switching: int          # of these: all is there, and nodes are being informed
    unfilled: int           # partitions that some owner has lost and not yet got back
    incoming: int           # partitions that this node itself has to fill
    leftovers: int          # partitions that this node has to hand over before it drops them
    records_in: int         # records that this node was sent, since it started
    eta_ms: int             # until this node has filled all, at the present rate; -1: unknown


class TransferState:
    """What this node knows of transfers."""

    def __init__(self, here: str, replica: Replica, links: dict[str, Link]) -> None:
        self.ring: Ring | None = None
        self.is_changing = False        # whether that ring is
        self.own = State()
        self.unfilled: set[int] = set()
        self.filled: dict[int, int] = {}
        self.verified: dict[int, int] = {}
        self.leftovers: dict[int, int] = {}     # partition -> the ring version it was left at
        self.moving: dict[int, Move] = {}
        self.has_changed = False                # there is something to announce
        self.awaiting: set[int] = set()         # to be pulled before they are compared
        self._here = here
        self._replica = replica
        self._links = links

    # ---- the ring ----

    def restore(self) -> None:
        """Take back what the store holds."""
        kept = self._replica.meta.get(UNFILLED, b"")
        self.unfilled = {
            int.from_bytes(kept[at : at + 2], "big") for at in range(0, len(kept), 2)
        }

    def adopt(self, ring: Ring, is_empty_handed: bool) -> set[int]:
        """Go by a ring. Returns the partitions that this node takes over as an owner by it.

        `is_empty_handed`: this node has lost what it stored of all that it owns here.
        """
        before = self._served()
        self.ring = ring
        self.is_changing = is_changing(ring)
        self.moving = ring.moving()
        here = self._here
        serves = self._served()
        if is_empty_handed:
            self.unfilled = {
                p for p in range(ring.partitions) if here in self.holders(p)
            } if len(ring.members) > 1 else set()
        self.unfilled = {p for p in self.unfilled if here in self.holders(p)}
        self.filled = {
            p: begun for p, begun in self.filled.items()
            if p in self.moving and self.moving[p].begun == begun
        }
        self.verified = {
            p: since for p, since in self.verified.items()
            if p in self.moving and self.moving[p].since == since
        }
        self.note_leftovers()
        self._keep()
        self.has_changed = True
        for link in self._links.values():
            self._look_behind(link)
        return serves - before

    def _look_behind(self, link: Link) -> None:
        link.is_behind = (
            self.ring is None or link.state is None or link.state.version < self.ring.version
        )

    def _served(self) -> set[int]:
        if self.ring is None:
            return set()
        return {p for p in range(self.ring.partitions) if self._here in self.serving(p)}

    def note_leftovers(self) -> None:
        """Look for records of partitions that are not this node's."""
        ring = self.ring
        assert ring is not None
        width = self._replica.width
        slots = self._replica.slots
        found: dict[int, int] = {}
        for partition in range(ring.partitions):
            if self._here in self.holders(partition):
                continue
            if any(slots[slot] for slot in range(partition * width, (partition + 1) * width)):
                found[partition] = self.leftovers.get(partition, ring.version)
        if len(found) != len(self.leftovers):
            self.has_changed = True
        self.leftovers = found

    def _keep(self) -> None:
        kept = b"".join(p.to_bytes(2, "big") for p in sorted(self.unfilled))
        if kept != self._replica.meta.get(UNFILLED, b""):
            self._replica.put_meta(UNFILLED, kept)

    def serving(self, partition: int) -> tuple[str, ...]:
        """Those whose answers count for R, and who coordinate."""
        assert self.ring is not None
        move = self.moving.get(partition)
        if move is not None and move.phase == READ:
            return self.ring.names(move.owners)
        return self.ring.owners_of(partition)

    def holders(self, partition: int) -> tuple[str, ...]:
        """All nodes that store what is written to the partition."""
        assert self.ring is not None
        return holders_of(self.ring, partition, self.moving.get(partition))

    def holds(self, locator: Locator) -> bool:
        """Whether this node is to store what is written to a key."""
        partition = slot_of_locator(locator) // self._replica.width
        return self.ring is not None and self._here in self.holders(partition)

    # ---- what is announced ----

    def settle(self) -> None:
        """This node's ring is on its disk, and all that it began before is answered."""
        if self.ring is not None and self.own.version != self.ring.version:
            self.own.version = self.ring.version
            self.has_changed = True

    def statement(self) -> bytes:
        """This node's state, for a peer's `receive`."""
        own = self.own
        own.unfilled = sorted(self.unfilled)
        own.filled = sorted(self.filled.items())
        own.verified = sorted(self.verified.items())
        own.leftovers = len(self.leftovers)
        return msgspec.msgpack.encode(own)

    def receive(self, link: Link, body: bytes) -> bool:
        """A peer's state; True when requests must be planned anew."""
        try:
            state = msgspec.msgpack.decode(body, type=State)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed state: {wrong}") from wrong
        before = link.state
        link.state = state
        link.unfilled = frozenset(state.unfilled)
        self._look_behind(link)
        return before is None or before.unfilled != state.unfilled

    def state_of(self, name: str) -> State | None:
        """What a node has announced, on the connection that stands; None if nothing."""
        if name == self._here:
            own = self.own
            own.unfilled = sorted(self.unfilled)
            own.filled = sorted(self.filled.items())
            own.verified = sorted(self.verified.items())
            own.leftovers = len(self.leftovers)
            return own
        link = self._links.get(name)
        return link.state if link is not None else None

    # ---- what may go on ----

    def coming(self, move: Move) -> tuple[str, ...]:
        """Those who must prove that they hold everything before they are read from."""
        assert self.ring is not None
        old = self.ring.owners_of(move.partition)
        new = self.ring.names(move.owners)
        if len(new) < len(old):
            return new          # fewer answers than before are to suffice
        return tuple(name for name in new if name not in old)

    def next_ring(self, now_ms: int) -> Ring | None:
        """The ring after this one, as far as what is known here allows; None if nothing may go on.
        """
        ring = self.ring
        if ring is None or not self.is_changing:
            return None
        states = {
            member.node_id: self.state_of(member.node_id) or State() for member in ring.members
        }
        filled = {name: set(state.filled) for name, state in states.items()}
        verified = {name: set(state.verified) for name, state in states.items()}
        ready: dict[int, set[int]] = {FILL: set(), JOINT: set(), READ: set()}
        stalled = set()
        for partition, move in self.moving.items():
            if move.phase == FILL:
                is_ready = all((partition, move.begun) in filled[x] for x in self.coming(move))
            elif move.phase == JOINT:
                is_ready = all((partition, move.since) in verified[x] for x in self.coming(move))
                if not is_ready and any(self._is_stalled(x, now_ms) for x in self.coming(move)):
                    stalled.add(partition)
            else:
                is_ready = self.is_settled(partition, states)
            if is_ready:
                ready[move.phase].add(partition)
        gone = {
            name for name, state in states.items()
            if state.version == ring.version and not state.leftovers
        }
        return advance(ring, ready[FILL], ready[JOINT], ready[READ], stalled, gone)

    def is_settled(self, partition: int, states: dict[str, State] | None = None) -> bool:
        """Whether all old owners are settled at the move's phase."""
        assert self.ring is not None
        since = self.moving[partition].since
        for name in self.ring.owners_of(partition):
            state = self.state_of(name) if states is None else states[name]
            if state is None or state.version < since:
                return False
        return True

    def _is_stalled(self, name: str, now_ms: int) -> bool:
        link = self._links.get(name)
        return name != self._here and (
            link is None or (not link.is_up and now_ms - link.changed_ms > STALLED_MS)
        )

    def all_know(self, version: int) -> bool:
        """Whether every member is settled at this ring or a newer one."""
        assert self.ring is not None
        for member in self.ring.members:
            state = self.state_of(member.node_id)
            if state is None or state.version < version:
                return False
        return True

    # ---- what this node has to do ----

    def to_fill(self) -> list[int]:
        """Partitions that this node must get from others, those that it owns already first."""
        lost = [p for p in sorted(self.unfilled) if self._here in self.serving(p)]
        coming = [
            p for p, move in self.moving.items()
            if move.phase == FILL and p not in self.filled and self._here in self.coming(move)
        ]
        return lost + coming

    def to_verify(self) -> list[int]:
        """Partitions of which this node must prove that it holds everything, and may begin to."""
        return [
            p for p, move in self.moving.items()
            if move.phase == JOINT and p not in self.verified
            and self._here in self.coming(move) and self.is_settled(p)
        ]

    def is_fillable(self, partition: int, clean: Iterable[str], w: int) -> bool:
        """Whether a partition is filled, given the peers with whom a comparison was clean.

        A write that was acknowledged is at W owners, one of which may have been this one before it
        lost its disk. So N - W + 1 others who have lost nothing must be compared with. Where there
        are not so many, more was lost at once than W promises to survive: then all others, filled
        or not, are as much as there is.
        """
        others = [name for name in self.serving(partition) if name != self._here]
        if partition not in self.unfilled:
            whole = [name for name in others if not self.has_lost(name, partition)]
            return bool(whole) and set(whole) <= set(clean)
        n = len(others) + 1
        need = max(1, n - min(w, n) + 1)
        whole = [name for name in others if not self.has_lost(name, partition)]
        met = set(clean)
        if len(whole) >= min(need, len(others)):
            return sum(name in met for name in whole) >= min(need, len(others))
        return all(name in met for name in others)

    def is_verified(self, partition: int, clean: Iterable[str], w: int) -> bool:
        """Whether this node holds what any old owner held, given those compared with."""
        assert self.ring is not None
        old = self.ring.owners_of(partition)
        whole = [name for name in old if not self.has_lost(name, partition)]
        met = {*clean, self._here}
        return (
            len(whole) >= len(old) - min(w, len(old)) + 1
            and all(name in met for name in whole)
        )

    def has_lost(self, name: str, partition: int) -> bool:
        """Whether a node has said that it lost a partition. One that says nothing may have it."""
        if name == self._here:
            return partition in self.unfilled
        link = self._links.get(name)
        return link is not None and link.unfilled is not None and partition in link.unfilled

    def got(self, partition: int) -> None:
        """The partition is filled here."""
        move = self.moving.get(partition)
        self.unfilled.discard(partition)
        if move is not None and move.phase == FILL and self._here in self.coming(move):
            self.filled[partition] = move.begun
        self._keep()
        self.has_changed = True

    def proved(self, partition: int) -> None:
        """This node holds everything of the partition, and it was proved in this phase."""
        self.unfilled.discard(partition)
        self.verified[partition] = self.moving[partition].since
        self._keep()
        self.has_changed = True

    def lacks(self, name: str, partition: int) -> bool:
        """Whether a node is still to be filled: comparing with it would send everything twice.

        An owner that is to stay one, of fewer than before, has what it had.
        """
        assert self.ring is not None
        move = self.moving.get(partition)
        if (
            move is not None and move.phase == FILL and name in self.coming(move)
            and name not in self.ring.owners_of(partition)
        ):
            state = self.state_of(name)
            return state is None or (partition, move.begun) not in state.filled
        return self.has_lost(name, partition)

    def lose(self, partition: int) -> bool:
        """What this node holds of a partition must not be gone by; whether it is an owner of it.

        An owner is no reader of it then until it is filled again.
        """
        self.filled.pop(partition, None)
        self.verified.pop(partition, None)
        self.has_changed = True
        serving = self.serving(partition)
        if self._here not in self.holders(partition) or len(self.holders(partition)) < 2:
            return False
        self.unfilled.add(partition)
        self._keep()
        return self._here in serving

    def is_at_rest(self, partition: int) -> bool:
        """Whether no reachable node fills, moves or hands over this partition's data.

        Only then may the memory of a deletion be given up.
        """
        ring = self.ring
        if ring is None or ring.goal or partition in self.unfilled or self.leftovers:
            return False
        for member in ring.members:
            link = self._links.get(member.node_id)
            if link is not None and link.is_up and (
                link.state is None or link.state.leftovers or partition in (link.unfilled or ())
            ):
                return False
        return True

    # ---- what an operator sees ----

    def progress(self, records_in: int, eta_ms: int) -> Progress:
        """Plain numbers for a table."""
        lost = {p for p in self.unfilled if self._here in self.serving(p)}
        for link in self._links.values():
            lost |= {p for p in link.unfilled or () if link.peer in self.serving(p)}
        phases = [move.phase for move in self.moving.values()]
        return Progress(
            moving=len(phases), filling=sum(phase == FILL for phase in phases),
            switching=sum(phase != FILL for phase in phases), unfilled=len(lost),
            incoming=len(self.to_fill()),
            leftovers=len(self.leftovers), records_in=records_in, eta_ms=eta_ms,
        )
