"""A node that leaves: others coordinate, its clients are sent where to go, nothing fails."""

import hiredis
import pytest

from respdyn.cluster.terms import ANY
from respdyn.cluster.timeouts import NEVER
from respdyn.commands.table import TABLE
from respdyn.coordination.calls import LAST, Call, Continuation, Waiting
from respdyn.coordination.forwarding import RETRY_MS
from respdyn.ring.hashing import slot_of
from tests.little import Client, Little
from tests.membership.test_membership import KEYS, change, fill, read
from tests.sessions.test_pubsub import pushed


def aware(little: Little, name: str, port: str = "client", kind: str = "internal-ip") -> Client:
    client = little.client(name, port)
    client("HELLO", "3")
    assert client("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", kind) == b"OK"
    return client


def test_clients_are_sent_where_to_go_and_for_how_long() -> None:
    little = Little(3).ready()
    moved, plain, none = aware(little, "A"), little.client("A"), aware(little, "A", kind="none")
    little["A"].draining.begin(60)
    sequence = little["A"].this.now.wall_ms // 1000
    assert pushed(moved) in (
        [[b"MOVING", sequence, 60, b"10.0.0.2:6379"]], [[b"MOVING", sequence, 60, b"10.0.0.3:6379"]]
    )
    assert pushed(none) == [[b"MOVING", sequence, 60, None]]
    assert pushed(plain) == [] and plain("PING") == b"PONG"
    late = little.client("A")
    late("HELLO", "3")
    assert late("CLIENT", "MAINT_NOTIFICATIONS", "ON") == b"OK"
    assert pushed(late)[0][0] == b"MOVING"  # type: ignore[index]
    assert not little["A"].draining.is_clear()
    for client in (moved, none, late):
        little["A"].close_session(client.session)
    assert little["A"].draining.is_clear()


def test_clients_are_not_sent_to_a_node_that_leaves_too() -> None:
    little = Little(3).ready()
    clients = [aware(little, name) for name in "AB"]
    little["A"].draining.begin(60)
    little.run(5)
    little["B"].draining.begin(60)
    assert pushed(clients[1])[0][3] == b"10.0.0.3:6379"  # type: ignore[index]


def test_no_node_waits_for_clients_that_have_nowhere_to_go() -> None:
    """All nodes are stopped at once: Ctrl-C of a local cluster."""
    little = Little(3).ready()
    aware(little, "A")
    for name in "ABC":
        little[name].draining.begin(60)
    little.run(5)
    assert little["A"].draining.is_clear()


def test_a_client_in_resp2_is_sent_no_move() -> None:
    little = Little(3).ready()
    client = little.client("A")
    assert "RESP3" in str(client("CLIENT", "MAINT_NOTIFICATIONS", "ON"))
    assert client("CLIENT", "MAINT_NOTIFICATIONS", "OFF") == b"OK"
    assert "syntax" in str(client("CLIENT", "MAINT_NOTIFICATIONS", "MAYBE"))
    assert "endpoint" in str(
        client("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "moon")
    )
    little["A"].draining.begin(60)
    assert pushed(client) == [] and little["A"].draining.is_clear()


def test_others_coordinate_while_a_node_leaves_and_no_longer_when_it_stays() -> None:
    little = Little(3).ready()
    key = little.key_of("A")
    little["A"].draining.begin(60)
    little.run(5)
    before = little["A"].identity.counter
    for through in "ABC":
        assert little.client(through)("SET", key, "v") == b"OK"
    assert little["A"].identity.counter == before
    little["A"].draining.end()
    little.run(5)
    assert little.client("B")("SET", key, "v") == b"OK"
    assert little["A"].identity.counter == before + 1


def test_a_pipeline_that_meets_the_change_goes_through() -> None:
    """A write goes to the node that leaves, which sends it back to where it came from."""
    little = Little(3).ready()
    ring = little["A"].membership.ring
    assert ring is not None
    names = [machine.name for machine in little.machines]
    key = next(
        one for one in map(str, range(1000))
        if ring.owners_of(ring.partition_of(slot_of(one.encode())))[:2] == (names[0], names[2])
    )
    client = little.client("C")
    for number in range(10):
        client.send("SET", key, number)
        client.send("INCR", key)
    little["A"].draining.begin(60)
    assert [client.receive() for _ in range(20)] == [
        reply for number in range(10) for reply in (b"OK", number + 1)
    ]
    assert client("GET", key) == b"10"


def test_a_member_that_leaves_the_cluster_sends_its_clients_away_before_it_refuses_them() -> None:
    little = Little(4, n=3, partitions=16, exchange_interval_ms=100).ready()
    fill(little)
    moved, plain, slots = aware(little, "A"), little.client("A"), aware(little, "A", "cluster")
    before = little["A"].this.now.wall_ms
    change(little, "B", "LEAVE 10.0.0.1:6379")

    def is_out() -> bool:
        ring = little["A"].membership.ring
        return ring is not None and len(ring.members) == 3

    served = 0
    while not is_out():
        assert plain("SET", "key1", "v-key1") == b"OK" and plain("GET", "key2") == b"v-key2"
        served += 1
    assert served > 3 and little["A"].readiness.unready() == "the node leaves the cluster"
    ((word, sequence, seconds, where),) = pushed(moved)  # type: ignore[misc]
    assert (word, seconds) == (b"MOVING", 600) and sequence >= before // 1000
    assert where in [b"10.0.0.%d:6379" % number for number in (2, 3, 4)]
    assert pushed(slots)[0][0] == b"SMIGRATED"  # type: ignore[index]
    out_ms = little.now_ms
    late = aware(little, "A")
    assert pushed(late)[0][0] == b"MOVING"  # type: ignore[index]
    while little.now_ms < out_ms + little["A"].settings.drain_timeout_ms - 100:
        assert plain("SET", "key1", "v-key1") == b"OK" and plain("GET", "key2") == b"v-key2"
        assert plain("DBSIZE") == len(KEYS) and plain("MULTI") == b"OK"
        assert [plain("INCR", "n"), plain("EXEC")][0] == b"QUEUED"
        plain("DEL", "n")
        little.run(50)
    little.run(500)
    assert str(plain("GET", "key1")).startswith("CLUSTERDOWN this node has left")
    assert "has left" in little["A"].readiness.unready()
    assert "drained" in little.machines[0].diary.names
    little.kill("A")
    little.until(lambda: not little["B"].membership.parted)
    read(little, "BCD")


def test_a_member_without_clients_has_left_when_the_ring_says_so() -> None:
    little = Little(4, n=3, partitions=16, exchange_interval_ms=100).ready()
    change(little, "B", "LEAVE 10.0.0.1:6379")
    little.until(lambda: little["A"].readiness.is_out, 2000)


def test_on_the_cluster_port_the_slots_that_have_moved_are_sent() -> None:
    little = Little(3).ready()
    client = aware(little, "A", "cluster")

    def shown() -> set[tuple[int, int]]:
        client.send("CLUSTER", "SLOTS")
        reader = hiredis.Reader()
        little.run(2)
        reader.feed(client.session.take())
        return {
            (first, last) for first, last, node, *_ in reader.gets() if node[0] == b"10.0.0.1"
        }

    before = shown()
    assert before
    little["A"].draining.begin(60)
    ((word, _, moved),) = pushed(client)  # type: ignore[misc]
    assert word == b"SMIGRATED" and all(source == b"10.0.0.1:7379" for source, _, _ in moved)
    slots = [
        slot for _, target, ranges in moved if target in (b"10.0.0.2:7379", b"10.0.0.3:7379")
        for low, high in (one.split(b"-") for one in ranges.split(b","))
        for slot in range(int(low), int(high) + 1)
    ]
    assert sorted(slots) == sorted(s for low, high in before for s in range(low, high + 1))
    assert shown() == set()


@pytest.mark.parametrize("late", [(1, 0), (2, 0), (0, 1), (0, 2)])
def test_a_node_that_returns_coordinates_only_when_it_sees_its_peers(late: tuple[int, int]) -> None:
    """Its peers see it first; it would refuse what they forward, for want of a quorum."""
    little = Little(3).ready()
    key = little.key_of("A").encode()
    slot = slot_of(key)
    name = little.machines[0].name
    little.kill("A")
    little.run(10)
    little.boot("A")
    for number in range(8000):
        if number < 4000 and number % 13 == 0:      # in bunches
            little.holds ^= {late}
        if number == 4000:
            little.holds.clear()
        little.step()
        writers = little["A"].this.plans[slot].replicas.writers
        for other in "BC":
            if little[other].this.plans[slot].coordinator == name:
                assert len(writers) == 2, (number, other)
    assert little["B"].this.plans[slot].coordinator == name


def test_a_node_does_not_stop_before_all_peers_know_that_it_leaves() -> None:
    """On a busy machine that took longer than any fixed time, and what they forwarded was lost."""
    little = Little(3).ready()
    little.holds.add((0, 1))                    # what A sends to B is under way
    little["A"].draining.begin(60)
    little.run(50)
    assert not little["A"].draining.is_announced()
    client, key = little.client("B"), little.key_of("A")
    client.send("SET", key, "1")                # B does not know, and forwards
    little.run(5)
    assert little["A"].draining.works_for_others() or not little["A"].draining.is_announced()
    little.heal()
    little.until(little["A"].draining.is_announced, 100)
    assert client.receive() == b"OK"
    before = little["A"].counters.writes_coordinated
    assert client("SET", key, "2") == b"OK"
    assert little["A"].counters.writes_coordinated == before, "others coordinate now"


def test_a_peer_that_is_gone_need_not_know() -> None:
    little = Little(3).ready()
    little.holds.add((0, 1))
    little["A"].draining.begin(60)
    little.run(5)
    assert not little["A"].draining.is_announced()
    little.kill("B")
    little.until(little["A"].draining.is_announced, 100)


def test_what_a_peer_forwarded_keeps_a_node_busy() -> None:
    little = Little(3).ready()
    little.holds |= {(0, 2), (2, 0), (0, 1)}    # A receives no second copy, and says nothing
    client, key = little.client("B"), little.key_of("A")
    client.send("SET", key, "1")
    little.until(little["A"].draining.works_for_others, 100)
    little.heal()
    assert client.receive() == b"OK"
    little.until(lambda: not little["A"].draining.works_for_others(), 100)


class Disagreement:
    """A sends to B, which stands aside; C does not know it, and would send it back to B.

    It cannot run it itself either: its lease is not stored yet.
    """

    def __init__(self) -> None:
        self.little = Little(3).ready()
        ring = self.little["A"].membership.ring
        assert ring is not None
        names = [machine.name for machine in self.little.machines]
        self.key = next(
            one for one in map(str, range(1000))
            if ring.owners_of(ring.partition_of(slot_of(one.encode())))[:2] == (names[1], names[2])
        )
        self.client = self.little.client("A")
        self.begin()

    def begin(self) -> None:
        self.little["B"].draining.is_leaving = True     # and does not say so
        self.little["B"].replan()
        self.little["C"].identity.can_mint = lambda count=1: False    # type: ignore[method-assign]

    def end(self) -> None:
        self.little["B"].draining.end()
        del self.little["C"].identity.can_mint

    def writes(self) -> int:
        return sum(self.little[name].counters.writes_coordinated for name in "ABC")


TRY_AGAIN = "TRYAGAIN the nodes do not agree yet on who owns this key: nothing was done"


def test_a_write_waits_while_nodes_disagree_on_who_coordinates() -> None:
    they = Disagreement()
    little, client, key = they.little, they.client, they.key
    client.send("SET", key, "1")
    little.run(100)
    assert client.session.take() == b"", "neither refused nor done"
    assert they.writes() == 0
    they.end()
    assert client.receive() == b"OK" and client("GET", key) == b"1"
    assert they.writes() == 1
    they.begin()
    forwarded = little["A"].counters.commands_forwarded
    assert client("SET", key, "2") == TRY_AGAIN
    timeout_ms = little["A"].settings.request_timeout_ms
    assert little["A"].counters.commands_forwarded - forwarded < timeout_ms / RETRY_MS
    they.end()
    little.run(100)
    assert client("GET", key) == b"1"


def test_where_the_last_node_can_it_runs_the_write_itself() -> None:
    they = Disagreement()
    del they.little["C"].identity.can_mint
    begun_ms = they.little.now_ms
    assert they.client("SET", they.key, "1") == b"OK"
    assert they.little.now_ms - begun_ms < 10
    assert they.writes() == 1


@pytest.mark.parametrize("gap", [0, 1, 3, 6])
def test_what_was_refused_is_sent_again_in_the_order_in_which_it_came(gap: int) -> None:
    they = Disagreement()
    for number in range(1, 9):
        they.client.send("SET", they.key, number)
        they.little.run(gap)
    they.little.run(20)
    they.end()
    assert [they.client.receive() for _ in range(8)] == [b"OK"] * 8
    assert they.client("GET", they.key) == b"8"
    assert they.writes() == 8


@pytest.mark.parametrize(("late", "refused"), [((0, 1), 0), ((2, 1), 2)])
def test_what_was_refused_is_not_run_behind_a_later_write_of_its_client(
    late: tuple[int, int], refused: int
) -> None:
    """B has agreed when the last comes. It knows of the refusal, and refuses too, or not yet."""
    they = Disagreement()
    they.client.send("SET", they.key, 1)
    they.little.run(2)
    they.little.holds.add(late)
    they.client.send("SET", they.key, 2)
    they.little.run(3)
    they.end()
    they.client.send("SET", they.key, 3)
    they.little.run(3)
    they.little.heal()
    assert [they.client.receive() for _ in range(3)] == (
        [TRY_AGAIN] * refused + [b"OK"] * (3 - refused)
    )
    assert they.client("GET", they.key) == b"3"
    assert they.writes() == 3 - refused
    they.little.run(50)
    assert not they.little["A"].dispatcher.busy and they.little["A"].is_idle()


def test_a_long_pipeline_on_one_key_keeps_its_order_beyond_the_window() -> None:
    """What stands in line at the coordinator beyond the window is refused, and sent again."""
    little = Little(3).ready()
    client, key = little.client("B"), little.key_of("A")
    assert client("DYN.CONSISTENCY", "R", "ALL") == b"OK"
    little.holds.add((2, 0))        # what C answers is under way for longer than the window
    for _ in range(40):
        for _ in range(10):
            client.send("INCR", key)
        little.step()
    sent = little["B"].counters.commands_forwarded
    little.run(300)
    little.holds.clear()
    assert [client.receive() for _ in range(400)] == list(range(1, 401))
    assert little["B"].counters.commands_forwarded > sent, "some were refused"


def test_sessions_do_not_wait_for_each_others_order() -> None:
    """Many clients, one key, more than its coordinator can do within a window: no errors."""
    little = Little(3).ready()
    clients = [little.client("B") for _ in range(20)]
    key = little.key_of("A")
    for number in range(25):
        for client in clients:
            client.send("INCR", key)
        little.run(number % 3)
    replies = [client.receive() for client in clients for _ in range(25)]
    assert sorted(replies) == list(range(1, 501)), "each once"  # type: ignore[type-var]


@pytest.mark.parametrize(("at", "order"), [(0, "bca"), (LAST, "abc"), (1, "abc")])
def test_several_commands_keep_their_order_in_a_line(at: int, order: str) -> None:
    dispatcher = Little(1).ready()["A"].dispatcher
    call = Call(TABLE[b"GET"], [b"GET", b"k"], 0, False, ANY, NEVER, 0, 0)
    a, b, c = (Waiting(call, Continuation(print)) for _ in range(3))
    assert dispatcher.lines.line_up(b"key", [a])
    assert not dispatcher.lines.line_up(b"key", [b, c], at)
    assert list(dispatcher.busy[b"key"]) == [{"a": a, "b": b, "c": c}[name] for name in order]
