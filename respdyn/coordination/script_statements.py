"""What a node states of a script: its text and when it was loaded, or that all were flushed."""

import hashlib

import msgspec

from respdyn.causal.hybrid_clock import CLOCK_MAX
from respdyn.errors import PeerError

BODY_MOST = 64 << 20


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
