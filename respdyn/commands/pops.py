"""Pop after pop: a command that takes from the first of several keys that has anything.

Each is made of pops, one for each of its keys: LMPOP and ZMPOP, and in a transaction those that
would wait elsewhere (`commands/waiting`).

Source: Redis `t_list.c` (lmpopGenericCommand), `t_zset.c` (zmpopGenericCommand).
"""

from collections.abc import Callable
from typing import Final

from respdyn.commands.arguments import integer_of, syntax_error, word
from respdyn.commands.declare import Argv, Blocking, Further, Then
from respdyn.commands.folding import leaves_of
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY_ARRAY, NULL2, NULL3, NULL_ARRAY2, array, bulk, double
from respdyn.types import doubles, lists, sorted_sets

COUNT: Final = "ERR count should be greater than 0"
NULL_ARRAY: Final = (NULL_ARRAY2, NULL3)
NOTHING: Final = (*NULL_ARRAY, NULL2, EMPTY_ARRAY)

Block = Callable[[Argv], Blocking]


def parse_several(
    argv: Argv, first: int, sides: tuple[bytes, bytes]
) -> tuple[list[bytes], bytes, bytes]:
    """Keys, side and count; word `first` is the number of keys. Raises `ReplyError`."""
    number = integer_of(argv[first])
    if number is None or number < 1:
        raise ReplyError("ERR numkeys should be greater than 0")
    behind = first + 1 + number
    if behind >= len(argv) or word(argv[behind]) not in sides:
        raise syntax_error()
    count = b"1"
    for position in range(behind + 1, len(argv), 2):
        is_first = position == behind + 1
        if not is_first or word(argv[position]) != b"COUNT" or position + 1 == len(argv):
            raise syntax_error()
        count = argv[position + 1]
        if (integer_of(count) or 0) < 1:
            raise ReplyError(COUNT)
    return argv[first + 1 : behind], word(argv[behind]), count


def whole(key: bytes, reply: bytes, resp3: bool) -> bytes:
    """What a pop has given, as it is; b"" if that is nothing."""
    return b"" if reply in NOTHING else reply


def _members(key: bytes, reply: bytes, resp3: bool) -> bytes:
    if reply in NOTHING:
        return b""
    flat = leaves_of(reply)
    return array([bulk(key), array([
        array([bulk(member), double(doubles.read(score) or 0.0, resp3)])
        for member, score in zip(flat[::2], flat[1::2], strict=True)
    ])])


def of_lists(argv: Argv, first: int) -> Blocking:
    """The pops of LMPOP and BLMPOP; word `first` is the number of keys. Raises `ReplyError`."""
    keys, side, count = parse_several(argv, first, (b"LEFT", b"RIGHT"))
    pops = [[b"DYN.LMPOP", key, side, count] for key in keys]
    return Blocking(keys, pops, 0, lists.LETTER, whole, NULL_ARRAY)


def of_sorted_sets(argv: Argv, first: int) -> Blocking:
    """The pops of ZMPOP and BZMPOP; word `first` is the number of keys. Raises `ReplyError`."""
    keys, side, count = parse_several(argv, first, (b"MIN", b"MAX"))
    pops = [[b"ZPOP" + side, key, count] for key in keys]
    return Blocking(keys, pops, 0, sorted_sets.LETTER, _members, NULL_ARRAY)


def lmpop(argv: Argv) -> Blocking:
    return of_lists(argv, 1)


def zmpop(argv: Argv) -> Blocking:
    return of_sorted_sets(argv, 1)


def parts_of(block: Block) -> Callable[[Argv], list[Argv]]:
    """The first pop."""
    def parts(argv: Argv) -> list[Argv]:
        return [block(argv).pops[0]]
    return parts


def then_of(block: Block) -> Callable[[Argv, list[bytes], bool], Then]:
    """What the first pop has given, or the next pop."""
    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
        return _go_on(block(argv), 0, replies[0], resp3)
    return then


def _go_on(blocking: Blocking, at: int, reply: bytes, resp3: bool) -> Then:
    shown = blocking.shape(blocking.keys[at], reply, resp3)
    if shown:
        return shown
    if at + 1 == len(blocking.keys):
        return blocking.nothing[resp3]
    return Further(
        [blocking.pops[at + 1]],
        lambda replies: _go_on(blocking, at + 1, replies[0], resp3),
    )
