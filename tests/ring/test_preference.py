"""Preference lists name all nodes, owners first, and spread what a failed node leaves behind."""

from collections import Counter

import pytest

from respdyn.ring.preference import (
    first_reachable,
    preference_list,
    reachable_nodes,
    stand_ins,
)
from respdyn.ring.ring import Ring
from tests.ring.clusters import even_ring, make_ring, member

A, B, C, D, E = "abcde"


@pytest.mark.parametrize(("size", "zones"), [(1, 1), (3, 1), (5, 2), (30, 3)])
def test_list_is_the_owners_then_all_others_once(size: int, zones: int) -> None:
    ring = even_ring(size, zones=zones)
    all_names = {one.node_id for one in ring.members}
    for partition in range(ring.partitions):
        names = preference_list(ring, partition)
        owners = ring.owners_of(partition)
        assert names[: len(owners)] == owners
        assert set(names) == all_names
        assert len(names) == size


def test_fallbacks_come_from_unused_zones_first() -> None:
    ring = even_ring(20, zones=5)
    zone_of = {one.node_id: one.zone for one in ring.members}
    for partition in range(ring.partitions):
        zones = [zone_of[name] for name in preference_list(ring, partition)]
        assert len(set(zones[:5])) == 5, "two fallbacks in one zone while another has none"
        assert len(set(zones[5:10])) == 5


def test_a_leaving_node_is_the_last_resort() -> None:
    nodes = [member(i) for i in range(6)]
    ring = make_ring([*nodes, member(6, state="leaving"), member(7, state="joining")])
    leaving = member(6).node_id
    assert all(preference_list(ring, p)[-1] == leaving for p in range(ring.partitions))


def test_stand_ins_for_a_failed_node_are_spread_over_the_others() -> None:
    ring = even_ring(30)
    failed = member(0).node_id
    alive = {one.node_id for one in ring.members} - {failed}
    load: Counter[str] = Counter()
    for partition in range(ring.partitions):
        for fallback, owner in stand_ins(preference_list(ring, partition), alive, 3):
            assert owner == failed
            load[fallback] += 1
    assert sum(load.values()) == 25 or sum(load.values()) == 26
    assert max(load.values()) <= 5


def test_a_join_changes_no_other_turn() -> None:
    """Without the newcomer, the fallbacks of a partition whose owners stay are as they were."""
    before = even_ring(10)
    after = make_ring([member(i, "zone0") for i in range(11)], previous=before)
    newcomer = member(10).node_id
    same = [p for p in range(256) if set(before.owners_of(p)) == set(after.owners_of(p))]
    assert len(same) > 100
    for partition in same:
        fallbacks = preference_list(after, partition)[3:]
        left = tuple(name for name in fallbacks if name != newcomer)
        assert left == preference_list(before, partition)[3:]


def test_every_node_computes_the_same_list() -> None:
    ring = even_ring(9, zones=3)
    again = Ring(ring.cluster_id, 99, ring.n, ring.members, ring.owners)
    assert all(preference_list(ring, p) == preference_list(again, p) for p in range(256))


def test_first_reachable_skips_those_that_are_not() -> None:
    assert first_reachable((A, B, C), {A, B, C}) == A
    assert first_reachable((A, B, C), {C, B}) == B
    assert first_reachable((A, B, C), set()) is None


def test_sloppy_quorum_is_the_first_n_reachable() -> None:
    assert reachable_nodes((A, B, C, D, E), {A, B, C, D, E}, 3) == (A, B, C)
    assert reachable_nodes((A, B, C, D, E), {E, D, C}, 3) == (C, D, E)
    assert reachable_nodes((A, B, C, D, E), {B}, 3) == (B,)
    assert reachable_nodes((A, B, C, D, E), set(), 3) == ()


def test_no_fallback_stands_in_for_two_owners() -> None:
    assert stand_ins((A, B, C, D, E), {A, B, C, D, E}, 3) == ()
    assert stand_ins((A, B, C, D, E), {A, C, D, E}, 3) == ((D, B),)
    assert stand_ins((A, B, C, D, E), {B, D, E}, 3) == ((D, A), (E, C))
    assert stand_ins((A, B, C, D, E), {E}, 3) == ((E, A),)
