"""One course: five real nodes under load, some harm, healing, and the judgement.

`python -m tests.faults.course --seeds 1..5` is the long run, `make faults`; a short one is a test.
"""

import argparse
import random
import sys
import time

from tests.faults.harms import HARMS
from tests.faults.load import Answers, Load
from tests.faults.machines import Machines

NODES = 5
WRITERS = 4
CALM_S = 1.5
HEALED_S = 90.0


def settle(machines: Machines) -> float:
    """Wait until no hint waits and all copies of everything are the same; how long that took."""
    begun = time.monotonic()
    machines.wait_until_ready(HEALED_S)
    for wrong in (hints_left, differences):
        while left := wrong(machines):
            assert time.monotonic() - begun < HEALED_S, f"{left} {wrong.__doc__}"
            time.sleep(0.1)
    return time.monotonic() - begun


def hints_left(machines: Machines) -> int:
    """hints wait for their owners, long after."""
    count = 0
    for machine in machines.all:
        client = machine.client(5)
        count += int(client.info("dynamo")["dynamo_hints_pending"])
        client.close()
    return count


def differences(machines: Machines) -> int:
    """keys differ among their copies, or nodes could not be asked, long after."""
    reply = machines.ask("DYN.CLUSTER", "VERIFY")
    assert isinstance(reply, list)
    facts = dict(zip(reply[::2], reply[1::2], strict=True))
    return int(facts[b"differences"]) + len(facts[b"not-asked"])


def run(seed: int, harms: list[str], seconds: float, durability: str = "always") -> Answers:
    """A course. Raises `AssertionError` with all that was wrong."""
    rng = random.Random(seed)
    with Machines(NODES, "--durability", durability) as machines:
        load = Load(machines, WRITERS, seed)
        with load:
            time.sleep(CALM_S)
            for name in harms:
                before = load.total()
                HARMS[name](machines, rng, seconds)
                machines.heal()
                machines.wait_until_ready(HEALED_S)
                time.sleep(CALM_S)
                load.by_harm[name] = load.total().since(before).share()
        load.equal_s = settle(machines)
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
            total = run(seed, harms, args.seconds)
        except AssertionError as wrong:
            failed += 1
            print(f"seed {seed} FAILED\n{wrong}", flush=True)
            continue
        times = ", ".join(
            f"{name} {seconds * 1000:.0f} ms" for name, seconds in (
                ("p50", total.quantile_s(0.5)), ("p99", total.quantile_s(0.99)),
                ("worst", total.worst_s),
            )
        )
        print(f"    {total.share()}, {times},"
              f" longest gap {total.gap_s:.1f} s, copies equal {total.equal_s:.1f} s after the end,"
              f" errors {total.errors}", flush=True)
        for name, share in total.by_harm.items():
            print(f"        {name}: {share}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
