"""Sorted sets on several nodes: scores meet as decision 0052 says, and all copies are alike."""

import pytest

from tests.cluster.test_element_maps import alike, settle
from tests.little import Little


def test_what_is_written_at_one_node_is_read_at_another():
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    assert a("ZADD", "z", "1", "one", "2", "two") == 2
    assert b("ZRANGE", "z", "0", "-1", "WITHSCORES") == [b"one", b"1", b"two", b"2"]
    assert c("ZINCRBY", "z", "1.5", "one") == b"2.5"
    assert a("ZRANK", "z", "one") == 1 and b("ZREVRANK", "z", "one") == 0
    assert c("ZADD", "z", "GT", "CH", "1", "one", "9", "two") == 1
    assert a("ZADD", "z", "NX", "5", "one", "3", "three") == 1
    assert b("ZRANGE", "z", "3", "inf", "BYSCORE") == [b"three", b"two"]
    assert c("ZPOPMIN", "z") == [b"one", b"2.5"]
    assert a("ZREM", "z", "two", "none") == 1
    assert b("ZCARD", "z") == 1 and c("TYPE", "z") == b"zset"
    assert c("GET", "z").startswith("WRONGTYPE")
    assert a("EXPIRE", "z", "100") == 1 and b("TTL", "z") == 100
    little.run(50)
    alike(little, "z")


def test_keys_of_several_coordinators_are_combined():
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    for number in range(6):
        a("ZADD", f"k{number}", "1", "all", str(number), f"m{number}")
    a("SADD", "s", "all")
    keys = [f"k{number}" for number in range(6)]
    assert b("ZUNIONSTORE", "d", "6", *keys) == 7
    assert c("ZRANGE", "d", "-1", "-1", "WITHSCORES") == [b"all", b"6"]
    assert a("ZINTER", "7", *keys, "s", "WITHSCORES") == [b"all", b"7"]
    assert b("ZDIFF", "2", "k3", "s") == [b"m3"]
    assert c("ZINTERCARD", "6", *keys) == 1
    assert a("ZRANGESTORE", "e", "d", "0", "1") == 2
    assert b("ZMPOP", "3", "none", "e", "d", "MIN", "COUNT", "5") == [
        b"e", [[b"m0", b"0"], [b"m1", b"1"]]]
    assert c("EXISTS", "e") == 0
    assert a("ZUNIONSTORE", "d", "1", "none") == 0
    assert b("EXISTS", "d") == 0


# What both sides do to a member of a key that has 10, and what it shows when they have met.
MEETINGS = [
    ("ZINCRBY {} 1 m", "ZINCRBY {} 2.5 m", b"13.5"),
    ("ZADD {} 20 m", "ZINCRBY {} 2 m", b"22"),
    ("ZADD {} inf m", "ZINCRBY {} 2 m", b"inf"),
    ("ZREM {} m", "ZADD {} 20 m", b"20"),
    ("ZREM {} m", "ZADD {} 10 m", b"10"),
    ("ZREM {} m", "ZINCRBY {} 2 m", b"2"),
    ("ZREM {} m", "ZREM {} m", None),
    ("ZPOPMIN {}", "ZINCRBY {} 3 m", b"3"),
    ("ZREMRANGEBYSCORE {} 0 99", "ZADD {} 4 m", b"4"),
    ("DEL {}", "ZINCRBY {} 2 m", b"2"),
    ("DEL {}", "ZADD {} 1 n", None),
]


@pytest.mark.parametrize("is_turned", [False, True], ids=["left first", "right first"])
def test_two_sides_of_a_cut_meet(is_turned):
    little = Little(3, w=1, r=1).ready()
    clients = [little.client("A"), little.client("B")]
    keys = [f"z{number}" for number in range(len(MEETINGS))]
    for key in keys:
        clients[0]("ZADD", key, "10", "m", "1000", "other")
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    if is_turned:
        clients.reverse()
    for key, (left, right, _) in zip(keys, MEETINGS, strict=True):
        clients[0](*left.format(key).split())
        clients[1](*right.format(key).split())
    little.heal()
    little.run(3000)
    settle(little, *keys)
    for name in "ABC":
        client = little.client(name)
        assert [client("ZSCORE", key, "m") for key in keys] == [end for _, _, end in MEETINGS]


def test_of_two_scores_the_later_is_shown_and_both_can_be_read():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    a("ZADD", "z", "1", "m")
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    a("ZADD", "z", "2", "m")
    little.run(100)
    b("ZADD", "z", "3", "m")
    little.heal()
    little.run(3000)
    settle(little, "z")
    assert a("ZSCORE", "z", "m") == b("ZSCORE", "z", "m") == b"3"
    assert a("DYN.GETCTX", "z")[1] == [b"3", b"2"]
    assert a("ZADD", "z", "7", "m") == 0
    assert b("DYN.GETCTX", "z")[1] == [b""]
    assert b("ZSCORE", "z", "m") == b"7"
