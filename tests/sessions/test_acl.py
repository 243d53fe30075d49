"""Users and rights: the same replies from respdyn and from redis-server.

Redis 7.0 names single commands in an order of its own, so that order is not compared.
"""

import random
import re

import hiredis
import pytest

from compat.scope import HIDDEN, redis_commands
from respdyn.commands.absent import ABSENT
from respdyn.commands.declare import CATEGORIES
from respdyn.commands.table import COMMANDS
from respdyn.sessions.acl_rules import RuleError, User, merged
from tests.commands.alone import Alone, Client
from tests.commands.real import Connection, running
from tests.commands.test_like_redis import argv_of
from tests.sessions.acl_stories import STORIES


def parsed(step: str) -> tuple[str, list[bytes]]:
    """The connection of a step and its words."""
    first, colon, rest = step.partition(": ")
    if colon and len(first) == 1:
        return first, argv_of(rest)
    return "", argv_of(step)


NUMBER = re.compile(rb"id\r\n:\d+\r\n")        # of the connection, in HELLO
NO_KEY = b"-NOPERM this user has no permissions to access one of the keys"


class Both:
    """The same connections to both."""

    def __init__(self, alone: Alone, connect: object) -> None:
        self.alone = alone
        self.connect = connect
        self.mine: dict[str, Client] = {}
        self.theirs: dict[str, Connection] = {}

    def replies(self, name: str, argv: list[bytes]) -> tuple[bytes, bytes]:
        if name not in self.mine:
            self.mine[name] = self.alone.connect()
            self.theirs[name] = self.connect()      # type: ignore[operator]
        return self.mine[name].call(*argv), self.theirs[name].call(*argv)


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_replies_are_those_of_redis(story: str, resp: int) -> None:
    with running() as server:
        both = Both(Alone(), server.connect)
        both.replies("", [b"HELLO", b"%d" % resp])
        for step in re.split(r" / |\n *", story.strip()):
            name, argv = parsed(step)
            mine, theirs = both.replies(name, argv)
            assert NUMBER.sub(b"", mine) == NUMBER.sub(b"", theirs), step


def test_what_a_category_allows_is_what_redis_allows() -> None:
    """For every command here: the verdicts of both on many sets of rules."""
    from respdyn.commands.declare import CATEGORIES
    from respdyn.commands.table import COMMANDS
    from tests.commands.test_table import NEWER

    rng = random.Random(11)
    everything = [one for command in COMMANDS for one in (command, *command.subcommands)]
    shared = [
        one for one in everything
        if not one.name.startswith("dyn.") and one.name not in NEWER
        and (not one.subcommands or one.arity == -1)
    ]
    with running() as server:
        connection = server.connect()
        client = Alone().connect()
        for round_ in range(40):
            rules = [b"allkeys", b"allchannels"]
            for _ in range(rng.randrange(1, 7)):
                sign = rng.choice([b"+", b"-"])
                what = rng.choice([
                    b"@" + rng.choice([*CATEGORIES, "all"]).encode(),
                    rng.choice(shared).name.encode(),
                ])
                rules.append(sign + what)
            name = b"u%d" % round_
            assert client.call(b"ACL", b"SETUSER", name, *rules) == b"+OK\r\n"
            assert connection.call(b"ACL", b"SETUSER", name, *rules) == b"+OK\r\n"
            for command in shared:
                words = [word.encode() for word in command.name.split("|")]
                words += [b"1"] * (command.least - len(words))
                mine = client.call(b"ACL", b"DRYRUN", name, *words)
                theirs = connection.call(b"ACL", b"DRYRUN", name, *words)
                assert mine == theirs, (rules, words)


def _every_rule() -> list[bytes]:
    """All that a user of Redis may see about commands."""
    names = [name for name in redis_commands() if name not in HIDDEN]
    categories = [b"@" + one.encode() for one in [*CATEGORIES, "all"]]
    return [*categories * 4, *(name.encode() for name in names)]


def test_rules_are_printed_as_redis_prints_them() -> None:
    """Redis names single commands in the order of its hash table; categories come before them."""
    rng = random.Random(18)
    words = _every_rule()
    client = Alone().connect()
    with running() as server:
        connection = server.connect()
        for _ in range(400):
            rules = [rng.choice([b"+", b"-"]) + rng.choice(words) for _ in range(rng.randrange(8))]
            if rng.random() < 0.3:
                rules.insert(0, b"+@all")
            if rng.random() < 0.2:
                rules.insert(rng.randrange(len(rules) + 1), b"+select|%d" % rng.randrange(3))
            shown = []
            for each in (client, connection):
                assert each.call(b"ACL", b"SETUSER", b"x", b"reset", *rules) == b"+OK\r\n", rules
                parts = each.call(b"ACL", b"GETUSER", b"x").split(b"\r\n")
                shown.append(parts[parts.index(b"commands") + 2].split(b" "))
                line = each.call(b"ACL", b"LIST").split(b"\r\n")[-2]
                assert line.endswith(b" ".join(shown[-1]))
            mine, theirs = shown
            at = sum(1 for one in mine if b"@" in one)
            assert mine[:at] == theirs[:at], rules
            assert sorted(_plain(mine[at:])) == sorted(_plain(theirs[at:])), rules


def _plain(rules: list[bytes]) -> list[bytes]:
    """Without commands that Redis 7.0 does not have."""
    return [
        one for one in rules
        if one[1:].decode() in redis_commands() or one.startswith(b"+select|")
    ]


def test_the_table_of_absent_commands_is_what_redis_has_besides() -> None:
    with running() as server:
        reader = hiredis.Reader()
        reader.feed(server.connect().call(b"COMMAND"))
        theirs = {}
        infos = list(reader.gets())
        for info in infos:
            infos += info[9]
            theirs[info[0].decode()] = {one.decode()[1:] for one in info[6]}
    offered = {one.name for command in COMMANDS for one in (command, *command.subcommands)}
    assert {name: set(found) for name, found in ABSENT.items()} == {
        name: found for name, found in theirs.items() if name not in offered
    }


def test_rules_are_kept_and_saved_as_they_were_given() -> None:
    user = User(b"x").changed([b"+@read", b"-get", b"+get", b"+lpush", b"-xgroup|create"])
    assert user.selectors[0].rules == [
        b"-@all", b"+@read", b"+get", b"+lpush", b"-xgroup|create",
    ]
    assert user.shown()[-3:] == [b"-@all", b"+@read", b"+lpush"]
    for rule in (b"+lpusch", b"+xgroup|nope", b"-eval|x", b"+xgroup|create|x"):
        with pytest.raises(RuleError):
            User(b"x").changed([rule])


def test_a_user_shown_and_made_again_is_the_same() -> None:
    rng = random.Random(5)
    choices = [
        b"on", b"off", b">a", b"nopass", b"~a*", b"%R~b", b"%W~b", b"allkeys", b"resetkeys", b"&c",
        b"allchannels", b"resetchannels", b"+get", b"-get", b"+@read", b"-@write", b"+@all",
        b"-@all", b"+client|id", b"+select|0", b"-client", b"(+get ~z)", b"(%R~y +@all -set)",
        b"clearselectors",
    ]
    for _ in range(300):
        user = User(b"x")
        for _ in range(rng.randrange(1, 12)):
            try:
                user = user.changed([rng.choice(choices)])
            except RuleError:
                continue
        again = User(b"x").changed(user.words())
        assert again.words() == user.words()
        for one, other in zip(user.selectors, again.selectors, strict=True):
            assert one.allowed == other.allowed or one.all_commands
            assert one.all_commands == other.all_commands
            assert one.first_words == other.first_words


@pytest.mark.parametrize("rule", [
    b"(", b")", b"()", b"((", b"(()", b"(\xff)", b"%", b"%R", b"%~", b"%RW", b"+", b"-", b"+|",
    b"-|",
    b"+@", b"+get|", b"+|get", b"+client|id|x", b"#", b"!", b"<", b">", b"&", b"~", b"\0", b"(\0)",
    b"(+get\"", b"('", b"+" + b"a" * 10_000, b"~" + b"*" * 10_000, b"(" * 1000 + b")" * 1000,
])
def test_strange_words_are_refused_or_understood(rule: bytes) -> None:
    """CVE-2024-31227, CVE-2024-51741: selectors that crash the server."""
    alone = Alone()
    client = alone.connect()
    reply = client.call(b"ACL", b"SETUSER", b"x", rule)
    assert reply in (b"+OK\r\n",) or reply.startswith(b"-ERR "), reply
    assert client.say("PING") == b"+PONG\r\n"
    assert reply.count(b"\r\n") == 1
    client.say("ACL LIST")


def test_a_pattern_of_stars_costs_no_eternity() -> None:
    alone = Alone()
    client, admin = alone.connect(), alone.connect()
    admin.call(b"ACL", b"SETUSER", b"x", b"on", b"nopass", b"+get", b"~" + b"*a" * 200 + b"b")
    client.say("AUTH x x")
    assert client.call(b"GET", b"a" * 5000).startswith(b"-NOPERM")


def test_merging_keeps_what_is_whole() -> None:
    assert merged([b"on", b"(+get", b"~a)", b"off"]) == [b"on", b"(+get ~a)", b"off"]
    with pytest.raises(RuleError):
        merged([b"(+get"])


# ---- what only respdyn has ----


def test_dyn_with_needs_the_right_to_what_it_carries() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.call(b"ACL", b"SETUSER", b"x", b"on", b"nopass", b"+dyn.with", b"+get", b"~a")
    client.say("AUTH x x")
    assert client.say("DYN.WITH R 1 GET a") == b"$-1\r\n"
    assert client.say("DYN.WITH R 1 GET b").startswith(NO_KEY)
    assert client.say("DYN.WITH R 1 SET a v").startswith(b"-NOPERM")
    admin.say("ACL SETUSER x -dyn.with")
    assert client.say("DYN.WITH R 1 GET a") == (
        b"-NOPERM this user has no permissions to run the 'dyn.with' command\r\n"
    )
    assert admin.say("ACL DRYRUN x DYN.WITH R 1 GET b").startswith(b"$58\r\n")


@pytest.mark.parametrize("line", [
    "DYN.GETCTX b", "DYN.PUTCTX b  v", "DYN.DELCTX b x", "DYN.CAS b x v", "DYN.EXPLAIN b",
    "DYN.PLACE b v COPY_TO", "DYN.TAKE b x MOVE_FROM",
])
def test_keys_of_dyn_commands_are_guarded(line: str) -> None:
    """CVE-2023-41053: a command whose keys the guard did not see."""
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER x on nopass +@all ~a")
    client.say("AUTH x x")
    assert client.say(line).startswith(NO_KEY)


# Commands whose keys stand behind a word.
BEHIND_A_WORD = {
    "xread": [b"XREAD", b"STREAMS", b"1", b"0"],
    "xreadgroup": [b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"1", b">"],
}


def test_every_command_with_keys_is_guarded() -> None:
    """Whatever is added later: a user without keys may name none."""
    from respdyn.commands.table import COMMANDS

    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER x on nopass +@all &*")
    client.say("AUTH x x")
    for command in COMMANDS:
        for one in (command, *command.subcommands):
            if one.access:
                words = [word.encode() for word in one.name.split("|")]
                words += [b"1"] * (max(one.least, 4) - len(words))
                if not one.least <= len(words) <= one.most:
                    words = words[: one.most]
                words = BEHIND_A_WORD.get(one.name, words)
                assert client.call(*words).startswith(b"-NOPERM"), words


def test_a_deleted_user_is_cut_off_and_does_nothing_more() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER x on nopass +@all ~*")
    client.say("AUTH x x")
    assert client.say("SET k v") == b"+OK\r\n"
    assert admin.say("ACL DELUSER x") == b":1\r\n"
    assert client.session.closing
    assert client.say("SET k w") == b""
    assert admin.say("GET k") == b"$1\r\nv\r\n"
    me = alone.connect()
    admin.say("ACL SETUSER y on nopass +@all")
    me.say("AUTH y y")
    assert me.say("ACL DELUSER y") == b":1\r\n" and me.session.closing


def test_a_listener_is_cut_off_when_it_may_listen_no_longer() -> None:
    for listens, keeps in (
        (b"SUBSCRIBE c1", True), (b"SUBSCRIBE d", False), (b"PSUBSCRIBE c*", True),
        (b"PSUBSCRIBE c1", False), (b"SSUBSCRIBE c2", True), (b"SSUBSCRIBE d", False),
    ):
        for change in (b"resetchannels &c*", b"resetchannels &c* (&z)"):
            alone = Alone()
            admin, client = alone.connect(), alone.connect()
            admin.say("ACL SETUSER x on nopass +@all ~* allchannels")
            client.say("AUTH x x")
            client.call(*listens.split())
            admin.call(b"ACL", b"SETUSER", b"x", *change.split(b" ", 2))
            assert client.session.closing is not keeps, (listens, change)
    with running() as server:       # the same there
        admin, client = server.connect(), server.connect()
        admin.call(b"ACL", b"SETUSER", b"x", b"on", b"nopass", b"+@all", b"allchannels")
        client.call(b"AUTH", b"x", b"x")
        client.call(b"SUBSCRIBE", b"d")
        admin.call(b"ACL", b"SETUSER", b"x", b"resetchannels", b"&c*")
        assert client.rest() == b""


def test_refusals_are_logged_and_counted() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER x on >secret +get ~a &*")
    client.say("AUTH x wrong")
    client.say("AUTH x secret")
    for line in ("SET a 1", "SET a 1", "GET b", "GET a", "SET a 1"):
        client.say(line)
    log = admin.say("ACL LOG")
    fields = re.findall(rb"\$\d+\r\n(reason|object|username|context)\r\n\$\d+\r\n(.*?)\r\n", log)
    assert [value for name, value in fields if name == b"reason"] == [b"command", b"key", b"auth"]
    assert [value for name, value in fields if name == b"object"] == [b"set", b"b", b"AUTH"]
    assert re.findall(rb"count\r\n:(\d+)", log) == [b"3", b"1", b"1"]
    assert b"secret" not in log and b"wrong" not in log
    assert b"cmd=set user=x" in log
    assert admin.say("ACL LOG 1").count(b"reason") == 1
    admin.say("CONFIG SET acllog-max-len 1")
    client.say("GET c")
    assert admin.say("ACL LOG").count(b"reason") == 1
    assert admin.say("ACL LOG RESET") == b"+OK\r\n" and admin.say("ACL LOG") == b"*0\r\n"


def test_genpass_gives_so_many_bits() -> None:
    client = Alone().connect()
    assert re.fullmatch(rb"\$64\r\n[0-9a-f]{64}\r\n", client.say("ACL GENPASS"))
    assert re.fullmatch(rb"\$2\r\n[0-9a-f]{2}\r\n", client.say("ACL GENPASS 5"))
    assert client.say("ACL GENPASS") != client.say("ACL GENPASS")


def test_the_default_user_of_all_rights_has_no_guard() -> None:
    alone = Alone()
    client = alone.connect()
    assert client.session.guard is None
    client.say("ACL SETUSER default -@dangerous +acl")
    assert client.session.guard is not None
    client.say("ACL SETUSER default +@all")
    assert client.session.guard is None
    assert Alone(requirepass="x").connect().session.guard is not None


def test_requirepass_follows_where_the_default_user_was_changed() -> None:
    alone = Alone()
    admin = alone.connect()
    admin.say("ACL SETUSER default -flushall")
    admin.say("CONFIG SET requirepass secret")
    assert b"-flushall" in admin.say("ACL LIST")
    stranger = alone.connect()
    assert stranger.say("PING").startswith(b"-NOAUTH")
    assert stranger.say("AUTH secret") == b"+OK\r\n"
    assert stranger.say("FLUSHALL").startswith(b"-NOPERM")
    admin.say("CONFIG SET requirepass ")
    assert alone.connect().say("PING") == b"+PONG\r\n"


def test_a_right_revoked_within_a_transaction_is_refused_once_and_leaks_nothing() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER x on >p ~* +@all")
    client.say("AUTH x p")
    for _ in range(3):
        client.say("MULTI")
        client.say("SET account s3cret")
        admin.say("ACL SETUSER x -set")
        reply = client.say("EXEC")
        assert reply.startswith(b"*1\r\n-NOPERM ACLs rules changed") and b"s3cret" not in reply
        assert admin.say("GET account") == b"$-1\r\n"
        admin.say("ACL SETUSER x +set")
    log = admin.say("ACL LOG")
    assert log.startswith(b"*1\r\n") and b"count\r\n:3\r\n" in log and b"multi\r\n" in log
    assert b"s3cret" not in log and b"s3cret" not in admin.say("INFO everything")
    assert b"s3cret" not in admin.say("CLIENT LIST")
    gone = alone.connect()
    gone.say("AUTH x p")
    gone.say("MULTI")
    gone.say("SET account s3cret")
    admin.say("ACL DELUSER x")
    assert gone.session.closing and admin.say("GET account") == b"$-1\r\n"
