"""Reads what clients send: bytes in, commands out, whatever pieces the bytes come in.

There are two readers. The *exact* one is a small machine that knows every rule: inline commands
with quotes, all of Redis's protocol errors, limits that are checked when a length is declared,
before anything of that length has arrived. The *fast* one splits a whole piece of input at its line
ends, in C, and takes every command whose headers are just what they must be for its arguments.
Where that is not so (a line end within an argument, a command that is not complete) the exact
reader goes on. As fast as hiredis was here, which is made for replies: for requests it is too
lenient, and it allocates what a length declares.

Before AUTH only the exact reader is used, with narrow limits. A command's memory is bounded by what
has arrived of it: a declared length reserves nothing.

Source: Redis `networking.c` (processInlineBuffer, processMultibulkBuffer), `sds.c` (sdssplitargs).
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

_UNAUTHENTICATED_ARGS: Final = 10
_UNAUTHENTICATED_BULK_BYTES: Final = 16384

# A larger piece of input is most likely one large argument.
_FAST_BYTES_MAX: Final = 1024 * 1024

# Headers as they are written, of sizes that are seen all the time.
_COUNTS: Final = {b"*%d" % count: count for count in range(1, 1024)}
_BULK_HEADERS: Final = tuple(b"$%d" % size for size in range(16384))
_BULK_SIZES: Final = {header: size for size, header in enumerate(_BULK_HEADERS)}

_LENGTH: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_STAR: Final = 0x2A
_DOLLAR: Final = 0x24

# What a browser that was lured here would send first (cross-protocol scripting).
HTTP_WORDS: Final = (b"post", b"host:")


class ProtocolError(Exception):
    """The client does not speak the protocol. Its connection is closed after `reply`.

    `text` is Redis's, e.g. `Protocol error: invalid bulk length`; empty where Redis closes the
    connection without a word.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @property
    def reply(self) -> bytes:
        """What is to be written before the connection is closed."""
        return b"-ERR " + self.text.encode("latin-1") + b"\r\n" if self.text else b""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one command may take. `command_bytes` bounds it as a whole, arguments and all."""

    args: int = 1024 * 1024
    bulk_bytes: int = 512 * 1024 * 1024
    inline_bytes: int = 64 * 1024
    command_bytes: int = 1024 * 1024 * 1024


class RequestReader:
    """Takes pieces of input and gives commands, in order.

    >>> reader = RequestReader(RequestLimits(), authenticated=True)
    >>> reader.feed(b"*2\\r\\n$4\\r\\nECHO\\r\\n$2\\r\\nhi\\r\\nSET k 'a b'\\r\\n*1")
    >>> reader.read(), reader.ready.popleft()
    (True, [b'ECHO', b'hi'])
    >>> reader.read(), reader.ready.popleft(), reader.read()
    (True, [b'SET', b'k', b'a b'], False)
    """

    __slots__ = (
        "_args_left", "_argv", "_at", "_bulk_bytes", "_command_bytes", "_data", "_exact_until",
        "_limits", "_missing", "_more", "authenticated", "ready",
    )

    def __init__(self, limits: RequestLimits, authenticated: bool = False) -> None:
        self.authenticated = authenticated      # set by the driver; looked at before each command
        self._limits = limits
        self.ready: deque[list[bytes]] = deque()    # commands read and not taken yet
        self._data = b""            # input, read up to `_at`
        self._at = 0
        self._more: list[bytes] = []    # input behind `_data`, not joined yet
        self._missing = 0           # bytes without which there is no getting on
        self._exact_until = 0       # up to here of `_data` the fast reader was in doubt
        self._argv: list[bytes] = []    # the command at hand
        self._args_left = 0
        self._bulk_bytes = -1       # of the argument at hand; -1: not declared yet
        self._command_bytes = 0

    def feed(self, data: bytes) -> None:
        """Add a piece of input."""
        if self._data or self._more:
            self._more.append(data)
            self._missing -= len(data)
        else:
            self._data = data
            self._at = self._exact_until = 0
            self._missing = 0

    def read(self) -> bool:
        """Put the next commands, none of them empty, into `ready`; False when there are none.

        Many at once where all are of the usual kind; before AUTH one, since it may be AUTH.
        Raises `ProtocolError`. After that the reader is of no use any more.
        """
        if self.ready:
            return True
        if not self._data or self._missing > 0:
            return False
        if self._more:
            self._join()
        while self._at < len(self._data):
            if self.authenticated and not self._args_left and self._read_many():
                return True
            argv = self._read_one()
            if argv is None:
                self._trim()
                return False
            if argv:
                self.ready.append(argv)
                return True
        self._data = b""
        return False

    @property
    def buffered(self) -> int:
        """Bytes of input held back: what arrived of a command that is not complete, and commands
        that were not taken, judged by the first of them.
        """
        ready = self.ready
        return (
            len(self._data) - self._at + sum(map(len, self._more))
            + sum(map(len, self._argv)) + (len(ready) * sum(map(len, ready[0])) if ready else 0)
        )

    def _join(self) -> None:
        self._exact_until -= self._at
        self._data = b"".join((self._data[self._at :], *self._more))
        self._at = 0
        self._more.clear()

    def _trim(self) -> None:
        """Forget what was read, so that an argument's first part does not hold all before it."""
        if self._at:
            self._exact_until -= self._at
            self._data = self._data[self._at :]
            self._at = 0

    # ---- the fast reader ----

    def _read_many(self) -> bool:
        """Read whole commands of the usual kind into `ready`; False if the first is not one."""
        start = self._at
        held = self._data
        if (
            start < self._exact_until or held[start] != _STAR
            or len(held) - start > _FAST_BYTES_MAX
        ):
            return False
        data = held[start:]         # no copy when nothing was read of it yet
        tokens = data.split(b"\r\n")
        last = len(tokens) - 1
        at = _collect(tokens, last, self.ready)
        if at == last and not tokens[last]:
            self._data = b""
            self._at = 0
            return True
        left = sum(map(len, tokens[at:])) + 2 * (last - at)
        self._at = len(self._data) - left
        self._exact_until = len(self._data)
        return at > 0

    # ---- the exact reader ----

    def _read_one(self) -> list[bytes] | None:
        """One command, or the empty list for an empty one; None when more input is needed."""
        if not self._args_left:
            if self._data[self._at] != _STAR:
                return self._read_inline()
            end = self._data.find(b"\r\n", self._at, self._at + 7)
            count = _COUNTS.get(self._data[self._at : end]) if end > 0 else None
            if count is not None:
                self._at = end + 2
            else:
                count = self._read_length("mbulk count")
                if count is None:
                    return None
            if count > self._limits.args:
                raise ProtocolError("Protocol error: invalid multibulk length")
            if count > _UNAUTHENTICATED_ARGS and not self.authenticated:
                raise ProtocolError("Protocol error: unauthenticated multibulk length")
            if count <= 0:
                return []
            self._args_left = count
            self._command_bytes = 0
        return self._read_args()

    def _read_args(self) -> list[bytes] | None:
        data, argv = self._data, self._argv
        for _ in range(self._args_left):
            size = self._bulk_bytes
            if size < 0:
                at = self._at
                end = data.find(b"\r\n", at, at + 8)
                known = _BULK_SIZES.get(data[at:end]) if end > 0 else None
                if known is not None:
                    size = known
                    self._at = end + 2
                    self._command_bytes += size
                else:
                    declared = self._read_bulk_length()
                    if declared is None:
                        return None
                    size = declared
            start = self._at
            end = start + size
            if end + 2 > len(data):
                self._bulk_bytes = size
                self._missing = end + 2 - len(data)
                return None
            argv.append(data[start:end])
            self._at = end + 2      # whatever these two bytes are, as in Redis
            self._bulk_bytes = -1
            self._args_left -= 1
        self._argv = []
        return argv

    def _read_bulk_length(self) -> int | None:
        size = self._read_length("bulk count")
        if size is None:
            return None
        if not 0 <= size <= self._limits.bulk_bytes:
            raise ProtocolError("Protocol error: invalid bulk length")
        if size > _UNAUTHENTICATED_BULK_BYTES and not self.authenticated:
            raise ProtocolError("Protocol error: unauthenticated bulk length")
        self._command_bytes += size
        if self._command_bytes > self._limits.command_bytes:
            raise ProtocolError("Protocol error: too big command")
        return size

    def _read_length(self, what: str) -> int | None:
        """The number in a line such as `*3`; -1 if it is not one. None if the line is not there."""
        data, at = self._data, self._at
        end = data.find(b"\r", at, at + self._limits.inline_bytes + 1)
        if end < 0:
            if len(data) - at > self._limits.inline_bytes:
                raise ProtocolError(f"Protocol error: too big {what} string")
            return None
        if end + 2 > len(data):
            return None
        if what == "bulk count" and data[at] != _DOLLAR:
            shown = data[at : at + 1].decode("latin-1").translate(_UNPRINTED)
            raise ProtocolError(f"Protocol error: expected '$', got '{shown}'")
        digits = data[at + 1 : end]
        if _LENGTH.fullmatch(digits) is None:
            raise ProtocolError(f"Protocol error: invalid {_LENGTH_NAMES[what]} length")
        self._at = end + 2
        return int(digits)

    def _read_inline(self) -> list[bytes] | None:
        data, at, most = self._data, self._at, self._limits.inline_bytes
        end = data.find(b"\n", at, at + most + 1)
        if end < 0:
            if len(data) - at > most:
                raise ProtocolError("Protocol error: too big inline request")
            return None
        self._at = end + 1
        argv = split_inline(data[at:end].removesuffix(b"\r"))
        if argv is None:
            raise ProtocolError("Protocol error: unbalanced quotes in request")
        if argv and argv[0].lower() in HTTP_WORDS:
            raise ProtocolError("")
        return argv


_LENGTH_NAMES: Final = {"mbulk count": "multibulk", "bulk count": "bulk"}
_UNPRINTED: Final = {0x0D: " ", 0x0A: " "}


def _collect(tokens: list[bytes], last: int, commands: deque[list[bytes]]) -> int:
    """Append the commands made of whole tokens; where the first thing begins that is none.

    Every header is compared with what it must be for the argument behind it, so an argument with a
    line end in it, or anything else that is out of the ordinary, ends the loop.
    """
    at = 0
    headers = _BULK_HEADERS
    while at < last:
        head = tokens[at]
        try:
            if head == b"*3":
                _, size0, one, size1, two, size2, three = tokens[at : at + 7]
                if (
                    size0 != headers[len(one)]
                    or size1 != headers[len(two)]
                    or size2 != headers[len(three)]
                    or at + 7 > last
                ):
                    return at
                commands.append([one, two, three])
                at += 7
            elif head == b"*2":
                _, size0, one, size1, two = tokens[at : at + 5]
                if size0 != headers[len(one)] or size1 != headers[len(two)] or at + 5 > last:
                    return at
                commands.append([one, two])
                at += 5
            else:
                end = at + 1 + 2 * _COUNTS[head]
                argv = tokens[at + 2 : end : 2]
                sizes = [b"$%d" % len(argument) for argument in argv]
                if end > last or tokens[at + 1 : end : 2] != sizes:
                    return at
                commands.append(argv)
                at = end
        except (IndexError, KeyError, ValueError):
            # A large argument, a header out of the ordinary, or the end.
            return at
    return at


_WORD: Final = re.compile(
    rb"""
    [^ \t\n\r"']+                             # as it stands; \v and \f end a word only at its start
    | "((?:\\x[0-9a-fA-F]{2}|\\.|[^"\\])*)"(?![^ \t\n\v\f\r])
    | '((?:\\'|[^'])*+)'(?![^ \t\n\v\f\r])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_inline(line: bytes) -> list[bytes] | None:
    """The words of an inline command; None if a quote has no end, or something follows it at once.

    A quoted part may begin within a word, and ends it.

    >>> split_inline(rb'SET k"a b"')
    [b'SET', b'ka b']
    """
    words: list[bytes] = []
    at = 0
    while True:
        while line[at : at + 1].isspace():
            at += 1
        if at == len(line):
            return words
        word = b""
        while at < len(line) and line[at] not in b" \t\n\r":
            found = _WORD.match(line, at)
            if found is None:
                return None
            at = found.end()
            if found[1] is not None:
                word += _ESCAPE.sub(_unescape, found[1])
                break
            if found[2] is not None:
                word += found[2].replace(b"\\'", b"'")
                break
            word += found[0]
        words.append(word)


def _unescape(found: re.Match[bytes]) -> bytes:
    if found[1] is not None:
        return bytes.fromhex(found[1].decode())
    return _ESCAPED.get(found[2], found[2])
