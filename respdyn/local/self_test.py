"""PFSELFTEST: registers hold what is written to them, and estimates are near what was counted.

Source: Redis `hyperloglog.c` (pfselftestCommand), with fewer elements, to be quick.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK
from respdyn.sessions.session import Session
from respdyn.types import hyperloglog

_COUNTED: Final = (1, 10, 100, 1000)
_SPARSE_MAX: Final = 100        # elements that are counted in a sparse one as well
_ERRORS_MAX: Final = 6          # of so many standard errors


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
