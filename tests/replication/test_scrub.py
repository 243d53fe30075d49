"""What fails its checksum is found without being read, never served, and comes back from others."""

from respdyn.causal.codec import verify
from respdyn.cluster.hints import Hints
from respdyn.ring.hashing import slot_of_locator
from tests.little import Little
from tests.replication.test_exchange import are_identical, locator_of, put


def spoil(little: Little, name: str, key: str) -> bytes:
    """Flip a bit of a record in this node's memory."""
    locator = locator_of(key)
    table = little[name].replica.slots[slot_of_locator(locator)]
    record = bytearray(table[locator])
    record[-1] ^= 1
    table[locator] = bytes(record)
    return locator


def test_a_damaged_record_comes_back_from_the_other_owners() -> None:
    little = Little(3, scrub_interval_ms=5, exchange_interval_ms=50).ready()
    put(little, "ABC", [f"key{i}" for i in range(500)])
    little.run(3000)
    names = [spoil(little, "B", f"key{i}") for i in range(10)]
    actor = little["B"].identity.actor
    little.run(2000)
    b = little["B"]
    assert b.counters.scrub_damages == 10 and b.counters.scrubs > 0
    assert are_identical(little)
    for name in names:
        verify(b.replica.get(name))
    assert b.identity.actor != actor            # it has forgotten something that it sent others
    assert sum(map(sum, b.replica.live)) == b.replica.records == 500
    assert "record_damaged_in_memory" in little.machines[1].diary.names
    assert little.client("B")("SET", "key1", "v") == b"OK"


def test_the_scrub_walks_over_everything_and_can_be_switched_off() -> None:
    little = Little(3, scrub_interval_ms=10).ready()
    put(little, "ABC", [f"key{i}" for i in range(2000)])
    little.run(200)
    assert little["A"].counters.scrub_records >= 2000
    silent = Little(3, scrub_interval_ms=0).ready()
    put(silent, "ABC", [f"key{i}" for i in range(20)])
    silent.run(500)
    assert silent["A"].counters.scrub_records == 0


def test_a_turn_checks_so_many_bytes_and_large_values_are_paid_for_with_time() -> None:
    little = Little(1, scrub_interval_ms=10).ready()
    client = little.client("A")
    for i in range(12):
        assert client("SET", f"key{i}", bytes(1 << 20)) == b"OK"
    assert client("SET", "huge", bytes(8 << 20)) == b"OK"
    counters = little["A"].counters
    little.until(lambda: counters.scrub_records > 26)
    before, rounds, started_ms = counters.scrub_records, counters.scrubs, little.now_ms
    while counters.scrubs < rounds + 2:
        little.run(1)
        assert counters.scrub_records <= before + 1, "a megabyte is enough for a turn"
        before = counters.scrub_records
    assert little.now_ms - started_ms >= 200, "so is what is checked in a time"


def test_what_the_disk_lost_is_written_again_records_facts_and_hints() -> None:
    little = Little(5).ready()
    client = little.client("A")
    for i in range(200):
        assert client("SET", f"key{i}", "v") == b"OK"
    little.kill("E")
    little.run(10)
    for i in range(200):
        assert client("SET", f"key{i}", "w") == b"OK"
    little.run(50)
    for index in range(4):
        machine = little.machines[index]
        assert isinstance(machine.node.hints, Hints)
        kept = dict(machine.disk)
        low, high = b"\x10", b"\xff" * 64
        lost = [name for name in machine.disk if low <= name < high]
        assert any(name < b"\x40" for name in lost)
        for name in lost:
            del machine.disk[name]
        machine.node.scrub.rewrite(low, high)
        little.run(2)
        assert machine.disk == kept
        assert machine.node.counters.scrub_disk_damages == 1
    assert sum(little[name].hints.count for name in "ABCD") > 0
