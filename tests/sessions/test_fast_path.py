"""`GET key` and `SET key value` do the same in their short way as every command does in the long.

`Get` and `Set` are the same commands, and spelled like this they go the long way.
"""

import random

import pytest

from respdyn.sessions.session import Session
from tests.commands.alone import Alone
from tests.little import Client, Little

KEYS = [b"a", b"b", b"{a}b", b"{", b"c{}d", b"key:000000000007"]


def spelled(name: bytes, is_short: bool) -> bytes:
    return name if is_short else name.capitalize()


def story(seed: int, nodes: int, is_short: bool) -> list[object]:
    """What clients receive, and what is kept in the end."""
    chance = random.Random(seed)
    little = Little(nodes)
    little.run(3000)
    names = "ABC"[:nodes]
    for name in names:      # early answers come earlier than the long way's; test_early has them
        little[name].dispatcher.forwarding.bits = 0
    clients = [Client(little, little[chance.choice(names)]) for _ in range(3)]
    asked = [0] * len(clients)
    for number in range(150):
        at = chance.randrange(len(clients))
        client, key, value = clients[at], chance.choice(KEYS), b"%d" % number
        draw = chance.random()
        if draw < 0.35:
            client.send(spelled(b"GET", is_short), key)
        elif draw < 0.7:
            client.send(spelled(b"SET", is_short), key, value)
        else:
            client.send(*chance.choice([
                (b"SET", key, value, b"PX", b"20"), (b"INCR", key), (b"DEL", key), (b"PING",),
                (b"EXPIRE", key, b"100"), (b"GET",), (b"SET", key), (b"SET", key, value, b"NX"),
                (b"MGET", *KEYS), (b"DBSIZE",), (b"CLIENT", b"REPLY", b"SKIP"),
                (b"SELECT", b"1"), (b"SELECT", b"0"), (b"DYN.CONSISTENCY", b"R", b"1"),
                (b"DYN.CONSISTENCY", b"W", b"ALL"), (b"HELLO", b"3"), (b"HELLO", b"2"),
            ]))
        asked[at] += 1
        if chance.random() < 0.3:
            little.run(chance.randrange(4))
        if nodes > 1 and chance.random() < 0.02:
            two = chance.sample(range(nodes), 2)
            little.cuts ^= {(two[0], two[1])}
            little.run(chance.choice([5, 2000]))
        if chance.random() < 0.01:
            little[names[0]].storage_failed("full")
        elif chance.random() < 0.05:
            little[names[0]].storage_recovered()
    little.run(8000)
    return [
        [client.session.take() for client in clients],
        [little[name].replica.slots for name in names],
        [sorted((c.name, n) for c, n in little[name].sessions.calls.items()) for name in names],
        [vars(little[name].counters) for name in names],
        [client.session.last_command for client in clients],
    ]


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_both_ways_lead_to_the_same(seed: int, nodes: int) -> None:
    assert story(seed, nodes, True) == story(seed, nodes, False)


def test_both_ways_are_taken() -> None:
    """Otherwise the comparison above would prove nothing."""
    alone = Alone()
    taken: list[int] = []
    path = alone.node.sessions.fast_path
    account = path._account

    def watched(session: Session, gets: int, sets: int, *rest: object) -> None:
        taken.append(gets + sets)
        account(session, gets, sets, *rest)     # type: ignore[arg-type]

    path._account = watched        # type: ignore[assignment,method-assign]
    client = alone.connect()
    for name in (b"SET", b"set", b"Set"):
        client.call(name, b"a", b"b")
    assert taken == [1, 1]


@pytest.mark.parametrize("is_short", [True, False])
def test_a_session_that_may_not_is_refused_both_ways(is_short: bool) -> None:
    alone = Alone(requirepass="secret")
    client = alone.connect()
    assert client.call(spelled(b"SET", is_short), b"a", b"b").startswith(b"-NOAUTH")
    assert client.call(spelled(b"GET", is_short), b"a").startswith(b"-NOAUTH")
    client.say("AUTH secret")
    client.say("SUBSCRIBE news")
    assert b"-ERR Can't execute" in client.call(spelled(b"GET", is_short), b"a")


def test_no_more_is_taken_than_may_be() -> None:
    """Room for requests in flight is counted one by one, however many come at once."""
    little = Little(3, max_inflight=3)
    little.run(3000)
    client = Client(little, little["A"])
    for number in range(5):
        client.send("SET", f"k{number}", "v")
    little.run(20)
    assert client.session.take() == b"+OK\r\n" * 3 + (
        b"-OVERLOAD 3 requests are in flight already; try again\r\n" * 2
    )
