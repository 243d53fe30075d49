"""A `RocksStore` on an event loop: its socket watched, its timer kept, its news passed on.

No decision is made here. The store has attributes for what it knows (`durable`, `failure`); this
reads them after every event and calls the node's three inputs when they have changed:

    storage = StorageProcess(store, loop, node.durable, node.storage_failed, node.storage_recovered)
    storage.start()                     after store.open() and store.load()
    storage.submit(generation, batch, sync)
    storage.stop()                      then store.close(), which waits

A storage process that died leaves its descriptor open until `maintain`, so that watching it ends
before its number can mean something else.
"""

import asyncio
from collections.abc import Callable

from respdyn.storage.rocksdb import RocksStore


class StorageProcess:
    """Serves `store` on `loop`, which runs the callbacks.

    `durable` gets the newest durable generation, `failed` the reason when trouble begins,
    `recovered` nothing when it is over, `damaged_ranges` a range of names to be written again.
    """

    def __init__(
        self,
        store: RocksStore,
        loop: asyncio.AbstractEventLoop,
        durable: Callable[[int], None],
        failed: Callable[[str], None],
        recovered: Callable[[], None],
        damaged_ranges: Callable[[bytes, bytes], None] = lambda low, high: None,
    ) -> None:
        self._store = store
        self._loop = loop
        self._on_durable = durable
        self._on_failed = failed
        self._on_recovered = recovered
        self._on_damaged = damaged_ranges
        self._descriptor = -1
        self._is_writing = False
        self._has_failed = False
        self._durable = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._maintain()

    def stop(self) -> None:
        """Watch no more; `store.close` serves itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watch(-1)

    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        """`Store.submit`; what the socket does not take at once follows when it does."""
        self._store.submit(generation, batch, sync)
        self._await_writable()

    def _maintain(self) -> None:
        wait_s = self._store.maintain()
        self._settle()
        self._timer = self._loop.call_later(wait_s, self._maintain)

    def _readable(self) -> None:
        self._store.on_readable()
        self._settle()

    def _writable(self) -> None:
        self._store.on_writable()
        self._settle()

    def _settle(self) -> None:
        """Watch what is to be watched now, and pass on what has changed."""
        store = self._store
        self._watch(store.fileno())
        self._await_writable()
        generation = store.durable()
        if generation > self._durable:
            self._durable = generation
            self._on_durable(generation)
        if store.damaged_ranges:
            ranges, store.damaged_ranges = store.damaged_ranges, []
            for low, high in ranges:
                self._on_damaged(low, high)
            # Behind the end of the turn, which submits what the node writes in their place.
            self._loop.call_soon(self._healed)
        failure = store.failure()
        if bool(failure) != self._has_failed:
            self._has_failed = bool(failure)
            if failure:
                self._on_failed(failure)
            else:
                self._on_recovered()

    def _healed(self) -> None:
        self._store.healed()
        self._await_writable()

    def _await_writable(self) -> None:
        wants_write = self._store.wants_write()
        if wants_write == self._is_writing or self._descriptor < 0:
            return
        self._is_writing = wants_write
        if wants_write:
            self._loop.add_writer(self._descriptor, self._writable)
        else:
            self._loop.remove_writer(self._descriptor)

    def _watch(self, descriptor: int) -> None:
        if descriptor == self._descriptor:
            return
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            if self._is_writing:
                self._loop.remove_writer(self._descriptor)
                self._is_writing = False
        self._descriptor = descriptor
        if descriptor >= 0:
            self._loop.add_reader(descriptor, self._readable)
