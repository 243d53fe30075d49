"""What the deterministic core is given, so that it need not reach for it.

The core never reads a clock, draws randomness, opens a file or a socket. Time arrives with
`Node.advance`, bytes with `Node.serve` and `Node.frame`; what leaves is collected by
`Node.drain`. The ports below are what remains. In a server they are the operating system's;
in the simulator each comes from the seed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

# More than this on a connection at a time, and how long it takes is a matter of its size.
BULK_BYTES: Final = 256 << 10
# The first byte of a stored name: a row of a big key; and of a pair that deletes names, from the
# rest of its name up to, not including, its value.
ROW: Final = b"\x40"
SWEEP: Final = b"\x41"


class Random(ABC):
    """Chance, by one method: its sequence is the one Python keeps across versions."""

    @abstractmethod
    def random(self) -> float:
        """A float in [0.0, 1.0)."""

    def secret(self) -> bytes:
        """32 bytes that cannot be guessed. A port whose draws are counted draws them elsewhere."""
        return random_bits(self, 256).to_bytes(32, "big")


class Trace(ABC):
    """Where changes of state are reported: the log of a server, the story of a simulation."""

    @abstractmethod
    def event(self, name: str, **fields: object) -> None:
        """One line: `name key=value ...`. Never per operation, never a user's data."""


class Store(ABC):
    """Bytes that survive, behind one asynchronous port.

    Pairs travel flat: `[key, value, key, value, ...]`; an empty value deletes the key, and a key
    that begins with `SWEEP` many of them. A batch is applied whole or not at all, its pairs in
    their order, batches in the order of submission. `submit` never waits for a disk.
    """

    @abstractmethod
    def load(self) -> Iterator[list[bytes]]:
        """Everything stored, as flat lists of pairs of a few thousand each, in key order.

        Raises `DamagedError` never: a damaged pair is left out and counted in `damaged`.
        """

    @abstractmethod
    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        """Hand over a batch. `generation` grows by at least one each time.

        With `sync` the batch (and so all before it) is on stable storage before its generation is
        reported durable; without it, durable means: handed to the operating system.
        """

    @abstractmethod
    def durable(self) -> int:
        """The newest generation reported durable so far; 0 before the first."""


class ScriptHost(ABC):
    """Where scripts run: a process of their own, which may die of them.

    It takes batches of jobs and gives back batches of outcomes (`scripting/job`), in order, which
    `node.scripts.receive` takes. If it dies, all that it had is lost: `node.scripts.died` is
    called with the job at hand.
    """

    @abstractmethod
    def submit(self, frame: bytes) -> None:
        """Hand over a batch. Never waits."""

    @abstractmethod
    def stop(self, number: int) -> None:
        """The job of this number must end now, if it is the one at hand."""

    def at_hand(self) -> int:
        """The number of the job that the process is at; 0 if at none, or if that is not known."""
        return 0

    def refusal(self) -> str:
        """Why no script can run, as an error's text; "" if they can."""
        return ""

    def is_starting(self) -> bool:
        """Whether the process is not ready for its first job yet."""
        return False


class NoScripts(ScriptHost):
    """Nowhere."""

    def submit(self, frame: bytes) -> None:
        """See `ScriptHost`."""

    def stop(self, number: int) -> None:
        """See `ScriptHost`."""


def random_bits(rng: Random, bits: int) -> int:
    """`bits` random bits as an integer, from `rng.random()` 32 at a time."""
    value = 0
    for _ in range((bits + 31) // 32):
        value = (value << 32) | int(rng.random() * 4294967296.0)
    return value >> (-bits % 32)
