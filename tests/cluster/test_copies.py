"""A large value is copied as few times as can be: how much memory a command takes at most, in
sizes of the value, beside the value that is there.

What is counted is what Python holds at the worst moment: no clock, no chance. The value that is
there before counts nothing, the one that takes its place 1.
"""

from __future__ import annotations

import tracemalloc

import pytest

from tests.little import Client, Little

SIZE = 4 << 20
LAST = str(SIZE - 1)


def most_copies(little: Little, client: Client, words: tuple[object, ...]) -> float:
    """Of a value's size: held more at the worst moment of a command than before it."""
    little.run(30)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        client.send(*words)
        little.run(5)
        return (tracemalloc.get_traced_memory()[1] - before) / SIZE
    finally:
        tracemalloc.stop()
        client.receive()


# A reply of the size counts 1 here, and what a client sent of that size is its own until it is
# parsed.
ALONE: dict[tuple[object, ...], float] = {
    ("SETRANGE", "new", LAST, "x"): 1, ("SETBIT", "new", str(8 * SIZE - 1), "1"): 1,
    ("SETRANGE", "k", "5", "y"): 1, ("SETRANGE", "k", LAST, "yy"): 1, ("APPEND", "k", "y"): 1,
    ("SETBIT", "k", "9", "1"): 1,
    ("STRLEN", "k"): 0, ("GETBIT", "k", "9"): 0, ("BITCOUNT", "k"): 0, ("BITPOS", "k", "1"): 0,
    ("GETRANGE", "k", "5", "10"): 0, ("EXISTS", "k"): 0, ("TYPE", "k"): 0, ("TTL", "k"): 0,
    ("BITFIELD_RO", "k", "GET", "u8", "0"): 0, ("OBJECT", "ENCODING", "k"): 0, ("DEL", "k"): 0,
    ("GET", "k"): 1, ("GETRANGE", "k", "0", "-1"): 1, ("SUBSTR", "k", "0", "-1"): 1,
    # A value with a remark on when it expires is no PLAIN record any more.
    ("EXPIRE", "k", "9"): 1, ("EXPIRE", "t", "9"): 1, ("PERSIST", "t"): 1,
    ("STRLEN", "t"): 0, ("GETRANGE", "t", "5", "10"): 0, ("BITCOUNT", "t"): 0, ("TTL", "t"): 0,
    ("EXISTS", "t"): 0, ("TYPE", "t"): 0, ("OBJECT", "ENCODING", "t"): 0, ("GET", "t"): 1,
    ("DEL", "t"): 0, ("SET", "t", "v"): 0, ("APPEND", "t", "y"): 1, ("SETRANGE", "t", "5", "y"): 1,
    ("DYN.EXPLAIN", "t"): 0,
}


# On three nodes in one process: each holds the record once, and the frames to both others share it.
TOGETHER: dict[tuple[object, ...], float] = {
    ("SETRANGE", "new", LAST, "x"): 3, ("SETRANGE", "k", "5", "y"): 3, ("APPEND", "k", "y"): 3,
    ("SETBIT", "k", "9", "1"): 3, ("GET", "k"): 1, ("STRLEN", "k"): 0, ("DEL", "k"): 0,
}


@pytest.mark.parametrize("words", TOGETHER, ids=lambda words: " ".join(map(str, words)))
def test_a_large_value_is_not_copied_for_each_peer(words: tuple[object, ...]) -> None:
    little = Little(3).ready()
    own = {"k": little.key_of("A", "k"), "new": little.key_of("A", "n")}
    client = little.client("A")
    client("SETRANGE", own["k"], LAST, "x")
    named = tuple(own.get(str(word), word) for word in words)
    assert most_copies(little, client, named) < TOGETHER[words] + 0.6


@pytest.mark.parametrize("words", ALONE, ids=lambda words: " ".join(map(str, words)))
def test_a_large_value_is_copied_as_few_times_as_can_be(words: tuple[object, ...]) -> None:
    little = Little(1)
    little.run(20)
    client = little.client("A")
    client("SETRANGE", "k", LAST, "x")
    client("SETRANGE", "t", LAST, "x")
    client("EXPIRE", "t", "1000")
    assert most_copies(little, client, words) < ALONE[words] + 0.6
