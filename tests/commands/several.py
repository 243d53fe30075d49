"""Stories of several clients of one server, run at respdyn and at a redis-server alike.

A step is a client's letter and a line of words: `a SUBSCRIBE news`. After each step everything that
every client has received must be the same, byte for byte.
"""

import socket

from compat.machine.wire import end_of
from tests.commands.alone import Alone, Client
from tests.commands.real import Redis, encode


class Ear:
    """A raw connection to the redis-server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def say(self, argv: list[bytes]) -> None:
        self._socket.sendall(encode(argv))

    def receive(self, length: int) -> bytes:
        """So many bytes; fewer if no more come."""
        got = b""
        self._socket.settimeout(5)
        try:
            while len(got) < length and (piece := self._socket.recv(length - len(got))):
                got += piece
        except TimeoutError:
            pass
        return got

    def more(self, seconds: float = 0.05) -> bytes:
        """What comes unexpectedly within this time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(65536)
        except TimeoutError:
            return b""

    def close(self) -> None:
        self._socket.close()


def words_of(line: str) -> list[bytes]:
    return [word.encode("latin-1").decode("unicode_escape").encode("latin-1")
            for word in line.split(" ")]


def _parts(data: bytes) -> list[bytes]:
    """Replies and messages, sorted."""
    found = []
    at = 0
    while at < len(data):
        end = end_of(data, at) or len(data)
        found.append(data[at:end])
        at = end
    return sorted(found)


def compare(
    redis: Redis, steps: list[str], hello: tuple[str, ...] = (), any_order: tuple[str, ...] = (),
    **changes: object,
) -> None:
    """Run the story at both; any difference fails, naming the step.

    Who is in `hello` speaks RESP3 from the start; that reply names the server, so it may differ.
    What the commands in `any_order` lead to may come in another order.
    """
    alone = Alone(**changes)
    ours: dict[str, Client] = {}
    theirs: dict[str, Ear] = {}
    try:
        for step in steps:
            who, line = step.split(" ", 1)
            if who not in ours:
                ours[who] = alone.connect()
                theirs[who] = Ear(redis.port)
                if who in hello:
                    ours[who].say("HELLO 3")
                    theirs[who].say([b"HELLO", b"3"])
                    theirs[who].more(1.0)
            argv = words_of(line)
            answer = ours[who].call(*argv)
            theirs[who].say(argv)
            for name in ours:
                mine = (answer if name == who else b"") + ours[name].session.take()
                their_parts = theirs[name].receive(len(mine))
                if line.split(" ")[0] in any_order:
                    assert _parts(their_parts) == _parts(mine), (step, name)
                else:
                    assert their_parts == mine, (step, name)
        for name, ear in theirs.items():
            assert ear.more() == b"", name
    finally:
        for ear in theirs.values():
            ear.close()
