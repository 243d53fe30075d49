"""A context as a client carries it: opaque, bound to one key, and refused when damaged or forged.

    base64url without padding of: version u8 = 1 | blake3 of the locator, 8 bytes | intervals as in
    a record | blake3 of the locator and all before, 8 bytes

Printable, so that it can be pasted into redis-cli. The empty context is the empty token. What is
called the locator here may begin with a secret that all nodes share and no client knows: then a
client cannot make a context that it was not given. One that covers events of the future would
delete writes before they are made.

Source: SEMANTICS 3.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from blake3 import blake3

from respdyn.causal.codec import ROW_BYTES, decode_rows, encode_rows
from respdyn.causal.context import Context
from respdyn.errors import DamagedError

_VERSION = b"\x01"
_HASH_BYTES = 8
_ROWS = 1 + _HASH_BYTES


def encode_token(locator: bytes, context: Context) -> bytes:
    """What the client is given for a context of this key."""
    if not context:
        return b""
    body = _VERSION + _hash(locator) + encode_rows(context)
    return urlsafe_b64encode(body + _seal(locator, body)).rstrip(b"=")


def decode_token(locator: bytes, token: bytes) -> Context:
    """The context in a token. Raises `DamagedError` unless `encode_token` made it for this key."""
    if not token:
        return Context()
    try:
        raw = urlsafe_b64decode(token + b"=" * (-len(token) % 4))
    except Error:
        raise DamagedError("a token is base64url") from None
    body, seal = raw[:-_HASH_BYTES], raw[-_HASH_BYTES:]
    # Decoding is lenient (it skips foreign letters and spare bits), so compare what it encodes to.
    if urlsafe_b64encode(raw).rstrip(b"=") != token or len(body) < _ROWS + ROW_BYTES:
        raise DamagedError("a token is base64url")
    if body[:1] != _VERSION:
        raise DamagedError("a token of a version not known here")
    if body[1:_ROWS] != _hash(locator):
        raise DamagedError("the token of another key")
    if seal != _seal(locator, body):
        raise DamagedError("wrong checksum")
    return decode_rows(body[_ROWS:])


def _hash(locator: bytes) -> bytes:
    return blake3(locator).digest(_HASH_BYTES)


def _seal(locator: bytes, body: bytes) -> bytes:
    """The end of a token. The length of the locator goes first: it cannot run into the body."""
    return blake3(len(locator).to_bytes(4, "big") + locator + body).digest(_HASH_BYTES)
