"""Members and rings for the tests of this directory, and what there is to measure in a ring."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha1, sha256

from respdyn.ring.claim import claim
from respdyn.ring.ring import Member, MemberState, Ring, decode_ring
from respdyn.ring.shares import Eligible, shares

CLUSTER = "c" * 32


def member(
    number: int, zone: str = "", weight: int = 1, state: MemberState = "member"
) -> Member:
    """Some member; ids are in no order."""
    node_id = sha1(str(number).encode()).hexdigest()
    return Member(node_id, "127.0.0.1", 6379, 7379, 16379, 8379, zone, weight, state)


def make_ring(
    members: Sequence[Member], partitions: int = 256, n: int = 3, previous: Ring | None = None
) -> Ring:
    """The ring that follows `previous` when these are the members."""
    ordered = tuple(sorted(members, key=lambda member: member.node_id))
    version = previous.version + 1 if previous else 1
    ring = Ring(CLUSTER, version, n, ordered, claim(ordered, partitions, n, previous))
    ring.validate()
    return ring


def even_ring(size: int, partitions: int = 256, n: int = 3, zones: int = 1) -> Ring:
    """A first ring of `size` equal members, dealt out over `zones` zones."""
    return make_ring([member(i, f"zone{i % zones}") for i in range(size)], partitions, n)


def replicas(ring: Ring) -> Counter[str]:
    """How many partitions each node owns."""
    return Counter(owner for p in range(ring.partitions) for owner in ring.owners_of(p))


def primaries(ring: Ring) -> Counter[str]:
    """How many partitions each node is the primary of."""
    return Counter(ring.owners_of(p)[0] for p in range(ring.partitions))


def fair_shares(ring: Ring) -> dict[str, Fraction]:
    """How many partitions each node should own, not rounded."""
    entitled = {i: m for i, m in enumerate(ring.members) if m.state == "member"}
    eligible = Eligible(
        {i: m.weight for i, m in entitled.items()}, {i: m.zone for i, m in entitled.items()}
    )
    exact = shares(eligible, ring.partitions, min(ring.n, len(entitled)))
    return {ring.members[i].node_id: share for i, share in exact.items()}


def moved(before: Ring, after: Ring) -> int:
    """How many replicas have to be copied to a node that had none."""
    return sum(
        len(set(after.owners_of(p)) - set(before.owners_of(p))) for p in range(after.partitions)
    )


def unavoidable(before: Ring, after: Ring) -> int:
    """How many replicas must move at the least for all nodes to hold as many as in `after`."""
    held = replicas(before)
    return sum(max(0, count - held[node]) for node, count in replicas(after).items())


def worst_load_after_one_failure(ring: Ring) -> float:
    """The most that any node coordinates when any one other has failed, relative to the mean."""
    usual = primaries(ring)
    inherited: Counter[tuple[str, str]] = Counter()
    for partition in range(ring.partitions):
        owners = ring.owners_of(partition)
        if len(owners) > 1:
            inherited[owners[0], owners[1]] += 1
    mean = ring.partitions / len(ring.members)
    return max(usual[heir] + count for (_, heir), count in inherited.items()) / mean


def story() -> str:
    """A fingerprint of some rings, each made from the one before as received from a peer."""
    digest = sha256()
    ring: Ring | None = None
    for size in (1, 5, 9, 8, 14):
        nodes = [member(i, f"zone{i % 4}", 1 + i % 2) for i in range(size)]
        ring = make_ring(nodes, previous=ring and decode_ring(ring.encode()))
        digest.update(ring.encode())
    return digest.hexdigest()
