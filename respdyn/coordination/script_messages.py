"""Messages between nodes about scripts: one to run, keys to hold, what to write to held keys, and
statements of a script's text and when it was loaded, or that all were flushed.

A script travels to the coordinator of its first key as one forwarded command, `EVAL` and this.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.cluster.terms import Terms
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator, is_locator
from respdyn.scripting.job import Change, Given

_Wanted = Annotated[int, Meta(ge=1, le=1024)]       # R or W


class ScriptCall(msgspec.Struct, array_like=True):
    """A script that a client has called, and all that it may depend on besides records."""

    sha: str
    body: bytes | None              # None: the receiver is thought to know it
    keys: list[bytes]
    args: list[bytes]
    db: Annotated[int, Meta(ge=0, le=15)]
    resp3: bool
    r: _Wanted
    w: _Wanted
    sloppy: bool = True
    function: str = ""              # the one that is called, if the body is a library
    reads_only: bool = False
    takes_room: bool = False        # it may write while there is no memory for more
    user: list[bytes] | None = None     # the words of its rights; None: all
    client: bytes = b""             # who called it, for those who monitor

    def with_least(self, least: Terms) -> "ScriptCall":
        """The same with R and W as in `least` or more."""
        return msgspec.structs.replace(self, r=max(self.r, least.r), w=max(self.w, least.w))


_calls: msgspec.msgpack.Decoder[ScriptCall] = msgspec.msgpack.Decoder(ScriptCall)
encode = msgspec.msgpack.Encoder().encode

# An answer: this node does not know the script's body.
NO_BODY = b"="


def read_call(body: bytes) -> ScriptCall:
    """A peer's script. Raises `PeerError`."""
    try:
        return _calls.decode(body)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise PeerError(f"a malformed script: {wrong}") from wrong


class Hold(msgspec.Struct, array_like=True, frozen=True):
    """Take these keys and lend them: their records, and dots for what is written to them."""

    number: int                     # the holder's, by which it commits or lets go
    names: list[Locator]
    r: _Wanted
    w: _Wanted
    sloppy: bool
    dots: Annotated[int, Meta(ge=1, le=1 << 20)]    # for each key
    waits: bool                     # in line for keys that are busy; else `BUSY` is the answer


class Lent(msgspec.Struct, array_like=True, frozen=True):
    """The answer: the keys are held until they are committed or let go, or time is over."""

    records: list[Given]
    refusal: str                    # why nothing can be written to them; "" if it can


class Commit(msgspec.Struct, array_like=True, frozen=True):
    """Write this to keys that are held, and let all of that hold go. No changes: only let go."""

    number: int
    w: _Wanted
    sloppy: bool
    changes: list[Change]


# An answer: some of the keys are busy, and nothing is held.
BUSY = b"!"

_holds: msgspec.msgpack.Decoder[Hold] = msgspec.msgpack.Decoder(Hold)
_commits: msgspec.msgpack.Decoder[Commit] = msgspec.msgpack.Decoder(Commit)
lents: msgspec.msgpack.Decoder[Lent] = msgspec.msgpack.Decoder(Lent)


def read_hold(body: bytes) -> Hold:
    """A peer's wish. Raises `PeerError`."""
    try:
        hold = _holds.decode(body)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise PeerError(f"a malformed hold: {wrong}") from wrong
    if not hold.names or not all(is_locator(name) for name in hold.names):
        raise PeerError("a hold of keys that cannot be")
    return hold


def read_commit(body: bytes) -> Commit:
    """A peer's changes. Raises `PeerError`."""
    try:
        return _commits.decode(body)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise PeerError(f"a malformed commit: {wrong}") from wrong


# ---- scripts that are known ----

BODY_MOST: Final = 64 << 20


class Loaded(msgspec.Struct, array_like=True, frozen=True):
    """A script was loaded at this clock. Without a body: all older ones were flushed."""

    clock: int
    body: bytes


encode_loaded = msgspec.msgpack.Encoder().encode
_loaded: msgspec.msgpack.Decoder[Loaded] = msgspec.msgpack.Decoder(Loaded)


def read_loaded(item: bytes) -> tuple[Loaded, str]:
    """The statement, and the body's hash. Raises `PeerError`."""
    loaded = _loaded.decode(item)
    if not 0 < loaded.clock <= CLOCK_MAX or len(loaded.body) > BODY_MOST:
        raise PeerError("a script that cannot be")
    return loaded, sha_of(loaded.body)


def sha_of(body: bytes) -> str:
    """A script's name: the SHA-1 of its text, in hex."""
    return hashlib.sha1(body).hexdigest()
