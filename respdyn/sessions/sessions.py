"""Client sessions: where a command comes in, its right to be run, and what makes it wait.

`router` has the road that it takes from here.
"""

from collections.abc import Callable
from functools import partial

from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.latencies import Latencies
from respdyn.cluster.messages import GOSSIP_LIBRARY, GOSSIP_USER
from respdyn.cluster.slot_map import SlotMap
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.commands.declare import Command
from respdyn.commands.table import find, lookup
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.groups import Groups
from respdyn.coordination.script_sender import ScriptSender
from respdyn.errors import ReplyError
from respdyn.host import Host
from respdyn.membership.arrival import Arrival
from respdyn.membership.directory import Directory
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import Membership
from respdyn.membership.readiness import Readiness
from respdyn.resp.replies import error
from respdyn.resp.requests import HTTP_WORDS, RequestReader
from respdyn.ring.ring import Member
from respdyn.sessions import monitors, pubsub_tasks, tracked_run, transactions
from respdyn.sessions.blocking import BlockedClients
from respdyn.sessions.client_info import describe
from respdyn.sessions.command_stats import CommandStats
from respdyn.sessions.draining import Draining
from respdyn.sessions.fast_path import FastPath
from respdyn.sessions.holding import Holding
from respdyn.sessions.libraries import Libraries
from respdyn.sessions.meeting import Meeting
from respdyn.sessions.memory import Memory
from respdyn.sessions.moved_slots import MovedSlots
from respdyn.sessions.notifications import Notifications
from respdyn.sessions.pacing import Pacing
from respdyn.sessions.pausing import Pausing
from respdyn.sessions.router import MakeTask, Router, RunLocal, StartTask
from respdyn.sessions.scripting import Scripting
from respdyn.sessions.session import Session, SharedSessionState
from respdyn.sessions.topology import Topology
from respdyn.sessions.users import Users
from respdyn.sessions.users_file import begin_users


class Sessions:
    """All sessions of this node."""

    def __init__(
        self, node: ThisNode, here: Member, host: Callable[[], Host], membership: Membership,
        gossip: Gossip, readiness: Readiness, slot_map: SlotMap, coordinator: Coordinator,
        dispatcher: Dispatcher, groups: Groups, latencies: Latencies, scripts: ScriptSender,
        replan: Callable[[], None], lost_memory: Callable[[], None],
        start_task: StartTask, run_local: RunLocal, make_task: MakeTask,
    ) -> None:
        self.by_id: dict[int, Session] = {}
        self.connections = 0                    # since the start
        self._node = node
        self._now = node.now
        self._dispatcher = dispatcher
        self._load = load = SharedSessionState(node.now)
        self._latencies = latencies
        self._host = host
        self._next_id = 0
        self.errors = load.errors               # error replies, by first word
        self.directory = directory = Directory(node, membership)
        self.topology = Topology(node, slot_map, directory)
        self.draining = Draining(node, self.by_id, replan, slot_map.ranges, here)
        self.notifications = Notifications(
            node, dispatcher, self.by_id, self.draining,
            MovedSlots(slot_map, self.by_id, self.topology.addresses),
        )
        self.blocking = BlockedClients(node, dispatcher, self.notifications.waits)
        self._meeting = Meeting(load.ready)
        self.arrival = Arrival(
            node, membership, gossip, readiness.judge_clock, self.draining.arrived, lost_memory,
            self._meeting.count, self._meeting.end,
        )
        self.command_stats = CommandStats(node.now, lambda: directory.whom(latencies.whom))
        self.calls = self.command_stats.calls
        latencies.note_wait = self.command_stats.happened
        load.note_failed = self.command_stats.failed
        load.waited = self.command_stats.waited
        self.memory = Memory(
            node.replica, node.hints, self.by_id, lambda tag: host().buffered(tag)
        )
        self.users = Users(
            node, self.by_id, partial(gossip.send_to_members, GOSSIP_USER), self.close_session,
            lambda session: describe(session, node.now.wall_ms, host(), self.memory),
        )
        self.libraries = Libraries(node, partial(gossip.send_to_members, GOSSIP_LIBRARY))
        gossip.statements[GOSSIP_USER] = self.users.statements
        gossip.statements[GOSSIP_LIBRARY] = self.libraries.statements
        self.router = Router(
            node, load, self.by_id, self.users, self.command_stats, dispatcher, groups, readiness,
            run_local, make_task, start_task, self.blocking.begin,
        )
        self.fast_path = FastPath(node, coordinator, dispatcher, self.calls)
        self.monitors = monitors.Monitors()
        self.scripting = Scripting(
            self.router, scripts, self._a_script_session, self.monitors,
            self.notifications.pubsub, self.libraries,
        )
        self.router.run_script = self.scripting.run
        load.in_its_keys = self.scripting.scripts.in_its_keys
        self.pausing = Pausing(load.ready)
        self.holding = Holding(node, load.ready)
        self.pacing = Pacing(load)

    def begin(self) -> None:
        """Know users, from `aclfile` and the store, and libraries. Raises `ConfigError`."""
        begin_users(self.users, self._node.settings.aclfile, self._host())
        self.libraries.statements.restore()

    # ---- sessions ----

    def open_session(
        self, address: str, local_address: str, listener: str, tag: object, dirty: list[Session]
    ) -> Session:
        """A new connection."""
        self._next_id += 1
        self.connections += 1
        session = Session(
            self._next_id, address, local_address, listener, self._now.wall_ms,
            self._node.default_terms, dirty, tag, self._load,
        )
        self.users.welcome(session)
        self.by_id[session.id] = session
        return session

    def close_session(self, session: Session) -> None:
        """A connection is gone."""
        self.by_id.pop(session.id, None)
        self.pausing.waiting.pop(session, None)
        self._meeting.waiting.pop(session, None)
        self.holding.forget(session)
        self.memory.forget(session)
        session.closing = True
        self.blocking.forget(session)
        self.notifications.forget(session)
        self.monitors.forget(session)

    def _a_script_session(self, db: int, resp3: bool) -> Session:
        """A session for a command that a script runs at this node."""
        session = Session(
            0, "", "", "client", self._now.wall_ms, self._node.default_terms, [], None, self._load
        )
        session.db, session.resp, session.authenticated = db, 3 if resp3 else 2, True
        return session

    def settings_changed(self) -> None:
        """Take over what CONFIG SET may have changed."""
        settings = self._node.settings
        self._latencies.log_ms = settings.latency_ms or NEVER
        self._node.default_terms.timeout_ms = settings.request_timeout_ms
        self.notifications.settings_changed(settings)
        self._load.push_limit = settings.pubsub_output_limit
        self._load.window_most = settings.max_inflight
        self.command_stats.heed(settings.slowlog_us, settings.slowlog_max_len, settings.latency_ms)
        self._load.slow_ms = self.command_stats.slow_ms
        self.look_at_memory()

    def planned(self, copies: int) -> None:
        """There are new plans, and at most so many copies of a key."""
        self.router.set_quorums(copies)
        self.blocking.replanned()

    def stop(self) -> None:
        """The node stops: no client waits any longer."""
        self.arrival.stop()
        self.blocking.stop()

    def tick(self) -> None:
        """Time passes."""
        self.pacing.look(self._now.now_ms, self._node.settings.request_timeout_ms)
        self.scripting.scripts.expire()
        self.blocking.tick()
        if self._node.settings.maxmemory:
            self.look_at_memory()

    def look_at_memory(self) -> None:
        """Whether clients' writes are refused from now on."""
        most = self._node.settings.maxmemory
        self._node.memory_is_full = 0 < most < self.memory.held()

    def handed_over(self, generation: int, size: int) -> None:
        """The store was given a batch of so many bytes."""
        self.command_stats.handed_over(generation, self._now.now_ms)
        self.holding.store.add(generation, size, self._now.now_ms)

    def stored(self, generation: int, waits_for_disk: bool) -> None:
        """The store has kept all up to this batch."""
        self.holding.store.done(generation)
        self.command_stats.stored(generation, self._now.now_ms, waits_for_disk)

    def next_deadline(self) -> int:
        """When this node's clients need a turn at the latest."""
        first_ms = min(self.notifications.next_deadline(), self.pausing.next_deadline())
        first_ms = min(first_ms, self.arrival.next_deadline())
        first_ms = min(first_ms, self.scripting.scripts.next_deadline())
        return min(first_ms, self.blocking.next_deadline())

    def turned(self, took_ms: int) -> None:
        """A turn took so long."""
        self._node.admission.turned(took_ms)
        self.command_stats.happened("turn", took_ms)

    # ---- called by other rooms ----

    def held(self) -> int:
        """Requests whose reply is not there yet."""
        return self._load.held

    def window(self) -> int:
        """At how many of them clients that wait are read no further."""
        return self._load.window

    # ---- commands ----

    def serve(
        self, session: Session, reader: RequestReader, most: int, soft_bytes: int
    ) -> int:
        """Run commands of a client as its input has them; their replies join its output, now or
        later. How many were run: none when nothing whole is left.

        Ends when `most` were run, when the next is held, when it has more than `soft_bytes` of
        output to read, or `PENDING_MAX` replies or commands that wait, or waits while there is no
        room in the window (`pacing`), and before AUTH after each.
        Raises `ProtocolError`, behind the replies to all before it.
        """
        left = 0 if session.is_full() else most
        most = left
        while left > 0 and not session.closing:
            if reader.is_before_command() and self._is_usual(session):
                left -= self._serve_plain(session, reader, left, soft_bytes)
                if left <= 0 or session.out_bytes > soft_bytes or session.is_full():
                    break
            if not reader.read():
                break
            self.command(session, reader.ready.popleft())
            left -= 1
            if (
                session.is_held or session.out_bytes > soft_bytes or session.is_full()
                or not reader.authenticated
            ):
                break
        if session.pending and self._load.held >= self._load.window:
            self._node.counters.clients_paced += 1
        return most - left

    def _serve_plain(
        self, session: Session, reader: RequestReader, most: int, soft_bytes: int
    ) -> int:
        """Run what comes first of plain commands; how many."""
        stats, path = self.command_stats, self.fast_path
        data, at = reader.data, reader.at
        load = self._load
        room = min(load.window, self._node.settings.max_inflight) - load.held
        if room <= 0 and not session.pending:
            room = 1
        began_ns = stats.clock_ns()
        after = path.run(session, data, at, most if most < room else room, soft_bytes)
        gets, sets = path.gets, path.sets
        if after != at:
            reader.skip(after)
            stats.ran_plain(session, gets, sets, data, at, stats.clock_ns() - began_ns)
        return gets + sets

    def _is_usual(self, session: Session) -> bool:
        """Whether the fast path may run commands of this session.

        Every rule that `_begin` and the router apply to a command because of its session or its
        node, rather than of the command itself, is named here.
        """
        return (
            # The session: what it may do, and that its commands are run now and answered plainly.
            session.guard is None               # else its user's rules are looked at
            and session.transaction is None     # else it is queued
            and not session.closing
            and not session.has_barrier and not session.backlog     # else it waits for others
            and session.reply_mode == "on"      # else it may have no reply
            and (session.subscriptions is None or session.resp == 3)    # else few are allowed
            # What else is noted of a command of its own.
            and session.written is None         # all that it writes, for WAIT
            and not session.watched             # what it writes, for EXEC
            and session.tracking is None        # what it reads
            and not self.monitors.sessions      # MONITOR shows it
            and self._dispatcher.keyspace_events is None    # it makes an event
            and not self.command_stats.times_each           # what each costs
            # The node: that it is there for commands, and holds none back.
            and not self._node.stopping and bool(self._node.plans)
            and not self._node.memory_is_full
            and not self.pausing.is_on
            and self.arrival.is_over and not self.holding.is_on
            and self._load.held < self._node.settings.max_inflight
        )

    def command(self, session: Session, argv: list[bytes]) -> None:
        """Run a command that was read, by the long way."""
        if session.backlog or (session.has_barrier and not session.lets_follow(argv)):
            session.backlog.append((argv, self._now.now_ms))
            if self.pausing.is_on:
                self.pausing.overhear(
                    argv, lambda command: not self.users.check_queued(session, command, argv),
                    self._now.now_ms,
                )
            return
        if session.closing:
            return
        self._begin(session, argv, self._now.now_ms)

    def resume(self) -> None:
        """Go on with the commands of sessions whose barrier has fallen. Once a turn."""
        if not self.arrival.is_over:
            self.arrival.look(self._now.now_ms)
        self.blocking.take_offers()
        ready = self._load.ready
        while ready:
            session = ready.pop()
            backlog = session.backlog
            while backlog and not session.closing and (
                not session.has_barrier or session.lets_follow(backlog[0][0])
            ):
                before = len(backlog)
                self._begin(session, *backlog.popleft())
                if len(backlog) == before:      # it went back in line, to wait for those before
                    break
            session.mark()      # there is room for more of its commands
        self.scripting.scripts.turn_ends()

    def is_ready(self) -> bool:
        """Whether `resume` has work."""
        return bool(self._load.ready) or self.blocking.is_offered()

    def _begin(self, session: Session, argv: list[bytes], came_ms: int) -> None:
        router = self.router
        router.whole = argv
        router.came_ms = came_ms
        session.last_ms = self._now.wall_ms
        is_accepted = False
        shown: list[tuple[Command, list[bytes]]] = []
        began_ns = self.command_stats.clock_ns()
        command = None
        runs = False
        try:
            command = lookup(argv)
            session.last_command = command.name
            self._check_allowed(session, command, argv)
            if self.pausing.is_on and self.pausing.stops(session, command):
                router.put_back(session)
                self.pausing.waiting[session] = None
                return
            if not self.arrival.is_over and self._meeting.stops(command):
                router.put_back(session)
                self._meeting.waiting[session] = None
                return
            if self.holding.is_on and self.holding.stops(session, command, argv):
                router.put_back(session)
                return
            if session.transaction is not None and command.name not in transactions.AT_ONCE:
                reply: bytes | None = transactions.enqueue(router, session, command, argv)
            else:
                is_accepted = True
                if self.monitors.sessions:
                    shown = self.monitors.look(session, command, argv)
                runs = True
                if session.tracking is None:
                    reply = router.run(session, command, argv, session.terms)
                else:
                    reply = tracked_run.run(
                        router, self.notifications.trackers, session, command, argv
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
            self.monitors.show(session, shown, self._now.wall_ms)

    def _check_allowed(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Raises `ReplyError` for what this client may not say, whatever the words are."""
        if session.guard is not None:
            self.users.check(session, command, argv)
        if session.is_monitor:
            monitors.check_allowed(session, command)
        if session.subscriptions is not None and session.resp == 2:
            pubsub_tasks.check_allowed(command)
        self.users.audit.runs(session, command.name, argv)

    def attacked(self, session: Session) -> None:
        """A client spoke HTTP: a user's browser was lured here. Logged once for each address."""
        self.users.log_once(session, "cross_protocol_attack")

    def _account(
        self, session: Session, command: Command | None, argv: list[bytes], reply: bytes | None,
        runs: bool, began_ns: int,
    ) -> None:
        """Note what a command has cost, and whether it was refused (`runs` is False) or failed."""
        if reply is None:
            pending = session.pending
            if pending and pending[-1].reply is None:
                pending[-1].note(command, argv, self.router.came_ms)      # its end comes later
            elif session.backlog:
                return                              # it went back in line
            is_error = False
        elif is_error := reply[:1] == b"-":
            self._load.failed(reply)
        if command is None:
            return
        if not runs:
            if is_error:
                self.command_stats.cost_of(command).rejected += 1
            return                                  # or it was queued
        self.router.ran(session, command, argv, self.command_stats.clock_ns() - began_ns, is_error)

