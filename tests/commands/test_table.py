"""The table of commands: what is derived from a declaration is what Redis says of the command."""

import pytest

from respdyn.commands import introspection
from respdyn.commands.declare import GATHER, LOCAL, READ, UPDATE, WRITE, Command
from respdyn.commands.syntax import Argument, Keys, arity_of, keys_of, parse_syntax
from respdyn.commands.table import BY_NAME, COMMANDS, TABLE, find, find_by_name, lookup
from respdyn.errors import ReplyError
from tests.commands.alone import Alone
from tests.commands.real import Connection

EVERYTHING = [one for command in COMMANDS for one in (command, *command.subcommands)]
# Redis 7.0.15 does not have these: ours, and what clients of today send anyway.
NEWER = {
    "client|setinfo", "client|no-touch", "client|maint_notifications", "cluster|myshardid",
    "hexpire", "hpexpire", "hexpireat", "hpexpireat", "httl", "hpttl", "hexpiretime",
    "hpexpiretime", "hpersist", "hgetdel", "hgetex", "hsetex",
}
COMPARED = [
    one for one in EVERYTHING
    if not one.name.startswith("dyn.") and one.name not in NEWER and not one.subcommands
]


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("command", COMPARED, ids=lambda command: command.name)
def test_command_info_is_that_of_redis(command: Command, resp: int, redis: Connection) -> None:
    redis.call(b"HELLO", b"%d" % resp)
    name = command.name.encode()
    assert introspection.info([name], resp == 3) == redis.call(b"COMMAND", b"INFO", name)


def test_what_is_not_offered_says_why() -> None:
    reply = Alone().connect().say("MIGRATE 127.0.0.1 6379 k 0 1000")
    assert reply.startswith(b"-ERR MIGRATE is not offered: ") and b"DUMP here and RESTORE" in reply
    assert BY_NAME.get(b"migrate") is None


@pytest.mark.parametrize("command", EVERYTHING, ids=lambda command: command.name)
def test_every_command_is_found_in_any_case(command: Command) -> None:
    words = [word.encode() for word in command.name.split("|")]
    for spell in (bytes.upper, bytes.lower, bytes.title):
        assert find([spell(word) for word in words]) is command
        assert find_by_name(b"|".join(spell(word) for word in words)) is command


@pytest.mark.parametrize("command", EVERYTHING, ids=lambda command: command.name)
def test_the_number_of_words_is_checked(command: Command) -> None:
    words = [word.encode() for word in command.name.split("|")]
    enough = words + [b"x"] * (command.least - len(words))
    if not command.subcommands:
        assert lookup(enough) is command
    for argv in (enough[:-1], [*enough, b"x"]):
        if len(argv) >= len(words) and not command.least <= len(argv) <= command.most:
            with pytest.raises(ReplyError) as wrong:
                lookup(argv)
            assert wrong.value.text == (
                f"ERR wrong number of arguments for '{command.name}' command"
            )


def test_names_are_unique_and_sorted_into_the_table() -> None:
    names = [one.name for one in EVERYTHING]
    assert len(set(names)) == len(names)
    assert set(BY_NAME) == {command.name.encode() for command in COMMANDS}
    assert not any(command.subcommands for command in TABLE.values())


@pytest.mark.parametrize("command", EVERYTHING, ids=lambda command: command.name)
def test_a_command_on_a_key_says_how_it_uses_it(command: Command) -> None:
    if command.route in (READ, WRITE, UPDATE, GATHER):
        is_second = command.name in ("bitop", "pfdebug") or "|" in command.name
        is_counted = command.counted_keys and ";" not in command.access
        assert command.keys.first == (0 if is_counted else 2 if is_second else 1)
        assert ("readonly" in command.flag_words) != ("write" in command.flag_words)
        reads = ["RO" in access.split() for access in command.access.split(";")]
        reads += ["RO" in access for _, access in command.unknown_keys]
        reads += ["RO" in access for _, _, access in command.keywords]
        # Redis's PFCOUNT writes what it has counted into the string; ours only reads.
        is_read = all(reads) or command.name == "pfcount"
        if command.name == "xreadgroup":
            return      # it writes, and Redis says that it only reads its keys
        assert is_read == ("readonly" in command.flag_words)
    if command.route in (READ, LOCAL) and command.group != "scripting":   # nothing there to write
        assert "write" not in command.flag_words
    if command.single is not None:
        assert command.route == GATHER
        assert command.single.route in (READ, UPDATE)
        assert command.single.name == command.name
        assert command.single.flag_words == command.flag_words


@pytest.mark.parametrize(("line", "arity", "keys"), [
    ("X", 1, Keys()),
    ("X key", 2, Keys(1, 1, 1)),
    ("X key [key ...]", -2, Keys(1, -1, 1)),
    ("X key value [key value ...]", -3, Keys(1, -1, 2)),
    ("X [a] key", -2, Keys()),
    ("X a key [NX | XX]", -3, Keys(2, 2, 1)),
    ("X <A | B b>", -2, Keys()),
    ("X [COUNT count] [a ...]", -1, Keys()),
    ("X <ON | OFF>", 2, Keys()),
    ("X key1 key2 [LEN]", -3, Keys(1, 2, 1)),
    ("X operation destkey key [key ...]", -4, Keys(2, -1, 1)),
    ("X LIMIT offset count key", 5, Keys(4, 4, 1)),
])
def test_arity_and_keys_follow_from_the_syntax(line: str, arity: int, keys: Keys) -> None:
    arguments = parse_syntax(line, 1)
    assert arity_of(arguments, 1) == arity
    assert keys_of(arguments, 1) == keys


def test_the_argument_tree_follows_from_the_syntax() -> None:
    nx = Argument("nx", "pure-token", token="NX")
    seconds = Argument("seconds", "integer", token="EX")
    pair = (Argument("key", "key"), Argument("value", "string"))
    assert parse_syntax("X key value [key value ...] [NX | EX seconds] [arg ...]", 1) == (
        Argument("key_value", "block", multiple=True, children=pair),
        Argument("nx", "oneof", optional=True, children=(nx, seconds)),
        Argument("arg", "string", optional=True, multiple=True),
    )
    block = parse_syntax("X [AUTH user password]", 1)
    assert block == (
        Argument("auth_password", "block", optional=True, children=(
            Argument("user", "string", token="AUTH"), Argument("password", "string"))),
    )


@pytest.mark.parametrize("line", ["X [", "X ]", "X [a>", "X <a|>", "X [a", "X a ]"])
def test_a_line_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="nothing opens|without an end|closed by"):
        parse_syntax(line, 1)


@pytest.mark.parametrize("argv", [
    "GET k", "SET k v NX", "MSET a 1 b 2", "MSET a 1 b", "DEL a b c", "PING x", "NOPE a", "GET a b",
    "get a", "CLIENT ID x", "CLIENT NOPE x", "EXPIRE k 1", "EXPIRE k", "SCAN 0", "TOUCH a",
    "BITOP AND d a b", "LCS a b IDX", "MSETNX a 1 b 2",
    *(f"{name} {count} a b{more}" for count in ("2", "1", "0", "3", "x", "-1") for name, more in (
        ("LMPOP", " LEFT"), ("ZMPOP", " MIN"), ("BLMPOP 0", " LEFT"), ("BZMPOP 0", " MIN"),
        ("SINTERCARD", ""), ("ZUNION", ""), ("ZDIFFSTORE d", ""), ("EVAL x", ""))),
])
def test_getkeys_is_that_of_redis(argv: str, redis: Connection) -> None:
    words = argv.encode().split(b" ")
    expected = redis.call(b"COMMAND", b"GETKEYS", *words)
    try:
        mine = introspection.keys(words)
    except ReplyError as wrong:
        mine = b"-" + wrong.text.encode() + b"\r\n"
    assert mine == expected


def test_getkeys_looks_into_dyn_with() -> None:
    words = b"DYN.WITH R 1 SLOPPY no W ALL MSET a 1 b 2".split(b" ")
    assert introspection.keys(words) == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    for bad in (b"DYN.WITH R 1", b"DYN.WITH R", b"DYN.WITH NOPE k", b"DYN.WITH DYN.WITH GET k"):
        with pytest.raises(ReplyError, match="ERR Invalid"):
            introspection.keys(bad.split(b" "))
