"""Job queues of node, tried as the others: two workers at two nodes, one of which is killed."""

import subprocess
from pathlib import Path

import pytest
import story
from conftest import Outages, node_program


class Refused(Exception):
    """What the library said to its producer."""

class Producer:
    """A process that hands out jobs."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hand_out(self, number: int) -> None:
        """Returns when the library says that the queue has it. Raises `Refused`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if answer != "ok":
            raise Refused(answer or "it has ended")

    def end(self) -> None:
        """No more jobs."""
        self._process.kill()
        self._process.communicate()

@pytest.mark.parametrize("library", ["bull", "bee-queue", "bullmq"])
def test_every_job_is_done(
    library: str, nodes: list[tuple[str, int]], outages: Outages, tmp_path: Path,
) -> None:
    words = [*node_program("queues.mjs"), library]
    places = [f"{host}:{port}" for host, port in nodes]
    ledger = tmp_path / "ledger"
    producer = Producer([*words, "produce", places[0]])
    try:
        with story.workers([*words, "work", places[1]], [*words, "work", places[2]],
                           logs=tmp_path, LEDGER=str(ledger)) as workers:
            outcome = story.play(producer.hand_out, ledger, outages, (Refused,))
            outcome.show(library, workers.restarts)
    finally:
        producer.end()
    assert not outcome.lost
