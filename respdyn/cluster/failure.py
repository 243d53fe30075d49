"""Failure detection: which peers are down or deprioritized, judged locally and from traffic.

There is no global verdict: A may hold B for down while C does not. The evidence is this node's own
frames and their acknowledgements; an idle link carries a heartbeat each second.

**Down** is a peer whose connection broke, or that has not answered its oldest frame, nor any before
it, for so long that its silence is beyond doubt: suspicion phi of 8 (see `suspicion`), never before
two thirds of `failure-timeout`, and after all of it in any case. A silence that the peer has
come back from lately, on a line that loses packets, is no proof: it must be longer than that.
Since an acknowledgement needs both directions, a cut of one direction silences both sides: the one
that can still send gets no answer to what it sends, the other none to its own heartbeats.
A great frame on its way is no silence: who takes more of what waits for it lives, and so does who
sends one (`Link.moved`). Nor is work on it: where there was one lately, twice `failure-timeout`
counts alone, and more for its size (decision 0035).

**Cut off** is one that is silent while not even its machine's system acknowledges bytes, though
they were sent again (`Link.unacknowledged_ms`): no process can be so busy. It is down when that has
lasted a quarter of `failure-timeout`, whatever delays it had before, and what it owes is sent on to
others before that (`sent_on`, decision 0044). A cut seldom takes one alone: all others are probed
then.

**Up** it is again only after a round trip: it has acknowledged a frame of this connection.

**Spared** is a peer that is up and of little use: it has said nothing for longer than it usually
does (*silent*: phi 2, long before it would be down), it answers too late, or much later than it
used to, or its commands time out (*slow*), it was lost in silence a short time ago (*unsteady*), or
it declines coordination itself (*busy*; see `FLAG_DECLINES`). It is still sent every write and
counts for every quorum; only it is not the coordinator while another owner can be, and reads go to
others first. So a doubtful judgement costs no client an answer, and what clients see does not flap:
each return within a short time doubles how long a peer is deprioritized.

A node that is slow itself would find all others slow. So when most of its peers look sick, none is
held for it that is not cut off; what this node has slept through, because its turn was late or its
process was stopped, is not counted as a peer's silence; nor is what may have come in since its
last turn and is not yet read.

Source: Dynamo 4.8.3; Lifeguard's lesson that a slow node should doubt itself first; decision 0030.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from respdyn.cluster.link import SHORTEST_WINDOW_MS, Link
from respdyn.cluster.suspicion import Answers, Delays, Pace
from respdyn.ports import Trace

PHI_DOWN: Final = 8.0
PHI_SILENT: Final = 2.0
BEYOND: Final = 1.25                # times the longest silence that it has come back from lately
# Parts of `failure-timeout`.
LEAST_DEVIATION: Final = 1 / 18     # phi 2 is not reached before an eighth of it
DOWN: Final = 2 / 3                 # a shorter silence may be a busy machine's, however unusual
CUT: Final = 1 / 4                  # and a shorter one of its system may be a packet lost twice
UNACKNOWLEDGED: Final = 1 / 10             # its system says nothing for so long: it is cut off
LATE: Final = 1 / 4                 # an answer that took longer is a bad one
LATER: Final = 1 / 20               # answers that take longer lately, and `TIMES` as long as usual
TIMES: Final = 4.0
BULK: Final = 2                     # a great frame so lately: a silence of so long may be work
PAUSE: Final = 1 / 20               # a look that was later than this: this node has slept
SAMPLE: Final = 1 / 10              # one delay is remembered in so long
LOOK: Final = 1 / 40                # pause between two looks while a peer owes an answer
DEPRIORITIZED: Final = 1            # for so long is one that was silent and is no more
UNSTEADY: Final = 20                # up for less, and down again: that was a flap
DEPRIORITIZED_MOST: Final = 8       # and for so many times that, one that flaps
PAUSES_MOST: Final = 64

SILENT: Final = "silent"


class Evidence:
    """What is known of one peer."""

    __slots__ = (
        "answers",
        "delays",
        "deprioritized_until_ms",
        "flaps",
        "is_reported",
        "is_silent",
        "pace",
        "silent_until_ms",
        "was_silent",
        "worst_ms",
    )

    def __init__(self, least_deviation_ms: float) -> None:
        self.delays = Delays(least_deviation_ms)
        self.pace = Pace()
        self.answers = Answers()
        self.worst_ms = -1              # of this interval; -1: nothing came
        self.flaps = 0
        self.was_silent = False         # when it was lost last
        self.is_silent = False          # it has not spoken since
        self.is_reported = False            # and that was reported
        self.silent_until_ms = 0        # and a little longer
        self.deprioritized_until_ms = 0


class FailureDetector:
    """Turns the ages of frames, answered and not, into up, down and deprioritized."""

    def __init__(
        self, heartbeat_ms: int, timeout_ms: int, trace: Trace,
        changed: Callable[[Link], None], reordered: Callable[[], None],
        fell_silent: Callable[[str], None],
    ) -> None:
        self._heartbeat_ms = heartbeat_ms
        self._timeout_ms = timeout_ms
        self._trace = trace
        self._changed = changed
        self._reordered = reordered
        self._fell_silent = fell_silent
        self.cut_off: dict[str, Link] = {}      # silent, and their systems as well
        self._probes_all = False                  # one is, newly: a cut seldom takes one alone
        self._evidence: dict[str, Evidence] = {}
        self._pauses: deque[tuple[int, int]] = deque(maxlen=PAUSES_MOST)   # (end, length)
        self._last_look_ms = 0
        self._next_beat_ms = 0
        self._next_look_ms = 0
        self._next_sample_ms = 0
        self._next_part_ms = 0

    # ---- what happens ----

    def look(self, links: Collection[Link], now_ms: int) -> None:
        """Send heartbeats that are due and judge silence. Call at every turn."""
        read_ms, self._last_look_ms = self._last_look_ms, now_ms    # what came by then is read
        slept_ms = now_ms - max(read_ms, self.next_deadline()) - int(PAUSE * self._timeout_ms)
        if read_ms and slept_ms > 0:
            self._pauses.append((now_ms, slept_ms))
        if now_ms >= self._next_beat_ms or self._probes_all:
            self._next_beat_ms = now_ms + self._heartbeat_ms
            self._probes_all = False
            for link in links:
                if link.is_connected:
                    link.wants_beat = True
        if now_ms < self._next_look_ms:
            return
        is_sampled = now_ms >= self._next_sample_ms
        if is_sampled:
            self._next_sample_ms = now_ms + int(SAMPLE * self._timeout_ms)
        pause = SAMPLE
        for link in links:
            evidence = self._of(link)
            if is_sampled and evidence.worst_ms >= 0:
                evidence.delays.note(evidence.worst_ms)
                evidence.pace.settle()
                evidence.worst_ms = -1
            since_ms = link.silent_since_ms()
            if link.is_up and since_ms is not None:
                pause = LOOK
                since_ms = max(since_ms, link.received_ms)     # it works on what is before that one
                self._judge(link, evidence, self._age(since_ms, read_ms), now_ms)
        self._next_look_ms = now_ms + max(1, int(pause * self._timeout_ms))
        self._deprioritize(links, now_ms)

    def _judge(self, link: Link, evidence: Evidence, silence_ms: int, now_ms: int) -> None:
        """A peer owes an answer for so long."""
        phi = evidence.delays.phi(silence_ms)
        most_ms = self._timeout_ms
        is_cut_off = link.unacknowledged_ms >= UNACKNOWLEDGED * most_ms
        is_gone = link.unacknowledged_ms >= CUT * most_ms   # no habit of the process explains that
        is_beyond_doubt = (
            (phi >= PHI_DOWN or is_gone) and silence_ms >= (CUT if is_cut_off else DOWN) * most_ms
            and silence_ms > BEYOND * evidence.delays.worst_ms()
        )
        if now_ms < link.bulk_ms + BULK * most_ms:
            most_ms = BULK * most_ms + link.work_ms()
            is_beyond_doubt = False
        if is_beyond_doubt or silence_ms > most_ms:
            evidence.delays.note(silence_ms)
            self._mark(link, False, now_ms, "silent")
            evidence.was_silent = True
        elif phi >= PHI_SILENT:
            evidence.silent_until_ms = now_ms + DEPRIORITIZED * self._timeout_ms
            evidence.is_silent = True
            if is_cut_off and link.peer not in self.cut_off:
                self.cut_off[link.peer] = link
                self._probes_all = True

    def receive(self, link: Link, sent_ms: int, oldest_ms: int, now_ms: int) -> None:
        """The peer has acknowledged frames, the newest sent at `sent_ms`, the oldest before."""
        link.received_ms = now_ms
        link.unacknowledged_ms = 0
        if link.peer in self.cut_off:
            del self.cut_off[link.peer]
        link.round_trip_ms += (now_ms - sent_ms - link.round_trip_ms) / 8
        link.window_ms = max(SHORTEST_WINDOW_MS, int(4 * link.round_trip_ms))
        evidence = self._of(link)
        evidence.is_silent = evidence.is_reported = False
        delay_ms = self._age(oldest_ms, now_ms)
        if link.is_up:
            evidence.worst_ms = max(evidence.worst_ms, delay_ms)
            evidence.pace.note(delay_ms)
        if delay_ms > LATE * self._timeout_ms:
            evidence.answers.bad()
        else:
            evidence.answers.good()
        if not link.is_up and link.is_connected and now_ms - sent_ms <= self._timeout_ms:
            if evidence.flaps >= 2 or evidence.was_silent:
                lasts_ms = DEPRIORITIZED * self._timeout_ms
                lasts_ms *= min(2 ** max(evidence.flaps - 1, 0), DEPRIORITIZED_MOST)
                evidence.deprioritized_until_ms = now_ms + lasts_ms
                link.deprioritized = "unsteady"
                self._trace.event("peer_deprioritized", peer=link.peer[:8], reason="unsteady")
            self._mark(link, True, now_ms, "round trip")

    def failed(self, link: Link) -> None:
        """The peer has not answered a request in time."""
        self._of(link).answers.bad()

    def busy(self, link: Link, is_busy: bool) -> None:
        """The peer says whether it would rather be deprioritized; the next look goes by it."""
        link.declines_coordination = is_busy
        self._next_look_ms = 0

    def broken(self, link: Link, now_ms: int) -> None:
        """The connection to the peer is gone."""
        self._of(link).answers.forget()
        if link.is_up:
            self._mark(link, False, now_ms, "connection lost")

    def next_deadline(self) -> int:
        """When `look` has work at the latest."""
        return min(self._next_beat_ms, self._next_look_ms)

    # ---- what follows ----

    def _of(self, link: Link) -> Evidence:
        evidence = self._evidence.get(link.peer)
        if evidence is None:
            evidence = self._evidence[link.peer] = Evidence(LEAST_DEVIATION * self._timeout_ms)
        return evidence

    def _age(self, sent_ms: int, now_ms: int) -> int:
        """How long ago that was, less what this node has slept through since."""
        slept_ms = sum(length for end, length in self._pauses if sent_ms < end <= now_ms)
        return max(0, now_ms - sent_ms - slept_ms)

    def _mark(self, link: Link, is_up: bool, now_ms: int, reason: str) -> None:
        if not is_up:
            evidence = self._of(link)
            was_short = now_ms - link.changed_ms < UNSTEADY * self._timeout_ms
            evidence.flaps = min(evidence.flaps + 1, 10) if was_short and link.changed_ms else 0
            evidence.was_silent = evidence.is_silent = evidence.is_reported = False
            evidence.silent_until_ms = 0
            self.cut_off.pop(link.peer, None)
            evidence.pace.forget()
            link.declines_coordination = False
            link.deprioritized = ""
        link.is_up = is_up
        link.changed_ms = now_ms
        self._trace.event("peer_up" if is_up else "peer_down", peer=link.peer[:8], reason=reason)
        self._changed(link)

    def _deprioritize(self, links: Collection[Link], now_ms: int) -> None:
        """Judge who is deprioritized, and why; report if that has changed for any peer."""
        if now_ms >= self._next_part_ms:
            self._next_part_ms = now_ms + self._heartbeat_ms
            for link in links:
                self._of(link).answers.roll()
        up = [link for link in links if link.is_up]
        sick = {link.peer: self._sickness(link, now_ms) for link in up}
        if 2 * sum(1 for reason in sick.values() if reason) > len(up):
            # The trouble is here. But that the systems of others say nothing is no fault of ours.
            sick = {peer: reason for peer, reason in sick.items() if peer in self.cut_off}
        has_changed = False
        fell_silent: list[str] = []
        for link in up:
            if link.is_leaving:
                reason = "starting or stopping"
            elif link.declines_coordination:
                reason = "busy"
            elif now_ms < self._of(link).deprioritized_until_ms:
                reason = "unsteady"
            else:
                reason = sick.get(link.peer, "")
            if reason != link.deprioritized:
                link.deprioritized = reason
                has_changed = True
                if reason:
                    self._trace.event("peer_deprioritized", peer=link.peer[:8], reason=reason)
                else:
                    self._trace.event("peer_deprioritized_no_more", peer=link.peer[:8])
            evidence = self._of(link)
            if evidence.is_silent and not evidence.is_reported and sick.get(link.peer) == SILENT:
                evidence.is_reported = True
                fell_silent.append(link.peer)
        if has_changed:
            self._reordered()
        for peer in fell_silent:
            self._fell_silent(peer)

    def _sickness(self, link: Link, now_ms: int) -> str:
        evidence = self._of(link)
        is_slow = evidence.answers.judge()
        if now_ms < evidence.silent_until_ms:
            return SILENT
        if is_slow or evidence.pace.judge(LATER * self._timeout_ms, TIMES):
            return "slow"
        return ""
