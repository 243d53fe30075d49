"""The oracle, by example: what it lets pass, and what it does not."""

from dataclasses import replace

import pytest

from respdyn.sim import operations
from respdyn.sim.history import History, Wrong
from respdyn.sim.operations import NEVER, Op, answer
from respdyn.sim.plan import draw

PLAN = replace(draw(1), nodes=3, n=3, r=2, w=2, sloppy=False)
KEY = b"k"


class Written:
    """A history with one key, written in a line per operation."""

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
        """What all nodes hold in the end."""
        self.history.judge_end(KEY, values, 10_000, 10_000)


@pytest.fixture
def written() -> Written:
    return Written()


def test_a_later_set_covers_an_earlier_one(written: Written) -> None:
    written.set(b"a", 1, 2)
    written.set(b"b", 3, 4)
    written.read(5, b"b")
    written.end(b"b")


def test_an_acknowledged_write_must_not_vanish(written: Written) -> None:
    written.set(b"a", 1, 2)
    with pytest.raises(Wrong, match="removed by nothing"):
        written.read(3)
    with pytest.raises(Wrong, match="is lost"):
        written.end()


def test_a_set_that_a_context_covered_excuses_what_it_covered(written: Written) -> None:
    written.history.plan = replace(PLAN, nodes=4, sloppy=True)
    written.put(b"a", 1, 2)
    written.set(b"b", 3, 4)
    written.op(operations.delctx(KEY, b"token", frozenset([b"b"])), 5, 6, b"token")
    for begin in range(10, 80, 2):
        written.read(begin)
    written.end()


def test_a_key_that_all_owners_have_is_not_absent(written: Written) -> None:
    written.history.plan = replace(PLAN, nodes=5, sloppy=True)
    written.read(1)
    written.op(operations.everywhere(operations.set_(KEY, b"a")), 2, 3, b"OK")
    written.read(4, b"a")
    with pytest.raises(Wrong, match="finds nothing"):
        written.read(6)
    written.delete(8, 9)
    written.read(10)


def test_a_wiped_disk_is_no_excuse_for_not_found_but_a_lost_tail_is(written: Written) -> None:
    written.op(operations.everywhere(operations.set_(KEY, b"a")), 2, 3, b"OK")
    written.history.damage(4)
    with pytest.raises(Wrong, match="finds nothing"):
        written.read(6)
    written.history.has_lost_tails = True
    written.read(8)


def test_two_writes_do_not_excuse_each_other(written: Written) -> None:
    written.set(b"a", 1, 5)
    written.set(b"b", 2, 4)
    with pytest.raises(Wrong, match="is lost"):
        written.end()


def test_concurrent_sets_may_stay_side_by_side_or_not(written: Written) -> None:
    written.set(b"a", 1, 5)
    written.set(b"b", 2, 4)
    written.end(b"a")
    written.end(b"b")
    written.end(b"a", b"b")


def test_what_was_covered_must_not_come_back(written: Written) -> None:
    written.set(b"a", 1, 2)
    written.set(b"b", 3, 4)
    with pytest.raises(Wrong, match="an operation covered"):
        written.read(5, b"a", b"b")
    with pytest.raises(Wrong, match="covered it"):
        written.end(b"b", b"a")


def test_a_deletion_removes_what_came_before_it(written: Written) -> None:
    written.set(b"a", 1, 2)
    written.delete(3, 4)
    written.read(5)
    written.end()
    with pytest.raises(Wrong, match="an operation covered"):
        written.read(6, b"a")


def test_a_deletion_excuses_nothing_that_came_after_it(written: Written) -> None:
    written.delete(1, 2, 0)
    written.set(b"a", 3, 4)
    with pytest.raises(Wrong, match="is lost"):
        written.end()


def test_a_deletion_that_was_not_answered_excuses_what_came_after_it(written: Written) -> None:
    written.delete(1, NEVER)
    written.set(b"a", 3, 4)
    written.end()
    written.end(b"a")


def test_a_write_that_was_not_answered_may_be_there_or_not(written: Written) -> None:
    written.set(b"a", 1, 2)
    written.set(b"b", 3, NEVER)
    written.end(b"a")
    written.end(b"b")
    with pytest.raises(Wrong, match="is lost"):
        written.end()


def test_a_chain_must_be_possible_in_time(written: Written) -> None:
    written.delete(1, 4)
    written.set(b"a", 3, NEVER)        # may have been deleted, but then before 4
    written.set(b"b", 5, 6)            # so it cannot have covered this and been deleted after
    with pytest.raises(Wrong, match="/?b is lost"):
        written.end()
    written.end(b"a")


def test_a_context_covers_what_it_was_read_with_and_no_more(written: Written) -> None:
    written.put(b"a", 1, 5)
    written.put(b"b", 2, 6)
    written.put(b"c", 7, 8, b"a")
    written.end(b"c", b"b")
    with pytest.raises(Wrong, match="b is lost"):
        written.end(b"c")
    with pytest.raises(Wrong, match="although a context covered it"):
        written.end(b"c", b"b", b"a")


def test_contexts_explain_one_another(written: Written) -> None:
    written.put(b"a", 1, 2)
    written.put(b"b", 3, NEVER, b"a")
    written.put(b"c", 5, 6, b"b")
    written.end(b"c")
    with pytest.raises(Wrong, match="c is lost"):
        written.end()


def test_what_was_never_written_must_not_be_read(written: Written) -> None:
    with pytest.raises(Wrong, match="never written"):
        written.read(1, b"x")


def test_what_was_refused_must_not_be_read(written: Written) -> None:
    written.op(operations.setnx(KEY, b"a"), 1, 2, 0)
    with pytest.raises(Wrong, match="refused"):
        written.read(3, b"a")


def test_an_expired_value_must_not_be_read(written: Written) -> None:
    written.op(operations.set_(KEY, b"a", 1), 1, 2, b"OK")
    written.read(3, b"a")
    written.read(1500)
    with pytest.raises(Wrong, match="long expired"):
        written.read(1600, b"a")


def test_an_expiry_that_is_not_due_excuses_nothing(written: Written) -> None:
    written.op(operations.set_(KEY, b"a", 100), 1, 2, b"OK")
    with pytest.raises(Wrong, match="is lost"):
        written.end()


def test_nothing_is_judged_while_data_is_missing(written: Written) -> None:
    written.set(b"a", 1, 2)
    written.history.damage(3)
    written.read(4)
    written.history.repaired(6)
    with pytest.raises(Wrong, match="removed by nothing"):
        written.read(7)


def test_a_pipeline_does_not_read_ahead(written: Written) -> None:
    read, write = operations.getctx(KEY), operations.set_(KEY, b"a")
    read.client = write.client = "c"
    written.history.begin(read, 1)
    written.history.begin(write, 1)
    answer(read, [b"token", [b"a"]])
    with pytest.raises(Wrong, match="wrote only after"):
        written.history.complete(read, 2)


def test_forgetting_changes_no_verdict(written: Written) -> None:
    for number in range(200):
        written.set(b"%d" % number, 10 * number, 10 * number + 5)
    written.end(b"199")
    with pytest.raises(Wrong, match="199 is lost"):
        written.end()
    with pytest.raises(Wrong, match="covered it"):
        written.end(b"199", b"42")
