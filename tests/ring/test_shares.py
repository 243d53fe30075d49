"""Shares are as even as distinct nodes and zones allow, and quotas are shares, rounded."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.ring.shares import Eligible, quotas, shares, zone_limit

CLUSTERS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(1, 50)), min_size=1, max_size=20
)


def cluster(nodes: list[tuple[str, int]]) -> Eligible:
    return Eligible(
        {i: weight for i, (_, weight) in enumerate(nodes)},
        {i: zone for i, (zone, _) in enumerate(nodes)},
    )


@pytest.mark.parametrize(
    ("zones", "seats", "limit"),
    [("abc", 3, 1), ("aabbcc", 3, 1), ("aabb", 3, 2), ("aaaa", 3, 3), ("abbb", 4, 3), ("a", 1, 1)],
)
def test_a_zone_holds_no_more_of_a_partition_than_it_must(
    zones: str, seats: int, limit: int
) -> None:
    assert zone_limit(cluster([(zone, 1) for zone in zones]), seats) == limit


@given(CLUSTERS, st.integers(1, 5))
def test_shares_are_level_but_for_limits(nodes: list[tuple[str, int]], n: int) -> None:
    eligible = cluster(nodes)
    seats = min(n, len(nodes))
    share = shares(eligible, 256, seats)
    limit = zone_limit(eligible, seats) * 256
    assert sum(share.values()) == 256 * seats
    levels = []
    for zone in eligible.by_zone():
        held = sum((share[node] for node in zone), Fraction())
        assert held <= limit
        inside = {share[i] / eligible.weights[i] for i in zone if share[i] < 256}
        assert len(inside) <= 1, "nodes of one zone differ though neither is full"
        assert all(share[i] <= 256 for i in zone)
        if inside and held < limit:
            levels.append(inside.pop())
    assert len(set(levels)) <= 1, "zones differ though neither is full"


@given(CLUSTERS, st.integers(1, 5), st.lists(st.integers(0, 256), min_size=20, max_size=20))
def test_quotas_are_shares_rounded(nodes: list[tuple[str, int]], n: int, held: list[int]) -> None:
    eligible = cluster(nodes)
    seats = min(n, len(nodes))
    share = shares(eligible, 256, seats)
    quota = quotas(eligible, 256, seats, dict(enumerate(held)))
    assert sum(quota.values()) == 256 * seats
    assert all(abs(quota[node] - share[node]) < 1 for node in share)
    limit = zone_limit(eligible, seats) * 256
    assert all(sum(quota[node] for node in zone) <= limit for zone in eligible.by_zone())


def test_who_holds_more_is_rounded_up() -> None:
    eligible = cluster([("a", 1)] * 5)
    quota = quotas(eligible, 256, 3, {0: 153, 1: 154, 2: 153, 3: 154, 4: 154})
    assert quota == {0: 153, 1: 154, 2: 153, 3: 154, 4: 154}
