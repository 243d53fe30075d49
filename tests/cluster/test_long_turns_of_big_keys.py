"""No command on a big key makes a turn long, measured as in `test_long_turns`."""

import hiredis
import pytest

from respdyn.types import list_order, sorted_sets, stream_order
from tests.cluster.test_long_turns import Watched

BIG_KEY = 1_200
LINES_BIG = 150_000     # some milliseconds: a hundred elements are read, changed and joined


def fill_big(watched: Watched, key: bytes = b"") -> None:
    """A key of each type, or only this one, with many elements, without measuring."""
    session = watched.alone.connect().session
    for at in range(0, BIG_KEY, 400):
        some = range(at, at + 400)
        for words in (
            [b"SADD", b"s", *(b"%d" % n for n in some)],
            [b"HSET", b"h", *(word for n in some for word in (b"f%d" % n, b"v%d" % n))],
            [b"ZADD", b"z", *(word for n in some for word in (b"%d" % n, b"m%d" % n))],
            [b"RPUSH", b"l", *(b"i%d" % n for n in some)],
        ):
            if key in (b"", words[1]):
                watched.node.sessions.command(session, words)
        for n in some if key in (b"", b"x") else ():
            watched.node.sessions.command(session, [b"XADD", b"x", b"%d-1" % (n + 1), b"f", b"v"])
        watched.alone.turn()
        session.take()


def entry(number: int) -> list[object]:
    return [b"%d-1" % (number + 1), [b"f", b"v"]]


NUMBERS = range(BIG_KEY)
MEMBERS = [b"m%d" % n for n in NUMBERS]
ITEMS = [b"i%d" % n for n in NUMBERS]
LONG_READS = [
    ([b"SMEMBERS", b"s"], sorted(b"%d" % n for n in NUMBERS)),
    ([b"HKEYS", b"h"], sorted(b"f%d" % n for n in NUMBERS)),
    ([b"HVALS", b"h"], sorted(b"v%d" % n for n in NUMBERS)),
    ([b"HGETALL", b"h"], sorted(w for n in NUMBERS for w in (b"f%d" % n, b"v%d" % n))),
    ([b"HRANDFIELD", b"h", b"1200"], sorted(b"f%d" % n for n in NUMBERS)),
    ([b"SRANDMEMBER", b"s", b"700"], 700),
    ([b"SRANDMEMBER", b"s", b"-1200"], 1200),
    ([b"LRANGE", b"l", b"0", b"-1"], ITEMS),
    ([b"LRANGE", b"l", b"500", b"1099"], ITEMS[500:1100]),
    ([b"LPOS", b"l", b"i1190"], 1190),
    ([b"LPOS", b"l", b"i1190", b"RANK", b"-1", b"COUNT", b"0"], [1190]),
    ([b"ZRANGE", b"z", b"0", b"-1"], MEMBERS),
    ([b"ZRANGE", b"z", b"(7", b"+inf", b"BYSCORE", b"REV"], []),
    ([b"ZREVRANGEBYSCORE", b"z", b"+inf", b"(7"], MEMBERS[:7:-1]),
    ([b"ZRANGE", b"z", b"0", b"-1", b"WITHSCORES"],
     [w for n in NUMBERS for w in (b"m%d" % n, b"%d" % n)]),
    ([b"ZRANGE", b"z", b"0", b"0"], [b"m0"]),
    ([b"ZRANK", b"z", b"m77"], 77),
    ([b"ZCOUNT", b"z", b"5", b"8"], 4),
    ([b"LINDEX", b"l", b"77"], b"i77"),
    ([b"XRANGE", b"x", b"-", b"+"], [entry(n) for n in NUMBERS]),
    ([b"XREVRANGE", b"x", b"+", b"-"], [entry(n) for n in reversed(NUMBERS)]),
    ([b"XRANGE", b"x", b"77", b"77"], [entry(76)]),
    ([b"XREAD", b"STREAMS", b"x", b"0"], [[b"x", [entry(n) for n in NUMBERS]]]),
]


@pytest.fixture(scope="module")
def big() -> Watched:
    watched = Watched()
    fill_big(watched)
    return watched


@pytest.mark.parametrize(
    ("argv", "expected"), LONG_READS, ids=lambda one: b" ".join(one).decode()
    if isinstance(one, list) and one and isinstance(one[0], bytes) and len(one) < 7 else "")
def test_a_read_of_a_big_key_takes_many_turns(
    big: Watched, argv: list[bytes], expected: object
) -> None:
    """Also the first one after a start, which makes the order of the key's elements."""
    for orders in (sorted_sets.ORDERS, list_order.ORDERS, stream_order.ORDERS):
        for seal in list(orders._kept):
            orders.take(seal)
    big.longest = 0
    reply = big.connect()(*argv)
    assert big.longest <= LINES_BIG
    if isinstance(expected, int) and isinstance(reply, list):
        assert len(reply) == expected
        assert argv[-1][:1] == b"-" or len(set(reply)) == expected
    elif argv[0] in (b"SMEMBERS", b"HKEYS", b"HVALS", b"HGETALL", b"HRANDFIELD"):
        assert isinstance(reply, list)
        assert sorted(reply) == expected
    else:
        assert reply == expected


LONG_WRITES = [
    ([b"XTRIM", b"x", b"MAXLEN", b"100"], 1100, [b"XLEN", b"x"], 100),
    ([b"XTRIM", b"x", b"MINID", b"~", b"1150"], 1100, [b"XLEN", b"x"], 100),
    ([b"XADD", b"x", b"MAXLEN", b"100", b"4000-0", b"f", b"v"], b"4000-0", [b"XLEN", b"x"], 100),
    ([b"XDEL", b"x", *(b"%d-1" % (n + 1) for n in range(800))], 800, [b"XLEN", b"x"], 400),
    ([b"LTRIM", b"l", b"600", b"-101"], b"OK", [b"LRANGE", b"l", b"0", b"1"], ITEMS[600:602]),
    ([b"LTRIM", b"l", b"0", b"99"], b"OK", [b"LLEN", b"l"], 100),
    ([b"LPOP", b"l", b"800"], ITEMS[:800], [b"LLEN", b"l"], 400),
    ([b"RPOP", b"l", b"800"], ITEMS[:399:-1], [b"LLEN", b"l"], 400),
    ([b"RPUSH", b"l", *ITEMS], 2400, [b"LRANGE", b"l", b"-2", b"-1"], ITEMS[-2:]),
    ([b"LPUSH", b"l", *ITEMS], 2400, [b"LRANGE", b"l", b"0", b"1"], ITEMS[:-3:-1]),
    ([b"ZREMRANGEBYRANK", b"z", b"0", b"-101"], 1100, [b"ZRANGE", b"z", b"0", b"0"], [b"m1100"]),
    ([b"ZREMRANGEBYSCORE", b"z", b"100", b"(1000"], 900, [b"ZCARD", b"z"], 300),
    ([b"ZPOPMIN", b"z", b"800"], [w for n in range(800) for w in (b"m%d" % n, b"%d" % n)],
     [b"ZCARD", b"z"], 400),
    ([b"ZADD", b"z", *(w for n in NUMBERS for w in (b"1", b"n%d" % n))], 1200, [b"ZCARD", b"z"],
     2400),
    ([b"ZREM", b"z", *MEMBERS[1:]], 1199, [b"ZCARD", b"z"], 1),
    ([b"SPOP", b"s", b"800"], 800, [b"SCARD", b"s"], 400),
    ([b"SADD", b"s", *MEMBERS], 1200, [b"SCARD", b"s"], 2400),
    ([b"SREM", b"s", *(b"%d" % n for n in range(2, 5000))], 1198, [b"SCARD", b"s"], 2),
    ([b"HSET", b"h", *(w for n in NUMBERS for w in (b"f%d" % (n + 5), b"new"))], 5,
     [b"HGET", b"h", b"f77"], b"new"),
    ([b"HDEL", b"h", *(b"f%d" % n for n in range(800))], 800, [b"HLEN", b"h"], 400),
    ([b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS", b"x", b">"],
     [[b"x", [entry(n) for n in NUMBERS]]], [b"XREADGROUP", b"GROUP", b"g", b"c", b"STREAMS",
                                             b"x", b">"], None),
    ([b"DEL", b"x"], 1, [b"XLEN", b"x"], 0),
]


@pytest.mark.parametrize(
    ("argv", "expected", "look", "left"), LONG_WRITES,
    ids=[b" ".join(argv[:3]).decode() for argv, *_ in LONG_WRITES])
def test_a_write_of_very_many_elements_takes_many_turns(
    argv: list[bytes], expected: object, look: list[bytes], left: object
) -> None:
    watched = Watched()
    fill_big(watched, argv[-2] if argv[0] == b"XREADGROUP" else argv[1])
    client, other = watched.connect(), watched.connect()
    if argv[0] == b"XREADGROUP":
        client(b"XGROUP", b"CREATE", b"x", b"g", b"0")
    watched.longest = 0
    watched.turn(client.session, argv)
    watched.turn(other.session, [b"PING"])
    watched.turn(client.session, look)
    while not client.session.out or client.session.pending:
        watched.turn()
    assert watched.longest <= LINES_BIG
    reader = hiredis.Reader(replyError=lambda text: text)
    reader.feed(client.session.take())
    reply = reader.gets()
    if isinstance(expected, int) and isinstance(reply, list):
        assert len(set(reply)) == expected
    else:
        assert reply == expected
    assert reader.gets() == left, "what comes behind it takes effect behind it"
    assert other.session.out, "others were served"


@pytest.mark.parametrize(("argv", "expected"), [
    ([b"SUNION", b"s", b"t"], sorted(b"%d" % n for n in range(1800))),
    ([b"SINTER", b"s", b"t"], sorted(b"%d" % n for n in range(600, 1200))),
    ([b"SDIFF", b"s", b"t"], sorted(b"%d" % n for n in range(600))),
    ([b"SINTERCARD", b"2", b"s", b"t"], 600),
    ([b"SINTERCARD", b"2", b"s", b"t", b"LIMIT", b"70"], 70),
    ([b"SUNIONSTORE", b"d", b"s", b"t"], 1800),
    ([b"SINTERSTORE", b"d", b"s", b"t"], 600),
    ([b"ZUNION", b"2", b"z", b"y"], [b"m%d" % n for n in range(600)] + [
        b"m%d" % n for n in sorted(range(600, 1800), key=lambda n: (
            (2 * n if n < 1200 else n), b"m%d" % n))]),
    ([b"ZINTER", b"2", b"z", b"y", b"WEIGHTS", b"1", b"-1"],
     sorted(b"m%d" % n for n in range(600, 1200))),
    ([b"ZDIFF", b"2", b"z", b"y", b"WITHSCORES"],
     [w for n in range(600) for w in (b"m%d" % n, b"%d" % n)]),
    ([b"ZINTERCARD", b"2", b"z", b"y"], 600),
    ([b"ZUNIONSTORE", b"d", b"2", b"z", b"y", b"AGGREGATE", b"MAX"], 1800),
    ([b"ZDIFFSTORE", b"d", b"2", b"z", b"y"], 600),
    ([b"ZUNIONSTORE", b"d", b"2", b"z", b"y", b"AGGREGATE", b"SOME"], "ERR syntax error"),
], ids=lambda one: b" ".join(one).decode() if one and isinstance(one, list)
    and len(one) < 8 else "")
def test_what_is_made_of_big_keys_takes_many_turns(
    big: Watched, argv: list[bytes], expected: object
) -> None:
    client = big.connect()
    for at in range(600, 1800, 400):
        some = range(at, at + 400)
        client.watched.node.sessions.command(client.session, [
            b"SADD", b"t", *(b"%d" % n for n in some)])
        client.watched.node.sessions.command(client.session, [
            b"ZADD", b"y", *(word for n in some for word in (b"%d" % n, b"m%d" % n))])
    big.alone.turn()
    client.session.take()
    big.longest = 0
    reply = client(*argv)
    assert big.longest <= LINES_BIG
    if argv[0] in (b"SUNION", b"SINTER", b"SDIFF"):
        assert isinstance(reply, list)
        assert sorted(reply) == expected
    else:
        assert reply == expected
