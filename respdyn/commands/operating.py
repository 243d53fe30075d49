"""Commands for those who run a node: backups, shutdown, slow commands, what Redis has otherwise.

Redis's replication has no counterpart: every node takes writes, and copies are kept by quorums. Its
commands are declared nevertheless, so that clients that send them get an error that says so.

Source: Redis `server.c`, `rdb.c`, `aof.c`, `replication.c`, `slowlog.c`, `latency.c`, `lolwut.c`.
"""

from respdyn.commands.declare import LOCAL, Command

_ADMIN = "admin noscript no_async_loading"
_LOGGED = "admin noscript loading stale"
_ALL_NODES = "request_policy:all_nodes"
_VARIES = "nondeterministic_output"
_SPECIAL = "response_policy:special"


def _local(
    syntax: str, summary: str, since: str, flags: str, tips: tuple[str, ...] = (),
    complexity: str = "O(1)", acl: str = "", promise: str = "local", arity: int = 0,
    subcommands: tuple[Command, ...] = (), words: int = 1,
) -> Command:
    """A command of this node. Its name is the first `words` words of its syntax."""
    return Command(
        "|".join(syntax.split()[:words]).lower(), syntax, summary, since=since, group="server",
        flags=flags, route=LOCAL, promise=promise, complexity=complexity, tips=tips, acl=acl,
        arity=arity, subcommands=subcommands,
    )


_SLOWLOG = (
    _local("SLOWLOG GET [count]", "Shows the last commands that took this node long.",
           "2.2.12", "admin loading stale", (_ALL_NODES, _VARIES),
           "O(N) with N the number of entries", words=2),
    _local("SLOWLOG HELP", "Lists the subcommands of SLOWLOG.", "6.2.0", "loading stale",
           words=2),
    _local("SLOWLOG LEN", "Returns how many there are.", "2.2.12", "admin loading stale",
           (_ALL_NODES, "response_policy:agg_sum", _VARIES), words=2),
    _local("SLOWLOG RESET", "Forgets them.", "2.2.12", "admin loading stale",
           (_ALL_NODES, "response_policy:all_succeeded"),
           "O(N) with N the number of entries", words=2),
)

_LATENCY = (
    _local("LATENCY DOCTOR", "Says in words what latency events there were.", "2.8.13", _LOGGED,
           (_VARIES, _ALL_NODES, _SPECIAL), words=2),
    _local("LATENCY GRAPH event", "Draws the last samples of an event.", "2.8.13", _LOGGED,
           (_VARIES, _ALL_NODES, _SPECIAL), words=2),
    _local("LATENCY HELP", "Lists the subcommands of LATENCY.", "2.8.13", "loading stale",
           words=2),
    _local("LATENCY HISTOGRAM [command [command ...]]",
           "Returns how long commands took this node, by powers of two microseconds.",
           "7.0.0", _LOGGED, (_VARIES, _ALL_NODES, _SPECIAL),
           "O(N) with N the number of commands", words=2),
    _local("LATENCY HISTORY event", "Gives the samples of an event, with their times.",
           "2.8.13", _LOGGED, (_VARIES, _ALL_NODES, _SPECIAL), words=2),
    _local("LATENCY LATEST", "Gives the last and the greatest sample of each event.", "2.8.13",
           _LOGGED, (_VARIES, _ALL_NODES, _SPECIAL), words=2),
    _local("LATENCY RESET [event [event ...]]", "Forgets events, or all of them.", "2.8.13",
           _LOGGED, (_ALL_NODES, "response_policy:all_succeeded"), words=2),
)

_MODULE = (
    _local("MODULE HELP", "Lists the subcommands of MODULE.", "5.0.0", "loading stale", words=2),
    _local("MODULE LIST", "Lists modules: there are none.", "4.0.0", "admin noscript",
           ("nondeterministic_output_order",), words=2),
)

COMMANDS: tuple[Command, ...] = (
    _local("ROLE", "Says master: every node takes writes.", "2.8.12",
           "noscript loading stale fast", acl="admin dangerous"),
    _local("LASTSAVE", "Returns when the last backup was finished, in seconds since 1970.",
           "1.0.0", "loading stale fast", (_VARIES,), acl="admin dangerous"),
    _local("SAVE", "Makes a backup of this node's data and answers when it is finished.",
           "1.0.0", f"{_ADMIN} no_multi", complexity="O(N) with N the number of files"),
    _local("BGSAVE [SCHEDULE]", "Begins a backup of this node's data under its data directory.",
           "1.0.0", _ADMIN, complexity="O(N) with N the number of files"),
    _local("BGREWRITEAOF", "Begins a backup, as BGSAVE: there is no append-only file.", "1.0.0",
           _ADMIN, complexity="O(N) with N the number of files"),
    _local("SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
           "Stops this node as SIGTERM does; with SAVE it makes a backup first.", "1.0.0",
           "admin noscript loading stale no_multi allow_busy", complexity="O(N) with SAVE"),
    _local("LOLWUT [VERSION version]", "Draws this cluster's ring.", "5.0.0", "readonly fast"),
    _local("MODULE", "There are no modules.", "4.0.0", "", arity=-2, subcommands=_MODULE),
    _local("SLOWLOG", "Commands that took this node long.", "2.2.12", "", arity=-2,
           subcommands=_SLOWLOG),
    _local("LATENCY", "How long commands took, and what took longer than it should.", "2.8.13",
           "", arity=-2, subcommands=_LATENCY),
    _local("REPLICAOF <host port | NO ONE>", "Refused, but for NO ONE: there are no replicas.",
           "5.0.0", "admin noscript stale no_async_loading", promise="refused", arity=3),
    _local("SLAVEOF <host port | NO ONE>", "An old name of REPLICAOF.", "1.0.0",
           "admin noscript stale no_async_loading", promise="refused", arity=3),
    _local("PSYNC replicationid offset", "Refused: nodes speak another protocol.", "2.8.0",
           f"{_ADMIN} no_multi", arity=-3, promise="refused"),
    _local("SYNC", "Refused: nodes speak another protocol.", "1.0.0", f"{_ADMIN} no_multi",
           promise="refused"),
    _local("REPLCONF [argument ...]", "Refused: nodes speak another protocol.", "3.0.0",
           "admin noscript loading stale allow_busy", promise="refused"),
    _local("FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
           "Refused: every node takes writes, so nothing needs to be promoted.", "6.2.0",
           "admin noscript stale", promise="refused"),
)
