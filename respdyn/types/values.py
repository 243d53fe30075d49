"""Values: what any key can be queried for, whatever it holds: its kind, its existence, its expiry.

`KINDS` lists, by the first byte of an element, which kind of value such elements make up, and its
functions. Everything below `commands/` calls these, and so do the commands that take any key; only
a type's own commands know its module. A new type is a module, its commands, and a row here.

An element whose first byte is not listed (`x`, `b`, one of a later version) makes no key exist.
Where concurrent writes left a key with elements of two kinds, the newer kind is shown: a function
of the joined state alone. A kind of an element map is as new as its newest birth, any other as its
newest cell, by (clock, dot). The other kind is hidden until a write covers it, and counts as a
sibling. If what is shown has expired, the key is absent.

The usual key, a PLAIN string, is answered from its bytes; the table serves all others.

Source: SEMANTICS 3, 4 and 5.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from respdyn.causal import big, codec
from respdyn.causal.codec import ELEMENTS, PLAIN
from respdyn.causal.context import Context
from respdyn.causal.dot import Stamp
from respdyn.causal.element_map import INLINE, key_entries_of
from respdyn.causal.outline import outline
from respdyn.errors import ReplyError
from respdyn.types import (
    hashes,
    keyed,
    lists,
    resets,
    sets,
    sorted_sets,
    stream_dump,
    stream_order,
    streams,
    strings,
)
from respdyn.types.strings import LONE, LONE_EXPIRING

# In the second byte of a record that is alive and mentions an expiry; of an element map, all of it.
LIVE_EXPIRING: Final = codec.LIVE | codec.EXPIRES
ELEMENTS_EXPIRING: Final = LIVE_EXPIRING | ELEMENTS

# The element of a key's birth in an element map: clock u64, then the first byte of its kind.
BIRTH: Final = b"k"
REMARK_LEAD_MS: Final = strings.REMARK_LEAD_MS

WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"

# Intervals in the context of a key that is written to. Each restart of each node may add one; what
# peers send may have four times as many, the union of what several have written apart.
INTERVALS_MOST: Final = 8192
_CLOCK_BITS: Final = 16        # of a hybrid clock, below its milliseconds
_u64: Final = int.from_bytes


class Kind(NamedTuple):
    """What a type must give.

    A record is given to these functions only if elements of the kind are alive in it; it may hold
    others beside. What a write must leave of a kind that it covers is said in `resets`.
    """

    name: str                                       # what TYPE answers
    # When what is shown is over, in ms, be it past; 0 for never; None if it shows nothing.
    ends_at: Callable[[bytes], int | None]
    # Its concurrent versions at a time, the one that is shown first, each as a client may read it.
    siblings: Callable[[bytes, int], list[bytes]]
    # EXPIRE, and PERSIST with 0: the delta for what is shown now.
    expire: Callable[[bytes, Stamp, int], bytes]
    # What made a delta once more, over all that is in a record: conflict feedback (SEMANTICS 3).
    cover: Callable[[bytes, bytes, Stamp], bytes]
    encoding: Callable[[bytes], bytes]              # what OBJECT ENCODING answers
    # Its numbers in a dump; a number and its content as in a dump; and the new state of a key,
    # given that, what the key holds, a stamp, and when it shall expire. May raise `DumpError`.
    dump_numbers: tuple[int, ...]
    dump: Callable[[bytes, int], bytes]
    load: Callable[[bytes, bytes, Stamp, int], bytes]
    # What only some types have of their own. The time to live that the key was given, 0 for none,
    # if it may be over sooner: with its elements.
    expires_at: Callable[[bytes], int] | None = None
    # Whether siblings stand beside what a delta wrote, in a record that it was joined into.
    is_contested: Callable[[bytes, bytes], bool] | None = None
    # As `dump` and `load`, between keys of ours (RENAME, COPY, MOVE), with all that a dump omits.
    pack: Callable[[bytes, int], bytes] | None = None
    unpack: Callable[[bytes, bytes, Stamp, int], bytes] | None = None


STRING: Final[Kind] = Kind(
    "string", strings.ends_at, strings.siblings, strings.expire, strings.cover, strings.encoding,
    (0,), strings.dump, strings.load,
)
HASH: Final[Kind] = Kind(
    "hash", hashes.key_ends_at, hashes.siblings, partial(keyed.expire, hashes.LETTER),
    hashes.cover, hashes.encoding, hashes.DUMP_NUMBERS, hashes.dump, hashes.load,
    expires_at=partial(keyed.key_expires_at, hashes.LETTER), is_contested=hashes.is_contested,
    pack=hashes.pack, unpack=hashes.unpack,
)
SET: Final[Kind] = Kind(
    "set", partial(keyed.key_expires_at, sets.LETTER), keyed.one_version,
    partial(keyed.expire, sets.LETTER), sets.cover, sets.encoding, sets.DUMP_NUMBERS, sets.dump,
    sets.load, pack=sets.pack, unpack=sets.unpack,
)
SORTED_SET: Final[Kind] = Kind(
    "zset", sorted_sets.key_ends_at, sorted_sets.siblings,
    partial(keyed.expire, sorted_sets.LETTER), sorted_sets.cover, sorted_sets.encoding,
    sorted_sets.DUMP_NUMBERS, sorted_sets.dump, sorted_sets.load,
    is_contested=sorted_sets.is_contested, pack=sorted_sets.pack, unpack=sorted_sets.unpack,
)
LIST: Final[Kind] = Kind(
    "list", partial(keyed.key_expires_at, lists.LETTER), keyed.one_version,
    partial(keyed.expire, lists.LETTER), lists.cover, lists.encoding, lists.DUMP_NUMBERS,
    lists.dump, lists.load, pack=lists.pack, unpack=lists.unpack,
)
STREAM: Final[Kind] = Kind(
    "stream", partial(keyed.key_expires_at, stream_order.LETTER), keyed.one_version,
    partial(keyed.expire, stream_order.LETTER), streams.cover, streams.encoding,
    stream_dump.DUMP_NUMBERS, stream_dump.dump, stream_dump.load, pack=stream_dump.pack,
    unpack=stream_dump.unpack,
)

KINDS: Final[dict[int, Kind]] = {
    strings.LETTER: STRING,
    strings.COUNT_LETTER: STRING,
    hashes.LETTER[0]: HASH,
    sets.LETTER[0]: SET,
    sorted_sets.LETTER[0]: SORTED_SET,
    lists.LETTER[0]: LIST,
    stream_order.LETTER[0]: STREAM,
    stream_order.ENTRY[0]: STREAM,
}


def check_kinds() -> None:
    """Assert that the table is sound: no name and no number in a dump stands for two kinds."""
    kinds = {id(kind): kind for kind in KINDS.values()}.values()
    names = [kind.name for kind in kinds]
    numbers = [number for kind in kinds for number in kind.dump_numbers]
    assert len(names) == len(set(names)), names
    assert all(kind.dump_numbers for kind in kinds), "DUMP needs a number"
    assert len(numbers) == len(set(numbers)), numbers
    # Behind `b` and `c`, by whose place a counter is known (`counters.has_runs`).
    assert all(strings.COUNT_LETTER <= letter < 128 for letter in KINDS), sorted(KINDS)
    assert strings.REMARK_LETTER not in KINDS, "a remark makes no key exist"


check_kinds()


def kinds_in(record: bytes) -> list[Kind]:
    """The kinds that are alive in a record, expired or not, the one that is shown first."""
    if not record or not record[1] & codec.LIVE:
        return []
    if record[1] & PLAIN:
        return [STRING]
    record = outline(record)
    letters = codec.letters_of(record)
    kinds = {kind.name: kind for letter in letters if (kind := KINDS.get(letter)) is not None}
    if len(kinds) < 2:
        return list(kinds.values())
    newest = dict.fromkeys(kinds, b"")
    is_map = record[1] & ELEMENTS       # then nothing that shows an age is among its elements
    for element, dot, payload in key_entries_of(record) if is_map else codec.entries_of(record):
        if element[:1] == BIRTH:
            kind = KINDS.get(payload[8])
        else:
            kind = KINDS.get(element[0]) if element and element[:1] not in INLINE else None
        if kind is not None and kind.name in newest:
            newest[kind.name] = max(newest[kind.name], payload[:8] + dot)
    order = sorted(kinds, key=lambda name: newest[name], reverse=True)
    return [kinds[name] for name in order if kinds[name].ends_at(record) is not None]


def kind_of(record: bytes) -> Kind | None:
    """The kind that is shown, expired or not; None if the key holds nothing."""
    found = kinds_in(record)
    return found[0] if found else None


def is_kind(record: bytes, kind: Kind, now_ms: int) -> bool:
    """Whether there is a value of this kind; False if the key is absent or expired.

    Raises `ReplyError`, WRONGTYPE, if there is one of another kind.
    """
    shown = kind_of(record)
    if shown is None or not exists(record, now_ms):
        return False
    if shown.name != kind.name:
        raise ReplyError(WRONG_TYPE)
    return True


def text(record: bytes, now_ms: int) -> bytes | None:
    """The string of a key; None if the key is absent or expired. Raises `ReplyError`, WRONGTYPE."""
    if record and not record[1] & PLAIN:
        shown = kind_of(record)
        if shown is not STRING and not is_kind(record, STRING, now_ms):
            return None
    return strings.value(record, now_ms)


def view(record: bytes, now_ms: int) -> memoryview | None:
    """As `text`, without a copy: for commands that read a part of what may be half a gigabyte."""
    if record and not record[1] & PLAIN:
        shown = kind_of(record)
        if shown is not STRING and not is_kind(record, STRING, now_ms):
            return None
    return strings.view(record, now_ms)


def ends_at(record: bytes) -> int | None:
    """When the key expires, in ms, be it past; 0 if it does not; None if it holds nothing."""
    if not record:
        return None
    form = record[1]
    if form == LONE:
        return 0
    if form == LONE_EXPIRING:
        return _u64(record[46:54])
    kind = kind_of(record)
    return None if kind is None else kind.ends_at(record)


def expire_at(record: bytes, now_ms: int) -> int | None:
    """When the key expires, in ms; 0 if it does not; None if it is absent or expired."""
    at = ends_at(record)
    if not at:
        return at
    if at <= now_ms:
        return None
    kind = None if record[1] & PLAIN else kind_of(record)
    return at if kind is None or kind.expires_at is None else kind.expires_at(record)


def exists(record: bytes, now_ms: int) -> bool:
    """Whether there is a value, and it has not expired."""
    if not record:
        return False
    if record[1] == LONE:
        return True
    at = ends_at(record)
    return at is not None and (at == 0 or at > now_ms)


def is_expired(record: bytes, now_ms: int) -> bool:
    """Whether there is a value, and it has expired; False for a tombstone or an absent key."""
    at = ends_at(record)
    return at is not None and 0 < at <= now_ms


def is_timed(record: bytes) -> bool:
    """Whether there is a value with an expiry, past or to come."""
    return bool(record) and (
        record[1] == LONE_EXPIRING
        or (record[1] & LIVE_EXPIRING == LIVE_EXPIRING and bool(expire_at(record, 0)))
    )


def ends_ms(record: bytes) -> int:
    """When a value with a time to live is over that covers nothing but itself; 0 for all others.

    Nothing that is older than it can come back by its absence, for it has made nothing void. Not
    so if it covers another, even one that ends sooner: a replica that has not seen the covering
    write may have prolonged that one (EXPIRE, PERSIST), and would bring it back.
    """
    if not record or record[1] != LONE_EXPIRING or _u64(record[38:46]) - _u64(record[30:38]) != 1:
        return 0
    return max(_u64(record[46:54]), _u64(record[6:14]) >> _CLOCK_BITS)


def kind_at(record: bytes, now_ms: int) -> str:
    """What TYPE answers of a key; "" if it is absent or expired."""
    if not exists(record, now_ms):
        return ""
    kind = kind_of(record)
    return "" if kind is None else kind.name


def written_ms(record: bytes) -> int:
    """When it was last written, in ms since 1970, by the writer's clock."""
    return codec.max_clock(record) >> _CLOCK_BITS


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    """All versions alive and not expired, the one that is shown first; none if that has expired."""
    found: list[bytes] = []
    for kind in kinds_in(record):
        versions = kind.siblings(record, now_ms)
        if not found and not versions:
            return []
        found += versions
    return found


def is_contested(delta: bytes, record: bytes) -> bool:
    """Whether a record that a delta was joined into holds siblings beside what that has written."""
    kind = kind_of(delta) if delta[1] & ELEMENTS else None
    if kind is None or kind.is_contested is None:
        return len(siblings(record, 0)) > 1
    return kind.is_contested(delta, record)


def size(record: bytes) -> int:
    """How many elements a key shows; 0 if it is no collection."""
    kind = kind_of(record)
    if kind is HASH:
        return hashes.count(hashes.view_of(record, 0))
    if kind is LIST:
        return lists.count(lists.view_of(record, 0))
    if kind is STREAM:
        return streams.count(streams.view_of(record, 0))
    return sets.count(sets.view_of(record, 0)) if kind is SET else 0


def over(record: bytes, now_ms: int) -> int:
    """How many fields of a key that shows a hash have expired, and are not covered yet."""
    if not record or record[1] & ELEMENTS_EXPIRING != ELEMENTS_EXPIRING:
        return 0
    return hashes.over(record, now_ms) if kind_of(record) is HASH else 0


def pack(record: bytes, now_ms: int) -> bytes:
    """The content of a key that is there, for another key of ours."""
    kind = kind_of(record)
    assert kind is not None, "who packs a key has seen it"
    return (kind.pack or kind.dump)(record, now_ms)


def live_entries(record: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(element, dot as 24 bytes, payload) of each entry that makes the key exist."""
    return [
        entry for entry in codec.entries_of(outline(record))
        if entry[0] and entry[0][0] in KINDS
    ]


def lives(delta: bytes, record: bytes) -> bool:
    """Whether anything that a delta wrote is alive in a record."""
    if record and record[1] & ELEMENTS:
        there = {(element, dot) for element, dot, _ in key_entries_of(record)}
        return any(
            any(held == dot for held, _ in big.cells_of(record, element))
            if element[:1] in INLINE else (element, dot) in there
            for element, dot, _ in live_entries(delta)
        )
    there = {(element, dot) for element, dot, _ in codec.entries_of(outline(record))}
    return any((element, dot) in there for element, dot, _ in live_entries(delta))


def expire(record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """EXPIRE, and PERSIST with 0: a delta; b"" if the key holds nothing."""
    kind = kind_of(record)
    return b"" if kind is None else kind.expire(record, stamp, at_ms)


def is_crowded(record: bytes) -> bool:
    """Whether a context has so many intervals that a write to its key is refused."""
    if not record or record[1] & codec.PLAIN:
        return False
    return len(codec.rows_of(record)) >= codec.ROW_BYTES * INTERVALS_MOST


def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """What made `delta` once more, over all that is in `record`."""
    kind = kind_of(delta)
    assert kind is not None, "who removes covers no siblings"
    return kind.cover(delta, record, stamp)


def remove(record: bytes, stamp: Stamp) -> bytes:
    """DEL: the new state of the key, which covers everything `record` holds; b"" if nothing lives.

    It needs a new dot, that of `stamp`, only to reset a counter that others incremented.
    """
    if not codec.is_live(record):
        return b""
    rows = codec.rows_of(record)
    left = resets.left(outline(record), stamp)
    if resets.has_dot(left, stamp):
        rows = codec.claim_rows(rows, *stamp[:3])
    return codec.encode_entries(rows, left)


def remove_context(context: Context, stamp: Stamp | None = None, record: bytes = b"") -> bytes:
    """DELCTX: a delta that removes exactly what the client has read; b"" if that is nothing.

    `stamp` and `record` as for `strings.put`.
    """
    if not context:
        return b""
    rows = codec.encode_rows(context)
    if stamp is None:
        return codec.encode_tombstone(rows)
    left = resets.left_within(outline(record), stamp, rows)
    if left:
        rows = codec.encode_rows(strings.context_with_dot(context, stamp, record))
    return codec.encode_entries(rows, left)
