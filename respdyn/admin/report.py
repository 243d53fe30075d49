"""Reports: what an operator is shown of the cluster, as plain data.

`status` makes them, `render` writes them as RESP for DYN.CLUSTER and DYN.EXPLAIN.
"""

from dataclasses import dataclass

from respdyn.admin.health import Health
from respdyn.cluster.versions import Version


@dataclass(slots=True)
class MemberReport:
    """One member in DYN.CLUSTER STATUS."""

    node: str
    address: str                # of its client port
    state: str                  # up, down, cannot-store, as seen by the node that answers
    deprioritized: str             # why others are preferred to it; "" if they are not
    zone: str
    partitions: int             # that it owns
    health: Health | None       # by its own word; None if it did not answer
    clock_offset_ms: int = 0


@dataclass(slots=True)
class ClusterReport:
    """DYN.CLUSTER STATUS."""

    verdict: str
    problems: list[str]         # what is wrong, the worst first, with the next step
    cluster: str
    ring_version: int
    seen_from: str              # the node that answers
    n: int
    r: int
    w: int
    partitions: int
    below_n: int                # partitions with fewer owners in reach
    below_w: int                # partitions that refuse writes
    moving: int                 # to new owners
    filling: int                # with an owner that does not hold all yet
    to_hand_over: int           # held by nodes that own them no more
    eta_ms: int                 # until this node has filled its own; -1: unknown
    members: list[MemberReport]


@dataclass(slots=True)
class ListedMember:
    """One node in DYN.CLUSTER MEMBERS: a member, or one that waits to be joined."""

    node: str
    address: str
    state: str
    zone: str
    weight: int
    membership: str             # joining, member, leaving; waiting, was-member
    peer: str                   # the address of its peer port


@dataclass(slots=True)
class PartitionReport:
    """One partition in DYN.CLUSTER RING."""

    partition: int
    first_slot: int
    last_slot: int
    owners: tuple[str, ...]


@dataclass(slots=True)
class RingReport:
    """DYN.CLUSTER RING."""

    cluster: str
    version: int
    n: int
    partitions: list[PartitionReport]


@dataclass(slots=True)
class CopyReport:
    """One copy of a key in DYN.EXPLAIN, or the place of one."""

    node: str
    address: str
    state: str
    role: str                   # coordinator, primary, fallback
    stands_in_for: str          # the owner, of a fallback
    version: Version | None     # what the node holds; None if it did not answer


@dataclass(slots=True)
class KeyReport:
    """DYN.EXPLAIN."""

    key: bytes
    db: int
    slot: int
    partition: int
    copies: list[CopyReport]
