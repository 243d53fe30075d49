"""MEMORY, WAIT, SWAPDB, DEBUG: how things are stored, for operators.

They are answered by `local/storing.py`. SWAPDB is refused: a database is part of every key's
place, so swapping two would mean to write all their keys anew. DEBUG offers what clients are tested
with and nothing that could stop a node.

Source: Redis `object.c`, `replication.c`, `db.c`, `debug.c`.
"""

from respdyn.commands.declare import COVERAGE, LOCAL, Command
from respdyn.commands.inspecting import MEMORY_USAGE

_VARIES = "nondeterministic_output"
_ALL_SHARDS = ("request_policy:all_shards", "response_policy:special")

_MEMORY = (
    Command(
        "memory|doctor", "MEMORY DOCTOR", "Says in words how this node's memory is used.",
        since="4.0.0", group="server", flags="", tips=(_VARIES, *_ALL_SHARDS), promise="local",
        route=LOCAL,
    ),
    Command(
        "memory|help", "MEMORY HELP", "Lists the subcommands of MEMORY.",
        since="4.0.0", group="server", flags="loading stale", promise="local", route=LOCAL,
    ),
    Command(
        "memory|malloc-stats", "MEMORY MALLOC-STATS", "Says that the allocator has no statistics.",
        since="4.0.0", group="server", flags="", tips=(_VARIES, *_ALL_SHARDS), promise="local",
        route=LOCAL,
    ),
    Command(
        "memory|purge", "MEMORY PURGE", "Does nothing: memory is given back by itself.",
        since="4.0.0", group="server", flags="",
        tips=("request_policy:all_shards", "response_policy:all_succeeded"), promise="local",
        route=LOCAL,
    ),
    Command(
        "memory|stats", "MEMORY STATS", "Returns how this node's memory is used.",
        since="4.0.0", group="server", flags="", tips=(_VARIES, *_ALL_SHARDS), promise="local",
        route=LOCAL,
    ),
    MEMORY_USAGE,
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "memory", "MEMORY", "Returns how memory is used.",
        since="4.0.0", group="server", flags="", promise="local", route=LOCAL, arity=-2,
        subcommands=_MEMORY,
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
    Command(
        "debug", "DEBUG <SLEEP seconds | HELP>",
        "Is refused unless enable-debug-command says otherwise. SLEEP answers later, and no other"
        " client waits. Nothing else of DEBUG is offered.",
        since="1.0.0", group="server", flags="admin noscript loading stale", arity=-2,
        promise="local", route=LOCAL,
    ),
)
