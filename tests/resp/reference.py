"""What a request is, written down as plainly as can be: reads all input at once, slowly.

The oracle for `respdyn/resp/requests.py`, which must give the same whatever pieces the input comes
in. It stops at an error, at input that is not complete, or at its end.
"""

import string

INT32_MAX = 2**31 - 1
BLANKS = b" \t\n\v\f\r"


class Refused(Exception):
    """A protocol error, with Redis's text."""


def read_all(
    data: bytes, authenticated: bool, inline_bytes: int, bulk_bytes: int, args: int
) -> tuple[list[list[bytes]], str | None]:
    """The commands in the input, and the error that ends it, if one does."""
    commands: list[list[bytes]] = []
    at = 0
    try:
        while at < len(data):
            if data[at : at + 1] == b"*":
                read = _multibulk(data, at, authenticated, inline_bytes, bulk_bytes, args)
            else:
                read = _inline(data, at, inline_bytes)
            if read is None:
                break
            argv, at = read
            if argv:
                commands.append(argv)
    except Refused as why:
        return commands, str(why)
    return commands, None


def _line(data: bytes, at: int, most: int, text: str) -> tuple[bytes, int] | None:
    """A header up to its CR, and the position behind the byte after that."""
    for end in range(at, min(len(data), at + most + 1)):
        if data[end : end + 1] == b"\r":
            return (data[at:end], end + 2) if end + 2 <= len(data) else None
    if len(data) - at > most:
        raise Refused(f"Protocol error: too big {text} string")
    return None


def _number(digits: bytes) -> int | None:
    try:
        value = int(digits.decode())
    except ValueError:
        return None
    return value if str(value).encode() == digits and -(2**63) <= value < 2**63 else None


def _multibulk(
    data: bytes, at: int, authenticated: bool, inline_bytes: int, bulk_bytes: int, args: int
) -> tuple[list[bytes], int] | None:
    header = _line(data, at, inline_bytes, "mbulk count")
    if header is None:
        return None
    line, at = header
    count = _number(line[1:])
    if count is None or count > args:
        raise Refused("Protocol error: invalid multibulk length")
    if count > 10 and not authenticated:
        raise Refused("Protocol error: unauthenticated multibulk length")
    argv: list[bytes] = []
    while len(argv) < count:
        header = _line(data, at, inline_bytes, "bulk count")
        if header is None:
            return None
        line, at_value = header
        got = data[at : at + 1]
        if got != b"$":
            shown = " " if got in (b"\r", b"\n") else got.decode("latin-1")
            raise Refused(f"Protocol error: expected '$', got '{shown}'")
        size = _number(line[1:])
        if size is None or size < 0 or size > bulk_bytes:
            raise Refused("Protocol error: invalid bulk length")
        if size > 16384 and not authenticated:
            raise Refused("Protocol error: unauthenticated bulk length")
        if at_value + size + 2 > len(data):
            return None
        argv.append(data[at_value : at_value + size])
        at = at_value + size + 2
    return argv, at


def _inline(data: bytes, at: int, inline_bytes: int) -> tuple[list[bytes], int] | None:
    end = data.find(b"\n", at)
    if end < 0 or end - at > inline_bytes:
        if len(data) - at > inline_bytes:
            raise Refused("Protocol error: too big inline request")
        return None
    line = data[at:end]
    argv = split(line[:-1] if line.endswith(b"\r") else line)
    if argv is None:
        raise Refused("Protocol error: unbalanced quotes in request")
    if argv and argv[0].lower() in (b"post", b"host:"):
        raise Refused("")
    return argv, end + 1


def split(line: bytes) -> list[bytes] | None:
    """Redis's sdssplitargs, byte by byte; None for unbalanced quotes."""
    words: list[bytes] = []
    at = 0
    while True:
        while at < len(line) and line[at] in BLANKS:
            at += 1
        if at == len(line):
            return words
        word = bytearray()
        quote = b""
        while True:
            char = line[at : at + 1]
            after = line[at + 1 : at + 2]
            if not quote:
                at += len(char)
                if char in (b"", b" ", b"\n", b"\r", b"\t"):
                    break
                if char in (b'"', b"'"):
                    quote = char
                else:
                    word += char
            elif not char:
                return None
            elif char == quote:
                if after and after not in BLANKS:
                    return None
                at += 1
                break
            elif quote == b"'":
                if char == b"\\" and after == b"'":
                    word += b"'"
                    at += 2
                else:
                    word += char
                    at += 1
            elif char == b"\\" and after:
                hexa = line[at + 2 : at + 4]
                if after == b"x" and len(hexa) == 2 and all(
                    digit in string.hexdigits.encode() for digit in hexa
                ):
                    word.append(int(hexa, 16))
                    at += 4
                else:
                    escapes = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
                    word += escapes.get(after, after)
                    at += 2
            else:
                word += char
                at += 1
        words.append(bytes(word))
