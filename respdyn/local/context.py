"""What the functions of LOCAL commands are given: the node's facts, and what they show."""

from collections.abc import Callable, Mapping

from respdyn.cluster.latencies import Latencies
from respdyn.cluster.slot_map import SlotMap
from respdyn.cluster.tasks import TaskRunner
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Command
from respdyn.commands.table import BY_NAME
from respdyn.config import Settings
from respdyn.host import Host
from respdyn.local.backups import Backups
from respdyn.local.times_to_live import TimesToLive
from respdyn.membership.readiness import Readiness
from respdyn.replication.exchange import Exchange
from respdyn.sessions.command_stats import CommandStats
from respdyn.sessions.router import Router
from respdyn.sessions.session import Session
from respdyn.sessions.sessions import Sessions
from respdyn.sessions.users import Users


class LocalContext:
    """What these commands need of the node, and nothing else."""

    def __init__(
        self, node: ThisNode, host: Callable[[], Host], apply_settings: Callable[[Settings], None],
        sessions: Sessions, slot_map: SlotMap, readiness: Readiness, exchange: Exchange,
        latencies: Latencies, task_runner: TaskRunner,
    ) -> None:
        self.node = node
        self.sessions = sessions
        self.notifications = sessions.notifications
        self.draining = sessions.draining
        self.topology = sessions.topology
        self.slot_map = slot_map
        self.readiness = readiness
        self.exchange = exchange
        self.latencies = latencies
        self.task_runner = task_runner
        self.apply_settings = apply_settings    # of CONFIG SET, once they were found right
        self._host = host
        self.started_ms = node.now.wall_ms
        self.first_settings = node.settings     # before CONFIG SET
        self.backups = Backups()
        self.times_to_live = TimesToLive(node.replica)
        self.loaded = 0                         # records that the store held at the start
        # What only the driver knows, by field of INFO: used_memory, process_id, used_cpu_sys ...
        self.outside: Callable[[], Mapping[str, str]] = dict

    @property
    def now_ms(self) -> int:
        """The wall clock's time."""
        return self.node.now.wall_ms

    @property
    def settings(self) -> Settings:
        return self.node.settings

    @property
    def terms(self) -> Terms:
        """The terms of a connection that has not chosen others."""
        return self.node.default_terms

    @property
    def users(self) -> Users:
        return self.sessions.users

    @property
    def command_stats(self) -> CommandStats:
        return self.sessions.command_stats

    @property
    def router(self) -> Router:
        return self.sessions.router

    @property
    def host(self) -> Host:
        return self._host()

    @property
    def n(self) -> int:
        """How many copies of each key there are."""
        return self.sessions.router.n

    def container(self, name: str) -> Command:
        return BY_NAME[name.encode()]

    def kill(self, session: Session) -> None:
        """Close another client's connection at once, without the replies that it waits for."""
        session.cut()
        self.leave(session)

    def leave(self, session: Session) -> None:
        """The client leaves all lists; its connection is closed when its reply is written."""
        self.sessions.close_session(session)
