"""Paxos messages of a decision on the next ring, and what each member remembers of its votes.

See `decision` for what it means. Apart from it, because messages are not compiled (decision 0026).
"""

import msgspec

Ballot = tuple[int, int]    # a round, and chance: no two attempts have the same


class _Said(msgspec.Struct, frozen=True, array_like=True):
    """What members say to each other: all of it about one attempt to decide one version."""

    version: int
    ballot: Ballot


class Prepare(_Said, frozen=True, tag="prepare"):
    """A proposer requests a promise."""


class Promise(_Said, frozen=True, tag="promise"):
    """No lower ballot will be accepted; `ring` is what was accepted at ballot `accepted`."""

    life: bytes
    accepted: Ballot = (0, 0)
    ring: bytes = b""


class Accept(_Said, frozen=True, tag="accept"):
    """A proposer requests that a ring be accepted; `life` is the one that promised."""

    life: bytes
    ring: bytes


class Accepted(_Said, frozen=True, tag="accepted"):
    """The ring of this ballot is accepted."""


class Refused(_Said, frozen=True, tag="refused"):
    """A higher ballot was promised."""

    promised: Ballot


class Recall(_Said, frozen=True, tag="recall"):
    """A member that has forgotten requests what others have accepted, and a promise."""


class Recalled(_Said, frozen=True, tag="recalled"):
    """What the sender has accepted, unless it has forgotten too."""

    has_forgotten: bool
    promised: Ballot
    accepted: Ballot = (0, 0)
    ring: bytes = b""


Message = Prepare | Promise | Accept | Accepted | Refused | Recall | Recalled
decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
encoder = msgspec.msgpack.Encoder()


class Kept(msgspec.Struct, array_like=True):
    """An acceptor's memory for one ring version."""

    version: int = 0
    promised: Ballot = (0, 0)
    accepted: Ballot = (0, 0)
    ring: bytes = b""
    has_forgotten: bool = False
