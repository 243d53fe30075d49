"""COMMAND and the HELP texts: what the table of commands says of itself.

Nothing is stated here; everything is derived from the declarations. COMMAND INFO has the ten
elements of Redis 7, so that cluster clients find the keys of a command, and COMMAND DOCS the
argument trees from which redis-cli makes its hints.

Source: Redis `server.c` (addReplyCommandInfo, addReplyCommandDocs, getKeysSubcommand).
"""

from collections.abc import Iterator
from functools import lru_cache

from respdyn.commands.arguments import syntax_error, word
from respdyn.commands.declare import PROMISES, Command
from respdyn.commands.key_uses import Use, uses_of
from respdyn.commands.scan import glob_match
from respdyn.commands.syntax import Argument
from respdyn.commands.table import COMMANDS, find, find_by_name
from respdyn.errors import ReplyError
from respdyn.resp.replies import (
    EMPTY_ARRAY,
    array,
    bulk,
    bulks,
    integer,
    map_,
    null,
    set_,
    status,
    text,
)

Pairs = list[tuple[bytes, bytes]]


def count() -> bytes:
    """COMMAND COUNT."""
    return integer(len(COMMANDS))


def info(names: list[bytes], resp3: bool) -> bytes:
    """COMMAND INFO; of all commands when no names are given, which is also the bare COMMAND."""
    if not names:
        return _info_of_all(resp3)
    found = [find_by_name(name) for name in names]
    return array([null(resp3) if one is None else _info(one, resp3) for one in found])


def docs(names: list[bytes], resp3: bool) -> bytes:
    """COMMAND DOCS; names that are not known are left out."""
    if not names:
        return _docs_of_all(resp3)
    found = [find_by_name(name) for name in names]
    return map_([(text(one.name), _docs(one, resp3)) for one in found if one is not None], resp3)


def names(arguments: list[bytes]) -> bytes:
    """COMMAND LIST, with its FILTERBY."""
    everything = list(_everything())
    if not arguments:
        return array([text(command.name) for command in everything])
    if len(arguments) != 3 or word(arguments[0]) != b"FILTERBY":
        raise syntax_error()
    kind, wanted = word(arguments[1]), arguments[2]
    if kind == b"MODULE":
        return EMPTY_ARRAY
    if kind == b"ACLCAT":
        category = wanted.decode("latin-1").lower()
        return array([text(one.name) for one in everything if category in one.categories])
    if kind == b"PATTERN":
        pattern = wanted.lower()
        return array(
            [text(one.name) for one in everything if glob_match(pattern, one.name.encode())]
        )
    raise syntax_error()


def keys(argv: list[bytes]) -> bytes:
    """COMMAND GETKEYS: the arguments of that command that are keys."""
    return bulks([use.key for use in _uses(argv)])


def keys_and_flags(argv: list[bytes], resp3: bool) -> bytes:
    """COMMAND GETKEYSANDFLAGS: the keys, each with the words that say how it is used."""
    return array([
        array([bulk(use.key), set_([status(flag.encode()) for flag in use.access.split()], resp3)])
        for use in _uses(argv)
    ])


def _uses(argv: list[bytes]) -> list[Use]:
    """The keys of a command, or of what DYN.WITH carries. Raises `ReplyError`."""
    command = find(argv)
    while command is not None and command.inner is not None:
        try:
            argv = command.inner(argv)
        except ReplyError:
            raise ReplyError("ERR Invalid arguments specified for command") from None
        command = find(argv)
    if command is None:
        raise ReplyError("ERR Invalid command specified")
    has_keys = command.keys.first or command.counted_keys is not None
    if not has_keys or command.access == "not_key":
        raise ReplyError("ERR The command has no key arguments")
    if not command.least <= len(argv) <= command.most:
        raise ReplyError("ERR Invalid number of arguments specified for command")
    uses = uses_of(command, argv)
    if not uses and command.group != "scripting":       # a script may do without keys
        raise ReplyError("ERR Invalid arguments specified for command")
    return uses


def help_text(container: Command) -> bytes:
    """What `CLIENT HELP` and its like answer: the subcommands and what they do."""
    name = container.name.upper()
    lines = [f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for command in container.subcommands:
        lines.append(command.syntax.removeprefix(name + " "))
        lines.append("    " + command.summary)
    return array([status(line.encode()) for line in lines])


@lru_cache(maxsize=2)
def _info_of_all(resp3: bool) -> bytes:
    return array([_info(command, resp3) for command in COMMANDS])


@lru_cache(maxsize=2)
def _docs_of_all(resp3: bool) -> bytes:
    return map_([(text(command.name), _docs(command, resp3)) for command in COMMANDS], resp3)


def _everything() -> Iterator[Command]:
    for command in COMMANDS:
        yield command
        yield from command.subcommands


def _info(command: Command, resp3: bool) -> bytes:
    specs = _key_specs(command, resp3) if command.keys.first else []
    if command.counted_keys is not None and not command.keywords:
        specs.append(_counted_spec(command, resp3))
    is_half = command.counted_keys is not None      # of what stands behind the keyword
    specs += [_keyword_spec(*one, is_half, resp3) for one in command.keywords]
    specs += [_unknown_spec(notes, access, resp3) for notes, access in command.unknown_keys]
    return array([
        text(command.name),
        integer(command.arity),
        set_([status(flag.encode()) for flag in command.flag_words], resp3),
        integer(command.keys.first),
        integer(command.keys.last),
        integer(command.keys.step),
        set_([status(b"@" + name.encode()) for name in command.categories], resp3),
        set_([text(tip) for tip in command.tips], resp3),
        set_(specs, resp3),
        set_([_info(sub, resp3) for sub in command.subcommands], resp3),
    ])


def _key_specs(command: Command, resp3: bool) -> list[bytes]:
    first, last, step = command.keys.first, command.keys.last, command.keys.step
    accesses = command.access.split("; ")
    if len(accesses) == 1 or command.counted_keys is not None:
        return [_key_spec(command, accesses[0], first, last, step, resp3)]
    return [
        _key_spec(command, accesses[0], first, first, 1, resp3),
        _key_spec(command, accesses[1], first + 1, last, step, resp3),
    ]


def _key_spec(
    command: Command, access: str, first: int, last: int, step: int, resp3: bool
) -> bytes:
    pairs: Pairs = []
    if command.notes:
        pairs.append((text("notes"), text(command.notes)))
    flags = [status(flag.encode()) for flag in access.split()]
    pairs.append((text("flags"), set_(flags, resp3)))
    pairs.append((text("begin_search"), _typed("index", {"index": first}, resp3)))
    span = {"lastkey": last if last < 0 else last - first, "keystep": step, "limit": 0}
    pairs.append((text("find_keys"), _typed("range", span, resp3)))
    return map_(pairs, resp3)


def _counted_spec(command: Command, resp3: bool) -> bytes:
    """Of keys that follow their number: the first argument, or the one behind a key."""
    access = command.access.split("; ")[-1]
    flags = [status(flag.encode()) for flag in access.split()]
    notes = [(text("notes"), text(command.notes))] if command.notes else []
    at = command.counted_at or command.keys.last + 1
    return map_([
        *notes,
        (text("flags"), set_(flags, resp3)),
        (text("begin_search"), _typed("index", {"index": at}, resp3)),
        (text("find_keys"), _typed("keynum", {"keynumidx": 0, "firstkey": 1, "keystep": 1}, resp3)),
    ], resp3)


def _keyword_spec(
    keyword: str, first: int, access: str, is_half: bool, resp3: bool
) -> bytes:
    flags = [status(flag.encode()) for flag in access.split()]
    where = map_([(text("keyword"), text(keyword)), (text("startfrom"), integer(first))], resp3)
    search = map_([(text("type"), text("keyword")), (text("spec"), where)], resp3)
    span = {"lastkey": -1 if is_half else 0, "keystep": 1, "limit": 2 if is_half else 0}
    return map_([
        (text("flags"), set_(flags, resp3)),
        (text("begin_search"), search),
        (text("find_keys"), _typed("range", span, resp3)),
    ], resp3)


def _unknown_spec(notes: str, access: str, resp3: bool) -> bytes:
    flags = [status(flag.encode()) for flag in access.split()]
    return map_([
        (text("notes"), text(notes)), (text("flags"), set_(flags, resp3)),
        (text("begin_search"), _typed("unknown", {}, resp3)),
        (text("find_keys"), _typed("unknown", {}, resp3)),
    ], resp3)


def _typed(kind: str, spec: dict[str, int], resp3: bool) -> bytes:
    inner = map_([(text(name), integer(value)) for name, value in spec.items()], resp3)
    return map_([(text("type"), text(kind)), (text("spec"), inner)], resp3)


def _docs(command: Command, resp3: bool) -> bytes:
    pairs: Pairs = [
        (text("summary"), text(command.summary)),
        (text("since"), text(command.since)),
        (text("group"), text(command.group)),
        (text("complexity"), text(command.complexity)),
        (text("promise"), text(f"{command.promise}: {PROMISES[command.promise]}")),
    ]
    if command.arguments and not command.subcommands:
        tree = [_argument(argument, resp3) for argument in command.arguments]
        pairs.append((text("arguments"), array(tree)))
    if command.subcommands:
        subs = [(text(sub.name), _docs(sub, resp3)) for sub in command.subcommands]
        pairs.append((text("subcommands"), map_(subs, resp3)))
    return map_(pairs, resp3)


def _argument(argument: Argument, resp3: bool) -> bytes:
    pairs: Pairs = [
        (text("name"), text(argument.name)),
        (text("type"), text(argument.kind)),
    ]
    if argument.kind == "key":
        pairs.append((text("key_spec_index"), integer(0)))
    if argument.token:
        pairs.append((text("token"), text(argument.token)))
    flags = [
        status(name) for name, is_set in
        ((b"optional", argument.optional), (b"multiple", argument.multiple)) if is_set
    ]
    if flags:
        pairs.append((text("flags"), set_(flags, resp3)))
    if argument.children:
        children = [_argument(child, resp3) for child in argument.children]
        pairs.append((text("arguments"), array(children)))
    return map_(pairs, resp3)
