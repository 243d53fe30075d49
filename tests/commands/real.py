"""A real redis-server on a port of its own, and a socket to it that speaks in bytes."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import hiredis
import pytest


def encode(argv: tuple[bytes, ...] | list[bytes]) -> bytes:
    """A command as clients send it."""
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%b\r\n" % (len(a), a) for a in argv)


class Connection:
    """One connection. `call` gives the reply's bytes, exactly as they came."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, *argv: bytes) -> bytes:
        return self.talk(encode(argv))

    def talk(self, data: bytes, replies: int = 1) -> bytes:
        """Send bytes, receive so many replies, or what came before the server hung up."""
        self._socket.sendall(data)
        reader = hiredis.Reader(notEnoughData=Ellipsis)
        got = b""
        while replies:
            piece = self._socket.recv(1 << 20)
            if not piece:
                break
            got += piece
            reader.feed(piece)
            while replies and reader.gets() is not Ellipsis:
                replies -= 1
        return got

    def rest(self) -> bytes:
        """Everything until the server hangs up, at most half a second from now."""
        self._socket.settimeout(0.5)
        got = b""
        try:
            while piece := self._socket.recv(1 << 20):
                got += piece
        except TimeoutError:
            return got + b"(still open)"
        except ConnectionResetError:
            pass
        return got

    def close(self) -> None:
        self._socket.close()


class Redis:
    """A running redis-server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> Connection:
        return Connection(self.port)


@contextmanager
def running(*options: str) -> Iterator[Redis]:
    """Start redis-server for the duration of a `with`. Skips without it, except in CI."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("RESPDYN_CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
             "--dir", directory, *options],
            stdout=subprocess.DEVNULL,
        )
        try:
            for _ in range(200):
                try:
                    Connection(port).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield Redis(port)
        finally:
            process.terminate()
            process.wait(timeout=10)
