"""A tiny blocking client: one connection, one command at a time. For the command line only."""

import os
import socket
from typing import Final, TypeAlias

import hiredis

Reply: TypeAlias = (
    bytes | int | float | bool | hiredis.ReplyError | list["Reply"] | dict["Reply", "Reply"] | None
)

DEFAULT_PORT: Final = 6379
TIMEOUT_S: Final = 10.0


class ClientError(Exception):
    """The node cannot be talked to. One line, naming it."""


class Client:
    """A connection to a node."""

    def __init__(self, address: str, password: str = "") -> None:
        """Connect, and AUTH if there is a password. Raises `ClientError`."""
        self.address = address
        self._reader = hiredis.Reader()
        host, port = parse_address(address)
        try:
            self._socket = socket.create_connection((host, port), TIMEOUT_S)
        except OSError as wrong:
            raise ClientError(f"no node at {address}: {wrong.strerror or wrong}") from None
        password = password or os.environ.get("REDISCLI_AUTH", "")
        if password:
            reply = self.call("AUTH", password)
            if isinstance(reply, hiredis.ReplyError):
                raise ClientError(f"{address}: {reply}")

    def call(self, *args: str | bytes) -> Reply:
        """One command and its reply; an error reply is returned, not raised."""
        words = [word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word
                 for word in args]
        request = b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%b\r\n" % (len(word), word) for word in words
        )
        try:
            self._socket.sendall(request)
            return self._receive()
        except TimeoutError:
            raise ClientError(f"{self.address}: no reply within {TIMEOUT_S:.0f} s") from None
        except (OSError, hiredis.ProtocolError) as wrong:
            raise ClientError(f"{self.address}: {wrong}") from None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _receive(self) -> Reply:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ClientError(f"{self.address}: the node closed the connection")
            self._reader.feed(data)
        typed: Reply = reply
        return typed


def parse_address(address: str) -> tuple[str, int]:
    """`HOST:PORT`, `HOST` or `:PORT`. Raises `ClientError`."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]"), DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ClientError(f"{address}: not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def text_of(value: Reply) -> str:
    """A single value as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def named(value: Reply) -> dict[str, Reply]:
    """A map, which in RESP2 is a flat list of names and values."""
    if isinstance(value, dict):
        return {text_of(name): item for name, item in value.items()}
    if isinstance(value, list):
        return {text_of(value[i]): value[i + 1] for i in range(0, len(value) - 1, 2)}
    raise ClientError(f"unexpected reply {text_of(value)!r}")
