"""Errors: what a client may get as a reply, and what a peer may do wrong.

Blame decides the class. A client's mistake or the state of the cluster is a `ReplyError`: its text
goes to the client as it stands. A peer's mistake is a `PeerError`: the link is dropped and the
reason logged once. Bytes that are not what they claim to be raise `DamagedError`. Our own mistakes
are assertions and stop the node. Expected outcomes (an absent key, a quorum not met) are values.
"""


class ReplyError(Exception):
    """An error reply. `text` is what follows the `-` on the wire, e.g. `ERR syntax error`.

    The text never holds CR or LF: a client's own bytes quoted in it could otherwise start a
    second, forged reply.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text.replace("\r", " ").replace("\n", " ")


class UsedTwice(ReplyError):
    """The key's record contains dots of this node that are yet to come: it has forgotten them.

    So the next one must not be theirs again. Nothing was done; in a new life it can be.
    """

    def __init__(self) -> None:
        super().__init__(
            "TRYAGAIN this node has met events of its own that it does not know: nothing was done"
        )


class PeerError(Exception):
    """A peer broke the protocol, or is a stranger. The link is dropped."""


class DamagedError(ValueError):
    """Stored or received bytes do not decode, or their checksum is wrong."""
