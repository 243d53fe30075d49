"""Backups: what became of this node's, and which are to come (BGSAVE, BGREWRITEAOF, SAVE)."""

from collections.abc import Callable
from typing import NamedTuple

from respdyn.cluster.statistics import Counters


class Waiting(NamedTuple):
    """A backup to come, and the callback for its outcome: "", or the reason why it failed."""

    is_rewrite: bool
    done: Callable[[str], None]


class Backups:
    """What became of this node's backups."""

    def __init__(self) -> None:
        self.is_running = False
        self.is_rewrite = False     # the one that is running was started by BGREWRITEAOF
        self.waiting: list[Waiting] = []    # those to come: of each kind one, and SAVEs
        self.began_ms = 0
        self.last_ms = 0            # when the last one succeeded, wall clock
        self.took_ms = -1           # the last one
        self.is_well = True         # the last one succeeded, or there was none
        self.count = 0              # that succeeded
        self._saved = 0             # writes that are in the last one, or were counted before
        self._before = 0            # writes that there were when the present one began

    def unsaved(self, counters: Counters) -> int:
        """Writes coordinated or received since the last backup, or since the start."""
        return counters.writes_coordinated + counters.records_received - self._saved

    def waits(self, is_rewrite: bool) -> bool:
        """Whether one of this kind is to come."""
        return any(one.is_rewrite == is_rewrite for one in self.waiting)

    def begin(self, now_ms: int, counters: Counters, is_rewrite: bool = False) -> None:
        """One begins."""
        self.is_running = True
        self.is_rewrite = is_rewrite
        self.began_ms = now_ms
        self._before = counters.writes_coordinated + counters.records_received

    def end(self, now_ms: int, is_well: bool) -> None:
        """It has ended."""
        self.is_running = False
        self.is_well = is_well
        self.took_ms = now_ms - self.began_ms
        if is_well:
            self.last_ms = now_ms
            self.count += 1
            self._saved = self._before

    def forget(self, counted: int) -> None:
        """The counters, which had come to so much, begin again at 0."""
        self._saved -= counted
        self._before -= counted
