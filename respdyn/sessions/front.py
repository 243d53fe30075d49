"""Where a client's command comes in: its session, its right to ask, and the road that it takes.

Four roads: answered at once from what this connection or this node knows (`local`), one key or
several (`dispatch`), every partition (`coverage`), the cluster itself (`cluster_view`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from respdyn.cluster.tasks import Task
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import COVERAGE, GATHER, LOCAL, READ, WRAP, Command
from respdyn.commands.table import find, lookup
from respdyn.coordination import covering
from respdyn.coordination.calls import CANNOT_STORE, FULL
from respdyn.coordination.consistency import follow, parse_terms
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.groups import keys_in
from respdyn.errors import ReplyError
from respdyn.local import table
from respdyn.local.times_to_live import TimesToLive
from respdyn.membership.arrival import Arrival
from respdyn.resp.replies import error
from respdyn.resp.requests import HTTP_WORDS
from respdyn.ring.hashing import locator
from respdyn.sessions import client_info, monitors, pubsub_tasks, tracked_run, transactions
from respdyn.sessions.command_stats import Journal
from respdyn.sessions.fast_path import Plain
from respdyn.sessions.group_sender import read_watched
from respdyn.sessions.holding import Holding
from respdyn.sessions.memory import Memory
from respdyn.sessions.pausing import Pausing
from respdyn.sessions.session import ALL_KEYS, Load, Session
from respdyn.sessions.users import Users

if TYPE_CHECKING:
    from respdyn.node import Node

_FORMING = "CLUSTERDOWN the cluster is forming: {} of {} nodes have met"
_AWAITS = "CLUSTERDOWN this node waits to be joined: DYN.CLUSTER JOIN at a member, PLAN, COMMIT"
_LEFT = "CLUSTERDOWN this node has left the cluster and can be stopped"
_WAITED = "TIMEOUT the commands before it were not answered in time: nothing was done"
_STOPPING = "LOADING this node is stopping"
_NOQUORUM: Final = b"-NOQUORUM"
_OVERLOAD = "OVERLOAD {} requests are in flight already; try again"


class Front:
    """All sessions of this node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.sessions: dict[int, Session] = {}
        self.n = 0                              # how many copies of each key there are
        self.is_out = False                     # this node was dropped from the ring
        self.connections = 0                    # since the start
        self.calls: dict[Command, int] = {}     # since the start or CONFIG RESETSTAT
        self.journal = Journal(node.this.now)
        node.latencies.tell = self.journal.happened
        self.memory = Memory(
            node.replica, node.hints, self.sessions, lambda tag: node.host.buffered(tag)
        )
        # Nanoseconds; the driver's runs within a turn too.
        self.clock_ns: Callable[[], int] = lambda: 1_000_000 * node.now_ms
        self.monitors = monitors.Monitors()
        self.times_to_live = TimesToLive(node.replica)
        self._load = Load(node.this.now)
        self._load.note_failed = self.journal.failed
        self._load.waited = self.journal.waited
        self.journal.whom = lambda: node.view.whom()
        self.pausing = Pausing(self._load.ready)
        self.arrival = Arrival(self, self._load.ready)
        self.holding = Holding(self, self._load.ready)
        self.errors = self._load.errors         # error replies, by first word
        self.users = Users(node, self.sessions, lambda session: client_info.describe(
            session, node.wall_ms, node.host, self.memory
        ))
        self.plain = Plain(
            node.this, node.coordinator, node.dispatcher, self.calls,
        )
        self.context = table.LocalContext(node)
        self.users.kill = self.context.kill
        self._next_id = 0
        self._whole: list[bytes] = []           # the command at hand, as the client sent it
        self._came_ms = 0                       # and when

    # ---- sessions ----

    def open_session(
        self, address: str, local_address: str, listener: str, tag: object, dirty: list[Session]
    ) -> Session:
        """A new connection."""
        self._next_id += 1
        self.connections += 1
        session = Session(
            self._next_id, address, local_address, listener, self._node.wall_ms,
            self._node.this.default_terms, dirty, tag, self._load,
        )
        self.users.welcome(session)
        self.sessions[session.id] = session
        return session

    def close_session(self, session: Session) -> None:
        """A connection is gone."""
        self.sessions.pop(session.id, None)
        self.pausing.waiting.pop(session, None)
        self.arrival.waiting.pop(session, None)
        self.holding.forget(session)
        self.memory.forget(session)
        self._node.telling.forget(session)
        self.monitors.forget(session)
        session.closing = True

    def settings_changed(self) -> None:
        """Take over what CONFIG SET may have changed."""
        settings = self._node.settings
        self._load.push_limit = settings.pubsub_output_limit
        self.journal.heed(settings.slowlog_us, settings.slowlog_max_len, settings.latency_ms)
        self._load.slow_ms = self.journal.slow_ms
        self.look_at_memory()

    # ---- for transactions, and for other rooms ----

    @property
    def node(self) -> Node:
        """The node whose front this is."""
        return self._node

    @property
    def dispatcher(self) -> Dispatcher:
        """Who runs commands on keys."""
        return self._node.dispatcher

    @property
    def here(self) -> str:
        """This node's id."""
        return self._node.identity.node_id

    @property
    def transaction_limit(self) -> int:
        """How many bytes a transaction may queue."""
        return self._node.settings.transaction_limit

    def run_local(self, session: Session, command: Command, argv: list[bytes]) -> bytes | None:
        """Answer a command from this connection or this node. Raises `ReplyError`."""
        return table.run(self.context, session, command, argv)

    def start_task(self, task: Task, timeout_ms: int, done: Callable[[bytes], None]) -> None:
        """Run a task of the control path."""
        self._node.asking.start(task, timeout_ms, done)

    def tick(self) -> None:
        """Time passes."""
        if self._node.settings.maxmemory:
            self.look_at_memory()

    def look_at_memory(self) -> None:
        """Whether clients' writes are refused from now on."""
        most = self._node.settings.maxmemory
        self._node.this.memory_is_full = 0 < most < self.memory.held()

    def turned(self, took_ms: int) -> None:
        """A turn took so long."""
        self._node.admission.turned(took_ms)
        self.journal.happened("turn", took_ms)

    # ---- asked by others ----

    def held(self) -> int:
        """Requests whose reply is not there yet."""
        return self._load.held

    def set_quorums(self, n: int) -> None:
        """The ring says how many copies there are; quorums that were not given follow."""
        if n == self.n:
            return
        settings = self._node.settings
        self.n = n
        terms = self._node.this.default_terms
        terms.r = min(settings.r or n // 2 + 1, n)
        terms.w = min(settings.w or n // 2 + 1, n)
        for session in self.sessions.values():
            follow(session.terms, terms, n)

    # ---- commands ----

    def commands(
        self, session: Session, ready: deque[list[bytes]], most: int, soft_bytes: int
    ) -> None:
        """Run commands of a client, in order; their replies join its output, now or later.

        Ends when none is left, `most` were run, or its next is held; and when it has more than
        `soft_bytes` of output to read, or `PENDING_MAX` replies or commands that wait.
        """
        last = len(ready) - most
        while ready and len(ready) > last:
            if self._is_usual(session):
                room = self._node.settings.max_inflight - self._load.held
                first = ready[0]
                began_ns = self.clock_ns()
                gets, sets = self.plain.run(
                    session, ready, min(len(ready) - last, room), soft_bytes
                )
                if gets or sets:
                    took_ns = self.clock_ns() - began_ns
                    self.journal.ran_plain(session, gets, sets, first, took_ns)
                if not ready:
                    return
            if session.out_bytes > soft_bytes or session.is_full():
                return
            if len(ready) > last:
                self._command(session, ready.popleft())
                if session.is_held:
                    return

    def _is_usual(self, session: Session) -> bool:
        """Whether `plain` may run commands of this session.

        Every rule that `_begin` and `run` apply to a command because of its session or its node,
        rather than of the command itself, is named here.
        """
        return (
            session.guard is None and session.transaction is None and not session.closing
            and session.written is None and not session.watched
            and not session.has_barrier and not session.backlog
            and session.reply_mode == "on"
            and (session.subscriptions is None or session.resp == 3)
            and session.tracking is None and not self.monitors.sessions
            and not self._node.this.stopping and bool(self._node.this.plans)
            and self._node.dispatcher.notices is None
            and not self._node.this.memory_is_full and not self.journal.times_each
            and not self.pausing.is_on
            and self.arrival.is_over and not self.holding.is_on
            and self._load.held < self._node.settings.max_inflight
        )

    def _command(self, session: Session, argv: list[bytes]) -> None:
        if session.has_barrier or session.backlog:
            session.backlog.append((argv, self._node.now_ms))
            if self.pausing.is_on:
                self.pausing.overhear(
                    argv, lambda command: not self.users.check_queued(session, command, argv),
                    self._node.now_ms,
                )
            return
        if session.closing:
            return
        self._begin(session, argv, self._node.now_ms)

    def resume(self) -> None:
        """Go on with the commands of sessions whose barrier has fallen. Once a turn."""
        if not self.arrival.is_over:
            self.arrival.look(self._node.now_ms)
        ready = self._load.ready
        while ready:
            session = ready.pop()
            backlog = session.backlog
            while backlog and not session.has_barrier and not session.closing:
                before = len(backlog)
                self._begin(session, *backlog.popleft())
                if len(backlog) == before:      # it went back in line, to wait for those before
                    break
            session.mark()      # there is room for more of its commands

    def is_ready(self) -> bool:
        """Whether `resume` has work."""
        return bool(self._load.ready)

    def _begin(self, session: Session, argv: list[bytes], came_ms: int) -> None:
        self._whole = argv
        self._came_ms = came_ms
        session.last_ms = self._node.wall_ms
        is_accepted = False
        shown: list[tuple[Command, list[bytes]]] = []
        began_ns = self.clock_ns()
        command = None
        runs = False
        try:
            command = lookup(argv)
            session.last_command = command.name
            self._check_allowed(session, command, argv)
            if self.pausing.is_on and self.pausing.stops(session, command):
                self.put_back(session)
                self.pausing.waiting[session] = None
                return
            if not self.arrival.is_over and self.arrival.stops(command):
                self.arrival.hold(session)
                return
            if self.holding.is_on and self.holding.stops(session, command, argv):
                self.put_back(session)
                return
            if session.transaction is not None and command.name not in transactions.AT_ONCE:
                reply: bytes | None = transactions.enqueue(self, session, command, argv)
            else:
                is_accepted = True
                if self.monitors.sessions:
                    shown = self.monitors.look(session, command, argv)
                runs = True
                if session.tracking is None:
                    reply = self.run(session, command, argv, session.terms)
                else:
                    reply = tracked_run.run(
                        self, self._node.telling.trackers, session, command, argv
                    )
        except ReplyError as wrong:
            reply = error(wrong.text)
            if not is_accepted:
                reply = transactions.refused(session, argv, wrong.text) or reply
            command = command or find(argv)
            session.last_command = "" if command is None else command.name
            if self.monitors.sessions and argv[0].upper() == b"EXEC" and command is not None:
                shown = [(command, argv)]
            if command is None and argv[0].lower() in HTTP_WORDS:
                session.cut()
                self.attacked(session)
                return
        self._account(session, command, argv, reply, runs, began_ns)
        if reply is not None:
            session.reply(reply)
        if shown:
            self.monitors.tell(session, shown, self._node.wall_ms)

    def _check_allowed(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Raises `ReplyError` for what this client may not say, whatever the words are."""
        if session.guard is not None:
            self.users.check(session, command, argv)
        if session.is_monitor:
            monitors.check_allowed(session, command)
        if session.subscriptions is not None and session.resp == 2:
            pubsub_tasks.check_allowed(command)

    def attacked(self, session: Session) -> None:
        """A client spoke HTTP: somebody's browser was lured here. Told once for each address."""
        self.users.tell_once(session, "cross_protocol_attack")

    def _account(
        self, session: Session, command: Command | None, argv: list[bytes], reply: bytes | None,
        runs: bool, began_ns: int,
    ) -> None:
        """Note what a command has cost, and whether it was refused (`runs` is False) or failed."""
        if reply is None:
            pending = session.pending
            if pending and pending[-1].reply is None:
                pending[-1].note(command, argv, self._came_ms)      # its end comes later
            elif session.backlog:
                return                              # it went back in line
            is_error = False
        elif is_error := reply[:1] == b"-":
            self._load.failed(reply)
        if command is None:
            return
        if not runs:
            if is_error:
                self.journal.cost_of(command).rejected += 1
            return                                  # or it was queued
        self.ran(session, command, argv, self.clock_ns() - began_ns, is_error)

    def ran(
        self, session: Session, command: Command, argv: list[bytes], took_ns: int, is_error: bool
    ) -> None:
        """Note that a command ran, in a transaction or by itself."""
        self.calls[command] = self.calls.get(command, 0) + 1
        if is_error:
            self.journal.cost_of(command).failed += 1
        self.journal.ran(session, command, argv, took_ns)

    def run(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> bytes | None:
        """The road of a command. The reply, or None when it comes later."""
        route = command.route
        if route is LOCAL:
            return table.run(self.context, session, command, argv)
        node = self._node
        dispatcher = node.dispatcher
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
            read_watched(self, session, command, argv, terms, self.deadline(terms))
            if session.pending and session.pending[-1].reply is None:
                session.note(key, False)
            return None
        reply = dispatcher.execute(
            command, argv, session.db, session.resp == 3, terms, session, self.deadline(terms)
        )
        if reply is None:
            session.note(key, is_write)
        elif session.listener == "cluster" and reply[:9] == _NOQUORUM:
            # Refused on the spot: nothing was done. This word makes clients ask for the slot map
            # anew, of other nodes as well, and try again: this one may be cut off alone.
            return b"-CLUSTERDOWN " + reply[1:]
        return reply

    def note_write(self, session: Session, key: bytes) -> None:
        """WAIT will want to know of this."""
        name = locator(session.db, key)
        session.note_write(name, self._node.this.plans[name[0] << 8 | name[1]].group)

    def check_ready(self, command: Command) -> None:
        """Raises `ReplyError` if this node cannot run commands on keys, or none can that write."""
        dispatcher = self._node.dispatcher
        this = self._node.this
        if not this.plans or this.stopping or self.is_out:
            raise self.not_ready()
        if dispatcher.nobody_stores and "write" in command.flag_words:
            raise ReplyError(CANNOT_STORE.format(this.store_failure))

    def check_room(self, command: Command) -> None:
        """Raises `ReplyError` if there is no memory for more."""
        if self._node.this.memory_is_full and "denyoom" in command.flag_words:
            raise ReplyError(FULL)

    def check_load(self) -> None:
        """Raises `ReplyError` when as many requests are under way as may be."""
        if self._load.held >= self._node.settings.max_inflight:
            self._node.counters.overloads += 1
            raise ReplyError(_OVERLOAD.format(self._load.held))

    def check_elsewhere(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Raises `ReplyError` for another database on the port that has only one."""
        find_elsewhere = command.elsewhere if session.listener == "cluster" else None
        if find_elsewhere is not None and command.name == "move":
            raise ReplyError("ERR MOVE is not allowed in cluster mode")
        if find_elsewhere is not None and find_elsewhere(argv) not in (None, (0, argv[2])):
            raise ReplyError("ERR Copying to another database is not allowed in cluster mode")

    def put_back(self, session: Session) -> None:
        """The command at hand waits until all before it have been answered."""
        session.backlog.appendleft((self._whole, self._came_ms))

    def deadline(self, terms: Terms) -> int:
        """When the command at hand must be answered. Raises `ReplyError` if that is past."""
        deadline_ms = self._came_ms + terms.timeout_ms
        if deadline_ms <= self._node.now_ms:
            raise ReplyError(_WAITED)
        return deadline_ms

    def _gather(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> bytes | None:
        """A command on several keys."""
        is_write = "write" in command.flag_words
        two_steps = command.then is not None
        if session.pending and (two_steps or session.must_wait(ALL_KEYS, is_write)):
            self.put_back(session)
            return None
        self.check_elsewhere(session, command, argv)
        if session.watched and not is_write and not two_steps:
            read_watched(self, session, command, argv, terms, self.deadline(terms))
            if session.pending and session.pending[-1].reply is None:
                session.note(ALL_KEYS, False)
            return None
        self._node.dispatcher.gather(
            command, argv, session.db, session.resp == 3, terms, session, self.deadline(terms)
        )
        if is_write:
            for key in keys_in(command, argv):
                self.note_write(session, key)
        if session.pending and session.pending[-1].reply is None:
            session.note(ALL_KEYS, is_write)
            if two_steps:
                session.bar()
        return None

    def _cover(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> None:
        """A command that concerns all keys: behind all before it, before all behind it."""
        if session.pending:
            self.put_back(session)
            return
        task = self.task(session, command, argv, terms)
        cell = session.hold()
        session.bar()
        self._node.asking.start(task, terms.timeout_ms, cell.fill)

    def not_ready(self) -> ReplyError:
        """Why commands on keys are not accepted."""
        if self._node.this.stopping:
            return ReplyError(_STOPPING)
        if self.is_out:
            return ReplyError(_LEFT)
        if self._node.membership.awaits:
            return ReplyError(_AWAITS)
        met = len(self._node.membership.candidates)
        return ReplyError(_FORMING.format(met, self._node.settings.cluster_size or "?"))

    def task(
        self, session: Session, command: Command, argv: list[bytes], terms: Terms
    ) -> Task:
        """The task of a command that concerns every partition, or the cluster."""
        return covering.task(self.context, session, command, argv, terms)
