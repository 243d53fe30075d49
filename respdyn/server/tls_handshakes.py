"""TLS handshakes of clients: a connection counts from its first moment.

A listener of asyncio's that speaks TLS reports a connection only when its handshake is over, and
a client that leaves handshakes unfinished would not be counted. So connections are accepted here,
and are in `Handshakes` among the clients until their handshakes are over or `HANDSHAKE_S` have
passed.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

HANDSHAKE_S: Final = 5.0
REFUSED_MAX: Final = 32        # so many beyond the limit are let in, to get the error that says so
_PAUSE_S: Final = 0.1       # after the system could not accept

MakeProtocol = Callable[[], asyncio.Protocol]


class Handshakes:
    """All handshakes of clients that are under way."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, room: Callable[[], int], refused: Callable[[], None]
    ) -> None:
        self.open: dict[asyncio.Task[None], socket.socket] = {}
        self._loop = loop
        self._room = room           # how many more clients there may be
        self._refused = refused     # called for one too many

    def accept(
        self, sock: socket.socket, context: ssl.SSLContext, make_protocol: MakeProtocol
    ) -> None:
        """A client has connected."""
        if self._room() + REFUSED_MAX <= 0:
            self._refused()
            sock.close()
            return
        task = self._loop.create_task(self._shake_hands(sock, context, make_protocol))
        self.open[task] = sock
        task.add_done_callback(self.open.pop)

    async def _shake_hands(
        self, sock: socket.socket, context: ssl.SSLContext, make_protocol: MakeProtocol
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(
                make_protocol, sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
            )
        except OSError:             # an SSLError is one; the side that refused it has said so
            sock.close()

    def close(self) -> None:
        """Break off all handshakes."""
        for task, sock in list(self.open.items()):
            task.cancel()
            sock.close()


class Acceptor:
    """Lets in who connects to one listener over TLS."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, context: ssl.SSLContext,
        make_protocol: MakeProtocol, handshakes: Handshakes,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._context = context
        self._make_protocol = make_protocol
        self._handshakes = handshakes
        self._accepting = loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no connection any more."""
        self._accepting.cancel()
        self._sock.close()

    async def _accept(self) -> None:
        while True:
            try:
                sock, _ = await self._loop.sock_accept(self._sock)
            except OSError:         # out of descriptors, or the client has gone again
                await asyncio.sleep(_PAUSE_S)
                continue
            self._handshakes.accept(sock, self._context, self._make_protocol)
