"""Every time-out, count and number of every command at the edges of what an integer can be.

The calls are made from the declarations. Where Redis has the command, what it answers is the
answer; everywhere the node lives, and serves other clients afterwards.
"""

from collections.abc import Iterator

import pytest

from compat.machine.differences import same
from compat.scope import redis_commands
from respdyn.commands.declare import Command
from respdyn.commands.syntax import Argument
from respdyn.commands.table import COMMANDS
from tests.commands.alone import Alone
from tests.commands.dumps import dump
from tests.commands.real import Connection

EDGES = (
    0, -1, 1 << 31, -(1 << 31) - 1, 1 << 32, 1 << 53, 9223372036854775, 1 << 62, (1 << 63) - 1,
    -(1 << 63), 1 << 63, 1 << 64, 10**40, "nan", "inf", "-inf", "1e400", "1.5", "0x10", "",
)
# Names of arguments that are read as numbers though they are declared as something else.
_NUMBERS = frozenset((
    "bits", "cursor", "db", "destination-db", "frequency", "index", "numlocal", "numreplicas",
    "offset", "port", "protover", "replicas", "slot", "timeout", "ttl", "version", "weight",
))
# Run at the node alone: Redis would stop for ever, wait for replicas, or end.
_OWN = frozenset(("client|pause", "debug", "hello", "shutdown", "wait"))
# These would make a value of 256 MB.
_LARGE = {"setbit": (1 << 31,), "bitfield": (1 << 31,)}
_WORDS = {
    "encoding": b"u8", "type": b"string", "operation": b"AND", "pattern": b"*",
    "username": b"default", "serialized-value": dump(b"v"), "command": b"GET",
}


def _is_number(argument: Argument) -> bool:
    return argument.kind in ("integer", "double", "unix-time") or argument.name in _NUMBERS


def _leaves(argument: Argument) -> Iterator[Argument]:
    if not argument.children:
        yield argument
    for child in argument.children:
        yield from _leaves(child)


def _words(argument: Argument, target: Argument, edge: bytes) -> list[bytes]:
    """The words of an argument, with the edge where the target stands."""
    has_target = any(leaf is target for leaf in _leaves(argument))
    token = [argument.token.encode()] if argument.token else []
    if argument.kind == "pure-token":
        return token
    if argument.kind == "oneof":
        chosen = next(
            (child for child in argument.children
             if any(leaf is target for leaf in _leaves(child))), argument.children[0])
        return token + _words(chosen, target, edge)
    if argument.children:
        return token + [
            word for child in argument.children
            if not child.optional or any(leaf is target for leaf in _leaves(child))
            for word in _words(child, target, edge)
        ]
    if has_target:
        return [*token, edge]
    return [*token, _WORDS.get(argument.name, b"1" if _is_number(argument) else b"k")]


def _calls(command: Command) -> Iterator[tuple[list[bytes], object]]:
    """Every number of a command, at every edge."""
    name = [part.encode() for part in command.name.split("|")]
    for target in [leaf for one in command.arguments for leaf in _leaves(one) if _is_number(leaf)]:
        for edge in EDGES:
            if edge in _LARGE.get(command.name, ()):
                continue
            words = [
                word for one in command.arguments
                if not one.optional or any(leaf is target for leaf in _leaves(one))
                for word in _words(one, target, str(edge).encode())
            ]
            yield [*name, *words], edge


NUMBERED = [
    one for command in COMMANDS for one in (command.subcommands or (command,))
    if any(_is_number(leaf) for argument in one.arguments for leaf in _leaves(argument))
    and one.promise != "refused"
]


@pytest.mark.parametrize("command", NUMBERED, ids=lambda command: command.name)
def test_no_number_stops_a_node_and_each_is_judged_as_by_redis(
    command: Command, redis: Connection
) -> None:
    alone = Alone(enable_debug_command="yes")
    is_compared = command.name in redis_commands() and command.name not in _OWN
    is_compared = is_compared and command.group != "cluster"
    for argv, _ in _calls(command):
        client, other = alone.connect(), alone.connect()
        for setting in ([b"SELECT", b"0"], [b"SET", b"k", b"10"]):
            client.call(*setting)
            if is_compared:
                redis.call(*setting)
        if command.name == "restore":
            for call in (client.call, redis.call):
                call(b"DEL", b"k")
        mine = client.call(*argv)
        if is_compared:
            theirs = redis.call(*argv)
            assert same(command.name, argv, mine, theirs), (argv, mine, theirs)
        other.call(b"CLIENT", b"UNPAUSE")
        assert other.call(b"SET", b"o", b"v") == b"+OK\r\n", argv
        assert other.call(b"GET", b"o") == b"$1\r\nv\r\n", argv
        for one in (client, other):
            alone.node.close_session(one.session)


def test_enough_numbers_are_tried() -> None:
    assert len(NUMBERED) > 45
    assert sum(1 for command in NUMBERED for _ in _calls(command)) > 1500
