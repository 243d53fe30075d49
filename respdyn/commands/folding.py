"""A command of several keys as commands on one each, and how their replies become one reply.

Keys may be very many, so they are gone through one by one, each when the caller takes the next.

A part that failed makes the whole reply that error: there is never a silent partial answer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from respdyn.resp.replies import OK, array, integer

_IN_ORDER_MAX = 10_000      # words
_ERROR = 0x2D   # "-"


def once(words: Iterable[bytes]) -> Iterator[bytes]:
    """Each word once, in order.

    >>> list(once([b"b", b"a", b"b"]))
    [b'b', b'a']
    """
    seen: set[bytes] = set()
    for each in words:
        if each not in seen:
            seen.add(each)
            yield each


def last_pairs(argv: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each key with its value, the last one if it is named twice.

    In order; very many from the end, so that they need not all be looked at before the first.

    >>> list(last_pairs([b"MSET", b"a", b"1", b"b", b"2", b"a", b"3"]))
    [(b'a', b'3'), (b'b', b'2')]
    """
    if len(argv) <= _IN_ORDER_MAX:
        yield from dict(zip(argv[1::2], argv[2::2], strict=True)).items()
        return
    seen: set[bytes] = set()
    for at in range(len(argv) - 2, 0, -2):
        key = argv[at]
        if key not in seen:
            seen.add(key)
            yield key, argv[at + 1]


def as_array(replies: list[bytes]) -> bytes:
    return first_error(replies) or array(replies)


def as_sum(replies: list[bytes]) -> bytes:
    """Counted first, then added: most of them are alike."""
    return first_error(replies) or integer(
        sum(int(reply[1:-2]) * count for reply, count in Counter(replies).items())
    )


def all_ok(replies: list[bytes]) -> bytes:
    return first_error(replies) or OK


def first_error(replies: list[bytes]) -> bytes:
    """The first of them that is an error; b"" if there is none."""
    return next((reply for reply in replies if reply[0] == _ERROR), b"")


def bulks_of(reply: bytes) -> list[bytes]:
    """The values in an array or a set of bulk strings."""
    found: list[bytes] = []
    at = reply.index(b"\n") + 1
    while at < len(reply):
        end = reply.index(b"\r", at)
        size = int(reply[at + 1 : end])
        found.append(reply[end + 2 : end + 2 + size])
        at = end + 4 + size
    return found


def leaves_of(reply: bytes) -> list[bytes]:
    """The bulk strings and doubles in an array, in order, however arrays are nested in it."""
    found: list[bytes] = []
    at = 0
    while at < len(reply):
        end = reply.index(b"\r", at)
        kind, at, start = reply[at : at + 1], end + 2, at + 1
        if kind == b"$":
            size = int(reply[start:end])
            found.append(reply[at : at + size])
            at += size + 2
        elif kind == b",":
            found.append(reply[start:end])
    return found


def payload_of(reply: bytes) -> bytes | None:
    """The value in the reply to a GET; None if there was none."""
    if reply[:1] != b"$" or reply[1:2] == b"-":
        return None
    return reply[reply.index(b"\n") + 1 : -2]
