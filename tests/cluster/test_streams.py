"""Streams on three nodes: ids through any node, groups, cuts, failovers, and clients that wait."""

import pytest

from tests.cluster.test_blocking import is_waiting, waiting
from tests.little import Little


def ids_of(little: Little, name: str, key: str) -> list[bytes]:
    """The ids of a stream's entries at a node."""
    found = little.client(name)("XRANGE", key, "-", "+")
    assert isinstance(found, list)
    return [entry[0] for entry in found]


def values_in(reply: object) -> list[bytes]:
    """The first value of each entry that XREAD or XREADGROUP of one stream gave."""
    if reply is None:
        return []
    assert isinstance(reply, list)
    return [entry[1][1] for entry in reply[0][1]]


def cut_off(little: Little, name: str) -> None:
    """A node alone at its side."""
    for other in "ABC".replace(name, ""):
        little.cut(name, other)
    little.run(3000)


def test_ids_grow_through_whatever_node() -> None:
    little = Little(3).ready()
    made = [little.client("ABC"[at % 3])("XADD", "s", "*", "n", at) for at in range(30)]
    assert all(isinstance(one, bytes) and one.endswith((b"-0", b"-1", b"-2")) for one in made)
    for name in "ABC":
        assert ids_of(little, name, "s") == made
        assert little.client(name)("XLEN", "s") == 30
        assert little.client(name)("XINFO", "STREAM", "s")[7] == made[-1]  # type: ignore[index]


def test_ids_go_on_growing_after_a_failover() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    b = little.client("B")
    made = [b("XADD", key, "*", "n", at) for at in range(5)]
    little.kill("A")
    little.run(100)
    made += [b("XADD", key, "*", "n", at) for at in range(5)]
    little.boot("A")
    little.run(3000)
    made += [little.client("A")("XADD", key, "*", "n", at) for at in range(5)]
    order = [tuple(map(int, one.split(b"-"))) for one in made]      # type: ignore[attr-defined]
    assert order == sorted(set(order))
    assert ids_of(little, "C", key) == made
    assert str(b("XADD", key, made[-1], "n", 1)).startswith("ERR The ID")


def test_both_sides_of_a_cut_add_and_no_id_is_given_twice() -> None:
    little = Little(3, w=1, r=1).ready()
    key = little.key_of("A")
    a, b = little.client("A"), little.client("B")
    a("XADD", key, "*", "n", "before")
    assert a("XGROUP", "CREATE", key, "g", "0") is not None
    little.run(500)
    cut_off(little, "A")
    made = [client("XADD", key, "*", "n", at) for at in range(20) for client in (a, b)]
    assert all(isinstance(one, bytes) for one in made) and len(set(made)) == 40
    taken = values_in(a("XREADGROUP", "GROUP", "g", "one", "STREAMS", key, ">"))
    assert len(taken) == 21
    little.heal()
    little.run(20_000)
    for name in "ABC":
        assert len(ids_of(little, name, key)) == 41
        assert little.client(name)("XLEN", key) == 41
    late = values_in(little.client("C")("XREADGROUP", "GROUP", "g", "two", "STREAMS", key, ">"))
    assert sorted(late) == sorted(b"%d" % at for at in range(20)), "what came late is given too"
    assert b("XREADGROUP", "GROUP", "g", "two", "STREAMS", key, ">") is None
    assert b("XPENDING", key, "g")[0] == 41     # type: ignore[index]


def test_an_acknowledgement_beside_a_read_at_the_other_side_stays() -> None:
    little = Little(3, w=1, r=1).ready()
    key = little.key_of("A")
    a, b = little.client("A"), little.client("B")
    ids = [a("XADD", key, "*", "n", at) for at in range(4)]
    a("XGROUP", "CREATE", key, "g", "0")
    a("XREADGROUP", "GROUP", "g", "one", "COUNT", 2, "STREAMS", key, ">")
    little.run(500)
    cut_off(little, "A")
    assert a("XACK", key, "g", ids[0]) == 1
    assert values_in(b("XREADGROUP", "GROUP", "g", "two", "STREAMS", key, ">")) == [b"2", b"3"]
    assert b("XDEL", key, ids[3]) == 1
    little.heal()
    little.run(20_000)
    for name in "ABC":
        client = little.client(name)
        pending = client("XPENDING", key, "g", "-", "+", 10)
        assert isinstance(pending, list)
        assert [(one[0], one[1]) for one in pending] == [
            (ids[1], b"one"), (ids[2], b"two"), (ids[3], b"two")]
        assert ids_of(little, name, key) == ids[:3]
    assert a("XREADGROUP", "GROUP", "g", "one", "STREAMS", key, ">") is None


def test_a_claim_beside_an_acknowledgement_leaves_the_entry_pending() -> None:
    little = Little(3, w=1, r=1).ready()
    key = little.key_of("A")
    a, b = little.client("A"), little.client("B")
    id_ = a("XADD", key, "*", "n", 1)
    a("XGROUP", "CREATE", key, "g", "0")
    a("XREADGROUP", "GROUP", "g", "one", "STREAMS", key, ">")
    little.run(500)
    cut_off(little, "A")
    assert a("XACK", key, "g", id_) == 1
    assert b("XCLAIM", key, "g", "two", 0, id_, "JUSTID") == [id_]
    little.heal()
    little.run(20_000)
    assert little.client("C")("XPENDING", key, "g")[3] == [[b"two", b"1"]]    # type: ignore[index]


def test_two_groups_made_at_once_skip_nothing() -> None:
    little = Little(3, w=1, r=1).ready()
    key = little.key_of("A")
    a, b = little.client("A"), little.client("B")
    a("XADD", key, "*", "n", 1)
    little.run(500)
    cut_off(little, "A")
    a("XGROUP", "CREATE", key, "g", "$")
    b("XGROUP", "CREATE", key, "g", "0")
    little.heal()
    little.run(20_000)
    assert values_in(a("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">")) == [b"1"]
    assert a("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">") is None


def test_a_long_stream_with_a_group_is_read_to_its_end() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    a = little.client("A")
    for at in range(300):
        a("XADD", key, "*", "n", at)
    a("XGROUP", "CREATE", key, "g", "0")
    found: list[bytes] = []
    for at in range(100):
        reader = little.client("ABC"[at % 3])
        reply = reader("XREADGROUP", "GROUP", "g", f"c{at % 3}", "COUNT", 7, "STREAMS", key, ">")
        found += values_in(reply)
    assert found == [b"%d" % at for at in range(300)]
    assert a("XPENDING", key, "g")[0] == 300       # type: ignore[index]
    claimed = a("XAUTOCLAIM", key, "g", "c9", 0, "0", "COUNT", 300)
    assert isinstance(claimed, list) and len(claimed[1]) == 300
    assert a("XACK", key, "g", *[entry[0] for entry in claimed[1]]) == 300
    assert a("XTRIM", key, "MAXLEN", 3) == 297
    little.run(3000)
    for name in "ABC":
        assert len(ids_of(little, name, key)) == 3


@pytest.mark.parametrize("home", "ABC")
def test_xread_waits_for_what_comes(home: str) -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    writer = little.client("B")
    writer("XADD", key, "1-1", "n", "old")
    clients = [waiting(little, home, "XREAD", "BLOCK", 0, "STREAMS", "other", key, "$", "$")
               for _ in range(2)]
    writer("XADD", key, "2-1", "n", "new")
    for client in clients:
        assert client.receive() == [[key.encode(), [[b"2-1", [b"n", b"new"]]]]]
    assert clients[0]("XREAD", "BLOCK", 0, "STREAMS", key, "1-1") == [
        [key.encode(), [[b"2-1", [b"n", b"new"]]]]]
    assert clients[0]("XREAD", "BLOCK", 50, "STREAMS", key, "$") is None
    last = waiting(little, home, "XREAD", "BLOCK", 0, "STREAMS", key, "2-1")
    writer("XDEL", key, "2-1")
    writer("DEL", key)
    little.run(1000)
    assert is_waiting(last)
    writer("XADD", key, "3-1", "n", "newer")
    assert values_in(last.receive()) == [b"newer"]


@pytest.mark.parametrize("home", "ABC")
def test_each_entry_wakes_one_consumer_of_each_group(home: str) -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    writer = little.client("B")
    for group in "gh":
        writer("XGROUP", "CREATE", key, group, "$", "MKSTREAM")
    clients = [
        waiting(little, home, "XREADGROUP", "GROUP", group, f"c{at}", "BLOCK", 0, "STREAMS", key,
                ">") for group in "gh" for at in range(3)
    ]
    for at in range(3):
        writer("XADD", key, "*", "n", at)
        little.run(200)
        served = [client for client in clients if not is_waiting(client)]
        assert [values_in(client.receive()) for client in served] == [[b"%d" % at]] * 2
        clients = [client for client in clients if client not in served]
    assert not clients


def test_who_waits_in_a_group_learns_that_it_is_gone() -> None:
    little = Little(3).ready()
    a = little.client("A")
    for key, gone in (("s", ("DEL", "s")), ("t", ("XGROUP", "DESTROY", "t", "g"))):
        a("XGROUP", "CREATE", key, "g", "$", "MKSTREAM")
        clients = [
            waiting(little, "B", "XREADGROUP", "GROUP", "g", f"c{at}", "BLOCK", 0, "STREAMS", key,
                    ">") for at in range(3)
        ]
        a(*gone)
        for client in clients:
            said = str(client.receive())
            assert said.startswith("UNBLOCKED" if key == "s" else "NOGROUP"), said


def test_a_stream_is_found_copied_watched_and_its_events_published() -> None:
    little = Little(3, notify_keyspace_events="KEA").ready()
    a, b = little.client("A"), little.client("B")
    a("XADD", "s", "1-1", "n", 1)
    assert b("SCAN", 0, "TYPE", "stream") == [b"0", [b"s"]]
    assert b("COPY", "s", "t") == 1 and a("RENAME", "t", "u") == b"OK"
    assert values_in(b("XREAD", "STREAMS", "u", "0")) == [b"1"]
    assert isinstance(b("MEMORY", "USAGE", "u"), int)
    b("WATCH", "u")
    a("XADD", "u", "2-1", "n", 2)
    b("MULTI")
    b("XADD", "u", "*", "n", 3)
    assert b("EXEC") is None
    b("MULTI")
    b("XADD", "u", "3-1", "n", 3)
    b("XREAD", "BLOCK", 0, "STREAMS", "u", "9")
    b("XLEN", "u")
    assert b("EXEC") == [b"3-1", None, 3]
    script = "return redis.call('XADD', KEYS[1], '*', 'n', '4')"
    assert isinstance(a("EVAL", script, 1, "u"), bytes)
    assert a("XLEN", "u") == 4
