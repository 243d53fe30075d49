"""TLS for clients, nodes and HTTP: who is let in, who is refused, new certificates on the run."""

import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.authority import Authority
from tests.server.process import Running, free_port, node, run, running

PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "theirs")


def ask(
    port: int, ca: str, certificate: tuple[str, str] | None = None, data: bytes = PING,
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
) -> bytes:
    """What a client with this CA and certificate is sent. Raises `ssl.SSLError`."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if versions is not None:
        context.minimum_version, context.maximum_version = versions
    if certificate is not None:
        context.load_cert_chain(*certificate)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, \
            context.wrap_socket(raw) as wire:
        wire.sendall(data)
        return wire.recv(65536)


def shown(port: int) -> str:
    """The serial number of the certificate that is shown there now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, \
            context.wrap_socket(raw) as wire:
        der = wire.getpeercert(binary_form=True)
        assert der is not None
        return der.hex()


@contextmanager
def secured(
    authority: Authority, tmp_path: Path, certificate: tuple[str, str], *more: str
) -> Iterator[tuple[Running, int]]:
    """A node with TLS on port + 3."""
    port = free_port()
    with node(
        *authority.flags(certificate), f"--tls-port={port + 3}", f"--tls-cluster-port={port + 4}",
        f"--data-dir={tmp_path / 'data'}", *more, port=port,
    ) as (one, _):
        yield one, port


def test_clients_need_a_certificate_of_the_authority(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    mine, theirs = authority.make("client"), stranger.make("client")
    expired = authority.make("expired", days=-1)
    with secured(authority, tmp_path, authority.make("node")) as (one, port):
        assert ask(port + 3, authority.ca, mine) == b"+PONG\r\n"
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(PING)
            assert plain.recv(100) == b"+PONG\r\n"
        for certificate, reason in (
            (None, "peer did not return a certificate"),
            (theirs, "the certificate is refused: unable to get local issuer certificate"),
            (expired, "the certificate is refused: certificate has expired"),
        ):
            for _ in range(3):
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    ask(port + 3, authority.ca, certificate)
            one.says(f'tls_refused listener=clients reason="{reason}"')
        assert one.output.count("tls_refused") == 3
        with pytest.raises(ssl.SSLCertVerificationError):       # the client's own judgement
            ask(port + 3, stranger.ca, mine)
        with socket.create_connection(("127.0.0.1", port + 3), timeout=10) as plain:
            plain.sendall(PING)
            assert b"PONG" not in plain.recv(100)
        assert ask(port + 3, authority.ca, mine) == b"+PONG\r\n"
        assert "Traceback" not in one.output


def test_who_asks_for_certificates_may_be_chosen_while_it_runs(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    with secured(
        authority, tmp_path, authority.make("node"), "--tls-auth-clients=no"
    ) as (_, port):
        assert ask(port + 3, authority.ca) == b"+PONG\r\n"
        change = b"CONFIG SET tls-auth-clients optional\r\n"
        assert ask(port + 3, authority.ca, data=change) == b"+OK\r\n"
        time.sleep(0.3)
        assert ask(port + 3, authority.ca) == b"+PONG\r\n"
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            ask(port + 3, authority.ca, stranger.make("client"))
        old = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
        assert ask(port + 3, authority.ca, versions=old) == b"+PONG\r\n"
        ask(port + 3, authority.ca, data=b'CONFIG SET tls-protocols "TLSv1.3"\r\n')
        time.sleep(0.3)
        with pytest.raises(ssl.SSLError):
            ask(port + 3, authority.ca, versions=old)
        assert ask(port + 3, authority.ca) == b"+PONG\r\n"


def test_certificates_change_without_a_restart(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    first, second = authority.make("first"), authority.make("second")
    mine = authority.make("client")
    with secured(authority, tmp_path, first) as (one, port):
        context = ssl.create_default_context(cafile=authority.ca)
        context.check_hostname = False
        context.load_cert_chain(*mine)
        with socket.create_connection(("127.0.0.1", port + 3)) as raw, \
                context.wrap_socket(raw) as standing:
            before = shown(port + 3)
            words = f"CONFIG SET tls-cert-file {second[0]} tls-key-file {second[1]}\r\n".encode()
            standing.sendall(words)
            assert standing.recv(100) == b"+OK\r\n"
            one.says("tls_reloaded")
            time.sleep(0.3)
            after = shown(port + 3)
            assert after != before and shown(port + 4) == after
            for _ in range(20):
                assert ask(port + 3, authority.ca, mine) == b"+PONG\r\n"
            # files that do not fit together change nothing
            standing.sendall(f"CONFIG SET tls-key-file {first[1]}\r\n".encode())
            reply = standing.recv(1000)
            assert reply.startswith(b"-ERR CONFIG SET failed") and b"mismatch" in reply
            standing.sendall(b"CONFIG SET tls-ca-cert-file /nope\r\n")
            assert b"No such file" in standing.recv(1000)
            standing.sendall(b"CONFIG SET tls-cert-file \"\"\r\n")
            assert b"needs tls-cert-file" in standing.recv(1000)
            assert shown(port + 3) == after
            # the same names, other files; SIGHUP
            for source, target in zip(first, second, strict=True):
                Path(target).write_bytes(Path(source).read_bytes())
            one.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            assert shown(port + 3) == before
            Path(second[1]).write_text("nonsense")
            one.process.send_signal(signal.SIGHUP)
            one.says("tls_not_reloaded")
            assert shown(port + 3) == before
            standing.sendall(PING)
            assert standing.recv(100) == b"+PONG\r\n"
        assert one.process.poll() is None


def test_much_goes_over_tls_both_ways(authority: Authority, tmp_path: Path) -> None:
    with secured(
        authority, tmp_path, authority.make("node"), "--tls-auth-clients=no"
    ) as (_, port):
        context = ssl.create_default_context(cafile=authority.ca)
        context.check_hostname = False
        value = os.urandom(3_000_000)
        with socket.create_connection(("127.0.0.1", port + 3)) as raw, \
                context.wrap_socket(raw) as wire:
            wire.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value))
            assert wire.recv(100) == b"+OK\r\n"
            wire.sendall(b"GET k\r\n" * 5 + PING)
            wanted = b"$%d\r\n%b\r\n" % (len(value), value) * 5 + b"+PONG\r\n"
            got = bytearray()
            while len(got) < len(wanted):
                got += wire.recv(1 << 16)
            assert got == wanted
            wire.sendall(PING * 20_000)
            left = 7 * 20_000
            while left > 0:
                left -= len(wire.recv(1 << 16))
            assert left == 0


def test_http_over_tls(authority: Authority, tmp_path: Path) -> None:
    with node(
        *authority.flags(authority.make("node")), "--tls-http=yes", f"--data-dir={tmp_path / 'd'}"
    ) as (_, port):
        request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        assert ask(port + 2000, authority.ca, data=request).startswith(b"HTTP/1.1 200 OK")
        with socket.create_connection(("127.0.0.1", port + 2000), timeout=10) as plain:
            plain.sendall(request)
            assert b"200 OK" not in plain.recv(1000)


@pytest.mark.parametrize(("flags", "reason"), [
    (["--tls-port=21660"], "tls-port 21660: needs tls-cert-file and tls-key-file"),
    (["--port=0"], "port 0: no client could connect"),
    (["--tls-port=21660", "--tls-cert-file=/nope.crt", "--tls-key-file=/nope.key"],
     "tls-auth-clients yes: needs tls-ca-cert-file"),
    (["--tls-port=21660", "--tls-cert-file=/nope.crt", "--tls-key-file=/nope.key",
      "--tls-auth-clients=no"], "TLS: No such file or directory (of /nope.crt, /nope.key)"),
    (["--tls-protocols=SSLv3"], "tls-protocols SSLv3: must be TLSv1.2"),
    (["--tls-replication=yes"], "needs tls-cert-file and tls-key-file"),
])
def test_what_cannot_be_is_refused_at_start(flags: list[str], reason: str, tmp_path: Path) -> None:
    ended = run("serve", "--port=21661", "--http-port=0", f"--data-dir={tmp_path / 'd'}", *flags)
    assert ended.returncode == 2 and reason in ended.stderr
    assert ended.stderr.count("\n") == 1


@contextmanager
def cluster(
    tmp_path: Path, port: int, flags: list[list[str]],
) -> Iterator[list[Running]]:
    """Nodes on 127.0.0.1, .2 and .3 with these flags each."""
    seeds = ",".join(f"127.0.0.{i + 1}:{port + 10000}" for i in range(3))
    nodes: list[Running] = []
    try:
        for i, more in enumerate(flags):
            nodes.append(Running(
                "serve", f"--port={port}", f"--bind=127.0.0.{i + 1}", f"--http-port={port + 2000}",
                f"--seeds={seeds}", "--cluster-size=3", f"--data-dir={tmp_path / str(i)}", *more,
            ))
        yield nodes
    finally:
        for one in nodes:
            one.end()


def test_nodes_speak_tls_and_refuse_who_has_no_certificate(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    port = free_port()
    tls = ["--tls-replication=yes", "--peer-secret=shared by all of these"]
    certificates = [authority.make(f"n{i}") for i in range(3)]
    flags = [authority.flags(one) + tls for one in certificates]
    foreign = [
        f"--tls-cert-file={stranger.make('n2')[0]}", f"--tls-key-file={stranger.make('n2')[1]}",
        f"--tls-ca-cert-file={authority.ca}",
    ]
    expired = authority.make("n2old", days=-1)
    for wrong, reason in (
        (foreign + tls, "unable to get local issuer certificate"),
        (authority.flags(expired) + tls, "certificate has expired"),
        ([], "."),
    ):
        with cluster(tmp_path, port, [*flags[:2], wrong]) as nodes:
            if wrong:
                nodes[0].says(f"(peer_refused|tls_refused).*{reason}")
            else:
                nodes[0].says("tls_refused|peer_refused")
            time.sleep(2)
            for one in nodes[:2]:
                assert "ring_adopted" not in one.output and " ready " not in one.output
            assert nodes[0].output.count("refused") <= 4
            with socket.create_connection(("127.0.0.1", port)) as wire:
                wire.sendall(b"GET k\r\n")
                assert b"2 of 3 nodes" in wire.recv(1000)
    with cluster(tmp_path, port, flags) as nodes:
        for one in nodes:
            one.says(" ready ")
        with socket.create_connection(("127.0.0.1", port)) as wire:
            wire.sendall(b"SET k v\r\n")
            assert wire.recv(100) == b"+OK\r\n"
        with socket.create_connection(("127.0.0.3", port)) as wire:
            wire.sendall(b"GET k\r\n")
            assert wire.recv(100) == b"$1\r\nv\r\n"
        with socket.create_connection(("127.0.0.1", port + 10000), timeout=10) as plain:
            plain.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert b"RESPDYN-PEER" not in plain.recv(1000)


def test_only_tls(authority: Authority, tmp_path: Path) -> None:
    """Without plain ports; cluster-aware clients are sent the ports of TLS."""
    port = free_port()
    words = [
        "--port=0", f"--tls-port={port}", f"--http-port={port + 2000}", "--tls-auth-clients=no",
        f"--data-dir={tmp_path / 'd'}", *authority.flags(authority.make("node")),
    ]
    with running("serve", *words) as one:
        one.says(" ready ")
        assert ask(port, authority.ca) == b"+PONG\r\n"
        slots = ask(port + 1000, authority.ca, data=b"CLUSTER SLOTS\r\n")
        assert b":%d\r\n" % (port + 1000) in slots
        assert f"peers=127.0.0.1:{port + 10000}" in one.output


def test_cluster_clients_over_tls_are_sent_ports_of_tls(
    authority: Authority, tmp_path: Path
) -> None:
    with secured(
        authority, tmp_path, authority.make("node"), "--tls-auth-clients=no"
    ) as (_, port):
        for words in (b"CLUSTER SLOTS\r\n", b"CLUSTER SHARDS\r\n"):
            reply = ask(port + 4, authority.ca, data=words)
            assert b":%d\r\n" % (port + 4) in reply and b":%d\r\n" % (port + 1000) not in reply
        assert b":%d@" % (port + 4) in ask(port + 4, authority.ca, data=b"CLUSTER NODES\r\n")
        with socket.create_connection(("127.0.0.1", port + 1000)) as wire:
            wire.sendall(b"CLUSTER SLOTS\r\n")
            assert b":%d\r\n" % (port + 1000) in wire.recv(10_000)


def test_unfinished_handshakes_count_among_the_clients(
    authority: Authority, tmp_path: Path
) -> None:
    flags = "--max-clients=3", "--tls-auth-clients=no"
    with secured(authority, tmp_path, authority.make("node"), *flags) as (one, port):
        silent = [socket.create_connection(("127.0.0.1", port + 3)) for _ in range(3)]
        began = time.monotonic()

        def plain() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
                wire.sendall(PING)
                return wire.recv(100)

        deadline = began + 3
        while plain() == b"+PONG\r\n":
            assert time.monotonic() < deadline, "nothing was counted"
        assert plain() == b"-ERR max number of clients reached\r\n"
        assert ask(port + 3, authority.ca) == b"-ERR max number of clients reached\r\n"
        # Those far beyond the limit are not even given a handshake.
        more = [socket.create_connection(("127.0.0.1", port + 3), timeout=3) for _ in range(40)]
        assert sum(wire.recv(1) == b"" for wire in more[-5:]) == 5
        for wire in silent[1:]:
            wire.close()
        for wire in more:
            wire.close()
        while plain() != b"+PONG\r\n":
            assert time.monotonic() - began < 9
        assert ask(port + 3, authority.ca) == b"+PONG\r\n"
        assert silent[0].recv(1) == b"" and 4 < time.monotonic() - began < 9    # its time is over
        assert "Traceback" not in one.output
