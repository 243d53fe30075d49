"""Users are those of the whole cluster: announced, stored, and alike at all nodes after any cut."""

import random

import msgspec
import pytest

from respdyn.cluster.messages import GOSSIP_USER
from respdyn.cluster.shared_names import Statement
from respdyn.errors import PeerError
from tests.little import Little


def users(little: Little, name: str) -> list[bytes]:
    reply = little.client(name)("ACL", "LIST")
    assert isinstance(reply, list)
    return reply


def alike(little: Little) -> list[bytes]:
    """The users, which are the same at all nodes."""
    first = users(little, "A")
    for machine in little.machines:
        name = chr(65 + little.machines.index(machine))
        assert users(little, name) == first, name
    return first


def test_a_user_made_at_one_node_is_known_at_all() -> None:
    little = Little(3).ready()
    assert little.client("A")("ACL", "SETUSER", "x", "on", ">secret", "+get", "~a*") == b"OK"
    little.run(5)
    assert any(line.startswith(b"user x on #") for line in alike(little))
    client = little.client("C")
    assert client("AUTH", "x", "secret") == b"OK"
    assert client("GET", "a1") is None
    assert str(client("GET", "b")).startswith("NOPERM")
    little.client("B")("ACL", "DELUSER", "x")
    little.run(5)
    assert len(alike(little)) == 1
    assert client.session.closing


def test_users_survive_a_restart_and_reach_who_was_away() -> None:
    little = Little(3).ready()
    little.client("A")("ACL", "SETUSER", "x", "on", "nopass", "+@all", "~*")
    little.run(5)
    little.kill("C")
    little.client("A")("ACL", "DELUSER", "x")
    little.client("A")("ACL", "SETUSER", "default", "-flushall")
    little.run(5)
    for name in "AB":
        little.kill(name)
    little.boot("C")
    assert any(line.startswith(b"user x on") for line in users(little, "C"))
    little.boot("A")
    little.boot("B")
    little.run(3000)
    assert alike(little) == [b"user default on nopass ~* &* +@all -flushall"]


def test_a_change_is_on_disk_at_once_under_any_durability() -> None:
    little = Little(1, durability="no").ready()
    node = little["A"]
    client = little.client("A")
    client("ACL", "SETUSER", "x", "on")
    little.step()
    assert any(b"user x" in key for key in little.machines[0].disk)
    client("SET", "k", "v")
    node.sessions.users.set_user(b"y", [b"on"])
    assert node.drain().sync
    assert not node.drain().sync


def test_of_two_sides_of_a_cut_the_later_word_holds() -> None:
    little = Little(3).ready()
    little.client("A")("ACL", "SETUSER", "x", "on", "nopass", "+@all", "~*")
    little.run(5)
    victim = little.client("C")
    victim("AUTH", "x", "x")
    little.cut("A", "C")
    little.cut("B", "C")
    little.run(50)
    for _ in range(5):
        little.client("C")("ACL", "SETUSER", "x", "~more")      # more often, but earlier
        little.client("C")("ACL", "SETUSER", "x", "resetkeys", "~*")
    little.run(50)
    little.client("A")("ACL", "SETUSER", "x", "-set")
    little.run(50)
    assert victim("PING") == b"PONG"        # C has not received it
    little.heal()
    little.run(3000)
    assert any(line.endswith(b"+@all -set") for line in alike(little))
    assert str(victim("SET", "k", "v")).startswith("NOPERM")


@pytest.mark.parametrize("seed", range(30))
def test_in_whatever_order_statements_come_the_outcome_is_one(seed: int) -> None:
    rng = random.Random(seed)
    rules = [["on"], ["off"], ["+get"], ["-@all"], ["~a"], [">p"], ["reset"], ["(+set ~z)"]]
    statements = []
    for number in range(30):
        words = [rule.encode() for rule in rng.choice(rules)]
        statements.append(msgspec.msgpack.encode(Statement(
            rng.choice([b"x", b"y"]), rng.randrange(1, 8), f"{number % 3}",
            None if rng.random() < 0.2 else words,
        )))
    outcomes = set()
    for _ in range(6):
        little = Little(1).ready()
        announced = statements * 2
        rng.shuffle(announced)
        for body in announced:
            little["A"].sessions.users.statements.receive(body)
        before = users(little, "A")
        little.run(2)
        little.kill("A")
        little.boot("A")
        assert users(little, "A") == before
        outcomes.add(tuple(before))
    assert len(outcomes) == 1


@pytest.mark.parametrize("body", [
    b"", b"\xc1", msgspec.msgpack.encode(7), msgspec.msgpack.encode([b"x", 1, "n"]),
    msgspec.msgpack.encode(Statement(b"x", 1 << 63, "n", [])),
    msgspec.msgpack.encode(Statement(b"x", 0, "n", [])),
    msgspec.msgpack.encode(Statement(b"x", 1, "n" * 100, [])),
    msgspec.msgpack.encode(Statement(b"default", 1, "n", None)),
    msgspec.msgpack.encode(Statement(b"x", 1, "n", [b"nonsense"])),
    msgspec.msgpack.encode(Statement(b"x", 1, "n", [b"#12"])),
])
def test_a_statement_that_makes_no_sense_ends_the_connection(body: bytes) -> None:
    little = Little(1).ready()
    node = little["A"]
    with pytest.raises(PeerError):
        node.handlers.receive(node.link_to("peer"), GOSSIP_USER + body)
    assert len(users(little, "A")) == 1


def test_commands_that_this_version_does_not_know_are_kept_for_those_that_do() -> None:
    little = Little(1).ready()
    words = [b"on", b"-@all", b"+get", b"+brandnew", b"+@brandnew", b"-other|sub"]
    statements = little["A"].sessions.users.statements
    statements.receive(msgspec.msgpack.encode(Statement(b"x", 5, "n", words)))
    assert users(little, "A")[1].endswith(b"-@all +get +brandnew +@brandnew -other|sub")


def test_a_version_far_ahead_is_refused_and_one_a_little_ahead_can_be_changed() -> None:
    little = Little(1).ready()
    node = little["A"]
    years = 365 * 86_400_000 << 16
    now = little.wall_ms << 16
    for version in ((1 << 62) - 2, now + 101 * years, 0, -1):
        with pytest.raises(PeerError):
            node.sessions.users.statements.receive(
                msgspec.msgpack.encode(Statement(b"x", version, "n", [b"on"]))
            )
    node.sessions.users.statements.receive(
        msgspec.msgpack.encode(Statement(b"x", now + 99 * years, "n", [b"on"]))
    )
    for word in ("off", "on", "off"):
        assert little.client("A")("ACL", "SETUSER", "x", word) == b"OK"
    assert b"user x off resetchannels -@all" in users(little, "A")
