"""Counters in a little cluster: distinct replies while nothing fails, exact sums after a cut."""

from collections.abc import Iterator

import pytest

from respdyn.cluster.versions import version_of
from respdyn.ring.hashing import locator
from respdyn.types import strings
from tests.little import Client, Little

PARTIAL = "PARTIAL"


@pytest.fixture
def little() -> Iterator[Little]:
    yield Little(3).ready()


def settled(little: Little, key: str) -> list[bytes | None]:
    """The value at each node, read from its own replica."""
    little.run(3000)
    return [
        strings.value(machine.node.replica.get(locator(0, key.encode())), 0)
        for machine in little.machines
    ]


def replies(client: Client, count: int) -> list[object]:
    return [client.receive() for _ in range(count)]


def test_two_nodes_at_once_get_distinct_numbers_and_lose_none(little: Little) -> None:
    key = little.key_of("C")
    one, two = little.client("A"), little.client("B")
    for _ in range(200):
        one.send("INCR", key)
        two.send("INCR", key)
        little.step()
    received = replies(one, 200) + replies(two, 200)
    assert sorted(received, key=str) == sorted(range(1, 401), key=str)
    assert one("GET", key) == b"400"
    assert settled(little, key) == [b"400"] * 3
    record = little["A"].replica.get(locator(0, key.encode()))
    assert version_of(record, 0).holds == "value" and len(version_of(record, 0).dots) == 1


def test_increments_on_both_sides_of_a_cut_add_up(little: Little) -> None:
    key = little.key_of("A")
    left, right = little.client("A"), little.client("B")
    assert left("SET", key, "1000") == b"OK"
    little.run(50)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(5000)
    for _ in range(20):
        assert isinstance(left("DYN.WITH", "R", 1, "W", 1, "INCR", key), int)
        assert isinstance(right("DYN.WITH", "R", 1, "W", 1, "INCRBY", key, 10), int)
    assert left("DYN.WITH", "R", 1, "GET", key) == b"1020"
    assert right("DYN.WITH", "R", 1, "GET", key) == b"1200"
    little.heal()
    little.run(3000)
    assert left("DYN.WITH", "R", 3, "GET", key) == b"1220"
    assert right("DYN.WITH", "R", 3, "GET", key) == b"1220"


def test_a_set_on_one_side_of_a_cut_keeps_the_increment_of_the_other(little: Little) -> None:
    key = little.key_of("A")
    left, right = little.client("A"), little.client("B")
    assert [left("INCR", key) for _ in range(3)] == [1, 2, 3]
    little.run(50)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(5000)
    assert left("DYN.WITH", "R", 1, "W", 1, "INCR", key) == 4
    assert right("DYN.WITH", "R", 1, "W", 1, "SET", key, "10") == b"OK"
    little.heal()
    little.run(3000)
    assert right("DYN.WITH", "R", 3, "GET", key) == b"11"
    assert left("DYN.WITH", "R", 3, "GET", key) == b"11"
    assert left("INCR", key) == 12
    assert left("DEL", key) == 1
    assert right("GET", key) is None
    assert right("INCR", key) == 1


def test_a_counter_survives_its_owners_restart(little: Little) -> None:
    key = little.key_of("A")
    client = little.client("B")
    assert [client("INCR", key) for _ in range(5)] == [1, 2, 3, 4, 5]
    little.run(50)
    little.kill("A")
    little.run(3000)
    assert client("INCR", key) == 6
    little.boot("A")
    little.ready()
    little.run(3000)
    assert client("INCRBYFLOAT", key, "0.5") == b"6.5"
    assert little.client("A")("GET", key) == b"6.5"


def test_msetnx_looks_first_and_sets_all_or_nothing(little: Little) -> None:
    client = little.client("A")
    a, b, c = (little.key_of(name) for name in "ABC")
    assert client("MSETNX", a, 1, b, 2) == 1
    assert client("MSETNX", b, 3, c, 4) == 0
    assert client("MGET", a, b, c) == [b"1", b"2", None]
    assert client("BITOP", "OR", c, a, b) == 1
    assert client("GET", c) == b"3"
    assert client("LCS", a, b, "LEN") == 0


def test_msetnx_says_when_another_client_came_between(little: Little) -> None:
    one, two = little.client("A"), little.client("B")
    keys = [little.key_of(name, "both") for name in "ABC"]
    one.send("MSETNX", keys[0], "1", keys[1], "1", keys[2], "1")
    two.send("MSETNX", keys[2], "2", keys[1], "2", keys[0], "2")
    received = [one.receive(), two.receive()]
    held = one("MGET", *keys)
    assert isinstance(held, list)
    for reply, mark in zip(received, (b"1", b"2"), strict=True):
        made = held.count(mark)
        assert reply == {0: 0, 3: 1}.get(made, reply)
        if made in (1, 2):
            assert str(reply).startswith(PARTIAL)
