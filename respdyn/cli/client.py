"""The command line's client: one connection, one command at a time, and replies as tables."""

import argparse
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Final, TypeAlias

import hiredis

Reply: TypeAlias = (
    bytes | int | float | bool | hiredis.ReplyError | list["Reply"] | dict["Reply", "Reply"] | None
)

DEFAULT_PORT: Final = 6379
TIMEOUT_S: Final = 10.0


class ClientError(Exception):
    """The node cannot be talked to. One line, naming it."""


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The options that say where to connect, and as who."""
    parser.add_argument("--node", metavar="HOST:PORT", default=f"127.0.0.1:{DEFAULT_PORT}",
                        help="any node's client port (default %(default)s)")
    parser.add_argument("--user", metavar="NAME", default="", help="log in as this user")
    parser.add_argument("--password", metavar="TEXT", default="",
                        help="better in the variable REDISCLI_AUTH")
    parser.add_argument("--tls", action="store_true", help="speak TLS; the port is a tls-port")
    parser.add_argument("--cacert", metavar="FILE", help="whose certificates to believe")
    parser.add_argument("--cert", metavar="FILE", help="a certificate of one's own, and --key")
    parser.add_argument("--key", metavar="FILE", help="its private key")


def connect(args: argparse.Namespace) -> "Client":
    """A connection as these options say. Raises `ClientError`."""
    tls = None
    if args.tls:
        try:
            tls = ssl.create_default_context(cafile=args.cacert)
            tls.check_hostname = False      # as redis-cli: nodes have addresses, not names
            if args.cert:
                tls.load_cert_chain(args.cert, args.key)
        except OSError as wrong:
            raise ClientError(f"TLS: {wrong.strerror or wrong}") from None
    return Client(args.node, args.password, args.user, tls)


class Client:
    """A connection to a node."""

    def __init__(
        self, address: str, password: str = "", user: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connect, and AUTH if there is a password. Raises `ClientError`."""
        self.address = address
        self._reader = hiredis.Reader()
        self._patience_s = TIMEOUT_S
        host, port = parse_address(address)
        try:
            self._socket = socket.create_connection((host, port), TIMEOUT_S)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        except OSError as wrong:
            raise ClientError(f"no node at {address}: {wrong.strerror or wrong}") from None
        password = password or os.environ.get("REDISCLI_AUTH", "")
        if password:
            reply = self.call("AUTH", *([user] if user else []), password)
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
            raise ClientError(f"{self.address}: no reply within {self._patience_s:.0f} s") from None
        except (OSError, hiredis.ProtocolError) as wrong:
            raise ClientError(f"{self.address}: {wrong}") from None

    def be_patient(self, seconds: float) -> None:
        """Wait so long for each reply from now on."""
        self._patience_s = seconds
        self._socket.settimeout(seconds)

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


def filled(words: list[str], width: int = 96) -> list[str]:
    """Words in lines, two spaces between them."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]}  {word}".strip()
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be.

    >>> print(table(["node", "keys"], [["a", "1"], ["bcd", "200"]]))
    node  keys
    a     1
    bcd   200
    """
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    )
