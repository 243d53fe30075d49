"""Blocked clients at a key's coordinator: who waits for something to take from it, in memory.

A client that waits is registered here by its own node, its *home*, with a ticket: when it began to
wait. Whatever changes the key (a client's write, one of another node, a repair, a hint), the
coordinator *offers* it to those who have waited longest, to as many as there are elements. The
home then takes, by the same pop that a client could have sent. So nothing is ever taken for a
client that is gone: what is lost with a coordinator is an offer.

Entries of a stream are read and stay: all who wait for some are offered them. What one group waits
for, one of its consumers is offered after the other, until one finds nothing new; and that the
stream or the group is gone, all of them learn.

An offer that leads to nothing is made to the next after `OFFER_MS`. A ticket that was offered a
state of the key and found nothing in it gets another offer when the key has changed. Homes register
again and again (`sessions/blocking`), so a ticket without news for `NEWS_MS` is gone; and all are
registered anew with the next coordinator.

Source: decision 0054.
"""

from bisect import insort
from collections.abc import Callable
from struct import Struct
from typing import Final

from respdyn.causal.codec import ELEMENTS
from respdyn.causal.element_map import counts_of
from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_OFFER, GOSSIP_WAITS, bulk
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator, is_locator, slot_of_locator
from respdyn.types.stream_order import ENTRY
from respdyn.types.stream_order import LETTER as GROUP
from respdyn.types.values import exists

OFFER_MS: Final = 500
NEWS_MS: Final = 10_000
_LOOK_MS: Final = 100
REGISTERED_MAX: Final = 200_000         # keys that are waited for here, each waiter counted

# What a home says of one of its clients and a key: its number, when it began to wait (ms, by the
# wall clock), what kind of element it waits for, in which line, what is to be done, bytes of the
# locator behind.
WAIT: Final = Struct(">QQcIBI")
BEGIN: Final = 0        # it waits
AGAIN: Final = 1        # it was offered something and found nothing
END: Final = 2          # it waits no longer
_OFFER: Final = Struct(">Q")
_OF_STREAMS: Final = (ENTRY, GROUP)

_GONE: Final = b"-"         # the state of a key that is not there

Offered = Callable[[str, int, Locator], None]


class Waiter:
    """A client that waits for one key."""

    __slots__ = (
        "home", "letter", "line", "number", "offered_ms", "received_ms", "seen", "since_ms",
    )

    def __init__(self, since_ms: int, home: str, number: int, letter: bytes, line: int) -> None:
        self.since_ms = since_ms
        self.home = home
        self.number = number
        self.letter = letter
        self.line = line                # one behind the other: of a stream's group
        self.received_ms = 0
        self.offered_ms = 0             # until when an offer is out; 0: none is
        self.seen = b""                 # the state of the key that was offered last

    def __lt__(self, other: "Waiter") -> bool:
        return (self.since_ms, self.home, self.number) < (
            other.since_ms, other.home, other.number)


class Waits:
    """Tickets that wait for keys that this node coordinates. `offered` gets offers to this node."""

    def __init__(self, node: ThisNode) -> None:
        self.keys: dict[Locator, list[Waiter]] = {}
        self.offered: Offered = lambda home, number, locator: None    # to a client of this node
        self._node = node
        self._now = node.now
        self._here = node.identity
        self._registered = 0
        self._look_ms = NEVER

    # ---- what homes say ----

    def receive(self, link: Link, item: bytes) -> None:
        """A peer's clients wait, or wait no longer. Raises `PeerError`."""
        at = 1
        while at < len(item):
            if at + WAIT.size > len(item):
                raise PeerError("a wait that is cut short")
            number, since_ms, letter, line, what, size = WAIT.unpack_from(item, at)
            locator = item[at + WAIT.size : at + WAIT.size + size]
            if len(locator) != size or not is_locator(locator) or what > END:
                raise PeerError("a wait for nothing that can be")
            self.announce(link.peer, number, since_ms, letter, line, what, locator)
            at += WAIT.size + size

    def announce(
        self, home: str, number: int, since_ms: int, letter: bytes, place: int, what: int,
        locator: Locator,
    ) -> None:
        """A client of this home waits for a key, or waits no longer."""
        line = self.keys.get(locator, [])
        found = next((one for one in line if one.number == number and one.home == home), None)
        if what == END:
            if found is not None:
                self._remove(locator, line, found)
                self.serve(locator)
            return
        if found is None:
            if self._registered >= REGISTERED_MAX:
                self._node.counters.waits_refused += 1
                return
            found = Waiter(since_ms, home, number, letter, place)
            insort(line, found)
            self.keys[locator] = line
            self._registered += 1
        found.received_ms = self._now.now_ms
        if what == AGAIN:
            found.offered_ms = 0
        elif found.offered_ms <= self._now.now_ms and (
            found.offered_ms or letter not in _OF_STREAMS
        ):
            found.seen = b""        # said once more: it is unknown why nothing came of it
        self._look_ms = min(self._look_ms, self._now.now_ms + _LOOK_MS)
        self.serve(locator)

    def _remove(self, locator: Locator, line: list[Waiter], one: Waiter) -> None:
        line.remove(one)
        self._registered -= 1
        if not line:
            del self.keys[locator]

    def lose(self, peer: str) -> None:
        """What this peer said may no longer be so: it will say it again."""
        for locator, line in list(self.keys.items()):
            for one in [one for one in line if one.home == peer]:
                self._remove(locator, line, one)

    # ---- offers ----

    def turn_ends(self, batch: list[bytes]) -> None:
        """The turn has changed these records, flat pairs."""
        for at in range(0, len(batch), 2):
            name = batch[at]
            if name in self.keys:
                self.serve(Locator(name))

    def serve(self, locator: Locator) -> None:
        """Offer what the key holds to those who have waited longest."""
        line = self.keys.get(locator)
        plan = self._node.plans[slot_of_locator(locator)]
        if not line or not plan.is_owner or plan.coordinator != self._here.node_id:
            return
        record = self._node.replica.get(locator)
        is_there = bool(record) and record[1] & ELEMENTS and exists(record, self._now.wall_ms)
        counts = counts_of(record) if is_there else {}
        now_ms = self._now.now_ms
        state = record[2:22] if is_there else _GONE     # checksum, clock and mark
        served = {one.line for one in line if one.letter == GROUP and one.seen == state}
        left = {letter: count - sum(
            one.offered_ms > now_ms for one in line
            if one.letter == letter and letter not in _OF_STREAMS
        ) for letter, count in counts.items()}
        for one in line:
            if one.offered_ms > now_ms or one.seen == state:
                continue
            if one.letter == GROUP:
                is_due = one.line not in served
                served.add(one.line)
            else:
                is_due = left.get(one.letter, 0) > 0
            if is_due:
                if one.letter not in _OF_STREAMS:
                    left[one.letter] -= 1
                one.offered_ms = now_ms + OFFER_MS
                one.seen = state
                self._offer(one, locator)

    def _offer(self, one: Waiter, locator: Locator) -> None:
        if one.home == self._here.node_id:
            self.offered(one.home, one.number, locator)
        else:
            link = self._node.link_to(one.home)
            link.gossips.append(bulk(GOSSIP_OFFER + _OFFER.pack(one.number) + locator))

    def receive_offer(self, link: Link, item: bytes) -> None:
        """A coordinator offers something to a client of this node. Raises `PeerError`."""
        locator = item[1 + _OFFER.size :]
        if len(item) < 1 + _OFFER.size or not is_locator(locator):
            raise PeerError("an offer of nothing that can be")
        self.offered(link.peer, _OFFER.unpack_from(item, 1)[0], locator)

    # ---- time ----

    def tick(self) -> None:
        """Offers that led to nothing go to others; tickets without news are gone."""
        now_ms = self._now.now_ms
        if now_ms < self._look_ms:
            return
        self._look_ms = now_ms + _LOOK_MS if self.keys else NEVER
        for locator, line in list(self.keys.items()):
            is_due = False
            for one in list(line):
                if one.received_ms + NEWS_MS < now_ms:
                    self._remove(locator, line, one)
                elif 0 < one.offered_ms <= now_ms:
                    one.offered_ms = 0
                    one.seen = b""
                    is_due = True
            if is_due:
                self.serve(locator)

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        return self._look_ms


def encode_wait(
    number: int, since_ms: int, letter: bytes, line: int, what: int, locator: Locator
) -> bytes:
    """What a home says of one client and key, within `GOSSIP_WAITS`."""
    return WAIT.pack(number, since_ms, letter, line, what, len(locator)) + locator


def statement_of(waits: list[bytes]) -> bytes:
    """Several of these as one statement."""
    return bulk(GOSSIP_WAITS + b"".join(waits))
