"""The node's identity: its node id, its actor, and the counter from which dots are minted.

A node keeps its *node id* for as long as it keeps its data directory. Its *actor*, the name in its
dots, lasts one life: it is drawn anew when the directory is empty, unknown, or another node's, when
anything in it was found damaged, at every start of a memory engine, and when a peer shows a dot of
it that this node has not minted yet, or remembers more of it than its disk holds (`lives`): then
the directory is an older copy. A name that outlived the memory of what it had minted would mint the
same dot twice, and the second value would silently replace the first.

The *counter* is one for the whole node and is leased: before a dot is minted, a durable write has
said "everything below this number may have been used". A restart continues at the lease's end, so
no dot is minted twice although no write waits for it.

An actor is the end of a chain of hashes (`minting`) by which this node proves to others how far its
counter has come (`ends`); the chain's beginning is stored beside it, and sent to no one.

Source: SEMANTICS 1.1 and 1.2; riak_kv issue 679 is the bug that these two rules avoid.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from blake3 import blake3

from respdyn.causal.codec import ROW_BYTES, rows_of
from respdyn.causal.dot import Actor, intern_actor
from respdyn.causal.minting import COUNTER_MAX, LINK_BYTES, chain_of
from respdyn.ports import Random, random_bits

META: Final = b"\xff\xff"         # no slot: what a node stores of itself has locators that begin so
NODE: Final = META + b"node"           # the node id
LIFE: Final = META + b"life"           # the actor, and the end of its lease
_LIFE: Final = Struct(">B16sQ16s")     # version, actor, end of the lease, where its chain begins
_VERSION: Final = 2
_UNPROVED: Final = Struct(">B16sQ")    # before there were chains: 1, actor, end of the lease


class Identity:
    """This node's names and its counter."""

    def __init__(self, lease_block: int) -> None:
        self.node_id = ""
        self.actor = Actor(b"")
        self.links: list[bytes] = []    # by level, what proves it; see `minting`
        self.counter = 0            # the last one minted
        self.lease_end = 0          # the last one that may be minted once `lease_generation` lasts
        self.safe_end = 0           # the last one that may be minted now
        self.floor = 0              # the counter when this node last started
        self.floors: dict[int, int] = {}    # and when it last took over a partition, if later
        self.is_new_life = False
        self._block = lease_block
        self._leases: list[tuple[int, int]] = []    # not durable yet: (generation, end)

    def begin(
        self, kept: Mapping[bytes, bytes], rng: Random, node_id: str, is_same_life: bool
    ) -> None:
        """Take up the identity kept in the store, or a new one.

        Then the node id and `lease` must be stored. `node_id` overrides the one that was kept.
        `is_same_life` is False where this node may have forgotten something that it sent to others.
        """
        self.node_id = (
            node_id or kept.get(NODE, b"").hex() or random_bits(rng, 160).to_bytes(20, "big").hex()
        )
        life = kept.get(LIFE, b"")
        is_same_life = is_same_life and kept.get(NODE, b"").hex() == self.node_id
        if is_same_life and len(life) == _LIFE.size and life[0] == _VERSION:
            _, _, end, secret = _LIFE.unpack(life)
            self._take_name(secret)
            self.counter = self.floor = self.safe_end = self.lease_end = end
        elif is_same_life and len(life) == _UNPROVED.size and life[0] == 1:
            self._begin_name(rng)       # nothing is forgotten: only the name is another
        else:
            self.begin_life(rng)

    def begin_life(self, rng: Random) -> None:
        """A new actor. Nothing may be minted before its first lease is durable."""
        self.is_new_life = True
        self._begin_name(rng)

    def _take_name(self, secret: bytes) -> None:
        self.links = chain_of(secret)
        self.actor = intern_actor(self.links[0])

    def _begin_name(self, rng: Random) -> None:
        # Unguessable, and another one each time, whatever the port's two ways of drawing do.
        drawn = random_bits(rng, 128).to_bytes(16, "big")
        self._take_name(blake3(rng.secret() + drawn).digest(LINK_BYTES))
        self.counter = self.floor = self.safe_end = self.lease_end = 0
        self.floors.clear()
        self._leases.clear()

    def wants_lease(self) -> bool:
        """Whether less than half a block is left."""
        return self.lease_end - self.counter < self._block // 2

    def lease(self, generation: int) -> bytes:
        """Extend the lease by a block: the value to store, durably, under `LIFE`.

        `generation`: of the batch that it goes into.
        """
        self.lease_end += self._block
        self._leases.append((generation, self.lease_end))
        return _LIFE.pack(_VERSION, self.actor, self.lease_end, self.links[-1])

    def durable(self, generation: int) -> None:
        """What was stored up to this generation is durable, leases among it."""
        while self._leases and self._leases[0][0] <= generation:
            self.safe_end = max(self.safe_end, self._leases.pop(0)[1])

    def minted(self, record: bytes) -> bool:
        """A write was made of this actor's next dots, as many as its record has: take them over.

        False if those are more than may be minted now: then the record must not be kept.
        """
        rows, actor, top = rows_of(record), self.actor, 0
        for at in range(0, len(rows), ROW_BYTES):
            if rows[at : at + 16] == actor:
                top = int.from_bytes(rows[at + 24 : at + 32], "big")
        if top > self.counter:
            if not self.can_mint(top - self.counter):
                return False
            self.counter = top
        return True

    def can_mint(self, count: int = 1) -> bool:
        """Whether so many dots may be minted now. A block grows with its use."""
        if self.counter + count <= self.safe_end:
            return self.counter + count <= COUNTER_MAX
        if count > self._block // 4:
            self._block = 4 * count
        return False
