"""What the issue of nothing being lost promises, as stories on real nodes.

Each has five or three machines, a load of clients with *one retry* (what failed at a node is asked
once more, at the next), something that an operator does or that happens, and what must be so
afterwards. `python -m tests.faults.stories` plays all of them and prints what was measured.
"""

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from itertools import combinations

import redis

from tests.faults.course import HEALED_S, settle
from tests.faults.load import Load, Writer
from tests.faults.machines import PORT, Machine, Machines
from tests.server.process import run as run_program

Story = Callable[[float], str]      # given how long things last, seconds; what was measured


class Patient(Writer):
    """A client that writes and reads its own keys, and asks once more before it gives up."""

    def __init__(self, machines: Machines, number: int, seed: int) -> None:
        super().__init__(machines, number, seed)
        self.retried = 0
        self.beyond: list[str] = []         # what failed twice
        self.is_strict = True               # whether a read must have what was acknowledged

    def run(self) -> None:
        """Work until `stop`."""
        names = sorted(self.keys)
        while not self.is_over.is_set():
            name = self._random.choice(names)
            key = self.keys[name]
            if self._random.random() < 0.4:
                read = self._patiently("GET", name)
                if self.is_strict and read is not self and int(read or 0) < key.acknowledged:
                    self.wrong.append(f"{name} read {read!r}, {key.acknowledged} was acknowledged")
            else:
                key.written += 1
                if self._patiently("SET", name, key.written) is not self:
                    key.acknowledged = key.written
            time.sleep(0.005)

    def _patiently(self, *words: object) -> object:
        """The answer; itself if there was none."""
        begun_s = time.monotonic()
        was = self._machine.name
        is_done, first = self._ask(*words)
        if is_done:
            return first
        self.retried += 1
        if self._client is not None:        # an error: another node may know better
            self._client.close()
            self._client = None
        is_done, second = self._ask(*words)
        if is_done:
            return second
        at_s = begun_s - self.machines.begun_s
        self.beyond.append(
            f"at {at_s:.2f} s {words[0]}: {was} said {first!r}, {self._machine.name} {second!r}"
            f" after {time.monotonic() - begun_s:.2f} s"
        )
        return self


class Patients(Load):
    """Some of them."""

    def __init__(self, machines: Machines, writers: int = 4, is_strict: bool = True) -> None:
        super().__init__(machines, 0, 1)
        self.patients = [Patient(machines, number, number) for number in range(writers)]
        for patient in self.patients:
            patient.is_strict = is_strict
        self.writers = list(self.patients)

    def figures(self) -> str:
        """What came of it. Raises `AssertionError` if something failed twice or was lost."""
        answers = self.total()
        beyond = [text for one in self.patients for text in one.beyond]
        wrong = self.judge()
        assert not beyond and not wrong, "\n".join([*beyond, *wrong, self.machines.logs()])
        retried = sum(one.retried for one in self.patients)
        return (
            f"{answers.answered} answered, {retried} retried, 0 beyond one retry,"
            f" p99 {answers.quantile_s(0.99) * 1000:.0f} ms, worst {answers.worst_s * 1000:.0f} ms"
        )


# ---- what a cluster shows ----

def status(machines: Machines, at: Machine | None = None) -> dict[str, object]:
    """DYN.CLUSTER STATUS."""
    client = (at or machines.founders[0]).client(10)
    try:
        reply = client.execute_command("DYN.CLUSTER", "STATUS")
        assert isinstance(reply, list)
        return {
            name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)
        }
    finally:
        client.close()


def owners(machines: Machines) -> list[list[str]]:
    """Of each partition."""
    reply = machines.ask("DYN.CLUSTER", "RING")
    assert isinstance(reply, list)
    ring = dict(zip(reply[::2], reply[1::2], strict=True))
    return [[name.decode() for name in row[3]] for row in ring[b"partitions"]]


def verify(machines: Machines) -> None:
    """`respdyn admin verify` finds no difference."""
    done = run_program("admin", "--node", f"{machines.founders[0].host}:{PORT}", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def change(machines: Machines, *steps: tuple[str, ...]) -> float:
    """Stage, look, commit, wait; the plan must say exactly what moves. How long it took."""
    before = owners(machines)
    for step in steps:
        machines.ask("DYN.CLUSTER", *step)
    reply = machines.ask("DYN.CLUSTER", "PLAN")
    assert isinstance(reply, list)
    plan = dict(zip(reply[::2], reply[1::2], strict=True))
    begun = time.monotonic()
    machines.ask("DYN.CLUSTER", "COMMIT")
    machines.wait_until_moved()
    took_s = time.monotonic() - begun
    after = owners(machines)
    moved = {
        (partition, name) for partition, row in enumerate(after)
        for name in row if name not in before[partition]
    }
    foretold = {(row[0], row[2].decode()) for row in plan[b"partitions"]}
    assert moved == foretold, f"not as planned: {moved ^ foretold}"
    held: dict[str, int] = {}
    for row in after:
        for name in row:
            held[name] = held.get(name, 0) + 1
    assert max(held.values()) - min(held.values()) <= 1, held
    return took_s


# ---- the stories ----

def kill_any_two(seconds: float) -> str:
    """Of five nodes any two are killed: clients go on; when they are back all is made good."""
    with Machines(5) as machines, Patients(machines, is_strict=False) as load:
        pairs = list(combinations(machines.all, 2))
        random.Random(1).shuffle(pairs)
        gaps = []
        chosen = pairs if seconds >= 5 else pairs[:1]
        for pair in chosen:
            for machine in pair:
                machine.kill()
            time.sleep(seconds)
            machines.heal()
            machines.wait_until_ready(HEALED_S)
            gaps.append(settle(machines))
        for patient in load.patients:
            patient.is_over.set()
        settle(machines)
        verify(machines)
        wrong = load.judge()
        assert not wrong, "\n".join(wrong[:20])
        said = load.total()
        return (
            f"{len(chosen)} pairs; {said.share()}, longest gap {said.gap_s:.1f} s;"
            f" hints 0 and copies equal {max(gaps):.1f} s after at most"
        )


def cut_two_three(seconds: float) -> str:
    """A cut between two and three nodes, with writers on both sides."""
    with Machines(5) as machines:
        with Load(machines, 6, 1) as load:
            for number, writer in enumerate(load.writers):
                writer._home = number
            time.sleep(1)
            machines.cut(machines.all[:2], machines.all[2:])
            time.sleep(seconds)
            machines.heal()
        took_s = settle(machines)
        wrong = load.judge()
        assert not wrong, "\n".join(wrong[:20])
        verify(machines)
        return f"{load.total().share()}; equal {took_s:.1f} s after healing"


def grow_and_shrink(seconds: float) -> str:
    """Three nodes become five, and three again, under load."""
    with Machines(3) as machines:
        with Patients(machines) as load:
            time.sleep(1)
            newcomers = [machines.add(), machines.add()]
            grown_s = change(machines, *(("JOIN", f"{one.host}:{PORT}") for one in newcomers))
            time.sleep(seconds / 2)
            shrunk_s = change(machines, *(("LEAVE", f"{one.host}:{PORT}") for one in newcomers))
            begun = time.monotonic()
            while status(machines)["nodes"] != 3:       # they hand over what they still hold
                assert time.monotonic() - begun < HEALED_S, "they do not leave"
                time.sleep(0.05)
            handed_s = time.monotonic() - begun
            time.sleep(seconds / 4)
            for one in newcomers:
                machines.remove(one)
            time.sleep(seconds / 4)
        settle(machines)
        verify(machines)
        return (
            f"grown in {grown_s:.1f} s, shrunk in {shrunk_s:.1f} s, handed over {handed_s:.1f} s"
            f" later; {load.figures()}"
        )


def rolling_restart(seconds: float) -> str:
    """Every node in turn is stopped in an orderly way and started again."""
    with Machines(5) as machines:
        with Patients(machines) as load:
            time.sleep(1)
            for machine in machines.all:
                assert machine.end() == 0
                machine.start()
                machine.wait_until_ready(HEALED_S)
                while not _is_well(status(machines, machine)):
                    time.sleep(0.1)
                time.sleep(seconds / 10)
        settle(machines)
        verify(machines)
        return load.figures()


def _is_well(status: dict[str, object]) -> bool:
    verdict = status["verdict"]
    assert isinstance(verdict, bytes)
    return verdict.startswith((b"all well", b"well, and mending itself"))


def two_for_good(seconds: float) -> str:
    """Two of five are gone for good: the others serve, and after `force-remove` hold N copies."""
    with Machines(5) as machines:
        load = Patients(machines, is_strict=False)
        with load:
            time.sleep(1)
            gone = machines.all[3:]
            for machine in gone:
                machine.kill()
            time.sleep(5)
            before = load.total()
            time.sleep(seconds)
            after = load.total()
            served = after.answered - before.answered
            refused = after.refused - before.refused
            # A client that picks a dead node learns it at once, and takes the next.
            share = served / (served + refused)
            assert share >= 0.99, f"{share:.4f} answered"
            took_s = change(
                machines, *(("FORCE-REMOVE", f"{one.host}:{PORT}") for one in gone)
            )
            for one in gone:
                machines.discard(one)
            time.sleep(seconds / 2)
        settle(machines)
        verify(machines)
        assert all(len(row) == 3 for row in owners(machines))
        wrong = load.judge()
        assert not wrong, "\n".join(wrong[:20])
        return f"{100 * share:.2f} % answered after 5 s; N copies again {took_s:.1f} s after commit"


def deleted_stays_deleted(seconds: float) -> str:
    """Half of many keys is deleted while nodes fail and return; the tombstones go, no key comes."""
    count = int(seconds * 10_000)
    terms = (
        "--tombstone-grace", "20s", "--hint-max-age", "10s", "--message-max-age", "5s",
        "--collect-interval", "10",
    )
    with Machines(5, *terms) as machines:
        _in_pipelines(machines, count, lambda pipe, at: pipe.set(f"key{at}", at))
        over = threading.Event()
        harm = threading.Thread(target=_fail_and_return, args=(machines, over))
        harm.start()
        _in_pipelines(machines, count, lambda pipe, at: pipe.delete(f"key{at}") if at % 2 else None)
        over.set()
        harm.join()
        machines.heal()
        machines.wait_until_ready(HEALED_S)
        begun = time.monotonic()
        left = -1
        while left:
            left = sum(_tombstones(machine) for machine in machines.all)
            assert time.monotonic() - begun < 300, f"{left} tombstones are left"
            time.sleep(0.5)
        took_s = time.monotonic() - begun
        for machine in machines.all:
            client = machine.client(30)
            assert client.dbsize() == count // 2, f"{client.dbsize()} at {machine.name}"
            for first in range(0, count, 500):
                with client.pipeline(transaction=False) as pipe:
                    for at in range(first, first + 500):
                        pipe.exists(f"key{at}")
                    found = pipe.execute()
                assert found == [1 - at % 2 for at in range(first, first + 500)]
            client.close()
        verify(machines)
        return f"{count // 2} of {count} deleted; the last tombstone went after {took_s:.0f} s"


def _tombstones(machine: Machine) -> int:
    client = machine.client(10)
    try:
        return int(client.info("dynamo")["dynamo_tombstones"])
    finally:
        client.close()


def _fail_and_return(machines: Machines, over: threading.Event) -> None:
    """One node at a time is killed, for longer than the grace once."""
    rng = random.Random(2)
    away_s = [3.0, 25.0, 2.0]
    while not over.is_set() or away_s:
        machine = rng.choice(machines.all[1:])
        machine.kill()
        time.sleep(away_s.pop() if away_s else 2.0)
        machine.start()
        machine.wait_until_ready(HEALED_S)


def _in_pipelines(
    machines: Machines, count: int, say: "Callable[[redis.client.Pipeline, int], object]"
) -> None:
    """Something for every number; what fails is said again until it succeeds."""
    client = machines.all[0].client(20)
    for first in range(0, count, 500):
        while True:
            with client.pipeline(transaction=False) as pipe:
                for at in range(first, first + 500):
                    say(pipe, at)
                try:
                    pipe.execute()
                    break
                except (redis.RedisError, OSError):
                    time.sleep(0.2)
    client.close()


STORIES: dict[str, Story] = {
    "kill-any-two": kill_any_two, "cut-two-three": cut_two_three,
    "grow-and-shrink": grow_and_shrink, "rolling-restart": rolling_restart,
    "two-for-good": two_for_good, "deleted-stays-deleted": deleted_stays_deleted,
}
LONG: dict[str, float] = {"cut-two-three": 60.0}


def main() -> int:
    """All stories, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="*", default=list(STORIES), metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each (default 10)")
    args = parser.parse_args()
    failed = 0
    for name in args.stories:
        try:
            measured = STORIES[name](max(args.seconds, LONG.get(name, 0.0)))
        except AssertionError as wrong:
            failed += 1
            print(f"{name} FAILED\n{wrong}", flush=True)
        else:
            print(f"{name}: {measured}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
