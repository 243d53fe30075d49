"""Commands that wait until there is something to take: BLPOP and its kin.

Each is made of pops, one for each of its keys (`Command.block`). Where one gives something, that is
the reply. Where none does the client waits, at the node that it is connected to
(`sessions/blocking.py`). In a transaction it does not wait: there it is pop after pop, and nil.

Source: Redis `t_list.c`, `t_zset.c`, `timeout.c`.
"""

from collections.abc import Callable
from math import ceil
from typing import Final

from respdyn.commands.arguments import INT64_MAX, counted_at, syntax_error, word
from respdyn.commands.declare import GATHER, Argv, Blocking, Command, Then
from respdyn.commands.folding import leaves_of
from respdyn.commands.list_moves import move_parts, move_then
from respdyn.commands.pops import (
    NOTHING,
    NULL_ARRAY,
    Block,
    of_lists,
    of_sorted_sets,
    parts_of,
    then_of,
    whole,
)
from respdyn.errors import ReplyError
from respdyn.resp.replies import NULL2, NULL3, array, bulk, bulks, double
from respdyn.types import doubles, lists, long_double, sorted_sets

_NULL: Final = (NULL2, NULL3)


def parse_timeout(argument: bytes) -> int:
    """Seconds, with fractions, in ms; 0 for ever. Raises `ReplyError`."""
    seconds = long_double.read(argument)
    if seconds is None and not long_double.is_infinite(argument):
        raise ReplyError("ERR timeout is not a float or out of range")
    timeout_ms = -1 if seconds is None else ceil(seconds * 1000)
    if not 0 <= timeout_ms <= INT64_MAX:    # what is too much is negative to Redis as well
        raise ReplyError("ERR timeout is negative")
    return timeout_ms


# ---- lists ----

def _one_item(key: bytes, reply: bytes, resp3: bool) -> bytes:
    return b"" if reply in NOTHING else bulks(leaves_of(reply))


def _popping(side: bytes) -> Block:
    def block(argv: Argv) -> Blocking:
        timeout_ms = parse_timeout(argv[-1])
        keys = argv[1:-1]
        return Blocking(
            keys, [[b"DYN.LMPOP", key, side, b"1"] for key in keys], timeout_ms, lists.LETTER,
            _one_item, NULL_ARRAY,
        )
    return block


def blmove(argv: Argv) -> Blocking:
    from_, to = (b"RIGHT", b"LEFT") if len(argv) == 4 else (word(argv[3]), word(argv[4]))
    if not {from_, to} <= {b"LEFT", b"RIGHT"}:
        raise syntax_error()
    timeout_ms = parse_timeout(argv[-1])
    return Blocking(
        [argv[1]], [[b"DYN.LMOVE", argv[1], argv[2], from_, to]], timeout_ms, lists.LETTER, whole,
        _NULL, judges_types=True,
    )


def _whole_move(argv: Argv) -> Argv:
    return blmove(argv).pops[0]


def _as_lmove(argv: Argv) -> Argv:
    """The command that does not wait."""
    return [b"LMOVE", *_whole_move(argv)[1:]]


def blmove_parts(argv: Argv) -> list[Argv]:
    return move_parts(_as_lmove(argv))


def blmove_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    return move_then(_as_lmove(argv), replies, resp3)


def blmpop(argv: Argv) -> Blocking:
    return _timed(of_lists(argv, 2), argv[1])


def _timed(pops: Blocking, argument: bytes) -> Blocking:
    """Judged last, as in Redis."""
    return pops._replace(timeout_ms=parse_timeout(argument))


# ---- sorted sets ----

def _one_member(key: bytes, reply: bytes, resp3: bool) -> bytes:
    if reply in NOTHING:
        return b""
    member, score = leaves_of(reply)
    return array([bulk(key), bulk(member), double(doubles.read(score) or 0.0, resp3)])


def _popping_score(name: bytes) -> Block:
    def block(argv: Argv) -> Blocking:
        timeout_ms = parse_timeout(argv[-1])
        keys = argv[1:-1]
        return Blocking(
            keys, [[name, key] for key in keys], timeout_ms, sorted_sets.LETTER, _one_member,
            NULL_ARRAY,
        )
    return block


def bzmpop(argv: Argv) -> Blocking:
    return _timed(of_sorted_sets(argv, 2), argv[1])


# ---- the table ----

def _waits(
    name: str, syntax: str, summary: str, since: str, block: Block, *, flags: str, access: str,
    group: str = "list", complexity: str = "O(N) with N the number of keys",
    counted_keys: Callable[[Argv], list[int]] | None = None,
) -> Command:
    return Command(
        name, syntax, f"{summary} {_UNTIL}",
        since=since, group=group, flags=f"write blocking {flags}", access=access,
        complexity=complexity, promise="per-coordinator", route=GATHER, parts=parts_of(block),
        then=then_of(block), block=block, counted_keys=counted_keys,
        counted_at=2 if counted_keys is not None else 0,
    )


def _waits_to_move(name: str, syntax: str, summary: str, since: str) -> Command:
    return Command(
        name, syntax, f"{summary} {_UNTIL}", since=since, group="list",
        flags="write denyoom noscript blocking", access="RW access delete; RW insert",
        promise="per-coordinator", route=GATHER, parts=blmove_parts, then=blmove_then,
        whole=_whole_move, block=blmove,
    )


_POPS: Final = "RW access delete"
_UNTIL: Final = "Waits until there is one, or the time is over."
_COUNTED: Final = "O(N+M) with N the number of keys and M that of what is given"

COMMANDS: tuple[Command, ...] = (
    _waits("blpop", "BLPOP key [key ...] timeout",
           "Gives the first item of the first list that has any, and removes it.", "2.0.0",
           _popping(b"LEFT"), flags="noscript", access=_POPS),
    _waits("brpop", "BRPOP key [key ...] timeout",
           "Gives the last item of the first list that has any, and removes it.", "2.0.0",
           _popping(b"RIGHT"), flags="noscript", access=_POPS),
    _waits_to_move("blmove", "BLMOVE source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
                   "Moves an item from an end of a list to an end of another, or of the same.",
                   "6.2.0"),
    _waits_to_move("brpoplpush", "BRPOPLPUSH source destination timeout",
                   "Moves the last item of a list to the left end of another, or of the same.",
                   "2.2.0"),
    _waits("blmpop", "BLMPOP timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
           "Gives items from an end of the first list that has any, and removes them.", "7.0.0",
           blmpop, flags="movablekeys", access=_POPS, complexity=_COUNTED,
           counted_keys=counted_at(2)),
    _waits("bzpopmin", "BZPOPMIN key [key ...] timeout",
           "Takes the member with the lowest score out of the first sorted set that has any.",
           "5.0.0", _popping_score(b"ZPOPMIN"), flags="noscript fast", access=_POPS,
           group="sorted-set"),
    _waits("bzpopmax", "BZPOPMAX key [key ...] timeout",
           "Takes the member with the highest score out of the first sorted set that has any.",
           "5.0.0", _popping_score(b"ZPOPMAX"), flags="noscript fast", access=_POPS,
           group="sorted-set"),
    _waits("bzmpop", "BZMPOP timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
           "Takes members out of the first sorted set that has any.", "7.0.0", bzmpop,
           flags="movablekeys", access=_POPS, group="sorted-set", complexity=_COUNTED,
           counted_keys=counted_at(2)),
)
