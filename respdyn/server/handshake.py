"""How two nodes prove to each other that they share a secret, before either parses anything else.

    listener -> [RESPDYN-PEER, version, nonce]
    dialer   -> [HELLO, nonce2, proof, greeting]            proof over nonce, nonce2 and greeting
    listener -> [WELCOME, proof, greeting]  or  [REFUSED, reason]
    dialer   -> frames, from now on, each with a proof (`channel`); the listener says nothing more

Both nonces are in both proofs, so neither can be replayed; the two proofs differ by their first
word, so a listener's cannot be reflected as a dialer's. Where the connection speaks TLS, what is
proved is that both ends are of the same TLS session (`binding`): an attacker in between, with a
certificate that both believe, would have two. The key of the frames comes from the secret and both
nonces.

Without a secret (on loopback) all this proves nothing of the sender: then a MAC
is a checksum, and TLS is what protects.

Messages are RESP arrays of bulk strings, read here by a strict little parser with small limits:
what a stranger sends decides neither how much memory is taken nor how deep anything nests.
"""

import asyncio
import hmac
from typing import Final

from respdyn.errors import PeerError

MAGIC: Final = b"RESPDYN-PEER"
VERSION: Final = b"2"
HELLO: Final = b"HELLO"
WELCOME: Final = b"WELCOME"
REFUSED: Final = b"REFUSED"
NONCE_BYTES: Final = 32
MAX_BYTES: Final = 64 * 1024    # of one side's handshake
MAX_ITEMS: Final = 4
MAX_LINE: Final = 8             # digits of a length


def encode(*items: bytes) -> bytes:
    """The items as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(items)]
    for item in items:
        parts.append(b"$%d\r\n%b\r\n" % (len(item), item))
    return b"".join(parts)


def decode(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The first message of `data` and what follows it; None if it is not complete.

    Raises `PeerError` for what is no such message, or exceeds the limits.

    >>> decode(encode(b"WELCOME", b"") + b"rest")
    ([b'WELCOME', b''], b'rest')
    >>> decode(b"*1\\r\\n$7\\r\\nWEL") is None
    True
    """
    _check_size(data)
    head = _length(data, 0, b"*", MAX_ITEMS)
    if head is None:
        return None
    count, at = head
    items = []
    for _ in range(count):
        head = _length(data, at, b"$", MAX_BYTES)
        if head is None:
            return None
        size, start = head
        at = start + size + 2
        if len(data) < at:
            return None
        if data[at - 2:at] != b"\r\n":
            raise PeerError("malformed handshake")
        items.append(data[start:at - 2])
    return items, data[at:]


def dialer_proof(
    secret: bytes, nonce: bytes, nonce2: bytes, greeting: bytes, binding: bytes = b""
) -> bytes:
    """What shows that the dialer knows the secret, and said this greeting on this connection."""
    return _proof(secret, b"dialer", nonce, nonce2, greeting, binding)


def listener_proof(
    secret: bytes, nonce: bytes, nonce2: bytes, greeting: bytes, binding: bytes = b""
) -> bytes:
    """The same of the listener."""
    return _proof(secret, b"listen", nonce, nonce2, greeting, binding)


def session_key(secret: bytes, nonce: bytes, nonce2: bytes, binding: bytes = b"") -> bytes:
    """The key of the frames on this connection, of 32 bytes."""
    return _proof(secret, b"frames", nonce, nonce2, b"", binding)


def _proof(
    secret: bytes, who: bytes, nonce: bytes, nonce2: bytes, greeting: bytes, binding: bytes
) -> bytes:
    bound = bytes([len(binding)]) + binding
    return hmac.digest(secret, who + nonce + nonce2 + bound + greeting, "sha256")


def binding_of(transport: asyncio.BaseTransport) -> bytes:
    """What both ends of one TLS session know and no other session has; b"" without TLS.

    The dialer's Finished message: a MAC over everything that was said while keys were agreed on.
    """
    spoken = transport.get_extra_info("ssl_object")
    if spoken is None:
        return b""
    found: bytes | None = spoken.get_channel_binding("tls-unique")
    if not found:
        raise PeerError("a TLS session that nothing identifies")
    return found


def read_hello(
    secret: bytes, nonce: bytes, items: list[bytes], binding: bytes = b""
) -> tuple[bytes, bytes]:
    """The dialer's nonce and its greeting, proved. Raises `PeerError`."""
    if len(items) != 4 or items[0] != HELLO or len(items[1]) != NONCE_BYTES:
        raise PeerError("malformed handshake")
    _, nonce2, proof, greeting = items
    if not hmac.compare_digest(proof, dialer_proof(secret, nonce, nonce2, greeting, binding)):
        raise PeerError("wrong peer secret")
    return nonce2, greeting


def read_offer(items: list[bytes]) -> bytes:
    """The listener's nonce. Raises `PeerError` if that is no peer port, or of another version."""
    if len(items) != 3 or items[0] != MAGIC or len(items[2]) != NONCE_BYTES:
        raise PeerError("no respdyn peer port")
    if items[1] != VERSION:
        raise PeerError(f"peer protocol version {items[1][:8]!r}, here {VERSION!r}")
    return items[2]


def read_welcome(
    secret: bytes, nonce: bytes, nonce2: bytes, items: list[bytes], binding: bytes = b""
) -> bytes:
    """The listener's greeting, proved. Raises `PeerError`, also for its refusal."""
    if len(items) == 2 and items[0] == REFUSED:
        reason = items[1][:200].decode("utf-8", "replace")
        raise PeerError(f"refused: {reason}")
    if len(items) != 3 or items[0] != WELCOME:
        raise PeerError("malformed handshake")
    _, proof, greeting = items
    if not hmac.compare_digest(proof, listener_proof(secret, nonce, nonce2, greeting, binding)):
        raise PeerError("wrong peer secret")
    return greeting


def _length(data: bytes, at: int, mark: bytes, limit: int) -> tuple[int, int] | None:
    """The number behind `mark` and where its line ends; None if the line is not complete."""
    end = data.find(b"\r\n", at, at + MAX_LINE + 3)
    if data[at:at + 1] not in (b"", mark) or (end < 0 and len(data) - at > MAX_LINE + 3):
        raise PeerError("malformed handshake")
    if end < 0:
        return None
    digits = data[at + 1:end]
    if not digits.isdigit() or int(digits) > limit:
        raise PeerError("malformed handshake")
    return int(digits), end + 2


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise PeerError("handshake too long")
