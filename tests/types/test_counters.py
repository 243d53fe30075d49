"""Counters by example: what a SET, a removal, an expiry and a context do to them."""

import pytest

from respdyn.causal.codec import context_of, decode, is_live, join_records
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.types import strings, values
from respdyn.types.long_double import UNIT, print_units, read, units_of

A, B, C = (intern_actor(letter * 16) for letter in (b"a", b"b", b"c"))


def stamp(actor: bytes, counter: int, floor: int = 0) -> Stamp:
    return intern_actor(actor), counter, floor, 1


def increment(record: bytes, by: Stamp, amount: int = 1, now_ms: int = 0) -> bytes:
    """The state after INCRBY at this coordinator."""
    return join_records(
        record, strings.count(record, by, amount * UNIT, values.exists(record, now_ms))
    )


def expiring(record: bytes, by: Stamp, at_ms: int) -> bytes:
    return join_records(record, strings.expire(record, by, at_ms))


def test_a_set_and_an_increment_at_the_same_time_add_up() -> None:
    start = increment(b"", stamp(A, 1), 3)
    more = increment(start, stamp(A, 2))
    reset = strings.assign(start, stamp(B, 1), b"10", 0)
    both = join_records(more, reset)
    assert strings.value(both, 0) == b"11"
    assert strings.siblings(both, 0) == [b"11"]


def test_an_increment_survives_a_removal_that_has_not_seen_it() -> None:
    start = increment(b"", stamp(A, 1), 3)
    both = join_records(
        increment(start, stamp(A, 2), 2), values.remove(start, stamp(B, 1))
    )
    assert strings.value(both, 0) == b"2"


def test_with_one_coordinator_a_reset_leaves_a_plain_string() -> None:
    record = increment(increment(b"", stamp(A, 1)), stamp(A, 2))
    assert strings.assign(record, stamp(A, 3), b"v", 0)[1] == 5
    gone = values.remove(record, stamp(A, 3))
    assert not is_live(gone) and not decode(gone).entries


def test_a_removal_at_another_node_leaves_no_value_but_a_baseline() -> None:
    gone = values.remove(increment(b"", stamp(A, 1)), stamp(B, 1))
    assert not is_live(gone) and [*decode(gone).entries] == [b"b" + A + (1).to_bytes(8)]
    assert not values.exists(gone, 0) and strings.value(gone, 0) is None
    again = increment(gone, stamp(A, 2), 5)     # the owner of the run needs it no longer
    assert strings.value(again, 0) == b"5" and len(decode(again).entries) == 1


def test_what_an_actor_has_forgotten_is_not_counted_away() -> None:
    """It loses its last increment in a restart; another replica still has it."""
    disk = increment(b"", stamp(A, 1))
    elsewhere = increment(disk, stamp(A, 2), 10)
    after = increment(disk, stamp(A, 13, floor=12), 100)
    assert strings.value(join_records(elsewhere, after), 0) == b"111"


def test_a_string_that_is_no_number_hides_increments() -> None:
    start = increment(b"", stamp(A, 1))
    both = join_records(
        increment(start, stamp(A, 2)), strings.assign(start, stamp(B, 1), b"word", 0)
    )
    assert strings.value(both, 0) == b"word"


def test_a_counter_that_went_back_to_zero_still_exists() -> None:
    record = increment(increment(b"", stamp(A, 1)), stamp(A, 2), -1)
    assert strings.value(record, 0) == b"0"
    assert strings.value(increment(b"", stamp(A, 1), 0), 0) == b"0"


def test_an_expiry_holds_for_the_counter_and_its_increments() -> None:
    record = expiring(increment(b"", stamp(A, 1)), stamp(A, 2), 100)
    record = increment(record, stamp(A, 3))
    record = increment(record, stamp(B, 1))     # another run, without a remark of its own
    assert values.expire_at(record, 50) == 100
    assert strings.value(record, 50) == b"3" and strings.value(record, 100) is None
    assert values.expire_at(expiring(record, stamp(A, 4), 0), 50) == 0
    assert values.expire_at(expiring(record, stamp(A, 4), 70), 50) == 70


def test_of_concurrent_expiries_the_longer_holds_and_persist_beats_any() -> None:
    start = increment(b"", stamp(A, 1))
    short, long = expiring(start, stamp(A, 2), 100), expiring(start, stamp(B, 1), 200)
    assert values.expire_at(join_records(short, long), 0) == 200
    never = expiring(start, stamp(C, 1), 0)
    assert values.expire_at(join_records(join_records(short, never), long), 0) == 0


def test_an_expiry_of_what_is_reset_says_nothing_of_what_comes_after() -> None:
    start = increment(b"", stamp(A, 1))
    late = strings.expire(start, stamp(B, 1), 100)
    gone = values.remove(start, stamp(A, 2))
    again = join_records(increment(gone, stamp(A, 3)), late)
    assert strings.value(again, 1000) == b"1" and values.expire_at(again, 1000) == 0


def test_an_increment_of_an_expired_counter_begins_at_zero() -> None:
    record = expiring(increment(b"", stamp(A, 1), 7), stamp(A, 2), 100)
    record = increment(record, stamp(B, 1), 1, now_ms=100)
    assert strings.value(record, 1000) == b"1" and values.expire_at(record, 1000) == 0


def test_an_expiry_below_the_counter_is_that_of_its_string() -> None:
    record = strings.assign(b"", stamp(A, 1), b"5", 100)
    record = increment(record, stamp(A, 2))
    assert strings.value(record, 50) == b"6" and values.expire_at(record, 50) == 100
    assert strings.value(record, 100) is None
    assert values.expire_at(expiring(record, stamp(A, 3), 200), 0) == 200


def test_a_context_replaces_or_removes_what_was_read() -> None:
    start = increment(b"", stamp(A, 1), 5)
    more = increment(start, stamp(A, 2))
    for by in (stamp(A, 3), stamp(B, 1)):
        record = more if by[0] == A else start
        context = context_of(record)
        put = strings.put(context, by, b"10", 0, record)
        assert strings.value(join_records(record, put), 0) == b"10"
        removed = values.remove_context(context, by, record)
        assert strings.value(join_records(record, removed), 0) is None
    put = strings.put(context_of(start), stamp(B, 1), b"10", 0, start)
    assert strings.value(join_records(more, put), 0) == b"11"
    removed = values.remove_context(context_of(start), stamp(B, 1), start)
    assert strings.value(join_records(more, removed), 0) == b"1"


def test_a_baseline_survives_a_context_that_covers_its_string() -> None:
    start = increment(b"", stamp(A, 1), 5)
    reset = strings.assign(start, stamp(B, 1), b"10", 0)
    put = join_records(reset, strings.put(context_of(reset), stamp(B, 2), b"20", 0, reset))
    assert strings.value(join_records(put, increment(start, stamp(A, 2))), 0) == b"21"


@pytest.mark.parametrize(("text", "printed"), [
    (b"0.1", b"0.1"), (b"10.6", b"10.6"), (b"-1e-17", b"-0.00000000000000001"), (b"1e-30", b"0"),
    (b"3.0e3", b"3000"), (b"0x1.8p1", b"3"), (b"1" * 25, b"1111111111111111111081984"),
    (b"5.", b"5"), (b".5", b"0.5"), (b"0e99999999999", b"0"),
])
def test_floats_are_read_and_printed_as_a_long_double(text: bytes, printed: bytes) -> None:
    number = read(text)
    assert number is not None and print_units(units_of(number)) == printed


@pytest.mark.parametrize("text", [
    b"", b".", b"x", b"1e", b" 1", b"1 ", b"1e5000", b"1e-5000", b"inf", b"nan", b"0x", b"1_0",
    b"1" * 5120, b"1e99999999999999999999",
])
def test_what_is_no_finite_long_double_is_not_read(text: bytes) -> None:
    assert read(text) is None
