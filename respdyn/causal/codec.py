"""A record: the dotted map of one key as bytes, the same in memory, on disk and on the wire.

Equal maps have equal bytes. A record is immutable and stays encoded; the usual key is read,
overwritten and joined by comparing slices, without building a map. All numbers are big-endian and
at fixed places, so their slices compare as they do.

    every record   version u8 = 1 | form u8 | crc32 u32 | body
    PLAIN body     clock u64 | actor 16 | lo u64 | hi u64 | [expire_at u64] | value
    GENERAL body   clock u64 | count u32 | count x (actor 16 | lo u64 | hi u64) | entries
    an entry       element length u32 | payload length u32 | actor 16 | counter u64
                   | element | payload

The checksum covers form and body; `form` says what is inside.

PLAIN is one string value whose dot `(actor, hi)` ends the only interval of the context, and it is
the only form of such a map. In the GENERAL form intervals are sorted by (actor, lo), entries by
(element, actor, counter), and the clock is the highest of all payloads, 0 if there are none. A map
with elements of a collection in it (`element_map.KINDS`) has a body of its own, see there.

What must be known of types here, to keep every promise without decoding: every payload begins
with its clock (u64), but for members of sets; an element's first byte is its kind; kind `s`
(string) and kind `x` (a remark on another dot's expiry) go on with expire_at (u64 ms); some kinds
do not make a key live (`form`).

Functions other than `decode` and `verify` may be given only records that were made here or passed
`verify`: then they never raise.
"""

from struct import Struct
from typing import Final
from zlib import crc32

from blake3 import blake3

from respdyn.causal import big, element_map
from respdyn.causal.context import Context
from respdyn.causal.dot import Dot, intern_actor
from respdyn.causal.dotted_map import DottedMap, join
from respdyn.causal.form import BIG as BIG
from respdyn.causal.form import ELEMENTS as ELEMENTS
from respdyn.causal.form import EXPIRES as EXPIRES
from respdyn.causal.form import HEAD_BYTES as HEAD_BYTES
from respdyn.causal.form import LIVE as LIVE
from respdyn.causal.form import PLAIN as PLAIN
from respdyn.causal.form import VERSION as VERSION
from respdyn.causal.form import form_of, is_long_enough, with_value
from respdyn.causal.form import seal as seal
from respdyn.causal.outline import LARGE as LARGE
from respdyn.causal.outline import filled, outline
from respdyn.causal.rows import ROW_BYTES as ROW_BYTES
from respdyn.causal.rows import actors_of as actors_of
from respdyn.causal.rows import build_rows, covers, unite_rows
from respdyn.causal.rows import claim_rows as claim_rows
from respdyn.causal.rows import decode_rows as decode_rows
from respdyn.causal.rows import edges_of as edges_of
from respdyn.causal.rows import encode_rows as encode_rows
from respdyn.causal.splice import splice
from respdyn.errors import DamagedError

VALUE: Final = b"s"           # the element of a string's value; alone it is the whole kind `s`

ALL_OF_BIG: Final = BIG | ELEMENTS | EXPIRES | LIVE
ROWS: Final = 18              # where the intervals of the GENERAL form begin
PLAIN_VALUE: Final = 46       # where a PLAIN value without an expiry begins
PLAIN_EXPIRING: Final = 54    # where one with an expiry begins
ENTRY_BYTES: Final = 32       # of an entry, before its element

_pack_head: Final = Struct(">BBI").pack
_pack_plain: Final = Struct(">Q16sQQ").pack
_pack_expiring: Final = Struct(">Q16sQQQ").pack
_unpack_row: Final = Struct(">16sQQ").unpack_from
_pack_general: Final = Struct(">QI").pack
_pack_row: Final = Struct(">16sQQ").pack
_iterate_rows: Final = Struct(">16sQQ").iter_unpack
_pack_sizes: Final = Struct(">II").pack
_unpack_entry: Final = Struct(">II24s").unpack_from
_unpack_dot: Final = Struct(">II16sQ").unpack_from
_pack_lone: Final = Struct(">II16sQ1sQQ").pack
_unpack_check: Final = Struct(">HI24xQQ").unpack_from
unpack_plain: Final = Struct(">6xQ16sQQ").unpack_from     # of a PLAIN record: clock, actor, lo, hi
_u64: Final = int.from_bytes

_ZERO: Final = bytes(8)

# The checksum starts from version and form, so that these two bytes are covered as well.
_SEED: Final = VERSION << 8
_SEED_LIVE: Final = _SEED | PLAIN | LIVE
_SEED_EXPIRING: Final = _SEED | PLAIN | EXPIRES | LIVE
_HEAD_PLAIN: Final = bytes((VERSION, PLAIN | LIVE))


def encode(state: DottedMap) -> bytes:
    """The record of a map. Asserts that every live dot is in the context."""
    entries, context = state.entries, state.context
    if len(entries) == 1 and len(context.spans) == 1 and VALUE in entries:
        record = _encode_plain_map(state)
        if record:
            return record
    flat: list[tuple[bytes, bytes, bytes]] = []
    for element in sorted(entries) if len(entries) > 1 else entries:
        dotted = entries[element]
        assert dotted
        for dot in sorted(dotted) if len(dotted) > 1 else dotted:
            assert context.covers(dot), "a live dot outside of its context"
            payload = dotted[dot]
            assert is_long_enough(element[:1], len(payload))
            flat.append((element, dot[0] + dot[1].to_bytes(8), payload))
    return _encode_flat(encode_rows(context), flat)


def encode_plain(
    clock: int, actor: bytes, lo: int, hi: int, expire_at: int, value: bytes
) -> bytes:
    """The PLAIN record of one value with dot `(actor, hi)` and context `(lo, hi]`."""
    if len(value) >= LARGE:
        return _encode_large(clock, actor, lo, hi, expire_at, value)
    if expire_at:
        body = _pack_expiring(clock, actor, lo, hi, expire_at) + value
        return _pack_head(VERSION, 7, crc32(body, _SEED_EXPIRING)) + body
    body = _pack_plain(clock, actor, lo, hi) + value
    return _pack_head(VERSION, 5, crc32(body, _SEED_LIVE)) + body


def overwrite_plain(
    record: bytes, actor: bytes, counter: int, floor: int, clock: int, value: bytes
) -> bytes:
    """The PLAIN record of a value with the next dot of who wrote the one in `record`, over it.

    Made of slices, without a number taken apart: of big-endian ones the bytes compare as they do.
    b"" where it is not as simple: another actor, an expiry, a clock that is not above, a dot that
    is not above or not above the floor, a large value.
    """
    if record[1] != PLAIN | LIVE or record[14:30] != actor or len(value) >= LARGE:
        return b""
    now, new, last = clock.to_bytes(8, "big"), counter.to_bytes(8, "big"), record[38:46]
    if record[6:14] >= now or last >= new or last <= floor.to_bytes(8, "big"):
        return b""
    body = b"".join((now, record[14:38], new, value))
    return _HEAD_PLAIN + crc32(body, _SEED_LIVE).to_bytes(4, "big") + body


def _encode_large(
    clock: int, actor: bytes, lo: int, hi: int, expire_at: int, value: bytes
) -> bytes:
    """As `encode_plain`; the value is copied once."""
    form, start = 5, _pack_plain(clock, actor, lo, hi)
    if expire_at:
        form, start = 7, _pack_expiring(clock, actor, lo, hi, expire_at)
    return _pack_head(VERSION, form, crc32(value, crc32(start, _SEED | form))) + start + value


def encode_lone(
    rows: bytes, clock: int, actor: bytes, counter: int, expire_at: int, value: bytes
) -> bytes:
    """The record of one string value with this dot and a context given as rows."""
    if len(rows) == ROW_BYTES:
        last, lo, hi = _unpack_row(rows)
        if last == actor and hi == counter:
            return encode_plain(clock, actor, lo, hi, expire_at, value)
    form = EXPIRES | LIVE if expire_at else LIVE
    start = b"".join((
        _pack_general(clock, len(rows) // ROW_BYTES),
        rows,
        _pack_lone(1, 16 + len(value), actor, counter, VALUE, clock, expire_at),
    ))
    if len(value) >= LARGE:
        return with_value(seal(form, start), (value,))
    return seal(form, start + value)


def encode_tombstone(rows: bytes) -> bytes:
    """The record without values of a context given as rows."""
    return seal(0, _pack_general(0, len(rows) // ROW_BYTES) + rows)


def encode_entries(rows: bytes, entries: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """The record of a context given as rows and of sorted entries, as from `entries_of`."""
    if len(entries) == 1 and entries[0][0] == VALUE:
        _, dot, payload = entries[0]
        return encode_lone(
            rows, _u64(payload[:8]), dot[:16], _u64(dot[16:]), _u64(payload[8:16]), payload[16:]
        )
    return _encode_flat(rows, entries)


def _encode_flat(
    rows: bytes, entries: list[tuple[bytes, bytes, bytes]], mark: int = -1
) -> bytes:
    """The record of sorted entries that is not PLAIN; `mark` as for `element_map.build`."""
    if element_map.is_element_map(entries):
        return seal(*element_map.build(rows, entries, mark))
    form, top = 0, _ZERO
    parts = [b"", rows]
    for element, dot, payload in entries:
        form |= form_of(element[:1], payload)
        top = max(top, payload[:8])
        parts += (_pack_sizes(len(element), len(payload)), dot, element, payload)
    parts[0] = top + (len(rows) // ROW_BYTES).to_bytes(4)
    return seal(form, b"".join(parts))


def decode(record: bytes) -> DottedMap:
    """The map of a record. Raises `DamagedError` unless the bytes are exactly what `encode` makes.

    >>> decode(encode(DottedMap({}, Context()))).entries
    {}
    """
    verify(record)
    return _build(record)


def _sum(record: bytes, seed: int) -> int:
    """The checksum of a record's body. To copy a large one costs more than to sum it up."""
    if len(record) < LARGE:
        return crc32(record[6:], seed)
    with memoryview(record) as view:
        return crc32(view[6:], seed)


def verify(record: bytes) -> None:
    """Raise `DamagedError` unless `decode` would succeed. Builds no map."""
    size = len(record)
    if size >= PLAIN_VALUE:
        seed, checksum, lo, hi = _unpack_check(record)
        if _sum(record, seed) != checksum:
            raise DamagedError("wrong checksum")
        if seed == _SEED_LIVE and lo < hi:
            return
        if seed == _SEED_EXPIRING and lo < hi and size >= PLAIN_EXPIRING and any(record[46:54]):
            return
        if not seed & PLAIN and _SEED <= seed <= _SEED | 15:
            return _verify_map(record)
    elif (
        size >= ROWS
        and record[0] == VERSION
        and record[1] <= 15 and not record[1] & PLAIN
        and _sum(record, _SEED | record[1]) == _u64(record[2:6])
    ):
        return _verify_map(record)
    raise DamagedError("not a record of a version and form known here")


def verify_head(record: bytes) -> None:
    """Raise `DamagedError` unless this is the head of a big element map, as it is stored."""
    if (
        len(record) < ROWS or record[0] != VERSION or record[1] | EXPIRES | LIVE != ALL_OF_BIG
        or crc32(record[6:], _SEED | record[1]) != _u64(record[2:6])
        or element_map.head_end(record) != len(record)
    ):
        raise DamagedError("not the head of a record of a version known here")
    edges_of(element_map.rows_of(record))


def is_sound_lone(record: bytes) -> bool:
    """Whether this is a sound PLAIN record without an expiry; False says nothing."""
    if len(record) < PLAIN_VALUE or record[0] != VERSION or record[1] != PLAIN | LIVE:
        return False
    checksum = record[2] << 24 | record[3] << 16 | record[4] << 8 | record[5]
    return record[30:38] < record[38:46] and _sum(record, _SEED_LIVE) == checksum


def digest(record: bytes) -> bytes:
    """A short name of this state: replicas with equal digests hold equal records.

    For the PLAIN form its head: the dot names the write, the checksum guards against mishaps. So
    no digest looks at large strings.
    b"" for an absent key.
    """
    if not record:
        return b""
    if record[1] & PLAIN:
        return record[:PLAIN_VALUE]
    if record[1] & ELEMENTS:
        form = record[1] & ~BIG
        return bytes((VERSION, form)) + blake3(element_map.head_of(record)).digest(16)
    return record[:HEAD_BYTES] + blake3(outline(record)).digest(16)


def join_records(a: bytes, b: bytes) -> bytes:
    """`encode(join(decode(a), decode(b)))`; a or b itself, undecoded, where one knows all already.

    b"" is the absent key: it knows nothing.
    """
    if not a or a == b:
        return b
    if not b:
        return a
    if a[1] & b[1] & PLAIN:
        if a[14:38] == b[14:38]:    # same actor, same lo: the higher counter has seen the other
            a_hi, b_hi = a[38:46], b[38:46]
            if a_hi != b_hi:
                return b if a_hi < b_hi else a
    elif _supersedes(b, a):
        return b
    elif _supersedes(a, b):
        return a
    if (a[1] | b[1]) & ELEMENTS:
        return _join_elements(a, b)
    one, two = _build(outline(a)), _build(outline(b))
    both = join(one, two)
    if both is one:
        return a
    if both is two:
        return b
    joined = encode(both)
    return joined if len(a) < LARGE and len(b) < LARGE else filled(joined, a, b)


def is_live(record: bytes) -> bool:
    """Whether a value is alive, expired or not; False for a tombstone and for an absent key."""
    return bool(record) and record[1] & LIVE != 0


def max_clock(record: bytes) -> int:
    """The highest clock in a record; 0 for a tombstone and for an absent key."""
    return _u64(record[6:14])


def context_of(record: bytes) -> Context:
    """Everything the record has seen. The empty context for an absent key."""
    return build_rows(rows_of(record))


def entries_of(record: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(element, dot, payload) of each entry in order, a dot as 24 bytes: actor and counter."""
    if not record:
        return []
    if record[1] & PLAIN:
        return [(VALUE, record[14:30] + record[38:46], _plain_payload(record))]
    if record[1] & BIG:
        return big.entries_of(record)
    if record[1] & ELEMENTS:
        return element_map.entries_of(record)
    entries = []
    at = ROWS + ROW_BYTES * _u64(record[14:18])
    while at < len(record):
        element_bytes, payload_bytes, dot = _unpack_entry(record, at)
        middle = at + ENTRY_BYTES + element_bytes
        start, at = at + ENTRY_BYTES, middle + payload_bytes
        entries.append((record[start:middle], dot, record[middle:at]))
    return entries


def letters_of(record: bytes) -> list[int]:
    """The first byte of each entry's element, in order; 0 for an element that is empty."""
    if not record:
        return []
    if record[1] & PLAIN:
        return [VALUE[0]]
    if record[1] & ELEMENTS:
        return element_map.letters_of(record)
    letters = []
    at = ROWS + ROW_BYTES * _u64(record[14:18])
    while at < len(record):
        element_bytes, payload_bytes, _ = _unpack_entry(record, at)
        letters.append(record[at + ENTRY_BYTES] if element_bytes else 0)
        at += ENTRY_BYTES + element_bytes + payload_bytes
    return letters


def rows_of(record: bytes) -> bytes:
    """The sorted intervals of a record as bytes: 16 of actor, 8 of lo, 8 of hi each."""
    if not record:
        return b""
    if record[1] & PLAIN:
        return record[14:46]
    if record[1] & ELEMENTS:
        return element_map.rows_of(record)
    return record[ROWS : ROWS + ROW_BYTES * _u64(record[14:18])]


def _verify_map(record: bytes) -> None:
    """Raise `DamagedError` unless the body is that of a GENERAL record, or an element map's."""
    if record[1] & ELEMENTS:
        return element_map.verify(record)
    size = len(record)
    at = ROWS + ROW_BYTES * _u64(record[14:18])
    if at > size:
        raise DamagedError("intervals cut short")
    edges = edges_of(record[ROWS:at])
    form, top, count = 0, _ZERO, 0
    element = dot = b""
    while at < size:
        if at + ENTRY_BYTES > size:
            raise DamagedError("an entry cut short")
        last, last_dot = element, dot
        element_bytes, payload_bytes, dot = _unpack_entry(record, at)
        middle = at + ENTRY_BYTES + element_bytes
        element = record[at + ENTRY_BYTES : middle]
        at = middle + payload_bytes
        kind = element[:1]
        if at > size or not is_long_enough(kind, payload_bytes) or kind in element_map.KINDS:
            raise DamagedError("an entry cut short, or of another form")
        if element < last or (element == last and dot <= last_dot):
            raise DamagedError("entries out of order")
        if not covers(edges, dot):
            raise DamagedError("a live dot outside of its context")
        clock = record[middle : middle + 8]
        top = max(top, clock)
        form |= form_of(kind, record[middle : middle + 16])
        count += 1
    is_plain = count == 1 and element == VALUE and len(edges) == 2 and dot == edges[1]
    if form != record[1] or top != record[6:14] or is_plain:
        raise DamagedError("a form that its contents do not have")


def _encode_plain_map(state: DottedMap) -> bytes:
    """The PLAIN record of a map with one element `s` and one actor; b"" if it has no such form."""
    dotted = state.entries[VALUE]
    if len(dotted) != 1:
        return b""
    [((actor, counter), payload)] = dotted.items()
    spans = state.context.spans.get(actor)
    if spans is None or len(spans) != 2 or spans[1] != counter or len(payload) < 16:
        return b""
    return encode_plain(
        _u64(payload[:8]), actor, spans[0], counter, _u64(payload[8:16]), payload[16:]
    )


def _supersedes(b: bytes, a: bytes) -> bool:
    """Whether b is the join of both, found by their bytes. False also where that is not simple.

    It is if b has at most one entry, which a has not seen, and b has seen all that a has seen.
    """
    if b[1] & ELEMENTS:
        return False
    if b[1] & PLAIN:
        rows = b[14:46]
        actor, counter = rows[:16], _u64(b[38:46])
    else:
        end = ROWS + ROW_BYTES * _u64(b[14:18])
        rows = b[ROWS:end]
        actor, counter = b"", 0
        if end < len(b):
            element_bytes, payload_bytes, dot = _unpack_entry(b, end)
            if end + ENTRY_BYTES + element_bytes + payload_bytes < len(b):
                return False
            actor, counter = dot[:16], _u64(dot[16:])
    theirs = _iterate_rows(rows)
    b_actor, b_lo, b_hi = b"", 0, 0
    for a_actor, a_lo, a_hi in _iterate_rows(rows_of(a)):
        if a_actor == actor and a_lo < counter <= a_hi:
            return False
        while b_actor < a_actor or (b_actor == a_actor and b_hi < a_hi):
            row = next(theirs, None)
            if row is None:
                return False
            b_actor, b_lo, b_hi = row
        if b_actor != a_actor or b_lo > a_lo:
            return False
    return True


def _join_elements(a: bytes, b: bytes) -> bytes:
    """The join where a or b is an element map; a or b itself if it knows all already."""
    if (a[1] | b[1]) & BIG:
        return _join_big(a, b) if a[1] & BIG else _join_big(b, a)
    theirs = entries_of(b)
    our_rows, their_rows = rows_of(a), rows_of(b)
    if a[1] & ELEMENTS and len(b) < len(a):
        outcome = splice(a, their_rows, theirs)
        if outcome is not None:
            return seal(*outcome)
    ours = entries_of(a)
    rows = unite_rows(our_rows, their_rows)
    left, marks, changes = element_map.meet(ours, our_rows, theirs, their_rows)
    if not changes and rows == our_rows:
        return a
    if rows == their_rows and left == theirs:
        return b
    if a[1] & ELEMENTS and element_map.is_element_map(left):
        return _encode_flat(rows, left, element_map.mark_in(a) ^ marks)
    return encode_entries(rows, left)


def _join_big(a: bytes, b: bytes) -> bytes:
    """The join of a big element map and another record; small again if it has become so."""
    joined = big.joined(a, rows_of(b), entries_of(b))
    if joined is a or big.weight_of_cells(joined) > big.SMALL_BYTES:
        return joined
    return encode_entries(rows_of(joined), entries_of(joined))


def _build(record: bytes) -> DottedMap:
    """The map of a record that is known to be sound."""
    if record[1] & PLAIN:
        raw, lo, hi = _unpack_row(record, 14)
        actor = intern_actor(raw)
        return DottedMap({VALUE: {(actor, hi): _plain_payload(record)}}, Context({actor: (lo, hi)}))
    if record[1] & ELEMENTS:
        return _build_elements(record)
    at = end = ROWS + ROW_BYTES * _u64(record[14:18])
    entries: dict[bytes, dict[Dot, bytes]] = {}
    while at < len(record):
        element_bytes, payload_bytes, raw, counter = _unpack_dot(record, at)
        middle = at + ENTRY_BYTES + element_bytes
        element = record[at + ENTRY_BYTES : middle]
        at = middle + payload_bytes
        dot = (intern_actor(raw), counter)
        if element in entries:
            entries[element][dot] = record[middle:at]
        else:
            entries[element] = {dot: record[middle:at]}
    return DottedMap(entries, build_rows(record[ROWS:end]))


def _plain_payload(record: bytes) -> bytes:
    if record[1] & EXPIRES:
        return record[6:14] + record[46:]
    return b"%b%b%b" % (record[6:14], _ZERO, record[46:])


def _build_elements(record: bytes) -> DottedMap:
    """The map of an element map's record."""
    entries: dict[bytes, dict[Dot, bytes]] = {}
    for element, raw, payload in entries_of(record):
        entries.setdefault(element, {})[intern_actor(raw[:16]), _u64(raw[16:])] = payload
    return DottedMap(entries, build_rows(element_map.rows_of(record)))
