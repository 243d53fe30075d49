"""Runs the applications' tests in environments of their own, against three nodes or a Redis."""

import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Listener

from compat import places, servers

_HERE = places.HERE / "apps"
# Programs that want different versions of redis-py: an environment each, and its tests.
_ENVIRONMENTS = {
    "apps-venv": ("requirements.txt", ["--ignore", str(_HERE / "older"), str(_HERE)]),
    "older-venv": ("older/requirements.txt", [str(_HERE / "older")]),
}


def run() -> int:
    """On three nodes that keep their data on disk; 0 if all pass."""
    with servers.respdyn(3, "everysec") as nodes, _outages(nodes) as (address, key):
        return _test(nodes, COMPAT_OUTAGES=address, COMPAT_OUTAGES_KEY=key)


def judge() -> int:
    """The same tests on a redis-server that is never killed: what fails is the tests' fault."""
    with servers.redis() as one:
        return _test([one] * 3)


def _node() -> str:
    """Where node is, with the programs' packages installed; "" where npm is missing."""
    if shutil.which("npm") is None:
        print("  npm is not installed: programs for node are left out")
        return ""
    places.node_modules(_HERE / "node")
    return shutil.which("node") or ""


def _test(nodes: list[servers.Server], **more: str) -> int:
    more["COMPAT_NODE"] = _node()
    addresses = ",".join(f"{one.host}:{one.port}" for one in nodes)
    some = os.environ.get("TESTS", "").split()
    worst = 0
    for name, (requirements, tests) in _ENVIRONMENTS.items():
        if some and some[0].startswith("older/") != (name == "older-venv"):
            continue
        python = places.venv(name, _HERE / requirements)
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider",
             "--confcutdir", str(_HERE), "-c", "/dev/null", "--rootdir", str(_HERE),
             *(some or tests)],
            env={**places.clean_environment(), "COMPAT_NODES": addresses, **more},
            check=False, cwd=_HERE,
        )
        worst = max(worst, done.returncode)
    return worst


@contextmanager
def _outages(nodes: list[servers.Server]) -> Iterator[tuple[str, str]]:
    """Kills and restarts nodes for a test that asks; where to ask, and the key to it."""
    key = secrets.token_hex(16)
    with Listener(("127.0.0.1", 0), authkey=key.encode()) as listener:
        host, port = listener.address
        threading.Thread(target=_serve, args=(listener, nodes), daemon=True).start()
        yield f"{host}:{port}", key


def _serve(listener: Listener, nodes: list[servers.Server]) -> None:
    while True:
        try:
            with listener.accept() as line:
                what, number = line.recv()
                line.send(_carry_out(what, nodes[number]))
        except OSError:
            return                      # the listener is closed


def _carry_out(what: str, node: servers.Server) -> str:
    try:
        if what == "kill":
            servers.kill(node)
        else:
            node.restart()
            node.until("stored a key", node.stores)
    except servers.BenchError as wrong:
        return str(wrong)
    return "done"
