"""A command on several keys, run as commands on one each.

The first of them run in the call, as if they had come by themselves. Where there are more than
`PIECE`, the others run in slices (`cluster/slices`): MGET of 200,000 keys is 200,000 reads for this
node, and no other client waits for them. What each of these is given is the time-out from its own
beginning. Nothing behind such a command runs before it, since its session waits (`Session.bar`).
No more than `UNANSWERED_MAX` of them are under way at a time: what is sent to their coordinators
faster than they work would wait there until it is too old.

A command that reads some keys and then does something about it (MSETNX, BITOP) comes here twice:
first with what it reads, then with what follows from that.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Final

from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.slices import PAUSED, Job
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Command, Then
from respdyn.commands.table import lookup
from respdyn.coordination.calls import Gathering, Part
from respdyn.coordination.may_write import half_done
from respdyn.errors import ReplyError
from respdyn.resp.replies import error

PIECE: Final = 50       # commands on one key that are run in a row
STEPS: Final = 10       # that one of them is taken for

# `Dispatcher.run`: words, database, RESP3, terms, who waits, deadline.
RunOne = Callable[[list[bytes], int, bool, Terms, Target, int], bytes | None]

# Called for each key before its command runs.
Note = Callable[[bytes], None]


class _HalfDone(Waiter):
    """Who waits for a command of which an earlier step has written."""

    __slots__ = ("_waiter",)

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter

    def source(self) -> object:
        """Whose command it is."""
        return self._waiter.source()

    def goes_on(self) -> None:
        """It takes long, and is being worked on."""
        self._waiter.goes_on()

    def fill(self, reply: bytes) -> None:
        """The reply of the whole."""
        self._waiter.fill(half_done(reply))

    def fail(self, text: str) -> None:
        """An error as the reply of the whole."""
        self.fill(error(text))


class Gather:
    """One such command under way."""

    def __init__(
        self, node: ThisNode, run: RunOne, command: Command, argv: list[bytes], db: int,
        resp3: bool, terms: Terms, target: Target, deadline_ms: int, note: Note | None,
    ) -> None:
        self._now = node.now
        self._slices = node.slices
        self._run_one = run
        self._argv = argv
        self._db = db
        self._resp3 = resp3
        self._terms = terms
        self._deadline_ms = deadline_ms or self._now.now_ms + terms.timeout_ms
        self._note = note
        self._command = command
        self._long_then = command.long_then if command.whole is None else None
        parts = command.parts(argv)
        whole = command.whole
        if whole is not None:
            parts = [whole(argv)]
            if note is not None:
                note(argv[2])
        if command.other_key is not None and command.other_key(argv) == (db, argv[1]):
            raise ReplyError("ERR source and destination objects are the same")
        self._is_further = False        # what it leads to runs: those parts may read or write
        self._has_written = False
        self._waiter: Waiter = target.hold()
        then = command.then
        if whole is not None:
            fold: Callable[[list[bytes]], Then] = lambda replies: replies[0]    # noqa: E731
        else:
            fold = command.fold if then is None else self._then
        self.is_long = self._begin(parts, fold, db)

    def _then(self, replies: list[bytes]) -> Then:
        then = self._command.then
        assert then is not None
        return then(self._argv, replies, self._resp3)

    def _begin(
        self, parts: Iterable[list[bytes]], fold: Callable[[list[bytes]], Then], db: int
    ) -> bool:
        """Run these; whether some are left for slices."""
        gathering = Gathering(
            0, lambda replies: self._go_on(fold, replies), self._waiter,
            self._command.nulls[self._resp3],
        )
        self._job = self._run(parts, gathering, db)
        return self._slices.start(self._job)

    def _resume(self) -> None:
        self._slices.resume(self._job)

    def _go_on(self, fold: Callable[[list[bytes]], Then], replies: list[bytes]) -> bytes:
        """All have answered: the reply, or b"" and more of them."""
        long_then, self._long_then = self._long_then, None
        try:
            combining = None if long_then is None else long_then(self._argv, replies, self._resp3)
            if combining is not None:
                self._slices.start(self._combine(combining))
                return b""
            outcome = fold(replies)
        except ReplyError as wrong:
            return error(wrong.text)
        return self._come_to(outcome)

    def _combine(self, work: Generator[int, None, Then]) -> Job:
        """Combine very much that was read."""
        try:
            outcome = yield from work
        except ReplyError as wrong:
            outcome = error(wrong.text)
        reply = self._come_to(outcome)
        if reply:
            self._waiter.fill(reply)

    def _come_to(self, outcome: Then) -> bytes:
        """The reply, or b"" and more parts."""
        if isinstance(outcome, bytes):
            return outcome
        self._deadline_ms = max(self._deadline_ms, self._now.now_ms + self._terms.timeout_ms)
        if self._has_written and not isinstance(self._waiter, _HalfDone):
            self._waiter = _HalfDone(self._waiter)
        self._is_further = True
        self._begin(outcome.parts, outcome.then, self._db if outcome.db is None else outcome.db)
        return b""

    def _run(self, parts: Iterable[list[bytes]], gathering: Gathering, db: int) -> Job:
        run = self._run_one
        resp3, terms, note = self._resp3, self._terms, self._note
        deadline_ms = self._deadline_ms
        left = PIECE
        for argv in parts:
            if not left:
                yield PAUSED if gathering.is_full(self._resume) else PIECE * STEPS
                left = PIECE
                deadline_ms = max(deadline_ms, self._now.now_ms + terms.timeout_ms)
            left -= 1
            if self._is_further and not self._has_written:
                self._has_written = "write" in lookup(argv).flag_words
            if note is not None:
                note(argv[1])
            part = Part(gathering, gathering.add())
            try:
                reply = run(argv, db, resp3, terms, part, deadline_ms)
            except ReplyError as wrong:
                reply = error(wrong.text)
            if reply is not None:
                part.fill(reply)
        gathering.close()
