"""A command of a client that tracks (CLIENT TRACKING): what it reads is remembered first.

Source: Redis `tracking.c` (trackingRememberKeys).
"""

from __future__ import annotations

from respdyn.commands.declare import Argv, Command
from respdyn.commands.key_uses import places_of
from respdyn.commands.table import lookup
from respdyn.sessions.router import Router
from respdyn.sessions.session import Session
from respdyn.sessions.tracking import Trackers


def run(
    router: Router, trackers: Trackers, session: Session, command: Command, argv: Argv
) -> bytes | None:
    """Run a command of a client that tracks; what it reads is remembered before it does."""
    now = session.tracking
    assert now is not None
    keys = keys_read(command, argv)
    if command.name == "exec" and session.transaction is not None:
        for queued, words in session.transaction.queue:
            keys += keys_read(queued, words)
    if keys:
        trackers.remember(session, keys)
    began = trackers.begin_write() if now.is_noloop else 0
    reply = router.run(session, command, argv, session.terms)
    if now.is_noloop:
        trackers.end_write(session, began)
    waits = session.backlog and session.backlog[0][0] is argv       # it has yet to be run
    if not command.name.startswith("client|") and not waits and session.transaction is None:
        now.caching = False
    return reply


def keys_read(command: Command, argv: Argv) -> list[bytes]:
    """The keys that a command reads and does not change."""
    while command.inner is not None:
        argv = command.inner(argv)
        command = lookup(argv)
    if "readonly" not in command.flag_words:
        return []
    return [argv[at] for at in places_of(command, argv)]
