"""One course: five real nodes under load, some harm, healing, and the judgement.

`python -m tests.faults.course --seeds 1..5` is the long run, `make faults`; a short one is a test.
"""

import argparse
import random
import sys
import time

from tests.faults.harms import HARMS
from tests.faults.load import Load, Told
from tests.faults.machines import Machines

NODES = 5
WRITERS = 4
CALM_S = 1.5
HEALED_S = 90.0


def settle(machines: Machines) -> float:
    """Wait until all copies are alike and no hint waits; how long that took."""
    begun = time.monotonic()
    machines.wait_until_ready(HEALED_S)
    while True:
        if all(_is_at_rest(machines, index) for index in range(len(machines.all))):
            return time.monotonic() - begun
        assert time.monotonic() - begun < HEALED_S, "hints wait, or copies differ, long after"
        time.sleep(0.2)


def _is_at_rest(machines: Machines, index: int) -> bool:
    client = machines.all[index].client(5)
    try:
        if client.execute_command("DYN.SYNCWAIT", "2000") != 1:
            return False
        info = client.info("dynamo")
        return all(int(info.get(name, 0)) == 0 for name in ("hints_pending", "hints"))
    finally:
        client.close()


def run(seed: int, harms: list[str], seconds: float, durability: str = "always") -> Told:
    """A course. Raises `AssertionError` with all that was wrong."""
    rng = random.Random(seed)
    with Machines(NODES, "--durability", durability) as machines:
        load = Load(machines, WRITERS, seed)
        with load:
            time.sleep(CALM_S)
            for name in harms:
                HARMS[name](machines, rng, seconds)
                machines.heal()
                machines.wait_until_ready(HEALED_S)
                time.sleep(CALM_S)
        settle(machines)
        wrong = load.judge()
        story = [*wrong[:40], f"{len(wrong)} things are wrong", machines.logs()]
        assert not wrong, "\n".join(story)
        return load.total()


def main() -> int:
    """The long run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1..3", metavar="A..B")
    parser.add_argument("--harms", default=",".join(HARMS), metavar="NAME,...")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each harm (default 6)")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("..")
    failed = 0
    for seed in range(int(first), int(last or first) + 1):
        harms = args.harms.split(",")
        random.Random(seed).shuffle(harms)
        print(f"seed {seed}: {' '.join(harms)}", flush=True)
        try:
            told = run(seed, harms, args.seconds)
        except AssertionError as wrong:
            failed += 1
            print(f"seed {seed} FAILED\n{wrong}", flush=True)
            continue
        asked = told.answered + told.refused + told.unanswered
        print(f"    {asked} asked, {100 * told.answered / asked:.2f} % answered,"
              f" worst {told.worst_s * 1000:.0f} ms, longest gap {told.gap_s:.1f} s,"
              f" errors {told.errors}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
