"""A cluster-aware client as people use it, redis-py's, against processes: straight to the
coordinator, through a kill -9 without an error, and back."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis

from tests.server.process import ROOT, Running, free_port, running
from tests.server.stub import until


class Place(NamedTuple):
    host: str
    port: int
    pid: int


class Three:
    """Three nodes in memory."""

    def __init__(self, process: Running) -> None:
        self.process = process
        found = re.findall(r"^  node-\d +(\S+):(\d+) +pid (\d+)", process.output, re.MULTILINE)
        self.places = [Place(host, int(port), int(pid)) for host, port, pid in found]

    def client(self) -> redis.RedisCluster:
        place = self.places[0]
        return redis.RedisCluster(host=place.host, port=place.port + 1000)

    def forwarded(self) -> int:
        total = 0
        for place in self.places:
            with redis.Redis(place.host, place.port) as plain:
                total += plain.info("dynamo")["dynamo_commands_forwarded"]
        return total


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Three]:
    port = free_port()
    with running("cluster", f"--port={port}", f"--http-port={port + 2000}", "--engine=memory",
                 f"--data-dir={tmp_path / 'data'}") as process:
        process.says("Ctrl-C stops all", 30)
        yield Three(process)
        assert process.stop(signal.SIGINT, 20) == 0


def ports(client: redis.RedisCluster) -> set[tuple[str, int]]:
    return {(node.host, node.port) for node in client.get_primaries()}


def test_each_key_goes_straight_to_its_coordinator_and_numbers_add_up(three: Three) -> None:
    with three.client() as client:
        assert ports(client) == {(one.host, one.port + 1000) for one in three.places}
        assert client.get_replicas() == []
        for number in range(300):
            client.set(f"key{number}", number)
        for number in range(300):
            assert client.get(f"key{number}") == b"%d" % number
        assert three.forwarded() == 0
        keys = {b"key%d" % number for number in range(300)}
        every = redis.RedisCluster.PRIMARIES
        assert client.dbsize(target_nodes=every) == 300
        assert sorted(client.scan_iter(count=50)) == sorted(keys)
        assert set(client.keys(target_nodes=every)) == keys
        assert client.mget_nonatomic("key1", "key2", "key3") == [b"1", b"2", b"3"]
        assert client.cluster_info()["cluster_state"] == "ok"
        assert len(client.cluster_nodes()) == 3
        assert set(client.flushall().values()) == {True}
        assert client.dbsize(target_nodes=every) == 0


def test_a_client_goes_on_when_a_node_is_killed_and_after_it_returned(three: Three) -> None:
    with three.client() as client:
        for number in range(100):
            client.set(f"key{number}", number)
        victim = three.places[1]
        os.kill(victim.pid, signal.SIGKILL)
        longest = 0.0
        for number in range(300):         # with the client's own retries, none of ours
            began = time.monotonic()
            assert client.get(f"key{number % 100}") == b"%d" % (number % 100)
            assert client.set(f"key{number % 100}", number % 100)
            longest = max(longest, time.monotonic() - began)
        assert longest < 5
        assert (victim.host, victim.port + 1000) not in ports(client)
        assert client.dbsize(target_nodes=redis.RedisCluster.PRIMARIES) == 100

        three.process.says("node-2 ended")
        command = re.search(r"Start it again with\n  (.*)", three.process.output)
        assert command is not None
        again = subprocess.Popen(shlex.split(command[1]), cwd=ROOT, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(_fresh_ports(three)) == 3, "the node is shown again", 20)
            with three.client() as fresh:
                for number in range(100):
                    assert fresh.get(f"key{number}") == b"%d" % number
                    assert client.get(f"key{number}") == b"%d" % number
        finally:
            again.terminate()
            assert again.wait(10) == 0


def _fresh_ports(three: Three) -> set[tuple[str, int]]:
    with three.client() as client:
        return ports(client)


@pytest.mark.needs("redis-cli")
def test_redis_cli_finds_the_cluster_in_order(three: Three) -> None:
    place = three.places[0]
    with three.client() as client:
        for number in range(50):
            client.set(f"key{number}", number)
    at = ["redis-cli", "-h", place.host, "-p", str(place.port + 1000)]
    shown = subprocess.run(
        ["redis-cli", "--cluster", "check", f"{place.host}:{place.port + 1000}"],
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout
    assert "50 keys in 3 masters" in shown
    assert "All nodes agree about slots configuration" in shown
    assert "All 16384 slots covered" in shown
    done = subprocess.run([*at, "-c", "mget", *(f"key{n}" for n in range(50))],
                          capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == [str(number) for number in range(50)]
