"""Clients that wait for something to take: who is woken, by what, and what becomes of the item."""

import pytest

from tests.cluster.test_lists import items, keys_of
from tests.little import Client, Little


def waiting(little: Little, name: str, *words: object) -> Client:
    """A client that waits in a command at a node."""
    client = little.client(name)
    client.send(*words)
    little.run(10)
    assert client.session.blocked, "it does not wait"
    return client


def is_waiting(client: Client) -> bool:
    return bool(client.session.blocked)


@pytest.mark.parametrize("home", "ABC")
@pytest.mark.parametrize("pusher", "ABC")
def test_a_push_through_any_node_wakes_who_waits_at_any(home: str, pusher: str) -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = waiting(little, home, "BLPOP", key, 0)
    began_ms = little.now_ms
    assert little.client(pusher)("RPUSH", key, "x", "y") == 2
    assert client.receive() == [key.encode(), b"x"]
    assert little.now_ms - began_ms < 20
    assert items(little, "B", key) == [b"y"]
    assert client("BRPOP", key, 0) == [key.encode(), b"y"]
    assert not any(m.node.notifications.waits.keys for m in little.machines)


def test_what_is_there_is_given_at_once_and_in_the_order_of_the_keys() -> None:
    little = Little(3).ready()
    one, two = keys_of(little, "A", "B")
    a = little.client("A")
    a("RPUSH", two, "2")
    assert a("BLPOP", one, two, 0) == [two.encode(), b"2"]
    a("RPUSH", one, "1")
    a("RPUSH", two, "2")
    assert a("BLMPOP", 0, 2, one, two, "LEFT") == [one.encode(), [b"1"]]
    a("SET", "s", "v")
    assert str(a("BLPOP", "s", two, 0)).startswith("WRONGTYPE")
    assert a("BLPOP", two, "s", 0) == [two.encode(), b"2"]


def test_who_waits_longest_is_served_first_whatever_the_node() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    clients = [waiting(little, name, "BLPOP", key, 0) for name in "CABACB"]
    pusher = little.client("A")
    for at in range(3):
        assert pusher("RPUSH", key, at) == 1
        assert clients[at].receive() == [key.encode(), b"%d" % at]
        little.run(10)
    assert pusher("RPUSH", key, 3, 4, 5) == 3
    for at in range(3, 6):
        reply = clients[at].receive()
        assert reply in ([key.encode(), b"%d" % number] for number in (3, 4, 5))
    assert pusher("EXISTS", key) == 0


def test_time_is_over() -> None:
    little = Little(3).ready()
    client = waiting(little, "B", "BLPOP", "k", "0.25")
    little.run(200)
    assert is_waiting(client)
    assert client.receive() is None
    assert not is_waiting(client) and little["B"].is_idle()
    assert client("PING") == b"PONG"
    assert waiting(little, "A", "BLMOVE", "k", "l", "LEFT", "LEFT", "0.05").receive() is None
    assert waiting(little, "A", "BZPOPMIN", "k", "0.05").receive() is None
    assert little.client("A")("RPUSH", "k", "x") == 1
    little.run(100)
    assert items(little, "C", "k") == [b"x"]


def test_what_comes_behind_waits_and_comes_in_order() -> None:
    little = Little(3).ready()
    client = waiting(little, "B", "BLPOP", "k", 0)
    client.send("RPUSH", "k", "own")
    client.send("PING")
    little.run(50)
    assert is_waiting(client)
    little.client("A")("RPUSH", "k", "x")
    assert [client.receive() for _ in range(3)] == [[b"k", b"x"], 1, b"PONG"]


def test_unblock_kill_and_close_end_a_wait() -> None:
    little = Little(3).ready()
    a = little.client("A")
    client = waiting(little, "A", "BLPOP", "k", 0)
    number = client.session.id
    assert b"blocked_clients:1" in a("INFO", "clients")
    assert b"flags=b " in a("CLIENT", "LIST", "ID", number)
    assert a("CLIENT", "UNBLOCK", number) == 1
    assert client.receive() is None
    assert a("CLIENT", "UNBLOCK", number) == 0
    client.send("BRPOPLPUSH", "k", "l", 0)
    little.run(10)
    assert a("CLIENT", "UNBLOCK", number, "ERROR") == 1
    assert client.receive() == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
    assert a("CLIENT", "UNBLOCK", 999) == 0
    assert b"blocked_clients:0" in a("INFO", "clients")
    for way in range(2):
        client = waiting(little, "A", "BLPOP", "k", 0)
        if way:
            assert a("CLIENT", "KILL", "ID", client.session.id) == 1
        little["A"].close_session(client.session)
        little.run(10)
        assert not any(m.node.notifications.waits.keys for m in little.machines)
    assert a("RPUSH", "k", "x") == 1
    little.run(700)
    assert items(little, "B", "k") == [b"x"]


def test_an_item_goes_to_the_next_if_the_first_is_gone() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    first = waiting(little, "B", "BLPOP", key, 0)
    second = waiting(little, "C", "BLPOP", key, 0)
    little["B"].close_session(first.session)        # A does not know of it when the item comes
    assert little.client("A")("RPUSH", key, "x") == 1
    assert second.receive() == [key.encode(), b"x"]


def test_a_home_that_dies_loses_nothing() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    waiting(little, "B", "BLPOP", key, 0)
    second = waiting(little, "C", "BLPOP", key, 0)
    little.kill("B")
    assert little.client("A")("RPUSH", key, "x") == 1
    assert second.receive() == [key.encode(), b"x"]
    assert items(little, "A", key) == []


def test_a_wait_moves_when_its_coordinator_dies_and_when_it_is_back() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = waiting(little, "B", "BLPOP", key, 0)
    little.kill("A")
    little.run(50)
    assert little.client("C")("RPUSH", key, "x") == 1
    assert client.receive() == [key.encode(), b"x"]
    client.send("BLPOP", key, 0)
    little.run(10)
    little.boot("A")
    little.run(3000)
    assert is_waiting(client)
    assert little.client("C")("RPUSH", key, "y") == 1
    assert client.receive() == [key.encode(), b"y"]


def test_a_repair_wakes() -> None:
    """The item was pushed on the other side of a cut; when that is healed, it is given."""
    little = Little(3, w=1, r=1).ready()
    key = little.key_of("A")
    client = waiting(little, "A", "BLPOP", key, 0)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert little.client("B")("RPUSH", key, "x") == 1
    little.run(50)
    assert is_waiting(client)
    little.heal()
    little.run(4000)
    assert client.receive() == [key.encode(), b"x"]


def test_an_unknown_outcome_is_reported() -> None:
    """The pop may have taken the item: the reply must not be that there was nothing."""
    little = Little(3).ready()
    key = little.key_of("A")
    client = waiting(little, "B", "BLPOP", key, "0.4")
    little.refused = []
    c = little.client("C")
    c.send("RPUSH", key, "x")
    session = client.session
    blocked = little["B"].sessions.blocking.by_number[session.blocked]
    little.until(lambda: blocked.trying is not None)
    little.lost = {(0, 1)}
    reply = client.receive()
    assert "unknown" in str(reply) and str(reply).startswith("TIMEOUT")


def test_a_transaction_does_not_wait() -> None:
    little = Little(3).ready()
    a = little.client("A")
    assert a("MULTI") == b"OK"
    for words in (("BLPOP", "k", 0), ("RPUSH", "k", "x"), ("BLMOVE", "k", "l", "LEFT", "LEFT", 0),
                  ("BRPOP", "k", "l", 0), ("BLMPOP", 0, 1, "l", "LEFT"), ("BZPOPMIN", "z", 0)):
        assert a(*words) == b"QUEUED"
    assert a("EXEC") == [None, 1, b"x", [b"l", b"x"], None, None]


def test_sorted_sets_wake_who_waits_for_them_and_lists_do_not() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    client = waiting(little, "B", "BZPOPMAX", key, 0)
    other = waiting(little, "C", "BLPOP", key, 0)
    a = little.client("A")
    assert a("RPUSH", key, "x") == 1
    assert other.receive() == [key.encode(), b"x"]
    assert is_waiting(client)
    assert a("ZADD", key, 1, "one", 2, "two") == 2
    assert client.receive() == [key.encode(), b"two", b"2"]
    assert waiting(little, "B", "BZMPOP", 0, 1, "none", "MIN")
    assert a("BZMPOP", 0, 2, "none:", key, "MIN") == [key.encode(), [[b"one", b"1"]]]


@pytest.mark.parametrize("coordinators", ["AA", "AB"])
def test_a_blocked_move_is_a_move(coordinators: str) -> None:
    little = Little(3).ready()
    source, target = keys_of(little, *coordinators)
    workers = [waiting(little, name, "BLMOVE", source, target, "LEFT", "RIGHT", 0)
               for name in "ABC"]
    assert little.client("B")("RPUSH", source, "1", "2", "3") == 3
    assert sorted(worker.receive() for worker in workers) == [b"1", b"2", b"3"]
    assert sorted(items(little, "A", target)) == [b"1", b"2", b"3"]
    last = waiting(little, "A", "BLMOVE", source, "text", "LEFT", "RIGHT", 0)
    assert little.client("B")("SET", "text", "v") == b"OK"
    assert little.client("B")("RPUSH", source, "4") == 1
    assert str(last.receive()).startswith("WRONGTYPE")
    assert items(little, "A", source) == [b"4"]


def test_too_many_are_refused() -> None:
    little = Little(3, blocked_clients_max=2).ready()
    for _ in range(2):
        waiting(little, "A", "BLPOP", "k", 0)
    reply = little.client("A")("BLPOP", "k", 0)
    assert str(reply).startswith("OVERLOAD 2 clients wait already (blocked-clients-max)")
    assert little["A"].counters.waits_refused == 1
    assert little.client("A")("PING") == b"PONG"


def test_a_message_comes_while_its_client_waits() -> None:
    little = Little(3).ready()
    client = little.client("A")
    client("HELLO", 3)
    client.send("SUBSCRIBE", "news")
    little.run(2)
    client.receive()
    client.send("BLPOP", "k", 0)
    little.run(10)
    assert is_waiting(client)
    little.client("B")("PUBLISH", "news", "hello")
    assert client.receive() == [b"message", b"news", b"hello"]
    assert is_waiting(client)
