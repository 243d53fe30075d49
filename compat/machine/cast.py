"""Several connections to one server, and what each of them has received after each command.

Numbers and addresses of connections differ between servers, so a story says `<id 1>`, `<addr 1>`
and `<laddr 1>`, which become what they are at the server that the story is run at; what comes back
is put into the same words (`Cast.receive`).

One connection more, the *prompter*, shows when all is said: a server that handles one command after
the other has written to all what a command led to before it answers the second PING behind.
"""

import re
import select
import socket
import time
from collections.abc import Sequence

from compat.machine.wire import Wire, end_of, members
from tests.commands.real import encode

Words = list[bytes]

HUNG_UP = b"(hung up)"
# Connections are opened until their numbers are no other numbers of a story.
FIRST_NUMBER = 1500
_PATIENCE_S = 20.0

# Of a line of CLIENT LIST: what both servers must agree on.
COMPARED_FIELDS = (
    b"id", b"addr", b"laddr", b"name", b"flags", b"db", b"sub", b"psub", b"ssub", b"multi", b"cmd",
    b"user", b"redir", b"resp",
)
_NUMBER = re.compile(rb"(?<=:)\d+(?=\r\n)")
_MONITORED = re.compile(rb"\+[0-9]+\.[0-9]+ \[(\d+) ([^\]]*)\] (.*)\r\n", re.DOTALL)


class Cast:
    """The connections of one story at one server."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._prompter = Wire(host, port)
        self._sockets: list[socket.socket] = []
        self._received: list[bytes] = []           # of each, what is not a whole reply yet
        self._words: dict[bytes, bytes] = {}    # `<id 0>` -> what it is here
        self._names: dict[bytes, bytes] = {}    # and back
        (reply,) = self.prompt([[b"CLIENT", b"ID"]])
        for _ in range(FIRST_NUMBER - int(reply[1:])):
            socket.create_connection(self._place).close()

    def enter(self, count: int) -> None:
        """So many new connections, in place of those of the last story."""
        for one in self._sockets:
            one.close()
        self._alone()
        self._sockets = []
        self._words = {}
        for number in range(count):
            one = socket.create_connection(self._place, timeout=_PATIENCE_S)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(one)
            one.sendall(encode([b"CLIENT", b"ID"]))
            reply = one.recv(100)
            for what, word in (
                (b"id", reply[1:-2]), (b"addr", _address(one.getsockname())),
                (b"laddr", _address(one.getpeername())),
            ):
                self._words[b"<%b %d>" % (what, number)] = word
            one.setblocking(False)      # a command is small: it has room
        self._received = [b""] * count
        # All came to one address.
        self._names = {word: name for name, word in self._words.items()
                       if not name.startswith(b"<laddr")}
        self._names[_address(self._place)] = b"<laddr>"

    def _alone(self) -> None:
        """Wait until the server knows that the last story's connections are gone."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            (reply,) = self.prompt([[b"CLIENT", b"LIST"]])
            if reply.count(b"id=") == 1:
                return
        raise AssertionError(f"connections that do not go: {reply.decode('latin-1')}")

    def words(self, argv: Words) -> Words:
        """A command as it is said to this server."""
        return [self._words.get(word, word) for word in argv]

    def say(self, who: int, argv: Words) -> None:
        """A connection says something. Nothing happens if the server has hung up on it."""
        try:
            self._sockets[who].sendall(encode(self.words(argv)))
        except OSError:
            pass

    def prompt(self, story: Sequence[Words]) -> list[bytes]:
        """What the server answers the prompter, who comes again if a story has killed it."""
        try:
            replies = self._prompter.run(story)
        except ConnectionError:
            replies = []
        if len(replies) < len(story):
            self._prompter = Wire(*self._place)
            replies = self._prompter.run(story)
        return replies

    def settle(self) -> None:
        """Wait until the server has done all that was said."""
        for _ in range(2):
            self.prompt([[b"PING"]])

    def receive(self, atleast: Sequence[int] = (), patience_s: float = 0.0) -> list[list[bytes]]:
        """What each connection has received since, in whole replies, in those words.

        Waits until each has so many replies as `atleast` says, but not longer than `patience_s`.
        """
        end = time.monotonic() + patience_s
        found: list[list[bytes]] = [[] for _ in self._sockets]
        while True:
            for who, one in enumerate(self._sockets):
                found[who] += self._read(who, one)
            left = end - time.monotonic()
            missing = [
                self._sockets[who] for who, count in enumerate(atleast)
                if len(found[who]) < count and self._sockets[who].fileno() >= 0
            ]
            if left <= 0 or not missing:
                return found
            select.select(missing, [], [], left)

    def _read(self, who: int, one: socket.socket) -> list[bytes]:
        if one.fileno() < 0:
            return []
        found: list[bytes] = []
        data = self._received[who]
        try:
            while piece := one.recv(1 << 16):
                data += piece
            one.close()
        except BlockingIOError:
            pass
        except ConnectionError:
            one.close()
        at = 0
        while end := end_of(data, at):
            if (reply := self._plain(data[at:end])) is not None:
                found.append(reply)
            at = end
        self._received[who] = data[at:]
        if one.fileno() < 0:
            found.append(HUNG_UP)
        return found

    def is_there(self, who: int) -> bool:
        """Whether this connection lasts."""
        return self._sockets[who].fileno() >= 0

    def _plain(self, reply: bytes) -> bytes | None:
        """A reply without what is this server's own; None if it concerns the prompter alone."""
        if seen := _MONITORED.fullmatch(reply):
            db, address, said = seen.groups()
            name = self._names.get(address)
            if name is None:
                return None
            for word, named in self._names.items():
                said = said.replace(b'"%b"' % word, b'"%b"' % named)
            return b"+<time> [%b %b] %b\r\n" % (db, name, said)
        if reply[:1] in b"$=" and b"id=" in reply[:20]:
            return self._plain_list(reply)
        if reply[:1] in b"*>" and b"$10\r\ninvalidate\r\n" in reply[:20]:
            return _in_order(reply)
        if reply[:1] in b":*>~%":
            return _NUMBER.sub(lambda found: self._names.get(found[0], found[0]), reply)
        return reply

    def _plain_list(self, reply: bytes) -> bytes:
        """Those lines of CLIENT LIST that are of this story, and what is compared of them."""
        head, _, body = reply.partition(b"id=")
        lines = []
        for line in (b"id=" + body).rstrip(b"\r\n").split(b"\n"):
            fields = dict(part.split(b"=", 1) for part in line.split(b" "))
            if fields[b"id"] in self._names:
                lines.append(b" ".join(
                    b"%b=%b" % (name, self._names.get(fields[name], fields[name]))
                    for name in COMPARED_FIELDS
                ))
        kind = b"=" if head.startswith(b"=") else b"$"
        return kind + b"\n".join(lines) + b"\r\n"


def _in_order(reply: bytes) -> bytes:
    """An invalidation of several keys names them in any order."""
    parts = members(reply)
    keys = parts[-1]
    if keys[:1] != b"*" or keys.startswith(b"*-1"):
        return reply
    return b"".join([reply[:1], *parts[:-1], *sorted(members(keys))])


def _address(pair: tuple[str, int]) -> bytes:
    return f"{pair[0]}:{pair[1]}".encode()
