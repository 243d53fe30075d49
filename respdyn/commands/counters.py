"""The counter commands. A counter is a string that shows a number; increments are never lost.

Concurrent increments add up, also with a SET at the same time. Limits are those of Redis and hold
for the number that the coordinator sees: 64 bits for integers, an x86 long double for floats. When
increments meet later, the sum may lie beyond; then it is shown, and INCR refuses to go on from it.

Source: Redis `t_string.c` (incrDecrCommand, incrbyfloatCommand); SEMANTICS 6.
"""

from fractions import Fraction
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import INT64_MAX, INT64_MIN, parse_integer
from respdyn.commands.declare import UPDATE, Argv, Command
from respdyn.errors import ReplyError
from respdyn.resp.replies import bulk, integer
from respdyn.types import counters, long_double, strings
from respdyn.types.long_double import UNIT
from respdyn.types.values import text

_OVERFLOW: Final = "ERR increment or decrement would overflow"
_NOT_A_FLOAT: Final = "ERR value is not a valid float"
_NOT_FINITE: Final = "ERR increment would produce NaN or Infinity"


def _shift(rec: bytes, now_ms: int, stamp: Stamp, amount: int) -> tuple[bytes, bytes]:
    found = text(rec, now_ms)
    new = amount if found is None else parse_integer(found) + amount
    if not INT64_MIN <= new <= INT64_MAX:
        raise ReplyError(_OVERFLOW)
    return integer(new), strings.count(rec, stamp, amount * UNIT, found is not None)


def incr(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _shift(rec, now_ms, stamp, 1)


def decr(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _shift(rec, now_ms, stamp, -1)


def incrby(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    return _shift(rec, now_ms, stamp, parse_integer(argv[2]))


def decrby(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    amount = parse_integer(argv[2])
    if amount == INT64_MIN:
        raise ReplyError("ERR decrement would overflow")
    return _shift(rec, now_ms, stamp, -amount)


def incrbyfloat(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    found = text(rec, now_ms)
    old = Fraction(0) if found is None else _float_of(found)
    increment = _float_of(argv[2])
    if old is None or increment is None:
        raise ReplyError(_NOT_FINITE)
    new = long_double.round_off(old + increment)
    if new is None:
        raise ReplyError(_NOT_FINITE)
    before = 0 if found is None else counters.units_shown(rec, found)
    assert before is not None, "a number, as was seen above"
    after = long_double.units_of(new)
    return (
        bulk(long_double.print_units(after)),
        strings.count(rec, stamp, after - before, found is not None),
    )


def _float_of(text: bytes) -> Fraction | None:
    """The number; None for infinity. Raises `ReplyError` if it is none."""
    number = long_double.read(text)
    if number is None and not long_double.is_infinite(text):
        raise ReplyError(_NOT_A_FLOAT)
    return number


COMMANDS: tuple[Command, ...] = (
    Command(
        "incr", "INCR key", "Adds 1 to the number of a key. Concurrent increments add up.",
        since="1.0.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=incr, event="$ incrby",
    ),
    Command(
        "decr", "DECR key", "Takes 1 from the number of a key. Concurrent decrements add up.",
        since="1.0.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=decr, event="$ incrby",
    ),
    Command(
        "incrby", "INCRBY key increment",
        "Adds to the number of a key. Concurrent increments add up.",
        since="1.0.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=incrby, event="$ incrby",
    ),
    Command(
        "decrby", "DECRBY key decrement",
        "Takes from the number of a key. Concurrent decrements add up.",
        since="1.0.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=decrby, event="$ incrby",
    ),
    Command(
        "incrbyfloat", "INCRBYFLOAT key increment",
        "Adds a float to the number of a key. Concurrent increments add up.",
        since="2.6.0", group="string", flags="write denyoom fast", access="RW access update",
        promise="converges", route=UPDATE, write=incrbyfloat, event="$ incrbyfloat",
    ),
)
