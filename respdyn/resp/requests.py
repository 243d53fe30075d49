"""Reads what clients send: bytes in, commands out, whatever pieces the bytes come in.

There are two readers. The *exact* one is a small machine that knows every rule: inline commands
with quotes, all of Redis's protocol errors, limits that are checked when a length is declared,
before anything of that length has arrived. The *usual* one takes a command that is there as a whole
and written as clients write it, in one pass over its bytes. Where that is not so the exact reader
goes on. hiredis is made for replies: for requests it is too lenient, and it allocates what a length
declares. The fast path (`sessions/fast_path`) reads what it runs by itself, from `data` and `at`.

Before AUTH only the exact reader is used, with narrow limits. A command's memory is bounded by what
has arrived of it: a declared length reserves nothing.

Source: Redis `networking.c` (processInlineBuffer, processMultibulkBuffer), `sds.c` (sdssplitargs).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine word, where this is compiled

_UNAUTHENTICATED_ARGS: Final = 10
_UNAUTHENTICATED_BULK_BYTES: Final = 16384

# The usual reader takes no larger command, nor one of more words: below every limit on them.
_USUAL_BYTES_MAX: Final = 512 * 1024
_USUAL_ARGS_MAX: Final = 1000
_USUAL_SIZE_MAX: Final = 99_999     # so far a size is read

# Headers as they are written, of sizes that are seen all the time.
_COUNTS: Final = {b"*%d" % count: count for count in range(1, 1024)}
_BULK_HEADERS: Final = tuple(b"$%d" % size for size in range(16384))
_BULK_SIZES: Final = {header: size for size, header in enumerate(_BULK_HEADERS)}

_LENGTH: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_STAR: Final = 0x2A
DOLLAR: Final = 0x24
_CR: Final = 0x0D
_LF: Final = 0x0A
_ZERO: Final = 0x30
_NINE: Final = 0x39

_LARGE: Final = 1 << 20     # of an argument, from where on it is not copied twice

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
        "_args_left", "_argv", "_bulk_bytes", "_command_bytes", "_limits", "_missing", "_more",
        "at", "authenticated", "data", "ready",
    )

    def __init__(self, limits: RequestLimits, authenticated: bool = False) -> None:
        self.authenticated = authenticated      # set by the driver; looked at before each command
        self._limits = limits
        self.ready: deque[list[bytes]] = deque()    # commands read and not taken yet
        self.data = b""             # input, read up to `at`
        self.at = 0
        self._more: list[bytes] = []    # input behind `data`, not joined yet
        self._missing = 0           # bytes without which there is no getting on
        self._argv: list[bytes] = []    # the command at hand
        self._args_left = 0
        self._bulk_bytes = -1       # of the argument at hand; -1: not declared yet
        self._command_bytes = 0

    def feed(self, data: bytes) -> None:
        """Add a piece of input."""
        if self.data or self._more:
            self._more.append(data)
            self._missing -= len(data)
        else:
            self.data = data
            self.at = 0
            self._missing = 0

    def is_before_command(self) -> bool:
        """Whether there is input, and the next of it begins a command: others may read it too."""
        return (
            self.authenticated and self._args_left == 0 and self.at < len(self.data)
            and self._missing <= 0 and not self._more and not self.ready
        )

    def has_input(self) -> bool:
        """Whether something is there that was not read."""
        return len(self.data) > 0 or bool(self.ready)

    def skip(self, at: int) -> None:
        """Others have read the commands up to here of `data`."""
        if at == len(self.data):
            self.data = b""
            self.at = 0
        else:
            self.at = at

    def read(self) -> bool:
        """Put the next command, not empty, into `ready`; False when there is none.

        Raises `ProtocolError`. After that the reader is of no use any more.
        """
        if self.ready:
            return True
        if not self.data or self._missing > 0:
            return False
        if self._more:
            self._join()
            if self._argv and not self._args_left:
                self.ready.append(self._argv)
                self._argv = []
                return True
        while self.at < len(self.data):
            if self.authenticated and not self._args_left:
                words: list[bytes] = []
                after = read_usual(self.data, self.at, words)
                if after >= 0:
                    self.skip(after)
                    self.ready.append(words)
                    return True
            argv = self._read_one()
            if argv is None:
                self._trim()
                return False
            if argv:
                self.ready.append(argv)
                return True
        self.data = b""
        return False

    @property
    def buffered(self) -> int:
        """Bytes of input held back: what arrived of a command that is not complete, and commands
        that were not taken, judged by the first of them.
        """
        ready = self.ready
        if not self.data and not self._argv and not ready and not self._more:
            return 0
        return (
            len(self.data) - self.at + sum(map(len, self._more))
            + sum(map(len, self._argv)) + (len(ready) * sum(map(len, ready[0])) if ready else 0)
        )

    def ends_large(self) -> bool:
        """Whether what `read` does next is to put a large argument together: a turn's work."""
        return self._bulk_bytes >= _LARGE and self._missing <= 0 and bool(self._more)

    def _join(self) -> None:
        """Put the input together; a large argument that is there by itself, so that it is copied
        once.
        """
        size, more = self._bulk_bytes, self._more
        if size >= _LARGE:
            behind = len(self.data) - self.at + sum(map(len, more)) - size
            tail = more.pop()
            while len(tail) < behind and more:
                tail = more.pop() + tail
            cut = len(tail) - behind
            more.append(tail[:cut] if cut >= 0 else tail)
            if cut >= 0:
                self._argv.append(b"".join((self.data[self.at :], *more)))
                self.data = tail[cut + 2 :]     # whatever these two bytes are, as in Redis
                self.at = 0
                self._bulk_bytes = -1
                self._args_left -= 1
                more.clear()
                return
        self.data = b"".join((self.data[self.at :], *more))
        self.at = 0
        more.clear()

    def _trim(self) -> None:
        """Forget what was read, so that an argument's first part does not hold all before it."""
        if self.at:
            self.data = self.data[self.at :]
            self.at = 0

    # ---- the exact reader ----

    def _read_one(self) -> list[bytes] | None:
        """One command, or the empty list for an empty one; None when more input is needed."""
        if not self._args_left:
            if self.data[self.at] != _STAR:
                return self._read_inline()
            end = self.data.find(b"\r\n", self.at, self.at + 7)
            count = _COUNTS.get(self.data[self.at : end]) if end > 0 else None
            if count is not None:
                self.at = end + 2
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
        data, argv = self.data, self._argv
        for _ in range(self._args_left):
            size = self._bulk_bytes
            if size < 0:
                at = self.at
                end = data.find(b"\r\n", at, at + 8)
                known = _BULK_SIZES.get(data[at:end]) if end > 0 else None
                if known is not None:
                    size = known
                    self.at = end + 2
                    self._command_bytes += size
                else:
                    declared = self._read_bulk_length()
                    if declared is None:
                        return None
                    size = declared
            start = self.at
            end = start + size
            if end + 2 > len(data):
                self._bulk_bytes = size
                self._missing = end + 2 - len(data)
                return None
            argv.append(data[start:end])
            self.at = end + 2      # whatever these two bytes are, as in Redis
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
        data, at = self.data, self.at
        end = data.find(b"\r", at, at + self._limits.inline_bytes + 1)
        if end < 0:
            if len(data) - at > self._limits.inline_bytes:
                raise ProtocolError(f"Protocol error: too big {what} string")
            return None
        if end + 2 > len(data):
            return None
        if what == "bulk count" and data[at] != DOLLAR:
            shown = data[at : at + 1].decode("latin-1").translate(_UNPRINTED)
            raise ProtocolError(f"Protocol error: expected '$', got '{shown}'")
        digits = data[at + 1 : end]
        if _LENGTH.fullmatch(digits) is None:
            raise ProtocolError(f"Protocol error: invalid {_LENGTH_NAMES[what]} length")
        self.at = end + 2
        return int(digits)

    def _read_inline(self) -> list[bytes] | None:
        data, at, most = self.data, self.at, self._limits.inline_bytes
        end = data.find(b"\n", at, at + most + 1)
        if end < 0:
            if len(data) - at > most:
                raise ProtocolError("Protocol error: too big inline request")
            return None
        self.at = end + 1
        argv = split_inline(data[at:end].removesuffix(b"\r"))
        if argv is None:
            raise ProtocolError("Protocol error: unbalanced quotes in request")
        if argv and argv[0].lower() in HTTP_WORDS:
            raise ProtocolError("")
        return argv


_LENGTH_NAMES: Final = {"mbulk count": "multibulk", "bulk count": "bulk"}
_UNPRINTED: Final = {0x0D: " ", 0x0A: " "}


def read_usual(data: bytes, start: i64, argv: list[bytes]) -> i64:
    """The usual reader: where the command ends that begins at `start`, its words added to `argv`.

    -1 if it is not all there, or not written as usual; then `argv` is of no use.
    """
    end: i64 = len(data)
    count: i64 = size_at(data, start, _STAR)
    if count <= 0 or count > _USUAL_ARGS_MAX:
        return -1
    at = start + header_bytes(count)
    while count > 0:
        size: i64 = size_at(data, at, DOLLAR)
        if size < 0:
            return -1
        first = at + header_bytes(size)
        last = first + size
        at = last + 2
        if at > end or data[last] != _CR or data[last + 1] != _LF:
            return -1
        argv.append(data[first:last])
        count -= 1
    return at if at - start <= _USUAL_BYTES_MAX else -1


def size_at(data: bytes, at: i64, mark: i64) -> i64:
    """The number in the header that begins here with this mark (`$12`, line end and all); -1 if it
    is not written as usual, is not all there, or is larger than what is usual.

    >>> heads = b"$12\\r\\n", b"$0\\r\\n", b"$012\\r\\n", b"#12\\r\\n", b"$12", b""
    >>> [size_at(head, 0, DOLLAR) for head in heads]
    [12, 0, -1, -1, -1, -1]
    """
    end: i64 = len(data)
    if at >= end or data[at] != mark:
        return -1
    size: i64 = 0
    here = at + 1
    while here < end:
        digit: i64 = data[here]
        if digit < _ZERO or digit > _NINE:
            break
        size = size * 10 + digit - _ZERO
        if size > _USUAL_SIZE_MAX:
            return -1
        here += 1
    if here + 1 >= end or data[here] != _CR or data[here + 1] != _LF:
        return -1
    return size if here == at + header_bytes(size) - 2 else -1


def header_bytes(size: i64) -> i64:
    """How long the header of such a size is, line end and all, as it is usually written."""
    if size < 10:
        return 4
    if size < 100:
        return 5
    if size < 1000:
        return 6
    return 7 if size < 10_000 else 8


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
