"""Mistakes that servers of this protocol have made, each tried on a real node: who asks for much,
who lies about lengths, who is a browser, who waits before saying who he is.

The numbers are of the reports (CVE) where there is one.
"""

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process import Running, node


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, int, Path]]:
    data = tmp_path_factory.mktemp("traps") / "data"
    with node(f"--data-dir={data}", "--requirepass=sesame", "--max-clients=500") as (one, port):
        yield one, port, data


@pytest.fixture()
def port(guarded: tuple[Running, int, Path]) -> int:
    return guarded[1]


def talk(port: int, data: bytes, seconds: float = 10) -> bytes:
    """Everything that comes until the node hangs up; `(open)` at the end if it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as wire:
        got = b""
        try:
            wire.sendall(data)
            while piece := wire.recv(1 << 16):
                got += piece
        except TimeoutError:
            got += b"(open)"
        except ConnectionError:
            pass
        return got


def memory_kb(one: Running) -> int:
    text = Path(f"/proc/{one.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


@pytest.mark.parametrize("data", [
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"*1\r\n$4\r\nPOST\r\n", b"*2\r\n$5\r\nhost:\r\n$1\r\n/\r\n",
    b"AUTH sesame\r\nPOST /\r\nSET k v\r\n", b"AUTH sesame\r\n*1\r\n$4\r\npOsT\r\nSET k v\r\n",
])
def test_a_browser_is_cut_off(guarded: tuple[Running, int, Path], data: bytes) -> None:
    """2016-10517."""
    one, port, _ = guarded
    answer = talk(port, data)
    assert b"(open)" not in answer and answer.count(b"+OK") <= 1
    one.says("cross_protocol_attack address=127.0.0.1")
    assert one.output.count("cross_protocol_attack") == 1
    assert b"$-1\r\n" in talk(port, b"AUTH sesame\r\nGET k\r\nQUIT\r\n")


@pytest.mark.parametrize("data", [
    b"*11\r\n", b"*1000000\r\n", b"*1\r\n$16385\r\n", b"*1\r\n$536870912\r\n",
    b"*2\r\n$4\r\nAUTH\r\n$99999\r\n", b"*1\r\n$1_0\r\n", b"*+1\r\n", b"* 1\r\n", b"*1\r\n$ 1\r\n",
    b"*1\r\n$01\r\n", "*1\r\n$\u0661\r\n".encode(), b"*9223372036854775808\r\n", b"A" * 70_000,
])
def test_strangers_may_declare_little(port: int, data: bytes) -> None:
    """2021-32675; and numbers as Python reads them, not as the protocol has them."""
    assert b"-ERR Protocol error" in talk(port, data)


def test_strangers_hold_no_memory(guarded: tuple[Running, int, Path]) -> None:
    """2021-32675, 2025-21605: many who declare much, many who never read what they are sent."""
    one, port, _ = guarded
    before = memory_kb(one)
    wires = []
    try:
        for _ in range(300):
            wire = socket.create_connection(("127.0.0.1", port), timeout=10)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.sendall(b"*9\r\n$16000\r\n" + b"x" * 1000)
            wires.append(wire)
        deaf = wires[:50]
        for wire in deaf:
            wire.sendall(b"y" * 15_000 + b"\r\n" + b"$1\r\na\r\n" * 8)
            wire.setblocking(False)
            try:
                for _ in range(40):
                    wire.send(b"GET k\r\n" * 2000)
            except BlockingIOError:
                pass
        time.sleep(1)
        assert memory_kb(one) - before < 120_000
        assert talk(port, b"AUTH sesame\r\nPING\r\nQUIT\r\n") == b"+OK\r\n+PONG\r\n+OK\r\n"
    finally:
        for wire in wires:
            wire.close()


def test_nothing_is_shown_before_a_password(port: int) -> None:
    for line in (b"INFO", b"COMMAND", b"CONFIG GET *", b"CLIENT LIST", b"ACL LIST", b"GET k",
                 b"DYN.CLUSTER STATUS", b"SLOWLOG GET", b"CLUSTER NODES", b"SUBSCRIBE c",
                 b"MONITOR", b"MULTI", b"SHUTDOWN", b"DYN.WITH R 1 GET k", b"BGSAVE",
                 b"ACL WHOAMI"):
        assert talk(port, line + b"\r\nQUIT\r\n") == b"-NOAUTH Authentication required.\r\n+OK\r\n"


def test_an_error_carries_no_line_end_of_the_client(port: int) -> None:
    """2025-67733: what a client sent must not begin a reply of its own."""
    evil = b"a\r\n+OK\r\n$3\r\nbad"
    argv = b"$%d\r\n%b\r\n" % (len(evil), evil)
    for words in (
        b"*1\r\n" + argv, b"*2\r\n$6\r\nCLIENT\r\n" + argv,
        b"*4\r\n$3\r\nACL\r\n$7\r\nSETUSER\r\n$1\r\nx\r\n" + argv,
        b"*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n" + argv + argv,
        b"*3\r\n$3\r\nACL\r\n$3\r\nCAT\r\n" + argv, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n" + argv + b"",
        b"*2\r\n$15\r\nDYN.CONSISTENCY\r\n" + argv, b"*2\r\n$7\r\nDYN.CAS\r\n" + argv,
    ):
        answer = talk(port, b"AUTH sesame\r\n" + words + b"QUIT\r\n").removeprefix(b"+OK\r\n")
        assert answer.endswith(b"+OK\r\n") and answer.count(b"\r\n") == 2, answer


def test_a_pattern_cannot_take_for_ever(port: int) -> None:
    """2022-36021, 2024-31228."""
    began = time.monotonic()
    bomb = b"*a" * 4000 + b"b"
    wanted = b"*2\r\n$4\r\nKEYS\r\n$%d\r\n%b\r\n" % (len(bomb), bomb)
    key = b"a" * 8000
    setting = b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1\r\nv\r\n" % (len(key), key)
    answer = talk(port, b"AUTH sesame\r\n" + setting + wanted + b"DEL " + key + b"\r\nQUIT\r\n", 30)
    assert answer == b"+OK\r\n+OK\r\n*0\r\n:1\r\n+OK\r\n"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("words", [
    b"SETRANGE k 9223372036854775807 x", b"SETRANGE k 536870912 x", b"SETBIT k 4294967296 1",
    b"GETBIT k -1", b"BITFIELD k SET u8 99999999999 1", b"SETRANGE k -1 x",
    b"GETRANGE k -9223372036854775808 9223372036854775807", b"LCS k k MINMATCHLEN -1 IDX",
    b"MSETNX k 1 k 2", b"INCRBYFLOAT k nan", b"INCRBYFLOAT k inf", b"EXPIRE k -9223372036854775808",
])
def test_numbers_at_the_edge_do_no_harm(
    guarded: tuple[Running, int, Path], words: bytes
) -> None:
    """2022-35977, 2023-28425, 2023-28856 and their kin."""
    one, port, _ = guarded
    before = memory_kb(one)
    answer = talk(port, b"AUTH sesame\r\n" + words + b"\r\nDEL k\r\nPING\r\nQUIT\r\n")
    assert answer.endswith(b"+PONG\r\n+OK\r\n")
    assert memory_kb(one) - before < 50_000


def test_files_are_their_owners_alone(guarded: tuple[Running, int, Path]) -> None:
    _, _, data = guarded
    for path in [data, *data.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert os.access(data, os.R_OK)


def test_secrets_are_not_logged(guarded: tuple[Running, int, Path]) -> None:
    one, port, _ = guarded
    talk(port, b"AUTH sesame\r\nACL SETUSER eve on >swordfish\r\nCONFIG SET requirepass sesame\r\n"
               b"AUTH eve opensesame\r\nQUIT\r\n")
    answer = talk(port, b"AUTH sesame\r\nINFO everything\r\nCLIENT LIST\r\nSLOWLOG GET\r\n"
                        b"ACL LOG\r\nACL LIST\r\nQUIT\r\n")
    for secret in (b"swordfish", b"sesame"):
        assert secret.decode() not in one.output
        assert secret not in answer
