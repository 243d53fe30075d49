"""A connection that sends a whole story in one go, and gives each reply's bytes."""

import socket
from collections.abc import Sequence

from tests.commands.real import encode

Words = list[bytes]
_PATIENCE_S = 20.0


class Wire:
    """One connection to a server."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, story: Sequence[Words]) -> list[bytes]:
        """The replies to these commands, one each. Fewer if the server hangs up."""
        self._socket.sendall(b"".join(map(encode, story)))
        data = b""
        replies: list[bytes] = []
        at = 0
        while len(replies) < len(story):
            end = end_of(data, at)
            if end:
                replies.append(data[at:end])
                at = end
                continue
            piece = self._socket.recv(1 << 16)
            if not piece:
                break
            data = data[at:] + piece
            at = 0
        return replies

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def end_of(data: bytes, at: int) -> int:
    """Where the reply that begins here ends; 0 if it is not complete."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return 0
    kind, rest = data[at:at + 1], line + 2
    if kind in b"$=!":
        size = int(data[at + 1:line])
        end = rest + size + 2 if size >= 0 else rest
        return end if end <= len(data) else 0
    if kind in b"*%~>|":
        count = int(data[at + 1:line])
        # An attribute stands before the value that it belongs to.
        count = count * 2 if kind in b"%|" else count
        for _ in range(max(count, 0) + (kind == b"|")):
            rest = end_of(data, rest)
            if not rest:
                return 0
    return rest


def members(reply: bytes) -> list[bytes]:
    """The parts of an array, set, push or map (keys and values in turn)."""
    line = reply.index(b"\r\n")
    found = []
    at = line + 2
    while at < len(reply):
        end = end_of(reply, at)
        found.append(reply[at:end])
        at = end
    return found
