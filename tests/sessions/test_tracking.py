"""A write through any node reaches caches at any other; what may be missed is invalidated."""

import random

from tests.little import Client, Little
from tests.sessions.test_pubsub import pushed


def caching(little: Little, name: str, *options: str) -> Client:
    client = little.client(name)
    client("HELLO", "3")
    client("CLIENT", "TRACKING", "ON", *options)
    return client


def invalid(client: Client) -> set[bytes]:
    found: set[bytes] = set()
    for word, keys in pushed(client):  # type: ignore[misc]
        assert word == b"invalidate"
        found.update(keys)
    return found


def test_a_write_through_any_node_reaches_caches_at_any_node() -> None:
    little = Little(5).ready()
    for owner in "ABCDE":
        key = little.key_of(owner)
        for reader in "ABCDE":
            for writer in "ABCDE":
                client = caching(little, reader)
                client("GET", key)
                little.client(writer)("SET", key, writer)
                little.run(5)
                assert invalid(client) == {key.encode()}, (owner, reader, writer)
                little[reader].close_session(client.session)
    little.run(5)
    assert not any(little[name].notifications.keyspace_events.trackers for name in "ABCDE")


def test_nothing_is_said_while_no_client_caches() -> None:
    little = Little(3).ready()
    little.client("A")("SET", "k", "v")
    assert not any(little[name].notifications.trackers.invalidations for name in "ABC")


def test_no_cache_is_wrong_in_the_end() -> None:
    """Clients cache what they read until it is invalidated, through cuts and failed writes."""
    dice = random.Random(7)
    little = Little(5, exchange_interval_ms=200, request_timeout_ms=300).ready()
    keys = [f"k{number}" for number in range(5)]
    caches: dict[Client, dict[str, object]] = {caching(little, name): {} for name in "ABCDE"}

    def listen() -> None:
        for client, cache in caches.items():
            for word, invalid in pushed(client):  # type: ignore[misc]
                assert word == b"invalidate"
                if invalid is None:
                    cache.clear()
                else:
                    for key in invalid:
                        cache.pop(key.decode(), None)

    for number in range(400):
        if number % 40 == 10:
            little.cut(*dice.sample("ABCDE", 2))
        if number % 40 == 30:
            little.heal()
        writer = little.client(dice.choice("ABCDE"))
        writer.send(*dice.choice(
            (("SET", dice.choice(keys), number), ("DEL", dice.choice(keys)),
             ("INCR", "n" + dice.choice(keys)), ("DYN.WITH", "W", 1, "SET", keys[0], number))
        ))
        for client in dice.sample(list(caches), 3):
            key = dice.choice(keys)
            client.send(*dice.choice((("GET", key), ("DYN.WITH", "R", 1, "GET", key))))
            while client.session.pending:
                little.step()
            client._reader.feed(client.session.take())
            while (reply := client._reader.gets()) is not False:
                if isinstance(reply, list):
                    if reply[1] is None:
                        caches[client].clear()
                    else:
                        for gone in reply[1]:
                            caches[client].pop(gone.decode(), None)
                elif not isinstance(reply, str):
                    caches[client][key] = reply
        little.run(dice.randrange(4))
    little.heal()
    little.run(8000)
    listen()
    fresh = little.client("A")
    cached = 0
    for cache in caches.values():
        for key, value in cache.items():
            cached += 1
            assert value == fresh("GET", key), key
    assert cached


def test_a_broken_link_makes_caches_forget_everything() -> None:
    little = Little(3).ready()
    client, plain = caching(little, "A"), little.client("A")
    client("GET", "k")
    little.cut("A", "C")
    assert [b"invalidate", None] in pushed(client)
    assert pushed(plain) == []
    client("GET", "k")
    little.heal()
    little.run(3000)
    assert [b"invalidate", None] in pushed(client)


def test_an_invalidation_does_not_overtake_the_reply_that_it_is_about() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    little.client("C")("SET", key, "old")
    client = caching(little, "A")
    little.holds |= {(1, 0), (2, 0)}        # the read's answers will be late
    client.send("GET", key)
    little.run(3)
    little.holds.clear()
    little.client("B").send("SET", key, "new")
    little.run(10)
    got = pushed(client)
    assert got[0] in (b"old", b"new") and got[-1] == [b"invalidate", [key.encode()]]


def test_a_repair_reaches_caches_too() -> None:
    """A write that reached one owner alone is spread later, by no command of a client."""
    little = Little(3, exchange_interval_ms=500).ready()
    key = little.key_of("A")
    little.cut("A", "B")
    little.cut("A", "C")
    assert little.client("A")("DYN.WITH", "W", 1, "SET", key, "alone") == b"OK"
    little.run(2000)
    client = caching(little, "B")
    assert client("GET", key) is None
    little.heal()
    little.run(6000)
    invalidated = pushed(client)
    assert invalidated
    assert client("GET", key) == b"alone"


def test_a_broadcast_invalidates_prefixes_at_every_node() -> None:
    little = Little(3).ready()
    client = caching(little, "A", "BCAST", "PREFIX", "user:", "PREFIX", "x")
    for writer in "ABC":
        little.client(writer)("SET", f"user:{writer}", "v")
        little.client(writer)("SET", f"other:{writer}", "v")
    little.run(5)
    assert invalid(client) == {b"user:A", b"user:B", b"user:C"}


def test_a_flush_invalidates_everything() -> None:
    little = Little(3).ready()
    client = caching(little, "C")
    little.client("B")("SET", "k", "v")
    client("GET", "k")
    little.client("A")("FLUSHALL")
    little.run(5)
    assert [b"invalidate", None] in pushed(client)
