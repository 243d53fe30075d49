"""The keys of a script, here and at other nodes: taken, read, let go; the script is run later.

It takes its keys as a group does (`groups`), and has other coordinators hold theirs (`borrowing`).

Source: decision 0057.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from respdyn.cluster.messages import NOT_RUN
from respdyn.coordination.borrowing import Borrowing
from respdyn.coordination.group_messages import Group
from respdyn.coordination.group_messages import Outcome as GroupOutcome
from respdyn.coordination.groups import GroupExecution, Groups
from respdyn.coordination.may_write import NO_OWNER, too_few
from respdyn.coordination.script_messages import ScriptCall
from respdyn.coordination.scripts import DOTS, Scripts
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.hashing import locator as locator_of


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
        self._attempt = 0                   # to take all keys
        self._stages: list[str] = []        # nodes whose keys are to be taken yet, in order
        self._open = 0                      # answers of nodes that are missing

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
        else:
            super()._read()

    def _take_again(self, at_once: bool) -> None:
        """Let all keys go, and take them in order, now or in a moment."""
        self._abandon()
        self.release()
        self._attempt += 1
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
