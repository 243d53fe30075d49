"""Hashes and sets are what was added and not seen by a removal, whatever the schedule."""

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from respdyn.causal.codec import digest, join_records
from tests.laws.collecting import CollectionWorld

SEEDS = 200


def world_of(seed: int, size: int = 250, is_claiming: bool = True) -> CollectionWorld:
    world = CollectionWorld(random.Random(seed).randbytes(size), is_claiming=is_claiming)
    world.run()
    return world


@settings(max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.binary(min_size=80, max_size=300))
def test_a_collection_holds_what_its_cells_say(schedule):
    CollectionWorld(schedule).run()


def test_no_mismatch_in_many_worlds():
    worlds = [world_of(seed) for seed in range(SEEDS)]
    assert sum(world.clashes for world in worlds) > 500
    for kind in b"fmkrtx":
        assert sum(bytes([kind]) in kinds_of(world) for world in worlds) > 5, kind


def kinds_of(world: CollectionWorld) -> bytes:
    from respdyn.causal.codec import entries_of

    return b"".join(element[:1] for record in world.records for element, _, _ in entries_of(record))


def test_a_wrong_claim_is_found():
    """So the worlds can fail: `(p, n]` with a p from below the floor."""
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            world_of(seed, is_claiming=False)


def test_joins_of_collections_commute_associate_and_repeat():
    chance = random.Random(7)
    for seed in range(40):
        made = sorted({record for record in world_of(seed, 120).records if record})
        for _ in range(15):
            a, b, c = (chance.choice(made) for _ in range(3))
            ab = join_records(a, b)
            assert ab == join_records(b, a)
            assert join_records(ab, c) == join_records(a, join_records(b, c))
            assert join_records(ab, a) == ab == join_records(ab, ab)
            assert (digest(a) == digest(b)) == (a == b)
