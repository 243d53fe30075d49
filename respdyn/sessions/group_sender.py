"""Groups on their way to the nodes that do them: for EXEC, for WATCH, and for reading watched keys.

Each step goes to the coordinator of its key, or, when only reads are sent, to any owner. A node
that says that it does not keep a key has done nothing, and the steps are sorted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from respdyn.cluster.messages import NOT_RUN
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.slices import Job
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import GATHER, Argv, Command
from respdyn.commands.folding import payload_of
from respdyn.commands.table import lookup
from respdyn.coordination.calls import Continuation, Gathering, Part
from respdyn.coordination.forwarding import NO_AGREEMENT, OUTCOME_UNKNOWN
from respdyn.coordination.group_messages import Done, Group, Outcome, Step
from respdyn.coordination.groups import WATCH, Groups, Note, Timing
from respdyn.coordination.may_write import NO_OWNER
from respdyn.resp.replies import OK
from respdyn.ring.hashing import Locator, slot_of, slot_of_locator
from respdyn.sessions.session import Session

TRIES: Final = 3
PIECE: Final = 50       # reads that are sent as one group (`slices`)
STEPS: Final = 20       # what one of them is taken for

_PARTIAL = "PARTIAL a watched key changed while the transaction ran: this was not done"


class Item:
    """A step on its way to a group, who waits for its reply, and who notes what it cost here."""

    __slots__ = ("is_write", "note", "slot", "step", "waiter")

    def __init__(
        self, waiter: Waiter, step: Step, slot: int, is_write: bool,
        note: Note | None = None,
    ) -> None:
        self.waiter = waiter
        self.step = step
        self.slot = slot
        self.is_write = is_write
        self.note = note


class Batch:
    """What one node is to do in one step."""

    __slots__ = ("items", "peer", "watches")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.items: list[Item] = []
        self.watches: list[tuple[Locator, bytes]] = []


class Sender:
    """Sends groups to their nodes."""

    def __init__(
        self, node: ThisNode, groups: Groups, clock_ns: Callable[[], int], terms: Terms,
        deadline_ms: int,
    ) -> None:
        self._node = node
        self._groups = groups
        self._here = node.identity.node_id
        self._clock_ns = clock_ns
        self._terms = terms
        self._deadline_ms = deadline_ms

    def sort(
        self, items: list[Item], watches: list[tuple[Locator, bytes]], anywhere: bool
    ) -> list[Batch]:
        """By node; "" is where no owner can be reached. `anywhere`: any owner will do."""
        batches: dict[str, Batch] = {}
        plans = self._node.plans
        for item in items:
            peer = self._place(plans[item.slot], item.is_write, anywhere)
            batch = batches.get(peer)
            if batch is None:
                batch = batches[peer] = Batch(peer)
            batch.items.append(item)
        for watch in watches:
            peer = self._place(plans[slot_of_locator(watch[0])], False, False)
            batch = batches.get(peer)
            if batch is None:
                batch = batches[peer] = Batch(peer)
            batch.watches.append(watch)
        return list(batches.values())

    def _place(self, plan: Plan, is_write: bool, anywhere: bool) -> str:
        """The node that is to do it: an owner, for no other knows what a key holds."""
        if anywhere and plan.is_owner:
            return self._here
        if plan.has_owner:
            return plan.coordinator
        if is_write:
            return ""
        if plan.is_owner:
            return self._here
        return plan.replicas.readers[0].peer if plan.replicas.readers else ""

    def send(self, batch: Batch, done: Done, check_only: bool = False) -> None:
        """Have it done; `done` gets the outcome."""
        steps = [] if check_only else [item.step for item in batch.items]
        group = Group(steps, batch.watches, self._terms.r)
        if not batch.peer:
            done(NO_OWNER)
        elif batch.peer == self._here:
            notes = [item.note for item in batch.items if item.note is not None]
            timing = Timing(self._clock_ns, notes) if notes and steps else None
            self._groups.run(group, self._deadline_ms, done, timing=timing)
        else:
            self._groups.send(
                batch.peer, group, self._terms, self._deadline_ms, done
            )

    def send_plain(self, items: list[Item], anywhere: bool, tries: int = TRIES) -> None:
        """Send items that depend on no watched key; the waiters get the outcome."""
        for batch in self.sort(items, [], anywhere):
            self.send(batch, partial(self._plain_done, batch, anywhere, tries))

    def send_pieces(self, items: Iterable[Item]) -> bool:
        """Send reads, so many at a time, as a group each. True if some are left for later turns.

        They need be no step: EXEC compares every watched key with what it was when it was read.
        """
        return self._node.slices.start(self._send_pieces(items))

    def _send_pieces(self, items: Iterable[Item]) -> Job:
        some: list[Item] = []
        for item in items:
            if len(some) == PIECE:
                self.send_plain(some, anywhere=False)
                yield PIECE * STEPS
                now_ms = self._node.now.now_ms
                self._deadline_ms = max(self._deadline_ms, now_ms + self._terms.timeout_ms)
                some = []
            some.append(item)
        self.send_plain(some, anywhere=False)

    def _plain_done(self, batch: Batch, anywhere: bool, tries: int, outcome: Outcome) -> None:
        if outcome == NOT_RUN and tries > 1:
            self.send_plain(batch.items, anywhere, tries - 1)
        else:
            fill(batch.items, outcome)


def fill(items: list[Item], outcome: Outcome) -> None:
    """Give the waiters of a batch its outcome."""
    if isinstance(outcome, list):
        for item, reply in zip(items, outcome, strict=True):
            item.waiter.fill(reply)
        return
    if outcome is None:
        text = _PARTIAL
    elif isinstance(outcome, str):
        text = outcome
    else:
        text = NO_AGREEMENT if outcome == NOT_RUN else OUTCOME_UNKNOWN
    for item in items:
        item.waiter.fail(text)


class Watching:
    """A WATCH under way: reads the versions of its keys at their coordinators."""

    def __init__(
        self, sender: Sender, session: Session, wanted: list[tuple[int, bytes]]
    ) -> None:
        self._session = session
        self._wanted = wanted
        self._sender = sender
        self._cell = session.hold()
        session.has_barrier = True
        self._gathering = Gathering(len(wanted), self._fold, Continuation(self._end))

    def start(self) -> None:
        terms = self._session.terms
        self._sender.send_pieces(
            Item(
                Part(self._gathering, index),
                Step([WATCH, key], db, False, terms.r, terms.w, terms.sloppy),
                slot_of(key), False,
            )
            for index, (db, key) in enumerate(self._wanted)
        )

    def _fold(self, replies: list[bytes]) -> bytes:
        for name, reply in zip(self._wanted, replies, strict=True):
            self._session.watched[name] = payload_of(reply) or b""
        return OK

    def _end(self, reply: bytes) -> None:
        self._session.has_barrier = False
        self._cell.fill(reply)


def read_watched(
    sender: Sender, session: Session, command: Command, argv: Argv, terms: Terms
) -> bool:
    """Read keys of which some are watched, at their coordinators, whose word WATCH has taken.

    Others may not yet hold a write under way that WATCH has met: the client would compute from what
    came before that write, and EXEC would find nothing changed. True if it takes more than this
    turn.
    """
    waiter = session.hold()
    resp3 = session.resp == 3

    def item(one: Waiter, part: Argv) -> Item:
        step = Step(part, session.db, resp3, terms.r, terms.w, terms.sloppy)
        return Item(one, step, slot_of(part[lookup(part).keys.first]), False)

    if command.route is not GATHER:
        return sender.send_pieces([item(waiter, argv)])
    parts = list(command.parts(argv))
    gathering = Gathering(len(parts), command.fold, waiter, command.nulls[resp3])
    return sender.send_pieces(
        item(Part(gathering, index), part) for index, part in enumerate(parts)
    )
