"""The keys under which context tokens are made: random, the cluster's own, known to members only.

The node that founds a cluster draws the first key and keeps it with the ring. Members send each
other all they know, before the ring in each greeting: so a node that knows the ring knows a key.
Keys go to no other node and stand in no reply, log line, setting or metric; on the disk and between
members they are as safe as the data.

Of several keys that with the highest (serial, key) makes tokens, at every node alike. A new one
(DYN.CLUSTER RENEW-KEYS) has the next serial: tokens of the one before it are good until the next
renewal, so two renewals end the use of any key that leaked. Where a cluster that has none yet
starts (it comes from an earlier version) every member draws one, with the same serial: each is good
until they have met, and after.

They also prove a ring: from a sender that it does not know as a member a node takes a ring only
under a key that it knows.

Source: decision 0038.
"""

import hmac
from contextlib import suppress

import msgspec
from blake3 import blake3

from respdyn.cluster.identity import META
from respdyn.cluster.replica import Replica
from respdyn.errors import DamagedError, PeerError
from respdyn.ports import Random

KEY_BYTES = 32
TOKEN_KEYS = META + b"tokenkeys"
PROOF_BYTES = 16
KEPT_MAX = 16               # keys that are good at a time
SERIAL_MAX = 1 << 32        # no operator renews a key so often
_Statement = list[tuple[int, bytes]]


class TokenKeys:
    """The token keys that this node knows."""

    def __init__(self, replica: Replica, random: Random) -> None:
        self._replica = replica
        self._random = random
        self._known: _Statement = []     # (serial, key), the highest first
        kept = replica.meta.get(TOKEN_KEYS)
        if kept is not None:
            with suppress(DamagedError):     # the other members know them
                self._known = decode_keys(kept)

    def good(self) -> tuple[bytes, ...]:
        """The keys under which tokens are read, that under which they are made first."""
        return tuple(key for _, key in self._known)

    def begin(self) -> None:
        """A ring is known here. Draw the first key if no member has sent one."""
        if not self._known:
            self._learn([(1, self._random.secret())])

    def renew(self) -> None:
        """A new key to make tokens under."""
        serial = self._known[0][0] + 1 if self._known else 1
        self._learn([(serial, self._random.secret())])

    def statement(self) -> bytes:
        """The keys, for another member's `receive`; b"" if there are none."""
        return msgspec.msgpack.encode(self._known) if self._known else b""

    def receive(self, body: bytes) -> bool:
        """Another member's keys; True if one is new here. Raises `PeerError`."""
        try:
            statement = decode_keys(body)
        except DamagedError as wrong:
            raise PeerError(str(wrong)) from wrong
        newest = self._known[0][0] if self._known else SERIAL_MAX - KEPT_MAX
        if any(serial > newest + KEPT_MAX for serial, _ in statement):
            raise PeerError("a token key that cannot be")
        return self._learn(statement)

    def proved(self, ring: bytes) -> bytes:
        """A ring, and before it the proof that its sender is a member."""
        return (_proof(self._known[0][1], ring) if self._known else bytes(PROOF_BYTES)) + ring

    def is_proved(self, statement: bytes) -> bool:
        """Whether this ring's sender is a member of this cluster, whatever ring this node knows.

        All members that this node knows may have been replaced while it was away.
        """
        proof, ring = statement[:PROOF_BYTES], statement[PROOF_BYTES:]
        return any(hmac.compare_digest(proof, _proof(key, ring)) for _, key in self._known)

    def _learn(self, statement: _Statement) -> bool:
        known = sorted({*self._known, *statement}, reverse=True)
        known = [one for one in known if one[0] >= known[0][0] - 1][:KEPT_MAX]
        if known == self._known:
            return False
        self._known = known
        self._replica.put_synced(TOKEN_KEYS, msgspec.msgpack.encode(known))
        return True


def decode_keys(body: bytes) -> _Statement:
    """Keys that a member has sent or a disk has kept. Raises `DamagedError` for what is none."""
    try:
        statement = msgspec.msgpack.decode(body, type=_Statement)
    except msgspec.MsgspecError as wrong:
        raise DamagedError(f"malformed token keys: {wrong}") from wrong
    if len(statement) > KEPT_MAX:
        raise DamagedError(f"{len(statement)} token keys")
    if any(serial <= 0 or len(key) != KEY_BYTES for serial, key in statement):
        raise DamagedError("a token key that cannot be")
    return statement


def _proof(key: bytes, ring: bytes) -> bytes:
    return blake3(b"respdyn ring" + ring, key=key).digest(PROOF_BYTES)
