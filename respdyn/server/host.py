"""What the process does when an operator asks the node for it: files that are his to write.

Source: `respdyn.engine.host`.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from respdyn.config import Settings
from respdyn.engine.host import Host, HostError

MODE = 0o600


class Process(Host):
    """The process around a node. `apply` is the server's: see `Host.apply`."""

    def __init__(self, apply: Callable[[Settings], None]) -> None:
        self._apply = apply

    def apply(self, settings: Settings) -> None:
        """See `Host.apply`."""
        self._apply(settings)

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


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
