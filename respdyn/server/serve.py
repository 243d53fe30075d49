"""A node from start to stop: what comes up in which order, and goes down in reverse.

    ports bound -> data directory locked and loaded -> node started -> its first batch durable
    -> listeners -> ready       ...       SIGTERM: no new clients -> pending replies -> flush -> 0

Everything that can be refused is refused before any client is let in, in one line. A second signal
ends the process at once. A mistake of our own (an unexpected exception) ends it too:
a node that does not know its own state must not serve.

A node that waits at the place of a member which lost its disk begins anew under that member's id
(`membership/address_takeover`): all of the above once more, in the same process.
"""

import asyncio
import gc
import os
import platform
import random
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from respdyn.build import build
from respdyn.config import Settings, is_clustered
from respdyn.config_values import ConfigError
from respdyn.host import HostError
from respdyn.metrics import ServerMetrics
from respdyn.node import Node
from respdyn.ports import Random, Store, Trace
from respdyn.server.clients import Clients
from respdyn.server.host import Process
from respdyn.server.http import HttpDoor
from respdyn.server.listeners import (
    StartError,
    announced_host,
    bind_all,
    raise_descriptors,
)
from respdyn.server.listening import Listeners
from respdyn.server.peers import Peers
from respdyn.server.process_stats import ProcessStats, resident_bytes
from respdyn.server.scripts import ScriptProcess
from respdyn.server.storage_process import StorageProcess
from respdyn.server.tls import NAMES as TLS_NAMES
from respdyn.server.tls import Tls
from respdyn.server.turn import Turn
from respdyn.storage.memory import MemoryStore
from respdyn.storage.rocksdb import RocksStore
from respdyn.storage.store import StoreError

POLL_S: Final = 0.005
PROGRESS_S: Final = 2.0
SAMPLE_S: Final = 1.0
FIRST_BATCH_S: Final = 30.0
# The process of scripts costs a second of a processor: not while a node starts, unless one is run.
SCRIPTS_S: Final = 1.0
IDLE_S: Final = 2.5             # for pending requests, when stopping
HAND_OVER_S: Final = 3.0        # for peers to coordinate in this node's place; mostly much less
FLUSH_S: Final = 30.0
OK: Final = 0
FAILED: Final = 1
AGAIN: Final = -1               # not for the system: the node begins anew under another id
CRASHED: Final = 70
# Next to nothing here is garbage in circles; to look for it after each 700 objects costs 4 to 8 %.
GC_THRESHOLDS: Final = (100_000, 20, 20)
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SHOWN: Final = {
    "port": "clients", "cluster-port": "cluster_clients", "peer-port": "peers", "http-port": "http",
    "tls-port": "tls_clients", "tls-cluster-port": "tls_cluster_clients",
}


class OsRandom(Random):
    """The operating system's chance."""

    def __init__(self) -> None:
        self._source = random.SystemRandom()

    def random(self) -> float:
        """A float in [0.0, 1.0)."""
        return self._source.random()


class DamageTrace(Trace):
    """Logs what only the store knows. That it failed or recovered the node logs itself."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def event(self, name: str, **fields: object) -> None:
        """See `Trace.event`."""
        if not name.startswith("storage_"):
            self._trace.event(name, **fields)


def serve(settings: Settings, trace: Trace, config_file: str = "") -> int:
    """Run one node until a signal stops it. Returns the exit status; raises `StartError`.

    `config_file` is where CONFIG REWRITE writes to.
    """
    _leave_on_signal(OK)        # until the loop runs there is nothing to finish
    settings, warning = raise_descriptors(settings)
    if warning:
        trace.event("max_clients_lowered", reason=warning, max_clients=settings.max_clients)
    settings = replace(settings, host=announced_host(settings))
    place = ""
    while True:
        status, place = _serve(settings, place, trace, config_file)
        if status != AGAIN:
            return status
        _leave_on_signal(OK)


def _serve(settings: Settings, place: str, trace: Trace, config_file: str) -> tuple[int, str]:
    """Run one node. Returns the exit status, and the node id under which to begin anew if `AGAIN`.

    `place` is such a node id, "" at first.
    """
    sockets = bind_all(settings)
    named = place or settings.node_id
    is_named = bool(named)
    if settings.engine == "memory" and is_clustered(settings) and not settings.node_id:
        named = _kept_node_id(settings.data_dir, place)
    settings = replace(settings, node_id=named)
    store = open_store(settings, trace)
    loop = uvloop.new_event_loop()
    try:
        server = Server(settings, trace, store, loop, config_file, is_named)
        if not place:   # a node without its ports, directory or certificates says that alone
            trace.event("starting", build=build(), python=platform.python_version())
        return loop.run_until_complete(server.run(sockets)), server.place
    finally:
        loop.close()


def open_store(settings: Settings, trace: Trace) -> MemoryStore | RocksStore:
    """The engine, its data directory locked. Raises `StartError`."""
    if settings.engine == "memory":
        return MemoryStore(keeps=False)
    _make_directory(settings.data_dir)
    store = RocksStore(settings.data_dir, settings.durability, DamageTrace(trace))
    try:
        store.open()
    except StoreError as wrong:
        raise StartError(str(wrong)) from None
    return store


class Server:
    """One node with its sockets, disk and clock."""

    def __init__(
        self, settings: Settings, trace: Trace, store: MemoryStore | RocksStore,
        loop: asyncio.AbstractEventLoop, config_file: str = "", is_named: bool = False,
    ) -> None:
        self.place = ""                 # the node id under which to begin anew
        self._settings = settings
        self._trace = trace
        self._store = store
        self._loop = loop
        self._metrics = ServerMetrics()
        self._started = time.time()
        self._loaded = 0                    # records that the store held
        self._empty_bytes = 0               # resident, before any record was loaded
        self._stopping = asyncio.Event()
        self._reason = ""
        self._status = OK
        try:
            self._tls = Tls(settings, trace)
        except HostError as wrong:
            raise StartError(f"TLS: {wrong}") from None
        chance = OsRandom()
        self._node = Node(settings, chance, trace)
        self._node.is_named = is_named
        self._scripts = self._node.script_host = ScriptProcess(
            loop, settings.script_memory, self._scripted, self._scripts_died
        )
        self._turn = Turn(loop, self._node, store, self._metrics)
        self._node.host = Process(
            loop, self._turn, store, config_file, self._apply, self._stop_for, self._begin_again
        )
        self._clients = Clients(loop, self._turn)
        self._peers = Peers(
            loop, self._turn, settings.peer_secret.encode(), chance, trace, self._tls
        )
        self._facts = ProcessStats(self._node, self._metrics)
        self._http = HttpDoor(loop, self._metrics, self._unready, self._exposition)
        self._listeners = Listeners(loop, self._tls, {
            "port": self._clients.main_door, "tls-port": self._clients.main_door,
            "cluster-port": self._clients.cluster_door,
            "tls-cluster-port": self._clients.cluster_door,
            "peer-port": self._peers.door, "http-port": self._http,
        }, self._clients.handshakes)
        self._renewing: asyncio.Task[None] | None = None
        self._disk: StorageProcess | None = None
        if isinstance(store, RocksStore):
            self._disk = StorageProcess(
                store, loop, self._turn.stored, self._storage_failed, self._storage_recovered,
                self._storage_damaged,
            )
            self._turn.submit = self._disk.submit

    async def run(self, sockets: dict[str, list[socket.socket]]) -> int:
        """Start, serve, stop. Returns the exit status."""
        loop = self._loop
        loop.set_exception_handler(self._unexpected)
        try:
            self._restore()
            for number in SIGNALS:
                loop.add_signal_handler(number, self._signalled, number)
            loop.add_signal_handler(signal.SIGHUP, self._reload)
            await self._start_node()
            await self._listeners.open(sockets)
        except (StartError, StoreError, ConfigError) as wrong:
            self._stop_store()
            raise StartError(str(wrong)) from None
        self._clients.start()
        self._sample()
        if "peer-port" in sockets:
            self._peers.start()
        await self._until_ready(sockets)
        self._loop.call_later(SCRIPTS_S, self._scripts.start)
        await self._stopping.wait()
        if self._status == OK:
            await self._stop()
        elif self._status == AGAIN:
            await self._leave()
        else:
            self._stop_store()
        return self._status

    # ---- up ----

    def _restore(self) -> None:
        """Give the node what the store holds; a line now and then if that takes long."""
        self._empty_bytes = resident_bytes()
        store = self._store
        began = logged = time.monotonic()
        records = 0
        for pairs in store.load():
            records += len(pairs) // 2
            self._node.restore(pairs)
            if time.monotonic() - logged >= PROGRESS_S:
                logged = time.monotonic()
                expected = store.estimated_pairs if isinstance(store, RocksStore) else 0
                self._trace.event("loading", records=records, of_about=expected)
        self._node.restore_damaged(store.damaged)
        self._node.is_restored = store.is_restored
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self._loaded = records
        if records:
            took_ms = int((time.monotonic() - began) * 1000)
            self._trace.event("loaded", records=records, damaged=store.damaged, took_ms=took_ms)

    async def _start_node(self) -> None:
        """Start the node and wait until the identity that it took up is durable."""
        self._node.start(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)
        self._node.context.outside = self._facts
        holding = self._node.sessions.holding
        self._turn.is_behind = lambda: holding.store.is_behind
        self._node.sessions.command_stats.clock_ns = time.perf_counter_ns
        self._node.sessions.memory.startup = self._empty_bytes
        self._node.context.loaded = self._loaded
        if self._disk is not None:
            self._disk.start()
        self._turn.begin()
        deadline = time.monotonic() + FIRST_BATCH_S
        while self._store.durable() == 0 and not self._stopping.is_set():
            if time.monotonic() >= deadline:
                raise StartError("the data directory does not take the first write: "
                                 + (_failure(self._store) or "no answer"))
            await asyncio.sleep(POLL_S)

    async def _until_ready(self, sockets: dict[str, list[socket.socket]]) -> None:
        """Say what listens where; say `ready` when commands are served."""
        where = {
            SHOWN[name]: ",".join(_shown(sock) for sock in listeners)
            for name, listeners in sockets.items()
        }
        settings = self._settings
        if self._unready():
            self._trace.event("listening", **where)
        while self._unready():
            if self._stopping.is_set():
                return
            await asyncio.sleep(POLL_S * 4)
        terms = self._node.this.default_terms
        self._trace.event(
            "ready", **where, node=self._node.identity.node_id[:8], n=self._node.sessions.router.n,
            r=terms.r, w=terms.w, engine=settings.engine, durability=settings.durability,
            took_ms=int((time.time() - self._started) * 1000),
        )

    # ---- down ----

    def _signalled(self, number: int) -> None:
        """The first signal stops gracefully, the second at once."""
        if self._stopping.is_set():
            os._exit(FAILED)
        self._stop_for(signal.Signals(number).name)

    def _stop_for(self, reason: str) -> None:
        """Begin to stop."""
        self._reason = self._reason or reason
        self._stopping.set()

    def _begin_again(self, node_id: str) -> None:
        """This node waits and stores nothing: another begins in its place, under this id."""
        if not self._stopping.is_set():
            self.place = node_id
            self._status = AGAIN
            self._stopping.set()

    async def _leave(self) -> None:
        """Close everything at once: no client was served yet, and nothing is stored."""
        self._listeners.close()
        self._clients.abort()
        self._peers.stop()
        self._http.stop()
        await asyncio.sleep(POLL_S)
        if not self._stop_store():
            self._status = FAILED

    async def _stop(self) -> None:
        """Send clients elsewhere, let none in, answer commands that came, flush, close."""
        self._trace.event("stopping", signal=self._reason)
        await self._drain()
        self._listeners.close()
        self._turn.begin()
        self._clients.stop()
        await self._wait_for(lambda: not self._clients.connections, IDLE_S)
        self._turn.begin()
        self._node.stop()
        await self._wait_for(self._is_idle, IDLE_S)
        self._clients.abort()
        self._peers.stop()
        self._http.stop()
        await asyncio.sleep(0)
        flushed = self._stop_store()
        self._trace.event("stopped", flushed=flushed)
        if not flushed:
            self._status = FAILED

    async def _drain(self) -> None:
        """If there are other nodes: let them coordinate, and give clients time to move there."""
        node = self._node
        if not any(link.is_up for link in node.links.values()):
            return
        settings = node.settings
        self._turn.begin()
        node.draining.begin(settings.moving_seconds)
        await self._wait_for(node.draining.is_announced, HAND_OVER_S)
        await self._wait_for(node.draining.is_clear, settings.drain_timeout_ms / 1000)
        self._trace.event(
            "drained", notified=node.draining.notified, clients_left=len(node.sessions.by_id)
        )

    def _stop_store(self) -> bool:
        """Flush and close the store. This blocks; from here a signal ends the process."""
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)
        _leave_on_signal(FAILED)
        self._scripts.stop_all()
        if self._disk is not None:
            self._disk.stop()
        if isinstance(self._store, RocksStore):
            return self._store.close(FLUSH_S)
        return True

    def _is_idle(self) -> bool:
        """Whether no client and no peer waits for an answer of this node."""
        return self._node.is_idle() and not self._node.draining.works_for_others()

    async def _wait_for(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    def _unexpected(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, object],
    ) -> None:
        """An uncaught exception. The network's are the network's; ours end the node."""
        wrong = context.get("exception")
        if isinstance(wrong, OSError):
            self._trace.event("network_error", error=str(wrong))
            return
        if self._status == OK:
            self._status = CRASHED
            self._trace.event("crashed", error=repr(wrong), context=context.get("message", ""))
            if isinstance(wrong, BaseException):
                traceback.print_exception(wrong)
            self._stopping.set()

    # ---- the store ----

    def _storage_failed(self, reason: str) -> None:
        self._metrics.storage_failed = 1
        self._metrics.storage_failures += 1
        self._turn.begin()
        self._node.storage_failed(reason)

    def _storage_recovered(self) -> None:
        self._metrics.storage_failed = 0
        self._turn.begin()
        self._node.storage_recovered()

    def _storage_damaged(self, low: bytes, high: bytes) -> None:
        self._turn.begin()
        self._node.scrub.rewrite(low, high)

    # ---- scripts ----

    def _scripted(self, frame: bytes) -> None:
        self._turn.begin()
        self._node.scripts.receive(frame)

    def _scripts_died(self, number: int, reason: str) -> None:
        self._turn.begin()
        self._node.scripts.died(number, reason)

    # ---- what may change ----

    def _apply(self, settings: Settings) -> None:
        """Settings are about to change. Raises `HostError`."""
        before = self._node.settings
        if any(getattr(before, name) != getattr(settings, name) for name in TLS_NAMES):
            self._renew_tls(settings)

    def _reload(self) -> None:
        """SIGHUP: certificates may have been replaced."""
        try:
            self._renew_tls(self._node.settings)
        except HostError as wrong:
            self._trace.event("tls_not_reloaded", reason=str(wrong))

    def _renew_tls(self, settings: Settings) -> None:
        if self._tls.change(settings):
            self._trace.event("tls_reloaded", certificate=settings.tls_cert_file)
            self._renewing = self._loop.create_task(self._listeners.renew())

    # ---- what others ask ----

    def _unready(self) -> str:
        """Why commands are not served; "" if they are."""
        if self._stopping.is_set():
            return "the node is stopping"
        return self._node.readiness.unready()

    def _sample(self) -> None:
        self._facts.sample()
        self._node.sessions.memory.sample()
        self._loop.call_later(SAMPLE_S, self._sample)

    def _exposition(self) -> bytes:
        from respdyn.server.exposition import exposition  # imports prometheus_client

        return exposition(self._node, self._metrics, self._started)


def _leave_on_signal(status: int) -> None:
    """End the process at once when a signal comes."""
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(status))


def _failure(store: Store) -> str:
    return store.failure() if isinstance(store, RocksStore) else ""


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _make_directory(directory: str) -> None:
    try:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as wrong:
        raise StartError(f"data directory {directory}: {wrong.strerror}") from None


def _kept_node_id(directory: str, place: str) -> str:
    """The node id of a memory engine, which forgets everything else: its place in the ring.

    `place` is kept instead of what was kept before, unless it is "".
    """
    _make_directory(directory)
    path = Path(directory) / "node-id"
    try:
        if path.exists() and not place:
            return path.read_text(encoding="ascii").strip()
        node_id = place or os.urandom(20).hex()
        path.write_text(node_id + "\n", encoding="ascii")
    except (OSError, UnicodeError) as wrong:
        raise StartError(f"{path}: {wrong}") from None
    return node_id
