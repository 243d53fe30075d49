"""Scripts run in the node's own process: for the simulator, and for nodes without a server.

Outcomes wait until the driver fetches them (`take`). A script that does not end is stopped after so
many instructions, since no other process could kill it.
"""

from collections.abc import Callable, Iterator
from typing import Final

from respdyn.ports import ScriptHost
from respdyn.scripting.job import Batch, Outcome, encode, read_batch
from respdyn.scripting.overlay import Judge

_LOOKS_MOST: Final = 1000      # each after 10,000 instructions


class InlineScripts(ScriptHost):
    """An engine beside its node; made when the first job comes."""

    def __init__(self, make_judge: Callable[[list[bytes]], Judge]) -> None:
        self.number = 0                 # of the job that was begun last
        self._make_judge = make_judge
        self._looks = 0
        self._done: list[Outcome] = []
        self._run: Callable[[Batch], Iterator[Outcome]] | None = None     # by the engine

    def submit(self, frame: bytes) -> None:
        """See `ScriptHost`."""
        if self._run is None:
            from respdyn.scripting.lua import Engine  # imports lupa

            self._run = Engine(self._make_judge, self._is_over, self._begins).run
        self._done += self._run(read_batch(frame))

    def stop(self, number: int) -> None:
        """See `ScriptHost`: a script that is to stop here is only suspended."""

    def take(self) -> list[bytes]:
        """What has been done since the last time, as frames for the node."""
        done, self._done = self._done, []
        return [encode(done)] if done else []

    def die(self) -> None:
        """The process ends, with all that it had and all that it had not handed over."""
        self._done = []
        self._run = None

    def _begins(self, number: int) -> None:
        if number:
            self.number = number
        self._looks = 0

    def _is_over(self) -> bool:
        self._looks += 1
        return self._looks > _LOOKS_MOST
