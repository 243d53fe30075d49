"""What is done to real machines, each for a while, and undone by `Machines.heal`.

`HARMS` names them; each takes the machines, a source of chance and how long it lasts. A harm takes
at most so many machines out at once that quorums of owners and stand-ins remain: two of five.
"""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.machines import PORT, Machines

Harm = Callable[[Machines, random.Random, float], None]


def kill(machines: Machines, rng: random.Random, seconds: float) -> None:
    """kill -9 of one node, and its start."""
    machine = rng.choice(machines.all)
    machine.kill()
    time.sleep(seconds)
    machine.start()


def kill_two(machines: Machines, rng: random.Random, seconds: float) -> None:
    """kill -9 of two nodes at once."""
    for machine in rng.sample(machines.all, 2):
        machine.kill()
    time.sleep(seconds)


def pause(machines: Machines, rng: random.Random, seconds: float) -> None:
    """SIGSTOP of one node and its storage process."""
    rng.choice(machines.all).send(signal.SIGSTOP)
    time.sleep(seconds)


def halves(machines: Machines, rng: random.Random, seconds: float) -> None:
    """A cut between two nodes and the others."""
    order = rng.sample(machines.all, len(machines.all))
    machines.cut(order[:2], order[2:])
    time.sleep(seconds)


def one_way(machines: Machines, rng: random.Random, seconds: float) -> None:
    """One node receives nothing from the others, and they receive from it; or the reverse."""
    one, *others = rng.sample(machines.all, len(machines.all))
    if rng.random() < 0.5:
        machines.cut([one], others, is_one_way=True)
    else:
        machines.cut(others, [one], is_one_way=True)
    time.sleep(seconds)


def loss(machines: Machines, rng: random.Random, seconds: float) -> None:
    """A fifth of all packets to one node is lost."""
    rng.choice(machines.all).lose(0.2)
    time.sleep(seconds)


def flap(machines: Machines, rng: random.Random, seconds: float) -> None:
    """A link comes and goes."""
    one, two = rng.sample(machines.all, 2)
    for _ in range(4):
        machines.cut([one], [two])
        time.sleep(seconds / 8)
        one.free()
        two.free()
        time.sleep(seconds / 8)


def stop(machines: Machines, rng: random.Random, seconds: float) -> None:
    """One node is stopped in an orderly way, and started."""
    machine = rng.choice(machines.all)
    assert machine.end() == 0
    time.sleep(seconds / 2)
    machine.start()


def kill_all(machines: Machines, rng: random.Random, seconds: float) -> None:
    """kill -9 of all nodes, storage processes included."""
    for machine in machines.all:
        machine.kill()
    for machine in machines.all:
        machine.start()
    time.sleep(seconds)


def wipe(machines: Machines, rng: random.Random, seconds: float) -> None:
    """One node loses its disk, and is started as always."""
    machine = rng.choice(machines.all)
    machine.kill()
    machine.wipe()
    time.sleep(seconds / 2)
    machine.start()


def full_disk(machines: Machines, rng: random.Random, seconds: float) -> None:
    """No space is left on one node's disk."""
    rng.choice(machines.all).fill_disk()
    time.sleep(seconds)


def power(machines: Machines, rng: random.Random, seconds: float) -> None:
    """One machine loses its power."""
    machine = rng.choice(machines.all)
    machine.cut_power()
    time.sleep(seconds / 2)
    machine.start()


def power_all(machines: Machines, rng: random.Random, seconds: float) -> None:
    """All machines lose their power."""
    for machine in machines.all:
        machine.cut_power()
    for machine in machines.all:
        machine.start()
    time.sleep(seconds / 2)


def slow(machines: Machines, rng: random.Random, seconds: float) -> None:
    """What one node sends is late."""
    rng.choice(machines.all).slow_down(200_000)
    time.sleep(seconds)


def wrong_clock(machines: Machines, rng: random.Random, seconds: float) -> None:
    """One node is started with a wall clock that is off by more than is allowed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "this harm needs libfaketime: install the package faketime"
    machine = rng.choice(machines.all)
    machine.end()
    machine.env = {
        "LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME": rng.choice(("-30s", "+2s", "+1h")),
    }
    machine.start()
    time.sleep(seconds)
    machine.end()
    machine.env = {}
    machine.start()


def grow(machines: Machines, rng: random.Random, seconds: float) -> None:
    """A node joins, and another is killed while partitions move to it; then it leaves again."""
    newcomer = machines.add()
    machines.change("JOIN", f"{newcomer.host}:{PORT}")
    time.sleep(0.5)
    other = rng.choice(machines.founders[1:])
    other.kill()
    time.sleep(seconds / 2)
    other.start()
    machines.wait_until_moved()
    time.sleep(seconds / 2)
    machines.change("LEAVE", f"{newcomer.host}:{PORT}")
    machines.wait_until_moved()
    machines.remove(newcomer)


HARMS: dict[str, Harm] = {
    "kill": kill, "kill-two": kill_two, "pause": pause, "halves": halves, "one-way": one_way,
    "loss": loss, "flap": flap, "stop": stop, "kill-all": kill_all, "wipe": wipe,
    "full-disk": full_disk, "power": power, "power-all": power_all,
    "slow": slow, "wrong-clock": wrong_clock, "grow": grow,
}
