"""What nodes tell each other of scripts: one to run, keys to hold, what to write to held keys.

A script travels to the coordinator of its first key as one forwarded command, `EVAL` and this.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from respdyn.cluster.terms import Terms
from respdyn.errors import PeerError

_Wanted = Annotated[int, Meta(ge=1, le=1024)]       # R or W


class ScriptCall(msgspec.Struct, array_like=True, frozen=True):
    """A script that a client has called, and all that it may depend on besides records."""

    sha: str
    body: bytes | None              # None: whoever gets this is thought to know it
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
