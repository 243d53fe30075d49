"""CLIENT TRACKING: what a client that caches is sent is what Redis sends it."""

from collections.abc import Iterator

import pytest

from tests.commands.alone import Alone
from tests.commands.real import Redis, running
from tests.commands.several import compare


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with running() as redis:
        yield redis


STORIES = {
    "default": "a CLIENT TRACKING ON / a GET k / w SET k 1 / w SET k 2 / a GET k / a GET k"
               " / w DEL k"
               " / a MGET k l m / w MSET m 1 l 2 / w INCR n / a EXISTS k n / w APPEND n 5"
               " / a TTL n / w EXPIRE n 100 / a GET n / a CLIENT TRACKING OFF / w SET n 1",
    "own writes": "a CLIENT TRACKING ON / a GET k / a SET k 1 / a GET k / a SET k 2 / a DEL k"
                  " / a CLIENT TRACKING ON NOLOOP / a GET k / a SET k 1 / a GET k / w SET k 2"
                  " / a GET k / a DEL k / a GET k / w SET k 3",
    "broadcast": "a CLIENT TRACKING ON BCAST / w SET k 1 / a SET k 2 / w MSET a 1 / w DEL nokey"
                 " / a CLIENT TRACKING OFF / a CLIENT TRACKING ON BCAST PREFIX x: PREFIX y NOLOOP"
                 " / w SET x:1 v / w SET x v / w SET y v / w SET k v / a SET yes v / w SET yes w",
    "prefixes": "a CLIENT TRACKING ON BCAST PREFIX y PREFIX x / a CLIENT TRACKING ON BCAST PREFIX z"
                " / w MULTI / w SET x1 v / w SET z v / w SET k v / w SET y v / w EXEC"
                " / w MSET z 1 y 2 x 3",
    "optin": "a CLIENT TRACKING ON OPTIN / a GET k / w SET k 1 / a CLIENT CACHING YES / a GET k"
             " / w SET k 2 / a CLIENT CACHING YES / a PING / a GET k / w SET k 3"
             " / a CLIENT CACHING NO / a CLIENT CACHING MAYBE",
    "optout": "a CLIENT TRACKING ON OPTOUT / a GET k / w SET k 1 / a CLIENT CACHING NO / a GET k"
              " / w SET k 2 / a GET k / w SET k 3 / a CLIENT CACHING YES",
    "in a transaction":
        "a CLIENT TRACKING ON / a MULTI / a GET k / a SET l 1 / a GET m / w SET k 1 / a EXEC"
        " / w SET k 2 / w SET m 2 / a CLIENT TRACKING OFF / a CLIENT TRACKING ON OPTIN"
        " / a CLIENT CACHING YES / a MULTI / a GET k / a GET m / a EXEC / w MSET k 3 m 3"
        " / a MULTI / a GET k / a EXEC / w SET k 4",
    "collections": "a CLIENT TRACKING ON / a HGET h f / w HSET h g 1 / w HSET h f 1 / a HLEN h"
                   " / w HDEL h no / w HDEL h f / a HGETALL no / w HINCRBY no n 1 / a SISMEMBER s x"
                   " / w SADD s y / a SCARD s / w SADD s z / a SMISMEMBER s y z / w SREM s no"
                   " / w SREM s y / a SINTERCARD 2 s t / w SADD t 1 / w SADD s 1 / a SCARD s"
                   " / w SREM s z / a SCARD s / w SPOP s / a HSET h a 1 / w DEL h",
    "sorted sets": "a CLIENT TRACKING ON / a ZSCORE z m / w ZADD z 1 n / w ZADD z 1 m"
                   " / a ZRANGE z 0 -1 / w ZREM z no / w ZINCRBY z 2 m / a ZCARD no"
                   " / w ZADD no XX 1 a"
                   " / w ZADD no 1 a / a ZUNION 2 z no / w ZADD no 2 b / w ZREM z n"
                   " / a GEOPOS g p / w GEOADD g 1 1 p / a GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m"
                   " / w ZREM g p / a ZRANK z m / w ZPOPMIN z / a SORT l / w SORT no STORE l",
    "flush": "a CLIENT TRACKING ON / a GET k / w SET k 1 / a GET k / w FLUSHALL / w SET k 2",
    "what is refused":
        "a CLIENT TRACKING / a CLIENT TRACKING MAYBE / a CLIENT TRACKING ON NOPE"
        " / a CLIENT TRACKING ON PREFIX x / a CLIENT TRACKING ON PREFIX / a CLIENT TRACKING ON"
        " REDIRECT / a CLIENT TRACKING ON REDIRECT x / a CLIENT TRACKING ON REDIRECT 999999"
        " / a CLIENT TRACKING ON BCAST OPTIN / a CLIENT TRACKING ON OPTIN OPTOUT"
        " / a CLIENT CACHING YES / a CLIENT TRACKING ON BCAST PREFIX ab PREFIX a"
        " / a CLIENT TRACKING ON BCAST PREFIX a / a CLIENT TRACKING ON BCAST PREFIX abc"
        " / a CLIENT TRACKING ON / a CLIENT TRACKING ON BCAST PREFIX b / a CLIENT TRACKINGINFO"
        " / a CLIENT TRACKING OFF / a CLIENT TRACKING ON OPTIN / a CLIENT TRACKING ON OPTOUT"
        " / a CLIENT TRACKING ON / a CLIENT TRACKINGINFO / a CLIENT CACHING YES"
        " / a CLIENT TRACKING OFF x",
    "what it shows": "a CLIENT TRACKINGINFO / a CLIENT GETREDIR / a CLIENT TRACKING ON"
                     " / a CLIENT TRACKINGINFO / a CLIENT GETREDIR / a CLIENT TRACKING OFF"
                     " / a CLIENT TRACKING ON OPTIN NOLOOP / a CLIENT TRACKINGINFO"
                     " / a CLIENT CACHING YES / a CLIENT TRACKINGINFO / a CLIENT TRACKINGINFO"
                     " / a CLIENT TRACKING OFF / a CLIENT TRACKING ON BCAST PREFIX p"
                     " / a CLIENT TRACKINGINFO / a CLIENT TRACKINGINFO x / a CLIENT GETREDIR x"
                     " / a RESET / a CLIENT TRACKINGINFO",
}


@pytest.mark.parametrize("resp", ["2", "3"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_invalidations_are_those_of_redis(story: str, resp: str, server: Redis) -> None:
    steps = ["w FLUSHALL", *story.split(" / ")]
    if resp == "2":
        steps = [step for step in steps if step != "a RESET"]
    compare(server, steps, hello=("a", "w") if resp == "3" else ())


def ids(alone: Alone) -> list[bytes]:
    return [b"%d" % number for number in alone.node.sessions.by_id]


@pytest.mark.parametrize("resp", [b"2", b"3"])
def test_another_connection_is_sent_the_invalidations(resp: bytes, server: Redis) -> None:
    """With the connections' numbers filled in, which differ."""
    from tests.commands.several import Ear

    alone = Alone()
    a, ear, w = alone.connect(), alone.connect(), alone.connect()
    theirs = [Ear(server.port) for _ in range(3)]
    theirs[0].say([b"CLIENT", b"ID"])
    theirs[1].say([b"CLIENT", b"ID"])
    number = theirs[1].more(1.0).strip(b":\r\n")
    theirs[0].more(1.0)
    ours = b"%d" % ear.session.id
    theirs[2].say([b"FLUSHALL"])
    theirs[2].more(0.5)
    steps: list[tuple[int, list[bytes]]] = [
        (1, [b"SUBSCRIBE", b"__redis__:invalidate"]),
        (0, [b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", b"ID"]),
        (0, [b"CLIENT", b"TRACKING", b"ON", b"REDIRECT", b"ID", b"REDIRECT", b"ID"]),
        (0, [b"GET", b"k"]), (2, [b"SET", b"k", b"v"]), (0, [b"MGET", b"k", b"l"]),
        (2, [b"MSET", b"l", b"1", b"k", b"2"]), (0, [b"GET", b"k"]), (2, [b"FLUSHALL"]),
    ]
    if resp == b"3":
        for client, other in zip((a, ear), theirs, strict=False):
            client.say("HELLO 3")
            other.say([b"HELLO", b"3"])
            other.more(0.5)
    for who, words in steps:
        clients = [a, ear, w]
        answer = clients[who].call(*[ours if word == b"ID" else word for word in words])
        theirs[who].say([number if word == b"ID" else word for word in words])
        for at, client in enumerate(clients):
            mine = (answer if at == who else b"") + client.session.take()
            assert theirs[at].receive(len(mine)) == mine, (words, at)
    assert a.say("CLIENT GETREDIR") == b":%b\r\n" % ours
    alone.node.close_session(ear.session)
    a.say("GET k")
    w.say("SET k v")
    broken = b">2\r\n$21\r\ntracking-redir-broken\r\n:%b\r\n" % ours
    assert a.session.take() == (broken if resp == b"3" else b"")
    assert b"broken_redirect" in a.say("CLIENT TRACKINGINFO")
    for other in theirs:
        other.close()


def test_the_table_is_bounded() -> None:
    alone = Alone(tracking_table_max_keys=10)
    a = alone.connect()
    a.say("HELLO 3")
    a.say("CLIENT TRACKING ON")
    for number in range(25):
        a.say(f"GET key{number}")
    assert alone.node.notifications.trackers.keys == 10
    assert alone.node.notifications.trackers.invalidations == 15
    assert b" flags=t " in a.say("CLIENT INFO") and b" redir=0 " in a.say("CLIENT INFO")


def test_a_smaller_table_gives_up_keys_at_once() -> None:
    alone = Alone()
    a, w = alone.connect(), alone.connect()
    a.say("HELLO 3")
    a.say("CLIENT TRACKING ON")
    for number in range(25):
        a.say(f"GET key{number}")
    assert w.say("CONFIG SET tracking-table-max-keys 4") == b"+OK\r\n"
    sent = a.session.take()
    assert alone.node.notifications.trackers.keys == 4
    assert sent.count(b"invalidate") == 21 and b"key20\r\n" in sent and b"key21" not in sent


def test_a_much_smaller_table_gives_them_up_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("respdyn.sessions.tracking.CHANGES_MAX", 10)
    alone = Alone()
    a = alone.connect()
    a.say("HELLO 3")
    a.say("CLIENT TRACKING ON")
    for number in range(100):
        a.say(f"GET key{number}")
    alone.node.sessions.command(a.session, b"CONFIG SET tracking-table-max-keys 5".split(b" "))
    assert alone.node.notifications.trackers.keys == 90
    assert alone.node.next_deadline() <= alone.now_ms + 1
    for _ in range(10):
        alone.now_ms += 1
        alone.turn()
    assert alone.node.notifications.trackers.keys == 5


def test_a_key_that_expires_is_invalidated() -> None:
    alone = Alone()
    a, w = alone.connect(), alone.connect()
    a.say("HELLO 3")
    a.say("CLIENT TRACKING ON")
    for _ in range(300):        # the first look takes a while
        alone.now_ms += 1
        alone.turn()
    w.say("SET k v PX 50")
    a.say("GET k")
    a.session.take()
    alone.wall_ms += 60
    alone.now_ms += 60
    alone.turn()
    assert a.session.take() == b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"


def test_info_counts_what_is_tracked_as_redis_does(server: Redis) -> None:
    alone = Alone()
    a, b, c = (alone.connect() for _ in range(3))
    x, y, z = (server.connect() for _ in range(3))
    for mine, theirs, lines in (
        (a, x, ("HELLO 3", "CLIENT TRACKING ON", "MGET k l m", "GET k")),
        (b, y, ("HELLO 3", "CLIENT TRACKING ON", "GET k", "SET n 1")),
        (c, z, ("HELLO 3", "CLIENT TRACKING ON BCAST PREFIX p PREFIX q", "GET o")),
    ):
        for line in lines:
            mine.say(line)
            theirs.call(*line.encode().split(b" "))

    def shown(text: bytes) -> list[str]:
        return [
            line for line in text.decode().split("\r\n") if line.startswith("tracking_")
        ]

    for section in ("stats", "clients"):
        mine_shown, theirs_shown = (
            shown(one) for one in (a.say(f"INFO {section}"), x.call(b"INFO", section.encode()))
        )
        assert mine_shown == theirs_shown and mine_shown, section
    for each in (x, y, z):
        each.close()


def test_who_is_gone_is_forgotten() -> None:
    alone = Alone()
    w = alone.connect()
    for _ in range(100):
        a = alone.connect()
        a.say("CLIENT TRACKING ON")
        a.say("GET k")
        alone.node.close_session(a.session)
    trackers = alone.node.notifications.trackers
    assert trackers.keys == 0 and not trackers.sessions
    w.say("SET k v")
