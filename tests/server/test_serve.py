"""A node as its users meet it: it starts at once, refuses in one line, and stops without loss."""

import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.process import ROOT, as_mortal, free_port, node, run, running
from tests.server.stub import Wire, until

MEMORY = "--engine=memory"


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET."""
    wire = Wire(port)
    wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = wire.rest().decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


def test_a_node_serves_reports_and_stops() -> None:
    with node(MEMORY) as (one, port):
        wire = Wire(port)
        wire.send(b"SET greeting hello\r\nGET greeting\r\n")
        wire.expect(b"+OK\r\n$5\r\nhello\r\n")
        for more in (1000, 2000, 10_000):
            assert f"127.0.0.1:{port + more}" in one.output
        assert " n=1 r=1 w=1 engine=memory" in one.output
        assert get(port + 2000, "/livez") == (200, "alive\n")
        assert get(port + 2000, "/readyz") == (200, "ready\n")
        status, text = get(port + 2000, "/metrics")
        assert status == 200
        for line in ("redis_up 1.0", 'redis_commands_total{cmd="get"} 1.0',
                     "redis_connected_clients 1.0", 'redis_db_keys{db="db0"} 1.0',
                     "respdyn_turn_duration_seconds_bucket", "respdyn_ring_version 1.0",
                     'respdyn_request_duration_seconds_bucket{le="0.001",operation="write"',
                     'respdyn_background_bytes_total{kind="exchange"}', "respdyn_tombstones 0.0",
                     "respdyn_clock_doubted 0.0", "respdyn_exchange_due"):
            assert line in text
        manual = (ROOT / "docs" / "operations.md").read_text()
        missing = [name for name in re.findall(r"respdyn_[a-z_]+", manual) if name not in text]
        assert not missing, "the manual speaks of metrics that there are not"
        names = {family.name for family in text_string_to_metric_families(text)}
        assert len(names) > 40 and all(name.startswith(("redis_", "respdyn_")) for name in names)
        assert get(port + 2000, "/x?y")[0] == 404
        wire.send(b"INFO everything\r\nQUIT\r\n")
        info = wire.rest()
        assert b"dynamo_writes_coordinated:1\r\n" in info and info.endswith(b"+OK\r\n")
        assert one.stop() == 0
        assert "stopped flushed=yes" in one.output


def test_who_waits_and_hangs_up_is_given_nothing() -> None:
    with node(MEMORY) as (_, port):
        other = Wire(port)
        for behind in (b"", b"PING\r\nSET k v\r\n"):
            gone = Wire(port)
            gone.send(b"BLPOP l 0\r\n" + behind)
            info = b""
            while b"blocked_clients:1\r\n" not in info:
                other.send(b"INFO clients\r\n")
                info = other.socket.recv(4096)
            gone.socket.shutdown(socket.SHUT_WR)
            assert gone.rest() == b""
            other.send(b"RPUSH l x\r\nLLEN l\r\nDEL l\r\nGET k\r\n")
            other.expect(b":1\r\n:1\r\n:1\r\n$-1\r\n")


@pytest.mark.parametrize("garbage", [
    b"POST /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(300), b"GET " + b"a" * 20_000,
    b"PING\r\n",
])
def test_garbage_on_the_http_port_closes_the_connection(garbage: bytes) -> None:
    with node(MEMORY) as (_, port):
        wire = Wire(port + 2000)
        try:
            wire.send(garbage)
        except ConnectionError:
            pass
        assert wire.rest() == b""
        assert get(port + 2000, "/livez")[0] == 200


def test_half_requests_keep_no_health_check_out() -> None:
    with node(MEMORY) as (_, port):
        halves = [Wire(port + 2000) for _ in range(100)]
        for one in halves:
            one.send(b"GET /readyz HTT")
        for path in ("/livez", "/readyz", "/metrics"):
            assert get(port + 2000, path)[0] == 200
        assert halves[0].rest() == b""      # the oldest had to go
        halves[-1].send(b"P/1.1\r\n\r\n")
        assert halves[-1].rest().startswith(b"HTTP/1.1 200")


def test_a_secret_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("too short\n")
    for mode, is_warned in ((0o644, True), (0o600, False)):
        secret.chmod(mode)
        done = run("serve", f"--peer-secret-file={secret}", "--seeds=10.0.0.1:1", "--bind=0.0.0.0")
        assert ("others can read it" in done.stderr) is is_warned and done.returncode == 2


def test_what_was_acknowledged_before_sigterm_is_there_after(tmp_path: Path) -> None:
    port = free_port()
    data = f"--data-dir={tmp_path / 'data'}"
    with node(data, port=port) as (one, _):
        wire = Wire(port)
        for i in range(100):
            wire.send(b"SET key:%d value\r\n" % i)
            wire.expect(b"+OK\r\n")
        assert one.stop(signal.SIGINT) == 0
    with node(data, port=port) as (one, _):
        assert "life=same" in one.output
        wire = Wire(port)
        wire.send(b"DBSIZE\r\nGET key:99\r\n")
        wire.expect(b":100\r\n$5\r\nvalue\r\n")


def test_commands_under_way_at_sigterm_are_answered(tmp_path: Path) -> None:
    with node(f"--data-dir={tmp_path}", "--durability=always") as (one, port):
        wire = Wire(port)
        wire.send(b"SET a b\r\n" * 500)
        wire.expect(b"+OK\r\n")
        one.process.send_signal(signal.SIGTERM)
        assert wire.rest().count(b"\r\n") == 499
        assert one.process.wait(10) == 0


def test_a_second_signal_ends_at_once() -> None:
    with node(MEMORY) as (one, port):
        wire = Wire(port, receive_bytes=4096)
        wire.send(b"SET big " + b"x" * 60_000 + b"\r\n" + b"GET big\r\n" * 3000)
        until(lambda: get(port + 2000, "/livez")[0] == 200, "it turns")
        one.process.send_signal(signal.SIGTERM)
        one.says("stopping")
        began = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(5) in (0, 1)
        assert time.monotonic() - began < 1


def test_a_replaced_storage_process_loses_nothing(tmp_path: Path) -> None:
    port = free_port()
    with node(f"--data-dir={tmp_path}", port=port) as (one, _):
        wire = Wire(port)
        wire.send(b"SET before x\r\n")
        wire.expect(b"+OK\r\n")
        children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not show a process's children")
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        one.says("storage_failed")
        one.says("storage_recovered")
        wire.send(b"SET after x\r\n")
        wire.expect(b"+OK\r\n")
        assert one.output.count("storage_failed") == 1
        assert "respdyn_storage_failures_total 1.0" in get(port + 2000, "/metrics")[1]
        assert one.stop() == 0
    with node(f"--data-dir={tmp_path}", port=port) as (_, _):
        wire = Wire(port)
        wire.send(b"EXISTS before after\r\n")
        wire.expect(b":2\r\n")


def test_a_mistake_of_our_own_ends_the_process() -> None:
    port = free_port()
    code = (
        "import sys\n"
        "from respdyn.cli.main import main\n"
        "from respdyn.node import Node\n"
        "def fail(self, *given): raise AssertionError('impossible')\n"
        "Node.serve = fail\n"
        f"sys.exit(main(['serve', '--engine=memory', '--port={port}', '--http-port=0']))\n"
    )
    with running(program=[sys.executable, "-c", code]) as one:
        one.says(" ready ")
        Wire(port).send(b"PING\r\n")
        assert one.process.wait(10) == 70
        assert "crashed error=" in one.output and "AssertionError: impossible" in one.output


def test_a_port_in_use_is_reported_before_anything_else(tmp_path: Path) -> None:
    port = free_port()
    for name, taken in (("port", port), ("cluster-port", port + 1000),
                        ("peer-port", port + 10_000), ("http-port", port + 2000)):
        with socket.create_server(("127.0.0.1", taken)):
            done = run("serve", f"--port={port}", f"--http-port={port + 2000}",
                       f"--data-dir={tmp_path / 'data'}")
        assert done.returncode == 2
        assert done.stderr == (
            f"respdyn: {name} {taken} on 127.0.0.1 is in use by another process;"
            f" stop it or choose another with --{name}\n"
        )
    assert not (tmp_path / "data").exists()


def test_a_foreign_address_is_reported() -> None:
    done = run("serve", MEMORY, "--bind=192.0.2.77", f"--port={free_port()}")
    assert done.returncode == 2
    assert done.stderr == "respdyn: bind 192.0.2.77: this machine has no such address\n"


def test_an_unusable_data_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run(
        "serve", f"--port={free_port()}", "--http-port=0", f"--data-dir={tmp_path / 'file'}"
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert str(tmp_path / "file") in done.stderr


def test_an_unwritable_data_directory_is_reported(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    done = run("serve", f"--port={free_port()}", "--http-port=0", f"--data-dir={closed}/data",
               program=as_mortal())
    assert done.returncode == 2
    assert f"data directory {closed}/data: Permission denied" in done.stderr


def test_a_read_only_file_system_is_reported() -> None:
    done = run("serve", f"--port={free_port()}", "--http-port=0", "--data-dir=/proc/respdyn")
    assert done.returncode == 2
    assert done.stderr.startswith("respdyn: data directory /proc/respdyn: ")


def test_a_locked_data_directory_is_reported(tmp_path: Path) -> None:
    with node(f"--data-dir={tmp_path}") as (_, port):
        other = free_port()
        done = run("serve", f"--port={other}", f"--http-port={other + 2000}",
                   f"--data-dir={tmp_path}")
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert str(tmp_path) in done.stderr
        Wire(port).send(b"PING\r\n")


@pytest.mark.parametrize(("flags", "text"), [
    (["--r=4", "--seeds=127.0.0.1:1"], "r 4: is above n (3)"),
    (["--sedes=x"], "unknown flag --sedes=x (did you mean '--seeds'?)"),
    (["--partitions=3"], "partitions 3: must be a power of two"),
    (["--config=/nonexistent"], "config /nonexistent: No such file or directory"),
    (["--seeds=10.0.0.1:1", "--bind=0.0.0.0", "--peer-secret=x"], "fewer than 16 bytes"),
    (["--seeds=10.0.0.1:1", "--bind=0.0.0.0", "--tls-replication=yes", "--tls-cert-file=a",
      "--tls-key-file=b", "--tls-ca-cert-file=c"], "must be set beside tls-replication"),
    (["--seeds=127.0.0.1:1", "--bind=127.0.0.1", "--tls-replication=yes", "--tls-cert-file=a",
      "--tls-key-file=b", "--tls-ca-cert-file=c"], "must be set beside tls-replication"),
    (["--peer-secret-file=/nonexistent"], "peer-secret-file /nonexistent: No such file"),
])
def test_wrong_settings_are_reported_in_one_line(flags: list[str], text: str) -> None:
    done = run("serve", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith("respdyn: ") and done.stderr.count("\n") == 1
    assert text in done.stderr


def test_settings_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('engine = "memory"\nlog-format = "json"\nmax-clients = 7\n')
    with node(f"--config={tmp_path / 'r.toml'}") as (one, port):
        wire = Wire(port)
        wire.send(b"CONFIG GET maxclients\r\n")
        wire.expect(b"*2\r\n$10\r\nmaxclients\r\n$1\r\n7\r\n")
        events = [json.loads(line) for line in one.output.splitlines()]
        assert events[-1]["event"] == "ready"
        assert events[-1]["clients"] == f"127.0.0.1:{port}"
    (tmp_path / "password").write_text("sesame\n")
    with node(MEMORY, env={"RESPDYN_REQUIREPASS_FILE": str(tmp_path / "password")}) as (_, port):
        wire = Wire(port)
        wire.send(b"PING\r\nAUTH sesame\r\nPING\r\n")
        wire.expect(b"-NOAUTH Authentication required.\r\n+OK\r\n+PONG\r\n")
    done = run("serve", env={"RESPDYN_PARTITIONS": "5"})
    assert "partitions 5: must be a power of two" in done.stderr


def test_fewer_descriptors_mean_fewer_clients() -> None:
    port = free_port()
    with running("serve", MEMORY, f"--port={port}", f"--http-port={port + 2000}",
                 "--max-clients=1000000") as one:
        one.says(" ready ")
        assert "max_clients_lowered" in one.output


def test_a_cluster_forms_only_with_the_right_secret() -> None:
    ports = [free_port() for _ in range(2)]
    seeds = "--seeds=" + ",".join(f"127.0.0.1:{port + 10_000}" for port in ports)
    flags = [MEMORY, seeds, "--cluster-size=2", "--n=2", "--data-dir=/nonexistent/x"]

    def start(port: int, secret: str, name: str) -> list[str]:
        return ["serve", *flags, f"--port={port}", f"--http-port={port + 2000}",
                f"--peer-secret={secret}", f"--node-id={name * 40}"]

    with running(*start(ports[0], "right", "a")) as first:
        with running(*start(ports[1], "wrong", "b")) as stranger:
            first.says('peer_refused address=127.0.0.1 reason="wrong peer secret"')
            stranger.says('peer_refused .*reason="refused: wrong peer secret"')
            assert get(ports[0] + 2000, "/readyz") == (
                503, "the cluster is forming: 1 of 2 nodes\n"
            )
            time.sleep(1)
            assert first.output.count("peer_refused") == 1 + 1     # as listener and as dialer
        with running(*start(ports[1], "right", "b")) as second:
            first.says(" ready ")
            second.says(" ready .* n=2 r=2 w=2")
            wire = Wire(ports[0])
            wire.send(b"SET a b\r\n")
            wire.expect(b"+OK\r\n")
            wire = Wire(ports[1])
            wire.send(b"GET a\r\n")
            wire.expect(b"$1\r\nb\r\n")
