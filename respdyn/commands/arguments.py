"""Arguments of commands: integers, options, times to live, read as strictly as by Redis.

Redis compares option words and prints quoted arguments as C strings, so both end at a NUL byte.
Every failure is a new `ReplyError`: an exception that is raised twice keeps both tracebacks, and
with them the frames of everyone who ever sent a bad command.

Source: Redis `util.c` (string2ll), `t_string.c` (parseExtendedStringArgumentsOrReply),
`object.c` (getRangeLongFromObjectOrReply).
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from respdyn.errors import ReplyError

INT64_MAX: Final = (1 << 63) - 1
INT64_MIN: Final = -(1 << 63)
INT32_MAX: Final = (1 << 31) - 1
INT32_MIN: Final = -(1 << 31)

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"


def integer_of(argument: bytes) -> int | None:
    """A 64-bit integer written the one canonical way, else None.

    >>> [integer_of(written) for written in (b"-12", b"+1", b" 1", b"01", b"-0")]
    [-12, None, None, None, None]
    """
    if _INTEGER.fullmatch(argument) is None:
        return None
    value = int(argument)
    return value if INT64_MIN <= value <= INT64_MAX else None


def parse_integer(argument: bytes, text: str = NOT_AN_INTEGER) -> int:
    value = integer_of(argument)
    if value is None:
        raise ReplyError(text)
    return value


def parse_int32(argument: bytes) -> int:
    value = parse_integer(argument)
    if not INT32_MIN <= value <= INT32_MAX:
        raise ReplyError(
            f"ERR value is out of range, value must between {INT32_MIN} and {INT32_MAX}"
        )
    return value


def counted_at(first: int, *before: int) -> Callable[[list[bytes]], list[int]]:
    """Where the keys stand whose number is word `first`, and those that stand before it.

    No keys where their number makes no sense.
    """
    def positions(argv: list[bytes]) -> list[int]:
        count = integer_of(argv[first]) if len(argv) > first else None
        if count is None or not 0 < count <= len(argv) - first - 1:
            return []
        return [*before, *range(first + 1, first + 1 + count)]
    return positions


def word(argument: bytes) -> bytes:
    """An option word as Redis compares it: case ignored, up to a NUL byte."""
    if b"\0" in argument:
        argument = argument[: argument.index(b"\0")]
    return argument.upper()


def option_pairs(argv: list[bytes], first: int, *names: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The options from word `first` on, each with its value. Raises `ReplyError` at any other."""
    for at in range(first, len(argv), 2):
        option = word(argv[at])
        if option not in names or at + 1 == len(argv):
            raise syntax_error()
        yield option, argv[at + 1]


def quoted(argument: bytes, most: int = -1) -> str:
    """An argument as it appears in an error text: up to a NUL byte, line ends made spaces."""
    shown = argument.split(b"\0", 1)[0]
    if most >= 0:
        shown = shown[:most]
    return shown.decode("latin-1").replace("\r", " ").replace("\n", " ")


def syntax_error() -> ReplyError:
    return ReplyError("ERR syntax error")


def wrong_arity(name: str) -> ReplyError:
    return ReplyError(f"ERR wrong number of arguments for '{name}' command")


def invalid_expire(name: str) -> ReplyError:
    return ReplyError(f"ERR invalid expire time in '{name}' command")


_TIMED: Final = frozenset((b"EX", b"PX", b"EXAT", b"PXAT"))
_LASTING: Final = _TIMED | {b"KEEPTTL", b"PERSIST"}
_RIVALS: Final[dict[bytes, frozenset[bytes]]] = {
    b"NX": frozenset((b"XX",)),
    b"XX": frozenset((b"NX",)),
    b"GET": frozenset(),
    **{option: _LASTING - {option} for option in _LASTING},
}
SET_OPTIONS: Final = _TIMED | {b"NX", b"XX", b"GET", b"KEEPTTL"}
GETEX_OPTIONS: Final = _TIMED | {b"PERSIST"}
PUTCTX_OPTIONS: Final = frozenset((b"EX", b"PX"))


class Options:
    """The options of SET and its kin: which were given, and the time that one of them carries."""

    __slots__ = ("given", "time", "unit")

    def __init__(self) -> None:
        self.given: set[bytes] = set()
        self.unit = b""     # EX, PX, EXAT, PXAT, or none of them
        self.time = b""     # as the client wrote it

    def expire_at(self, now_ms: int, name: str) -> int:
        """When the key expires, in ms since 1970; 0 = it does not. Raises what Redis says."""
        return expire_at(self.unit, self.time, now_ms, name) if self.unit else 0


def parse_options(argv: list[bytes], start: int, allowed: frozenset[bytes]) -> Options:
    """The options from `start` on. An option may be repeated, but not contradicted."""
    options = Options()
    given = options.given
    position = start
    while position < len(argv):
        option = word(argv[position])
        if option not in allowed or not given.isdisjoint(_RIVALS[option]):
            raise syntax_error()
        if option in _TIMED:
            position += 1
            if position == len(argv):
                raise syntax_error()
            options.unit, options.time = option, argv[position]
        given.add(option)
        position += 1
    return options


def expire_at(unit: bytes, time: bytes, now_ms: int, name: str) -> int:
    """The absolute time in ms of a positive time to live (EX, PX) or date (EXAT, PXAT)."""
    when = parse_integer(time)
    if when <= 0:
        raise invalid_expire(name)
    if unit in (b"EX", b"EXAT"):
        when *= 1000
    if unit in (b"EX", b"PX"):
        when += now_ms
    if when > INT64_MAX:
        raise invalid_expire(name)
    return when


def unknown_subcommand(argv: list[bytes]) -> ReplyError:
    """What Redis says where the number of arguments fits no form of a subcommand."""
    return ReplyError(
        f"ERR unknown subcommand or wrong number of arguments for '{quoted(argv[1], 128)}'. "
        f"Try {quoted(argv[0]).upper()} HELP."
    )
