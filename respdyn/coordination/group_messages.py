"""Messages between nodes about a transaction: the steps of one node, and their outcome."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from respdyn.cluster.terms import Terms
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator, is_locator

_Wanted = Annotated[int, Meta(ge=1, le=1024)]       # R or W


class Step(msgspec.Struct, array_like=True, frozen=True):
    """One command, or `WATCH key`, whose reply is the key's version."""

    argv: Annotated[list[bytes], Meta(min_length=2)]
    db: Annotated[int, Meta(ge=0, le=15)]
    resp3: bool
    r: _Wanted
    w: _Wanted
    sloppy: bool = True


class Group(msgspec.Struct, array_like=True, frozen=True):
    """What one node is to do in one step: nothing, if a watched key has another version."""

    steps: list[Step]
    watches: list[tuple[Locator, bytes]]    # with the version
    r: _Wanted                              # for reading the watched keys

    def with_least(self, least: Terms) -> "Group":
        """The same with R and W as in `least` or more."""
        steps = [
            msgspec.structs.replace(step, r=max(step.r, least.r), w=max(step.w, least.w))
            for step in self.steps
        ]
        return Group(steps, self.watches, max(self.r, least.r))


# The replies; None if a watched key has changed; a text if nothing was done for another reason;
# `NOT_RUN` if the node does not keep these keys; `UNKNOWN`.
Outcome = list[bytes] | str | bytes | None
Done = Callable[[Outcome], None]

encoder = msgspec.msgpack.Encoder()
_groups: msgspec.msgpack.Decoder[Group] = msgspec.msgpack.Decoder(Group)
outcomes: msgspec.msgpack.Decoder[list[bytes] | str | None] = msgspec.msgpack.Decoder(
    list[bytes] | str | None
)


def read_group(body: bytes) -> Group:
    """A peer's group. Raises `PeerError`."""
    try:
        group = _groups.decode(body)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise PeerError(f"a malformed group: {wrong}") from wrong
    if not group.steps and not group.watches:
        raise PeerError("a group without a step")
    if not all(is_locator(name) for name, _ in group.watches):
        raise PeerError("a locator that cannot be")
    return group
