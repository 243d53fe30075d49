"""Both engines behind one handle, and what every test does with a store."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from respdyn.ports import Store, Trace
from respdyn.storage.memory import MemoryStore
from respdyn.storage.rocksdb import RocksStore

SECONDS = 20.0


@contextmanager
def rocks(
    directory: Path, policy: str = "no", trace: Trace | None = None,
) -> Iterator[RocksStore]:
    """An open store; afterwards it is closed, whatever a test has done to it."""
    store = RocksStore(str(directory), policy, trace, write_buffer_bytes=1 << 20)
    store.open()
    try:
        yield store
    finally:
        store.close(5.0)


@contextmanager
def opened(engine: str, directory: Path) -> Iterator[Store]:
    if engine == "memory":
        yield MemoryStore()
    else:
        with rocks(directory) as store:
            yield store


def serve(store: Store, seconds: float = 0.0) -> None:
    """What an event loop would do for the store."""
    if isinstance(store, RocksStore):
        store.pump(seconds)


def settle(store: Store, generation: int) -> None:
    """Wait until this generation is durable."""
    deadline = time.monotonic() + SECONDS
    while store.durable() < generation:
        failure = store.failure() if isinstance(store, RocksStore) else ""
        assert time.monotonic() < deadline, f"only {store.durable()} of {generation}: {failure}"
        serve(store, 0.1)


def put(store: Store, generation: int, batch: list[bytes], sync: bool = False) -> None:
    """Submit, and wait until it is durable."""
    store.submit(generation, batch, sync)
    settle(store, generation)


def everything(store: Store) -> dict[bytes, bytes]:
    """All that `load` gives; nothing twice, and in key order."""
    flat = [item for pairs in store.load() for item in pairs]
    keys = flat[::2]
    assert keys == sorted(set(keys))
    return dict(zip(keys, flat[1::2], strict=True))


def flat(table: dict[bytes, bytes]) -> list[bytes]:
    return [item for pair in table.items() for item in pair]
