"""The order of a partition's owners: who is primary, and who takes over.

Which nodes own a partition decides what is stored where; their order only decides who coordinates,
so it may change without moving data. Still it changes little: a coordinator that stays is one that
is current.

Primaries: each node's number is its replicas divided by N, rounded up or down. Such an order
always exists (give each owner 1/N of each of its partitions: a flow, hence a whole one too) and is
reached by chains of steps, as in `claim`. Seconds: for each primary as even as possible, counting
what the second coordinates already, so that a failed node's load spreads.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from respdyn.ring.ring import Owners

# Of what a second coordinates itself, the part that it may get above an even spread of a failed
# primary's load before primaries are traded. Lower spreads better and unsettles more coordinators.
_TOLERANCE = 1 / 16
_ROUNDS = 8
_LESS = 1e-9   # a sum must fall by more than rounding can pretend


def order_owners(
    owner_sets: Sequence[Sequence[int]], before: Sequence[Sequence[int]], seats: int
) -> Owners:
    """Order each partition's owners; `before` is the previous order of those that stay."""
    rows: list[list[int]] = []
    for owners, old in zip(owner_sets, before, strict=True):
        kept = [node for node in old if node in owners]
        rows.append(kept + [node for node in owners if node not in kept])
    order = _Order(rows, seats)
    order.choose_primaries({p for p, row in enumerate(rows) if before[p][:1] == row[:1]})
    order.level_primaries()
    if seats > 1:
        order.level_seconds()
    return tuple(tuple(row) for row in rows)


class _Order:
    """Rows of owners, first and second place being worked out; the rows change in place."""

    def __init__(self, rows: list[list[int]], seats: int) -> None:
        self.rows = rows
        self.seats = seats
        size = 1 + max(max(row) for row in rows)
        self.held = [0] * size
        for row in rows:
            for node in row:
                self.held[node] += 1
        self.nodes = [node for node in range(size) if self.held[node]]
        self.led: list[set[int]] = [set() for _ in range(size)]              # by primary
        self.behind: list[dict[int, int]] = [{} for _ in range(size)]        # seconds, by primary

    # ---- primaries ----

    def choose_primaries(self, kept: set[int]) -> None:
        """Keep the primaries of `kept`; elsewhere take the owner that leads least for its size."""
        for partition in sorted(kept):
            self.led[self.rows[partition][0]].add(partition)
        for partition, row in enumerate(self.rows):
            if partition not in kept:
                first = min(row, key=lambda node: (len(self.led[node]) / self.held[node], node))
                self._put(partition, 0, first)
                self.led[first].add(partition)

    def level_primaries(self) -> None:
        """Give every node its number of primaries."""
        for node in self.nodes:
            while len(self.led[node]) > self._most(node):
                self._chain(node, self._givable, lambda taker: self._spare(taker, self._most) < 0)
            while len(self.led[node]) < self._least(node):
                self._chain(node, self._takable, lambda giver: self._spare(giver, self._least) > 0)

    def _least(self, node: int) -> int:
        return self.held[node] // self.seats

    def _most(self, node: int) -> int:
        return -(-self.held[node] // self.seats)

    def _spare(self, node: int, bound: Callable[[int], int]) -> int:
        return len(self.led[node]) - bound(node)

    def _givable(self, node: int) -> Iterator[tuple[int, int]]:
        """The primaries that `node` could give: to whom, and which partition."""
        for partition in sorted(self.led[node]):
            for taker in self.rows[partition][1:]:
                yield taker, partition

    def _takable(self, node: int) -> Iterator[tuple[int, int]]:
        """The primaries that `node` could take: from whom, and which partition."""
        for partition, row in enumerate(self.rows):
            if node in row[1:]:
                yield row[0], partition

    def _chain(
        self,
        start: int,
        steps: Callable[[int], Iterable[tuple[int, int]]],
        is_end: Callable[[int], bool],
    ) -> None:
        """Hand primaries along the shortest chain from `start` to a node where it may end."""
        came: dict[int, tuple[int, int]] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for other, partition in steps(node):
                if other == start or other in came:
                    continue
                came[other] = (node, partition)
                if is_end(other):
                    while other != start:
                        node, partition = came[other]
                        self._hand_over(partition, node, other)
                        other = node
                    return
                queue.append(other)
        raise AssertionError("order: primaries cannot be levelled")

    def _hand_over(self, partition: int, one: int, other: int) -> None:
        """Of two owners, one of them primary, the other becomes primary."""
        giver, taker = (one, other) if self.rows[partition][0] == one else (other, one)
        self.led[giver].remove(partition)
        self.led[taker].add(partition)
        self._put(partition, 0, taker)

    # ---- seconds ----

    def level_seconds(self) -> None:
        """Choose every row's second such that after any one failure load is even.

        If primary x fails, node k coordinates its own partitions and those of x where it is second:
        k's load under x. A choice is replaced while that lowers the sum of the squares of all
        loads, each divided by the node's share; every replacement does, so this ends. Where the
        choice of seconds is not enough, because x leads partitions with too few different owners,
        x trades primaries with another owner.
        """
        for row in self.rows:
            self._count(row, 1)
        everywhere = range(len(self.rows))
        for _ in range(_ROUNDS):
            while sum(map(self._choose_second, everywhere)):
                pass
            if not sum(map(self._trade, everywhere)):
                break

    def _choose_second(self, partition: int) -> bool:
        """Make another owner the second if that lowers the sum; True if one was."""
        row = self.rows[partition]
        now = row[1]
        self._count(row, -1)
        costs = {other: self._cost_of_one_more(row[0], other) for other in row[1:]}
        best = min(row[1:], key=costs.__getitem__)
        changes = costs[best] < costs[now] - _LESS
        if changes:
            self._put(partition, 1, best)
        self._count(row, 1)
        return changes

    def _trade(self, partition: int) -> bool:
        """If the second is overloaded under its primary, let the primary lead another row instead,
        whose primary comes to lead this one; True if that was done."""
        row = self.rows[partition]
        first, second = row[0], row[1]
        extra = self.behind[first][second]
        even = len(self.led[first]) / (len(self.nodes) - 1)
        if extra < 2 or extra - even <= len(self.led[second]) * _TOLERANCE:
            return False
        for other in row[1:]:
            tried: set[tuple[int, ...]] = set()
            for there in sorted(self.led[other]):
                owners = tuple(self.rows[there])
                if first in owners and owners not in tried:
                    tried.add(owners)
                    if self._exchange(partition, there):
                        return True
        return False

    def _exchange(self, here: int, there: int) -> bool:
        """Exchange two rows' primaries, each an owner of both, if that lowers the sum."""
        rows = self.rows[here], self.rows[there]
        one, other = rows[0][0], rows[1][0]
        old = rows[0][:], rows[1][:]
        relief = 0.0
        for row in rows:
            self._count(row, -1)
            relief += self._cost_of_one_more(row[0], row[1])
        cost = 0.0
        for partition, row, first in ((here, rows[0], other), (there, rows[1], one)):
            self._put(partition, 0, first)
            costs = {node: self._cost_of_one_more(first, node) for node in row[1:]}
            best = min(row[1:], key=costs.__getitem__)
            self._put(partition, 1, best)
            cost += costs[best]
            self._count(row, 1)
        if cost < relief - _LESS:
            self.led[one].remove(here)
            self.led[one].add(there)
            self.led[other].remove(there)
            self.led[other].add(here)
            return True
        for row, before in zip(rows, old, strict=True):
            self._count(row, -1)
            row[:] = before
        for row in rows:
            self._count(row, 1)
        return False

    def _cost_of_one_more(self, first: int, second: int) -> float:
        """How much the sum grows when `second` stands behind `first` once more."""
        load = len(self.led[second]) + self.behind[first].get(second, 0)
        return (2 * load + 1) / self.held[second]

    def _count(self, row: list[int], times: int) -> None:
        seconds = self.behind[row[0]]
        seconds[row[1]] = seconds.get(row[1], 0) + times

    def _put(self, partition: int, place: int, node: int) -> None:
        row = self.rows[partition]
        other = row.index(node)
        row[place], row[other] = row[other], row[place]
