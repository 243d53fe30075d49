"""Commands on keys of many elements: from a record to a view or a draft, and back to a delta.

A command of such a type is a pure function of its words and of a `View`, or a `Draft`, of the key
(`types/view.py`). `looking` and `changing` make of it what a declaration takes. `choosing` is for
those that choose at random: the seed of their choice stands behind their words, put there by
the node that runs them (`Command.draws`), so that running them again chooses the same.

HSCAN, SSCAN and ZSCAN go through the elements in the order of a checksum (`cell_tree`), and a
cursor is a place in that order: so an element that is there all the time comes exactly once,
through whatever nodes, and however the key is stored.
"""

from collections.abc import Callable
from typing import Final, NamedTuple
from zlib import crc32

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import (
    INT64_MAX,
    INT64_MIN,
    NOT_AN_INTEGER,
    integer_of,
    option_pairs,
    parse_integer,
    syntax_error,
    word,
)
from respdyn.commands.declare import Argv, Read, Write
from respdyn.commands.scan import COUNT_MAX, glob_match, parse_cursor
from respdyn.errors import ReplyError
from respdyn.resp.replies import bulk
from respdyn.types import hashes, lists, sets, sorted_sets, streams, values
from respdyn.types.chance import Chance, chance_of
from respdyn.types.values import Kind
from respdyn.types.view import Draft, ElementKind, View

_PLACES: Final = 1 << 32        # cursors go from 0 to here
Look = Callable[[Argv, View, bool], bytes]
Choose = Callable[[Argv, View, bool, Chance], bytes]
Change = Callable[[Argv, Draft, bool], bytes]
Take = Callable[[Argv, Draft, bool, Chance], bytes]


class Type(NamedTuple):
    """A type of many elements: as any value, and as its elements."""

    kind: Kind
    elements: ElementKind


HASH: Final[Type] = Type(values.HASH, hashes.FIELDS)
SET: Final[Type] = Type(values.SET, sets.MEMBERS)
SORTED_SET: Final[Type] = Type(values.SORTED_SET, sorted_sets.SCORES)
LIST: Final[Type] = Type(values.LIST, lists.ITEMS)
STREAM: Final[Type] = Type(values.STREAM, streams.STREAM)


def looking(of: Type, look: Look) -> Read:
    """The `read` of a command that looks at keys of this kind."""
    def read(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
        return look(argv, view_of(of, rec, now_ms), resp3)
    return read


def choosing(of: Type, choose: Choose) -> Read:
    """The same of one that chooses; the last word is the seed of its choice."""
    def read(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
        chance = Chance(int.from_bytes(argv[-1]))
        return choose(argv[:-1], view_of(of, rec, now_ms), resp3, chance)
    return read


def changing(of: Type, change: Change) -> Write:
    """The `write` of a command that changes keys of this kind."""
    def write(
        argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
    ) -> tuple[bytes, bytes]:
        draft = draft_of(of, rec, now_ms, stamp)
        reply = change(argv, draft, resp3)
        return reply, draft.delta()
    return write


def taking(of: Type, take: Take) -> Write:
    """The same of one that chooses what to change."""
    def write(
        argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
    ) -> tuple[bytes, bytes]:
        draft = draft_of(of, rec, now_ms, stamp)
        reply = take(argv, draft, resp3, chance_of(stamp))
        return reply, draft.delta()
    return write


def view_of(of: Type, rec: bytes, now_ms: int) -> View:
    """The elements of a key; its questions raise `ReplyError` if it shows another kind."""
    kind = of.kind
    return View(
        rec, now_ms, of.elements, lambda record, at_ms: values.is_kind(record, kind, at_ms)
    )


def draft_of(of: Type, rec: bytes, now_ms: int, stamp: Stamp) -> Draft:
    """The same, to be changed."""
    kind = of.kind
    return Draft(
        rec, now_ms, of.elements, lambda record, at_ms: values.is_kind(record, kind, at_ms), stamp
    )


_OUT_OF_RANGE: Final = "ERR value is out of range"


def random_count(argument: bytes) -> int:
    """How many HRANDFIELD or ZRANDMEMBER is to choose; below 0: one may be chosen twice."""
    count = integer_of(argument)
    if count is None:
        raise ReplyError(NOT_AN_INTEGER)
    if count == INT64_MIN:
        raise ReplyError(f"{_OUT_OF_RANGE}, value must between {-INT64_MAX} and {INT64_MAX}")
    return count


def is_count_with(argv: Argv, option: bytes, count: int) -> bool:
    """Whether this option stands behind that count, and nothing else does."""
    is_given = len(argv) == 4 and word(argv[3]) == option
    if len(argv) > 4 or (len(argv) == 4 and not is_given):
        raise syntax_error()
    if is_given and not -INT64_MAX // 2 <= count <= INT64_MAX // 2:
        raise ReplyError(_OUT_OF_RANGE)
    return is_given


def step(
    argv: Argv, view: View, names: Callable[[View], list[bytes]],
    is_small: Callable[[View], bool], is_there: Callable[[View, bytes], bool],
) -> tuple[bytes, list[bytes]]:
    """One step of HSCAN, SSCAN or ZSCAN: the next cursor, encoded, and the names that are its turn.

    `is_small`: so few that Redis would give all of them whatever COUNT says. `is_there`: whether
    an element is to be seen, called for those of a big key, which is not read further than needed.
    """
    cursor = parse_cursor(argv[2])
    if not view.open():
        return bulk(b"0"), []
    match, count = _scan_options(argv)
    following = 0
    if view.is_big():
        following, elements = _some_from(view, cursor, count)
        found = [element[1:] for element in elements if is_there(view, element[1:])]
    else:
        found = names(view)
    if not view.is_big() and not is_small(view):
        letter = view.kind.letter
        order = sorted((crc32(letter + name), name) for name in found)
        found, last = [], -1
        for place, name in order:
            if place + 1 < cursor:
                continue
            if len(found) >= count and place != last:
                following = place + 1
                break
            found.append(name)
            last = place
    if match is not None:
        found = [name for name in found if glob_match(match, name)]
    return bulk(b"%d" % following), found


def _some_from(view: View, cursor: int, count: int) -> tuple[int, list[bytes]]:
    """About so many elements of a big key from a place on, and the next cursor.

    Those with one checksum come together.
    """
    place = view.kind.letter + max(cursor - 1, 0).to_bytes(4) if cursor <= _PLACES else b"\xff"
    wanted = count + 1
    elements = view.some_from(place, wanted)
    while len(elements) == wanted and crc32(elements[-1]) == crc32(elements[count - 1]):
        wanted *= 2
        elements = view.some_from(place, wanted)
    last = crc32(elements[count - 1]) if len(elements) > count else -1
    taken = [element for element in elements if last < 0 or crc32(element) <= last]
    return (0 if len(taken) == len(elements) else crc32(elements[len(taken)]) + 1), taken


def _scan_options(argv: Argv) -> tuple[bytes | None, int]:
    match: bytes | None = None
    count = 10
    for option, value in option_pairs(argv, 3, b"COUNT", b"MATCH"):
        if option == b"COUNT":
            count = parse_integer(value)
            if count < 1:
                raise syntax_error()
        else:
            match = value
    return match, min(count, COUNT_MAX)
