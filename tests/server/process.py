"""A node as users run it: a process, with ports that no other process has."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from respdyn.cli.large_pages import environment

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-P", "-m", "respdyn.cli.main"]      # compiled if this Python's is


def free_port() -> int:
    """A client port such that it, + 1000, + 2000 (HTTP) and + 10000 are free."""
    for _ in range(200):
        # Below the range from which the system gives ports to outgoing connections.
        port = random.randrange(12_000, 22_000)
        if all(_is_free(port + more) for more in (0, 1000, 2000, 10_000)):
            return port
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def run(
    *words: str, env: dict[str, str] | None = None, program: Sequence[str] = PROGRAM
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [*program, *words], cwd=ROOT, env={**os.environ, **environment(), **(env or {})},
        timeout=20, text=True, capture_output=True, check=False,
    )


def as_mortal(program: Sequence[str] = PROGRAM) -> list[str]:
    """`program`, obeying the modes of files even as root.

    Root stays root, since another user may not be let to the interpreter, but without the
    capability to pass over modes.
    """
    if os.geteuid() != 0:
        return [*program]
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *program]


class Running:
    """A process of the program, its output in a file."""

    def __init__(
        self, *words: str, program: Sequence[str] = PROGRAM, env: dict[str, str] | None = None
    ) -> None:
        # A file, since a pipe that is not read would fill. `end` closes it.
        self._output = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*program, *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, env={**os.environ, **environment(), **(env or {})},
        )

    @property
    def output(self) -> str:
        """Everything it has said."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode()

    def says(self, pattern: str, seconds: float = 15) -> re.Match[str]:
        """Wait until it has said this."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output, re.MULTILINE)):
            assert self.process.poll() is None, f"ended: {self.output}"
            assert time.monotonic() < deadline, f"never said {pattern!r}: {self.output}"
            time.sleep(0.01)
        return found

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def end(self) -> None:
        """Whatever happened, leave nothing behind."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._output.close()


@contextmanager
def running(
    *words: str, program: Sequence[str] = PROGRAM, env: dict[str, str] | None = None
) -> Iterator[Running]:
    one = Running(*words, program=program, env=env)
    try:
        yield one
    finally:
        one.end()


@contextmanager
def node(
    *words: str, port: int = 0, env: dict[str, str] | None = None
) -> Iterator[tuple[Running, int]]:
    """A ready node of one, and its client port."""
    port = port or free_port()
    with running("serve", f"--port={port}", f"--http-port={port + 2000}", *words, env=env) as one:
        one.says(r" ready |\"event\": \"ready\"")
        yield one, port
