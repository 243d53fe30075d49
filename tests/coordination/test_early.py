"""Who forwards a plain SET and is one of the replicas answers as soon as it has the record."""

import hiredis
import pytest

from respdyn.cluster.messages import EARLY, FLAG_HURRY, read_header
from tests.little import Client, Little


def forwarding(**changes: object) -> tuple[Little, Client, str]:
    """A cluster of three, a client at A, and a key that B coordinates."""
    little = Little(3, **{"exchange_interval_ms": 0, **changes}).ready()
    little.run(50)
    return little, little.client("A"), little.key_of("B")


def sent_by(little: Little, source: int) -> list[tuple[int, list[bytes]]]:
    """What a node sends from now on, and to whom."""
    seen: list[tuple[int, list[bytes]]] = []

    def tap(one: int, target: int, items: list[bytes]) -> None:
        if one == source:
            seen.append((target, items))

    little.tap = tap
    return seen


def sibling(little: Little, at: str, key: str) -> None:
    """A value of the key at one node that the two others have not seen."""
    for other in "ABC".replace(at, ""):
        little.cut(at, other)
    little.client(at)("DYN.WITH", "W", "1", "TIMEOUT", "100", "SET", key, "other")
    little.run(200)
    little.heal()
    little.ready()


def test_no_acknowledgement_and_no_answer_is_waited_for() -> None:
    little, a, key = forwarding()
    assert a("SET", key, "v") == b"OK"      # how far B's dots go is known from here on
    little.run(50)
    little.holds |= {(2, 1), (2, 0)}        # C is silent
    seen = sent_by(little, 0)
    a.send("SET", key, "w")
    little.run(3)
    assert a.session.take() == b"+OK\r\n"
    assert [target for target, _ in seen].count(1) == 1     # the command; no acknowledgement yet
    assert little["A"].replica.records == little["B"].replica.records == 1
    little.run(10)
    assert [target for target, _ in seen].count(1) >= 2


def test_the_coordinator_forgets_what_was_answered_early() -> None:
    little, a, key = forwarding()
    for number in range(20):
        assert a("SET", key, str(number)) == b"OK"
    little.run(50)
    node = little["B"]
    assert not any(link.undurable or link.working for link in node.links.values())
    queues = node.coordinator._writes._queues.values()
    assert all(one.ops == [] for queue in queues for one in queue)


def test_a_sibling_beside_it_is_covered_first() -> None:
    little, a, key = forwarding()
    sibling(little, "A", key)
    before = little["B"].counters.conflicts_covered
    assert a("SET", key, "mine") == b"OK"
    assert little["B"].counters.conflicts_covered == before + 1
    little.run(20)
    for name in "ABC":
        assert little.client(name)("DYN.GETCTX", key)[1] == [b"mine"]    # type: ignore[index]


def test_what_was_acknowledged_before_is_covered_whichever_node_speaks_first() -> None:
    """A and C hold a value that B has missed; C's word comes first and would make W."""
    little, a, key = forwarding(exchange_interval_ms=0)
    for other in ("A", "C"):
        little.cut("B", other)
    little.run(3000)
    assert a("SET", key, "other") == b"OK"
    little.heal()
    little.ready()
    a.send("SET", key, "mine")
    little.run(1)                           # the command gets through
    little.holds.add((0, 1))                # what A says of it does not, for a while
    little.run(30)
    assert a.session.take() == b""
    little.holds.discard((0, 1))
    little.run(20)
    assert a.session.take() == b"+OK\r\n"
    for name in "ABC":
        assert little.client(name)("DYN.GETCTX", key)[1] == [b"mine"]    # type: ignore[index]


def test_what_another_replica_holds_beside_it_is_left_to_repair() -> None:
    """By then the client may have its answer, and may have deleted the key elsewhere."""
    little, a, key = forwarding()
    sibling(little, "C", key)
    before = little["B"].counters.conflicts_covered
    assert a("SET", key, "mine") == b"OK"
    little.run(20)
    assert little["B"].counters.conflicts_covered == before
    assert little.client("B")("GET", key) is not None


def test_a_node_that_cannot_store_is_answered_after_all() -> None:
    little, a, key = forwarding()
    little.holds.add((1, 0))                # B's word does not reach A
    a.send("SET", key, "v")
    little.run(3)
    little["A"].storage_failed("full")
    little.holds.clear()
    assert a.receive() == b"OK"
    assert little["A"].replica.records == 0 and little["C"].replica.records == 1


def test_a_node_that_is_lost_by_its_coordinator_is_not_left_waiting() -> None:
    little, a, key = forwarding()
    began = little.now_ms
    a.send("SET", key, "v")
    little.run(1)
    little.kill("B")
    assert str(a.receive()).startswith("TIMEOUT")       # and at once: a write is run once
    assert little.now_ms - began < 100


@pytest.mark.parametrize(("changes", "terms"), [
    ({"durability": "always"}, ()),
    ({}, ("DYN.WITH", "W", "ALL")),
])
def test_more_than_two_copies_in_memory_are_waited_for(
    changes: dict[str, object], terms: tuple[str, ...]
) -> None:
    little, a, key = forwarding(**changes)
    seen = sent_by(little, 1)
    assert a(*terms, "SET", key, "v") == b"OK"
    assert not any(item[:1] == EARLY for _, items in seen for item in items)


def test_what_is_owed_to_a_peer_that_is_gone_keeps_no_node_awake() -> None:
    little, a, key = forwarding()
    a.send("SET", key, "v")
    little.run(2)                           # A has the record and owes its acknowledgement
    little.cut("A", "B")
    little.run(1)
    node = little["A"]
    assert node.links[little.machines[1].name].speak_by_ms > little.now_ms + 1000


def test_copies_that_no_client_waits_for_travel_together() -> None:
    little, a, key = forwarding()
    seen = sent_by(little, 1)
    for number in range(20):
        a.send("SET", f"{key}:{{{key}}}:{number}", "v")
        little.step()
    little.run(3)
    assert a.session.take() == b"+OK\r\n" * 20
    assert [target for target, _ in seen].count(0) >= 20, "what A waits for leaves at once"
    assert 5 <= [target for target, _ in seen].count(2) <= 12
    assert little["C"].replica.records == 20


def test_a_copy_after_a_while_of_silence_leaves_at_once() -> None:
    """So a client that reads elsewhere what it has just written finds it there."""
    little, a, key = forwarding()
    for number in range(5):
        seen = sent_by(little, 1)
        a.send("SET", key, str(number))
        while not seen:
            little.step()
        assert sorted(target for target, _ in seen) == [0, 2]
        little.run(50)


def test_a_copy_is_hurried_when_its_answer_is_needed_after_all() -> None:
    """B holds a copy for C back, and then loses A, which would have answered."""
    little, a, key = forwarding()
    a.send("SET", key, "1")
    little.step()
    a.send("SET", key, "2")
    little.step()                           # B passes on the first
    seen = sent_by(little, 1)
    little.step()
    assert [target for target, _ in seen] == [0], "the copy of the second waits"
    little.cut("A", "B")
    ((peer, pieces),) = little["B"].drain().frames
    frame = b"".join(pieces)
    assert peer == little["C"].identity.node_id
    reader = hiredis.Reader()
    reader.feed(frame)
    assert read_header(reader.gets())[1] & FLAG_HURRY
