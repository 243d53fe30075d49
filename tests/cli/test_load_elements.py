"""Loads on one key of many elements: what they expect is what a node answers."""

import pytest

from respdyn.cli.load import Load, LoadError, batch, replies, run_load
from respdyn.cli.load_elements import WORKS, filling, key_of
from tests.cli.test_bench import serving, short
from tests.commands.alone import Alone


@pytest.mark.parametrize("op", WORKS)
def test_loads_on_elements_are_answered_as_is_known_beforehand(op: str) -> None:
    """By a node: its key is filled once, and has as many elements in the end."""
    size = 10 if op == "hgetall" else 100
    alone = Alone().connect()
    for words in filling(op, size):
        assert alone.call(*words)
    for count in (1, 50):
        load = Load(targets=(), op=op, keys=size, pipeline=count)
        sent, replies_ = batch(load, iter(range(count)), count), replies(load, count)
        alone.offer(sent)
        alone.alone.turn()
        assert alone.session.take() == replies_[0]
    counted = alone.call(WORKS[op].counting, key_of(op, size))
    assert counted == b":%d\r\n" % size


def test_a_key_is_filled_before_the_load_and_once() -> None:
    seen: list[bytes] = []

    def counting(words: list[bytes]) -> bytes:
        seen.append(words[0])
        return b":0\r\n" if len(seen) == 1 else b":100\r\n"

    with serving(counting) as server:
        report = run_load(short(server, op="sadd", keys=100, is_fill=True))
        assert report.ops == 100 and seen == [b"SCARD", b"SADD"]
        run_load(short(server, op="sadd", keys=100, is_fill=True))
    assert seen[2:] == [b"SCARD"]


def test_a_key_that_cannot_be_filled_ends_the_run() -> None:
    with serving(lambda words: b"-WRONGTYPE no\r\n") as server, pytest.raises(
        LoadError, match="could not be filled"
    ):
        run_load(short(server, op="sadd", keys=100))
