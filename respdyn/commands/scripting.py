"""FUNCTION and SCRIPT while there are no scripts: what is true of an empty cache.

Suites and frameworks clean up with FUNCTION FLUSH and SCRIPT FLUSH before they begin, and a server
that refuses stops them. Scripts themselves are not offered yet: EVAL, SCRIPT LOAD, FUNCTION LOAD
and their like are unknown commands.

Source: Redis `function.c`, `eval.c`.
"""

from respdyn.commands.declare import LOCAL, Command

_VARIES = "nondeterministic_output"
_ALL_SHARDS = "request_policy:all_shards"
_ALL_SUCCEED = "response_policy:all_succeeded"


def _part(
    syntax: str, summary: str, since: str, flags: str = "noscript", tips: tuple[str, ...] = (),
) -> Command:
    """A subcommand; its name is the first two words of its syntax."""
    return Command(
        "|".join(syntax.split()[:2]).lower(), syntax, summary, since=since, group="scripting",
        flags=flags, acl="scripting", route=LOCAL, promise="local", tips=tips,
    )


_FUNCTION = (
    _part("FUNCTION DELETE library-name", "Is refused: there is no library.", "7.0.0",
          "write noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION DUMP", "Gives all libraries in Redis's format: there are none.", "7.0.0"),
    _part("FUNCTION FLUSH [ASYNC | SYNC]", "Deletes all libraries: there are none.", "7.0.0",
          "write noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION HELP", "Lists the subcommands of FUNCTION.", "7.0.0", "loading stale"),
    _part("FUNCTION KILL", "Is refused: no function runs.", "7.0.0", "noscript allow_busy",
          (_ALL_SHARDS, "response_policy:one_succeeded")),
    _part("FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]",
          "Lists libraries: there are none.", "7.0.0", "noscript",
          ("nondeterministic_output_order",)),
    _part("FUNCTION STATS", "Tells that no function runs, and that Lua has none.", "7.0.0",
          "noscript allow_busy", (_VARIES, _ALL_SHARDS, "response_policy:special")),
)

_SCRIPT = (
    _part("SCRIPT EXISTS sha1 [sha1 ...]", "Tells that no script is kept.", "2.6.0", "noscript",
          (_ALL_SHARDS, "response_policy:agg_logical_and")),
    _part("SCRIPT FLUSH [ASYNC | SYNC]", "Forgets all scripts: there are none.", "2.6.0",
          "noscript", ("request_policy:all_nodes", _ALL_SUCCEED)),
    _part("SCRIPT HELP", "Lists the subcommands of SCRIPT.", "5.0.0", "loading stale"),
    _part("SCRIPT KILL", "Is refused: no script runs.", "2.6.0", "noscript allow_busy",
          (_ALL_SHARDS, "response_policy:one_succeeded")),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "function", "FUNCTION", "Functions are not offered yet; says what there is of them.",
        since="7.0.0", group="scripting", flags="", route=LOCAL, promise="local", arity=-2,
        subcommands=_FUNCTION,
    ),
    Command(
        "script", "SCRIPT", "Scripts are not offered yet; says what there is of them.",
        since="2.6.0", group="scripting", flags="", route=LOCAL, promise="local", arity=-2,
        subcommands=_SCRIPT,
    ),
)
