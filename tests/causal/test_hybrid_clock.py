"""The clock grows, whatever the wall clock and the peers do."""

from hypothesis import given
from hypothesis import strategies as st

from respdyn.causal.hybrid_clock import HybridClock, ms_of


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 100 << 16)), max_size=30))
def test_now_is_above_all_made_and_adopted(steps):
    clock = HybridClock(10)
    highest = 0
    for wall_ms, remote in steps:
        made = clock.now(wall_ms)
        assert made > highest
        assert ms_of(made) >= wall_ms
        highest = made
        if clock.observe(remote, wall_ms):
            highest = max(highest, remote)
        else:
            assert ms_of(remote) > wall_ms + 10


def test_a_clock_beyond_the_offset_is_not_adopted():
    clock = HybridClock(500)
    clock.now(1000)
    assert clock.observe(1500 << 16, 1000)
    assert not clock.observe(1501 << 16, 1000)
    assert ms_of(clock.last) == 1500


def test_more_than_65536_events_in_a_millisecond_borrow_from_the_next():
    clock = HybridClock(500)
    last = clock.now(7)
    for _ in range(70000):
        made = clock.now(7)
        assert made == last + 1
        last = made
    assert ms_of(last) == 8
    assert clock.now(9) == 9 << 16
