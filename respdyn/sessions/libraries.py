"""The libraries of functions that this node knows: those of all nodes.

A library is a statement (`cluster/shared_names`): its code, and what functions it was found to have
by the node where it was loaded, so that no node need run the code to know. Deleted libraries are
statements as well, and FUNCTION FLUSH is one about all that was loaded before it.

On both sides of a cut libraries with different names may register the same function. Then the one
that was loaded later has it, at every node.

Source: Redis `function.c`; decision 0059.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from respdyn.cluster.shared_names import SharedNames, Statement, rank
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.scan import glob_match
from respdyn.commands.scripting import is_library_name
from respdyn.coordination.script_messages import sha_of
from respdyn.errors import PeerError, ReplyError
from respdyn.scripting.job import Function
from respdyn.types.dump import pack_count, seal

LIBRARIES_MOST: Final = 1000        # deleted ones included
BYTES_MOST: Final = 64 << 20        # of code
DUMPED: Final = 245                 # the type of a library in Redis's format

_encode = msgspec.msgpack.Encoder().encode
_functions: msgspec.msgpack.Decoder[list[Function]] = msgspec.msgpack.Decoder(list[Function])


class Library(NamedTuple):
    """One library."""

    name: bytes
    code: bytes
    functions: list[Function]
    key: str            # by which its code is known beside scripts: no script's hash is like it


class Libraries:
    """All of them."""

    def __init__(self, node: ThisNode, send_to_all: Callable[[bytes], None]) -> None:
        self.by_name: dict[bytes, Library] = {}
        self.statements = SharedNames(
            node, "libraries", LIBRARIES_MOST, send_to_all, _check, self._took, is_flushable=True
        )
        self._functions: dict[bytes, tuple[Library, Function]] = {}     # by name in lower case

    # ---- what there is ----

    def find(self, name: bytes) -> tuple[Library, Function] | None:
        """A function, in whatever case its name is written, and its library."""
        return self._functions.get(name.lower())

    def matching(self, pattern: bytes | None) -> list[Library]:
        """In the order of their names; the pattern's case does not matter."""
        return [
            library for name, library in sorted(self.by_name.items())
            if pattern is None or glob_match(pattern.lower(), name.lower())
        ]

    def counts(self) -> tuple[int, int, int]:
        """Libraries, functions, and bytes of code."""
        libraries = self.by_name.values()
        return (
            len(libraries), sum(len(one.functions) for one in libraries),
            sum(len(one.code) for one in libraries),
        )

    def dump(self) -> bytes:
        """All of them in Redis's format."""
        return seal(b"".join(
            bytes([DUMPED]) + pack_count(len(one.code)) + one.code for one in self.matching(None)
        ))

    # ---- changes ----

    def check(self, added: Iterable[Library], replaces: bool, text: str) -> None:
        """Raises `ReplyError` if these cannot be added; `text` says that one is there already."""
        added = list(added)
        if not replaces:
            for library in added:
                if library.name in self.by_name:
                    raise ReplyError(text.format(library.name.decode()))
        gone = {library.name for library in added}
        for library in added:
            for function in library.functions:
                found = self.find(function.name.encode())
                if found is not None and found[0].name not in gone:
                    raise ReplyError(f"ERR Function {function.name} already exists")
        kept = sum(len(one.code) for name, one in self.by_name.items() if name not in gone)
        if kept + sum(len(library.code) for library in added) > BYTES_MOST:
            raise ReplyError(f"ERR no more than {BYTES_MOST} bytes of libraries are kept")

    def add(self, added: Iterable[Library]) -> None:
        """Make them known, in place of those with their names. Raises `ReplyError`."""
        for library in added:
            self.statements.say(library.name, [library.code, _encode(library.functions)])

    def delete(self, name: bytes) -> None:
        """Raises `ReplyError` if there is none."""
        if name not in self.by_name:
            raise ReplyError("ERR Library not found")
        self.statements.say(name, None)

    def _took(self, statement: Statement) -> None:
        """Something else holds from now on."""
        known = self.statements.known
        if not statement.name:
            for name in [name for name in self.by_name if name not in known]:
                del self.by_name[name]
        elif statement.words is None:
            self.by_name.pop(statement.name, None)
        else:
            code, functions = statement.words
            self.by_name[statement.name] = library_from(
                statement.name, code, _functions.decode(functions)
            )
        self._functions = {
            function.name.encode().lower(): (library, function)
            for library in sorted(
                self.by_name.values(), key=lambda one: rank(known[one.name])
            )
            for function in reversed(library.functions)
        }


def library_from(name: bytes, code: bytes, functions: list[Function]) -> Library:
    """A library of which this was found out."""
    return Library(name, code, functions, "F" + sha_of(code))


def _check(statement: Statement) -> None:
    """Raises `PeerError` for a peer's statement that makes no sense."""
    words = statement.words
    if words is None:
        functions = []
    elif len(words) != 2:
        raise PeerError("a statement about a library that cannot be")
    else:
        try:
            functions = _functions.decode(words[1])
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed list of functions: {wrong}") from wrong
    names = [statement.name, *(one.name.encode() for one in functions)]
    if not all(map(is_library_name, names)) or (words is not None and not functions):
        raise PeerError("a statement about a library that cannot be")
