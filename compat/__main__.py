"""`python -m compat PART ...`: hold respdyn against clients, their tests, and Redis.

Without a part: all of them. What is missing (a package, a program) is said in one line.
"""

import argparse
import signal
import sys
from collections.abc import Callable

from compat import clients, dashboard, rolling, scope
from compat.apps import run as apps
from compat.machine import machine, several
from compat.places import CompatError
from compat.servers import BenchError
from compat.suite import run as suite

PARTS: dict[str, tuple[str, Callable[[], int]]] = {
    "one": ("redis-py's tests on one node", lambda: suite.run(["one"])),
    "three": ("redis-py's tests on three nodes", lambda: suite.run(["three"])),
    "cluster": ("redis-py's cluster tests on the cluster port", lambda: suite.run(["cluster"])),
    "machine": ("random commands, answered as by Redis (STORIES=2000 SEED=)",
                lambda: machine.run(1)),
    "machine-three": ("the same at three nodes", lambda: machine.run(3)),
    "machine-cluster": ("the same on the cluster port", machine.run_in_cluster),
    "machine-several": ("the same from several connections, with all that they receive unasked",
                        several.run),
    "clients": ("redis-py, ioredis and node-redis while a node dies and returns", clients.run),
    "rolling": ("redis-py and node-redis, retries off, while all nodes are restarted (ROUNDS=2)",
                rolling.run),
    "apps": ("programs at work on three nodes, one of which is killed (TESTS=)", apps.run),
    "dashboard": ("the queries of docker's dashboard, put to a Prometheus", dashboard.run),
}
# Asked for by name only: they write files, or judge the tests themselves.
WRITING: dict[str, tuple[str, Callable[[], int]]] = {
    "apps-judge": ("what apps does, on a redis-server, where it must pass too", apps.judge),
    "judge": ("write anew what redis-py's tests do on Redis", suite.judge),
    "accept-one": ("take what passes out of expected/one.txt",
                   lambda: suite.run(["one"], accept=True)),
    "accept-three": ("the same for three", lambda: suite.run(["three"], accept=True)),
    "accept-cluster": ("the same for cluster", lambda: suite.run(["cluster"], accept=True)),
    "table": ("write anew the list of Redis's commands", scope.write_table),
}


def main() -> int:
    """The exit status: 0 if every part did what it should."""
    every = {**PARTS, **WRITING}
    parser = argparse.ArgumentParser(
        prog="compat", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {name:15} {text}" for name, (text, _) in every.items()),
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all that only read")
    args = parser.parse_args()
    for name in args.parts:
        if name not in every:
            parser.error(f"{name}: there is no such part")
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # the servers end with us
    failed = []
    for name in args.parts or PARTS:
        print(f"== {name}: {every[name][0]}", flush=True)
        try:
            if every[name][1]():
                failed.append(name)
        except (CompatError, BenchError) as wrong:
            print(f"  {wrong}")
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all well")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
