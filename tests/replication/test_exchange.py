"""What reads and writes have missed is found by comparing hash trees, and only that is sent."""

import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from respdyn.causal.dot import intern_actor
from respdyn.causal.hybrid_clock import HybridClock
from respdyn.causal.minting import chain_of, level_of
from respdyn.cluster.identity import Identity
from respdyn.cluster.now import Now
from respdyn.cluster.replica import Replica
from respdyn.replication.hash_tree import HashTrees
from respdyn.ring.hashing import PREFIX, SLOTS, slot_of, slot_of_locator
from respdyn.types import strings, values
from tests.little import Little

FAST = {"exchange_interval_ms": 20}
CHAIN = chain_of(bytes(range(16)))
ACTOR = intern_actor(CHAIN[0])


def locator_of(key: str) -> bytes:
    return PREFIX[0][slot_of(key.encode())] + key.encode()


def are_identical(little: Little) -> bool:
    """All nodes hold the same: three nodes own all partitions."""
    first = little["A"].replica
    return all(
        m.node.replica.slots == first.slots and m.node.replica.cleared == first.cleared
        for m in little.machines
    )


def settle(little: Little, limit_ms: int = 5000) -> None:
    """Until all is identical, without any read."""
    for _ in range(limit_ms):
        if are_identical(little):
            return
        little.step()
    raise AssertionError("the copies still differ")


def prove(little: Little, count: int) -> None:
    """All nodes are shown that `ACTOR` can have minted so many dots."""
    level = level_of(count)
    for machine in little.machines:
        ends = machine.node.this.ends
        if level_of(int.from_bytes(ends.highest.get(ACTOR, b""), "big")) < level:
            ends.receive("test", ACTOR + level.to_bytes(2, "big") + CHAIN[level])


def put(little: Little, names: str, keys: list[str], value: bytes = b"v" * 100) -> None:
    """Records that no write has brought, the same on these nodes, of an actor that all know."""
    clock = HybridClock(500)
    prove(little, len(keys))
    for counter, key in enumerate(keys, 1):
        stamp = (ACTOR, counter, 0, clock.now(little.wall_ms))
        record = strings.assign(b"", stamp, value, 0)
        for name in names:
            little[name].replica.join(locator_of(key), record)


# ---- trees ----

CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from("srdqetf")), min_size=1, max_size=60,
)


@given(CHANGES, st.sampled_from((1, 4, 256, 16384)))
@example([(5, "e"), (5, "q"), (300, "t")], 1)
@example([(5, "s"), (5, "f"), (5, "f"), (5, "s"), (7, "f")], 4)
@settings(max_examples=40, deadline=None)
def test_a_tree_kept_up_is_the_tree_made_anew(
    changes: list[tuple[int, str]], partitions: int
) -> None:
    identity = Identity(1000)
    identity.actor = ACTOR
    replica = Replica(identity, lambda: None)
    replica.set_partitions(partitions)
    now = Now()
    now.wall_ms = 1000
    trees = HashTrees(replica, now)
    touched = set()
    for number, (key, what) in enumerate(changes, 1):
        name = locator_of(f"k{key}")
        partition = slot_of_locator(name) // replica.width
        touched.add(partition)
        stamp = (ACTOR, number, 0, number << 16)
        if what == "s":
            replica.join(name, strings.assign(replica.get(name), stamp, b"x", 0))
        elif what == "e":
            ends_ms = now.wall_ms + 1 + key
            replica.join(name, strings.assign(replica.get(name), stamp, b"x", ends_ms))
        elif what == "t":
            now.wall_ms += key
        elif what == "f":
            if replica.get(name):
                replica.drop(name)
            held = [slot for slot in range(SLOTS) if replica.slots[slot]]
            assert list(replica.filled(0, SLOTS)) == held
        elif what == "r":
            old = replica.get(name)
            replica.replace(name, old, strings.assign(old, stamp, b"y", 0))
        elif what == "d" and replica.get(name):
            replica.join(name, values.remove(replica.get(name), stamp))
        else:
            trees.root(partition)
    kept = {one: (trees.segments(one), trees.root(one)) for one in touched}
    anew = HashTrees(replica, now)
    assert kept == {one: (anew.segments(one), anew.root(one)) for one in touched}


def test_pages_of_keys_cover_a_partition_once() -> None:
    little = Little(1, partitions=4)
    little.run(5)
    put(little, "A", [f"k{i}" for i in range(500)])
    trees = little["A"].exchange.trees
    every = list(range(len(trees.segments(1)) // 8))
    slots = trees.slots_of(1)
    at, seen = (slots.start, 0), []
    while at < (slots.stop, 0):
        entries, at = trees.keys(1, every, at, (slots.stop, 0), 7, 1 << 20)
        assert len(entries) <= 7
        seen += [name for name, _ in entries]
    tables = little["A"].replica.slots
    assert sorted(seen) == sorted(name for slot in slots for name in tables[slot])


# ---- repair ----


def test_a_node_that_missed_writes_and_deletes_becomes_identical_without_reads() -> None:
    little = Little(3, **FAST).ready()
    client = little.client("A")
    for i in range(60):
        assert client("SET", f"key{i}", "old") == b"OK"
    little.kill("C")
    for i in range(30):
        assert client("SET", f"key{i}", "new") == b"OK"
    for i in range(30, 45):
        assert client("DEL", f"key{i}") == 1
    assert client("SET", "fresh", "1", "PX", "50") == b"OK"
    little.boot("C")
    little.run(20)
    assert not are_identical(little)
    settle(little)
    assert little["C"].counters.reads_coordinated == 0
    little.run(3000)
    assert all(m.node.exchange.clean_age_ms() >= 0 for m in little.machines)


def test_both_sides_of_a_cut_get_what_the_other_has() -> None:
    little = Little(3, **FAST).ready()
    put(little, "A", [f"a{i}" for i in range(40)])
    put(little, "B", [f"b{i}" for i in range(40)])
    little.cut("A", "B")
    little.run(50)
    little.heal()
    settle(little)


def test_only_what_differs_is_sent() -> None:
    little = Little(3, exchange_interval_ms=60_000).ready()
    little.run(3000)
    keys = [f"key{i}" for i in range(20_000)]
    put(little, "ABC", keys, b"v" * 1000)
    missing = random.Random(1).sample(keys, 100)
    for at, key in enumerate(missing):
        name = locator_of(key)
        replica = little["ABC"[at % 3]].replica
        replica.drop(name)
    sent: list[int] = []
    little.tap = lambda source, target, items: sent.append(sum(map(len, items)))
    before = sum(m.node.counters.exchange_keys_repaired for m in little.machines)
    for m in little.machines:
        for peer in sorted(m.node.links):
            m.node.exchange.came_up(peer)
    settle(little, 20_000)
    repaired = sum(m.node.counters.exchange_keys_repaired for m in little.machines) - before
    assert 100 <= repaired <= 200             # two may find the same difference at once
    assert sum(sent) < 20_000 * 1000 // 4
    little.run(3000)
    assert all(m.node.exchange.clean_age_ms() >= 0 for m in little.machines)


def test_nothing_is_repaired_while_all_is_well_and_clients_write() -> None:
    little = Little(3, exchange_interval_ms=1, partitions=4).ready()
    clients = [little.client(name) for name in "ABC"]
    dice = random.Random(5)
    for _ in range(3000):
        for client in clients:
            client.send("SET", f"key{dice.randrange(300)}", dice.randrange(1000))
        little.step()
    for machine in little.machines:
        counters = machine.node.counters
        assert counters.exchanges > 30
        assert counters.exchange_differences == counters.exchange_keys_repaired == 0
    little.run(200)
    assert are_identical(little)


def test_what_was_flushed_stays_flushed_and_the_flush_itself_spreads() -> None:
    little = Little(3, **FAST).ready()
    client = little.client("A")
    for i in range(50):
        assert client("SET", f"key{i}", "v") == b"OK"
    little.kill("C")
    assert client("FLUSHALL") == b"OK"
    assert client("SET", "after", "1") == b"OK"
    little.boot("C")
    settle(little)
    assert little["C"].replica.records == 1
    # One that received nothing of a flush, though it was there all the time.
    replica = little["B"].replica
    prove(little, 7)
    replica.clear(0, 3, {ACTOR: 7})
    assert not are_identical(little)
    settle(little)


def test_a_memory_node_that_restarted_empty_is_refilled() -> None:
    little = Little(3, engine="memory", **FAST).ready()
    client = little.client("A")
    for i in range(300):
        client.send("SET", f"key{i}", i)
    little.run(100)
    little.kill("C")
    little.machines[2].disk.clear()
    little.run(50)
    little.boot("C")
    little.run(5)
    assert little["C"].replica.records == 0
    settle(little)
    assert little["C"].replica.records == 300


def test_status_shows_the_last_clean_exchange() -> None:
    little = Little(3, exchange_interval_ms=50).ready()
    little.run(8000)
    status = little.client("A")("DYN.CLUSTER", "STATUS")
    assert isinstance(status, list)
    named = dict(zip(status[::2], status[1::2], strict=True))
    for row in named[b"members"]:
        member = dict(zip(row[::2], row[1::2], strict=True))
        assert 0 <= member[b"clean-exchange-age-ms"] <= 4000
        assert member[b"exchange-differences"] == 0


def test_a_damaged_or_senseless_question_does_no_harm() -> None:
    from respdyn.cluster.questions import Fetch, Keys, Roots, Segments

    exchange = Little(1).ready()["A"].exchange
    assert exchange.answer(Roots([-1, 99999])) == []
    assert exchange.answer(Segments(-5)).leaves == b""      # type: ignore[attr-defined]
    exchange.answer(Keys(0, [-1, 1 << 40], -1, -1))
    assert exchange.answer(Fetch([(b"", b""), (b"\xff\xffcleared", b"x")])) == [(b"", b"")] * 2


def test_the_owner_for_which_no_node_could_keep_a_hint_is_not_left_to_the_next_round() -> None:
    """All owners on one side of a cut, two nodes on the other: two hints, and three owners."""
    little = Little(5, n=3).ready()
    ring = little["A"].membership.ring
    assert ring is not None
    inside = sorted(little.machines[at].name for at in range(3))
    keys = [
        key for key in map("key{}".format, range(1000))
        if sorted(ring.owners_of(ring.partition_of(slot_of(key.encode())))) == inside
    ]
    little.until(lambda: all(
        m.node.exchange.clean_age_ms() >= 0 and not m.node.exchange.due() for m in little.machines
    ))
    for one in "ABC":
        for other in "DE":
            little.cut(one, other)
    little.run(10)
    client = little.client("D")
    for key in keys[:40]:
        assert client("SET", key, "from outside") == b"OK"
    little.heal()

    def are_alike() -> bool:
        held = [
            [little[name].replica.get(locator_of(key)) for key in keys[:40]] for name in "ABC"
        ]
        return held[0] == held[1] == held[2] and all(held[0])

    begun_ms = little.now_ms
    little.until(lambda: little.now_ms % 100 == 0 and are_alike(), 60_000)
    assert little.now_ms - begun_ms < 6_000, f"{little.now_ms - begun_ms} ms"
