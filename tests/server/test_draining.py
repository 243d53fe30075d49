"""A rolling restart of a whole cluster that a stock client does not notice, its retries off."""

import shlex
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.server.process import PROGRAM, ROOT, free_port
from tests.server.stub import until

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Node:
    """A node that can be stopped and started again."""

    def __init__(self, host: str, port: int, data: Path) -> None:
        self.host = host
        seeds = ",".join(f"{one}:{port + 10_000}" for one in HOSTS)
        self._words = [*PROGRAM, *shlex.split(
            f"serve --bind {host} --port {port} --http-port 0"
            f" --seeds {seeds} --cluster-size 3 --engine memory --data-dir {data / host}"
        )]
        self._log = data / f"{host}.log"
        self.start()

    def start(self) -> None:
        self._log.write_bytes(b"")
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._words, cwd=ROOT, stdout=log, stderr=log)

    def wait(self) -> None:
        until(lambda: b" ready " in self._log.read_bytes(), "it is ready", 30)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


class Worker(threading.Thread):
    """A client that asks one thing after the other, and forgives nothing."""

    def __init__(self, number: int, host: str, port: int, is_single: bool) -> None:
        super().__init__()
        self._key = f"worker{number}"
        self._client = redis.Redis(
            host, port, protocol=3, retry=Retry(NoBackoff(), 0), retry_on_error=[],
            single_connection_client=is_single,
        )
        self.is_over = False
        self.rounds = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        client = self._client
        while not self.is_over:
            try:
                client.set(self._key, self.rounds)
                if client.get(self._key) != b"%d" % self.rounds:
                    self.wrong.append("an old value")
                client.incr(self._key + "count")
                pipeline = client.pipeline(transaction=False)
                for number in range(5):
                    pipeline.set(f"{self._key}{number}", self.rounds)
                pipeline.execute()
            except (redis.RedisError, OSError) as wrong:
                self.wrong.append(repr(wrong))
            self.rounds += 1
        if client.get(self._key + "count") != b"%d" % self.rounds:
            self.wrong.append("a count that is wrong")


@pytest.mark.slow
def test_a_rolling_restart_is_not_noticed(tmp_path: Path) -> None:
    port = free_port()
    nodes = [Node(host, port, tmp_path) for host in HOSTS]
    workers: list[Worker] = []
    try:
        for node in nodes:
            node.wait()
        workers += [Worker(n, HOSTS[n % 3], port, n >= 3) for n in range(6)]
        for worker in workers:
            worker.start()
        for node in nodes:
            before = [worker.rounds for worker in workers]
            until(lambda: all(w.rounds >= b + 20 for w, b in zip(workers, before, strict=True)),  # noqa: B023
                  "the clients are busy", 20)
            assert node.stop() == 0
            node.start()
            node.wait()
        for worker in workers:
            worker.is_over = True
            worker.join(20)
        assert [worker.wrong for worker in workers] == [[]] * 6
    finally:
        for worker in workers:
            worker.is_over = True
        for node in nodes:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
