"""A whole cluster in the foreground: up with one command, down with Ctrl-C, deaths reported."""

import os
import re
import shlex
import signal
import socket
import stat
import subprocess
from pathlib import Path

from tests.server.process import ROOT, free_port, run, running
from tests.server.stub import until


def ask(host: str, port: int, line: str) -> bytes:
    with socket.create_connection((host, port), 5) as wire:
        wire.sendall(line.encode() + b"\r\n")
        return wire.recv(4096)


def test_a_cluster_lives_loses_a_node_and_gets_it_back(tmp_path: Path) -> None:
    port = free_port()
    data = tmp_path / "data"
    with running("cluster", f"--port={port}", f"--http-port={port + 2000}",
                 f"--data-dir={data}") as one:
        one.says("Ctrl-C stops all", 30)
        shown = one.output
        places = re.findall(r"^  node-\d +(\S+):(\d+) +pid (\d+)", shown, re.MULTILINE)
        assert len(places) == 3
        assert "cli --node" in shown and "python" in shown and "admin --node" in shown
        assert stat.S_IMODE((data / "peer-secret").stat().st_mode) == 0o600
        assert (data / "peer-secret").read_text().strip() not in shown
        hosts = [(host, int(where)) for host, where, _ in places]
        assert ask(*hosts[0], "SET greeting hello") == b"+OK\r\n"
        assert ask(*hosts[2], "GET greeting") == b"$5\r\nhello\r\n"

        os.kill(int(places[1][2]), signal.SIGKILL)
        one.says("node-2 ended: killed by SIGKILL")
        until(lambda: ask(*hosts[0], "SET greeting again") == b"+OK\r\n", "the others go on")
        command = re.search(r"Start it again with\n  (.*)", one.output)
        assert command is not None
        again = subprocess.Popen(shlex.split(command[1]), cwd=ROOT, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            until(lambda: _answers(hosts[1]), "the node is back", 10)
        finally:
            again.terminate()
            assert again.wait(10) == 0

        assert one.stop(signal.SIGINT, 20) == 0
        assert one.output.count("stopped flushed=yes") == 2

    with running("cluster", f"--port={port}", f"--http-port={port + 2000}",
                 f"--data-dir={data}") as one:
        one.says("Ctrl-C stops all", 30)
        assert ask(*hosts[1], "GET greeting") == b"$5\r\nagain\r\n"
        assert one.stop(signal.SIGTERM, 20) == 0

    wrong = run("cluster", "--nodes=4", f"--data-dir={data}")
    assert wrong.returncode == 2
    assert "holds a cluster of 3 nodes" in wrong.stderr


def _answers(place: tuple[str, int]) -> bool:
    try:
        return ask(*place, "GET greeting") == b"$5\r\nagain\r\n"
    except OSError:
        return False


def test_a_node_that_cannot_start_stops_the_rest(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        done = run("cluster", "--engine=memory", f"--port={port}", f"--http-port={port + 2000}",
                   f"--data-dir={tmp_path}")
    assert done.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in done.stdout
    assert "stopping the others" in done.stdout


def test_what_no_node_could_run_with_is_reported_once(tmp_path: Path) -> None:
    for flags, text in (
        (["--r=4"], "r 4: is above n (3)"), (["--nodes=0"], "--nodes 0"),
        (["--bind=127.0.0.9"], "--bind 127.0.0.9: is chosen by respdyn cluster"),
    ):
        done = run("cluster", *flags, f"--data-dir={tmp_path / 'data'}")
        assert done.returncode == 2
        assert done.stderr.startswith("respdyn: ") and done.stderr.count("\n") == 1
        assert text in done.stderr
    assert not (tmp_path / "data").exists()


def test_one_and_two_nodes_are_clusters_too(tmp_path: Path) -> None:
    for count in (1, 2):
        port = free_port()
        with running("cluster", f"--nodes={count}", "--engine=memory", f"--port={port}",
                     f"--http-port={port + 2000}", f"--data-dir={tmp_path}") as one:
            one.says("Ctrl-C stops all", 30)
            assert f" n={count} " in one.output
            assert ask("127.0.0.1", port, "SET a b") == b"+OK\r\n"
            assert one.stop(signal.SIGINT, 20) == 0
