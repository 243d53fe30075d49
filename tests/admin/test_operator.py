"""What an operator sees: the verdict, and whether the copies are the same."""

from typing import cast

import pytest

from respdyn.admin.verdict import ClusterFacts, NodeFacts, verdict
from tests.little import Little
from tests.replication.test_exchange import ACTOR, locator_of, prove, put

Map = dict[bytes, object]


def mapped(reply: object) -> Map:
    assert isinstance(reply, list), reply
    return dict(zip(reply[::2], reply[1::2], strict=True))


def call(little: Little, name: str, *words: str, limit_ms: int = 20_000) -> Map:
    client = little.client(name)
    client.send(*words)
    return mapped(client.receive(limit_ms))


# ---- the verdict ----


def facts(**changes: object) -> ClusterFacts:
    given: dict[str, object] = {
        "partitions": 256, "below_n": 0, "below_w": 0, "w": 2, "ring_version": 3,
        "clock_limit_ms": 500, "is_compared": True,
        "nodes": [NodeFacts(f"10.0.0.{i}:6379", "up", ring_version=3) for i in (1, 2, 3)],
    }
    return ClusterFacts(**(given | changes))    # type: ignore[arg-type]


def test_all_well_is_one_line() -> None:
    assert verdict(facts()) == [
        "all well: 3 of 3 nodes up, all partitions whole, copies compared within 0s"
    ]


@pytest.mark.parametrize(("change", "head", "line"), [
    ({"state": "down", "down_ms": 61_000}, "clients are served, but 10.0.0.2:6379 is down for 61s",
     "start it again"),
    ({"disk": "no space left"}, "clients are served, but 10.0.0.2:6379 cannot store", "make room"),
    ({"clock_offset_ms": -3000}, "clients are served, but 10.0.0.2:6379 has a wrong clock, -3000",
     "NTP"),
    ({"is_clock_doubted": True}, "clients are served, but 10.0.0.2:6379 has a wrong clock", "NTP"),
    ({"deprioritized": "slow"}, "clients are served, but 10.0.0.2:6379 answers too late", "load"),
    (
        {"deprioritized": "unsteady"}, "clients are served, but 10.0.0.2:6379 comes and goes",
        "network",
    ),
    (
        {"deprioritized": "busy"}, "clients are served, but 10.0.0.2:6379 has more",
        "slow the clients",
    ),
    ({"clean_age_ms": 3_600_000}, "clients are served, but 10.0.0.2:6379 has not found", "VERIFY"),
    ({"refused": 3}, "clients are served, but 10.0.0.2:6379 has refused", "stop that one"),
    ({"hints": 5, "hint_age_ms": 9000}, "well, and mending itself", "5 hints wait"),
    ({"ring_version": 2}, "well, and mending itself", "a new ring"),
    ({"clean_age_ms": -1}, "well, and mending itself", "for the first time"),
])
def test_each_trouble_is_named_with_what_to_do(
    change: dict[str, object], head: str, line: str
) -> None:
    known = facts()
    for name, value in change.items():
        setattr(known.nodes[1], name, value)
    lines = verdict(known)
    assert lines[0].startswith(head) and any(line in one for one in lines[1:]), lines


def test_a_lost_zone_is_named_and_not_only_its_nodes() -> None:
    known = facts()
    for node, zone in zip(known.nodes, ("a", "b", "b"), strict=True):
        node.zone = zone
    for node in known.nodes[1:]:
        node.state, node.down_ms = "down", 61_000
    lines = verdict(known)
    assert lines[0] == (
        "clients are served, but zone b is lost: 10.0.0.2:6379 and 10.0.0.3:6379 down for 61s"
    )
    assert len(lines) == 2
    known.nodes[2].state = "up"
    assert "zone" not in "".join(verdict(known)), "half of it is there"
    for node in known.nodes:
        node.state, node.zone = "down", "a"
    assert "zone" not in "".join(verdict(known)), "there is only one"


@pytest.mark.parametrize(("reason", "step"), [
    ("refused: wrong peer secret", "peer-secret"),
    ("the peer belongs to cluster 1b2c3d4e, this node to b1001234", "another cluster"),
    ("no answer within 2 s", "network is cut"),
    ("no server listens there", "start it again with the same settings"),
    ("a connection stands, and nothing comes back", "does not reach this node"),
])
def test_why_a_node_cannot_be_reached_is_said(reason: str, step: str) -> None:
    known = facts()
    one = known.nodes[1]
    one.state, one.down_ms, one.reason = "down", 61_000, reason
    lines = verdict(known)
    assert f"10.0.0.2:6379 is down for 61s ({reason})" in lines[0] and step in lines[1]


def test_a_node_that_was_never_met_is_not_said_to_be_down_for_long() -> None:
    little = Little(3).ready()
    little.kill("A")
    little.kill("C")
    little.now_ms += 7_200_000
    little.boot("A")
    little.run(3000)
    status = call(little, "A", "DYN.CLUSTER", "STATUS")
    assert b"10.0.0.3:6379 was not met in the 3s since the reporting node started" in b"".join(
        cast(list[bytes], status[b"problems"])
    )


@pytest.mark.parametrize(("offsets", "named"), [
    ([0, 5000, 5000], "10.0.0.1:6379 (the reporting node) has a wrong clock, -5000 ms"),
    ([0, 5000, 5100], "10.0.0.1:6379 (the reporting node) has a wrong clock, -5000 ms"),
    ([0, 0, 5000], "10.0.0.3:6379 has a wrong clock, +5000 ms"),
])
def test_the_clock_that_differs_from_most_is_named(offsets: list[int], named: str) -> None:
    known = facts()
    known.nodes[0].is_here = True
    for node, offset_ms in zip(known.nodes, offsets, strict=True):
        node.clock_offset_ms = offset_ms
    lines = verdict(known)
    assert lines[0].startswith(f"clients are served, but {named}") and len(lines) == 2
    if offsets[1]:
        known.nodes[0].is_clock_doubted = True
        assert verdict(known) == lines


def test_of_two_clocks_that_differ_neither_is_accused() -> None:
    known = facts()
    known.nodes.pop()
    known.nodes[1].clock_offset_ms = 5000
    lines = verdict(known)
    assert lines[0].endswith("the clocks of 10.0.0.1:6379 and 10.0.0.2:6379 differ by 5000 ms")


def test_what_is_still_to_be_handed_over_is_not_all_well() -> None:
    lines = verdict(facts(to_hand_over=102))
    assert lines[0].startswith("well, and mending itself")
    assert "102 partitions are still to be handed over" in lines[1]


def test_refused_writes_come_first() -> None:
    known = facts(below_n=256, below_w=85)
    for node in known.nodes[:2]:
        node.state = "down"
    lines = verdict(known)
    assert lines[0].startswith("WRITES REFUSED: 85 of 256 partitions")
    assert "is down" in lines[1] and "is down" in lines[2]


def test_reads_that_are_refused_are_shown_though_all_nodes_are_up() -> None:
    lines = verdict(facts(below_r=256, r=2, filling=256))
    assert lines[0].startswith("READS REFUSED: 256 of 256 partitions have fewer than R=2 nodes")
    assert lines[1:] == ["256 partitions have an owner that is being filled"]


def test_two_of_five_down_refuse_nothing_since_others_stand_in() -> None:
    little = Little(5, n=3).ready()
    for name in "BC":
        little.kill(name)
    little.run(20)
    client = little.client("A")
    for number in range(50):
        assert client("SET", f"key{number}", "1") == b"OK"
        assert client("GET", f"key{number}") == b"1"
    status = call(little, "A", "DYN.CLUSTER", "STATUS")
    assert status[b"verdict"] == b"clients are served, but 10.0.0.2:6379 is down for 0s"
    assert status[b"partitions-below-n"] and not status[b"partitions-below-w"]


def test_partitions_on_their_way_are_shown_with_the_time_that_is_left() -> None:
    lines = verdict(facts(moving=12, filling=5, eta_ms=90_000))
    assert lines[0].startswith("well, and mending itself: 3 of 3")
    assert lines[1:] == [
        "12 partitions are moving to new owners",
        "5 partitions have an owner that is being filled; here in about 90s",
    ]


def test_status_begins_with_the_verdict() -> None:
    little = Little(3, exchange_interval_ms=20).ready()
    little.run(3000)
    status = call(little, "A", "DYN.CLUSTER", "STATUS")
    assert next(iter(status)) == b"verdict"
    assert cast(bytes, status[b"verdict"]).startswith(b"all well: 3 of 3")
    little.kill("B")
    little.run(2000)
    status = call(little, "A", "DYN.CLUSTER", "STATUS")
    assert status[b"verdict"] == b"clients are served, but 10.0.0.2:6379 is down for 2s"
    assert len(cast(list[bytes], status[b"problems"])) == 1
    little.kill("C")
    little.run(20)
    status = call(little, "A", "DYN.CLUSTER", "STATUS")
    assert cast(bytes, status[b"verdict"]).startswith(b"WRITES REFUSED: 256 of 256")


# ---- verify and repair ----


def test_verify_names_what_differs_and_repair_mends_it() -> None:
    little = Little(3, exchange_interval_ms=3_600_000).ready()
    little.run(2000)
    put(little, "ABC", [f"key{i}" for i in range(300)])
    assert call(little, "B", "DYN.CLUSTER", "VERIFY")[b"verdict"] == b"all copies are the same"
    little["C"].replica.drop(locator_of("key7"))
    put(little, "A", ["only at A"], b"x")
    for name in "ABC":
        reply = call(little, name, "DYN.CLUSTER", "VERIFY")
        assert reply[b"differences"] == 2 and reply[b"unsettled"] == 0, reply
        rows = [mapped(row) for row in cast(list[object], reply[b"keys"])]
        assert {row[b"key"] for row in rows} == {b"key7", b"only at A"}
        copies = mapped(next(row for row in rows if row[b"key"] == b"key7")[b"copies"])
        assert copies[little.machines[2].name.encode()] == b"none" and len(copies) == 3
    reply = call(little, "B", "DYN.CLUSTER", "REPAIR")
    assert reply[b"left"] == 0 and reply[b"verdict"] == b"all copies are compared and the same"
    assert cast(int, reply[b"keys-repaired"]) >= 2
    assert call(little, "A", "DYN.CLUSTER", "VERIFY")[b"differences"] == 0


def test_verify_finds_a_flush_that_one_node_missed() -> None:
    little = Little(3, exchange_interval_ms=3_600_000).ready()
    little.run(2000)
    prove(little, 7)
    little["B"].replica.clear(5, 2, {ACTOR: 7})
    assert call(little, "A", "DYN.CLUSTER", "VERIFY")[b"differences"] == 1


def test_writes_on_their_way_are_no_difference() -> None:
    little = Little(3, exchange_interval_ms=0).ready()
    writer = little.client("A")
    client = little.client("B")
    for i in range(200):
        writer.send("SET", f"key{i}", "v")
    little.holds.add((0, 2))
    little.run(30)
    client.send("DYN.CLUSTER", "VERIFY")
    little.run(20)
    little.heal()
    reply = mapped(client.receive(20_000))
    assert reply[b"differences"] == 0 and reply[b"verdict"] == b"all copies are the same"


def test_who_cannot_be_asked_is_named() -> None:
    little = Little(3, exchange_interval_ms=50).ready()
    little.run(500)
    little.kill("C")
    little.run(10)
    for action in ("VERIFY", "REPAIR"):
        reply = call(little, "A", "DYN.CLUSTER", action)
        assert reply[b"not-asked"] == [little.machines[2].name.encode()]


def test_verify_of_one_node_alone_says_so_at_once() -> None:
    little = Little(1).ready()
    assert call(little, "A", "DYN.CLUSTER", "VERIFY")[b"differences"] == 0
    assert call(little, "A", "DYN.CLUSTER", "REPAIR")[b"left"] == 0


# ---- ready ----


def test_a_node_that_came_back_empty_is_ready_once_it_is_filled() -> None:
    little = Little(3, engine="memory", exchange_interval_ms=20).ready()
    little.run(2000)
    assert [little[name].readiness.unready() for name in "ABC"] == [""] * 3
    put(little, "ABC", [f"key{i}" for i in range(2000)])
    little.kill("C")
    little.run(10)
    little.boot("C")
    little.run(3)
    assert little["C"].readiness.unready()
    seen = set()
    for _ in range(3000):
        little.step()
        reason = little["C"].readiness.unready()
        seen.add(reason.split(":")[0])
        if not reason:
            break
    assert little["C"].replica.records == 2000
    assert "the copy here is being filled" in seen


# ---- what took long ----


def slowest(little: Little, name: str) -> list[object]:
    entries = little.client(name)("SLOWLOG", "GET")
    assert isinstance(entries, list)
    return [[one[2] // 1000, *one[3]] for one in entries]


def stats(little: Little, name: str, command: str) -> dict[str, float]:
    text = cast(bytes, little.client(name)("INFO", "commandstats")).decode()
    line = next(line for line in text.splitlines() if line.startswith(f"cmdstat_{command}:"))
    pairs = (pair.split("=") for pair in line.partition(":")[2].split(","))
    return {key: float(value) for key, value in pairs}


@pytest.mark.parametrize(("words", "command"), [
    (["SET", "{key}", "v"], "set"), (["INCR", "{key}"], "incr"), (["GET", "{key}"], "get"),
    (["MSET", "{key}", "v", "other", "v"], "mset"),
])
def test_a_command_whose_coordinator_was_stopped_leaves_a_trace_that_names_it(
    words: list[str], command: str
) -> None:
    little = Little(3, failure_timeout_ms=30_000, latency_ms=100, request_timeout_ms=900).ready()
    words = [word.format(key=little.key_of("B")) for word in words]
    client = little.client("A")
    client("PING")
    little.lost = {(0, 1), (1, 0)}                  # B receives and says nothing
    if command == "get":
        little.lost |= {(0, 2), (2, 0)}
    reply = str(client(*words))
    assert reply.startswith(("TIMEOUT", "NOQUORUM")), reply
    ((took_ms, *shown),) = slowest(little, "A")  # type: ignore[misc]
    assert took_ms >= 890 and shown[: len(words)] == [word.encode() for word in words]
    peer = b"(waited for 10.0.0.%d:6379)"
    assert shown[-1] in ([peer % 2] if command != "get" else [peer % 2, peer % 3])
    counts = stats(little, "A", command)
    assert counts["calls"] == counts["failed_calls"] == 1 and counts["usec"] >= 890_000
    events = cast("list[list[bytes]]", little.client("A")("LATENCY", "LATEST"))
    names = [one[0] for one in events]
    assert any(name.startswith(b"wait-10.0.0.") for name in names), names
    kind = b"fast-command" if command in ("get", "incr") else b"command"
    assert kind in names
    ((count, waited_ms),) = little["A"].sessions.command_stats.waits.values()
    assert count == 1 and waited_ms >= 890


def test_a_command_that_was_late_names_who_was_late() -> None:
    little = Little(3).ready()
    client = little.client("A")
    key = little.key_of("C")
    assert client("SET", key, "v") == b"OK"
    assert slowest(little, "A") == [] and not little["A"].sessions.command_stats.waits
    little.holds = {(0, 2), (2, 0)}
    client.send("SET", key, "w")
    little.run(40)
    little.heal()
    assert client.receive() == b"OK"
    ((took_ms, *shown),) = slowest(little, "A")  # type: ignore[misc]
    assert 40 <= took_ms < 60 and shown[-1] == b"(waited for 10.0.0.3:6379)"
    counts = stats(little, "A", "set")
    assert counts["failed_calls"] == 0 and 40_000 <= counts["usec"] < 60_000
    key = little.key_of("A")                        # coordinated here, and both others are late
    little.holds = {(0, 1), (0, 2)}
    client.send("SET", key, "x")
    little.run(30)
    little.heal()
    assert client.receive() == b"OK"
    assert b"waited for 10.0.0." in slowest(little, "A")[0][-1]  # type: ignore[index]


def test_who_waits_because_he_asked_to_is_not_slow() -> None:
    little = Little(3).ready()
    client = little.client("A")
    client("SET", "k", "v")
    little.kill("B")
    little.kill("C")
    assert client("WAIT", "2", "300") == 0
    assert slowest(little, "A") == []
