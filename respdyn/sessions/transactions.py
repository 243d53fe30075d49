"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: what a client queues until it says EXEC.

How the queue is then run is in `execution`, and what one node does of it in `groups`.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from respdyn.commands.declare import LOCAL, Command
from respdyn.commands.table import find
from respdyn.errors import ReplyError
from respdyn.local import storing
from respdyn.resp.replies import OK, QUEUED, error
from respdyn.sessions.execution import Execution
from respdyn.sessions.group_sender import Watching
from respdyn.sessions.session import Session, Transaction

if TYPE_CHECKING:
    from respdyn.local.table import LocalContext
    from respdyn.sessions.front import Front

Argv = list[bytes]

# These are not queued.
AT_ONCE: Final = frozenset(("multi", "exec", "discard", "watch", "quit", "reset"))

_ARGUMENT_BYTES: Final = 100

_NESTED = error("ERR MULTI calls can not be nested")
_WATCH_INSIDE = error("ERR WATCH inside MULTI is not allowed")
_BROKEN = error("EXECABORT Transaction discarded because of previous errors.")
_TOO_LARGE = "ERR the transaction is larger than transaction-limit"


# ---- the commands ----


def multi(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if session.transaction is not None:
        return _NESTED
    session.transaction = Transaction()
    return OK


def discard(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if session.transaction is None:
        raise ReplyError("ERR DISCARD without MULTI")
    forget(session)
    return OK


def unwatch(context: LocalContext, session: Session, argv: Argv) -> bytes:
    session.watched.clear()
    return OK


def watch(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    if session.transaction is not None:
        return _WATCH_INSIDE
    front = context.node.front
    command = find(argv[:1])
    assert command is not None
    front.check_ready(command)
    if session.pending:
        front.put_back(session)
        return None
    wanted = [(session.db, key) for key in dict.fromkeys(argv[1:])]
    wanted = [name for name in wanted if name not in session.watched]
    if not wanted:
        return OK
    Watching(front, session, wanted, front.deadline(session.terms)).start()
    return None


def exec_(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    transaction = session.transaction
    if transaction is None:
        raise ReplyError("ERR EXEC without MULTI")
    front = context.node.front
    if session.pending:
        front.put_back(session)
        return None
    watched = dict(session.watched)
    forget(session)
    if transaction.is_broken:
        return _BROKEN
    if watched or any(command.route is not LOCAL for command, _ in transaction.queue):
        for command, _ in transaction.queue:
            if command.route is not LOCAL:
                _check(front, command)
        front.check_load()
    context.node.counters.transactions += 1
    Execution(
        front, session, transaction.queue, watched, front.deadline(session.terms)
    ).start()
    return None


def _check(front: Front, command: Command) -> None:
    """The node may have come into difficulties since the command was queued."""
    try:
        front.check_ready(command)
    except ReplyError as wrong:
        reason = wrong.text.removeprefix("ERR ")
        raise ReplyError(f"EXECABORT Transaction discarded because of: {reason}") from None


def enqueue(front: Front, session: Session, command: Command, argv: Argv) -> bytes:
    """Put a command into the session's transaction. Raises `ReplyError` if it cannot be there."""
    transaction = session.transaction
    assert transaction is not None
    if "no_multi" in command.flag_words:
        raise ReplyError("ERR Command not allowed inside a transaction")
    if command.name == "debug":
        storing.check_debug(front.context.settings, session)
    if command.route is not LOCAL:
        front.check_ready(command)
    front.check_room(command)
    transaction.size += sum(map(len, argv)) + _ARGUMENT_BYTES * len(argv)
    if transaction.size > front.transaction_limit:
        front.count_too_large()
        raise ReplyError(_TOO_LARGE)
    if not transaction.is_broken:       # of what will not run nothing need be kept
        transaction.queue.append((command, argv))
    return QUEUED


def refused(session: Session, argv: Argv, text: str) -> bytes | None:
    """A command was not accepted: the transaction that it stands in will not run.

    An EXEC that is not accepted ends it; then this is the reply.
    """
    if argv[0].upper() == b"EXEC":
        forget(session)
        reason = text.removeprefix("ERR ")
        return error(f"EXECABORT Transaction discarded because of: {reason}")
    if session.transaction is not None:
        session.transaction.is_broken = True
        session.transaction.queue.clear()
    return None


def forget(session: Session) -> None:
    """No transaction, no watched keys."""
    session.transaction = None
    session.watched.clear()
