"""Claim: which nodes own which partition, computed alike by every node.

Given the members, and the previous ring if there is one, it yields owners such that
 - a partition has N distinct owners, in distinct zones where there are enough;
 - each node's replicas are within 1 of its weighted share (see `shares`), its primaries too;
 - any two nodes have about as many partitions in common as any other two, and the second owners of
   one node's partitions are as many different nodes as possible (see `order`), so that the load of
   a failed node is spread over all others instead of falling on one neighbour;
 - nothing moves that need not: a newcomer takes its quota from nodes that hold too much, a leaving
   node's replicas go to nodes that hold too little.

How: seats that lost their node are filled first, then nodes above their quota give replicas to
nodes below it, each time choosing the partition where the newcomer meets those whom it has met
least. A first ring is the same with every seat empty. Where no single step is possible (zones can
do that) a shortest chain of steps is: node a's replica goes to b, and one of b's to c. That is
augmentation of a flow, so quotas that can be met are met.

It is a function of its arguments: no chance, no clock, ties broken by index. It knows nothing of
load, size or who is alive.

Source: Dynamo 6.2 (strategy 3 leaves the assignment open). What a plain round robin costs: after
one failure of 30 nodes its neighbour coordinates 2.1 times the mean, here 1.2 times.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from respdyn.ring.order import order_owners
from respdyn.ring.ring import Member, Owners, Ring
from respdyn.ring.shares import Eligible, quotas, zone_limit

# Nodes whose lack, relative to their quota, differs by less than an eighth compete for a seat by
# company alone. Without leeway the last seats of every round go to the nodes that are left: with 15
# nodes some two of them shared 27 partitions where 7 is the mean; with an eighth, 9.
LEEWAY = 8

# So many are compared for one step: more do not spread better, and take longer.
MOST_PARTITIONS = 64
MOST_TAKERS = 4


def claim(
    members: Sequence[Member], partitions: int, n: int, previous: Ring | None = None
) -> Owners:
    """Per partition the indices of its owners in `members`, the primary first.

    Only members whose state is "member" own anything. With fewer than `n` of them, every partition
    has as many owners as there are. `previous` must have as many partitions.
    """
    nodes = [index for index, member in enumerate(members) if member.state == "member"]
    eligible = Eligible(
        {index: members[index].weight for index in nodes},
        {index: members[index].zone for index in nodes},
    )
    if not nodes:
        raise ValueError("claim: no node may own anything")
    seats = min(n, len(nodes))
    before = _previous_owners(members, eligible, partitions, previous)
    table = _Table(eligible, partitions, seats, before)
    table.evict_crowded()
    table.set_quotas()
    table.fill_empty_seats()
    table.level()
    return order_owners([sorted(owners) for owners in table.owners], before, seats)


def _previous_owners(
    members: Sequence[Member], eligible: Eligible, partitions: int, previous: Ring | None
) -> list[list[int]]:
    """Per partition the previous owners that may still own, by their present index."""
    if previous is None:
        return [[] for _ in range(partitions)]
    if previous.partitions != partitions:
        raise ValueError("claim: the number of partitions never changes")
    index_of = {members[index].node_id: index for index in eligible.weights}
    now = [index_of.get(member.node_id, -1) for member in previous.members]
    return [[now[old] for old in owners if now[old] >= 0] for owners in previous.owners]


class _Table:
    """Owners being worked out: a table of partitions by nodes, with its margins."""

    def __init__(
        self, eligible: Eligible, partitions: int, seats: int, before: list[list[int]]
    ) -> None:
        self.eligible = eligible
        self.zones = eligible.zones
        self.partitions = partitions
        self.seats = seats
        self.limit = zone_limit(eligible, seats)
        self.nodes = sorted(eligible.weights)
        self.owners: list[set[int]] = [set() for _ in range(partitions)]
        self.mask = [0] * partitions                   # the owners again, as bits
        self.held: dict[int, set[int]] = {node: set() for node in self.nodes}
        self.quota: dict[int, int] = {}
        size = max(self.nodes) + 1
        self.met = [[0] * size for _ in range(size)]   # partitions that two nodes share
        for partition, owners in enumerate(before):
            for node in owners:
                self._seat(node, partition)

    def evict_crowded(self) -> None:
        """Empty the seats that are too many for a zone or, where N fell, for a partition."""
        for partition in range(self.partitions):
            while True:
                owners = self.owners[partition]
                crowd = [n for n in owners if self._in_zone(partition, self.zones[n]) > self.limit]
                if not crowd and len(owners) > self.seats:
                    crowd = list(owners)
                if not crowd:
                    break
                weights = self.eligible.weights
                most = max(crowd, key=lambda n: (len(self.held[n]) / weights[n], n))
                self._unseat(most, partition)

    def set_quotas(self) -> None:
        """Fix how many replicas each node is to hold."""
        held = {node: len(partitions) for node, partitions in self.held.items()}
        self.quota = quotas(self.eligible, self.partitions, self.seats, held)

    def fill_empty_seats(self) -> None:
        """Seat a node wherever one is missing: the one that lacks most, and of these the one that
        shares least with the partition's other owners."""
        for _ in range(self.seats):
            for partition in range(self.partitions):
                if len(self.owners[partition]) < self.seats:
                    node = self._best_candidate(partition)
                    if node is None:
                        self._augment(None, partition)
                    else:
                        self._seat(node, partition)

    def level(self) -> None:
        """Move replicas from nodes above their quota to nodes below it."""
        while True:
            above = [node for node in self.nodes if self._lack(node) < 0]
            if not above:
                break
            giver = min(above, key=lambda node: (self._lack(node) / self.quota[node]
                                                 if self.quota[node] else self._lack(node), node))
            step = self._best_step(giver)
            if step is None:
                self._augment(giver, None)
            else:
                partition, taker = step
                self._unseat(giver, partition)
                self._seat(taker, partition)

    # ---- one step ----

    def _best_candidate(self, partition: int) -> int | None:
        best: tuple[int, float, float, int] | None = None
        for node in self.nodes:
            lack = self._lack(node)
            if lack > 0 and node not in self.owners[partition]:
                crowd = self._in_zone(partition, self.zones[node])
                if crowd < self.limit:
                    company = self._company(node, partition)
                    rank = (node + 1) * (partition + 1) * 0x9E3779B1 >> 9 & 0xFFFF
                    key = (crowd, -(LEEWAY * lack // self.quota[node]), company, rank)
                    if best is None or key < best:
                        best, chosen = key, node
        return None if best is None else chosen

    def _best_step(self, giver: int) -> tuple[int, int] | None:
        """A partition and a taker for a replica of `giver`: a node that lacks most, and where it
        leaves pairs most even."""
        kinds = self._kinds(giver)
        stride = 1 + len(kinds) // MOST_PARTITIONS
        kinds = kinds[len(self.held[giver]) % stride :: stride]
        relief = {partition: self._company(giver, partition) for partition in kinds}
        takers = sorted(
            (-self._lack(node) / self.quota[node], node)
            for node in self.nodes if self._lack(node) > 0
        )
        steps = [
            (lack, self._company(taker, partition, giver) - relief[partition], partition, taker)
            for lack, taker in takers[:MOST_TAKERS]
            for partition in kinds if self._may_replace(giver, taker, partition)
        ]
        return min(steps)[2:] if steps else None

    def _augment(self, giver: int | None, hole: int | None) -> None:
        """Move one replica from `giver`, or into the empty seat `hole`, to a node below its quota
        along a shortest chain of steps."""
        came: dict[int, tuple[int | None, int]] = {}
        queue: deque[int | None] = deque([giver])
        while queue:
            node = queue.popleft()
            for taker, partition in self._steps(node, hole):
                if taker == giver or taker in came:
                    continue
                came[taker] = (node, partition)
                if self._lack(taker) > 0:
                    self._follow(came, taker, giver)
                    return
                queue.append(taker)
        raise AssertionError("claim: quotas cannot be met")

    def _steps(self, node: int | None, hole: int | None) -> Iterator[tuple[int, int]]:
        """Whom `node` could pass a replica to, and which; None passes the empty seat `hole`."""
        held = self._kinds(node) if node is not None else [] if hole is None else [hole]
        for partition in held:
            for taker in self.nodes:
                if self._may_replace(node, taker, partition):
                    yield taker, partition

    def _follow(
        self, came: dict[int, tuple[int | None, int]], last: int, giver: int | None
    ) -> None:
        taker: int | None = last
        while taker is not None and taker != giver:
            node, partition = came[taker]
            if node is not None:
                self._unseat(node, partition)
            self._seat(taker, partition)
            taker = node

    # ---- the margins ----

    def _kinds(self, node: int) -> list[int]:
        """Of the partitions that `node` holds the first of each kind: those with the same owners
        are alike. With few nodes there are few kinds, with many nodes few partitions."""
        mask = self.mask
        first: dict[int, int] = {}
        for partition in sorted(self.held[node]):
            first.setdefault(mask[partition], partition)
        return list(first.values())

    def _lack(self, node: int) -> int:
        return self.quota[node] - len(self.held[node])

    def _in_zone(self, partition: int, zone: str) -> int:
        zones = self.zones
        return sum(1 for owner in self.owners[partition] if zones[owner] == zone)

    def _may_replace(self, giver: int | None, taker: int, partition: int) -> bool:
        if taker in self.owners[partition]:
            return False
        zone = self.zones[taker]
        crowd = self._in_zone(partition, zone)
        if giver is not None and self.zones[giver] == zone:
            crowd -= 1
        return crowd < self.limit

    def _company(self, node: int, partition: int, without: int = -1) -> float:
        """How often `node` meets the owners of `partition` already, relative to both quotas."""
        met = self.met[node]
        quota = self.quota
        return sum(
            met[owner] / (quota[owner] + 1)
            for owner in sorted(self.owners[partition]) if owner not in (node, without)
        ) / (quota[node] + 1)

    def _seat(self, node: int, partition: int) -> None:
        self._meet(node, partition, 1)
        self.owners[partition].add(node)
        self.mask[partition] |= 1 << node
        self.held[node].add(partition)

    def _unseat(self, node: int, partition: int) -> None:
        self.owners[partition].remove(node)
        self.mask[partition] &= ~(1 << node)
        self.held[node].remove(partition)
        self._meet(node, partition, -1)

    def _meet(self, node: int, partition: int, times: int) -> None:
        for owner in self.owners[partition]:
            self.met[node][owner] += times
            self.met[owner][node] += times
