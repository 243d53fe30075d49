"""How many replicas each node should hold.

A node's share is proportional to its weight, within two limits: a node holds a partition at most
once, and a zone holds no more replicas of one partition than it must (one, where there are at
least N zones). What a limited node or zone cannot take is divided among the others. So a zone that
is small for its duty carries more per node than the rest: safety before evenness.

Shares are exact fractions; a quota is a share rounded up or down such that every zone's quotas add
up to its own share, rounded, and all quotas to N per partition. Such quotas can always be met:
deal the replicas out zone by zone and node by node, to partition 0, 1, 2 and round again; every
partition gets N, no node meets itself, no zone exceeds its limit.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction


class Eligible:
    """The nodes that may own partitions, by index: weight and zone of each."""

    __slots__ = ("weights", "zones")

    def __init__(self, weights: dict[int, int], zones: dict[int, str]) -> None:
        self.weights = weights
        self.zones = zones

    def by_zone(self) -> list[list[int]]:
        """The nodes of each zone, zones in alphabetical order."""
        found: dict[str, list[int]] = {}
        for node in sorted(self.weights):
            found.setdefault(self.zones[node], []).append(node)
        return [found[zone] for zone in sorted(found)]


def zone_limit(eligible: Eligible, seats: int) -> int:
    """The most replicas of one partition in one zone: the smallest number that still gives every
    partition `seats` distinct nodes."""
    sizes = [len(zone) for zone in eligible.by_zone()]
    limit = 1
    while sum(min(limit, size) for size in sizes) < seats:
        limit += 1
    return limit


def shares(eligible: Eligible, partitions: int, seats: int) -> dict[int, Fraction]:
    """Each node's fair number of replicas, not rounded."""
    capacity = partitions * zone_limit(eligible, seats)
    total = partitions * seats
    free = eligible.by_zone()
    result: dict[int, Fraction] = {}
    while free:
        weights = {node: eligible.weights[node] for zone in free for node in zone}
        level = _fill(weights, total, partitions)
        full = [zone for zone in free if sum(level[node] for node in zone) > capacity]
        if not full:
            result.update(level)
            break
        # A full zone leaves more for the rest, so none of these would stop being full.
        for zone in full:
            free.remove(zone)
            weights = {node: eligible.weights[node] for node in zone}
            result.update(_fill(weights, capacity, partitions))
            total -= capacity
    return result


def quotas(
    eligible: Eligible, partitions: int, seats: int, held: Mapping[int, int]
) -> dict[int, int]:
    """Each node's number of replicas, at least 0, within 1 of its share.

    Of the nodes and zones that could be rounded up, those are that hold more now (`held`), so that
    as little as possible moves.
    """
    share = shares(eligible, partitions, seats)
    zones = eligible.by_zone()
    zone_shares = {i: sum((share[n] for n in zone), Fraction()) for i, zone in enumerate(zones)}
    zone_held = {i: sum(held.get(n, 0) for n in zone) for i, zone in enumerate(zones)}
    totals = _round(zone_shares, partitions * seats, zone_held)
    result: dict[int, int] = {}
    for i, zone in enumerate(zones):
        result.update(_round({node: share[node] for node in zone}, totals[i], held))
    return result


def _fill(weights: Mapping[int, int], total: int, cap: int) -> dict[int, Fraction]:
    """`total`, at most `cap` for each, divided by weight with none above `cap`."""
    level: dict[int, Fraction] = {}
    free = dict(weights)
    while free:
        unit = Fraction(total, sum(free.values()))
        full = [node for node, weight in free.items() if unit * weight > cap]
        if not full:
            level.update((node, unit * weight) for node, weight in free.items())
            break
        for node in full:
            level[node] = Fraction(cap)
            total -= cap
            del free[node]
    return level


def _round(
    exact: Mapping[int, Fraction], total: int, held: Mapping[int, int]
) -> dict[int, int]:
    """Every number rounded up or down such that they add up to `total`."""
    result = {item: value.__floor__() for item, value in exact.items()}
    up: Iterable[int] = sorted(
        (item for item, value in exact.items() if value.denominator > 1),
        key=lambda item: (-(held.get(item, 0) > result[item]), result[item] - exact[item], item),
    )
    for item, _ in zip(up, range(total - sum(result.values())), strict=False):
        result[item] += 1
    return result
