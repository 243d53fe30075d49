"""Nodes join, leave, are replaced and removed; data moves with them and is never missing."""

import msgspec
import pytest

from respdyn.cluster.messages import HEADER, PROTOCOL_VERSION
from respdyn.cluster.transfer_state import is_changing
from respdyn.errors import PeerError
from respdyn.ring.hashing import PREFIX, slot_of
from respdyn.ring.ring import Ring
from tests.little import Little

FAST = {"exchange_interval_ms": 100, "partitions": 16}
KEYS = [f"key{i}" for i in range(60)]


def locator_of(key: str) -> bytes:
    return PREFIX[0][slot_of(key.encode())] + key.encode()


def ring_of(little: Little, name: str = "A") -> Ring:
    ring = little[name].membership.ring
    assert ring is not None
    return ring


def change(little: Little, name: str, *commands: str) -> None:
    """Stage, look at the plan, commit."""
    client = little.client(name)
    for command in commands:
        assert client("DYN.CLUSTER", *command.split()) == b"OK"
    plan = client("DYN.CLUSTER", "PLAN")
    assert isinstance(plan, list), plan
    assert client("DYN.CLUSTER", "COMMIT") == b"OK"


def waits(little: Little, name: str, at: str = "A") -> None:
    """Until a node is known to wait."""
    node_id = little.machines[ord(name) - 65].name
    little.until(lambda: node_id in little[at].membership.visitors)
    little.until(lambda: little[name].membership.awaits != "")


def is_done(little: Little, names: str) -> bool:
    """One ring everywhere, nothing moves, no node holds what is not its own, all copies alike."""
    nodes = [little[name] for name in names]
    rings = [node.membership.ring for node in nodes]
    if any(ring is None or is_changing(ring) or ring != rings[0] for ring in rings):
        return False
    if any(node.transfers.leftovers or node.transfers.to_fill() for node in nodes):
        return False
    for slot in range(16384):
        tables = [n.replica.slots[slot] for n in nodes if n.this.plans[slot].is_owner]
        if any(table != tables[0] for table in tables):
            return False
        if any(
            n.replica.slots[slot] for n in nodes if not n.this.plans[slot].is_owner
        ):
            return False
    return True


def settle(little: Little, names: str) -> None:
    little.until(lambda: little.now_ms % 50 == 0 and is_done(little, names))


def fill(little: Little, name: str = "A") -> None:
    client = little.client(name)
    for key in KEYS:
        assert client("SET", key, "v-" + key) == b"OK"


def expect_empty_handed(little: Little, name: str) -> None:
    """A node has everything to be filled, and no reply is nil for a key that exists."""
    assert len(little[name].transfers.to_fill()) == 16
    for key in KEYS[:20]:
        for each in "ABC":
            reply = little.client(each)("DYN.WITH", "R", 1, "GET", key)
            assert reply == b"v-" + key.encode() or str(reply).startswith("NOQUORUM")


def read(little: Little, names: str, *terms: object) -> None:
    """Every key, through every node."""
    for name in names:
        client = little.client(name)
        for key in KEYS:
            prefix = ["DYN.WITH", *terms] if terms else []
            assert client(*prefix, "GET", key) == b"v-" + key.encode()


def test_a_node_alone_grows_to_three_with_its_data() -> None:
    little = Little(1, **FAST)
    little.run(5)
    fill(little)
    little.add(**FAST)
    little.add(**FAST)
    waits(little, "B")
    waits(little, "C")
    assert str(little.client("B")("GET", "key1")).startswith("CLUSTERDOWN this node waits")
    change(little, "A", "JOIN 10.0.0.2:6379", "JOIN " + "c" * 10)
    assert ring_of(little).n == 3
    settle(little, "ABC")
    assert little["B"].this.default_terms.w == 2
    read(little, "ABC")
    little.kill("A")
    little.run(50)
    read(little, "BC")


def test_quorums_of_a_connection_follow_the_number_of_copies() -> None:
    little = Little(1, **FAST)
    little.run(5)
    plain, careful, daring = (little.client("A") for _ in range(3))
    assert plain("DYN.CONSISTENCY", "SLOPPY", "no") == b"OK"
    assert careful("DYN.CONSISTENCY", "W", "ALL") == b"OK"
    assert daring("DYN.CONSISTENCY", "R", "1", "W", "QUORUM") == b"OK"
    little.add(**FAST)
    little.add(**FAST)
    waits(little, "B")
    waits(little, "C")
    change(little, "A", "JOIN 10.0.0.2:6379", "JOIN 10.0.0.3:6379")
    settle(little, "ABC")
    terms = [client("DYN.CONSISTENCY") for client in (plain, careful, daring)]
    assert [one[1:6:2] for one in terms if isinstance(one, list)] == [
        [3, 2, 2], [3, 2, 3], [3, 1, 2]
    ]
    change(little, "A", "LEAVE 10.0.0.2:6379", "LEAVE 10.0.0.3:6379")
    # As long as some key has three owners a majority is one of three.
    assert ring_of(little).copies() == 1 and little["A"].this.default_terms.w == 2
    settle(little, "A")
    assert [
        one[1:6:2] for one in (careful("DYN.CONSISTENCY"), daring("DYN.CONSISTENCY"))
        if isinstance(one, list)
    ] == [[1, 1, 1], [1, 1, 1]]


def test_who_goes_by_an_older_ring_is_given_the_quorums_of_the_newer() -> None:
    little = Little(3, **FAST).ready()
    little.run(100)
    key = little.key_of("B")
    node, a = little["B"], little.client("A")
    counted: list[int] = []
    write = node.coordinator.write

    def listen(*args: object, **named: object) -> None:
        counted.append(int(args[5]))        # type: ignore[call-overload]
        write(*args, **named)               # type: ignore[arg-type]

    node.coordinator.write = listen         # type: ignore[method-assign]
    link = node.link_to(little.machines[0].name)

    def wrote() -> list[int]:
        counted.clear()
        assert a("DYN.WITH", "W", "1", "SET", key, "v") == b"OK"
        assert a("DYN.WITH", "W", "1", "INCR", key + "{" + key + "}") == 1
        a("MULTI")
        a("DYN.WITH", "W", "1", "SET", key, "w")
        assert a("EXEC") == [b"OK"]
        assert a("DEL", key + "{" + key + "}") == 1
        return counted[:-1]

    assert not link.is_behind
    assert wrote() == [1, 1, 1]
    link.is_behind = True
    assert wrote() == [2, 2, 2]


def test_three_nodes_grow_to_five_and_shrink_to_three_and_nothing_is_missing() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    for _ in range(2):
        little.add(**FAST)
    waits(little, "D", "B")
    waits(little, "E", "B")
    change(little, "B", "JOIN 10.0.0.4:6379", "JOIN 10.0.0.5:16379")
    settle(little, "ABCDE")
    owned = [sum(little.machines[i].name in ring_of(little).owners_of(p) for p in range(16))
             for i in range(5)]
    assert sorted(owned) == [9, 9, 10, 10, 10]
    read(little, "ABCDE", "R", 1)
    change(little, "C", "LEAVE 10.0.0.1:6379", "LEAVE 10.0.0.4:6379")
    settle(little, "BCE")
    assert len(ring_of(little, "B").members) == 3
    read(little, "BCE")
    little.until(lambda: little["A"].readiness.is_out)
    assert str(little.client("A")("GET", "key1")).startswith("CLUSTERDOWN this node has left")
    assert little["A"].replica.records == 0


@pytest.mark.parametrize(("r", "w"), [(1, 1), (2, 2), (1, 3)])
def test_fewer_nodes_than_copies_are_left(r: int, w: int) -> None:
    """Those who stay are owners already, and each proves to the other that it misses nothing."""
    little = Little(3, **{**FAST, "r": r, "w": w}).ready()
    fill(little)
    change(little, "A", f"LEAVE {little.machines[1].name}")
    settle(little, "AC")
    assert len(ring_of(little).members) == ring_of(little).copies() == 2
    read(little, "AC", "R", 1)


def test_a_wiped_node_is_refilled_and_is_no_reader_before() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    little.run(20)
    little.kill("C")
    little.wipe("C")
    little.run(20)
    little.boot("C")
    little.until(lambda: little["C"].membership.ring is not None)
    expect_empty_handed(little, "C")
    settle(little, "ABC")
    assert not little["C"].transfers.to_fill() and not little["C"].changes.decision.has_forgotten
    read(little, "ABC", "R", 1)


def test_a_wiped_node_that_is_killed_before_it_receives_the_ring_is_no_reader_either() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    little.kill("C")
    little.wipe("C")
    little.cut("A", "C")
    little.cut("B", "C")
    little.boot("C")
    little.step()
    assert little["C"].membership.ring is None and little.machines[2].disk
    little.kill("C")
    little.heal()
    little.boot("C")        # the same life: its actor is on the disk by now
    little.until(lambda: little["C"].membership.ring is not None)
    assert not little["C"].identity.is_new_life
    assert len(little["C"].transfers.to_fill()) == 16
    assert little["C"].changes.decision.has_forgotten
    settle(little, "ABC")
    read(little, "ABC", "R", 1)


def test_a_node_is_replaced_and_its_successor_takes_exactly_its_places() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    before = ring_of(little)
    little.add(**FAST)
    waits(little, "D")
    change(little, "A", "REPLACE 10.0.0.2:6379 10.0.0.4:6379")
    settle(little, "ACD")
    after = ring_of(little)
    b, d = little.machines[1].name, little.machines[3].name
    for p in range(16):
        was = set(before.owners_of(p))
        assert set(after.owners_of(p)) == {d if name == b else name for name in was}
    read(little, "ACD")


def test_a_dead_node_is_removed_by_force_and_the_others_make_up_for_it() -> None:
    little = Little(4, **FAST, n=3).ready()
    fill(little)
    little.kill("D")
    little.run(50)
    change(little, "A", "FORCE-REMOVE 10.0.0.4:6379")
    settle(little, "ABC")
    assert all(len(ring_of(little).owners_of(p)) == 3 for p in range(16))
    read(little, "ABC")
    # It comes back, receives it, and serves no client.
    little.boot("D")
    little.until(lambda: little["D"].readiness.is_out)
    assert "was a member" in str(little.client("A")("DYN.CLUSTER", "JOIN", "10.0.0.4:6379"))


def test_without_a_majority_nothing_is_changed_but_data_is_served() -> None:
    little = Little(5, **FAST, n=3, w=1, r=1).ready()
    for name in "CDE":
        little.kill(name)
    little.run(50)
    client = little.client("A")
    assert client("DYN.CLUSTER", "FORCE-REMOVE", "10.0.0.5:6379") == b"OK"
    assert isinstance(client("DYN.CLUSTER", "PLAN"), list)
    client.send("DYN.CLUSTER", "COMMIT")
    reply = str(client.receive(12_000))
    assert reply.startswith("NOMAJORITY a change needs 3 of 5 members, 2 can be reached")
    assert reply.endswith("nothing was changed")
    assert ring_of(little).version == 1


def test_of_two_concurrent_commits_one_wins() -> None:
    little = Little(5, **FAST, n=3).ready()
    one, two = little.client("A"), little.client("E")
    assert one("DYN.CLUSTER", "CHANGE", "10.0.0.1:6379", "WEIGHT", 2) == b"OK"
    assert two("DYN.CLUSTER", "LEAVE", "10.0.0.2:6379") == b"OK"
    for client in (one, two):
        assert isinstance(client("DYN.CLUSTER", "PLAN"), list)
    one.send("DYN.CLUSTER", "COMMIT")
    two.send("DYN.CLUSTER", "COMMIT")
    replies = [one.receive(12_000), two.receive(12_000)]
    assert sorted(str(reply)[:8] for reply in replies) == ["CONFLICT", "b'OK'"]
    little.run(200)
    assert len({ring_of(little, name).token for name in "ABCDE"}) == 1


def test_a_commit_wants_the_plan_to_have_been_looked_at() -> None:
    little = Little(3, **FAST).ready()
    client = little.client("A")
    assert str(client("DYN.CLUSTER", "COMMIT")) == "ERR nothing is staged"
    assert client("DYN.CLUSTER", "LEAVE", "10.0.0.2:6379") == b"OK"
    assert str(client("DYN.CLUSTER", "LEAVE", "10.0.0.2:6379")).startswith("ERR a change of")
    assert "PLAN first" in str(client("DYN.CLUSTER", "COMMIT"))
    assert client("DYN.CLUSTER", "CLEAR") == b"OK"
    assert str(client("DYN.CLUSTER", "PLAN")) == "ERR nothing is staged"


def test_a_drained_node_coordinates_nothing_and_serves_all() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    client = little.client("B")
    assert client("DYN.CLUSTER", "DRAIN") == b"OK"
    b = little.machines[1].name
    for name in "ABC":
        assert all(plan.coordinator != b for plan in little[name].this.plans)
    assert client("SET", "x", "1") == b"OK"
    assert client("DYN.CLUSTER", "DRAIN", "OFF") == b"OK"
    little.until(lambda: any(plan.coordinator == b for plan in little["A"].this.plans), 1_000)


def test_a_node_that_was_restarted_is_settled_at_the_ring_it_kept() -> None:
    little = Little(3, **FAST).ready()
    little.kill("B")
    little.boot("B")
    little.until(lambda: little["B"].transfers.own.version == 1, 3000)


def test_nodes_of_different_peer_protocols_refuse_each_other() -> None:
    """As docs/upgrade.md says, in these words."""
    little = Little(2).ready()
    other = PROTOCOL_VERSION - 1
    greeting = msgspec.msgpack.decode(little["B"].greeting())
    assert greeting[0] == PROTOCOL_VERSION
    greeting[0] = other
    said = f"the peer speaks protocol version {other}, this node {PROTOCOL_VERSION}"
    with pytest.raises(PeerError, match=said):
        little["A"].meet(msgspec.msgpack.encode(greeting))
    header = HEADER.pack(other, *[0] * 19)
    with pytest.raises(PeerError, match=f"protocol version {other}, not {PROTOCOL_VERSION}"):
        little["A"].frame(little["B"].identity.node_id, [header])


def test_keys_of_all_databases_are_counted_in_one_pass() -> None:
    little = Little(1).ready()
    client = little.client("A")
    for db in (0, 3, 15):
        client("SELECT", db)
        for number in range(db + 2):
            client("SET", f"k{number}", "v")
        client("SET", "short", "v", "PX", 50)
    little.run(100)
    assert client("GET", "short") is None       # of the last one, met by a read
    replica = little["A"].replica
    counts = [
        (sum(live), sum(timed)) for live, timed in replica.keys_of(range(len(replica.live)))
    ]
    assert [counts[db] for db in (0, 3, 15)] == [(3, 1), (6, 1), (17, 0)]
    assert counts == [
        (sum(live), sum(timed)) for live, timed in map(replica.keys, range(len(replica.live)))
    ]
