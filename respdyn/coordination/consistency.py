"""The words in which a client states the terms of a call: R, W, SLOPPY and TIMEOUT.

`DYN.WITH R 1 GET k` for one command, `DYN.CONSISTENCY W ALL` for a connection. A number of answers
is a number, ONE, QUORUM (a majority of N) or ALL (N), and never more than N: answers are counted by
distinct nodes, so more could never come. What a connection has not stated is the node's, and what
it has stated is kept in its words: both change with N.
"""

from typing import Final

from respdyn.cluster.terms import Terms
from respdyn.commands.arguments import integer_of, quoted, word
from respdyn.commands.dyn import split_terms
from respdyn.errors import ReplyError

TIMEOUT_MS_MAX: Final = 3_600_000


def parse_terms(argv: list[bytes], current: Terms, n: int) -> tuple[Terms, list[bytes]]:
    """The terms that arguments ask for, the others as they are, and the arguments behind them."""
    pairs, rest = split_terms(argv)
    if not pairs:
        return current, rest
    terms = Terms(
        current.r, current.w, current.sloppy, current.timeout_ms, current.r_wish, current.w_wish
    )
    for term, value in pairs:
        if term == b"R":
            terms.r, terms.r_wish = _answers(term, value, n), value
        elif term == b"W":
            terms.w, terms.w_wish = _answers(term, value, n), value
        elif term == b"SLOPPY":
            terms.sloppy = _yes_or_no(value)
        else:
            terms.timeout_ms = _timeout(value)
    return terms, rest


def follow(terms: Terms, base: Terms, n: int) -> None:
    """Find a connection's R and W anew: there are `n` copies now, and `base` is what holds unless
    a client says otherwise.
    """
    if terms is not base:
        terms.r = _number(terms.r_wish, n, base.r)
        terms.w = _number(terms.w_wish, n, base.w)


def _number(wish: bytes, n: int, otherwise: int) -> int:
    """What a wish that was accepted once means now."""
    if not wish:
        return otherwise
    named = _named(wish, n)
    return named if named is not None else min(integer_of(wish) or 1, n)


def _named(value: bytes, n: int) -> int | None:
    return {b"ONE": 1, b"QUORUM": n // 2 + 1, b"ALL": n}.get(word(value))


def _answers(term: bytes, value: bytes, n: int) -> int:
    named = _named(value, n)
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
