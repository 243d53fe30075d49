"""Clients that write down what was answered, and a judge who compares it with what is there.

Each writer has keys of its own and works on one after the other, through whatever node answers. The
value of a key says how often it was written, so the judge can see what was lost: a value older
than the last one that was acknowledged; and what came back: a value that was read and deleted in
one step. Counters are incremented by all; each acknowledged increment must be in the sum, and
no more than were asked for.

An answer must come within its deadline, `request-timeout`. What is judged is what the node can
help: not the time that a connection took, nor that for which the machine that tests had no
processor for the node or the client, nor that in which the node was stopped or its cable was bad.
"""

from __future__ import annotations

import random
import threading
import time
from array import array
from dataclasses import dataclass, field

import redis

from tests.faults.machines import Machine, Machines, starved_here_s

KEYS_EACH = 40
COUNTERS = 4
PAUSE_S = 0.005
DEADLINE_S = 2.0
SLACK_S = 0.3


@dataclass
class Key:
    """What is known of one key."""

    written: int = 0                # the number of the last attempt
    acknowledged: int = 0           # of the last write that was acknowledged; 0: none, or deleted
    deleted: int = 0                # the number that the last acknowledged GETDEL read
    is_deleted: bool = False        # that was the last thing that was acknowledged
    is_in_doubt: bool = False       # a deletion's outcome is not known


@dataclass
class Answers:
    """What one writer was answered."""

    answered: int = 0
    refused: int = 0                # answered with an error
    unanswered: int = 0             # by nodes that lived, and could be reached, all the while
    elsewhere: int = 0              # of nodes that were down, stopped, badly connected, or full
    worst_s: float = 0.0
    gap_s: float = 0.0              # the longest time at live nodes with nothing but errors
    late_s: float = 0.0             # the longest answer, less what the node could not help
    equal_s: float = 0.0            # until all copies were the same
    times_s: array[float] = field(default_factory=lambda: array("d"))
    errors: dict[str, int] = field(default_factory=dict)
    by_harm: dict[str, str] = field(default_factory=dict)

    def since(self, before: Answers) -> Answers:
        """What was counted since then."""
        return Answers(
            self.answered - before.answered, self.refused - before.refused,
            self.unanswered - before.unanswered,
        )

    def share(self) -> str:
        """How much was answered without an error, of what was asked of nodes that live."""
        asked = self.answered + self.refused + self.unanswered
        return f"{asked} asked, {100 * self.answered / max(asked, 1):.2f} % answered"

    def quantile_s(self, q: float) -> float:
        """Of the times that answers took, errors included."""
        times = sorted(self.times_s)
        return times[min(int(len(times) * q), len(times) - 1)] if times else 0.0


class Asked:
    """A question under way, and how its node and this client fared until then."""

    def __init__(self, machine: Machine) -> None:
        self.begun_s = time.monotonic()
        self._machine = machine
        self._starved_s = machine.starved_s() + starved_here_s()

    def blamed_s(self, took_s: float) -> float:
        """For how much of that time the node had a processor, and its client could reach it."""
        if self._machine.rough_until_s >= self.begun_s:
            return 0.0
        starved = self._machine.starved_s() + starved_here_s() - self._starved_s
        return took_s - max(starved, 0.0)


class Writer(threading.Thread):
    """One client: a thread with its keys, its connection, and its notes."""

    def __init__(self, machines: Machines, number: int, seed: int) -> None:
        super().__init__(name=f"writer {number}", daemon=True)
        self.machines = machines
        self.number = number
        self.keys = {f"w{number}:{index}": Key() for index in range(KEYS_EACH)}
        self.increments = {f"count:{index}": [0, 0] for index in range(COUNTERS)}
        self.answers = Answers()
        self.is_over = threading.Event()
        self.wrong: list[str] = []
        self._random = random.Random(seed)
        self._client: redis.Redis | None = None
        self._home = number
        self._machine = machines.all[number % len(machines.all)]
        self._last_s = time.monotonic()

    def run(self) -> None:
        """Work until `stop`."""
        while not self.is_over.is_set():
            choice = self._random.random()
            if choice < 0.1:
                self._increment(self._random.choice(sorted(self.increments)))
            else:
                name = self._random.choice(sorted(self.keys))
                if choice < 0.25:
                    self._take(name, self.keys[name])
                elif choice < 0.5:
                    self._read(name, self.keys[name])
                else:
                    self._write(name, self.keys[name])
            time.sleep(PAUSE_S)

    def _ask(self, *command: object) -> tuple[bool, object]:
        """(whether it was answered without an error, the answer)."""
        asked: Asked | None = None
        was_running = True
        try:
            if self._client is None:
                self._client = self._connect()
            was_running = self._machine.is_running()
            asked = Asked(self._machine)
            answer = self._client.execute_command(*command)
        except redis.ResponseError as wrong:
            # For words that it knows the client has classes, and takes the word away.
            kind = type(wrong)
            words = str(wrong).split()[:3]
            word = " ".join(words) if kind is redis.ResponseError else kind.__name__
            self.answers.errors[word] = self.answers.errors.get(word, 0) + 1
            if word.startswith("MISCONF"):      # as meant while its disk is full: go elsewhere
                self.answers.elsewhere += 1
                assert self._client is not None
                self._client.close()
                self._client = None
            else:
                self.answers.refused += 1
            if asked is not None:
                self._measure(asked)
            return False, wrong
        except (redis.RedisError, OSError):
            machine = self._machine
            if asked is None or not (was_running and machine.is_running()) or (
                machine.rough_until_s >= asked.begun_s
            ):
                self.answers.elsewhere += 1
                self._last_s = time.monotonic()     # what counts are gaps at nodes that live
            else:
                self.answers.unanswered += 1
            if self._client is not None:
                self._client.close()
            self._client = None
            return False, None
        self.answers.answered += 1
        self._measure(asked)
        now_s = time.monotonic()
        self.answers.gap_s = max(self.answers.gap_s, now_s - self._last_s)
        self._last_s = now_s
        return True, answer

    def _connect(self) -> redis.Redis:
        """A client goes to a node that it can reach, and stays."""
        self._home += 1
        self._machine = self.machines.all[self._home % len(self.machines.all)]
        client = self._machine.client()
        pool = client.connection_pool
        pool.release(pool.get_connection())
        return client

    def _measure(self, asked: Asked) -> None:
        took_s = time.monotonic() - asked.begun_s
        answers = self.answers
        answers.times_s.append(took_s)
        answers.worst_s = max(answers.worst_s, took_s)
        if took_s > DEADLINE_S:
            answers.late_s = max(answers.late_s, asked.blamed_s(took_s))

    def _write(self, name: str, key: Key) -> None:
        key.written += 1
        is_done, _ = self._ask("SET", name, key.written)
        if is_done:
            key.acknowledged = key.written
            key.is_deleted = key.is_in_doubt = False

    def _take(self, name: str, key: Key) -> None:
        is_done, answer = self._ask("GETDEL", name)
        if not is_done:
            key.is_in_doubt = True
        elif answer is not None:
            number = int(answer)        # type: ignore[call-overload]
            self._look(name, key, number)
            key.deleted = max(key.deleted, number)
            if number >= key.acknowledged:
                key.is_deleted = True

    def _read(self, name: str, key: Key) -> None:
        is_done, answer = self._ask("GET", name)
        if is_done and answer is not None:
            self._look(name, key, int(answer))      # type: ignore[call-overload]

    def _look(self, name: str, key: Key, number: int) -> None:
        if number > key.written:
            self.wrong.append(f"{name} is {number}, which was never written")

    def _increment(self, name: str) -> None:
        tally = self.increments[name]
        tally[1] += 1
        if self._ask("INCR", name)[0]:
            tally[0] += 1


class Load:
    """Some writers at work. A context manager."""

    def __init__(self, machines: Machines, writers: int, seed: int) -> None:
        self.machines = machines
        self.by_harm: dict[str, str] = {}
        self.equal_s = 0.0              # after healing, until all copies were the same
        self.writers = [Writer(machines, number, seed * 100 + number) for number in range(writers)]

    def __enter__(self) -> Load:
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.is_over.set()
        for writer in self.writers:
            writer.join(30)

    def total(self) -> Answers:
        """All writers together."""
        total = Answers(equal_s=self.equal_s, by_harm=self.by_harm)
        for answers in (writer.answers for writer in self.writers):
            total.answered += answers.answered
            total.refused += answers.refused
            total.unanswered += answers.unanswered
            total.elsewhere += answers.elsewhere
            total.worst_s = max(total.worst_s, answers.worst_s)
            total.gap_s = max(total.gap_s, answers.gap_s)
            total.late_s = max(total.late_s, answers.late_s)
            total.times_s.extend(answers.times_s)
            for word, count in answers.errors.items():
                total.errors[word] = total.errors.get(word, 0) + count
        return total

    # ---- the judge ----

    def judge(self) -> list[str]:
        """What is wrong, read through every node after healing."""
        wrong = [text for writer in self.writers for text in writer.wrong]
        late_s = max(writer.answers.late_s for writer in self.writers)
        if late_s > DEADLINE_S + SLACK_S:
            wrong.append(f"an answer took {late_s:.2f} s, and that was its node's own doing")
        for machine in self.machines.all:
            if machine.is_running():
                wrong += self._judge_at(machine)
        return wrong

    def _judge_at(self, machine: Machine) -> list[str]:
        client = machine.client(10)
        wrong = []
        for writer in self.writers:
            for name, key in writer.keys.items():
                _, values = client.execute_command("DYN.GETCTX", name)      # type: ignore[misc]
                numbers = sorted(int(value) for value in values)
                where = f"{name} at {machine.name} is {numbers}: "
                if any(number > key.written for number in numbers):
                    wrong.append(where + f"only {key.written} were written")
                if key.is_deleted and key.deleted in numbers:
                    wrong.append(where + f"{key.deleted} was read and deleted")
                if key.is_deleted or key.is_in_doubt or not key.acknowledged:
                    continue
                if not numbers or numbers[-1] < key.acknowledged:
                    wrong.append(where + f"{key.acknowledged} was acknowledged")
        for name in self.writers[0].increments:
            least = sum(writer.increments[name][0] for writer in self.writers)
            most = sum(writer.increments[name][1] for writer in self.writers)
            count = int(client.get(name) or 0)      # type: ignore[arg-type]
            if not least <= count <= most:
                wrong.append(f"{name} at {machine.name} is {count}: {least} were acknowledged,"
                             f" {most} asked for")
        client.close()
        return wrong
