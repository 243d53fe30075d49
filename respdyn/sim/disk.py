"""A disk that forgets what it did not sync: the `Store` of a simulated node.

A batch travels through three places, always in order and always whole: *queued* (handed over, lost
when the machine or the storage process dies), *written* (survives the process, not the power) and
*kept*. A crash lets a random prefix of what was not yet safe survive, because that is all that a
log-structured engine promises. While the disk is full, nothing moves on from the queue.

The disk does not know when; the host calls `work`, and `done` when the work has ended.
"""

from collections import deque
from collections.abc import Iterator

from respdyn.ports import Store
from respdyn.sim.chance import Chance
from respdyn.storage.memory import apply

_CHUNK = 4096
_EVERYSEC_US = 1_000_000


class Batch:
    """One submitted batch."""

    __slots__ = ("generation", "is_sync", "pairs", "written_us")

    def __init__(self, generation: int, pairs: list[bytes], is_sync: bool) -> None:
        self.generation = generation
        self.pairs = pairs
        self.is_sync = is_sync
        self.written_us = 0


class Disk(Store):
    """One node's disk."""

    def __init__(self, chance: Chance, durability: str, is_volatile: bool) -> None:
        self.chance = chance
        self.durability = durability
        self.is_volatile = is_volatile      # the memory engine: nothing survives a process
        self.is_full = False
        self.kept: dict[bytes, bytes] = {}
        self.written: deque[Batch] = deque()
        self.queued: deque[Batch] = deque()
        self.queued_bytes = 0
        self.most_bytes = 0                 # that were ever queued, while it was not full
        self.largest_batch = 0              # bytes of the longest among those: what one turn wrote
        self.largest_pair = 0               # bytes of the longest value among those
        self.at_work = 0                    # of `queued`, how many the disk is busy with
        self._durable = 0
        self.lost = 0                       # batches that crashes took away
        self.backup: dict[bytes, bytes] | None = None
        self.damaged = 0                    # pairs that the next `load` leaves out

    # ---- the port ----

    def load(self) -> Iterator[list[bytes]]:
        """All that is kept; see `Store.load`."""
        flat: list[bytes] = []
        for key in sorted(self.kept):
            flat += (key, self.kept[key])
            if len(flat) >= _CHUNK:
                yield flat
                flat = []
        if flat:
            yield flat

    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        """Queue a batch; see `Store.submit`."""
        self.queued.append(Batch(generation, batch, sync))
        batch_bytes = sum(map(len, batch))
        self.queued_bytes += batch_bytes
        if not self.is_full:
            self.most_bytes = max(self.most_bytes, self.queued_bytes)
            self.largest_batch = max(self.largest_batch, batch_bytes)
            self.largest_pair = max(self.largest_pair, max(map(len, batch), default=0))

    def durable(self) -> int:
        """The newest generation that was reported."""
        return self._durable

    # ---- for the host ----

    def work(self) -> bool | None:
        """Take up all that is queued: whether that needs a sync, or None if there is no work."""
        if self.at_work or not self.queued or self.is_full:
            return None
        self.at_work = len(self.queued)
        return any(batch.is_sync for batch in self.queued)

    def done(self, now_us: int) -> int:
        """The work is done; the newest generation that may now be reported, 0 for none."""
        if self.is_full:
            self.at_work = 0
            return 0
        has_sync = False
        for _ in range(self.at_work):
            batch = self.queued.popleft()
            batch.written_us = now_us
            has_sync = has_sync or batch.is_sync
            self._durable = batch.generation
            self.written.append(batch)
        self.at_work = 0
        self.queued_bytes = sum(sum(map(len, batch.pairs)) for batch in self.queued)
        if has_sync:
            self._keep(len(self.written))
        elif self.durability == "everysec":
            self._keep_older(now_us)
        return self._durable

    def _keep_older(self, now_us: int) -> None:
        """What the flush of every second has reached."""
        flushed_us = now_us // _EVERYSEC_US * _EVERYSEC_US
        self._keep(sum(1 for batch in self.written if batch.written_us < flushed_us))

    def _keep(self, count: int) -> None:
        for _ in range(count):
            apply(self.kept, self.written.popleft().pairs)

    # ---- ends of a life ----

    def close(self) -> None:
        """The process ended well: all that was handed over is written and kept."""
        self._write(len(self.queued))
        self._end(len(self.written))

    def kill(self) -> None:
        """The node's process died.

        The storage process outlives it and reads what it was sent to the end; but under `always`
        no client has been promised anything yet, so a prefix is all that must survive.
        """
        count = len(self.queued)
        self._write(self.chance.below(count + 1) if self.durability == "always" else count)
        self._end(len(self.written))

    def cut_power(self, now_us: int) -> None:
        """The machine died: a prefix of what was not synced survives."""
        if self.durability == "everysec":
            self._keep_older(now_us)
        self._write(len(self.queued))
        self._end(self.chance.below(len(self.written) + 1))

    def wipe(self) -> None:
        """The disk is replaced by an empty one."""
        self.lost += len(self.written) + len(self.queued)
        self.written.clear()
        self.kept.clear()
        self._end(0)

    def back_up(self) -> None:
        """Copy what is kept now."""
        self.backup = dict(self.kept)

    def restore(self) -> None:
        """The directory is replaced by the backup."""
        assert self.backup is not None
        self.wipe()
        self.kept, self.backup = self.backup, None

    def rot(self) -> None:
        """The process died, and some of what is kept does not pass its checksum any more."""
        self.kill()
        damaged = [key for key in sorted(self.kept) if self.chance.happens(0.3)]
        for key in damaged:
            del self.kept[key]
        self.damaged = len(damaged)

    def _write(self, count: int) -> None:
        if not self.is_full:
            for _ in range(count):
                self.written.append(self.queued.popleft())

    def _end(self, survivors: int) -> None:
        self._keep(survivors)
        self.lost += len(self.written) + len(self.queued)
        self.written.clear()
        self.queued.clear()
        self.queued_bytes = 0
        self.at_work = 0
        self._durable = 0
        if self.is_volatile:
            self.kept.clear()
