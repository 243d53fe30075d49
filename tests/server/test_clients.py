"""Clients' connections: replies in order, and no client can harm the others."""

import socket
import time
from collections.abc import Iterator

import pytest

from respdyn.server import clients
from respdyn.server.process_stats import resident_bytes
from respdyn.sessions import session
from tests.server.stub import Served, Wire, served, until

MB = 1024 * 1024


@pytest.fixture()
def server() -> Iterator[Served]:
    with served() as one:
        yield one


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def test_replies_come_in_the_order_of_commands(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(b"PING\r\n" + command(b"LATER") + command(b"ECHO", b"x"))
    wire.expect(b"+PONG\r\n")
    until(lambda: len(server.node.held) == 1, "the held command")
    server.call(lambda: server.node.release(b"+late\r\n"))
    wire.expect(b"+late\r\n$1\r\nx\r\n")


def test_a_pipeline_is_one_turn(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(command(b"PING"))
    wire.expect(b"+PONG\r\n")
    before = server.node.drains
    wire.send(command(b"PING") * 500)
    wire.expect(b"+PONG\r\n" * 500)
    assert server.node.drains - before <= 2
    assert server.node.advances == server.node.drains


def test_a_command_arrives_in_any_pieces(server: Served) -> None:
    wire = Wire(server.client_port)
    for byte in command(b"ECHO", b"a\r\nb"):
        wire.send(bytes([byte]))
    wire.expect(b"$4\r\na\r\nb\r\n")


def one_is_greedy(server: Served) -> None:
    """Two thousand commands of one client, and one of another that comes after them."""
    greedy, modest = Wire(server.client_port), Wire(server.client_port)
    greedy.send(command(b"PING") * 2000)
    modest.send(command(b"PING"))
    modest.expect(b"+PONG\r\n")
    greedy.expect(b"+PONG\r\n" * 2000)


def test_a_long_pipeline_leaves_room_for_others(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "COMMANDS_PER_TURN", 10)
    one_is_greedy(server)
    assert server.node.drains >= 200


def test_slow_commands_of_one_client_leave_room_for_others(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "HELPING", 10)
    monkeypatch.setattr(clients, "SHARE_S", 0.0)        # all are slow
    one_is_greedy(server)
    assert server.node.drains >= 100


def test_pending_commands_of_one_client_are_bounded(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PENDING_MAX", 10)
    wire = Wire(server.client_port)
    wire.send(command(b"LATER") * 100)
    answered = 0
    while answered < 100:
        until(lambda: bool(server.node.held), "held commands")
        time.sleep(0.02)
        held = len(server.node.held)
        assert held <= 11
        server.call(lambda: server.node.release(b"+late\r\n"))
        wire.expect(b"+late\r\n" * held)
        answered += held


def test_declared_ten_gigabytes_are_refused_at_once(server: Served) -> None:
    wire = Wire(server.client_port)
    before = resident_bytes()
    wire.send(b"*2\r\n$4\r\nECHO\r\n$10737418240\r\n")
    assert wire.rest() == b"-ERR Protocol error: invalid bulk length\r\n"
    assert resident_bytes() - before < 16 * MB
    until(lambda: server.metrics.clients_connected == 0, "the connection is closed")


def test_a_declared_bulk_takes_memory_only_as_it_arrives(server: Served) -> None:
    before = resident_bytes()
    wires = [Wire(server.client_port) for _ in range(50)]
    for wire in wires:
        wire.send(b"*1000000\r\n$500000000\r\nabc")
    until(lambda: server.metrics.clients_connected == 50, "all are connected")
    other = Wire(server.client_port)
    other.send(command(b"PING"))
    other.expect(b"+PONG\r\n")
    assert resident_bytes() - before < 16 * MB


def test_a_protocol_error_is_sent_after_pending_replies_then_closed(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(command(b"LATER") + b"*1\r\n:oops\r\n")
    until(lambda: bool(server.node.held), "the held command")
    server.call(lambda: server.node.release(b"+late\r\n"))
    assert wire.rest() == b"+late\r\n-ERR Protocol error: expected '$', got ':'\r\n"
    assert server.metrics.clients_protocol_errors == 1


def test_a_browser_is_cut_off(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET a b\r\n")
    assert wire.rest() == b""
    assert server.node.table == {}


@pytest.mark.parametrize("garbage", [b"\x00" * 70000, b"$" * 70000, b"*\xff\xff\r\n", b"'\r\n"])
def test_garbage_closes_only_its_own_connection(server: Served, garbage: bytes) -> None:
    wire, other = Wire(server.client_port), Wire(server.client_port)
    wire.send(garbage)
    assert wire.rest().startswith((b"-ERR Protocol error", b""))
    other.send(command(b"PING"))
    other.expect(b"+PONG\r\n")


def test_a_stranger_has_narrow_limits_until_auth() -> None:
    with served(requirepass="x") as server:
        wire = Wire(server.client_port)
        wire.send(command(*[b"a"] * 11))
        assert b"unauthenticated multibulk length" in wire.rest()
        wire = Wire(server.client_port)
        wire.send(command(b"AUTH", b"x") + command(*[b"PING"] * 11))
        wire.expect(b"+OK\r\n+PONG\r\n")


def test_a_client_that_never_reads_costs_little() -> None:
    with served(client_output_soft=MB, client_output_limit=8 * MB) as server:
        before = resident_bytes()
        wire = Wire(server.client_port, receive_bytes=65536)
        wire.send(command(b"BIG", b"1000000") * 200)
        other = Wire(server.client_port)
        for _ in range(20):
            other.send(command(b"PING"))
            other.expect(b"+PONG\r\n")
            time.sleep(0.01)
        assert resident_bytes() - before < 24 * MB
        assert server.node.ran < 60
        for _ in range(30):         # it reads after all: nothing is missing
            wire.expect(b"$1000000\r\n" + bytes(1_000_000) + b"\r\n")


def test_replies_beyond_the_hard_limit_disconnect() -> None:
    with served(client_output_soft=MB, client_output_limit=2 * MB) as server:
        wire = Wire(server.client_port, receive_bytes=4096)
        wire.send(command(b"LATER") * 20)
        until(lambda: len(server.node.held) == 20, "held commands")
        cells = server.node.held
        reply = b"$1000000\r\n" + bytes(1_000_000) + b"\r\n"
        for cell in cells:
            server.call(lambda cell=cell: cell.fill(reply))  # type: ignore[misc]
            time.sleep(0.002)
        until(lambda: server.metrics.clients_output_closed == 1, "it is disconnected")
        until(lambda: not server.node.opened, "its session is closed")


def test_half_closed_clients_get_what_they_asked_for(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(command(b"LATER") + command(b"PING"))
    wire.socket.shutdown(socket.SHUT_WR)
    until(lambda: bool(server.node.held), "the held command")
    server.call(lambda: server.node.release(b"+late\r\n"))
    assert wire.rest() == b"+late\r\n+PONG\r\n"


def test_quit_is_answered_and_closes(server: Served) -> None:
    wire = Wire(server.client_port)
    wire.send(command(b"PING") + command(b"QUIT") + command(b"SET", b"a", b"b"))
    assert wire.rest() == b"+PONG\r\n+OK\r\n"
    assert server.node.table == {}


def test_a_closing_client_that_never_reads_is_aborted(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "LINGER_S", 0.1)
    wire = Wire(server.client_port, receive_bytes=4096)
    wire.send(command(b"LATER") + command(b"QUIT"))
    until(lambda: bool(server.node.held), "the held command")
    server.call(lambda: server.node.release(b"$20000000\r\n" + bytes(20_000_000) + b"\r\n"))
    assert server.metrics.clients_connected == 1
    until(lambda: server.metrics.clients_connected == 0, "it is gone")


def test_too_many_clients_are_refused_in_redis_words() -> None:
    with served(max_clients=2) as server:
        wires = [Wire(server.client_port) for _ in range(2)]
        until(lambda: server.metrics.clients_connected == 2, "two are connected")
        assert Wire(server.client_port).rest() == b"-ERR max number of clients reached\r\n"
        wires[0].close()
        until(lambda: server.metrics.clients_connected == 1, "one has gone")
        again = Wire(server.client_port)
        again.send(command(b"PING"))
        again.expect(b"+PONG\r\n")


def test_idle_clients_are_closed_after_timeout() -> None:
    with served(timeout=1) as server:
        idle, busy = Wire(server.client_port), Wire(server.client_port)
        deadline = time.monotonic() + 6
        while server.metrics.clients_idle_closed == 0:
            assert time.monotonic() < deadline
            busy.send(command(b"PING"))
            busy.expect(b"+PONG\r\n")
            time.sleep(0.05)
        assert idle.rest() == b""
        busy.send(command(b"PING"))
        busy.expect(b"+PONG\r\n")


def test_protected_mode_refuses_strangers_with_an_explanation(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "is_loopback_only", lambda addresses: False)
    text = Wire(server.client_port).rest()
    assert text.startswith(b"-DENIED") and text.endswith(b"\r\n")
    assert b"--requirepass" in text
    with served(requirepass="x") as guarded:
        wire = Wire(guarded.client_port)
        wire.send(command(b"PING"))
        wire.expect(b"+PONG\r\n")


def test_ten_thousand_idle_connections_are_cheap(server: Served) -> None:
    count = 1500    # descriptors of this process limit it: each connection takes two here
    Wire(server.client_port).close()
    before = resident_bytes()
    wires = [Wire(server.client_port) for _ in range(count)]
    until(lambda: server.metrics.clients_connected >= count, "all are connected")
    assert (resident_bytes() - before) / count < 20 * 1024
    for wire in wires:
        wire.close()


def test_a_slow_drip_holds_no_other_client_up(server: Served) -> None:
    slow, other = Wire(server.client_port), Wire(server.client_port)
    request = command(b"ECHO", b"drip")
    for byte in request:
        slow.send(bytes([byte]))
        other.send(command(b"PING"))
        other.expect(b"+PONG\r\n")
    slow.expect(b"$4\r\ndrip\r\n")
