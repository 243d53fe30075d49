"""Which arguments of a command are keys, and what it does to each: from its declaration.

Source: Redis's key specifications; `db.c` (setGetKeys, bitfieldGetKeys) for keys that are used in
one way or another by the options of a command.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from respdyn.commands.arguments import word
from respdyn.commands.declare import Command

READS: Final = 1
WRITES: Final = 2


class Use(NamedTuple):
    """A key, where it stands, and how it is used: in Redis's words, and as `READS`, `WRITES`."""

    at: int
    key: bytes
    access: str
    ways: int


_STORED: Final = "OW update"     # a further key, to which the command stores


def uses_of(command: Command, argv: list[bytes]) -> list[Use]:
    """The keys that a command names, and how it uses each."""
    access = _DEPENDING[command.name](argv) if command.name in _DEPENDING else command.access
    accesses = access.split("; ")
    uses = []
    for index, at in enumerate(places_of(command, argv)):
        one = accesses[0 if index == 0 else -1]
        uses.append(Use(at, argv[at], one, _ways(one)))
    if command.stores is not None:
        uses += [Use(at, argv[at], _STORED, WRITES) for at in command.stores(argv)]
    return uses


def places_of(command: Command, argv: list[bytes]) -> list[int]:
    """Where the keys of a command stand, those left out to which only options of it store."""
    if command.counted_keys is not None:
        return command.counted_keys(argv)
    first, last, step = command.keys.first, command.keys.last, command.keys.step
    if not first:
        return []
    end = len(argv) + last + 1 if last < 0 else min(last + 1, len(argv))
    return list(range(first, end, step))


def _access_of_set(argv: list[bytes]) -> str:
    return "RW access update" if b"GET" in map(word, argv[3:]) else "OW update"


def _access_of_bitfield(argv: list[bytes]) -> str:
    at = 2
    while at < len(argv):
        size = {b"GET": 3, b"OVERFLOW": 2}.get(word(argv[at]))
        if size is None:
            return "RW access update"
        at += size
    return "RO access"


# Commands that use their key in one way or another, by their options.
_DEPENDING: Final[dict[str, Callable[[list[bytes]], str]]] = {
    "set": _access_of_set, "bitfield": _access_of_bitfield,
}


def _ways(access: str) -> int:
    words = access.split()
    writes = any(one in words for one in ("insert", "delete", "update"))
    return (READS if "access" in words else 0) | (WRITES if writes else 0)
