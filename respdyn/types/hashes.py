"""The hash: fields that hold a value each, which may be a number that is incremented.

Element `f` + the field's name; what its cells say is in `fields`. A field has a time to live
of its own by remarks: element `t` + the field's element + what it is bound to (24 bytes: the dot of
the winning value, or of a field without one the name of each run), payload clock u64, expire_at u64
(0 = HPERSIST). So HSET ends it, HINCRBY does not; the longest holds, HPERSIST beats any. What has
expired is not seen; the next write to the key covers it.

HSET beside HSET: the later one is shown. HSET beside HDEL: the field stays. HINCRBY beside HINCRBY
or HSET: both count.

Source: Redis `t_hash.c`; decision 0036; SEMANTICS 6.
"""

from typing import Final

from respdyn.causal import big, codec
from respdyn.causal.dot import Stamp
from respdyn.causal.rows import covers, edges_of
from respdyn.types import fields, keyed, registers
from respdyn.types.chance import Chance
from respdyn.types.dump import DumpError, pack_count, pack_string, unpack_count, unpack_string
from respdyn.types.fields import Shown
from respdyn.types.keyed import ELEMENT_REMARK, Cells, clock_above
from respdyn.types.packed import (
    pack_items,
    pack_listpack,
    unpack_items,
    unpack_listpack,
    unpack_ziplist,
    unpack_zipmap,
)
from respdyn.types.view import Draft, ElementKind, View, always, never

LETTER: Final[bytes] = b"f"
LISTPACK_ENTRIES_MAX: Final = 512       # as Redis's `hash-max-listpack-entries` and its value limit
LISTPACK_VALUE_MAX: Final = 64
SOME_MIN: Final = 128           # fields of which some are chosen without reading all
SOME_MAX: Final = 1000                  # fields chosen one by one; of more, all are read
_DOT: Final = 24
_u64: Final = int.from_bytes


# ---- looking ----

def value(view: View, field: bytes) -> bytes | None:
    """A field's value; None if it is not there."""
    found = look(view, LETTER + field)
    return None if found is None else found.text


def items(view: View) -> list[tuple[bytes, bytes]]:
    """Fields and values, sorted by field."""
    pairs = []
    for element in view.elements():
        found = look(view, element)
        if found is not None:
            pairs.append((element[1:], found.text))
    return pairs


def some(view: View, chance: Chance, count: int) -> list[bytes]:
    """So many fields chosen at random, or all; a big hash is not read whole for that."""
    if is_numbered(view) and view.size() > SOME_MIN and count <= SOME_MAX:
        return [view.nth(at)[1:] for at in chance.sample(view.size(), count)]
    pairs = items(view)
    return [pairs[at][0] for at in chance.sample(len(pairs), count)]


def is_numbered(view: View) -> bool:
    """Whether every element of a big record is a field that is there, found by its number."""
    return (
        view.is_big() and big.is_plain(view.record) and not view.has_any(ELEMENT_REMARK)
    )


def count(view: View) -> int:
    """How many fields there are: from the head of a big hash whose fields are plain values."""
    if is_numbered(view):
        return view.size()
    return sum(look(view, element) is not None for element in view.elements())


def look(view: View, element: bytes) -> Shown | None:
    """What a field shows now; None if it is not there, or has expired."""
    cells = view.cells(element)
    if not cells:
        return None
    found = fields.shown(cells, registers.key_sums(view))
    if found is None:
        return None
    at = view.remark_at(element, found.bound_to)
    return None if 0 < at <= view.now_ms else found


def is_live(view: View, element: bytes) -> bool:
    """Whether a field is there, its time to live aside."""
    cells = view.cells(element)
    return bool(cells) and fields.shown(cells, registers.key_sums(view)) is not None


def over(record: bytes, now_ms: int) -> int:
    """How many fields of a record have expired, and are not covered yet."""
    view = view_of(record, now_ms)
    if not view.has_any(ELEMENT_REMARK):
        return 0
    return sum(
        is_live(view, element) and look(view, element) is None for element in view.elements()
    )


def ends_at(view: View, field: bytes) -> int | None:
    """When a field expires, in ms; 0 if it does not; None if it is not there."""
    element = LETTER + field
    found = look(view, element)
    return None if found is None else view.remark_at(element, found.bound_to)


# ---- changing ----

def put(draft: Draft, field: bytes, new: bytes) -> None:
    """HSET: a value in place of all that the field has; its time to live ends."""
    draft.begin()
    element = LETTER + field
    _drop_remarks(draft, element, draft.cells(element))
    registers.write(draft, element, new)


def remove(draft: Draft, field: bytes) -> bool:
    """HDEL: whether the field was there."""
    element = LETTER + field
    if look(draft, element) is None:
        return False
    draft.begin()
    _remove(draft, element)
    return True


def add(draft: Draft, field: bytes, amount: int) -> None:
    """HINCRBY by so many units; a field that is not there is 0."""
    registers.move(draft, LETTER + field, amount, 1)


def expire(draft: Draft, field: bytes, at_ms: int) -> None:
    """HEXPIRE of a field that is there, and HPERSIST with 0."""
    draft.begin()
    element = LETTER + field
    found = look(draft, element)
    assert found is not None, "who expires a field has seen it"
    for name in found.bound_to:
        remark = ELEMENT_REMARK + element + name
        clock = clock_above(draft.stamp, draft.highest(draft.cells(remark)))
        draft.put(remark, clock.to_bytes(8) + at_ms.to_bytes(8))


def prepare(draft: Draft) -> None:
    """Before a hash is changed: cover the fields that have expired, and remarks on nothing."""
    if not draft.has_any(ELEMENT_REMARK):
        return
    remarks = draft.elements_of(ELEMENT_REMARK)
    edges = edges_of(codec.rows_of(draft.record))
    for remark in remarks:
        element, name = remark[1:-_DOT], remark[-_DOT:]
        cells = draft.cells(element)
        if is_live(draft, element) and look(draft, element) is None:
            _remove(draft, element)
        elif covers(edges, name) and not _is_bound(cells, name):
            draft.drop(remark)


def _remove(draft: Draft, element: bytes) -> None:
    _drop_remarks(draft, element, draft.cells(element))
    registers.erase(draft, element)


def _drop_remarks(draft: Draft, element: bytes, cells: Cells) -> None:
    """Cover the remarks on what these cells are."""
    for dot, payload in cells:
        name = fields.run_in(payload)[0] if payload[8] == fields.RUN else dot
        remark = ELEMENT_REMARK + element + name
        if draft.cells(remark):
            draft.drop(remark)


def _is_bound(cells: Cells, name: bytes) -> bool:
    """Whether a remark with this name is on one of these cells."""
    return any(
        fields.run_in(payload)[0] == name if payload[8] == fields.RUN else dot == name
        for dot, payload in cells
    )


# ---- the key ----

def key_ends_at(record: bytes) -> int | None:
    """When a key that shows a hash is over, in ms, be it past; 0 for never; None if nothing lives.

    That is by the time to live of the key, or when the last of its fields has expired.
    """
    if not record[1] & codec.EXPIRES and fields.begins_with_value(record, LETTER):
        return 0
    at = keyed.key_expires_at(LETTER, record)
    view = view_of(record, 0)
    if not view.has_any(ELEMENT_REMARK) and registers.begins_alive(view):
        return at
    if big.is_plain(record) and view.count_of(ELEMENT_REMARK) < view.size():
        return at               # a remark is on one field, so a field is without one
    ends = [
        view.remark_at(element, found.bound_to) for element in view.elements()
        if (found := look(view, element)) is not None
    ]
    if not ends:
        return None
    if 0 in ends:
        return at
    return min(at, max(ends)) if at else max(ends)


def view_of(record: bytes, now_ms: int) -> View:
    """All fields of a record, whatever type it shows and whether or not the key has expired."""
    return View(record, now_ms, FIELDS, always)


def is_listpack(pairs: list[tuple[bytes, bytes]]) -> bool:
    """Whether Redis would keep these pairs in a listpack."""
    return len(pairs) <= LISTPACK_ENTRIES_MAX and all(
        len(field) <= LISTPACK_VALUE_MAX and len(held) <= LISTPACK_VALUE_MAX
        for field, held in pairs
    )


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    """The values that stand side by side in the field that has most of them, the winner first; of
    a hash without such a field one version, b""."""
    if big.is_plain(record):
        return [b""]
    return registers.values_of(view_of(record, now_ms))


def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """HSET once more, over all that is in a record: the values that `delta` wrote, and how long
    they are to live."""
    draft = draft_of(record, stamp)
    made = view_of(delta, 0)
    for element in made.elements():
        values = fields.values_in(made.cells(element))
        if values:
            put(draft, element[1:], values[0])
            at_ms = ends_at(made, element[1:])
            if at_ms:
                expire(draft, element[1:], at_ms)
    return draft.delta()


def is_contested(delta: bytes, record: bytes) -> bool:
    """Whether other values stand beside one that `delta` has written into `record`."""
    return registers.is_contested(view_of(delta, 0), view_of(record, 0))


def encoding(record: bytes) -> bytes:
    """What OBJECT ENCODING answers."""
    view = view_of(record, 0)
    if view.size() > LISTPACK_ENTRIES_MAX and big.is_plain(record):
        return b"hashtable"
    return b"listpack" if is_listpack(items(view)) else b"hashtable"


def dump(record: bytes, now_ms: int) -> bytes:
    """Number and content of a dump. Fields' times to live are not in it, as in Redis 7.0."""
    pairs = items(view_of(record, now_ms))
    flat = [item for pair in pairs for item in pair]
    if is_listpack(pairs):
        return bytes([_LISTPACK]) + pack_string(pack_listpack(flat))
    return b"".join((bytes([_TABLE]), pack_count(len(pairs)), *map(pack_string, flat)))


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key from number and content of a dump. Raises `DumpError`."""
    flat: list[bytes] = []
    if packed[0] == _TABLE:
        count, at = unpack_count(packed, 1)
        for _ in range(2 * count):
            item, at = unpack_string(packed, at)
            flat.append(item)
    else:
        held, at = unpack_string(packed, 1)
        flat = _UNPACKERS[packed[0]](held)
    pairs = dict(zip(flat[::2], flat[1::2], strict=False))
    if at != len(packed) or not pairs or 2 * len(pairs) != len(flat):
        raise DumpError("Bad data format")
    return replace(record, stamp, [(field, held, 0) for field, held in pairs.items()], at_ms)


def replace(
    record: bytes, stamp: Stamp, items: list[tuple[bytes, bytes, int]], at_ms: int
) -> bytes:
    """The new state of a key: a hash in place of all that it holds, with a time to live or 0.

    Items are field, value, and the field's own time to live or 0.
    """
    draft = Draft(record, 0, FIELDS, never, stamp)
    for field, held, ends_ms in items:
        put(draft, field, held)
        if ends_ms:
            expire(draft, field, ends_ms)
    draft.expire_key(at_ms)
    return draft.delta()


def pack(record: bytes, now_ms: int) -> bytes:
    """The fields as one piece of bytes, for another key; their times to live among it."""
    view = view_of(record, now_ms)
    return pack_items([
        item for field, held in items(view)
        for item in (field, held, b"%d" % (ends_at(view, field) or 0))
    ])


def unpack(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key that is given what `pack` made. Raises `DumpError`."""
    flat = unpack_items(packed)
    if len(flat) % 3 or not all(ends.isdigit() and len(ends) < 20 for ends in flat[2::3]):
        raise DumpError("Bad data format")
    return replace(record, stamp, [
        (field, held, int(ends))
        for field, held, ends in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    ], at_ms)


def draft_of(record: bytes, stamp: Stamp) -> Draft:
    """To change the fields of a record, whatever type it shows."""
    return Draft(record, 0, FIELDS, always, stamp)


FIELDS: Final[ElementKind] = ElementKind(LETTER, prepare, is_live)
_TABLE, _ZIPMAP, _ZIPLIST, _LISTPACK = (4, 9, 13, 16)
DUMP_NUMBERS: Final[tuple[int, ...]] = (_TABLE, _ZIPMAP, _ZIPLIST, _LISTPACK)
_UNPACKERS: Final = {
    _ZIPMAP: unpack_zipmap, _ZIPLIST: unpack_ziplist, _LISTPACK: unpack_listpack,
}
