"""Compiled Lua 5.1 without tail calls, but for functions that call themselves.

`return redis.call(...)` is compiled to a tail call, which takes the script's own frame from the
stack; where `redis.call` is C, as in Redis, the frame stays, and so the line of an error is known.
The two instructions have the same operands, so one opcode is put in the other's place. A local
function that calls itself in this way (an upvalue) keeps its tail calls, and may go as deep as it
likes.

Source: Lua 5.1 `ldump.c`, `lundump.c`, `lopcodes.h`.
"""

from struct import unpack_from
from typing import Final

_HEADER: Final = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"   # 64 bits, little-endian, doubles
_CALL: Final = 28
_TAILCALL: Final = 29
_GETUPVAL: Final = 4


def keep_frames(code: bytes) -> bytes:
    """The same script; as it is if it was compiled for another machine than this knows."""
    if not code.startswith(_HEADER):
        return code
    out = bytearray(code)
    _function(out, len(_HEADER))
    return bytes(out)


def _function(out: bytearray, at: int) -> int:
    """Change the function that begins here; where it ends."""
    at = _string(out, at) + 8 + 4
    instructions = _int(out, at)
    at += 4
    _change(out, at, instructions)
    at += 4 * instructions
    constants = _int(out, at)
    at += 4
    for _ in range(constants):
        kind = out[at]
        at += 1
        if kind == 1:
            at += 1
        elif kind == 3:
            at += 8
        elif kind == 4:
            at = _string(out, at)
    functions = _int(out, at)
    at += 4
    for _ in range(functions):
        at = _function(out, at)
    at += 4 + 4 * _int(out, at)             # lines
    variables = _int(out, at)
    at += 4
    for _ in range(variables):
        at = _string(out, at) + 8
    upvalues = _int(out, at)
    at += 4
    for _ in range(upvalues):
        at = _string(out, at)
    return at


def _change(out: bytearray, at: int, instructions: int) -> None:
    loaded: dict[int, int] = {}             # by register: the opcode that filled it last
    for place in range(at, at + 4 * instructions, 4):
        word = _int(out, place)
        opcode, register = word & 63, word >> 6 & 255
        if opcode == _TAILCALL and loaded.get(register) != _GETUPVAL:
            out[place] = out[place] & 0xC0 | _CALL
        loaded[register] = opcode


def _int(out: bytearray, at: int) -> int:
    number: int = unpack_from("<I", out, at)[0]
    return number


def _string(out: bytearray, at: int) -> int:
    """Where the string that begins here ends."""
    size: int = unpack_from("<Q", out, at)[0]
    return at + 8 + size
