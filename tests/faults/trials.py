"""How much of a fault clients feel: one fault after the other on five real nodes, in figures.

`python -m tests.faults.trials` runs all of them, `make faults` as well. Unlike a `course`, which
asks whether anything was lost, each trial here reports, for the clients of each side or node: how
much was answered, the longest time without an answer, p99, and reads that were older than what had
been acknowledged on the same connection. What a trial cannot do here it says (`needs`).
"""

import argparse
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.clocks import WallClock
from tests.faults.course import HEALED_S, settle
from tests.faults.machines import PORT, Machine, Machines
from tests.faults.witnesses import Witnesses

CALM_S = 2.0
AFTER_S = 3.0
KEPT_KEYS = 200
STEP_S = 0.005


def measured(machines: Machines, witnesses: Witnesses, sides: dict[str, list[Machine]],
         begun_s: float, ended_s: float) -> list[str]:
    """The figures of each side while the fault lasted, and of all right after it."""
    lines = [
        f"{name}: {witnesses.figures(at, begun_s, ended_s)}" for name, at in sides.items()
    ]
    after = witnesses.figures(machines.all, ended_s, ended_s + AFTER_S)
    return [*lines, f"the {AFTER_S:.0f} s after: {after}", *witnesses.tales()]


def _hurt(
    machines: Machines, seed: int, sides: dict[str, list[Machine]], hurt: Callable[[], None],
    pause_s: float = 0.04,
) -> list[str]:
    """Clients at every node; `hurt` does it and lasts as long as it shall; then all is healed."""
    with Witnesses(machines, seed, pause_s) as witnesses:
        time.sleep(CALM_S)
        begun_s = time.monotonic()
        hurt()
        machines.heal()
        ended_s = time.monotonic()
        time.sleep(AFTER_S)
    equal_s = settle(machines)
    return [
        *measured(machines, witnesses, sides, begun_s, ended_s),
        f"copies equal {equal_s:.1f} s after that",
    ]


# ---- links ----

def cut(seed: int, seconds: float) -> list[str]:
    """Two of five nodes are cut off from the other three."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"side of three": order[2:], "side of two": order[:2]}

        def hurt() -> None:
            machines.cut(order[:2], order[2:])
            time.sleep(seconds)

        return _hurt(machines, seed, sides, hurt)


def cut_one(seed: int, seconds: float) -> list[str]:
    """One node is cut off from all others, which go on."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"side of four": order[1:], "side of one": order[:1]}

        def hurt() -> None:
            machines.cut(order[:1], order[1:])
            time.sleep(seconds)

        return _hurt(machines, seed, sides, hurt)


def flap(seed: int, seconds: float) -> list[str]:
    """All links of one node come and go, each for 0.7 s."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"the others": order[1:], "the one": order[:1]}

        def hurt() -> None:
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                machines.cut(order[:1], order[1:])
                time.sleep(0.7)
                machines.join()
                time.sleep(0.7)

        return _hurt(machines, seed, sides, hurt)


def late(seed: int, seconds: float) -> list[str]:
    """What one node sends comes 20 to 180 ms late."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"the others": order[1:], "the one": order[:1]}

        def hurt() -> None:
            order[0].delay(100, 80, seed)
            time.sleep(seconds)

        return _hurt(machines, seed, sides, hurt)


def loss(seed: int, seconds: float) -> list[str]:
    """15 % of what is sent to one node is lost."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"the others": order[1:], "the one": order[:1]}

        def hurt() -> None:
            order[0].lose(0.15)
            time.sleep(seconds)

        return _hurt(machines, seed, sides, hurt)


def after_heal(seed: int, seconds: float) -> list[str]:
    """Busy clients on both sides of a cut, which read on right after it is healed."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"side of three": order[2:], "side of two": order[:2]}

        def hurt() -> None:
            machines.cut(order[:2], order[2:])
            time.sleep(seconds / 2)

        return _hurt(machines, seed, sides, hurt, 0.005)


def disagree(seed: int, seconds: float) -> list[str]:
    """Cuts of two kinds in turn: halves, and a ring in which each node sees its two neighbours."""
    rng = random.Random(seed)
    lines = []
    with Machines(5) as machines:
        with Witnesses(machines, seed, 0.02) as witnesses:
            time.sleep(CALM_S)
            for kind in ("halves", "ring", "halves", "ring"):
                order = rng.sample(machines.all, 5)
                begun_s = time.monotonic()
                if kind == "halves":
                    machines.cut(order[:2], order[2:])
                else:
                    for at, machine in enumerate(order):
                        machines.cut([machine], [order[(at + 2) % 5]])
                time.sleep(seconds / 3)
                machines.heal()
                ended_s = time.monotonic()
                time.sleep(2.0)
                lines += [
                    f"{kind}: {witnesses.figures(machines.all, begun_s, ended_s)}",
                    f"the 2 s after: {witnesses.figures(machines.all, ended_s, ended_s + 2.0)}",
                ]
        lines.append(f"copies equal {settle(machines):.1f} s after that")
        return [*lines, *witnesses.tales()]


def keeper(seed: int, seconds: float) -> list[str]:
    """n1 and n2 are cut from n4 and n5; n3 sees all. 200 keys through n1, and each read at n3."""
    with Machines(5) as machines:
        one, two, three, four, five = machines.all
        _set_all(one, "old")
        settle(machines)
        machines.cut([one, two], [four, five])
        time.sleep(2.5)
        _set_all(one, "new")
        written_s = time.monotonic()
        client = three.client()
        answers: list[object] = []
        for name in _kept():
            try:
                answers.append(client.get(name))
            except redis.RedisError as wrong:
                answers.append(str(wrong))
        at_once = _hints(three)
        left = at_once
        while left and time.monotonic() < written_s + 15:
            time.sleep(0.05)
            left = _hints(three)
        empty_s = time.monotonic() - written_s
        client.close()
        machines.heal()
        settle(machines)
        stale = answers.count(b"old")
        errors = len(answers) - stale - answers.count(b"new")
        return [
            f"{stale} of {KEPT_KEYS} reads at n3 were stale, {errors} were not answered;"
            f" hints at n3 {at_once}, and {left} after {empty_s:.2f} s"
        ]


def _kept() -> list[str]:
    return [f"kept:{number}" for number in range(KEPT_KEYS)]


def _set_all(machine: Machine, value: str) -> None:
    client = machine.client()
    for name in _kept():
        client.set(name, value)
    client.close()


def _hints(machine: Machine) -> int:
    client = machine.client()
    try:
        return int(client.info("dynamo")["dynamo_hints_pending"])
    finally:
        client.close()


# ---- starts ----

@dataclass
class First:
    """What one client received in the first second after a node took its connection."""

    refused: int = 0
    asked: int = 0
    ok_s: float = -1.0          # until the first answer that is no error; -1: none came
    words: str = ""


def first_second(machine: Machine, *command: str, port: int = PORT) -> First:
    """Connect as soon as that can be, and ask for a second."""
    first = First()
    until_s = time.monotonic() + 30
    while True:
        client = redis.Redis(
            host=machine.host, port=port, socket_timeout=5, protocol=2, retry=_none(),
        )
        pool = client.connection_pool
        try:
            pool.release(pool.get_connection())
            break
        except (redis.RedisError, OSError):
            assert time.monotonic() < until_s, f"{machine.name} takes no connection"
            client.close()
            time.sleep(0.002)
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + 1.0:
        first.asked += 1
        try:
            client.execute_command(*command)
        except redis.RedisError as wrong:
            first.refused += 1
            first.words = first.words or str(wrong)[:60]
        else:
            if first.ok_s < 0:
                first.ok_s = time.monotonic() - begun_s
        time.sleep(STEP_S)
    client.close()
    return first


def _none() -> Retry:
    return Retry(NoBackoff(), 0)


def restart_idle(seed: int, seconds: float) -> list[str]:
    """Each node of an idle cluster in turn is stopped, or killed, and started again."""
    lines = []
    with Machines(5) as machines:
        time.sleep(CALM_S)
        for at, machine in enumerate(machines.all):
            machine.end(signal.SIGKILL if at % 2 else signal.SIGTERM)
            time.sleep(0.5)
            machine.start()
            first = first_second(machine, "SET", f"key:{seed}:{at}", "1")
            machines.wait_until_ready(HEALED_S)
            time.sleep(1.0)
            lines.append(
                f"{machine.name} {'killed' if at % 2 else 'stopped'}: {first.refused} of"
                f" {first.asked} refused in the first second, the first answer after"
                f" {first.ok_s:.2f} s{f' ({first.words})' if first.words else ''}"
            )
        return lines


def restart_rolling(seed: int, seconds: float) -> list[str]:
    """Every node in turn is stopped in an orderly way and started again, under load."""
    with Machines(5) as machines:
        with Witnesses(machines, seed, 0.01) as witnesses:
            time.sleep(CALM_S)
            begun_s = time.monotonic()
            for machine in machines.all:
                machine.end()
                machine.start()
                machine.wait_until_ready(HEALED_S)
                time.sleep(1.0)
            ended_s = time.monotonic()
        settle(machines)
        # A connection that stood before the restarts is in here with what it asked when it began.
        first = witnesses.figures(machines.all, begun_s, ended_s, within_s=1.0)
        every = witnesses.figures(machines.all, begun_s, ended_s)
        return [
            f"all: {every}",
            f"in the first second of a connection: {first}",
            *witnesses.tales(),
        ]


def start_three(seed: int, seconds: float) -> list[str]:
    """Three nodes start, with empty disks and with full ones, while clients ask."""
    lines = []
    with Machines(3) as machines:
        for is_empty in (True, False):
            for machine in machines.all:
                machine.kill()
                if is_empty:
                    machine.wipe()
            for machine in machines.all:
                machine.start()
            begun_s = time.monotonic()
            counts: dict[str, int] = {}
            ponged_s = served_s = 0.0
            while time.monotonic() < begun_s + 30 and not served_s:
                for machine in machines.all:
                    said = {
                        name: _say(machine, port, *words) for name, port, *words in (
                            ("PING", PORT, "PING"), ("SET", PORT, "SET", "key", "1"),
                            ("CLUSTER SLOTS", PORT + 1000, "CLUSTER", "SLOTS"),
                        )
                    }
                    if said["PING"] is None:
                        continue
                    ponged_s = ponged_s or time.monotonic()
                    for name, wrong in said.items():
                        if wrong:
                            label = f"{name}: {wrong[:40]}"
                            counts[label] = counts.get(label, 0) + 1
                    if machine is machines.all[-1] and not any(said.values()):
                        served_s = time.monotonic()
                time.sleep(STEP_S)
            lines.append(
                f"{'empty' if is_empty else 'full'} disks: serves {served_s - ponged_s:.2f} s"
                f" after the first PONG; refused meanwhile {counts or 0}"
            )
            machines.wait_until_ready(HEALED_S)
            time.sleep(1.0)
        return lines


def _say(machine: Machine, port: int, *words: str) -> str | None:
    """What was wrong; "" if nothing was, None where no node was there."""
    client = redis.Redis(
        host=machine.host, port=port, socket_timeout=5, protocol=2, retry=_none()
    )
    try:
        client.execute_command(*words)
        return ""
    except redis.ResponseError as wrong:
        return str(wrong)
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()


# ---- disk and clock ----

def full_disk(seed: int, seconds: float) -> list[str]:
    """No space is left on one node's disk; its clients stay."""
    with Machines(5) as machines:
        order = random.Random(seed).sample(machines.all, 5)
        sides = {"the others": order[1:], "the full one": order[:1]}

        with Witnesses(machines, seed) as witnesses:
            time.sleep(CALM_S)
            order[0].fill_disk()
            until_s = time.monotonic() + 30     # what it has written is not yet all on its disk
            while b"storage_failed" not in order[0].log.read_bytes():
                assert time.monotonic() < until_s, "the disk is full, and no node notices"
                time.sleep(0.02)
            begun_s = time.monotonic()
            time.sleep(seconds)
            machines.heal()
            ended_s = time.monotonic()
            time.sleep(AFTER_S)
        settle(machines)
        return measured(machines, witnesses, sides, begun_s, ended_s)


def clock_back(seed: int, seconds: float) -> list[str]:
    """In a cut, a node of the larger side restarts with its clock 60 s behind; it is set right.

    Before that the other side had written every key. What the node acknowledges is newer and must
    be what is left. (On the smaller side no majority contradicts its clock: decision 0020.)
    """
    with Machines(5) as machines:
        one, two, three, *others = machines.all
        names = [f"late:{number}" for number in range(KEPT_KEYS)]
        machines.cut([one, two, three], others)
        time.sleep(2.5)
        client = others[0].client()
        for name in names:
            client.set(name, "older")
        client.close()
        one.kill()
        clock = WallClock(one, -60.0)
        one.start()
        acknowledged: dict[str, float] = {}     # how long after the first
        hidden_here = 0
        refused = 0
        one.wait_until_open(HEALED_S)
        client = one.client()
        begun_s = time.monotonic()
        for at, name in enumerate(names):
            if at == len(names) // 2:
                clock.set(0.0)
            try:
                client.set(name, "newer")
                acknowledged[name] = time.monotonic() - begun_s
                hidden_here += client.get(name) != b"newer"
            except redis.RedisError:
                refused += 1
            time.sleep(seconds / 3 / len(names))
        client.close()
        machines.heal()
        settle(machines)
        client = others[1].client()
        lost = [name for name in acknowledged if client.get(name) != b"newer"]
        client.close()
        when = ""
        if lost:
            when = f", from {acknowledged[lost[0]]:.2f} to {acknowledged[lost[-1]]:.2f} s"
        return [
            f"{len(acknowledged)} newer values acknowledged, {refused} refused; hidden behind older"
            f" ones afterwards {len(lost)}{when}; stale on the connection {hidden_here}"
        ]


Trial = Callable[[int, float], list[str]]       # given a seed and how long the fault lasts, s

TRIALS: dict[str, Trial] = {
    "keeper": keeper, "after-heal": after_heal, "restart-idle": restart_idle,
    "restart-rolling": restart_rolling, "start-three": start_three, "cut": cut,
    "cut-one": cut_one, "flap": flap, "late": late, "loss": loss, "disagree": disagree,
    "full-disk": full_disk, "clock-back": clock_back,
}
NEEDS: dict[str, tuple[str, ...]] = {"clock-back": ("gcc",)}


def missing(name: str) -> list[str]:
    """What this machine lacks for a trial."""
    programs = ("ip", "iptables", "tc", "mkfs.ext4", *NEEDS.get(name, ()))
    return [program for program in programs if shutil.which(program) is None]


def main() -> int:
    """All trials, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", default=list(TRIALS), metavar="NAME")
    parser.add_argument("--seeds", default="1..1", metavar="A..B")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each fault (default 6)")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("..")
    failed = 0
    for name in args.trials:
        if lacks := missing(name):
            print(f"{name}: not run, this machine has no {', '.join(lacks)}", flush=True)
            failed += 1
            continue
        for seed in range(int(first), int(last or first) + 1):
            try:
                lines = TRIALS[name](seed, args.seconds)
            except AssertionError as wrong:
                failed += 1
                lines = [f"FAILED {wrong}"]
            print("\n    ".join([f"{name}, seed {seed}", *lines]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
