"""DEBUG and PFSELFTEST: what clients are tested with, and a test of the HyperLogLog.

PFSELFTEST: registers hold what is written to them, and estimates are near what was counted; with
fewer elements than in Redis, to be quick.

Source: Redis `debug.c`, `hyperloglog.c` (pfselftestCommand).
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

from respdyn.cluster.questions import Pause
from respdyn.cluster.tasks import Task
from respdyn.commands.arguments import quoted, word
from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.local.wait import answer_later
from respdyn.resp.replies import OK, array, status
from respdyn.sessions.session import Session
from respdyn.sessions.users import check_debug
from respdyn.types import hyperloglog

_SLEEP_MAX_S: Final = 3600.0

_DEBUG_UNKNOWN = (
    "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP."
)
_DEBUG_HELP = (
    b"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"SLEEP <seconds>",
    b"    Answer this connection after <seconds>. No other client waits. Decimals allowed.",
    b"HELP",
    b"    Prints this help.",
)

_COUNTED: Final = (1, 10, 100, 1000)
_SPARSE_MAX: Final = 100        # elements that are counted in a sparse one as well
_ERRORS_MAX: Final = 6          # of so many standard errors


def debug(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    check_debug(context.settings, session)
    subcommand = word(argv[1])
    if subcommand == b"HELP" and len(argv) == 2:
        return array([status(line) for line in _DEBUG_HELP])
    if subcommand != b"SLEEP" or len(argv) != 3:
        raise ReplyError(_DEBUG_UNKNOWN.format(quoted(argv[1], 128)))
    if session.pending and session.exec_target is None:
        context.router.put_back(session)
        return None
    try:
        seconds = float(argv[2])
    except ValueError:
        seconds = 0.0
    if not seconds > 0.0:       # also for what is not a number
        return OK
    answer_later(context, session, _sleep(int(min(seconds, _SLEEP_MAX_S) * 1000)), 1)
    return None


def _sleep(ms: int) -> Task:
    yield [Pause(max(1, ms))]
    return OK


def pfselftest(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """Raises `ReplyError`, TESTFAILED."""
    standard = 1.04 / sqrt(hyperloglog.REGISTERS)
    dense, sparse = hyperloglog.to_dense(hyperloglog.empty()), hyperloglog.empty()
    for before, counted in zip((0, *_COUNTED), _COUNTED, strict=False):
        elements = [b"%d" % number for number in range(before, counted)]
        dense = hyperloglog.add(dense, elements) or dense
        if counted <= _SPARSE_MAX:
            sparse = hyperloglog.add(sparse, elements) or sparse
            if hyperloglog.to_dense(sparse) != dense:
                raise ReplyError(f"TESTFAILED {counted} elements, dense and sparse differ")
        estimated = hyperloglog.count(dense)
        if abs(estimated - counted) > ceil(_ERRORS_MAX * standard * counted):
            wrong = estimated - counted
            raise ReplyError(f"TESTFAILED Too big error. card:{counted} abserr:{wrong}")
    return OK
