"""Moving a part of a key to another key, at the coordinator of its own: LMOVE of two lists.

The key's quorum has been read, and the key stays busy: no other client is given the item. It is put
into the other key first, at that key's coordinator, and when W nodes have it there, it is removed
here. A crash in between leaves it in both. If it is not known whether it was put there, it stays
here as well, and the reply says so.

Where this node coordinates both keys and the same nodes own them, both steps are done in one turn:
they leave in one batch and in one frame to each replica, so no replica ever has one without the
other.

The step on the other key does not wait for its turn there (`Command.overtakes`): two moves in
opposite directions would wait for each other.

Source: decision 0053.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Argv, Command, Move
from respdyn.commands.table import lookup
from respdyn.coordination.calls import Continuation
from respdyn.coordination.lines import Lines
from respdyn.coordination.may_write import half_done
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator, slot_of, slot_of_locator

Run = Callable[[Argv, int, bool, Terms, Target, int], bytes | None]
Apply = Callable[[Command, Argv, Locator, Plan, bool, Terms, int, Target], bytes | None]

STEP_DOTS: Final = 4        # that both steps of a move need at most
_ERROR: Final = b"-"


class ItemMoves:
    """The moves that this node coordinates. `run` runs a command on any key, `apply` one here."""

    def __init__(self, node: ThisNode, lines: Lines, run: Run, apply: Apply) -> None:
        self.under_way: set[Locator] = set()      # keys that stay busy until their move is done
        self._node = node
        self._lines = lines
        self._run = run
        self._apply = apply

    def begin(
        self, move: Move, db: int, locator: Locator, plan: Plan, resp3: bool, terms: Terms,
        deadline_ms: int, target: Target,
    ) -> bytes | None:
        """Begin a move. The reply, or None: then `target` has given it a place."""
        other = self._node.plans[slot_of(move.destination)]
        if other.coordinator == plan.coordinator == self._node.identity.node_id and (
            set(other.owners) == set(plan.owners)
        ):
            both = BothSteps(target, move.reply)
            reply = self._run(move.place, db, resp3, terms, both, deadline_ms)
            if reply is not None and reply[:1] == _ERROR:
                return reply
            taken = self._take(move, locator, plan, resp3, terms, deadline_ms, both)
            return both.begun((reply is None) + (taken is None), taken)
        waiter = target.hold()
        was_free = locator not in self._lines.busy
        if was_free:
            self._lines.busy[locator] = deque()
        self.under_way.add(locator)
        is_at_once = True       # then who made the key busy before will free it

        def placed(reply: bytes) -> None:
            self.under_way.discard(locator)
            if reply[:1] == _ERROR:
                waiter.fill(reply)
            else:
                done = BothSteps(waiter, move.reply)
                now = self._node.plans[slot_of_locator(locator)]
                taken = self._take(move, locator, now, resp3, terms, deadline_ms, done)
                whole = done.begun(taken is None, taken)
                if whole is not None:
                    waiter.fill(whole)
            if was_free or not is_at_once:
                self._lines.next_in_line(locator)

        reply = self._run(move.place, db, resp3, terms, Continuation(placed), deadline_ms)
        if reply is not None:
            placed(reply)
        is_at_once = False
        return None

    def _take(
        self, move: Move, locator: Locator, plan: Plan, resp3: bool, terms: Terms, deadline_ms: int,
        target: Target,
    ) -> bytes | None:
        """The last step: the item stands in the other key by now."""
        command = lookup(move.take)
        taken = self._apply(command, move.take, locator, plan, resp3, terms, deadline_ms, target)
        return None if taken is None else half_done(taken)


class BothSteps(Waiter):
    """Waits for the steps of a move at replicas; an error of one is that of the whole."""

    __slots__ = ("_error", "_missing", "_reply", "_target", "_waiter")

    def __init__(self, target: Target, reply: bytes) -> None:
        self._target = target
        self._waiter: Waiter | None = None
        self._reply = reply
        self._error = b""
        self._missing = 0

    def hold(self) -> Waiter:
        """Itself: it takes a place only once, when both steps are begun."""
        return self

    def begun(self, missing: int, reply: bytes | None) -> bytes | None:
        """So many steps have no outcome yet. The reply if none is left, else None.

        `reply`: that of the last step, if it is there already.
        """
        if reply is not None and reply[:1] == _ERROR:
            self._error = reply
        self._missing += missing
        if not self._missing:
            return self._error or self._reply
        self._waiter = self._target.hold()
        return None

    def fill(self, reply: bytes) -> None:
        """One step is done."""
        if reply[:1] == _ERROR and not self._error:
            self._error = reply
        self._missing -= 1
        if not self._missing and self._waiter is not None:
            self._waiter.fill(self._error or self._reply)

    def fail(self, text: str) -> None:
        """One step has failed."""
        self.fill(error(text))
