"""Client libraries at three nodes: what they ask in passing, and what they notice of a dead node.

Each library is driven by a small program (`suite/driver.py`, `node/driver.mjs`) that says on its
standard output, one line each, a word and JSON:

    checked {check: result}     a few things that each client does
    loading null                from now on eight loops write and read back
    done {...}                  after it has been asked to stop

While it loads, a node is killed, stays away, and comes back. Standalone clients are connected to
another node and notice nothing, but for commands that the dead one had at hand. Cluster clients
lose the node that they send to: they may see errors while they find out, but go on soon, lose no
acknowledged write, and use the node again.
"""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from compat import places, servers
from compat.servers import Server

EXPECTED: dict[str, Any] = {
    "set and get": ["OK", "hello"],
    "an absent key": None,
    "bytes": "00c3a90d0a",
    "four thousand in a pipeline": sum(range(1, 5)) * 1000,
    "scan": 1000,
    "time to live": [1, True],
    "an error": "value is not an integer or out of range",
    "publish and subscribe": "hello",
}
TRANSACTIONS = (["OK", 2], [True, 2])

PATIENCE_S = 60.0
CALM_S = 4.0
AWAY_S = 4.0
AFTER_S = 12.0           # a node that is back is not shown as primary for five seconds
GAP_MS = 4000           # without any acknowledged write; a machine may be busy
LOOPS = 8
UNKNOWN = "the outcome is unknown"      # may be said of what the dead node was just working on
STRAIGHT = 0.02         # of a cluster client's commands may be forwarded to another node


def redis_py(mode: str, addresses: list[str]) -> list[str]:
    """The command line of a driver."""
    home = places.redis_py()
    python = places.venv("suite-venv", places.HERE / "suite" / "requirements.txt")
    driver = places.HERE / "suite" / "driver.py"
    return ["env", f"PYTHONPATH={home}", str(python), str(driver), mode, *addresses]


def _node(library: str) -> Callable[[str, list[str]], list[str]]:
    def words(mode: str, addresses: list[str]) -> list[str]:
        package = places.HERE / "node"
        places.node_modules(package)
        return ["node", str(package / "driver.mjs"), library, mode, *addresses]

    return words


LIBRARIES = {"redis-py": redis_py, "ioredis": _node("ioredis"), "node-redis": _node("node-redis")}


class Driver:
    """A library at work."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**places.clean_environment(), "PYTHONFAULTHANDLER": "1"},
        )

    def receive(self, word: str) -> Any:
        """The next line, which must begin with this word. Raises `CompatError`.

        One that says nothing for too long is aborted; Python's then shows where it hung.
        """
        assert self._process.stdout is not None
        timer = threading.Timer(PATIENCE_S, self._process.send_signal, (signal.SIGABRT,))
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        found, _, value = line.partition(" ")
        if found != word:
            raise places.CompatError(f"instead of {word!r} it said {line!r}")
        return json.loads(value)

    def stop(self) -> Any:
        """Have it stop loading; what it says in the end."""
        assert self._process.stdin is not None
        self._process.stdin.write("stop\n")
        self._process.stdin.flush()
        return self.receive("done")

    def end(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.communicate()


def run(names: list[str] | None = None) -> int:
    """Every library, standalone and cluster; 0 if all went well."""
    wrong = []
    for name in names or LIBRARIES:
        for mode in ("standalone", "cluster"):
            found = _one(name, mode)
            wrong += [f"{name} {mode}: {text}" for text in found]
    for line in wrong:
        print(f"  {line}")
    return int(bool(wrong))


def _one(name: str, mode: str) -> list[str]:
    """What is wrong with one library in one mode."""
    with ExitStack() as stack:
        nodes = stack.enter_context(servers.respdyn(3))
        further = 1000 if mode == "cluster" else 0
        addresses = [f"{one.host}:{one.port + further}" for one in nodes]
        driver = Driver(LIBRARIES[name](mode, addresses))
        stack.callback(driver.end)
        wrong = _judge_checks(driver.receive("checked"))
        driver.receive("loading")
        before = _commands(nodes)
        time.sleep(CALM_S)
        calls, forwarded = (now - was for now, was in zip(_commands(nodes), before, strict=True))
        victim = nodes[1]
        servers.kill(victim)
        time.sleep(AWAY_S)
        victim.restart()
        victim.until("stored a key", victim.stores)
        time.sleep(AFTER_S)
        back = _calls_of(victim)
        time.sleep(1)
        is_used = _calls_of(victim) - back > 100
        done = driver.stop()
    share = forwarded / max(1, calls)
    print(f"{name} {mode}: {done['writes']} writes, {done['errors']} errors, longest gap"
          f" {done['longest_gap_ms']} ms, {done['missing']} missing, {done['wrong']} read back"
          f" wrong; {share:.1%} of {calls} commands forwarded in calm; the node that was away"
          f" {'is' if is_used else 'is not'} used again; said: {done['said']}")
    if done["missing"] or done["wrong"]:
        wrong.append(f"{done['missing']} missing, {done['wrong']} read back wrong")
    if done["writes"] < 500:
        wrong.append(f"only {done['writes']} writes")
    if done["longest_gap_ms"] > GAP_MS:
        wrong.append(f"nothing was written for {done['longest_gap_ms']} ms")
    if mode == "standalone" and (
        done["errors"] > LOOPS or any(UNKNOWN not in text for text in done["said"])
    ):
        wrong.append(f"{done['errors']} errors, though another node died: {done['said']}")
    if mode == "cluster":
        if share > STRAIGHT:
            wrong.append(f"{share:.1%} of its commands were sent to a node that forwarded them")
        if not is_used:
            wrong.append("it does not use the node that has come back")
    return wrong


def _judge_checks(found: dict[str, Any]) -> list[str]:
    wrong = [
        f"{name}: {found.get(name)!r} instead of {value!r}"
        for name, value in EXPECTED.items()
        if found.get(name, "nothing") != value and found.get(name) != f"ERR {value}"
    ]
    if found["a transaction"] not in TRANSACTIONS:
        wrong.append(f"a transaction: {found['a transaction']!r}")
    return wrong


def _commands(nodes: list[Server]) -> tuple[int, int]:
    """GETs and SETs so far at all nodes, and commands forwarded."""
    return sum(map(_calls_of, nodes)), sum(
        _field(one, "dynamo", "dynamo_commands_forwarded") for one in nodes
    )


def _calls_of(node: Server) -> int:
    """Commands that clients have sent to a node."""
    return _field(node, "stats", "total_commands_processed")


def _field(node: Server, section: str, name: str) -> int:
    text = node.ask("INFO", section)
    assert isinstance(text, bytes)
    for line in text.decode().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.partition(":")[2])
    raise places.CompatError(f"INFO {section} has no {name}")
