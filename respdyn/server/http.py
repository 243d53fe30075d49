"""The HTTP port: metrics, liveness and readiness. One GET, one answer, and it closes.

    /metrics   Prometheus text        /livez   200 while the process turns
                                      /readyz  200 once it serves, else 503 and why

Anything else on this port closes the connection. A request may have 8 KB and 5 seconds. Of too many
connections the one that has waited longest with half a request must go: a client that holds such
open keeps no health check out. `/metrics` costs more and is made for a few at a time.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from respdyn.metrics import ServerMetrics

REQUEST_BYTES: Final = 8 * 1024
REQUEST_S: Final = 5.0
CONNECTIONS_MAX: Final = 64
METRICS_MAX: Final = 8          # at a time
PLAIN: Final = "text/plain; charset=utf-8"


class HttpDoor:
    """What is served, and to how many at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, metrics: ServerMetrics,
        unready: Callable[[], str], exposition: Callable[[], bytes],
    ) -> None:
        self.loop = loop
        self.metrics = metrics
        self.unready = unready          # why the node does not serve; "" if it does
        self.exposition = exposition    # slow at its first call: it imports
        self.open: dict[HttpConnection, None] = {}      # oldest first
        self.rendering = 0              # of `/metrics`

    def __call__(self) -> "HttpConnection":
        return HttpConnection(self)

    def stop(self) -> None:
        """Close what is open."""
        for connection in list(self.open):
            connection.abort()


class HttpConnection(asyncio.Protocol):
    """One request."""

    def __init__(self, door: HttpDoor) -> None:
        self._door = door
        self._buffer = b""
        self.is_answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give it a few seconds, unless there are too many already."""
        transport = cast(asyncio.Transport, transport)      # uvloop's is one in all but name
        door = self._door
        self._transport = transport
        if len(door.open) >= CONNECTIONS_MAX:
            door.metrics.http_refused += 1
            oldest = next((one for one in door.open if not one.is_answered), None)
            if oldest is None:
                transport.abort()
                return
            oldest.abort()
            door.open.pop(oldest, None)
        door.open[self] = None
        self._deadline = door.loop.call_later(REQUEST_S, self.abort)

    def data_received(self, data: bytes) -> None:
        """Answer when the head of a request is complete; its body, if any, is not read."""
        if self.is_answered:
            return
        self._buffer += data
        if not b"GET ".startswith(self._buffer[:4]) or len(self._buffer) > REQUEST_BYTES:
            self._door.metrics.http_refused += 1
            self.abort()
        elif b"\r\n\r\n" in self._buffer:
            self.is_answered = True
            self._door.metrics.http_requests += 1
            target = self._buffer.split(b"\r\n", 1)[0].split(b" ")
            self._respond(target[1].split(b"?")[0] if len(target) == 3 else b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None
        self._door.open.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _respond(self, path: bytes) -> None:
        if path == b"/metrics":
            if self._door.rendering >= METRICS_MAX:
                self._door.metrics.http_refused += 1
                self._write("503 Service Unavailable", PLAIN, b"too many ask for metrics\n")
            else:
                self._door.rendering += 1
                self._task = self._door.loop.create_task(self._metrics())
        elif path == b"/livez":
            self._write("200 OK", PLAIN, b"alive\n")
        elif path == b"/readyz":
            reason = self._door.unready()
            status = "503 Service Unavailable" if reason else "200 OK"
            self._write(status, PLAIN, (reason or "ready").encode() + b"\n")
        else:
            self._write("404 Not Found", PLAIN, b"/metrics /livez /readyz\n")

    async def _metrics(self) -> None:
        """Load the library beside the loop, render in it: the counters are the loop's."""
        try:
            await self._door.loop.run_in_executor(None, _load)
            body = self._door.exposition()
        finally:
            self._door.rendering -= 1
        self._write("200 OK", "text/plain; version=0.0.4; charset=utf-8", body)

    def _write(self, status: str, kind: str, body: bytes) -> None:
        if self._transport is not None:
            head = (f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n")
            self._transport.write(head.encode() + body)
            self._transport.close()


def _load() -> None:
    import respdyn.server.exposition  # noqa: F401
