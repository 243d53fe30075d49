"""MONITOR: every command that clients give to this node, as it is run, without its secrets.

Like Redis's: commands of administration (CONFIG, ACL SETUSER ...) are not shown at all, passwords
in AUTH and HELLO are replaced, those in a transaction are shown when it is run. A connection that
monitors gets lines without a request and may not use keys; one that does not read its lines is cut
off at `pubsub-output-limit`. Without a monitor this costs one look into an empty dictionary.

Source: Redis `replication.c` (replicationFeedMonitors), `sds.c` (sdscatrepr).
"""

from __future__ import annotations

from typing import Final

from respdyn.commands.declare import Argv, Command
from respdyn.errors import ReplyError
from respdyn.sessions.command_stats import hidden
from respdyn.sessions.session import Session

_KEYSPACE: Final = frozenset(("readonly", "write"))
_REPLICATED: Final = frozenset(("publish", "spublish"))
_ESCAPES: Final = {
    0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a",
    0x08: b"\\b",
}
_SHOWN: Final = tuple(
    _ESCAPES.get(byte) or (bytes([byte]) if 0x20 <= byte < 0x7F else b"\\x%02x" % byte)
    for byte in range(256)
)


class Monitors:
    """Who monitors this node."""

    def __init__(self) -> None:
        self.sessions: dict[Session, None] = {}

    def begin(self, session: Session) -> None:
        """Show commands to this client from now on."""
        session.is_monitor = True
        self.sessions[session] = None

    def forget(self, session: Session) -> None:
        """Show it no more."""
        session.is_monitor = False
        self.sessions.pop(session, None)

    def look(self, session: Session, command: Command, argv: Argv) -> list[tuple[Command, Argv]]:
        """What is to be shown of a command that is about to be run."""
        if "admin" in command.flag_words:
            return []
        shown = [(command, argv)]
        if command.name == "exec" and session.transaction is not None:
            shown = [*session.transaction.queue, *shown]
        return shown

    def show(self, session: Session, shown: list[tuple[Command, Argv]], now_ms: int) -> None:
        """Show it, now that it has been run, or has begun."""
        if session.backlog and session.backlog[0][0] is shown[-1][1]:
            return                  # it waits, and will be here again
        for command, argv in shown:
            if "admin" in command.flag_words:
                continue
            seconds, rest_ms = divmod(now_ms, 1000)
            head = b"+%d.%06d [%d %b]" % (
                seconds, rest_ms * 1000, session.db, session.address.encode()
            )
            line = b" ".join([head, *map(quote, hidden(command, argv))]) + b"\r\n"
            for monitor in self.sessions:
                if not monitor.closing:
                    monitor.push(line)


    def show_script(self, argv: Argv, db: int, now_ms: int) -> None:
        """Show a command of a script."""
        seconds, rest_ms = divmod(now_ms, 1000)
        head = b"+%d.%06d [%d lua]" % (seconds, rest_ms * 1000, db)
        line = b" ".join([head, *map(quote, argv)]) + b"\r\n"
        for monitor in self.sessions:
            if not monitor.closing:
                monitor.push(line)


def check_allowed(session: Session, command: Command) -> None:
    """Raises `ReplyError` unless a connection that monitors may give this command."""
    for one in session.runs(command):
        if not _KEYSPACE.isdisjoint(one.flag_words) or one.name in _REPLICATED:
            raise ReplyError("ERR Replica can't interact with the keyspace")


def quote(argument: bytes) -> bytes:
    r"""An argument between quotes, anything unprintable escaped.

    >>> quote(b'a "b"\n\x00')
    b'"a \\"b\\"\\n\\x00"'
    """
    return b'"' + b"".join([_SHOWN[byte] for byte in argument]) + b'"'
