"""Positions of list items: a new one is between its neighbours, and they stay short."""

from bisect import insort

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.types import positions

ACTORS = (b"AAAA" * 4, b"BBBB" * 4, b"\0" * 16, b"\xff" * 16)


def dot_of(actor: int, counter: int) -> bytes:
    return ACTORS[actor] + counter.to_bytes(8)


MOVES = st.tuples(
    st.integers(0, 3), st.integers(0, 1 << 30), st.booleans(), st.integers(1, 3), st.booleans()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=60), st.booleans())
def test_a_new_position_is_where_it_was_asked_for(
    moves: list[tuple[int, int, bool, int, bool]], is_at_one_place: bool
) -> None:
    order: list[bytes] = []
    clock = counter = 1
    for actor, place, is_after, many, is_push in moves:
        clock += place % 3
        dots = [dot_of(actor, counter + at) for at in range(many)]
        counter += many
        if is_push or len(order) < 2:
            if is_after:
                made = positions.after_last(order[-1] if order else b"", clock, dots)
                assert not order or order[-1] < made[0]
                assert made == sorted(made)
            else:
                made = positions.before_first(order[0] if order else b"", clock, dots)
                assert not order or made[0] < order[0]
                assert made == sorted(made, reverse=True)
            order = sorted([*order, *made])
        else:
            at = 0 if is_at_one_place else place % (len(order) - 1)
            made = [positions.between(order[at], order[at + 1], dots[0], is_after=is_after)]
            assert order[at] < made[0] < order[at + 1]
            insort(order, made[0])
        assert len(set(order)) == len(order)


def test_many_inserts_at_one_place_stay_short() -> None:
    for is_after in (True, False):
        order = [*positions.after_last(b"", 1000, [dot_of(0, 1)]),
                 *positions.after_last(b"", 2000, [dot_of(0, 2)])]
        for counter in range(3, 2003):
            left = 0 if is_after else len(order) - 2
            insort(order, positions.between(
                order[left], order[left + 1], dot_of(counter % 2, counter), is_after=is_after))
        assert max(map(len, order)) == 28


def test_there_is_always_room_before_what_stands_directly_below() -> None:
    left, right = (b"\x80" + bytes(15), b"\x81" + bytes(15))
    for counter in range(1, 200):
        right = positions.between(left, right, dot_of(0, counter), is_after=False)
        assert left < right
    left, right = (b"\x80" + bytes(15), b"\x80" + bytes(15) + bytes(3) + b"\1" + bytes(8))
    for counter in range(1, 200):
        right = positions.between(left, right, dot_of(2, counter), is_after=True)
        assert left < right
