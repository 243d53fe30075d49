"""SUBSCRIBE, PUBLISH, PUBSUB: what subscriber and publisher see is what Redis shows them."""

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
    "in and out":
        "a UNSUBSCRIBE / a UNSUBSCRIBE x y / a PUNSUBSCRIBE / a SUNSUBSCRIBE / a SUNSUBSCRIBE q"
        " / a SUBSCRIBE c d c / a PSUBSCRIBE n* m? n* / a SSUBSCRIBE s t / a UNSUBSCRIBE nope"
        " / a UNSUBSCRIBE c / a PUNSUBSCRIBE m? zz / a SUNSUBSCRIBE s / a UNSUBSCRIBE"
        " / a PUNSUBSCRIBE / a SUNSUBSCRIBE / a GET k",
    "messages":
        "a SUBSCRIBE news / b SUBSCRIBE news other / b PSUBSCRIBE n[ef]* *z / p PUBLISH news hi"
        " / p PUBLISH nfx \\x00\\xff\\x0d\\x0a / p PUBLISH silent x / p PUBLISH other  / a PING"
        " / b PUNSUBSCRIBE *z / p PUBLISH news again / a UNSUBSCRIBE news / p PUBLISH news last"
        " / p PUBLISH news / p PUBLISH / p PUBLISH a b c",
    "shards are channels apart":
        "a SUBSCRIBE c / b SSUBSCRIBE c / b SSUBSCRIBE c / p PUBLISH c 1 / p SPUBLISH c 2"
        " / b SUNSUBSCRIBE / p SPUBLISH c 3 / a SSUBSCRIBE c d / p SPUBLISH d 4 / p PUBLISH d 5"
        " / p SPUBLISH / p SPUBLISH d / a SSUBSCRIBE",
    "who listens":
        "p PUBSUB CHANNELS / p PUBSUB NUMSUB / p PUBSUB NUMSUB a b / p PUBSUB NUMPAT / a SUBSCRIBE"
        " c1 / b SUBSCRIBE c1 / b PSUBSCRIBE x* y* / c PSUBSCRIBE x* / c SSUBSCRIBE s1"
        " / p PUBSUB CHANNELS / p PUBSUB CHANNELS c* / p PUBSUB CHANNELS d* / p PUBSUB NUMSUB c1 x*"
        " c1 s1 / p PUBSUB NUMPAT / p PUBSUB SHARDCHANNELS / p PUBSUB SHARDCHANNELS c*"
        " / p PUBSUB SHARDNUMSUB s1 c1 / p PUBSUB SHARDNUMSUB / p PUBSUB NUMPAT x / p PUBSUB NOPE"
        " / p PUBSUB / p PUBSUB CHANNELS a b / p PUBSUB SHARDCHANNELS a b c / p pubsub channels C*",
    "a subscriber's commands":
        "a SUBSCRIBE c / a GET k / a get k v / a SET k / a nope / a CLIENT GETNAME / a PUBLISH c x"
        " / a PUBSUB CHANNELS / a CLIENT NOPE / a PING / a PING x / a PING x y / a ECHO x"
        " / a SELECT 1 / a PUBSUB NUMPAT / a PUBSUB NOPE / a MSET k v / a UNSUBSCRIBE / a PING"
        " / a SSUBSCRIBE c / a GET k / a PSUBSCRIBE c / a RESET / a GET k / p PUBLISH c x"
        " / a SUBSCRIBE c / a QUIT",
    "a publisher listens too": "a SUBSCRIBE c / a PSUBSCRIBE * / a PUBLISH c hi / a SPUBLISH c x",
    "no replies, but messages":
        "a CLIENT REPLY OFF / a PUBSUB NUMPAT / a SUBSCRIBE c / p PUBLISH c 1 / a PING"
        " / p PUBLISH c 2 / a UNSUBSCRIBE / a PING",
}


@pytest.mark.parametrize("resp", ["2", "3"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_channels_are_those_of_redis(story: str, resp: str, server: Redis) -> None:
    steps = story.split(" / ")
    compare(server, steps, hello=tuple(step[0] for step in steps) if resp == "3" else ())


def test_a_listener_is_seen_in_client_list() -> None:
    alone = Alone()
    a, b = alone.connect(), alone.connect()
    a.say("SUBSCRIBE c d")
    a.say("PSUBSCRIBE x*")
    a.say("SSUBSCRIBE s")
    lines = b.say("CLIENT LIST TYPE pubsub").splitlines()
    assert len(lines) == 3 and b" sub=2 psub=1 ssub=1 " in lines[1] and b" flags=P " in lines[1]
    assert b" flags=N " in b.say("CLIENT LIST TYPE normal")
    assert b.say("CLIENT KILL TYPE pubsub") == b":1\r\n"
    assert a.session.closing and b.say("PUBLISH c x") == b":0\r\n"


def test_who_is_gone_listens_no_more() -> None:
    alone = Alone()
    a, b = alone.connect(), alone.connect()
    a.say("SUBSCRIBE c")
    a.say("PSUBSCRIBE *")
    alone.node.close_session(a.session)
    assert b.say("PUBLISH c x") == b":0\r\n"
    assert b.say("PUBSUB CHANNELS") == b"*0\r\n" and b.say("PUBSUB NUMPAT") == b":0\r\n"
