"""Scripts of this node: their texts, the process that runs them, and what is under way there.

A text is known by the SHA-1 of it. What was loaded (SCRIPT LOAD) is sent to every peer and to those
that connect later; what came with an EVAL is kept here, as long as there is room. `SCRIPT FLUSH`
forgets what is older than its own clock, everywhere.

Jobs leave in one batch at the end of a turn. A process that dies takes with it what it had: the job
at hand gets an error, all others are begun again, which is no second run, since nothing of a job is
written before its outcome is here.

Source: decision 0056.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_SCRIPT, bulk
from respdyn.cluster.questions import Texts
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.commands.scripting import shebang_of
from respdyn.coordination.script_messages import Loaded, encode_loaded, read_loaded
from respdyn.errors import ReplyError
from respdyn.ports import ScriptHost, random_bits
from respdyn.resp.replies import error
from respdyn.scripting.job import (
    UNKNOWN,
    Batch,
    Block,
    Compile,
    Drop,
    Job,
    More,
    Outcome,
    encode,
    read_outcomes,
)

SCRIPTS_MOST: Final = 10_000
BYTES_MOST: Final = 64 << 20
DOTS: Final = 16                    # of a job whose script was never seen to write
MOMENT_MS: Final = 5
BUSY_MS: Final = 5000               # Redis's default
STOP_MS: Final = 100                # before its deadline a script that is at work is stopped
START_MOST_MS: Final = 30_000       # that jobs wait, beyond their deadline, for a process to start
# Whether a script uses no key but those that it declares, as far as was seen here.
UNKNOWN_YET: Final = 0
YES: Final = 1
NO: Final = 2
# Answers to `KillScript`.
NOTHING_RUNS: Final = 0
KILLED: Final = 1
OTHER_KIND: Final = 2
BUSY_SCRIPT: Final = (
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
)
BUSY_FUNCTION: Final = (
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
)
_DIED: Final = "ERR the script process ended while it ran this script ({}): nothing was done"


class RanFor(NamedTuple):
    """What runs."""

    name: bytes
    argv: list[bytes]
    ms: int                     # since when, or for how long


class Running(Protocol):
    """A job's owner."""

    is_function: bool

    def shown(self) -> RanFor | None:
        """What runs, and since when; None for what is only compiled."""

    def kill(self) -> None:
        """SCRIPT KILL: it must not go on."""

    def receive(self, outcome: Outcome) -> None:
        """What became of it, or what it wants."""

    def put_off(self, deadline_ms: int) -> None:
        """It has waited for the process to start: it has until then."""

    def begin_again(self, number: int) -> None:
        """The process has lost it. The number is that of the job."""

    def fail(self, text: str, number: int) -> None:
        """It will not be done."""


class Script:
    """A text that this node knows."""

    __slots__ = ("body", "clock", "dots", "flags", "is_loaded", "is_quick", "keeps_to_its_keys")

    def __init__(self, body: bytes, is_loaded: bool, clock: int) -> None:
        self.body = body
        self.flags = _flags_of(body)    # None: it has no shebang
        self.is_loaded = is_loaded      # by SCRIPT LOAD, here or elsewhere: it is kept
        self.clock = clock
        self.dots = DOTS                # that a run of it is given
        self.is_quick = True            # its last run has neither taken long nor waited
        self.keeps_to_its_keys = UNKNOWN_YET        # it has never waited for one not declared


def _flags_of(body: bytes) -> frozenset[str] | None:
    try:
        return shebang_of(body)
    except ReplyError:          # a newer node knows more flags
        return frozenset()


class Scripts:
    """All of that."""

    def __init__(self, node: ThisNode, host: ScriptHost) -> None:
        self.host = host
        self.noted: Callable[[Outcome], None] = lambda outcome: None    # called for each that ended
        self.flushed = 0                        # the clock of the last SCRIPT FLUSH
        self._node = node
        self._scripts: dict[str, Script] = {}
        self._bytes = 0
        self._has: set[str] = set()             # bodies that the process has
        self.in_its_keys: set[bytes] = set()    # hashes of those that keep to their keys
        self._seed = 0
        self._number = 0
        self._running: dict[int, Running] = {}
        self._deadlines: dict[int, int] = {}
        self._began: dict[int, int] = {}        # when jobs were given to the process
        self._stopped: set[int] = set()         # jobs whose time is over, or nearly so
        self._moved_ms = 0                      # when it gave back an outcome last
        self._batch = Batch([], [], [], [])
        self.reports_words: Callable[[], bool] = lambda: False        # whether a client monitors
        # What else has deadlines: its `expire` and `next_deadline`.
        self.holds: tuple[Callable[[], None], Callable[[int], int]] = (
            lambda: None, lambda never: never,
        )
        self._later: list[tuple[int, Callable[[], None]]] = []

    # ---- texts ----

    def find(self, sha: str) -> Script | None:
        """A script that is known here."""
        return self._scripts.get(sha)

    def keep(self, sha: str, body: bytes, is_loaded: bool, clock: int = 0) -> Script:
        """Know a script from now on."""
        script = self._scripts.get(sha)
        if script is not None:
            script.is_loaded = script.is_loaded or is_loaded
            script.clock = max(script.clock, clock)
            return script
        while self._scripts and (
            len(self._scripts) >= SCRIPTS_MOST or self._bytes + len(body) > BYTES_MOST
        ):
            self._forget(next(
                (old for old, one in self._scripts.items() if not one.is_loaded),
                next(iter(self._scripts)),
            ))
        clock = clock or self._node.clock.now(self._node.now.wall_ms)
        script = self._scripts[sha] = Script(body, is_loaded, clock)
        self._bytes += len(body)
        return script

    def _forget(self, sha: str) -> None:
        self._bytes -= len(self._scripts.pop(sha).body)
        self.in_its_keys.discard(sha.encode())

    def has_waited(self, script: Script, sha: str) -> None:
        """A script wants a key that it had not declared, or something of the node."""
        script.is_quick, script.keeps_to_its_keys = False, NO
        self.in_its_keys.discard(sha.encode())

    def has_run(self, script: Script, sha: str, is_long: bool) -> None:
        """A script has ended by itself."""
        script.is_quick = not is_long
        if script.keeps_to_its_keys == UNKNOWN_YET:
            script.keeps_to_its_keys = YES
            self.in_its_keys.add(sha.encode())

    def load(self, sha: str, body: bytes) -> None:
        """A client has loaded it: send it to every peer."""
        script = self.keep(sha, body, True)
        self._send_to_all(Loaded(script.clock, body))

    def flush(self) -> None:
        """Forget all scripts, everywhere."""
        self._flush(self._node.clock.now(self._node.now.wall_ms))
        self._send_to_all(Loaded(self.flushed, b""))

    def _flush(self, clock: int) -> None:
        self.flushed = max(self.flushed, clock)
        for sha in [sha for sha, one in self._scripts.items() if one.clock <= clock]:
            self._forget(sha)

    def _send_to_all(self, loaded: Loaded) -> None:
        statement = bulk(GOSSIP_SCRIPT + encode_loaded(loaded))
        for link in self._node.links.values():
            if link.is_connected:
                link.gossips.append(statement)

    def greet(self, link: Link) -> None:
        """Send a peer what was loaded."""
        if self.flushed:
            link.gossips.append(bulk(GOSSIP_SCRIPT + encode_loaded(Loaded(self.flushed, b""))))
        for script in self._scripts.values():
            if script.is_loaded:
                loaded = Loaded(script.clock, script.body)
                link.gossips.append(bulk(GOSSIP_SCRIPT + encode_loaded(loaded)))

    def receive_script(self, link: Link, item: bytes) -> None:
        """A peer's statement of a script that was loaded, or that all were flushed."""
        loaded, sha = read_loaded(item[1:])
        # No honest clock is above this node's, which follows those in the headers of frames. A lie
        # counts as said now, so that it flushes nothing that is yet to be loaded.
        clock = min(loaded.clock, self._node.clock.now(self._node.now.wall_ms))
        if not loaded.body:
            self._flush(clock)
        elif clock > self.flushed:
            self.keep(sha, loaded.body, True, clock)

    def answer_texts(self, question: Texts) -> list[bytes]:
        """What this node knows of these scripts."""
        found = [self._scripts.get(sha) for sha in question.hashes]
        return [b"" if script is None else script.body for script in found]

    def kill(self, is_function: bool) -> int:
        """End what runs for the longest time, if it is of this kind."""
        running = self._oldest()
        if running is None:
            return NOTHING_RUNS
        if running.is_function != is_function:
            return OTHER_KIND
        running.kill()
        return KILLED

    def ran(self) -> RanFor | None:
        """What runs for the longest time."""
        running = self._oldest()
        shown = None if running is None else running.shown()
        if shown is None:
            return None
        return shown._replace(ms=self._node.now.now_ms - shown.ms)

    def _oldest(self) -> Running | None:
        at_hand = self._running.get(self.host.at_hand())
        if at_hand is not None and at_hand.shown() is not None:
            return at_hand              # of a chain, it may not be the first
        return next((one for one in self._running.values() if one.shown() is not None), None)

    def count(self) -> tuple[int, int]:
        """How many scripts are known, and their bytes."""
        return len(self._scripts), self._bytes

    # ---- the process ----

    def seed(self) -> int:
        """The next job's, of 64 bits (Knuth's MMIX); the first is drawn."""
        if not self._seed:
            self._seed = random_bits(self._node.random, 64)
        self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return self._seed

    def number(self) -> int:
        """The next job's."""
        self._number += 1
        return self._number

    def refusal(self) -> str:
        """Why no script can begin now, as an error's text; "" if one can.

        As in Redis it is refused once another has been running for `busy-reply-threshold`. Those
        that came before that wait until their deadline.
        """
        number = self.host.at_hand()
        if not number:
            return self.host.refusal()
        node, running = self._node, self._running.get(number)
        since_ms = max(self._began.get(number, NEVER), self._moved_ms)
        if running is None or since_ms >= node.now.now_ms:
            return ""
        threshold_ms = int(dict(node.settings.accepted).get("busy-reply-threshold", BUSY_MS))
        if node.now.now_ms - since_ms < threshold_ms:
            return ""
        return BUSY_FUNCTION if running.is_function else BUSY_SCRIPT

    def _given(self, number: int, running: Running, deadline_ms: int) -> None:
        self._running[number] = running
        now_ms = self._node.now.now_ms
        self._deadlines[number] = deadline_ms - min(STOP_MS, max(0, deadline_ms - now_ms) // 2)
        self._began[number] = now_ms

    def prepare(self, job: Job, body: bytes, running: Running, deadline_ms: int) -> None:
        """A job that is handed over now, by itself or behind another."""
        if job.sha in self._has:
            job.body = None
        else:
            job.body = body
            self._has.add(job.sha)
        self._given(job.number, running, deadline_ms)

    def begin(self, job: Job) -> None:
        """Hand over a job that is prepared, as are those behind it."""
        self._batch.jobs.append(job)

    def go_on(self, more: More) -> None:
        """Hand over what a job wanted."""
        self._batch.more.append(more)

    def compile(self, body: bytes, is_library: bool, running: Running, deadline_ms: int) -> None:
        """Have a text compiled, to see whether it can be."""
        refusal = self.refusal()
        if refusal:
            running.fail(refusal, 0)
            return
        number = self.number()
        self._given(number, running, deadline_ms)
        self._batch.compiles.append(Compile(number, body, is_library))

    def drop(self, number: int) -> None:
        """No client waits for a job any more."""
        if self._running.pop(number, None) is not None:
            self._forget_job(number)
            self.host.stop(number)
            self._batch.drops.append(Drop(number))

    def block(self, script: Script, least: int = 0) -> Block:
        """Dots for a run. The counter may go so far: the caller has made sure."""
        node = self._node
        count = max(script.dots, least)
        counter = node.identity.counter
        node.identity.counter = counter + count
        clock = node.clock.now(node.now.wall_ms)
        node.clock.last = clock + count
        return Block(bytes(node.identity.actor), counter, count, clock)

    def receive(self, frame: bytes) -> None:
        """Outcomes."""
        self._moved_ms = self._node.now.now_ms
        for outcome in read_outcomes(frame):
            running = self._running.get(outcome.number)
            if running is None:
                continue
            if outcome.kind != UNKNOWN:
                running.receive(outcome)
            else:
                self._has.clear()
                self.done(outcome.number)
                running.begin_again(outcome.number)

    def done(self, number: int) -> None:
        """A job is no longer in the process."""
        if self._running.pop(number, None) is not None:
            self._forget_job(number)

    def _forget_job(self, number: int) -> None:
        del self._deadlines[number], self._began[number]
        self._stopped.discard(number)

    def died(self, number: int, reason: str) -> None:
        """The process has ended, at this job; 0 if at none."""
        self._node.counters.script_processes_lost += 1
        self._node.trace.event("script_process_ended", reason=reason)
        running, self._running = self._running, {}
        is_stopped = number in self._stopped
        self._deadlines.clear()
        self._began.clear()
        self._stopped.clear()
        self._has.clear()
        self._batch = Batch([], [], [], [])
        refusal = self.host.refusal()
        blamed = running.pop(number, None)
        if blamed is not None:
            blamed.fail(refusal or ("" if is_stopped else _DIED.format(reason)), number)
        for one, owner in running.items():
            if refusal:
                owner.fail(refusal, one)
            else:
                owner.begin_again(one)

    # ---- time and the turn ----

    def turn_ends(self) -> None:
        """Hand over what this turn has for the process."""
        batch = self._batch
        if batch.jobs or batch.more or batch.drops or batch.compiles:
            self._batch = Batch([], [], [], [])
            self.host.submit(encode(batch))

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call this in a moment."""
        self._later.append((self._node.now.now_ms + MOMENT_MS, go_on))

    def expire(self) -> None:
        """End what has taken too long."""
        now_ms = self._node.now.now_ms
        self.holds[0]()
        while self._later and self._later[0][0] <= now_ms:
            self._later.pop(0)[1]()
        if self.host.is_starting():
            self._wait_for_start(now_ms)
        for number in [one for one, due_ms in self._deadlines.items() if due_ms <= now_ms]:
            if number in self._stopped:
                running = self._running[number]
                self.drop(number)
                running.fail("", number)
                continue
            self._stopped.add(number)       # once more, a little later
            self._deadlines[number] = now_ms + STOP_MS
            if self.host.at_hand() == number:
                self.host.stop(number)      # its client is answered when it has stopped
                self._deadlines[number] += STOP_MS

    def _wait_for_start(self, now_ms: int) -> None:
        """The process is not ready yet: what is due waits for it."""
        for number, due_ms in self._deadlines.items():
            if due_ms <= now_ms < self._began[number] + START_MOST_MS:
                self._deadlines[number] = now_ms + MOMENT_MS
                self._running[number].put_off(now_ms + self._node.settings.request_timeout_ms)

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        first_ms = self._later[0][0] if self._later else NEVER
        return min(first_ms, self.holds[1](NEVER), min(self._deadlines.values(), default=NEVER))


class CompileWaiter:
    """Waits for a text to be compiled: `done` gets the outcome, or an error's bytes."""

    def __init__(
        self, done: Callable[[Outcome | bytes], None], again: Callable[["CompileWaiter"], None],
        scripts: Scripts,
    ) -> None:
        self.is_function = False
        self._done = done
        self._again = again
        self._scripts = scripts

    def shown(self) -> RanFor | None:
        """It runs nothing of a client's."""
        return None

    def put_off(self, deadline_ms: int) -> None:
        """It has no deadline of its own."""

    def receive(self, outcome: Outcome) -> None:
        """It was tried."""
        self._scripts.done(outcome.number)
        self._done(outcome)

    def begin_again(self, number: int) -> None:
        """The process died of something else."""
        self._again(self)

    def kill(self) -> None:
        """It is no script that runs."""

    def fail(self, text: str, number: int) -> None:
        """The process died of it, or took too long."""
        self._done(error(text or "TIMEOUT the script process did not answer in time"))
