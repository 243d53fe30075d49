"""What nodes say of named things that all of them must know alike: users, libraries of functions.

A *statement* is all that holds of one name, as words, or that it is deleted, with a version. The
node whose client changes it makes it, stores it, and sends it to every peer; a node that receives
a newer one does the same, and a new connection is greeted with all of them. Of two statements about
one name that with the higher (version, node) holds, at every node alike. A version is a hybrid
clock, above the version that it replaces: so what was said later wins, also if it was said on the
other side of a cut. Deletions are statements like others and are kept.

A kind that can be flushed has one more statement, about no name: all that was said before it is
deleted. What it covers is forgotten, and not accepted any more when it is received again.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.identity import META
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import PeerError, ReplyError

_FUTURE_MS: Final = 100 * 365 * 86_400_000      # clocks are wrong by years, not by centuries
_ALL: Final = b""


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What holds of one name, said by a node. `words` is None for one that is deleted."""

    name: bytes
    version: int
    node: str
    words: list[bytes] | None


def encode(statement: Statement) -> bytes:
    """As it is sent and stored."""
    return msgspec.msgpack.encode(statement)


def rank(statement: Statement) -> tuple[int, str, list[bytes]]:
    """Of two about one name the higher holds."""
    return statement.version, statement.node, statement.words or []


class SharedNames:
    """All of one kind."""

    def __init__(
        self, node: ThisNode, kind: str, most: int, send_to_all: Callable[[bytes], None],
        check: Callable[[Statement], None], took: Callable[[Statement], None],
        is_flushable: bool = False,
    ) -> None:
        """`kind`: of what, in the plural; `most` of them are kept, deleted ones included.

        `check` raises `PeerError` for a peer's statement that cannot be. `took` is called for each
        that holds from now on; where a flush has ended some, for the flush only.
        """
        self.known: dict[bytes, Statement] = {}
        self._node = node
        self._kind = kind
        self._meta = META + kind.removesuffix("s").encode() + b" "
        self._most = most
        self._send_to_all = send_to_all
        self._check = check
        self._took = took
        self._is_flushable = is_flushable

    # ---- made here ----

    def say(self, name: bytes, words: list[bytes] | None) -> None:
        """Set what holds of a name from now on, and send it to the others. Raises `ReplyError`."""
        known = self.known.get(name)
        if known is None and len(self.known) >= self._most:
            raise ReplyError(f"ERR no more than {self._most} {self._kind} are kept")
        least = known.version if known else 0
        if self._is_flushable and _ALL in self.known:
            least = max(least, self.known[_ALL].version)
        self._say(name, least, words)

    def flush(self) -> None:
        """Nothing holds any more that was said before."""
        assert self._is_flushable, self._kind
        self._say(_ALL, max((one.version for one in self.known.values()), default=0), None)

    def _say(self, name: bytes, least: int, words: list[bytes] | None) -> None:
        version = max(least + 1, self._node.now.wall_ms << 16)
        self._take(Statement(name, version, self._node.identity.node_id, words))

    # ---- sent and received ----

    def statements(self) -> list[bytes]:
        """All, for a peer that may have missed some."""
        return [encode(one) for _, one in sorted(self.known.items())]

    def receive(self, body: bytes) -> None:
        """A peer's statement. Raises `PeerError` when it makes no sense."""
        try:
            statement = msgspec.msgpack.decode(body, type=Statement)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed statement about {self._kind}: {wrong}") from wrong
        known = self.known.get(statement.name)
        if known is not None and rank(statement) <= rank(known):
            return
        flush = self.known.get(_ALL) if self._is_flushable else None
        if flush is not None and statement.version <= flush.version:
            return
        if known is None and len(self.known) >= self._most:
            raise PeerError(f"too many statements about {self._kind}")
        # A version is a hybrid clock: one of the far future could never be replaced.
        latest = (self._node.now.wall_ms + _FUTURE_MS) << 16
        if not 0 < statement.version < latest or len(statement.node) > 64:
            raise PeerError(f"a statement about {self._kind} that cannot be")
        if statement.name != _ALL or not self._is_flushable:
            self._check(statement)
        elif statement.words is not None:
            raise PeerError(f"a flush of {self._kind} with words")
        self._take(statement)

    def restore(self) -> None:
        """Those that the store kept."""
        for name, value in self._node.replica.meta.items():
            if name.startswith(self._meta):
                statement = msgspec.msgpack.decode(value, type=Statement)
                self.known[statement.name] = statement
        for statement in list(self.known.values()):
            self._took(statement)

    def _take(self, statement: Statement) -> None:
        """A newer one: keep it, obey it, pass it on."""
        replica = self._node.replica
        if self._is_flushable and statement.name == _ALL:
            for old in [old for old in self.known.values() if old.version <= statement.version]:
                del self.known[old.name]
                replica.drop_meta(self._meta + old.name)
        self.known[statement.name] = statement
        body = encode(statement)
        replica.put_synced(self._meta + statement.name, body)
        self._send_to_all(body)
        self._took(statement)
