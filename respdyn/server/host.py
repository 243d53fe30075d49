"""What the process does for an operator's commands: reads and writes the operator's files.

Source: `respdyn.host`.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from respdyn.config import Settings
from respdyn.host import Host, HostError
from respdyn.ports import Store
from respdyn.server.clients import Client
from respdyn.server.turn import Turn
from respdyn.storage.rocksdb import RocksStore
from respdyn.storage.store import StoreError

MODE = 0o600


class Process(Host):
    """The process around a node. `apply`, `stop` and `begin_again` are the server's."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, turn: Turn, store: Store, config_file: str,
        apply: Callable[[Settings], None], stop: Callable[[str], None],
        begin_again: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._turn = turn
        self._store = store
        self._config_file = config_file
        self._apply = apply
        self._stop = stop
        self._begin_again = begin_again

    def apply(self, settings: Settings) -> None:
        """See `Host.apply`."""
        self._apply(settings)

    def config_file(self) -> str:
        """See `Host.config_file`."""
        return self._config_file

    def shut_down(self) -> None:
        """See `Host.shut_down`."""
        self._loop.call_soon(self._stop, "SHUTDOWN")

    def begin_again(self, node_id: str) -> None:
        """See `Host.begin_again`."""
        self._loop.call_soon(self._begin_again, node_id)

    def buffered(self, tag: object) -> tuple[int, int]:
        """See `Host.buffered`."""
        return tag.buffered() if isinstance(tag, Client) else (0, 0)

    def descriptor(self, tag: object) -> int:
        """See `Host.descriptor`."""
        return tag.descriptor() if isinstance(tag, Client) else -1

    def back_up(self, name: str, done: Callable[[str], None]) -> None:
        """See `Host.back_up`."""
        store = self._store
        if not isinstance(store, RocksStore):
            raise HostError("this node keeps nothing on disk (engine memory)")
        if failure := store.failure():
            raise HostError(failure)
        directory = Path(store.directory) / "backups"

        def copied(reason: str) -> None:
            self._turn.begin()
            done(reason)
            kept = self._turn.node.settings.backups_kept
            self._loop.run_in_executor(None, _prune, directory, kept)

        def ask() -> None:
            try:
                store.copy(directory / name, copied)
            except StoreError as wrong:
                self._turn.begin()
                done(str(wrong))

        # Behind the end of this turn, so that what it has written is in the copy.
        self._loop.call_soon(ask)

    def read_text(self, path: str) -> str:
        """See `Host.read_text`."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as wrong:
            raise HostError(wrong.strerror or str(wrong)) from None

    def write_text(self, path: str, content: str) -> None:
        """See `Host.write_text`."""
        target = Path(path)
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(content)
                    file.flush()
                    os.fchmod(file.fileno(), MODE)
                    os.fsync(file.fileno())
                os.replace(name, target)
            except OSError:
                os.unlink(name)
                raise
            _sync_directory(target.parent)
        except OSError as wrong:
            raise HostError(wrong.strerror or str(wrong)) from None


def _prune(directory: Path, kept: int) -> None:
    """Remove backups but for the newest, and what an interrupted one has left."""
    found = sorted(directory.glob("backup-*"), key=lambda path: path.stat().st_mtime)
    whole = [path for path in found if path.suffix != ".partial"]
    for path in [*whole[:-kept], *(path for path in found if path.suffix == ".partial")]:
        shutil.rmtree(path, ignore_errors=True)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
