"""How long keys have yet to live, on average: an estimate, as in Redis.

Each reading looks at the next records that have an expiry, `LOOKS_MAX` at most and among
`RECORDS_MAX`; where there are no more, the average is exact.
"""

from itertools import chain
from typing import Final

from respdyn.cluster.replica import Replica
from respdyn.ring.hashing import SLOTS
from respdyn.types.values import expire_at

LOOKS_MAX: Final = 500
RECORDS_MAX: Final = 5000
_EXPIRES: Final = 2             # the bit of a record's second byte: it may have an expiry


class TimesToLive:
    """Goes round the slots."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._next = 0

    def average_ms(self, db: int, wall_ms: int) -> int:
        """Of the keys of a database that are looked at now; 0 if none of them has an expiry."""
        total = looked = records = 0
        filled, first = self._replica.filled, self._next
        for slot in chain(filled(first, SLOTS), filled(0, first)):
            table = self._replica.slots[slot]
            for locator, record in table.items():
                if record[1] & _EXPIRES and locator[2] == db:
                    at = expire_at(record, wall_ms)
                    if at:
                        total += at - wall_ms
                        looked += 1
            records += len(table)
            if looked >= LOOKS_MAX or records >= RECORDS_MAX:
                self._next = (slot + 1) % SLOTS
                break
        return total // looked if looked else 0
