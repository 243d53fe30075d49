"""Collections are what was added and not seen by a removal, whatever the schedule."""

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from respdyn.causal import codec, element_map, rows, splice
from respdyn.causal.codec import digest, join_records
from respdyn.errors import DamagedError
from respdyn.types import keyed, values, view
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
    for kind in b"fmzkrtx":
        assert sum(bytes([kind]) in kinds_of(world) for world in worlds) > 5, kind


def kinds_of(world: CollectionWorld) -> bytes:
    from respdyn.causal.codec import entries_of

    return b"".join(element[:1] for record in world.records for element, _, _ in entries_of(record))


def test_a_wrong_claim_is_found():
    """So the worlds can fail: `(p, n]` with a p from below the floor."""
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            world_of(seed, is_claiming=False)


def remove_but_births(record, stamp):
    """DEL that covers what it has seen alive, but for the births."""
    dots = [dot for element, dot, _ in codec.entries_of(record) if element != keyed.BIRTH]
    return codec.encode_entries(rows.rows_of_dots(dots), []) if codec.is_live(record) else b""


def rows_below(dots):
    """The rows that a removal covers, if it takes all that these actors did before as seen too."""
    return rows.merge_rows(sorted(dot[:16] + bytes(8) + dot[16:] for dot in dots))


def splice_but_concurrent(ours, their_rows, theirs):
    """A join that drops what stands beside an element that is there."""
    there = {element for element, _, _ in codec.entries_of(ours)}
    return splice.splice(ours, their_rows, [one for one in theirs if one[0] not in there])


def splice_but_the_seal(ours, their_rows, theirs):
    """A join that lets the mark of the head be as it was."""
    before = element_map.mark_in(ours)
    outcome = splice.splice(ours, their_rows, theirs)
    return outcome and (outcome[0], outcome[1][:8] + before.to_bytes(8) + outcome[1][16:])


@pytest.mark.parametrize(("module", "name", "mutant"), [
    (values, "remove", remove_but_births),
    (view, "rows_of_dots", rows_below),
    (codec, "splice", splice_but_concurrent),
    (codec, "splice", splice_but_the_seal),
    (splice, "_both", lambda ours, theirs: set()),
], ids=[
    "DEL forgets the births", "SREM removes what it has not seen",
    "a join drops a concurrent field", "a join forgets the mark", "a join keeps what was removed",
])
def test_a_planted_bug_is_found(module, name, mutant, monkeypatch):
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises((AssertionError, DamagedError)):
        for seed in range(SEEDS):
            world_of(seed)


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
