"""The listeners: which socket leads to which protocol, and over what.

A listener over TLS is made anew on the same socket when certificates change. What is on its way
meanwhile waits in the system's queue, and connections that stand are not touched.
"""

import asyncio
import socket
from typing import Final

from respdyn.server.listeners import in_use
from respdyn.server.tls import Tls
from respdyn.server.tls_handshakes import HANDSHAKE_S, Acceptor, Handshakes, MakeProtocol

BACKLOG: Final = 511
CLIENTS: Final = frozenset(("tls-port", "tls-cluster-port"))


class Listeners:
    """All listeners of a node."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, tls: Tls, makers: dict[str, MakeProtocol],
        handshakes: Handshakes,
    ) -> None:
        self._loop = loop
        self._tls = tls
        self._makers = makers           # by setting
        self._handshakes = handshakes   # of those of clients
        self._sockets: list[tuple[str, socket.socket]] = []
        self._servers: dict[socket.socket, asyncio.Server | Acceptor] = {}
        self._is_closed = False

    async def open(self, sockets: dict[str, list[socket.socket]]) -> None:
        """Listen on these. Raises `StartError`."""
        self._sockets = [(name, sock) for name, several in sockets.items() for sock in several]
        for name, sock in self._sockets:
            try:
                self._servers[sock] = await self._listen(name, sock)
            except OSError:
                raise in_use(name, *sock.getsockname()[:2]) from None

    async def renew(self) -> None:
        """Listen over TLS with what is believed and shown now."""
        for name, sock in self._sockets:
            if self._is_closed:
                return
            if self._tls.listener(name) is not None:
                older = self._servers[sock]
                self._servers[sock] = await self._listen(name, sock)
                older.close()

    def close(self) -> None:
        """Accept no connection any more."""
        self._is_closed = True
        for server in self._servers.values():
            server.close()
        for _, sock in self._sockets:
            sock.close()

    async def _listen(self, name: str, sock: socket.socket) -> asyncio.Server | Acceptor:
        context = self._tls.listener(name)
        make_protocol = self._makers[name]
        if context is not None and name in CLIENTS:
            sock.listen(BACKLOG)
            return Acceptor(self._loop, sock.dup(), context, make_protocol, self._handshakes)
        return await self._loop.create_server(
            make_protocol, sock=sock.dup(), backlog=BACKLOG, ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S if context is not None else None,
        )
