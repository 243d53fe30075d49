"""A client's scripts: what its words ask for, the text behind a hash, what only a node can run.

A hash that is not known here is requested of every node in reach before the answer is NOSCRIPT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.questions import Texts
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.tasks import Task, answer_as
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import COVERAGE, LOCAL, Argv, Command
from respdyn.commands.scripting import (
    ALLOW_OOM,
    NO_CLUSTER,
    NO_WRITES,
    keys_and_args,
    keys_and_args_of_function,
    shebang_of,
)
from respdyn.commands.table import find_by_name, lookup
from respdyn.coordination.calls import Continuation
from respdyn.coordination.script_messages import ScriptCall, sha_of
from respdyn.coordination.script_sender import ScriptSender
from respdyn.coordination.scripts import CompileWaiter, Script
from respdyn.errors import ReplyError
from respdyn.resp.replies import bulk, error
from respdyn.scripting.job import ENDED, Outcome
from respdyn.sessions.functions import Functions
from respdyn.sessions.libraries import Libraries
from respdyn.sessions.monitors import Monitors
from respdyn.sessions.pubsub import PubSub
from respdyn.sessions.router import Router
from respdyn.sessions.session import CHANNEL, SHARD, ExecTarget, Session

NO_SCRIPT: Final = "NOSCRIPT No matching script. Please use EVAL."
_HASH: Final = frozenset("0123456789abcdef")
_TOO_MANY_KEYS: Final = "ERR the script has more than {} keys (transaction-commands)"
_RO_WRITES: Final = "ERR Can not execute a script with write flag using *_ro command."
_NO_CLUSTER: Final = "ERR Can not run script on cluster, 'no-cluster' flag is set."
_FULL: Final = (
    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
)


_LEVELS: Final = ("debug", "verbose", "notice", "warning")


def _ignore(reply: bytes) -> None:
    """No client waits for the number of subscribers."""


def _call_of(
    session: Session, command: Command, keys: list[bytes], args: list[bytes], terms: Terms
) -> ScriptCall:
    """A client's call, as far as its words say."""
    return ScriptCall(
        "", None, keys, args, session.db, session.resp == 3, terms.r, terms.w, terms.sloppy,
        reads_only="readonly" in command.flag_words,
        user=None if session.guard is None else session.guard.words(),
    )


class Scripting:
    """Scripts of this node's clients."""

    def __init__(
        self, router: Router, sender: ScriptSender,
        make_session: Callable[[int, bool], Session], monitors: Monitors, pubsub: PubSub,
        libraries: Libraries,
    ) -> None:
        self._router = router
        self._node = router.node
        self.libraries = libraries
        self.functions = Functions(router.node, router, sender.scripts, libraries)
        self._sender = sender
        self.scripts = sender.scripts
        self._monitors = monitors
        self._pubsub = pubsub
        sender.ask = self.run_for_script
        self.scripts.noted = self.noted
        self.scripts.reports_words = lambda: bool(monitors.sessions)
        self._make_session = make_session
        self._by_name: dict[str, Command] = {}      # of commands that scripts have run

    # ---- EVAL and its kin ----

    def run(
        self, session: Session, command: Command, argv: Argv, terms: Terms, target: Target,
        deadline_ms: int,
    ) -> None:
        """Run a script; `target` gives the place of its reply. Raises `ReplyError`."""
        if command.name in ("fcall", "fcall_ro"):
            self._call(session, command, argv, terms, target, deadline_ms)
            return
        is_text = command.name in ("eval", "eval_ro")
        if not is_text and len(argv[1]) != 40:      # judged before the number of keys, as in Redis
            raise ReplyError(NO_SCRIPT)
        call = _call_of(session, command, *keys_and_args(argv), terms)
        if is_text:
            sha = sha_of(argv[1])
            script = self.scripts.find(sha)
            if script is None:
                shebang_of(argv[1])
                script = self.scripts.keep(sha, argv[1], False)
            self._begin(
                session, call, sha, script, terms, deadline_ms, target.hold(), script.flags
            )
            return
        sha = argv[1].decode("latin-1").lower()
        script = self.scripts.find(sha)
        if script is not None:
            self._begin(
                session, call, sha, script, terms, deadline_ms, target.hold(), script.flags
            )
            return
        if not _HASH.issuperset(sha):
            raise ReplyError(NO_SCRIPT)
        waiter = target.hold()

        def found(reply: bytes) -> None:
            script = self.scripts.find(sha)
            if script is None:
                waiter.fail(NO_SCRIPT)
                return
            try:
                self._begin(
                    session, call, sha, script, terms, deadline_ms, waiter, script.flags
                )
            except ReplyError as wrong:
                waiter.fail(wrong.text)

        self._router.start_task(self.find([sha]), terms.timeout_ms, found)

    def _call(
        self, session: Session, command: Command, argv: Argv, terms: Terms, target: Target,
        deadline_ms: int,
    ) -> None:
        """FCALL. Raises `ReplyError`."""
        found = self.libraries.find(argv[1])
        if found is None:
            raise ReplyError("ERR Function not found")
        library, function = found
        call = msgspec.structs.replace(
            _call_of(session, command, *keys_and_args_of_function(argv), terms),
            function=function.name,
        )
        script = self.scripts.find(library.key)
        if script is None:
            script = self.scripts.keep(library.key, library.code, False)
        self._begin(
            session, call, library.key, script, terms, deadline_ms, target.hold(),
            frozenset(function.flags),
        )

    def _begin(
        self, session: Session, call: ScriptCall, sha: str, script: Script, terms: Terms,
        deadline_ms: int, waiter: Waiter, flags: frozenset[str] | None,
    ) -> None:
        """Send it to where it is run. `flags` are what it has declared, if it has."""
        reads_only = call.reads_only
        takes_room = False
        if len(call.keys) > self._node.settings.transaction_commands:
            self._node.counters.transactions_too_large += 1
            waiter.fail(_TOO_MANY_KEYS.format(self._node.settings.transaction_commands))
            return
        if flags is not None:
            if NO_CLUSTER in flags and session.listener == "cluster":
                waiter.fail(_NO_CLUSTER)
                return
            if reads_only and NO_WRITES not in flags:
                waiter.fail(_RO_WRITES)
                return
            reads_only = reads_only or NO_WRITES in flags
            takes_room = ALLOW_OOM in flags or NO_WRITES in flags
            if self._node.memory_is_full and not takes_room:
                waiter.fail(_FULL)
                return
        if not reads_only:
            for key in call.keys:
                self._router.note_write(session, key)
        call.sha, call.reads_only, call.takes_room = sha, reads_only, takes_room
        call.client = session.address.encode()
        self._sender.send(call, script, terms, deadline_ms, waiter)

    # ---- texts ----

    def find(self, hashes: list[str]) -> Task:
        """Ask every node in reach for scripts, and know them; then which are known: 1 or 0 each."""
        missing = [sha for sha in hashes if self.scripts.find(sha) is None]
        peers = [link.peer for link in self._node.links.values() if link.is_up]
        if missing and peers:
            answers = yield [(peer, Texts(missing)) for peer in peers]
            for one in answers:
                for sha, body in zip(missing, answer_as(list[bytes], one) or [], strict=False):
                    if body and sha_of(body) == sha:
                        self.scripts.keep(sha, body, False)
        return bytes(self.scripts.find(sha) is not None for sha in hashes)

    def load(self, body: bytes, target: Target, timeout_ms: int) -> None:
        """SCRIPT LOAD: compile it, know it, send it to every peer. Raises `ReplyError`."""
        shebang_of(body)
        waiter = target.hold()
        deadline_ms = self._node.now.now_ms + timeout_ms
        sha = sha_of(body)

        def tried(outcome: Outcome | bytes) -> None:
            if isinstance(outcome, bytes):
                waiter.fill(outcome)
            elif outcome.kind != ENDED:
                waiter.fill(outcome.reply)
            else:
                self.scripts.load(sha, body)
                waiter.fill(bulk(sha.encode()))

        def begin(compiling: CompileWaiter) -> None:
            self.scripts.compile(body, False, compiling, deadline_ms)

        begin(CompileWaiter(tried, begin, self.scripts))

    def flush(self) -> None:
        """SCRIPT FLUSH."""
        self.scripts.flush()

    # ---- what scripts have done ----

    def noted(self, outcome: Outcome) -> None:
        """Count the commands of a script that has ended here, show and publish what it has said."""
        stats = self._router.command_stats
        for name, count, failed in outcome.calls:
            command = self._by_name.get(name)
            if command is None:
                command = find_by_name(name.encode())
                if command is None:
                    continue
                self._by_name[name] = command
            stats.calls[command] = stats.calls.get(command, 0) + count
            stats.cost_of(command).failed += failed
        for argv in outcome.words:
            self._monitors.show_script(argv, outcome.db, self._node.now.wall_ms)
        for level, said in outcome.logs:
            self._node.trace.event(
                "script_log", level=_LEVELS[level], said=said.decode("utf-8", "replace")
            )
        for channel, message, is_shard in outcome.messages:
            try:
                self._pubsub.publish(
                    SHARD if is_shard else CHANNEL, channel, message, Continuation(_ignore),
                    self._node.settings.request_timeout_ms,
                )
            except ReplyError:      # too much waits to be delivered: it counts that itself
                return

    # ---- commands that a script runs at its node ----

    def run_for_script(
        self, argv: Argv, db: int, resp3: bool, done: Callable[[bytes], None]
    ) -> None:
        """Run a command that concerns this node or all keys; `done` gets the reply."""
        session = self._make_session(db, resp3)
        router = self._router
        try:
            command = lookup(argv)
            if command.route == LOCAL:
                session.exec_target = ExecTarget(Continuation(done), False)
                reply = router.run_local(session, command, argv)
                if reply is not None:
                    done(reply)
                return
            assert command.route == COVERAGE
            terms = self._node.default_terms
            task = router.make_task(session, command, argv, terms)
            router.start_task(task, terms.timeout_ms, done)
        except ReplyError as wrong:
            done(error(wrong.text))
