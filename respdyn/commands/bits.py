"""Commands on the bits of a string, and on integers of any width within it.

As with ranges of bytes, a change writes the whole value anew; what changes no bit writes nothing.
Bit 0 is the highest bit of the first byte; behind the end of a string there are zeros. A string is
one big-endian integer here, so that a field of any width is a shift and a mask of the few bytes
that hold it.

Source: Redis `bitops.c`.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import integer_of, parse_integer, syntax_error, word
from respdyn.commands.declare import GATHER, READ, UPDATE, Argv, Command, Further, Then
from respdyn.commands.folding import payload_of
from respdyn.commands.long_reads import Answer
from respdyn.commands.pieces import STRING_MAX, clamp, rewrite, zeros
from respdyn.errors import ReplyError
from respdyn.resp.replies import ONE, ZERO, array, integer, null
from respdyn.types.values import view

_BAD_OFFSET = "ERR bit offset is not an integer or out of range"
_BAD_BIT = "ERR bit is not an integer or out of range"
_BAD_TYPE = (
    "ERR Invalid bitfield type. Use something like i16 u8. "
    "Note that u64 is not supported but i64 is."
)
_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand"
_ONE_SOURCE = "ERR BITOP NOT must be called with a single source key."
_OPERATIONS: Final = (b"AND", b"OR", b"XOR", b"NOT")
_PIECE_BYTES: Final = 65536     # of a long value, worked on as one number
_PIECE_BITS: Final = 8 * _PIECE_BYTES
_PIECE_STEPS: Final = 170       # that one of them is taken for
_LONG_BITS: Final = 8 << 20     # a longer range is looked at in slices

_WRAP, _SAT, _FAIL = b"WRAP", b"SAT", b"FAIL"

# (subcommand, is_signed, width, bit offset, operand, overflow)
Operation = tuple[bytes, bool, int, int, int, bytes]


def setbit(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    offset = _offset(argv[2])
    if argv[3] not in (b"0", b"1"):
        raise ReplyError(_BAD_BIT)
    held = view(rec, now_ms) or memoryview(b"")
    place, mask = offset >> 3, 128 >> (offset & 7)
    before = held[place] if place < len(held) else 0
    after = before | mask if argv[3] == b"1" else before & ~mask
    old = ONE if before & mask else ZERO
    if after == before and place < len(held):
        return old, b""
    gap, behind = zeros(max(0, place - len(held))), held[place + 1 :]
    return old, rewrite(rec, now_ms, stamp, held[:place], *gap, bytes((after,)), behind)


def getbit(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    offset = _offset(argv[2])
    found = view(rec, now_ms) or memoryview(b"")
    place = offset >> 3
    return ONE if place < len(found) and found[place] & 128 >> (offset & 7) else ZERO


def bitcount(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    return _at_once(_count(*_counted(argv, rec, now_ms)))


def _long_bitcount(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    held, first, last = _counted(argv, rec, now_ms)
    return _count(held, first, last) if last - first > _LONG_BITS else None


def _counted(argv: Argv, rec: bytes, now_ms: int) -> tuple[memoryview, int, int]:
    """A value and the range of its bits that a BITCOUNT is about."""
    found = view(rec, now_ms)
    if found is None:
        return memoryview(b""), 0, 0
    start, end, unit = 0, -1, 8
    if len(argv) in (4, 5):
        start, end = parse_integer(argv[2]), parse_integer(argv[3])
        if start < 0 and end < 0 and start > end:
            return found, 0, 0
        if len(argv) == 5:
            unit = _unit(argv[4])
    elif len(argv) != 2:
        raise syntax_error()
    start, end = clamp(start, end, len(found) * 8 // unit)
    return found, start * unit, (end + 1) * unit


def _count(held: memoryview, first: int, last: int) -> Answer:
    count = 0
    for start, end in _pieces(first, last):
        count += _bits(held, start, end).bit_count()
        yield _PIECE_STEPS
    return integer(count)


def bitpos(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    return _at_once(_seek(argv, *_sought(argv, rec, now_ms)))


def _long_bitpos(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
    held, first, last = _sought(argv, rec, now_ms)
    return _seek(argv, held, first, last) if last - first > _LONG_BITS else None


def _sought(argv: Argv, rec: bytes, now_ms: int) -> tuple[memoryview | None, int, int]:
    """A value and the range of its bits that a BITPOS is about; None if there is no value."""
    if parse_integer(argv[2]) not in (0, 1):
        raise ReplyError("ERR The bit argument must be 1 or 0.")
    found = view(rec, now_ms)
    if found is None:
        return None, 0, 0
    start, end, unit = 0, -1, 8
    if len(argv) > 6:
        raise syntax_error()
    if len(argv) > 3:
        start = parse_integer(argv[3])
        if len(argv) == 6:
            unit = _unit(argv[5])
        if len(argv) > 4:
            end = parse_integer(argv[4])
    start, end = clamp(start, end, len(found) * 8 // unit)
    return found, start * unit, (end + 1) * unit


def _seek(argv: Argv, held: memoryview | None, first: int, last: int) -> Answer:
    bit = parse_integer(argv[2])
    if held is None:
        return b":-1\r\n" if bit else ZERO
    if first >= last:
        return b":-1\r\n"
    for start, end in _pieces(first, last):
        bits = _bits(held, start, end)
        if not bit:
            bits = ~bits & ((1 << (end - start)) - 1)
        if bits:
            return integer(end - bits.bit_length())
        yield _PIECE_STEPS
    return b":-1\r\n" if bit or len(argv) > 4 else integer(last)


def _at_once(work: Answer) -> bytes:
    """A reply that is made in pieces, all of them in a row."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            reply: bytes = end.value
            return reply


def _pieces(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The bits from `first` up to but not including `last`, so many at a time.

    Where pieces meet is a multiple of their size. A small number fits into the processor's caches.
    """
    while first < last:
        end = min(last, (first // _PIECE_BITS + 1) * _PIECE_BITS)
        yield first, end
        first = end


def _bits(held: memoryview, first: int, last: int) -> int:
    """The bits from `first` up to but not including `last` as one number; 0 if there are none."""
    if first >= last:
        return 0
    end = (last + 7) >> 3
    whole = int.from_bytes(held[first >> 3 : end]) >> (end * 8 - last)
    return whole & ((1 << (last - first)) - 1)


def _unit(argument: bytes) -> int:
    """How many bits a range's unit has."""
    unit = word(argument)
    if unit not in (b"BIT", b"BYTE"):
        raise syntax_error()
    return 1 if unit == b"BIT" else 8


def _offset(argument: bytes, width: int = 0) -> int:
    """A bit's place; with a width, `#3` is the place of the fourth field of that width."""
    by_field = width > 0 and argument[:1] == b"#"
    offset = integer_of(argument[1:] if by_field else argument)
    if offset is None or offset < 0:
        raise ReplyError(_BAD_OFFSET)
    if by_field:
        offset *= width
    if offset >> 3 >= STRING_MAX:
        raise ReplyError(_BAD_OFFSET)
    return offset


# ---- several strings ----


def bitop_parts(argv: Argv) -> Iterable[Argv]:
    operation = word(argv[1])
    if operation not in _OPERATIONS:
        raise syntax_error()
    if operation == b"NOT" and len(argv) != 4:
        raise ReplyError(_ONE_SOURCE)
    return ([b"GET", key] for key in argv[3:])


def bitop_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    """The result as a SET, or as a DEL if it is empty; the reply is its length."""
    values = [memoryview(payload_of(reply) or b"") for reply in replies]
    size = max(map(len, values))
    operation = word(argv[1])
    result = b"".join(
        _combined(operation, [one[at : at + _PIECE_BYTES] for one in values],
                  min(_PIECE_BYTES, size - at))
        for at in range(0, size, _PIECE_BYTES)
    )
    if not size:
        return Further([[b"DEL", argv[2]]], _nothing)
    return Further([[b"SET", argv[2], result]], lambda _: integer(size))


def _combined(operation: bytes, values: list[memoryview], size: int) -> bytes:
    """So many bytes of the result; what is short ends in zeros."""
    numbers = [int.from_bytes(bytes(one).ljust(size, b"\0")) for one in values]
    result = numbers[0]
    if operation == b"NOT":
        result ^= (1 << size * 8) - 1
    for other in numbers[1:]:
        if operation == b"AND":
            result &= other
        elif operation == b"OR":
            result |= other
        else:
            result ^= other
    return result.to_bytes(size)


def _nothing(replies: list[bytes]) -> bytes:
    return ZERO


# ---- fields ----


def bitfield(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    operations = _operations(argv)
    found = view(rec, now_ms) or memoryview(b"")
    ends = [one[3] + one[2] for one in operations if one[0] != b"GET"]
    if not ends:
        return array([_get(operation, found) for operation in operations]), b""
    size = (max(ends) + 7) >> 3
    if size > STRING_MAX:
        raise ReplyError(_BAD_OFFSET)
    held = bytearray(found)
    held += bytes(max(0, size - len(held)))
    reply, has_changed = _run(operations, held, resp3)
    if not has_changed and len(held) == len(found):
        return reply, b""
    return reply, rewrite(rec, now_ms, stamp, bytes(held))


def bitfield_ro(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    operations = _operations(argv)
    if any(one[0] != b"GET" for one in operations):
        raise ReplyError(_READ_ONLY)
    held = view(rec, now_ms) or memoryview(b"")
    return array([_get(operation, held) for operation in operations])


def _operations(argv: Argv) -> list[Operation]:
    operations: list[Operation] = []
    overflow = _WRAP
    at = 2
    while at < len(argv):
        name, left = word(argv[at]), len(argv) - at - 1
        if name == b"OVERFLOW" and left >= 1:
            overflow = word(argv[at + 1])
            if overflow not in (_WRAP, _SAT, _FAIL):
                raise ReplyError("ERR Invalid OVERFLOW type specified")
            at += 2
            continue
        words = 2 if name == b"GET" else 3
        if name not in (b"GET", b"SET", b"INCRBY") or left < words:
            raise syntax_error()
        is_signed, width = _type(argv[at + 1])
        offset = _offset(argv[at + 2], width)
        operand = parse_integer(argv[at + 3]) if words == 3 else 0
        operations.append((name, is_signed, width, offset, operand, overflow))
        at += words + 1
    return operations


def _type(argument: bytes) -> tuple[bool, int]:
    """Whether it is signed, and how many bits it has."""
    argument = argument.split(b"\0", 1)[0]
    width = integer_of(argument[1:])
    most = {b"i": 64, b"u": 63}.get(argument[:1], 0)
    if width is None or not 1 <= width <= most:
        raise ReplyError(_BAD_TYPE)
    return argument[:1] == b"i", width


def _get(operation: Operation, held: memoryview | bytearray) -> bytes:
    """The reply of a GET."""
    _, is_signed, width, offset, _, _ = operation
    end = (offset + width + 7) >> 3
    window = int.from_bytes(bytes(held[offset >> 3 : end]).ljust(end - (offset >> 3), b"\0"))
    found = window >> (end * 8 - offset - width) & ((1 << width) - 1)
    return integer(found - (1 << width) if is_signed and found >> (width - 1) else found)


def _run(
    operations: list[Operation], held: bytearray, resp3: bool
) -> tuple[bytes, bool]:
    """The replies of the operations, which change `held` in place; whether one of them did."""
    replies = []
    has_changed = False
    for name, is_signed, width, offset, operand, overflow in operations:
        first, end = offset >> 3, (offset + width + 7) >> 3
        shift = end * 8 - offset - width
        mask = (1 << width) - 1
        window = int.from_bytes(bytes(held[first:end]).ljust(end - first, b"\0"))
        old = window >> shift & mask
        if is_signed and old >> (width - 1):
            old -= 1 << width
        if name == b"GET":
            replies.append(_get((name, is_signed, width, offset, operand, overflow), held))
            continue
        wanted = operand if name == b"SET" else old + operand
        if not is_signed and name == b"SET":
            wanted &= (1 << 64) - 1
        new = _fitted(wanted, is_signed, width, overflow)
        if new is None:
            replies.append(null(resp3))
            continue
        has_changed = has_changed or new != old
        window = window & ~(mask << shift) | (new & mask) << shift
        held[first:end] = window.to_bytes(end - first)
        replies.append(integer(old if name == b"SET" else new))
    return array(replies), has_changed


def _fitted(wanted: int, is_signed: bool, width: int, overflow: bytes) -> int | None:
    """What a field of this width holds of a number; None if it is not to be written."""
    least, most = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if is_signed else (
        0, (1 << width) - 1)
    if least <= wanted <= most:
        return wanted
    if overflow == _FAIL:
        return None
    if overflow == _SAT:
        return least if wanted < least else most
    wrapped = wanted & ((1 << width) - 1)
    return wrapped - (1 << width) if is_signed and wrapped > most else wrapped


COMMANDS: tuple[Command, ...] = (
    Command(
        "setbit", "SETBIT key offset value",
        "Sets or clears a bit and gives the old one. Writes the whole value.",
        since="2.2.0", group="bitmap", flags="write denyoom", access="RW access update",
        promise="per-coordinator", route=UPDATE, write=setbit, event="$ setbit",
        reports_siblings=True,
    ),
    Command(
        "getbit", "GETBIT key offset", "Gives a bit of the value of a key.",
        since="2.2.0", group="bitmap", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=getbit,
    ),
    Command(
        "bitcount", "BITCOUNT key [start end [BYTE | BIT]]", "Counts the bits that are set.",
        since="2.6.0", group="bitmap", flags="readonly", access="RO access", complexity="O(N)",
        promise="last-writer", route=READ, read=bitcount, arity=-2, long_read=_long_bitcount,
    ),
    Command(
        "bitpos", "BITPOS key bit [start [end [BYTE | BIT]]]",
        "Finds the first bit that is set, or clear.",
        since="2.8.7", group="bitmap", flags="readonly", access="RO access", complexity="O(N)",
        promise="last-writer", route=READ, read=bitpos, long_read=_long_bitpos,
    ),
    Command(
        "bitop", "BITOP operation destkey key [key ...]",
        "Combines values bit by bit (AND, OR, XOR, NOT) and stores the result. It reads, then"
        " writes: what changes a source in between is not seen.",
        since="2.6.0", group="bitmap", flags="write denyoom",
        access="OW update; RO access", complexity="O(N)", promise="last-writer",
        route=GATHER, parts=bitop_parts, then=bitop_then,
    ),
    Command(
        "bitfield",
        "BITFIELD key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>]"
        " <SET encoding offset value | INCRBY encoding offset increment>> ...]",
        "Reads and changes integers of any width within a value. Writes the whole value.",
        since="3.2.0", group="bitmap", flags="write denyoom",
        access="RW access update variable_flags",
        notes="This command allows both access and modification of the key",
        promise="per-coordinator", route=UPDATE, write=bitfield, event="$ setbit",
        reports_siblings=True,
    ),
    Command(
        "bitfield_ro", "BITFIELD_RO key [GET encoding offset [GET encoding offset ...]]",
        "Reads integers of any width within a value.",
        since="6.0.0", group="bitmap", flags="readonly fast", access="RO access",
        promise="last-writer", route=READ, read=bitfield_ro,
    ),
)
