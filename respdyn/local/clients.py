"""CLIENT: what this node knows of its connections, and what may be done to them.

Source: Redis `networking.c` (clientCommand), `replication.c` (monitorCommand).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from respdyn.commands.arguments import (
    integer_of,
    parse_integer,
    quoted,
    syntax_error,
    unknown_subcommand,
    word,
)
from respdyn.commands.declare import Argv
from respdyn.commands.introspection import help_text
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, ONE, ZERO, bulk, integer, null, verbatim
from respdyn.sessions.client_info import describe
from respdyn.sessions.pausing import NEVER
from respdyn.sessions.session import Session

# Connections are of the first and of the last kind; masters and replicas there are none.
_ENDPOINTS: Final = frozenset(
    (b"none", b"internal-ip", b"external-ip", b"internal-fqdn", b"external-fqdn")
)
_TYPES: Final = (b"NORMAL", b"MASTER", b"REPLICA", b"SLAVE", b"PUBSUB")


def _describe(context: LocalContext, session: Session, argv: Argv | None) -> bytes:
    return describe(session, context.now_ms, context.host, context.sessions.memory, argv)


def id_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return integer(session.id)


def help_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("client"))


def info(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return verbatim(_describe(context, session, argv) + b"\n", session.resp == 3)


def list_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    chosen = list(context.sessions.by_id.values())
    if len(argv) == 4 and word(argv[2]) == b"TYPE":
        kind = _type(argv[3])
        chosen = [one for one in chosen if _kind_of(one) == kind]
    elif len(argv) > 3 and word(argv[2]) == b"ID":
        ids = [parse_integer(argument, "ERR Invalid client ID") for argument in argv[3:]]
        chosen = [context.sessions.by_id[one] for one in ids if one in context.sessions.by_id]
    elif len(argv) != 2:
        raise syntax_error()
    lines = b"".join(
        _describe(context, one, argv if one is session else None) + b"\n" for one in chosen
    )
    return verbatim(lines, session.resp == 3)


def setname(context: LocalContext, session: Session, argv: Argv) -> bytes:
    session.name = checked_name(argv[2])
    return OK


def checked_name(name: bytes) -> bytes:
    """A name that can stand in a line of CLIENT LIST."""
    if not _is_plain(name):
        raise ReplyError(
            "ERR Client names cannot contain spaces, newlines or special characters."
        )
    return name


def getname(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(session.name) if session.name else null(session.resp == 3)


def setinfo(context: LocalContext, session: Session, argv: Argv) -> bytes:
    attribute = word(argv[2])
    if attribute not in (b"LIB-NAME", b"LIB-VER"):
        raise ReplyError(f"ERR Unrecognized option '{quoted(argv[2])}'")
    if not _is_plain(argv[3]):
        raise ReplyError(
            f"ERR {attribute.decode().lower()} cannot contain spaces, newlines or special "
            "characters."
        )
    if attribute == b"LIB-NAME":
        session.lib_name = argv[3]
    else:
        session.lib_version = argv[3]
    return OK


def _is_plain(value: bytes) -> bool:
    return all(0x21 <= char <= 0x7E for char in value)


def reply(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    mode = word(argv[2])
    if mode == b"ON":
        session.reply_mode = "on"
        return OK
    if mode == b"OFF":
        session.reply_mode = "off"
    elif mode == b"SKIP":
        if session.reply_mode != "off":
            session.reply_mode = "skip"
    else:
        raise syntax_error()
    return None


def no_evict(context: LocalContext, session: Session, argv: Argv) -> bytes:
    session.no_evict = _on_or_off(argv[2])
    return OK


def no_touch(context: LocalContext, session: Session, argv: Argv) -> bytes:
    session.no_touch = _on_or_off(argv[2])
    return OK


def _on_or_off(argument: bytes) -> bool:
    value = {b"ON": True, b"OFF": False}.get(word(argument))
    if value is None:
        raise syntax_error()
    return value


def maint_notifications(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    """Whether this client gets MOVING and its kin before the node stops."""
    if not _on_or_off(argv[2]):
        session.moving = b""
        return OK
    kind = b"external-ip"
    for position in range(3, len(argv), 2):
        if word(argv[position]) != b"MOVING-ENDPOINT-TYPE" or position + 1 == len(argv):
            raise syntax_error()
        kind = argv[position + 1].lower()
        if kind not in _ENDPOINTS:
            raise ReplyError(f"ERR unknown endpoint type '{quoted(kind)}'")
    if session.resp != 3:
        raise ReplyError("ERR maintenance notifications are pushes: they need RESP3 (HELLO 3)")
    session.moving = kind
    session.reply(OK)
    context.draining.notify(session)     # behind the reply, if the node is leaving already
    return None


def kill(context: LocalContext, session: Session, argv: Argv) -> bytes:
    is_old_form = len(argv) == 3
    if is_old_form:
        tests = [_kill_filter(context, session, b"ADDR", argv[2])]
    else:
        tests = _kill_filters(context, session, argv)
    chosen = [one for one in context.sessions.by_id.values() if all(test(one) for test in tests)]
    for one in chosen:
        if one is session:
            context.leave(one)
        else:
            context.kill(one)
    if is_old_form:
        if not chosen:
            raise ReplyError("ERR No such client")
        return OK
    return integer(len(chosen))


def _kill_filters(
    context: LocalContext, session: Session, argv: Argv
) -> list[Callable[[Session], bool]]:
    """The filters of the new form. A filter given twice counts as it was given last."""
    filters: dict[bytes, Callable[[Session], bool]] = {
        b"SKIPME": lambda one: one is not session,
    }
    for position in range(2, len(argv), 2):
        if position + 1 == len(argv):
            raise syntax_error()
        option, value = word(argv[position]), argv[position + 1]
        filters[option] = _kill_filter(context, session, option, value)
    return list(filters.values())


def _kill_filter(
    context: LocalContext, session: Session, option: bytes, value: bytes
) -> Callable[[Session], bool]:
    shown = quoted(value)
    if option == b"ID":
        number = integer_of(value)
        if number is None or number < 1:
            raise ReplyError("ERR client-id should be greater than 0")
        return lambda one: one.id == number
    if option == b"TYPE":
        kind = _type(value)
        return lambda one: _kind_of(one) == kind
    if option == b"ADDR":
        return lambda one: one.address == shown
    if option == b"LADDR":
        return lambda one: one.local_address == shown
    if option == b"USER":
        if context.sessions.users.get(value) is None:
            raise ReplyError(f"ERR No such user '{shown}'")
        return lambda one: one.user == value and one.authenticated
    if option == b"SKIPME" and word(value) in (b"YES", b"NO"):
        if word(value) == b"NO":
            return lambda one: True
        return lambda one: one is not session
    raise syntax_error()


def _kind_of(session: Session) -> bytes:
    return b"NORMAL" if session.subscriptions is None else b"PUBSUB"


def _type(argument: bytes) -> bytes:
    kind = word(argument)
    if kind not in _TYPES:
        raise ReplyError(f"ERR Unknown client type '{quoted(argument)}'")
    return kind


# ---- MONITOR and CLIENT PAUSE ----


def monitor(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    if session.exec_target is not None:
        raise ReplyError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    if session.is_monitor:
        return None
    context.sessions.monitors.begin(session)
    return OK


def pause(context: LocalContext, session: Session, argv: Argv) -> bytes:
    mode = b"ALL"
    if len(argv) == 4:
        mode = word(argv[3])
        if mode not in (b"ALL", b"WRITE"):
            raise ReplyError("ERR CLIENT PAUSE mode must be WRITE or ALL")
    elif len(argv) > 4:
        raise unknown_subcommand(argv)
    timeout_ms = integer_of(argv[2])
    if timeout_ms is None:
        raise ReplyError("ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ReplyError("ERR timeout is negative")
    context.sessions.pausing.begin(
        min(context.node.now.now_ms + timeout_ms, NEVER), mode == b"ALL"
    )
    return OK


def unpause(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.sessions.pausing.end(context.node.now.now_ms)
    return OK


def unblock(context: LocalContext, session: Session, argv: Argv) -> bytes:
    is_error = False
    if len(argv) == 4:
        reason = word(argv[3])
        if reason not in (b"TIMEOUT", b"ERROR"):
            raise ReplyError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        is_error = reason == b"ERROR"
    elif len(argv) > 4:
        raise unknown_subcommand(argv)
    one = context.sessions.by_id.get(parse_integer(argv[2]))
    if one is None:
        return ZERO
    return ONE if context.sessions.blocking.unblock(one, is_error=is_error) else ZERO
