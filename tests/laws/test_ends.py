"""Dropping a value that covers nothing but itself, once it is over, is never seen by a client."""

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.causal.codec import digest, join_records
from respdyn.causal.dot import intern_actor
from respdyn.types import strings, values
from tests.laws.world import World

LATE_MS = 100


def alive(record: bytes, now_ms: int) -> list[tuple[bytes, bytes]]:
    """Dot and value of everything in a record that has not expired."""
    ranked = strings._ranked(record) if record else []
    return [(dot, held) for dot, at, held in ranked if not 0 < at <= now_ms]


@settings(max_examples=300)
@given(st.binary(min_size=40, max_size=250))
def test_what_is_over_and_covers_nothing_adds_nothing_to_any_other_state(schedule):
    world = World(schedule)
    world.run()
    made = sorted({record for record in world.records if record})
    for one in made:
        over_ms = values.ends_ms(one)
        if not over_ms or over_ms > LATE_MS:
            continue
        for other in made:
            assert alive(join_records(one, other), LATE_MS) == alive(other, LATE_MS)
            # And when it comes back, it is dropped once more, or part of what says the same.
            assert digest(join_records(one, join_records(one, other))) == digest(
                join_records(one, other)
            )


def test_only_a_lone_value_with_a_time_to_live_that_was_written_over_nothing_has_an_end():
    a, b = intern_actor(b"a" * 16), intern_actor(b"b" * 16)
    first = strings.assign(b"", (a, 5, 0, 1 << 16), b"v", 50)
    assert values.ends_ms(first) == 50
    assert values.ends_ms(b"") == 0
    assert values.ends_ms(strings.assign(b"", (a, 5, 0, 1 << 16), b"v", 0)) == 0
    for stamp in ((a, 6, 0, 2 << 16), (a, 9, 0, 2 << 16), (a, 9, 8, 2 << 16), (b, 3, 0, 2 << 16)):
        assert values.ends_ms(strings.assign(first, stamp, b"w", 60)) == 0
    assert values.ends_ms(join_records(first, strings.expire(first, (b, 3, 0, 2 << 16), 70))) == 0
    assert values.ends_ms(values.remove(first, (b, 3, 0, 2 << 16))) == 0
    assert values.ends_ms(strings.count(first, (b, 3, 0, 2 << 16), 1, True)) == 0
    late = strings.assign(b"", (a, 5, 0, 90 << 16), b"v", 50)
    assert values.ends_ms(late) == 90      # written when its time was over


def test_a_value_that_covers_one_that_ends_sooner_may_not_be_dropped():
    """Why it is not enough that all it covers was to end before it.

    Who has not seen the covering write may have prolonged what it covers, and brings it back.
    """
    a, b = intern_actor(b"a" * 16), intern_actor(b"b" * 16)
    first = strings.assign(b"", (a, 5, 0, 1 << 16), b"old", 50)
    covering = strings.assign(first, (a, 6, 0, 2 << 16), b"new", 60)
    prolonged = join_records(first, strings.expire(first, (b, 3, 0, 2 << 16), 0))
    assert alive(join_records(covering, prolonged), LATE_MS) == []
    assert alive(prolonged, LATE_MS) == [(first[14:30] + first[38:46], b"old")]
    assert values.ends_ms(covering) == 0


def test_a_remark_travels_with_a_value_that_others_may_have_dropped_when_it_comes():
    a, b = intern_actor(b"a" * 16), intern_actor(b"b" * 16)
    now_ms = 1_000_000
    for left_ms, is_whole in ((1_000, True), (-1_000, True), (3_600_000, False)):
        held = strings.assign(b"", (a, 5, 0, now_ms << 16), b"v", now_ms + left_ms)
        expiring = strings.expire(held, (b, 3, 0, now_ms << 16), now_ms + 7_200_000)
        assert (strings.value(expiring, now_ms) == b"v") is is_whole
        assert values.expire_at(join_records(held, expiring), now_ms) == now_ms + 7_200_000
    plain = strings.assign(b"", (a, 5, 0, now_ms << 16), b"v", 0)
    assert strings.value(strings.expire(plain, (b, 3, 0, now_ms << 16), 1), 0) is None
