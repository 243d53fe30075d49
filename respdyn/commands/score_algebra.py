"""Sorted set commands on several keys: each key is read whole at its own coordinator, sets among
them with scores of 1, and then combined.

As with sets, what one answers is no single moment of all its keys, unless they live at the same
nodes and the command stands in a transaction; and what is stored takes the place of all that its
key held. ZMPOP pops from one key after the other until one gives something.

Scores are added up from the smallest key to the largest, as Redis does: doubles depend on it.

Source: Redis `t_zset.c` (zunionInterDiffGenericCommand, zunionInterAggregate).
"""

from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import counted_at, integer_of, parse_integer, syntax_error, word
from respdyn.commands.declare import GATHER, READ, UPDATE, Argv, Command, Then
from respdyn.commands.elements import SET, SORTED_SET, view_of
from respdyn.commands.folding import leaves_of
from respdyn.commands.long_algebra import is_long, pieces, ranked, read
from respdyn.commands.long_reads import Answer, array_head, in_pieces
from respdyn.commands.long_writes import storing
from respdyn.commands.pops import parts_of, then_of, zmpop
from respdyn.commands.score_ranges import flat_of, members_in, parse_range, store
from respdyn.commands.sorted_sets import by_score, parse_score, scored
from respdyn.commands.syntax import Keys
from respdyn.errors import ReplyError
from respdyn.resp.replies import ZERO, bulk, bulks, integer
from respdyn.types import doubles, sets, sorted_sets, values
from respdyn.types.doubles import print_double
from respdyn.types.score_order import Scored

Scores = dict[bytes, float]
LongScores = Generator[int, None, Scores]


class Combining(NamedTuple):
    """How sorted sets are combined: the options that stand behind the keys."""

    weights: list[float]
    merge: Callable[[float, float], float]
    has_scores: bool
    limit: int


# ---- combining ----

def _sum(one: float, other: float) -> float:
    total = one + other
    return total if total == total else 0.0


def _lowest(one: float, other: float) -> float:
    return other if other < one else one


def _highest(one: float, other: float) -> float:
    return other if other > one else one


_MERGES: Final = {b"SUM": _sum, b"MIN": _lowest, b"MAX": _highest}


def unite(found: list[Scores], how: Combining) -> Scores:
    """The members of all, their scores merged."""
    united: Scores = {}
    for scores, weight in _by_size(found, how):
        for member, score in scores.items():
            weighted = _sum(score * weight, 0.0)
            before = united.get(member)
            united[member] = weighted if before is None else how.merge(before, weighted)
    return united


def intersect(found: list[Scores], how: Combining) -> Scores:
    """The members that all have, their scores merged."""
    (smallest, weight), *others = _by_size(found, how)
    common: Scores = {}
    for member, score in smallest.items():
        if all(member in scores for scores, _ in others):
            merged = _sum(score * weight, 0.0)
            for scores, other in others:
                merged = how.merge(merged, scores[member] * other)
            common[member] = merged
    return common


def subtract(found: list[Scores], how: Combining) -> Scores:
    """The members of the first that no other has."""
    return {
        member: score for member, score in found[0].items()
        if not any(member in scores for scores in found[1:])
    }


def _unite_long(found: list[Scores], how: Combining) -> LongScores:
    united: Scores = {}
    for scores, weight in _by_size(found, how):
        for some in pieces(list(scores.items())):
            for member, score in some:
                weighted = _sum(score * weight, 0.0)
                before = united.get(member)
                united[member] = weighted if before is None else how.merge(before, weighted)
            yield 2 * len(some)
    return united


def _intersect_long(found: list[Scores], how: Combining) -> LongScores:
    (smallest, weight), *others = _by_size(found, how)
    common: Scores = {}
    for some in pieces(list(smallest.items())):
        for member, score in some:
            if all(member in scores for scores, _ in others):
                merged = _sum(score * weight, 0.0)
                for scores, other in others:
                    merged = how.merge(merged, scores[member] * other)
                common[member] = merged
        yield 2 * len(some)
    return common


def _subtract_long(found: list[Scores], how: Combining) -> LongScores:
    left: Scores = {}
    for some in pieces(list(found[0].items())):
        left.update(
            (member, score) for member, score in some
            if not any(member in scores for scores in found[1:])
        )
        yield len(some)
    return left


def _by_size(found: list[Scores], how: Combining) -> list[tuple[Scores, float]]:
    return sorted(zip(found, how.weights, strict=True), key=lambda one: len(one[0]))


Combine = Callable[[list[Scores], Combining], Scores]
Long = Callable[[Argv, list[bytes], bool], Generator[int, None, Then] | None]
_LONG: Final[dict[Combine, Callable[[list[Scores], Combining], LongScores]]] = {
    unite: _unite_long, intersect: _intersect_long, subtract: _subtract_long,
}


# ---- words ----

def _number_at(argv: Argv, command: str, at: int) -> int:
    """How many keys follow word `at`."""
    count = parse_integer(argv[at])
    if count < 1:
        raise ReplyError(f"ERR at least 1 input key is needed for '{command}' command")
    if count > len(argv) - at - 1:
        raise syntax_error()
    return count


def _options(argv: Argv, at: int, count: int, *, stores: bool, takes: str) -> Combining:
    """What stands behind the keys. `takes`: "merge" and "limit" name options of some commands."""
    weights, merge, has_scores, limit = [1.0] * count, _sum, False, 0
    while at < len(argv):
        option, left = word(argv[at]), len(argv) - at
        if takes == "merge" and option == b"WEIGHTS" and left > count:
            words = argv[at + 1 : at + 1 + count]
            weights = [parse_score(one, "ERR weight value is not a float") for one in words]
            at += count
        elif takes == "merge" and option == b"AGGREGATE" and left > 1:
            found = _MERGES.get(word(argv[at + 1]))
            if found is None:
                raise syntax_error()
            merge = found
            at += 1
        elif takes != "limit" and option == b"WITHSCORES" and not stores:
            has_scores = True
        elif takes == "limit" and option == b"LIMIT" and left > 1:
            number = integer_of(argv[at + 1])
            if number is None or number < 0:
                raise ReplyError("ERR LIMIT can't be negative")
            limit = number
            at += 1
        else:
            raise syntax_error()
        at += 1
    return Combining(weights, merge, has_scores, limit)


def _scores_of(replies: list[bytes]) -> list[Scores]:
    found = []
    for reply in replies:
        flat = leaves_of(reply)
        found.append({
            member: doubles.read(score) or 0.0
            for member, score in zip(flat[::2], flat[1::2], strict=True)
        })
    return found


def _read_long(replies: list[bytes]) -> Generator[int, None, list[Scores]]:
    found: list[Scores] = []
    for reply in replies:
        flat = yield from read(reply)
        scores: Scores = {}
        for some in pieces(flat):       # an even number each: members and scores
            scores.update(
                (member, doubles.read(score) or 0.0)
                for member, score in zip(some[::2], some[1::2], strict=True)
            )
            yield len(some)
        found.append(scores)
    return found


# ---- commands ----

def _long_reply(combine: Combine, takes: str) -> Long:
    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Generator[int, None, Then] | None:
        count = len(replies)
        how = _options(argv, 2 + count, count, stores=False, takes=takes)
        return steps(how, replies, resp3) if is_long(replies) else None

    def steps(how: Combining, replies: list[bytes], resp3: bool) -> Generator[int, None, Then]:
        read_ = yield from _read_long(replies)
        found = yield from _LONG[combine](read_, how)
        if takes == "limit":
            return integer(min(len(found), how.limit) if how.limit else len(found))
        in_order = yield from ranked([(score, member) for member, score in found.items()])
        width = 1 if resp3 or not how.has_scores else 2
        parts = [b"*%d\r\n" % (width * len(in_order))]
        for some in pieces(in_order):
            shown = scored(some, resp3) if how.has_scores else bulks([name for _, name in some])
            parts.append(shown[shown.index(b"\n") + 1 :])
            yield len(some)
        return b"".join(parts)
    return then


def _long_store(combine: Combine, takes: str) -> Long:
    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Generator[int, None, Then] | None:
        count = len(replies)
        how = _options(argv, 3 + count, count, stores=True, takes=takes)
        return steps(argv, how, replies) if is_long(replies) else None

    def steps(argv: Argv, how: Combining, replies: list[bytes]) -> Generator[int, None, Then]:
        read_ = yield from _read_long(replies)
        found = yield from _LONG[combine](read_, how)
        flat: list[bytes] = []
        for some in pieces(list(found.items())):
            flat += [word for member, score in some for word in (member, print_double(score))]
            yield len(some)
        return store(argv[1], argv[0].upper(), flat)
    return then


def _combining(name: str, combine: Combine, takes: str, since: str, summary: str) -> Command:
    def parts(argv: Argv) -> list[Argv]:
        count = _number_at(argv, name, 1)
        return [[b"DYN.SCORES", key] for key in argv[2 : 2 + count]]

    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
        count = len(replies)
        how = _options(argv, 2 + count, count, stores=False, takes=takes)
        found = combine(_scores_of(replies), how)
        if takes == "limit":
            return integer(min(len(found), how.limit) if how.limit else len(found))
        ranked = sorted((score, member) for member, score in found.items())
        if how.has_scores:
            return scored(ranked, resp3)
        return bulks([member for _, member in ranked])

    options = {
        "merge": " [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
        "": " [WITHSCORES]", "limit": " [LIMIT limit]",
    }[takes]
    return Command(
        name, f"{name.upper()} numkeys key [key ...]{options}", summary,
        since=since, group="sorted-set", flags="readonly movablekeys", access="RO access",
        complexity=_EACH, promise="last-writer", route=GATHER, parts=parts, then=then,
        counted_keys=counted_at(1), long_then=_long_reply(combine, takes),
    )


def _keeping(name: str, combine: Combine, takes: str, since: str, summary: str) -> Command:
    def parts(argv: Argv) -> list[Argv]:
        count = _number_at(argv, name, 2)
        return [[b"DYN.SCORES", key] for key in argv[3 : 3 + count]]

    def then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
        count = len(replies)
        how = _options(argv, 3 + count, count, stores=True, takes=takes)
        found = combine(_scores_of(replies), how)
        return store(argv[1], argv[0].upper(), leaves_of(flat_of(
            sorted((score, member) for member, score in found.items())
        )))

    options = {
        "merge": " [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]", "": "",
    }[takes]
    return Command(
        name, f"{name.upper()} destination numkeys key [key ...]{options}", summary,
        since=since, group="sorted-set", flags="write denyoom movablekeys",
        access="OW update; RO access", complexity=_EACH, promise="last-writer", route=GATHER,
        parts=parts, then=then, keys_at=Keys(1, 1, 1), counted_keys=counted_at(2, 1),
        long_then=_long_store(combine, takes),
    )


def scores(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    """What is read for a further step: all members, or those that a command would give."""
    if len(argv) > 2:
        view = view_of(SORTED_SET, rec, now_ms)
        return flat_of(members_in(parse_range(argv[3:], 0, stores=True), view))
    if values.exists(rec, now_ms) and values.kind_of(rec) is values.SET:
        return flat_of([(1.0, member) for member in sets.members(view_of(SET, rec, now_ms))])
    return flat_of(list(sorted_sets.order_of(view_of(SORTED_SET, rec, now_ms)).each()))


def _long_scores(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    found: list[Scored]
    if values.kind_of(rec) is values.SET and len(argv) == 2:
        members = view_of(SET, rec, now_ms)
        if not members.is_big():
            return None
        found = [(1.0, member) for member in sets.members(members)]
    else:
        view = view_of(SORTED_SET, rec, now_ms)
        if not view.is_big():
            return None
        if len(argv) > 2:
            found = members_in(parse_range(argv[3:], 0, stores=True), view)
        else:
            order = sorted_sets.order_of(view)
            found = order.span(0, len(order))
    return in_pieces(found, _digits, array_head, resp3)


def _digits(some: list[Scored]) -> list[bytes]:
    return [item for score, member in some for item in (bulk(member), bulk(print_double(score)))]


def storezset(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    if len(argv) % 2 == 0:
        raise syntax_error()
    found: list[Scored] = [
        (parse_score(score), member)
        for member, score in zip(argv[3::2], argv[4::2], strict=True)
    ]
    if found:
        return integer(len(found)), sorted_sets.replace(rec, stamp, found, 0)
    return ZERO, values.remove(rec, stamp) if values.exists(rec, now_ms) else b""


_EACH: Final = "O(N*log(N)) with N the members of all keys"

COMMANDS: tuple[Command, ...] = (
    _combining("zunion", unite, "merge", "6.2.0", "Gives the members of all, their scores merged."),
    _combining("zinter", intersect, "merge", "6.2.0",
               "Gives the members that all have, their scores merged."),
    _combining("zdiff", subtract, "", "6.2.0", "Gives the members of the first that no other has."),
    _combining("zintercard", intersect, "limit", "7.0.0",
               "Returns how many members all have, and counts no further than the limit."),
    _keeping("zunionstore", unite, "merge", "2.0.0",
             "Stores the members of all in place of what the key holds."),
    _keeping("zinterstore", intersect, "merge", "2.0.0",
             "Stores the members that all have in place of what the key holds."),
    _keeping("zdiffstore", subtract, "", "6.2.0",
             "Stores the members of the first that no other has in place of what the key holds."),
    Command(
        "zmpop", "ZMPOP numkeys key [key ...] <MIN | MAX> [COUNT count]",
        "Takes members out of the first of the sorted sets that has any.",
        since="7.0.0", group="sorted-set", flags="write movablekeys", access="RW access delete",
        complexity="O(K)+O(M*log(N)) with K keys, N the number of members and M of those taken",
        promise="per-coordinator", route=GATHER, parts=parts_of(zmpop), then=then_of(zmpop),
        counted_keys=counted_at(1),
    ),
    Command(
        "dyn.scores", "DYN.SCORES key [ZRANGE argument [argument ...]]",
        "Gives members and scores, with all their digits, that another command goes on with.",
        since="0.1.0", group="sorted-set", flags="readonly", access="RO access",
        complexity="O(N) with N the number of members",
        promise="last-writer", route=READ, read=scores,
        long_read=_long_scores, order=by_score,
    ),
    Command(
        "dyn.storezset", "DYN.STOREZSET key command [member score ...]",
        "Stores a sorted set in place of all that a key holds; none, and the key is gone. It is the"
        " second step of commands that store one.",
        since="0.1.0", group="sorted-set", flags="write denyoom", access="OW update",
        complexity="O(N*log(N)) with N the number of members",
        promise="last-writer", route=UPDATE, write=storezset, event="z dyn.storezset",
        long_write=storing(b"ZADD", 2, turned=True),
    ),
)
