"""How far each actor can have come: what claims more of it is refused from any node.

A context that covers what an actor has yet to mint would remove its next writes. So this node
believes of an actor only as much as was *proved* (`minting`): the node that minted shows a proof
before the first dot that needs it leaves, a node that receives one passes it on before anything
else that it says in that turn, and each connection begins with all that are known. Within a frame
statements come first, and no connection reorders. So a dot never comes before its proof, on
whatever way, and no honest record is ever refused; a token of a context carries the proofs with it.

Between two proofs lies a sixteenth of an actor's counter, or 1,024 dots. A claim within that is not
refused. It is met where the actor is: there nothing was minted yet, so a new life begins.

A proof of this node's own actor that it has not shown proves that its disk went back.

Lives from before there were proofs mint no more. A node that finds dots of theirs on its disk says
so to the members: of such a life anything is believed, as long as no node shows a proof.

Source: decision 0046.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

from respdyn.causal.codec import ROW_BYTES, actors_of
from respdyn.causal.minting import (
    COUNTER_MAX,
    LINK_BYTES,
    Witness,
    check_proof,
    end_of,
    level_of,
)
from respdyn.cluster.cleared import Tops
from respdyn.cluster.identity import META, Identity
from respdyn.cluster.statistics import Counters
from respdyn.errors import DamagedError

ENDS: Final = META + b"ends"          # and the actor: the level and its proof
ACTORS_MAX: Final = 32_768            # that one peer may be the first to announce
HASHES_MAX: Final = 400_000           # that are made in one turn to check proofs: 0.3 s
INTERVALS_MAX: Final = 32_768         # of a record that a peer sends: 1 MB
_STATEMENT: Final = Struct(">16sH16s")     # actor, level, proof: the statement about one actor
_KEPT: Final = Struct(">H16s")             # level, proof: the same on the disk
_BEFORE_PROOFS: Final = 0xFFFF        # in place of a level: a life from before there were proofs
CLOCK_TOP: Final = 0x40              # of a clock's first byte: from the year 4199 on


class Ends(Witness):
    """The highest counter that each actor can have minted, as far as this node was shown."""

    def __init__(
        self, identity: Identity, keep: Callable[[bytes, bytes], None],
        lost_memory: Callable[[], None], counters: Counters,
    ) -> None:
        self.highest: dict[bytes, bytes] = {}       # 8 bytes, as in a record: they compare
        self.news: list[bytes] = []                 # learned in this turn, to be sent to every peer
        self._proofs: dict[bytes, tuple[int, bytes]] = {}
        self._brought: dict[str, int] = {}          # by peer: actors that it announced first
        self._hashes = 0                            # made in this turn
        self._identity = identity
        self._keep = keep
        self._lost_memory = lost_memory
        self._counters = counters

    # ---- judging ----

    def check_rows(self, rows: bytes) -> None:
        """Raises `DamagedError` if these intervals claim what was not minted, or are too many."""
        if len(rows) > ROW_BYTES * INTERVALS_MAX:
            self._counters.intervals_refused += 1
            raise DamagedError(f"a context of more than {INTERVALS_MAX} intervals")
        highest = self.highest
        for at in range(0, len(rows), ROW_BYTES):
            if rows[at + 24 : at + 32] > highest.get(rows[at : at + 16], b""):
                self._judge(rows[at : at + 16], int.from_bytes(rows[at + 24 : at + 32], "big"))

    def check_tops(self, tops: Tops) -> None:
        """As `check_rows`, for a cleared context."""
        for actor, counter in tops.items():
            if counter.to_bytes(8, "big") > self.highest.get(actor, b""):
                self._judge(actor, counter)

    def _judge(self, actor: bytes, counter: int) -> None:
        """This node's own dots of this turn are proved at its end."""
        if actor == self._identity.actor and counter <= self._identity.counter:
            return
        self._counters.claims_refused += 1
        raise DamagedError(
            f"events that no node can have minted yet: {actor.hex()[:8]}:{counter}, "
            f"proved up to {int.from_bytes(self.highest.get(actor, b''), 'big')}"
        )

    def check_clock(self, record: bytes) -> None:
        """Raises `DamagedError` if a record says that it was written in a time to come."""
        if record[6] >= CLOCK_TOP:
            self._counters.record_clocks_refused += 1
            raise DamagedError("written in the year 4199 or later")

    # ---- showing ----

    def show(self) -> None:
        """Prove what this node has minted. Before anything leaves it."""
        identity = self._identity
        top = identity.counter.to_bytes(8, "big")
        if top > self.highest.get(identity.actor, bytes(8)) and identity.links:
            level = level_of(identity.counter)
            self._learn(identity.actor, level, identity.links[level])

    def statement(self) -> bytes:
        """All that is known here, for a peer's `receive`."""
        return b"".join(_STATEMENT.pack(actor, *self._proofs[actor]) for actor in self._proofs)

    def proofs_of(self, rows: bytes) -> bytes:
        """What proves these intervals, for the `receive` of a node that is shown them."""
        self.show()
        actors = dict.fromkeys(actors_of(rows))
        return b"".join(
            _STATEMENT.pack(actor, *self._proofs[actor]) for actor in actors
            if actor in self._proofs
        )

    # ---- receiving ----

    def receive(self, peer: str, body: bytes) -> None:
        """What a peer can prove. Raises `DamagedError`. `peer`: "" for one that is no member."""
        if len(body) % _STATEMENT.size:
            raise DamagedError("proofs that are cut short")
        for actor, level, proof in _STATEMENT.iter_unpack(body):
            known_level, known = self._proofs.get(actor, (-1, b""))
            is_proved = 0 <= known_level < _BEFORE_PROOFS
            if level <= known_level if is_proved else level == known_level:
                continue
            if level == _BEFORE_PROOFS and (is_proved or not peer):
                continue
            if known_level < 0 and not self._may_bring(peer):
                continue
            if level != _BEFORE_PROOFS:
                self._check(actor, known_level if is_proved else 0, known, level, proof)
            went_back = actor == self._identity.actor and level > level_of(self._identity.counter)
            self._learn(actor, level, proof)
            if went_back:
                self._lost_memory()

    def _check(
        self, actor: bytes, known_level: int, known: bytes, level: int, proof: bytes
    ) -> None:
        self._hashes += level - known_level
        try:
            if self._hashes > HASHES_MAX:
                raise DamagedError("more proofs than can be checked in one turn")
            check_proof(actor, known_level, known, level, proof)
        except DamagedError:
            self._counters.proofs_refused += 1
            raise

    def turn_ends(self) -> bytes:
        """Prove what was minted here; what is new, to be sent to every peer."""
        self.show()
        self._hashes = 0
        if not self.news:
            return b""
        news, self.news = b"".join(self.news), []
        return news

    def _may_bring(self, peer: str) -> bool:
        brought = self._brought.get(peer, 0)
        if brought >= ACTORS_MAX:
            self._counters.proofs_refused += 1
            return False
        self._brought[peer] = brought + 1
        return True

    def _learn(self, actor: bytes, level: int, proof: bytes) -> None:
        end = COUNTER_MAX if level == _BEFORE_PROOFS else end_of(level)
        self.highest[actor] = end.to_bytes(8, "big")
        self._proofs[actor] = (level, proof)
        self.news.append(_STATEMENT.pack(actor, level, proof))
        self._keep(ENDS + actor, _KEPT.pack(level, proof))

    # ---- the disk ----

    def restore(self, meta: dict[bytes, bytes], actors: Iterable[bytes]) -> None:
        """Take back what was stored. `actors`: of all dots here, looked at where nothing was."""
        for name, kept in meta.items():
            if name.startswith(ENDS) and len(name) > len(ENDS) and len(kept) == _KEPT.size:
                level, proof = _KEPT.unpack(kept)
                actor = name[len(ENDS) :]
                end = COUNTER_MAX if level == _BEFORE_PROOFS else end_of(level)
                self.highest[actor] = end.to_bytes(8, "big")
                self._proofs[actor] = (level, proof)
        if ENDS not in meta:
            for actor in actors:
                if actor not in self._proofs:
                    self._learn(actor, _BEFORE_PROOFS, bytes(LINK_BYTES))
            self._keep(ENDS, b"\x01")
