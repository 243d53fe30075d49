"""Strings: what SEMANTICS 3, 4 and 5 promise a client, one promise a test."""

import pytest

from respdyn.causal import codec
from respdyn.causal.codec import join_records
from respdyn.causal.context import Context
from respdyn.causal.dot import intern_actor
from respdyn.errors import UsedTwice
from respdyn.types import strings, values

A, B = intern_actor(b"a" * 16), intern_actor(b"b" * 16)
NOW = 1000


def by(actor, counter, clock=0, floor=0):
    return actor, counter, floor, clock or counter


def test_an_absent_key_reads_as_nothing():
    assert strings.value(b"", NOW) is None
    assert not values.exists(b"", NOW)
    assert values.expire_at(b"", NOW) is None
    assert strings.siblings(b"", NOW) == []
    assert values.remove(b"", by(A, 1)) == b""
    assert strings.expire(b"", by(A, 1), 5) == b""
    assert values.remove_context(Context()) == b""


@pytest.mark.parametrize("expire_at", [0, NOW + 1])
@pytest.mark.parametrize("value", [b"", b"v", b"\0" * 9, b"x" * 1000])
def test_set_reads_back(value, expire_at):
    record = strings.assign(b"", by(A, 4), value, expire_at)
    assert strings.value(record, NOW) == value
    assert values.exists(record, NOW)
    assert values.expire_at(record, NOW) == expire_at
    assert strings.siblings(record, NOW) == [value]


def test_a_value_is_gone_in_the_millisecond_it_expires():
    record = strings.assign(b"", by(A, 4), b"v", NOW)
    assert strings.value(record, NOW - 1) == b"v"
    assert strings.value(record, NOW) is None
    assert not values.exists(record, NOW)
    assert values.expire_at(record, NOW) is None
    assert strings.siblings(record, NOW) == []


def siblings_of_two():
    one = strings.assign(b"", by(A, 4, clock=10), b"one", 0)
    two = strings.assign(b"", by(B, 2, clock=11), b"two", 0)
    return join_records(one, two)


def test_concurrent_sets_are_siblings_and_the_highest_clock_wins():
    record = siblings_of_two()
    assert strings.value(record, NOW) == b"two"
    assert strings.siblings(record, NOW) == [b"two", b"one"]


def test_of_equal_clocks_the_higher_dot_wins_on_every_replica():
    one = strings.assign(b"", by(A, 4, clock=10), b"one", 0)
    two = strings.assign(b"", by(B, 2, clock=10), b"two", 0)
    assert strings.siblings(join_records(one, two), NOW) == [b"two", b"one"]
    assert strings.siblings(join_records(two, one), NOW) == [b"two", b"one"]


def test_set_covers_every_sibling():
    record = strings.assign(siblings_of_two(), by(A, 5), b"three", 0)
    assert strings.siblings(record, NOW) == [b"three"]
    assert join_records(siblings_of_two(), record) is record


def test_a_causal_overwrite_beats_a_clock_from_the_far_future():
    future = strings.assign(b"", by(A, 4, clock=2**63), b"future", 0)
    record = strings.assign(future, by(B, 2, clock=11), b"now", 0)
    assert codec.max_clock(record) == 2**63 + 1
    concurrent = strings.assign(b"", by(A, 3, clock=2**63), b"older future", 0)
    assert strings.value(join_records(record, concurrent), NOW) == b"now"


def test_the_last_clock_of_all_stops_nothing():
    record = strings.assign(b"", by(A, 4, clock=2**64 - 1), b"end of time", 0)
    record = strings.assign(record, by(A, 5), b"after", 0)
    assert strings.value(record, NOW) == b"after"
    assert strings.expire(record, by(A, 6), 5)


def test_the_clock_of_an_expire_is_above_the_record_too():
    record = strings.assign(b"", by(A, 4, clock=500), b"v", 0)
    assert codec.max_clock(strings.expire(record, by(A, 5), 7)) == 501
    assert codec.max_clock(strings.expire(record, by(A, 600), 7)) == 600


def test_set_continues_its_own_interval_only_above_the_floor():
    record = strings.assign(b"", by(A, 4), b"1", 0)
    same_life = strings.assign(record, by(A, 9, floor=3), b"2", 0)
    restarted = strings.assign(record, by(A, 9, floor=4), b"2", 0)
    assert codec.context_of(same_life) == Context({A: (3, 9)})
    assert codec.context_of(restarted) == Context({A: (3, 4, 8, 9)})


def test_set_refuses_a_counter_that_was_used():
    record = strings.assign(b"", by(A, 4), b"1", 0)
    with pytest.raises(UsedTwice):
        strings.assign(record, by(A, 4), b"2", 0)


def test_del_leaves_a_tombstone_and_a_concurrent_set_survives_it():
    record = strings.assign(b"", by(A, 4), b"old", 0)
    delta = values.remove(record, by(A, 5))
    assert not codec.is_live(join_records(record, delta))
    concurrent = strings.assign(record, by(B, 1), b"new", 0)
    assert strings.value(join_records(concurrent, delta), NOW) == b"new"
    late = strings.assign(b"", by(A, 4), b"old", 0)
    assert strings.value(join_records(delta, late), NOW) is None


def test_del_of_a_tombstone_writes_nothing():
    record = strings.assign(b"", by(A, 4), b"old", 0)
    assert values.remove(values.remove(record, by(A, 5)), by(A, 6)) == b""


# Contexts carried by clients


def test_putctx_covers_what_was_read_and_nothing_else():
    read = codec.context_of(strings.assign(b"", by(A, 4), b"one", 0))
    record = siblings_of_two()
    record = join_records(record, strings.put(read, by(A, 9), b"mine", 0))
    assert sorted(strings.siblings(record, NOW)) == [b"mine", b"two"]


def test_putctxs_reply_covers_the_new_value_but_no_unread_sibling():
    context = strings.context_with_dot(Context(), by(A, 9))
    record = join_records(siblings_of_two(), strings.put(Context(), by(A, 9), b"mine", 0))
    left = join_records(record, values.remove_context(context))
    assert strings.siblings(left, NOW) == [b"two", b"one"]


def test_putctx_claims_what_its_node_used_for_other_keys():
    """Who writes on and on, and has read or has not, leaves one interval for each node."""
    record, context = b"", Context()
    for counter in range(10, 1000, 7):
        is_read = counter % 3 == 0
        stamp = by(A, counter)
        read = context if is_read else Context()
        written = strings.put(read, stamp, b"%d" % counter, 0, record)
        context = strings.context_with_dot(read, stamp, record)
        assert codec.context_of(written) == context
        record = join_records(record, written)
        assert len(list(codec.context_of(record).rows())) == 1
        assert b"%d" % counter in strings.siblings(record, NOW)
    shipped = strings.put(Context(), (A, 2000, 2000, 7), b"after a restart", 0, record)
    assert list(codec.context_of(shipped).rows()) == [(A, 1999, 2000)]


def test_putctx_writes_its_own_dot_even_if_the_context_goes_beyond_it():
    delta = strings.put(Context({A: (2, 20)}), by(A, 9), b"mine", 0)
    codec.verify(delta)
    assert list(codec.decode(delta).entries[b"s"]) == [(A, 9)]
    assert codec.context_of(delta) == Context({A: (2, 20)})


def test_putctx_after_a_stale_read_adds_a_sibling():
    old = strings.assign(b"", by(A, 4), b"old", 0)
    record = strings.assign(old, by(A, 5), b"new", 0)
    delta = strings.put(codec.context_of(old), by(A, 6), b"stale", 0)
    assert sorted(strings.siblings(join_records(record, delta), NOW)) == [b"new", b"stale"]


def test_delctx_removes_exactly_what_was_read():
    record = siblings_of_two()
    read = codec.context_of(strings.assign(b"", by(B, 2), b"two", 0))
    left = join_records(record, values.remove_context(read))
    assert strings.siblings(left, NOW) == [b"one"]
    gone = join_records(left, values.remove_context(codec.context_of(left)))
    assert not codec.is_live(gone)


# Expiry


def lent(expire_at=0):
    return strings.assign(b"", by(A, 4), b"v", expire_at)


def test_expire_does_not_ship_the_value():
    record = strings.assign(b"", by(A, 4), b"v" * 5000, 0)
    delta = strings.expire(record, by(B, 1), NOW + 9)
    assert len(delta) < 150
    assert values.expire_at(join_records(record, delta), NOW) == NOW + 9


@pytest.mark.parametrize(("first", "second"), [(9, 5), (5, 9), (0, 5), (5, 0)])
def test_of_two_expires_one_after_the_other_the_second_counts(first, second):
    record = lent(expire_at=7)
    record = join_records(record, strings.expire(record, by(A, 5), first))
    record = join_records(record, strings.expire(record, by(B, 1), second))
    assert values.expire_at(record, 0) == second


@pytest.mark.parametrize(("one", "two", "counts"), [(5, 9, 9), (9, 5, 9), (5, 0, 0), (0, 9, 0)])
def test_of_concurrent_expires_the_longer_wins_and_persist_beats_any(one, two, counts):
    record = lent(expire_at=7)
    a, b = strings.expire(record, by(A, 5), one), strings.expire(record, by(B, 1), two)
    assert values.expire_at(join_records(join_records(record, a), b), 0) == counts
    assert values.expire_at(join_records(b, join_records(a, record)), 0) == counts


def test_expire_may_shorten_what_the_value_was_set_with():
    record = lent(expire_at=NOW + 50)
    record = join_records(record, strings.expire(record, by(A, 5), NOW + 1))
    assert values.expire_at(record, NOW) == NOW + 1
    assert strings.value(record, NOW + 1) is None


def test_a_set_clears_the_expiry():
    record = lent(expire_at=NOW + 50)
    record = join_records(record, strings.expire(record, by(A, 5), NOW + 1))
    record = strings.assign(record, by(B, 1), b"new", 0)
    assert values.expire_at(record, NOW) == 0
    assert len(codec.entries_of(record)) == 1


def test_an_expire_concurrent_with_a_set_does_not_touch_the_new_value():
    record = lent()
    remark = strings.expire(record, by(A, 5), NOW - 1)
    written = strings.assign(record, by(B, 1), b"new", 0)
    joined = join_records(written, remark)
    assert strings.value(joined, NOW) == b"new"
    assert values.expire_at(joined, NOW) == 0
    assert strings.siblings(joined, NOW) == [b"new"]


def test_an_expire_concurrent_with_a_del_leaves_a_tombstone():
    record = lent()
    joined = join_records(values.remove(record, by(B, 1)), strings.expire(record, by(A, 5), 9))
    assert not codec.is_live(joined)
    assert strings.value(joined, 0) is None


def test_an_expired_winner_hides_its_older_siblings():
    one = strings.assign(b"", by(A, 4, clock=10), b"one", 0)
    two = strings.assign(b"", by(B, 2, clock=11), b"two", NOW)
    record = join_records(one, two)
    assert strings.siblings(record, NOW - 1) == [b"two", b"one"]
    assert strings.value(record, NOW) is None
    assert not values.exists(record, NOW)
    assert values.expire_at(record, NOW) is None
    assert strings.siblings(record, NOW) == []


def test_an_expired_sibling_of_a_living_winner_is_not_shown():
    one = strings.assign(b"", by(A, 4, clock=10), b"one", NOW)
    two = strings.assign(b"", by(B, 2, clock=11), b"two", 0)
    assert strings.siblings(join_records(one, two), NOW) == [b"two"]


def test_a_write_to_an_expired_key_covers_it():
    record = strings.assign(lent(expire_at=NOW), by(A, 5), b"new", 0)
    assert strings.siblings(record, NOW) == strings.siblings(record, 0) == [b"new"]


def test_an_expire_that_overtakes_its_value_still_counts():
    """Neither a SET, a DEL nor an EXPIRE of those who have not seen the value makes it void."""
    first = lent()
    remark = strings.expire(first, by(A, 5), NOW)
    elsewhere = join_records(strings.assign(b"", by(B, 1), b"other", 0), remark)
    for made in (
        strings.assign(elsewhere, by(B, 2), b"other still", 0),
        values.remove(elsewhere, by(B, 2)),
        strings.expire(elsewhere, by(B, 2), 77),
    ):
        joined = join_records(join_records(elsewhere, made), first)
        assert b"v" in strings.siblings(joined, 50)
        assert b"v" not in strings.siblings(joined, NOW)


def test_an_expire_leaves_the_remarks_on_siblings_alone():
    one = strings.assign(b"", by(A, 4, clock=10), b"one", 0)
    one = join_records(one, strings.expire(one, by(A, 5, clock=10), NOW))
    two = strings.assign(b"", by(B, 2, clock=11), b"two", 0)
    record = join_records(one, two)
    record = join_records(record, strings.expire(record, by(B, 3), NOW + 5))
    record = join_records(record, values.remove_context(codec.context_of(two)))
    assert values.expire_at(record, 0) == NOW
