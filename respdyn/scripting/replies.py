"""A command's reply, from RESP to what Lua gets: a kind and values (`got` in sandbox.lua).

Source: Redis `script_lua.c` (redisProtocolToLuaType).
"""

from collections.abc import Callable
from typing import Any, Final

_VALUE: Final = 0
_STATUS: Final = 1
_ERROR: Final = 2
_ARRAY: Final = 3
_TABLE: Final = 4
_FLAT_MOST: Final = 200         # values that are passed one by one

MakeTable = Callable[[Any], Any]


def to_lua(reply: bytes, table: MakeTable) -> tuple[Any, ...]:
    """What Lua gets; `table` makes a Lua table of a list or a dict."""
    kind = reply[0]
    if kind == 58:                              # :
        return _VALUE, int(reply[1:-2])
    if kind == 36:                              # $
        if reply[1] == 45:
            return _VALUE, False
        return _VALUE, reply[reply.index(b"\n") + 1 : -2]
    if kind == 43:                              # +
        return _STATUS, reply[1:-2]
    if kind == 45:                              # -
        return _ERROR, reply[1:-2]
    if kind == 42:                              # *
        items = _plain(reply)
        if items is not None:
            return (_ARRAY, *items)
    value, _ = _value(reply, 0, table)
    return (_VALUE if type(value) in (bool, float) or value is None else _TABLE), value


def _plain(reply: bytes) -> list[Any] | None:
    """The items of an array of few bulk strings, integers and nulls; None for any other."""
    at = reply.index(b"\n") + 1
    count = int(reply[1 : at - 2])
    if not 0 <= count <= _FLAT_MOST:
        return None
    items: list[Any] = []
    for _ in range(count):
        end = reply.index(b"\r", at)
        kind = reply[at]
        if kind == 36:
            size = int(reply[at + 1 : end])
            if size < 0:
                items.append(False)
                at = end + 2
            else:
                items.append(reply[end + 2 : end + 2 + size])
                at = end + 4 + size
        elif kind == 58:
            items.append(int(reply[at + 1 : end]))
            at = end + 2
        else:
            return None
    return items


def _value(reply: bytes, at: int, table: MakeTable) -> tuple[Any, int]:
    """The value that begins here, and where it ends."""
    end = reply.index(b"\r", at)
    kind, head = reply[at : at + 1], reply[at + 1 : end]
    at = end + 2
    if kind == b":":
        return int(head), at
    if kind == b"$":
        size = int(head)
        return (False, at) if size < 0 else (reply[at : at + size], at + size + 2)
    if kind == b"+":
        return table({b"ok": head}), at
    if kind == b"-":
        return table({b"err": head}), at
    if kind in (b"*", b">"):
        if head == b"-1":
            return False, at
        items = []
        for _ in range(int(head)):
            item, at = _value(reply, at, table)
            items.append(item)
        return table(items), at
    if kind == b"_":
        return None, at
    if kind == b"#":
        return head == b"t", at
    if kind == b",":
        return table({b"double": float(head)}), at
    if kind == b"(":
        return table({b"big_number": head}), at
    if kind == b"=":
        size = int(head)
        text = reply[at : at + size]
        inner = table({b"format": text[:3], b"string": text[4:]})
        return table({b"verbatim_string": inner}), at + size + 2
    if kind == b"%":
        found = {}
        for _ in range(int(head)):
            key, at = _value(reply, at, table)
            found[key], at = _value(reply, at, table)
        return table({b"map": table(found)}), at
    members = {}
    for _ in range(int(head)):
        member, at = _value(reply, at, table)
        members[member] = True
    return table({b"set": table(members)}), at
