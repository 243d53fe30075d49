"""A store in a dict: it survives nothing, and is durable at once.

For tests, for the simulator, and for a node whose data may go with its process (`engine = memory`).
Such a node serves from its own table and never loads, so for it the dict can be left out.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.ports import SWEEP
from respdyn.storage.store import Store

CHUNK_PAIRS: Final = 4096


def apply(table: dict[bytes, bytes], batch: list[bytes]) -> None:
    """Do to a table what a store does with a batch."""
    for at in range(0, len(batch), 2):
        name, value = batch[at], batch[at + 1]
        if name[:1] == SWEEP:
            for one in [held for held in table if name[1:] <= held < value]:
                del table[one]
        elif value:
            table[name] = value
        else:
            table.pop(name, None)


class MemoryStore(Store):
    """`Store` in a dict.

    With `keeps` false it forgets every batch at once and `load` gives nothing: the memory engine of
    a server, where a second table would only cost memory.
    """

    def __init__(self, keeps: bool = True) -> None:
        self.damaged = 0
        self.is_restored = False
        self._keeps = keeps
        self._table: dict[bytes, bytes] = {}
        self._generation = 0

    def load(self) -> Iterator[list[bytes]]:
        """Everything stored, as flat lists of pairs in key order."""
        table = self._table
        keys = sorted(table)
        for start in range(0, len(keys), CHUNK_PAIRS):
            chunk: list[bytes] = []
            for key in keys[start : start + CHUNK_PAIRS]:
                chunk += (key, table[key])
            yield chunk

    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        """Take the batch. It is durable, as far as memory is, when this returns."""
        assert generation > self._generation and len(batch) % 2 == 0
        self._generation = generation
        if not self._keeps:
            return
        apply(self._table, batch)

    def durable(self) -> int:
        """The newest generation submitted."""
        return self._generation
