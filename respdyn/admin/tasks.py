"""Tasks for commands that concern every partition, or the cluster: which one does each.

On the client port they are of the whole cluster, on the cluster port of what this node is shown as
the primary of. `TASKS` lists them all, and must name every command declared COVERAGE.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from respdyn.admin import render
from respdyn.admin.health import Health, health_of
from respdyn.admin.staging import Staging, at_once
from respdyn.admin.status import ClusterStatus
from respdyn.admin.sync_wait import sync_wait
from respdyn.admin.verify import Verification, repair
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.questions import KillScript, Ran
from respdyn.cluster.slot_map import SlotMap
from respdyn.cluster.tasks import Task, answer_as
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands import scan
from respdyn.commands.arguments import integer_of
from respdyn.commands.declare import COVERAGE, Argv, Command
from respdyn.commands.dyn import parse_wait
from respdyn.commands.table import COMMANDS
from respdyn.coordination.coverage import Coverage, untag
from respdyn.coordination.scripts import (
    BUSY_FUNCTION,
    BUSY_SCRIPT,
    KILLED,
    OTHER_KIND,
    RanFor,
)
from respdyn.errors import ReplyError
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import Membership
from respdyn.membership.readiness import Readiness
from respdyn.membership.ring_changes import RingChanges
from respdyn.replication.exchange import Exchange
from respdyn.replication.transfer import Transfer
from respdyn.resp.replies import OK, array, bulk, bulks, error, integer, map_, null, text
from respdyn.ring.hashing import DATABASES
from respdyn.sessions import pubsub_tasks
from respdyn.sessions.session import Session
from respdyn.sessions.sessions import Sessions

_SWAP_REFUSED = (
    "ERR SWAPDB is not offered: a database is part of every key's place, so all keys of both"
    " would have to be written anew"
)


@dataclass(slots=True)
class TaskCall:
    """A command that is to become a task."""

    name: str
    argv: Argv
    db: int
    resp3: bool
    terms: Terms
    mine: tuple[bool, ...] | None     # the partitions that it is about; None: all


class Tasks:
    """Makes the tasks."""

    def __init__(
        self, node: ThisNode, sessions: Sessions, membership: Membership, gossip: Gossip,
        readiness: Readiness, slot_map: SlotMap, coverage: Coverage, exchange: Exchange,
        transfer: Transfer, changes: RingChanges, coordinator: Coordinator,
    ) -> None:
        self.node = node
        self.slot_map = slot_map
        self.coverage = coverage
        self.status = ClusterStatus(
            node, sessions.directory, membership, gossip, readiness, coverage, transfer
        )
        self.directory = sessions.directory
        self.sessions = sessions
        self._readiness = readiness
        self.gossip = gossip
        self.exchange = exchange
        self.staging: Staging = Staging(node, membership, changes, sessions.draining, coordinator)

    def health(self) -> Health:
        """How this node is, by its own word."""
        sessions = self.sessions
        return health_of(
            self.node, self.exchange, self._readiness.clock, len(sessions.by_id), sessions.held()
        )

    def make(self, session: Session, command: Command, argv: Argv, terms: Terms) -> Task:
        """The task of a command. Raises `ReplyError`."""
        mine = None
        if session.listener == "cluster":
            self.slot_map.look(self.node.now.now_ms)
            mine = self.slot_map.mine()
        call = TaskCall(command.name, argv, session.db, session.resp == 3, terms, mine)
        return TASKS[command.name](self, call)


# ---- keys ----


def _scan(tasks: Tasks, call: TaskCall) -> Task:
    request = scan.parse_scan(call.argv)
    tag, mine = 0, call.mine
    if mine is not None:
        tag, cursor = untag(request.cursor)
        tag, mine = tasks.slot_map.mine_for(tag)
        request = replace(request, cursor=cursor)
    return tasks.coverage.scan(request, call.db, call.terms, mine, tag)


def _keys(tasks: Tasks, call: TaskCall) -> Task:
    return tasks.coverage.keys(scan.parse_keys(call.argv), call.db, call.terms, call.mine)


def _dbsize(tasks: Tasks, call: TaskCall) -> Task:
    return tasks.coverage.size(call.db, call.mine)


def _randomkey(tasks: Tasks, call: TaskCall) -> Task:
    return tasks.coverage.random_key(
        tasks.node.random.random(), call.db, call.resp3, call.terms, call.mine
    )


def _flush(tasks: Tasks, call: TaskCall) -> Task:
    scan.parse_flush(call.argv)
    dbs = [call.db] if call.name == "flushdb" else list(range(DATABASES))
    return tasks.coverage.flush(dbs, call.terms, call.mine)


def _swapdb(tasks: Tasks, call: TaskCall) -> Task:
    for argument, place in ((call.argv[1], "first"), (call.argv[2], "second")):
        if integer_of(argument) is None:
            raise ReplyError(f"ERR invalid {place} DB index")
    if not all(0 <= int(argument) < DATABASES for argument in call.argv[1:3]):
        raise ReplyError("ERR DB index is out of range")
    raise ReplyError(_SWAP_REFUSED)


# ---- channels ----


def _channels(tasks: Tasks, call: TaskCall) -> Task:
    nodes = tasks.directory.reachable()
    return pubsub_tasks.task(nodes if call.mine is None else nodes[:1], call.name, call.argv)


# ---- scripts ----


def _script_exists(tasks: Tasks, call: TaskCall) -> Task:
    hashes = [argument.decode("latin-1").lower() for argument in call.argv[2:]]
    known = yield from tasks.sessions.scripting.find(hashes)
    return array([integer(one) for one in known])


def _kill(tasks: Tasks, call: TaskCall) -> Task:
    """SCRIPT KILL and FUNCTION KILL."""
    is_function = call.name == "function|kill"
    nodes = tasks.directory.reachable()
    answers = yield [
        (node, KillScript(is_function)) for node in (nodes if call.mine is None else nodes[:1])
    ]
    found = {answer_as(int, one) for one in answers}
    if KILLED in found:
        return OK
    if OTHER_KIND in found:
        return error(BUSY_SCRIPT if is_function else BUSY_FUNCTION)
    return error("NOTBUSY No scripts in execution right now.")


def _function_stats(tasks: Tasks, call: TaskCall) -> Task:
    nodes = tasks.directory.reachable()
    answers = yield [(node, Ran()) for node in (nodes if call.mine is None else nodes[:1])]
    found = [one for one in (answer_as(RanFor, answer) for answer in answers) if one is not None]
    resp3 = call.resp3
    shown = null(resp3)
    if found:
        longest = max(found, key=lambda one: one.ms)
        shown = map_([
            (text("name"), bulk(longest.name)), (text("command"), bulks(longest.argv)),
            (text("duration_ms"), integer(longest.ms)),
        ], resp3)
    libraries, functions, _ = tasks.sessions.libraries.counts()
    counts = map_([
        (text("libraries_count"), integer(libraries)), (text("functions_count"), integer(functions))
    ], resp3)
    return map_([
        (text("running_script"), shown), (text("engines"), map_([(text("LUA"), counts)], resp3)),
    ], resp3)


# ---- the cluster ----


def _explain(tasks: Tasks, call: TaskCall) -> Task:
    report = yield from tasks.status.key(call.argv[1], call.db)
    return render.key(report, call.resp3)


def _status(tasks: Tasks, call: TaskCall) -> Task:
    report = yield from tasks.status.cluster()
    return render.cluster(report, call.resp3)


def _members(tasks: Tasks, call: TaskCall) -> Task:
    return at_once(render.members(tasks.status.members(), call.resp3))


def _ring(tasks: Tasks, call: TaskCall) -> Task:
    return at_once(render.ring(tasks.status.ring(), call.resp3))


def _verify(tasks: Tasks, call: TaskCall) -> Task:
    return Verification(tasks.node, tasks.exchange.trees).task(call.resp3)


def _repair(tasks: Tasks, call: TaskCall) -> Task:
    return repair(tasks.node, call.resp3)


def _syncwait(tasks: Tasks, call: TaskCall) -> Task:
    return sync_wait(tasks.node, parse_wait(call.argv[1]))


def _renew_keys(tasks: Tasks, call: TaskCall) -> Task:
    """Another key proves context tokens from now on."""
    tasks.staging.check_member()
    tasks.gossip.token_keys.renew()
    tasks.gossip.send_keys()
    tasks.node.trace.event("token_keys_renewed")
    return at_once(OK)


def _words(call: TaskCall) -> list[str]:
    """What follows the verb."""
    return [word.decode("utf-8", "replace") for word in call.argv[2:]]


TASKS: Final[dict[str, Callable[[Tasks, TaskCall], Task]]] = {
    "scan": _scan,
    "keys": _keys,
    "dbsize": _dbsize,
    "randomkey": _randomkey,
    "flushdb": _flush,
    "flushall": _flush,
    "swapdb": _swapdb,
    "pubsub|channels": _channels,
    "pubsub|numpat": _channels,
    "pubsub|numsub": _channels,
    "pubsub|shardchannels": _channels,
    "pubsub|shardnumsub": _channels,
    "script|exists": _script_exists,
    "script|kill": _kill,
    "function|kill": _kill,
    "function|stats": _function_stats,
    "dyn.explain": _explain,
    "dyn.syncwait": _syncwait,
    "dyn.cluster|status": _status,
    "dyn.cluster|members": _members,
    "dyn.cluster|ring": _ring,
    "dyn.cluster|verify": _verify,
    "dyn.cluster|repair": _repair,
    "dyn.cluster|join": lambda tasks, call: tasks.staging.join(_words(call)),
    "dyn.cluster|leave": lambda tasks, call: tasks.staging.leave(_words(call)),
    "dyn.cluster|replace": lambda tasks, call: tasks.staging.replace(_words(call)),
    "dyn.cluster|force-remove": lambda tasks, call: tasks.staging.force_remove(_words(call)),
    "dyn.cluster|change": lambda tasks, call: tasks.staging.change(_words(call)),
    "dyn.cluster|plan": lambda tasks, call: tasks.staging.plan(call.resp3),
    "dyn.cluster|commit": lambda tasks, call: tasks.staging.commit(),
    "dyn.cluster|clear": lambda tasks, call: tasks.staging.clear(),
    "dyn.cluster|renew-keys": _renew_keys,
    "dyn.cluster|drain": lambda tasks, call: tasks.staging.drain(_words(call)),
}


def _declared() -> set[str]:
    """The names of all commands that become tasks: COVERAGE, and no container."""
    everything = [one for command in COMMANDS for one in (command, *command.subcommands)]
    return {one.name for one in everything if one.route == COVERAGE and not one.subcommands}


assert _declared() == set(TASKS), _declared() ^ set(TASKS)
