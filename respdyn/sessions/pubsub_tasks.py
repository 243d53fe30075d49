"""PUBSUB at all nodes: who subscribes to what, requested of each; and what a subscriber may say.

A client in RESP2 that listens to anything is a *subscriber*: its connection carries messages, so
only few commands are allowed on it (`check_allowed`).

Source: Redis `pubsub.c`, `server.c` (processCommand).
"""

from collections.abc import Generator
from typing import Final

from respdyn.cluster.questions import Listening
from respdyn.cluster.tasks import Answer, Request, Task, answer_as
from respdyn.commands.arguments import unknown_subcommand
from respdyn.commands.declare import Argv, Command
from respdyn.errors import ReplyError
from respdyn.resp.replies import array, bulk, bulks, integer
from respdyn.sessions.pubsub import PubSub
from respdyn.sessions.session import CHANNEL, PATTERN, SHARD

_ALLOWED: Final = frozenset((
    "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe",
    "ping", "quit", "reset",
))
_LISTED_OF: Final = {"channels": CHANNEL, "shardchannels": SHARD}
_COUNTED_OF: Final = {"numsub": CHANNEL, "shardnumsub": SHARD}


def check_allowed(command: Command) -> None:
    """Raises `ReplyError` unless a subscriber in RESP2 may give this command."""
    if command.name not in _ALLOWED:
        raise ReplyError(
            f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING"
            " / QUIT / RESET are allowed in this context"
        )


def task(nodes: list[str], name: str, argv: Argv) -> Task:
    """The task of a PUBSUB subcommand. Raises `ReplyError`.

    A node that cannot be reached is left out: its listeners cannot be reached either.
    """
    sub = name.removeprefix("pubsub|")
    if sub in _LISTED_OF:
        if len(argv) > 3:
            raise unknown_subcommand(argv)
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
    list[Request], list[Answer], list[bytes]
]:
    """Names that have subscribers at any of these nodes, each once."""
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
