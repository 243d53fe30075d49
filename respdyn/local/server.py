"""CONFIG, COMMAND, INFO, TIME: what this node says of itself and of its commands.

Source: Redis `config.c`, `server.c` (commandCommand).
"""

from __future__ import annotations

from respdyn.commands import introspection
from respdyn.commands.arguments import syntax_error
from respdyn.commands.declare import Argv
from respdyn.commands.scan import glob_match
from respdyn.commands.server import time_reply
from respdyn.config import Settings
from respdyn.config_values import ConfigError
from respdyn.config_view import change, redis_view
from respdyn.errors import ReplyError
from respdyn.host import HostError
from respdyn.local import info
from respdyn.local.cluster import require
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, bulk, map_
from respdyn.sessions.session import Session


def dyn_cluster_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("dyn.cluster"))


def object_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("object"))


def xgroup_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("xgroup"))


def xinfo_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("xinfo"))


def time(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return time_reply(context.now_ms)


def info_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return info.reply(context, argv[1:], session.resp == 3, session.listener)


def config_get(context: LocalContext, session: Session, argv: Argv) -> bytes:
    found = _matching(context.settings, argv[2:])
    pairs = [(_config_text(name), _config_text(value)) for name, value in found.items()]
    return map_(pairs, session.resp == 3)


def _matching(settings: Settings, patterns: Argv) -> dict[str, str]:
    """Settings whose names match. A name without wildcards is shown as it was written."""
    view = redis_view(settings)
    found: dict[str, str] = {}
    for pattern in patterns:
        name_wanted = pattern.decode("latin-1")
        if not any(mark in name_wanted for mark in "[*?"):
            if name_wanted.lower() in view:
                found.setdefault(name_wanted, view[name_wanted.lower()])
            continue
        lowered = pattern.lower()
        for name, value in view.items():
            if glob_match(lowered, name.encode()):
                found.setdefault(name, value)
    return found


def _config_text(value: str) -> bytes:
    return bulk(value.encode("utf-8", "surrogateescape"))


def config_set(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) % 2:
        raise syntax_error()
    words = [argument.decode("utf-8", "surrogateescape") for argument in argv[2:]]
    _set(context, list(zip(words[::2], words[1::2], strict=True)))
    return OK


def _set(context: LocalContext, pairs: list[tuple[str, str]]) -> None:
    """Change all of these settings, or by a `ReplyError` none."""
    names = [name.lower() for name, _ in pairs]
    try:
        settings = change(context.settings, pairs)
        context.host.apply(settings)
    except ConfigError as wrong:
        raise ReplyError(str(wrong)) from None
    except HostError as wrong:
        raise ReplyError(
            f"ERR CONFIG SET failed (possibly related to argument '{names[-1]}') - {wrong}"
        ) from None
    context.apply_settings(settings)
    if "requirepass" in names:
        context.users.set_default_password(settings.requirepass)


def config_resetstat(context: LocalContext, session: Session, argv: Argv) -> bytes:
    sessions = context.sessions
    counters = context.node.counters
    context.backups.forget(counters.writes_coordinated + counters.records_received)
    counters.reset()
    context.latencies.reset()
    sessions.calls.clear()
    sessions.command_stats.reset()
    sessions.errors.clear()
    sessions.connections = 0
    return OK


def config_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("config"))


def command(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.info([], session.resp == 3)


def command_count(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.count()


def command_docs(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.docs(argv[2:], session.resp == 3)


def command_getkeys(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.keys(argv[2:])


def command_getkeysandflags(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.keys_and_flags(argv[2:], session.resp == 3)


def command_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("command"))


def command_info(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.info(argv[2:], session.resp == 3)


def command_list(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.names(argv[2:])


def cluster_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    require(session)
    return introspection.help_text(context.container("cluster"))
