"""Jobs for a queue's workers while a node dies and returns, and what has become of them.

A job appends its number to a file, the ledger, which no server keeps: what was done is known
whatever the queue says. A producer hands out jobs at a steady rate through a node that lives; in
the middle the node of one worker is killed with SIGKILL and comes back on its data. A job counts
as acknowledged when the call that hands it out has returned. The story ends when every
acknowledged job is in the ledger, or when nothing was added to it for long.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import Outages

HERE = Path(__file__).parent
JOBS = 200
A_SECOND = 20.0
KILLED_AT, BACK_AT = 50, 130        # after so many jobs
PATIENCE_S = 30.0                   # after the last job that was done
VICTIM = 1


@dataclass(frozen=True)
class Outcome:
    """What was handed out and what was done."""

    acknowledged: frozenset[int]
    refused: Counter[str]               # what the producer received instead
    runs: Counter[int]

    @property
    def lost(self) -> list[int]:
        """Acknowledged, and done by no worker."""
        return sorted(self.acknowledged - self.runs.keys())

    @property
    def again(self) -> int:
        """How many runs of a job were not its first."""
        return sum(count - 1 for count in self.runs.values())

    def show(self, program: str, restarts: int = 0) -> None:
        """One line for who reads the tests' output."""
        print(f"{program}: {len(self.acknowledged)} acknowledged, {sum(self.refused.values())}"
              f" refused {dict(self.refused)}, {len(self.lost)} lost {self.lost[:5]},"
              f" {self.again} run again; workers started again: {restarts}")


def read(ledger: Path) -> Counter[int]:
    """How often each job was done."""
    text = ledger.read_text() if ledger.exists() else ""
    return Counter(int(line) for line in text.split("\n") if line)


def play(
    hand_out: Callable[[int], object], ledger: Path, outages: Outages,
    errors: tuple[type[Exception], ...], within_s: float = PATIENCE_S,
) -> Outcome:
    """The whole story. `errors` are those that a producer expects of its client."""
    acknowledged: set[int] = set()
    refused: Counter[str] = Counter()
    begin = time.monotonic()
    for number in range(JOBS):
        time.sleep(max(0.0, begin + number / A_SECOND - time.monotonic()))
        if number == KILLED_AT:
            outages.kill(VICTIM)
        if number == BACK_AT:
            outages.restart(VICTIM)
        try:
            hand_out(number)
            acknowledged.add(number)
        except errors as wrong:
            refused[f"{type(wrong).__name__}: {str(wrong)[:60]}"] += 1
    done, moved_s = 0, time.monotonic()
    while acknowledged - (runs := read(ledger)).keys() and time.monotonic() < moved_s + within_s:
        if len(runs) > done:
            done, moved_s = len(runs), time.monotonic()
        time.sleep(0.1)
    time.sleep(1)                       # a job that is done again is done again now
    return Outcome(frozenset(acknowledged), refused, read(ledger))


class Workers:
    """Processes that are started again when they end, as one who runs workers has it done."""

    def __init__(self, each: list[list[str]], logs: Path, environment: dict[str, str]) -> None:
        self.restarts = 0
        self._each = each
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._running = [self._start(number) for number in range(len(each))]
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._watch_over)
        self._watch.start()

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        with (self._logs / f"worker-{number}.log").open("ab") as log:
            return subprocess.Popen(
                self._each[number], cwd=HERE / "work", stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, env=self._environment,
            )

    def _watch_over(self) -> None:
        while not self._is_over.wait(0.5):
            for number, process in enumerate(self._running):
                if process.poll() is not None:
                    self.restarts += 1
                    self._running[number] = self._start(number)

    def end(self) -> None:
        """All of them, and what they started."""
        self._is_over.set()
        self._watch.join()
        for process in self._running:
            _end(process)


@contextmanager
def workers(*each: list[str], logs: Path, **environment: str) -> Iterator[Workers]:
    """Processes of these words, with `work/` as their directory; ended afterwards."""
    found = Workers(list(each), logs, environment)
    try:
        yield found
    finally:
        found.end()


def script(name: str) -> str:
    """A program that pip has put beside this python."""
    return str(Path(sys.executable).parent / name)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)      # its session is its own
    except ProcessLookupError:
        pass
    process.wait()
