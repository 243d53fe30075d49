"""CLIENT PAUSE: clients' commands wait, all of them or those that write, until a time has come.

Only clients of this node wait; what other nodes forward, and what nodes do among themselves, goes
on. A command that waited is begun as if it had come when the pause ended, so the pause does not
count against its deadline.

However long it is, CLIENT UNPAUSE ends it: neither it nor what a client says to open a connection
waits, and where a client sends it behind commands that wait, it is run all the same.

Source: Redis `networking.c` (pauseClients), `server.c` (processCommand).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.commands.declare import Argv, Command
from respdyn.commands.table import find
from respdyn.sessions.session import Session

NEVER: Final = 1 << 62
# They change something though they are not declared to write.
_CHANGING: Final = frozenset(("publish", "spublish", "eval", "evalsha", "fcall"))
# What clients say before they can say anything else, and what ends a pause.
_NEVER_WAIT: Final = frozenset((
    "auth", "client|maint_notifications", "client|setinfo", "client|setname", "client|unpause",
    "hello", "quit", "select",
))


class Pausing:
    """Whether clients wait at present, and which."""

    def __init__(self, ready: list[Session]) -> None:
        self.is_on = False
        self.waiting: dict[Session, None] = {}      # those of which a command waits
        self._stops_all = False
        self._until_ms = NEVER
        self._ready = ready

    def begin(self, until_ms: int, stops_all: bool) -> None:
        """Pause, or pause longer and for more commands; never shorter or for fewer."""
        self._until_ms = max(until_ms, self._until_ms) if self.is_on else until_ms
        self._stops_all = (self.is_on and self._stops_all) or stops_all
        self.is_on = True

    def stops(self, session: Session, command: Command) -> bool:
        """Whether this command must wait now. Who monitors never waits."""
        if self._stops_all:
            return command.name not in _NEVER_WAIT and not session.is_monitor
        return any(
            "write" in one.flag_words or one.name in _CHANGING for one in session.runs(command)
        )

    def end(self, now_ms: int) -> None:
        """The clients that waited go on."""
        self.is_on = self._stops_all = False
        self._until_ms = NEVER
        for session in reversed(self.waiting):      # the last to be ready is the first to go on
            session.backlog = deque((argv, now_ms) for argv, _ in session.backlog)
            self._ready.append(session)
        self.waiting.clear()

    def overhear(self, argv: Argv, is_allowed: Callable[[Command], bool], now_ms: int) -> None:
        """A command takes its place behind others that wait: if it is UNPAUSE, they go on."""
        command = find(argv)
        if (
            command is not None and command.name == "client|unpause" and len(argv) == 2
            and is_allowed(command)
        ):
            self.end(now_ms)

    def expire(self, now_ms: int) -> None:
        """Time passes."""
        if self._until_ms <= now_ms:
            self.end(now_ms)

    def next_deadline(self) -> int:
        """When the pause ends."""
        return self._until_ms
