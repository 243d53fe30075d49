"""All commands, and how one is found by its words.

The list is literal: what is not named here does not exist. A command is looked up by its first word
in upper or lower case at the cost of one dictionary access; everything unusual (mixed case,
subcommands, mistakes) takes the slow way.

Source: Redis `server.c` (lookupCommand, commandCheckExistence, commandCheckArity).
"""

from typing import Final

from respdyn.commands import (
    acl,
    bits,
    cluster,
    connection,
    counters,
    diagnostics,
    dyn,
    field_times,
    geo,
    hashes,
    hyperloglog,
    inspecting,
    keys,
    list_moves,
    lists,
    moving,
    operating,
    pieces,
    pubsub,
    score_algebra,
    score_ranges,
    scripting,
    server,
    set_algebra,
    sets,
    sorted_sets,
    sorting,
    stream_groups,
    stream_info,
    stream_reading,
    streams,
    strings,
    transactions,
    waiting,
)
from respdyn.commands.arguments import quoted, wrong_arity
from respdyn.commands.declare import Command
from respdyn.errors import ReplyError

COMMANDS: Final[tuple[Command, ...]] = (
    *connection.COMMANDS,
    *server.COMMANDS,
    *operating.COMMANDS,
    *acl.COMMANDS,
    *keys.COMMANDS,
    *moving.COMMANDS,
    *inspecting.COMMANDS,
    *diagnostics.COMMANDS,
    *strings.COMMANDS,
    *counters.COMMANDS,
    *pieces.COMMANDS,
    *bits.COMMANDS,
    *hyperloglog.COMMANDS,
    *hashes.COMMANDS,
    *field_times.COMMANDS,
    *sets.COMMANDS,
    *set_algebra.COMMANDS,
    *sorted_sets.COMMANDS,
    *score_ranges.COMMANDS,
    *score_algebra.COMMANDS,
    *lists.COMMANDS,
    *list_moves.COMMANDS,
    *streams.COMMANDS,
    *stream_info.COMMANDS,
    *stream_groups.COMMANDS,
    *stream_reading.COMMANDS,
    *geo.COMMANDS,
    *waiting.COMMANDS,
    *sorting.COMMANDS,
    *pubsub.COMMANDS,
    *transactions.COMMANDS,
    *scripting.COMMANDS,
    *cluster.COMMANDS,
    *dyn.COMMANDS,
)

# By upper-case and by lower-case name, without those that have subcommands.
TABLE: Final[dict[bytes, Command]] = {
    spelling: command
    for command in COMMANDS
    if not command.subcommands
    for spelling in (command.name.upper().encode(), command.name.encode())
}

BY_NAME: Final[dict[bytes, Command]] = {command.name.encode(): command for command in COMMANDS}

_QUOTED_MAX: Final = 128

# What tools know and might ask for, and why it is not here.
_NOT_OFFERED: Final = {
    b"migrate": "ERR MIGRATE is not offered: a node connects to no other server on a client's"
                " behalf. DUMP here and RESTORE there hand a key over",
}


def lookup(argv: list[bytes]) -> Command:
    """The declaration of a command, its number of words checked. Raises `ReplyError`."""
    command = TABLE.get(argv[0])
    if command is None:
        command = find(argv)
        if command is None:
            raise _unknown(argv)
    if command.least <= len(argv) <= command.most:
        return command
    raise wrong_arity(command.name)


def find(argv: list[bytes]) -> Command | None:
    """The declaration that these words name, whatever their number; None if there is none.

    A container (CLIENT) with a second word names a subcommand.
    """
    command = BY_NAME.get(argv[0].lower())
    if command is None or not command.subcommands or len(argv) == 1:
        return command
    return command.by_name.get(argv[1].lower())


def find_by_name(name: bytes) -> Command | None:
    """The declaration with this full name, as in `client|id`."""
    words = name.split(b"|")
    if len(words) > 2 or (len(words) == 2 and words[0].lower() not in BY_NAME):
        return None
    command = BY_NAME.get(words[0].lower())
    if command is None or len(words) == 1:
        return command
    return command.by_name.get(words[1].lower())


def _unknown(argv: list[bytes]) -> ReplyError:
    if argv[0].lower() in BY_NAME:
        container = quoted(argv[0]).upper()
        wrong = quoted(argv[1], _QUOTED_MAX)
        return ReplyError(f"ERR unknown subcommand '{wrong}'. Try {container} HELP.")
    reason = _NOT_OFFERED.get(argv[0].lower())
    if reason is not None:
        return ReplyError(reason)
    shown = ""
    for argument in argv[1:]:
        if len(shown) >= _QUOTED_MAX:
            break
        shown += f"'{quoted(argument, _QUOTED_MAX - len(shown))}' "
    name = quoted(argv[0], _QUOTED_MAX)
    return ReplyError(f"ERR unknown command '{name}', with args beginning with: {shown}")
