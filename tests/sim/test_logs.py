"""The oracle of streams, by example: what it lets pass, and what it does not."""

import pytest

from respdyn.sim import stream_ops
from respdyn.sim.logs import Log
from respdyn.sim.operations import DONE, NEVER, UNKNOWN

KEY = b"stream:0"


def completed(op, begin, end, reply):
    """An operation that was answered; `NEVER`: it was not."""
    op.invoke_us, op.end_us = begin, end
    op.outcome = UNKNOWN if end == NEVER else DONE
    if end != NEVER:
        op.settle(op, reply)
    return op


def adds(log, value, begin, end, id_=b"", is_met=True):
    op = completed(stream_ops.add(KEY, value), begin, end, id_)
    log.add(op, value)
    if end == NEVER:
        return ""
    op.result = id_
    return log.added(op, id_, is_met)


def reads(log, begin, end, *entries):
    reply = [[KEY, [[id_, [b"v", value]] for id_, value in entries]]]
    op = completed(stream_ops.read(KEY, b"c", 3), begin, end, reply)
    log.take(op)
    return log.gave(op, op.result) if end != NEVER else ""


def acks(log, begin, id_):
    op = completed(stream_ops.ack(KEY, id_), begin, begin + 1, 1)
    op.result = 1
    log.acknowledge(op, id_)
    log.acknowledged(op, id_, True)


def shows(log, begin, *entries):
    reply = [[id_, [b"v", value]] for id_, value in entries]
    op = completed(stream_ops.show(KEY), begin, begin + 1, reply)
    return log.showed(op, op.result, True)


@pytest.fixture
def log():
    found = Log()
    assert not adds(found, b"a", 0, 10, b"1-0") and not adds(found, b"b", 20, 30, b"2-0")
    return found


A, B = (b"1-0", b"a"), (b"2-0", b"b")


def test_ids_grow(log):
    assert "the same id" in adds(log, b"c", 40, 50, b"2-0")
    assert "acknowledged before" in adds(log, b"d", 40, 50, b"1-7")
    assert not adds(log, b"e", 15, 50, b"1-8"), "it was begun before"
    assert not adds(log, b"f", 60, 70, b"1-9", False), "it need not have met them"


def test_what_was_acknowledged_is_shown(log):
    assert not shows(log, 40, A, B)
    assert "b is not shown" in shows(log, 40, A)
    assert "do not grow" in shows(log, 40, B, A)
    assert "was never added" in shows(log, 40, A, B, (b"3-0", b"x"))
    assert "not that of its XADD" in shows(log, 40, A, (b"3-0", b"b"))
    assert not shows(log, 25, A), "the other was under way"


def test_nothing_is_skipped(log):
    reads(log, 40, 50, A)
    assert "2-0 was never given" in log.lost([A, B], {b"1-0"}, set())
    assert not log.lost([A, B], {b"1-0"}, {b"2-0"})
    assert not log.lost([A, B], {b"1-0", b"2-0"}, set())
    assert "b is nowhere" in log.lost([A], {b"1-0"}, set())
    reads(log, 60, NEVER)
    assert "2-0 was never given" in log.lost([A, B], {b"1-0"}, set()), "then it were pending"


def test_what_is_not_acknowledged_stays_pending(log):
    reads(log, 40, 50, A, B)
    assert "is not pending" in log.lost([A, B], {b"1-0"}, set())
    acks(log, 60, b"2-0")
    assert not log.lost([A, B], {b"1-0"}, set())
    assert "2-0 is pending, which was" in log.lost([A, B], {b"1-0", b"2-0"}, set())
    reads(log, 55, 70, B)
    assert not log.lost([A, B], {b"1-0", b"2-0"}, set()), "it was given meanwhile"


def test_nothing_is_given_twice_while_nothing_fails(log):
    assert not reads(log, 40, 50, A) and not reads(log, 60, 70, A)
    calm = Log(is_calm=True)
    adds(calm, b"a", 0, 10, b"1-0")
    assert not reads(calm, 40, 50, A)
    assert "given twice" in reads(calm, 60, 70, A)
