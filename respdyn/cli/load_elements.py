"""Loads on one key of many elements: how it is filled, what is sent, and what must come back.

Each has a key of its own for each size, and leaves as many elements in it as there were. So that
all replies are known beforehand, elements have names of one length and values that are alike; a
list is turned (LMOVE onto itself: a pop and a push), and the members that are asked for by
rank are not those that are moved.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

FILL_WORDS: Final = 200         # elements that are added by one command
VALUE: Final = b"x" * 16
_Words = tuple[bytes, ...]


class Work(NamedTuple):
    """One operation."""

    letter: bytes                               # of the key, which other operations may share
    adding: bytes                               # the command that fills it
    element: Callable[[int], _Words]            # and its words for one element
    counting: bytes                             # the command that says how many there are
    words: Callable[[bytes, int], _Words]       # a request: of a key and a random number
    reply: Callable[[int], bytes]               # what comes back, given how many elements there are


def name(number: int) -> bytes:
    """An element: 16 bytes."""
    return b"element:%08d" % number


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _array(values: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(values) + b"".join(map(_bulk, values))


def _field(number: int) -> _Words:
    return name(number), VALUE


def _member(number: int) -> _Words:
    return (name(number),)


def _scored(number: int) -> _Words:
    return b"%d" % number, name(number)


def _item(number: int) -> _Words:
    return (VALUE,)


def _hash(words: Callable[[bytes, int], _Words], reply: Callable[[int], bytes]) -> Work:
    return Work(b"hash", b"HSET", _field, b"HLEN", words, reply)


def _set(words: Callable[[bytes, int], _Words], reply: Callable[[int], bytes]) -> Work:
    return Work(b"set", b"SADD", _member, b"SCARD", words, reply)


def _ranked(words: Callable[[bytes, int], _Words], reply: Callable[[int], bytes]) -> Work:
    return Work(b"ranked", b"ZADD", _scored, b"ZCARD", words, reply)


def _list(words: Callable[[bytes, int], _Words], reply: Callable[[int], bytes]) -> Work:
    return Work(b"list", b"RPUSH", _item, b"LLEN", words, reply)


WORKS: Final[dict[str, Work]] = {
    "hset": _hash(lambda key, n: (b"HSET", key, name(n), VALUE), lambda size: b":0\r\n"),
    "hget": _hash(lambda key, n: (b"HGET", key, name(n)), lambda size: _bulk(VALUE)),
    "hgetall": _hash(
        lambda key, n: (b"HGETALL", key),
        lambda size: _array([word for n in range(size) for word in _field(n)])),
    "sadd": _set(lambda key, n: (b"SADD", key, name(n)), lambda size: b":0\r\n"),
    "sismember": _set(lambda key, n: (b"SISMEMBER", key, name(n)), lambda size: b":1\r\n"),
    "zadd": Work(
        b"moved", b"ZADD", _scored, b"ZCARD",
        lambda key, n: (b"ZADD", key, b"%d" % (n * 7919 % 1_000_003), name(n)),
        lambda size: b":0\r\n"),
    "zrange": _ranked(
        lambda key, n: (b"ZRANGE", key, b"0", b"9"),
        lambda size: _array([name(n) for n in range(10)])),
    "zrank": _ranked(lambda key, n: (b"ZRANK", key, name(77)), lambda size: b":77\r\n"),
    "lmove": _list(
        lambda key, n: (b"LMOVE", key, key, b"RIGHT", b"LEFT"), lambda size: _bulk(VALUE)),
    "lrange": _list(
        lambda key, n: (b"LRANGE", key, b"0", b"9"), lambda size: _array([VALUE] * 10)),
}


def key_of(op: str, size: int) -> bytes:
    """The key of so many elements."""
    return b"%b:%d" % (WORKS[op].letter, size)


def filling(op: str, size: int) -> Iterator[_Words]:
    """The commands that fill it."""
    work, key = WORKS[op], key_of(op, size)
    for at in range(0, size, FILL_WORDS):
        some = range(at, min(at + FILL_WORDS, size))
        yield work.adding, key, *(word for number in some for word in work.element(number))
