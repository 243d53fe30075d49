"""What SEMANTICS promises of placement, for clusters of 1 to 60 nodes and on the way between them.

Q = 256 and N = 3 where nothing else is said.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.ring.claim import claim
from respdyn.ring.ring import Member, Ring
from tests.ring.clusters import (
    even_ring,
    fair_shares,
    make_ring,
    member,
    moved,
    primaries,
    replicas,
    story,
    unavoidable,
    worst_load_after_one_failure,
)

SIZES = range(1, 61)
N = 3
Q = 256

Rings = dict[int, Ring]


@cache
def first_rings() -> Rings:
    """Per size a ring made at once."""
    return {size: even_ring(size) for size in SIZES}


@cache
def grown_rings() -> Rings:
    """Per size the ring that came about by one join after another."""
    rings = {1: even_ring(1)}
    for size in SIZES[1:]:
        rings[size] = make_ring([member(i) for i in range(size)], previous=rings[size - 1])
    return rings


@cache
def shrunk_rings() -> Rings:
    """Per size the ring that was left when the eldest left one after another."""
    rings = {60: grown_rings()[60]}
    for size in reversed(SIZES[:-1]):
        nodes = [member(i) for i in range(60 - size, 60)]
        rings[size] = make_ring(nodes, previous=rings[size + 1])
    return rings


every_history = pytest.mark.parametrize(
    "history", [first_rings, grown_rings, shrunk_rings], ids=["first", "grown", "shrunk"]
)
History = Callable[[], Rings]


def assert_fair(ring: Ring) -> None:
    """Replicas and primaries of every node within 1 of its share."""
    held, led = replicas(ring), primaries(ring)
    seats = len(ring.owners[0])
    for node, share in fair_shares(ring).items():
        assert abs(held[node] - share) < 1, f"{node[:8]} holds {held[node]} of {float(share)}"
        assert abs(led[node] - share / seats) < 1, f"{node[:8]} leads {led[node]}"


def zones_of(ring: Ring, partition: int) -> Counter[str]:
    """How many of a partition's owners are in each zone."""
    return Counter(ring.members[index].zone for index in ring.owners[partition])


# ---- fairness ----


@every_history
def test_every_partition_has_n_distinct_owners(history: History) -> None:
    for size, ring in history().items():
        assert len(ring.owners) == Q
        assert {len(set(owners)) for owners in ring.owners} == {min(N, size)}


@every_history
def test_replicas_and_primaries_are_within_one_of_their_share(history: History) -> None:
    for size, ring in history().items():
        assert set(fair_shares(ring).values()) == {Fraction(Q * min(N, size), size)}
        assert_fair(ring)


def test_a_node_of_twice_the_weight_holds_twice_as_much() -> None:
    ring = make_ring([member(i, weight=1 + i % 2) for i in range(12)])
    assert_fair(ring)
    held = replicas(ring)
    light, heavy = (
        sum(held[one.node_id] for one in ring.members if one.weight == weight) / 6
        for weight in (1, 2)
    )
    assert heavy == pytest.approx(2 * light, abs=1)


def test_joining_and_leaving_members_own_nothing() -> None:
    before = even_ring(6)
    nodes = [member(0, "zone0", state="leaving"), member(9, "zone0", state="joining")]
    nodes += [member(i, "zone0") for i in range(1, 6)]
    ring = make_ring(nodes, previous=before)
    assert set(replicas(ring)) == {member(i).node_id for i in range(1, 6)}
    assert_fair(ring)


# ---- zones ----


@pytest.mark.parametrize(
    ("size", "zones"), [(3, 3), (4, 3), (5, 3), (9, 3), (30, 3), (7, 4), (30, 5), (60, 3), (60, 60)]
)
def test_owners_are_in_distinct_zones_where_there_are_enough(size: int, zones: int) -> None:
    ring = even_ring(size, zones=zones)
    assert all(max(zones_of(ring, p).values()) == 1 for p in range(Q))
    assert_fair(ring)


def test_with_two_zones_no_zone_holds_all_owners_of_a_partition() -> None:
    ring = make_ring([member(i, "big" if i else "small") for i in range(6)])
    assert all(len(zones_of(ring, p)) == 2 for p in range(Q))


def test_a_small_zone_carries_what_the_others_cannot() -> None:
    nodes = [member(0, "a"), member(1, "b"), *(member(i, "c") for i in range(2, 8))]
    ring = make_ring(nodes)
    held = replicas(ring)
    assert held[member(0).node_id] == held[member(1).node_id] == Q
    assert_fair(ring)


def test_third_zone_is_used_as_soon_as_it_exists() -> None:
    before = even_ring(4, zones=2)
    nodes = [member(i, f"zone{i % 2}") for i in range(4)]
    ring = make_ring([*nodes, member(4, "zone2")], previous=before)
    assert all(max(zones_of(ring, p).values()) == 1 for p in range(Q))


# ---- what one failure does to the others ----


@every_history
def test_load_of_a_failed_node_of_thirty_is_spread(history: History) -> None:
    assert worst_load_after_one_failure(history()[30]) <= 1.3


def test_load_of_a_failed_node_is_spread_over_other_zones_too() -> None:
    assert worst_load_after_one_failure(even_ring(30, zones=3)) <= 1.3


@every_history
def test_load_of_a_failed_node_is_spread_at_every_size(history: History) -> None:
    """At most one partition, or a sixteenth, above what is possible with whole partitions."""
    for size, ring in history().items():
        if size > 3:
            led = ceil(Q / size)
            best = led + ceil(led / (size - 1))
            worst = worst_load_after_one_failure(ring) * Q / size
            assert worst <= best + max(1, best / 16) + 1e-6, f"{size} nodes"


@every_history
def test_any_two_nodes_share_about_as_many_partitions_as_any_other_two(history: History) -> None:
    """So the replicas of a lost node are read from, and its keys go to, all others alike."""
    for size, ring in history().items():
        if size > 3:
            together = Counter(
                pair for owners in ring.owners for pair in combinations(sorted(owners), 2)
            )
            mean = Q * N * (N - 1) / (size * (size - 1))
            assert max(together.values()) <= 1.1 * mean + 2, f"{size} nodes"


# ---- what moves ----


def test_join_moves_its_share_and_one_replica_more_at_most() -> None:
    rings = grown_rings()
    for size in SIZES[:-1]:
        share = Q * min(N, size + 1) / (size + 1)
        assert moved(rings[size], rings[size + 1]) <= ceil(share) + 1, f"{size} nodes"


def test_leave_moves_what_the_node_held_and_one_replica_more_at_most() -> None:
    rings = shrunk_rings()
    for size in SIZES[N:]:
        gone = member(60 - size).node_id
        held = replicas(rings[size])[gone]
        assert moved(rings[size], rings[size - 1]) <= held + 1, f"{size} nodes"


def test_leave_moves_nothing_when_all_nodes_have_everything() -> None:
    rings = shrunk_rings()
    assert moved(rings[3], rings[2]) == moved(rings[2], rings[1]) == 0


@pytest.mark.parametrize("zones", [1, 3])
def test_replacement_takes_over_exactly_what_its_predecessor_held(zones: int) -> None:
    before = even_ring(12, zones=zones)
    nodes = [member(i, f"zone{i % zones}") for i in range(1, 12)]
    after = make_ring([*nodes, member(99, "zone0")], previous=before)
    old, new = member(0).node_id, member(99).node_id
    for partition in range(Q):
        owners = {new if node == old else node for node in before.owners_of(partition)}
        assert set(after.owners_of(partition)) == owners


@every_history
def test_nothing_moves_when_no_node_comes_or_goes(history: History) -> None:
    for ring in history().values():
        assert claim(ring.members, Q, N, ring) == ring.owners


def test_most_primaries_stay_when_a_node_joins() -> None:
    """At least three in four beyond those that the newcomer must get."""
    rings = grown_rings()
    for size in range(5, 60):
        before, after = rings[size], rings[size + 1]
        changed = sum(before.owners_of(p)[0] != after.owners_of(p)[0] for p in range(Q))
        assert changed <= Q / (size + 1) + Q / 4, f"{size} nodes"


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_any_history_keeps_the_promises(seed: int) -> None:
    """Weights, zones and sizes of all sorts, through joins, leaves and replacements."""
    rng = random.Random(seed)
    zones = rng.choice([1, 2, 3, 3, 4, 8])
    n = rng.choice([1, 2, 3, 3, 5])
    partitions = rng.choice([16, 64, 256])
    weights = rng.choice([[1], [1, 2], [1, 1, 5], [1, 2, 3, 4]])

    def fresh(number: int) -> Member:
        return member(number, f"zone{rng.randrange(zones)}", rng.choice(weights))

    nodes = [fresh(i) for i in range(rng.randrange(1, 20))]
    ring: Ring | None = None
    for number in range(100, 105):
        after = make_ring(nodes, partitions, n, ring)
        assert_fair(after)
        if len({one.zone for one in nodes}) >= n:
            assert all(max(zones_of(after, p).values()) == 1 for p in range(partitions))
        if ring is not None:
            # Chains of moves, which zones can make necessary, cost something on top.
            needed = unavoidable(ring, after)
            assert moved(ring, after) <= needed * 1.5 + partitions / 8
        ring = after
        event = rng.choice(["join", "join", "leave", "replace"])
        if event != "join" and len(nodes) > 1:
            nodes.pop(rng.randrange(len(nodes)))
        if event != "leave":
            nodes.append(fresh(number))


# ---- agreement ----


def test_every_process_computes_the_same_rings() -> None:
    """Whatever order its sets have."""
    program = "from tests.ring.clusters import story; print(story())"
    stories = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed}, timeout=60,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert stories == {story()}


@pytest.mark.parametrize(("size", "limit_s"), [(60, 1.0), (200, 4.0)])
def test_claim_is_quick(size: int, limit_s: float) -> None:
    """Limits are several times what it takes; a claim that grows with the square fails."""
    ring = even_ring(size)
    begun_s = time.process_time()
    even_ring(size)
    make_ring([member(i, "zone0") for i in range(size + 1)], previous=ring)
    assert time.process_time() - begun_s < limit_s


# ---- refusals ----


def test_a_ring_without_a_node_to_own_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no node"):
        claim([member(1, state="joining")], Q, N)


def test_the_number_of_partitions_never_changes() -> None:
    with pytest.raises(ValueError, match="partitions never changes"):
        claim([member(1)], 128, N, even_ring(3))


@pytest.mark.parametrize(("n_before", "n_after"), [(1, 2), (2, 3), (3, 5)])
def test_raising_n_keeps_the_owners_there_are(n_before: int, n_after: int) -> None:
    before = even_ring(8, n=n_before)
    nodes = [member(i, "zone0") for i in range(8)]
    after = make_ring(nodes, n=n_after, previous=before)
    assert_fair(after)
    added = (n_after - n_before) * Q
    assert added <= moved(before, after) <= added * 1.02
