"""Keyspace events: the same names in the same order on the same channels as Redis has them."""

from collections.abc import Iterator

import pytest

from tests.commands.alone import Alone
from tests.commands.real import Redis, running
from tests.commands.several import compare

CLASSES = (
    "AKE", "AKEn", "AKEnm", "gn", "Kgx", "KEA", "g$lshzxe", "g$lshzxetd", "K", "m", "Em", "nK",
    "xeKmt", "dgn",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with running() as redis:
        yield redis


STORIES = {
    "strings": "SET a 1 / SET a 2 EX 100 / SET a 3 KEEPTTL / SET b 1 NX / SET b 2 NX / SET b 3 GET"
               " / SETNX c 1 / SETNX c 1 / SETEX d 10 v / PSETEX d 10000 v / GETSET e 1"
               " / GETSET e 2 / GETDEL e / GETDEL e / MSET p 1 q 2 / MSETNX r 1 s 2 / MSETNX r 1"
               " / APPEND f 1 / APPEND f 2 / SETRANGE f 1 x / SETRANGE n 1  / INCR g / DECR g"
               " / INCRBY g 5 / DECRBY g 3 / INCRBYFLOAT g 1.5 / INCR f",
    "bits": "SETBIT h 1 1 / SETBIT h 1 1 / SETBIT h 9 0 / BITFIELD h SET u8 0 1"
            " / BITFIELD h SET u8 0 1 / BITFIELD h GET u8 0 / BITOP NOT"
            " i h / BITOP NOT i nokey / BITOP NOT j nokey",
    "keys": "MSET a 1 b 2 c 3 / DEL a b no / UNLINK c / DEL c / SET a 1 / EXPIRE a 100"
            " / EXPIRE a 50 GT / PEXPIRE a 50000 / EXPIREAT a 9999999999 / PERSIST a / PERSIST a"
            " / EXPIRE a -1 / EXPIRE a 1 / SET a 1 / PEXPIREAT a 1 / GETEX no / SET d v"
            " / GETEX d EX 5 / GETEX d / GETEX d PERSIST / GETEX d PERSIST / GETEX d EXAT 1",
    "moving": "SET k v / COPY k l / COPY k l / COPY k l REPLACE / COPY no l / COPY k l DB 5"
              " / RENAME k m / RENAME no m / RENAME m l / RENAME l l / RENAMENX l n / SET o 1"
              " / RENAMENX n o / RENAMENX no p / MOVE n 4 / MOVE n 4 / SET n 2 / MOVE n 4"
              " / SET t v EX 100 / RENAME t u / COPY u t / MOVE u 6 / INCR c / RENAME c d",
    "in a transaction": "SET k v / MULTI / RENAME k l / COPY l m / MOVE m 4 / DEL l / SET k 2"
                        " / RENAMENX k n / INCR n / EXPIRE n 100 / PERSIST n / EXEC",
    "restore": (
        "RESTORE r 0 {v} / RESTORE r 0 {v} / RESTORE r 0 {v} REPLACE / RESTORE s 50000 {v}"
        " / RESTORE r 1 {v} REPLACE ABSTTL / GET r / SORT no STORE s / SORT no STORE s"
    ).format(v=r"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce"),
    "hashes": "HSET h a 1 / HSET h a 1 / HSET h a 2 b 3 / HSETNX h a 4 / HSETNX h c 4 / HMSET h d 5"
              " / HINCRBY h n 2 / HINCRBY h n 0 / HINCRBY h a x / HINCRBYFLOAT h n 1.5 / HDEL h no"
              " / HDEL no a / HDEL h a b / HGETALL h / HDEL h c d n / EXISTS h / HINCRBY h n 1"
              " / HDEL h n no / HSET h a 1 / DEL h / HSET h a 1 / EXPIRE h 100 / PERSIST h"
              " / SET h v / HSET h a 1",
    "sets": "SADD s a / SADD s a / SADD s a b c / SREM s no / SREM no a / SREM s a / SCARD s"
            " / SREM s b c no / EXISTS s / SADD s a / SPOP s / SPOP s / SADD s a / SPOP s 0"
            " / SPOP s 9 / SPOP no 2 / SADD s a / SPOP s 1 / SADD s 1 / RENAME s t / COPY t u",
    "set algebra": "SADD {s}a 1 2 3 / SADD {s}b 2 3 4 / SMOVE {s}a {s}b 1 / SMOVE {s}a {s}b 9"
                   " / SMOVE {s}a {s}c 2 / SMOVE {s}a {s}b 3 / EXISTS {s}a"
                   " / SINTERSTORE {s}d {s}b {s}c / SUNIONSTORE {s}d {s}b {s}c"
                   " / SDIFFSTORE {s}d {s}b {s}c / SDIFFSTORE {s}d {s}no {s}b"
                   " / SDIFFSTORE {s}d {s}no {s}b / SINTERCARD 2 {s}b {s}c",
    "sorted sets": "ZADD z 1 a / ZADD z 1 a / ZADD z 2 a 3 b / ZADD z NX 5 a / ZADD z XX 5 a 6 no"
                   " / ZADD z INCR 1 a / ZADD z INCR 0 a / ZADD z CH 1 a / ZADD no XX 1 a"
                   " / ZINCRBY z 2 a / ZINCRBY z 0 a / ZINCRBY z 1 new / ZINCRBY z x a / ZREM z no"
                   " / ZREM z new no / ZPOPMIN z 0 / ZPOPMIN z / ZPOPMAX z 5 / EXISTS z / ZPOPMIN z"
                   " / ZADD z 1 a 2 b 3 c 4 d / ZREMRANGEBYRANK z 0 0 / ZREMRANGEBYSCORE z 9 9"
                   " / ZREMRANGEBYSCORE z 2 2 / ZREMRANGEBYLEX z [c [c / ZREMRANGEBYRANK z 0 -1"
                   " / ZADD z 1 a / EXPIRE z 100 / ZADD z 2 b / RENAME z y / COPY y x / DEL x"
                   " / GEOADD g 1 1 a / GEOADD g 1 1 a / GEOADD g CH 2 2 a / ZREM g a"
                   " / ZADD e 1 a / ZREM e a / ZINCRBY e 1 a / SET e v / ZMPOP 2 no y MIN"
                   " / ZMPOP 1 y MAX COUNT 5 / ZMPOP 1 y MIN",
    "score algebra": "ZADD {z}a 1 x 2 y / ZADD {z}b 2 y 3 w / ZUNIONSTORE {z}d 2 {z}a {z}b"
                     " / ZINTERSTORE {z}d 2 {z}a {z}b / ZDIFFSTORE {z}d 2 {z}a {z}b"
                     " / ZDIFFSTORE {z}d 1 {z}no / ZDIFFSTORE {z}d 1 {z}no"
                     " / ZRANGESTORE {z}e {z}a 0 0 / ZRANGESTORE {z}e {z}a 5 6"
                     " / GEOADD {z}g 1 1 a / GEOSEARCHSTORE {z}h {z}g FROMLONLAT 1 1 BYRADIUS 1 km"
                     " / GEORADIUS {z}g 1 1 1 km STORE {z}i / GEORADIUS {z}g 9 9 1 km STORE {z}i"
                     " / SORT {z}a BY nosort STORE {z}l / SORT {z}no STORE {z}l"
                     " / SORT {z}a ALPHA GET # STORE {z}l",
    "lists": "RPUSH l a b c d / LPUSH l x / LPUSHX l y / RPUSHX no z / LPOP l / RPOP l 2 / LPOP no"
             " / LPOP l 0 / LSET l 0 q / LSET l 0 q / LSET l 9 q / LINSERT l BEFORE q p"
             " / LINSERT l AFTER no p / LREM l 1 p / LREM l 1 p / LTRIM l 0 -1 / LTRIM l 0 0"
             " / LTRIM no 0 1 / LRANGE l 0 -1 / LTRIM l 5 6 / EXISTS l / RPUSH l a / LPOP l"
             " / RPUSH l a / LREM l 0 a / RPUSH l a / RPOP l 5 / RPUSH l a b / RENAME l m"
             " / COPY m n",
    "list moves": "RPUSH l a b c / LMOVE l m LEFT RIGHT / RPOPLPUSH l m / LMOVE l l LEFT RIGHT"
                  " / LMOVE l m LEFT LEFT / EXISTS l / LMOVE m m LEFT RIGHT / LMOVE no m LEFT LEFT"
                  " / LMPOP 2 no m LEFT / LMPOP 1 m RIGHT COUNT 9 / LMPOP 1 m LEFT",
    "lists in a transaction": "MULTI / RPUSH l a b / LMOVE l m LEFT RIGHT / LMOVE l m LEFT RIGHT"
                              " / LMPOP 2 l m LEFT / EXEC",
    "collections in a transaction": "MULTI / HSET h a 1 / SADD s a / HDEL h a / SREM s a / EXEC",
    "reads say nothing": "SET a 1 / GET a / STRLEN a / TTL a / TYPE a / MGET a no / EXISTS a",
}


@pytest.mark.parametrize("classes", ["KEA", "KEAn", "Eg", "K$n", "Kgx", "EA"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_events_are_those_of_redis(story: str, classes: str, server: Redis) -> None:
    steps = ["p FLUSHALL", f"p CONFIG SET notify-keyspace-events {classes}", "p SELECT 3",
             "a PSUBSCRIBE __key*__:*"]
    steps += [f"p {step}" for step in story.split(" / ")] + ["p FLUSHALL"]
    # Redis sends rename_from first. Here each is sent when it has happened: the new key is there
    # before the old one is gone. So with SMOVE, which adds before it removes.
    compare(server, steps, any_order=("RENAME", "RENAMENX", "MOVE", "SMOVE", "EXEC"))


def test_a_key_that_is_missed_is_published(server: Redis) -> None:
    steps = "p FLUSHALL / p CONFIG SET notify-keyspace-events Em / a PSUBSCRIBE __key*__:*"
    reads = "GET no / STRLEN no / TYPE no / TTL no / MGET no no2 / GETBIT no 1 / GETDEL no" \
            " / GETEX no / SET a 1 / GET a / STRLEN a / GETSET z 1"
    compare(server, steps.split(" / ") + [f"p {read}" for read in reads.split(" / ")])


def test_classes_are_shown_as_redis_shows_them(server: Redis) -> None:
    steps = [f"p CONFIG SET notify-keyspace-events {classes}" for classes in CLASSES]
    steps += ["p CONFIG SET notify-keyspace-events q", "p CONFIG SET notify-keyspace-events KEq"]
    asked = "p CONFIG GET notify-keyspace-events"
    compare(server, [one for step in steps for one in (step, asked)])


def test_nothing_is_published_that_no_client_asked_for() -> None:
    alone = Alone()
    a, b = alone.connect(), alone.connect()
    a.say("PSUBSCRIBE *")
    b.say("SET k v")
    assert a.session.take() == b"" and alone.node.dispatcher.keyspace_events is None
    b.say("CONFIG SET notify-keyspace-events K$")
    b.say("SET k v")
    assert b"__keyspace@0__:k" in a.session.take()
    b.say("CONFIG SET notify-keyspace-events $")
    b.say("SET k v")
    assert a.session.take() == b"" and alone.node.dispatcher.keyspace_events is None


def test_an_expiry_is_published_when_its_time_has_come() -> None:
    alone = Alone()
    a, b = alone.connect(), alone.connect()
    b.say("SET early v PX 5000")            # before a client asked
    b.say("CONFIG SET notify-keyspace-events Ex")
    for _ in range(300):        # the first look takes a while
        alone.now_ms += 1
        alone.turn()
    a.say("PSUBSCRIBE *")
    b.say("SET again v PX 100")
    b.say("SET again v PX 7000")            # it has another time now
    b.say("SET gone v PX 3000")
    b.say("DEL gone")
    b.say("SET kept v PX 3000")
    b.say("PERSIST kept")
    expired = []
    for _ in range(10_000):
        alone.now_ms += 1
        alone.wall_ms += 1
        deadline = alone.node.next_deadline()
        assert deadline is not None
        if deadline <= alone.now_ms:
            alone.turn()
        pushed = a.session.take()
        if pushed:
            expired.append((alone.wall_ms - 1_700_000_000_123, pushed.split(b"\r\n")[-2]))
    assert expired == [(5000, b"early"), (7000, b"again")]
    assert a.session.take() == b"" and b.say("EXISTS early again gone") == b":0\r\n"
