"""What SCAN, KEYS and their kin ask for: cursors, options, and glob patterns.

A pattern is compiled once into runs of one-byte matchers between its stars. Every run is as long as
what it matches, so a star never needs to be tried again once the run behind it was found: the first
place is as good as any later one. Time is bounded by key length times pattern length, whatever the
pattern (`a*a*a*a*b` is the classic bomb), and nearly all of it is spent in `bytes.find` and `re`.

Source: Redis `util.c` (stringmatchlen), with its rules: an unclosed class ends with the pattern,
`[a-]` is a range up to `]`, bounds of a range may be swapped and are signed bytes, and nothing but
`*` and the empty pattern matches an empty name. `db.c` (parseScanCursorOrReply).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from respdyn.commands.arguments import option_pairs, parse_integer, syntax_error, word
from respdyn.errors import ReplyError

# COUNT is a hint, so it may be capped: one step of a scan should not look at everything.
COUNT_MAX: Final = 1_000_000

# Compiling costs about half a microsecond a byte, in the one thread that serves all clients.
PATTERN_BYTES_MAX: Final = 65536

_CURSOR = re.compile(rb"([+-]?)([0-9]+)")
_SPECIAL = re.compile(rb"[*?\[\\]")
_NOTHING = re.compile(rb"(?!)")
_UINT64: Final = 1 << 64
_ALL: Final = frozenset(range(256))


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One call of SCAN. `match` and `type` are None where anything will do."""

    cursor: int
    match: bytes | None
    count: int
    type: bytes | None


def parse_scan(argv: list[bytes]) -> ScanRequest:
    """`SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`, options in any order."""
    cursor = parse_cursor(argv[1])
    match: bytes | None = None
    kind: bytes | None = None
    count = 10
    for option, value in option_pairs(argv, 2, b"COUNT", b"MATCH", b"TYPE"):
        if option == b"COUNT":
            count = parse_integer(value)
            if count < 1:
                raise syntax_error()
        elif option == b"MATCH":
            match = _checked(value)
        else:
            kind = value.split(b"\0", 1)[0]
    if match == b"*":
        match = None
    return ScanRequest(cursor, match, min(count, COUNT_MAX), kind)


def parse_cursor(argument: bytes) -> int:
    """A cursor as C's strtoul reads it: a sign is allowed, -1 is the largest number."""
    text = argument.split(b"\0", 1)[0]
    if not text:
        return 0
    found = _CURSOR.fullmatch(text)
    if found is None or len(found[2].lstrip(b"0")) > 20 or int(found[2]) >= _UINT64:
        raise ReplyError("ERR invalid cursor")
    value = int(found[2])
    return -value % _UINT64 if found[1] == b"-" else value


def parse_keys(argv: list[bytes]) -> bytes:
    """`KEYS pattern`: the pattern."""
    return _checked(argv[1])


def parse_flush(argv: list[bytes]) -> None:
    """`FLUSHDB [ASYNC | SYNC]` and FLUSHALL. Both words mean the same here."""
    if len(argv) > 2 or (len(argv) == 2 and word(argv[1]) not in (b"ASYNC", b"SYNC")):
        raise syntax_error()


def _checked(pattern: bytes) -> bytes:
    if len(pattern) > PATTERN_BYTES_MAX:
        raise ReplyError(f"ERR a pattern may have {PATTERN_BYTES_MAX} bytes at most")
    return pattern


def glob_match(pattern: bytes, name: bytes) -> bool:
    """Whether a name matches a glob pattern.

    >>> glob_match(b"h[^a-d]*o", b"hello"), glob_match(b"h?llo", b"hllo")
    (True, False)
    """
    if pattern == b"*":
        return True
    return compile_glob(pattern).matches(name)


class Run:
    """Matchers of one byte each, side by side."""

    __slots__ = ("_literal", "_regex", "width")

    def __init__(self, matchers: list[frozenset[int]]) -> None:
        self.width = len(matchers)
        self._literal: bytes | None = None
        self._regex = _NOTHING
        if all(len(matcher) == 1 for matcher in matchers):
            self._literal = bytes(value for matcher in matchers for value in matcher)
        else:
            self._regex = re.compile(b"".join(map(_as_regex, matchers)), re.DOTALL)

    @property
    def is_literal(self) -> bool:
        """Whether it matches one thing only."""
        return self._literal is not None

    def is_at(self, name: bytes, position: int) -> bool:
        """Whether the run matches there."""
        if self._literal is not None:
            return name.startswith(self._literal, position)
        return self._regex.match(name, position) is not None

    def find(self, name: bytes, start: int, end: int) -> int:
        """The first place between `start` and `end`; -1 if there is none."""
        if self._literal is not None:
            return name.find(self._literal, start, end)
        found = self._regex.search(name, start, end)
        return -1 if found is None else found.start()


class Glob:
    """A compiled pattern: the runs between its stars."""

    __slots__ = ("_is_empty", "_width", "runs")

    def __init__(self, runs: list[Run], is_empty: bool) -> None:
        self.runs = runs
        self._is_empty = is_empty
        self._width = sum(run.width for run in runs)

    @property
    def weight(self) -> int:
        """What a byte of a name costs: to look for a class costs more than for itself."""
        return 1 + sum(10 * run.width for run in self.runs[1:-1] if not run.is_literal)

    def matches(self, name: bytes) -> bool:
        """Whether the whole name matches. The first run must stand at its start, the last at its
        end, the others in between in their order."""
        size = len(name)
        if not size:
            return self._is_empty
        if size < self._width:
            return False
        runs = self.runs
        first, last = runs[0], runs[-1]
        if not first.is_at(name, 0):
            return False
        if first is last:
            return size == first.width
        position, end = first.width, size - last.width
        if not last.is_at(name, end):
            return False
        for run in runs[1:-1]:
            position = run.find(name, position, end)
            if position < 0:
                return False
            position += run.width
        return True


@lru_cache(maxsize=64)
def compile_glob(pattern: bytes) -> Glob:
    """The pattern's runs; a scan uses the same pattern again and again."""
    return glob_of(pattern)


def lead_of(pattern: bytes) -> bytes:
    """What every name that matches must begin with.

    >>> lead_of(b"news.*"), lead_of(b"[ab]c"), lead_of(b"plain")
    (b'news.', b'', b'plain')
    """
    found = _SPECIAL.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def glob_of(pattern: bytes) -> Glob:
    """The pattern's runs, made anew."""
    runs: list[Run] = []
    matchers: list[frozenset[int]] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == 0x2A:                                    # *
            runs.append(Run(matchers))
            matchers = []
        elif char == 0x3F:                                  # ?
            matchers.append(_ALL)
        elif char == 0x5B:                                  # [
            matcher, position = _class(pattern, position)
            matchers.append(matcher)
        else:
            if char == 0x5C and position < len(pattern):    # \
                char = pattern[position]
                position += 1
            matchers.append(frozenset((char,)))
    runs.append(Run(matchers))
    return Glob(runs, is_empty=pattern in (b"", b"*"))


def _class(pattern: bytes, position: int) -> tuple[frozenset[int], int]:
    """The bytes that `[...]` matches, and the position behind it."""
    is_negated = pattern[position : position + 1] == b"^"
    position += is_negated
    members: set[int] = set()
    end = len(pattern)
    while position < end:
        char = pattern[position]
        if char == 0x5C and position + 1 < end:
            position += 1
            members.add(pattern[position])
        elif char == 0x5D:                                  # ]
            position += 1
            break
        elif position + 2 < end and pattern[position + 1] == 0x2D:
            bounds = sorted((_signed(char), _signed(pattern[position + 2])))
            members.update(value & 255 for value in range(bounds[0], bounds[1] + 1))
            position += 2
        else:
            members.add(char)
        position += 1
    return (_ALL - members if is_negated else frozenset(members)), position


def _signed(value: int) -> int:
    return value - 256 if value > 127 else value


def _as_regex(members: frozenset[int]) -> bytes:
    if members == _ALL:
        return b"."
    if not members:
        return b"(?!)"
    if len(members) == 1:
        return re.escape(bytes(members))
    return b"[" + b"".join(b"\\x%02x" % member for member in sorted(members)) + b"]"
