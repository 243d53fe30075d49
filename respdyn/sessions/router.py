"""The router: which way a client's command is run, and what refuses it before it begins.

Four ways: answered at once from what this connection or this node knows (`local`), one key or
several (`coordination/dispatch`), every partition (`coordination/coverage`), the cluster itself
(`admin`). The first and the last lie above this package, so the node hands them in.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.quorum import Target
from respdyn.cluster.tasks import Task
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import (
    COVERAGE,
    GATHER,
    LOCAL,
    READ,
    SCRIPT,
    WRAP,
    Argv,
    Blocking,
    Command,
)
from respdyn.commands.table import lookup
from respdyn.coordination.calls import FULL
from respdyn.coordination.consistency import follow, parse_terms
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.groups import Groups
from respdyn.coordination.may_write import CANNOT_STORE
from respdyn.errors import ReplyError
from respdyn.membership.readiness import Readiness
from respdyn.ring.hashing import locator, slot_of_locator
from respdyn.sessions.command_stats import CommandStats
from respdyn.sessions.group_sender import Sender, read_watched
from respdyn.sessions.session import ALL_KEYS, Session, SharedSessionState
from respdyn.sessions.users import Users

_WAITED = "TIMEOUT the commands before it were not answered in time: nothing was done"
_NOQUORUM: Final = b"-NOQUORUM"
_OVERLOAD = "OVERLOAD {} requests are in flight already; try again"

RunLocal = Callable[[Session, Command, list[bytes]], bytes | None]
MakeTask = Callable[[Session, Command, list[bytes], Terms], Task]
StartTask = Callable[[Task, int, Callable[[bytes], None]], None]
RunScript = Callable[[Session, Command, list[bytes], Terms, Target, int], None]
Block = Callable[[Session, Command, Callable[[Argv], Blocking], Argv, Terms, int], None]


def _no_scripts(
    session: Session, command: Command, argv: list[bytes], terms: Terms, target: Target,
    deadline_ms: int,
) -> None:
    raise AssertionError("the part that runs scripts is made after this one")


class Router:
    """Sends commands on their way."""

    def __init__(
        self, node: ThisNode, load: SharedSessionState, sessions: dict[int, Session], users: Users,
        command_stats: CommandStats, dispatcher: Dispatcher, groups: Groups, readiness: Readiness,
        run_local: RunLocal, make_task: MakeTask, start_task: StartTask, block: Block,
    ) -> None:
        self.n = 0                              # how many copies of each key there are
        self.node = node
        self.users = users
        self.command_stats = command_stats
        self.dispatcher = dispatcher
        self.groups = groups
        self.run_local = run_local      # answers from this connection or node; raises `ReplyError`
        self.make_task = make_task      # of what concerns every partition, or the cluster
        self.start_task = start_task    # on the control path
        self.run_script: RunScript = _no_scripts
        self._block = block             # a command that waits
        self.whole: list[bytes] = []    # the command at hand, as the client sent it
        self.came_ms = 0                # and when
        self._load = load
        self._sessions = sessions
        self._readiness = readiness

    def set_quorums(self, n: int) -> None:
        """The ring says how many copies there are; quorums that were not given follow."""
        if n == self.n:
            return
        settings = self.node.settings
        self.n = n
        terms = self.node.default_terms
        terms.r = min(settings.r or n // 2 + 1, n)
        terms.w = min(settings.w or n // 2 + 1, n)
        for session in self._sessions.values():
            follow(session.terms, terms, n)

    def run(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> bytes | None:
        """The road of a command. The reply, or None when it comes later."""
        route = command.route
        if route is LOCAL:
            return self.run_local(session, command, argv)
        self.check_ready(command)
        self.check_load()
        self.check_room(command)
        if command.single is not None and len(argv) == 2:
            command = command.single
            route = command.route
        if route is GATHER:
            return self._gather(session, command, argv, terms)
        if route is COVERAGE:
            self._cover(session, command, argv, terms)
            return None
        if route is SCRIPT:
            self._script(session, command, argv, terms)
            return None
        if route is WRAP:
            terms, inner = parse_terms(argv[1:], terms, self.n)
            if not inner:
                raise ReplyError("ERR DYN.WITH needs a command after its terms")
            return self.run(session, lookup(inner), inner, terms)
        key = argv[command.keys.first]
        is_write = route is not READ
        if session.pending and session.must_wait(key, is_write):
            self.put_back(session)
            return None
        if is_write:
            self.note_write(session, key)
        elif session.watched:
            read_watched(self.sender(terms, self.deadline(terms)), session, command, argv, terms)
            session.note(key, False)
            return None
        reply = self.dispatcher.execute(
            command, argv, session.db, session.resp == 3, terms, session, self.deadline(terms)
        )
        if reply is None:
            session.note(key, is_write)
        elif session.listener == "cluster" and reply[:9] == _NOQUORUM:
            # Refused on the spot: nothing was done. This word makes clients ask for the slot map
            # anew, of other nodes as well, and try again: this one may be cut off alone.
            return b"-CLUSTERDOWN " + reply[1:]
        return reply

    def _gather(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> bytes | None:
        """A command on several keys."""
        is_write = "write" in command.flag_words
        two_steps = command.then is not None
        if session.pending and (two_steps or session.must_wait(ALL_KEYS, is_write)):
            self.put_back(session)
            return None
        self.check_other_key(session, command, argv)
        if command.block is not None and (command.waits is None or command.waits(argv)):
            self._block(session, command, command.block, argv, terms, self.deadline(terms))
            return None
        if session.watched and not is_write and not two_steps:
            sender = self.sender(terms, self.deadline(terms))
            is_long = read_watched(sender, session, command, argv, terms)
            if session.pending and session.pending[-1].reply is None:
                session.note(ALL_KEYS, False)
                if is_long:
                    session.bar()
            return None
        is_long = self.dispatcher.gather(
            command, argv, session.db, session.resp == 3, terms, session, self.deadline(terms),
            (lambda key: self.note_write(session, key)) if is_write else None,
        )
        if session.pending and session.pending[-1].reply is None:
            session.note(ALL_KEYS, is_write)
            if two_steps or is_long:
                session.bar()
        return None

    def _script(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> None:
        """A script: behind all before it, before all behind it, since it may use any key."""
        if session.pending and not session.lets_follow(argv):
            self.put_back(session)
            return
        deadline_ms = self.node.now.now_ms + terms.timeout_ms   # it has waited for those before it
        self.run_script(session, command, argv, terms, session, deadline_ms)
        if session.pending and session.pending[-1].reply is None:
            session.note(ALL_KEYS, True)
            session.bar_script(argv)

    def _cover(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> None:
        """A command that concerns all keys: behind all before it, before all behind it."""
        if session.pending:
            self.put_back(session)
            return
        task = self.make_task(session, command, argv, terms)
        cell = session.hold()
        session.bar()
        self.start_task(task, terms.timeout_ms, cell.fill)

    # ---- for transactions ----

    def note_write(self, session: Session, key: bytes) -> None:
        """WAIT will want to know of this."""
        name = locator(session.db, key)
        session.note_write(name, self.node.plans[slot_of_locator(name)].group)

    def sender(self, terms: Terms, deadline_ms: int) -> Sender:
        """Sends groups of commands to the nodes that do them."""
        return Sender(self.node, self.groups, self.command_stats.clock_ns, terms, deadline_ms)

    def ran(
        self, session: Session, command: Command, argv: list[bytes], took_ns: int, is_error: bool
    ) -> None:
        """Note that a command ran, in a transaction or by itself."""
        calls = self.command_stats.calls
        calls[command] = calls.get(command, 0) + 1
        if is_error:
            self.command_stats.cost_of(command).failed += 1
        self.command_stats.ran(session, command, argv, took_ns)

    # ---- refusals ----

    def check_ready(self, command: Command) -> None:
        """Raises `ReplyError` if this node cannot run commands on keys, or none can that write."""
        node = self.node
        if not node.plans or node.stopping or self._readiness.is_out:
            raise self._readiness.refusal()
        if self.dispatcher.none_can_store and "write" in command.flag_words:
            raise ReplyError(CANNOT_STORE.format(node.store_failure))

    def check_room(self, command: Command) -> None:
        """Raises `ReplyError` if there is no memory for more."""
        if self.node.memory_is_full and "denyoom" in command.flag_words:
            raise ReplyError(FULL)

    def check_load(self) -> None:
        """Raises `ReplyError` when as many requests are under way as may be."""
        if self._load.held >= self.node.settings.max_inflight:
            self.node.counters.overloads += 1
            raise ReplyError(_OVERLOAD.format(self._load.held))

    def check_other_key(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Raises `ReplyError` for another database on the port that has only one."""
        find_other_key = command.other_key if session.listener == "cluster" else None
        if find_other_key is not None and command.name == "move":
            raise ReplyError("ERR MOVE is not allowed in cluster mode")
        if find_other_key is not None and find_other_key(argv) not in (None, (0, argv[2])):
            raise ReplyError("ERR Copying to another database is not allowed in cluster mode")

    def put_back(self, session: Session) -> None:
        """The command at hand waits until all before it have been answered."""
        session.backlog.appendleft((self.whole, self.came_ms))

    def deadline(self, terms: Terms) -> int:
        """When the command at hand must be answered. Raises `ReplyError` if that is past."""
        deadline_ms = self.came_ms + terms.timeout_ms
        if deadline_ms <= self.node.now.now_ms:
            raise ReplyError(_WAITED)
        return deadline_ms
