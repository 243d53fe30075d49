"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: what they answer.

What is queued between them is in `sessions/transactions`, how it is then run in
`sessions/execution`.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from __future__ import annotations

from respdyn.commands.declare import LOCAL, Argv
from respdyn.commands.table import find
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, error
from respdyn.sessions import transactions
from respdyn.sessions.execution import Execution
from respdyn.sessions.group_sender import Watching
from respdyn.sessions.session import Session, Transaction

_NESTED = error("ERR MULTI calls can not be nested")
_WATCH_INSIDE = error("ERR WATCH inside MULTI is not allowed")
_BROKEN = error("EXECABORT Transaction discarded because of previous errors.")


def multi(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if session.transaction is not None:
        return _NESTED
    session.transaction = Transaction()
    return OK


def discard(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if session.transaction is None:
        raise ReplyError("ERR DISCARD without MULTI")
    transactions.forget(session)
    return OK


def unwatch(context: LocalContext, session: Session, argv: Argv) -> bytes:
    session.watched.clear()
    return OK


def watch(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    if session.transaction is not None:
        return _WATCH_INSIDE
    router = context.router
    command = find(argv[:1])
    assert command is not None
    router.check_ready(command)
    if session.pending:
        router.put_back(session)
        return None
    transactions.check_watched(router, session, argv)
    wanted = [(session.db, key) for key in dict.fromkeys(argv[1:])]
    wanted = [name for name in wanted if name not in session.watched]
    if not wanted:
        return OK
    Watching(router.sender(session.terms, router.deadline(session.terms)), session, wanted).start()
    return None


def exec_(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    transaction = session.transaction
    if transaction is None:
        raise ReplyError("ERR EXEC without MULTI")
    router = context.router
    if session.pending:
        router.put_back(session)
        return None
    watched = dict(session.watched)
    transactions.forget(session)
    if transaction.is_broken:
        return _BROKEN
    if watched or any(command.route is not LOCAL for command, _ in transaction.queue):
        for command, _ in transaction.queue:
            if command.route is not LOCAL:
                transactions.check_queued(router, command)
        router.check_load()
    context.node.counters.transactions += 1
    Execution(
        router, session, transaction.queue, watched, router.deadline(session.terms)
    ).start()
    return None
