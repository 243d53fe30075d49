"""Proofs of how many dots an actor can have minted: a chain of hashes that ends with the actor.

An actor is drawn with a secret, the chain's beginning. Each hash of the chain proves one *level*;
to show it says "of this actor there are dots up to `end_of(level)`", and only the node that
knows the secret can show one that was never shown before. Any node can check it, and hand it on.

    secret = link 608 -> link 655 -> ... -> link 1 -> link 0 = actor       (-> is the hash)

Levels lie close while counters are low, and a sixteenth apart later, so that a few hundred are
enough for a counter of 2^51, which no node reaches.

Source: Lamport, "Password authentication with insecure communication" (1981); decision 0046.
"""

from abc import ABC, abstractmethod
from hashlib import sha256
from typing import Final

from respdyn.errors import DamagedError

LINK_BYTES: Final = 16
STEP: Final = 1024              # dots between the lowest levels
_BITS: Final = 4                # 16 levels for each doubling
_MANY: Final = 1 << _BITS
LEVELS: Final = 608             # the highest level; `end_of` says 2^51
COUNTER_MAX: Final = 1 << 51    # a million a second for 70 years


class Witness(ABC):
    """Knows how far actors have come, and what proves it."""

    @abstractmethod
    def proofs_of(self, rows: bytes) -> bytes:
        """What proves these intervals, for `receive`."""

    @abstractmethod
    def receive(self, peer: str, body: bytes) -> None:
        """Take what a sender can prove. Raises `DamagedError`."""

    @abstractmethod
    def check_rows(self, rows: bytes) -> None:
        """Raises `DamagedError` if these intervals claim what was not minted, or are too many."""


def chain_of(secret: bytes) -> list[bytes]:
    """The proof of each level; that of level 0 is the actor, that of the highest the secret."""
    assert len(secret) == LINK_BYTES
    links = [secret]
    for _ in range(LEVELS):
        links.append(_hash(links[-1]))
    links.reverse()
    return links


def end_of(level: int) -> int:
    """The highest counter that a level speaks of.

    >>> [end_of(level) for level in (0, 1, 16, 32, 33, 34)]
    [0, 1024, 16384, 32768, 34816, 36864]
    """
    octave, place = divmod(level, _MANY)
    return (place if not octave else (_MANY + place) << octave - 1) * STEP


def level_of(counter: int) -> int:
    """The lowest level that speaks of a counter.

    >>> [level_of(counter) for counter in (0, 1, 1024, 1025, 32768, 32769)]
    [0, 1, 1, 2, 32, 33]
    """
    steps = -(-counter // STEP)
    octave = max(0, steps.bit_length() - _BITS - 1)
    return (octave << _BITS) - (-steps >> octave)


def check_proof(actor: bytes, known_level: int, known: bytes, level: int, proof: bytes) -> None:
    """Raises `DamagedError` unless this proves a level above the one that is known.

    `known` is the proof of the known level; of level 0 the actor itself.
    """
    if not known_level < level <= LEVELS or len(proof) != LINK_BYTES:
        raise DamagedError("a proof of no level")
    link = proof
    for _ in range(level - known_level):
        link = _hash(link)
    if link != (known if known_level else actor):
        raise DamagedError("a proof that proves nothing")


def _hash(link: bytes) -> bytes:
    return sha256(b"respdyn mints" + link).digest()[:LINK_BYTES]
