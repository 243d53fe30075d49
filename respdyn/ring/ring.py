"""The ring: a versioned, immutable map from partitions to the nodes that own them.

A partition is a contiguous, equal share of the 16384 slots (Dynamo's strategy 3), so the map is
small and a partition moves as a unit. A ring is a value: a change of membership makes a new one
with a higher version, and nodes adopt whichever is newer. Who should own what is computed in
`claim`; who is alive is not recorded here, because an outage is not a departure.

While owners change, a ring also says where everything is to end (`goal`) and how far each partition
has come (`moves`). A partition passes through three phases, each a ring of its own:

    phase     written by            read from   until
    FILL      W of the old          old         those to come say that they hold everything
    JOINT     W of the old and new  old         all old owners know, then those to come prove it
    READ      W of the old and new  new         all old owners know
    (none)    W of the new          new

What a write of one phase stores, a read of the next one finds; decision 0014 has the proof.

Source: Dynamo 4.8.1, 4.9 and 6.2.
"""

from itertools import pairwise
from typing import Literal

import msgspec

from respdyn.errors import DamagedError
from respdyn.ring.hashing import SLOTS

MemberState = Literal["joining", "member", "leaving"]
Owners = tuple[tuple[int, ...], ...]

ENCODING = 2              # 1 had no goal and no moves
FILL, JOINT, READ = 1, 2, 3
MAX_MEMBERS = 1024
MAX_N = 16
MAX_WEIGHT = 1000
_HEX = frozenset("0123456789abcdef")


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A node that belongs to the cluster, and where it is found.

    `joining`: known and reachable, owns nothing yet. `member`: owns its share. `leaving`: owns
    nothing in this ring and hands over what it held. `weight` is its share relative to the others.
    `zone` is its failure domain; "" for all means one zone. `incarnation` names the life in which
    it became a member: a node in a later life may have forgotten what it held, and its votes.
    """

    node_id: str
    host: str
    client_port: int
    cluster_port: int
    peer_port: int
    http_port: int
    zone: str = ""
    weight: int = 1
    state: MemberState = "member"
    incarnation: int = 0


class Move(msgspec.Struct, frozen=True, array_like=True):
    """A partition on its way: `owners` are those to come, as indices, the primary first.

    `begun` and `since` are the versions of the rings with which the move and its phase began.
    """

    partition: int
    owners: tuple[int, ...]
    phase: int
    begun: int
    since: int


class Ring(msgspec.Struct, frozen=True, array_like=True):
    """Who keeps what. `members` is sorted by node id; `owners` holds, per partition, indices
    into `members`, the primary first.

    A partition has N owners, or as many as there are members to own anything. While owners change
    (`goal` is not empty) that holds for `goal`, and some may still have more or fewer. `moves` is
    sorted by partition. `changes` counts changes of membership, and `token` names the last one.
    """

    cluster_id: str
    version: int
    n: int
    members: tuple[Member, ...]
    owners: Owners
    goal: Owners = ()
    moves: tuple[Move, ...] = ()
    changes: int = 0
    token: str = ""

    @property
    def partitions(self) -> int:
        """How many partitions there are: Q, a power of two, fixed for the life of the cluster."""
        return len(self.owners)

    def partition_of(self, slot: int) -> int:
        """The partition in which a slot lies."""
        return slot // (SLOTS // len(self.owners))

    def slots_of(self, partition: int) -> range:
        """The slots of a partition."""
        size = SLOTS // len(self.owners)
        return range(partition * size, (partition + 1) * size)

    def owners_of(self, partition: int) -> tuple[str, ...]:
        """The node ids of a partition's owners, the primary first."""
        return self.names(self.owners[partition])

    def names(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        """The node ids of these members."""
        return tuple(self.members[index].node_id for index in indices)

    def moving(self) -> dict[int, Move]:
        """The moves by partition."""
        return {move.partition: move for move in self.moves}

    def copies(self) -> int:
        """How many copies of each key there are once all moves are done."""
        return min(self.n, sum(member.state == "member" for member in self.members))

    def most_copies(self) -> int:
        """How many there are of some key, now or once all moves are done, whichever is more.

        A majority of so many meets any other in both.
        """
        return max(self.copies(), *map(len, self.owners))

    def wanted(self) -> Owners:
        """The owners once all moves are done."""
        return self.goal or self.owners

    def member(self, node_id: str) -> Member | None:
        """The member with that id. Linear: keep a dictionary where it matters."""
        return next((member for member in self.members if member.node_id == node_id), None)

    def newer_than(self, other: "Ring") -> bool:
        """Whether this ring replaces `other`. A foreign cluster's ring never does."""
        return self.cluster_id == other.cluster_id and self.version > other.version

    def encode(self) -> bytes:
        """A version byte, then msgpack. Equal rings have equal bytes."""
        return bytes([ENCODING]) + msgspec.msgpack.encode(self)

    def validate(self) -> None:
        """Raises `DamagedError`, naming what is wrong, unless every promise above holds."""
        _require(_is_hex(self.cluster_id, 32), "cluster id is not 32 hex digits")
        _require(1 <= self.version < 2**63, "version out of range")
        _require(1 <= self.n <= MAX_N, f"n is not between 1 and {MAX_N}")
        _require(1 <= len(self.members) <= MAX_MEMBERS, "no members, or too many")
        for member in self.members:
            validate_member(member)
        ids = [member.node_id for member in self.members]
        _require(all(a < b for a, b in pairwise(ids)), "members are not sorted")
        self._validate_owners()

    def _validate_owners(self) -> None:
        partitions = len(self.owners)
        _require(
            1 <= partitions <= SLOTS and partitions & (partitions - 1) == 0,
            "the number of partitions is not a power of two up to 16384",
        )
        entitled = {i for i, member in enumerate(self.members) if member.state == "member"}
        seats = min(self.n, len(entitled))
        _require(seats > 0, "no node may own anything")
        for owners in self.wanted():
            _require(len(owners) == seats, f"a partition has not {seats} owners")
            distinct = set(owners)
            _require(len(distinct) == seats, "a partition names an owner twice")
            _require(distinct <= entitled, "an owner is unknown, joining or leaving")
        if self.goal:
            everyone = set(range(len(self.members)))
            _require(len(self.goal) == partitions, "the goal is not for all partitions")
            for owners in (*self.owners, *(move.owners for move in self.moves)):
                _require(1 <= len(owners) <= MAX_N, "a partition has no owners, or too many")
                _require(len(set(owners)) == len(owners), "a partition names an owner twice")
                _require(everyone.issuperset(owners), "an owner is unknown")
        _require(bool(self.goal) or not self.moves, "there are moves without a goal")
        places = [-1, *(move.partition for move in self.moves), partitions]
        _require(all(a < b for a, b in pairwise(places)), "moves are not sorted")
        for move in self.moves:
            _require(FILL <= move.phase <= READ, "a move is in an unknown phase")
            _require(0 < move.begun <= move.since <= self.version, "a move's versions are wrong")
        _require(0 <= self.changes < 2**63, "the number of changes is out of range")
        _require(self.token == "" or _is_hex(self.token, 16), "the token is not 16 hex digits")


def decode_ring(data: bytes) -> Ring:
    """The ring that `encode` made these bytes from, checked by `validate`.

    Raises `DamagedError` on anything else, and nothing but that.
    """
    if not data or data[0] not in (1, ENCODING):
        raise DamagedError("ring: unknown encoding")
    try:
        ring = msgspec.msgpack.decode(memoryview(data)[1:], type=Ring)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"ring: {error}") from error
    ring.validate()
    return ring


def validate_member(member: Member) -> None:
    """Raises `DamagedError` for a member that cannot be."""
    _require(_is_hex(member.node_id, 40), "a node id is not 40 hex digits")
    _require(0 < len(member.host) <= 255, "a host is empty or too long")
    _require(member.host.isprintable() and " " not in member.host, "a host is not printable")
    ports = (member.client_port, member.cluster_port, member.peer_port, member.http_port)
    _require(all(0 <= port <= 65535 for port in ports), "a port is out of range")
    _require(len(member.zone) <= 255 and member.zone.isprintable(), "a zone is not printable")
    _require(1 <= member.weight <= MAX_WEIGHT, f"a weight is not between 1 and {MAX_WEIGHT}")
    _require(0 <= member.incarnation < 2**63, "an incarnation is out of range")


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DamagedError(f"ring: {otherwise}")
