"""Tombstones and expired values are forgotten by all owners, and nothing comes back by it.

The grace here is that of the days when something is in doubt; `test_forgetting` has the others.
"""

from respdyn.causal.codec import LIVE
from respdyn.ring.hashing import slot_of
from tests.little import Little

GRACE_MS = 1500
# A walk over all slots takes a few looks; the second owner waits longer than the first.
SOON_MS = 3 * GRACE_MS

QUICK: dict[str, object] = {
    "tombstone_grace_ms": GRACE_MS, "message_max_age_ms": 300, "collect_interval_ms": 20,
    "heartbeat_ms": 20, "failure_timeout_ms": 100, "max_clock_offset_ms": 100,
    "exchange_interval_ms": 50,
}


def records(little: Little) -> list[int]:
    return [machine.node.replica.records for machine in little.machines if machine.is_running]


def collected(little: Little) -> int:
    return sum(machine.node.counters.tombstones_collected for machine in little.machines)


def test_a_tombstone_goes_when_its_grace_is_over_and_not_before() -> None:
    """One member is away, which owns nothing of these keys: the rest waits for the grace."""
    little = Little(4, **{**QUICK, "n": 3}).ready()
    little.kill("D")
    little.run(200)
    plans = little["A"].this.plans
    away = little.machines[3].name
    keys = [f"k{number}" for number in range(200)
            if away not in plans[slot_of(f"k{number}".encode())].owners][:50]
    a = little.client("A")
    for key in keys:
        assert a("SET", key, "v") == b"OK"
        assert a("DEL", key) == 1
    assert a("SET", keys[0], "v") == b"OK"
    little.run(GRACE_MS // 2)
    assert records(little) == [len(keys)] * 3
    little.run(SOON_MS)
    assert records(little) == [1, 1, 1]
    assert not any(machine.node.collection.promises.early for machine in little.machines)
    assert [len(machine.disk) for machine in little.machines].count(0) == 0
    assert all(
        not any(key[2:3] == b"\0" and not value[1] & LIVE for key, value in machine.disk.items()
                if key[:2] != b"\xff\xff")
        for machine in little.machines
    )
    for name in "ABC":
        assert little.client(name)("GET", keys[7]) is None
        assert little.client(name)("GET", keys[0]) == b"v"


def test_nothing_is_forgotten_while_an_owner_is_away() -> None:
    little = Little(3, **QUICK).ready()
    a = little.client("A")
    key = "k"
    assert a("SET", key, "v") == b"OK"
    little.run(5)
    little.kill("C")
    little.run(200)
    assert a("DEL", key) == 1
    little.run(2 * SOON_MS)
    assert records(little) == [1, 1]
    little.boot("C")                     # with the value that was deleted meanwhile
    little.ready()
    little.run(2 * SOON_MS)
    assert records(little) == [0, 0, 0]
    for name in "ABC":
        assert little.client(name)("GET", key) is None


def test_an_older_copy_of_a_disk_does_not_bring_back_what_was_forgotten() -> None:
    little = Little(3, **QUICK).ready()
    a = little.client("A")
    for number in range(30):
        assert a("SET", f"k{number}", "v") == b"OK"
    little.run(10)
    backup = dict(little.machines[2].disk)
    for number in range(0, 30, 2):
        assert a("DEL", f"k{number}") == 1
    little.run(2 * SOON_MS)
    assert records(little) == [15, 15, 15]
    little.kill("C")
    little.machines[2].disk = backup
    little.boot("C")
    little.ready()
    assert little["C"].counters.partitions_given_up > 0
    little.run(SOON_MS)
    for name in "ABC":
        client = little.client(name)
        for number in range(30):
            assert client("GET", f"k{number}") == (b"v" if number % 2 else None)
    assert records(little) == [15, 15, 15]


def test_an_owner_with_another_record_keeps_the_tombstone_everywhere() -> None:
    little = Little(3, **{**QUICK, "exchange_interval_ms": 0}).ready()
    a = little.client("A")
    key = little.key_of("A")
    assert a("SET", key, "v") == b"OK"
    little.run(5)
    little.cut("A", "C")
    little.cut("B", "C")
    little.run(200)
    assert a("DEL", key) == 1
    little.heal()
    little.ready()
    little.run(2 * SOON_MS)
    assert records(little) == [1, 1, 1]
    assert collected(little) == 0
    assert little.client("C")("DYN.WITH", "R", "3", "GET", key) is None    # repairs C
    little.run(2 * SOON_MS)
    assert records(little) == [0, 0, 0]


def test_an_expired_value_becomes_a_tombstone_without_a_dot_and_then_goes() -> None:
    little = Little(3, **{**QUICK, "message_max_age_ms": 1200}).ready()
    a = little.client("A")
    assert a("SET", "session", "an earlier one") == b"OK"
    assert a("SET", "session", "v" * 1000, "PX", 500) == b"OK"
    assert a("SET", "later", "v", "PX", 60_000) == b"OK"
    assert a("INCR", "hits") == 1
    assert a("PEXPIRE", "hits", 500) == 1
    little.run(300)
    assert a("DBSIZE") == 3
    little.run(2000)
    assert a("DBSIZE") == 1
    copies = [
        {key: value for table in machine.node.replica.slots for key, value in table.items()}
        for machine in little.machines
    ]
    assert copies[0] == copies[1] == copies[2]
    session = next(value for key, value in copies[0].items() if key.endswith(b"session"))
    assert not session[1] & LIVE and len(session) < 60
    little.run(2 * SOON_MS)
    assert records(little) == [1, 1, 1]
    assert a("INCR", "hits") == 1
    assert a("TTL", "hits") == -1
    assert a("GET", "later") == b"v"


def test_a_value_whose_expiry_was_prolonged_is_kept() -> None:
    little = Little(3, **QUICK).ready()
    a = little.client("A")
    assert a("SET", "k", "v", "PX", 500) == b"OK"
    assert a("PERSIST", "k") == 1
    little.run(2 * SOON_MS)
    assert a("GET", "k") == b"v"


def test_a_promise_is_stated_only_when_it_is_on_disk() -> None:
    little = Little(3, **QUICK).ready()
    a = little.client("A")
    key = little.key_of("A")
    assert a("SET", key, "v") == b"OK"
    assert a("DEL", key) == 1
    little.run(100)
    little.machines[1].fsync = False
    little.run(2 * SOON_MS)
    assert records(little) == [1, 1, 1]
    little.machines[1].fsync = True
    little.run(2 * SOON_MS)
    assert records(little) == [0, 0, 0]


def test_a_frame_that_was_held_up_for_too_long_is_refused() -> None:
    """The value on its way to C was deleted, and the deletion forgotten, before it arrives."""
    little = Little(3, **QUICK).ready()
    a = little.client("A")
    key = little.key_of("A")
    frames: list[list[bytes]] = []
    little.tap = lambda source, target, items: (
        frames.append(items) if (source, target) == (0, 2) else None
    )
    little.lost |= {(0, 2)}
    assert a("SET", key, "v") == b"OK"
    little.tap = None
    little.cut("A", "C")
    little.run(500)
    from respdyn.errors import PeerError

    for items in frames:
        try:
            little["C"].frame(little.machines[0].name, items)
        except PeerError as refused:
            assert "old" in str(refused)
            break
    else:
        raise AssertionError("a frame from half a second ago was taken")


def test_a_cluster_of_one_forgets_at_once() -> None:
    little = Little(1, collect_interval_ms=20).ready()
    a = little.client("A")
    for number in range(200):
        assert a("SET", f"k{number}", "v", "PX", 100) == b"OK"
    assert a("SET", "deleted", "v") == b"OK"
    assert a("DEL", "deleted") == 1
    little.run(4000)
    assert records(little) == [0]
