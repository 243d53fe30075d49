"""A group: those commands of a transaction whose keys one node coordinates, done in one step.

The coordinator takes all keys of the group (they are *busy* meanwhile, as those of any command that
reads before it writes), in one order that is the same for all groups, so that no two groups wait
for each other. Then it reads a quorum for every key that is read, watched, or changed by what it
held. Then, in one turn, it compares the watched keys and runs all commands, one after the other.
What they changed leaves in that turn's batch and in one frame to each replica, and a replica
applies a frame as a whole: so a reader of one replica never sees half of a group. A replica that
missed the frame is repaired key by key, and until then its readers may.

What comes before the step is done in slices where there is much of it; the step itself is not. So
how many commands a transaction may have is bounded (`transaction-commands`).

A group is refused as a whole, before anything is done, when the quorum cannot be met. Once it runs,
each command has its own reply, and its own error should too few replicas store its change.

A command that reads some keys and then changes others (COPY, RENAME, MSETNX) runs whole within the
step. That is why it is only part of a group if all its keys have the same owners: a change of one
key that rests on the change of another must not be kept by a node that cannot have that other.

Between nodes a group travels as one forwarded command whose words are `GROUP` and its encoding. It
is never run twice: what became of one whose answer does not come is not known.

Source: SEMANTICS 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final, cast

import msgspec

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.messages import NOT_RUN, UNKNOWN
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.slices import Job
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.versions import has_changed, watched_version
from respdyn.commands.declare import READ, UPDATE, WRITE, Command
from respdyn.commands.key_uses import places_of
from respdyn.commands.table import find, lookup
from respdyn.coordination.calls import Call, Continuation, QueuedGroup, Updating
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.forwarding import OUTCOME_UNKNOWN
from respdyn.coordination.group_messages import (
    Done,
    Group,
    Outcome,
    Step,
    encoder,
    outcomes,
)
from respdyn.coordination.may_write import too_few, why_not_write
from respdyn.errors import ReplyError
from respdyn.resp.replies import bulk, error
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.hashing import locator as locator_of

Note = Callable[[int], None]        # gets how many nanoseconds a step took

PIECE: Final = 50       # commands, or keys, that are looked at or read in a row (`slices`)
STEPS: Final = 5        # what one of them is taken for

GROUP: Final = b"EXEC"
WATCH: Final = b"WATCH"

_WAITED = "TIMEOUT an earlier command on one of the keys is not answered yet: nothing was done"


class Timing:
    """Times the steps of a group, one note for each, by a clock that runs within a turn too."""

    __slots__ = ("_clock_ns", "_notes")

    def __init__(self, clock_ns: Callable[[], int], notes: list[Note]) -> None:
        self._clock_ns = clock_ns
        self._notes = notes

    def run(self, run_step: Callable[[int], None]) -> None:
        """All steps, one after the other."""
        began_ns = self._clock_ns()
        for index, note in enumerate(self._notes):
            run_step(index)
            ended_ns = self._clock_ns()
            note(ended_ns - began_ns)
            began_ns = ended_ns


class Groups:
    """The groups that this node coordinates, and those that it has others coordinate."""

    def __init__(
        self, dispatcher: Dispatcher, node: ThisNode, coordinator: Coordinator,
    ) -> None:
        self.dispatcher = dispatcher
        self.node = node
        self.now = node.now
        self.replica = node.replica
        self.coordinator = coordinator
        self.running = 0
        self._freed: deque[Locator] = deque()
        self._is_freeing = False

    def run(
        self, group: Group, deadline_ms: int, done: Done, until_ms: int = 0,
        timing: Timing | None = None,
    ) -> None:
        """Do it here. It must have been begun by `until_ms`, if that is given."""

        def finished(outcome: Outcome) -> None:
            self.running -= 1
            done(outcome)

        running = self.running_class()(self, group, deadline_ms, until_ms, finished, timing)
        self.running += 1
        try:
            running.start()
        except ReplyError:
            self.running -= 1
            raise

    def running_class(self) -> type[GroupExecution]:
        """What does it."""
        return GroupExecution

    def send(self, peer: str, group: Group, terms: Terms, deadline_ms: int, done: Done) -> None:
        """Have another node do it."""
        command = find([GROUP])
        assert command is not None

        def answered(reply: bytes) -> None:
            if reply in (NOT_RUN, UNKNOWN):
                done(reply)
                return
            try:
                outcome = outcomes.decode(reply)
            except msgspec.MsgspecError:
                done(UNKNOWN)
                return
            if isinstance(outcome, list) and len(outcome) != len(group.steps):
                done(UNKNOWN)
            else:
                done(outcome)

        # One hop is counted already: a group is not passed on, and not run again by itself.
        call = Call(
            command, [GROUP, encoder.encode(group)], 0, False, terms, deadline_ms, 1, deadline_ms
        )
        forwarding = self.dispatcher.forwarding
        name = cast(Locator, GROUP + peer.encode())     # no key's: outstanding under the peer
        forwarding.send(call, name, peer, Continuation(answered))

    def free(self, locators: list[Locator]) -> None:
        """Keys that a group had taken go to those who wait for them."""
        self._freed += locators
        if self._is_freeing:        # a group that was waiting has run at once: no recursion
            return
        self._is_freeing = True
        while self._freed:
            self.dispatcher.lines.next_in_line(self._freed.popleft())
        self._is_freeing = False

    def is_idle(self) -> bool:
        """Whether no group runs here, and no command waits for a key or for another node."""
        return self.running == 0 and self.dispatcher.is_idle()


class GroupExecution:
    """One group at its coordinator."""

    def __init__(
        self, groups: Groups, group: Group, deadline_ms: int, until_ms: int, done: Done,
        timing: Timing | None = None,
    ) -> None:
        self._groups = groups
        self._dispatcher = groups.dispatcher
        self._node = groups.node
        self._now = groups.now
        self._group = group
        self._deadline_ms = deadline_ms
        self._until_ms = until_ms
        self._done = done
        self._timing = timing
        self._is_over = False
        self._commands: list[Command | None] = []       # None for WATCH
        self._names: list[Locator] = []                   # the locators of single keys
        self._r = group.r if group.watches else 1
        self._w = 0                                     # 0: nothing is written
        self._dots = 0                                  # that it may need
        self._is_sloppy = all(step.sloppy for step in group.steps)
        self._reads: dict[Locator, None] = {name: None for name, _ in group.watches}
        self._blind: dict[Locator, None] = {}
        self._locators: list[Locator] = []    # of all keys, in the order in which they are taken
        self._taken = 0
        self._in_line: QueuedGroup | None = None    # where it waits for the next key
        self._missing = 0
        self._replies: list[bytes | None] = [None] * len(group.steps)

    def _look_at(self, step: Step) -> None:
        """Note a step's keys. Raises `ReplyError` if it cannot be one."""
        argv = step.argv
        command: Command | None = None
        keys = argv[1:2]
        is_blind = False
        if argv[0] != WATCH:
            command = lookup(argv)
            if command.single is not None and len(argv) == 2:
                command = command.single
            if command.route not in (READ, WRITE, UPDATE) and command.then is None:
                raise ReplyError(f"ERR {command.name} cannot be part of a group")
            keys = keys_in(command, argv)
            is_blind = command.route is WRITE and not (
                command.reads_before_write is not None and command.reads_before_write(argv)
            )
            if "write" in command.flag_words:
                self._w = max(self._w, step.w)
                self._dots += 1 if command.then is None else 2 * len(keys) + 2
        names = [locator_of(step.db, key) for key in keys]
        (self._blind if is_blind else self._reads).update(dict.fromkeys(names))
        if not is_blind:
            self._r = max(self._r, step.r)
        self._commands.append(command)
        self._names.append(names[0])

    # ---- before ----

    def start(self) -> None:
        """Begin; `done` is called now or later, once. Raises `ReplyError` if nothing is begun."""
        self._node.slices.start(self._begin())

    def _begin(self) -> Job:
        """Look at all commands, then take their keys."""
        for index, step in enumerate(self._group.steps):
            if index and index % PIECE == 0:
                yield PIECE * STEPS
            try:
                self._look_at(step)
            except ReplyError as wrong:
                if index < PIECE:       # in the call
                    raise
                self._end(wrong.text)
                return
        self._locators = sorted(self._reads.keys() | self._blind.keys())
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
        else:
            self._take()

    def _refusal(self) -> Outcome:
        """Why nothing can be done, if so."""
        dispatcher = self._dispatcher
        if self._until_ms and self._now.now_ms > self._until_ms:
            return NOT_RUN
        node = self._node
        plans = node.plans
        if self._w and node.store_failure and not dispatcher.none_can_store:
            return NOT_RUN      # the sender does not know it yet: another owner can do it
        for name in self._locators:
            plan = plans[slot_of_locator(name)]
            if not plan.is_owner:
                return NOT_RUN
            wanted = min(self._r, plan.n)
            answers = (plan.replicas if self._is_sloppy else plan.strict).answers
            if answers < wanted:
                return too_few("R", wanted, answers)
            if self._w:
                refusal = why_not_write(node, plan, self._w, self._is_sloppy, self._dots)
                if refusal:
                    return refusal
        return None

    def _take(self) -> None:
        """Take the keys, as far as they are free."""
        busy = self._dispatcher.busy
        locators = self._locators
        while self._taken < len(locators):
            name = locators[self._taken]
            if name in busy:
                self._dispatcher.lines.line_up(name, [self._turn(self._turn_has_come)])
                return
            busy[name] = deque()
            self._taken += 1
        self._read()

    def _turn(self, take: Callable[[], None]) -> QueuedGroup:
        """Its place in the line of a key; it stands in one line at a time."""
        self._in_line = QueuedGroup(take, Continuation(self._overdue), self._deadline_ms)
        return self._in_line

    def _turn_has_come(self) -> None:
        self._taken += 1
        self._take()

    def _overdue(self, _: bytes) -> None:
        self._end(_WAITED)

    def _read(self) -> None:
        """Read a quorum for what is not written blindly."""
        if not self._must_read(self._reads):
            self._run()
            return
        self._missing = len(self._reads)
        self._node.slices.start(self._read_all())

    def _must_read(self, names: Collection[Locator]) -> bool:
        """Whether what is here does not suffice."""
        plans, kept_for = self._node.plans, self._groups.coordinator.keepers.by_partition
        return bool(names) and (self._r > 1 or (bool(kept_for) and any(
            plans[slot_of_locator(name)].partition in kept_for for name in names
        )))

    def _read_all(self) -> Job:
        plans = self._node.plans
        reader = Updating(self._has_read, self._could_not_read)
        for index, name in enumerate(list(self._reads)):
            if index and index % PIECE == 0:
                yield PIECE * STEPS
                if self._is_over:
                    return
            slot = slot_of_locator(name)
            self._groups.coordinator.read(
                plans[slot], reader, name, self._groups.replica.get(name),
                min(self._r, plans[slot].n), self._is_sloppy, self._deadline_ms,
            )

    def _has_read(self) -> None:
        self._missing -= 1
        if not self._missing and not self._is_over:
            self._run()

    def _could_not_read(self, text: str) -> None:
        if not self._is_over:
            self._end(f"{text}; nothing was done")

    # ---- the step itself ----

    def _run(self) -> None:
        """Everything, in this turn."""
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
            return
        if self.has_changed():
            self._end(None)
            return
        self._missing = len(self._replies) + 1
        self.run_steps()
        self.release()
        self._one_less()

    def has_changed(self) -> bool:
        """Whether any watched key has."""
        now_ms = self._now.wall_ms
        get = self._groups.replica.get
        return any(
            has_changed(version, get(name), now_ms) for name, version in self._group.watches
        )

    def run_steps(self) -> None:
        """All commands, one after the other."""
        if self._timing is not None:
            self._timing.run(self.run_step)
            return
        for index in range(len(self._replies)):
            self.run_step(index)

    def run_step(self, index: int) -> None:
        """One command."""
        step, name = self._group.steps[index], self._names[index]
        command = self._commands[index]
        place = GroupReplyPlace(self, index)
        reply: bytes | None
        if command is None:
            record = self._groups.replica.get(name)
            reply = bulk(watched_version(record, self._now.wall_ms))
        elif command.then is not None:
            reply = self._run_whole(command, step, place)
        else:
            reply = self._do(command, step.argv, name, step, place)
        if reply is not None:
            place.fill(reply)

    def _do(
        self, command: Command, argv: list[bytes], name: Locator, step: Step, waiter: Waiter
    ) -> bytes | None:
        """A command on one key: its reply, or None if `waiter` will get it."""
        dispatcher = self._dispatcher
        if command.route is READ:
            record = self._groups.replica.get(name)
            argv = dispatcher.drawn(command, argv)
            reply = dispatcher.read_again(command, argv, step.resp3, name, record)
            if dispatcher.keyspace_events is not None:
                dispatcher.keyspace_events.read(
                    command, argv, name, self._now.wall_ms, step.resp3, reply
                )
            return reply
        plan = self._node.plans[slot_of_locator(name)]
        terms = Terms(step.r, step.w, step.sloppy, 0)
        return dispatcher.apply(
            command, argv, name, plan, step.resp3, terms, self._deadline_ms, waiter
        )

    def _run_whole(self, command: Command, step: Step, place: Waiter) -> bytes | None:
        """A command of several keys that reads, then writes."""
        whole = CompoundCommand(place)
        then = command.then
        assert then is not None
        try:
            replies = [self._part(argv, step, whole) for argv in command.parts(step.argv)]
            outcome = whole.error or then(step.argv, replies, step.resp3)
            while not isinstance(outcome, bytes):
                replies = [self._part(argv, step, whole) for argv in outcome.parts]
                outcome = whole.error or outcome.then(replies)
        except ReplyError as wrong:
            outcome = error(wrong.text)
        whole.end(outcome)
        return None

    def _part(self, argv: list[bytes], step: Step, whole: CompoundCommand) -> bytes:
        """A part's reply, although its change may wait for replicas yet."""
        command = lookup(argv)
        if command.single is not None and len(argv) == 2:
            command = command.single
        name = locator_of(step.db, argv[command.keys.first])
        before = self._groups.replica.get(name)
        whole.missing += 1
        reply = self._do(command, argv, name, step, whole)
        if reply is not None:
            whole.fill(reply)
            return reply
        return self._dispatcher.preview(command, argv, before, step.resp3, name)

    # ---- after ----

    def fill(self, index: int, reply: bytes) -> None:
        """One command's reply; only the first counts."""
        if self._replies[index] is None:
            self._replies[index] = error(OUTCOME_UNKNOWN) if reply == UNKNOWN else reply
            self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._end([reply for reply in self._replies if reply is not None])

    def release(self) -> None:
        """The keys go to those who wait for them, and it waits for none."""
        if self._in_line is not None:
            self._in_line.is_done = True
            self._in_line = None
        taken = self._locators[: self._taken]
        self._taken = 0
        self._groups.free(taken)

    def _end(self, outcome: Outcome) -> None:
        if not self._is_over:
            self._is_over = True
            self.release()
            self._done(outcome)


class GroupReplyPlace(Waiter):
    """A command's place in its group."""

    __slots__ = ("_index", "_running")

    def __init__(self, running: GroupExecution, index: int) -> None:
        self._running = running
        self._index = index

    def fill(self, reply: bytes) -> None:
        """Its reply."""
        self._running.fill(self._index, reply)

    def fail(self, text: str) -> None:
        """An error as its reply."""
        self.fill(error(text))


class CompoundCommand(Waiter):
    """Waits for the parts of a command that runs whole; one that failed is the reply of all."""

    __slots__ = ("_place", "_reply", "error", "missing")

    def __init__(self, place: Waiter) -> None:
        self._place = place
        self._reply = b""
        self.error = b""
        self.missing = 1

    def fill(self, reply: bytes) -> None:
        """A part's reply."""
        if not self.error and (reply[:1] == b"-" or reply == UNKNOWN):
            self.error = reply
        self.missing -= 1
        if not self.missing:
            self._place.fill(self.error or self._reply)

    def fail(self, text: str) -> None:
        """An error as a part's reply."""
        self.fill(error(text))

    def end(self, reply: bytes) -> None:
        """There are no more parts."""
        self._reply = reply
        self.fill(reply)


def keys_in(command: Command, argv: list[bytes]) -> list[bytes]:
    """Those of a command's words that are keys."""
    return [argv[at] for at in places_of(command, argv)]
