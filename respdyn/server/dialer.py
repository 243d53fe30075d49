"""Outgoing connections to peers: the dialer that reconnects, and the connection itself.

A `Dial` keeps a connection to one address, for ever, with growing pauses. An `Outgoing` is the
connection: the handshake, then frames out and nothing in. Their `Owner` says which are wanted, and
is called when one stands or is gone.

After a cut TCP is a bad messenger: what it has not delivered it sends again after 0.2, 0.4, 0.8 s
and so on, so a link would return seconds after its network. So a connection to a peer that is down,
over which bytes are under way and none arrives, is given up, and a new one is tried several times a
second, each try no longer than a connection usually takes a few times over. Where bytes arrive, the
peer is busy or stopped, or a great frame is on its way: that connection stays. Decision 0030.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import socket
import ssl
import sys
import termios
from array import array
from struct import Struct
from typing import Final, Protocol, cast

from respdyn.errors import PeerError
from respdyn.metrics import ServerMetrics
from respdyn.ports import BULK_BYTES, Random
from respdyn.server import handshake
from respdyn.server.channel import Sealer
from respdyn.server.names import look_up
from respdyn.server.tls import Tls, reason_of
from respdyn.server.turn import Turn

CONNECT_S: Final = 2.0
CONNECT_LEAST_S: Final = 0.25   # an attempt where connections were quick
CONNECT_TIMES: Final = 8        # and as long as the last one took so many times
CONNECT_FULL: Final = 8         # each so many attempts one has all its time: the way may be longer
HANDSHAKE_TIMES: Final = 4      # the time of an attempt, for the handshake
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_SOON_S: Final = 0.2     # pauses to a peer that was there `SOON_S` ago
SOON_S: Final = 60.0
BACKOFF_MAX_S: Final = 2.0
STUCK_LEAST_S: Final = 0.3      # and no byte has arrived for so long, or as long as an attempt
# `tcpi_retransmits` (time-outs in a row), `tcpi_unacked`, `tcpi_last_ack_recv` (ms ago).
TCP_INFO: Final = Struct("=2xB21xI28xI")
DEAD_PEER_MS: Final = 10_000    # sent bytes unacknowledged so long: the connection is dead


class Owner(Protocol):
    """What keeps the connections to peers, as far as these need it."""

    loop: asyncio.AbstractEventLoop
    turn: Turn
    metrics: ServerMetrics
    secret: bytes                   # of the cluster
    random: Random
    tls: Tls
    links: dict[str, Outgoing]      # by peer: where its frames go
    offers: set[bytes]              # nonces of our own listener's connections
    output_limit: int               # bytes unsent
    handshake_s: float              # in seconds, at most

    def established(self, outgoing: Outgoing, peer: str) -> None:
        """A connection is proved."""

    def lost(self, peer: str, outgoing: Outgoing) -> None:
        """A proved connection is gone."""

    def unreached(self, address: str, reason: str) -> None:
        """An attempt has failed."""

    def refuse(self, address: str, reason: str, counts: bool = True) -> None:
        """An attempt was refused: count it if it counts, log each reason once."""


class Dial:
    """Keeps a connection to one address."""

    def __init__(self, peers: Owner, address: str) -> None:
        self.address = address
        self.peer = ""                          # who answered there last
        self.outgoing: Outgoing | None = None
        self.is_busy = False                    # an attempt is under way
        self._peers = peers
        self._pause_s = BACKOFF_FIRST_S
        self._next_try = 0.0                    # loop time
        self._tries = 0                         # since the last connection
        self._last_there_s = -SOON_S            # loop time: when a connection ended
        self._connect_s = CONNECT_S             # for how long an attempt may last, usually
        self.limit_s = CONNECT_S                # and this one
        self._is_self = False
        self._is_stopped = False
        self._task: asyncio.Task[None] | None = None
        self._lookup: asyncio.Future[list[str]] | None = None

    def attend(self) -> None:
        """Connect, if that is needed and due."""
        if self.is_busy or self.outgoing is not None or self._is_self or self._is_stopped:
            return
        if self.peer in self._peers.links:      # reached by another address
            return
        if self._peers.loop.time() >= self._next_try:
            self.is_busy = True
            self._task = self._peers.loop.create_task(self._connect())

    def hasten(self) -> None:
        """The peer is there: do not wait for the end of a pause."""
        self._pause_s = BACKOFF_FIRST_S
        self._next_try = 0.0
        self.attend()

    def judge(self, is_up: bool) -> None:
        """Give the connection up if it is stuck and the node holds its peer for down.

        Called again and again, for it looks at what has arrived since the last time.
        """
        outgoing = self.outgoing
        if outgoing is not None:
            is_stuck = outgoing.stuck_s() > max(STUCK_LEAST_S, self._connect_s)
            if is_stuck and not is_up:
                outgoing.abandon()

    def stop(self) -> None:
        """Want it no more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
        if self.outgoing is not None:
            self.outgoing.close()

    def inherit(self, other: Dial) -> None:
        """Take over the connection of another address of the same peer."""
        self.peer = other.peer
        self.outgoing, other.outgoing = other.outgoing, None
        if self.outgoing is not None:
            self.outgoing.dial = self

    def attached(self, outgoing: Outgoing) -> bool:
        """A connection is made, not yet proved. False if it is no longer wanted."""
        self.is_busy = False
        self.outgoing = outgoing
        return not self._is_stopped

    def proved(self, peer: str) -> None:
        """The connection stands."""
        self.peer = peer
        self._pause_s = BACKOFF_FIRST_S
        self._tries = 0

    def is_self(self) -> None:
        """This node answered. An IP address stays that; a name may lead elsewhere next time."""
        host = self.address.rpartition(":")[0]
        self._is_self = _is_ip(host)
        self._pause_s = BACKOFF_MAX_S

    def ended(self, reason: str) -> None:
        """The attempt or the connection is over; try again later, ever later."""
        if self.outgoing is not None and self.outgoing.is_proved():
            self._last_there_s = self._peers.loop.time()
        self.outgoing = None
        if reason:
            self._peers.unreached(self.address, reason)
            self._peers.refuse(self.address, reason, counts=False)
        self._later()

    def _later(self) -> None:
        """Pauses grow to 0.2 s, and after a minute to 2 s.

        Each is drawn from its upper half, lest all nodes come at once.
        """
        now_s = self._peers.loop.time()
        pause_s = self._pause_s * (0.5 + 0.5 * self._peers.random.random())
        self._next_try = now_s + pause_s
        is_soon = now_s < self._last_there_s + SOON_S
        self._pause_s = min(self._pause_s * 2, BACKOFF_SOON_S if is_soon else BACKOFF_MAX_S)
        if not self._is_stopped:
            self._peers.loop.call_later(pause_s, self.attend)

    async def _connect(self) -> None:
        """One attempt. A name with several addresses is tried at one of them, by chance."""
        peers = self._peers
        peers.metrics.peer_dials += 1
        host, _, port = self.address.rpartition(":")
        self._tries += 1
        begun_s = peers.loop.time()
        self.limit_s = self._connect_s if self._tries % CONNECT_FULL else CONNECT_S
        outgoing = Outgoing(peers, self)
        try:
            async with asyncio.timeout(self.limit_s):
                await peers.loop.create_connection(
                    lambda: outgoing, await self._resolve(host.strip("[]"), int(port)),
                    int(port), ssl=peers.tls.dialer,
                )
            took_s = peers.loop.time() - begun_s
            self._connect_s = min(max(CONNECT_TIMES * took_s, CONNECT_LEAST_S), CONNECT_S)
        except ssl.SSLError as wrong:       # an OSError as well, but a server was there
            self.is_busy = False
            self.ended(f"TLS: {reason_of(wrong)}")
        except (OSError, TimeoutError, UnicodeError) as wrong:
            # An absent peer is no news in the log: the failure detector logs which peers are down.
            self.is_busy = False
            if self.outgoing is outgoing:       # it was made as the time ended, without a callback
                outgoing.forget()
                self.outgoing = None
            peers.unreached(self.address, _why(wrong))
            self._later()

    async def _resolve(self, host: str, port: int) -> str:
        if _is_ip(host):
            return host
        # An attempt that gives up leaves the question to the next one: never two at a time.
        if self._lookup is None or self._lookup.done():
            self._lookup = look_up(self._peers.loop, host, port)
        found = await asyncio.shield(self._lookup)
        return found[int(self._peers.random.random() * len(found))]


class Outgoing(asyncio.Protocol):
    """Our connection to a peer: the handshake, then frames out and nothing in."""

    def __init__(self, peers: Owner, dial: Dial) -> None:
        self.dial = dial
        self._peers = peers
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._is_forgotten = False
        self._sent = 0                  # bytes of frames
        self.arrived = 0               # of those, by what the system says
        self._has_bulk = False          # many bytes were under way when that was last looked at
        self._is_news = False           # and `arrived` has grown since
        self._arrived_s = 0.0           # loop time: when that last grew, or there was nothing
        self._buffer = b""
        self._nonce = b""
        self._binding = b""             # to the TLS session
        self._sealer: Sealer | None = None      # once the listener is proved
        self._nonce2 = b""
        self._reason = ""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the listener's offer."""
        transport = cast(asyncio.Transport, transport)      # uvloop's is one in all but name
        self._transport = transport
        if not self.dial.attached(self):
            transport.abort()
            return
        tune(transport.get_extra_info("socket"))
        limit_s = min(self._peers.handshake_s, HANDSHAKE_TIMES * self.dial.limit_s)
        self._deadline = self._peers.loop.call_later(
            limit_s, self._fail, "handshake took too long"
        )

    def data_received(self, data: bytes) -> None:
        """The listener's two messages; anything more is a mistake."""
        if self._peer:
            self._peers.metrics.peer_protocol_errors += 1
            self._fail("the listener of a peer connection sent something")
            return
        self._buffer += data
        try:
            while (message := handshake.decode(self._buffer)) is not None:
                items, self._buffer = message
                if not self._nonce:
                    self._answer(items)
                else:
                    self._enter(items)
        except PeerError as wrong:
            self._fail(str(wrong))

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone: inform the node, and dial again."""
        if self._is_forgotten:
            return
        self._transport = None
        self._stop_clock()
        if isinstance(exc, ssl.SSLError) and not self._reason:
            self._reason = f"TLS: {reason_of(exc)}"
        if self._peer:
            self._peers.lost(self._peer, self)
        self.dial.ended(self._reason)

    def send(self, *frame: bytes) -> None:
        """One frame, in pieces. If too much is unsent, the connection is dropped with all of it."""
        transport = self._transport
        if transport is None:
            return
        metrics = self._peers.metrics
        assert self._sealer is not None
        head = self._sealer.head(*frame)
        size = len(head) + sum(map(len, frame))
        metrics.peer_frames_out += 1
        metrics.peer_bytes_out += size
        self._sent += size
        self._has_bulk = self._has_bulk or size > BULK_BYTES
        transport.writelines((head, *frame))
        if transport.get_write_buffer_size() > self._peers.output_limit:
            metrics.peer_output_dropped += 1
            self._reason = "too many bytes unsent (peer-output-limit)"
            transport.abort()

    def close(self) -> None:
        """Close when what was sent is out."""
        if self._transport is not None:
            self._transport.close()

    def forget(self) -> None:
        """The attempt to make it was given up: hang up, without a callback."""
        self._is_forgotten = True
        self._stop_clock()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def is_proved(self) -> bool:
        """Whether the handshake was done."""
        return bool(self._peer)

    def stuck_s(self) -> float:
        """For how long bytes have been under way and none has arrived at the other machine."""
        now_s = self._peers.loop.time()
        transport = self._transport
        if transport is not None:
            waiting = transport.get_write_buffer_size() + unacknowledged(transport)
            if not waiting or self._sent - waiting > self.arrived:
                self._is_news = self._is_news or self._has_bulk
                self.arrived = max(self.arrived, self._sent - waiting)
                self._arrived_s = now_s
            self._has_bulk = waiting > BULK_BYTES
        return now_s - self._arrived_s

    def unacknowledged_ms(self) -> int:
        """For how long the other machine's system has said nothing, though bytes were sent again.

        0: it does, or this system does not say.
        """
        return unacknowledged_ms(self._transport) if self._transport is not None else 0

    def has_moved(self) -> bool:
        """Whether some of many bytes have arrived there since the last call."""
        is_news, self._is_news = self._is_news, False
        return is_news

    def abandon(self) -> None:
        """No answer: drop the connection, and what it has not delivered."""
        self._peers.metrics.peer_links_abandoned += 1
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, items: list[bytes]) -> None:
        """The offer is there: prove that we know the secret."""
        peers = self._peers
        self._nonce = handshake.read_offer(items)
        if self._nonce in peers.offers:
            self.dial.is_self()
            self.close()
            return
        self._nonce2 = secrets.token_bytes(handshake.NONCE_BYTES)
        greeting = peers.turn.node.greeting()
        assert self._transport is not None
        self._binding = handshake.binding_of(self._transport)
        proof = handshake.dialer_proof(
            peers.secret, self._nonce, self._nonce2, greeting, self._binding
        )
        self._transport.write(handshake.encode(handshake.HELLO, self._nonce2, proof, greeting))

    def _enter(self, items: list[bytes]) -> None:
        """The welcome is there: check it, then inform the node."""
        if not self._nonce2:
            raise PeerError("malformed handshake")
        peers = self._peers
        secret, binding = peers.secret, self._binding
        greeting = handshake.read_welcome(secret, self._nonce, self._nonce2, items, binding)
        self._sealer = Sealer(handshake.session_key(secret, self._nonce, self._nonce2, binding))
        self._stop_clock()
        peers.turn.begin()
        self._peer = peer = peers.turn.node.meet(greeting)
        self._arrived_s = peers.loop.time()
        self.dial.proved(peer)
        peers.established(self, peer)

    def _fail(self, reason: str) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def tune(sock: socket.socket) -> None:
    """No delay, and no patience with a machine that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the system has and the other machine has not acknowledged; 0 where unknown."""
    count = array("i", [0])
    try:
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]


def unacknowledged_ms(transport: asyncio.Transport) -> int:
    """See `Outgoing.unacknowledged_ms`. Of Linux's `struct tcp_info`: 8 bytes, then words of 32
    bits.

    A process that is stopped or busy, even with its buffers full, has a system that acknowledges.
    """
    if sys.platform != "linux":
        return 0
    try:
        info = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size
        )
    except OSError:
        return 0
    retransmits, unacknowledged, last_ack_ms = TCP_INFO.unpack(info)
    return last_ack_ms if retransmits and unacknowledged else 0


def _is_ip(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.strip("[]"))
    except OSError:
        return False
    return True


def _why(wrong: Exception) -> str:
    """Why there is no connection, in words."""
    if isinstance(wrong, TimeoutError):     # an OSError as well, and so are the next two
        return f"no answer within {CONNECT_S:g} s"
    if isinstance(wrong, ConnectionRefusedError):
        return "no server listens there"
    if isinstance(wrong, socket.gaierror):
        return "its name is not known"
    return (isinstance(wrong, OSError) and wrong.strerror) or str(wrong)
