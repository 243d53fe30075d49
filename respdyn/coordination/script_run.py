"""A script at its coordinator: keys taken and read, the job run elsewhere, its writes shipped.

It is a group (`groups`) whose step another process does. The keys that were declared are taken in
one order, as a group takes them; those that it uses besides while it runs are taken then.
Keys of other coordinators are held there for it (`borrowing`, `holds`).
All stay taken until the outcome is here. Then everything that was written leaves in one turn, one
joined delta for each key, or nothing.

The script has worked on records as they were when it was given them. Another may have changed
one since: a peer that repaired it, a covering write of this node, FLUSHALL. What is written on top
of such a change could lie below the context that it claims, and would vanish. So the records are
compared, and where one has changed the script is run again, which is no second run: nothing of the
first was written.

Those in line for the same keys go along as a chain (`script_keys`, `scripting/job`): what all of
them have written is joined and shipped once, and then all are answered. Where one of them is not to
be, nothing of the chain is written, and the others run once more without it.

Source: decisions 0056, 0057 and 0060.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from respdyn.cluster.messages import NOT_RUN, UNKNOWN
from respdyn.cluster.quorum import Waiter
from respdyn.coordination.calls import Updating
from respdyn.coordination.forwarding import OUTCOME_UNKNOWN
from respdyn.coordination.group_messages import Outcome as GroupOutcome
from respdyn.coordination.groups import GroupExecution, GroupReplyPlace, Groups
from respdyn.coordination.holds import ship
from respdyn.coordination.may_write import NO_LEASE
from respdyn.coordination.script_keys import CHAIN_BYTES, CHAIN_MOST, ScriptKeys
from respdyn.coordination.script_messages import ScriptCall
from respdyn.coordination.scripts import DOTS, RanFor, Script, Scripts
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.scripting.job import (
    AGAIN,
    ENDED,
    FAILED,
    STOPPED,
    TOO_MUCH,
    TWICE,
    WANTS,
    Block,
    Given,
    Job,
    More,
    Outcome,
)

RUNS_MOST: Final = 100              # of one call: records that change under it, a process that dies
_TOO_LONG: Final = (
    "TIMEOUT the script did not end in time: nothing was done. DYN.WITH TIMEOUT gives more"
)
_TOO_MUCH: Final = "OOM the script has taken more than script-memory: nothing was done"
_KILLED: Final = b"-ERR Script killed by user with SCRIPT KILL."
_FUNCTION_KILLED: Final = b"-ERR Script killed by user with FUNCTION KILL."
_RESTLESS: Final = "TRYAGAIN the script's keys were changed again and again: nothing was done"
_TWICE: Final = (
    "TRYAGAIN this node has met events of its own that it does not know: nothing was done"
)
_FLUSHALL: Final = b"FLUSHALL"
_FLUSHES: Final = frozenset((_FLUSHALL, b"FLUSHDB"))
_BROKEN: Final = "ERR the script asked for a command where it cannot wait for its reply"

AskNode = Callable[[list[bytes], int, bool, Callable[[bytes], None]], None]


class ScriptExecution(ScriptKeys):
    """One script at its coordinator."""

    def __init__(
        self, groups: Groups, scripts: Scripts, ask: AskNode, call: ScriptCall, script: Script,
        deadline_ms: int, done: Callable[[GroupOutcome], None],
    ) -> None:
        super().__init__(groups, scripts, call, deadline_ms, done)
        self._ask_node = ask
        self._script = script
        self._seed = scripts.seed()
        self._replies = [None]
        self._number = 0
        self._waits: list[Locator] = []     # those that are taken here for the suspended job
        self._lent: list[Locator] = []      # and those that others are to lend for it
        self._ran: list[tuple[ScriptExecution, Outcome]] = []     # in one chain, itself first
        self._behind: list[ScriptExecution] = []    # those of its chain that are under way
        self._first: ScriptExecution | None = None  # the chain that it is in, if it is not its own
        self._has_flushed = False
        self._is_killed = False
        self.is_function = bool(call.function)
        self._began_ms = groups.node.now.now_ms

    def shown(self) -> RanFor | None:
        """What runs, and since when."""
        call = self._call
        name = (call.function or call.sha).encode("latin-1")
        word = b"fcall" if call.function else b"evalsha"
        count = b"%d" % len(call.keys)
        return RanFor(name, [word, name, count, *call.keys, *call.args], self._began_ms)

    def kill(self) -> None:
        """SCRIPT KILL: it must not go on."""
        self._is_killed = True
        self._scripts.host.stop(self._number)

    # ---- the job ----

    def _run(self) -> None:
        """All that was declared is taken and read: hand the job over."""
        refusal = self._refusal()
        if refusal is not None:
            self._end(refusal)
            return
        for name in self._locators:
            if self._groups.coordinator.is_contested(name):
                self._take_again(False)     # a SET before it may yet cover a sibling
                return
        self._runs += 1
        if self._runs > RUNS_MOST or self._has_flushed:
            self._end([error(OUTCOME_UNKNOWN)] if self._has_flushed else _RESTLESS)
            return
        if not self._can_mint():
            self._end(NO_LEASE)
            return
        self._node.counters.scripts_begun_again += self._runs > 1
        self._given.clear()
        job = self._job([*map(self._give, self._locators), *self._borrowing.records.values()])
        self._join(job)
        self._scripts.begin(job)

    def _job(self, records: list[Given]) -> Job:
        """What the process is given."""
        call = self._call
        self._number = self._scripts.number()
        job = Job(
            self._number, call.sha, call.keys, call.args, call.db, call.resp3, self._now.wall_ms,
            self._seed, records, self._block(), function=call.function,
            refusal=self._why_not_write(), reads_only=call.reads_only,
            is_full=self._node.memory_is_full and not call.takes_room,
            reports_events=self._dispatcher.keyspace_events is not None,
            reports_words=self._scripts.reports_words(), user=call.user,
        )
        self._scripts.prepare(job, self._script.body, self, self._deadline_ms)
        return job

    def _join(self, job: Job) -> None:
        """Those in line for the same keys run behind it."""
        assert not self._behind
        size = 0
        while len(self._behind) < CHAIN_MOST and size < CHAIN_BYTES:
            one = self._next_behind()
            if one is None:
                return
            assert isinstance(one, ScriptExecution)
            size += sum(map(len, one._call.args))
            one._first = self
            self._behind.append(one)
            job.rest.append(one._job([]))

    def _can_follow(self, first: ScriptKeys) -> bool:
        return self._script.is_quick and self._can_mint() and super()._can_follow(first)

    # ---- outcomes ----

    def receive(self, outcome: Outcome) -> None:
        """What became of the job, or what it wants."""
        if self._is_over or outcome.number != self._number:
            return
        self._split(len(outcome.rest), True)
        if outcome.kind in (WANTS, AGAIN):
            self._scripts.has_waited(self._script, self._call.sha)
            self._wants(outcome)
        elif outcome.kind in (ENDED, FAILED):
            self._finish(outcome)
        else:
            self._stopped(outcome)

    def _split(self, ran: int, has_ended: bool) -> None:
        """Only so many of those behind it were run: the others go back into the line."""
        rest = self._behind[ran:]
        del self._behind[ran:]
        for one in rest:
            one._first = None
            one._forget_job(has_ended)
        self._put_back(list(rest))

    def _forget_job(self, has_ended: bool) -> None:
        """The process has ended it, or need not go on with it."""
        if self._number and has_ended:
            self._scripts.done(self._number)
        elif self._number:
            self._scripts.drop(self._number)
        self._number = 0

    def _without(self, one: ScriptExecution) -> None:
        """One of the chain is not to be: what the others have done may rest on it."""
        if one in self._behind:
            self._abandon()
            self._run()

    def _stopped(self, outcome: Outcome) -> None:
        """It was not let run to its end: nothing of it was written."""
        self._forget_job(True)
        if outcome.kind == TWICE:
            self._node.counters.counters_used_twice += 1
            self._groups.replica.used_twice()
            self._end(_TWICE)
        elif outcome.kind == TOO_MUCH:
            self._node.counters.scripts_stopped += 1
            self._end(_TOO_MUCH)
        elif outcome.kind == STOPPED:
            self._node.counters.scripts_stopped += 1
            self._end([self._killed() + outcome.reply[1:]] if self._is_killed else _TOO_LONG)

    def put_off(self, deadline_ms: int) -> None:
        """It has waited for the process to start: it has until then."""
        self._deadline_ms = max(self._deadline_ms, deadline_ms)

    def begin_again(self, number: int) -> None:
        """The process has lost it: nothing of it was written."""
        if number == self._number and self._first is None:
            self._run_again()

    def _run_again(self) -> None:
        """Of what the process has done nothing holds, for none of the chain."""
        self._forget_job(True)
        self._split(0, True)
        if self._open:
            self._take_again(True)      # the lost run waits for keys that this one may want too
        else:
            self._run()

    def fail(self, text: str, number: int) -> None:
        """It will not be done: it has killed the process, or took too long."""
        if number != self._number:
            return
        self._number = 0
        self._node.counters.scripts_stopped += 1
        first = self._first
        if self._is_killed and not self._is_over:
            sha = (self._call.function or self._call.sha).encode("latin-1")
            self._end([b"%b script: %b\r\n" % (self._killed(), sha)])
        elif not self._is_over:
            self._end(text or _TOO_LONG)
        if first is not None:
            first._without(self)

    def _killed(self) -> bytes:
        return _FUNCTION_KILLED if self.is_function else _KILLED

    def _wants(self, outcome: Outcome) -> None:
        """Fetch what a script needs while it runs."""
        if outcome.kind == AGAIN:
            self._forget_job(True)
        if outcome.command:
            self._ask(outcome)
        elif outcome.dots:
            self._more_dots(outcome)
        else:
            self._fetch(outcome)

    def _ask(self, outcome: Outcome) -> None:
        """A command that concerns the node, not a key."""
        if outcome.kind == AGAIN:
            self._end([error(_BROKEN)])
            return
        word = outcome.command[0].upper()
        if word in _FLUSHES:
            self._has_flushed = True        # from now on it must not be begun again
        answered = partial(self._answered, self._number, word, outcome.db)
        self._ask_node(outcome.command, outcome.db, outcome.resp3, answered)

    def _answered(self, number: int, word: bytes, db: int, reply: bytes) -> None:
        if number != self._number or self._is_over:
            return
        given: list[Given] = []
        if word in _FLUSHES:
            given = [self._give(one) for one in self._given if word == _FLUSHALL or one[2] == db]
        self._scripts.go_on(More(number, given, self._block() if given else None, reply))

    def _more_dots(self, outcome: Outcome) -> None:
        self._dots = max(2 * self._dots, 2 * outcome.dots)
        if not self._can_mint():
            self._end(NO_LEASE)
        elif outcome.wants:             # of a key that another node has lent: it lends more
            self._take_again(True)
        elif outcome.kind == AGAIN:
            self._run()
        else:
            self._scripts.go_on(More(self._number, [], self._block()))

    def _can_mint(self) -> bool:
        return self._node.identity.can_mint(max(self._script.dots, self._dots))

    def _block(self) -> Block:
        return self._scripts.block(self._script, self._dots)

    def _abandon(self) -> None:
        """The process need not go on with it, nor with those behind it."""
        self._forget_job(False)
        self._split(0, False)

    def _end(self, outcome: GroupOutcome) -> None:
        if not self._is_over:
            self._abandon()
        if self._has_flushed and outcome == NOT_RUN:
            outcome = UNKNOWN       # it must not be begun elsewhere
        super()._end(outcome)

    # ---- keys that were not declared ----

    def _fetch(self, outcome: Outcome) -> None:
        """Take keys that the script has used, and read a quorum of each."""
        wants = [name for name in sorted(outcome.wants) if name not in self._wanted]
        self._wanted.update(dict.fromkeys(wants))
        by_node = self._by_node(wants)
        if isinstance(by_node, str):
            self._end(by_node)
            return
        here = self._node.identity.node_id
        self._waits = by_node.pop(here, [])
        for name in self._waits:
            refusal = self._why_not(name)
            if refusal is not None:
                self._end(refusal)
                return
        self._lent = [name for names in by_node.values() for name in names]
        self._open = len(by_node) + 1
        for peer, names in by_node.items():
            self._borrow(peer, names, False, self._one_wait_less)
        self._take_more()

    def _one_wait_less(self) -> None:
        self._open -= 1
        if not self._open:
            self._have_more()

    def _take_more(self) -> None:
        """Take the keys that are waited for; then read them.

        To wait for a key out of order could be to wait for each other: then all are let go, and
        the script is run again with these as well, taken in order.
        """
        busy = self._dispatcher.busy
        for name in self._waits:
            if name in self._reads:
                continue
            if name in busy:
                if self._borrowing.records or self._lent or (
                    self._locators and name < max(self._locators)
                ):
                    self._take_again(True)
                    return
                turn = GroupExecution._turn(self, partial(self._has_come, name))    # in no chain
                self._dispatcher.lines.line_up(name, [turn])
                return
            busy[name] = deque()
            self._took(name)
        self._read_more()

    def _has_come(self, name: Locator) -> None:
        self._took(name)
        self._take_more()

    def _took(self, name: Locator) -> None:
        """It is ours, and released with the others."""
        self._reads[name] = None
        self._locators.append(name)
        self._taken = len(self._locators)

    def _read_more(self) -> None:
        plans = self._node.plans
        names = list(self._waits)
        if not self._must_read(names):
            self._one_wait_less()
            return
        self._missing = len(names)
        attempt = self._attempt
        reader = Updating(
            partial(self._has_read_more, attempt), partial(self._could_not_read_more, attempt)
        )
        for name in names:
            plan = plans[slot_of_locator(name)]
            self._groups.coordinator.read(
                plan, reader, name, self._groups.replica.get(name), min(self._r, plan.n),
                self._is_sloppy, self._deadline_ms,
            )

    def _has_read_more(self, attempt: int) -> None:
        if self._is_over or attempt != self._attempt:
            return                  # the keys were let go meanwhile
        self._missing -= 1
        if not self._missing:
            self._one_wait_less()

    def _could_not_read_more(self, attempt: int, text: str) -> None:
        if attempt == self._attempt:
            self._could_not_read(text)

    def _have_more(self) -> None:
        """They are read: the script goes on, with dots that were made after they were taken."""
        self._locators.sort()
        if not self._number:
            self._run()             # it could not wait: begin again
        elif not self._can_mint():
            self._end(NO_LEASE)
        else:
            given = [self._give(name) for name in self._waits]
            given += [self._borrowing.records[name] for name in self._lent]
            self._scripts.go_on(More(self._number, given, self._block()))

    # ---- after ----

    def _finish(self, outcome: Outcome) -> None:
        """Write what it has written, all in this turn; or begin it again."""
        changes = outcome.changes
        refusal = self._why_not_write() if changes else ""
        if changes and (
            not self._is_as_given(changes) or (refusal and outcome.rest)    # not for all of them
        ):
            self._run_again()
            return
        self._forget_job(True)
        if refusal:
            self._end(refusal)
            return
        self._have_run(outcome)
        deadline_ms = max(one._deadline_ms for one, _ in self._ran)
        own = [change for change in changes if change.locator in self._given]
        lent = [change for change in changes if change.locator not in self._given]
        lenders = self._borrowing.lenders(lent)
        self._replies = [None] * (1 + len(own) + lenders)
        self._missing = len(self._replies)
        places: list[Waiter] = [
            GroupReplyPlace(self, 1 + index) for index in range(len(own) + lenders)
        ]
        self._borrowing.commit(lent, places[len(own) :])
        for change, place in zip(own, places, strict=False):
            ship(self._groups, change, place, self._w, self._is_sloppy, deadline_ms, True)
        self.release()
        self.fill(0, outcome.reply)

    def _have_run(self, outcome: Outcome) -> None:
        """It and those behind it: whatever they have done holds from now on."""
        behind, self._behind = self._behind, []
        pairs = list(zip([self, *behind], [outcome, *outcome.rest], strict=True))
        events = self._dispatcher.keyspace_events
        for one, its in pairs:
            if one is not self:
                one._first = None
                if its.kind not in (ENDED, FAILED):
                    one._stopped(its)
                    continue
                one._forget_job(True)
            self._scripts.has_run(one._script, one._call.sha, its.is_long)
            if outcome.changes and one._dots > DOTS:    # the next run is given as many
                one._script.dots = max(one._script.dots, one._dots)
            if events is not None:
                for name, kind, event in its.misses:
                    events.happened(name, [(kind, event)])
            self._ran.append((one, its))

    def fill(self, index: int, reply: bytes) -> None:
        """The script's reply, or what became of one of its writes; only the first counts."""
        if self._replies[index] is None:
            self._replies[index] = error(OUTCOME_UNKNOWN) if reply == UNKNOWN else reply
            self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing:
            return
        wrong = next(
            (one for one in self._replies[1:] if one is not None and one[:1] == b"-"), None
        )
        for one, its in self._ran:
            self._node.counters.scripts_run += 1
            self._scripts.noted(its)
            one._end([wrong or its.reply])
