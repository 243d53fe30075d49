"""The same scripts at respdyn and at redis-server: which replies differ."""

from collections.abc import Iterable

from tests.commands.alone import Alone
from tests.commands.real import Connection, encode

SET_UP: tuple[tuple[bytes, ...], ...] = (
    (b"FLUSHALL",), (b"SET", b"k1", b"10"), (b"HSET", b"h", b"a", b"1"), (b"SADD", b"s", b"m"),
)


def differences(
    scripts: Iterable[str], redis: Connection, command: bytes = b"EVAL", resp3: bool = False
) -> list[tuple[str, bytes, bytes]]:
    """(script, Redis's reply, ours)."""
    ours = Alone().connect()
    protocol = b"3" if resp3 else b"2"
    ours.call(b"HELLO", protocol)
    redis.call(b"HELLO", protocol)
    before = b"".join(map(encode, SET_UP))
    found = []
    for script in scripts:
        argv = (command, script.encode("latin-1"), b"2", b"k1", b"k2", b"a1", b"2", b"3.5")
        redis.talk(before, len(SET_UP))
        for one in SET_UP:
            ours.call(*one)
        theirs, our = redis.call(*argv), ours.call(*argv)
        if b": 0x" in theirs and b": 0x" in our:        # an address: no two runs are alike
            continue
        if theirs != our:
            found.append((script, theirs, our))
    return found
