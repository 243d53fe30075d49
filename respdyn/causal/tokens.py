"""A context as a client carries it: opaque, bound to one key, and refused when damaged or forged.

    base64url without padding of: version u8 = 3 | name of the cluster's key, 4 bytes |
    blake3 of the locator, 8 bytes | number of intervals, u32 | intervals as in a record |
    proofs of how far their actors have come | MAC, 16 bytes

Printable, so that it can be pasted into redis-cli. The empty context is the empty token. The MAC is
BLAKE3 in keyed mode over the locator and all that stands before it, under a random key that the
members share and no client knows (`membership/token_keys`). So a client can carry only a context
that it was given: one that covers events of the future would delete writes before they are made.

The proofs are there because a token may be read where those dots are not known yet; then no node
would believe a record that covers them (`cluster/ends`).

Several keys may be good at a time: tokens are made under the first, and read under any.

Source: SEMANTICS 3; decisions 0038 and 0046.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

from blake3 import blake3

from respdyn.causal.codec import ROW_BYTES, decode_rows, encode_rows
from respdyn.causal.context import Context
from respdyn.causal.minting import Witness
from respdyn.errors import DamagedError, ReplyError

INTERVALS_MAX: Final = 32_768       # of a token: 1 MB, and about 30 ms of work
_VERSION: Final = b"\x03"
_EARLIER: Final = (b"\x01", b"\x02")     # without a MAC; without proofs
_NAME_BYTES: Final = 4
_HASH_BYTES: Final = 8
_MAC_BYTES: Final = 16
_HASH: Final = 1 + _NAME_BYTES
_COUNT: Final = _HASH + _HASH_BYTES
_ROWS: Final = _COUNT + 4


class Seal:
    """Makes and reads the tokens of one key of the database.

    >>> seal = Seal((b"k" * 32,), b"locator")
    >>> seal.decode(seal.encode(Context().add(b"a" * 16, 0, 2)))
    Context(61616161:(0, 2])
    """

    __slots__ = ("_keys", "_locator", "_witness")

    def __init__(
        self, keys: tuple[bytes, ...], locator: bytes, witness: Witness | None = None
    ) -> None:
        """`keys`: the cluster's, of 32 bytes each, the one to make tokens under first."""
        self._keys = keys
        self._locator = locator
        self._witness = witness

    def encode(self, context: Context) -> bytes:
        """What the client is given for a context."""
        if not context:
            return b""
        if not self._keys:
            raise ReplyError("TRYAGAIN this node has not received the cluster's token key yet")
        key = self._keys[0]
        rows = encode_rows(context)
        proofs = self._witness.proofs_of(rows) if self._witness is not None else b""
        count = (len(rows) // ROW_BYTES).to_bytes(4, "big")
        body = b"".join((_VERSION, _name(key), self._hash(), count, rows, proofs))
        return urlsafe_b64encode(body + self._mac(key, body)).rstrip(b"=")

    def decode(self, token: bytes) -> Context:
        """The context in a token. Raises `DamagedError` unless `encode` made it for this key."""
        if not token:
            return Context()
        try:
            raw = urlsafe_b64decode(token + b"=" * (-len(token) % 4))
        except Error:
            raise DamagedError("a token is base64url") from None
        if raw[:1] in _EARLIER:
            raise DamagedError("a token of an earlier version, which proves too little: read again")
        if raw[:1] not in (b"", _VERSION):
            raise DamagedError("a token of a version not known here")
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        # Decoding is lenient (it skips foreign letters and spare bits): compare what it encodes to.
        if urlsafe_b64encode(raw).rstrip(b"=") != token or len(body) < _ROWS + ROW_BYTES:
            raise DamagedError("a token is base64url")
        for key in self._keys:
            if body[1:_HASH] == _name(key):
                break
        else:
            raise DamagedError("made under a key that is not good here (any more): read again")
        if body[_HASH:_COUNT] != self._hash():
            raise DamagedError("the token of another key")
        if not hmac.compare_digest(mac, self._mac(key, body)):
            raise DamagedError("damaged, or not made by this cluster")
        count = int.from_bytes(body[_COUNT:_ROWS], "big")
        if count > INTERVALS_MAX:
            raise DamagedError(f"more than {INTERVALS_MAX} intervals")
        end = _ROWS + ROW_BYTES * count
        rows = body[_ROWS:end]
        if self._witness is not None:
            self._witness.receive("a token", body[end:])
            self._witness.check_rows(rows)
        return decode_rows(rows)

    def _hash(self) -> bytes:
        return blake3(self._locator).digest(_HASH_BYTES)

    def _mac(self, key: bytes, body: bytes) -> bytes:
        """The end of a token. The locator's length goes first: it cannot run into the body."""
        locator = self._locator
        return blake3(len(locator).to_bytes(4, "big") + locator + body, key=key).digest(_MAC_BYTES)


def _name(key: bytes) -> bytes:
    """Distinguishes keys, and reveals nothing of them."""
    return blake3(b"respdyn token key" + key).digest(_NAME_BYTES)
