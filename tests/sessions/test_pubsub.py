"""Messages reach listeners at every node, in the publisher's order, and the count is of all."""

import random

from respdyn.commands.scan import glob_match
from respdyn.sessions.patterns import Patterns
from tests.little import Client, Little


def pushed(client: Client) -> list[object]:
    """Everything that a client has received and not looked at."""
    client._reader.feed(client.session.take())
    found = []
    while (one := client._reader.gets()) is not False:
        found.append(one)
    return found


def test_a_message_reaches_listeners_at_all_nodes_and_all_are_counted() -> None:
    little = Little(3).ready()
    listeners = [little.client(name) for name in "ABC"]
    for client in listeners:
        assert client("SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    pattern = little.client("B")
    pattern("PSUBSCRIBE", "n*")
    assert little.client("A")("PUBLISH", "news", "hi") == 4
    assert all(pushed(client) == [[b"message", b"news", b"hi"]] for client in listeners)
    assert pushed(pattern) == [[b"pmessage", b"n*", b"news", b"hi"]]
    assert little.client("C")("SPUBLISH", "news", "hi") == 0


def test_who_subscribed_before_a_publish_elsewhere_receives_it() -> None:
    little = Little(3).ready()
    for number in range(20):
        listener, publisher = little.client("A"), little.client("C")
        assert listener("SUBSCRIBE", f"c{number}")
        publisher.send("PUBLISH", f"c{number}", "x")    # in the very turn of the reply
        assert publisher.receive() == 1
        assert pushed(listener) == [[b"message", b"c%d" % number, b"x"]]


def test_a_publishers_order_is_kept_at_every_node() -> None:
    little = Little(3).ready()
    listeners = [little.client(name) for name in "ABC"]
    for client in listeners:
        client("SUBSCRIBE", "a", )
        client("PSUBSCRIBE", "b*")
    publisher = little.client("B")
    for number in range(50):
        publisher.send("PUBLISH", "a" if number % 3 else "bb", number)
        if number % 7 == 0:
            little.step()
    for _ in range(50):
        assert publisher.receive() == 3
    wanted = [b"%d" % number for number in range(50)]
    for client in listeners:
        assert [message[-1] for message in pushed(client) if b"message" in message[0]] == wanted  # type: ignore[index]


def test_a_publish_waits_for_its_own_clients_writes() -> None:
    little = Little(3).ready()
    listener = little.client("A")
    listener("SUBSCRIBE", "done")
    publisher, key = little.client("B"), little.key_of("C")
    publisher.send("SET", key, "v")
    publisher.send("PUBLISH", "done", key)
    is_received = False
    for _ in range(50):
        little.step()
        if pushed(listener):
            is_received = True
            reader = little.client("A")
            assert reader("GET", key) == b"v"
            break
    assert is_received and [publisher.receive(), publisher.receive()] == [b"OK", 1]


def test_a_node_that_is_cut_off_is_neither_reached_nor_counted() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    a("SUBSCRIBE", "c")
    b("SUBSCRIBE", "c")
    little.cut("A", "B")
    little.run(10)
    assert little.client("A")("PUBLISH", "c", "lost") == 1
    assert (pushed(a), pushed(b)) == ([[b"message", b"c", b"lost"]], [])
    little.heal()
    little.run(3000)
    assert little.client("A")("PUBLISH", "c", "again") == 2
    assert pushed(b) == [[b"message", b"c", b"again"]]


def test_a_silent_node_costs_the_publisher_the_time_out_at_most() -> None:
    little = Little(3).ready()
    b, c = little.client("B"), little.client("C")
    b("SUBSCRIBE", "c")
    c("SUBSCRIBE", "c")
    little.holds |= {(0, 2), (2, 0), (1, 2), (2, 1)}
    began = little.now_ms
    assert little.client("A")("PUBLISH", "c", "x") == 1
    assert little.now_ms - began <= 2100
    assert pushed(b) == [[b"message", b"c", b"x"]]
    little.heal()
    little.run(3000)
    assert little.client("A")("PUBLISH", "c", "y") == 2


def test_subscribers_are_those_of_the_cluster_and_those_of_the_node_on_the_cluster_port() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    a("SUBSCRIBE", "c1")
    b("SUBSCRIBE", "c1")
    b.send("SUBSCRIBE", "c2")
    a("PSUBSCRIBE", "p*")
    b("PSUBSCRIBE", "p*")
    asking = little.client("C")
    assert sorted(asking("PUBSUB", "CHANNELS")) == [b"c1", b"c2"]  # type: ignore[call-overload]
    assert asking("PUBSUB", "NUMSUB", "c1", "c2", "no") == [b"c1", 2, b"c2", 1, b"no", 0]
    assert asking("PUBSUB", "NUMPAT") == 1
    one = little.client("A", "cluster")
    assert one("PUBSUB", "CHANNELS") == [b"c1"]
    assert one("PUBSUB", "NUMSUB", "c1", "c2") == [b"c1", 1, b"c2", 0]


def test_messages_that_wait_behind_a_reply_are_bounded() -> None:
    little = Little(3, pubsub_output_limit=10_000, pubsub_output_soft=10_000).ready()
    slow, key = little.client("A"), little.key_of("B")
    slow("HELLO", "3")
    slow("SUBSCRIBE", "c")
    little.holds |= {(1, 0)}         # the reply to this GET will be long in coming
    slow.send("SET", key, "v")
    little.run(2)
    publisher = little.client("A")
    for _ in range(50):
        publisher.send("PUBLISH", "c", "x" * 1000)
    assert slow.session.closing and not slow.session.pending and not slow.session.out
    little.heal()
    little.run(10)
    assert publisher.receive() in (0, 1)


def test_patterns_are_found_as_by_comparing_all_of_them() -> None:
    chance = random.Random(4)
    pieces = [b"a", b"b", b"*", b"?", b"[ab]", b"\\*", b"ab" * 20]
    patterns = Patterns()
    known: set[bytes] = set()
    for _ in range(400):
        pattern = b"".join(chance.choices(pieces, k=chance.randrange(5)))
        if pattern in known and chance.random() < 0.5:
            known.discard(pattern)
            patterns.remove(pattern)
        else:
            known.add(pattern)
            patterns.add(pattern)
        name = b"".join(chance.choices([b"a", b"b", b"*", b"ab" * 20], k=chance.randrange(5)))
        found = [one for one in patterns.candidates(name) if patterns.matches(one, name)]
        assert sorted(found) == sorted(one for one in known if glob_match(one, name))
