"""The words in which a client states the terms of a call: R, W, SLOPPY and TIMEOUT.

`DYN.WITH R 1 GET k` for one command, `DYN.CONSISTENCY W ALL` for a connection. A number of answers
is a number, ONE, QUORUM (a majority of N) or ALL (N), and never more than N: answers are counted by
distinct nodes, so more could never come.
"""

from typing import Final

from respdyn.commands.arguments import integer_of, quoted, word
from respdyn.commands.dyn import split_terms
from respdyn.engine.terms import Terms
from respdyn.errors import ReplyError

TIMEOUT_MS_MAX: Final = 3_600_000


def parse_terms(argv: list[bytes], current: Terms, n: int) -> tuple[Terms, list[bytes]]:
    """The terms that arguments ask for, the others as they are, and the arguments behind them."""
    pairs, rest = split_terms(argv)
    if not pairs:
        return current, rest
    r, w, sloppy, timeout_ms = current.r, current.w, current.sloppy, current.timeout_ms
    for term, value in pairs:
        if term == b"R":
            r = _answers(term, value, n)
        elif term == b"W":
            w = _answers(term, value, n)
        elif term == b"SLOPPY":
            sloppy = _yes_or_no(value)
        else:
            timeout_ms = _timeout(value)
    return Terms(r, w, sloppy, timeout_ms), rest


def _answers(term: bytes, value: bytes, n: int) -> int:
    named = {b"ONE": 1, b"QUORUM": n // 2 + 1, b"ALL": n}.get(word(value))
    number = named if named is not None else integer_of(value)
    if number is None or not 1 <= number <= n:
        raise ReplyError(
            f"ERR {term.decode()} must be ONE, QUORUM, ALL or a number from 1 to {n}, "
            f"the copies that are kept, not '{quoted(value, 64)}'"
        )
    return number


def _yes_or_no(value: bytes) -> bool:
    known = {b"YES": True, b"NO": False}.get(word(value))
    if known is None:
        raise ReplyError(f"ERR SLOPPY must be yes or no, not '{quoted(value, 64)}'")
    return known


def _timeout(value: bytes) -> int:
    number = integer_of(value)
    if number is None or not 1 <= number <= TIMEOUT_MS_MAX:
        raise ReplyError(
            f"ERR TIMEOUT must be a number of milliseconds from 1 to {TIMEOUT_MS_MAX}, "
            f"not '{quoted(value, 64)}'"
        )
    return number
