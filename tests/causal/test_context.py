"""A context is a set of dots, whatever its intervals look like."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.causal.codec import claim_rows, decode_rows, encode_rows
from respdyn.causal.context import Context, claim
from respdyn.causal.dot import Actor, Dot, intern_actor
from respdyn.errors import UsedTwice
from tests.laws.maps import ACTORS, ALL_DOTS, context_of_dots, contexts, dot_sets

A, B, _ = ACTORS


def dots_of(context: Context) -> set[Dot]:
    return {dot for dot in ALL_DOTS if context.covers(dot)}


@given(dot_sets, st.randoms(use_true_random=False))
def test_equal_sets_of_dots_are_equal_contexts_in_any_order(dots, rng):
    shuffled = sorted(dots)
    rng.shuffle(shuffled)
    context = Context()
    for actor, counter in shuffled:
        context = context.add(actor, counter - 1, counter)
    assert context == context_of_dots(dots)
    assert encode_rows(context) == encode_rows(context_of_dots(dots))
    assert dots_of(context) == dots
    for spans in context.spans.values():
        assert all(low < high for low, high in pairwise(spans))


@given(contexts, contexts)
def test_unite_is_the_union_and_is_within_the_subset(one, two):
    united = one.unite(two)
    assert dots_of(united) == dots_of(one) | dots_of(two)
    assert united == two.unite(one)
    assert one.is_within(two) == (dots_of(one) <= dots_of(two))
    if two.is_within(one):
        assert united is one
    elif one.is_within(two):
        assert united is two


@given(contexts, st.sampled_from(ACTORS), st.integers(0, 7), st.integers(1, 4))
def test_add_is_the_union_with_an_interval(context, actor, lo, size):
    hi = min(lo + size, 8)
    added = context.add(actor, lo, hi)
    interval = {(actor, counter) for counter in range(lo + 1, hi + 1)}
    assert dots_of(added) == dots_of(context) | interval
    assert added == context.unite(Context({actor: (lo, hi)}))


@given(contexts)
def test_top_is_the_highest_counter(context):
    for actor in ACTORS:
        mine = [counter for its, counter in dots_of(context) if its == actor]
        assert context.top(actor) == max(mine, default=0)


@given(contexts)
def test_rows_are_sorted_and_read_back(context):
    rows = context.rows()
    assert rows == sorted(rows)
    assert decode_rows(encode_rows(context)) == context


@pytest.mark.parametrize(
    ("spans", "floor", "expected"),
    [
        ((), 0, (19, 20)),             # no previous dot: the bare one
        ((4, 9), 0, (9, 20)),          # minted since the floor: from there
        ((4, 9), 8, (9, 20)),
        ((4, 9), 9, (19, 20)),         # minted before it, perhaps with others since forgotten
        ((4, 9, 11, 19), 19, (19, 20)),
        ((4, 9, 11, 15), 12, (15, 20)),
        ((4, 9), 20, (19, 20)),        # a fallback: never more than the dot
    ],
)
def test_claim_covers_own_earlier_counters_only_above_the_floor(spans, floor, expected):
    context = Context({A: spans}) if spans else Context()
    assert claim(context, A, 20, floor) == expected


def test_claim_refuses_a_counter_that_was_used():
    with pytest.raises(UsedTwice):
        claim(Context({A: (4, 9)}), A, 9, 0)


@given(contexts, st.sampled_from(ACTORS), st.integers(9, 12), st.integers(0, 12))
def test_claiming_in_rows_is_claiming_in_a_context(context, actor, counter, floor):
    expected = context.add(actor, *claim(context, actor, counter, floor))
    rows = claim_rows(encode_rows(context), actor, counter, floor)
    assert decode_rows(rows) == expected


def test_equal_actors_are_one_object():
    assert intern_actor(b"q" * 16) is intern_actor(bytes(bytearray(b"q" * 16)))
    assert intern_actor(b"q" * 16) == Actor(b"q" * 16)
