"""How something real is changed into nonsense that still looks like something."""

from __future__ import annotations

import random

import msgspec

from respdyn.cluster.messages import NUMBER
from respdyn.sim.lies import EXTREMES


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few things wrong."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + rng.randbytes(rng.choice((1, 8, 24, 300))) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + rng.choice((1, 8, 32)) :]
        elif kind == 4:
            data = data[:at] + rng.choice(EXTREMES).to_bytes(9, "big", signed=True)[1:] \
                + data[at + 8 :] if rng.random() < 0.5 else data + data[:at]
        else:
            other = rng.randrange(len(data) + 1)
            data = data[: min(at, other)] + data[max(at, other) :]
    return data


def warped(rng: random.Random, value: object) -> object:
    """A decoded message with something in it replaced by another thing."""
    if rng.random() < 0.15:
        return rng.choice((
            rng.choice(EXTREMES), b"", b"\xff" * 3, None, [], {}, "", "x" * 300, True, 1.5,
            b"\x00\x00\x00k", [[]], {b"a" * 16: 2**55},
        ))
    if isinstance(value, list | tuple) and value:
        found = list(value)
        at = rng.randrange(len(found))
        lot = rng.random()
        if lot < 0.1:
            del found[at]
        elif lot < 0.2:
            found.insert(at, found[at])
        else:
            found[at] = warped(rng, found[at])
        return found
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return {**value, warped_key(rng, key): warped(rng, value[key])}
    if isinstance(value, bytes):
        return mangled(rng, value)
    if isinstance(value, int):
        return rng.choice(EXTREMES)
    return value


def warped_key(rng: random.Random, key: object) -> object:
    return mangled(rng, key) if isinstance(key, bytes) and rng.random() < 0.5 else key


def warped_item(rng: random.Random, item: bytes) -> bytes:
    """One item of a frame: a message in msgpack, after its kind or its number, or plain bytes."""
    for skip in (NUMBER.size, 1):
        try:
            value = msgspec.msgpack.decode(item[skip:])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        try:
            return item[:skip] + msgspec.msgpack.encode(warped(rng, value))
        except (OverflowError, TypeError, ValueError, msgspec.MsgspecError):
            break
    return mangled(rng, item)
