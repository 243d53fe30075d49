"""How much memory this node uses: what is counted, and when clients' writes are refused for it.

Counted, not read from the system: the records and hints that the node holds, byte by byte, with
what Python spends on each; what clients have sent and not been answered, and have been sent and not
read; and what the process had when it began, before it held anything. So the figure follows the
data at once, rises and falls with it, and is the same for the same data. Resident memory
(`used_memory_rss`) is another figure: it has in it what was freed and has not gone back to the
system, and the frames of the moment.

`maxmemory` is compared with what data and clients hold (`held`), once a millisecond at most. What
the interpreter needs before it holds anything (about 40 MB, `startup`) does not count: a limit of
10 MB is one of 10 MB of data, as with Redis, whose own need is small.
"""

from collections.abc import Callable, Mapping
from typing import Final

from respdyn.cluster.hints import Hints
from respdyn.cluster.replica import Replica
from respdyn.commands.inspecting import ENTRY_BYTES
from respdyn.sessions.session import Session
from respdyn.types import list_order, sorted_sets

# What a connection costs besides what is buffered for it: session, reader, transport and sockets,
# as measured with 10,000 of them.
CONNECTION_BYTES: Final = 5500

_ORDERS: Final = (sorted_sets.ORDERS, list_order.ORDERS)

# Clients that are looked at in one go: two milliseconds' worth.
LOOKS_MAX: Final = 1000


class Memory:
    """The account of one node."""

    def __init__(
        self, replica: Replica, hints: Hints, sessions: Mapping[int, Session],
        buffered: Callable[[object], tuple[int, int]],
    ) -> None:
        self._replica = replica
        self._hints = hints
        self._sessions = sessions
        self._buffered = buffered   # see `Host.buffered`
        self.startup = 0            # resident memory before any record was loaded
        self.peak = 0
        self._clients = 0           # bytes, as last looked at
        self._seen: dict[int, int] = {}     # what each client cost when it was looked at
        self._seen_bytes = 0                # their sum
        self._next = 0                      # where to go on looking

    def dataset(self) -> int:
        """Records and hints."""
        replica, hints = self._replica, self._hints
        return (
            replica.bytes + hints.bytes + ENTRY_BYTES * (replica.records + hints.count)
        )

    def orders(self) -> tuple[int, int]:
        """Members in the orders that this process keeps beside big records, and orders given up."""
        return sum(one.members for one in _ORDERS), sum(one.dropped for one in _ORDERS)

    def of(self, session: Session) -> int:
        """What one client costs."""
        read, written = self._buffered(session.tag)
        transaction = session.transaction
        return (
            CONNECTION_BYTES + read + written + session.out_bytes
            + (0 if transaction is None else transaction.size)
        )

    def sample(self) -> int:
        """What all clients cost. Some are looked at now, in turn; all of them if there are few.

        To be called about every second.
        """
        sessions = self._sessions
        seen = self._seen
        chosen = list(sessions.values())
        if len(chosen) > LOOKS_MAX:
            self._next %= len(chosen)
            first, self._next = self._next, self._next + LOOKS_MAX
            chosen = chosen[first : first + LOOKS_MAX]
        for session in chosen:
            cost = self.of(session)
            self._seen_bytes += cost - seen.get(session.id, 0)
            seen[session.id] = cost
        self._clients = self._seen_bytes + CONNECTION_BYTES * (len(sessions) - len(seen))
        return self._clients

    def forget(self, session: Session) -> None:
        """A client is gone."""
        self._seen_bytes -= self._seen.pop(session.id, 0)

    def held(self) -> int:
        """What data and clients need: what `maxmemory` bounds."""
        return self._clients + self.dataset()

    def used(self) -> int:
        """All of it, with clients as they were at the last look."""
        used = self.startup + self.held()
        self.peak = max(self.peak, used)
        return used
