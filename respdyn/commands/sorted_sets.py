"""The sorted set commands on one key, ranges aside (`score_ranges`). Those on several keys are in
`score_algebra`.

Source: Redis `t_zset.c` (zaddGenericCommand, genericZpopCommand); `types/sorted_sets.py`
says what concurrent changes do.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from respdyn.commands.arguments import integer_of, syntax_error, word
from respdyn.commands.declare import READ, UPDATE, WRITE, Argv, Command, Order
from respdyn.commands.elements import (
    SORTED_SET,
    changing,
    choosing,
    is_count_with,
    looking,
    random_count,
    step,
    view_of,
)
from respdyn.commands.folding import as_sum
from respdyn.commands.long_writes import LONG as MANY
from respdyn.commands.long_writes import Steps, naming, some_at_a_time, taking
from respdyn.errors import ReplyError
from respdyn.resp.replies import EMPTY_ARRAY, array, bulk, bulks, double, integer, null
from respdyn.types import doubles, sorted_sets
from respdyn.types.chance import Chance
from respdyn.types.doubles import print_double, print_packed
from respdyn.types.score_order import Scored
from respdyn.types.view import Draft, View

NOT_A_FLOAT: Final = "ERR value is not a valid float"
_NAN: Final = "ERR resulting score is not a number (NaN)"
_OPTIONS: Final = frozenset((b"NX", b"XX", b"CH", b"INCR", b"GT", b"LT"))
_OBSERVING: Final = _OPTIONS - {b"CH"}


class Adding(NamedTuple):
    """What ZADD is to do: its options, and where the pairs begin."""

    options: frozenset[bytes]
    at: int


def adding(argv: Argv) -> Adding:
    """The options of ZADD."""
    options: set[bytes] = set()
    at = 2
    while at < len(argv) and (option := word(argv[at])) in _OPTIONS:
        options.add(option)
        at += 1
    return Adding(frozenset(options), at)


def zadd(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    given, at = adding(argv)
    return add(argv, at, given, draft, resp3)


def zincrby(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    given, at = adding(argv)
    return add(argv, at, given | {b"INCR"}, draft, resp3)


def add(argv: Argv, at: int, given: frozenset[bytes], draft: Draft, resp3: bool) -> bytes:
    """ZADD of the pairs from word `at` on."""
    pairs = _pairs(argv, at, given)
    if not draft.open() and b"XX" in given:
        pairs = []
    new = changed = 0
    shown: float | None = None
    for score, member in pairs:
        before = sorted_sets.score(draft, member)
        after = score
        if before is not None and b"INCR" in given:
            after = before + score
            if after != after:
                raise ReplyError(_NAN)
        if _is_kept(before, after, given):
            continue
        if b"INCR" in given:
            shown = sorted_sets.add(draft, member, score)
        else:
            sorted_sets.put(draft, member, score)
        new += before is None
        changed += before is not None and before != after
    if b"INCR" in given:
        return null(resp3) if shown is None else double(shown, resp3)
    return integer(new + changed if b"CH" in given else new)


def _pairs(argv: Argv, at: int, given: frozenset[bytes]) -> list[Scored]:
    """Scores and members. Raises `ReplyError` for whatever is wrong with the words."""
    words = argv[at:]
    if not words or len(words) % 2:
        raise syntax_error()
    if {b"NX", b"XX"} <= given:
        raise ReplyError("ERR XX and NX options at the same time are not compatible")
    if len(given & {b"GT", b"LT", b"NX"}) > 1:
        raise ReplyError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in given and len(words) > 2:
        raise ReplyError("ERR INCR option supports a single increment-element pair")
    return [
        (parse_score(score), member)
        for score, member in zip(words[::2], words[1::2], strict=True)
    ]


def parse_score(argument: bytes, text: str = NOT_A_FLOAT) -> float:
    """A double that a client wrote."""
    value = doubles.read(argument)
    if value is None:
        raise ReplyError(text)
    return value


def _is_kept(before: float | None, after: float, given: frozenset[bytes]) -> bool:
    """Whether the options leave a member as it is."""
    if before is None:
        return b"XX" in given
    return (
        b"NX" in given or (b"GT" in given and after <= before)
        or (b"LT" in given and after >= before)
    )


def zadd_observes(argv: Argv) -> bool:
    """Whether ZADD must know what is there: blind, it is a value like any other."""
    return not _OBSERVING.isdisjoint(adding(argv).options)


def zrem(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    draft.open()
    return integer(sum(sorted_sets.remove(draft, member) for member in argv[2:]))


def zcard(argv: Argv, view: View, resp3: bool) -> bytes:
    return integer(sorted_sets.count(view))


def zscore(argv: Argv, view: View, resp3: bool) -> bytes:
    found = sorted_sets.score(view, argv[2])
    return null(resp3) if found is None else double(found, resp3)


def zmscore(argv: Argv, view: View, resp3: bool) -> bytes:
    view.open()
    found = [sorted_sets.score(view, member) for member in argv[2:]]
    return array([null(resp3) if one is None else double(one, resp3) for one in found])


def zrank(argv: Argv, view: View, resp3: bool) -> bytes:
    found = sorted_sets.order_of(view).rank(argv[2])
    return null(resp3) if found is None else integer(found)


def zrevrank(argv: Argv, view: View, resp3: bool) -> bytes:
    order = sorted_sets.order_of(view)
    found = order.rank(argv[2])
    return null(resp3) if found is None else integer(len(order) - 1 - found)


def zpopmin(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    return _pop(argv, draft, resp3, is_lowest=True)


def zpopmax(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    return _pop(argv, draft, resp3, is_lowest=False)


def _pop(argv: Argv, draft: Draft, resp3: bool, *, is_lowest: bool) -> bytes:
    if len(argv) > 3:
        raise syntax_error()
    count = 1 if len(argv) == 2 else integer_of(argv[2])
    if count is None or count < 0:
        raise ReplyError("ERR value is out of range, must be positive")
    order = sorted_sets.order_of(draft)
    size = len(order)
    count = min(count, size)
    taken = order.span(0, count) if is_lowest else order.span(size - count, size)[::-1]
    for _, member in taken:
        sorted_sets.remove(draft, member)
    return scored(taken, resp3, is_nested=len(argv) == 3)


def scored(found: Iterable[Scored], resp3: bool, *, is_nested: bool = True) -> bytes:
    """Members with their scores; in RESP3 each pair is an array of its own, if `is_nested`."""
    pairs = [(bulk(member), double(score, resp3)) for score, member in found]
    if resp3 and is_nested:
        return array([array(pair) for pair in pairs])
    return array([item for pair in pairs for item in pair])


def zrandmember(argv: Argv, view: View, resp3: bool, chance: Chance) -> bytes:
    if len(argv) == 2:
        order = sorted_sets.order_of(view)
        size = len(order)
        return bulk(order.at(chance.below(size))[1]) if size else null(resp3)
    count = random_count(argv[2])
    has_scores = is_count_with(argv, b"WITHSCORES", count)
    order = sorted_sets.order_of(view)
    size = len(order)
    if not size or not count:
        return EMPTY_ARRAY
    places = (
        [chance.below(size) for _ in range(-count)] if count < 0 else chance.sample(size, count)
    )
    chosen = [order.at(place) for place in places]
    if has_scores:
        return scored(chosen, resp3)
    return bulks([member for _, member in chosen])


def zscan(argv: Argv, view: View, resp3: bool) -> bytes:
    cursor, members = step(
        argv, view, lambda view: [member for _, member in sorted_sets.order_of(view).each()],
        lambda view: sorted_sets.is_listpack(sorted_sets.order_of(view)),
        lambda view, member: sorted_sets.score(view, member) is not None,
    )
    printed = print_packed if sorted_sets.would_be_listpack(view) else print_double
    shown = [
        item for member in members
        for item in (member, printed(sorted_sets.score(view, member) or 0.0))
    ]
    return array([cursor, bulks(shown)])


def _long_add(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
    if len(argv) - 2 <= 2 * MANY:
        return None
    given, at = adding(argv)
    try:
        pairs = _pairs(argv, at, given)
    except ReplyError:
        return None
    return some_at_a_time(argv[:at], argv, at, 2, as_sum) if len(pairs) > MANY else None


def _size(rec: bytes, now_ms: int) -> int:
    return sorted_sets.count(view_of(SORTED_SET, rec, now_ms))


def by_score(argv: Argv) -> Order:
    """What finds the members of a sorted set by their ranks."""
    return sorted_sets.ORDERS


_LOG: Final = "O(log(N)) with N the number of members"
_EACH: Final = "O(M*log(N)) with N the number of members and M of those that are named"
_VARIES: Final = ("nondeterministic_output",)

COMMANDS: tuple[Command, ...] = (
    Command(
        "zadd",
        "ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        "Stores the scores of members and returns how many members are new; creates the sorted set"
        " if need be.",
        since="1.2.0", group="sorted-set", flags="write denyoom fast", access="RW update",
        complexity=_EACH, promise="last-writer", route=WRITE, write=changing(SORTED_SET, zadd),
        reads_before_write=zadd_observes, event="z zadd", reports_siblings=True,
        long_write=_long_add,
    ),
    Command(
        "zincrby", "ZINCRBY key increment member",
        "Adds to the score of a member. Concurrent increments add up.",
        since="1.2.0", group="sorted-set", flags="write denyoom fast", access="RW access update",
        complexity=_LOG, promise="converges", route=UPDATE, write=changing(SORTED_SET, zincrby),
        event="z zincr",
    ),
    Command(
        "zrem", "ZREM key member [member ...]",
        "Removes members and returns how many there were. A member stored concurrently stays.",
        since="1.2.0", group="sorted-set", flags="write fast", access="RW delete",
        complexity=_EACH, promise="converges", route=UPDATE, write=changing(SORTED_SET, zrem),
        event="z zrem",
        long_write=naming(2),
    ),
    Command(
        "zcard", "ZCARD key", "Returns how many members a sorted set has.",
        since="1.2.0", group="sorted-set", flags="readonly fast", access="RO",
        promise="last-writer", route=READ, read=looking(SORTED_SET, zcard),
    ),
    Command(
        "zscore", "ZSCORE key member", "Gives the score of a member.",
        since="1.2.0", group="sorted-set", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=looking(SORTED_SET, zscore),
    ),
    Command(
        "zmscore", "ZMSCORE key member [member ...]", "Gives the scores of several members.",
        since="6.2.0", group="sorted-set", flags="readonly fast", access="RO access",
        complexity="O(N) with N the number of members that are named",
        promise="last-writer", route=READ, read=looking(SORTED_SET, zmscore),
    ),
    Command(
        "zrank", "ZRANK key member", "Returns how many members have a lower score.",
        since="2.0.0", group="sorted-set", flags="readonly fast", access="RO access",
        complexity=_LOG, promise="last-writer", route=READ, read=looking(SORTED_SET, zrank),
        order=by_score,
    ),
    Command(
        "zrevrank", "ZREVRANK key member", "Returns how many members have a higher score.",
        since="2.0.0", group="sorted-set", flags="readonly fast", access="RO access",
        complexity=_LOG, promise="last-writer", route=READ, read=looking(SORTED_SET, zrevrank),
        order=by_score,
    ),
    Command(
        "zpopmin", "ZPOPMIN key [count]",
        "Takes the members with the lowest scores. Two coordinators may give the same one.",
        since="5.0.0", group="sorted-set", flags="write fast", access="RW access delete",
        complexity=_EACH, promise="per-coordinator", route=UPDATE,
        write=changing(SORTED_SET, zpopmin), event="z zpopmin",
        long_write=taking(_size), order=by_score,
    ),
    Command(
        "zpopmax", "ZPOPMAX key [count]",
        "Takes the members with the highest scores. Two coordinators may give the same one.",
        since="5.0.0", group="sorted-set", flags="write fast", access="RW access delete",
        complexity=_EACH, promise="per-coordinator", route=UPDATE,
        write=changing(SORTED_SET, zpopmax), event="z zpopmax",
        long_write=taking(_size), order=by_score,
    ),
    Command(
        "zrandmember", "ZRANDMEMBER key [count [WITHSCORES]]",
        "Gives members of a sorted set, chosen at random.",
        since="6.2.0", group="sorted-set", flags="readonly", access="RO access",
        complexity="O(N) with N the count given", tips=_VARIES,
        promise="last-writer", route=READ, read=choosing(SORTED_SET, zrandmember), draws=True,
        order=by_score,
    ),
    Command(
        "zscan", "ZSCAN key cursor [MATCH pattern] [COUNT count]",
        "Goes through the members of a sorted set in steps.",
        since="2.8.0", group="sorted-set", flags="readonly", access="RO access",
        complexity="O(N) for a step, with N the number of members", tips=_VARIES,
        promise="last-writer", route=READ, read=looking(SORTED_SET, zscan),
    ),
)
