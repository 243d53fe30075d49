"""A counter is exact whatever the schedule: increments, resets, merges, restarts, a fallback."""

import random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from respdyn.causal.codec import decode, digest, encode, entries_of, join_records
from respdyn.causal.dotted_map import join
from tests.laws.counting import CounterWorld, FieldWorld

SEEDS = 400


def world_of(seed: int, size: int = 200) -> CounterWorld:
    world = CounterWorld(random.Random(seed).randbytes(size))
    world.run()
    return world


@settings(max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.binary(min_size=80, max_size=300))
def test_a_counter_reads_as_its_history_says(schedule):
    CounterWorld(schedule).run()


def test_no_mismatch_in_many_histories():
    worlds = [world_of(seed) for seed in range(SEEDS)]
    assert sum(world.resets for world in worlds) > 1000
    assert sum(world.survivors for world in worlds) > 1000
    # Baselines do come about: else nothing was tested.
    assert sum(b"b" in decode(r).entries or any(e[:1] == b"b" for e in decode(r).entries)
               for world in worlds[:40] for r in world.records if r) > 100


def test_joins_of_counters_commute_associate_and_repeat():
    chance = random.Random(7)
    for seed in range(60):
        made = sorted({record for record in world_of(seed, 120).records if record})
        for _ in range(15):
            a, b, c = (chance.choice(made) for _ in range(3))
            ab = join_records(a, b)
            assert ab == join_records(b, a) == encode(join(decode(a), decode(b)))
            assert join_records(ab, c) == join_records(a, join_records(b, c))
            assert join_records(ab, a) == ab == join_records(ab, ab)
            assert (digest(a) == digest(b)) == (a == b)


def test_a_field_reads_as_its_history_says_in_many_histories():
    worlds = []
    for seed in range(SEEDS // 4):
        world = FieldWorld(random.Random(seed).randbytes(200))
        world.run()
        worlds.append(world)
    assert sum(world.resets for world in worlds) > 250
    assert sum(world.survivors for world in worlds) > 250
    letters = b"".join(
        element[:1] + payload[8:9] for world in worlds[:60] for record in world.records[-1:]
        for element, _, payload in entries_of(record)
    )
    assert all(kind in letters for kind in (b"fc", b"fv", b"fw", b"fr", b"r"))
