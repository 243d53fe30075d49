"""Keys that this node lends to a script of another node, which then writes to them.

A script may use keys of several coordinators. The node that runs it has each of the others *hold*
its keys: take them as a group does, read a quorum, and lend the records, with a block of this
node's own dots for what the script will write. A hold ends when the holder commits its changes or
lets go, when the link to it is lost, and a little after the script's deadline; what is committed
later than that is refused.

Only what was lent is written to, by the node that lent it, while no other could: so the dots of
a key are used in the order in which they were minted. A record that has met later dots of this node
in spite of that (a covering write) takes no change any more: it would lie below what that claims.

Source: decision 0057.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from respdyn.causal.codec import LIVE, context_of
from respdyn.causal.parts import flat
from respdyn.cluster.messages import NOT_RUN
from respdyn.cluster.quorum import Waiter
from respdyn.coordination.calls import Continuation, Gathering, Part
from respdyn.coordination.group_messages import Group
from respdyn.coordination.group_messages import Outcome as GroupOutcome
from respdyn.coordination.groups import GroupExecution, Groups
from respdyn.coordination.may_write import NO_LEASE, NOTHING_DONE, too_few, why_not_write
from respdyn.coordination.script_messages import BUSY, Commit, Hold, Lent, encode
from respdyn.errors import PeerError
from respdyn.resp.replies import OK, error
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.scripting.job import Change, Given

MARGIN_MS: Final = 500              # from a script's deadline to the end of its holds
GONE: Final = "PARTIAL a node has let its keys go before the script's writes came there"
_OVERTAKEN: Final = "PARTIAL a key was changed while the script held it: this was not written"
_REFUSED: Final = "PARTIAL the script's writes to keys of another node were refused there: {}"


class _Loan(NamedTuple):
    """What was lent of a key."""

    record: bytes
    counter: int        # its dots are above
    floor: int
    actor: bytes


class Holds:
    """The holds of this node, by holder."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self._held: dict[tuple[str, int], HoldExecution] = {}

    def hold(self, peer: str, hold: Hold, deadline_ms: int, waiter: Waiter) -> None:
        """Take keys for a peer's script; `waiter` gets what is lent, `BUSY`, or why not."""
        groups, key = self.groups, (peer, hold.number)
        if key in self._held:
            raise PeerError("a second hold under one number")
        if not hold.waits and any(name in groups.dispatcher.busy for name in hold.names):
            waiter.fill(BUSY)
            return
        execution = HoldExecution(groups, hold, deadline_ms, waiter, self._ended, key)
        self._held[key] = execution
        groups.running += 1
        execution.start()

    def _ended(self, key: tuple[str, int]) -> None:
        if self._held.pop(key, None) is not None:
            self.groups.running -= 1

    def commit(self, peer: str, commit: Commit, deadline_ms: int, waiter: Waiter) -> None:
        """Write what a script has written to keys that it holds."""
        execution = self._held.get((peer, commit.number))
        if execution is None:
            waiter.fill(error(GONE) if commit.changes else OK)
            return
        execution.commit(commit, deadline_ms, waiter)

    def lose(self, peer: str) -> None:
        """The link to a holder is gone."""
        for (holder, _), execution in list(self._held.items()):
            if holder == peer:
                execution.end()

    def expire(self) -> None:
        """Time passes."""
        now_ms = self.groups.now.now_ms
        for execution in [one for one in self._held.values() if one.ends_ms <= now_ms]:
            execution.end()

    def next_deadline(self, never: int) -> int:
        """When `expire` has work at the earliest."""
        return min((one.ends_ms for one in self._held.values()), default=never)


class HoldExecution(GroupExecution):
    """One hold: keys taken and read as for a group, whose step another node does."""

    def __init__(
        self, groups: Groups, hold: Hold, deadline_ms: int, waiter: Waiter, ended: object,
        key: tuple[str, int],
    ) -> None:
        super().__init__(groups, Group([], [], hold.r), deadline_ms, 0, self._refused)
        self.ends_ms = deadline_ms + MARGIN_MS
        self._hold = hold
        self._waiter = waiter
        self._ended = ended
        self._key = key
        self._r, self._w, self._is_sloppy = hold.r, hold.w, hold.sloppy
        self._loans: dict[Locator, _Loan] = {}

    def start(self) -> None:
        """Begin: the waiter is filled now or later."""
        self._reads = dict.fromkeys(self._hold.names)
        self._locators = sorted(self._reads)
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
        else:
            self._take()

    def _refusal(self) -> GroupOutcome:
        here = self._node.identity.node_id
        for name in self._locators:
            plan = self._node.plans[slot_of_locator(name)]
            # A sender that tries once more sees other nodes up than this one does: any owner will
            # do.
            if not plan.is_owner or (plan.coordinator != here and not self._hold.waits):
                return NOT_RUN
            wanted = min(self._r, plan.n)
            answers = (plan.replicas if self._is_sloppy else plan.strict).answers
            if answers < wanted:
                return too_few("R", wanted, answers)
        return None

    def _run(self) -> None:
        """All is taken and read: lend it."""
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
            return
        node, dots = self._node, self._hold.dots
        if any(self._groups.coordinator.is_contested(name) for name in self._locators):
            self._end(BUSY)
            return
        reason = "" if node.identity.can_mint(dots * len(self._locators)) else NO_LEASE
        for name in self._locators:
            plan = node.plans[slot_of_locator(name)]
            reason = reason or why_not_write(node, plan, self._w, self._is_sloppy, dots)
        records = [self._lend(name, dots) for name in self._locators]
        self._waiter.fill(encode(Lent(records, reason)))

    def _lend(self, name: Locator, dots: int) -> Given:
        node = self._node
        identity, record = node.identity, self._groups.replica.get(name)
        plan = node.plans[slot_of_locator(name)]
        floor = identity.floors.get(plan.partition, identity.floor)
        counter = identity.counter
        if identity.can_mint(dots):
            identity.counter = counter + dots
        clock = node.clock.now(node.now.wall_ms)
        node.clock.last = clock + dots
        self._loans[name] = _Loan(record, counter, floor, identity.actor)
        place = plan.place_of(identity.node_id)
        return Given(name, flat(record), floor, bytes(identity.actor), counter, dots, clock, place)

    def _refused(self, outcome: GroupOutcome) -> None:
        """It has ended before anything was lent."""
        self._over()
        if isinstance(outcome, bytes):
            self._waiter.fill(outcome)
        elif isinstance(outcome, str):
            self._waiter.fail(outcome)

    def _over(self) -> None:
        assert callable(self._ended)
        self._ended(self._key)

    def end(self) -> None:
        """Let all keys go."""
        if not self._is_over:
            self._is_over = True
            self.release()
            self._over()

    # ---- what comes back ----

    def commit(self, commit: Commit, deadline_ms: int, waiter: Waiter) -> None:
        """Write, and let all keys go; `waiter` is filled when W is met. Raises `PeerError`."""
        for change in commit.changes:
            if change.locator not in self._loans:
                raise PeerError("a change of a key that was not lent")
        changes = commit.changes
        wrong = next((one for one in map(self._why_not, changes) if one), "")
        if wrong or not changes:
            self.end()
            waiter.fill(error(wrong) if wrong else OK)
            return
        gathering = Gathering(len(changes), _all_stored, Continuation(waiter.fill))
        for index, change in enumerate(changes):
            ship(
                self._groups, change, Part(gathering, index), commit.w, commit.sloppy, deadline_ms,
            )
        self.end()

    def _why_not(self, change: Change) -> str:
        """Why a change cannot be written any more; "" if it can.

        By then the other keys may be written, so the refusal never says that nothing was.
        """
        name, identity = change.locator, self._node.identity
        loan, record = self._loans[name], self._groups.replica.get(name)
        plan = self._node.plans[slot_of_locator(name)]
        if not plan.is_owner:
            return GONE
        if (
            loan.actor != identity.actor
            or identity.floors.get(plan.partition, identity.floor) != loan.floor
            or (record != loan.record and record
                and context_of(record).top(identity.actor) > loan.counter)
        ):
            return _OVERTAKEN
        # Its dots were minted when it was lent.
        refusal = why_not_write(self._node, plan, self._w, self._is_sloppy, 0)
        return _REFUSED.format(refusal.removesuffix(NOTHING_DONE)) if refusal else ""


def _all_stored(replies: list[bytes]) -> bytes:
    return OK


def ship(
    groups: Groups, change: Change, place: Waiter, w: int, is_sloppy: bool, deadline_ms: int,
    is_joined: bool = False,
) -> None:
    """Join what a script has written to a key here, and ship it; W answers fill `place`.

    `is_joined`: the record here is what the script was given, so what it made of that is the join.
    """
    name, delta = change.locator, change.delta
    plan = groups.node.plans[slot_of_locator(name)]
    replica, events = groups.replica, groups.dispatcher.keyspace_events
    if not (replica.cleared and replica.is_cleared(name, delta)):
        if is_joined and change.record:
            replica.replace(name, replica.get(name), change.record)
        else:
            replica.join(name, delta)
    if plan.is_instant:
        groups.node.counters.writes_coordinated += 1
        if events is not None:
            events.happened(name, change.events)
        place.fill(OK)
        return
    waiter = place if events is None else events.wait(place, name, change.events)
    groups.coordinator.write(
        plan, waiter, OK, name, delta, w, is_sloppy, deadline_ms,
        change.reports_siblings and delta[1] & LIVE != 0,
    )
