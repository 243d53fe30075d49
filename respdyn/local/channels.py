"""SUBSCRIBE, PUBLISH, PUBSUB and their kin, as a client meets them.

A client in RESP2 that listens to anything is a *subscriber*: its connection carries messages, so
only few commands are allowed on it (`check_allowed`). In RESP3 messages are pushes, which no reply
can be mistaken for, and every command goes on working.

Source: Redis `pubsub.c`, `server.c` (processCommand).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from respdyn.cluster.questions import Listening
from respdyn.cluster.tasks import Answer, Task, Wish, answer_as
from respdyn.commands.arguments import quoted
from respdyn.commands.declare import Command
from respdyn.commands.introspection import help_text
from respdyn.errors import ReplyError
from respdyn.resp.replies import array, bulk, bulks, integer, null, push
from respdyn.sessions.pubsub import CHANNEL, PATTERN, SHARD, PubSub
from respdyn.sessions.session import ALL_KEYS, Session

if TYPE_CHECKING:
    from respdyn.local.table import LocalContext

Argv = list[bytes]

_ALLOWED: Final = frozenset((
    "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe",
    "ping", "quit", "reset",
))
_VERBS: Final = {CHANNEL: b"subscribe", PATTERN: b"psubscribe", SHARD: b"ssubscribe"}
_ENDS: Final = {CHANNEL: b"unsubscribe", PATTERN: b"punsubscribe", SHARD: b"sunsubscribe"}
_LISTED_OF: Final = {"channels": CHANNEL, "shardchannels": SHARD}
_COUNTED_OF: Final = {"numsub": CHANNEL, "shardnumsub": SHARD}


def check_allowed(command: Command) -> None:
    """Raises `ReplyError` unless a subscriber in RESP2 may give this command."""
    if command.name not in _ALLOWED:
        raise ReplyError(
            f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING"
            " / QUIT / RESET are allowed in this context"
        )


def _subscribe(context: LocalContext, session: Session, kind: int, names: Argv) -> None:
    pubsub = context.node.telling.pubsub
    for name in names:
        pubsub.subscribe(session, kind, name)
        _confirm(session, _VERBS[kind], bulk(name), kind)


def _unsubscribe(context: LocalContext, session: Session, kind: int, names: Argv) -> None:
    pubsub = context.node.telling.pubsub
    if not names and session.subscriptions is not None:
        names = list(session.subscriptions.names[kind])
    for name in names:
        pubsub.unsubscribe(session, kind, name)
        _confirm(session, _ENDS[kind], bulk(name), kind)
    if not names:
        _confirm(session, _ENDS[kind], null(session.resp == 3), kind)


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
    front = context.node.front
    if session.pending and session.must_wait(ALL_KEYS, False):
        front.put_back(session)
        return None
    front.check_load()
    return context.node.telling.pubsub.publish(
        kind, argv[1], argv[2], session, session.terms.timeout_ms
    )


def help_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("pubsub"))


# ---- who listens, at all nodes ----


def task(nodes: list[str], name: str, argv: Argv) -> Task:
    """The task of a PUBSUB subcommand. Raises `ReplyError`.

    A node that cannot be reached is left out: its listeners cannot be reached either.
    """
    sub = name.removeprefix("pubsub|")
    if sub in _LISTED_OF:
        if len(argv) > 3:
            raise ReplyError(
                "ERR unknown subcommand or wrong number of arguments for"
                f" '{quoted(argv[1], 128)}'. Try PUBSUB HELP."
            )
        return _list(nodes, _LISTED_OF[sub], argv[2] if len(argv) == 3 else b"*")
    if sub == "numpat":
        return _count_patterns(nodes)
    return _count(nodes, _COUNTED_OF[sub], argv[2:])


def answer(pubsub: PubSub, question: Listening) -> list[bytes] | list[int]:
    """What this node says of its listeners."""
    if question.names is None:
        return pubsub.names(question.kind, question.pattern)
    return pubsub.counts(question.kind, question.names)


def _list(nodes: list[str], kind: int, pattern: bytes) -> Task:
    return bulks(list((yield from _names(nodes, kind, pattern))))


def _count_patterns(nodes: list[str]) -> Task:
    return integer(len((yield from _names(nodes, PATTERN, b"*"))))


def _names(nodes: list[str], kind: int, pattern: bytes) -> Generator[
    list[Wish], list[Answer], list[bytes]
]:
    """Names that somebody listens to at any of these nodes, each once."""
    answers = yield [(node, Listening(kind, pattern)) for node in nodes]
    found: dict[bytes, None] = {}
    for one in answers:
        found.update(dict.fromkeys(answer_as(list[bytes], one) or []))
    return list(found)


def _count(nodes: list[str], kind: int, names: list[bytes]) -> Task:
    """NUMSUB: each name and its listeners at all these nodes."""
    answers = yield [(node, Listening(kind, b"", names)) for node in nodes]
    totals = [0] * len(names)
    for one in answers:
        counts = answer_as(list[int], one) or []
        for at, count in enumerate(counts[: len(names)]):
            totals[at] += count
    pairs = zip(names, totals, strict=True)
    return array([part for name, total in pairs for part in (bulk(name), integer(total))])
