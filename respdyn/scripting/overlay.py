"""Commands of a script, run on records that no other client sees.

Each command's own functions (`read`, `write`, `parts` and `then`) work on the records that the job
brought. What they write is joined here and kept; nothing leaves before the script has ended. A key
that the job did not bring, or dots that it has not, raise `Missing`: the command has then done
nothing and is run again when they are there.

Source: Redis `script.c` (scriptCall) for what is refused, in its order; decision 0056.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from respdyn.causal.codec import ROW_BYTES, join_records, rows_of
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.causal.parts import fitting, is_big
from respdyn.causal.tokens import Seal
from respdyn.commands.arguments import parse_int32
from respdyn.commands.declare import COVERAGE, GATHER, LOCAL, READ, WRAP, Argv, Command, Then
from respdyn.commands.events import Event, of_read, of_write
from respdyn.commands.key_uses import places_of
from respdyn.commands.server import time_reply
from respdyn.commands.table import find
from respdyn.errors import ReplyError, UsedTwice
from respdyn.resp.replies import OK, ZERO, error
from respdyn.ring.hashing import DATABASES, Locator
from respdyn.ring.hashing import locator as locator_of
from respdyn.scripting.job import Change, Given, Job, More
from respdyn.types.chance import Chance

NOT_ALLOWED: Final = "ERR This Redis command is not allowed from script"
_UNKNOWN: Final = "ERR Unknown Redis command called from script"
_ARITY: Final = "ERR Wrong number of args calling Redis command from script"
_READ_ONLY: Final = "ERR Write commands are not allowed from read-only scripts."
_FULL: Final = "OOM command not allowed when used memory > 'maxmemory'."
_DENIED: Final = {
    "command": "ERR The user executing the script can't run this command or subcommand",
    "key": "ERR The user executing the script can't access at least one of the keys mentioned in"
           " the command arguments",
    "channel": "ERR The user executing the script can't publish to the channel mentioned in the"
               " command",
}
_MAY_REPLICATE: Final = frozenset(("publish", "spublish", "pfcount"))
_PUBLISH: Final = frozenset(("publish", "spublish"))
# Of tokens that pass from one part of a command (RENAME, COPY) to the next and never leave.
_TOKEN_KEYS: Final = (bytes(32),)
_WRONG_TYPE: Final = b"-WRONGTYPE"
_SMALL: Final = 1024            # bytes of a record that goes back whole, beside its change
WORDS_MOST: Final = 1000        # commands whose words are kept for those who monitor


class Refusal(Protocol):
    """Why a user may not do something."""

    @property
    def kind(self) -> str:
        """command, key or channel."""


class Judge(Protocol):
    """The rights of a user."""

    def judge(self, command: Command, argv: Argv) -> Refusal | None:
        """What stands in the way of a command, or nothing."""


class Missing(Exception):
    """A command needs these records first, or so many dots, or an answer of the node."""

    def __init__(
        self, names: Sequence[Locator] = (), dots: int = 0, command: Sequence[bytes] = ()
    ) -> None:
        self.names = list(names)
        self.dots = dots
        self.command = list(command)


class _Key:
    """A key as the script sees it."""

    __slots__ = ("actor", "clock", "counter", "delta", "end", "events", "floor", "place", "record",
                 "reports")

    def __init__(self, record: bytes, floor: int, place: bytes) -> None:
        self.record = record
        self.floor = floor
        self.place = place
        self.delta = b""
        self.reports = False
        self.events: list[Event] = []
        self.end = 0                # of the dots of its own, if it was lent by another node
        self.actor = intern_actor(bytes(16))
        self.counter = self.clock = 0


class Overlay:
    """The records of one job."""

    def __init__(self, job: Job, judge: Judge | None) -> None:
        self.db = job.db
        self.resp3 = False
        self.calls: dict[str, list[int]] = {}       # how often, how often in vain
        self.words: list[list[bytes]] = []
        self.messages: list[tuple[bytes, bytes, bool]] = []
        self.misses: list[tuple[Locator, str, bytes]] = []
        self._job = job
        self._judge = judge
        self._now_ms = job.now_ms
        self._keys: dict[Locator, _Key] = {}
        self._undo: dict[Locator, tuple[bytes, bytes, int]] | None = None
        self._chance = Chance(job.seed)
        self._answer: bytes | None = None           # of the node, to the command at hand
        self._actor = intern_actor(job.block.actor)
        self._counter = job.block.counter
        self._end = job.block.counter + job.block.count
        self._clock = job.block.clock
        self._add(job.records)

    # ---- what the node gives ----

    def _add(self, records: list[Given]) -> None:
        for given in records:
            key = self._keys.get(given.locator)
            if key is None or not given.actor:      # anew: FLUSHALL has taken what was there
                key = self._keys[given.locator] = _Key(given.record, given.floor, given.place)
            if given.actor:
                key.actor = intern_actor(given.actor)
                key.counter, key.clock = given.counter, given.clock
                key.end = given.counter + given.dots

    def take(self, more: More) -> None:
        """What a command has missed."""
        self._add(more.records)
        if more.block is not None:
            self._counter = more.block.counter
            self._end = more.block.counter + more.block.count
            self._clock = more.block.clock
        if more.reply is not None:
            self._answer = more.reply

    def behind(self, job: Job, judge: Judge | None) -> "Overlay":
        """That of a job behind this one in its chain: it goes on with the records as they are."""
        overlay = Overlay(job, judge)
        overlay._keys = self._keys
        return overlay

    def state(self) -> list[tuple[Locator, bytes, bytes, bool, int]]:
        """What `restore` takes."""
        return [
            (name, key.record, key.delta, key.reports, len(key.events))
            for name, key in self._keys.items()
        ]

    def restore(self, state: list[tuple[Locator, bytes, bytes, bool, int]]) -> None:
        """Undo all that was done since."""
        for name, record, delta, reports, events in state:
            key = self._keys[name]
            key.record, key.delta, key.reports = record, delta, reports
            del key.events[events:]

    def changes(self) -> list[Change]:
        """What was written, in the order in which the keys were first met."""
        return [
            Change(
                name, key.delta, key.reports, key.events,
                b"" if key.end or is_big(key.record) or len(key.record) > _SMALL else key.record,
            )
            for name, key in self._keys.items() if key.delta
        ]

    def used(self) -> int:
        """The last dot that was taken."""
        return self._counter

    # ---- one command ----

    def run(self, argv: Argv) -> bytes:
        """Its reply. Raises `Missing`; then nothing was done. `UsedTwice` ends the script."""
        command = self._look_up(argv)
        try:
            self._check(command, argv)
            reply = self._run(command, argv)
        except UsedTwice:
            raise
        except ReplyError as wrong:
            reply = error(wrong.text)
        counts = self.calls.get(command.name)
        if counts is None:
            counts = self.calls[command.name] = [0, 0]
        counts[0] += 1
        if reply[:1] == b"-":
            counts[1] += 1
        if self._job.reports_words and len(self.words) < WORDS_MOST:
            self.words.append(argv)
        return reply

    def may(self, argv: Argv) -> bool:
        """Whether the script's user may run a command (redis.acl_check_cmd)."""
        command = find(argv)
        if command is None:
            raise ReplyError("ERR Invalid command passed to redis.acl_check_cmd()")
        return self._judge is None or self._judge.judge(command, argv) is None

    def _look_up(self, argv: Argv) -> Command:
        command = find(argv)
        if command is None:
            raise ReplyError(_UNKNOWN)
        if not command.least <= len(argv) <= command.most:
            raise ReplyError(_ARITY)
        return command

    def _check(self, command: Command, argv: Argv) -> None:
        job, flags = self._job, command.flag_words
        if "noscript" in flags or command.route == WRAP or command.wants_seal:
            raise ReplyError(NOT_ALLOWED)
        if self._judge is not None:
            denied = self._judge.judge(command, argv)
            if denied is not None:
                raise ReplyError(_DENIED[denied.kind])
        if "write" in flags or command.name in _MAY_REPLICATE:
            if job.reads_only:
                raise ReplyError(_READ_ONLY)
            if "write" in flags and job.refusal:
                raise ReplyError(job.refusal)
        if job.is_full and "denyoom" in flags:
            raise ReplyError(_FULL)

    def _run(self, command: Command, argv: Argv) -> bytes:
        if command.single is not None and len(argv) == 2:
            command = command.single
        route = command.route
        if route in (LOCAL, COVERAGE):
            return self._run_here(command, argv)
        if route == GATHER:
            return self._gather(command, argv)
        return self._do(command, argv, self.db)

    def _run_here(self, command: Command, argv: Argv) -> bytes:
        """What is no command on keys: the few that concern the script, and what the node knows."""
        if command.name == "time":
            return time_reply(self._now_ms)
        if command.name == "select":
            index = parse_int32(argv[1])
            if not 0 <= index < DATABASES:
                raise ReplyError("ERR DB index is out of range")
            self.db = index
            return OK
        if command.name in _PUBLISH:
            self.messages.append((argv[1], argv[2], command.name == "spublish"))
            return ZERO
        if self._answer is None:
            raise Missing(command=argv)
        answer, self._answer = self._answer, None
        return answer

    def _do(self, command: Command, argv: Argv, db: int) -> bytes:
        """A command on one key."""
        name = locator_of(db, argv[command.keys.first])
        key = self._keys.get(name)
        if key is None:
            raise Missing([name])
        if command.route == READ:
            if command.draws:
                argv = [*argv, self._chance.below(1 << 64).to_bytes(8)]
            if command.wants_seal:
                return command.read_at(
                    argv, key.record, self._now_ms, self.resp3, Seal(_TOKEN_KEYS, name)
                )
            reply = command.read(argv, key.record, self._now_ms, self.resp3)
            if self._job.reports_events:
                self.misses += [
                    (name, *event)
                    for event in of_read(command, reply, argv, self._now_ms, self.resp3)
                ]
            return reply
        stamp = self._stamp(key, name)
        if command.wants_seal:
            reply, delta = command.write_at(
                argv, key.record, self._now_ms, self.resp3, stamp, Seal(_TOKEN_KEYS, name)
            )
        else:
            words = [*argv, key.place] if command.wants_place else argv
            reply, delta = command.write(words, key.record, self._now_ms, self.resp3, stamp)
        before = key.record
        if delta:
            self._spend(key, name, delta)
            if self._undo is not None:
                self._undo.setdefault(name, (key.record, key.delta, len(key.events)))
            key.record = join_records(before, delta) if before else delta
            if key.delta:               # one change of a large record does not pay for its trees
                key.record = fitting(key.record)
            key.delta = join_records(key.delta, delta) if key.delta else delta
            key.reports = key.reports or command.reports_siblings
        if self._job.reports_events:
            key.events += of_write(command, argv, before, key.record, self._now_ms)
        return reply

    # ---- dots ----

    def _stamp(self, key: _Key, name: Locator) -> Stamp:
        if key.end:
            if key.counter >= key.end:
                raise Missing([name], 1)
            return key.actor, key.counter + 1, key.floor, key.clock + 1
        if self._counter >= self._end:
            raise Missing(dots=1)
        return self._actor, self._counter + 1, key.floor, self._clock + 1

    def _spend(self, key: _Key, name: Locator, delta: bytes) -> None:
        """Take the dots that a delta was made of. Raises `Missing` if it took too many."""
        actor, first, end = self._actor, self._counter, self._end
        if key.end:
            actor, first, end = key.actor, key.counter, key.end
        rows, top = rows_of(delta), first + 1
        for at in range(0, len(rows), ROW_BYTES):
            if rows[at : at + 16] == actor:
                top = max(top, int.from_bytes(rows[at + 24 : at + 32], "big"))
        if top > end:
            raise Missing([name] if key.end else [], top - first)
        if key.end:
            key.counter, key.clock = top, key.clock + top - first
        else:
            self._counter, self._clock = top, self._clock + top - first

    # ---- several keys ----

    def _gather(self, command: Command, argv: Argv) -> bytes:
        """A command of several keys, whole or not at all."""
        if command.other_key is not None and command.other_key(argv) == (self.db, argv[1]):
            raise ReplyError("ERR source and destination objects are the same")
        parts = command.parts(argv)
        self._have(locator_of(self.db, argv[at]) for at in places_of(command, argv))
        self._undo = {}
        try:
            if command.then is None:
                return self._folded(command, parts)
            then = command.then
            return self._compound(parts, lambda replies: then(argv, replies, self.resp3))
        except Missing:
            for name, (record, delta, events) in self._undo.items():
                key = self._keys[name]
                key.record, key.delta = record, delta
                del key.events[events:]
            raise
        finally:
            self._undo = None

    def _have(self, names: Iterable[Locator]) -> None:
        """Raises `Missing` for all of them that are not here, so that they come at once."""
        missing = [name for name in dict.fromkeys(names) if name not in self._keys]
        if missing:
            raise Missing(missing)

    def _folded(self, command: Command, parts: Iterable[Argv]) -> bytes:
        null, replies = command.nulls[self.resp3], []
        for part in parts:
            reply = self._part(part, self.db)
            if null and reply.startswith(_WRONG_TYPE):
                reply = null
            replies.append(reply)
        wrong = next((reply for reply in replies if reply[:1] == b"-"), b"")
        return wrong or command.fold(replies)

    def _compound(
        self, parts: Iterable[Argv], then: Callable[[list[bytes]], Then]
    ) -> bytes:
        db = self.db
        while True:
            replies = [self._part(part, db) for part in parts]
            wrong = next((reply for reply in replies if reply[:1] == b"-"), b"")
            outcome = wrong or then(replies)
            if isinstance(outcome, bytes):
                return outcome
            parts, then = outcome.parts, outcome.then
            db = self.db if outcome.db is None else outcome.db

    def _part(self, argv: Argv, db: int) -> bytes:
        command = self._look_up(argv)
        if command.single is not None and len(argv) == 2:
            command = command.single
        try:
            return self._do(command, argv, db)
        except UsedTwice:
            raise
        except ReplyError as wrong:
            return error(wrong.text)
