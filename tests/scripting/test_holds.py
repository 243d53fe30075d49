"""Scripts on keys of several coordinators: one step, nothing lost, and an end to every hold."""

from collections.abc import Callable
from typing import Any

import pytest

from respdyn.cluster.identity import Identity
from respdyn.cluster.messages import UNKNOWN
from respdyn.cluster.terms import Terms
from respdyn.commands.table import find
from respdyn.coordination.borrowing import HOLD
from respdyn.coordination.calls import Call, Continuation
from respdyn.coordination.holds import HoldExecution
from respdyn.ring.hashing import locator, slot_of
from tests.little import Client, Little

ALL = """
local n = 0
for _, key in ipairs(KEYS) do
    n = tonumber(redis.call('get', key) or 0) + 1
    redis.call('set', key, n)
end
return n
"""
UNDECLARED = ALL.replace("KEYS", "ARGV")


def idle(little: Little) -> bool:
    return all(m.node.is_idle() for m in little.machines if m.is_running)


def keys_of(little: Little) -> list[str]:
    return [little.key_of(name) for name in "ABC"]


@pytest.mark.parametrize("script", [ALL, UNDECLARED], ids=["declared", "undeclared"])
def test_a_script_writes_to_keys_of_all_coordinators(script: str) -> None:
    little = Little(3).ready()
    keys = keys_of(little)
    count = len(keys) if script is ALL else 0
    for number, name in enumerate("ABC", 1):
        assert little.client(name)("EVAL", script, count, *keys) == number
        for other in "ABC":
            for key in keys:
                assert little.client(other)("GET", key) == str(number).encode()
    little.run(20)
    assert idle(little)


@pytest.mark.parametrize("script", [ALL, UNDECLARED], ids=["declared", "undeclared"])
def test_no_increment_is_lost_where_scripts_want_each_others_keys(script: str) -> None:
    little = Little(3).ready()
    keys = keys_of(little)
    count = len(keys) if script is ALL else 0
    clients: list[Client] = [little.client(name) for name in "ABC" for _ in range(4)]
    for turn in range(3):
        for index, client in enumerate(clients):
            at = (index + turn) % 3
            client.send("EVAL", script, count, *keys[at:], *keys[:at])
            client.send("INCR", keys[0])
        for client in clients:
            assert isinstance(client.receive(), int)
            assert isinstance(client.receive(), int)
    values = [little.client("A")("GET", key) for key in keys]
    assert values[1:] == [b"36", b"36"]
    assert values[0] == b"72"
    little.run(20)
    assert idle(little)


def test_reads_of_other_nodes_keys_let_them_go_at_the_end() -> None:
    little = Little(3).ready()
    a, b, c = keys_of(little)
    client = little.client("A")
    client("SET", b, "x")
    assert client("EVAL", "return redis.call('mget', KEYS[1], KEYS[2], KEYS[3])", 3, a, b, c) == [
        None, b"x", None,
    ]
    assert client("EVAL", "redis.call('rename', KEYS[1], KEYS[2]) return 1", 2, b, c) == 1
    assert client("MGET", b, c) == [None, b"x"]
    little.run(20)
    assert idle(little)


def test_a_holder_that_is_lost_lets_the_keys_go() -> None:
    little = Little(3).ready()
    a, b, _ = keys_of(little)
    client = little.client("A")
    client.send("EVAL", "redis.call('set', KEYS[2], 1) while true do end", 2, a, b)
    little.run(3)
    little.kill("A")
    assert little.client("B")("SET", b, "free") == b"OK"
    assert little.client("C")("GET", b) == b"free"


def test_a_lender_that_is_lost_ends_the_script_with_an_error() -> None:
    little = Little(3).ready()
    a, b, _ = keys_of(little)
    little.kill("B")
    reply = little.client("A")("EVAL", ALL, 2, a, b)
    assert reply == 1 or str(reply).startswith(("TIMEOUT", "NOQUORUM", "TRYAGAIN"))
    little.until(lambda: isinstance(little.client("A")("EVAL", ALL, 2, a, b), int))
    little.run(20)
    assert idle(little)


def test_a_script_may_wait_for_its_keys_for_longer_than_it_may_be_on_its_way() -> None:
    """A frame has a window in which it may arrive; a script that has arrived has until its end."""
    little = Little(3).ready()
    a, b, c = keys_of(little)
    client = little.client("A")
    assert client("EVAL", ALL, 2, b, c) == 1
    little.holds.add((2, 1))            # what C lends to B is under way for long
    client.send("EVAL", ALL, 2, b, c)
    little.run(500)
    little.holds.clear()
    assert client.receive() == 2
    assert client("MGET", a, b, c) == [None, b"2", b"2"]
    little.run(20)
    assert idle(little)


@pytest.mark.parametrize("script", [ALL, UNDECLARED], ids=["declared", "undeclared"])
@pytest.mark.parametrize("is_first", [True, False])
def test_scripts_run_where_nodes_disagree_on_who_coordinates(script: str, is_first: bool) -> None:
    """A takes C to coordinate a key that C takes to be B's."""
    little = Little(3).ready()
    owners = tuple(little[name].identity.node_id for name in "BCA")
    key = next(
        key for key in map(str, range(1000))
        if little["A"].this.plans[slot_of(key.encode())].owners == owners
    )
    keys = [key, little.key_of("A")] if is_first else [little.key_of("A"), key]
    little.cut("A", "B")
    little.run(5)
    client = little.client("A")
    for number in range(1, 4):
        assert client("EVAL", script, len(keys) if script is ALL else 0, *keys) == number
    little.heal()
    little.run(1000)
    assert little.client("B")("MGET", *keys) == [b"3"] * 2
    little.run(20)
    assert idle(little)


def test_an_order_to_another_node_that_comes_too_late_is_sent_all_the_same() -> None:
    """Keys are let go after the script's deadline too: on a busy machine that turn comes late."""
    little = Little(3).ready()
    node, peer = little["A"], little["C"].identity.node_id
    late_ms = node.now_ms - 100
    received: list[bytes] = []
    command = find([b"EVAL"])
    assert command is not None
    call = Call(
        command, [HOLD, b""], 0, False, Terms(2, 2, True, 1), late_ms, 1, late_ms
    )
    node.dispatcher.forwarding.send(
        call, locator(0, b"k"), peer, Continuation(received.append)
    )
    little.run(20)
    assert received == [UNKNOWN]


def test_a_key_is_held_while_the_script_runs_and_no_longer() -> None:
    little = Little(3).ready()
    a, b, _ = keys_of(little)
    slow = "redis.call('set', KEYS[2], 'script') for i = 1, 100 do end return redis.call('dbsize')"
    one, two = little.client("A"), little.client("B")
    one.send("EVAL", slow, 2, a, b)
    little.run(1)
    two.send("APPEND", b, "!")
    assert isinstance(one.receive(), int)
    assert isinstance(two.receive(), int)
    assert little.client("C")("GET", b) in (b"script!", b"script")


MOVE = """
local first = redis.call('lpop', KEYS[1])
redis.call('hset', KEYS[2], first, ARGV[1])
redis.call('zadd', KEYS[3], redis.call('zcard', KEYS[3]), first)
redis.call('sadd', KEYS[4], first)
redis.call('srem', KEYS[4], 'm7')
return {redis.call('llen', KEYS[1]), redis.call('hlen', KEYS[2]), redis.call('zcard', KEYS[3]),
        redis.call('scard', KEYS[4])}
"""


@pytest.mark.parametrize("name", "ABC")
def test_scripts_run_on_big_collections_of_every_coordinator(name: str) -> None:
    """What is kept as trees goes to the process, and to who borrows it, in one piece."""
    little = Little(3).ready()
    client = little.client(name)
    for coordinator in "ABC":
        keys = [f"{kind}{{{little.key_of(coordinator)}}}" for kind in "lhzs"]
        for number in range(400):
            client("RPUSH", keys[0], f"item{number}")
            client("HSET", keys[1], f"f{number}", "x" * 10)
            client("ZADD", keys[2], number, f"m{number}")
            client("SADD", keys[3], f"m{number}")
        for turn in range(3):
            assert client("EVAL", MOVE, 4, *keys, "done") == [
                399 - turn, 401 + turn, 401 + turn, 400 + turn,
            ]
        assert client("LINDEX", keys[0], 0) == b"item3"
        assert client("HGET", keys[1], "item2") == b"done"
        assert client("ZSCORE", keys[2], "item2") == b"402"
        assert client("SISMEMBER", keys[3], "m7") == 0
        assert client("EVAL", "return redis.call('del', unpack(KEYS))", 4, *keys) == 4
        assert client("EXISTS", *keys) == 0
    little.run(20)
    assert idle(little)


def test_a_lender_that_must_not_mint_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    little = Little(3).ready()
    lender = little["B"].identity
    can_mint = Identity.can_mint
    monkeypatch.setattr(
        Identity, "can_mint", lambda self, count: self is not lender and can_mint(self, count)
    )
    reply = little.client("A")(
        "EVAL", "return redis.call('set', KEYS[2], 1)", 2, little.key_of("A"), little.key_of("B")
    )
    assert str(reply).startswith("MISCONF the lease of this node's counter is not stored yet")


def at_commit(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Something happens at a lender just before it is sent what a script has written."""
    commit = HoldExecution.commit

    def patched(self: HoldExecution, *args: Any) -> None:
        happens()
        commit(self, *args)

    monkeypatch.setattr(HoldExecution, "commit", patched)


def test_a_lender_without_more_dots_writes_with_those_that_it_has_lent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    little = Little(3).ready()
    keys = keys_of(little)
    lender = little["B"].identity
    at_commit(monkeypatch, lambda: setattr(lender, "safe_end", lender.counter))
    assert little.client("A")("EVAL", ALL, 3, *keys) == 1
    assert [little.client("C")("GET", key) for key in keys] == [b"1"] * 3


def test_a_lender_that_cannot_write_any_more_does_not_say_that_nothing_was_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    little = Little(3).ready()
    keys = keys_of(little)
    at_commit(monkeypatch, lambda: setattr(little["B"].this, "store_failure", "it is full"))
    reply = str(little.client("A")("EVAL", ALL, 3, *keys))
    assert reply.startswith("PARTIAL")
    assert "it is full" in reply
    assert little.client("A")("GET", keys[0]) == b"1"


@pytest.mark.parametrize("in_order", [True, False])
def test_a_read_of_a_run_that_was_lost_does_not_begin_the_next_one(in_order: bool) -> None:
    """Its process dies while it waits for a key; the next run waits for another one's turn."""
    little = Little(3).ready()
    first, second = (f"{{{little.key_of('A')}}}:{at}" for at in (range(2) if in_order else (1, 0)))
    one, two = little.client("A"), little.client("A")
    little.holds |= {(1, 0), (2, 0)}
    one.send("EVAL", "redis.call('get', ARGV[1]) return redis.call('incr', ARGV[2])", 0,
             first, second)
    little.run(3)
    two.send("EVAL", ALL, 2, second, little.key_of("B"))
    little.run(1)
    little.machines[0].scripts.die()
    little["A"].scripts.died(0, "signal 11")
    little.run(5)
    little.heal()
    assert two.receive() == 1
    assert one.receive() == 2
    little.run(20)
    assert idle(little)
    assert not little["A"].dispatcher.busy
    assert little.client("B")("INCR", second) == 3
