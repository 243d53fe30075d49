"""What ids and trimming options of the stream commands mean, read as by Redis.

Source: Redis `t_stream.c` (streamGenericParseIDOrReply, streamParseAddOrTrimArgsOrReply),
`util.c` (string2ull).
"""

import re
from typing import Final, NamedTuple

from respdyn.commands.arguments import integer_of, parse_integer, syntax_error, word
from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.types.streams import LAST_ID, NODE_ENTRIES, ZERO_ID, Trim, above, below, id_of

UINT64_MAX: Final = (1 << 64) - 1
INVALID: Final = "ERR Invalid stream ID specified as stream command argument"

_ID_BYTES_MAX: Final = 127
_NUMBER: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_LIMIT: Final = 100 * NODE_ENTRIES      # that `~` removes if nothing is said
_BOTH: Final = (
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
)


class Given(NamedTuple):
    """An id as a client gave it."""

    id: bytes
    has_seq: bool = True        # False: `ms-*`


class Options(NamedTuple):
    """What stands before an entry's fields, or behind XTRIM's key."""

    behind: int                 # the word behind the id
    given: Given | None         # the id; None for `*`
    trim: Trim | None
    no_mkstream: bool


def parse_id(argument: bytes, missing_seq: int = 0) -> bytes:
    """An id, be it `-` or `+`. Raises `ReplyError`."""
    return parse(argument, missing_seq, is_strict=False).id


def parse_strict_id(argument: bytes) -> bytes:
    """An id. Raises `ReplyError`."""
    return parse(argument, 0, is_strict=True).id


def parse(
    argument: bytes, missing_seq: int, *, is_strict: bool, may_lack_seq: bool = False
) -> Given:
    """An id in any form. Raises `ReplyError`."""
    if len(argument) > _ID_BYTES_MAX:
        raise ReplyError(INVALID)
    argument = argument.split(b"\0", 1)[0]
    if argument in (b"-", b"+"):
        if is_strict:
            raise ReplyError(INVALID)
        return Given(ZERO_ID if argument == b"-" else LAST_ID)
    ms, dash, seq = argument.partition(b"-")
    if not dash:
        return Given(id_of(_parse(ms), missing_seq))
    number = _parse(ms)
    if may_lack_seq and seq == b"*":
        return Given(id_of(number, 0), False)
    return Given(id_of(number, _parse(seq)))


def _parse(argument: bytes) -> int:
    number = integer_of(argument)
    if number is not None and number >= 0:
        return number
    found = _NUMBER.fullmatch(argument)
    if number is not None or found is None or int(found[2]) > UINT64_MAX:
        raise ReplyError(INVALID)
    value = int(found[2])
    return -value % (UINT64_MAX + 1) if found[1] == b"-" else value


def parse_start(argument: bytes) -> bytes:
    """The first id of a range. Raises `ReplyError`."""
    if argument[:1] != b"(" or len(argument) == 1:
        return parse_id(argument)
    found = above(parse_strict_id(argument[1:]))
    if not found:
        raise ReplyError("ERR invalid start ID for the interval")
    return found


def parse_end(argument: bytes) -> bytes:
    """The last id of a range. Raises `ReplyError`."""
    if argument[:1] != b"(" or len(argument) == 1:
        return parse_id(argument, UINT64_MAX)
    found = below(parse(argument[1:], UINT64_MAX, is_strict=True).id)
    if not found:
        raise ReplyError("ERR invalid end ID for the interval")
    return found


def parse_options(argv: Argv, *, is_add: bool) -> Options:
    """The options of XADD and XTRIM. Raises `ReplyError`."""
    given: Given | None = None
    trim: Trim | None = None
    limit, no_mkstream = -1, False
    at = 2
    while at < len(argv):
        left = len(argv) - 1 - at
        option = word(argv[at])
        if is_add and argv[at].split(b"\0", 1)[0] == b"*":
            break
        if option in (b"MAXLEN", b"MINID") and left:
            if trim is not None:
                raise ReplyError(_BOTH)
            mark = argv[at + 1].split(b"\0", 1)[0]
            is_marked = left >= 2 and mark in (b"~", b"=")
            at += 1 + is_marked
            trim = _trim(option, argv[at], is_marked and mark == b"~")
        elif option == b"LIMIT" and left:
            at += 1
            limit = parse_integer(argv[at])
            if limit < 0:
                raise ReplyError("ERR The LIMIT argument must be >= 0.")
        elif is_add and option == b"NOMKSTREAM":
            no_mkstream = True
        elif is_add:
            given = parse(argv[at], 0, is_strict=True, may_lack_seq=True)
            break
        else:
            raise syntax_error()
        at += 1
    return Options(at + 1, given, _limited(trim, limit, is_add), no_mkstream)


def _trim(option: bytes, argument: bytes, is_rough: bool) -> Trim:
    if option == b"MINID":
        return Trim(-1, parse_strict_id(argument), is_rough, 0)
    most = parse_integer(argument)
    if most < 0:
        raise ReplyError("ERR The MAXLEN argument must be >= 0.")
    return Trim(most, ZERO_ID, is_rough, 0)


def _limited(trim: Trim | None, limit: int, is_add: bool) -> Trim | None:
    if limit > 0 and trim is None:
        raise ReplyError(
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
    if trim is None:
        if not is_add:
            raise ReplyError("ERR syntax error, XTRIM must be called with a trimming strategy")
        if limit < 0:
            return None
    if limit >= 0 and not (trim is not None and trim.is_rough):
        raise ReplyError(
            "ERR syntax error, LIMIT cannot be used without the special ~ option")
    if trim is not None and trim.is_rough:
        return trim._replace(limit=_LIMIT if limit < 0 else limit)
    return trim
