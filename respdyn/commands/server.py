"""Commands about the server and its keyspace as a whole: INFO, CONFIG, SCAN, FLUSHALL, WAIT.

What concerns every partition is answered in `coordination/coverage`, WAIT by `local/wait`, the
rest by `local/server`. SWAPDB is refused: a database is part of every key's place, so swapping two
would mean to write all their keys anew.

Source: Redis `server.c`, `config.c`, `db.c`, `replication.c`.
"""

from respdyn.commands.declare import COVERAGE, LOCAL, Command
from respdyn.resp.replies import bulks

_VARIES = ("nondeterministic_output",)
_ORDER_VARIES = ("nondeterministic_output_order",)
_ALL_SHARDS = "request_policy:all_shards"

_COMMAND_SUBCOMMANDS = (
    Command(
        "command|count", "COMMAND COUNT", "Returns how many commands there are.",
        since="2.8.13", group="server", flags="loading stale", acl="connection",
        promise="local", route=LOCAL,
    ),
    Command(
        "command|docs", "COMMAND DOCS [command-name [command-name ...]]",
        "Describes commands: summary, arguments, what they promise.",
        since="7.0.0", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of commands", tips=_ORDER_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "command|getkeys", "COMMAND GETKEYS command argument [argument ...]",
        "Returns which arguments of a command are keys.",
        since="2.8.13", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of arguments", promise="local", route=LOCAL,
    ),
    Command(
        "command|getkeysandflags",
        "COMMAND GETKEYSANDFLAGS command argument [argument ...]",
        "Returns which arguments of a command are keys, and how they are used.",
        since="7.0.0", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of arguments", promise="local", route=LOCAL,
    ),
    Command(
        "command|help", "COMMAND HELP", "Lists the subcommands of COMMAND.",
        since="5.0.0", group="server", flags="loading stale", acl="connection",
        promise="local", route=LOCAL,
    ),
    Command(
        "command|info", "COMMAND INFO [command-name [command-name ...]]",
        "Gives arity, flags and key positions of commands.",
        since="2.8.13", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of commands", tips=_ORDER_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "command|list",
        "COMMAND LIST"
        " [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
        "Lists the names of commands.",
        since="7.0.0", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of commands", tips=_ORDER_VARIES,
        promise="local", route=LOCAL,
    ),
)

_CONFIG_SUBCOMMANDS = (
    Command(
        "config|get", "CONFIG GET pattern [pattern ...]",
        "Gives the settings of this node whose names match.",
        since="2.0.0", group="server", flags="admin noscript loading stale",
        complexity="O(N) with N the number of settings", promise="local", route=LOCAL,
    ),
    Command(
        "config|help", "CONFIG HELP", "Lists the subcommands of CONFIG.",
        since="5.0.0", group="server", flags="loading stale", promise="local", route=LOCAL,
    ),
    Command(
        "config|resetstat", "CONFIG RESETSTAT", "Sets the counters that INFO shows to zero.",
        since="2.0.0", group="server", flags="admin noscript loading stale",
        promise="local", route=LOCAL,
    ),
    Command(
        "config|rewrite", "CONFIG REWRITE",
        "Writes what CONFIG SET has changed to the file of settings.",
        since="2.8.0", group="server", flags="admin noscript loading stale",
        promise="local", route=LOCAL,
    ),
    Command(
        "config|set", "CONFIG SET parameter value [parameter value ...]",
        "Changes settings of this node while it runs: all of them, or none. Those of Redis that"
        " mean nothing here are checked and remembered, and have no effect.",
        since="2.0.0", group="server", flags="admin noscript loading stale",
        tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
        complexity="O(N) with N the number of settings", promise="local", route=LOCAL,
    ),
)

def time_reply(now_ms: int) -> bytes:
    """TIME's reply: seconds, and microseconds of the second."""
    seconds, rest_ms = divmod(now_ms, 1000)
    return bulks([b"%d" % seconds, b"%d" % (rest_ms * 1000)])


COMMANDS: tuple[Command, ...] = (
    Command(
        "monitor", "MONITOR", "Shows every command that clients give to this node.",
        since="1.0.0", group="server", flags="admin noscript loading stale",
        promise="local", route=LOCAL,
    ),
    Command(
        "command", "COMMAND", "Describes all commands as COMMAND INFO does.",
        since="2.8.13", group="server", flags="loading stale", acl="connection",
        complexity="O(N) with N the number of commands", tips=_ORDER_VARIES, arity=-1,
        promise="local", route=LOCAL, subcommands=_COMMAND_SUBCOMMANDS,
    ),
    Command(
        "info", "INFO [section [section ...]]", "Returns figures of this node and the cluster.",
        since="1.0.0", group="server", flags="loading stale", acl="dangerous",
        tips=(*_VARIES, _ALL_SHARDS, "response_policy:special"),
        promise="local", route=LOCAL,
    ),
    Command(
        "config", "CONFIG", "Reads and changes settings of this node.",
        since="2.0.0", group="server", flags="", arity=-2,
        promise="local", route=LOCAL, subcommands=_CONFIG_SUBCOMMANDS,
    ),
    Command(
        "time", "TIME", "Gives this node's time: seconds since 1970, and microseconds.",
        since="2.6.0", group="server", flags="loading stale fast", tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "dbsize", "DBSIZE", "Returns how many keys the database has in the whole cluster.",
        since="1.0.0", group="server", flags="readonly fast", acl="keyspace",
        tips=(_ALL_SHARDS, "response_policy:agg_sum"),
        complexity="O(N) with N the number of nodes", promise="last-writer", route=COVERAGE,
    ),
    Command(
        "flushdb", "FLUSHDB [ASYNC | SYNC]", "Deletes all keys of the database.",
        since="1.0.0", group="server", flags="write", acl="keyspace dangerous",
        tips=(_ALL_SHARDS, "response_policy:all_succeeded"),
        complexity="O(N) with N the number of keys", promise="converges", route=COVERAGE,
    ),
    Command(
        "flushall", "FLUSHALL [ASYNC | SYNC]", "Deletes all keys of all databases.",
        since="1.0.0", group="server", flags="write", acl="keyspace dangerous",
        tips=(_ALL_SHARDS, "response_policy:all_succeeded"),
        complexity="O(N) with N the number of keys", promise="converges", route=COVERAGE,
    ),
    Command(
        "scan", "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]",
        "Walks through the keys a few at a time; any node can go on with any cursor.",
        since="2.8.0", group="generic", flags="readonly",
        tips=(*_VARIES, "request_policy:special"),
        complexity="O(1) per call, O(N) for a whole walk", promise="last-writer",
        route=COVERAGE,
    ),
    Command(
        "keys", "KEYS pattern", "Lists all keys whose names match.",
        since="1.0.0", group="generic", flags="readonly", acl="dangerous",
        tips=(_ALL_SHARDS, "nondeterministic_output_order"),
        complexity="O(N) with N the number of keys", promise="last-writer", route=COVERAGE,
    ),
    Command(
        "randomkey", "RANDOMKEY", "Gives the name of some key.",
        since="1.0.0", group="generic", flags="readonly",
        tips=(_ALL_SHARDS, "nondeterministic_output"),
        promise="last-writer", route=COVERAGE,
    ),
    Command(
        "wait", "WAIT numreplicas timeout",
        "Waits until so many replicas besides the coordinator hold what this connection has written"
        " since its last WAIT; returns how many do.",
        since="3.0.0", group="generic", flags="noscript", acl="connection", is_in_keyspace=False,
        tips=("request_policy:all_shards", "response_policy:agg_min"),
        complexity="O(N) with N the number of keys", promise="converges", route=LOCAL,
    ),
    Command(
        "swapdb", "SWAPDB index1 index2",
        "Is refused: all keys of both databases would have to be written anew.",
        since="4.0.0", group="server", flags="write fast", acl="keyspace dangerous",
        promise="refused", route=COVERAGE,
    ),
)
