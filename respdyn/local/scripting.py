"""FUNCTION and SCRIPT, as far as one node answers them.

Source: Redis `function.c`, `eval.c`.
"""

from __future__ import annotations

from collections.abc import Callable

from respdyn.cluster.quorum import Target
from respdyn.commands.arguments import quoted, word
from respdyn.commands.declare import Argv
from respdyn.commands.introspection import help_text
from respdyn.commands.table import lookup
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, array, bulk, map_, null, set_, status, text
from respdyn.sessions.libraries import Library
from respdyn.sessions.session import Session

Change = Callable[[Argv, Target, int], None]


def function_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("function"))


def script_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("script"))


def function_load(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _later(context, session, argv, context.sessions.scripting.functions.load)


def function_delete(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _later(context, session, argv, context.sessions.scripting.functions.delete)


def function_flush(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _later(context, session, argv, context.sessions.scripting.functions.flush)


def function_restore(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    return _later(context, session, argv, context.sessions.scripting.functions.restore)


def _later(
    context: LocalContext, session: Session, argv: Argv, change: Change
) -> bytes | None:
    """Begin what is answered later: behind all before it, before all behind it."""
    router = context.router
    command = lookup(argv)
    router.check_ready(command)
    router.check_room(command)
    if session.pending and session.exec_target is None:
        router.put_back(session)
        return None
    change(argv, session, session.terms.timeout_ms)
    if session.pending and session.exec_target is None:
        session.bar()
    return None


def script_flush(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3 or (len(argv) == 3 and word(argv[2]) not in (b"SYNC", b"ASYNC")):
        raise ReplyError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    context.sessions.scripting.flush()
    return OK


def function_list(context: LocalContext, session: Session, argv: Argv) -> bytes:
    pattern: bytes | None = None
    with_code = False
    position = 2
    while position < len(argv):
        option = word(argv[position])
        if option == b"WITHCODE" and not with_code:
            with_code = True
        elif option == b"LIBRARYNAME" and pattern is None:
            position += 1
            if position == len(argv):
                raise ReplyError("ERR library name argument was not given")
            pattern = argv[position]
        else:
            raise ReplyError(f"ERR Unknown argument {quoted(argv[position])}")
        position += 1
    return array([
        _library(library, with_code, session.resp == 3)
        for library in context.sessions.libraries.matching(pattern)
    ])


def _library(library: Library, with_code: bool, resp3: bool) -> bytes:
    fields = [
        (text("library_name"), bulk(library.name)),
        (text("engine"), text("LUA")),
        (text("functions"), array(_functions(library, resp3))),
    ]
    if with_code:
        fields.append((text("library_code"), bulk(library.code)))
    return map_(fields, resp3)


def _functions(library: Library, resp3: bool) -> list[bytes]:
    return [map_([
        (text("name"), text(one.name)),
        (text("description"), null(resp3) if one.description is None else bulk(one.description)),
        (text("flags"), set_([status(flag.encode()) for flag in one.flags], resp3)),
    ], resp3) for one in library.functions]


def function_dump(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(context.sessions.libraries.dump())


def script_load(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    def load(argv: Argv, target: Target, timeout_ms: int) -> None:
        context.sessions.scripting.load(argv[2], target, timeout_ms)

    return _later(context, session, argv, load)


def script_debug(context: LocalContext, session: Session, argv: Argv) -> bytes:
    option = word(argv[2])
    if option == b"NO":
        return OK
    if option in (b"YES", b"SYNC"):
        raise ReplyError("ERR there is no debugger for scripts here")
    raise ReplyError("ERR Use SCRIPT DEBUG YES/SYNC/NO")
