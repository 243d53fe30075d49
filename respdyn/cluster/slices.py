"""Work that is too long for one turn, in slices.

What is one command for a client may be very much for the node: 200,000 keys, 100,000 patterns, half
a gigabyte. Such work is a *job*: a generator that does a piece, yields what that
has cost, and goes on. The first piece is done in the call. The others are done at the end of this
turn and of those that follow, `SLICE` steps in each for all jobs together, one piece of each job in
its turn. Between two turns other clients are served, peers are answered and heartbeats leave, so
no peer takes a long command for a death.

Costs are counted in *steps*, not timed: nothing below the seam reads a clock, and equal inputs
make equal turns. A step is about a microsecond of compiled code: a key that is looked up takes
three, one that is written ten, a kilobyte that is copied one. A piece takes a tenth of a slice.

Source: decision 0041.
"""

from collections import deque
from collections.abc import Generator
from typing import Final

# Each yield: the steps since the last one.
Job = Generator[int, None, None]

SLICE: Final = 1000     # steps of a turn: about a millisecond
PAUSED: Final = -1      # a job that yields this is let go, until `resume` is called


class Slices:
    """The jobs of a node."""

    def __init__(self) -> None:
        self.steps = 0                  # of all jobs, since the start
        self.turns = 0                  # that have left a job unfinished
        self._jobs: deque[Job] = deque()
        self._charged = 0

    def start(self, job: Job) -> bool:
        """Do a job's first piece now and the others in slices; whether there are any others."""
        if not self._piece(job):
            return False
        self._jobs.append(job)
        return True

    def resume(self, job: Job) -> None:
        """Go on with a job that was paused, at the end of this turn."""
        self._jobs.append(job)

    def _piece(self, job: Job) -> int:
        """Do one piece: its steps, 0 if that was the last for now."""
        try:
            steps = next(job)
        except StopIteration:
            return 0
        if steps == PAUSED:
            return 0
        self.steps += steps
        return max(steps, 1)

    def charge(self, steps: int) -> None:
        """Work that is done for a job by code that cannot yield itself."""
        self._charged += steps

    def charged(self) -> int:
        """All of that since the last call, for the job to yield."""
        steps, self._charged = self._charged, 0
        return steps

    def run(self) -> None:
        """This turn's slice."""
        jobs = self._jobs
        left = SLICE
        while jobs and left > 0:
            job = jobs.popleft()
            steps = self._piece(job)
            if steps:
                left -= steps
                jobs.append(job)
        if jobs:
            self.turns += 1

    def is_idle(self) -> bool:
        """Whether no job waits for the next turn."""
        return not self._jobs
