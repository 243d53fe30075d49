"""Transactions: commands that are queued and then run together.

They are answered by `local/transactions.py` on the client's session.

Source: Redis `multi.c`; SEMANTICS 7.
"""

from respdyn.commands.declare import LOCAL, Command

_FLAGS = "noscript loading stale fast allow_busy"

COMMANDS: tuple[Command, ...] = (
    Command(
        "multi", "MULTI", "Begins a transaction: the commands that follow are queued.",
        since="1.2.0", group="transactions", flags=_FLAGS, promise="local", route=LOCAL,
    ),
    Command(
        "exec", "EXEC",
        "Runs the queued commands: those of one coordinator in one step, which no reader of one"
        " replica sees half of; nil if a watched key has changed.",
        since="1.2.0", group="transactions", flags="noscript loading stale skip_slowlog",
        complexity="O(N) with N the number of commands", promise="per-coordinator", route=LOCAL,
    ),
    Command(
        "discard", "DISCARD", "Forgets the queued commands and the watched keys.",
        since="2.0.0", group="transactions", flags=_FLAGS, promise="local", route=LOCAL,
    ),
    Command(
        "watch", "WATCH key [key ...]",
        "Notes the versions of keys: EXEC runs nothing if one of them has changed.",
        since="2.2.0", group="transactions", flags=_FLAGS, access="RO",
        complexity="O(N) with N the number of keys", promise="per-coordinator", route=LOCAL,
    ),
    Command(
        "unwatch", "UNWATCH", "Forgets the watched keys.",
        since="2.2.0", group="transactions", flags=_FLAGS, promise="local", route=LOCAL,
    ),
)
