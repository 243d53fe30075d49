"""No acknowledged write is lost and none comes back, whatever the schedule; wrong claims lose."""

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.laws.world import SetWorld, World

SEEDS = 100

# Shrinking a schedule takes minutes; `World` keeps two accounts that can be printed side by side.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]

schedules = st.binary(min_size=150, max_size=400)


def world_of(kind: type[World], seed: int, policy: str, is_compared: bool) -> World:
    """The world of a seed, when it is over."""
    world = kind(random.Random(seed).randbytes(300), policy, is_compared)
    world.run()
    return world


def lost(kind: type[World], seed: int, policy: str) -> bool:
    """Whether an acknowledged write is gone in the end."""
    try:
        world_of(kind, seed, policy, is_compared=False)
    except AssertionError as verdict:
        assert str(verdict).startswith("lost")
        return True
    return False


@settings(max_examples=100, phases=PHASES)
@given(schedules)
def test_a_string_reads_as_its_history_says(schedule):
    World(schedule).run()


@settings(max_examples=100, phases=PHASES)
@given(schedules)
def test_a_set_holds_what_its_history_says(schedule):
    SetWorld(schedule).run()


@pytest.mark.parametrize("kind", [World, SetWorld])
@pytest.mark.parametrize("policy", ["floor", "bare"])
def test_right_claims_lose_nothing(kind, policy):
    worlds = [world_of(kind, seed, policy, is_compared=True) for seed in range(SEEDS)]
    assert sum(world.restarts for world in worlds) > 40


@pytest.mark.parametrize(
    ("kind", "policy"), [(SetWorld, "vector"), (SetWorld, "previous"), (World, "previous")]
)
def test_wrong_claims_lose_data(kind, policy):
    """So the tests above can fail: `(0, n]`, and `(p, n]` with a p from below the floor."""
    assert any(lost(kind, seed, policy) for seed in range(SEEDS))


def test_floor_claims_keep_contexts_shorter_than_bare_dots():
    """What the floor rule is for: without it every write would add an interval."""
    sizes = {}
    for policy in ("floor", "bare"):
        worlds = [world_of(SetWorld, seed, policy, is_compared=False) for seed in range(40)]
        sizes[policy] = sum(len(world.records[-1]) for world in worlds)
    assert sizes["floor"] < 0.8 * sizes["bare"]
