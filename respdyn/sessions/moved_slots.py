"""Slots that have another node now: cluster-aware clients are notified instead of finding out.

A client of the cluster port keeps its slot map until an error makes it ask anew, and here there is
none: any node serves any key, so it would go on sending keys to nodes that forward them, and never
use a node that has come back or joined. Clients that want to know (`CLIENT MAINT_NOTIFICATIONS
ON`, which redis-py and node-redis send by themselves in RESP3) are pushed

    SMIGRATED sequence [[from, to, slots], ...]

whenever the presented map has changed. All nodes push it to their own clients; the sequence is
made of the new map, so that a client with connections to several nodes acts once. But nodes notice
within a second or so of each other, and a client notified by the first may ask the last for
the map. So all is pushed once more when every node has had time to notice.

Source: redis-py and node-redis, whose parsers say what the message looks like.
"""

from collections.abc import Callable, Mapping
from typing import Final
from zlib import crc32

from respdyn.cluster.slot_map import SlotMap
from respdyn.resp.replies import array, bulk, integer, push, text
from respdyn.sessions.session import Session

Ranges = list[tuple[int, int, str]]     # first slot, last slot, node id

# The same map is news again after so long. A node that has returned waits longer than it takes all
# nodes to notice, and less than this.
_NEWS_MS: Final = 10_000
_SETTLE_MS: Final = 2000        # by then all nodes have noticed what one of them has


class MovedSlots:
    """What this node's clients have been sent of the map."""

    def __init__(
        self, slot_map: SlotMap, sessions: dict[int, Session],
        addresses: Callable[[bool], dict[str, str]],
    ) -> None:
        """`addresses(is_tls)`: where clients find the cluster port of each node."""
        self.notified = 0                       # clients that were notified of a change
        self._slot_map = slot_map
        self._sessions = sessions
        self._addresses = addresses
        self._version = 0
        self._ranges: Ranges = []
        self._before: Ranges = []           # what is to be pushed once more has moved since then
        self._again_ms = 0                  # when; 0: nothing is

    def look(self, now_ms: int, wall_ms: int, is_leaving: bool) -> None:
        """Push what has changed since the last look. A node that leaves pushes by itself."""
        self._slot_map.look(now_ms)
        if self._again_ms and now_ms >= self._again_ms:
            self._again_ms = 0
            if not is_leaving:
                self._push(self._before, wall_ms, True)
        if self._slot_map.version == self._version:
            return
        self._version = self._slot_map.version
        before, after = self._ranges, self._slot_map.ranges()
        self._ranges = after
        if not before or before == after or is_leaving:
            return
        self._push(before, wall_ms, False)
        self._before = before           # a client that reads the map learns of earlier changes too
        self._again_ms = now_ms + _SETTLE_MS

    def _push(self, before: Ranges, wall_ms: int, again: bool) -> None:
        """Push what has moved since `before` to every client that wants to know."""
        sequence = integer(_sequence(self._ranges, wall_ms, again))
        messages: dict[bool, bytes] = {}
        for session in list(self._sessions.values()):
            if session.listener != "cluster" or not session.moving or session.resp != 3:
                continue
            if session.is_tls not in messages:
                moved = migrations(before, self._ranges, self._addresses(session.is_tls))
                messages[session.is_tls] = push(
                    [bulk(b"SMIGRATED"), sequence, array(moved)], True
                ) if moved else b""
            if messages[session.is_tls]:
                self.notified += 1
                session.push(messages[session.is_tls])


def migrations(before: Ranges, after: Ranges, addresses: Mapping[str, str]) -> list[bytes]:
    """[from, to, slots] of all that have moved; not of what no node presented or presents."""
    moved: dict[tuple[str, str], list[str]] = {}
    at = 0
    for first, last, node in after:
        while at < len(before) and before[at][1] < first:
            at += 1
        for low, high, was in before[at:]:
            if low > last:
                break
            if was != node and was in addresses and node in addresses:
                run = f"{max(low, first)}-{min(high, last)}"
                moved.setdefault((was, node), []).append(run)
    return [
        array([text(addresses[was]), text(addresses[node]), text(",".join(slots))])
        for (was, node), slots in sorted(moved.items())
    ]


def _sequence(ranges: Ranges, wall_ms: int, again: bool) -> int:
    """A number of the map; below 2 ** 53, which JavaScript can count to."""
    digest = crc32(repr((ranges, again)).encode()) & 0xFFFFFF
    return wall_ms // _NEWS_MS << 24 | digest
