"""Scripts run in the node's own process: for the simulator, and for nodes without a server.

Outcomes wait until the driver fetches them (`take`). A script that does not end is stopped after so
many instructions, since no other process could kill it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from respdyn.ports import ScriptHost
from respdyn.scripting.job import Outcome, encode, read_batch
from respdyn.scripting.overlay import Judge

if TYPE_CHECKING:
    from respdyn.scripting.lua import Engine

_LOOKS_MOST: Final = 1000      # each after 10,000 instructions


class InlineScripts(ScriptHost):
    """An engine beside its node; made when the first job comes."""

    def __init__(self, make_judge: Callable[[list[bytes]], Judge]) -> None:
        self.number = 0                 # of the job that was begun last
        self._make_judge = make_judge
        self._looks = 0
        self._done: list[Outcome] = []
        self._engine: Engine | None = None

    def submit(self, frame: bytes) -> None:
        """See `ScriptHost`."""
        if self._engine is None:
            from respdyn.scripting.lua import Engine  # imports lupa

            self._engine = Engine(self._make_judge, self._is_over, self._begins)
        self._done += self._engine.run(read_batch(frame))

    def stop(self, number: int) -> None:
        """See `ScriptHost`: a script that is to stop here is only suspended."""

    def take(self) -> list[bytes]:
        """What has been done since the last time, as frames for the node."""
        done, self._done = self._done, []
        return [encode(done)] if done else []

    def die(self) -> None:
        """The process ends, with all that it had and all that it had not handed over."""
        self._done = []
        self._engine = None

    def _begins(self, number: int) -> None:
        if number:
            self.number = number
        self._looks = 0

    def _is_over(self) -> bool:
        self._looks += 1
        return self._looks > _LOOKS_MOST
