"""The HyperLogLog: how many different elements were added, by 16,384 registers of 6 bits.

It is a string, in Redis's own encodings, byte for byte, so GET, SET and DUMP carry it between
servers:

    header  "HYLL" | encoding u8 (0 dense, 1 sparse) | 3 unused | cached cardinality u64 LE
    dense   register after register, 6 bits each, from the lowest bit of the first byte on
    sparse  runs:  00nnnnnn            n + 1 registers of 0
                   01nnnnnn nnnnnnnn   n + 1 registers of 0
                   1vvvvvnn            n + 1 registers of v + 1

An element's hash chooses a register and a number; a register keeps the highest. So what two have
counted together is the maximum of their registers: nothing that either has counted is lost, and
nothing counts twice. Of concurrent versions that are all HyperLogLogs, `merged` is what is shown.

The cache is of the last PFCOUNT of a Redis; its highest bit says that it is out of date. PFCOUNT
here only reads, and never fills it.

Source: Redis `hyperloglog.c`; Flajolet et al. (2007); Ertl, "New cardinality estimation algorithms
for HyperLogLog sketches" (2017).
"""

from math import inf, sqrt
from typing import Final

REGISTERS: Final = 1 << 14
SPARSE_BYTES_MAX: Final = 3000          # as Redis's `hll-sparse-max-bytes`

_MAGIC: Final = b"HYLL"
_DENSE: Final = 0
_SPARSE: Final = 1
_HEAD: Final = 16
_CACHE_TOP: Final = 15                  # where the highest byte of the cached cardinality stands
_STALE: Final = 0x80                    # in it: the cache is out of date
_DENSE_BYTES: Final = _HEAD + REGISTERS * 6 // 8
_VALUE_MAX: Final = 32                  # that a sparse run can say
_RUN_MAX: Final = 4                     # registers of one value
ZEROS_MAX: Final = 64                  # in one byte
_MERGED_MAX: Final = 5                  # runs that are looked at after a change, to merge them
_BITS: Final = 50                       # of a hash, beside the 14 that choose the register
_ALPHA: Final = 0.721347520444481703680
_SEED: Final = 0xADC83B19
_FACTOR: Final = 0xC6A4A7935BD1E995
_U64: Final = (1 << 64) - 1


class Corrupted(ValueError):
    """The runs of a sparse HyperLogLog do not make up its registers."""


def is_one(value: bytes) -> bool:
    """Whether a string has the header and the size of a HyperLogLog."""
    if len(value) < _HEAD or value[:4] != _MAGIC or value[4] > _SPARSE:
        return False
    return value[4] == _SPARSE or len(value) == _DENSE_BYTES


def is_dense(value: bytes) -> bool:
    """Whether its registers are all written out."""
    return value[4] == _DENSE


def empty() -> bytes:
    """One that has counted nothing."""
    zeros = (0x4000 | REGISTERS - 1).to_bytes(2)
    return _MAGIC + bytes([_SPARSE]) + bytes(_HEAD - 5) + zeros


def add(value: bytes, elements: list[bytes]) -> bytes | None:
    """PFADD: the new value; None if no register moved. Raises `Corrupted`."""
    held = bytearray(value)
    is_new = False
    for element in elements:
        register, number = place_of(element)
        is_new = _raise(held, register, number) or is_new
    if not is_new:
        return None
    return stale(bytes(held))


def stale(value: bytes) -> bytes:
    """The same, its cached cardinality marked as out of date."""
    return b"".join((
        value[:_CACHE_TOP], bytes([value[_CACHE_TOP] | _STALE]), value[_CACHE_TOP + 1 :]
    ))


def union(value: bytes, others: list[bytes]) -> bytes:
    """PFMERGE: `value`, its registers raised to those of all. Raises `Corrupted`.

    It is dense if any of them is.
    """
    highest = registers_of(value)
    is_wide = is_dense(value)
    for other in others:
        highest = _higher(highest, registers_of(other))
        is_wide = is_wide or is_dense(other)
    held = bytearray(to_dense(value) if is_wide else value)
    for register, number in enumerate(bytes(highest)):      # mypyc knows no loop over a bytearray
        if number:
            _raise(held, register, number)
    return stale(bytes(held))


def merged(versions: list[bytes]) -> bytes | None:
    """What is shown of concurrent versions; None if they are not all HyperLogLogs."""
    if not all(is_one(version) for version in versions):
        return None
    try:
        return union(empty(), versions)
    except Corrupted:
        return None


# ---- counting ----

def count(value: bytes) -> int:
    """PFCOUNT of one: from its cache, if that is good. Raises `Corrupted`."""
    if not value[_CACHE_TOP] & _STALE:
        return int.from_bytes(value[8:_HEAD], "little")
    if not is_dense(value) and sum(span for _, span in runs_of(value)) != REGISTERS:
        raise Corrupted
    return count_registers(registers_of(value))


def count_together(values: list[bytes]) -> int:
    """PFCOUNT of several. Raises `Corrupted`."""
    highest = bytearray(REGISTERS)
    for value in values:
        highest = _higher(highest, registers_of(value))
    return count_registers(highest)


def count_registers(registers: bytearray) -> int:
    """How many different elements have made the registers what they are, nearly."""
    counts = [0] * 64
    for number in bytes(registers):
        counts[number] += 1
    z = REGISTERS * _tau((REGISTERS - counts[_BITS + 1]) / REGISTERS)
    for number in range(_BITS, 0, -1):
        z = (z + counts[number]) * 0.5
    z += REGISTERS * _sigma(counts[0] / REGISTERS)
    return int(_ALPHA * REGISTERS * REGISTERS / z + 0.5)


def _sigma(x: float) -> float:
    if x == 1.0:
        return inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0


def place_of(element: bytes) -> tuple[int, int]:
    """The register that an element is counted in, and the number that it must reach."""
    hashed = murmur(element)
    rest = hashed >> 14 | 1 << _BITS
    return hashed & REGISTERS - 1, (rest & -rest).bit_length()


def murmur(key: bytes) -> int:
    """MurmurHash64A with Redis's seed."""
    size = len(key)
    hashed = _SEED ^ size * _FACTOR & _U64
    whole = size & ~7
    for at in range(0, whole, 8):
        word = int.from_bytes(key[at : at + 8], "little") * _FACTOR & _U64
        word = (word ^ word >> 47) * _FACTOR & _U64
        hashed = (hashed ^ word) * _FACTOR & _U64
    if size > whole:
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _FACTOR & _U64
    hashed = (hashed ^ hashed >> 47) * _FACTOR & _U64
    return hashed ^ hashed >> 47


# ---- registers ----

def registers_of(value: bytes) -> bytearray:
    """All registers, one in a byte. Raises `Corrupted`.

    What stands behind the last register of a sparse one is passed over, as by Redis.
    """
    found = bytearray(REGISTERS)
    if value[4] == _DENSE:
        register = 0
        for at in range(_HEAD, _DENSE_BYTES, 3):
            four = value[at] | value[at + 1] << 8 | value[at + 2] << 16
            if four:
                found[register] = four & 63
                found[register + 1] = four >> 6 & 63
                found[register + 2] = four >> 12 & 63
                found[register + 3] = four >> 18
            register += 4
        return found
    register = 0
    for number, span in runs_of(value):
        if number:
            if register + span > REGISTERS:
                break
            found[register : register + span] = bytes([number]) * span
        register += span
    if register != REGISTERS:
        raise Corrupted
    return found


def runs_of(value: bytes) -> list[tuple[int, int]]:
    """The runs of a sparse one: number, and of how many registers."""
    runs: list[tuple[int, int]] = []
    at = _HEAD
    while at < len(value):
        first = value[at]
        if first & 0x80:
            runs.append(((first >> 2 & 31) + 1, (first & 3) + 1))
        elif first & 0x40:
            at += 1
            runs.append((0, ((first & 63) << 8 | (value[at] if at < len(value) else 0)) + 1))
        else:
            runs.append((0, first + 1))
        at += 1
    return runs


def to_dense(value: bytes) -> bytes:
    """The same with all its registers written out, and the same cache. Raises `Corrupted`."""
    if value[4] == _DENSE:
        return value
    registers = registers_of(value)
    parts = [
        (registers[at] | registers[at + 1] << 6 | registers[at + 2] << 12
         | registers[at + 3] << 18).to_bytes(3, "little")
        for at in range(0, REGISTERS, 4)
    ]
    return b"".join((_MAGIC, bytes([_DENSE]), value[5:_HEAD], *parts))


def _higher(one: bytearray, other: bytearray) -> bytearray:
    return bytearray(map(max, one, other))


def _raise(held: bytearray, register: int, number: int) -> bool:
    """Raise a register to at least this number; whether it was lower. Raises `Corrupted`."""
    if held[4] == _SPARSE:
        done = _raise_run(held, register, number)
        if done is not None:
            return done
        held[:] = to_dense(bytes(held))
    at, low = divmod(register * 6, 8)
    at += _HEAD
    two = held[at] | (held[at + 1] << 8 if low > 2 else 0)
    if two >> low & 63 >= number:
        return False
    two = two & ~(63 << low) | number << low
    held[at] = two & 255
    if low > 2:
        held[at + 1] = two >> 8
    return True


def _raise_run(held: bytearray, register: int, number: int) -> bool | None:
    """The same in a sparse one; None if it must become dense for it. Raises `Corrupted`.

    The run that covers the register is split, and what are neighbours then, merged: as Redis does
    it, so that the bytes are the same.
    """
    if number > _VALUE_MAX:
        return None
    at, before, first, span, width = _HEAD, _HEAD, 0, 0, 1
    while at < len(held):
        code = held[at]
        width = 1
        if code & 0x80:
            span = (code & 3) + 1
        elif code & 0x40:
            span = ((code & 63) << 8 | (held[at + 1] if at + 1 < len(held) else 0)) + 1
            width = 2
        else:
            span = code + 1
        if register < first + span:
            break
        before = at
        at += width
        first += span
    if at >= len(held):
        raise Corrupted
    code = held[at]
    shown = (code >> 2 & 31) + 1 if code & 0x80 else 0
    if shown >= number:
        return False
    made = b"".join((
        _run(shown, register - first), _run(number, 1), _run(shown, first + span - 1 - register)
    ))
    if len(made) > width and len(held) + len(made) - width > SPARSE_BYTES_MAX:
        return None
    held[at : at + width] = made
    _merge_runs(held, before)
    return True


def _run(number: int, span: int) -> bytes:
    """A run of so many registers, at most as many as were in one run before."""
    if not span:
        return b""
    if number:
        return bytes([0x80 | number - 1 << 2 | span - 1])
    return bytes([span - 1]) if span <= ZEROS_MAX else (0x4000 | span - 1).to_bytes(2)


def _merge_runs(held: bytearray, at: int) -> None:
    for _ in range(_MERGED_MAX):
        if at >= len(held):
            return
        code = held[at]
        if not code & 0x80:
            at += 2 if code & 0x40 else 1
            continue
        following = held[at + 1] if at + 1 < len(held) else 0
        span = (code & 3) + (following & 3) + 2
        if following & 0x80 and code >> 2 == following >> 2 and span <= _RUN_MAX:
            held[at : at + 2] = bytes([code & 0xFC | span - 1])
        else:
            at += 1
