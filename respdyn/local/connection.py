"""PING, HELLO, SELECT, RESET and their kin: what concerns the connection alone.

Source: Redis `networking.c` (helloCommand, resetCommand).
"""

from __future__ import annotations

from typing import Final

from respdyn.commands.arguments import integer_of, parse_int32, quoted, word, wrong_arity
from respdyn.commands.declare import Argv
from respdyn.coordination.consistency import parse_terms
from respdyn.errors import ReplyError
from respdyn.local import acl, clients
from respdyn.local.context import LocalContext
from respdyn.local.info import REDIS_VERSION
from respdyn.resp.replies import EMPTY_ARRAY, OK, PONG, bulk, bulks, integer, map_, text
from respdyn.ring.hashing import DATABASES
from respdyn.sessions.session import Session
from respdyn.sessions.transactions import forget

_HELLO_NEEDS_AUTH: Final = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol "
    "version at the same time"
)


def ping(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 2:
        raise wrong_arity("ping")
    if session.subscriptions is not None and session.resp == 2:
        return bulks([b"pong", argv[1] if len(argv) == 2 else b""])
    return bulk(argv[1]) if len(argv) == 2 else PONG


def echo(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(argv[1])


def quit_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.leave(session)
    return OK


def reset(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.notifications.forget(session)
    context.sessions.monitors.forget(session)
    session.db = 0
    session.resp = 2
    session.name = b""
    context.users.welcome(session)
    session.reply_mode = "on"
    session.no_evict = session.no_touch = False
    session.moving = b""
    session.terms = context.terms
    forget(session)
    return b"+RESET\r\n"


def select(context: LocalContext, session: Session, argv: Argv) -> bytes:
    index = parse_int32(argv[1])
    if index and session.listener == "cluster":
        raise ReplyError("ERR SELECT is not allowed in cluster mode")
    if not 0 <= index < DATABASES:
        raise ReplyError("ERR DB index is out of range")
    session.db = index
    return OK


def hello(context: LocalContext, session: Session, argv: Argv) -> bytes:
    version = 0
    if len(argv) > 1:
        wanted = integer_of(argv[1])
        if wanted is None:
            raise ReplyError("ERR Protocol version is not an integer or out of range")
        if wanted not in (2, 3):
            raise ReplyError("NOPROTO unsupported protocol version")
        version = wanted
    position = 2
    while position < len(argv):
        option = word(argv[position])
        more = len(argv) - 1 - position
        if option == b"AUTH" and more >= 2:
            acl.log_in(
                context, session, argv[position + 1], argv[position + 2], b"HELLO"
            )
            position += 3
        elif option == b"SETNAME" and more:
            session.name = clients.checked_name(argv[position + 1])
            position += 2
        else:
            raise ReplyError(f"ERR Syntax error in HELLO option '{quoted(argv[position])}'")
    if not session.authenticated:
        raise ReplyError(_HELLO_NEEDS_AUTH)
    session.resp = version or session.resp
    return map_(
        [
            (text("server"), text("redis")),
            (text("version"), text(REDIS_VERSION)),
            (text("proto"), integer(session.resp)),
            (text("id"), integer(session.id)),
            (text("mode"), text("cluster" if session.listener == "cluster" else "standalone")),
            (text("role"), text("master")),
            (text("modules"), EMPTY_ARRAY),
        ],
        session.resp == 3,
    )


def consistency(context: LocalContext, session: Session, argv: Argv) -> bytes:
    terms, rest = parse_terms(argv[1:], session.terms, context.n)
    if rest:
        raise ReplyError(
            f"ERR DYN.CONSISTENCY knows R, W, SLOPPY and TIMEOUT, not '{quoted(rest[0], 64)}'"
        )
    if len(argv) > 1:
        session.terms = terms
        return OK
    return map_(
        [
            (text("n"), integer(context.n)),
            (text("r"), integer(terms.r)),
            (text("w"), integer(terms.w)),
            (text("sloppy"), text("yes" if terms.sloppy else "no")),
            (text("timeout"), integer(terms.timeout_ms)),
        ],
        session.resp == 3,
    )
