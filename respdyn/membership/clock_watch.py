"""Clock trust: whether this node's wall clock is right, and what time it is if not.

A clock that is an hour ahead expires everything at once. Two checks find a bad clock:

* a *jump*: against the monotonic clock the wall clock has moved by more than `max-clock-offset`
  since the last turn. The node notices that by itself, and before it does anything by the new time.
* the *majority*: more than half of the members are further away than that. Each node sends its
  peers the difference between its two clocks, which does not age on the way, and the same of the
  time that it goes by: one that doubts its own clock is no witness against others. How the
  monotonic clocks of two nodes relate is measured with every frame (`Link.mono_gap`), as NTP does.

A node that has just started is judged when it has met the others, before it answers clients
(`membership/arrival`): what it mints first is by their time if they contradict its own. A peer met
later is counted in the turn after its clock is known, for it may make the majority. As long as no
majority has confirmed its clock since the start, most of the nodes in reach are enough, itself
counted and two others at least: in a cut it has less reason to believe itself than they have.

Then the wall clock is not looked at any more: from the last time that was sane on, time goes by the
monotonic clock, so nothing expires for the clock's sake (decision 0020). The node declines to
coordinate (`FLAG_DECLINES`), sends its clients' commands to its peers, and logs that as an error.
It goes on storing what it is sent, and coordinates still what no other owner can.

It ends when a majority, this node included, agrees again. A node without peers waits a minute
and then takes the clock for right: perhaps it was wrong before.

Source: SEMANTICS 1.5 and 5; YugabyteDB issue 10872 is what happens otherwise.
"""

from collections.abc import Collection
from struct import Struct
from typing import Final

from respdyn.cluster.link import UNKNOWN_MS, Link
from respdyn.cluster.now import Now
from respdyn.errors import PeerError
from respdyn.ports import Trace

ALONE_MS: Final = 60_000
_FEWEST: Final = 2      # of two that differ either may be wrong
# As a node sends it: its wall clock less its monotonic one, and the time it goes by less the same.
BASE: Final = Struct(">qq")


class ClockWatch:
    """Judges the wall clock, turn by turn."""

    def __init__(self, now: Now, limit_ms: int, heartbeat_ms: int, trace: Trace) -> None:
        self.raw_ms = 0                 # what the wall clock says
        self.is_doubted = False
        self.has_news = False           # a clock has become known since the last judgement
        self._is_confirmed = False      # since the start a majority has agreed once
        self._now = now                 # its `wall_ms` is the time to go by: set here
        self._limit_ms = limit_ms
        self._heartbeat_ms = heartbeat_ms
        self._trace = trace
        self._base = 0                  # wall less monotonic clock, now
        self._sane_base = 0             # and when it could last be trusted
        self._jumped_ms = 0             # when it last jumped, on the monotonic clock
        self._sent_base = 0
        self._next_ms = 0

    def start(self, now_ms: int, wall_ms: int) -> None:
        """The first time."""
        self._base = self._sane_base = wall_ms - now_ms
        self.raw_ms = self._now.wall_ms = wall_ms

    def advance(self, now_ms: int, wall_ms: int) -> bool:
        """Time passes. True if peers are to receive this node's clock, and it is to be judged.

        The time to go by and `is_doubted` are set.
        """
        self.raw_ms = wall_ms
        base = wall_ms - now_ms
        jump_ms = base - self._base
        self._base = base
        if abs(jump_ms) > self._limit_ms:
            self._jumped_ms = now_ms
            self._doubt(f"it has jumped by {jump_ms} ms")
        if not self.is_doubted:
            self._sane_base = base
        self._now.wall_ms = now_ms + self._sane_base
        is_due = now_ms >= self._next_ms
        if is_due:
            self._next_ms = now_ms + self._heartbeat_ms
        if is_due or abs(base - self._sent_base) > self._limit_ms // 4:
            self._sent_base = base
            return True
        return False

    def statement(self) -> bytes:
        """The statement about this clock, for peers."""
        return BASE.pack(self._base, self._sane_base)

    def offset_ms(self, link: Link) -> int | None:
        """How far a peer's clock is ahead of this one's; None if that is not known well enough."""
        if not link.is_up or link.clock_base is None or link.mono_error > self._limit_ms:
            return None
        return link.clock_base - link.mono_gap - self._base

    def _believed_ms(self, link: Link) -> int:
        """How far the time that a peer goes by is ahead of this node's clock."""
        return link.clock_believed - link.mono_gap - self._base

    def receive(self, link: Link, item: bytes) -> None:
        """A peer's statement about its clock. Raises `PeerError`."""
        if len(item) != 1 + BASE.size:
            raise PeerError("a malformed statement about a clock")
        link.clock_base, link.clock_believed = BASE.unpack(item[1:])
        self.note(link)

    def note(self, link: Link) -> None:
        """More is known of a peer's clock, or the peer is up: perhaps it counts now."""
        if not link.is_timed and self.offset_ms(link) is not None:
            self.has_news = True

    def judge(self, links: Collection[Link], members: int, now_ms: int) -> None:
        """Ask the majority. `members`: of the ring, this node included."""
        self.has_news = False
        for link in links:
            if link.mono_error < UNKNOWN_MS:
                link.mono_error += 1
            link.is_timed = self.offset_ms(link) is not None
        known = [(link, offset) for link in links if (offset := self.offset_ms(link)) is not None]
        far = sorted(
            self._believed_ms(link) for link, offset in known
            if min(abs(offset), abs(self._believed_ms(link))) > self._limit_ms
        )
        near = sum(1 for _, offset in known if abs(offset) <= self._limit_ms)
        is_majority = 2 * (near + 1) > members > 1
        self._is_confirmed |= is_majority
        reached = members if self._is_confirmed else len(known) + 1
        if 2 * len(far) > members or (len(far) >= _FEWEST and 2 * len(far) > reached):
            if not self.is_doubted:
                middle_ms = far[len(far) // 2]
                self._doubt(f"{len(far)} of {members} nodes are {middle_ms} ms away from it")
                self._sane_base = self._base + middle_ms
                self._now.wall_ms = now_ms + self._sane_base
        elif self.is_doubted and (
            is_majority
            or (near >= _FEWEST and 2 * (near + 1) > reached)
            or (not known and now_ms - self._jumped_ms >= ALONE_MS)
        ):
            self.is_doubted = False
            self._sane_base = self._base
            self._now.wall_ms = self.raw_ms
            self._trace.event("clock_trusted", agreeing=near + 1, members=members)

    def _doubt(self, reason: str) -> None:
        if not self.is_doubted:
            self._trace.event("clock_doubted", reason=reason, limit_ms=self._limit_ms)
        self.is_doubted = True
