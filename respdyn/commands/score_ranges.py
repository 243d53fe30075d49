"""Ranges of a sorted set: by rank, by score, by name; what they count, give, store and remove.

A range is first made two ranks, between which its members stand. By name that is so where all
members have one score; where they have several, Redis's answer depends on how it keeps them, and
here it is that of its listpack: from the first member that is in the range to the first that is
beyond its other end.

Source: Redis `t_zset.c` (zrangeGenericCommand, zslParseRange, zslParseLexRange).
"""

from math import inf, isinf
from typing import Final, NamedTuple

from respdyn.commands.arguments import parse_integer, syntax_error, word
from respdyn.commands.declare import (
    GATHER,
    READ,
    UPDATE,
    Argv,
    Command,
    Further,
    LongRead,
    LongWrite,
    Then,
)
from respdyn.commands.elements import SORTED_SET, Change, Look, changing, looking, view_of
from respdyn.commands.folding import as_sum, leaves_of
from respdyn.commands.long_reads import Answer, array_head, in_pieces
from respdyn.commands.long_writes import LONG, PIECE, Steps
from respdyn.commands.sorted_sets import by_score, scored
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY_ARRAY, array, bulk, bulks, double, integer
from respdyn.types import doubles, sorted_sets
from respdyn.types.doubles import print_double
from respdyn.types.score_order import Order, Scored
from respdyn.types.view import Draft, View

RANK: Final = b""
SCORE: Final = b"BYSCORE"
LEX: Final = b"BYLEX"
_NOT_A_FLOAT: Final = "ERR min or max is not a float"
_NOT_A_NAME: Final = "ERR min or max not valid string range item"

Between = tuple[int, int]       # ranks: from, and up to


class Bound(NamedTuple):
    """One end of a range by score; or by name, then an infinite score is below or above all names.
    """

    score: float
    name: bytes
    is_open: bool               # it is not itself in the range


class Range(NamedTuple):
    """What a command wants: of the whole order the members between two ends, perhaps backwards."""

    by: bytes
    low: Bound
    high: Bound
    start: int                  # of a range by rank
    end: int
    is_reverse: bool
    offset: int
    limit: int                  # -1: all
    has_scores: bool


_NOWHERE: Final = Bound(0.0, b"", False)


# ---- what a command wants ----

def parse_range(
    argv: Argv, at: int, by: bytes = b"AUTO", is_reverse: bool | None = None, *,
    stores: bool = False,
) -> Range:
    """The range whose ends are the words `at` and `at + 1`; options follow."""
    offset, limit = 0, -1
    has_scores, backwards = False, is_reverse
    position = at + 2
    while position < len(argv):
        option = word(argv[position])
        if option == b"WITHSCORES" and not stores:
            has_scores = True
        elif option == b"LIMIT" and position + 2 < len(argv):
            offset, limit = parse_integer(argv[position + 1]), parse_integer(argv[position + 2])
            position += 2
        elif option == b"REV" and backwards is None:
            backwards = True
        elif option in (SCORE, LEX) and by == b"AUTO":
            by = option
        else:
            raise syntax_error()
        position += 1
    if by == b"AUTO":
        by = RANK
    if limit != -1 and by == RANK:
        raise ReplyError("ERR syntax error, LIMIT is only supported in combination with either"
                         " BYSCORE or BYLEX")
    if has_scores and by == LEX:
        raise ReplyError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
    low, high, start, end = _NOWHERE, _NOWHERE, 0, 0
    first, last = argv[at], argv[at + 1]
    if by == RANK:
        start, end = parse_integer(first), parse_integer(last)
    else:
        low, high = parse_ends(by, last, first) if backwards else parse_ends(by, first, last)
    return Range(by, low, high, start, end, bool(backwards), offset, limit, has_scores)


def parse_ends(by: bytes, low: bytes, high: bytes) -> tuple[Bound, Bound]:
    """The ends of a range by score or by name."""
    if by == SCORE:
        return _score_bound(low), _score_bound(high)
    return _name_bound(low), _name_bound(high)


def _score_bound(argument: bytes) -> Bound:
    is_open = argument[:1] == b"("
    value = doubles.read_bound(argument[1:] if is_open else argument)
    if value is None:
        raise ReplyError(_NOT_A_FLOAT)
    return Bound(value, b"", is_open)


def _name_bound(argument: bytes) -> Bound:
    first = argument[:1]
    if first in (b"(", b"["):
        return Bound(0.0, argument[1:], first == b"(")
    if first in (b"-", b"+") and argument[1:2] in (b"", b"\0"):
        return Bound(-inf if first == b"-" else inf, b"", True)
    raise ReplyError(_NOT_A_NAME)


# ---- where that is ----

def between(wanted: Range, order: Order) -> Between:
    """The ranks between which the members of a range stand."""
    if wanted.by == RANK:
        return _by_rank(wanted, len(order))
    if wanted.by == SCORE:
        return _by_score(wanted.low, wanted.high, order)
    return by_name(wanted.low, wanted.high, order, wanted.is_reverse)


def _by_rank(wanted: Range, size: int) -> Between:
    start = max(wanted.start + size if wanted.start < 0 else wanted.start, 0)
    end = min(wanted.end + size if wanted.end < 0 else wanted.end, size - 1)
    if start > end or start >= size:
        return 0, 0
    if wanted.is_reverse:
        return size - 1 - end, size - start
    return start, end + 1


def _by_score(low: Bound, high: Bound, order: Order) -> Between:
    """The ranks between which these scores stand."""
    start = order.below(low.score, low.is_open)
    return start, max(start, order.below(high.score, not high.is_open))


def by_name(low: Bound, high: Bound, order: Order, is_reverse: bool = False) -> Between:
    """The ranks between which these names stand."""
    if low.score > high.score or (isinf(low.score) and low.score == high.score):
        return 0, 0
    if not low.score and not high.score and (
        low.name > high.name or (low.name == high.name and (low.is_open or high.is_open))
    ):
        return 0, 0
    if not order.has_one_score():
        return _in_turn(low, high, [member for _, member in order.each()], is_reverse)
    start = 0 if low.score else order.before(low.name, low.is_open)
    end = len(order) if high.score else order.before(high.name, not high.is_open)
    return start, max(start, end)


def _in_turn(low: Bound, high: Bound, names: list[bytes], is_reverse: bool) -> Between:
    """The same where scores differ: the names are met from one end of the order."""
    if not _is_above(names[-1], low) or not _is_below(names[0], high):
        return 0, 0
    if is_reverse:
        end = len(names)
        while not _is_below(names[end - 1], high):
            end -= 1
        start = end
        while start and _is_above(names[start - 1], low):
            start -= 1
    else:
        start = 0
        while not _is_above(names[start], low):
            start += 1
        end = start
        while end < len(names) and _is_below(names[end], high):
            end += 1
    return start, end


def _is_above(name: bytes, low: Bound) -> bool:
    return bool(low.score) or (name > low.name if low.is_open else name >= low.name)


def _is_below(name: bytes, high: Bound) -> bool:
    return bool(high.score) or (name < high.name if high.is_open else name <= high.name)


def members_in(wanted: Range, view: View) -> list[Scored]:
    """The members of a range, in the requested order."""
    order = sorted_sets.order_of(view)
    start, end = between(wanted, order)
    if wanted.by != RANK:
        skipped = wanted.offset if 0 <= wanted.offset < end - start else end - start
        kept = end - start - skipped
        kept = min(kept, wanted.limit) if wanted.limit >= 0 else kept
        start, end = (
            (end - skipped - kept, end - skipped) if wanted.is_reverse
            else (start + skipped, start + skipped + kept)
        )
    found = order.span(start, end)
    return found[::-1] if wanted.is_reverse else found


# ---- commands ----

def _ranging(by: bytes, is_reverse: bool | None) -> Look:
    def look(argv: Argv, view: View, resp3: bool) -> bytes:
        wanted = parse_range(argv, 2, by, is_reverse)
        if not view.open():
            return EMPTY_ARRAY
        found = members_in(wanted, view)
        if wanted.has_scores:
            return scored(found, resp3)
        return array([bulk(member) for _, member in found])
    return look


def _long_range(by: bytes, is_reverse: bool | None) -> LongRead:
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
        wanted = parse_range(argv, 2, by, is_reverse)
        view = view_of(SORTED_SET, rec, now_ms)
        if not view.is_big():
            return None

        def shown(some: list[Scored]) -> list[bytes]:
            pairs = [(bulk(member), double(score, resp3)) for score, member in some]
            if resp3:
                return [array(pair) for pair in pairs]
            return [item for pair in pairs for item in pair]
        return in_pieces(
            members_in(wanted, view), shown if wanted.has_scores else _names, array_head, resp3)
    return begin


def _names(some: list[Scored]) -> list[bytes]:
    return [bulk(member) for _, member in some]


def zcount(argv: Argv, view: View, resp3: bool) -> bytes:
    low, high = parse_ends(SCORE, argv[2], argv[3])
    start, end = _by_score(low, high, sorted_sets.order_of(view))
    return integer(end - start)


def zlexcount(argv: Argv, view: View, resp3: bool) -> bytes:
    low, high = parse_ends(LEX, argv[2], argv[3])
    start, end = by_name(low, high, sorted_sets.order_of(view))
    return integer(end - start)


def _removing(by: bytes) -> Change:
    def change(argv: Argv, draft: Draft, resp3: bool) -> bytes:
        wanted = _to_remove(argv, by)
        order = sorted_sets.order_of(draft)
        found = order.span(*between(wanted, order))
        for _, member in found:
            sorted_sets.remove(draft, member)
        return integer(len(found))
    return change


def _long_removal(by: bytes) -> LongWrite:
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
        view = view_of(SORTED_SET, rec, now_ms)
        if not view.is_big():
            return None
        start, end = between(_to_remove(argv, by), sorted_sets.order_of(view))
        if end - start <= LONG or (start == 0 and end == sorted_sets.count(view)):
            return None         # where nothing is left, the key is deleted in one step
        return steps(argv[1], start, end)

    def steps(key: bytes, start: int, end: int) -> Steps:
        replies: list[bytes] = []
        while end > start:
            end -= (some := min(PIECE, end - start))
            replies.append((yield [
                b"ZREMRANGEBYRANK", key, b"%d" % end, b"%d" % (end + some - 1)
            ]))
        return as_sum(replies)
    return begin


def _to_remove(argv: Argv, by: bytes) -> Range:
    start = end = 0
    low = high = _NOWHERE
    if by == RANK:
        start, end = parse_integer(argv[2]), parse_integer(argv[3])
    else:
        low, high = parse_ends(by, argv[2], argv[3])
    return Range(by, low, high, start, end, False, 0, -1, False)


def zrangestore_parts(argv: Argv) -> list[Argv]:
    parse_range(argv, 3, stores=True)
    return [[b"DYN.SCORES", argv[2], b"ZRANGE", *argv[3:]]]


def zrangestore_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    return store(argv[1], argv[0].upper(), leaves_of(replies[0]))


def store(key: bytes, name: bytes, flat: list[bytes]) -> Then:
    """Members and scores in place of what a key holds, and then how many."""
    return Further([[b"DYN.STOREZSET", key, name, *flat]], lambda stored: stored[0])


def flat_of(found: list[Scored]) -> bytes:
    """Members and scores with all their digits, for a further step."""
    return bulks([item for score, member in found for item in (member, print_double(score))])


_LOG: Final = "O(log(N)+M) with N the number of members and M of those that are given"
_COUNTED: Final = "O(log(N)) with N the number of members"
_REMOVED: Final = "O(log(N)+M) with N the number of members and M of those that go"


def _range(name: str, syntax: str, summary: str, since: str, by: bytes, reverse: bool) -> Command:
    return Command(
        name, f"{name.upper()} key {syntax}", summary,
        since=since, group="sorted-set", flags="readonly", access="RO access", complexity=_LOG,
        promise="last-writer", route=READ, read=looking(SORTED_SET, _ranging(by, reverse)),
        long_read=_long_range(by, reverse), order=by_score,
    )


def _count(name: str, summary: str, since: str, look: Look) -> Command:
    return Command(
        name, f"{name.upper()} key min max", summary,
        since=since, group="sorted-set", flags="readonly fast", access="RO access",
        complexity=_COUNTED, promise="last-writer", route=READ, read=looking(SORTED_SET, look),
        order=by_score,
    )


def _removal(name: str, ends: str, summary: str, since: str, by: bytes) -> Command:
    return Command(
        name, f"{name.upper()} key {ends}", summary,
        since=since, group="sorted-set", flags="write", access="RW delete", complexity=_REMOVED,
        promise="converges", route=UPDATE, write=changing(SORTED_SET, _removing(by)),
        event=f"z {name}", long_write=_long_removal(by), order=by_score,
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "zrange",
        "ZRANGE key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
        "Gives the members of a range of ranks, scores or names.",
        since="1.2.0", group="sorted-set", flags="readonly", access="RO access", complexity=_LOG,
        promise="last-writer", route=READ, read=looking(SORTED_SET, _ranging(b"AUTO", None)),
        long_read=_long_range(b"AUTO", None), order=by_score,
    ),
    Command(
        "zrangestore",
        "ZRANGESTORE dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
        "Stores the members of a range in place of what the key holds.",
        since="6.2.0", group="sorted-set", flags="write denyoom",
        access="OW update; RO access", complexity=_LOG, promise="last-writer", route=GATHER,
        parts=zrangestore_parts, then=zrangestore_then,
    ),
    _range("zrangebyscore", "min max [WITHSCORES] [LIMIT offset count]",
           "Gives the members with scores in a range.", "1.0.5", SCORE, False),
    _range("zrevrangebyscore", "max min [WITHSCORES] [LIMIT offset count]",
           "Gives the members with scores in a range, from the highest.", "2.2.0", SCORE, True),
    _range("zrangebylex", "min max [LIMIT offset count]",
           "Gives the members with names in a range, where all have one score.", "2.8.9", LEX,
           False),
    _range("zrevrangebylex", "max min [LIMIT offset count]",
           "Gives the members with names in a range, from the last, where all have one score.",
           "2.8.9", LEX, True),
    _range("zrevrange", "start stop [WITHSCORES]",
           "Gives the members of a range of ranks, counted from the highest score.", "1.2.0", RANK,
           True),
    _count("zcount", "Returns how many members have a score in a range.", "2.0.0", zcount),
    _count("zlexcount", "Returns how many members have names in a range, where all have one score.",
           "2.8.9", zlexcount),
    _removal("zremrangebyrank", "start stop", "Removes the members of a range of ranks.", "2.0.0",
             RANK),
    _removal("zremrangebyscore", "min max", "Removes the members with scores in a range.", "1.2.0",
             SCORE),
    _removal("zremrangebylex", "min max",
             "Removes the members with names in a range, where all have one score.", "2.8.9", LEX),
)
