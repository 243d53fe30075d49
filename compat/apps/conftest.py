"""Where the nodes are, an empty cluster for each test, and a hand that kills nodes."""

import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Client
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))
NODES = [
    (host, int(port))
    for host, _, port in (one.rpartition(":") for one in os.environ["COMPAT_NODES"].split(","))
]


@dataclass(frozen=True)
class Outages:
    """Kills a node with SIGKILL and starts it again, on its own data."""

    address: str
    key: bytes

    def kill(self, number: int) -> None:
        """The node is gone when this returns."""
        self._order("kill", number)

    def restart(self, number: int) -> None:
        """The node takes writes again when this returns."""
        self._order("restart", number)

    def _order(self, what: str, number: int) -> None:
        if not self.address:            # run at one redis-server: nothing is killed
            return
        host, _, port = self.address.rpartition(":")
        with Client((host, int(port)), authkey=self.key) as line:
            line.send((what, number))
            answer = line.recv()
        assert answer == "done", answer


@pytest.fixture
def nodes() -> list[tuple[str, int]]:
    """Three nodes of one cluster, without data."""
    redis.Redis(*NODES[0]).flushall()
    return NODES


@pytest.fixture
def urls(nodes: list[tuple[str, int]]) -> list[str]:
    """The same as URLs."""
    return [f"redis://{host}:{port}/0" for host, port in nodes]


@pytest.fixture
def outages() -> Outages:
    """Who kills and restarts nodes. Does nothing where the tests run on a redis-server."""
    return Outages(os.environ.get("COMPAT_OUTAGES", ""),
                   os.environ.get("COMPAT_OUTAGES_KEY", "").encode())


def node_program(name: str) -> list[str]:
    """The command line of a program in `node/`; skips the test where npm has not been."""
    if not os.environ.get("COMPAT_NODE"):
        pytest.skip("npm is not installed")
    return [os.environ["COMPAT_NODE"], str(Path(__file__).parent / "node" / name)]
