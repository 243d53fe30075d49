"""Clients that stay at one node each, and what they have seen: answers, gaps, old values.

A `Witness` keeps one connection to its node, over which it sets and reads keys of its own. A value
says how often its key was written, so a read shows whether it is older than what was acknowledged
on the same connection before. Each thing asked is noted with its times, so figures can be had of
any stretch of time and any set of nodes.

Asked slowly: what is measured is how long a fault is felt, not how much the machine can do.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import redis

from tests.faults.machines import Machine, Machines

EACH = 2                # at every node
KEYS = 20               # of every witness
PAUSE_S = 0.04
GIVES_UP_S = 3.0        # beyond `request-timeout`


@dataclass(slots=True)
class Asked:
    """One thing that was asked."""

    begun_s: float
    ended_s: float
    error: str              # its first word; "": answered; "none": no answer; "away": not connected
    is_stale: bool = False
    connected_s: float = 0.0        # when this connection stood


class Witness(threading.Thread):
    """One client of one node."""

    def __init__(self, machine: Machine, number: int, seed: int, pause_s: float) -> None:
        super().__init__(name=f"witness {number} of {machine.name}", daemon=True)
        self.machine = machine
        self.asked: list[Asked] = []
        self.is_over = threading.Event()
        self.tales: list[str] = []          # of old values
        self._names = [f"{machine.name}:{number}:{index}" for index in range(KEYS)]
        self._written = dict.fromkeys(self._names, 0)
        self._acknowledged: dict[str, int] = {}         # on this connection
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._client: redis.Redis | None = None
        self._connected_s = 0.0

    def run(self) -> None:
        """Work until `stop`."""
        while not self.is_over.is_set():
            name = self._random.choice(self._names)
            if self._random.random() < 0.5:
                self._written[name] += 1
                number = self._written[name]
                if self._ask("SET", name, number)[0]:
                    self._acknowledged[name] = number
            else:
                known = self._acknowledged.get(name, 0)
                is_done, read = self._ask("GET", name)
                if is_done and int(read or 0) < known:      # type: ignore[call-overload]
                    one = self.asked[-1]
                    one.is_stale = True
                    self.tales.append(
                        f"{name}: own {known}, read {read!r} at"
                        f" {one.ended_s - self.machine.machines.begun_s:.2f} s"
                    )
            time.sleep(self._pause_s)
        if self._client is not None:
            self._client.close()

    def _ask(self, *command: object) -> tuple[bool, object]:
        begun_s = time.monotonic()
        error, read = "away", None
        try:
            if self._client is None:
                client = self.machine.client(GIVES_UP_S)
                pool = client.connection_pool
                pool.release(pool.get_connection())
                self._client = client
                self._connected_s = begun_s = time.monotonic()
                self._acknowledged.clear()
            error = "none"
            read = self._client.execute_command(*command)
            error = ""
        except redis.ResponseError as wrong:
            # For words that it knows the client has classes, and takes the word away.
            first = str(wrong).partition(" ")[0]
            error = first if first.isupper() else type(wrong).__name__
        except (redis.RedisError, OSError):
            if self._client is not None:
                self._client.close()
            self._client = None
        if error == "none" and not self.machine.is_running():
            error = "away"
        self.asked.append(
            Asked(begun_s, time.monotonic(), error, connected_s=self._connected_s)
        )
        return not error, read


@dataclass(slots=True)
class Figures:
    """What some witnesses have seen in a stretch of time."""

    asked: int
    answered: int
    gap_s: dict[str, float]         # by node: the longest time without an answer of one client
    times_s: list[float]            # that answers took, errors included; sorted
    stale: int
    errors: dict[str, int]

    def p99_ms(self) -> float:
        """Of the time that an answer takes."""
        times = self.times_s
        return 1000 * times[min(int(0.99 * len(times)), len(times) - 1)] if times else 0.0

    def __str__(self) -> str:
        gaps = " ".join(f"{name} {gap_s:.2f}" for name, gap_s in sorted(self.gap_s.items()))
        worst_ms = 1000 * self.times_s[-1] if self.times_s else 0.0
        errors = f", {self.errors}" if self.errors else ""
        return (
            f"{100 * self.answered / max(self.asked, 1):.2f} % of {self.asked} answered,"
            f" gaps {gaps} s, p99 {self.p99_ms():.0f} ms, worst {worst_ms:.0f} ms,"
            f" stale {self.stale}{errors}"
        )


class Witnesses:
    """Some at every node. A context manager."""

    def __init__(
        self, machines: Machines, seed: int, pause_s: float = PAUSE_S, each: int = EACH
    ) -> None:
        self.all = [
            Witness(machine, number, seed * 1000 + machine.number * 10 + number, pause_s)
            for machine in machines.all for number in range(each)
        ]

    def __enter__(self) -> Witnesses:
        for witness in self.all:
            witness.start()
        return self

    def __exit__(self, *_: object) -> None:
        for witness in self.all:
            witness.is_over.set()
        for witness in self.all:
            witness.join(10)

    def tales(self, most: int = 6) -> list[str]:
        """Of old values."""
        return [tale for witness in self.all for tale in witness.tales][:most]

    def figures(
        self, at: Collection[Machine], begun_s: float, ended_s: float, within_s: float = 0.0
    ) -> Figures:
        """What was seen at these machines of what was asked from one time to another.

        `within_s`: of that, what was asked within so many seconds after its client had connected.
        """
        seen: list[Asked] = []
        gap_s = {machine.name: 0.0 for machine in at}
        for witness in self.all:
            name = witness.machine.name
            if name not in gap_s:
                continue
            mine = [
                one for one in list(witness.asked)
                if begun_s <= one.ended_s and one.begun_s <= ended_s and one.error != "away"
                and (not within_s or one.begun_s < one.connected_s + within_s)
            ]
            seen += mine
            if not within_s:
                gap_s[name] = max(gap_s[name], _longest_gap_s(mine, begun_s, ended_s))
        errors: dict[str, int] = {}
        for one in seen:
            if one.error:
                errors[one.error] = errors.get(one.error, 0) + 1
        return Figures(
            len(seen), sum(1 for one in seen if not one.error), gap_s,
            sorted(one.ended_s - one.begun_s for one in seen),
            sum(1 for one in seen if one.is_stale), errors,
        )


def _longest_gap_s(seen: Sequence[Asked], begun_s: float, ended_s: float) -> float:
    last_s = begun_s
    longest_s = 0.0
    for one in seen:
        if not one.error:
            longest_s = max(longest_s, one.ended_s - last_s)
            last_s = one.ended_s
    return max(longest_s, ended_s - last_s)
