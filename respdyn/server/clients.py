"""Clients' connections: bytes in, commands to the node, replies out; and what bad clients may cost.

A client whose replies pile up is not given more work: beyond `client-output-soft` bytes of replies,
or while its socket takes nothing, its commands stay unread, first here and then in its own socket.
One that lets replies pile up beyond `client-output-limit` is disconnected; one that listens to
channels beyond `pubsub-output-limit`, or after `pubsub-output-seconds` above `pubsub-output-soft`.
No client gets more than `COMMANDS_PER_TURN` commands into a turn, however many it pipelined, nor
any more once they have taken `SHARE_S`, so the others are served. And a turn that is long already
takes no more of those who send much.

Replies that already wait are still delivered to a client that half-closed, sent nonsense or said
QUIT, for `LINGER_S` seconds.
"""

import asyncio
import socket
from time import perf_counter as clock_s
from typing import Final, cast

from respdyn.config import Settings, is_loopback_only
from respdyn.metrics import ServerMetrics
from respdyn.ports import BULK_BYTES
from respdyn.resp.requests import ProtocolError, RequestLimits, RequestReader
from respdyn.server.tls_handshakes import Handshakes
from respdyn.server.turn import Turn
from respdyn.sessions.session import Session

COMMANDS_PER_TURN: Final = 1000
HELPING: Final = 100                # commands after which the time is looked at
SHARE_S: Final = 0.002              # of a turn, for one client
SMALL_BYTES: Final = 16 * 1024      # a client that sent no more is served in a long turn as well
LINGER_S: Final = 5.0
STRANGER_COMMANDS: Final = 16       # in a turn, before AUTH
STRANGER_BYTES: Final = 16 * 1024   # unread replies before AUTH at which commands wait
SWEEP_S: Final = 1.0

TOO_MANY: Final = b"-ERR max number of clients reached\r\n"
PROTECTED: Final = (
    b"-DENIED respdyn is running in protected mode because protected mode is enabled and no "
    b"password is set for the default user. In this mode connections are only accepted from the "
    b"loopback interface. If you want to connect from external computers you may adopt one of the "
    b"following solutions: 1) Just disable protected mode sending the command 'CONFIG SET "
    b"protected-mode no' from the loopback interface by connecting from the same host the server "
    b"is running, however MAKE SURE it is not publicly accessible from internet if you do so. "
    b"2) Start the server with '--protected-mode no'. 3) Set a password with '--requirepass' or "
    b"'CONFIG SET requirepass'. NOTE: You only need to do one of the above things in order for "
    b"the server to start accepting connections from the outside.\r\n"
)


class Clients:
    """All clients of this node, and what they are allowed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turn: Turn) -> None:
        self.turn = turn
        self.metrics: ServerMetrics = turn.metrics
        self.connections: dict[Client, None] = {}
        self.is_accepting = True
        self.call_soon = loop.call_soon
        self._loop = loop
        self.handshakes = Handshakes(loop, self.room, self.count_refused)
        self.stuck: dict[Client, None] = {}     # their sockets take no more
        self._lingering: dict[Client, float] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        turn.flush = _flush
        self._refresh(turn.node.settings)

    def start(self) -> None:
        """Begin to sweep."""
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def stop(self) -> None:
        """Close all connections, each when what came from it is answered."""
        self.is_accepting = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.handshakes.close()
        for client in list(self.connections):
            client.end()

    def abort(self) -> None:
        """Close what did not close in time."""
        for client in list(self.connections):
            client.abort()

    def main_door(self) -> "Client":
        """A connection to the client port, plain or over TLS."""
        return Client(self, "client")

    def cluster_door(self) -> "Client":
        """A connection to the cluster port, plain or over TLS."""
        return Client(self, "cluster")

    def refusal(self, ip: str, is_tls: bool) -> bytes:
        """Why a connection from there is refused, or nothing. One over TLS counts already."""
        settings = self.turn.node.settings
        if not self.is_accepting:
            return b"-ERR the node is stopping\r\n"
        if self.room() + is_tls <= 0:
            self.count_refused()
            return TOO_MANY
        is_open = settings.protected_mode and self.turn.node.lets_in_all()
        if is_open and not is_loopback_only([ip]):
            self.metrics.clients_protected += 1
            return PROTECTED
        return b""

    def room(self) -> int:
        """How many more there may be; handshakes under way count, and more than all is below 0."""
        most = self.turn.node.settings.max_clients
        return most - len(self.connections) - len(self.handshakes.open)

    def count_refused(self) -> None:
        """There was one too many."""
        self.metrics.clients_refused += 1

    def linger(self, client: "Client") -> None:
        """Abort this one if it has not closed soon."""
        self._lingering.setdefault(client, self._loop.time() + LINGER_S)

    def gone(self, client: "Client") -> None:
        """Forget it."""
        self.connections.pop(client, None)
        self._lingering.pop(client, None)
        self.stuck.pop(client, None)
        self.metrics.clients_connected = len(self.connections)

    def _refresh(self, settings: Settings) -> None:
        """Copy what CONFIG SET may have changed, so that the hot path need not look."""
        self.output_soft = settings.client_output_soft
        self.output_limit = settings.client_output_limit
        self.pubsub_limit = settings.pubsub_output_limit
        self.pubsub_soft = settings.pubsub_output_soft
        self.pubsub_seconds = settings.pubsub_output_seconds
        self.limits = RequestLimits(
            args=settings.proto_max_args, bulk_bytes=settings.proto_max_bulk_len,
            inline_bytes=settings.proto_inline_max, command_bytes=settings.proto_max_command,
        )

    def _sweep(self) -> None:
        now = self._loop.time()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        settings = self.turn.node.settings
        self._refresh(settings)
        for client in [c for c, deadline in self._lingering.items() if deadline <= now]:
            client.abort()
        for client in [c for c in self.stuck if c.is_too_slow(now)]:
            self.metrics.clients_output_closed += 1
            client.abort()
        if settings.timeout:
            for client in list(self.connections):
                if client.is_idle(now, settings.timeout):
                    self.metrics.clients_idle_closed += 1
                    client.close()


class Client(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_clients",
        "_has_ended",
        "_has_more",
        "_idle_since",
        "_is_active",
        "_is_free",
        "_is_reading",
        "_is_scheduled",
        "_is_stuck",
        "_listener",
        "_reader",
        "_session",
        "_slow_since",
        "_soft",
        "_transport",
        "_turn",
    )

    def __init__(self, clients: Clients, listener: str) -> None:
        self._clients = clients
        self._turn = clients.turn
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._reader: RequestReader | None = None
        self._is_reading = True
        self._is_stuck = False      # the socket takes no more
        self._has_more = False      # commands were left unread here
        self._is_scheduled = False  # and the next helping of them is due in the next turn
        self._has_ended = False     # the client will send no more
        self._is_free = False       # no longer bound by the limits for strangers
        self._soft = STRANGER_BYTES     # unread replies at which commands wait
        self._is_active = True      # since the last sweep
        self._idle_since = 0.0
        self._slow_since = 0.0      # since when a listener has had too much unread; 0: it has not

    # ---- from the transport ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: a session, or a refusal."""
        transport = cast(asyncio.Transport, transport)      # uvloop's is one in all but name
        clients = self._clients
        peer = transport.get_extra_info("peername") or ("", 0)
        is_tls = transport.get_extra_info("sslcontext") is not None
        if refused := clients.refusal(peer[0], is_tls):
            transport.write(refused)
            transport.close()
            return
        own = transport.get_extra_info("sockname") or ("", 0)
        settings = self._turn.node.settings
        _tune(transport.get_extra_info("socket"), settings.tcp_keepalive)
        self._transport = transport
        reader = self._reader = RequestReader(clients.limits)
        clients.connections[self] = None
        clients.metrics.clients_opened += 1
        clients.metrics.clients_connected = len(clients.connections)
        self._turn.begin()
        session = self._session = self._turn.node.open_session(
            _address(peer), _address(own), self._listener, self
        )
        session.is_tls = is_tls
        self._is_free = reader.authenticated = session.authenticated
        self._limit_output()

    def data_received(self, data: bytes) -> None:
        """Bytes: all whole commands in them go to the node."""
        reader = self._reader
        session = self._session
        if reader is None or session is None or session.closing:
            return
        metrics = self._clients.metrics
        metrics.client_bytes_in += len(data)
        metrics.client_reads += 1
        self._is_active = True
        reader.feed(data)
        if not self._has_more:
            self._put_together(session, reader) if reader.ends_large() else self._take()
        if reader.buffered > BULK_BYTES:
            self._turn.node.readiness.has_bulk()

    def eof_received(self) -> bool:
        """The client will send no more, but may still read, unless it spoke TLS."""
        self._has_ended = True
        if not self._has_more:
            self._finish()
        return self._session is not None and not self._session.is_tls

    def pause_writing(self) -> None:
        """The client does not read its replies."""
        self._is_stuck = True
        self._clients.stuck[self] = None
        self._clients.metrics.clients_paused += 1

    def resume_writing(self) -> None:
        """It has read some."""
        self._is_stuck = False
        self._clients.stuck.pop(self, None)
        if self._has_more:
            if not self._is_scheduled:
                self._resume()
        elif not self._is_reading:
            self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._transport = None
        self._reader = None
        self._clients.gone(self)
        session, self._session = self._session, None
        if session is not None:
            self._turn.begin()
            self._turn.node.close_session(session)

    # ---- from the turn ----

    def flush(self) -> None:
        """Write what is ready; close if that was the last; go on if commands were left."""
        session = self._session
        transport = self._transport
        if session is None or transport is None:
            return
        if session.out:
            if self._is_stuck and transport.get_write_buffer_size() > self._limit(session):
                self._clients.metrics.clients_output_closed += 1
                self.abort()
                return
            data = session.take()
            metrics = self._clients.metrics
            metrics.client_bytes_out += len(data)
            metrics.client_writes += 1
            transport.write(data)
        if session.closing:
            if not session.pending:
                self._hang_up()
        elif self._has_more and not self._is_scheduled and self._may_take(session):
            self._take()

    def is_too_slow(self, now: float) -> bool:
        """Whether a listener has left too much unread for too long. Called once per sweep."""
        session = self._session
        clients = self._clients
        if (
            session is None or self._transport is None or not session.listens
            or self._transport.get_write_buffer_size() <= clients.pubsub_soft
        ):
            self._slow_since = 0.0
            return False
        self._slow_since = self._slow_since or now
        return now - self._slow_since >= clients.pubsub_seconds

    def descriptor(self) -> int:
        """The socket's number in this process; -1 when it is closed."""
        socket = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if socket is None else int(socket.fileno())

    def buffered(self) -> tuple[int, int]:
        """Bytes of commands that were not run yet, and of replies that the socket has not taken."""
        reader, transport = self._reader, self._transport
        return (
            0 if reader is None else reader.buffered,
            0 if transport is None else transport.get_write_buffer_size(),
        )

    def end(self) -> None:
        """Close when all commands that came are answered; read no more."""
        session = self._session
        if session is None or session.blocked or not self._has_more:
            self.close()
            return
        self._stop_reading()
        self._clients.linger(self)
        self._has_ended = True      # what is left is begun when there is room (`flush`)

    def close(self) -> None:
        """Close when everything that is pending has been written, or after a while."""
        session = self._session
        if session is None:
            self._hang_up()
            return
        self._stop_reading()
        self._clients.linger(self)
        session.closing = True
        self._turn.begin()
        if not session.is_dirty:
            session.is_dirty = True
            session.dirty.append(session)

    def abort(self) -> None:
        """Close at once; what is unwritten is lost."""
        if self._transport is not None:
            self._transport.abort()

    def is_idle(self, now: float, timeout_s: int) -> bool:
        """Whether nothing came for so long. Called once per sweep."""
        if self._is_active or (
            self._session is not None and (
                self._session.pending or self._session.listens or self._session.is_held
            )
        ):
            self._is_active = False
            self._idle_since = now
            return False
        return now - self._idle_since >= timeout_s

    # ---- inside ----

    def _limit(self, session: Session) -> int:
        """How many bytes may wait for this client to read them."""
        return self._clients.pubsub_limit if session.listens else self._clients.output_limit

    def _may_take(self, session: Session) -> bool:
        return (
            not self._is_stuck and session.out_bytes <= self._soft
            and not session.is_full() and not session.is_held
        )

    def _limit_output(self) -> None:
        """How much may wait to be read; of a stranger's, next to nothing."""
        self._soft = self._clients.output_soft if self._is_free else STRANGER_BYTES
        if self._transport is not None:
            self._transport.set_write_buffer_limits(self._soft, self._soft // 4)

    def _take(self) -> None:
        """Give the node the commands that have arrived, as many as may be."""
        session = self._session
        reader = self._reader
        turn = self._turn
        if session is None or reader is None or session.closing:
            return
        if not turn.is_open:
            turn.begin()
        elif reader.buffered > SMALL_BYTES and turn.is_long():
            self._take_later()
            return
        self._has_more = False
        node = turn.node
        soft = self._soft
        most = COMMANDS_PER_TURN if self._is_free else STRANGER_COMMANDS
        began_s = 0.0
        try:
            while most > 0:
                if not self._is_free and session.authenticated:
                    self._is_free = reader.authenticated = True
                    self._limit_output()
                    soft = self._soft
                ran = node.serve(session, reader, most if most < HELPING else HELPING, soft)
                most -= ran
                if ran >= HELPING:          # a small pipeline is not timed at all
                    now_s = clock_s()
                    if (began_s and now_s - began_s > SHARE_S) or turn.is_long():
                        break
                    began_s = began_s or now_s
                if (
                    session.out_bytes > soft or session.is_full() or session.is_held
                    or self._is_stuck or session.closing
                ):
                    self._hold()
                    return
                if ran == 0 or not reader.has_input():
                    if self._has_ended:
                        self._finish()
                    elif not self._is_reading:
                        self._read_on()
                    return
        except ProtocolError as wrong:
            self._refuse(session, wrong)
            return
        self._take_later()

    def _put_together(self, session: Session, reader: RequestReader) -> None:
        """The end of a large argument is there: to join it is one turn, its command the next."""
        try:
            reader.read()
            self._take_later()
        except ProtocolError as wrong:
            self._turn.begin()
            self._refuse(session, wrong)

    def _take_later(self) -> None:
        """Go on in the next turn."""
        self._hold()
        if not self._is_scheduled:
            self._is_scheduled = True
            self._clients.call_soon(self._resume)

    def _resume(self) -> None:
        """The next helping of a long pipeline."""
        self._is_scheduled = False
        session = self._session
        if self._has_more and session is not None and self._may_take(session):
            self._take()

    def _hold(self) -> None:
        """Leave the rest of the commands for later."""
        self._has_more = True
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self._is_reading and self._transport is not None:
            self._is_reading = False
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def _refuse(self, session: Session, wrong: ProtocolError) -> None:
        """A malformed request: say so behind everything that still waits, then close."""
        self._clients.metrics.clients_protocol_errors += 1
        if not wrong.reply:
            self._turn.node.sessions.attacked(session)
            self.abort()
            return
        session.reply(wrong.reply)
        self.close()

    def _finish(self) -> None:
        """The client sends no more: answer what it has sent, and close. One that waits is gone."""
        session = self._session
        if session is None:
            return
        if session.blocked:
            self.abort()
        elif session.backlog:
            self._hold()        # what waits to be begun comes first
        else:
            self.close()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._clients.linger(self)
            self._transport.close()


def _flush(session: Session) -> None:
    cast(Client, session.tag).flush()


def _tune(sock: socket.socket, keepalive_s: int) -> None:
    """No delay for small replies, and a question now and then whether the client still lives."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not keepalive_s:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepalive_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, keepalive_s // 3))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _address(name: tuple[str, int]) -> str:
    """`ip:port`, an IPv6 address in brackets, as CLIENT LIST shows it."""
    host, port = name[0], name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
