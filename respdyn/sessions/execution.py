"""How EXEC runs what a client has queued.

EXEC sorts the queued commands by the node that coordinates their keys and has each of these
*groups* done in one step (`groups`). Commands of one group keep their order; groups run at the same
time, and so have no order among each other. Commands that cannot be part of a group (they concern
every partition, or read keys of one owner and change those of another) end what was collected
before them and run alone: everything before them has been answered when they begin.

WATCH keeps each key's version, read from a quorum by its coordinator. EXEC sends these along. If
all watched keys and all commands belong to one group, nothing comes between the comparison and the
commands. If the watched keys are one group of several, that group runs first and the others only
if it did. If they are several groups, all compare first, and each compares again when it runs;
then one may find a change after another has run, and its commands say so.

Each command that failed has its error in its own place; what is not known to have happened is never
reported as a nil or an OK.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from respdyn.cluster.messages import NOT_RUN, UNKNOWN
from respdyn.cluster.quorum import Waiter
from respdyn.cluster.slices import Job
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import COVERAGE, GATHER, LOCAL, SCRIPT, WRAP, Argv, Command
from respdyn.commands.table import lookup
from respdyn.coordination.calls import Gathering, Part
from respdyn.coordination.consistency import follow, parse_terms
from respdyn.coordination.forwarding import NO_AGREEMENT
from respdyn.coordination.group_messages import Outcome, Step
from respdyn.coordination.groups import keys_in
from respdyn.errors import ReplyError
from respdyn.resp.replies import error, null_array
from respdyn.ring.hashing import Locator, locator, slot_of
from respdyn.sessions.group_sender import TRIES, Batch, Item, fill
from respdyn.sessions.router import Router
from respdyn.sessions.session import ExecTarget, Session

# These decide how the commands behind them in the queue are understood, so they cannot wait until
# it is known whether a watched key has changed; they are taken back if one has.
_SETTING: Final = frozenset(("select", "hello", "dyn.consistency", "client|reply"))

# These answer by messages.
_SUBSCRIBING: Final = frozenset((
    "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe",
))

# These are answered when every node has received them, and commands behind them may need that.
_SPREADING: Final = frozenset((
    "function|load", "function|delete", "function|flush", "function|restore", "script|load",
))

PIECE: Final = 50       # commands that are looked at in a row (`slices`)
STEPS: Final = 10       # what one of them is taken for

_NOT_TRIED: Final = "PARTIAL not done: what became of the commands on watched keys is not known"
_LATE: Final = "TIMEOUT the commands before it took too long: this was not done"
_UNREAD: Final = "TIMEOUT a watched key could not be read: nothing was done"


class _ExecReplyPlace(Waiter):
    """The place of one queued command in the reply of EXEC."""

    __slots__ = ("_execution", "_index")

    def __init__(self, execution: Execution, index: int) -> None:
        self._execution = execution
        self._index = index

    def fill(self, reply: bytes) -> None:
        self._execution.fill(self._index, reply)

    def fail(self, text: str) -> None:
        self.fill(error(text))


class Execution:
    """One EXEC under way. It goes from one thing that must run alone to the next."""

    def __init__(
        self, router: Router, session: Session, queue: list[tuple[Command, Argv]],
        watched: dict[tuple[int, bytes], bytes], deadline_ms: int,
    ) -> None:
        self._router = router
        self._slices = router.node.slices
        self._session = session
        self._queue = queue
        self._deadline_ms = deadline_ms
        self._sender = router.sender(session.terms, deadline_ms)
        self._watches = [
            (locator(db, key), version) for (db, key), version in watched.items()
        ]
        self._resp3 = session.resp == 3
        self._before = (session.db, session.resp, session.terms, session.reply_mode)
        self._position = 0
        self._replies: list[bytes | None] = [None] * len(queue)
        self._took_ns = [0] * len(queue)
        self._hidden: set[int] = set()
        self._later: deque[Callable[[], None]] = deque()    # local commands, once it is certain
        self._open = 0                  # what the stage waits for
        self._is_over = False
        self._is_going_on = False
        self._cell = session.hold()
        session.has_barrier = True

    def fill(self, index: int, reply: bytes) -> None:
        """A queued command's reply."""
        if self._replies[index] is None:
            self._replies[index] = reply
            self._less()

    def _took(self, index: int, took_ns: int) -> None:
        """A queued command, or a part of it, took this node so long."""
        self._took_ns[index] += took_ns

    def _less(self) -> None:
        self._open -= 1
        if not self._open:
            self.start()

    def start(self) -> None:
        """Begin stages until one has to wait. A loop: a stage may end at once."""
        if self._is_going_on:
            return
        self._is_going_on = True
        while not self._open and not self._is_over:
            if self._later:
                self._later.popleft()()
            elif self._position == len(self._queue) and not self._watches:
                self._open = 1
                self._slices.start(self._end())
            else:
                self._open = 1
                self._slices.start(self._stage())
        self._is_going_on = False

    def _end(self) -> Job:
        """All is answered."""
        router, session = self._router, self._session
        for index, ((command, argv), reply, took_ns) in enumerate(zip(
            self._queue, self._replies, self._took_ns, strict=True
        )):
            if index and index % PIECE == 0:
                yield PIECE
            is_error = reply is not None and reply[:1] == b"-"
            if reply is not None and is_error:
                session.load.failed(reply)
            router.ran(session, command, argv, took_ns, is_error)
        shown = [
            reply for index, reply in enumerate(self._replies)
            if reply is not None and index not in self._hidden
        ]
        self._finish(b"*%d\r\n%b" % (len(self._queue), b"".join(shown)))

    def _finish(self, reply: bytes) -> None:
        if not self._is_over:
            self._is_over = True
            self._session.has_barrier = False
            self._cell.fill(reply)

    def _abort(self, reply: bytes) -> None:
        """Nothing was done."""
        session = self._session
        session.db, session.resp, session.terms, session.reply_mode = self._before
        follow(session.terms, self._router.node.default_terms, self._router.n)
        self._later.clear()
        self._finish(reply)

    # ---- a stage ----

    def _stage(self) -> Job:
        """Collect commands up to one that must run alone; send them, or run that one."""
        items: list[Item] = []
        looked = 0
        while self._position < len(self._queue) and self._take(items):
            looked += 1
            if looked % PIECE == 0:
                yield PIECE * STEPS
        if looked >= PIECE:         # what is sent now has the whole time-out
            terms = self._session.terms
            self._deadline_ms = self._router.node.now.now_ms + terms.timeout_ms
            self._sender = self._router.sender(terms, self._deadline_ms)
        if items or self._watches:
            self._send(items)
        self._less()

    def _take(self, items: list[Item]) -> bool:
        """Collect the next command, or run it alone; whether the stage goes on behind it."""
        index = self._position
        command, argv = self._queue[index]
        terms = self._session.terms
        try:
            self._check_rights(command, argv)
            while command.route is WRAP:
                terms, argv = parse_terms(argv[1:], terms, self._router.n)
                if not argv:
                    raise ReplyError("ERR DYN.WITH needs a command after its terms")
                command = lookup(argv)
            if command.single is not None and len(argv) == 2:
                command = command.single
            self._router.check_other_key(self._session, command, argv)
            if self._is_alone(command, argv):
                if items or self._watches:
                    return False
                self._position += 1
                self._open += 1
                self._hide(index)
                began_ns = self._router.command_stats.clock_ns()
                self._run_alone(command, argv, terms, _ExecReplyPlace(self, index))
                self._took(index, self._router.command_stats.clock_ns() - began_ns)
                return False
            self._position += 1
            self._collect(items, command, argv, terms, index)
        except ReplyError as wrong:
            self._position = index + 1
            self._answer(index, error(wrong.text))
        return True

    def _check_rights(self, command: Command, argv: Argv) -> None:
        """The user may have lost them since the command was queued. Raises `ReplyError`."""
        refusal = self._router.users.check_queued(self._session, command, argv)
        if refusal:
            raise ReplyError(refusal)

    def _answer(self, index: int, reply: bytes) -> None:
        """A reply that is known at once."""
        self._hide(index)
        self._replies[index] = reply

    def _hide(self, index: int) -> None:
        """CLIENT REPLY OFF hides it and what comes behind it, but the array's length stays."""
        if self._session.reply_mode == "off":
            self._hidden.add(index)

    def _is_alone(self, command: Command, argv: Argv) -> bool:
        if command.route in (COVERAGE, SCRIPT) or command.name in _SPREADING:
            return True
        if command.then is None:
            return False
        if command.is_alone is not None and command.is_alone(argv):
            return True
        if command.other_key is not None and command.other_key(argv) is not None:
            return True
        plans = self._router.node.plans
        found = [plans[slot_of(key)] for key in keys_in(command, argv)]
        return any(
            plan.coordinator != found[0].coordinator or set(plan.owners) != set(found[0].owners)
            for plan in found
        )

    def _run_alone(self, command: Command, argv: Argv, terms: Terms, slot: Waiter) -> None:
        router, session = self._router, self._session
        left_ms = self._deadline_ms - router.node.now.now_ms
        if left_ms <= 0:
            slot.fail(_LATE)
        elif command.route is LOCAL:
            session.exec_target = ExecTarget(slot, False)
            try:
                router.run_local(session, command, argv)
            except ReplyError as wrong:
                slot.fail(wrong.text)
            session.exec_target = None
        elif command.route is COVERAGE:
            try:
                task = router.make_task(session, command, argv, terms)
            except ReplyError as wrong:
                slot.fail(wrong.text)
                return
            router.start_task(task, left_ms, slot.fill)
        elif command.route is SCRIPT:
            target = ExecTarget(slot, False)
            try:
                router.run_script(session, command, argv, terms, target, self._deadline_ms)
            except ReplyError as wrong:
                slot.fail(wrong.text)
        else:
            try:
                router.dispatcher.gather(
                    command, argv, session.db, session.resp == 3, terms, slot, self._deadline_ms
                )
            except ReplyError as wrong:
                slot.fail(wrong.text)

    def _collect(
        self, items: list[Item], command: Command, argv: Argv, terms: Terms, index: int
    ) -> None:
        """Put a command among the items of the stage, or answer it. Raises `ReplyError`."""
        if command.route is LOCAL:
            if command.name in _SETTING or not self._watches:
                self._run_local(command, argv, index)
            else:
                self._later.append(lambda: self._run_local(command, argv, index))
            return
        is_write = "write" in command.flag_words
        slot = _ExecReplyPlace(self, index)
        if command.route is GATHER and command.then is None:
            parts = list(command.parts(argv))
            gathering = Gathering(
                len(parts), command.fold, slot, command.nulls[self._session.resp == 3]
            )
            items += [
                self._item(Part(gathering, part), index, part_argv, terms, is_write)
                for part, part_argv in enumerate(parts)
            ]
        elif command.route is GATHER:
            command.parts(argv)         # its mistakes are its own, not those of the group
            key = keys_in(command, argv)[0]
            items.append(self._item(slot, index, argv, terms, is_write, key))
        else:
            key = argv[command.keys.first]
            items.append(self._item(slot, index, argv, terms, is_write, key))
        self._open += 1
        self._hide(index)

    def _item(
        self, waiter: Waiter, index: int, argv: Argv, terms: Terms, is_write: bool,
        key: bytes | None = None,
    ) -> Item:
        session = self._session
        step = Step(argv, session.db, session.resp == 3, terms.r, terms.w, terms.sloppy)
        if key is None:
            key = argv[lookup(argv).keys.first]
        if is_write:
            self._router.note_write(session, key)
        return Item(waiter, step, slot_of(key), is_write, partial(self._took, index))

    def _run_local(self, command: Command, argv: Argv, index: int) -> None:
        session, clock_ns = self._session, self._router.command_stats.clock_ns
        began_ns = clock_ns()
        place = _ExecReplyPlace(self, index)
        session.exec_target = target = ExecTarget(place, command.name in _SUBSCRIBING)
        try:
            reply = self._router.run_local(session, command, argv)
        except ReplyError as wrong:
            reply = error(wrong.text)
        session.exec_target = None
        self._took(index, clock_ns() - began_ns)
        if target.is_held:
            self._open += 1
            self._hide(index)
        else:
            self._answer(index, b"".join(target.pushed) or reply or b"")

    # ---- sending ----

    def _send(self, items: list[Item]) -> None:
        """Send a stage's items, the watched keys first or with them."""
        watches, self._watches = self._watches, []
        if not watches:
            anywhere = not any(item.is_write for item in items)
            self._sender.send_plain(items, anywhere)
            return
        self._open += 1             # until it is certain that no watched key has changed
        self._send_watched(items, watches, TRIES)

    def _send_watched(
        self, items: list[Item], watches: list[tuple[Locator, bytes]], tries: int
    ) -> None:
        batches = self._sender.sort(items, watches, False)
        watched = [batch for batch in batches if batch.watches]
        others = [item for batch in batches if not batch.watches for item in batch.items]
        if len(watched) == 1:
            first = watched[0]
            self._sender.send(
                first, lambda outcome: self._first_done(first, others, watches, outcome, tries)
            )
            return
        # Nothing was done yet: all only compare.
        missing = [len(watched)]

        def checked(outcome: Outcome) -> None:
            if self._is_over:
                return
            if outcome == NOT_RUN or not isinstance(outcome, list):
                self._refuse(outcome)
                return
            missing[0] -= 1
            if not missing[0]:
                self._run_checked(watched, others)

        for batch in watched:
            self._sender.send(batch, checked, check_only=True)

    def _first_done(
        self, first: Batch, others: list[Item], watches: list[tuple[Locator, bytes]],
        outcome: Outcome, tries: int,
    ) -> None:
        """The only group with watched keys has run, or not."""
        if isinstance(outcome, list):
            fill(first.items, outcome)
            self._sender.send_plain(others, anywhere=False)
            self._less()
        elif outcome == NOT_RUN and tries > 1:
            self._send_watched(first.items + others, watches, tries - 1)
        elif outcome == UNKNOWN and first.items:
            fill(first.items, outcome)
            fill(others, _NOT_TRIED)
            self._less()
        else:
            self._refuse(outcome)

    def _run_checked(self, watched: list[Batch], others: list[Item]) -> None:
        """No watched key had changed at the first comparison; each group compares once more."""
        for batch in watched:
            if batch.items:
                self._sender.send(batch, partial(fill, batch.items))
        self._sender.send_plain(others, anywhere=False)
        self._less()

    def _refuse(self, outcome: Outcome) -> None:
        """Nothing was done: a watched key has changed, or could not be read."""
        if outcome is None:
            self._abort(null_array(self._resp3))
        elif isinstance(outcome, str):
            self._abort(error(outcome))
        elif outcome == UNKNOWN:
            self._abort(error(_UNREAD))
        else:
            self._abort(error(NO_AGREEMENT))
