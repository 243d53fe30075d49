"""A rolling restart of three nodes under stock clients whose retries are off: not one error.

Before a node stops it hands its part to the others, pushes MOVING to clients that asked for
notifications (CLIENT MAINT_NOTIFICATIONS), and closes a connection only when nothing is under way
on it. redis-py and node-redis ask by default. The drivers are those of `clients`, asked by
COMPAT_RETRIES=off to try nothing twice.
"""

import os
from contextlib import ExitStack

from compat import servers
from compat.clients import LIBRARIES, Driver
from compat.servers import Server

ROUNDS = 2
_BETWEEN_S = 60.0


def run() -> int:
    """Both libraries at once, each at a node of its own; 0 if there was no error."""
    rounds = int(os.environ.get("ROUNDS", str(ROUNDS)))
    os.environ["COMPAT_RETRIES"] = "off"
    try:
        wrong = [text for number in range(rounds) for text in _round(number + 1)]
    finally:
        del os.environ["COMPAT_RETRIES"]
    for line in wrong:
        print(f"  {line}")
    return int(bool(wrong))


def _round(number: int) -> list[str]:
    wrong = []
    with ExitStack() as stack:
        nodes = stack.enter_context(servers.respdyn(3))
        addresses = [f"{one.host}:{one.port}" for one in nodes]
        drivers: dict[str, Driver] = {}
        for name in ("redis-py", "node-redis"):
            for at, home in enumerate(nodes):
                words = LIBRARIES[name]("standalone", addresses[at:] + addresses[:at])
                driver = drivers[f"{name} at {home.host}"] = Driver(words)
                stack.callback(driver.end)
        for driver in drivers.values():
            driver.receive("checked")
            driver.receive("loading")
        for node in nodes:
            _restart(node)
        for name, driver in drivers.items():
            done = driver.stop()
            print(f"round {number}, {name}: {done['writes']} writes, {done['errors']} errors,"
                  f" longest gap {done['longest_gap_ms']} ms, {done['missing']} missing,"
                  f" {done['wrong']} read back wrong; said: {done['said']}")
            if done["errors"] or done["missing"] or done["wrong"]:
                wrong.append(f"round {number}, {name}: not without a trace")
            if done["writes"] < 200:
                wrong.append(f"round {number}, {name}: only {done['writes']} writes")
    return wrong


def _restart(node: Server) -> None:
    """SIGTERM, the same again, and wait until it says that it is ready: filled, that is."""
    node.stop()
    before = _ready(node)
    node.restart()
    node.until("said that it is ready", lambda: _ready(node) > before, _BETWEEN_S)


def _ready(node: Server) -> int:
    return node.log.read_text("utf-8", "replace").count(" ready ")
