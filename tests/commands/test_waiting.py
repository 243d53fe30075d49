"""Commands that wait, of several clients of redis-server and of respdyn: what wakes which.
"""

import time
from collections.abc import Iterator

import pytest

from tests.commands.executor import Executor
from tests.commands.real import Connection, Redis, running
from tests.commands.several import compare
from tests.commands.test_like_redis import argv_of


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with running() as redis:
        yield redis


STORIES = {
    "a push wakes": "b BLPOP l 0 / a RPUSH l x y / b BRPOP l 0 / a LLEN l / b BLPOP l m 0"
                    " / a LPUSH m 1 / b BLPOP l 0 / a LPUSHX l 1 / a LINSERT l AFTER 1 2"
                    " / a RPUSH l 1 2 3 / a LRANGE l 0 -1",
    "in turn": "b BLPOP l 0 / c BRPOP l 0 / d BLPOP l 0 / a RPUSH l 1 / a RPUSH l 2 / a RPUSH l 3"
               " / a EXISTS l",
    "other types do not wake": "b BLPOP k 0 / a SET k v / a DEL k / a SADD k 1 / a DEL k"
                               " / a ZADD k 1 m / a DEL k / a HSET k f v / a DEL k / a RPUSH k x",
    "what wakes besides": "b BLPOP l 0 / a RPUSH m x / a RENAME m l / b BLPOP l 0 / a RPUSH m y"
                          " / a COPY m l / b BLPOP l 0 / a RPOPLPUSH m l / b BLPOP l 0"
                          " / a RPUSH m z / a LMOVE m l LEFT LEFT / b BLPOP l 0 / a SELECT 1"
                          " / a RPUSH l 1 / a MOVE l 0 / b BLPOP l 0 / a SELECT 0 / a MULTI"
                          " / a RPUSH l 1 / a RPUSH l 2 / a EXEC / a LRANGE l 0 -1",
    "moves": "b BLMOVE l m LEFT RIGHT 0 / c BRPOPLPUSH m n 0 / a RPUSH l 1 / a LRANGE n 0 -1"
             " / b BLMOVE l l LEFT RIGHT 0 / a RPUSH l 1 2 / a LRANGE l 0 -1"
             " / b BLMOVE no s LEFT LEFT 0 / a SET s v / a RPUSH no 1 / a LRANGE no 0 -1"
             " / b BLMOVE no t LEFT LEFT 0 / a TYPE t",
    "several": "b BLMPOP 0 2 l m LEFT / a RPUSH m 1 2 / b BLMPOP 0 1 m LEFT COUNT 5"
               " / b BLMPOP 0 2 l m RIGHT COUNT 2 / a RPUSH l 1 2 3 / a LRANGE l 0 -1",
    "sorted sets": "b BZPOPMIN z 0 / c BZPOPMAX z 0 / a ZADD z 1 a / a ZADD z 2 b / b BZPOPMIN z 0"
                   " / a ZINCRBY z 5 c / b BZMPOP 0 2 y z MAX COUNT 2 / a ZADD z 1 a 2 b 3 c"
                   " / a ZRANGE z 0 -1 / b BZMPOP 0 1 z MIN / b BZPOPMAX z 0 / a EXISTS z",
    "sorted sets and lists": "b BZPOPMIN k 0 / c BLPOP k 0 / a RPUSH k x / a ZADD k 1 m"
                             " / b BLPOP k 0 / a SUNIONSTORE k no / a ZADD z 1 q / a RENAME z k"
                             " / a DEL k / a RPUSH k y",
    "behind it all waits": "b BLPOP l 0 / b PING / b SET k v / a GET k / a RPUSH l x / a GET k",
    "unblocked": "a CLIENT UNBLOCK 99999 / a CLIENT UNBLOCK x / a CLIENT UNBLOCK 1 NOPE",
    "in a transaction": "a MULTI / a BLPOP l 0 / a RPUSH l x / a BLPOP l 0 / a BRPOP l 0"
                        " / a BLMOVE l m LEFT LEFT 0 / a BRPOPLPUSH l m 0 / a BLMPOP 0 1 l LEFT"
                        " / a BZPOPMIN z 0 / a BZPOPMAX z 0 / a BZMPOP 0 1 z MIN / a EXEC",
    "a database": "b SELECT 2 / b BLPOP l 0 / a RPUSH l x / a SELECT 2 / a RPUSH l y",
}


@pytest.mark.parametrize("hello", [(), ("a", "b", "c", "d")], ids=["RESP2", "RESP3"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_who_waits_is_woken_as_by_redis(
    story: str, hello: tuple[str, ...], server: Redis
) -> None:
    compare(server, ["x FLUSHALL", *story.split(" / "), "x FLUSHALL"], hello)


def test_messages_come_meanwhile(server: Redis) -> None:
    story = "x FLUSHALL / c SUBSCRIBE n / c BLPOP l 0 / a PUBLISH n hello / a RPUSH l x"
    compare(server, story.split(" / "), ("c",))


MISTAKES = (
    "BLPOP l x / BLPOP l -1 / BLPOP l / BLPOP / BLPOP l nan / BLPOP l inf / BLPOP l -inf"
    " / BLPOP l 1e400 / BLPOP l 9223372036854775807"
    " / RPUSH l 1 2 3 4 / BLPOP l 0.5 / BRPOP no l 0x1p2 / BLPOP l 1e1 / SET s v"
    " / BLPOP s 0 / BLPOP no s 0 / BLPOP l s x / BLMOVE l m UP LEFT x / BLMOVE l m LEFT LEFT x"
    " / BLMOVE l m LEFT LEFT -1 / BLMOVE l m LEFT LEFT / BLMOVE l s LEFT LEFT 0"
    " / BRPOPLPUSH l m x / BRPOPLPUSH s m 0 / BLMPOP x 1 l LEFT / BLMPOP 0 0 l LEFT"
    " / BLMPOP 0 x l LEFT / BLMPOP 0 9 l LEFT / BLMPOP 0 1 l UP / BLMPOP 0 1 l LEFT COUNT 0"
    " / BLMPOP 0 1 l LEFT COUNT / BLMPOP 0 1 l LEFT NOPE 1 / BLMPOP 0 1 s LEFT"
    " / BLMPOP 0 1 l LEFT COUNT 1 COUNT 1 / BLMPOP 0 1 l / BZPOPMIN z x / BZPOPMIN s 0"
    " / BZPOPMAX z -1 / ZADD z 1.5 a inf b -inf c 0.1 d / BZPOPMIN z 0 / BZPOPMAX no z 0"
    " / BZMPOP 0 1 z LEFT / BZMPOP x 1 z MIN / BZMPOP 0 1 s MIN / BZMPOP 0 2 no z MAX COUNT 9"
    " / BZMPOP 0 0 z MIN / BZMPOP 0 1 z MIN COUNT 0 / BZMPOP 0 5 z MIN"
)


@pytest.mark.parametrize("resp", [2, 3])
def test_mistakes_and_what_is_there_are_answered_as_by_redis(resp: int, redis: Connection) -> None:
    redis.call(b"HELLO", b"%d" % resp)
    ours = Executor(int(time.time() * 1000), resp3=resp == 3)
    for step in MISTAKES.split(" / "):
        argv = argv_of(step)
        expected = redis.call(*argv)
        assert ours(*argv) == expected, step
