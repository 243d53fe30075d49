"""Keyspace events of all keys reach clients at every node, whichever node coordinates."""

from tests.little import Client, Little
from tests.sessions.test_pubsub import pushed


def listener(little: Little, name: str, port: str = "client") -> Client:
    client = little.client(name, port)
    client("PSUBSCRIBE", "__keyevent@*")
    return client


def events(client: Client) -> list[tuple[bytes, bytes]]:
    return [(one[2].split(b":")[1], one[3]) for one in pushed(client)]  # type: ignore[index]


def test_one_node_asks_and_all_publish() -> None:
    little = Little(3).ready()
    ears = [listener(little, name) for name in "ABC"]
    little.client("B")("CONFIG", "SET", "notify-keyspace-events", "KEA")
    little.run(5)
    wanted = []
    for owner in "ABC":
        key = little.key_of(owner)
        for through in "ABC":
            little.client(through)("INCR", key)
            wanted.append((b"incrby", key.encode()))
    little.run(5)
    for ear in ears:
        assert events(ear) == wanted
    little.client("B")("CONFIG", "SET", "notify-keyspace-events", "")
    little.run(5)
    little.client("A")("SET", "k", "v")
    little.run(5)
    assert all(events(ear) == [] for ear in ears)
    assert all(little[name].dispatcher.keyspace_events is None for name in "ABC")


def test_who_receives_the_event_of_a_write_finds_it_at_any_node() -> None:
    little = Little(5, notify_keyspace_events="KEA", exchange_interval_ms=0).ready()
    ears = [listener(little, name) for name in "ABCDE"]
    for number in range(40):
        key = f"key{number}"
        little.client("ABCDE"[number % 5]).send("SET", key, number)
        waiting = set(range(5))
        while waiting:
            little.step()
            for at in list(waiting):
                if (b"set", key.encode()) in events(ears[at]):
                    waiting.discard(at)
                    assert little.client("ABCDE"[at])("GET", key) == b"%d" % number


def test_a_write_that_failed_is_published_because_it_may_appear() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    key = little.key_of("A")
    ear = listener(little, "A")
    little.holds |= {(0, 1), (0, 2)}
    reply = little.client("A")("SET", key, "v")
    assert isinstance(reply, str) and "may" in reply
    assert events(ear) == [(b"set", key.encode())]


def test_on_the_cluster_port_each_node_publishes_its_own_events() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    ears = [listener(little, name, "cluster") for name in "ABC"]
    key = little.key_of("B")
    little.client("A")("SET", key, "v")
    little.run(5)
    assert [events(ear) for ear in ears] == [[], [(b"set", key.encode())], []]


def test_an_expiry_is_published_once_while_nothing_fails() -> None:
    little = Little(3, notify_keyspace_events="Ex").ready()
    ears = [listener(little, name) for name in "ABC"]
    for owner in "ABC":
        little.client("A")("SET", little.key_of(owner), "v", "PX", 1000)
    little.run(8000)
    keys = sorted((b"expired", little.key_of(owner).encode()) for owner in "ABC")
    for ear in ears:
        assert sorted(events(ear)) == keys


def test_an_expiry_is_published_though_its_coordinator_is_dead() -> None:
    little = Little(3, notify_keyspace_events="Ex").ready()
    ear = listener(little, "C")
    key = little.key_of("A")
    little.client("B")("SET", key, "v", "PX", 1000)
    little.run(100)
    little.kill("A")
    little.run(8000)
    assert set(events(ear)) == {(b"expired", key.encode())}


def test_a_node_that_comes_later_learns_who_asks() -> None:
    little = Little(3).ready()
    little.client("A")("CONFIG", "SET", "notify-keyspace-events", "E$")
    little.run(5)
    little.kill("C")
    little.run(10)
    little.boot("C")
    little.run(3000)
    ear = listener(little, "B")
    key = little.key_of("C")
    little.client("C")("SET", key, "v")
    little.run(5)
    assert events(ear) == [(b"set", key.encode())]


def test_a_key_that_moves_between_nodes_is_published_as_such_at_every_node() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    ears = [listener(little, name) for name in "ABC"]
    for through in "ABC":
        one, two = little.key_of("A", f"{through}1"), little.key_of("B", f"{through}2")
        client = little.client(through)
        client("SET", one, "v")
        assert client("RENAME", one, two) == b"OK"
        assert client("COPY", two, one) == 1
        assert client("MOVE", one, 5) == 1
        little.run(5)
        first, second = one.encode(), two.encode()
        for ear in ears:
            assert events(ear) == [
                (b"set", first), (b"rename_to", second), (b"rename_from", first),
                (b"copy_to", first), (b"move_to", first), (b"move_from", first),
            ]


def test_a_rename_that_ends_halfway_publishes_what_has_happened() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    one, two = little.key_of("A"), little.key_of("B")
    client, ear = little.client("C"), listener(little, "B")
    client("SET", one, "v")
    little.run(5)
    events(ear)
    client.send("RENAME", one, two)
    for _ in range(100):
        little.step()
        found = events(ear)
        if found:
            assert found == [(b"rename_to", two.encode())]
            break
    little.kill("A")                # the node of the old key
    little.run(3000)
    assert little.client("B")("GET", two) == b"v"
    assert events(ear) in ([], [(b"rename_from", one.encode())])


def test_a_short_life_is_published_to_end_after_it_was_to_begin() -> None:
    """The expiry comes while the SET still waits for its quorum: it is published behind the SET."""
    little = Little(3, notify_keyspace_events="KEA").ready()
    ears = [listener(little, name) for name in "ABC"]
    key = little.key_of("A")
    for through in "AB":
        little.holds |= {(0, 1), (0, 2)} if through == "A" else {(1, 0)}
        little.client(through).send("SET", key, "v", "PX", 20)
        little.run(60)
        little.holds.clear()
        little.run(60)
        for ear in ears:
            assert [name for name, _ in events(ear)] == [b"set", b"expire", b"expired"]


def test_a_life_that_is_long_over_is_published_to_end() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    ears = [listener(little, name) for name in "ABC"]
    key = little.key_of("B")
    for words in (("EXAT", 1), ("PXAT", 1), ("EXAT", little.wall_ms // 1000 - 2)):
        assert little.client("A")("SET", key, "v", *words) == b"OK"
        little.run(7000)
        for ear in ears:
            assert [name for name, _ in events(ear)] == [b"set", b"expire", b"expired"], words
