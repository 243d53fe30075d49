"""No command without a test and a place in the manual; and COMMAND DOCS that clients understand."""

import re
from pathlib import Path
from typing import cast

import hiredis
import pytest

from compat import matrix
from respdyn.commands import introspection
from respdyn.commands.declare import Command
from respdyn.commands.manual import render
from respdyn.commands.table import COMMANDS
from tests.commands.real import Connection
from tests.commands.test_table import COMPARED, EVERYTHING

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "commands.md"
MATRIX = HERE.parents[1] / "docs" / "compatibility.md"

# The packages of tests that call commands.
CALLING = ("commands", "scripting", "coordination", "sessions", "admin", "local")

# Redis has tokens that are not offered here, or that its table has in another form.
OTHER_TOKENS = {"debug", "client|kill", "client|list", "command|list", "quit"}

Node = dict[str, object]


def parsed(reply: bytes) -> object:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    return reader.gets()


def test_the_manual_is_what_the_declarations_say(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite"):
        PAGE.write_text(render())
    assert PAGE.read_text() == render(), "write it anew: pytest --rewrite tests/commands"


def test_the_compatibility_page_is_what_declarations_and_redis_say(
    request: pytest.FixtureRequest,
) -> None:
    if request.config.getoption("--rewrite"):
        MATRIX.write_text(matrix.render())
    assert MATRIX.read_text() == matrix.render(), "write it anew: pytest --rewrite tests/commands"
    assert not set(matrix.DIFFERS) - set(matrix.declared())


@pytest.mark.parametrize("command", EVERYTHING, ids=lambda command: command.name)
def test_every_command_is_called_in_a_test_and_named_in_the_manual(command: Command) -> None:
    words = command.name.upper().split("|")
    called = re.compile(r"[ \"/b'](" + r"(?: |\", b?\")".join(map(re.escape, words)) + r")\b")
    tests = "".join(
        path.read_text() for room in CALLING for path in sorted((HERE.parent / room).glob("*.py"))
    )
    assert called.search(tests) or words[-1] == "HELP", "no test calls it"
    if not command.subcommands:
        assert f"`{command.syntax.replace('|', chr(92) + '|')}`" in render()


def tokens(arguments: object) -> set[str]:
    found: set[str] = set()
    for argument in cast(list[Node], arguments or []):
        if "token" in argument:
            found.add(str(argument["token"]).upper())
        found |= tokens(argument.get("arguments"))
    return found


def arguments_of(docs: object, name: str) -> object:
    entry = cast(dict[str, Node], docs)[name.split("|", maxsplit=1)[0]]
    if "|" in name:
        entry = cast(dict[str, Node], entry["subcommands"])[name]
    return entry.get("arguments")


@pytest.mark.parametrize(
    "command", [one for one in COMPARED if one.name not in OTHER_TOKENS],
    ids=lambda command: command.name,
)
def test_the_tokens_in_command_docs_are_those_of_redis(
    command: Command, redis: Connection
) -> None:
    redis.call(b"HELLO", b"3")
    container = command.name.split("|", maxsplit=1)[0].encode()
    mine = parsed(introspection.docs([container], resp3=True))
    theirs = parsed(redis.call(b"COMMAND", b"DOCS", container))
    redis.call(b"HELLO", b"2")
    assert tokens(arguments_of(mine, command.name)) == tokens(arguments_of(theirs, command.name))


def check_arguments(arguments: object) -> None:
    for argument in cast(list[Node], arguments):
        assert isinstance(argument["name"], str)
        assert argument["type"] in (
            "key", "string", "integer", "pattern", "unix-time", "pure-token", "oneof", "block",
        )
        assert ("arguments" in argument) == (argument["type"] in ("oneof", "block"))
        if argument["type"] == "pure-token":
            assert "token" in argument
        check_arguments(argument.get("arguments", []))


def test_command_docs_has_the_shape_that_clients_expect() -> None:
    docs = cast(dict[str, Node], parsed(introspection.docs([], resp3=True)))
    assert list(docs) == [command.name for command in COMMANDS]
    for entry in docs.values():
        for field in ("summary", "since", "group", "complexity", "promise"):
            assert isinstance(entry[field], str)
        check_arguments(entry.get("arguments", []))
        for sub in cast(dict[str, Node], entry.get("subcommands", {})).values():
            check_arguments(sub.get("arguments", []))
    flat = cast(list[object], parsed(introspection.docs([b"get", b"nope"], resp3=False)))
    assert flat[0] == "get" and len(flat) == 2


def test_bare_command_is_command_info_of_all() -> None:
    everything = cast(list[list[object]], parsed(introspection.info([], resp3=False)))
    assert [entry[0] for entry in everything] == [command.name for command in COMMANDS]
    assert all(len(entry) == 10 for entry in everything)
    assert introspection.count() == b":%d\r\n" % len(COMMANDS)
    assert parsed(introspection.names([])) == [one.name for one in EVERYTHING]
    by_category = parsed(introspection.names([b"FILTERBY", b"ACLCAT", b"admin"]))
    assert by_category == [one.name for one in EVERYTHING if "admin" in one.categories]
