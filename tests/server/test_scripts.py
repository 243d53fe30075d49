"""A real node and its script process: what a script does to that, it does not do to the node."""

import os
import signal
from pathlib import Path

import pytest

from tests.commands.real import Connection, encode
from tests.server.process import node

WITH = (b"DYN.WITH", b"TIMEOUT", b"20000")

# What stops, ends or fills a process of plain Lua 5.1, and how the node answers.
HOSTILE = {
    "loop": (b"while true do end", b"-TIMEOUT"),
    "loop in pcall": (b"pcall(function() while true do end end) while true do end", b"-TIMEOUT"),
    "loop in a coroutine": (
        b"coroutine.wrap(function() while true do end end)()", b"-TIMEOUT"),
    "loop in C": (b"return ('a'):rep(300000):find('.-b')", b"-TIMEOUT"),
    "unpack": (b"return unpack({}, 0, 2^31-1)", b"-ERR user_script:1: too many results"),
    "gsub": (b"local function f() string.gsub('a', 'a', f) end f()", b"-ERR"),
    "a long string": (b"return #(('x'):rep(200 * 1024 * 1024))", b"-ERR not enough memory"),
    "much memory": (
        b"local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end", b"-OOM"),
}


@pytest.mark.slow
def test_a_hostile_script_gets_an_error_and_no_other_client_notices() -> None:
    with node("--engine=memory", "--request-timeout=1s", "--script-memory=64mb") as (_, port):
        client, other = Connection(port), Connection(port)
        # The process may need longer than a second to begin on a machine that has much to do.
        assert client.call(b"EVAL", b"return 1", b"0") == b":1\r\n"
        for name, (script, said) in HOSTILE.items():
            terms = () if said == b"-TIMEOUT" else WITH
            reply = client.call(*terms, b"EVAL", b"redis.call('set', 'k', 1) " + script, b"0")
            assert reply.startswith(said), (name, reply)
            assert other.call(b"PING") == b"+PONG\r\n"
            assert client.call(*WITH, b"EVAL", b"return 2", b"0") == b":2\r\n", name


@pytest.mark.slow
def test_a_process_that_is_killed_is_followed_by_another() -> None:
    with node("--engine=memory") as (running, port):
        client = Connection(port)
        assert client.call(*WITH, b"EVAL", b"return 1", b"0") == b":1\r\n"
        children = _children(running.process.pid)
        assert children, "the nursery runs"
        for nursery in children:
            for pid in _children(nursery):
                os.kill(pid, signal.SIGKILL)
        assert client.call(*WITH, b"EVAL", b"return 2", b"0") == b":2\r\n"
        for nursery in children:
            os.kill(nursery, signal.SIGKILL)
        assert client.call(*WITH, b"EVAL", b"return 3", b"0") == b":3\r\n"


@pytest.mark.slow
def test_nothing_of_a_node_that_is_killed_goes_on() -> None:
    with node("--engine=memory") as (running, port):
        Connection(port).call(*WITH, b"EVAL", b"return 1", b"0")
        stuck = Connection(port)
        stuck.talk(encode([*WITH, b"EVAL", HOSTILE["loop in C"][0], b"0"]), 0)
        nurseries = _children(running.process.pid)
        workers = [pid for nursery in nurseries for pid in _children(nursery)]
        assert workers
        while not any(_state(pid) == "R" for pid in workers):
            pass
        running.process.kill()
        running.process.wait()
        while any(_state(pid) not in {"", "Z"} for pid in (*nurseries, *workers)):
            pass        # else the test never ends


@pytest.mark.slow
def test_without_lupa_a_script_is_answered_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "lupa.py").write_text("raise ImportError('there is none')")
    with node("--engine=memory", env={"PYTHONPATH": str(tmp_path)}) as (_, port):
        client = Connection(port)
        for _ in range(2):
            reply = client.call(*WITH, b"EVAL", b"return 1", b"0")
            assert reply.startswith(b"-ERR no script can run") and b"pip install lupa" in reply
        assert client.call(b"PING") == b"+PONG\r\n"


@pytest.mark.slow
def test_a_script_is_killed_wherever_it_is_stuck_and_the_next_one_runs() -> None:
    with node("--engine=memory") as (_, port):
        client, other = Connection(port), Connection(port)
        for script in HOSTILE["loop"][0], HOSTILE["loop in C"][0]:
            client.talk(encode([*WITH, b"EVAL", script, b"0"]), 0)
            while other.call(b"FUNCTION", b"KILL").startswith(b"-NOTBUSY"):
                pass
            assert other.call(b"FUNCTION", b"KILL").startswith(b"-BUSY")
            assert other.call(b"SCRIPT", b"KILL") == b"+OK\r\n"
            killed = client.talk(b"")
            assert killed.startswith(b"-ERR Script killed by user with SCRIPT KILL."), killed
            assert other.call(b"EVAL", b"return 2", b"0") == b":2\r\n"


def _state(pid: int) -> str:
    """R, S, Z and so on; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    """Processes of Python that this one has begun."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(one) for one in found
            if b"script_worker" in Path(f"/proc/{one}/cmdline").read_bytes()]
