"""The oracle of sets, hashes and counters, by example: what it lets pass, and what it does not."""

import pytest

from respdyn.sim import collection_ops
from respdyn.sim.collectors import MEMBERS, judge_end, whole
from respdyn.sim.history import Wrong
from respdyn.sim.operations import NEVER, answer
from respdyn.sim.plan import draw
from respdyn.sim.tallies import Tally
from tests.sim.test_history import Written

KEY = b"s"


@pytest.fixture
def written() -> Written:
    return Written()


def add(written, member, value, begin, end):
    return written.op(collection_ops.sadd(KEY, [(member, value)]), begin, end, 1)


def remove(written, member, begin, end, reply=1):
    return written.op(collection_ops.removal(b"SREM", KEY, [member]), begin, end, reply)


def show(written, begin, *members):
    written.op(collection_ops.smembers(KEY, MEMBERS), begin, begin + 1, list(members))


def test_an_acknowledged_member_is_not_lost(written):
    add(written, b"m0", b"1", 0, 10)
    with pytest.raises(Wrong, match="removed by nothing"):
        show(written, 20)


def test_a_removal_explains_what_it_met(written):
    add(written, b"m0", b"1", 0, 10)
    remove(written, b"m0", 20, 30)
    show(written, 40)


def test_a_removal_explains_no_later_addition(written):
    add(written, b"m0", b"1", 0, 10)
    remove(written, b"m0", 20, 30)
    add(written, b"m0", b"2", 40, 50)
    with pytest.raises(Wrong, match="removed by nothing"):
        show(written, 60)


def test_a_removed_member_does_not_come_back(written):
    add(written, b"m0", b"1", 0, 10)
    remove(written, b"m0", 20, 30)
    with pytest.raises(Wrong, match="nothing has added"):
        show(written, 40, b"m0")


def test_a_removal_beside_an_addition_may_leave_it_or_not(written):
    add(written, b"m0", b"1", 0, 30)
    remove(written, b"m0", 10, 20)
    show(written, 40, b"m0")
    show(written, 50)


def test_spop_removes_what_it_shows_and_nothing_else(written):
    add(written, b"m0", b"1", 0, 10)
    add(written, b"m1", b"2", 0, 10)
    written.op(collection_ops.spop(KEY, MEMBERS), 20, 30, b"m0")
    show(written, 40, b"m1")
    with pytest.raises(Wrong, match="removed by nothing"):
        show(written, 50)


def test_del_removes_all(written):
    add(written, b"m0", b"1", 0, 10)
    written.op(collection_ops.delete_all(KEY, MEMBERS), 20, 30, 1)
    show(written, 40)
    with pytest.raises(Wrong, match="nothing has added"):
        show(written, 50, b"m0")


def test_a_field_shows_the_last_value_that_was_set(written):
    written.op(collection_ops.hset(KEY, b"f0", b"old"), 0, 10, 1)
    written.op(collection_ops.hset(KEY, b"f0", b"new"), 20, 30, 0)
    written.op(collection_ops.hget(KEY, b"f0"), 40, 41, b"new")
    with pytest.raises(Wrong, match="which an operation covered"):
        written.op(collection_ops.hgetall(KEY, [b"f0"]), 50, 51, [b"f0", b"old"])


def test_no_member_is_there_in_the_end_that_was_removed(written):
    add(written, b"m0", b"1", 0, 10)
    remove(written, b"m0", 20, 30)

    class World:
        history, now_us = written.history, 60

    op = whole(KEY, "members")
    answer(op, [b"m0"])
    with pytest.raises(Wrong, match="is there in the end"):
        judge_end(World, KEY, "members", op, 50)
    answer(op, [])
    assert not judge_end(World, KEY, "members", op, 50)


# ---- sums ----


def tally_of(written, *adds):
    """A counter with increments (by, begin, end); `NEVER` for one in doubt."""
    tally = Tally()
    for by, begin, end in adds:
        tally.add(written.op(collection_ops.hincrby(KEY, b"f0", by), begin, end, by), by)
    return tally


@pytest.mark.parametrize("shown", [100, 107])
def test_a_sum_holds_what_is_in_doubt_or_not(written, shown):
    assert not tally_of(written, (100, 0, 10), (7, 0, NEVER)).wrong(shown, 20, 30, True, True)


@pytest.mark.parametrize(("shown", "what"), [
    (99, "less than"), (108, "more than"), (103, "no increments"), (0, "less than"),
])
def test_a_sum_holds_nothing_else(written, shown, what):
    tally = tally_of(written, (100, 0, 10), (7, 0, NEVER))
    assert what in tally.wrong(shown, 20, 30, True, True)


def test_a_removal_takes_what_was_acknowledged_before_and_nothing_later(written):
    tally = tally_of(written, (100, 0, 10), (7, 40, 50))
    tally.reset(written.op(collection_ops.untally(KEY, b"f0"), 20, 30, 1))
    assert not tally.wrong(7, 60, 70, True, True)
    assert "more than" in tally.wrong(107, 60, 70, True, True)
    assert "less than" in tally.wrong(0, 60, 70, True, True)


def test_a_plan_with_collections_is_else_the_same():
    for seed in range(1, 60):
        plan = draw(seed)
        more = plan.with_collections()
        assert more.collectors and more.collections
        assert (more.keys, more.faults, more.nodes) == (plan.keys, plan.faults, plan.nodes)
        assert not plan.collectors and not plan.collections
