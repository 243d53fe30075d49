"""Who takes part in a request now: the preference list of each partition, given who is reachable.

A `Plan` is made anew whenever the ring or somebody's reachability changes, which is rare, so that a
request finds its replicas with one look into a list by slot. Partitions with the same reachable
replicas share a `ReplicaSet`, and with it the rounds of a turn: in a cluster of three all writes of
a turn are one round.
"""

from collections.abc import Callable

from respdyn.cluster.link import Link
from respdyn.cluster.quorum import ReadRound, WriteRound
from respdyn.ring.hashing import SLOTS
from respdyn.ring.ring import Ring


class ReplicaSet:
    """The peers that share some partitions with this node and can be asked now."""

    __slots__ = ("open_reads", "open_writes", "readers", "turns", "writers")

    def __init__(self, readers: tuple[Link, ...], writers: tuple[Link, ...]) -> None:
        self.readers = readers            # up
        self.writers = writers            # up, and their disks work
        self.open_writes: list[WriteRound] = []   # this turn's, the latest first
        self.open_reads: list[ReadRound] = []
        self.turns = 0                    # rotates who is asked first


class Plan:
    """How requests for one partition go now."""

    __slots__ = (
        "coordinator", "is_instant", "is_owner", "owners", "partition", "replicas", "spared",
    )

    def __init__(
        self, partition: int, owners: tuple[str, ...], is_owner: bool, coordinator: str,
        replicas: ReplicaSet, is_instant: bool,
    ) -> None:
        self.partition = partition
        self.owners = owners
        self.is_owner = is_owner          # this node is among the first N
        self.coordinator = coordinator    # first reachable owner that can store, or ""
        self.replicas = replicas
        self.spared = ""                  # who would coordinate, were it not spared
        self.is_instant = is_instant      # nobody else to ask and no disk to wait for


def make_plans(
    ring: Ring, here: str, can_store: bool, waits_for_disk: bool, link_to: Callable[[str], Link]
) -> list[Plan]:
    """One plan per slot; slots of a partition share theirs."""
    sets: dict[tuple[tuple[str, ...], tuple[str, ...]], ReplicaSet] = {}
    plans: list[Plan] = []
    width = SLOTS // ring.partitions
    for partition in range(ring.partitions):
        owners = ring.owners_of(partition)
        links = [link_to(owner) for owner in owners if owner != here]
        readers = tuple(link for link in links if link.is_up)
        writers = tuple(link for link in readers if link.can_store)
        names = tuple(link.peer for link in readers), tuple(link.peer for link in writers)
        replicas = sets.get(names)
        if replicas is None:
            replicas = sets[names] = ReplicaSet(readers, writers)
        able = {link.peer for link in writers}
        if can_store:
            able.add(here)
        coordinator = next((owner for owner in owners if owner in able), "")
        is_owner = here in owners
        plan = Plan(
            partition, owners, is_owner, coordinator, replicas,
            is_owner and len(owners) == 1 and not waits_for_disk,
        )
        plans.extend([plan] * width)
    return plans


def spare(
    plans: list[Plan], here: str, spares_here: bool, leaves_here: bool,
    link_to: Callable[[str], Link],
) -> None:
    """Let another owner coordinate where the first one is spared, if one is not.

    A spared owner still runs what a node that does not know of it yet sends its way, and clients
    are shown it. One that leaves passes such commands on, and is not shown.
    """
    before: Plan | None = None
    for plan in plans:
        if plan is before:
            continue
        before = plan
        if not _is_spared(plan.coordinator, here, spares_here, link_to):
            continue
        able = {link.peer for link in plan.replicas.writers}
        for owner in plan.owners:
            if (owner in able and not _is_spared(owner, here, spares_here, link_to)) or (
                owner == here and plan.is_owner and not spares_here
            ):
                leaves = leaves_here if plan.coordinator == here else (
                    link_to(plan.coordinator).is_leaving
                )
                plan.spared = "" if leaves else plan.coordinator
                plan.coordinator = owner
                break


def _is_spared(
    node: str, here: str, spares_here: bool, link_to: Callable[[str], Link]
) -> bool:
    if node == here:
        return spares_here
    return bool(node and link_to(node).spared)
