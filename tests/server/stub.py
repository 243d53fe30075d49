"""A node that only talks, and a thread that serves it on real sockets.

The stub keeps the contract of `respdyn.node.Node` and nothing of Dynamo: a dictionary, a few
commands, and a list of the frames that came.
"""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import uvloop

from respdyn.cluster.link import Link
from respdyn.cluster.now import Now
from respdyn.cluster.terms import Terms
from respdyn.config import Settings, settle
from respdyn.errors import PeerError
from respdyn.metrics import ServerMetrics
from respdyn.ports import Random, Trace
from respdyn.resp.requests import RequestReader
from respdyn.server.clients import Clients
from respdyn.server.peers import Peers
from respdyn.server.tls import Tls
from respdyn.server.turn import Turn
from respdyn.sessions.session import ReplyPlace, Session, SharedSessionState
from respdyn.storage.memory import MemoryStore

LOOPBACK = "127.0.0.1"


class Chance(Random):
    def __init__(self) -> None:
        self._rng = random.Random(1)

    def random(self) -> float:
        return self._rng.random()


class Logged(Trace):
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, **fields: object) -> None:
        self.events.append((name, fields))

    def named(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in self.events if event == name]


class TurnOutput:
    def __init__(self, sessions: list[Session], frames: list[tuple[str, list[bytes]]]) -> None:
        self.sessions = sessions
        self.frames = frames
        self.batch: list[bytes] = []
        self.generation = 0
        self.sync = False


class Sessions:
    """The part of a node that counts attacks."""

    def attacked(self, session: Session) -> None:
        pass


class StubReadiness:
    """Takes which peers could not be reached."""

    def __init__(self) -> None:
        self.unreached: dict[str, str] = {}

    def moved(self, peer: str, arrived: int) -> None:
        pass

    def unacknowledged(self, peer: str, for_ms: int) -> None:
        pass


class StubNode:
    """Answers PING, ECHO, SET, GET, BIG bytes, LATER (held until `release`), AUTH and QUIT."""

    def __init__(self, settings: Settings, name: str = "a") -> None:
        self.settings = settings
        self.name = name
        self.cluster = "one"
        self.readiness = StubReadiness()
        self.table: dict[bytes, bytes] = {}
        self.dirty: list[Session] = []
        self.opened: list[Session] = []
        self.ran = 0
        self.advances = 0
        self.drains = 0
        self.held: list[ReplyPlace] = []
        self.sessions = Sessions()
        self.wanted: dict[str, str | None] = {}
        self.links: list[tuple[str, bool]] = []
        self.frames: list[tuple[str, list[bytes]]] = []
        self.out: list[tuple[str, bytes]] = []
        self.down: set[str] = set()

    def link_to(self, peer: str) -> Link:
        link = Link(peer)
        link.is_up = peer not in self.down
        return link

    def open_session(self, address: str, local: str, listener: str, tag: object) -> Session:
        terms = Terms(1, 1, True, 1000)
        shared = SharedSessionState(Now())
        session = Session(1, address, local, listener, 0, terms, self.dirty, tag, shared)
        session.authenticated = not self.settings.requirepass
        self.opened.append(session)
        return session

    def lets_in_all(self) -> bool:
        return not self.settings.requirepass

    def close_session(self, session: Session) -> None:
        self.opened.remove(session)

    def serve(
        self, session: Session, reader: RequestReader, most: int, soft_bytes: int
    ) -> int:
        ran = 0
        while ran < most and not session.closing and reader.read():
            self.command(session, reader.ready.popleft())
            ran += 1
            if session.out_bytes > soft_bytes or session.is_full() or not reader.authenticated:
                break
        return ran

    def command(self, session: Session, argv: list[bytes]) -> None:
        self.ran += 1
        name = argv[0].upper()
        if name == b"SET":
            self.table[argv[1]] = argv[2]
            session.reply(b"+OK\r\n")
        elif name in (b"GET", b"ECHO"):
            value = argv[1] if name == b"ECHO" else self.table.get(argv[1], b"")
            session.reply(b"$%d\r\n%b\r\n" % (len(value), value))
        elif name == b"BIG":
            session.reply(b"$%d\r\n%b\r\n" % (int(argv[1]), bytes(int(argv[1]))))
        elif name == b"LATER":
            self.held.append(session.hold())
        elif name == b"AUTH":
            session.authenticated = True
            session.reply(b"+OK\r\n")
        elif name == b"QUIT":
            session.reply(b"+OK\r\n")
            session.closing = True
        else:
            session.reply(b"+PONG\r\n")

    def release(self, reply: bytes) -> None:
        held, self.held = self.held, []
        for cell in held:
            cell.fill(reply)

    def dials(self) -> dict[str, str | None]:
        return self.wanted

    def greeting(self) -> bytes:
        return f"{self.cluster}/{self.name}".encode()

    def meet(self, greeting: bytes) -> str:
        cluster, _, name = greeting.decode().partition("/")
        if cluster != self.cluster:
            raise PeerError(f"the peer belongs to cluster {cluster}")
        if name == self.name:
            raise PeerError("that is this node itself")
        return name

    def link(self, peer: str, up: bool) -> None:
        self.links.append((peer, up))

    def frame(self, peer: str, items: list[bytes]) -> None:
        if items == [b"nonsense"]:
            raise PeerError("nonsense")
        self.frames.append((peer, items))

    def advance(self, now_ms: int, wall_ms: int) -> None:
        self.advances += 1

    def next_deadline(self) -> int:
        return time.monotonic_ns() // 1_000_000 + 10_000

    def turned(self, took_us: int) -> None:
        pass

    def drain(self) -> TurnOutput:
        self.drains += 1
        sessions, self.dirty[:] = self.dirty[:], []
        for session in sessions:
            session.is_dirty = False
        frames, self.out = self.out, []
        return TurnOutput(sessions, [(peer, [frame]) for peer, frame in frames])


class Served:
    """A stub node with its listeners in a thread of its own."""

    def __init__(self, settings: Settings, name: str = "a") -> None:
        self.settings = settings
        self.node = StubNode(settings, name)
        self.trace = Logged()
        self.metrics = ServerMetrics()
        self.client_port = 0
        self.peer_port = 0
        self._loop = uvloop.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        node = cast(Any, self.node)
        self.turn = Turn(self._loop, node, MemoryStore(), self.metrics)
        self.clients = Clients(self._loop, self.turn)
        self.peers = Peers(
            self._loop, self.turn, self.settings.peer_secret.encode(), Chance(), self.trace,
            Tls(self.settings, self.trace),
        )
        self.clients.start()
        self.client_port = self._listen(self.clients.main_door)
        self.peer_port = self._listen(self.peers.door)
        self.peers.start()
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        self._loop.close()

    def _listen(self, door: Callable[[], asyncio.Protocol]) -> int:
        sock = socket.create_server((LOOPBACK, 0), backlog=2048)
        self._loop.run_until_complete(self._loop.create_server(door, sock=sock, backlog=2048))
        port = sock.getsockname()[1]
        assert isinstance(port, int)
        return port

    def call(self, what: Callable[[], None]) -> None:
        """Run something in the loop, within a turn."""
        done = threading.Event()

        def run() -> None:
            self.turn.begin()
            what()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(5)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._finish)
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _finish(self) -> None:
        self.peers.stop()
        self.clients.stop()
        self._loop.call_later(0.02, self._loop.stop)


@contextmanager
def served(name: str = "a", **changes: Any) -> Iterator[Served]:
    one = Served(replace(settle(Settings()), **changes), name)
    try:
        yield one
    finally:
        one.stop()


class Wire:
    """A blocking socket that reads what it is to expect."""

    def __init__(self, port: int, timeout_s: float = 5.0, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect((LOOPBACK, port))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def expect(self, data: bytes) -> None:
        got = b""
        while len(got) < len(data):
            piece = self.socket.recv(len(data) - len(got))
            assert piece, f"closed after {got[-200:]!r}"
            got += piece
        assert got == data

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        got = b""
        try:
            while piece := self.socket.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got

    def close(self) -> None:
        self.socket.close()


def until(holds: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)
