"""Fallback (sloppy quorum): what a node does for a key whose owners alone do not suffice.

*While none of them can be reached* it writes a bare dot into its hints, and ships it to the others
that stand in (see `coordinator`). To read, it asks all nodes that may keep something: the others
that stand in, and owners that are up but cannot store. No node alone may say *not found* then:
unless one holds the whole key, there is no answer, not even to a command that reads before it
writes. A plain SET needs no answer.

*While owners can be reached, but too few, or some have not been given all* that is kept for them, a
read is not forwarded to one of them, who may see less of the others than this node does. This node
asks them itself, and with them all nodes that keep something, itself included. So what its own
clients have written is found as long as those who hold it can be reached from here.

Rare, so this is a task of the control path, not a round.

Source: Dynamo 4.6; decisions 0013 and 0029; the false "not found" of Riak's R=1.
"""

from respdyn.cluster.cleared import Tops, above, raise_to
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.hint import stands_alone
from respdyn.cluster.matching import Matches
from respdyn.cluster.plan import Plan
from respdyn.cluster.questions import Held, Pause
from respdyn.cluster.quorum import Reader
from respdyn.cluster.tasks import Task, TaskRunner, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import DamagedError
from respdyn.ring.hashing import Locator

NONE_KNOWS = "NOQUORUM no owner of this key can be reached, and no hint has it: nothing was done"


class Fallback:
    """Reads and writes hints as if they were the key."""

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, task_runner: TaskRunner
    ) -> None:
        self._now = node.now
        self._here = node.identity.node_id
        self._replica = node.replica
        self._hints = node.hints
        self._keepers = coordinator.keepers
        self._counters = coordinator.counters
        self._task_runner = task_runner
        self._plan_for = coordinator.plan_for
        coordinator.match = Matches(node, task_runner).begin

    def record(self, locator: Locator) -> bytes:
        """What is kept here of a key."""
        return self._hints.find(locator)[0]

    def keep(self, plan: Plan, locator: Locator, delta: bytes, is_state: bool) -> None:
        """Keep a write that was made here. `is_state`: it says all that there is of the key."""
        owner = plan.stands_in_for or plan.owners[0]
        self._hints.keep(owner, locator, delta, is_state or stands_alone(delta))

    def must_read(self, plan: Plan, r: int) -> bool:
        """Whether no owner is to answer a read, though some may be reached."""
        return not plan.is_owner and (
            len(plan.replicas.readers) < min(r, plan.n) or self._keepers.must_ask(plan.partition)
        )

    def read(
        self, plan: Plan, reader: Reader, locator: Locator, r: int, timeout_ms: int, keeps: bool
    ) -> None:
        """Ask all nodes that may know; `reader` gets the join. `keeps`: it is kept here, to write
        on.
        """
        self._counters.reads_coordinated += 1
        self._counters.sloppy_reads += 1
        deadline_ms = self._now.now_ms + timeout_ms
        task = self._ask(plan, reader, locator, r, keeps, deadline_ms)
        self._task_runner.start(task, timeout_ms, lambda _: None)

    def _ask(
        self, plan: Plan, reader: Reader, locator: Locator, r: int, keeps: bool, deadline_ms: int
    ) -> Task:
        yield [Pause(0)]        # by then the waiter has a place, and no answer yet
        readers = plan.replicas.readers
        good = [link.peer for link in readers if not link.deprioritized]
        counted = good if len(good) >= r else [link.peer for link in readers]
        if len(counted) < r:
            counted = [*counted, *plan.replicas.probed]
            if plan.stands_in_for or plan.is_owner:
                counted.append(self._here)
        queried = list(dict.fromkeys(
            (*counted, self._here, *self._keepers.by_partition.get(plan.partition, ()))
        ))
        answers = yield [(peer, Held(locator)) for peer in queried]
        joined, knows, answered = b"", False, 0
        cleared: Tops = {}
        for peer, answer in zip(queried, answers, strict=True):
            reported = answer_as(tuple[bool, bytes, dict[bytes, int]], answer)
            if reported is None or not self._is_sound(reported[1]):
                continue
            answered += peer in counted
            knows = knows or reported[0]
            joined = self._replica.joined(joined, reported[1])
            raise_to(cleared, reported[2])
        joined = above(joined, cleared) if joined and cleared else joined
        left_ms = deadline_ms - self._now.now_ms
        if (answered < r or not knows) and left_ms > 0 and self._plan_for(locator) is not plan:
            self.read(self._plan_for(locator), reader, locator, r, left_ms, keeps)
        elif answered < r:
            reader.fail(f"NOQUORUM R={r} answered={answered}: too few replicas answered")
        elif not knows:
            reader.fail(NONE_KNOWS)
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
