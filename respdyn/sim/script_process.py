"""A node's script process, in-process; where there are scripters it dies now and then.

It dies before it has sent what it has done, so nothing of that may ever be seen: one script, or
none, is answered that it has ended the process, and all others are run again.
"""

from collections.abc import Callable
from typing import Final

from respdyn.node import Node
from respdyn.scripting.inline import InlineScripts
from respdyn.scripting.job import read_outcomes
from respdyn.sessions.acl_rules import judge_of
from respdyn.sim.chance import Chance
from respdyn.sim.timeline import Timeline

_DIES: Final = 0.05         # of the times when it has something to report

Receive = Callable[[Callable[..., None], object, object], None]


class ScriptProcess(InlineScripts):
    """See above; `name` is that of one life of one node."""

    def __init__(self, timeline: Timeline, name: str) -> None:
        super().__init__(judge_of)
        self._timeline = timeline
        self._fate = Chance(timeline.plan.seed, f"scripts {name}")

    def report(self, receive: Receive) -> None:
        """Hand over what was done, or the news of its end."""
        frames = self.take()
        if not frames or not self._timeline.plan.scripters or not self._fate.happens(_DIES):
            for frame in frames:
                receive(_feed, frame, None)
            return
        numbers = [
            one.number for frame in frames for done in read_outcomes(frame)
            for one in (done, *done.rest)
        ]
        self.die()
        self._timeline.count("script processes lost")
        receive(_feed_end, self._fate.pick((0, *numbers)), None)


def _feed(node: Node, frame: bytes, _: None) -> None:
    node.scripts.receive(frame)


def _feed_end(node: Node, number: int, _: None) -> None:
    node.scripts.died(number, "signal 9")
