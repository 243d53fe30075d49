"""Where the nodes are, and an empty cluster for each test."""

import os
import sys
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))
NODES = [
    (host, int(port))
    for host, _, port in (one.rpartition(":") for one in os.environ["COMPAT_NODES"].split(","))
]


@pytest.fixture
def nodes() -> list[tuple[str, int]]:
    """Three nodes of one cluster, without data."""
    redis.Redis(*NODES[0]).flushall()
    return NODES


@pytest.fixture
def urls(nodes: list[tuple[str, int]]) -> list[str]:
    """The same as URLs."""
    return [f"redis://{host}:{port}/0" for host, port in nodes]
