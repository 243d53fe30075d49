"""The one join against the same rule written with plain sets."""

from hypothesis import given, settings

from respdyn.causal.dotted_map import DottedMap, join
from tests.laws.maps import dumb_join, maps, meaning


@settings(max_examples=400)
@given(maps(), maps())
def test_join_keeps_what_both_have_and_what_the_other_has_not_seen(a, b):
    joined = join(a, b)
    assert meaning(joined) == dumb_join(meaning(a), meaning(b))
    assert all(dotted for dotted in joined.entries.values())


@settings(max_examples=400)
@given(maps(), maps(), maps())
def test_join_is_commutative_associative_and_idempotent(a, b, c):
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a


@given(maps(), maps())
def test_join_gives_back_the_state_that_knows_all(a, b):
    joined = join(a, b)
    if joined == a:
        assert joined is a
    elif joined == b:
        assert joined is b


@given(maps(), maps())
def test_join_changes_neither_side(a, b):
    before = DottedMap({e: dict(d) for e, d in a.entries.items()}, a.context)
    other = DottedMap({e: dict(d) for e, d in b.entries.items()}, b.context)
    join(a, b)
    assert (a, b) == (before, other)
