"""Hashes and sets on several nodes: what is added stays, what is removed stays away, all alike."""

from respdyn.causal.codec import digest, verify
from respdyn.cluster.replica import Replica
from respdyn.types import values
from tests.little import Little


def alike(little: Little, key: str) -> bytes:
    """The record of a key, which all nodes hold alike."""
    found = set()
    for machine in little.machines:
        for slot in machine.node.replica.slots:
            for locator, record in slot.items():
                if locator[3:] == key.encode():
                    verify(record)
                    found.add(record)
    assert len(found) == 1, "copies differ"
    return found.pop()


def settle(little: Little, *keys: str) -> None:
    """Until all copies of some keys are alike on three nodes."""
    def is_alike() -> bool:
        for key in keys:
            held = [
                digest(record) for machine in little.machines if machine.is_running
                for slot in machine.node.replica.slots for locator, record in slot.items()
                if locator[3:] == key.encode()
            ]
            if len(held) != 3 or len(set(held)) != 1:
                return False
        return True
    little.until(is_alike)


def test_what_is_written_at_one_node_is_read_at_another():
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    assert a("HSET", "h", "one", "1", "two", "2") == 2
    assert b("HGETALL", "h") == [b"one", b"1", b"two", b"2"]
    assert c("HSET", "h", "two", "3", "three", "4") == 1
    assert a("HMGET", "h", "two", "none") == [b"3", None]
    assert b("HINCRBY", "h", "one", "41") == 42
    assert c("HINCRBYFLOAT", "h", "one", "0.5") == b"42.5"
    assert a("HDEL", "h", "two", "none") == 1
    assert b("HKEYS", "h") == [b"one", b"three"]
    assert a("SADD", "s", "red", "blue", "red") == 2
    assert b("SADD", "s", "red", "green") == 1
    assert c("SMEMBERS", "s") == [b"blue", b"green", b"red"]
    assert a("SREM", "s", "red") == 1
    assert b("SISMEMBER", "s", "red") == 0
    assert b("SCARD", "s") == 2
    assert c("TYPE", "s") == b"set" and c("TYPE", "h") == b"hash"
    assert c("GET", "s").startswith("WRONGTYPE")
    assert c("SADD", "h", "x").startswith("WRONGTYPE")
    assert a("DEL", "s", "h") == 2
    assert b("EXISTS", "s", "h") == 0
    little.run(50)
    alike(little, "h")
    alike(little, "s")


def test_each_element_of_a_command_has_a_dot_of_its_own():
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    assert a("SADD", "s", *range(50)) == 50
    assert b("SREM", "s", *range(49)) == 49
    assert a("SMEMBERS", "s") == [b"49"]
    before = [m.node.identity.counter for m in little.machines]
    assert a("SADD", "s", *range(100, 110)) == 10
    grown = [m.node.identity.counter - n for m, n in zip(little.machines, before, strict=True)]
    assert sorted(grown) == [0, 0, 10]


def test_members_added_on_both_sides_of_a_cut_are_kept():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("SADD", "s", "old", "gone") == 2
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("SADD", "s", "left") == 1
    assert a("SREM", "s", "gone") == 1
    assert b("SADD", "s", "right") == 1
    assert b("SADD", "s", "old") == 0
    assert a("SREM", "s", "old") == 1
    little.heal()
    little.run(3000)
    settle(little, "s")
    for name in "ABC":
        # `old` was added again where no client had seen the removal; `gone` was not.
        assert little.client(name)("SMEMBERS", "s") == [b"left", b"old", b"right"]


def test_a_deletion_leaves_what_it_had_not_seen():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("SADD", "s", "old") == 1
    assert a("HSET", "h", "n", "1", "x", "2") == 2
    assert a("EXPIRE", "h", "1000") == 1
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("DEL", "s", "h") == 2
    assert b("SADD", "s", "new") == 1
    assert b("HINCRBY", "h", "n", "5") == 6
    little.heal()
    little.run(3000)
    settle(little, "s", "h")
    assert a("SMEMBERS", "s") == [b"new"]
    assert b("HGETALL", "h") == [b"n", b"5"]
    # Nothing of what was deleted holds: not its time to live either.
    assert a("TTL", "h") == -1
    assert a("HSET", "h", "more", "1") == 1
    assert a("EXPIRE", "h", "100") == 1
    assert b("TTL", "h") == 100


def test_fields_of_both_sides_meet_and_increments_add_up():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("HSET", "h", "n", "10", "both", "0") == 2
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    for client, mine in ((a, "a"), (b, "b")):
        assert client("HINCRBY", "h", "n", "1") == 11
        assert client("HSET", "h", mine, "1") == 1
        client("HSET", "h", "both", mine)
    little.heal()
    little.run(3000)
    settle(little, "h")
    shown = a("HGETALL", "h")
    assert shown == b("HGETALL", "h")
    pairs = dict(zip(shown[::2], shown[1::2], strict=True))
    assert pairs.pop(b"both") in (b"a", b"b")
    assert pairs == {b"n": b"12", b"a": b"1", b"b": b"1"}
    # Both values are there until a client writes over them.
    assert len(values.siblings(alike(little, "h"), 0)) == 2
    b("HSET", "h", "both", "c")
    little.run(50)
    assert values.siblings(alike(little, "h"), 0) == [b""]


def test_the_time_to_live_of_fields_on_both_sides_of_a_cut():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    assert a("HSET", "h", "long", "1", "kept", "1", "new", "1", "gone", "1") == 4
    little.run(20)
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("HEXPIRE", "h", "100", "FIELDS", "3", "long", "kept", "new") == [1, 1, 1]
    assert b("HEXPIRE", "h", "500", "FIELDS", "3", "long", "kept", "gone") == [1, 1, 1]
    assert b("HPERSIST", "h", "FIELDS", "1", "kept") == [1]
    assert b("HSET", "h", "new", "2") == 0
    assert a("HGETDEL", "h", "FIELDS", "1", "gone") == [b"1"]
    little.heal()
    little.run(3000)
    settle(little, "h")
    # The longest holds, HPERSIST beats any, HSET ends it, and a removal is no less one for it.
    for client in (a, b):
        found = client("HTTL", "h", "FIELDS", "4", "long", "kept", "new", "gone")
        assert 490 < found[0] <= 500 and found[1:] == [-1, -1, -2]
    assert a("HPEXPIRE", "h", "50", "FIELDS", "1", "long") == [1]
    little.run(200)
    assert b("HGETALL", "h") == [b"kept", b"1", b"new", b"2"]
    assert b("HSET", "h", "more", "1") == 1
    settle(little, "h")
    # What has expired was covered by that write; nothing is left of its time to live.
    assert b"long" not in alike(little, "h")


def test_a_later_hset_beats_an_earlier_one_whatever_the_clocks_say():
    little = Little(3).ready()
    key = little.key_of("A", "h")
    a, b = little.client("A"), little.client("B")
    # The first is written at A, whose clock is ahead, and reaches C only.
    little["A"].clock.observe((little.wall_ms + 400) << 16, little.wall_ms)
    little.lost.add((0, 1))
    assert a("HSET", key, "f", "first", "other", "1") == 2
    little.kill("A")
    little.run(3)
    before = little["B"].counters.conflicts_covered
    assert b("HSET", key, "f", "second", "g", "x") == 2
    assert little["B"].counters.conflicts_covered == before + 1
    assert b("HGET", key, "f") == b"second"
    assert little.client("C")("HGETALL", key) == [b"f", b"second", b"g", b"x", b"other", b"1"]


def test_siblings_that_cannot_be_covered_for_want_of_dots_leave_the_outcome_open(monkeypatch):
    """B has dots for the write, and none to cover what C holds beside it."""
    little = Little(3).ready()
    key = little.key_of("A", "h")
    little["A"].clock.observe((little.wall_ms + 400) << 16, little.wall_ms)
    little.lost.add((0, 1))
    assert little.client("A")("HSET", key, "f", "first") == 1
    little.kill("A")
    little.run(3)
    monkeypatch.setattr(Replica, "minted", lambda self, record: False)
    reply = little.client("B")("HSET", key, "f", "second")
    assert str(reply).startswith("TIMEOUT other values were met")


def test_a_key_made_as_two_types_shows_one_everywhere_until_it_is_deleted():
    little = Little(3, w=1, r=1).ready()
    a, b = little.client("A"), little.client("B")
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(1500)
    assert a("HSET", "k", "f", "1") == 1
    assert b("SADD", "k", "m") == 1
    little.heal()
    little.run(3000)
    settle(little, "k")
    kinds = {little.client(name)("TYPE", "k") for name in "ABC"}
    assert len(kinds) == 1 and kinds <= {b"hash", b"set"}
    assert len(values.kinds_in(alike(little, "k"))) == 2
    assert a("DEL", "k") == 1
    assert [little.client(name)("EXISTS", "k") for name in "ABC"] == [0, 0, 0]


def test_a_hash_expires_and_is_born_anew_without_its_past():
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    assert a("HSET", "h", "old", "1") == 1
    assert b("PEXPIRE", "h", "50") == 1
    assert b("HSET", "h", "more", "1") == 1
    assert 0 < a("PTTL", "h") <= 50
    little.run(60)
    assert a("HGETALL", "h") == [] and b("EXISTS", "h") == 0
    assert a("HSET", "h", "new", "1") == 1
    assert b("HGETALL", "h") == [b"new", b"1"]
    assert b("TTL", "h") == -1


def test_hints_carry_elements_to_an_owner_that_was_away():
    little = Little(4).ready()
    ring = little["A"].membership.ring
    assert ring is not None
    client = little.client("D")
    keys = [f"s{number}" for number in range(12)]
    for key in keys:
        assert client("SADD", key, "one", "two") == 2
        assert client("HSET", f"h{key}", "f", "1") == 1
    little.kill("A")
    little.run(6000)
    for key in keys:
        assert client("SADD", key, "three") == 1
        assert client("SREM", key, "one") == 1
        assert client("HINCRBY", f"h{key}", "f", "1") == 2
    little.boot("A")
    little.run(6000)
    for key in keys:
        assert little.client("A")("SMEMBERS", key) == [b"three", b"two"]
        assert little.client("A")("HGET", f"h{key}", "f") == b"2"
        little.run(20)
        alike(little, key)


def test_a_wiped_node_is_filled_with_collections():
    little = Little(3).ready()
    a = little.client("A")
    for number in range(30):
        assert a("HSET", f"h{number}", "f", number, "g", "x") == 2
        assert a("HDEL", f"h{number}", "g") == 1
    little.kill("B")
    little.wipe("B")
    little.boot("B")
    little.run(8000)
    for number in range(30):
        assert little.client("B")("HGETALL", f"h{number}") == [b"f", b"%d" % number]
        alike(little, f"h{number}")


def test_random_choices_are_of_what_is_there():
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    a("SADD", "s", *range(20))
    a("HSET", "h", "f", "1", "g", "2")
    members = {b"%d" % number for number in range(20)}
    assert {b("SRANDMEMBER", "s") for _ in range(40)} < members
    assert len({b("SRANDMEMBER", "s") for _ in range(40)}) > 5
    assert len(set(b("SRANDMEMBER", "s", 5))) == 5
    assert b("HRANDFIELD", "h") in (b"f", b"g")
    taken = [b("SPOP", "s") for _ in range(10)]
    assert len(set(taken)) == 10
    assert set(a("SMEMBERS", "s")) == members - set(taken)
    assert len(a("SPOP", "s", 100)) == 10
    assert b("EXISTS", "s") == 0


def test_a_transaction_changes_collections_in_one_step():
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    a("MULTI")
    for words in (("SADD", "{t}s", "x", "y"), ("HSET", "{t}h", "f", "1"), ("SCARD", "{t}s"),
                  ("HINCRBY", "{t}h", "f", "2"), ("SRANDMEMBER", "{t}s", "5")):
        assert a(*words) == b"QUEUED"
    assert a("EXEC") == [2, 1, 2, 3, [b"x", b"y"]]
    assert b("SMEMBERS", "{t}s") == [b"x", b"y"]
    assert b("HGET", "{t}h", "f") == b"3"
