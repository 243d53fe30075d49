"""SUBSCRIBE, PUBLISH and their kin, as a client meets them.

A client in RESP2 that listens to anything is a *subscriber*: its connection carries messages, so
only few commands are allowed on it (`sessions/pubsub_tasks`). In RESP3 messages are pushes, which
no reply can be mistaken for, and every command goes on working.

Source: Redis `pubsub.c`, `server.c` (processCommand).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from respdyn.cluster.slices import Job
from respdyn.commands.declare import Argv
from respdyn.commands.introspection import help_text
from respdyn.local.context import LocalContext
from respdyn.resp.replies import bulk, integer, null, push
from respdyn.sessions.session import ALL_KEYS, CHANNEL, PATTERN, SHARD, Session

_PIECE: Final = 50      # names that are listened to in a row (`slices`)
_STEPS: Final = 5       # what one of them is taken for

_VERBS: Final = {CHANNEL: b"subscribe", PATTERN: b"psubscribe", SHARD: b"ssubscribe"}
_ENDS: Final = {CHANNEL: b"unsubscribe", PATTERN: b"punsubscribe", SHARD: b"sunsubscribe"}


def _subscribe(context: LocalContext, session: Session, kind: int, names: Argv) -> None:
    pubsub = context.notifications.pubsub

    def listen(name: bytes) -> None:
        pubsub.subscribe(session, kind, name)
        _confirm(session, _VERBS[kind], bulk(name), kind)

    _for_each(context, session, names, listen)


def _unsubscribe(context: LocalContext, session: Session, kind: int, names: Argv) -> None:
    pubsub = context.notifications.pubsub
    if not names and session.subscriptions is not None:
        names = list(session.subscriptions.names[kind])

    def leave(name: bytes) -> None:
        pubsub.unsubscribe(session, kind, name)
        _confirm(session, _ENDS[kind], bulk(name), kind)

    _for_each(context, session, names, leave)
    if not names:
        _confirm(session, _ENDS[kind], null(session.resp == 3), kind)


def _for_each(
    context: LocalContext, session: Session, names: Argv, do: Callable[[bytes], None]
) -> None:
    """So many names at a time; what stands behind them waits. Within EXEC, all at once."""

    def job() -> Job:
        for count, name in enumerate(names):
            if count and count % _PIECE == 0 and session.exec_target is None:
                yield _PIECE * _STEPS
                if session.closing:
                    return
            do(name)
        if len(names) > _PIECE and session.exec_target is None:
            session.unbar()

    if context.node.slices.start(job()):
        session.has_barrier = True


def _confirm(session: Session, verb: bytes, name: bytes, kind: int) -> None:
    """One such message for each name is what the client gets instead of a reply."""
    subscriptions = session.subscriptions
    count = 0 if subscriptions is None else subscriptions.count(kind)
    session.push(push([bulk(verb), name, integer(count)], session.resp == 3))


def subscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _subscribe(context, session, CHANNEL, argv[1:])


def psubscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _subscribe(context, session, PATTERN, argv[1:])


def ssubscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _subscribe(context, session, SHARD, argv[1:])


def unsubscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _unsubscribe(context, session, CHANNEL, argv[1:])


def punsubscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _unsubscribe(context, session, PATTERN, argv[1:])


def sunsubscribe(context: LocalContext, session: Session, argv: Argv) -> None:
    _unsubscribe(context, session, SHARD, argv[1:])


def publish(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _publish(context, session, argv, CHANNEL)


def spublish(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _publish(context, session, argv, SHARD)


def _publish(context: LocalContext, session: Session, argv: Argv, kind: int) -> bytes | None:
    """Speak, but not before this client's own writes are done: listeners may go and look."""
    router = context.router
    if session.pending and session.must_wait(ALL_KEYS, False):
        router.put_back(session)
        return None
    router.check_load()
    return context.notifications.pubsub.publish(
        kind, argv[1], argv[2], session, session.terms.timeout_ms
    )


def help_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("pubsub"))
