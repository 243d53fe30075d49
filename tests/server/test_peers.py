"""Peers find each other, prove themselves, and lose nothing but a connection to a bad one."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from respdyn.metrics import ServerMetrics
from respdyn.resp.replies import array, bulk
from respdyn.server import handshake, peers
from respdyn.server.channel import Sealer
from respdyn.server.dialer import Dial, Outgoing
from tests.server.stub import LOOPBACK, Chance, Served, Wire, served, until


@pytest.fixture()
def server() -> Iterator[Served]:
    with served("a", peer_secret="s") as one:
        yield one


def introduce(one: Served, other: Served) -> None:
    """Let the first dial the second."""
    one.node.wanted = {f"{LOOPBACK}:{other.peer_port}": None}


def offer(wire: Wire) -> bytes:
    """The listener's nonce."""
    data = b""
    while (message := handshake.decode(data)) is None:
        data += wire.socket.recv(4096)
    return handshake.read_offer(message[0])


def hello(nonce: bytes, greeting: bytes, secret: bytes = b"s") -> bytes:
    nonce2 = bytes(handshake.NONCE_BYTES)
    proof = handshake.dialer_proof(secret, nonce, nonce2, greeting)
    return handshake.encode(handshake.HELLO, nonce2, proof, greeting)


class Proved(Wire):
    """A proved connection: what is sent on it is a frame."""

    sealer: Sealer | None = None

    def send(self, data: bytes) -> None:
        super().send(data if self.sealer is None else self.sealer.head(data) + data)


def enter(server: Served, name: bytes = b"x") -> Proved:
    """A proved connection of a made-up peer."""
    wire = Proved(server.peer_port)
    nonce = offer(wire)
    wire.send(hello(nonce, b"one/" + name))
    wire.sealer = Sealer(handshake.session_key(b"s", nonce, bytes(handshake.NONCE_BYTES)))
    data = b""
    while (message := handshake.decode(data)) is None:
        data += wire.socket.recv(4096)
    assert message[0][0] == handshake.WELCOME
    return wire


def test_frames_travel_from_dialer_to_listener(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        introduce(server, other)
        until(lambda: server.node.links == [("b", True)], "the link is up")
        frame = array([bulk(b"one"), bulk(bytes(100_000))])
        server.call(lambda: server.node.out.extend([("b", frame), ("b", frame), ("c", frame)]))
        until(lambda: len(other.node.frames) == 2, "two frames arrive")
        assert other.node.frames[0] == ("a", [b"one", bytes(100_000)])
        assert server.metrics.peer_frames_lost == 1


def test_a_lost_peer_is_dialled_until_it_is_back(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        introduce(server, other)
        until(lambda: server.node.links == [("b", True)], "the link is up")
        port = other.peer_port
    until(lambda: server.node.links == [("b", True), ("b", False)], "the link is down")
    until(lambda: server.metrics.peer_dials > 3, "it dials again")
    listener = socket.create_server((LOOPBACK, port))
    listener.settimeout(5)
    connection, _ = listener.accept()
    connection.close()
    listener.close()


def test_the_node_knows_why_a_peer_cannot_be_reached_until_it_is(server: Served) -> None:
    unreached = server.node.readiness.unreached
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
    server.node.wanted = {f"{LOOPBACK}:{port}": None}
    until(lambda: unreached == {f"{LOOPBACK}:{port}": "no server listens there"}, "it is reported")
    with served("b", peer_secret="other") as other:
        introduce(server, other)
        address = f"{LOOPBACK}:{other.peer_port}"
        until(lambda: unreached == {address: "refused: wrong peer secret"}, "and so it is")
    with served("b", peer_secret="s") as other:
        introduce(server, other)
        until(lambda: server.node.links == [("b", True)], "the link is up")
        assert unreached == {}


def test_a_connection_to_who_is_down_is_replaced_if_nothing_arrives(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        introduce(server, other)
        until(lambda: server.node.links == [("b", True)], "the link is up")
        frame = array([bulk(bytes(20_000_000))])        # more than the system takes
        over = threading.Event()
        other._loop.call_soon_threadsafe(over.wait, 5)   # no peer reads there
        server.call(lambda: server.node.out.append(("b", frame)))
        time.sleep(0.8)
        assert server.metrics.peer_links_abandoned == 0, "it is stuck, but not down"
        server.node.down.add("b")
        until(lambda: server.node.links == [("b", True), ("b", False)], "it is given up")
        assert server.metrics.peer_links_abandoned == 1
        over.set()
        until(lambda: server.node.links[2:] == [("b", True)], "and made anew")
        # The peer is still held for down, but what is sent arrives.
        for _ in range(10):
            server.call(lambda: server.node.out.append(("b", array([bulk(b"small")]))))
            time.sleep(0.1)
        assert server.metrics.peer_links_abandoned == 1


def test_an_attempt_lasts_no_longer_than_a_connection_usually_takes(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        introduce(server, other)
        until(lambda: server.node.links == [("b", True)], "the link is up")
        dial = server.peers._dials[f"{LOOPBACK}:{other.peer_port}"]
        assert dial._connect_s < 2.0
    until(lambda: server.node.links == [("b", True), ("b", False)], "the link is down")
    dials = server.metrics.peer_dials
    time.sleep(1.5)
    assert server.metrics.peer_dials >= dials + 4       # it was there a moment ago


def test_a_connection_that_is_made_as_its_attempt_ends_is_not_the_last() -> None:
    made: list[Outgoing] = []

    class Closed:
        """What the loop closes at a time-out, and reports to no one."""

        wire = socket.socket()

        def get_extra_info(self, name: str) -> socket.socket:
            return self.wire

        def abort(self) -> None:
            pass

        close = abort

    async def create_connection(
        protocol: Callable[[], Outgoing], host: str, port: int, ssl: object
    ) -> None:
        made.append(protocol())
        made[-1].connection_made(Closed())    # type: ignore[arg-type]
        await asyncio.sleep(60)

    async def dial() -> None:
        loop = asyncio.get_running_loop()
        owner = SimpleNamespace(
            loop=SimpleNamespace(
                time=loop.time, create_task=loop.create_task, call_later=loop.call_later,
                create_connection=create_connection,
            ),
            metrics=ServerMetrics(), tls=SimpleNamespace(dialer=None), links={}, handshake_s=1.0,
            random=Chance(), unreached=lambda address, reason: None,
        )
        one = Dial(owner, f"{LOOPBACK}:1")      # type: ignore[arg-type]
        one._connect_s = 0.02
        one.attend()
        async with asyncio.timeout(20):
            while len(made) < 3:
                await asyncio.sleep(0.01)
        one.stop()

    asyncio.run(dial())
    Closed.wire.close()


def test_who_speaks_is_dialled_at_once(server: Served) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
    address = f"{LOOPBACK}:{port}"
    incoming = enter(server, b"x")
    server.node.wanted = {address: "x"}
    until(lambda: server.metrics.peer_dials > 1, "no peer is there")
    dial = server.peers._dials[address]
    until(lambda: not dial.is_busy, "the attempt is over")

    def rest_long() -> None:
        dial._pause_s = 60.0
        dial._later()

    server.call(rest_long)
    with socket.create_server((LOOPBACK, port)) as listener:
        listener.settimeout(5)
        incoming.send(array([bulk(b"a frame")]))
        connection, _ = listener.accept()
        connection.close()


def test_pauses_between_attempts_grow(server: Served) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
    server.node.wanted = {f"{LOOPBACK}:{port}": None}
    time.sleep(2.0)
    assert 3 <= server.metrics.peer_dials <= 9
    assert server.trace.events == []


def test_a_peer_that_comes_is_dialled_at_once(server: Served) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
    address = f"{LOOPBACK}:{port}"
    server.node.wanted = {address: "x"}
    until(lambda: server.metrics.peer_dials > 1, "no peer is there")
    dial = server.peers._dials[address]
    until(lambda: not dial.is_busy, "the attempt is over")

    def rest_long() -> None:
        dial._pause_s = 60.0
        dial._later()

    server.call(rest_long)
    with socket.create_server((LOOPBACK, port)) as listener:
        listener.settimeout(5)
        enter(server, b"x")
        connection, _ = listener.accept()
        connection.close()


@pytest.mark.parametrize(("secret", "greeting", "reason"), [
    (b"wrong", b"one/x", "wrong peer secret"),
    (b"s", b"two/x", "the peer belongs to cluster two"),
])
def test_strangers_are_refused_and_logged_once(
    server: Served, secret: bytes, greeting: bytes, reason: str
) -> None:
    for _ in range(3):
        wire = Wire(server.peer_port)
        wire.send(hello(offer(wire), greeting, secret))
        assert wire.rest() == handshake.encode(b"REFUSED", reason.encode())
    assert server.trace.named("peer_refused") == [{"address": LOOPBACK, "reason": reason}]
    assert server.metrics.peer_refused == 3
    assert server.node.links == [] and server.node.frames == []


@pytest.mark.parametrize("garbage", [
    b"SET a b\r\n", b"GET / HTTP/1.1\r\n\r\n", b"*1000000000\r\n", b"*1\r\n" * 10000,
    b"\x16\x03\x01" + bytes(200), b"*1\r\n$70000\r\n", bytes(1_000_000),
])
def test_garbage_on_the_peer_port_is_refused_before_it_is_parsed(
    server: Served, garbage: bytes
) -> None:
    wire = Wire(server.peer_port)
    try:
        wire.send(garbage)
    except ConnectionError:
        pass
    wire.rest()
    assert server.metrics.peer_refused == 1
    enter(server)


def test_proof_must_come_in_time() -> None:
    with served("a", handshake_timeout_ms=100) as server:
        wire = Wire(server.peer_port)
        nonce = offer(wire)
        assert handshake.decode(wire.rest()) == (
            [b"REFUSED", b"handshake took too long"], b""
        )
        assert nonce


def test_a_replayed_proof_is_refused(server: Served) -> None:
    first, second = Wire(server.peer_port), Wire(server.peer_port)
    message = hello(offer(first), b"one/x")
    offer(second)
    second.send(message)
    assert b"wrong peer secret" in second.rest()


def test_unproved_connections_are_bounded(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "UNPROVED_MAX", 5)
    wires = [Wire(server.peer_port) for _ in range(6)]
    assert b"too many connections" in wires[0].rest()
    enter(server)


def test_a_peer_that_sends_nonsense_is_dropped(server: Served) -> None:
    for nonsense in (b":1\r\n", b"+OK\r\n", b"?\r\n", array([bulk(b"nonsense")])):
        wire = enter(server)
        wire.send(nonsense)
        assert wire.rest() == b""
    assert server.metrics.peer_protocol_errors == 4


def test_a_map_with_a_key_that_cannot_be_one_is_dropped(server: Served) -> None:
    wire = enter(server)
    wire.send(b"%1\r\n*1\r\n:1\r\n:2\r\n")
    assert wire.rest() == b""
    assert server.metrics.peer_protocol_errors == 1


def test_what_is_not_proved_is_not_read(server: Served) -> None:
    """An attacker in between cannot insert a frame into a connection that stands."""
    wire = enter(server)
    wire.send(array([bulk(b"one")]))
    until(lambda: server.node.frames == [("x", [b"one"])], "the first")
    inserted = array([bulk(b"ACL SETUSER mallory on nopass +@all")])
    wire.socket.sendall(Sealer(bytes(32)).head(inserted) + inserted)
    assert wire.rest() == b""
    assert len(server.node.frames) == 1
    assert "not proved" in str(server.trace.named("peer_refused")[0]["reason"])


def test_a_fault_at_a_peers_frame_costs_its_link_and_nothing_else(server: Served) -> None:
    """Whatever unforeseen fault a frame meets here, the node goes on."""
    frame_before = server.node.frame

    def fail(peer: str, items: list[bytes]) -> None:
        assert items[0] != b"deadly", "an unforeseen fault"
        frame_before(peer, items)

    server.node.frame = fail        # type: ignore[method-assign]
    good = enter(server, b"good")
    for _ in range(3):
        bad = enter(server, b"bad")
        bad.send(array([bulk(b"deadly"), bulk(b"rest")]))
        assert bad.rest() == b""
    good.send(array([bulk(b"alive")]))
    until(lambda: ("good", [b"alive"]) in server.node.frames, "the other goes on")
    assert server.metrics.peer_faults == 3
    [logged] = server.trace.named("peer_frame_failed")
    assert "deadly" in str(logged["head"]) and "unforeseen" in str(logged["error"])


def test_a_frame_beyond_the_limit_is_dropped() -> None:
    with served("a", peer_secret="s", peer_frame_limit=100_000) as server:
        wire = enter(server)
        for _ in range(10):
            wire.send(array([bulk(bytes(50_000))]))
        until(lambda: len(server.node.frames) == 10, "frames within the limit")
        try:
            wire.send(b"*1\r\n$1000000000\r\n" + bytes(300_000))
        except ConnectionError:
            pass
        wire.rest()
        assert server.metrics.peer_protocol_errors == 1


def test_a_first_frame_that_was_held_up_for_too_long_is_refused() -> None:
    with served("a", peer_secret="s", message_max_age_ms=100) as server:
        wire = enter(server)
        wire.send(array([bulk(b"in time")]))
        until(lambda: len(server.node.frames) == 1, "the first frame")
        time.sleep(0.3)
        wire.send(array([bulk(b"later ones are judged by what they echo")]))
        until(lambda: len(server.node.frames) == 2, "the second")
        stalled = enter(server, b"y")
        time.sleep(0.3)
        stalled.send(array([bulk(b"late")]))
        assert stalled.rest() == b""
        assert len(server.node.frames) == 2
        assert server.metrics.peer_protocol_errors == 1


def test_a_newer_connection_of_a_peer_replaces_the_older(server: Served) -> None:
    older = enter(server, b"x")
    newer = enter(server, b"x")
    assert older.rest() == b""
    newer.send(array([bulk(b"hi")]))
    until(lambda: server.node.frames == [("x", [b"hi"])], "the newer one is read")


def test_a_node_recognises_itself_and_stops_dialling(server: Served) -> None:
    introduce(server, server)
    until(lambda: server.metrics.peer_dials == 1, "it dials itself once")
    time.sleep(0.6)
    assert server.metrics.peer_dials == 1
    assert server.node.links == [] and server.trace.events == []


def test_two_addresses_of_one_peer_make_one_link(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        server.node.wanted = {
            f"{LOOPBACK}:{other.peer_port}": None, f"localhost:{other.peer_port}": None,
        }
        until(lambda: server.metrics.peer_dials == 2, "both are dialled")
        time.sleep(0.6)
        links = server.node.links[:]
        assert links[-1] == ("b", True) and len(links) <= 5
        time.sleep(0.4)
        assert server.node.links == links
        frame = array([bulk(b"hi")])
        server.call(lambda: server.node.out.append(("b", frame)))
        until(lambda: other.node.frames == [("a", [b"hi"])], "a frame arrives, once")


def test_a_seed_that_becomes_a_member_keeps_its_connection(server: Served) -> None:
    with served("b", peer_secret="s") as other:
        server.node.wanted = {f"localhost:{other.peer_port}": None}
        until(lambda: server.node.links == [("b", True)], "the link is up")
        server.node.wanted = {f"{LOOPBACK}:{other.peer_port}": "b"}
        time.sleep(0.6)
        assert server.node.links == [("b", True)]
        server.node.wanted = {}
        until(lambda: server.node.links == [("b", True), ("b", False)], "it is let go")


def test_a_peer_that_does_not_read_loses_its_link_not_our_memory() -> None:
    with served("a", peer_output_limit=1_000_000) as server:
        listener = socket.create_server((LOOPBACK, 0))
        listener.settimeout(5)
        server.node.wanted = {f"{LOOPBACK}:{listener.getsockname()[1]}": None}
        connection, _ = listener.accept()
        nonce = bytes(range(handshake.NONCE_BYTES))
        connection.sendall(handshake.encode(handshake.MAGIC, handshake.VERSION, nonce))
        data = b""
        while (message := handshake.decode(data)) is None:
            data += connection.recv(4096)
        nonce2, _ = handshake.read_hello(b"", nonce, message[0])
        proof = handshake.listener_proof(b"", nonce, nonce2, b"one/z")
        connection.sendall(handshake.encode(handshake.WELCOME, proof, b"one/z"))
        until(lambda: server.node.links == [("z", True)], "the link is up")
        for _ in range(20):
            server.call(lambda: server.node.out.append(("z", bytes(1_000_000))))
        until(lambda: ("z", False) in server.node.links, "the link is dropped")
        assert server.metrics.peer_output_dropped == 1
        connection.close()
        listener.close()


def test_a_listener_with_another_secret_is_not_believed(server: Served) -> None:
    with served("b", peer_secret="other") as other:
        introduce(server, other)
        until(lambda: bool(server.trace.events), "it is reported")
        time.sleep(0.3)
        assert [fields["reason"] for fields in server.trace.named("peer_refused")] == [
            "refused: wrong peer secret"
        ]
        assert server.node.links == [] and other.node.links == []
