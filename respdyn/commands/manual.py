"""The manual's page of commands, written from the declarations.

`docs/commands.md` is this text; a test keeps them equal (`pytest --rewrite` writes it anew).
"""

from respdyn.commands.declare import PROMISES, Command
from respdyn.commands.table import COMMANDS

_GROUPS = {
    "string": "Strings",
    "bitmap": "Bits",
    "hash": "Hashes",
    "set": "Sets",
    "sorted-set": "Sorted sets",
    "list": "Lists",
    "stream": "Streams",
    "geo": "Places",
    "hyperloglog": "HyperLogLog",
    "generic": "Keys",
    "pubsub": "Channels",
    "transactions": "Transactions",
    "connection": "Connections",
    "server": "The server",
    "scripting": "Scripts",
    "cluster": "The cluster",
}

_HEAD = """\
# Commands

What respdyn answers. Where Redis has the command, syntax, replies and error texts are those of
Redis 7; `DYN.*` are Dynamo's own. COMMAND DOCS returns the same to a client.

What a command promises when several nodes work at once:

"""


def render() -> str:
    """The whole page."""
    everything = [
        one for command in COMMANDS for one in (command.subcommands or (command,))
    ]
    everything += [one for one in COMMANDS if one.subcommands and one.arity == -1]
    parts = [_HEAD]
    parts += [f"* **{word}**: {meaning}\n" for word, meaning in PROMISES.items()]
    assert {command.group for command in everything} <= set(_GROUPS)
    for group, title in _GROUPS.items():
        members = sorted(
            (command for command in everything if command.group == group),
            key=lambda command: command.name,
        )
        parts.append(f"\n## {title}\n\n| command | what it does | promise | since |\n")
        parts.append("|---|---|---|---|\n")
        parts += map(_row, members)
    return "".join(parts)


def _row(command: Command) -> str:
    syntax = command.syntax.replace("|", "\\|")
    since = "respdyn " + command.since if command.name.startswith("dyn.") else command.since
    return f"| `{syntax}` | {command.summary} | {command.promise} | {since} |\n"
