"""Transactions: what a client queues between MULTI and EXEC, and what may not be queued.

How the queue is then run is in `execution`, and what one node does of it in `coordination/groups`.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from __future__ import annotations

from typing import Final

from respdyn.commands.declare import LOCAL, Argv, Command
from respdyn.errors import ReplyError
from respdyn.resp.replies import QUEUED, error
from respdyn.sessions.router import Router
from respdyn.sessions.session import Session
from respdyn.sessions.users import check_debug

# These are not queued.
AT_ONCE: Final = frozenset(("multi", "exec", "discard", "watch", "quit", "reset"))

_ARGUMENT_BYTES: Final = 100

_TOO_LARGE = "ERR the transaction is larger than transaction-limit"
_TOO_MANY = (
    "ERR the transaction has more than {} commands (transaction-commands), a command of many keys"
    " counted as so many: what one node coordinates of it is done in one step"
)
_WATCHES_TOO_MANY = "ERR more than {} keys are watched (transaction-commands)"


def check_queued(router: Router, command: Command) -> None:
    """The node may have come into difficulties since the command was queued."""
    try:
        router.check_ready(command)
    except ReplyError as wrong:
        reason = wrong.text.removeprefix("ERR ")
        raise ReplyError(f"EXECABORT Transaction discarded because of: {reason}") from None


def enqueue(router: Router, session: Session, command: Command, argv: Argv) -> bytes:
    """Put a command into the session's transaction. Raises `ReplyError` if it cannot be there."""
    transaction = session.transaction
    assert transaction is not None
    if "no_multi" in command.flag_words:
        raise ReplyError("ERR Command not allowed inside a transaction")
    if command.name == "debug":
        check_debug(router.node.settings, session)
    if command.route is not LOCAL:
        router.check_ready(command)
    router.check_room(command)
    transaction.size += sum(map(len, argv)) + _ARGUMENT_BYTES * len(argv)
    if transaction.size > router.node.settings.transaction_limit:
        router.node.counters.transactions_too_large += 1
        raise ReplyError(_TOO_LARGE)
    transaction.commands += _weight(command, argv)
    if transaction.commands > router.node.settings.transaction_commands:
        router.node.counters.transactions_too_large += 1
        raise ReplyError(_TOO_MANY.format(router.node.settings.transaction_commands))
    if not transaction.is_broken:       # of what will not run nothing need be kept
        transaction.queue.append((command, argv))
    return QUEUED


def _weight(command: Command, argv: Argv) -> int:
    """As how many commands one counts: as many as it has keys or channels."""
    if len(argv) <= 3:
        return 1
    if "pubsub" in command.flag_words:
        return len(argv) - 1
    keys = command.keys
    if not keys.first:
        return 1
    last = len(argv) + keys.last if keys.last < 0 else keys.last
    return len(range(keys.first, last + 1, keys.step))


def check_watched(router: Router, session: Session, argv: Argv) -> None:
    """Raises `ReplyError` if a client watches too many keys: EXEC compares them in its one step."""
    if len(session.watched) + len(argv) - 1 > router.node.settings.transaction_commands:
        router.node.counters.transactions_too_large += 1
        raise ReplyError(_WATCHES_TOO_MANY.format(router.node.settings.transaction_commands))


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
