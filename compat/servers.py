"""The servers that clients are let loose on: respdyn with one node or three, and Redis as judge.

respdyn's nodes are started as the benchmark starts them. Redis is `redis-server` from the system:
alone, or six of them as a Redis Cluster of three primaries and three replicas.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compat.places import CompatError
from respdyn.cli.bench_servers import (
    RESPDYN,
    BenchError,
    Running,
    Server,
    Setup,
    free_ports,
    redis_path,
    start,
)

__all__ = ["BenchError", "Server", "kill", "redis", "redis_cluster", "redis_cluster_of_one",
           "respdyn"]

_HOST = "127.0.0.1"
_PATIENCE_S = 60.0


@contextmanager
def respdyn(nodes: int, durability: str = "") -> Iterator[list[Server]]:
    """So many nodes, in memory unless a durability is given, ready; all gone afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        running: Running = start(Setup(RESPDYN, nodes, durability), Path(directory))
        with running:
            yield running.servers


@contextmanager
def redis() -> Iterator[Server]:
    """A redis-server alone."""
    with tempfile.TemporaryDirectory() as directory:
        (port,) = free_ports([_HOST])
        server = _redis_server(Path(directory), port)
        try:
            server.until("stored a key", server.stores)
            yield server
        finally:
            server.stop()


@contextmanager
def redis_cluster_of_one() -> Iterator[Server]:
    """A redis-server in cluster mode that has all slots."""
    with tempfile.TemporaryDirectory() as directory:
        port, bus = free_ports([_HOST] * 2)
        server = _redis_server(
            Path(directory), port, "--cluster-enabled", "yes", "--cluster-port", str(bus)
        )
        try:
            server.until("answered", lambda: server.ask("PING") == b"PONG")
            server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            server.until("has all slots", lambda: b"cluster_state:ok" in _text(server))
            yield server
        finally:
            server.stop()


def _text(server: Server) -> bytes:
    info = server.ask("CLUSTER", "INFO")
    return info if isinstance(info, bytes) else b""


@contextmanager
def redis_cluster() -> Iterator[list[Server]]:
    """A Redis Cluster: three primaries, each with a replica."""
    cli = shutil.which("redis-cli")
    if cli is None:
        raise CompatError("redis-cli is not installed")
    with tempfile.TemporaryDirectory() as directory:
        ports = free_ports([_HOST] * 6)
        servers: list[Server] = []
        try:
            for port in ports:
                servers.append(_redis_server(
                    Path(directory), port, "--cluster-enabled", "yes",
                    "--cluster-node-timeout", "5000",
                ))
            for server in servers:
                server.until("answered", lambda one=server: one.ask("PING") == b"PONG")
            subprocess.run(
                [cli, "--cluster", "create", *(f"{_HOST}:{port}" for port in ports),
                 "--cluster-replicas", "1", "--cluster-yes"],
                check=True, stdout=subprocess.DEVNULL, timeout=_PATIENCE_S,
            )
            for server in servers:
                server.until("joined", lambda one=server: _is_whole(one))
            yield servers
        finally:
            for server in servers:
                server.stop()


def kill(server: Server) -> None:
    """kill -9, and wait until it is gone."""
    os.kill(server.pids()[0], signal.SIGKILL)
    while server.is_alive():
        time.sleep(0.01)


def _redis_server(directory: Path, port: int, *options: str) -> Server:
    if not redis_path():
        raise CompatError("redis-server is not installed")
    home = directory / f"redis-{port}"
    home.mkdir()
    words = [redis_path(), "--port", str(port), "--bind", _HOST, "--dir", str(home),
             "--save", "", *options]
    return Server(words, _HOST, port, directory / f"redis-{port}.log")


def _is_whole(server: Server) -> bool:
    info, nodes = server.ask("CLUSTER", "INFO"), server.ask("CLUSTER", "NODES")
    return (
        isinstance(info, bytes) and b"cluster_state:ok" in info
        and b"cluster_known_nodes:6" in info
        and isinstance(nodes, bytes) and nodes.count(b" slave ") + nodes.count(b",slave ") == 3
    )
