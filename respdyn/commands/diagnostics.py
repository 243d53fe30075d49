"""MEMORY and DEBUG: what a node's memory is used for, and what clients are tested with.

They are answered by `local/memory.py` and `local/debugging.py`. DEBUG offers nothing that could
stop a node.

Source: Redis `object.c`, `debug.c`.
"""

from respdyn.commands.declare import LOCAL, Command
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
        "debug", "DEBUG <SLEEP seconds | HELP>",
        "Is refused unless enable-debug-command says otherwise. SLEEP answers later, and no other"
        " client waits. Nothing else of DEBUG is offered.",
        since="1.0.0", group="server", flags="admin noscript loading stale", arity=-2,
        promise="local", route=LOCAL,
    ),
)
