"""The stream: entries, each an element of its own, named by its id.

    e  id (ms u64, seq u64)     clock u64, fields and values      an entry; never changed
    g  \\0                       clock u64, last id, highest id of XDEL, entries ever added
    g  \\1 group                 `stream_groups`, and so are `p` and `u`

What is written of the stream as a whole covers what was seen of it; of several, each number counts
at its highest. A stream without entries lives by that element. An entry is covered by what has
seen it: XDEL and trimming. The same id given at both sides of a cut is one element with two
entries, and both are shown.

Source: Redis `t_stream.c`; decision 0058.
"""

from struct import Struct
from typing import Final, NamedTuple

from respdyn.causal.dot import Stamp
from respdyn.types import keyed
from respdyn.types.stream_order import ENTRY, ID_BYTES, LETTER, order_of
from respdyn.types.view import Draft, ElementKind, View, always, has_cells

WHOLE: Final = LETTER + b"\0"
ZERO_ID: Final = bytes(ID_BYTES)
LAST_ID: Final = b"\xff" * ID_BYTES
NODE_ENTRIES: Final = 100       # that `~` trims at once: Redis's `stream-node-max-entries`

_CLOCK: Final = 8
_SHORT: Final = 255             # a longer field has its length behind this byte
_pack_whole: Final = Struct(">Q16s16sQ").pack
_unpack_whole: Final = Struct(">Q16s16sQ").unpack_from
_u64: Final = int.from_bytes
_OWN: Final = 1 << 47           # from here on sequence numbers are some node's own: `own_part`
_SIGNED: Final = 1 << 63


class Whole(NamedTuple):
    """What is known of a stream besides its entries."""

    last: bytes         # the highest id that was ever given, or XSETID's
    deleted: bytes      # the highest id that XDEL has removed; 0-0 for none
    added: int          # entries that were ever added


NOTHING: Final = Whole(ZERO_ID, ZERO_ID, 0)


class Trim(NamedTuple):
    """What XADD and XTRIM are to remove: so many that `most` are left, or all ids below `below`."""

    most: int           # -1: by `below`
    below: bytes
    is_rough: bool      # `~`: whole nodes of Redis
    limit: int          # at most so many, if it is rough; 0 for no limit


# ---- ids ----

def id_of(ms: int, seq: int) -> bytes:
    """An id as bytes; their order is that of ids."""
    return ms.to_bytes(8) + seq.to_bytes(8)


def shown(id_: bytes) -> bytes:
    """An id as clients see it.

    >>> shown(id_of(1526919030474, 55))
    b'1526919030474-55'
    """
    return b"%d-%d" % (_u64(id_[:8]), _u64(id_[8:]))


def above(id_: bytes) -> bytes:
    """The next higher id; b"" if there is none."""
    return b"" if id_ == LAST_ID else (_u64(id_) + 1).to_bytes(ID_BYTES)


def below(id_: bytes) -> bytes:
    """The next lower id; b"" if there is none."""
    return b"" if id_ == ZERO_ID else (_u64(id_) - 1).to_bytes(ID_BYTES)


def next_id(last: bytes, ms: int, own: int) -> bytes:
    """The id of an entry whose id the server is to choose.

    `ms`: the clock; `own`: 0, or where this node is not the first of the key's owners, a number
    that no other node gives. So what both sides of a cut add has different ids. b"" if there is
    none above the last.
    """
    last_ms, last_seq = _u64(last[:8]), _u64(last[8:])
    if ms > last_ms:
        return id_of(ms, own)
    if own > last_seq:
        return id_of(last_ms, own)
    if (own or _OWN <= last_seq < _SIGNED) and last[:8] != LAST_ID[:8]:
        return id_of(last_ms + 1, own)      # what follows the last may be another node's
    return above(last)


def next_of_ms(last: bytes, first: bytes, own: int) -> bytes:
    """The id of an entry of whose id a client gave the milliseconds: those of `first`, `ms-0`.

    b"" if there is none.
    """
    if last[:8] != first[:8]:
        return first[:8] + own.to_bytes(8)
    found = next_id(last, 0, own)
    return found if found[:8] == last[:8] else b""


def own_part(stamp: Stamp) -> int:
    """A sequence number that no other actor gives, and that grows with the counter."""
    return (_u64(stamp[0][:2]) | 1) * _OWN | stamp[1] & _OWN - 1


# ---- looking ----

def count(view: View) -> int:
    """How many entries there are."""
    return view.count_of(ENTRY)


def whole_of(view: View) -> Whole:
    """What is known of the stream besides its entries."""
    cells = view.cells(WHOLE)
    if cells:
        found = [_unpack_whole(payload) for _, payload in cells]
        return Whole(*[max(one[at] for one in found) for at in (1, 2, 3)])
    if not view.open():
        return NOTHING
    order = order_of(view)      # of a stream that was deleted while another client added to it
    last = order.last(1)
    return Whole(last[0][1:], ZERO_ID, order.count()) if last else NOTHING


def first_id(view: View) -> bytes:
    """The id of the first entry; 0-0 if there is none."""
    if not count(view):
        return ZERO_ID
    return order_of(view).first(1)[0][1:]


def last_id(view: View) -> bytes:
    """The id of the last entry; 0-0 if there is none."""
    if not count(view):
        return ZERO_ID
    return order_of(view).last(1)[0][1:]


def entries_of(view: View, element: bytes) -> list[list[bytes]]:
    """Fields and values of what has this id: usually one entry, or none."""
    return [fields_of(payload) for _, payload in view.cells(element)]


def fields_of(payload: bytes) -> list[bytes]:
    """Fields and values, in turn."""
    found: list[bytes] = []
    at, end = _CLOCK, len(payload)
    while at < end:
        size = payload[at]
        at += 1
        if size == _SHORT:
            size = _u64(payload[at : at + 4])
            at += 4
        found.append(payload[at : at + size])
        at += size
    return found


def _packed(clock: int, fields: list[bytes]) -> bytes:
    parts = [clock.to_bytes(_CLOCK)]
    for field in fields:
        size = len(field)
        parts.append(bytes([size]) if size < _SHORT else b"\xff" + size.to_bytes(4))
        parts.append(field)
    return b"".join(parts)


def trimmed(view: View, new: bytes, trim: Trim) -> list[bytes]:
    """The elements that are to go; `new` is that of an entry that is yet to be added, or b""."""
    total = count(view) + bool(new)
    if trim.most >= 0 and total <= trim.most:
        return []
    order = order_of(view)
    if trim.most >= 0:
        wanted = total - trim.most
    else:
        wanted = order.count_below(ENTRY + trim.below) + (b"" < new < ENTRY + trim.below)
    if trim.is_rough:
        wanted = _whole_nodes(wanted, total, trim.limit)
    gone = order.first(wanted)
    if len(gone) < wanted:
        gone.append(new)
    return gone


def _whole_nodes(wanted: int, total: int, limit: int) -> int:
    """How many of those entries fill nodes of Redis's; the last node may be a short one."""
    nodes = wanted // NODE_ENTRIES
    if limit:
        nodes = min(nodes, limit // NODE_ENTRIES)
    left = total - nodes * NODE_ENTRIES
    gone = nodes * NODE_ENTRIES
    if left < NODE_ENTRIES and wanted == total and not (limit and total > limit):
        return total
    return gone


# ---- changing ----

def write_whole(draft: Draft, whole: Whole) -> None:
    """Say what is known of the stream besides its entries."""
    draft.begin()
    clock = keyed.clock_above(draft.stamp, draft.highest(draft.cells(WHOLE)))
    draft.put(WHOLE, _pack_whole(clock, *whole))


def add(draft: Draft, id_: bytes, fields: list[bytes]) -> None:
    """An entry."""
    draft.put(ENTRY + id_, _packed(draft.clock, fields))


def add_beside(draft: Draft, id_: bytes, fields: list[bytes]) -> bytes:
    """The same beside others of that id; its dot. After `begin`."""
    return draft.add(ENTRY + id_, _packed(draft.clock, fields))


def _prepare(draft: Draft) -> None:
    """Who changes a stream leaves it something to live by."""
    if not draft.cells(WHOLE):
        whole = whole_of(View(draft.record, draft.now_ms, STREAM, always))
        draft.put(WHOLE, _pack_whole(draft.clock, *whole))


# ---- the key ----

def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """What `delta` wrote of the stream as a whole, once more: beside a value of another type."""
    draft = Draft(record, 0, STREAM, always, stamp)
    write_whole(draft, whole_of(draft))
    return draft.delta()


def encoding(record: bytes) -> bytes:
    """What OBJECT ENCODING answers."""
    return b"stream"


def view_of(record: bytes, now_ms: int) -> View:
    """All that a record has of a stream, whatever type it shows, expired or not."""
    return View(record, now_ms, STREAM, always)


STREAM: Final[ElementKind] = ElementKind(LETTER, _prepare, has_cells)
