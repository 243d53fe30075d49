"""Programs for node, each process at a node of its own: what they do on one Redis, they do here."""

import json
import subprocess

import pytest
from conftest import node_program

DOUBLES = sum(2 * number for number in range(50))
FOUND = {
    "redlock": 30,
    "@sesamecare-oss/redlock": 30,
    "rate-limiter-flexible": [50, 2, None],
    "connect-redis": [[1, 2, 3, 4, 5, 6], 1, 1],
    "@socket.io/redis-adapter": [3, 3],
    "bee-queue": DOUBLES,
    "bull": [DOUBLES, 50],
    "bullmq": [DOUBLES, 2, 52],
}

@pytest.mark.parametrize("program", FOUND)
def test_does_what_it_does_on_redis(program: str, nodes: list[tuple[str, int]]) -> None:
    words = [*node_program("checks.mjs"), program, *(f"{host}:{port}" for host, port in nodes)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == FOUND[program]
