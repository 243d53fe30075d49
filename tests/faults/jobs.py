"""Jobs through a queue while nodes are killed and cut off: is every acknowledged one done?

`python -m tests.faults.jobs lists streams` (or one of them), as root. A producer hands out numbered
jobs at a steady rate, ten workers take them: with BLMOVE into a processing list of their own and
LREM when a job is done, or with XREADGROUP, XACK and XAUTOCLAIM. First nothing fails; then each of
three nodes is killed with SIGKILL and comes back; then one is cut off from the other two for a
while. Clients go to the next node when theirs is gone.

A worker that has received an error or lost its connection looks first at what it had been given and
has not ticked off, and does that again: so a job is done at least once. What is counted: jobs that
were acknowledged and never done (none may be), jobs done more than once, and how long a job took
from the producer to a worker. In the calm every job must be done once, and each worker given its
jobs in their order.
"""

import argparse
import itertools
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from tests.faults.machines import Machine, Machines

WORKERS = 10
CALM_SHARE = 0.25               # of the time
AWAY_S = 4.0
BLOCK_S = 1.0
IDLE_MS = 5000                  # after so long another worker claims a message
PATIENCE_S = 60.0
_Client = Any                   # redis-py's types say Awaitable | int


class Ledger:
    """What was handed out and what was done, whatever the nodes say."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent_s: dict[int, float] = {}
        self.acknowledged: set[int] = set()
        self.refused: Counter[str] = Counter()
        self.runs: Counter[int] = Counter()
        self.waits: list[tuple[float, float]] = []      # when it was done, how long it took
        self.troubles: Counter[str] = Counter()
        self.out_of_order = 0

    def done(self, number: int) -> None:
        """A worker has done this job."""
        now_s = time.monotonic()
        with self.lock:
            self.runs[number] += 1
            if number in self.sent_s and self.runs[number] == 1:
                self.waits.append((now_s, now_s - self.sent_s[number]))

    def open(self) -> set[int]:
        """Acknowledged and not done."""
        with self.lock:
            return self.acknowledged - self.runs.keys()


class Client(threading.Thread):
    """Works at a node until that is gone, then at the next."""

    def __init__(self, machines: Machines, ledger: Ledger, home: int) -> None:
        super().__init__(daemon=True)
        self.ledger = ledger
        self.is_over = threading.Event()
        self._machines = machines
        self._home = home
        self._client: _Client = None

    def client(self) -> _Client:
        """To the node that it is at."""
        if self._client is None:
            machine: Machine = self._machines.all[self._home % len(self._machines.all)]
            self._client = machine.client(5.0)
        return self._client

    def trouble(self, wrong: Exception) -> str:
        """Note it, and go elsewhere if the connection is gone; a word for it."""
        word = " ".join(str(wrong).split()[:1]) if isinstance(wrong, redis.ResponseError) else (
            type(wrong).__name__)
        if not isinstance(wrong, redis.ResponseError):
            if self._client is not None:
                self._client.close()
            self._client = None
            self._home += 1
        return word


class Producer(Client):
    """Hands out jobs."""

    def __init__(
        self, machines: Machines, ledger: Ledger, a_second: float,
        hand_out: Callable[[_Client, int], object],
    ) -> None:
        super().__init__(machines, ledger, 0)
        self._a_second = a_second
        self._hand_out = hand_out
        self.number = 0

    def run(self) -> None:
        """At its rate; what is late is handed out at once."""
        ledger, begun_s = self.ledger, time.monotonic()
        while not self.is_over.is_set():
            time.sleep(max(0.0, begun_s + self.number / self._a_second - time.monotonic()))
            number = self.number
            self.number += 1
            ledger.sent_s[number] = time.monotonic()
            try:
                self._hand_out(self.client(), number)
                with ledger.lock:
                    ledger.acknowledged.add(number)
            except (redis.RedisError, OSError) as wrong:
                ledger.refused[self.trouble(wrong)] += 1


class ListWorker(Client):
    """BLMOVE and a processing list."""

    def __init__(self, machines: Machines, ledger: Ledger, number: int) -> None:
        super().__init__(machines, ledger, number)
        self._own = f"processing:{number}"
        self._last = -1

    @staticmethod
    def hand_out(client: _Client, number: int) -> object:
        """One job more."""
        return client.rpush("jobs", number)

    def run(self) -> None:
        """Take, do, tick off; after trouble first what is in the processing list."""
        has_trouble = False
        while not self.is_over.is_set():
            try:
                client = self.client()
                if has_trouble:
                    for item in client.lrange(self._own, 0, -1):
                        self._do(client, item)
                    has_trouble = False
                item = client.blmove("jobs", self._own, BLOCK_S, "LEFT", "RIGHT")
                if item is not None:
                    if int(item) < self._last:
                        self.ledger.out_of_order += 1
                    self._last = int(item)
                    self._do(client, item)
            except (redis.RedisError, OSError) as wrong:
                self.ledger.troubles[self.trouble(wrong)] += 1
                has_trouble = True
                time.sleep(0.05)

    def _do(self, client: _Client, item: bytes) -> None:
        self.ledger.done(int(item))
        client.lrem(self._own, 1, item)


class StreamWorker(Client):
    """XREADGROUP, XACK and XAUTOCLAIM."""

    def __init__(self, machines: Machines, ledger: Ledger, number: int) -> None:
        super().__init__(machines, ledger, number)
        self._name = f"worker-{number}"
        self._last = -1

    @staticmethod
    def hand_out(client: _Client, number: int) -> object:
        """One job more."""
        return client.xadd("jobs", {"number": number})

    def run(self) -> None:
        """Read, do, acknowledge; after trouble first what was given already."""
        has_trouble = False
        claimed_s = time.monotonic()
        while not self.is_over.is_set():
            try:
                client = self.client()
                if has_trouble:
                    self._read(client, "0", None)
                    has_trouble = False
                if time.monotonic() > claimed_s + IDLE_MS / 1000:
                    found = client.xautoclaim("jobs", "workers", self._name, IDLE_MS)
                    for name, fields in found[1]:
                        self._do(client, name, fields)
                    claimed_s = time.monotonic()
                self._read(client, ">", int(BLOCK_S * 1000))
            except (redis.RedisError, OSError) as wrong:
                self.ledger.troubles[self.trouble(wrong)] += 1
                has_trouble = True
                time.sleep(0.05)

    def _read(self, client: _Client, after: str, block_ms: int | None) -> None:
        found = client.xreadgroup(
            "workers", self._name, {"jobs": after}, count=5, block=block_ms)
        for _, messages in found:
            for name, fields in messages:
                if after == ">":
                    number = int(fields[b"number"])
                    if number < self._last:
                        self.ledger.out_of_order += 1
                    self._last = number
                self._do(client, name, fields)

    def _do(self, client: _Client, name: bytes, fields: dict[bytes, bytes]) -> None:
        if fields:
            self.ledger.done(int(fields[b"number"]))
        client.xack("jobs", "workers", name)


KINDS: dict[str, type[ListWorker] | type[StreamWorker]] = {
    "lists": ListWorker, "streams": StreamWorker,
}


def jobs(kind: str, seed: int, seconds: float, a_second: float) -> list[str]:
    """The whole trial. Raises `AssertionError` with what was lost."""
    worker = KINDS[kind]
    rng = random.Random(seed)
    with Machines(3) as machines:
        if kind == "streams":
            machines.ask("XGROUP", "CREATE", "jobs", "workers", "0", "MKSTREAM")
        ledger = Ledger()
        producer = Producer(machines, ledger, a_second, worker.hand_out)
        clients: list[Client] = [
            producer, *(worker(machines, ledger, number) for number in range(WORKERS)),
        ]
        for client in clients:
            client.start()
        begun_s = time.monotonic()
        time.sleep(seconds * CALM_SHARE)
        calm_s = time.monotonic()
        with ledger.lock:
            calm_again = sum(count - 1 for count in ledger.runs.values())
            calm_wrong, calm_troubles = ledger.out_of_order, Counter(ledger.troubles)
            calm_troubles += ledger.refused
        order = rng.sample(machines.all, 3)
        rest_s = max(0.0, seconds * (1 - CALM_SHARE) / 4 - AWAY_S)
        for machine in order:
            machine.kill()
            time.sleep(AWAY_S)
            machine.start()
            time.sleep(rest_s)
        machines.cut(order[:1], order[1:])
        time.sleep(AWAY_S)
        machines.heal()
        time.sleep(rest_s)
        producer.is_over.set()
        producer.join()
        until_s = time.monotonic() + PATIENCE_S
        while ledger.open() and time.monotonic() < until_s:
            time.sleep(0.1)
        time.sleep(2 * BLOCK_S)
        for client in clients:
            client.is_over.set()
        for client in clients:
            client.join(10)
    lost = sorted(ledger.open())
    again = sum(count - 1 for count in ledger.runs.values())
    lines = [
        f"{kind}: {len(ledger.acknowledged)} jobs acknowledged in {seconds:.0f} s,"
        f" {sum(ledger.refused.values())} refused {dict(ledger.refused)}",
        f"in the calm: {calm_again} done again, {calm_wrong} given out of order, troubles"
        f" {dict(calm_troubles)}, {_figures(ledger, begun_s, calm_s)}",
        f"then: {again - calm_again} done again, {len(lost)} lost, troubles of workers"
        f" {dict(ledger.troubles)}, {_figures(ledger, calm_s, time.monotonic())}",
    ]
    assert not lost, " | ".join([*lines, f"lost: {lost[:10]}"])
    if not calm_troubles:
        assert not calm_again and not calm_wrong, " | ".join(lines)
    return lines


def _figures(ledger: Ledger, from_s: float, to_s: float) -> str:
    found = sorted((at, took) for at, took in ledger.waits if from_s <= at < to_s)
    if not found:
        return "nothing done"
    times = sorted(took for _, took in found)
    gap_s = max((two[0] - one[0] for one, two in itertools.pairwise(found)), default=0.0)
    p50, p99 = (1000 * times[min(int(len(times) * q), len(times) - 1)] for q in (0.5, 0.99))
    return (f"{len(found)} done, from producer to worker p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
            f" longest time with nothing done {1000 * gap_s:.0f} ms")


def main() -> int:
    """Some kinds, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=500.0, help="jobs a second (default 500)")
    args = parser.parse_args()
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    failed = 0
    for kind in args.kinds or KINDS:
        try:
            lines = jobs(kind, args.seed, args.seconds, args.rate)
        except AssertionError as wrong:
            failed += 1
            lines = [f"FAILED {wrong}"]
        print("\n    ".join(lines), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
