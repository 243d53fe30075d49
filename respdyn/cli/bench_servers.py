"""The servers that are measured: started on free loopback ports, awaited, and ended by process id.

A `Setup` says what is to run, `start` makes it run in a directory of its own, `Running` is what
does. respdyn's nodes get 127.0.0.1, .2, .3 and one port as in real life; Redis gets one primary,
and replicas on further ports.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from respdyn.cli.client import Client, ClientError, Reply

RESPDYN: Final = "respdyn"
REDIS: Final = "redis"
READY_S: Final = 60.0
STOP_S: Final = 30.0
POLL_S: Final = 0.01
PORTS: Final = (20_000, 22_700)     # a peer port is 10,000 higher, and 32,768 up is the system's
PORT_TRIES: Final = 200
LOG_LINES: Final = 5
PEER_SECRET: Final = "only for a benchmark on loopback"


class BenchError(Exception):
    """The benchmark cannot go on. One line that says why."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What to run. `durability`: always, everysec or no, as both sides name it; "": memory."""

    kind: str
    nodes: int = 1
    durability: str = ""

    @property
    def name(self) -> str:
        """For directories and messages."""
        return f"{self.kind}-{self.nodes}-{self.durability or 'memory'}"


class Server:
    """One process and where it listens."""

    def __init__(self, words: list[str], host: str, port: int, log: Path) -> None:
        self.words = words
        self.host = host
        self.port = port
        self.log = log
        self._start()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                env=_clean_environment(),
            )

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def ask(self, *words: str) -> Reply:
        """A command on a connection of its own. Raises `BenchError` if there is no reply."""
        try:
            client = Client(f"{self.host}:{self.port}")
            try:
                return client.call(*words)
            finally:
                client.close()
        except ClientError as wrong:
            raise BenchError(str(wrong)) from None

    def until(self, what: str, is_so: Callable[[], bool], within_s: float = READY_S) -> None:
        """Poll. Raises `BenchError` with the last lines of the log if it never is so."""
        deadline = time.monotonic() + within_s
        while True:
            if not self.is_alive():
                raise BenchError(f"{self.log.stem} ended before it {what}: {self.last_words()}")
            try:
                if is_so():
                    return
            except BenchError:
                pass                    # no server listens there yet
            if time.monotonic() > deadline:
                raise BenchError(f"{self.log.stem} has not {what} within {within_s:.0f} s:"
                                 f" {self.last_words()}")
            time.sleep(POLL_S)

    def stores(self) -> bool:
        """Whether it takes a write."""
        return self.ask("SET", "ready?", "1") == b"OK"

    def follows(self) -> bool:
        """Whether it is a Redis replica that has caught up."""
        reply = self.ask("INFO", "replication")
        return isinstance(reply, bytes) and b"master_link_status:up" in reply

    def last_words(self) -> str:
        """The end of the log, on one line."""
        lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        return " | ".join(lines[-LOG_LINES:]) or "it said nothing"

    def pids(self) -> list[int]:
        """This process and those it started."""
        pid = self._process.pid
        return [pid, *_children(pid)]

    def memory_bytes(self) -> int:
        """Resident memory of the process itself; 0 where the system does not say (no /proc)."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0
        return next(int(line.split()[1]) * 1024
                    for line in status.splitlines() if line.startswith("VmRSS:"))

    def stop(self) -> None:
        """SIGTERM, and wait; SIGKILL if that takes too long."""
        if self.is_alive():
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """The same again, after `stop`."""
        self._start()


class Running:
    """A setup that runs. A context manager: leaving it stops everything and removes the data."""

    def __init__(self, setup: Setup, servers: list[Server], directory: Path) -> None:
        self.setup = setup
        self.servers = servers
        self.directory = directory

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def targets(self, spread: bool = False) -> tuple[tuple[str, int], ...]:
        """Where clients go: to the first node, or to all."""
        chosen = self.servers if spread else self.servers[:1]
        return tuple((server.host, server.port) for server in chosen)

    def cpu_s(self) -> float:
        """Processor time used so far by all its processes; 0 where the system does not say."""
        return sum(_cpu_s(pid) for server in self.servers for pid in server.pids())


def start(setup: Setup, directory: Path) -> Running:
    """Start it and wait until it serves. Raises `BenchError`."""
    place = directory / setup.name
    place.mkdir()
    running = Running(setup, [], place)
    try:
        if setup.kind == RESPDYN:
            _start_respdyn(running)
        else:
            _start_redis(running)
    except BaseException:
        running.__exit__()
        raise
    return running


def redis_path() -> str:
    """Where redis-server is; "" if it is not installed."""
    return shutil.which("redis-server") or ""


def _start_respdyn(running: Running) -> None:
    setup, place = running.setup, running.directory
    hosts = _hosts(setup.nodes)
    ports = free_ports(hosts)
    secret = place / "peer-secret"
    secret.touch(0o600)
    secret.write_text(PEER_SECRET, encoding="ascii")
    engine = ["--engine=rocksdb", f"--durability={setup.durability}"]
    for index, (host, port) in enumerate(zip(hosts, ports, strict=True)):
        words = [
            sys.executable, "-P", "-m", "respdyn.cli.main", "serve",
            f"--bind={host}", f"--port={port}",
            "--http-port=0", f"--data-dir={place / f'node-{index + 1}'}",
            *(engine if setup.durability else ["--engine=memory", f"--node-id={index + 1:040x}"]),
        ]
        if setup.nodes > 1:
            seeds = ",".join(f"{h}:{p + 10_000}" for h, p in zip(hosts, ports, strict=True))
            words += [f"--seeds={seeds}", f"--cluster-size={setup.nodes}", "--n=3", "--r=2",
                      "--w=2", f"--peer-secret-file={secret}"]
        running.servers.append(Server(words, host, port, place / f"node-{index + 1}.log"))
    for server in running.servers:
        server.until("stored a key", server.stores)


def _start_redis(running: Running) -> None:
    setup, place = running.setup, running.directory
    host = "127.0.0.1"
    ports = free_ports([host] * setup.nodes)
    # Rewriting the append-only file in the middle of a round would be held against Redis.
    disk = ["--appendonly", "yes", "--appendfsync", setup.durability,
            "--auto-aof-rewrite-percentage", "0"]
    for index, port in enumerate(ports):
        home = place / f"redis-{index + 1}"
        home.mkdir()
        words = [
            redis_path(), "--port", str(port), "--bind", host, "--dir", str(home), "--save", "",
            "--repl-diskless-sync-delay", "0", *(disk if setup.durability else []),
        ]
        if index:
            words += ["--replicaof", host, str(ports[0])]
        running.servers.append(Server(words, host, port, place / f"redis-{index + 1}.log"))
    first, *replicas = running.servers
    first.until("stored a key", first.stores)
    for replica in replicas:
        replica.until("followed the primary", replica.follows)


def _hosts(count: int) -> list[str]:
    """127.0.0.1, .2, ...; where the system has only the first of them, that one for all."""
    hosts = [f"127.0.0.{index + 1}" for index in range(count)]
    return hosts if all(_is_free(host, 0) for host in hosts) else ["127.0.0.1"] * count


def free_ports(hosts: list[str]) -> list[int]:
    """A client port for each: one for all if the addresses differ. Raises `BenchError`."""
    step = 0 if len(set(hosts)) == len(hosts) else 1
    chance = random.Random()
    for _ in range(PORT_TRIES):
        port = chance.randrange(*PORTS)
        ports = [port + step * index for index in range(len(hosts))]
        if all(_is_free(host, p + more) for host, p in zip(hosts, ports, strict=True)
               for more in (0, 1000, 10_000)):
            return ports
    raise BenchError("there are no free ports")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _clean_environment() -> dict[str, str]:
    """Without RESPDYN_* variables: what is measured are the settings given here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RESPDYN_")}


def _children(pid: int) -> list[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in words.split()]


def _cpu_s(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
