"""MULTI, EXEC and their kin: the same replies as redis-server, from one node and from three."""

import hiredis
import pytest

from tests.commands.alone import Alone
from tests.commands.real import Connection, Redis, encode
from tests.commands.test_like_redis import argv_of
from tests.little import Little

# A step that begins with "2:" is another client's.
STORIES = {
    "plain": "MULTI / SET a 1 / INCR a / GET a / MGET a b / EXEC / GET a / EXEC / MULTI / EXEC",
    "discard": "MULTI / SET a 1 / DISCARD / GET a / DISCARD / EXEC / MULTI / DISCARD x / DISCARD",
    "nested": "MULTI / MULTI / SET a 1 / WATCH a / WATCH / EXEC / GET a",
    "watch inside": "MULTI / WATCH a / EXEC",
    "refused": "MULTI / NOPE / SET a 1 / EXEC / GET a / MULTI / GET / EXEC / EXEC / MULTI"
               " / CLIENT NOPE / DISCARD / MULTI / SET a / GET a / EXEC / MULTI 1 / UNWATCH 1"
               " / WATCH / DISCARD 1",
    "exec with arguments": "EXEC a / MULTI / EXEC a / EXEC / MULTI / SET a 1 / exec a b / GET a",
    "errors inside": "MULTI / SET a x / INCR a / GET a / MSET a / MSET a b c / GETEX a EX 0"
                     " / SET a v NOPE / EXPIRE a x / MSETNX q 1 w / LCS a b LEN IDX / EXEC"
                     " / MULTI / SET a x / INCR a / GET a / GETEX a EX 0 / SET a v NOPE"
                     " / EXPIRE a x / LCS a b LEN IDX / BITOP ZZ a b / DEL a / GET a / EXEC",
    "databases": "SET a 0 / MULTI / SELECT 3 / GET a / SET a 3 / SELECT 99 / SELECT 0 / GET a"
                 " / EXEC / SELECT 3 / GET a / MULTI / SELECT 0 / DISCARD / GET a / MULTI"
                 " / SELECT 0 / GET a / EXEC / GET a",
    "watch": "WATCH a / SET a 1 / MULTI / SET b 1 / EXEC / GET b / WATCH a b a / MULTI / SET b 2"
             " / EXEC / GET b / WATCH a / UNWATCH / SET a 2 / MULTI / GET a / EXEC",
    "watch by others": "SET a 1 / WATCH a / 2:SET a 2 / MULTI / SET b 1 / EXEC / GET b / MULTI"
                       " / GET a / EXEC / WATCH a / 2:GET a / MULTI / INCR a / EXEC / WATCH a b"
                       " / 2:DEL b / MULTI / INCR a / EXEC / WATCH a b / 2:SET b 1 / MULTI"
                       " / INCR a / EXEC / GET a / WATCH a / 2:SET a 3 / 2:SET a 1 / MULTI / EXEC",
    "watch and discard": "WATCH a / SET a 1 / DISCARD / MULTI / GET a / DISCARD / MULTI / GET a"
                         " / EXEC / WATCH a / MULTI / GET a / DISCARD / 2:SET a 2 / MULTI / GET a"
                         " / EXEC / WATCH a / MULTI / NOPE / EXEC / 2:SET a 3 / MULTI / EXEC",
    "watch and expiry": "WATCH k / EXPIRE k 10 / MULTI / PING / EXEC / SET k v / WATCH k"
                        " / EXPIRE k 10 / MULTI / PING / EXEC / WATCH k / PERSIST k / MULTI / EXEC",
    "watch and databases": "SET k v / WATCH k / SELECT 1 / SET k v / SELECT 0 / MULTI / PING / EXEC"
                           " / WATCH k / SELECT 1 / MULTI / PING / EXEC / SELECT 0 / WATCH k"
                           " / 2:SELECT 0 / 2:SET k w / SELECT 1 / MULTI / PING / EXEC / SELECT 0",
    "watch and flushing": "SET k v / WATCH k / FLUSHALL / MULTI / PING / EXEC / WATCH k / FLUSHALL"
                          " / MULTI / PING / EXEC",
    "watch what is gone, and flushing": "SET k v / DEL k / WATCH k / FLUSHALL / MULTI / PING / EXEC"
                                        " / SET k v / DEL k / WATCH k / FLUSHDB / MULTI / SET k 1"
                                        " / EXEC / GET k / DEL k / WATCH k / 2:SET k v / 2:DEL k"
                                        " / MULTI / PING / EXEC",
    "a change that is none": "SET k v / WATCH k / 2:SETNX k w / 2:DEL no / 2:EXPIRE no 5 / 2:GET k"
                             " / 2:PERSIST k / MULTI / GET k / EXEC",
    "watch and collections": "HSET h a 1 / WATCH h / 2:HGET h a / 2:HDEL h no / 2:HSETNX h a 2"
                             " / MULTI / HINCRBY h a 1 / EXEC / WATCH h / 2:HSET h b 1 / MULTI"
                             " / HSET h a 9 / EXEC / HGET h a / SADD s a / WATCH s / 2:SREM s no"
                             " / 2:SISMEMBER s a / MULTI / SADD s b / SCARD s / EXEC / WATCH s"
                             " / 2:SREM s a / MULTI / SADD s c / EXEC / SCARD s / WATCH s"
                             " / 2:SPOP s / MULTI / SADD s c / EXEC / EXISTS s / WATCH s h"
                             " / 2:SADD s z / MULTI / DEL h / EXEC / HLEN h / WATCH h / SADD s q"
                             " / MULTI / DEL h / EXEC",
    "an aborted transaction changes nothing": "SET a 1 / WATCH a / 2:SET a 2 / MULTI / SELECT 4"
                                              " / CLIENT SETNAME x / SET a 3 / EXEC / GET a"
                                              " / CLIENT GETNAME",
    "several keys": "MULTI / MSET a 1 b 2 c 3 / MGET a b c d / DEL a d / EXISTS a b c / DBSIZE"
                    " / MSETNX d 4 e 5 / MSETNX e 6 f 7 / GET f / COPY b g / COPY b g"
                    " / COPY b g REPLACE / GET g / BITOP OR h b c / GET h / LCS b h / EXEC"
                    " / MGET a b c d e f g h",
    "everything between": "MULTI / SET a 1 / DBSIZE / SET b 2 / DBSIZE / FLUSHDB / GET a / DBSIZE"
                          " / SET c 3 / KEYS * / EXEC / DBSIZE",
    "resp changes inside": "MULTI / GET q / HELLO 2 / GET q / INCR a / EXEC / GET q",
    "resets": "MULTI / SET a 1 / RESET / EXEC / GET a / WATCH a / 2:SET a 1 / RESET / MULTI / PING"
              " / EXEC",
    "unwatch inside": "WATCH a / 2:SET a 1 / MULTI / UNWATCH / EXEC / MULTI / UNWATCH / EXEC",
    "auth inside": "MULTI / AUTH x / EXEC",
    "scripts inside": "MULTI / PING / SCRIPT LOAD return\\x201 / SCRIPT LOAD ( / SCRIPT LOAD #!no"
                      " / SCRIPT EXISTS x / SCRIPT LOAD / EXEC / SCRIPT LOAD #!no / MULTI / PING"
                      " / SCRIPT LOAD #!no / SCRIPT LOAD local / SCRIPT LOAD x=1"
                      " / SCRIPT KILL / EXEC / PING",
    "at the end": "MULTI / SET a 1 / QUIT",
}


class Three:
    """A cluster of three, as `Alone` is one of one."""

    def __init__(self) -> None:
        self.little = Little(3).ready()
        self.names = iter("ABC")

    def connect(self) -> "ThreesClient":
        return ThreesClient(self.little, next(self.names))


class ThreesClient:
    def __init__(self, little: Little, name: str) -> None:
        self.little = little
        self.client = little.client(name)

    def call(self, *argv: bytes) -> bytes:
        session = self.client.session
        self.client.send(*argv)
        reader = hiredis.Reader(notEnoughData=Ellipsis)
        got = b""
        for _ in range(3000):
            piece = session.take()
            got += piece
            reader.feed(piece)
            if reader.gets() is not Ellipsis:
                return got
            self.little.step()
        raise AssertionError(f"no reply to {argv!r}")


@pytest.mark.parametrize("place", [Alone, Three])
@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_transactions_are_answered_as_by_redis(
    story: str, resp: int, place: type[Alone] | type[Three], redis_server: Redis
) -> None:
    ours = place()
    mine = [ours.connect(), ours.connect()]
    theirs = [redis_server.connect(), redis_server.connect()]
    theirs[0].call(b"FLUSHALL")
    for each in (*mine, *theirs):
        each.call(b"HELLO", b"%d" % resp)
    for step in story.split(" / "):
        who = 1 if step.startswith("2:") else 0
        argv = argv_of(step.removeprefix("2:"))
        expected = theirs[who].call(*argv)
        got = mine[who].call(*argv)
        if b"$6\r\nserver" in expected:        # HELLO shows the connection's number
            continue
        if argv[0] == b"EXEC" and b"KEYS" in story.encode():
            continue
        assert got == expected, step
    for each in theirs:
        each.close()


SILENT = [
    "MULTI / CLIENT REPLY SKIP / GET a / GET b / EXEC / PING / ECHO end",
    "MULTI / GET a / CLIENT REPLY OFF / GET b / SET b 1 / EXEC / PING / CLIENT REPLY ON / ECHO end",
    "MULTI / CLIENT REPLY OFF / PING / CLIENT REPLY ON / INCR a / EXEC / ECHO end",
    "CLIENT REPLY SKIP / MULTI / INCR a / EXEC / ECHO end",
    "MULTI / INCR a / CLIENT REPLY SKIP / EXEC / INCR a / ECHO end",
]


@pytest.mark.parametrize("story", SILENT)
def test_client_reply_is_obeyed_as_by_redis(story: str, redis: Connection) -> None:
    client = Alone().connect()
    mine, sent = b"", b""
    for step in story.split(" / "):
        sent += encode(argv_of(step))
        mine += client.call(*argv_of(step))
    redis._socket.sendall(sent)
    theirs = b""
    while not theirs.endswith(b"end\r\n"):
        theirs += redis._socket.recv(1000)
    assert mine == theirs


def test_client_list_shows_the_transaction() -> None:
    client = Alone().connect()
    assert b" multi=-1 " in client.say("CLIENT INFO")
    client.say("MULTI")
    client.say("SET a 1")
    line = client.alone.connect().say("CLIENT LIST").splitlines()[1]
    assert b" flags=x " in line and b" multi=1 " in line and b"multi-mem=3" in line
    assert client.say("EXEC") == b"*1\r\n+OK\r\n"


CHANNELS = [
    "MULTI / SUBSCRIBE a / EXEC / PING / GET a / UNSUBSCRIBE / GET a",
    "MULTI / SUBSCRIBE a / PING / PUBLISH no x / UNSUBSCRIBE a / EXEC / PING",
    "MULTI / PUBLISH a x / SET k v / PUBLISH b y / EXEC",
    "SUBSCRIBE a / MULTI / RESET / EXEC",
]


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("story", CHANNELS)
def test_channels_inside_a_transaction(story: str, resp: int, redis_server: Redis) -> None:
    mine, theirs = Three().connect(), redis_server.connect()
    theirs.call(b"FLUSHALL")
    for each in (mine, theirs):
        each.call(b"HELLO", b"%d" % resp)
    for step in story.split(" / "):
        argv = argv_of(step)
        assert mine.call(*argv) == theirs.call(*argv), step
    theirs.close()


def test_rights_that_are_lost_meanwhile_are_missing_at_exec() -> None:
    alone = Alone()
    admin, client = alone.connect(), alone.connect()
    admin.say("ACL SETUSER joe on >pw ~* +@all")
    assert client.say("AUTH joe pw") == b"+OK\r\n"
    for step in ("MULTI", "SET a 1", "GET a"):
        client.say(step)
    admin.say("ACL SETUSER joe -set")
    reply = client.say("EXEC")
    assert reply.startswith(b"*2\r\n-NOPERM") and reply.endswith(b"$-1\r\n")
    client.say("MULTI")
    assert client.say("SET a 1").startswith(b"-NOPERM")
    assert client.say("EXEC").startswith(b"-EXECABORT")
