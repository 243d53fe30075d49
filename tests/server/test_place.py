"""A real node whose disk is emptied is started with the words that it always had."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.server.process import Running, free_port, running


@pytest.mark.parametrize("engine", ["rocksdb", "memory"])
def test_a_wiped_node_finds_its_place_and_is_refilled(tmp_path: Path, engine: str) -> None:
    ports = [free_port() for _ in range(3)]
    seeds = ",".join(f"127.0.0.1:{port + 10_000}" for port in ports)

    def start(stack: ExitStack, index: int) -> Running:
        return stack.enter_context(running(
            "serve", f"--port={ports[index]}", "--http-port=0", f"--seeds={seeds}",
            "--cluster-size=3", "--peer-secret=s", f"--engine={engine}",
            f"--data-dir={tmp_path / str(index)}",
        ))

    def client(index: int) -> redis.Redis:
        return redis.Redis(port=ports[index], protocol=2, decode_responses=True)

    with ExitStack() as stack:
        nodes = [start(stack, index) for index in range(3)]
        for node in nodes:
            node.says(r" ready ", 30)
        with client(0) as one:
            for number in range(200):
                one.set(f"key{number}", number)
        name = nodes[2].says(r"node_started node=(\w+)")[1]
        nodes[2].stop(signal.SIGKILL)
        (tmp_path / "2").rename(tmp_path / "gone")      # its storage process may not have ended yet
        again = start(stack, 2)
        again.says(f"takes_place member={name} said_by=2", 30)
        again.says(f"node_started node={name} .*life=new", 30)
        again.says(r"filled partitions=256", 60)
        again.says(r" ready .*node=" + name, 30)
        with client(2) as two:
            for number in range(200):
                reply = two.execute_command("DYN.WITH", "R", 1, "GET", f"key{number}")
                assert reply == str(number)
        assert again.stop() == 0
