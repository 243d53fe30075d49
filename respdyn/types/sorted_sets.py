"""The sorted set: members that have a score each, a double, and stand in the order of their scores.

Element `z` + the member; its cells are those of a field (`fields`), the value eight bytes. The
score that is shown is the winner's plus what the runs have moved it by, added up exactly and
rounded once. A run keeps what the shown score has moved by, not the increments: so while one node
counts, the score is the double that Redis has, and when several did, all replicas show the same.
An infinite score does not move; what makes a score infinite is a value.

ZADD beside ZADD: the later one is shown. ZADD beside ZREM: the member stays. ZINCRBY beside ZINCRBY
or ZADD: both count. ZREM beside ZINCRBY: what it had not seen of the increments is left.

A score of -0 is kept as 0, as in a listpack of Redis.

Source: Redis `t_zset.c`; decision 0052.
"""

from math import isinf
from typing import Final

from respdyn.causal import big
from respdyn.causal.dot import Stamp
from respdyn.types import doubles, fields, keyed, registers
from respdyn.types.doubles import print_double, print_packed
from respdyn.types.dump import DumpError, pack_count, pack_string, unpack_count, unpack_string
from respdyn.types.packed import (
    pack_items,
    pack_listpack,
    unpack_items,
    unpack_listpack,
    unpack_ziplist,
)
from respdyn.types.score_order import ORDERED_MAX, Order, Orders, Scored
from respdyn.types.view import Draft, ElementKind, View, always, never, nothing_expires

LETTER: Final[bytes] = keyed.SCORE
LISTPACK_ENTRIES_MAX: Final = 128       # as Redis's `zset-max-listpack-entries` and its value limit
LISTPACK_VALUE_MAX: Final = 64
_NAN_LENGTH: Final = 253                # it and two more stand in place of the length of a score
_INF_LENGTH: Final = 254


# ---- looking ----

def score(view: View, member: bytes) -> float | None:
    """A member's score; None if it is not there."""
    return _score(view, LETTER + member)


def order_of(view: View) -> Order:
    """The members in their order. It is not to be changed, nor kept. Of a view without changes."""
    assert not view.open() or not view.is_changed()
    if not view.is_big():
        return _read(view)
    return ORDERS.of(view)


def _read(view: View) -> Order:
    scores = {}
    for element in view.elements():
        shown = _score(view, element)
        if shown is not None:
            scores[element[1:]] = shown
    return Order(scores)


def _follow(order: Order, view: View, element: bytes) -> None:
    order.set(element[1:], _score(view, element))


def count(view: View) -> int:
    """How many members there are: from the head of a big one, if nothing in it was incremented."""
    if view.is_big() and big.is_plain(view.record):
        return view.size()
    return len(order_of(view))


def _score(view: View, element: bytes) -> float | None:
    cells = view.cells(element)
    if not cells:
        return None
    winner, held, total, going = fields.added_up(cells, registers.key_sums(view))
    base = doubles.unpack(held) if winner else 0.0
    if not going or isinf(base):
        return base if winner else None
    return doubles.from_grains(doubles.grains_of(base) + total)


# ---- changing ----

def put(draft: Draft, member: bytes, new: float) -> None:
    """ZADD: a score in place of all that the member has."""
    registers.write(draft, LETTER + member, doubles.pack(new + 0.0))


def add(draft: Draft, member: bytes, increment: float) -> float:
    """ZINCRBY by what does not make it NaN: the new score. A member that is not there has 0."""
    before = score(draft, member)
    after = increment if before is None else before + increment
    if isinf(after) or isinf(before or 0.0):
        put(draft, member, after)
        return after
    moved = doubles.grains_of(after) - doubles.grains_of(before or 0.0)
    registers.move(draft, LETTER + member, moved, doubles.ONE)
    shown = score(draft, member)
    assert shown is not None, "it has a run that is alive"
    return shown or after       # a 0 keeps its sign in the reply


def remove(draft: Draft, member: bytes) -> bool:
    """ZREM: whether the member was there."""
    if score(draft, member) is None:
        return False
    registers.erase(draft, LETTER + member)
    return True


def is_same(before: bytes, after: bytes, members: list[bytes]) -> bool:
    """Whether these members have in one record the scores that they have in another."""
    one, other = view_of(before, 0), view_of(after, 0)
    return all(score(one, member) == score(other, member) for member in members)


# ---- the key ----

def key_ends_at(record: bytes) -> int | None:
    """When a key that shows a sorted set is over, in ms, be it past; 0 for never; None if nothing
    lives."""
    if not fields.begins_with_value(record, LETTER):
        view = view_of(record, 0)
        if not registers.begins_alive(view) and all(
            _score(view, element) is None for element in view.elements()
        ):
            return None
    return keyed.key_expires_at(LETTER, record)


def siblings(record: bytes, now_ms: int) -> list[bytes]:
    """The scores that stand side by side for the member that has most of them, the winner first;
    of a sorted set without such a member one version, b""."""
    found = registers.values_of(view_of(record, now_ms))
    if len(found) < 2:
        return [b""]
    return [print_double(doubles.unpack(held)) for held in found]


def cover(delta: bytes, record: bytes, stamp: Stamp) -> bytes:
    """ZADD once more, over all that is in a record: the scores that `delta` wrote."""
    draft = draft_of(record, stamp)
    made = view_of(delta, 0)
    for element in made.elements():
        values = fields.values_in(made.cells(element))
        if values:
            registers.write(draft, element, values[0])
    return draft.delta()


def is_contested(delta: bytes, record: bytes) -> bool:
    """Whether other scores stand beside one that `delta` has written into `record`."""
    return registers.is_contested(view_of(delta, 0), view_of(record, 0))


def is_listpack(order: Order) -> bool:
    """Whether Redis would keep these members in a listpack."""
    return len(order) <= LISTPACK_ENTRIES_MAX and all(
        len(member) <= LISTPACK_VALUE_MAX for member in order.scores
    )


def would_be_listpack(view: View) -> bool:
    """The same of all members; of many without looking at them."""
    return not (view.is_big() and count(view) > LISTPACK_ENTRIES_MAX) and is_listpack(
        order_of(view)
    )


def encoding(record: bytes) -> bytes:
    """What OBJECT ENCODING answers."""
    return b"listpack" if would_be_listpack(view_of(record, 0)) else b"skiplist"


def dump(record: bytes, now_ms: int) -> bytes:
    """Number and content of a dump: from the lowest score if it is a listpack, else from the
    highest."""
    order = order_of(view_of(record, now_ms))
    if is_listpack(order):
        flat = [item for held, member in order.each() for item in (member, print_packed(held))]
        return bytes([_LISTPACK]) + pack_string(pack_listpack(flat))
    packed = [bytes([_TABLE_2]), pack_count(len(order))]
    for held, member in reversed(order.span(0, len(order))):
        packed += (pack_string(member), doubles.pack(held)[::-1])
    return b"".join(packed)


def load(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key from number and content of a dump. Raises `DumpError`."""
    if packed[0] in (_TABLE, _TABLE_2):
        found, at = _unpack_table(packed)
    else:
        held, at = unpack_string(packed, 1)
        flat = (unpack_listpack if packed[0] == _LISTPACK else unpack_ziplist)(held)
        if len(flat) % 2:
            raise DumpError("Bad data format")
        found = [
            (_read_score(text), member) for member, text in zip(flat[::2], flat[1::2], strict=True)
        ]
        if found != sorted(found):
            raise DumpError("Bad data format")
    if at != len(packed) or not found or len({member for _, member in found}) != len(found):
        raise DumpError("Bad data format")
    return replace(record, stamp, found, at_ms)


def _unpack_table(packed: bytes) -> tuple[list[Scored], int]:
    """Members and scores of a dumped skip list, and the position behind them."""
    size, at = unpack_count(packed, 1)
    found: list[Scored] = []
    for _ in range(size):
        member, at = unpack_string(packed, at)
        if packed[0] == _TABLE_2:
            held = doubles.read_packed(packed[at : at + 8][::-1])
            if held is None:
                raise DumpError("Bad data format")
            value, at = held, at + 8
        else:
            value, at = _unpack_old(packed, at)
        found.append((value, member))
    return found, at


def _unpack_old(packed: bytes, at: int) -> tuple[float, int]:
    """A score as text behind its length, as Redis before 3.2 wrote it."""
    size = packed[at] if at < len(packed) else _NAN_LENGTH
    if size == _NAN_LENGTH:
        raise DumpError("Bad data format")
    if size > _NAN_LENGTH:
        return float("inf" if size == _INF_LENGTH else "-inf"), at + 1
    if at + 1 + size > len(packed):
        raise DumpError("Bad data format")
    return _read_score(packed[at + 1 : at + 1 + size]), at + 1 + size


def _read_score(text: bytes) -> float:
    value = doubles.read(text)
    if value is None:
        raise DumpError("Bad data format")
    return value


def replace(record: bytes, stamp: Stamp, found: list[Scored], at_ms: int) -> bytes:
    """The new state of a key: a sorted set in place of all that it holds, with a time to live or 0.
    """
    draft = Draft(record, 0, SCORES, never, stamp)
    for held, member in found:
        put(draft, member, held)
    draft.expire_key(at_ms)
    return draft.delta()


def pack(record: bytes, now_ms: int) -> bytes:
    """Members and scores as one piece of bytes, for another key."""
    return pack_items([
        item for held, member in order_of(view_of(record, now_ms)).each()
        for item in (member, doubles.pack(held))
    ])


def unpack(packed: bytes, record: bytes, stamp: Stamp, at_ms: int) -> bytes:
    """The new state of a key that is given what `pack` made. Raises `DumpError`."""
    flat = unpack_items(packed)
    if len(flat) % 2:
        raise DumpError("Bad data format")
    found = [
        (doubles.unpack(held), member)
        for member, held in zip(flat[::2], flat[1::2], strict=True)
    ]
    return replace(record, stamp, found, at_ms)


def view_of(record: bytes, now_ms: int) -> View:
    """All members of a record, whatever type it shows and whether or not the key has expired."""
    return View(record, now_ms, SCORES, always)


def draft_of(record: bytes, stamp: Stamp) -> Draft:
    """To change the members of a record, whatever type it shows."""
    return Draft(record, 0, SCORES, always, stamp)


def _is_live(view: View, element: bytes) -> bool:
    return _score(view, element) is not None


def orders(most: int = ORDERED_MAX) -> Orders[Order]:
    """Room for the orders of big sorted sets."""
    return Orders(LETTER, _read, _follow, lambda: Order({}), view_of, most)


ORDERS: Final = orders()
SCORES: Final[ElementKind] = ElementKind(LETTER, nothing_expires, _is_live)
_TABLE, _TABLE_2, _ZIPLIST, _LISTPACK = (3, 5, 12, 17)
DUMP_NUMBERS: Final[tuple[int, ...]] = (_TABLE, _TABLE_2, _ZIPLIST, _LISTPACK)
