"""The timeline of a run: one heap of events, one time, the digest of all that left, the story.

An event is a time, a serial number that breaks ties, something to call and its one argument. The
run is over when the last event before the end has been called; nothing else happens anywhere.
Every byte that leaves a node goes into the digest, so two runs that differ anywhere differ there.
"""

from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush

from respdyn.ports import Trace
from respdyn.sim.history import History, Wrong
from respdyn.sim.operations import Op
from respdyn.sim.plan import Plan
from respdyn.sim.report import Story


class Timeline:
    """What every part of a run shares: the plan, the time, and the records of what happened."""

    def __init__(self, plan: Plan, story: Story | None = None) -> None:
        self.plan = plan
        self.story = story
        self.now_us = 0
        self.events = 0
        self.deliveries = 0                 # frames and commands that nodes were given
        self.counts: dict[str, int] = {}    # what happened how often
        self.acting = ""                    # the machine or client at work, should it fail
        self.history = History(plan)
        self.has_jumped = False             # some clock that was announced and trusted before
        self._heap: list[tuple[int, int, Callable[..., None], object]] = []
        self._digest = blake2b(digest_size=16)

    # ---- time ----

    def at(self, time_us: int, act: Callable[..., None], what: object) -> None:
        """Call `act(what)` at a time, now or later."""
        self.events += 1
        heappush(self._heap, (time_us, self.events, act, what))

    def after(self, wait_us: int, act: Callable[..., None], what: object) -> None:
        """Call `act(what)` after a while."""
        self.events += 1
        heappush(self._heap, (self.now_us + wait_us, self.events, act, what))

    def run_until(self, end_us: int) -> None:
        """Let everything happen that happens until then."""
        heap = self._heap
        while heap and heap[0][0] <= end_us:
            self.now_us, _, act, what = heappop(heap)
            act(what)
        self.now_us = end_us

    def run_while(self, is_wanted: Callable[[], bool], limit_us: int) -> bool:
        """As `run_until`, in steps of 10 ms, while something is so; False when time is up."""
        end_us = self.now_us + limit_us
        while is_wanted():
            if self.now_us >= end_us:
                return False
            self.run_until(self.now_us + 10_000)
        return True

    # ---- the story ----

    def stamp(self, who: int, data: bytes) -> None:
        """Put bytes into the digest, with their time and origin."""
        self._digest.update(b"%d %d %d " % (self.now_us, who, len(data)))
        self._digest.update(data)

    def digest(self) -> str:
        """A hash over all that happened so far."""
        return self._digest.hexdigest()

    def count(self, what: str) -> None:
        """One more of it."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def note(self, who: str, text: str) -> None:
        """A line of the story, if one is kept."""
        if self.story is not None:
            self.story.add(self.now_us, who, text, b"")

    def note_op(self, client: str, host: str, op: Op, verb: str) -> None:
        """A line about a client's command."""
        if self.story is not None:
            self.story.add_op(self.now_us, client, host, op, verb)


class NodeTrace(Trace):
    """A node's trace: part of the digest, and lines of the story."""

    def __init__(self, timeline: Timeline, index: int, name: str) -> None:
        self._timeline = timeline
        self._index = index
        self._name = name

    def event(self, name: str, **fields: object) -> None:
        """See `Trace.event`."""
        timeline = self._timeline
        line = " ".join([name, *(f"{key}={value}" for key, value in fields.items())])
        timeline.stamp(self._index, line.encode())
        if name == "counter_used_twice":    # no member here shows what it cannot have
            raise Wrong(f"{self._name} was about to use a counter twice")
        timeline.count(f"trace {name}")
        if timeline.story is not None:
            timeline.note(self._name, line)
