"""What a node does for a key that it does not own while none of the owners can be reached.

It writes a bare dot into its hints, and ships it to the others that stand in (see `coordinator`).
To read, it asks everybody who may keep something: the others that stand in, and owners that are up
but cannot store. *Not found* is then nobody's word: unless somebody holds the whole key, there is
no answer, not even to a command that reads before it writes. A plain SET needs no answer.

Rare, so this is a task of the control path, not a round.

Source: Dynamo 4.6; decision 0013; the false "not found" of Riak's R=1.
"""

from respdyn.cluster.counters import Counters
from respdyn.cluster.hints import Hints, stands_alone
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Reader
from respdyn.cluster.replica import Replica
from respdyn.engine.asking import Asking, Task, answer_as
from respdyn.engine.questions import Held, Pause
from respdyn.errors import DamagedError

NOBODY_KNOWS = "NOQUORUM no owner of this key can be reached, and no hint has it: nothing was done"


class StandIn:
    """Reads and writes hints as if they were the key."""

    def __init__(
        self, here: str, replica: Replica, hints: Hints, counters: Counters, asking: Asking
    ) -> None:
        self._here = here
        self._replica = replica
        self._hints = hints
        self._counters = counters
        self._asking = asking

    def record(self, locator: bytes) -> bytes:
        """What is kept here of a key."""
        return self._hints.find(locator)[0]

    def keep(self, plan: Plan, locator: bytes, delta: bytes, is_state: bool) -> None:
        """Keep a write that was made here. `is_state`: it says all that there is of the key."""
        owner = plan.stands_in_for or plan.owners[0]
        self._hints.keep(owner, locator, delta, is_state or stands_alone(delta))

    def read(
        self, plan: Plan, reader: Reader, locator: bytes, r: int, timeout_ms: int, keeps: bool
    ) -> None:
        """Ask whoever may know; `reader` hears the join. `keeps`: it is kept here, to write on."""
        self._counters.reads_coordinated += 1
        self._counters.sloppy_reads += 1
        task = self._ask(plan, reader, locator, r, keeps)
        self._asking.start(task, timeout_ms, lambda _: None)

    def _ask(self, plan: Plan, reader: Reader, locator: bytes, r: int, keeps: bool) -> Task:
        yield [Pause(0)]        # whoever waits has been given a place by then, and not an answer
        asked = [self._here]
        asked += [link.peer for link in plan.replicas.readers]
        asked += [peer for peer in plan.replicas.probed if peer not in asked]
        answers = yield [(peer, Held(locator)) for peer in asked]
        joined, knows, heard = b"", False, 0
        for answer in answers:
            told = answer_as(tuple[bool, bytes], answer)
            if told is None or not self._is_sound(told[1]):
                continue
            heard += 1
            knows = knows or told[0]
            joined = self._replica.joined(joined, told[1])
        if heard < r:
            reader.fail(f"NOQUORUM R={r} answered={heard}: too few replicas answered")
        elif not knows:
            reader.fail(NOBODY_KNOWS)
        else:
            if keeps and joined:
                self.keep(plan, locator, joined, True)
            reader.differ(joined)
        return b""

    def _is_sound(self, record: bytes) -> bool:
        try:
            if record:
                self._replica.check(record)
        except DamagedError:
            return False
        return True
