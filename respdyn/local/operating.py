"""Backups, shutdown, and Redis's replication, which is not here.

A *backup* is a copy of everything that the node has stored, made by its storage process and beside
its data. Everything that was acknowledged before is in it. A node that is started from one begins
a new life (SEMANTICS 1.1): the copy does not know what was said since.

Source: Redis `rdb.c`, `db.c` (shutdownCommand), `replication.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from respdyn.commands import introspection
from respdyn.commands.arguments import parse_integer, syntax_error, word, wrong_arity
from respdyn.commands.declare import Argv
from respdyn.config_view import rewritten
from respdyn.errors import ReplyError
from respdyn.host import HostError
from respdyn.local.backups import Waiting
from respdyn.local.context import LocalContext
from respdyn.resp.replies import (
    EMPTY_ARRAY,
    OK,
    ZERO,
    array,
    error,
    integer,
    status,
    text,
    verbatim,
)
from respdyn.sessions.session import Session

RESPDYN_VERSION: Final = "0.1.0"
_NO_REPLICAS: Final = (
    "ERR respdyn has no masters and replicas: every node takes writes, and each key has N copies. "
    "A node joins a cluster by --seeds"
)
_OTHER_PROTOCOL: Final = (
    "ERR respdyn does not speak Redis's replication protocol: copies are kept by its own nodes"
)
_UNDER_WAY: Final = "ERR Background save already in progress"
_REWRITE_UNDER_WAY: Final = "ERR Background append only file rewriting already in progress"
_OTHER_UNDER_WAY: Final = (
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in "
    "order to schedule a BGSAVE whenever possible."
)
_MARKS: Final = "#*+o.x=%@&"        # of the ring's owners, in LOLWUT
_ROW: Final = 64
_SIZES: Final = {5: 3, 6: 2}      # numbers that Redis's pictures take, by version


def role(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return array([text("master"), ZERO, EMPTY_ARRAY])


def lastsave(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return integer((context.backups.last_ms or context.started_ms) // 1000)


def bgsave(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 2 or (len(argv) == 2 and word(argv[1]) != b"SCHEDULE"):
        raise syntax_error()
    backups = context.backups
    if backups.is_running and not backups.is_rewrite:
        raise ReplyError(_UNDER_WAY)
    if backups.is_running or session.exec_target is not None:
        if len(argv) == 1:
            raise ReplyError(_OTHER_UNDER_WAY)
        _schedule(context, False)
        return status(b"Background saving scheduled")
    _begin(context, lambda reason: None)
    return status(b"Background saving started")


def bgrewriteaof(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """The same as BGSAVE, but for what it is called: there is one kind of files."""
    backups = context.backups
    if backups.is_running and backups.is_rewrite:
        raise ReplyError(_REWRITE_UNDER_WAY)
    if backups.is_running or session.exec_target is not None:
        _schedule(context, True)
        return status(b"Background append only file rewriting scheduled")
    _begin(context, lambda reason: None, is_rewrite=True)
    return status(b"Background append only file rewriting started")


def save(context: LocalContext, session: Session, argv: Argv) -> None:
    backups = context.backups
    if backups.is_running and not backups.is_rewrite:
        raise ReplyError(_UNDER_WAY)
    cell = session.hold()
    saving = Waiting(False, lambda reason: cell.fill(error(f"ERR {reason}") if reason else OK))
    if backups.is_running:
        backups.waiting.append(saving)
    else:
        _begin_next(context, saving)


def _schedule(context: LocalContext, is_rewrite: bool) -> None:
    """One of this kind when the present one has ended; at once if there is none."""
    backups = context.backups
    if not backups.is_running:
        _begin_next(context, Waiting(is_rewrite, lambda reason: None))
    elif not backups.waits(is_rewrite):
        backups.waiting.append(Waiting(is_rewrite, lambda reason: None))


def _begin_next(context: LocalContext, one: Waiting) -> None:
    """Begin a backup; its outcome goes to the callback `done`, if it has one."""
    try:
        _begin(context, one.done, one.is_rewrite)
    except ReplyError as wrong:
        context.node.trace.event("backup_failed", reason=wrong.text)
        one.done(wrong.text.removeprefix("ERR "))


def _begin(
    context: LocalContext, done: Callable[[str], None], is_rewrite: bool = False
) -> None:
    """Begin a backup. Raises `ReplyError`."""
    backups = context.backups
    if backups.is_running:
        raise ReplyError(_UNDER_WAY)
    name = f"backup-{context.now_ms}"

    def finished(reason: str) -> None:
        backups.end(context.now_ms, not reason)
        if reason:
            context.node.trace.event("backup_failed", reason=reason)
        else:
            context.node.trace.event("backup_made", backup=name, took_ms=backups.took_ms)
        done(reason)
        while backups.waiting and not backups.is_running:
            _begin_next(context, backups.waiting.pop(0))

    try:
        context.host.back_up(name, finished)
    except HostError as wrong:
        raise ReplyError(f"ERR {wrong}") from None
    backups.begin(context.now_ms, context.node.counters, is_rewrite)


def shutdown(context: LocalContext, session: Session, argv: Argv) -> None:
    words = [word(one) for one in argv[1:]]
    known = {b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"}
    if (
        not known.issuperset(words) or {b"SAVE", b"NOSAVE"}.issubset(words)
        or (b"ABORT" in words and len(words) > 1)
    ):
        raise syntax_error()
    if b"ABORT" in words:
        raise ReplyError("ERR No shutdown in progress.")
    if b"SAVE" not in words:
        context.host.shut_down()
        return
    cell = session.hold()

    def saved(reason: str) -> None:
        if reason and b"FORCE" not in words:
            cell.fill(error(f"ERR Errors trying to SHUTDOWN. {reason}"))
        else:
            context.host.shut_down()

    try:
        _begin(context, saved)
    except ReplyError as wrong:
        cell.fill(error(wrong.text))


def lolwut(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 2 and word(argv[1]) == b"VERSION":
        version = parse_integer(argv[2])
        for size in argv[3 : 3 + _SIZES.get(version, 0)]:
            parse_integer(size)
    ring = context.node.ring
    lines = []
    if ring is not None:
        marks = {
            member.node_id: _MARKS[at % len(_MARKS)] for at, member in enumerate(ring.members)
        }
        owners = [ring.owners_of(partition)[0] for partition in range(ring.partitions)]
        drawn = "".join(marks.get(owner, "?") for owner in owners)
        lines = [drawn[at : at + _ROW] for at in range(0, len(drawn), _ROW)]
    lines.append(f"respdyn ver. {RESPDYN_VERSION}, Redis ver. 7.0.15")
    return verbatim(("\n".join(lines) + "\n").encode(), session.resp == 3)


def module_list(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return EMPTY_ARRAY


def module_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("module"))


def replicaof(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if word(argv[1]) == b"NO" and word(argv[2]) == b"ONE":
        return OK
    raise ReplyError(_NO_REPLICAS)


def replication(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """PSYNC, SYNC and REPLCONF."""
    raise ReplyError(_OTHER_PROTOCOL)


def failover(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) == 2 and word(argv[1]) == b"ABORT":
        raise ReplyError("ERR No failover in progress.")
    raise ReplyError(_NO_REPLICAS)


def config_rewrite(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) != 2:
        raise wrong_arity("config|rewrite")
    name = context.host.config_file()
    if not name:
        raise ReplyError("ERR The server is running without a config file")
    try:
        content = context.host.read_text(name)
        context.host.write_text(name, rewritten(content, context.first_settings, context.settings))
    except HostError as wrong:
        raise ReplyError(f"ERR Rewriting config file: {wrong}") from None
    context.node.trace.event("config_rewritten", file=name)
    return OK
