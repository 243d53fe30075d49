"""A stream as Redis writes it into a dump, and as it goes from one key to another.

    nodes: count, and of each: the id of its first entry, 16 bytes, as a string; a listpack, as one
    length | last id | first id | highest id of XDEL | entries ever added          numbers
    groups: count, and of each: name | last id | entries read
            | pending: count, and of each: id, 16 bytes | given u64, ms | how often
            | consumers: count, and of each: name | seen u64, ms | pending: count, ids

A listpack begins with how many entries it has, how many are deleted, the number of fields of the
first and their names, 0. An entry: flags, what its id is above that of the node, and its values if
the fields are those of the first; else their number, and fields and values; and how many items
that were. Times are little-endian. The older form lacks what is behind the last id, and what a
group has read.

Source: Redis `rdb.c` (RDB_TYPE_STREAM_LISTPACKS_2), `t_stream.c` (streamAppendItem).
"""

from typing import Final, NamedTuple

from respdyn.causal.dot import Stamp
from respdyn.causal.rows import rows_of_dots
from respdyn.types import stream_groups, streams
from respdyn.types.dump import (
    DumpError,
    integer_of,
    pack_count,
    pack_string,
    unpack_count,
    unpack_number,
    unpack_string,
)
from respdyn.types.packed import pack_listpack, unpack_listpack
from respdyn.types.stream_groups import UNKNOWN, Group, Pending, PendingList
from respdyn.types.stream_order import ID_BYTES, order_of
from respdyn.types.streams import NODE_ENTRIES, ZERO_ID, Whole
from respdyn.types.view import Draft, View, never

_OLD: Final = 15
_NEW: Final = 19
DUMP_NUMBERS: Final[tuple[int, ...]] = (_OLD, _NEW)
_NODE_BYTES: Final = 4096       # Redis's `stream-node-max-bytes`
_ITEM_BYTES: Final = 7          # that an item of a listpack may take besides its bytes
_SAME: Final = 2                # flags of an entry
_DELETED: Final = 1
_ALL: Final = 1 << 64
_u64: Final = int.from_bytes

Entry = tuple[bytes, list[bytes]]       # id, fields and values


class _Group(NamedTuple):
    """A group in a dump."""

    name: bytes
    last: bytes
    read: int
    pending: dict[bytes, Pending]       # by id
    consumers: dict[bytes, int]         # when they were seen


def _wrong() -> DumpError:
    return DumpError("Bad data format")


# ---- writing ----

def dump(record: bytes, now_ms: int) -> bytes:
    """Number and content of a dump."""
    view = streams.view_of(record, now_ms)
    entries = [
        (element[1:], fields) for element in order_of(view).first(streams.count(view))
        for fields in streams.entries_of(view, element)
    ]
    whole = streams.whole_of(view)
    first = entries[0][0] if entries else ZERO_ID
    groups = [_pack_group(view, name) for name in stream_groups.groups_of(view)]
    nodes = _nodes(entries)
    return b"".join((
        bytes([_NEW]), pack_count(len(nodes)), *nodes, pack_number(len(entries)),
        _pack_id(whole.last), _pack_id(first), _pack_id(whole.deleted), pack_number(whole.added),
        pack_count(len(groups)), *groups,
    ))


def pack_number(number: int) -> bytes:
    """A number of 64 bits, as a length."""
    return pack_count(number) if number < 1 << 32 else b"\x81" + number.to_bytes(8)


def _pack_id(id_: bytes) -> bytes:
    return pack_number(_u64(id_[:8])) + pack_number(_u64(id_[8:]))


def _nodes(entries: list[Entry]) -> list[bytes]:
    nodes: list[bytes] = []
    held: list[Entry] = []
    size = 0
    for id_, fields in entries:
        entry_bytes = sum(len(field) + _ITEM_BYTES for field in fields)
        if held and (len(held) == NODE_ENTRIES or size + entry_bytes > _NODE_BYTES
                     or held[-1][0] == id_):
            nodes.append(_node(held))
            held, size = [], 0
        held.append((id_, fields))
        size += entry_bytes
    return [*nodes, _node(held)] if held else nodes


def _node(entries: list[Entry]) -> bytes:
    base = entries[0][0]
    names = entries[0][1][::2]
    items = [b"%d" % len(entries), b"0", b"%d" % len(names), *names, b"0"]
    for id_, fields in entries:
        above = [_signed(_u64(id_[:8]) - _u64(base[:8])), _signed(_u64(id_[8:]) - _u64(base[8:]))]
        is_same = fields[::2] == names
        stated = fields[1::2] if is_same else [b"%d" % (len(fields) // 2), *fields]
        items += [b"2" if is_same else b"0", *above, *stated, b"%d" % (3 + len(stated))]
    return pack_string(base) + pack_string(pack_listpack(items))


def _signed(number: int) -> bytes:
    return b"%d" % ((number + (_ALL >> 1)) % _ALL - (_ALL >> 1))


def _pack_group(view: View, name: bytes) -> bytes:
    group = stream_groups.group_of(view, name)
    assert group is not None
    pending = PendingList(view, name)
    parts = [
        pack_string(name), _pack_id(group.last), pack_number(group.read % _ALL),
        pack_count(pending.count()),
    ]
    for element in pending.between(ZERO_ID):
        held = stream_groups.pending_of(view, element)
        assert held is not None
        parts += [element[-ID_BYTES:], held.given_ms.to_bytes(8, "little"), pack_number(held.times)]
    by_consumer = pending.by_consumer()
    consumers = stream_groups.consumers_of(view, name)
    parts.append(pack_count(len(consumers)))
    for consumer, seen_ms in consumers.items():
        ids = [element[-ID_BYTES:] for element in by_consumer.get(consumer, [])]
        parts += [
            pack_string(consumer), seen_ms.to_bytes(8, "little"), pack_count(len(ids)), *ids,
        ]
    return b"".join(parts)


# ---- reading ----

class _Reader:
    """Goes through a dump. Raises `DumpError`."""

    def __init__(self, packed: bytes, at: int) -> None:
        self._packed = packed
        self.at = at

    def count(self) -> int:
        """How many things follow, each of a byte at least."""
        found, self.at = unpack_count(self._packed, self.at)
        if found > len(self._packed) - self.at:
            raise _wrong()
        return found

    def number(self) -> int:
        """A number of up to 64 bits."""
        found, self.at = unpack_number(self._packed, self.at)
        return found

    def string(self) -> bytes:
        """A string."""
        found, self.at = unpack_string(self._packed, self.at)
        return found

    def id(self) -> bytes:
        """An id as two numbers."""
        ms = self.number()
        return streams.id_of(ms, self.number())

    def bytes(self, size: int) -> bytes:
        """So many bytes."""
        found = self._packed[self.at : self.at + size]
        if len(found) < size:
            raise _wrong()
        self.at += size
        return found

    def time_ms(self) -> int:
        """A time; one before 1970 counts as that."""
        found = int.from_bytes(self.bytes(8), "little", signed=True)
        return max(found, 0)

    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.at == len(self._packed)


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key from number and content of a dump. Raises `DumpError`."""
    reader = _Reader(packed, 1)
    entries, whole, groups = _read(reader, packed[0])
    if not reader.is_over():
        raise _wrong()
    return _made(record, stamp, at_ms, entries, whole, groups, {})


def _read(reader: _Reader, number: int) -> tuple[list[Entry], Whole, list[_Group]]:
    entries: list[Entry] = []
    for _ in range(reader.count()):
        base = reader.string()
        found = _entries_in(base, reader.string()) if len(base) == ID_BYTES else []
        if not found or (entries and found[0][0] < entries[-1][0]):
            raise _wrong()
        entries += found
    length, last = reader.number(), reader.id()
    deleted, added = ZERO_ID, length
    if number == _NEW:
        reader.id()
        deleted, added = reader.id(), reader.number()
    if length != len(entries) or (entries and last < entries[-1][0]):
        raise _wrong()
    groups = [_read_group(reader, number) for _ in range(reader.count())]
    if len({group.name for group in groups}) < len(groups):
        raise _wrong()
    return entries, Whole(last, deleted, added), groups


def _entries_in(base: bytes, packed: bytes) -> list[Entry]:
    """The entries of a node."""
    items = unpack_listpack(packed)
    items.reverse()
    entries: list[Entry] = []
    try:
        left, gone = _taken(items), _taken(items)
        names = _several(items, _taken(items))
        if items.pop() != b"0":
            raise _wrong()
        while items:
            size = len(items)
            flags = _taken(items)
            ms, seq = (_number(items.pop()) + _u64(half) for half in (base[:8], base[8:]))
            if flags & _SAME:
                values = _several(items, len(names))
                fields = [part for pair in zip(names, values, strict=True) for part in pair]
            else:
                fields = _several(items, 2 * _taken(items))
            if size - len(items) != _taken(items):
                raise _wrong()
            if flags & _DELETED:
                gone -= 1
                continue
            left -= 1
            id_ = streams.id_of(ms % _ALL, seq % _ALL)
            if entries and id_ < entries[-1][0]:
                raise _wrong()
            entries.append((id_, fields))
    except IndexError:
        raise _wrong() from None
    if left or gone:
        raise _wrong()
    return entries


def _number(item: bytes) -> int:
    number = integer_of(item, 20)
    if number is None:
        raise _wrong()
    return number


def _taken(items: list[bytes]) -> int:
    number = _number(items.pop())
    if number < 0:
        raise _wrong()
    return number


def _several(items: list[bytes], count: int) -> list[bytes]:
    """So many of the items."""
    if count > len(items):
        raise _wrong()
    return [items.pop() for _ in range(count)]


def _read_group(reader: _Reader, number: int) -> _Group:
    name, last = reader.string(), reader.id()
    read = reader.number() if number == _NEW else UNKNOWN % _ALL
    read -= _ALL if read >> 63 else 0
    if read < UNKNOWN:
        raise _wrong()
    pending: dict[bytes, Pending] = {}
    for _ in range(reader.count()):
        id_, given_ms = reader.bytes(ID_BYTES), reader.time_ms()
        if id_ in pending:
            raise _wrong()
        pending[id_] = Pending(b"", given_ms, reader.number())
    owned: dict[bytes, bytes] = {}
    consumers: dict[bytes, int] = {}
    for _ in range(reader.count()):
        consumer = reader.string()
        if consumer in consumers:
            raise _wrong()
        consumers[consumer] = reader.time_ms()
        for _ in range(reader.count()):
            id_ = reader.bytes(ID_BYTES)
            if id_ in owned or id_ not in pending:
                raise _wrong()
            owned[id_] = consumer
    if len(owned) < len(pending):
        raise _wrong()          # pending with no consumer
    whole = {id_: held._replace(consumer=owned[id_]) for id_, held in pending.items()}
    return _Group(name, last, read, whole, consumers)


def _made(
    record: bytes, stamp: Stamp, at_ms: int, entries: list[Entry], whole: Whole,
    groups: list[_Group], late: dict[bytes, set[bytes]],
) -> bytes:
    """The new state of a key. `late`: of each group, ids up to its last one that it was not given.
    """
    draft = Draft(record, 0, streams.STREAM, never, stamp)
    streams.write_whole(draft, whole)
    draft.expire_key(at_ms)
    dots: dict[bytes, list[bytes]] = {}
    for id_, fields in entries:
        dots.setdefault(id_, []).append(streams.add_beside(draft, id_, fields))
    for group in groups:
        missing = late.get(group.name, set())
        given = [
            dot for id_, held in dots.items() if id_ <= group.last and id_ not in missing
            for dot in held
        ]
        start = bytes(4) + draft.next_dot()
        rows = rows_of_dots(given)
        passed = group.last if group.last > whole.last else ZERO_ID
        stream_groups.write_group(
            draft, group.name, Group(start, group.last, passed, group.read, rows))
        for consumer, seen_ms in group.consumers.items():
            stream_groups.write_seen(draft, group.name, consumer, seen_ms)
        for id_, pending in group.pending.items():
            stream_groups.write_pending(draft, stream_groups.pending_name(group.name, id_), pending)
    return draft.delta()


# ---- between keys ----

def pack(record: bytes, now_ms: int) -> bytes:
    """A dump, and behind it what of its groups a dump does not have: the late entries."""
    view = streams.view_of(record, now_ms)
    parts: list[bytes] = []
    for name in stream_groups.groups_of(view):
        group = stream_groups.group_of(view, name)
        assert group is not None
        late = [element[1:] for element in stream_groups.late_entries(view, name, group)]
        parts += [pack_string(name), pack_count(len(late)), *late]
    return dump(record, now_ms) + b"".join(parts)


def unpack(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key that is given what `pack` made. Raises `DumpError`."""
    reader = _Reader(packed, 1)
    entries, whole, groups = _read(reader, packed[0])
    late: dict[bytes, set[bytes]] = {}
    for _ in groups:
        name = reader.string()
        late[name] = {reader.bytes(ID_BYTES) for _ in range(reader.count())}
    if not reader.is_over():
        raise _wrong()
    return _made(record, stamp, at_ms, entries, whole, groups, late)

