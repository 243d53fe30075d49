"""Commands of very many elements on three nodes: long work is no failure, and no other's wait."""

import pytest

from respdyn.types import sorted_sets
from tests.little import Little

MANY = 3000


def fill(client, key, verb="ZADD", count=MANY):
    for at in range(0, count, 250):
        some = range(at, at + 250)
        words = [word for n in some for word in (n, f"m{n}")] if verb == "ZADD" else some
        assert client(verb, key, *words)


def records_of(little, key):
    found = []
    for machine in little.machines:
        for slot in machine.node.replica.slots:
            found += [record for locator, record in slot.items() if locator[3:] == key.encode()]
    return found


def others_than(little, name):
    return [other for other in "ABC" if other != name]


@pytest.fixture
def little():
    return Little(3, request_timeout_ms=100).ready()


def test_a_long_write_through_any_node_takes_longer_than_a_request_may(little):
    """Who has forwarded it receives that it goes on; what came behind it waits in line, in time."""
    key = little.key_of("A")
    fill(little.client("B"), key)
    client, other = little.client("B"), little.client("C")
    begun = little.now_ms
    client.send("ZREMRANGEBYSCORE", key, 10, MANY - 10)
    other.send("ZCARD", key)
    client.send("ZADD", key, 5, "new")
    assert client.receive() == MANY - 19
    assert little.now_ms - begun > 100
    assert client.receive() == 1
    assert isinstance(other.receive(), int), "a read may see it on its way"
    little.run(50)
    assert other("ZRANGE", key, 0, -1) == [
        *(b"m%d" % n for n in range(6)), b"new", *(b"m%d" % n for n in range(6, 10)),
        *(b"m%d" % n for n in range(MANY - 9, MANY)),
    ]
    assert len({record[:] for record in records_of(little, key)}) == 1


def test_a_long_write_whose_coordinator_dies_is_an_error_and_not_silence(little):
    key = little.key_of("A")
    fill(little.client("B"), key)
    client = little.client("B")
    client.send("ZREMRANGEBYRANK", key, 0, -2)
    little.run(60)
    little.kill("A")
    assert str(client.receive()).startswith("TIMEOUT")
    left = client("ZCARD", key)
    assert 1 < left < MANY
    assert client("ZREMRANGEBYRANK", key, 0, -2) == left - 1
    assert client("ZRANGE", key, 0, -1) == [b"m2999"]


def test_an_order_is_made_in_pieces_and_who_needs_it_waits(little):
    """After a start no order is at hand: both those who read it and who take by it wait, and a
    write behind them takes effect behind them."""
    key = little.key_of("A")
    fill(little.client("A"), key)
    for seal in list(sorted_sets.ORDERS._kept):
        sorted_sets.ORDERS.take(seal)
    through_b, at_a = little.client("B"), little.client("A")
    at_a.send("ZRANGE", key, 0, 0)
    at_a.send("ZADD", key, -1, "first")
    at_a.send("ZRANGE", key, 0, 0)
    through_b.send("ZPOPMAX", key)
    begun = little.now_ms
    assert little.client("A")("PING")
    assert little.now_ms - begun < 5, "others do not wait"
    assert at_a.receive() == [b"m0"] and at_a.receive() == 1 and at_a.receive() == [b"first"]
    assert through_b.receive() == [b"m2999", b"2999"]


def test_an_order_follows_what_was_changed_while_it_was_made(little):
    key = little.key_of("A")
    fill(little.client("A"), key)
    for seal in list(sorted_sets.ORDERS._kept):
        sorted_sets.ORDERS.take(seal)
    readers = [little.client(name) for name in "ABC"]
    writer = little.client("A")
    for reader in readers:
        reader.send("ZRANGE", key, 0, 1)
    for number in range(300):
        writer("ZADD", key, number, f"m{number + 700}")
    for reader in readers:
        assert reader.receive()
    assert {tuple(reader("ZRANGE", key, 0, 3)) for reader in readers} == {
        (b"m0", b"m700", b"m1", b"m701")}


def test_a_long_read_is_one_moment_of_its_key(little):
    key = little.key_of("A")
    fill(little.client("A"), key, "SADD")
    reader, writer = little.client("A"), little.client("A")
    reader.send("SMEMBERS", key)
    little.run(3)
    assert writer("SREM", key, *range(100)) == 100
    assert writer("SADD", key, "new") == 1
    assert sorted(reader.receive()) == sorted(b"%d" % n for n in range(MANY))
    assert len(reader("SMEMBERS", key)) == MANY - 99


def test_a_long_read_waits_for_its_quorum(little):
    """The coordinator has missed writes: what it gives in pieces is the join."""
    key = little.key_of("A")
    fill(little.client("A"), key, "SADD", 1000)
    for other in "BC":
        little.cut("A", other)
    little.run(300)
    assert little.client("B")("SADD", key, *(f"n{n}" for n in range(400))) == 400
    little.heal()
    little.run(300)
    assert len(little.client("A")("SMEMBERS", key)) == 1400


def test_words_that_are_wrong_change_nothing(little):
    key = little.key_of("A")
    client = little.client("B")
    fields = [word for n in range(1000) for word in (f"f{n}", n)]
    assert str(client("HSET", key, *fields, "odd")).startswith("ERR wrong number")
    pairs = [word for n in range(1000) for word in (n, f"m{n}")]
    assert str(client("ZADD", key, *pairs, "no number", "m")).startswith("ERR value is not")
    assert client("EXISTS", key) == 0
    assert client("XADD", key, "1-1", "f", "v") == b"1-1"
    ids = [f"{n}-1" for n in range(1000)]
    assert str(client("XDEL", key, *ids, "x")).startswith("ERR Invalid stream ID")
    assert client("XLEN", key) == 1


def test_what_is_refused_before_its_order_is_made_is_answered_at_once():
    little, key = Little(1).ready(), "list"
    client = little.client("A")
    assert client("RPUSH", key, *range(1000)) == 1000
    for words in (("XRANGE", key, "(no-id", "+"), ("XAUTOCLAIM", key, "g", "me", "0", "0")):
        reply = str(client(*words))
        assert reply.startswith(("ERR", "WRONGTYPE")), reply
        assert client("LLEN", key) == 1000


@pytest.mark.parametrize(("verb", "type_"), [("SUNIONSTORE", "set"), ("ZUNIONSTORE", "zset")])
def test_a_long_store_takes_the_place_of_what_was_there(little, verb, type_):
    one = little.key_of("A")
    client = little.client("C")
    fill(client, one, "SADD" if type_ == "set" else "ZADD", 1000)
    client("RPUSH", "target", "a")
    counted = [2] if type_ == "zset" else []
    assert client(verb, "target", *counted, one, "none") == 1000
    assert client("TYPE", "target") == type_.encode() or client("TYPE", "target") == type_
    assert client("SCARD" if type_ == "set" else "ZCARD", "target") == 1000
    if type_ == "zset":
        assert client("ZSCORE", "target", "m999") == b"999"


def test_in_a_transaction_it_is_one_step(little):
    key = little.key_of("A")
    fill(little.client("A"), key)
    client = little.client("A")
    client("MULTI")
    client("ZREMRANGEBYRANK", key, 0, -2)
    client("ZRANGE", key, 0, -1)
    assert client("EXEC") == [MANY - 1, [b"m2999"]]




def test_a_long_write_that_is_refused_on_its_way_does_not_say_that_nothing_was_done(little):
    key = little.key_of("A")
    fill(little.client("B"), key)
    client, other = little.client("B"), little.client("C")
    client.send("ZREMRANGEBYRANK", key, 0, -2)
    while other("ZCARD", key) == MANY:
        little.run(1)
    little["A"].this.store_failure = "the disk is full"
    reply = str(client.receive())
    assert reply.startswith("PARTIAL a part was done, the rest was not: MISCONF")
    assert "the disk is full" in reply
    assert 1 < other("ZCARD", key) < MANY
