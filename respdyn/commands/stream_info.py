"""XINFO: a stream, its groups and their consumers as clients see them.

How Redis stores a stream (`radix-tree-keys`, `radix-tree-nodes`) is shown as if each hundred
entries were one of its nodes.

Source: Redis `t_stream.c` (xinfoCommand).
"""

from typing import Final

from respdyn.commands.arguments import parse_integer, quoted, unknown_subcommand, word
from respdyn.commands.declare import LOCAL, READ, Argv, Command
from respdyn.commands.elements import STREAM, looking
from respdyn.commands.streams import several, shown
from respdyn.errors import ReplyError
from respdyn.resp.replies import array, bulk, integer, map_, null
from respdyn.types import stream_groups, streams
from respdyn.types.stream_groups import UNKNOWN, Group, PendingList
from respdyn.types.stream_order import ID_BYTES, order_of
from respdyn.types.streams import LAST_ID, NODE_ENTRIES, ZERO_ID, Whole
from respdyn.types.view import View

NO_GROUP: Final = "NOGROUP No such consumer group '{}' for key name '{}'"

_COUNT: Final = 10
Pairs = list[tuple[bytes, bytes]]


def _open(view: View) -> None:
    if not view.open():
        raise ReplyError("ERR no such key")


def xinfo_stream(argv: Argv, view: View, resp3: bool) -> bytes:
    _open(view)
    count = _full_count(argv)
    whole, size = streams.whole_of(view), streams.count(view)
    nodes = -(-size // NODE_ENTRIES)
    pairs: Pairs = [
        (bulk(b"length"), integer(size)),
        (bulk(b"radix-tree-keys"), integer(nodes)),
        (bulk(b"radix-tree-nodes"), integer(nodes + 1)),
        (bulk(b"last-generated-id"), bulk(streams.shown(whole.last))),
        (bulk(b"max-deleted-entry-id"), bulk(streams.shown(whole.deleted))),
        (bulk(b"entries-added"), integer(whole.added)),
        (bulk(b"recorded-first-entry-id"), bulk(streams.shown(streams.first_id(view)))),
    ]
    order = order_of(view)
    if count >= 0:
        pairs += [
            (bulk(b"entries"), several(view, order.between(ZERO_ID, LAST_ID), count)),
            (bulk(b"groups"), array([
                _full_group(view, whole, name, count, resp3)
                for name in stream_groups.groups_of(view)
            ])),
        ]
        return map_(pairs, resp3)
    ends = [order.first(1), order.last(1)]
    pairs += [
        (bulk(b"groups"), integer(len(stream_groups.groups_of(view)))),
        *[(name, shown(view, found[0])[0] if found else null(resp3)) for name, found in
          zip((bulk(b"first-entry"), bulk(b"last-entry")), ends, strict=True)],
    ]
    return map_(pairs, resp3)


def _full_count(argv: Argv) -> int:
    """How much of everything FULL is to show; 0 for all, -1 without it."""
    if len(argv) == 3:
        return -1
    if len(argv) not in (4, 6) or word(argv[3]) != b"FULL":
        raise unknown_subcommand(argv)
    if len(argv) == 4:
        return _COUNT
    if word(argv[4]) != b"COUNT":
        raise unknown_subcommand(argv)
    count = parse_integer(argv[5])
    return _COUNT if count < 0 else count


def _reading(view: View, whole: Whole, group: Group, resp3: bool) -> Pairs:
    behind = stream_groups.lag(view, whole, group)
    return [
        (bulk(b"last-delivered-id"), bulk(streams.shown(group.last))),
        (bulk(b"entries-read"), null(resp3) if group.read == UNKNOWN else integer(group.read)),
        (bulk(b"lag"), null(resp3) if behind is None else integer(behind)),
    ]


def _full_group(view: View, whole: Whole, name: bytes, count: int, resp3: bool) -> bytes:
    group = stream_groups.group_of(view, name)
    assert group is not None
    pending = PendingList(view, name)
    by_consumer = pending.by_consumer()
    return map_([
        (bulk(b"name"), bulk(name)),
        *_reading(view, whole, group, resp3),
        (bulk(b"pel-count"), integer(pending.count())),
        (bulk(b"pending"), _entries(view, pending.between(ZERO_ID), count, with_consumer=True)),
        (bulk(b"consumers"), array([
            map_([
                (bulk(b"name"), bulk(consumer)),
                (bulk(b"seen-time"), integer(seen_ms)),
                (bulk(b"pel-count"), integer(len(by_consumer.get(consumer, [])))),
                (bulk(b"pending"), _entries(
                    view, by_consumer.get(consumer, []), count, with_consumer=False)),
            ], resp3)
            for consumer, seen_ms in stream_groups.consumers_of(view, name).items()
        ])),
    ], resp3)


def _entries(view: View, elements: list[bytes], count: int, *, with_consumer: bool) -> bytes:
    found: list[bytes] = []
    for element in elements[:count] if count else elements:
        held = stream_groups.pending_of(view, element)
        if held is not None:
            found.append(array([
                bulk(streams.shown(element[-ID_BYTES:])),
                *([bulk(held.consumer)] if with_consumer else []),
                integer(held.given_ms), integer(held.times),
            ]))
    return array(found)


def xinfo_groups(argv: Argv, view: View, resp3: bool) -> bytes:
    _open(view)
    whole = streams.whole_of(view)
    found: list[bytes] = []
    for name in stream_groups.groups_of(view):
        group = stream_groups.group_of(view, name)
        assert group is not None
        found.append(map_([
            (bulk(b"name"), bulk(name)),
            (bulk(b"consumers"), integer(len(stream_groups.consumers_of(view, name)))),
            (bulk(b"pending"), integer(PendingList(view, name).count())),
            *_reading(view, whole, group, resp3),
        ], resp3))
    return array(found)


def xinfo_consumers(argv: Argv, view: View, resp3: bool) -> bytes:
    _open(view)
    name = argv[3]
    if stream_groups.group_of(view, name) is None:
        raise ReplyError(NO_GROUP.format(quoted(name), quoted(argv[2])))
    by_consumer = PendingList(view, name).by_consumer()
    return array([
        map_([
            (bulk(b"name"), bulk(consumer)),
            (bulk(b"pending"), integer(len(by_consumer.get(consumer, [])))),
            (bulk(b"idle"), integer(max(view.now_ms - seen_ms, 0))),
        ], resp3)
        for consumer, seen_ms in stream_groups.consumers_of(view, name).items()
    ])


_EACH: Final = "O(N) with N the number of groups, and of what is pending in them"

COMMANDS: tuple[Command, ...] = (
    Command(
        "xinfo", "XINFO", "Looks at streams.", since="5.0.0", group="stream", flags="",
        route=LOCAL, promise="converges", complexity="Depends on subcommand.", arity=-2,
        subcommands=(
            Command(
                "xinfo|consumers", "XINFO CONSUMERS key group", "Shows the consumers of a group.",
                since="5.0.0", group="stream", flags="readonly", access="RO access",
                complexity=_EACH, tips=("nondeterministic_output",), promise="converges",
                route=READ, read=looking(STREAM, xinfo_consumers),
            ),
            Command(
                "xinfo|groups", "XINFO GROUPS key", "Shows the groups of a stream.",
                since="5.0.0", group="stream", flags="readonly", access="RO access",
                complexity=_EACH, promise="converges", route=READ,
                read=looking(STREAM, xinfo_groups),
            ),
            Command(
                "xinfo|help", "XINFO HELP", "Lists the subcommands of XINFO.", since="5.0.0",
                group="stream", flags="loading stale", promise="local", route=LOCAL,
            ),
            Command(
                "xinfo|stream", "XINFO STREAM key [FULL [COUNT count]]", "Shows a stream.",
                since="5.0.0", group="stream", flags="readonly", access="RO access",
                complexity=_EACH, promise="converges", route=READ,
                read=looking(STREAM, xinfo_stream),
            ),
        ),
    ),
)
