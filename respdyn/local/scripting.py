"""FUNCTION and SCRIPT while there are no scripts: the answers of an empty cache.

Source: Redis `function.c`, `eval.c`.
"""

from __future__ import annotations

from typing import Final

from respdyn.commands.arguments import quoted, unknown_subcommand, word
from respdyn.commands.declare import Argv
from respdyn.commands.introspection import help_text
from respdyn.commands.table import lookup
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import EMPTY_ARRAY, OK, bulk, integer, map_, null, text
from respdyn.sessions.session import Session

_NOT_BUSY: Final = "NOTBUSY No scripts in execution right now."
_EMPTY_DUMP: Final = bytes.fromhex("0a005d9b5c400f7fa2da")  # RDB version 10, checksum


def function_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("function"))


def script_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("script"))


def function_flush(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3:
        raise unknown_subcommand(argv)
    if len(argv) == 3 and word(argv[2]) not in (b"SYNC", b"ASYNC"):
        raise ReplyError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    return OK


def script_flush(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3 or (len(argv) == 3 and word(argv[2]) not in (b"SYNC", b"ASYNC")):
        raise ReplyError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    context.sessions.scripting.flush()
    return OK


def function_list(context: LocalContext, session: Session, argv: Argv) -> bytes:
    given: set[bytes] = set()
    position = 2
    while position < len(argv):
        option = word(argv[position])
        if option == b"WITHCODE" and option not in given:
            pass
        elif option == b"LIBRARYNAME" and option not in given:
            position += 1
            if position == len(argv):
                raise ReplyError("ERR library name argument was not given")
        else:
            raise ReplyError(f"ERR Unknown argument {quoted(argv[position])}")
        given.add(option)
        position += 1
    return EMPTY_ARRAY


def function_stats(context: LocalContext, session: Session, argv: Argv) -> bytes:
    resp3 = session.resp == 3
    counts = map_(
        [(text("libraries_count"), integer(0)), (text("functions_count"), integer(0))], resp3
    )
    return map_([
        (text("running_script"), null(resp3)),
        (text("engines"), map_([(text("LUA"), counts)], resp3)),
    ], resp3)


def function_dump(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(_EMPTY_DUMP)


def function_delete(context: LocalContext, session: Session, argv: Argv) -> bytes:
    raise ReplyError("ERR Library not found")


def kill(context: LocalContext, session: Session, argv: Argv) -> bytes:
    raise ReplyError(_NOT_BUSY)


def script_load(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    context.router.check_ready(lookup(argv))
    if session.pending and session.exec_target is None:
        context.router.put_back(session)
        return None
    context.sessions.scripting.load(argv[2], session, session.terms.timeout_ms)
    if session.exec_target is None:
        session.bar()
    return None


def script_debug(context: LocalContext, session: Session, argv: Argv) -> bytes:
    option = word(argv[2])
    if option == b"NO":
        return OK
    if option in (b"YES", b"SYNC"):
        raise ReplyError("ERR there is no debugger for scripts here")
    raise ReplyError("ERR Use SCRIPT DEBUG YES/SYNC/NO")
