"""Whether a storage process gets on: a disk that is slow has not failed, one that is stuck has.

Progress is a word of the process (something is durable), bytes that it took from a socket that was
full, or work that the system has seen it do: a single write or sync may take many seconds on a busy
machine, and a binding of RocksDB says nothing meanwhile. After `stall_s` without any of these it is
stuck (a disk that hangs, a process that was stopped), and after `LONGEST_ANSWER_S` without a word
in any case. Times are in seconds, monotonic, and come as arguments.

Source: proc(5), `/proc/[pid]/io` and `/proc/[pid]/stat`. Elsewhere than on Linux work is not seen.
"""

from pathlib import Path
from typing import Final

STALL_S: Final = 10.0
"""After so long without any progress the disk counts as failed."""
LONGEST_ANSWER_S: Final = 60.0
"""And after so long without a word, whatever the process seems to do."""

Work = tuple[int, ...]


class Progress:
    """Judges one process, while it has work."""

    def __init__(self, stall_s: float = STALL_S) -> None:
        self.stall_s = stall_s
        self._spoke_s = 0.0
        self._moved_s = 0.0
        self._work: Work = ()

    def spoke(self, now_s: float) -> None:
        """It said something; or it gets work after it had done all."""
        self._spoke_s = self._moved_s = now_s

    def moved(self, now_s: float) -> None:
        """It took something."""
        self._moved_s = now_s

    def worked(self, work: Work, now_s: float) -> None:
        """What it has done by now, as the system counts; compared with what it had before."""
        if work != self._work:
            self._work = work
            self._moved_s = now_s

    def is_stuck(self, now_s: float) -> bool:
        """Whether it does not get on."""
        return (
            now_s - self._moved_s > self.stall_s or now_s - self._spoke_s > LONGEST_ANSWER_S
        )


def work_of(process_id: int) -> Work:
    """What a process has read, written and computed so far, in no unit; () if unknown."""
    try:
        moved = Path(f"/proc/{process_id}/io").read_text().split()[1::2]
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return (*map(int, moved), int(fields[11]), int(fields[12]))
