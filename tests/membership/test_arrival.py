"""A node that has just started meets the others before it answers a client."""


from respdyn.resp.replies import bulks
from respdyn.resp.requests import RequestLimits, RequestReader
from respdyn.sessions.session import PENDING_MAX
from tests.little import Little


def test_a_restarted_node_is_met_at_once_although_no_node_has_anything_to_say() -> None:
    little = Little(3).ready()
    for name in "ABC":
        little.run(2345)
        little.kill(name)
        little.run(300)
        little.boot(name)
        little.run(20)
        here = little[name].identity.node_id
        for other in "ABC".replace(name, ""):
            assert little[name].links[little[other].identity.node_id].is_up
            assert little[other].links[here].is_up


def test_a_client_of_a_node_that_starts_waits_until_it_has_met_the_others() -> None:
    little = Little(3).ready()
    little.run(2000)
    little.kill("B")
    little.run(500)
    little.boot("B")
    client = little.client("B")
    client.send("SET", "k", "1")
    client.send("GET", "k")
    client.send("PING")
    assert not client.session.out                       # nothing is refused, and order is kept
    assert [client.receive(50) for _ in range(3)] == [b"OK", b"1", b"PONG"]
    assert not any(machine.node.hints.count for machine in little.machines)


def test_what_concerns_the_connection_alone_is_answered_at_once() -> None:
    little = Little(3).ready()
    little.kill("B")
    little.boot("B")
    client = little.client("B")
    for words in (
        ("PING",), ("CLIENT", "SETNAME", "x"), ("SELECT", 0), ("INFO", "server"), ("MULTI",),
        ("DISCARD",), ("DYN.CLUSTER", "MEMBERS"), ("CONFIG", "GET", "port"), ("HELLO", 3),
    ):
        client.send(*words)
        assert client.receive(2) is not None, words     # the others are not met so soon
    little.kill("B")
    little.boot("B")
    waiting = (("CLUSTER", "SLOTS"), ("PUBLISH", "c", "m"), ("SUBSCRIBE", "c"), ("WATCH", "k"))
    clients = [little.client("B") for _ in waiting]
    for client, words in zip(clients, waiting, strict=True):
        client.send(*words)
        assert not client.session.out, words
    assert all(client.receive(50) is not None for client in clients)


def test_nodes_that_form_a_cluster_refuse_no_command() -> None:
    little = Little(3)
    clients = [little.client(name, "cluster") for name in "ABC"]
    for client in clients:
        client.send("CLUSTER", "SLOTS")
        client.send("SET", "k", "v")
    for client in clients:
        shown = client.receive(1500)
        assert isinstance(shown, list) and shown
        said = str(client.receive(1500))
        assert "OK" in said or said.startswith("MOVED")


def test_a_node_alone_lets_no_client_wait() -> None:
    little = Little(1)
    client = little.client("A")
    client.send("SET", "k", "v")
    assert client.session.out


def test_a_node_that_meets_no_other_says_so_after_a_while() -> None:
    little = Little(3, request_timeout_ms=700).ready()
    for name in "ABC":
        little.kill(name)
    little.boot("B")
    client = little.client("B")
    client.send("SET", "k", "v")
    little.run(690)
    assert not client.session.out and "in reach" in little["B"].readiness.unready()
    assert "NOQUORUM" in str(client.receive(30))
    client.send("SET", "k", "v")
    assert client.session.out                           # and from then on at once


def test_a_node_that_is_no_member_says_so_at_once() -> None:
    little = Little(3).ready()
    little.add()
    little.run(50)
    client = little.client("D")
    client.send("SET", "k", "v")
    assert "waits to be joined" in str(client.receive(20))


def test_how_much_may_wait_is_bounded_and_the_rest_is_taken_later() -> None:
    little = Little(3).ready()
    little.kill("B")
    little.boot("B")
    client = little.client("B")
    reader = RequestReader(RequestLimits(), True)
    lines = [bulks((b"SET", b"k%d" % at, b"v")) for at in range(PENDING_MAX + 500)]
    reader.feed(b"".join(lines))
    ran = little["B"].serve(client.session, reader, 10_000, 1 << 20)
    assert 490 <= len(lines) - ran <= 500
    assert client.receive(50) == b"OK"
    while reader.has_input():
        little["B"].serve(client.session, reader, 10_000, 1 << 20)
        little.step()
    assert {client.receive(50) for _ in range(PENDING_MAX + 499)} == {b"OK"}
