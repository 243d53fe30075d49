"""The laws of the join, on records as they really come about: states and deltas of one world."""

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.causal.codec import decode, digest, encode, join_records, verify
from respdyn.causal.dotted_map import join
from tests.laws.world import SetWorld, World

# One line for each type: a world that makes its records.
WORLDS = [World, SetWorld]


@st.composite
def records(draw: st.DrawFn) -> list[bytes]:
    """Up to four records of one world, mostly late ones, which have seen more."""
    world = draw(st.sampled_from(WORLDS))(draw(st.binary(min_size=60, max_size=250)))
    world.run()
    made = sorted({record for record in world.records if record}) or [b""]
    return draw(st.lists(st.sampled_from(made), min_size=1, max_size=4))


@settings(max_examples=150)
@given(records())
def test_any_order_and_any_repetition_gives_the_same_bytes(some):
    forward = backward = twice = paired = b""
    for record in some:
        forward = join_records(forward, record)
        twice = join_records(join_records(twice, record), record)
    for record in reversed(some):
        backward = join_records(record, backward)
    for at in range(0, len(some), 2):
        pair = some[at : at + 2]
        paired = join_records(paired, join_records(pair[0], pair[-1]))
    assert forward == backward == twice == paired
    for record in some:
        assert join_records(forward, record) is forward


@settings(max_examples=100)
@given(records())
def test_fast_paths_agree_with_the_join_of_maps(some):
    for one in filter(None, some):
        verify(one)
        assert encode(decode(one)) == one
        for two in filter(None, some):
            assert join_records(one, two) == encode(join(decode(one), decode(two)))
            assert (digest(one) == digest(two)) == (one == two)


@settings(max_examples=100)
@given(records())
def test_a_delta_joined_is_the_state_joined(some):
    """Who knows the old state may be sent the delta or the new state, with equal result."""
    elsewhere, old, delta = some[0], some[-1], some[len(some) // 2]
    receiver = join_records(elsewhere, old)
    assert join_records(receiver, delta) == join_records(receiver, join_records(old, delta))
