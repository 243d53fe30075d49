"""redis-cli and redis-benchmark as Debian has them, in every mode, against three nodes."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat import servers
from compat.servers import Server
from tests.server.authority import Authority
from tests.server.process import free_port, node

CLI = shutil.which("redis-cli") or ""
BENCHMARK = shutil.which("redis-benchmark") or ""
pytestmark = [
    pytest.mark.skipif(not (CLI and BENCHMARK), reason="redis-tools is not installed"),
    pytest.mark.slow,
]

# The default run's commands that exist here. redis-benchmark ends at the first error.
BENCHMARKS = ("ping_inline", "ping_mbulk", "set", "get", "incr", "mset")
KEYS = 500


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    with servers.respdyn(3) as three:
        assert cli(three[0], "FLUSHALL") == "OK\n"
        lines = "".join(f"SET key:{number} {number}\n" for number in range(KEYS))
        shown = cli(three[0], "--pipe", given=lines + f"SET big {'x' * 50_000}\n")
        assert f"errors: 0, replies: {KEYS + 1}" in shown
        yield three


def cli(server: Server, *words: str, given: str = "", cluster: bool = False) -> str:
    """What redis-cli prints, whatever it thinks of it."""
    port = server.port + 1000 if cluster else server.port
    done = subprocess.run(
        [CLI, "-h", server.host, "-p", str(port), *words], input=given, capture_output=True,
        text=True, timeout=60, check=False,
    )
    return done.stdout + done.stderr


class Terminal:
    """redis-cli at a terminal, as a person has it."""

    def __init__(self, *words: str) -> None:
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.environ["TERM"] = "xterm"
            os.execv(CLI, [CLI, *words])
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.shown = ""

    def until(self, pattern: str, within_s: float = 15) -> str:
        """Read until this is to be seen in what is new; that."""
        deadline = time.monotonic() + within_s
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, self.shown
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    piece = os.read(self._fd, 65536)
                except OSError:         # the other side is closed
                    piece = b""
                assert piece, self.shown
                self.shown += piece.decode("utf-8", "replace")
        return found[0]

    def until_prompt(self, pattern: str) -> None:
        """Read until this was shown and the prompt after it: keys pressed before that are lost."""
        self.until(pattern + r"[\s\S]*\d> $")

    def type(self, keys: str) -> None:
        """Press these keys; what was shown before is forgotten."""
        self.shown = ""
        os.write(self._fd, keys.encode())

    def close(self) -> None:
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


@pytest.fixture
def terminal(nodes: list[Server]) -> Iterator[Terminal]:
    one = Terminal("-h", nodes[1].host, "-p", str(nodes[1].port))
    one.until(r"\d> $")
    yield one
    one.close()


GRAY = "\x1b[0;90;49m"


def test_hints_and_help_of_our_own_commands(terminal: Terminal) -> None:
    terminal.type("dyn.getctx ")
    terminal.until(re.escape(f"dyn.getctx {GRAY}key"))
    terminal.type("cart\r")
    terminal.until_prompt(r'1\) ""\r\n2\) \(empty array\)')
    terminal.type("dyn.pu\t")
    terminal.until(re.escape(f"DYN.PUTCTX{GRAY} key context value [EX seconds|PX milliseconds]"))
    terminal.type(' a "" ')
    terminal.until(re.escape(f'a "" {GRAY}value [EX seconds|PX milliseconds]'))
    terminal.type("\x15help dyn.cas\r")
    terminal.until("Stores a value if nothing happened to the key since the context")
    terminal.until_prompt("group:.* string")
    terminal.type("set k v ")
    terminal.until(re.escape(f"set k v {GRAY}[NX|XX] [GET] [EX seconds|"))


def test_stat_shows_true_numbers(nodes: list[Server]) -> None:
    terminal = Terminal("-h", nodes[0].host, "-p", str(nodes[0].port), "--stat", "-i", "0.2")
    terminal.until("keys +mem +clients +blocked +requests +connections")
    shown = terminal.until(r"\n\d+ +[\d.]+M +\d+ +0 +\d+ \(\+\d+\) +\d+")
    keys = int(shown.split()[0])        # those that this node is the primary of
    assert KEYS // 6 < keys < KEYS // 2
    terminal.close()


def test_the_largest_keys_are_found(nodes: list[Server]) -> None:
    for server in nodes:
        shown = cli(server, "--bigkeys")
        assert f"Sampled {KEYS + 1} keys" in shown
        assert "Biggest string found '\"big\"' has 50000 bytes" in shown
    shown = cli(nodes[0], "--memkeys")
    size = re.search(r"Biggest string found '\"big\"' has (\d+) bytes", shown)
    assert size is not None and 50_000 < int(size[1]) < 50_500
    assert "LFU maxmemory policy is not selected" in cli(nodes[0], "--hotkeys")     # as Redis


def test_scan_finds_every_key_once(nodes: list[Server]) -> None:
    for server in nodes:
        found = cli(server, "--scan").split()
        assert len(found) == len(set(found)) == KEYS + 1
        assert len(cli(server, "--scan", "--pattern", "key:1*").split()) == 111
    each = [cli(server, "--scan", cluster=True).split() for server in nodes]
    assert sorted(name for names in each for name in names) == sorted(found)


def test_latency_modes(nodes: list[Server]) -> None:
    host = ("-h", nodes[0].host, "-p", str(nodes[0].port))
    terminal = Terminal(*host, "--latency")
    terminal.until(r"min: \d+, max: \d+, avg: [\d.]+ \((1\d|\d\d\d) samples\)")
    terminal.close()
    terminal = Terminal(*host, "--latency-history", "-i", "1")
    terminal.until(r"samples\) -- 1\.\d+ seconds range")
    terminal.close()
    terminal = Terminal(*host, "--latency-dist", "-i", "1")
    terminal.until("From 0 to 100%")
    terminal.close()


def test_cluster_check_and_info_are_content(nodes: list[Server]) -> None:
    at = f"{nodes[2].host}:{nodes[2].port + 1000}"
    shown = cli(nodes[2], "--cluster", "check", at)
    assert "[OK] All nodes agree about slots configuration" in shown
    assert "[OK] All 16384 slots covered" in shown and "[ERR]" not in shown
    shown = cli(nodes[2], "--cluster", "info", at)
    assert f"[OK] {KEYS + 1} keys in 3 masters" in shown
    assert cli(nodes[2], "--cluster", "call", at, "PING").count("PONG") == 3
    assert cli(nodes[0], "-c", "GET", "key:7", cluster=True) == "7\n"


def test_other_ways_to_print(nodes: list[Server]) -> None:
    shown = json.loads(cli(nodes[0], "--json", "DYN.EXPLAIN", "key:7"))
    assert shown["key"] == "key:7" and len(shown["replicas"]) == 3
    assert cli(nodes[0], "--csv", "MGET", "key:1", "nokey") == '"1",NULL\n'
    assert "\nproto 3\n" in cli(nodes[0], "-3", "HELLO")
    assert cli(nodes[0], "-r", "3", "INCR", "runs") == "1\n2\n3\n"
    assert cli(nodes[0], "DEL", "runs") == "1\n"
    assert cli(nodes[0], "-x", "SET", "key:0", given="0") == "OK\n"


def test_replication_modes_are_refused_with_a_reason(nodes: list[Server], tmp_path: Path) -> None:
    for words in (("--rdb", str(tmp_path / "dump.rdb")), ("--replica",)):
        assert "respdyn" in cli(nodes[0], *words)


# With all 50 connections and a pipeline 800 commands on one key wait in its line.
@pytest.mark.parametrize("more", [(), ("-P", "16"), ("--threads", "2"), ("-3",), ("-r", "1000")])
def test_the_benchmark_runs(nodes: list[Server], more: tuple[str, ...]) -> None:
    done = subprocess.run(
        [BENCHMARK, "-h", nodes[0].host, "-p", str(nodes[0].port), "-n", "1000", "-q",
         "-t", ",".join(BENCHMARKS), *more],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done.stderr
    assert done.stdout.count("requests per second") >= len(BENCHMARKS)
    names = cli(nodes[0], "--scan", "--pattern", "*:0000*").split()
    cli(nodes[0], "DEL", "key:__rand_int__", "counter:__rand_int__", *names)


def test_the_benchmark_runs_at_the_cluster_port(nodes: list[Server]) -> None:
    done = subprocess.run(
        [BENCHMARK, "--cluster", "-h", nodes[0].host, "-p", str(nodes[0].port + 1000), "-n", "900",
         "-q", "-t", "set,get,incr"],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done.stderr
    assert done.stdout.count("requests per second") == 3


def test_passwords_and_users() -> None:
    with node("--engine=memory", "--requirepass=s3cret") as (_, port):
        at = Server.__new__(Server)
        at.host, at.port = "127.0.0.1", port
        assert "NOAUTH Authentication required." in cli(at, "GET", "k")
        assert cli(at, "--no-auth-warning", "-a", "s3cret", "SET", "k", "v") == "OK\n"
        assert "WRONGPASS" in cli(at, "-a", "wrong", "GET", "k")
        admin = ("--no-auth-warning", "-a", "s3cret")
        assert cli(at, *admin, "ACL", "SETUSER", "ann", "on", ">hunter2", "~k", "+get") == "OK\n"
        ann = ("--no-auth-warning", "--user", "ann", "--pass", "hunter2")
        assert cli(at, *ann, "GET", "k") == "v\n"
        assert "NOPERM" in cli(at, *ann, "SET", "k", "w")
        terminal = Terminal("-p", str(port))
        terminal.until(r"\d> $")
        terminal.type("AUTH ann hunter2\r")
        terminal.until_prompt("OK")
        terminal.type("GET k\r")
        terminal.until('"v"')
        terminal.close()


def test_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    port = free_port()
    flags = authority.flags(authority.make("node"))
    with node(*flags, f"--tls-port={port + 3}", f"--data-dir={tmp_path / 'data'}", port=port):
        at = Server.__new__(Server)
        at.host, at.port = "127.0.0.1", port + 3
        certificate, key = authority.make("client")
        secured = ("--tls", "--cacert", authority.ca, "--cert", certificate, "--key", key)
        assert cli(at, *secured, "SET", "k", "v") == "OK\n"
        assert cli(at, *secured, "--scan") == "k\n"
        assert "OK" not in cli(at, "--tls", "--cacert", authority.ca, "SET", "k", "w")
        assert cli(at, *secured, "GET", "k") == "v\n"
