"""Writes and reads with N, R and W on a little cluster, and what happens when they cannot."""

import pytest

from respdyn.causal.codec import decode
from respdyn.ring.hashing import PREFIX, slot_of
from tests.little import Little


def record(little: Little, name: str, key: str) -> bytes:
    return little[name].replica.get(PREFIX[0][slot_of(key.encode())] + key.encode())


def test_any_node_serves_what_any_other_was_given() -> None:
    little = Little(3).ready()
    clients = [little.client(name) for name in "ABC"]
    for number in range(30):
        assert clients[number % 3]("SET", f"k{number}", f"v{number}") == b"OK"
    for number in range(30):
        for client in clients:
            assert client("GET", f"k{number}") == b"v%d" % number


def test_all_replicas_hold_the_same_bytes() -> None:
    little = Little(3).ready()
    for name in "ABC":
        assert little.client(name)("SET", "k", name) == b"OK"
    little.run(10)
    assert record(little, "A", "k") == record(little, "B", "k") == record(little, "C", "k") != b""


def test_paper_figure_3() -> None:
    """D1, D2 through one node; D3 and D4 branch at two others; a client reconciles them as D5."""
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    d1 = a("DYN.PUTCTX", "cart", "", "D1")
    d2 = a("DYN.PUTCTX", "cart", d1, "D2")
    assert a("DYN.GETCTX", "cart") == [d2, [b"D2"]]
    b("DYN.PUTCTX", "cart", d2, "D3")
    c("DYN.PUTCTX", "cart", d2, "D4")
    both, values = a("DYN.GETCTX", "cart")    # type: ignore[misc]
    assert sorted(values) == [b"D3", b"D4"]
    d5 = b("DYN.PUTCTX", "cart", both, "D5")
    for client in (a, b, c):
        assert client("DYN.GETCTX", "cart") == [d5, [b"D5"]]


def test_context_of_a_put_does_not_cover_unread_siblings() -> None:
    little = Little(3).ready()
    a = little.client("A")
    mine = a("DYN.PUTCTX", "k", "", "mine")
    a("DYN.PUTCTX", "k", "", "theirs")
    a("DYN.PUTCTX", "k", mine, "mine again")
    assert sorted(a("DYN.GETCTX", "k")[1]) == [b"mine again", b"theirs"]    # type: ignore[index]


def test_set_collapses_siblings() -> None:
    little = Little(3).ready()
    a = little.client("A")
    for value in "xyz":
        a("DYN.PUTCTX", "k", "", value)
    assert len(a("DYN.GETCTX", "k")[1]) == 3    # type: ignore[index,arg-type]
    assert little.client("B")("SET", "k", "one") == b"OK"
    assert a("DYN.GETCTX", "k")[1] == [b"one"]    # type: ignore[index]


def test_two_of_three_go_on_when_one_dies() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    for number in range(20):
        assert a("SET", f"k{number}", "before") == b"OK"
    little.kill("C")
    for number in range(20):
        began = little.now_ms
        assert b("SET", f"k{number}", f"after{number}") == b"OK"
        assert a("GET", f"k{number}") == b"after%d" % number
        assert little.now_ms - began < 50


def test_one_of_three_refuses_at_once_and_does_nothing() -> None:
    little = Little(3).ready()
    a = little.client("A")
    assert a("SET", "k", "1") == b"OK"
    little.kill("B")
    little.kill("C")
    before = record(little, "A", "k")
    began = little.now_ms
    assert str(a("SET", "k", "2")).startswith("NOQUORUM W=2 reachable=1")
    assert str(a("GET", "k")).startswith("NOQUORUM R=2 reachable=1")
    assert str(a("DEL", "k")).startswith("NOQUORUM")
    assert little.now_ms == began
    assert record(little, "A", "k") == before
    assert a("DYN.WITH", "R", "1", "GET", "k") == b"1"
    assert a("DYN.WITH", "W", "ONE", "SET", "k", "3") == b"OK"


def test_a_node_that_missed_writes_is_repaired_when_read() -> None:
    little = Little(3).ready()
    a = little.client("A")
    assert a("SET", "k", "old") == b"OK"
    little.kill("C")
    assert a("SET", "k", "new") == b"OK"
    little.boot("C")
    little.ready()
    little.run(20)
    c = little.client("C")
    assert record(little, "C", "k") != record(little, "A", "k")
    assert c("GET", "k") == b"new"
    little.run(5)
    assert record(little, "C", "k") == record(little, "A", "k")
    repairs = sum(little[name].counters.read_repairs for name in "ABC")
    assert c("GET", "k") == b"new"
    little.run(5)
    assert sum(little[name].counters.read_repairs for name in "ABC") == repairs


def test_reading_repairs_the_join_and_not_the_winner() -> None:
    little = Little(3).ready()
    a = little.client("A")
    little.kill("C")
    a("DYN.PUTCTX", "k", "", "one")
    a("DYN.PUTCTX", "k", "", "two")
    little.boot("C")
    little.ready()
    little.client("C")("GET", "k")
    little.run(5)
    assert record(little, "C", "k") == record(little, "A", "k")


def test_a_later_set_wins_whatever_the_clocks_say() -> None:
    """Conflict feedback: the second SET's coordinator has not seen the first; its clock lags."""
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    key = little.key_of("A")
    little.cut("A", "B")
    little.machines[0].node.this.now.wall_ms += 100_000
    little[("A")].clock.observe(0, 0)
    little.run(5)
    assert a("DYN.WITH", "TIMEOUT", "1000", "SET", key, "first") == b"OK"     # at A and C
    little.heal()
    little.cut("A", "C")
    little.cut("A", "B")
    little.run(5)
    assert b("SET", key, "second") == b"OK"    # coordinated by B or C: C holds the first
    little.heal()
    little.run(2500)
    for name in "ABC":
        assert little.client(name)("GET", key) == b"second"


@pytest.mark.parametrize(("words", "reply", "left"), [
    (("GETDEL",), b"mine", None), (("APPEND", "+"), 5, b"mine+"), (("EXPIRE", "100"), 1, b"mine"),
])
@pytest.mark.parametrize("through", ["A", "C"])
def test_what_reads_behind_a_set_does_not_read_what_that_is_about_to_cover(
    through: str, words: tuple[str, ...], reply: object, left: object
) -> None:
    """The read finds an earlier value with a higher clock elsewhere, before the SET covers it."""
    little = Little(3, exchange_interval_ms=0).ready()
    key = little.key_of("A")
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(10)
    for name in "BC":
        little[name].clock.last = little.wall_ms + 100_000 << 16     # too far ahead to follow
    assert little.client("B")("SET", key, "other") == b"OK"
    little.heal()
    little.ready()
    assert little["A"].replica.records == 0
    client = little.client(through)
    client.send("SET", key, "mine")
    client.send(words[0], key, *words[1:])
    assert [client.receive(), client.receive()] == [b"OK", reply]
    little.run(20)
    for name in "ABC":
        assert little.client(name)("GET", key) == left


def test_a_delete_removes_what_its_coordinator_has_not_seen() -> None:
    little = Little(3).ready()
    key = little.key_of("C")
    little.kill("C")
    assert little.client("A")("SET", key, "v") == b"OK"
    little.boot("C")
    little.ready()
    assert record(little, "C", key) == b""
    assert little.client("B")("DEL", key) == 1
    little.run(10)
    for name in "ABC":
        assert little.client(name)("GET", key) is None
        assert not decode(record(little, name, key)).entries


def test_a_pipeline_takes_effect_in_order() -> None:
    """DEL reads a quorum first; what stands behind it on the same key must wait for it."""
    little = Little(3).ready()
    for name in "ABC":
        client = little.client(name)
        key = f"pipe{name}"
        for words in (
            ("SET", key, "1"), ("GET", key), ("DEL", key), ("SET", key, "2"), ("GET", key),
            ("SETNX", key, "3"), ("GETDEL", key), ("SETNX", key, "4"), ("GET", key),
        ):
            client.send(*words)
        replies = [client.receive() for _ in range(9)]
        assert replies == [b"OK", b"1", 1, b"OK", b"2", 0, b"2", 1, b"4"], name


def test_replies_come_in_the_order_of_commands() -> None:
    little = Little(3).ready()
    client = little.client("A")
    for number in range(50):
        client.send("SET", f"k{number}", number)
        client.send("GET", f"k{number}")
        client.send("PING", f"p{number}")
    for number in range(50):
        assert client.receive() == b"OK"
        assert client.receive() == b"%d" % number
        assert client.receive() == b"p%d" % number


def test_a_slow_replica_costs_one_more_question() -> None:
    little = Little(3).ready()
    a = little.client("A")
    key = little.key_of("A")
    assert a("SET", key, "v") == b"OK"
    little.holds |= {(1, 0), (0, 1)}
    worst = 0
    for _ in range(4):
        began = little.now_ms
        assert a("GET", key) == b"v"
        worst = max(worst, little.now_ms - began)
    assert 40 < worst < 100
    assert little["A"].counters.speculative_reads >= 1


def test_a_silent_coordinator_is_given_up_and_reads_go_elsewhere() -> None:
    """Frames vanish without an error, as in a cut that drops packets."""
    little = Little(3).ready()
    key = little.key_of("B")
    a = little.client("A")
    little.lost |= {(0, 1), (1, 0), (2, 1), (1, 2)}
    began = little.now_ms
    assert "outcome is unknown" in str(a("SET", key, "lost"))
    assert little.now_ms - began < 2000
    began = little.now_ms
    assert a("SET", key, "v") == b"OK"
    assert little.now_ms - began < 60
    began = little.now_ms
    assert a("GET", key) == b"v"
    assert little.now_ms - began < 60


def test_a_set_lost_with_its_coordinator_is_not_run_twice_and_stays_deleted() -> None:
    """Had it been run elsewhere as well, the first run would be there again after the cut."""
    little = Little(3).ready()
    key = little.key_of("B")
    a = little.client("A")
    little.lost |= {(1, 0), (1, 2)}            # B receives and writes, nothing of B's arrives
    reply = a("SET", key, "v")
    acknowledged = reply == b"OK"
    assert a("DEL", key) == int(acknowledged)
    little.heal()
    little.cut("A", "B")
    little.cut("C", "B")
    little.heal()
    little.ready()
    little.run(2000)
    kept = a("GET", key)
    assert kept is None if acknowledged else "outcome is unknown" in str(reply)


def test_an_unrepeatable_command_is_coordinated_once_and_its_outcome_unknown() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    a = little.client("A")
    little.lost |= {(1, 0)}                    # B receives, its answers vanish
    began = little.now_ms
    reply = str(a("DYN.PUTCTX", key, "", "once"))
    assert reply.startswith("TIMEOUT") and "unknown" in reply
    assert little.now_ms - began <= 2010
    little.heal()
    little.cut("A", "B")       # the connection is made anew
    little.heal()
    little.ready()
    little.run(100)
    assert little.client("C")("DYN.GETCTX", key)[1] == [b"once"]    # type: ignore[index]


def test_what_a_peer_could_not_store_is_no_copy() -> None:
    """Its acknowledgement and its word that it cannot store come in one frame."""
    little = Little(3).ready()
    a = little.client("A")
    key = little.key_of("A")
    little.holds |= {(2, 0)}

    def fill_disk(source: int, target: int, items: list[bytes]) -> None:
        if (source, target) == (0, 1):
            little["B"].storage_failed("no space left on device")

    little.tap = fill_disk
    reply = str(a("SET", key, "v"))
    assert reply.startswith("NOQUORUM"), reply


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    little = Little(3, durability="always").ready()
    a = little.client("A")
    assert a("SET", "k", "v") == b"OK"
    for machine in little.machines:
        machine.fsync = False
    a.send("SET", "k", "w")
    little.run(20)
    assert not a.session.out
    little.machines[1].fsync = little.machines[2].fsync = True
    assert a.receive(50) == b"OK"


def test_a_read_meets_an_acknowledged_flushall_as_it_meets_a_write() -> None:
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    keys = [little.key_of(name) for name in "ABC"]
    for key in keys:
        a("SET", key, "v")
    little.run(20)
    little.cut("A", "C")                    # C does not receive the flush, and B does
    little.run(500)
    assert a("FLUSHALL") == b"OK"
    assert b("SET", keys[1], "after") == b"OK"
    assert [c("GET", key) for key in keys] == [None, b"after", None]
    assert c("DYN.GETCTX", keys[1])[1] == [b"after"]    # type: ignore[index]


def test_flushall_empties_all_nodes_and_spares_later_writes() -> None:
    little = Little(3).ready()
    a, b, c = (little.client(name) for name in "ABC")
    for number in range(50):
        a("SET", f"k{number}", "v")
    little.kill("C")
    assert b("FLUSHALL") == b"OK"
    assert b("SET", "k1", "after") == b"OK"
    little.boot("C")
    little.ready()
    little.run(20)
    c = little.client("C")
    assert c("GET", "k0") is None
    assert c("GET", "k1") == b"after"
    assert c("KEYS", "*") == [b"k1"]
    assert [client("DBSIZE") for client in (a, b, c)] == [1, 1, 1]


def test_flushdb_empties_one_database() -> None:
    little = Little(3).ready()
    a = little.client("A")
    a("SET", "k", "zero")
    a("SELECT", "3")
    a("SET", "k", "three")
    assert a("DBSIZE") == 1
    assert a("FLUSHDB") == b"OK"
    assert a("GET", "k") is None
    a("SELECT", "0")
    assert a("GET", "k") == b"zero"


def test_scan_returns_each_key_once_through_any_node() -> None:
    little = Little(5).ready()
    clients = [little.client(name) for name in "ABCDE"]
    wanted = set()
    for number in range(300):
        clients[number % 5]("SET", f"key:{number}", "v")
        wanted.add(b"key:%d" % number)
    for client in clients:
        cursor, seen = b"0", []
        while True:
            cursor, names = client("SCAN", cursor, "COUNT", "37")    # type: ignore[misc]
            seen += names
            if cursor == b"0":
                break
        assert sorted(seen) == sorted(wanted)
        assert client("DBSIZE") == 300


def test_scan_asks_a_quorum_where_replicas_differ() -> None:
    little = Little(3).ready()
    a = little.client("A")
    little.kill("C")
    a("SET", "new", "v")
    a("SET", "gone", "v")
    little.boot("C")
    little.ready()
    little.kill("B")
    c = little.client("C")
    assert c("DEL", "gone") == 1
    assert c("KEYS", "*") == [b"new"]


def test_a_command_on_all_keys_keeps_its_place_in_a_pipeline() -> None:
    little = Little(3).ready()
    for name in "ABC":
        client = little.client(name)
        client("FLUSHALL")
        for words in (
            ("SET", "a", "1"), ("SET", "b", "1"), ("DBSIZE",), ("FLUSHALL",), ("SET", "c", "2"),
            ("KEYS", "*"), ("DEL", "c"), ("DBSIZE",), ("GET", "c"),
        ):
            client.send(*words)
        replies = [client.receive() for _ in range(9)]
        assert replies == [b"OK", b"OK", 2, b"OK", b"OK", [b"c"], 1, 0, None], name


def test_a_command_in_two_steps_keeps_its_place_in_a_pipeline() -> None:
    """It looks at all keys and then changes some: what stands behind it waits for both."""
    little = Little(3).ready()
    for name in "ABC":
        client = little.client(name)
        client("FLUSHALL")
        for words in (
            ("MSETNX", "a", "1", "b", "2"), ("EXPIRE", "a", "100"), ("APPEND", "b", "3"),
            ("COPY", "b", "c"), ("SET", "b", "4"), ("BITOP", "AND", "d", "c", "c"), ("DEL", "c"),
            ("PING",), ("GET", "b"), ("GET", "d"),
        ):
            client.send(*words)
        replies = [client.receive() for _ in range(10)]
        assert replies == [1, 1, 2, 1, b"OK", 2, 1, b"PONG", b"4", b"23"], name


def test_a_key_takes_no_more_siblings_than_the_limit_and_can_be_merged_or_set() -> None:
    little = Little(3, siblings_max=5).ready()
    a, b = little.client("A"), little.client("B")
    for number in range(5):
        a("DYN.PUTCTX", "k", "", number)
    assert str(a("DYN.PUTCTX", "k", "", "more")).startswith("TOOMANYSIBLINGS 5 ")
    context, values = b("DYN.GETCTX", "k")    # type: ignore[misc]
    assert len(values) == 5
    b("DYN.PUTCTX", "k", context, "merged")
    assert a("GET", "k") == b"merged"
    for number in range(4):
        a("DYN.PUTCTX", "k", "", number)
    assert "TOOMANY" in str(a("DYN.PUTCTX", "k", "", "more"))
    assert a("SET", "k", "one") == b"OK"
    assert b("GET", "k") == b"one"


@pytest.mark.parametrize("at", ["A", "B"])
def test_a_command_that_reads_and_then_writes_has_one_deadline(at: str) -> None:
    """Its read is answered late, its write not at all."""
    little = Little(3, failure_timeout_ms=60_000, heartbeat_ms=20_000).ready()
    key = little.key_of("A")
    client = little.client(at)
    assert client("SET", key, "1") == b"OK"
    little.run(10)
    begun_ms = little.now_ms
    client.send("GETDEL", key)
    little.step()
    little.holds |= {(1, 0), (2, 0)}            # no peer answers A
    little.run(1900)
    little.holds.clear()
    little.run(2)
    little.holds |= {(1, 0), (2, 0), (0, 1), (0, 2)}
    reply = str(client.receive(5000))
    assert little.now_ms - begun_ms <= 2010, reply
    assert reply.startswith(("NOQUORUM W=2 acknowledged=1", "TIMEOUT"))


def test_commands_that_wait_for_a_key_share_one_read_of_its_quorum() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    a, here = little.client("A"), little.client("B")
    reads = little["B"].counters
    before, began_ms = reads.reads_coordinated, little.now_ms
    for _ in range(200):
        a.send("INCR", key)
    here.send("INCR", key)
    assert sorted([a.receive() for _ in range(200)] + [here.receive()]) == list(range(1, 202))
    assert reads.reads_coordinated - before <= 4
    assert little.now_ms - began_ms < 20


def test_a_command_that_came_after_a_read_began_is_not_served_by_it() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    clients = [little.client("B") for _ in range(4)]
    reads = little["B"].counters
    before = reads.reads_coordinated
    clients[0].send("INCR", key)
    little.step()
    for client in clients[1:]:      # the first still reads
        client.send("INCR", key)
    assert [client.receive() for client in clients] == [1, 2, 3, 4]
    assert reads.reads_coordinated - before == 2
