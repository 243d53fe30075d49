"""The keys of a script, here and at other nodes: taken, read, let go; the script is run later.

It takes its keys as a group does (`groups`), and has other coordinators hold theirs (`borrowing`).

Others that wait in line for the very same keys may run behind it, as a *chain*: then what it has
read is for them as well, as with commands (`lines`). What is in the end not run goes back to the
front of the line.

Source: decisions 0057 and 0060.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from respdyn.causal.parts import flat
from respdyn.cluster.messages import NOT_RUN
from respdyn.coordination.borrowing import Borrowing
from respdyn.coordination.calls import Continuation, QueuedGroup, Waiting
from respdyn.coordination.group_messages import Group
from respdyn.coordination.group_messages import Outcome as GroupOutcome
from respdyn.coordination.groups import GroupExecution, Groups
from respdyn.coordination.may_write import NO_OWNER, too_few, why_not_write
from respdyn.coordination.script_messages import ScriptCall
from respdyn.coordination.scripts import DOTS, Scripts
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.hashing import locator as locator_of
from respdyn.scripting.job import Change, Given

CHAIN_MOST: Final = 100         # scripts that run behind one
CHAIN_BYTES: Final = 1 << 20    # of their words: more is sent in several messages


class _Lent(NamedTuple):
    """What a job was given of a key."""

    record: bytes
    floor: int


class QueuedScript(QueuedGroup):
    """A script in a key's line."""

    __slots__ = ("reader", "script")

    def __init__(
        self, script: ScriptKeys, take: Callable[[], None], waiter: Continuation, deadline_ms: int,
    ) -> None:
        super().__init__(take, waiter, deadline_ms)
        self.script = script
        self.reader: ScriptKeys | None = None       # who has read the quorum for it as well


class ScriptKeys(GroupExecution):
    """Takes all keys that a script has declared or used; then `_run` runs it."""

    def __init__(
        self, groups: Groups, scripts: Scripts, call: ScriptCall, deadline_ms: int,
        done: Callable[[GroupOutcome], None],
    ) -> None:
        super().__init__(groups, Group([], [], call.r), deadline_ms, 0, done)
        self._scripts = scripts
        self._call = call
        self._r, self._w, self._is_sloppy = call.r, call.w, call.sloppy
        self._dots = DOTS                   # that a run is given
        self._runs = 0
        self._wanted: dict[Locator, None] = {}      # all keys, declared or used
        self._borrowing = Borrowing(groups, scripts, call, deadline_ms)
        self._given: dict[Locator, _Lent] = {}
        self._attempt = 0                   # to take all keys
        self._stages: list[str] = []        # nodes whose keys are to be taken yet, in order
        self._open = 0                      # answers of nodes that are missing
        self._reads_quorum = False          # for those in line as well

    def _abandon(self) -> None:
        """A run that is under way is over."""

    def start(self) -> None:
        """Begin; `done` is called now or later, once."""
        db = self._call.db
        for key in self._call.keys:
            self._wanted[locator_of(db, key)] = None
        self._take_all(False)

    def _take_all(self, in_order: bool) -> None:
        """Take all keys that are known to be wanted, here and at other nodes.

        At first requests go to all nodes at once, and these refuse what is busy: none waits.
        Then one after the other, in an order that is the same for all, each waiting in its lines.
        """
        self._attempt += 1
        self._stages = []
        by_node = self._by_node(list(self._wanted))
        if isinstance(by_node, str):
            self._end(by_node)
            return
        here = self._node.identity.node_id
        self._reads = dict.fromkeys(by_node.get(here, ()))
        self._locators = sorted(self._reads)
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
            return
        others = {peer: names for peer, names in by_node.items() if peer != here}
        busy = self._dispatcher.busy
        if not others:
            self._take()
        elif in_order or any(name in busy for name in self._locators):
            self._stages = sorted(by_node)
            self._next_stage()
        else:
            for name in self._locators:
                busy[name] = deque()
            self._taken = len(self._locators)
            self._open = len(others)
            for peer, names in others.items():
                self._borrow(peer, names, False, self._one_more)

    def _by_node(self, names: list[Locator]) -> dict[str, list[Locator]] | str:
        """These keys by coordinator; why they cannot be taken."""
        found: dict[str, list[Locator]] = {}
        for name in names:
            plan = self._node.plans[slot_of_locator(name)]
            if not plan.has_owner:
                return NO_OWNER
            found.setdefault(plan.coordinator, []).append(name)
        return found

    def _borrow(
        self, peer: str, names: list[Locator], waits: bool, go_on: Callable[[], None]
    ) -> None:
        """Have a node hold keys, then go on; begin again if they are busy there."""
        attempt = self._attempt

        def answered(outcome: bool | str | bytes) -> None:
            if self._is_over or attempt != self._attempt:
                return
            if outcome is True:
                go_on()
            elif outcome is False:
                self._take_again(not waits)
            elif outcome == NOT_RUN and not waits:
                self._take_again(False)         # then any owner lends them
            else:
                self._end(outcome)

        self._borrowing.ask(peer, names, waits, self._dots, answered)

    def _one_more(self) -> None:
        self._open -= 1
        if not self._open:
            self._read()

    def _next_stage(self) -> None:
        """The next node whose keys are to be taken; read when there is none left."""
        if not self._stages:
            super()._read()
            return
        peer = self._stages.pop(0)
        if peer == self._node.identity.node_id:
            self._take()
            return
        by_node = self._by_node(list(self._wanted))
        names = by_node.get(peer, []) if isinstance(by_node, dict) else []
        if names:
            self._borrow(peer, names, True, self._next_stage)
        else:                       # another coordinates them since: look anew
            self._take_again(False)

    def _read(self) -> None:
        """The keys of this node are taken."""
        if self._stages:
            self._next_stage()
            return
        self._reads_quorum = self._must_read(self._reads)
        if self._reads_quorum:
            for turn in islice(self._line(), CHAIN_MOST):
                if isinstance(turn, QueuedScript):
                    turn.reader = self
        super()._read()

    # ---- chains ----

    def _turn(self, take: Callable[[], None]) -> QueuedScript:
        turn = QueuedScript(self, take, Continuation(self._overdue), self._deadline_ms)
        self._in_line = turn
        return turn

    def _line(self) -> deque[Waiting]:
        """Who waits for the first of the keys, which this has taken."""
        return self._dispatcher.busy[self._locators[0]]

    def _next_behind(self) -> ScriptKeys | None:
        """The next in line, out of it, if it may run behind this one."""
        if not self._locators or self._borrowing.records:
            return None
        line = self._line()
        while line and line[0].is_done:
            line.popleft()
        if not line:
            return None
        turn = line[0]
        if not isinstance(turn, QueuedScript) or not turn.script._can_follow(self) or (
            self._reads_quorum and turn.reader is not self
        ):
            return None
        line.popleft()
        turn.is_done = True
        return turn.script

    def _can_follow(self, first: ScriptKeys) -> bool:
        """Whether it has the keys and terms of another, so that what that has read is right."""
        call, other = self._call, first._call
        return (
            self._locators == first._locators and not self._taken and not self._stages
            and not self._borrowing.records
            and call.r == other.r and call.w == other.w and call.sloppy == other.sloppy
            and self._deadline_ms <= first._deadline_ms + self._node.settings.request_timeout_ms
        )

    def _put_back(self, scripts: list[ScriptKeys]) -> None:
        """These were not run behind this one: they are first in line once more."""
        turns: list[Waiting] = []
        for one in scripts:
            if not one._is_over:
                turn = one._turn(one._turn_has_come)
                turn.reader = self if self._reads_quorum else None
                turns.append(turn)
        if turns:
            self._dispatcher.lines.line_up(self._locators[0], turns, 0)

    def _take_again(self, at_once: bool) -> None:
        """Let all keys go, and take them in order, now or in a moment."""
        self._abandon()
        self.release()
        self._attempt += 1
        self._open = 0
        if at_once:
            self._take_all(True)
        else:
            self._scripts.wait(partial(self._again, self._attempt))

    def _again(self, attempt: int) -> None:
        if self._is_over or attempt != self._attempt:
            return
        if self._now.now_ms >= self._deadline_ms:
            self._overdue(b"")
        else:
            self._take_all(True)

    def release(self) -> None:
        """The keys go to those who wait for them, here and elsewhere."""
        super().release()
        self._borrowing.let_go()

    def _refusal(self) -> GroupOutcome:
        """Why it cannot be run, if so. A write that cannot be done is refused when it comes.

        That this node coordinates the first key is what its sender took to be so. If it does not,
        it borrows that key as any other.
        """
        for name in self._locators:
            refusal = self._why_not(name)
            if refusal is not None:
                return refusal
        return None

    def _why_not(self, name: Locator) -> GroupOutcome:
        """Why this key cannot be taken."""
        plan = self._node.plans[slot_of_locator(name)]
        if not plan.is_owner:
            return NOT_RUN
        wanted = min(self._r, plan.n)
        answers = (plan.replicas if self._is_sloppy else plan.strict).answers
        return None if answers >= wanted else too_few("R", wanted, answers)

    # ---- what a run is given of them ----

    def _give(self, name: Locator) -> Given:
        record = self._groups.replica.get(name)
        identity = self._node.identity
        plan = self._node.plans[slot_of_locator(name)]
        floor = identity.floors.get(plan.partition, identity.floor)
        self._given[name] = _Lent(record, floor)
        return Given(name, flat(record), floor, place=plan.place_of(identity.node_id))

    def _why_not_write(self) -> str:
        """The refusal that the first write of the script is to get."""
        if self._call.reads_only:
            return ""
        for name in self._locators:
            plan = self._node.plans[slot_of_locator(name)]
            refusal = why_not_write(self._node, plan, self._w, self._is_sloppy, 1)
            if refusal:
                return refusal
        return self._borrowing.refusal

    def _is_as_given(self, changes: list[Change]) -> bool:
        """Whether the records are those that the script has seen, and the dots still ours."""
        identity, replica = self._node.identity, self._groups.replica
        for change in changes:
            lent = self._given.get(change.locator)
            if lent is None:        # the node that lent it checks itself
                if change.locator not in self._borrowing.records:
                    return False
                continue
            plan = self._node.plans[slot_of_locator(change.locator)]
            if (
                not plan.is_owner or replica.get(change.locator) != lent.record
                or identity.floors.get(plan.partition, identity.floor) != lent.floor
            ):
                return False
        return True
