"""Commands that wait until a node that has just started has met the others (`membership/arrival`).

What concerns the connection or this process alone is answered at once (PING, HELLO, AUTH, CLIENT,
INFO ...); everything else waits, in order. A command that waited is begun as if it had come when
the wait ended.
"""

from collections import deque
from typing import Final

from respdyn.commands.declare import COVERAGE, LOCAL, Command
from respdyn.sessions.session import Session

# Of what this node answers by itself: where the answer depends on whom it has met, or where
# others must be notified.
_WAITING_GROUPS: Final = ("cluster", "pubsub", "transactions", "generic")
# An operator's commands are answered at once, and so is what a client says of itself.
_AT_ONCE: Final = frozenset(("multi", "discard", "asking", "readonly", "readwrite", "cluster|myid"))


class Meeting:
    """Whose commands wait."""

    def __init__(self, ready: list[Session]) -> None:
        self.waiting: dict[Session, None] = {}      # those of which a command waits
        self._ready = ready

    def stops(self, command: Command) -> bool:
        """Whether this command waits until the others are met."""
        name = command.name
        if name.startswith("dyn.") and command.route in (COVERAGE, LOCAL):
            return False
        if command.route is not LOCAL:
            return True
        return (
            command.group in _WAITING_GROUPS and name not in _AT_ONCE and not name.endswith("help")
        )

    def count(self) -> int:
        """How many clients wait."""
        return len(self.waiting)

    def end(self, now_ms: int) -> None:
        """The clients that waited go on."""
        for session in self.waiting:
            session.backlog = deque((argv, now_ms) for argv, _ in session.backlog)
            self._ready.append(session)
        self.waiting.clear()
