"""SCAN while the ring changes: a key that is there from the first step to the last is returned."""

import pytest

from tests.little import Client, Little
from tests.membership.test_membership import FAST, change, settle, waits

LASTING = {b"lasting:%d" % number for number in range(150)}


class Walk:
    """One SCAN from beginning to end, with pauses; other keys come and go meanwhile."""

    def __init__(self, client: Client, count: int) -> None:
        self.client = client
        self.count = count
        self.cursor = b"0"
        self.found: list[bytes] = []
        self.is_over = False

    def step(self) -> None:
        """The next page."""
        reply = self.client("SCAN", self.cursor, "COUNT", self.count)
        assert isinstance(reply, list), reply
        cursor, names = reply
        self.cursor = cursor
        self.found += names
        self.is_over = cursor == b"0"


class Noise:
    """Writes and deletes keys that no SCAN need return."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._number = 0

    def step(self) -> None:
        self._number += 1
        assert self._client("SET", f"passing:{self._number}", "v") == b"OK"
        if self._number > 5:
            assert self._client("DEL", f"passing:{self._number - 5}") == 1


def filled(count: int) -> Little:
    little = Little(count, **FAST).ready()
    for key in LASTING:
        assert little.client("A")("SET", key, "v") == b"OK"
    return little


def walk_all(little: Little, walks: list[Walk], noise: Noise, pause_ms: int) -> None:
    """A page of each in turn until all are over."""
    while not all(walk.is_over for walk in walks):
        for walk in walks:
            if not walk.is_over:
                walk.step()
        noise.step()
        little.run(pause_ms)


@pytest.mark.parametrize(("count", "pause_ms"), [(1, 2), (3, 11), (10, 40), (40, 150)])
def test_nothing_is_missed_while_nodes_join_and_leave(count: int, pause_ms: int) -> None:
    little = filled(3)
    noise = Noise(little.client("C"))
    little.add()
    little.add()
    waits(little, "D")
    waits(little, "E")
    address = [machine.address.replace("16379", "6379") for machine in little.machines]
    for names, stage in (
        ("ABCD", f"JOIN {address[3]}"), ("ABCDE", f"JOIN {address[4]}"),
        ("ACDE", f"LEAVE {address[1]}"), ("CDE", f"LEAVE {address[0]}"),
    ):
        staying = "C"       # a node that stays throughout
        walks = [Walk(little.client(name), count) for name in (staying, "D") if name in names]
        walks = walks if "D" in names and little["D"].this.is_member() else walks[:1]
        for walk in walks:          # all have begun before anything changes
            walk.step()
        change(little, staying, stage)
        walk_all(little, walks, noise, pause_ms)
        for walk in walks:
            assert set(walk.found) >= LASTING, stage
        settle(little, names)
        again = Walk(little.client(staying), 50)
        walk_all(little, [again], noise, 1)
        assert set(again.found) >= LASTING


def test_nothing_is_missed_at_the_cluster_port_while_a_node_joins() -> None:
    """All nodes are walked, as cluster-aware clients do: each what it presented at the start."""
    little = filled(3)
    noise = Noise(little.client("A"))
    little.add()
    waits(little, "D")
    walks = [Walk(little.client(name, "cluster"), 3) for name in "ABC"]
    for walk in walks:
        walk.step()
    change(little, "A", "JOIN 10.0.0.4:6379")
    walk_all(little, walks, noise, 20)
    assert {key for walk in walks for key in walk.found} >= LASTING
    settle(little, "ABCD")
    walks = [Walk(little.client(name, "cluster"), 30) for name in "ABCD"]
    walk_all(little, walks, noise, 1)
    found = [key for walk in walks for key in walk.found if key in LASTING]
    assert sorted(found) == sorted(LASTING)


@pytest.mark.parametrize("pause_ms", [3, 60])
def test_nothing_is_missed_while_nodes_die_and_return(pause_ms: int) -> None:
    little = filled(5)
    little.run(200)
    noise = Noise(little.client("A"))
    for victim in "BCD":
        walk = Walk(little.client("A"), 4)
        walk.step()
        little.kill(victim)
        for _ in range(10):
            if not walk.is_over:
                walk.step()
            little.run(pause_ms)
        little.boot(victim)
        walk_all(little, [walk], noise, pause_ms)
        assert set(walk.found) >= LASTING, victim
        little.ready()
