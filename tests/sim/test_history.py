"""The oracle, by example: what it lets pass, and what it does not."""

from dataclasses import replace

import pytest

from respdyn.sim import operations
from respdyn.sim.history import History, Wrong
from respdyn.sim.operations import NEVER, Op, answer
from respdyn.sim.plan import draw

PLAN = replace(draw(1), nodes=3, n=3, r=2, w=2, sloppy=False)
KEY = b"k"


class Told:
    """A history with one key, told in a line per operation."""

    def __init__(self) -> None:
        self.history = History(PLAN)

    def op(self, op: Op, begin: int, end: int, reply: object, client: str = "") -> Op:
        """An operation from begin to end, with its reply; `NEVER` for none."""
        op.client = client or f"client at {begin}"
        self.history.begin(op, begin)
        if end == NEVER:
            self.history.abandon(op)
        else:
            answer(op, reply)
            self.history.complete(op, end)
        return op

    def set(self, value: bytes, begin: int, end: int) -> Op:
        """SET."""
        return self.op(operations.set_(KEY, value), begin, end, b"OK")

    def read(self, begin: int, *values: bytes) -> None:
        """DYN.GETCTX."""
        self.op(operations.getctx(KEY), begin, begin + 1, [b"token", list(values)])

    def put(self, value: bytes, begin: int, end: int, *covers: bytes) -> Op:
        """DYN.PUTCTX."""
        op = operations.putctx(KEY, b"token", frozenset(covers), value)
        return self.op(op, begin, end, b"token")

    def delete(self, begin: int, end: int, removed: int = 1) -> Op:
        """DEL."""
        return self.op(operations.delete([KEY]), begin, end, removed)

    def end(self, *values: bytes) -> None:
        """What all nodes tell in the end."""
        self.history.judge_end(KEY, values, 10_000, 10_000)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_later_set_covers_an_earlier_one(told: Told) -> None:
    told.set(b"a", 1, 2)
    told.set(b"b", 3, 4)
    told.read(5, b"b")
    told.end(b"b")


def test_an_acknowledged_write_must_not_vanish(told: Told) -> None:
    told.set(b"a", 1, 2)
    with pytest.raises(Wrong, match="removed by nothing"):
        told.read(3)
    with pytest.raises(Wrong, match="is lost"):
        told.end()


def test_a_set_that_a_context_covered_excuses_what_it_covered(told: Told) -> None:
    told.history.plan = replace(PLAN, nodes=4, sloppy=True)
    told.put(b"a", 1, 2)
    told.set(b"b", 3, 4)
    told.op(operations.delctx(KEY, b"token", frozenset([b"b"])), 5, 6, b"token")
    for begin in range(10, 80, 2):
        told.read(begin)
    told.end()


def test_a_key_that_all_owners_have_is_not_absent(told: Told) -> None:
    told.history.plan = replace(PLAN, nodes=5, sloppy=True)
    told.read(1)
    told.op(operations.everywhere(operations.set_(KEY, b"a")), 2, 3, b"OK")
    told.read(4, b"a")
    with pytest.raises(Wrong, match="finds nothing"):
        told.read(6)
    told.delete(8, 9)
    told.read(10)


def test_a_wiped_disk_is_no_excuse_for_not_found_but_a_lost_tail_is(told: Told) -> None:
    told.op(operations.everywhere(operations.set_(KEY, b"a")), 2, 3, b"OK")
    told.history.damage(4)
    with pytest.raises(Wrong, match="finds nothing"):
        told.read(6)
    told.history.has_lost_tails = True
    told.read(8)


def test_two_writes_do_not_excuse_each_other(told: Told) -> None:
    told.set(b"a", 1, 5)
    told.set(b"b", 2, 4)
    with pytest.raises(Wrong, match="is lost"):
        told.end()


def test_concurrent_sets_may_stay_side_by_side_or_not(told: Told) -> None:
    told.set(b"a", 1, 5)
    told.set(b"b", 2, 4)
    told.end(b"a")
    told.end(b"b")
    told.end(b"a", b"b")


def test_what_was_covered_must_not_come_back(told: Told) -> None:
    told.set(b"a", 1, 2)
    told.set(b"b", 3, 4)
    with pytest.raises(Wrong, match="an operation covered"):
        told.read(5, b"a", b"b")
    with pytest.raises(Wrong, match="covered it"):
        told.end(b"b", b"a")


def test_a_deletion_removes_what_came_before_it(told: Told) -> None:
    told.set(b"a", 1, 2)
    told.delete(3, 4)
    told.read(5)
    told.end()
    with pytest.raises(Wrong, match="an operation covered"):
        told.read(6, b"a")


def test_a_deletion_excuses_nothing_that_came_after_it(told: Told) -> None:
    told.delete(1, 2, 0)
    told.set(b"a", 3, 4)
    with pytest.raises(Wrong, match="is lost"):
        told.end()


def test_a_deletion_that_was_not_answered_excuses_what_came_after_it(told: Told) -> None:
    told.delete(1, NEVER)
    told.set(b"a", 3, 4)
    told.end()
    told.end(b"a")


def test_a_write_that_was_not_answered_may_be_there_or_not(told: Told) -> None:
    told.set(b"a", 1, 2)
    told.set(b"b", 3, NEVER)
    told.end(b"a")
    told.end(b"b")
    with pytest.raises(Wrong, match="is lost"):
        told.end()


def test_a_chain_must_be_possible_in_time(told: Told) -> None:
    told.delete(1, 4)
    told.set(b"a", 3, NEVER)        # may have been deleted, but then before 4
    told.set(b"b", 5, 6)            # so it cannot have covered this and been deleted after
    with pytest.raises(Wrong, match="/?b is lost"):
        told.end()
    told.end(b"a")


def test_a_context_covers_what_it_was_read_with_and_no_more(told: Told) -> None:
    told.put(b"a", 1, 5)
    told.put(b"b", 2, 6)
    told.put(b"c", 7, 8, b"a")
    told.end(b"c", b"b")
    with pytest.raises(Wrong, match="b is lost"):
        told.end(b"c")
    with pytest.raises(Wrong, match="although a context covered it"):
        told.end(b"c", b"b", b"a")


def test_contexts_explain_one_another(told: Told) -> None:
    told.put(b"a", 1, 2)
    told.put(b"b", 3, NEVER, b"a")
    told.put(b"c", 5, 6, b"b")
    told.end(b"c")
    with pytest.raises(Wrong, match="c is lost"):
        told.end()


def test_what_was_never_written_must_not_be_read(told: Told) -> None:
    with pytest.raises(Wrong, match="never written"):
        told.read(1, b"x")


def test_what_was_refused_must_not_be_read(told: Told) -> None:
    told.op(operations.setnx(KEY, b"a"), 1, 2, 0)
    with pytest.raises(Wrong, match="refused"):
        told.read(3, b"a")


def test_an_expired_value_must_not_be_read(told: Told) -> None:
    told.op(operations.set_(KEY, b"a", 1), 1, 2, b"OK")
    told.read(3, b"a")
    told.read(1500)
    with pytest.raises(Wrong, match="long expired"):
        told.read(1600, b"a")


def test_an_expiry_that_is_not_due_excuses_nothing(told: Told) -> None:
    told.op(operations.set_(KEY, b"a", 100), 1, 2, b"OK")
    with pytest.raises(Wrong, match="is lost"):
        told.end()


def test_nothing_is_judged_while_data_is_missing(told: Told) -> None:
    told.set(b"a", 1, 2)
    told.history.damage(3)
    told.read(4)
    told.history.repaired(6)
    with pytest.raises(Wrong, match="removed by nothing"):
        told.read(7)


def test_a_pipeline_does_not_read_ahead(told: Told) -> None:
    read, write = operations.getctx(KEY), operations.set_(KEY, b"a")
    read.client = write.client = "c"
    told.history.begin(read, 1)
    told.history.begin(write, 1)
    answer(read, [b"token", [b"a"]])
    with pytest.raises(Wrong, match="wrote only after"):
        told.history.complete(read, 2)


def test_forgetting_changes_no_verdict(told: Told) -> None:
    for number in range(200):
        told.set(b"%d" % number, 10 * number, 10 * number + 5)
    told.end(b"199")
    with pytest.raises(Wrong, match="199 is lost"):
        told.end()
    with pytest.raises(Wrong, match="covered it"):
        told.end(b"199", b"42")
