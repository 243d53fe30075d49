"""The stream commands on entries. Groups are in `stream_groups`, XREAD is in `stream_reading`.

Source: Redis `t_stream.c`; `types/streams.py` says what concurrent changes do.
"""

from collections.abc import Iterator
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import option_pairs, parse_integer, word, wrong_arity
from respdyn.commands.declare import READ, UPDATE, Argv, Command, Order
from respdyn.commands.elements import STREAM, changing, draft_of, looking, view_of
from respdyn.commands.folding import as_sum
from respdyn.commands.long_reads import Answer, array_head, in_pieces
from respdyn.commands.long_writes import LONG, PIECE, Steps, naming
from respdyn.commands.stream_ids import (
    Given,
    Options,
    parse_end,
    parse_options,
    parse_start,
    parse_strict_id,
)
from respdyn.errors import ReplyError
from respdyn.resp.replies import (
    EMPTY_ARRAY,
    OK,
    ZERO,
    array,
    bulk,
    bulks,
    integer,
    null,
    null_array,
)
from respdyn.types import streams
from respdyn.types.stream_order import ENTRY, ORDERS, order_of
from respdyn.types.streams import LAST_ID, ZERO_ID, Whole
from respdyn.types.view import Draft, View

_TOO_LOW: Final = (
    "ERR The ID specified in XADD is equal or smaller than the target stream top item"
)
_TOO_LARGE: Final = "ERR Elements are too large to be stored"
_ENTRY_BYTES_MAX: Final = 1 << 30       # Redis's STREAM_LISTPACK_MAX_SIZE


def shown(view: View, element: bytes) -> list[bytes]:
    """What has this id, as clients see it: id and fields; usually one, or none."""
    id_ = bulk(streams.shown(element[1:]))
    return [array([id_, bulks(fields)]) for fields in streams.entries_of(view, element)]


def several(view: View, elements: Iterator[bytes], count: int) -> bytes:
    """So many of these entries; 0 for all of them."""
    found: list[bytes] = []
    for element in elements:
        if count and len(found) >= count:
            break
        found += shown(view, element)
    return array(found)


# ---- adding ----

def xadd(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    """The last word says whether this node is the first of the key's owners: `wants_place`."""
    own = 0 if argv[-1] == b"1" else streams.own_part(stamp)
    argv = argv[:-1]
    options = parse_options(argv, is_add=True)
    fields = argv[options.behind :]
    if len(fields) < 2 or len(fields) % 2:
        raise wrong_arity("xadd")
    if options.given == Given(ZERO_ID):
        raise ReplyError("ERR The ID specified in XADD must be greater than 0-0")
    draft = draft_of(STREAM, rec, now_ms, stamp)
    if not draft.open() and options.no_mkstream:
        return null(resp3), b""
    whole = streams.whole_of(draft)
    if whole.last == LAST_ID:
        raise ReplyError(
            "ERR The stream has exhausted the last possible ID, unable to add more items")
    id_ = _new_id(whole, options.given, draft.clock >> 16, own)
    if sum(len(field) for field in fields) > _ENTRY_BYTES_MAX:
        raise ReplyError(_TOO_LARGE)
    trim = options.trim
    gone = streams.trimmed(draft, ENTRY + id_, trim) if trim is not None else []
    streams.write_whole(draft, Whole(id_, whole.deleted, whole.added + 1))
    streams.add(draft, id_, fields)
    for element in gone:
        draft.drop(element)
    return bulk(streams.shown(id_)), draft.delta()


def _new_id(whole: Whole, given: Given | None, ms: int, own: int) -> bytes:
    if given is None:
        return streams.next_id(whole.last, ms, own)
    id_ = given.id
    if not given.has_seq:
        id_ = streams.next_of_ms(whole.last, id_, own)
        if not id_:
            raise ReplyError(_TOO_LARGE)        # Redis's words for this as well
    if id_ <= whole.last:
        raise ReplyError(_TOO_LOW)
    return id_


# ---- looking ----

def xlen(argv: Argv, view: View, resp3: bool) -> bytes:
    return integer(streams.count(view))


def xrange(argv: Argv, view: View, resp3: bool) -> bytes:
    return _range(argv, view, resp3, is_reverse=False)


def xrevrange(argv: Argv, view: View, resp3: bool) -> bytes:
    return _range(argv, view, resp3, is_reverse=True)


def _range(argv: Argv, view: View, resp3: bool, *, is_reverse: bool) -> bytes:
    start, end = (argv[3], argv[2]) if is_reverse else (argv[2], argv[3])
    low, high = parse_start(start), parse_end(end)
    count = -1
    for _, value in option_pairs(argv, 4, b"COUNT"):
        count = max(parse_integer(value), 0)
    if not view.open():
        return EMPTY_ARRAY
    if not count:
        return null_array(resp3)
    return several(
        view, order_of(view).between(low, high, reverse=is_reverse), max(count, 0))


def _long_range(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    return _in_pieces(argv[2], argv[3], argv, rec, now_ms, is_reverse=False)


def _long_revrange(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    return _in_pieces(argv[3], argv[2], argv, rec, now_ms, is_reverse=True)


def _in_pieces(
    start: bytes, end: bytes, argv: Argv, rec: bytes, now_ms: int, *, is_reverse: bool
) -> Answer | None:
    """XRANGE without COUNT of very many entries."""
    view = view_of(STREAM, rec, now_ms)
    if len(argv) != 4 or not view.is_big():
        return None
    found = order_of(view).span(parse_start(start), parse_end(end))
    return entries_in_pieces(found[::-1] if is_reverse else found, rec, now_ms)


def entries_in_pieces(elements: list[bytes], rec: bytes, now_ms: int) -> Answer | None:
    """These entries as a reply that is made in pieces; None if they are not many."""
    def shown_here(some: list[bytes]) -> list[bytes]:
        view = view_of(STREAM, rec, now_ms)     # what it has read goes with it
        return [one for element in some for one in shown(view, element)]
    return in_pieces(elements, shown_here, array_head, False)


# ---- removing ----

def xdel(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    if not draft.open():
        return ZERO
    elements = [ENTRY + parse_strict_id(argument) for argument in argv[2:]]
    there = [element for element in dict.fromkeys(elements) if draft.cells(element)]
    if there:
        whole = streams.whole_of(draft)
        deleted = max(whole.deleted, max(there)[1:])
        for element in there:
            draft.drop(element)
        streams.write_whole(draft, whole._replace(deleted=deleted))
    return integer(len(there))


def _ids(argv: Argv) -> list[bytes]:
    return [parse_strict_id(argument) for argument in argv[2:]]


def xtrim(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    trim = parse_options(argv, is_add=False).trim
    assert trim is not None
    if not draft.open():
        return ZERO
    gone = streams.trimmed(draft, b"", trim)
    for element in gone:
        draft.drop(element)
    return integer(len(gone))


def _long_trim(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
    trim = parse_options(argv, is_add=False).trim
    view = view_of(STREAM, rec, now_ms)
    if trim is None or not view.is_big():
        return None
    gone = len(streams.trimmed(view, b"", trim))
    return _trims(argv[1], streams.count(view), gone) if gone > LONG else None


def _trims(key: bytes, size: int, gone: int) -> Steps:
    """XTRIM of so many entries, some at a time."""
    left = size - gone
    replies: list[bytes] = []
    while size > left:
        size = max(size - PIECE, left)
        replies.append((yield [b"XTRIM", key, b"MAXLEN", b"=", b"%d" % size]))
    return as_sum(replies)


def _long_add(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
    """XADD that trims very much: its entry, then what would be trimmed without that, then all."""
    if not _trims_too(argv):
        return None
    view = view_of(STREAM, rec, now_ms)
    options = parse_options(argv, is_add=True)
    if options.trim is None or not view.is_big():
        return None
    gone = len(streams.trimmed(view, b"", options.trim))
    return _adds_and_trims(argv, options, streams.count(view), gone) if gone > LONG else None


def _adds_and_trims(argv: Argv, options: Options, size: int, gone: int) -> Steps:
    first = options.behind - 1
    reply = yield [*argv[:2], *[b"NOMKSTREAM"] * options.no_mkstream, *argv[first:]]
    yield from _trims(argv[1], size + 1, gone)
    yield [b"XTRIM", argv[1], *(one for one in argv[2:first] if word(one) != b"NOMKSTREAM")]
    return reply


def _trims_too(argv: Argv) -> bool:
    return word(argv[2]) in (b"MAXLEN", b"MINID", b"NOMKSTREAM")


def by_id(argv: Argv) -> Order:
    """What finds a stream's entries by their ids."""
    return ORDERS


def by_id_if_it_trims(argv: Argv) -> Order | None:
    return ORDERS if _trims_too(argv) else None


def xsetid(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    id_, added, deleted = _parse_setid(argv)
    if not draft.open():
        raise ReplyError("ERR no such key")
    whole = streams.whole_of(draft)
    size = streams.count(draft)
    if size:
        if id_ < streams.last_id(draft):
            raise ReplyError(
                "ERR The ID specified in XSETID is smaller than the target stream top item")
        if -1 < added < size:
            raise ReplyError("ERR The entries_added specified in XSETID is smaller than the target"
                             " stream length")
    streams.write_whole(draft, Whole(
        id_, whole.deleted if deleted == ZERO_ID else deleted,
        whole.added if added < 0 else added,
    ))
    return OK


def _parse_setid(argv: Argv) -> tuple[bytes, int, bytes]:
    """Id, entries ever added or -1, highest deleted id or 0-0."""
    id_, added, deleted = parse_strict_id(argv[2]), -1, ZERO_ID
    for option, value in option_pairs(argv, 3, b"ENTRIESADDED", b"MAXDELETEDID"):
        if option == b"ENTRIESADDED":
            added = parse_integer(value)
            if added < 0:
                raise ReplyError("ERR entries_added must be positive")
            continue
        deleted = parse_strict_id(value)
        if id_ < deleted:
            raise ReplyError("ERR The ID specified in XSETID is smaller than the provided"
                             " max_deleted_entry_id")
    return id_, added, deleted


_TRIM: Final = "<MAXLEN | MINID> [= | ~] threshold [LIMIT count]"
_FOUND: Final = "O(log(N)+M) with N the number of entries and M that of those given"
_GONE: Final = "O(log(N)+M) with N the number of entries and M that of those removed"

COMMANDS: tuple[Command, ...] = (
    Command(
        "xadd",
        f"XADD key [NOMKSTREAM] [{_TRIM}] <* | id> field value [field value ...]",
        "Adds an entry to a stream, and may trim it; creates the stream if need be.",
        since="5.0.0", group="stream", flags="write denyoom fast", access="RW update",
        notes="UPDATE instead of INSERT because of the optional trimming feature",
        complexity=_GONE, tips=("nondeterministic_output",), promise="converges", route=UPDATE,
        write=xadd, wants_place=True, event="t xadd",
        long_write=_long_add, order=by_id_if_it_trims,
    ),
    Command(
        "xlen", "XLEN key", "Returns how many entries a stream has.",
        since="5.0.0", group="stream", flags="readonly fast", access="RO",
        promise="converges", route=READ, read=looking(STREAM, xlen),
    ),
    Command(
        "xrange", "XRANGE key start end [COUNT count]",
        "Gives the entries of a stream between two ids.",
        since="5.0.0", group="stream", flags="readonly", access="RO access", complexity=_FOUND,
        promise="converges", route=READ, read=looking(STREAM, xrange),
        long_read=_long_range, order=by_id,
    ),
    Command(
        "xrevrange", "XREVRANGE key end start [COUNT count]",
        "Gives the entries of a stream between two ids, the last first.",
        since="5.0.0", group="stream", flags="readonly", access="RO access", complexity=_FOUND,
        promise="converges", route=READ, read=looking(STREAM, xrevrange),
        long_read=_long_revrange, order=by_id,
    ),
    Command(
        "xdel", "XDEL key id [id ...]", "Removes entries from a stream.",
        since="5.0.0", group="stream", flags="write fast", access="RW delete",
        complexity="O(N) with N the number of ids", promise="converges", route=UPDATE,
        write=changing(STREAM, xdel), event="t xdel",
        long_write=naming(2, check=_ids),
    ),
    Command(
        "xtrim", f"XTRIM key {_TRIM}", "Removes the first entries of a stream.",
        since="5.0.0", group="stream", flags="write", access="RW delete", complexity=_GONE,
        tips=("nondeterministic_output",), promise="converges", route=UPDATE,
        write=changing(STREAM, xtrim), event="t xtrim",
        long_write=_long_trim, order=by_id,
    ),
    Command(
        "xsetid", "XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        "Sets the last id of a stream, which the next entry's is to be above.",
        since="5.0.0", group="stream", flags="write denyoom fast", access="RW update",
        promise="converges", route=UPDATE, write=changing(STREAM, xsetid), event="t xsetid",
        order=by_id,
    ),
)
