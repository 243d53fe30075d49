"""The oracle of lists, by example: what it lets pass, and what it does not."""

import pytest

from respdyn.sim import list_ops
from respdyn.sim.operations import DONE, NEVER, UNKNOWN
from respdyn.sim.queues import Line

KEY, FURTHER = b"belt:0", b"belt:0>"


def completed(op, begin, end, reply):
    """An operation that was answered; `NEVER`: it was not."""
    op.invoke_us, op.end_us = begin, end
    op.outcome = UNKNOWN if end == NEVER else DONE
    if end != NEVER:
        op.settle(op, reply)
    return op


def pushed(line, item, begin, end):
    line.push(completed(list_ops.push(b"RPUSH", KEY, [item]), begin, end, 1), [item])


def popped(line, begin, end, item=b"", key=KEY):
    op = completed(list_ops.pop(b"LPOP", key), begin, end, item or None)
    line.take(op)
    return line.gave(op, key, op.result) if item and end != NEVER else ""


def moved(line, begin, end, item=b""):
    op = completed(list_ops.move(KEY), begin, end, item)
    line.take(op)
    return line.gave(op, KEY, [item]) if item else ""


def shows(line, begin, *items, key=KEY):
    op = completed(list_ops.show(key), begin, begin + 1, list(items))
    return line.showed(op, key, items, True)


@pytest.fixture
def line():
    return Line(KEY)


def test_an_item_is_shown_until_it_is_given(line):
    pushed(line, b"a", 0, 10)
    pushed(line, b"b", 0, 10)
    assert not shows(line, 20, b"a", b"b")
    assert not popped(line, 30, 40, b"a")
    assert not shows(line, 50, b"b")
    assert not line.lost({KEY: [b"b"]})


def test_what_was_given_is_not_shown_again(line):
    pushed(line, b"a", 0, 10)
    assert not popped(line, 20, 30, b"a")
    assert "which was given" in shows(line, 40, b"a")


def test_what_no_client_took_is_lost(line):
    pushed(line, b"a", 0, 10)
    assert not shows(line, 20)
    assert "does not show a" in line.lost({KEY: [b"a"]})
    other = Line(KEY)
    pushed(other, b"a", 0, 10)
    assert "are nowhere" in other.lost({KEY: []})


def test_a_pop_in_doubt_excuses_one_item_and_a_removal_all(line):
    for item in (b"a", b"b"):
        pushed(line, item, 0, 10)
    popped(line, 20, NEVER)
    assert not line.lost({KEY: [b"b"]})
    assert "2 items are nowhere" in line.lost({KEY: []})
    line.take(completed(list_ops.delete(KEY), 20, 30, 1))
    assert not line.lost({KEY: []})


def test_what_takes_an_item_may_be_answered_after_the_look_that_misses_it(line):
    pushed(line, b"a", 0, 10)
    assert not shows(line, 30)
    assert not popped(line, 20, 100, b"a")
    assert not line.lost({KEY: []})


def test_nothing_is_given_twice_in_calm_nor_what_was_never_pushed(line):
    pushed(line, b"a", 0, 10)
    assert not popped(line, 20, 30, b"a")
    assert not popped(line, 25, 35, b"a")
    assert "never pushed" in popped(line, 20, 30, b"x")
    calm = Line(KEY, is_calm=True)
    pushed(calm, b"a", 0, 10)
    assert not popped(calm, 20, 30, b"a")
    assert "given twice" in popped(calm, 25, 35, b"a")


def test_a_moved_item_is_in_both_or_in_one_and_never_in_none():
    line = Line(KEY, FURTHER)
    pushed(line, b"a", 0, 10)
    moved(line, 20, NEVER)
    assert not line.lost({KEY: [b"a"], FURTHER: [b"a"]})
    assert not line.lost({KEY: [], FURTHER: [b"a"]})
    assert "are nowhere" in line.lost({KEY: [], FURTHER: []})
    assert not moved(line, 30, 40, b"a")
    assert not shows(line, 50, b"a", key=FURTHER)
    assert "which was given" in shows(line, 50, b"a")
    assert not popped(line, 60, 70, b"a", FURTHER)
    assert not line.lost({KEY: [], FURTHER: []})
    assert not shows(line, 45, key=FURTHER)
    assert "does not show a" in line.lost({KEY: [], FURTHER: []})
