"""SORT and SORT_RO: the items of a list, a set or a sorted set in another order.

First what the key holds is read; then what BY names for each item; then all is sorted where the
client is; then what GET names is read, of the items that are shown, and given or stored. So the
keys of BY and GET may be anywhere, and the whole is no single moment of them. A user may use them
only if every key may be read: which keys they are is not known before.

Source: Redis `sort.c` (sortCommandGeneric, lookupKeyByPattern).
"""

from typing import Final, NamedTuple

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import parse_integer, syntax_error, word
from respdyn.commands.declare import GATHER, READ, UPDATE, Argv, Command, Further, Then
from respdyn.commands.elements import HASH, LIST, SET, SORTED_SET, view_of
from respdyn.commands.folding import bulks_of, payload_of
from respdyn.errors import ReplyError
from respdyn.resp.replies import ZERO, array, bulk, bulks, integer, null
from respdyn.types import doubles, hashes, lists, sets, sorted_sets, values
from respdyn.types.values import WRONG_TYPE

_NOT_A_NUMBER: Final = "ERR One or more scores can't be converted into double"
_DENIED: Final = "ERR {} option of SORT denied due to insufficient ACL permissions."
_ALONE: Final = (b"ASC", b"DESC", b"ALPHA")
_WORDS_OF: Final = {b"LIMIT": 2, b"BY": 1, b"GET": 1, b"STORE": 1}


class SortOptions(NamedTuple):
    """What SORT is to do."""

    by: bytes | None            # a pattern
    gets: list[bytes]
    start: int
    limit: int                  # below 0: all
    is_desc: bool
    is_alpha: bool
    store_at: int               # where the key stands to store into; 0: none

    @property
    def sorts(self) -> bool:
        """Whether the order is to change: not if BY names what is the same for all."""
        return self.by is None or b"*" in self.by


def parse_sort(argv: Argv) -> SortOptions:
    """The options. Raises `ReplyError`."""
    by: bytes | None = None
    gets: list[bytes] = []
    start, limit, store_at = 0, -1, 0
    is_desc = is_alpha = False
    at = 2
    while at < len(argv):
        option = word(argv[at])
        count = _WORDS_OF.get(option, 0)
        if at + count >= len(argv):
            raise syntax_error()
        if option in (b"ASC", b"DESC"):
            is_desc = option == b"DESC"
        elif option == b"ALPHA":
            is_alpha = True
        elif option == b"LIMIT":
            start, limit = parse_integer(argv[at + 1]), parse_integer(argv[at + 2])
        elif option == b"BY":
            by = argv[at + 1]
        elif option == b"GET":
            gets.append(argv[at + 1])
        elif option == b"STORE" and argv[0].upper() != b"SORT_RO":
            store_at = at + 1
        else:
            raise syntax_error()
        at += 1 + count
    return SortOptions(by, gets, start, limit, is_desc, is_alpha, store_at)


def sort_stores(argv: Argv) -> list[int]:
    """Positions of the keys that SORT writes."""
    try:
        at = parse_sort(argv).store_at
    except ReplyError:
        return []
    return [at] if at else []


def sort_is_alone(argv: Argv) -> bool:
    """Whether other keys than its own are read or written."""
    try:
        options = parse_sort(argv)
    except ReplyError:
        return False
    return bool(options.store_at or options.gets or (options.by is not None and options.sorts))


def sort_wants_all(argv: Argv) -> str:
    """The error for a user who may not read every key; "" where that is not needed."""
    at = 2
    while at < len(argv):
        option = word(argv[at])
        count = _WORDS_OF.get(option, 0)
        if at + count >= len(argv) or not (count or option in _ALONE):
            return ""                   # the command itself says what is wrong
        if option == b"GET" or (option == b"BY" and b"*" in argv[at + 1]):
            return _DENIED.format(option.decode())
        at += 1 + count
    return ""


# ---- one step after the other ----

def sort_parts(argv: Argv) -> list[Argv]:
    parse_sort(argv)
    return [[b"DYN.ITEMS", argv[1]]]


def sort_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """Read what BY names; or go on, if it names nothing."""
    options = parse_sort(argv)
    kind, *items = bulks_of(replies[0])
    if not options.sorts and kind == b"set" and options.store_at:
        options = options._replace(by=None, is_alpha=True)      # what is stored has some order
    if options.by is None or not options.sorts:
        keys: list[bytes | None] = list(items)
        return _show(argv, options, _in_order(items, keys, options), resp3)
    pattern = options.by
    return Further(
        [_lookup(pattern, item) for item in items],
        lambda found: _show(
            argv, options, _in_order(items, list(map(payload_of, found)), options), resp3
        ),
    )


def _in_order(items: list[bytes], keys: list[bytes | None], options: SortOptions) -> list[bytes]:
    """The items that are shown, sorted by these keys. Raises `ReplyError`."""
    if not options.sorts:
        return _limited(items[::-1] if options.is_desc else items, options)
    if options.is_alpha:
        named = [(key is not None, key or b"", at) for at, key in enumerate(keys)]
        named.sort(key=lambda one: one[:2], reverse=options.is_desc)
        return _limited([items[at] for _, _, at in named], options)
    scored = []
    for item, key in zip(items, keys, strict=True):
        number = 0.0 if key is None else doubles.read_loosely(key)
        if number is None:
            raise ReplyError(_NOT_A_NUMBER)
        scored.append((number, item))
    scored.sort(reverse=options.is_desc)
    return _limited([item for _, item in scored], options)


def _limited(items: list[bytes], options: SortOptions) -> list[bytes]:
    start = min(max(options.start, 0), len(items))
    return items[start:] if options.limit < 0 else items[start : start + options.limit]


def _show(argv: Argv, options: SortOptions, items: list[bytes], resp3: bool) -> Then:
    """Read what GET names of each item, and give or store it; or the items, without GET."""
    if not options.gets:
        return _given(argv, options, list(items), resp3)
    patterns = [pattern for pattern in options.gets if b"*" in pattern]
    parts = [_lookup(pattern, item) for item in items for pattern in patterns]

    def then(replies: list[bytes]) -> Then:
        found = map(payload_of, replies)
        shown: list[bytes | None] = []
        for item in items:
            for pattern in options.gets:      # what has no star names nothing, but for the item
                itself = item if pattern == b"#" else None
                shown.append(next(found) if b"*" in pattern else itself)
        return _given(argv, options, shown, resp3)

    return Further(parts, then) if parts else then([])


def _given(argv: Argv, options: SortOptions, shown: list[bytes | None], resp3: bool) -> Then:
    if not options.store_at:
        return array([null(resp3) if one is None else bulk(one) for one in shown])
    values = [one or b"" for one in shown]
    storing = [b"DYN.STORELIST", argv[options.store_at], b"SORTSTORE", *values]
    return Further([storing], lambda stored: stored[0])


def _lookup(pattern: bytes, item: bytes) -> Argv:
    """What reads the value that a pattern names for an item."""
    before, _, behind = pattern.partition(b"*")
    behind, arrow, field = behind.partition(b"->")
    if arrow and not field:
        behind += arrow
    key = before + item + behind
    return [b"DYN.LOOKUP", key, b"FIELD", field] if field else [b"DYN.LOOKUP", key]


# ---- the steps ----

def items(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    """What a key holds that can be sorted: its type, then its items in their own order."""
    kind = values.kind_of(rec) if values.exists(rec, now_ms) else None
    if kind is None:
        return bulks([b"none"])
    if kind is values.LIST:
        held = lists.values(view_of(LIST, rec, now_ms))
    elif kind is values.SET:
        held = sets.members(view_of(SET, rec, now_ms))
    elif kind is values.SORTED_SET:
        order = sorted_sets.order_of(view_of(SORTED_SET, rec, now_ms))
        held = [member for _, member in order.each()]
    else:
        raise ReplyError(WRONG_TYPE)
    return bulks([kind.name.encode(), *held])


def lookup(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    """A string, or a field of a hash; of any other type, null."""
    if len(argv) not in (2, 4):
        raise syntax_error()
    kind, found = values.kind_of(rec) if values.exists(rec, now_ms) else None, None
    if len(argv) == 2 and kind is values.STRING:
        found = values.text(rec, now_ms)
    elif len(argv) == 4 and kind is values.HASH:
        found = hashes.value(view_of(HASH, rec, now_ms), argv[3])
    return null(resp3) if found is None else bulk(found)


def storelist(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    held = argv[3:]
    if held:
        return integer(len(held)), lists.replace(rec, stamp, held, 0)
    return ZERO, values.remove(rec, stamp) if values.exists(rec, now_ms) else b""


_OF_CONTENT: Final = (
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the"
    " content of the key we sort", "RO access",
)
_STORE: Final = (
    "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere"
    " in the argument array", "OW update",
)
_SORTED: Final = "O(N*log(N)) with N the number of items"

COMMANDS: tuple[Command, ...] = (
    Command(
        "sort",
        "SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC]"
        " [ALPHA] [STORE destination]",
        "Gives the items of a list, set or sorted set in order, or what keys hold that are named"
        " after them; or stores that as a list.",
        since="1.0.0", group="generic", flags="write denyoom movablekeys", access="RO access",
        acl="set sortedset list dangerous", arity=-2, promise="per-coordinator",
        complexity=_SORTED, route=GATHER, parts=sort_parts, then=sort_then, stores=sort_stores,
        is_alone=sort_is_alone, wants_all_keys=sort_wants_all,
        unknown_keys=(_OF_CONTENT, _STORE), is_in_keyspace=False,
    ),
    Command(
        "sort_ro",
        "SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]]"
        " [ASC | DESC] [ALPHA]",
        "Is SORT without STORE.",
        since="7.0.0", group="generic", flags="readonly movablekeys", access="RO access",
        acl="set sortedset list dangerous", arity=-2, promise="last-writer",
        complexity=_SORTED, route=GATHER, parts=sort_parts, then=sort_then,
        is_alone=sort_is_alone, wants_all_keys=sort_wants_all,
        unknown_keys=(_OF_CONTENT,), is_in_keyspace=False,
    ),
    Command(
        "dyn.items", "DYN.ITEMS key", "Gives the type of what SORT can sort, and its items.",
        since="0.1.0", group="generic", flags="readonly", access="RO access",
        complexity="O(N) with N the number of items", promise="last-writer", route=READ,
        read=items,
    ),
    Command(
        "dyn.lookup", "DYN.LOOKUP key [FIELD field]",
        "Gives a string, or a field of a hash; of any other type, null.",
        since="0.1.0", group="generic", flags="readonly", access="RO access",
        promise="last-writer", route=READ, read=lookup,
    ),
    Command(
        "dyn.storelist", "DYN.STORELIST key <SORTSTORE> [element ...]",
        "Stores a list in place of all that a key holds; none, and the key is gone. It is the last"
        " step of SORT.",
        since="0.1.0", group="list", flags="write denyoom", access="OW update",
        complexity="O(N) with N the number of items", promise="last-writer", route=UPDATE,
        write=storelist, event="l dyn.storelist",
    ),
)
