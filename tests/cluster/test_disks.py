"""A disk that fails, and one that is behind: who writes then, who waits, what is kept."""

import pytest

from respdyn.cluster.admission import HINTS
from tests.little import Client, Little


def test_clients_of_a_node_whose_disk_fails_notice_nothing() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    mine, theirs = little.key_of("A"), little.key_of("B", "other")
    assert a("SET", mine, "v") == b"OK"
    little["A"].storage_failed("no space left on device")
    assert a("SET", mine, "w") == b"OK", "before its peers know"
    little.run(5)
    for key in (mine, theirs):
        assert a("SET", key, "w") == b"OK"
        assert a("GET", key) == b"w"
        assert a("APPEND", key, "!") == 2
        assert a("SET", key, "w", "XX", "GET") == b"w!"
    assert a("MSET", mine, "1", theirs, "2") == b"OK"
    assert a("MSETNX", "new{1}", "1", "new{2}", "2") == 1
    assert a("MULTI") == b"OK"
    assert a("INCR", mine) == b"QUEUED" and a("INCR", theirs) == b"QUEUED"
    assert a("EXEC") == [2, 3]
    assert b("INCR", mine) == 3
    assert a("GET", mine) == b"3"
    assert a("DEL", mine, theirs) == 2
    assert a("FLUSHALL") == b"OK" and a("DBSIZE") == 0
    assert a("SET", mine, "again") == b"OK"
    little["A"].storage_recovered()
    little.run(5)
    assert a("SET", mine, "x") == b"OK"
    assert b("GET", mine) == b"x"


def test_reads_of_a_node_whose_disk_fails_leave_nothing_to_be_stored() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    for number in range(20):        # how far the dots of each go is known, and stored, before
        assert b("SET", f"k{number}", "u") == b"OK"
    little.run(5)
    little["A"].storage_failed("no space left on device")
    little.run(5)
    before = little["A"].this.generation
    for number in range(20):
        assert b("SET", f"k{number}", "v") == b"OK"
        assert a("GET", f"k{number}") == b"v"
    assert little["A"].this.generation == before
    little["A"].storage_recovered()
    assert a("GET", "k1") == b"v"
    little.run(1)
    assert little["A"].this.generation > before, "what it has missed is mended now"


def test_writes_are_refused_where_too_few_nodes_can_store() -> None:
    little = Little(3).ready()
    a = little.client("A")
    key = little.key_of("B")
    for name in "AB":
        little[name].storage_failed("no space left on device")
    little.run(5)
    assert str(a("SET", key, "v")).startswith("NOQUORUM W=2 reachable=1")
    little["C"].storage_failed("no space left on device")
    little.run(5)
    assert str(a("SET", key, "v")).startswith("MISCONF this node cannot store: no space")
    assert a("GET", key) is None
    little["B"].storage_recovered()
    little["A"].storage_recovered()
    little.run(5)
    assert a("SET", key, "v") == b"OK"


def test_a_lone_node_whose_disk_fails_refuses_writes_and_serves_reads() -> None:
    little = Little(1).ready()
    a = little.client("A")
    assert a("SET", "k", "v") == b"OK"
    little["A"].storage_failed("no space left on device")
    for words in ("SET k w", "DEL k", "MSET k w", "FLUSHALL", "INCR n", "SET k w NX"):
        assert str(a(*words.split())).startswith("MISCONF this node cannot store: no space")
    assert a("GET", "k") == b"v"
    little["A"].storage_recovered()
    assert a("SET", "k", "x") == b"OK"


def bulky(client: Client, count: int, prefix: str = "bulk", little: Little | None = None) -> None:
    """A pipeline of SETs of a kilobyte; with `little` it takes a few turns."""
    for number in range(count):
        client.send("SET", f"{prefix}{number}", b"x" * 1000)
        if little is not None and number % 20 == 0:
            little.run(1)


def behind(name: str = "A", count: int = 3, **changes: object) -> Little:
    """A cluster in which a node's disk takes what it is given and gets nowhere."""
    little = Little(count, store_backlog=64_000, **changes).ready()
    little.machines[ord(name) - 65].fsync = False
    return little


def waiting(little: Little, name: str) -> int:
    """Bytes that wait for a node's disk."""
    return little[name].sessions.holding.store.bytes


@pytest.mark.parametrize("count", [1, 3])
def test_who_writes_more_than_a_disk_takes_waits_and_is_refused_nothing(count: int) -> None:
    little = behind("A", count)
    client = little.client("A")
    for piece in range(10):
        bulky(client, 20, f"piece{piece}-")
        little.run(2)
    assert waiting(little, "A") < 2 * 64_000, "and not 200,000"
    held = waiting(little, "A")
    little.run(3000)
    assert waiting(little, "A") == held
    assert little["A"].sessions.holding.waiting
    little.machines[0].fsync = True
    for _ in range(200):
        assert client.receive() == b"OK"
    little.run(10)
    assert waiting(little, "A") == 0 and not little["A"].sessions.holding.waiting
    assert little["A"].counters.writes_held > 0


@pytest.mark.parametrize("through", ["B", "C"])
def test_who_writes_through_another_node_waits_as_well(through: str) -> None:
    little = behind("A")
    client = little.client(through)
    for piece in range(20):
        bulky(client, 20, f"piece{piece}-")
        little.run(2)
    assert waiting(little, "A") < 2 * 64_000
    assert waiting(little, through) == 0, "its own disk is quick"
    little.machines[0].fsync = True
    for _ in range(400):
        assert client.receive() == b"OK"


def test_reads_and_small_writes_go_on_while_a_disk_is_behind() -> None:
    little = behind("A")
    bulky(little.client("A"), 80)
    little.run(10)
    for name in "ABC":
        light = little.client(name)
        began = little.now_ms
        assert light("SET", f"light{name}", "v") == b"OK"
        assert light("GET", f"light{name}") == b"v"
        assert light("INCR", f"count{name}") == 1
        assert light("GET", "bulk1") == b"x" * 1000
        assert little.now_ms - began < 30
    assert little["A"].sessions.holding.is_congested


def test_even_small_writes_wait_when_twice_as_much_waits() -> None:
    little = behind("A", 1)
    light = little.client("A")
    for number in range(40):
        bulky(little.client("A"), 4, f"client{number}-")
    little.run(10)
    assert waiting(little, "A") > 2 * 64_000
    light.send("SET", "light", "v")
    little.run(100)
    assert light.session.is_held
    assert little.client("A")("GET", "light") is None
    little.machines[0].fsync = True
    assert light.receive() == b"OK"


def test_a_slow_disk_is_behind_with_few_bytes() -> None:
    little = behind("A", 1)
    client = little.client("A")
    bulky(client, 10)
    little.run(499)
    assert not little["A"].sessions.holding.is_on
    little.run(10)
    bulky(client, 1, "next")
    little.run(5)
    assert little["A"].sessions.holding.store.is_behind
    little.machines[0].fsync = True
    little.run(5)
    assert not little["A"].sessions.holding.is_on


def test_a_pipeline_that_waits_keeps_its_order_and_its_time() -> None:
    """What is held has its whole time-out when that ends, and transactions are held whole."""
    little = behind("A")
    client = little.client("A")
    bulky(client, 100)
    client.send("SET", "k", "1")
    client.send("MULTI")
    client.send("INCR", "k")
    client.send("GET", "k")
    client.send("EXEC")
    client.send("MSET", "k", "5", "l", "6")
    client.send("DYN.WITH", "W", "3", "SET", "m", "7")
    client.send("GET", "k")
    little.run(5000)
    assert client.session.is_held
    little.machines[0].fsync = True
    for _ in range(100):
        assert client.receive() == b"OK"
    assert client.receive() == b"OK"
    assert [client.receive() for _ in range(4)] == [b"OK", b"QUEUED", b"QUEUED", [2, b"2"]]
    assert [client.receive() for _ in range(3)] == [b"OK", b"OK", b"5"]


def test_two_nodes_that_wait_for_each_other_get_on() -> None:
    little = behind("A")
    little.machines[1].fsync = False
    one, two = little.client("A"), little.client("B")
    bulky(one, 150, "one", little)
    bulky(two, 150, "two", little)
    little.run(200)
    assert one.session.is_held and two.session.is_held
    for name in "ABC":
        assert sum(link.is_up for link in little[name].links.values()) == 2
    for index in (0, 1):
        little.machines[index].fsync = True
        little.run(20)
    for client in (one, two):
        for _ in range(150):
            assert client.receive() == b"OK"


def test_nothing_is_done_in_the_background_while_a_disk_is_behind() -> None:
    little = behind("A")
    bulky(little.client("A"), 150)
    little.run(20)
    for name in "ABC":
        assert little[name].admission.room(HINTS) == 0
    little.machines[0].fsync = True
    little.run(50)
    assert little["A"].admission.room(HINTS) > 0


def test_a_disk_that_has_failed_holds_no_client() -> None:
    little = behind("A")
    client = little.client("A")
    bulky(client, 150, little=little)
    little.run(20)
    assert client.session.is_held
    little["A"].storage_failed("no progress for 10 seconds")
    for _ in range(150):
        assert client.receive() == b"OK", "the others can store"
    assert not little["A"].sessions.holding.waiting


def test_a_peer_that_does_not_take_what_it_is_sent_holds_who_writes_much() -> None:
    little = Little(3, peer_output_limit=800_000, failure_timeout_ms=60_000).ready()
    little.holds |= {(0, 2), (2, 0)}            # C is there, and busy
    client = little.client("A")
    for piece in range(30):
        bulky(client, 10, f"piece{piece}-")
        little.run(2)
    link = little["A"].link_to(little["C"].identity.node_id)
    assert client.session.is_held
    assert link.untaken.bytes < 300_000
    little.run(5)
    assert little["B"].links[little["A"].identity.node_id].is_congested, "A coordinates for B too"
    little.heal()
    for _ in range(300):
        assert client.receive() == b"OK"
    assert link.untaken.bytes < 3_000


def test_a_peer_that_is_down_holds_no_client_although_it_takes_no_heartbeat() -> None:
    little = Little(3, peer_output_limit=200_000).ready()
    little.run(2_000)
    little.holds |= {(0, 2), (2, 0)}            # its process was stopped: its connections stand
    client = little.client("A")
    link = little["A"].link_to(little["C"].identity.node_id)
    little.run(8_000)
    assert not link.is_up and link.untaken.bytes * 64 > link.untaken.most, "heartbeats wait"
    for number in range(20):
        assert client("SET", f"k{number}", b"x" * 1000) == b"OK"
    assert not little["A"].sessions.holding.is_congested and not client.session.is_held
