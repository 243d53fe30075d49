"""DYN.CLUSTER JOIN and its kin refuse what cannot be, in words that say what to do."""

import pytest

from tests.commands.alone import Alone

NOTHING = b"-ERR nothing is staged\r\n"


@pytest.mark.parametrize(("line", "reply"), [
    ("DYN.CLUSTER JOIN 10.0.0.9:6379", b"-ERR no node 10.0.0.9:6379 waits to join; start it with "
     b"--seeds. No node waits\r\n"),
    ("DYN.CLUSTER LEAVE 10.0.0.9:6379", b"-ERR no member 10.0.0.9:6379; see DYN.CLUSTER MEMBERS"
     b"\r\n"),
    ("DYN.CLUSTER FORCE-REMOVE 127.0.0.1:6379",
     b"-ERR no node would be left to own anything\r\n"),
    ("DYN.CLUSTER LEAVE 127.0.0.1:6379", b"-ERR no node would be left to own anything\r\n"),
    ("DYN.CLUSTER REPLACE 127.0.0.1:6379 10.0.0.9:6379", b"-ERR no node 10.0.0.9:6379 waits to "
     b"join; start it with --seeds. No node waits\r\n"),
    ("DYN.CLUSTER RENEW-KEYS", b"+OK\r\n"),
    ("DYN.CLUSTER CHANGE 127.0.0.1:6379", b"-ERR give WEIGHT, ZONE or both\r\n"),
    ("DYN.CLUSTER CHANGE 127.0.0.1:6379 WEIGHT 0",
     b"-ERR a weight is a number from 1 to 1000\r\n"),
    ("DYN.CLUSTER CHANGE 127.0.0.1:6379 WEIGHT", b"-ERR syntax error\r\n"),
    ("DYN.CLUSTER CHANGE 127.0.0.1:6379 SIZE 3", b"-ERR syntax error\r\n"),
    ("DYN.CLUSTER PLAN", NOTHING),
    ("DYN.CLUSTER COMMIT", NOTHING),
    ("DYN.CLUSTER CLEAR", b"+OK\r\n"),
    ("DYN.CLUSTER DRAIN SOON", b"-ERR DYN.CLUSTER DRAIN takes ON or OFF\r\n"),
])
def test_what_is_asked_of_a_node_alone(line: str, reply: bytes) -> None:
    assert Alone().connect().say(line) == reply


def test_a_zone_is_staged_planned_and_committed_by_a_majority_of_one() -> None:
    alone = Alone()
    client = alone.connect()
    assert client.say("DYN.CLUSTER CHANGE 127.0.0.1:6379 ZONE east WEIGHT 2") == b"+OK\r\n"
    assert b"needs" not in client.say("DYN.CLUSTER PLAN")
    reply = client.say("DYN.CLUSTER COMMIT")
    for _ in range(20):
        alone.now_ms += 20
        alone.turn()
        reply += client.session.take()
    assert reply == b"+OK\r\n"
    assert b"east" in client.say("DYN.CLUSTER MEMBERS")
