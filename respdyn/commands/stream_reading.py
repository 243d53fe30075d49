"""XREAD and XREADGROUP: what comes behind an id in several streams, or what a group was not given.

Each is made of commands on one stream. With BLOCK, and nothing there, the client waits: all who
wait for entries of a stream are offered them; of those who wait for one group, one after the other.
A `$` is the last id at the time of the command, so it is read first.

Source: Redis `t_stream.c` (xreadCommand), `blocked.c` (serveClientsBlockedOnStreamKey).
"""

from typing import Final, NamedTuple

from respdyn.commands.arguments import (
    integer_of,
    parse_integer,
    quoted,
    syntax_error,
    word,
)
from respdyn.commands.declare import (
    GATHER,
    READ,
    UPDATE,
    Argv,
    Blocking,
    Command,
    Further,
    Then,
)
from respdyn.commands.elements import STREAM, changing, looking, view_of
from respdyn.commands.folding import as_array, bulks_of
from respdyn.commands.long_reads import Answer
from respdyn.commands.long_writes import Steps, joined
from respdyn.commands.pops import NULL_ARRAY
from respdyn.commands.stream_ids import parse_strict_id
from respdyn.commands.streams import by_id, entries_in_pieces, several, shown
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, array, bulk, map_, null_array
from respdyn.types import stream_groups, streams
from respdyn.types.stream_groups import Group, Pending, PendingList
from respdyn.types.stream_order import ENTRY, ID_BYTES, LETTER, order_of
from respdyn.types.view import Draft, View

GROUP_PIECE: Final = 50    # new entries that a consumer is given in one step
_NEW: Final = b">"
_LAST: Final = b"$"
_NO_GROUP: Final = (
    "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option"
)
_GROUP_IS_GONE: Final = (
    "NOGROUP the consumer group this client was blocked on no longer exists"
)
_KEY_IS_GONE: Final = "UNBLOCKED the stream key no longer exists"
_LAST_IN_GROUP: Final = (
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of"
    " this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would"
    " just return an empty result set."
)
_NEW_WITHOUT_GROUP: Final = (
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer>"
    " option."
)
_UNBALANCED: Final = (
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
)
_ONLY_GROUP: Final = (
    "ERR The {} option is only supported by XREADGROUP. You called XREAD instead."
)


class Reading(NamedTuple):
    """The arguments of XREAD or XREADGROUP."""

    keys: list[bytes]
    ids: list[bytes]            # as they were given
    most: bytes                 # so many entries of each stream; b"0" for all
    timeout_ms: int             # -1: it does not wait; 0: for ever
    group: bytes
    consumer: bytes
    no_ack: bool


def parse(argv: Argv) -> Reading:
    """The words of either command. Raises `ReplyError`."""
    in_group = word(argv[0]) == b"XREADGROUP"
    count, timeout_ms, no_ack = 0, -1, False
    group: list[bytes] = []
    at, behind = 1, 0
    while at < len(argv) and not behind:
        option, left = word(argv[at]), len(argv) - at - 1
        if option == b"BLOCK" and left:
            at += 1
            timeout_ms = _timeout(argv[at])
        elif option == b"COUNT" and left:
            at += 1
            count = _count(argv[at])
        elif option == b"STREAMS" and left:
            behind = at + 1
            if left % 2:
                raise ReplyError(_UNBALANCED)
        elif option == b"GROUP" and left >= 2:
            if not in_group:
                raise ReplyError(_ONLY_GROUP.format("GROUP"))
            group = argv[at + 1 : at + 3]
            at += 2
        elif option == b"NOACK":
            if not in_group:
                raise ReplyError(_ONLY_GROUP.format("NOACK"))
            no_ack = True
        else:
            raise syntax_error()
        at += 1
    if not behind:
        raise syntax_error()
    if in_group and not group:
        raise ReplyError("ERR Missing GROUP option for XREADGROUP")
    middle = (behind + len(argv)) // 2
    name, consumer = group or (b"", b"")
    return Reading(
        argv[behind:middle], argv[middle:], b"%d" % count, timeout_ms, name, consumer, no_ack)


def _timeout(argument: bytes) -> int:
    timeout_ms = integer_of(argument)
    if timeout_ms is None:
        raise ReplyError("ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ReplyError("ERR timeout is negative")
    return timeout_ms


def keys_at(argv: Argv) -> list[int]:
    """Where the keys stand; nowhere, if that is not clear."""
    for at in range(1, len(argv)):
        if word(argv[at]) == b"STREAMS":
            count = len(argv) - at - 1
            return list(range(at + 1, at + 1 + count // 2)) if count % 2 == 0 else []
    return []


def waits(argv: Argv) -> bool:
    """Whether the client waits if nothing is there."""
    return parse(argv).timeout_ms >= 0


def _pairs(reading: Reading, replies: list[bytes], resp3: bool) -> bytes:
    """What the streams have given, in their order."""
    found = [
        (bulk(key), reply) for key, reply in zip(reading.keys, replies, strict=True)
        if reply not in NULL_ARRAY
    ]
    if not found:
        return null_array(resp3)
    return map_(found, True) if resp3 else array([array(pair) for pair in found])


def _one(key: bytes, reply: bytes, resp3: bool) -> bytes:
    if reply in NULL_ARRAY:
        return b""
    return map_([(bulk(key), reply)], True) if resp3 else array([array([bulk(key), reply])])


# ---- XREAD ----

def xread_one(argv: Argv, view: View, resp3: bool) -> bytes:
    """DYN.XREAD: the entries behind an id; null if there are none."""
    view.open()
    if _is(argv[2], _LAST):
        return null_array(resp3)
    if _is(argv[2], _NEW):
        raise ReplyError(_NEW_WITHOUT_GROUP)
    id_ = parse_strict_id(argv[2])
    if not streams.count(view) or streams.last_id(view) <= id_:
        return null_array(resp3)
    return several(view, order_of(view).behind(id_), _count(argv[3]))


def _long_read(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    view = view_of(STREAM, rec, now_ms)
    if not view.is_big() or _is(argv[2], _LAST) or _is(argv[2], _NEW):
        return None
    low, most = streams.above(parse_strict_id(argv[2])), _count(argv[3])
    if not low:
        return None
    found = order_of(view).span(low, streams.LAST_ID)
    return None if most and len(found) > most else entries_in_pieces(found, rec, now_ms)


def _count(argument: bytes) -> int:
    """COUNT: so many entries at most; 0 for all, and so is less."""
    return max(parse_integer(argument), 0)


def _is(argument: bytes, sign: bytes) -> bool:
    return argument.split(b"\0", 1)[0] == sign


def xlast(argv: Argv, view: View, resp3: bool) -> bytes:
    """DYN.XLAST: the last id that was given."""
    view.open()
    return bulk(streams.shown(streams.whole_of(view).last))


def xlasts_parts(argv: Argv) -> list[Argv]:
    return [[b"DYN.XLAST", key] for key in argv[1:]]


def xread_parts(argv: Argv) -> list[Argv]:
    reading = parse(argv)
    return [[b"DYN.XREAD", key, id_, reading.most]
            for key, id_ in zip(reading.keys, reading.ids, strict=True)]


def xread_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    return _pairs(parse(argv), replies, resp3)


def xread_block(argv: Argv) -> Blocking:
    reading = parse(argv)
    open_ = [at for at, id_ in enumerate(reading.ids) if _is(id_, _LAST)]

    def settled(reply: bytes) -> Argv:
        words, first = argv[:], len(argv) - len(reading.ids)
        for at, id_ in zip(open_, bulks_of(reply), strict=True):
            words[first + at] = id_
        return words

    looks_up = ([b"DYN.XLASTS", *(reading.keys[at] for at in open_)], settled) if open_ else None
    return Blocking(
        reading.keys, xread_parts(argv), reading.timeout_ms, ENTRY, _one, NULL_ARRAY,
        looks_up=looks_up)


# ---- XREADGROUP ----

def _group(argv: Argv, view: View) -> Group:
    """The group, its id checked. Raises `ReplyError`."""
    group = stream_groups.group_of(view, argv[2]) if view.open() else None
    if group is None:
        raise ReplyError(_NO_GROUP.format(quoted(argv[1]), quoted(argv[2])))
    if _is(argv[3], _LAST):
        raise ReplyError(_LAST_IN_GROUP)
    if not _is(argv[3], _NEW):
        parse_strict_id(argv[3])
    return group


def xcheck(argv: Argv, view: View, resp3: bool) -> bytes:
    """DYN.XCHECK: whether XREADGROUP may begin."""
    _group(argv, view)
    return OK


def xreadgroup_one(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    """DYN.XREADGROUP: entries of one stream for a consumer; null if there are no new ones."""
    name, id_, consumer, count = argv[2], argv[3], argv[4], _count(argv[5])
    group = _waited_for(argv, draft) if argv[6] == b"WAITED" else _group(argv, draft)
    if not _is(id_, _NEW):
        return _history(draft, argv, parse_strict_id(id_), resp3)
    elements = stream_groups.new_entries(draft, name, group, count)
    if not elements:
        return null_array(resp3)
    found = [one for element in elements for one in shown(draft, element)]
    after = stream_groups.given(draft, streams.whole_of(draft), group, elements)
    stream_groups.write_group(draft, name, after)
    stream_groups.see(draft, name, consumer, always=True)
    if argv[-1] != b"NOACK":
        for element in elements:
            stream_groups.write_pending(
                draft, stream_groups.pending_name(name, element[1:]),
                Pending(consumer, draft.now_ms, 1),
            )
    return array(found)


def _long_group_read(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
    """New entries of a stream that has many, some at a time until none are left."""
    wanted = _count(argv[5]) or streams.count(view_of(STREAM, rec, now_ms))
    if wanted <= GROUP_PIECE or not _is(argv[3], _NEW):
        return None
    return _group_reads(argv, wanted)


def _group_reads(argv: Argv, wanted: int) -> Steps:
    replies: list[bytes] = []
    while wanted > 0:
        count = min(wanted, GROUP_PIECE)
        reply = yield [*argv[:5], b"%d" % count, *argv[6:]]
        if reply in NULL_ARRAY:
            return joined(replies) if replies else reply
        replies.append(reply)
        if int(reply[1 : reply.index(b"\r")]) < count:
            break
        wanted -= count
    return joined(replies)


def _waited_for(argv: Argv, draft: Draft) -> Group:
    """The group for which a client waits. Raises `ReplyError`."""
    try:
        is_there = draft.open()
    except ReplyError:
        is_there = False
    if not is_there:
        raise ReplyError(_KEY_IS_GONE)
    group = stream_groups.group_of(draft, argv[2])
    if group is None:
        raise ReplyError(_GROUP_IS_GONE)
    return group


def _history(draft: Draft, argv: Argv, id_: bytes, resp3: bool) -> bytes:
    """What is pending with a consumer behind an id, given once more."""
    name, consumer, count = argv[2], argv[4], _count(argv[5])
    found: list[bytes] = []
    again: list[tuple[bytes, Pending]] = []
    low = streams.above(id_)
    for element in PendingList(draft, name).between(low) if low else []:
        if count and len(found) >= count:
            break
        held = stream_groups.pending_of(draft, element)
        if held is None or held.consumer != consumer:
            continue
        entry = shown(draft, ENTRY + element[-ID_BYTES:])
        if not entry and not stream_groups.is_deleted(draft, element):
            continue
        if entry:
            again.append((element, Pending(consumer, draft.now_ms, held.times + 1)))
        found += entry or [array([bulk(streams.shown(element[-ID_BYTES:])), null_array(resp3)])]
    for element, held in again:
        stream_groups.write_pending(draft, element, held)
    stream_groups.see(draft, name, consumer, always=bool(again))
    return array(found)


def _group_parts(reading: Reading, *, has_waited: bool) -> list[Argv]:
    how = [*[b"WAITED"] * has_waited, b"NOACK" if reading.no_ack else b"ACK"]
    return [
        [b"DYN.XREADGROUP", key, reading.group, id_, reading.consumer, reading.most, *how]
        for key, id_ in zip(reading.keys, reading.ids, strict=True)
    ]


def xreadgroup_parts(argv: Argv) -> list[Argv]:
    """Of several streams each is looked at first: nothing is given if one is not right."""
    reading = parse(argv)
    if len(reading.keys) == 1:
        return _group_parts(reading, has_waited=False)
    return [[b"DYN.XCHECK", key, reading.group, id_]
            for key, id_ in zip(reading.keys, reading.ids, strict=True)]


def xreadgroup_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    reading = parse(argv)
    if len(reading.keys) == 1:
        return _pairs(reading, replies, resp3)
    parts = _group_parts(reading, has_waited=False)
    return Further(parts, lambda given: _pairs(reading, given, resp3))


def xreadgroup_block(argv: Argv) -> Blocking:
    reading = parse(argv)
    return Blocking(
        reading.keys, _group_parts(reading, has_waited=True), reading.timeout_ms, LETTER,
        _one, NULL_ARRAY, line=reading.group,
    )


_BEHIND: Final = "O(N) with N the number of entries that are given"

COMMANDS: tuple[Command, ...] = (
    Command(
        "xread", "XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        "Gives the entries of streams that come behind ids. It may wait for some.",
        since="5.0.0", group="stream", flags="readonly blocking movablekeys", access="RO access",
        complexity=_BEHIND, promise="converges", route=GATHER, parts=xread_parts, then=xread_then,
        block=xread_block, waits=waits, counted_keys=keys_at,
        keywords=(("STREAMS", 1, "RO access"),),
    ),
    Command(
        "xreadgroup",
        "XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK]"
        " STREAMS key [key ...] id [id ...]",
        "Gives a consumer the entries that its group was not given, or its own that are pending.",
        since="5.0.0", group="stream", flags="write blocking movablekeys", access="RO access",
        complexity=_BEHIND, promise="per-coordinator", route=GATHER, parts=xreadgroup_parts,
        then=xreadgroup_then, block=xreadgroup_block, waits=waits, counted_keys=keys_at,
        keywords=(("STREAMS", 4, "RO access"),),
    ),
    Command(
        "dyn.xread", "DYN.XREAD key id count",
        "Gives entries of a stream that come behind an id. XREAD is made of it.",
        since="0.1.0", group="stream", flags="readonly", access="RO access", complexity=_BEHIND,
        promise="converges", route=READ, read=looking(STREAM, xread_one),
        long_read=_long_read, order=by_id,
    ),
    Command(
        "dyn.xlast", "DYN.XLAST key", "Gives the last id of a stream.",
        since="0.1.0", group="stream", flags="readonly", access="RO access",
        promise="converges", route=READ, read=looking(STREAM, xlast),
    ),
    Command(
        "dyn.xlasts", "DYN.XLASTS key [key ...]",
        "Gives the last ids of streams. It is the first step of XREAD with $.",
        since="0.1.0", group="stream", flags="readonly", access="RO access",
        complexity="O(N) with N the number of keys", promise="converges", route=GATHER,
        parts=xlasts_parts, fold=as_array,
    ),
    Command(
        "dyn.xcheck", "DYN.XCHECK key group id",
        "Returns whether a stream has a group. It is the first step of XREADGROUP.",
        since="0.1.0", group="stream", flags="readonly", access="RO access",
        promise="converges", route=READ, read=looking(STREAM, xcheck),
    ),
    Command(
        "dyn.xreadgroup",
        "DYN.XREADGROUP key group id consumer count [WAITED] <ACK | NOACK>",
        "Gives a consumer entries of a stream. XREADGROUP is made of it.",
        since="0.1.0", group="stream", flags="write", access="RW access update",
        complexity=_BEHIND, promise="per-coordinator", route=UPDATE,
        write=changing(STREAM, xreadgroup_one), event="t xgroup-createconsumer",
        long_write=_long_group_read, order=by_id,
    ),
)
