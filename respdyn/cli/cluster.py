"""`respdyn cluster`: a whole cluster on this machine, in the foreground.

One process per node, on 127.0.0.1, .2, .3 and the same ports; where the system has only 127.0.0.1,
on consecutive ports. Each node's log lines carry its name. A node that dies is reported and left
dead, with the command that starts it again: that is what a local cluster is for. Ctrl-C stops all.
"""

import argparse
import os
import re
import secrets
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from respdyn.cli.banner import banner
from respdyn.cli.large_pages import environment
from respdyn.cli.main import add_settings, fail, given_settings
from respdyn.cli.reading import read_settings
from respdyn.config import Settings
from respdyn.config_values import ConfigError

NODES_MAX: Final = 100
STOP_S: Final = 40.0
LINE_BYTES: Final = 65536
READY: Final = re.compile(rb'^\S+ ready |"event": "ready"')
STARTING, READY_STATE, ENDED = range(3)


class LocalNode:
    """One node: where it is, how it is started, and its process."""

    def __init__(self, name: str, settings: Settings, command: list[str]) -> None:
        self.name = name
        self.settings = settings
        self.command = command
        self.state = STARTING
        self.buffer = b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, in a group of its own: Ctrl-C is for us to pass on, once."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, process_group=0, env={**os.environ, **environment()},
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many nodes; and every setting is a flag."""
    parser.add_argument("--nodes", type=int, default=3, metavar="K",
                        help="how many nodes (default 3)")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Start all, watch all, stop all; the exit status."""
    if not 1 <= args.nodes <= NODES_MAX:
        return fail(f"--nodes {args.nodes}: must be between 1 and {NODES_MAX}")
    try:
        nodes = plan(args)
    except OSError as wrong:
        return fail(f"data directory: {wrong}")
    return Foreground(nodes).run()


def plan(args: argparse.Namespace) -> list[LocalNode]:
    """The nodes and their command lines. Makes the data directory and the peer secret.

    Raises `ConfigError` for what no node could run with, so that it is reported once.
    """
    count = args.nodes
    given = given_settings(args)
    for name in ("bind", "announce-host", "node-id", "seeds", "cluster-size", "peer-port",
                 "cluster-port"):
        if name in given:
            raise ConfigError(f"--{name} {given[name]}: is chosen by respdyn cluster for each node;"
                              " use respdyn serve")
    common = {"n": str(min(3, count))} if count < 3 and "n" not in given else {}
    # Read once as a single node would be, for what does not differ between them.
    base = read_settings(args, {**common, "cluster-size": str(count), "bind": "127.0.0.1"}
                         if count > 1 else {"n": "1"})
    places = _places(count, base)
    data = Path(base.data_dir).resolve()
    _check_data(data, count, base.engine)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if count > 1:
        common["seeds"] = ",".join(f"{host}:{port + 10000}" for host, port, _ in places)
        common["cluster-size"] = str(count)
        if not base.peer_secret:
            common["peer-secret-file"] = str(_secret(data))
    nodes = []
    for index, (host, port, http_port) in enumerate(places):
        flags = {
            **given, **common, "bind": host, "port": str(port), "cluster-port": str(port + 1000),
            "peer-port": str(port + 10000), "http-port": str(http_port),
            "data-dir": str(data / f"node-{index + 1}"),
        }
        settings = read_settings(args, flags)
        words = [f"--config={args.config}"] if args.config else []
        words += [f"--{name}={value}" for name, value in flags.items()]
        nodes.append(LocalNode(f"node-{index + 1}", settings, [*program(), "serve", *words]))
    return nodes


def program() -> list[str]:
    """How this program was started."""
    script = Path(sys.argv[0])
    if script.name == "respdyn" and os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-P", "-m", "respdyn.cli.main"]


def _places(count: int, base: Settings) -> list[tuple[str, int, int]]:
    """Host, client port and HTTP port of each node."""
    hosts = [f"127.0.0.{i + 1}" for i in range(count)]
    if all(_has_address(host) for host in hosts):
        return [(host, base.client_port, base.http_port) for host in hosts]
    return [
        ("127.0.0.1", base.client_port + i, base.http_port + i if base.http_port else 0)
        for i in range(count)
    ]


def _has_address(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _check_data(data: Path, count: int, engine: str) -> None:
    """A directory that holds a cluster of another size is no place for this one."""
    held = len(list(data.glob("node-*/rocksdb"))) if data.is_dir() else 0
    if held and engine != "memory" and held != count:
        raise ConfigError(f"--nodes {count}: {data} holds a cluster of {held} nodes;"
                          f" give --nodes {held}, or another --data-dir")


def _secret(data: Path) -> Path:
    """The file with the peer secret, made if there is none; only its owner may read it."""
    path = data / "peer-secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    return path


class Foreground:
    """Watches the processes and the terminal until all have ended."""

    def __init__(self, nodes: list[LocalNode]) -> None:
        self._nodes = nodes
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._stop_by = 0.0
        self._status = 0
        self._is_reported = False

    def run(self) -> int:
        """The exit status: 0 after a clean stop."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            for node in self._nodes:
                node.start()
                assert node.process is not None and node.process.stdout is not None
                self._selector.register(node.process.stdout, selectors.EVENT_READ, node)
            while any(node.state != ENDED for node in self._nodes):
                for key, _ in self._selector.select(0.5):
                    if key.data is None:
                        reader.recv(4096)
                    else:
                        self._output(key.data)
                self._look()
        finally:
            for node in self._nodes:
                if node.process is not None:
                    node.signal(signal.SIGKILL)
        return self._status

    def _signalled(self, number: int, frame: object) -> None:
        """The first stops all gracefully; a later one at once."""
        self._signals += 1
        if self._signals == 1:
            self._say("stopping all nodes; once more to end them at once")
            self._stop()
        else:
            self._status = 1
            for node in self._nodes:
                node.signal(signal.SIGKILL)

    def _stop(self) -> None:
        if not self._stop_by:
            self._stop_by = time.monotonic() + STOP_S
            for node in self._nodes:
                node.signal(signal.SIGTERM)

    def _output(self, node: LocalNode) -> None:
        """Pass on what a node said, line by line."""
        assert node.process is not None and node.process.stdout is not None
        data = os.read(node.process.stdout.fileno(), LINE_BYTES)
        if not data:
            self._selector.unregister(node.process.stdout)
            self._ended(node)
            return
        *complete, node.buffer = (node.buffer + data).split(b"\n")
        if len(node.buffer) > LINE_BYTES:
            complete.append(node.buffer)
            node.buffer = b""
        for line in complete:
            self._line(node, line)

    def _line(self, node: LocalNode, line: bytes) -> None:
        print(f"{node.name} | {line.decode('utf-8', 'replace')}", flush=True)
        if node.state == STARTING and READY.search(line):
            node.state = READY_STATE

    def _ended(self, node: LocalNode) -> None:
        """A node's process is gone. One that never became ready stops the others."""
        assert node.process is not None
        status = node.process.wait()
        was_starting = node.state == STARTING
        node.state = ENDED
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if self._stop_by:
            # One that got SIGTERM before it could listen to signals ended as it should.
            if status and not (was_starting and status == -signal.SIGTERM):
                self._say(f"{node.name} ended badly: {how}")
                self._status = self._status or 1
        elif was_starting:
            self._say(f"{node.name} did not start ({how}); stopping the others")
            self._status = status if status > 0 else 1
            self._stop()
        else:
            self._say(f"{node.name} ended: {how}. The others go on. Start it again with\n"
                      f"  {shlex.join(node.command)}")
            if all(other.state == ENDED for other in self._nodes):
                self._status = 1

    def _look(self) -> None:
        if self._stop_by and time.monotonic() > self._stop_by:
            self._status = 1
            self._stop_by = time.monotonic() + STOP_S
            for node in self._nodes:
                node.signal(signal.SIGKILL)
        if not self._is_reported and all(node.state == READY_STATE for node in self._nodes):
            self._is_reported = True
            print(banner(
                [(node.name, node.settings, node.pid, shlex.join(node.command))
                 for node in self._nodes], program(),
            ), flush=True)

    def _say(self, text: str) -> None:
        print(f"respdyn cluster: {text}", flush=True)
