"""What nodes tell each other of a transaction: the steps of one node, and what became of them."""

from collections.abc import Callable

import msgspec

from respdyn.cluster.terms import Terms


class Step(msgspec.Struct, array_like=True, frozen=True):
    """One command, or `WATCH key`, whose reply is the key's version."""

    argv: list[bytes]
    db: int
    resp3: bool
    r: int
    w: int
    sloppy: bool = True


class Group(msgspec.Struct, array_like=True, frozen=True):
    """What one node is to do in one step: nothing, if a watched key has another version."""

    steps: list[Step]
    watches: list[tuple[bytes, bytes]]      # locator, version
    r: int                                  # for reading the watched keys

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
groups: msgspec.msgpack.Decoder[Group] = msgspec.msgpack.Decoder(Group)
outcomes: msgspec.msgpack.Decoder[list[bytes] | str | None] = msgspec.msgpack.Decoder(
    list[bytes] | str | None
)
