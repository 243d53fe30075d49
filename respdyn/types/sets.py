"""The set: members, each an element of its own with an empty payload.

SADD gives a member a new dot, whether or not it is there: a SREM beside it that has only seen the
old one does not remove it. SREM covers the dots that it has seen, and ships nothing else. So SADD
beside SREM: the member stays. SADD beside DEL: the member stays.

Members are shown in the order of their numbers while all are integers and few, as an intset of
Redis; else in that of their bytes.

Source: Redis `t_set.c`; decision 0036. An observed-remove set after Bieniusa et al., "An optimized
conflict-free replicated set" (2012).
"""

from collections.abc import Iterable
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.types.chance import Chance
from respdyn.types.dump import DumpError, pack_count, pack_string, unpack_count, unpack_string
from respdyn.types.packed import pack_intset, pack_items, unpack_intset, unpack_items
from respdyn.types.view import (
    Draft,
    ElementKind,
    View,
    always,
    has_cells,
    never,
    nothing_expires,
)

LETTER: Final[bytes] = b"m"
INTSET_ENTRIES_MAX: Final = 512         # as Redis's `set-max-intset-entries`
SOME_MIN: Final = 128                   # members of which some are chosen without reading all
SOME_MAX: Final = 1000                  # members chosen one by one; of more, all are read
_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1
_DIGITS_MAX: Final = 20


def members(view: View) -> list[bytes]:
    """All members, in the order in which they are shown."""
    return in_order([element[1:] for element in view.elements()])


def some(view: View, chance: Chance, count: int) -> list[bytes]:
    """So many members chosen at random, or all; a big set is not read whole for that."""
    if view.is_big() and view.size() > SOME_MIN and count <= SOME_MAX:
        return [view.nth(at)[1:] for at in chance.sample(view.size(), count)]
    found = members(view)
    return [found[at] for at in chance.sample(len(found), count)]


def has(view: View, member: bytes) -> bool:
    """Whether it is a member."""
    return bool(view.cells(LETTER + member))


def count(view: View) -> int:
    """How many members there are."""
    return view.size()


def add(draft: Draft, member: bytes) -> bool:
    """SADD: whether the member was not there."""
    element = LETTER + member
    is_new = not draft.cells(element)
    if is_new or not draft.is_fresh(element):
        draft.put(element, b"")
    return is_new


def remove(draft: Draft, member: bytes) -> bool:
    """SREM: whether the member was there."""
    element = LETTER + member
    if not draft.cells(element):
        return False
    draft.drop(element)
    return True


# ---- the key ----

def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """SADD once more: the members that `delta` added."""
    draft = draft_of(record, stamp)
    for element in view_of(delta, 0).elements():
        add(draft, element[1:])
    return draft.delta()


def encoding(record: bytes) -> bytes:
    """What OBJECT ENCODING answers."""
    view = view_of(record, 0)
    if view.size() > INTSET_ENTRIES_MAX:
        return b"hashtable"
    found = integers(members(view))
    return b"hashtable" if found is None else b"intset"


def dump(record: bytes, now_ms: int) -> bytes:
    """Number and content of a dump."""
    found = members(view_of(record, now_ms))
    numbers = integers(found)
    if numbers is not None:
        return bytes([_INTSET]) + pack_string(pack_intset(numbers))
    return b"".join((bytes([_TABLE]), pack_count(len(found)), *map(pack_string, found)))


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key from number and content of a dump. Raises `DumpError`."""
    found: list[bytes] = []
    if packed[0] == _TABLE:
        size, at = unpack_count(packed, 1)
        for _ in range(size):
            member, at = unpack_string(packed, at)
            found.append(member)
    else:
        held, at = unpack_string(packed, 1)
        found = [b"%d" % number for number in unpack_intset(held)]
    if at != len(packed) or not found or len(set(found)) != len(found):
        raise DumpError("Bad data format")
    return replace(record, stamp, found, at_ms)


def replace(record: bytes, stamp: Stamp, found: list[bytes], at_ms: int) -> bytes:
    """The new state of a key: a set in place of all that it holds, with a time to live or 0."""
    draft = Draft(record, 0, MEMBERS, never, stamp)
    for member in found:
        add(draft, member)
    draft.expire_key(at_ms)
    return draft.delta()


def pack(record: bytes, now_ms: int) -> bytes:
    """The members as one piece of bytes, for another key."""
    return pack_items(members(view_of(record, now_ms)))


def unpack(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key that is given what `pack` made. Raises `DumpError`."""
    return replace(record, stamp, unpack_items(packed), at_ms)


def view_of(record: bytes, now_ms: int) -> View:
    """All members of a record, whatever type it shows and whether or not the key has expired."""
    return View(record, now_ms, MEMBERS, always)


def draft_of(record: bytes, stamp: Stamp) -> Draft:
    """To change the members of a record, whatever type it shows."""
    return Draft(record, 0, MEMBERS, always, stamp)


MEMBERS: Final[ElementKind] = ElementKind(LETTER, nothing_expires, has_cells)
_TABLE, _INTSET = (2, 11)
DUMP_NUMBERS: Final[tuple[int, ...]] = (_TABLE, _INTSET)


# ---- order ----

def in_order(found: Iterable[bytes]) -> list[bytes]:
    """Members as they are shown: by number, if Redis would keep an intset of them, else by bytes.
    """
    listed = list(found)
    numbers = integers(listed)
    if numbers is None:
        return sorted(listed)
    return [b"%d" % number for number in sorted(numbers)]


def integers(found: list[bytes]) -> list[int] | None:
    """The members as numbers, if Redis would keep an intset of them, else None."""
    if not found or len(found) > INTSET_ENTRIES_MAX:
        return None
    numbers = []
    for member in found:
        number = integer_of(member)
        if number is None:
            return None
        numbers.append(number)
    return numbers


def integer_of(member: bytes) -> int | None:
    """The 64-bit integer that a member is the one canonical way to write of; else None."""
    if not 0 < len(member) <= _DIGITS_MAX or not member.removeprefix(b"-").isdigit():
        return None
    number = int(member)
    if b"%d" % number != member or not _INT64_MIN <= number <= _INT64_MAX:
        return None
    return number
