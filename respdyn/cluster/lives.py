"""How far each node's disk has come, as the others remember it: so one that went back is noticed.

A data directory can be older than what its node has said and done: a snapshot of the machine was
put back, an old disk returned, the end of the log was torn off although it was synced. The node
itself cannot know. So it keeps a *mark*, a number that grows with every batch that is synced (and
every `MARK_MS` under `everysec`), and sends its peers with each frame the last one that its disk
holds.
On every new connection a node says who it is, and the other answers what it remembers:

    node -- GOSSIP_LIFE (actor, the mark on the disk when this run began, the run) --> peer
    node <-- GOSSIP_KNOWN (actor, the mark that the peer remembers, whom it holds for up) -- peer

A higher mark than the disk had proves that the disk went back; so does an actor of which the peer
knows that its life was followed by another. Then the node begins a new life and is filled by the
others as one that lost its disk (`went_back`), before it answers clients (`membership/arrival`).

A number drawn for each run distinguishes a reconnection from a restart. What peers have sent is
kept in memory, exactly, and on the disk about every second together with other writes. What stays
unknown: what came after the last mark that any reachable node received. Under `everysec` and `no`,
what a power cut may lose is not marked, so losing it is no going back.

Source: decision 0031.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

import msgspec

from respdyn.cluster.identity import META, Identity
from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_KNOWN, GOSSIP_LIFE, bulk
from respdyn.cluster.now import Now
from respdyn.cluster.replica import Replica
from respdyn.errors import PeerError
from respdyn.ports import Random, Trace, random_bits

MARK: Final = META + b"mark"
_SEEN: Final = META + b"seen"       # and the node id: what is remembered of that node
_MARK: Final = Struct(">Q")
MARK_MS: Final = 10_000             # between two marks, where batches are not synced one by one
KEEP_MS: Final = 1_000              # between two notes of the marks that were received
PAST_MAX: Final = 8                 # lives of a node that are remembered
OVER: Final = (1 << 64) - 1         # in place of a mark: that life is over


class Known(msgspec.Struct, array_like=True):
    """What is remembered of another node."""

    actor: bytes
    run: int
    mark: int
    past: list[bytes] = []      # actors of its earlier lives, the latest last


class Life(msgspec.Struct, array_like=True, frozen=True):
    """What a node says of itself."""

    actor: bytes
    mark: int                   # on its disk, when it started
    run: int


class Word(msgspec.Struct, array_like=True, frozen=True):
    """What another answers."""

    actor: bytes
    run: int
    mark: int                   # 0: nothing that speaks against it
    up: list[str] | None        # the members that it reaches; None: it is about to find out


class Lives:
    """This node's mark, and what it remembers of the others'."""

    def __init__(
        self, replica: Replica, identity: Identity, links: dict[str, Link], keeps: bool,
        is_timed: bool, random: Random, trace: Trace, now: Now,
    ) -> None:
        self.mark = 0                   # that is on this node's disk for sure
        self.has_arrived: Callable[[], bool] = lambda: True
        self.went_back: Callable[[], None] = lambda: None
        self._now = now
        self._replica = replica
        self._identity = identity
        self._links = links
        self._keeps = keeps             # False: a memory engine, whose every run is a new life
        self._is_timed = is_timed
        self._trace = trace
        self._run = random_bits(random, 63) + 1
        self._began = 0                 # the mark when this run began
        self._written = 0
        self._marks: list[tuple[int, int]] = []     # not durable yet: (generation, mark)
        self._has_stored = False        # something since the last mark
        self._next_ms = 0
        self._next_keep_ms = 0
        self._known: dict[str, Known] = {}
        self._changed: set[str] = set()

        self._restore()

    # ---- the disk ----

    def _restore(self) -> None:
        meta = self._replica.meta
        kept = meta.get(MARK, b"")
        if len(kept) == _MARK.size and self._keeps:
            (self.mark,) = _MARK.unpack(kept)
        self._began = self._written = self.mark
        for name, value in meta.items():
            if name.startswith(_SEEN):
                try:
                    self._known[name[len(_SEEN) :].hex()] = msgspec.msgpack.decode(
                        value, type=Known
                    )
                except msgspec.MsgspecError:
                    continue            # what is forgotten here, others remember

    def seal(self, generation: int, sync: bool) -> bool:
        """A turn ends: mark its batch if that will be synced. Whether it must be."""
        now_ms = self._now.now_ms
        replica = self._replica
        has_batch = bool(replica.batch)
        self._has_stored |= has_batch
        if has_batch and self._changed and now_ms >= self._next_keep_ms:
            self._next_keep_ms = now_ms + KEEP_MS
            self.keep()
        if not self._has_stored or not self._keeps:
            return sync
        is_due = self._is_timed and now_ms >= self._next_ms
        if not is_due and not (sync and has_batch):
            return sync
        self._next_ms = now_ms + MARK_MS
        self._has_stored = False
        self._written += 1
        replica.put_meta(MARK, _MARK.pack(self._written))
        self._marks.append((generation, self._written))
        return True

    def durable(self, generation: int) -> None:
        """Everything up to this generation is on the disk."""
        while self._marks and self._marks[0][0] <= generation:
            self.mark = self._marks.pop(0)[1]

    def keep(self) -> None:
        """Put what was received since into the turn's batch."""
        for peer in sorted(self._changed):
            self._note(peer)
            self._put(peer)
        self._changed.clear()

    def _put(self, peer: str) -> None:
        self._replica.put_meta(
            _SEEN + bytes.fromhex(peer), msgspec.msgpack.encode(self._known[peer])
        )

    # ---- others ----

    def send(self, link: Link) -> None:
        """Say who this node is, on a new connection or in a new life."""
        if link.is_connected:
            life = Life(self._identity.actor, self._began, self._run)
            link.gossips.append(bulk(GOSSIP_LIFE + msgspec.msgpack.encode(life)))

    def send_to_all(self) -> None:
        """A new life has begun."""
        for _, link in sorted(self._links.items()):
            self.send(link)

    def answer(self, link: Link) -> None:
        """Say what is remembered of a peer that has said who it is."""
        if not link.is_connected or not link.life:
            return
        up = None
        if self.has_arrived():
            up = [peer for peer, each in sorted(self._links.items()) if each.is_up]
        word = Word(link.life, link.run, link.is_past, up)
        link.gossips.append(bulk(GOSSIP_KNOWN + msgspec.msgpack.encode(word)))

    def receive(self, link: Link, item: bytes) -> None:
        """A peer's statement of one of these two kinds. Raises `PeerError`."""
        try:
            if item[:1] == GOSSIP_LIFE:
                self._receive_life(link, msgspec.msgpack.decode(item[1:], type=Life))
            else:
                self._receive_word(link, msgspec.msgpack.decode(item[1:], type=Word))
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed statement: {wrong}") from wrong

    def _receive_life(self, link: Link, life: Life) -> None:
        if len(life.actor) != 16:
            raise PeerError("an actor that is none")
        peer = link.peer
        self._note(peer)
        known = self._known.get(peer)
        link.life, link.run, link.mark, link.is_past = life.actor, life.run, 0, 0
        if known is None:
            self._known[peer] = Known(life.actor, life.run, life.mark)
            self._put(peer)
        elif life.actor in known.past:
            link.is_past = OVER
        elif life.actor != known.actor:
            past = [*known.past, known.actor][-PAST_MAX:]
            self._known[peer] = Known(life.actor, life.run, life.mark, past)
            self._put(peer)
        elif life.run != known.run:
            if known.mark > life.mark:
                link.is_past = known.mark
            else:
                known.run, known.mark = life.run, life.mark
                self._put(peer)
        self.answer(link)

    def remembered(self, peer: str) -> tuple[bytes, int]:
        """The actor and the mark of another node, as they are remembered; (b"", 0) for none."""
        self._note(peer)
        known = self._known.get(peer)
        return (known.actor, known.mark) if known is not None else (b"", 0)

    def _note(self, peer: str) -> None:
        """Take over the mark that a peer's frames have brought, unless its disk went back."""
        link, known = self._links.get(peer), self._known.get(peer)
        if link is not None and known is not None and link.life == known.actor and (
            not link.is_past and link.mark > known.mark
        ):
            known.mark = link.mark

    def marked(self, link: Link, mark: int) -> None:
        """A peer's frame has a higher mark than before."""
        link.mark = mark
        if link.peer in self._known:
            self._changed.add(link.peer)

    def _receive_word(self, link: Link, word: Word) -> None:
        if word.run != self._run:
            return                  # about an earlier run: it does not know of this one yet
        link.sees = None if word.up is None else frozenset(word.up)
        link.has_answered = True
        if word.actor != self._identity.actor or not self._keeps or word.mark <= self._began:
            return
        self._trace.event(
            "data_went_back", said_by=link.peer[:8], mark=self._began,
            remembered="a later life" if word.mark == OVER else word.mark,
        )
        self.went_back()
