"""The commands on consumer groups; XREADGROUP is in `stream_reading`.

Source: Redis `t_stream.c`; `types/stream_groups.py` says what concurrent changes do.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from respdyn.commands.arguments import (
    INT64_MAX,
    integer_of,
    parse_integer,
    quoted,
    syntax_error,
    unknown_subcommand,
    word,
)
from respdyn.commands.declare import LOCAL, READ, UPDATE, Argv, Command
from respdyn.commands.elements import STREAM, Change, changing, looking
from respdyn.commands.long_writes import naming
from respdyn.commands.stream_ids import parse_end, parse_id, parse_start, parse_strict_id
from respdyn.commands.stream_info import NO_GROUP
from respdyn.commands.streams import by_id, shown
from respdyn.errors import ReplyError
from respdyn.resp.replies import (
    OK,
    ONE,
    ZERO,
    array,
    bulk,
    integer,
    null,
    null_array,
)
from respdyn.types import stream_groups, streams
from respdyn.types.stream_groups import UNKNOWN, Group, Pending, PendingList
from respdyn.types.stream_order import ENTRY, ID_BYTES
from respdyn.types.streams import ZERO_ID
from respdyn.types.view import Draft, View

_NO_KEY: Final = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use"
    " the MKSTREAM option to create an empty stream automatically."
)
_NO_KEY_OR_GROUP: Final = "NOGROUP No such key '{}' or consumer group '{}'"
_ATTEMPTS: Final = 10           # pending entries that XAUTOCLAIM looks at, for each it may give
_COUNT_MAX: Final = INT64_MAX // 16


def group_in(argv: Argv, view: View) -> Group:
    """The group that the first words name. Raises `ReplyError`."""
    group = stream_groups.group_of(view, argv[2]) if view.open() else None
    if group is None:
        raise ReplyError(_NO_KEY_OR_GROUP.format(quoted(argv[1]), quoted(argv[2])))
    return group


# ---- XGROUP ----

def _options(argv: Argv, words: tuple[bytes, ...]) -> tuple[bool, int]:
    """MKSTREAM, ENTRIESREAD or `UNKNOWN`."""
    makes, read, at = False, UNKNOWN, 5
    while at < len(argv):
        option = word(argv[at])
        if option not in words or (option == b"ENTRIESREAD" and at + 1 == len(argv)):
            raise unknown_subcommand(argv)
        if option == b"ENTRIESREAD":
            at += 1
            read = parse_integer(argv[at])
            if read < UNKNOWN:
                raise ReplyError("ERR value for ENTRIESREAD must be positive or -1")
        else:
            makes = True
        at += 1
    return makes, read


def _must_exist(argv: Argv, view: View) -> None:
    if not view.open():
        raise ReplyError(_NO_KEY)


def _existing(argv: Argv, view: View) -> Group:
    _must_exist(argv, view)
    group = stream_groups.group_of(view, argv[3])
    if group is None:
        raise ReplyError(NO_GROUP.format(quoted(argv[3]), quoted(argv[2])))
    return group


def create(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    makes, read = _options(argv, (b"MKSTREAM", b"ENTRIESREAD"))
    draft.open()
    if not makes:
        _must_exist(argv, draft)
    if len(argv) > 8:
        raise unknown_subcommand(argv)
    whole = streams.whole_of(draft)
    id_ = whole.last if argv[4].split(b"\0", 1)[0] == b"$" else parse_strict_id(argv[4])
    if stream_groups.group_of(draft, argv[3]) is not None:
        raise ReplyError("BUSYGROUP Consumer Group name already exists")
    group = stream_groups.begun(draft, None, draft.next_dot(), id_, read)
    if draft.exists:
        stream_groups.forget_group(draft, argv[3])      # what another client may have left of it
    else:
        streams.write_whole(draft, whole)
    stream_groups.write_group(draft, argv[3], group)
    return OK


def set_id(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    _, read = _options(argv, (b"ENTRIESREAD",))
    before = _existing(argv, draft)
    if len(argv) > 7:
        raise unknown_subcommand(argv)
    is_last = argv[4].split(b"\0", 1)[0] == b"$"
    id_ = streams.whole_of(draft).last if is_last else parse_id(argv[4])
    group = stream_groups.begun(draft, before, draft.next_dot(), id_, read)
    stream_groups.write_group(draft, argv[3], group)
    return OK


def destroy(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    _must_exist(argv, draft)
    if stream_groups.group_of(draft, argv[3]) is None:
        return ZERO
    stream_groups.forget_group(draft, argv[3])
    return ONE


def create_consumer(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    _existing(argv, draft)
    if stream_groups.seen_ms(draft, argv[3], argv[4]) >= 0:
        return ZERO
    stream_groups.write_seen(draft, argv[3], argv[4], draft.now_ms)
    return ONE


def delete_consumer(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    _existing(argv, draft)
    if argv[4] not in stream_groups.consumers_of(draft, argv[3]):
        return ZERO
    return integer(stream_groups.forget_consumer(draft, argv[3], argv[4]))


# ---- XACK, XPENDING ----

def xack(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    if not draft.open() or stream_groups.group_of(draft, argv[2]) is None:
        return ZERO
    ids = [parse_strict_id(argument) for argument in argv[3:]]
    found = [
        element for element in (
            stream_groups.pending_name(argv[2], id_) for id_ in dict.fromkeys(ids)
        ) if draft.cells(element)
    ]
    for element in found:
        draft.drop(element)
    return integer(len(found))


def _ids(argv: Argv) -> list[bytes]:
    return [parse_strict_id(argument) for argument in argv[3:]]


def xpending(argv: Argv, view: View, resp3: bool) -> bytes:
    if len(argv) != 3 and not 6 <= len(argv) <= 9:
        raise syntax_error()
    if len(argv) == 3:
        group_in(argv, view)
        return _summary(view, argv[2], resp3)
    idle, at = 0, 3
    if word(argv[3]) == b"IDLE":
        idle, at = parse_integer(argv[4]), 5
        if len(argv) < 8:
            raise syntax_error()
    count = max(parse_integer(argv[at + 2]), 0)
    low, high = parse_start(argv[at]), parse_end(argv[at + 1])
    consumer = argv[at + 3] if at + 3 < len(argv) else None
    group_in(argv, view)
    found: list[bytes] = []
    for element, held in _pending(view, argv[2], low, high):
        if len(found) >= count:
            break
        since = view.now_ms - held.given_ms
        if (consumer is None or held.consumer == consumer) and not (idle and since < idle):
            found.append(array([
                bulk(streams.shown(element[-ID_BYTES:])), bulk(held.consumer),
                integer(max(since, 0)), integer(held.times),
            ]))
    return array(found)


def _summary(view: View, group: bytes, resp3: bool) -> bytes:
    pending = PendingList(view, group)
    if not pending.count():
        return array([ZERO, null(resp3), null(resp3), null_array(resp3)])
    by_consumer = sorted(pending.by_consumer().items())
    return array([
        integer(pending.count()), *[bulk(streams.shown(id_)) for id_ in pending.ids()],
        array([
            array([bulk(consumer), bulk(b"%d" % len(elements))])
            for consumer, elements in by_consumer
        ]),
    ])


def _pending(
    view: View, group: bytes, low: bytes, high: bytes = streams.LAST_ID
) -> Iterator[tuple[bytes, Pending]]:
    for element in PendingList(view, group).between(low, high):
        held = stream_groups.pending_of(view, element)
        if held is not None:
            yield element, held


# ---- XCLAIM, XAUTOCLAIM ----

class _Claim(NamedTuple):
    """What XCLAIM and XAUTOCLAIM do with what is pending."""

    consumer: bytes
    idle_ms: int
    given_ms: int
    times: int              # -1: one more than before
    is_forced: bool         # also what is not pending
    only_ids: bool

    def take(self, draft: View, element: bytes) -> Pending | None:
        """What becomes of a pending entry; None if it is not to be had."""
        held = stream_groups.pending_of(draft, element)
        if held is None:
            if not self.is_forced:
                return None
            held = Pending(b"", 0, 1)
        elif self.idle_ms and draft.now_ms - held.given_ms < self.idle_ms:
            return None
        times = self.times if self.times >= 0 else held.times + (not self.only_ids)
        return Pending(self.consumer, self.given_ms, times)

    def shown(self, view: View, element: bytes) -> list[bytes]:
        """The entry, as clients see it."""
        id_ = element[-ID_BYTES:]
        return [bulk(streams.shown(id_))] if self.only_ids else shown(view, ENTRY + id_)


def xclaim(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    group = group_in(argv, draft)
    idle = _claim_number(argv[4], "min-idle-time")
    ids: list[bytes] = []
    for argument in argv[5:]:
        try:
            ids.append(parse_strict_id(argument))
        except ReplyError:
            break
    claim, last = _claim_options(argv, 5 + len(ids), max(idle, 0), draft.now_ms)
    gone: list[bytes] = []
    given: dict[bytes, Pending] = {}
    found: list[bytes] = []
    for id_ in ids:
        element = stream_groups.pending_name(argv[2], id_)
        if not draft.cells(ENTRY + id_):
            if draft.cells(element) and stream_groups.is_deleted(draft, element):
                gone.append(element)
            continue
        held = _again(claim, given[element]) if element in given else claim.take(draft, element)
        if held is not None:
            given[element] = held
            found += claim.shown(draft, element)
    after = stream_groups.moved_up(draft, group, last) if last > group.last else group
    _write(draft, argv, list(given.items()), gone)
    if after is not group:
        stream_groups.write_group(draft, argv[2], after)
    return array(found)


def _again(claim: _Claim, held: Pending) -> Pending | None:
    """What becomes of an entry that was claimed by the same command already."""
    if claim.idle_ms and held.given_ms + claim.idle_ms > claim.given_ms:
        return None
    times = claim.times if claim.times >= 0 else held.times + (not claim.only_ids)
    return held._replace(times=times)


def _claim_number(argument: bytes, name: str, command: str = "XCLAIM") -> int:
    return parse_integer(argument, f"ERR Invalid {name} argument for {command}")


def _claim_options(argv: Argv, at: int, idle_ms: int, now_ms: int) -> tuple[_Claim, bytes]:
    """What to do, and LASTID."""
    given_ms, times, last = -1, -1, ZERO_ID
    is_forced = only_ids = False
    while at < len(argv):
        option, has_more = word(argv[at]), at + 1 < len(argv)
        if option == b"FORCE":
            is_forced = True
        elif option == b"JUSTID":
            only_ids = True
        elif option in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID") and has_more:
            at += 1
            if option == b"LASTID":
                last = parse_strict_id(argv[at])
                at += 1
                continue
            number = _claim_number(argv[at], f"{option.decode()} option")
            if option == b"RETRYCOUNT":
                times = number
            else:
                given_ms = now_ms - number if option == b"IDLE" else number
        else:
            raise ReplyError(f"ERR Unrecognized XCLAIM option '{quoted(argv[at])}'")
        at += 1
    if not 0 <= given_ms <= now_ms:
        given_ms = now_ms
    return _Claim(argv[3], idle_ms, given_ms, times, is_forced, only_ids), last


def _write(
    draft: Draft, argv: Argv, taken: list[tuple[bytes, Pending]], gone: list[bytes]
) -> None:
    for element in gone:
        draft.drop(element)
    for element, held in taken:
        stream_groups.write_pending(draft, element, held)
    stream_groups.see(draft, argv[2], argv[3], always=bool(taken))


def xautoclaim(argv: Argv, draft: Draft, resp3: bool) -> bytes:
    idle = max(_claim_number(argv[4], "min-idle-time", "XAUTOCLAIM"), 0)
    start = parse_start(argv[5])
    count, only_ids = _auto_options(argv)
    group_in(argv, draft)
    claim = _Claim(argv[3], idle, draft.now_ms, -1, False, only_ids)
    taken: list[tuple[bytes, Pending]] = []
    gone: list[bytes] = []
    found: list[bytes] = []
    left = count * _ATTEMPTS
    following = ZERO_ID
    for element in PendingList(draft, argv[2]).between(start):
        if not left or len(taken) + len(gone) == count:
            following = element[-ID_BYTES:]
            break
        left -= 1
        if not draft.cells(ENTRY + element[-ID_BYTES:]):
            gone += [element] * stream_groups.is_deleted(draft, element)
            continue
        held = claim.take(draft, element)
        if held is not None:
            taken.append((element, held))
            found += claim.shown(draft, element)
    _write(draft, argv, taken, gone)
    return array([
        bulk(streams.shown(following)), array(found),
        array([bulk(streams.shown(element[-ID_BYTES:])) for element in gone]),
    ])


def _auto_options(argv: Argv) -> tuple[int, bool]:
    """COUNT, JUSTID."""
    count, only_ids, at = 100, False, 6
    while at < len(argv):
        option = word(argv[at])
        if option == b"COUNT" and at + 1 < len(argv):
            at += 1
            number = integer_of(argv[at])
            if number is None or not 1 <= number <= _COUNT_MAX:
                raise ReplyError("ERR COUNT must be > 0")
            count = number
        elif option == b"JUSTID":
            only_ids = True
        else:
            raise syntax_error()
        at += 1
    return count, only_ids


def _sub(
    name: str, syntax: str, summary: str, change: Change, flags: str, *, since: str = "5.0.0",
    access: str = "RW insert", complexity: str = "O(1)",
) -> Command:
    return Command(
        f"xgroup|{name}", f"XGROUP {syntax}", summary, since=since, group="stream", flags=flags,
        access=access, complexity=complexity, promise="converges", route=UPDATE,
        write=changing(STREAM, change), event=f"t xgroup-{name}", order=by_id,
    )


_PENDING: Final = "O(N) with N the number of entries that are pending"
_IDS: Final = "O(N) with N the number of ids"

COMMANDS: tuple[Command, ...] = (
    Command(
        "xgroup", "XGROUP", "Makes, changes and removes consumer groups.", since="5.0.0",
        group="stream", flags="", route=LOCAL, promise="converges",
        complexity="Depends on subcommand.", arity=-2,
        subcommands=(
            _sub("create",
                 "CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
                 "Makes a consumer group, which is given what comes behind an id.", create,
                 "write denyoom", complexity="O(N) with N the number of entries, but for 0 and $"),
            _sub("createconsumer", "CREATECONSUMER key group consumer",
                 "Makes a consumer of a group.", create_consumer, "write denyoom", since="6.2.0"),
            _sub("delconsumer", "DELCONSUMER key group consumer",
                 "Removes a consumer of a group, and what is pending with it.", delete_consumer,
                 "write", access="RW delete", complexity=_PENDING),
            _sub("destroy", "DESTROY key group", "Removes a consumer group.", destroy, "write",
                 access="RW delete", complexity=_PENDING),
            Command(
                "xgroup|help", "XGROUP HELP", "Lists the subcommands of XGROUP.", since="5.0.0",
                group="stream", flags="loading stale", promise="local", route=LOCAL,
            ),
            _sub("setid", "SETID key group <id | $> [ENTRIESREAD entries-read]",
                 "Sets the id behind which a consumer group is given entries.", set_id, "write",
                 access="RW update", complexity="O(N) with N the number of entries, but for 0, $"),
        ),
    ),
    Command(
        "xack", "XACK key group id [id ...]", "Acknowledges entries: they are pending no longer.",
        since="5.0.0", group="stream", flags="write fast", access="RW update", complexity=_IDS,
        promise="converges", route=UPDATE, write=changing(STREAM, xack), event="",
        long_write=naming(3, check=_ids),
    ),
    Command(
        "xpending", "XPENDING key group [[IDLE min-idle-time] start end count [consumer]]",
        "Returns what is pending in a group.",
        since="5.0.0", group="stream", flags="readonly", access="RO access", complexity=_PENDING,
        tips=("nondeterministic_output",), promise="converges", route=READ,
        read=looking(STREAM, xpending),
        order=by_id,
    ),
    Command(
        "xclaim",
        "XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms]"
        " [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        "Makes a consumer the one with whom entries are pending.",
        since="5.0.0", group="stream", flags="write fast", access="RW update", complexity=_IDS,
        tips=("nondeterministic_output",), promise="converges", route=UPDATE,
        write=changing(STREAM, xclaim), event="t xgroup-createconsumer",
        order=by_id,
    ),
    Command(
        "xautoclaim",
        "XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]",
        "Makes a consumer the one with whom entries are pending that were given long ago.",
        since="6.2.0", group="stream", flags="write fast", access="RW delete",
        complexity="O(1) if COUNT is small", tips=("nondeterministic_output",),
        promise="converges", route=UPDATE, write=changing(STREAM, xautoclaim),
        event="t xgroup-createconsumer",
        order=by_id,
    ),
)

