"""Writers for the replies of RESP2 and RESP3: values in, bytes out.

Replies are built as bytes at once, never as objects that are serialised later: a reply is made
once, by the function that knows its shape, and then only appended. Where the two protocols differ
the writer takes `resp3`.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/, Redis `networking.c`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
QUEUED: Final = b"+QUEUED\r\n"
ZERO: Final = b":0\r\n"
ONE: Final = b":1\r\n"
NULL2: Final = b"$-1\r\n"
NULL3: Final = b"_\r\n"
NULL_ARRAY2: Final = b"*-1\r\n"
EMPTY: Final = b"$0\r\n\r\n"
EMPTY_ARRAY: Final = b"*0\r\n"

_HEADERS: Final = tuple(b"$%d\r\n" % size for size in range(1024))
_SMALL: Final = tuple(b":%d\r\n" % value for value in range(1024))


def bulk(value: bytes) -> bytes:
    size = len(value)
    if size < 1024:
        return _HEADERS[size] + value + b"\r\n"
    return b"$%d\r\n%b\r\n" % (size, value)


def bulk_view(value: memoryview) -> bytes:
    """As `bulk`, of what may be large; it is copied once."""
    return b"".join((b"$%d\r\n" % len(value), value, b"\r\n"))


def text(value: str) -> bytes:
    """A bulk string of a `str`, in UTF-8."""
    return bulk(value.encode())


def status(value: bytes) -> bytes:
    return b"+%b\r\n" % value


def integer(value: int) -> bytes:
    return _SMALL[value] if 0 <= value < 1024 else b":%d\r\n" % value


def error(message: str) -> bytes:
    """`message` is what follows the `-`; `ReplyError.text` holds no line ends, others may not.

    A client's bytes quoted in it were decoded as latin-1, one character a byte.
    """
    return b"-" + message.encode("latin-1", "replace") + b"\r\n"


def null(resp3: bool) -> bytes:
    return NULL3 if resp3 else NULL2


def null_array(resp3: bool) -> bytes:
    return NULL3 if resp3 else NULL_ARRAY2


def array(items: Sequence[bytes]) -> bytes:
    """An array of replies that are already encoded."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def bulks(values: Sequence[bytes]) -> bytes:
    """An array of bulk strings."""
    return array([bulk(value) for value in values])


def map_(pairs: Iterable[tuple[bytes, bytes]], resp3: bool) -> bytes:
    """A map of encoded keys and values; in RESP2 the flat array of both."""
    items = [item for pair in pairs for item in pair]
    if resp3:
        return b"%%%d\r\n%b" % (len(items) // 2, b"".join(items))
    return array(items)


def set_(items: Sequence[bytes], resp3: bool) -> bytes:
    return b"~%d\r\n%b" % (len(items), b"".join(items)) if resp3 else array(items)


def push(items: Sequence[bytes], resp3: bool) -> bytes:
    return b">%d\r\n%b" % (len(items), b"".join(items)) if resp3 else array(items)


def double(value: float, resp3: bool) -> bytes:
    """A double as Redis prints it (`%.17g`, inf, -inf, nan); in RESP2 a bulk string of that."""
    printed = b"%.17g" % value
    return b",%b\r\n" % printed if resp3 else bulk(printed)


def boolean(value: bool, resp3: bool) -> bytes:
    if resp3:
        return b"#t\r\n" if value else b"#f\r\n"
    return ONE if value else ZERO


def verbatim(value: bytes, resp3: bool) -> bytes:
    """Text meant for a person's eyes (INFO, CLIENT LIST); in RESP2 a bulk string."""
    if resp3:
        return b"=%d\r\ntxt:%b\r\n" % (len(value) + 4, value)
    return bulk(value)
