"""Connections between nodes: a listener for theirs, a dialer for ours, one direction each.

The dialer keeps a connection to every address that `node.dials()` names, for ever, with growing
pauses. Frames travel only from the dialer to the listener, so a pair of nodes has two connections,
and each order of frames is one socket's. Whether a node is welcome the core decides (`node.meet`);
here only the secret is checked (`handshake`), and time and size before it is proved.

    address -- Dial --- Outgoing --> peer      node.link(peer, up), frames out
                        Incoming <-- peer      node.frame(peer, items)

Strangers are refused and logged once per address and reason, then only counted.
"""

import asyncio
import secrets
import socket
from typing import Final, cast

import hiredis

from respdyn.errors import PeerError
from respdyn.metrics import ServerMetrics
from respdyn.ports import Random, Trace
from respdyn.server import handshake
from respdyn.server.turn import Turn

REFRESH_S: Final = 0.2
CONNECT_S: Final = 2.0
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 2.0
UNPROVED_MAX: Final = 128       # connections whose secret is not yet proved; the oldest goes first
TOLD_MAX: Final = 1000          # addresses and reasons remembered as logged
DEAD_PEER_MS: Final = 10_000    # sent bytes unacknowledged so long: the connection is dead


class Peers:
    """Everything this node keeps with its peers."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, turn: Turn, secret: bytes, random: Random,
        trace: Trace,
    ) -> None:
        self.loop = loop
        self.turn = turn
        self.metrics: ServerMetrics = turn.metrics
        self.secret = secret
        self.random = random
        self.links: dict[str, Outgoing] = {}        # by peer: where its frames go
        self.offers: set[bytes] = set()             # nonces of our own listener's connections
        self.unproved: dict[Incoming, None] = {}    # oldest first
        self.incoming: dict[str, Incoming] = {}     # by peer
        settings = turn.node.settings
        self.output_limit = settings.peer_output_limit
        self.frame_limit = settings.peer_frame_limit
        self.handshake_s = settings.handshake_timeout_ms / 1000
        self._trace = trace
        self._told: dict[tuple[str, str], int] = {}
        self._dials: dict[str, Dial] = {}
        self._wanted: dict[str, str | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        turn.send = self.send

    def start(self) -> None:
        """Begin to dial."""
        self._refresh()

    def stop(self) -> None:
        """Close every connection and dial no more; of that the node need not hear."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for dial in self._dials.values():
            dial.stop()
        for incoming in [*self.unproved, *self.incoming.values()]:
            incoming.close()

    def door(self) -> "Incoming":
        """A connection to the peer port."""
        return Incoming(self)

    def send(self, peer: str, frame: bytes) -> None:
        """One frame to a peer. Without a connection it is lost, which frames may be."""
        link = self.links.get(peer)
        if link is None:
            self.metrics.peer_frames_lost += 1
        else:
            link.send(frame)

    def refuse(self, address: str, reason: str, counts: bool = True) -> None:
        """Count a refusal; log it if this address was not refused for this reason before."""
        if counts:
            self.metrics.peer_refused += 1
        told = self._told
        key = (address, reason)
        if key in told:
            told[key] += 1
        elif len(told) < TOLD_MAX:
            told[key] = 1
            self._trace.event("peer_refused", address=address, reason=reason)

    def established(self, outgoing: "Outgoing", peer: str) -> None:
        """A connection of ours is proved. It replaces an older one to the same peer.

        The listener thinks the same: of two connections the newer is the one that is alive. Where
        a peer has two addresses this happens once, then one of the two dials rests.
        """
        node = self.turn.node
        self.turn.begin()
        older = self.links.pop(peer, None)
        if older is not None:
            older.close()
            node.link(peer, False)
        self.links[peer] = outgoing
        self.metrics.peer_links = len(self.links)
        node.link(peer, True)

    def lost(self, peer: str, outgoing: "Outgoing") -> None:
        """A proved connection of ours is gone."""
        if self.links.get(peer) is outgoing:
            del self.links[peer]
            self.metrics.peer_links = len(self.links)
            if not self._is_stopping:
                self.turn.begin()
                self.turn.node.link(peer, False)

    def _refresh(self) -> None:
        """Follow what the node wants dialled, and dial what is due."""
        self._timer = self.loop.call_later(REFRESH_S, self._refresh)
        wanted = self.turn.node.dials()
        if wanted != self._wanted:
            self._wanted = dict(wanted)
            for address in [a for a in self._dials if a not in wanted]:
                self._forget(address)
            for address in wanted:
                if address not in self._dials:
                    self._dials[address] = Dial(self, address)
        for dial in self._dials.values():
            dial.attend()

    def _forget(self, address: str) -> None:
        """Drop a dial. Its connection moves to the same peer's other address if it has one.

        This is the usual case: a seed is found to be a member, and known by its own address.
        """
        dial = self._dials.pop(address)
        outgoing = dial.outgoing
        if outgoing is not None and dial.peer:
            for other, peer in self._wanted.items():
                if peer == dial.peer and other != address:
                    heir = self._dials.setdefault(other, Dial(self, other))
                    if heir.outgoing is None and not heir.is_busy:
                        heir.inherit(dial)
                        return
        dial.stop()


class Dial:
    """The standing wish to be connected to one address."""

    def __init__(self, peers: Peers, address: str) -> None:
        self.address = address
        self.peer = ""                          # who answered there last
        self.outgoing: Outgoing | None = None
        self.is_busy = False                    # an attempt is under way
        self._peers = peers
        self._pause_s = BACKOFF_FIRST_S
        self._next_try = 0.0                    # loop time
        self._is_self = False
        self._is_stopped = False
        self._task: asyncio.Task[None] | None = None

    def attend(self) -> None:
        """Connect, if that is needed and due."""
        if self.is_busy or self.outgoing is not None or self._is_self or self._is_stopped:
            return
        if self.peer in self._peers.links:      # reached by another address
            return
        if self._peers.loop.time() >= self._next_try:
            self.is_busy = True
            self._task = self._peers.loop.create_task(self._connect())

    def stop(self) -> None:
        """Want it no more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
        if self.outgoing is not None:
            self.outgoing.close()

    def inherit(self, other: "Dial") -> None:
        """Take over the connection of another address of the same peer."""
        self.peer = other.peer
        self.outgoing, other.outgoing = other.outgoing, None
        if self.outgoing is not None:
            self.outgoing.dial = self

    def attached(self, outgoing: "Outgoing") -> bool:
        """A connection is made, not yet proved. False if it is no longer wanted."""
        self.is_busy = False
        self.outgoing = outgoing
        return not self._is_stopped

    def proved(self, peer: str) -> None:
        """The connection stands."""
        self.peer = peer
        self._pause_s = BACKOFF_FIRST_S

    def is_self(self) -> None:
        """This node answered. An IP address stays that; a name may lead elsewhere next time."""
        host = self.address.rpartition(":")[0]
        self._is_self = _is_ip(host)
        self._pause_s = BACKOFF_MAX_S

    def ended(self, reason: str) -> None:
        """The attempt or the connection is over; try again later, ever later."""
        self.outgoing = None
        if reason:
            self._peers.refuse(self.address, reason, counts=False)
        self._later()

    def _later(self) -> None:
        """Pauses grow to 2 s; each is drawn from its upper half, lest all nodes come at once."""
        pause_s = self._pause_s * (0.5 + 0.5 * self._peers.random.random())
        self._next_try = self._peers.loop.time() + pause_s
        self._pause_s = min(self._pause_s * 2, BACKOFF_MAX_S)
        if not self._is_stopped:
            self._peers.loop.call_later(pause_s, self.attend)

    async def _connect(self) -> None:
        """One attempt. A name with several addresses is tried at one of them, by chance."""
        peers = self._peers
        peers.metrics.peer_dials += 1
        host, _, port = self.address.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_S):
                await peers.loop.create_connection(
                    lambda: Outgoing(peers, self), await self._resolve(host.strip("[]"), int(port)),
                    int(port),
                )
        except (OSError, TimeoutError, UnicodeError):
            # An absent peer is no news here: the failure detector tells who is away.
            self.is_busy = False
            self._later()

    async def _resolve(self, host: str, port: int) -> str:
        if _is_ip(host):
            return host
        found = await self._peers.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return str(found[int(self._peers.random.random() * len(found))][4][0])


class Outgoing(asyncio.Protocol):
    """Our connection to a peer: the handshake, then frames out and nothing in."""

    def __init__(self, peers: Peers, dial: Dial) -> None:
        self.dial = dial
        self._peers = peers
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._buffer = b""
        self._nonce = b""
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
        _tune(transport.get_extra_info("socket"))
        self._deadline = self._peers.loop.call_later(
            self._peers.handshake_s, self._fail, "handshake took too long"
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
        """Gone: tell the node, and dial again."""
        self._transport = None
        self._stop_clock()
        if self._peer:
            self._peers.lost(self._peer, self)
        self.dial.ended(self._reason)

    def send(self, frame: bytes) -> None:
        """One frame. If too much is unsent, the connection is dropped with all of it."""
        transport = self._transport
        if transport is None:
            return
        metrics = self._peers.metrics
        metrics.peer_frames_out += 1
        metrics.peer_bytes_out += len(frame)
        transport.write(frame)
        if transport.get_write_buffer_size() > self._peers.output_limit:
            metrics.peer_output_dropped += 1
            self._reason = "too many bytes unsent (peer-output-limit)"
            transport.abort()

    def close(self) -> None:
        """Close when what was sent is out."""
        if self._transport is not None:
            self._transport.close()

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
        proof = handshake.dialer_proof(peers.secret, self._nonce, self._nonce2, greeting)
        assert self._transport is not None
        self._transport.write(handshake.encode(handshake.HELLO, self._nonce2, proof, greeting))

    def _enter(self, items: list[bytes]) -> None:
        """The welcome is there: check it, then tell the node."""
        if not self._nonce2:
            raise PeerError("malformed handshake")
        peers = self._peers
        greeting = handshake.read_welcome(peers.secret, self._nonce, self._nonce2, items)
        self._stop_clock()
        peers.turn.begin()
        self._peer = peer = peers.turn.node.meet(greeting)
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


class Incoming(asyncio.Protocol):
    """A peer's connection to us: the handshake, then frames in and nothing out."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._peer = ""
        self._buffer = b""
        self._nonce = secrets.token_bytes(handshake.NONCE_BYTES)
        self._reader = hiredis.Reader()
        self._unfinished = 0            # bytes of a frame that is not complete
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer the handshake. Too many unproved ones: the oldest must go."""
        transport = cast(asyncio.Transport, transport)      # uvloop's is one in all but name
        peers = self._peers
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("?",))[0]
        _tune(transport.get_extra_info("socket"))
        peers.offers.add(self._nonce)
        peers.unproved[self] = None
        if len(peers.unproved) > UNPROVED_MAX:
            next(iter(peers.unproved)).refuse("too many connections without proof")
        self._deadline = peers.loop.call_later(
            peers.handshake_s, self.refuse, "handshake took too long"
        )
        transport.write(handshake.encode(handshake.MAGIC, handshake.VERSION, self._nonce))

    def data_received(self, data: bytes) -> None:
        """The dialer's proof, then its frames."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            if self._peer:
                self._read(data)
            else:
                self._prove(data)
        except PeerError as wrong:
            self.refuse(str(wrong))

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone. The node learns it from silence and from its own connection."""
        self._transport = None
        self._leave_lobby()
        if self._peers.incoming.get(self._peer) is self:
            del self._peers.incoming[self._peer]

    def refuse(self, reason: str) -> None:
        """Say why, if there is still somebody to hear it, and close."""
        peers = self._peers
        self._leave_lobby()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._peer:
            peers.metrics.peer_protocol_errors += 1
            peers.refuse(self._address, reason, counts=False)
            transport.abort()
            return
        peers.refuse(self._address, reason)
        transport.write(handshake.encode(handshake.REFUSED, reason.encode()[:200]))
        transport.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _prove(self, data: bytes) -> None:
        """Check the secret; then the node judges the greeting."""
        peers = self._peers
        self._buffer += data
        message = handshake.decode(self._buffer)
        if message is None:
            return
        items, rest = message
        nonce2, greeting = handshake.read_hello(peers.secret, self._nonce, items)
        peers.turn.begin()
        node = peers.turn.node
        peer = node.meet(greeting)
        assert self._transport is not None
        own = node.greeting()
        proof = handshake.listener_proof(peers.secret, self._nonce, nonce2, own)
        self._transport.write(handshake.encode(handshake.WELCOME, proof, own))
        self._leave_lobby()
        self._peer = peer
        self._buffer = b""
        before = peers.incoming.get(peer)
        peers.incoming[peer] = self
        if before is not None:
            before.close()
        if rest:
            self._read(rest)

    def _read(self, data: bytes) -> None:
        """Whole frames go to the node."""
        peers = self._peers
        turn = peers.turn
        peers.metrics.peer_bytes_in += len(data)
        if not turn.is_open:
            turn.begin()
        reader = self._reader
        frame = turn.node.frame
        peer = self._peer
        self._unfinished += len(data)
        try:
            reader.feed(data)
            while (items := reader.gets()) is not False:
                if type(items) is not list:
                    raise PeerError("a frame is not an array")
                self._unfinished = 0
                peers.metrics.peer_frames_in += 1
                frame(peer, items)
        except (hiredis.HiredisError, MemoryError) as wrong:
            raise PeerError(f"malformed frame: {wrong}") from None
        if self._unfinished > peers.frame_limit:
            raise PeerError("a frame is too long (peer-frame-limit)")

    def _leave_lobby(self) -> None:
        self._peers.offers.discard(self._nonce)
        self._peers.unproved.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _tune(sock: socket.socket) -> None:
    """No delay, and no patience with a machine that is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)


def _is_ip(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.strip("[]"))
    except OSError:
        return False
    return True
