"""Who can be reached, judged locally and from traffic.

There is no global verdict: A may hold B for down while C does not. The evidence is this node's own
frames. A peer whose oldest unanswered frame is older than the failure time-out is down; one whose
connection breaks is down at once; it is up again only after a round trip, which is to say when it
has acknowledged a frame sent within the time-out. An idle link carries a heartbeat each second, so
that silence is noticed within the sum of the two.

A node whose own loop stood still (a long pause, a stopped process) has heard nothing for reasons of
its own. It gives every peer the length of its pause before it judges.

Deliberately not here: suspicion levels and the success ratio of a sick peer.

Source: Dynamo 4.8.3; Lifeguard's lesson that a slow node should doubt itself first.
"""

from collections.abc import Callable, Iterable

from respdyn.cluster.link import SHORTEST_WINDOW_MS, Link
from respdyn.ports import Trace


class FailureDetector:
    """Turns the age of unanswered frames into up and down."""

    def __init__(
        self, heartbeat_ms: int, timeout_ms: int, trace: Trace,
        changed: Callable[[Link], None],
    ) -> None:
        self._heartbeat_ms = heartbeat_ms
        self._timeout_ms = timeout_ms
        self._trace = trace
        self._changed = changed
        self._last_look_ms = 0
        self._grace_ms = 0          # frames sent before count as sent then
        self._next_beat_ms = 0
        self._next_look_ms = 0

    def look(self, links: Iterable[Link], now_ms: int) -> None:
        """Send heartbeats that are due and judge silence. Call at every turn."""
        gap = now_ms - self._last_look_ms
        if self._last_look_ms and gap > self._timeout_ms // 2:
            self._grace_ms = now_ms
        self._last_look_ms = now_ms
        if now_ms >= self._next_beat_ms:
            self._next_beat_ms = now_ms + self._heartbeat_ms
            for link in links:
                if link.is_connected:
                    link.wants_beat = True
        if now_ms < self._next_look_ms:
            return
        self._next_look_ms = now_ms + self._timeout_ms // 10
        for link in links:
            sent_ms = link.oldest_unanswered_ms()
            if (
                link.is_up
                and sent_ms is not None
                and now_ms - max(sent_ms, self._grace_ms) > self._timeout_ms
            ):
                self._mark(link, False, now_ms, "silent")

    def heard(self, link: Link, sent_ms: int, now_ms: int) -> None:
        """The peer has acknowledged a frame that was sent at `sent_ms`."""
        link.heard_ms = now_ms
        link.round_trip_ms += (now_ms - sent_ms - link.round_trip_ms) / 8
        link.window_ms = max(SHORTEST_WINDOW_MS, int(4 * link.round_trip_ms))
        if not link.is_up and link.is_connected and now_ms - sent_ms <= self._timeout_ms:
            self._mark(link, True, now_ms, "round trip")

    def broken(self, link: Link, now_ms: int) -> None:
        """The connection to the peer is gone."""
        if link.is_up:
            self._mark(link, False, now_ms, "connection lost")

    def next_deadline(self) -> int:
        """When `look` has work at the latest."""
        return min(self._next_beat_ms, self._next_look_ms)

    def _mark(self, link: Link, is_up: bool, now_ms: int, reason: str) -> None:
        link.is_up = is_up
        link.changed_ms = now_ms
        self._trace.event("peer_up" if is_up else "peer_down", peer=link.peer[:8], reason=reason)
        self._changed(link)
