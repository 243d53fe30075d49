"""What cluster-aware clients are shown: a whole map, at once right after a death, calm after a
return; and numbers of single nodes that add up."""

from itertools import pairwise
from typing import cast

import pytest

from respdyn.cluster.slot_map import HOLD_MS
from respdyn.ring.hashing import SLOTS, slot_of
from tests.little import Client, Little

Range = list[object]


def slots(client: Client) -> list[tuple[int, int, str]]:
    """CLUSTER SLOTS as (first, last, host), sorted."""
    reply = cast(list[Range], client("CLUSTER", "SLOTS"))
    assert isinstance(reply, list), reply
    found = []
    for first, last, place in reply:
        host, port, _, _ = cast(list[object], place)
        assert port == 7379
        found.append((cast(int, first), cast(int, last), cast(bytes, host).decode()))
    return sorted(found)


def host_of(name: str) -> str:
    return f"10.0.0.{ord(name) - 64}"


def hosts(client: Client) -> set[str]:
    return {host for _, _, host in slots(client)}


def raw(client: Client, *words: str) -> bytes:
    client.send(*words)
    return client.session.take()


def filled(count: int = 300) -> tuple[Little, set[bytes]]:
    little = Little(3).ready()
    client = little.client("A")
    keys = {f"key{number}" for number in range(count)}
    for key in sorted(keys):
        assert client("SET", key, "v") == b"OK"
    little.run(20)
    return little, {key.encode() for key in keys}


def scanned(client: Client, *options: object) -> list[bytes]:
    found: list[bytes] = []
    cursor: object = b"0"
    while True:
        cursor, names = cast(list[object], client("SCAN", cursor, *options))
        assert int(cast(bytes, cursor)) < 2**53
        found += cast(list[bytes], names)
        if cursor == b"0":
            return found


def test_every_slot_is_shown_once_at_its_coordinator_and_runs_are_merged() -> None:
    little = Little(3).ready()
    ring = little["A"].membership.ring
    assert ring is not None
    maps = [slots(little.client(name, "cluster")) for name in "ABC"]
    assert maps[0] == maps[1] == maps[2]
    assert maps[0][0][0] == 0 and maps[0][-1][1] == SLOTS - 1
    for one, other in pairwise(maps[0]):
        assert one[1] + 1 == other[0] and one[2] != other[2]
    names = {machine.name: machine.settings.host for machine in little.machines}
    for first, last, host in maps[0]:
        for slot in range(first, last + 1):
            assert names[ring.owners_of(ring.partition_of(slot))[0]] == host


def test_replies_begin_with_another_node_each_time_and_are_made_once() -> None:
    little = Little(3).ready()
    client = little.client("A", "cluster")
    first = cast(list[Range], client("CLUSTER", "SLOTS"))
    second = cast(list[Range], client("CLUSTER", "SLOTS"))
    assert second == first[1:] + first[:1]
    starts = {cast(list[list[bytes]], client("CLUSTER", "SLOTS"))[0][2][0] for _ in range(9)}
    assert starts == {b"10.0.0.1", b"10.0.0.2", b"10.0.0.3"}
    lines = [cast(bytes, client("CLUSTER", "NODES")).splitlines() for _ in range(3)]
    assert len({one[0] for one in lines}) == 3
    assert len({frozenset(one) for one in lines}) == 1
    version = little["A"].slot_map.version
    little.run(3000)
    assert little["A"].slot_map.version == version


def test_slots_shards_and_nodes_say_the_same() -> None:
    client = Little(3).ready().client("B", "cluster")
    by_host: dict[str, list[tuple[int, int]]] = {}
    for first, last, host in slots(client):
        by_host.setdefault(host, []).append((first, last))
    for shard in cast(list[list[object]], client("CLUSTER", "SHARDS")):
        bounds = cast(list[int], shard[1])
        place = cast(list[list[object]], shard[3])[0]
        row = dict(zip(place[::2], place[1::2], strict=True))
        assert row[b"role"] == b"master" and row[b"health"] == b"online"
        assert row[b"port"] == 7379
        host = cast(bytes, row[b"endpoint"]).decode()
        assert list(zip(bounds[::2], bounds[1::2], strict=True)) == by_host[host]
    for line in cast(bytes, client("CLUSTER", "NODES")).decode().splitlines():
        words = line.split(" ")
        host = words[1].split(":")[0]
        assert words[1] == f"{host}:7379@16379"
        assert words[2] == ("myself,master" if host == host_of("B") else "master")
        assert words[8:] == [f"{first}-{last}" for first, last in by_host[host]]


def test_a_dead_nodes_slots_pass_on_at_once_and_it_waits_when_it_returns() -> None:
    little = Little(3).ready()
    client = little.client("A", "cluster")
    before = slots(client)
    little.kill("B")
    assert hosts(client) == {host_of("A"), host_of("C")}
    assert sum(last - first + 1 for first, last, _ in slots(client)) == SLOTS
    assert b"cluster_state:ok" in cast(bytes, client("CLUSTER", "INFO"))
    assert b"master,fail" in cast(bytes, client("CLUSTER", "NODES"))
    without = slots(client)
    for _ in range(3):                   # it flaps, and clients see nothing of that
        little.boot("B")
        little.run(HOLD_MS // 2)
        assert slots(client) == without
        little.kill("B")
        little.run(10)
        assert slots(client) == without
    little.boot("B")
    little.run(HOLD_MS - 500)
    assert slots(client) == without
    assert slots(little.client("B", "cluster")) == without
    little.run(1000)
    assert slots(client) == before
    assert slots(little.client("B", "cluster")) == before


def test_a_node_that_took_over_is_not_held_on_to_when_it_dies() -> None:
    little = Little(3).ready()
    client = little.client("A", "cluster")
    little.kill("B")
    little.run(10)
    little.boot("B")
    little.run(1500)
    assert hosts(client) == {host_of("A"), host_of("C")}
    little.kill("C")
    little.run(10)
    assert hosts(client) == {host_of("A"), host_of("B")}


def test_a_node_that_reaches_no_quorum_sends_clients_elsewhere() -> None:
    little = Little(3).ready()
    little.cut("A", "B")
    little.cut("A", "C")
    client = little.client("A", "cluster")
    for command in ("SLOTS", "SHARDS"):
        assert cast(str, client("CLUSTER", command)).startswith("CLUSTERDOWN ")
    assert b"cluster_state:fail" in cast(bytes, client("CLUSTER", "INFO"))
    assert hosts(little.client("B", "cluster")) == {host_of("B"), host_of("C")}
    for words, letter in ((("SET", "k", "v"), "W"), (("GET", "k"), "R"), (("DEL", "k"), "R")):
        refusal = f"NOQUORUM {letter}=2 reachable=1: nothing was done"
        assert client(*words) == f"CLUSTERDOWN {refusal}"
        assert little.client("A")(*words) == refusal


def test_thirty_nodes_fit_into_a_small_reply() -> None:
    little = Little(30, seeds=3, node_id="").ready()
    client = little.client("A", "cluster")
    for words in (("SLOTS",), ("SHARDS",), ("NODES",)):
        assert 2000 < len(raw(client, "CLUSTER", *words)) < 40_000
    assert len(hosts(client)) == 30


def test_commands_go_straight_to_the_coordinator_and_a_mistaken_client_is_served() -> None:
    little = Little(3).ready()
    clients = {host_of(name): little.client(name, "cluster") for name in "ABC"}
    where = slots(clients[host_of("A")])
    for number in range(200):
        slot = slot_of(b"key%d" % number)
        host = next(host for first, last, host in where if first <= slot <= last)
        assert clients[host]("SET", f"key{number}", number) == b"OK"
        assert clients[host]("GET", f"key{number}") == b"%d" % number
    assert [little[name].counters.commands_forwarded for name in "ABC"] == [0, 0, 0]
    wrong = clients[host_of("A")]
    assert wrong("SET", little.key_of("B"), "v") == b"OK"
    assert little["A"].counters.commands_forwarded == 1
    assert wrong("MSET", *[word for n in range(9) for word in (f"m{n}", n)]) == b"OK"
    assert wrong("MGET", *[f"m{n}" for n in range(9)]) == [b"%d" % n for n in range(9)]


def test_numbers_of_single_nodes_add_up() -> None:
    little, keys = filled()
    clients = [little.client(name, "cluster") for name in "ABC"]
    assert sum(cast(int, client("DBSIZE")) for client in clients) == len(keys)
    for found in (
        [key for client in clients for key in scanned(client)],
        [key for client in clients for key in scanned(client, "COUNT", 100)],
        [key for client in clients for key in cast(list[bytes], client("KEYS", "*"))],
    ):
        assert len(found) == len(keys) and set(found) == keys
    infos = [cast(bytes, client("INFO", "keyspace")) for client in clients]
    assert sum(int(one.split(b"keys=")[1].split(b",")[0]) for one in infos) == len(keys)
    for client in clients:
        mine = set(cast(list[bytes], client("KEYS", "*")))
        assert {cast(bytes, client("RANDOMKEY")) for _ in range(20)} <= mine
        key = min(mine)
        assert client("CLUSTER", "COUNTKEYSINSLOT", slot_of(key)) in (1, 2, 3)
        assert key in cast(list[bytes], client("CLUSTER", "GETKEYSINSLOT", slot_of(key), 9))
        for other in clients:
            if other is not client:
                assert other("CLUSTER", "COUNTKEYSINSLOT", slot_of(key)) == 0
    assert clients[0].node.counters.quorum_failures == 0


def test_numbers_add_up_after_a_death_and_after_the_return() -> None:
    little, keys = filled()
    clients = {name: little.client(name, "cluster") for name in "AC"}
    little.kill("B")
    for after in (0, 10, 3000):
        little.run(after)
        assert sum(cast(int, client("DBSIZE")) for client in clients.values()) == len(keys)
        assert {key for one in clients.values() for key in scanned(one)} == keys
    little.boot("B")
    little.run(1200)                      # back, and not shown yet
    assert little.client("B", "cluster")("DBSIZE") == 0
    assert sum(cast(int, client("DBSIZE")) for client in clients.values()) == len(keys)
    assert sorted(key for one in clients.values() for key in scanned(one)) == sorted(keys)
    little.run(HOLD_MS)
    clients["B"] = little.client("B", "cluster")
    assert sum(cast(int, client("DBSIZE")) for client in clients.values()) == len(keys)
    assert sorted(key for one in clients.values() for key in scanned(one)) == sorted(keys)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_scan_keeps_its_slots_when_they_change_hands_in_its_midst(stop: int) -> None:
    """B returns while A and C are being scanned: what they had begun with they finish."""
    little, keys = filled()
    little.kill("B")
    little.run(10)
    clients = [little.client(name, "cluster") for name in "AC"]
    found: list[bytes] = []
    cursors: list[object] = [b"0", b"0"]
    for _ in range(stop):
        for index, client in enumerate(clients):
            cursors[index], names = cast(list[object], client("SCAN", cursors[index]))
            found += cast(list[bytes], names)
    little.boot("B")
    little.run(HOLD_MS + 1000)
    assert hosts(clients[0]) == {host_of(name) for name in "ABC"}
    for index, client in enumerate(clients):
        while cursors[index] != b"0":
            cursors[index], names = cast(list[object], client("SCAN", cursors[index]))
            found += cast(list[bytes], names)
    assert sorted(found) == sorted(keys)


def test_a_cursor_that_says_nothing_is_not_an_error() -> None:
    little, keys = filled(50)
    client = little.client("A", "cluster")
    whole = scanned(client)
    for number in (0, 40, 63):         # of a life before, or of another node
        cursor, names = cast(list[object], client("SCAN", (number << 46) + 1, "COUNT", 1000))
        assert names == whole and cursor == b"0"
    for cursor in (2**53, 2**60, 2**64 - 1):
        assert client("SCAN", cursor) == [b"0", []]
    assert set(scanned(little.client("A"))) == keys


def test_flushall_at_every_node_empties_all_and_at_one_only_its_own() -> None:
    little, keys = filled()
    clients = [little.client(name, "cluster") for name in "ABC"]
    sizes = [cast(int, client("DBSIZE")) for client in clients]
    assert clients[0]("FLUSHALL") == b"OK"
    assert [client("DBSIZE") for client in clients] == [0, *sizes[1:]]
    assert little.client("A")("DBSIZE") == len(keys) - sizes[0]
    assert clients[1]("FLUSHDB") == clients[2]("FLUSHALL") == b"OK"
    assert little.client("A")("DBSIZE") == 0


def test_the_client_port_sees_everything_still() -> None:
    little, keys = filled()
    client = little.client("B")
    assert client("DBSIZE") == len(keys)
    assert set(scanned(client)) == keys
    assert client("CLUSTER", "SLOTS") == "ERR This instance has cluster support disabled"
    assert client("SELECT", "1") == b"OK"
    assert little.client("B", "cluster")("SELECT", "1") == (
        "ERR SELECT is not allowed in cluster mode"
    )


def test_cluster_links_shows_both_connections_to_each_node() -> None:
    little = Little(3).ready()
    client = little.client("A", "cluster")

    def shown() -> list[tuple[bytes, bytes]]:
        rows = cast(list[list[bytes]], client("CLUSTER", "LINKS"))
        return [(row[1], row[3]) for row in rows]

    others = sorted(little.machines[at].name.encode() for at in (1, 2))
    assert shown() == [(way, name) for name in others for way in (b"to", b"from")]
    little.kill("C")
    little.run(10)
    assert shown() == [(way, little.machines[1].name.encode()) for way in (b"to", b"from")]
