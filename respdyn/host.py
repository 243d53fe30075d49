"""What a node has its process do on an operator's command: stop, back up, check its files.

The core opens no file and ends no process. In a server `respdyn.server.host` does it; a node
without a process around it, in the simulator and in tests, refuses.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from respdyn.config import Settings


class HostError(Exception):
    """The process could not do what the node wanted. The text says why."""


class Host(ABC):
    """What a node may ask of the process it lives in, when an operator says so.

    Paths are as the operator wrote them. Nothing here is for the data path: all of it may wait.
    """

    @abstractmethod
    def read_text(self, path: str) -> str:
        """A file as text (UTF-8; other bytes as surrogates). Raises `HostError`."""

    @abstractmethod
    def write_text(self, path: str, content: str) -> None:
        """Replace a file whole or not at all, readable by its owner alone. Raises `HostError`."""

    @abstractmethod
    def apply(self, settings: Settings) -> None:
        """Settings are about to change: what of them is the process's must be so afterwards.

        Raises `HostError`; then nothing has changed, and nothing may.
        """

    @abstractmethod
    def config_file(self) -> str:
        """The file that settings were read from; "" if there was none."""

    @abstractmethod
    def shut_down(self) -> None:
        """Stop as after SIGTERM, once this turn is over."""

    @abstractmethod
    def begin_again(self, node_id: str) -> None:
        """End this node, which stores nothing, and start another under this node id."""

    @abstractmethod
    def buffered(self, tag: object) -> tuple[int, int]:
        """Of a session's connection: bytes of commands that were not run yet, and bytes of replies
        that the socket has not taken yet.
        """

    @abstractmethod
    def descriptor(self, tag: object) -> int:
        """The number that the system gave to a session's connection; -1 if there is none."""

    @abstractmethod
    def back_up(self, name: str, done: Callable[[str], None]) -> None:
        """Copy the data as it is now to `backups/name` in the data directory.

        `done` gets the reason why that failed, or "", in a later turn. Raises `HostError` when it
        cannot even begin.
        """


class NoHost(Host):
    """A node without a process around it: it can do nothing of that."""

    def read_text(self, path: str) -> str:
        """See `Host`."""
        raise HostError("there are no files here")

    def write_text(self, path: str, content: str) -> None:
        """See `Host`."""
        raise HostError("there are no files here")

    def apply(self, settings: Settings) -> None:
        """See `Host`."""

    def config_file(self) -> str:
        """See `Host`."""
        return ""

    def shut_down(self) -> None:
        """See `Host`."""

    def begin_again(self, node_id: str) -> None:
        """See `Host`."""

    def buffered(self, tag: object) -> tuple[int, int]:
        """See `Host`."""
        return 0, 0

    def descriptor(self, tag: object) -> int:
        """See `Host`."""
        return -1

    def back_up(self, name: str, done: Callable[[str], None]) -> None:
        """See `Host`."""
        raise HostError("this node keeps nothing on disk")
