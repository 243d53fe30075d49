"""What is deleted or over is forgotten soon when nothing is in doubt, and not a moment before."""

from respdyn.causal.codec import LIVE
from respdyn.cluster.replica import Replica
from respdyn.ring.hashing import slot_of
from respdyn.types import strings, values
from tests.little import Little

AGE_MS = 400
# What was sent so long ago has arrived; walks, and the second owner that steps in late.
SOON_MS = 4 * AGE_MS

# The grace stays at a day, hints at three hours: what goes here goes because nothing is in doubt.
QUICK: dict[str, object] = {
    "message_max_age_ms": AGE_MS, "collect_interval_ms": 20, "heartbeat_ms": 20,
    "failure_timeout_ms": 100, "max_clock_offset_ms": 100, "exchange_interval_ms": 50,
    "hint_interval_ms": 50,
}


def records(little: Little) -> list[int]:
    return [machine.node.replica.records for machine in little.machines if machine.is_running]


def locator_of(key: str) -> bytes:
    return slot_of(key.encode()).to_bytes(2, "big") + b"\0" + key.encode()


def deleted(little: Little, through: str, *keys: str) -> None:
    client = little.client(through)
    for key in keys:
        assert client("SET", key, "v") == b"OK"
        assert client("DEL", key) == 1


# ---- tombstones ----


def test_a_tombstone_goes_once_whatever_was_sent_has_arrived() -> None:
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    deleted(little, "A", *(f"k{number}" for number in range(20)))
    little.run(AGE_MS // 2)
    assert records(little) == [20, 20, 20]
    little.run(SOON_MS)
    assert records(little) == [0, 0, 0]
    assert sum(map(len, (machine.node.collection.promises.early for machine in little.machines)))


def test_owners_that_ask_each_other_at_the_same_moment_do_not_refuse_each_other_for_ever() -> None:
    """Each has promised its own number, so it promises no other the same; the next time differs."""
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    deleted(little, "A", *(f"k{number}" for number in range(20)))
    for machine in little.machines:
        machine.node.collection._next_ms = machine.node.now_ms + 2 * SOON_MS
    little.run(2 * SOON_MS + 50)
    assert records(little) == [20, 20, 20], "all have begun together"
    little.run(3 * SOON_MS)
    assert records(little) == [0, 0, 0]


def test_a_member_that_is_away_keeps_every_tombstone_though_it_owns_none_of_them() -> None:
    little = Little(5, **QUICK).ready()
    little.run(SOON_MS)
    key = "k"
    away = next(name for name in "ABCDE" if not little[name].this.plans[
        slot_of(key.encode())].is_owner)
    stays = next(name for name in "ABCDE" if name != away)
    little.kill(away)
    little.run(300)
    deleted(little, stays, key)
    little.run(3 * SOON_MS)
    assert sum(records(little)) == 3
    little.boot(away)
    little.ready()
    little.run(3 * SOON_MS)
    assert sum(records(little)) == 0


def test_a_hint_at_a_node_that_owns_nothing_of_it_keeps_the_tombstone() -> None:
    """Its owner gets it late: that node's disk is sick, and the keeper cannot reach it either."""
    little = Little(5, **QUICK).ready()
    little.run(SOON_MS)
    key = "k"
    plan = little["A"].this.plans[slot_of(key.encode())]
    owners = [chr(65 + index) for index, machine in enumerate(little.machines)
              if machine.name in plan.owners]
    keeper = next(name for name in "ABCDE" if name not in owners)
    deleted(little, owners[0], key)
    little[keeper].hints.keep(little[owners[2]].identity.node_id, locator_of(key),
                              values.remove_context(
                                  _context(little[owners[0]].replica, key)), True)
    little[keeper].handoff._is_able = lambda owner: False       # type: ignore[method-assign]
    little.run(3 * SOON_MS)
    assert sum(records(little)) == 3
    del little[keeper].handoff._is_able                         # type: ignore[method-assign]
    little.run(3 * SOON_MS)
    assert sum(records(little)) == 0


def _context(replica: Replica, key: str) -> strings.Context:
    from respdyn.causal.codec import context_of

    return context_of(replica.get(locator_of(key)))


def test_an_old_disk_of_a_stand_in_does_not_bring_back_what_was_forgotten() -> None:
    """The hint on it was delivered, what it brought deleted, and the deletion forgotten."""
    little = Little(5, **QUICK).ready()
    little.run(SOON_MS)
    key = "k"
    plan = little["A"].this.plans[slot_of(key.encode())]
    owners = [chr(65 + index) for index, machine in enumerate(little.machines)
              if machine.name in plan.owners]
    little.kill(owners[2])
    little.run(300)
    client = little.client(owners[0])
    assert client("SET", key, "v") == b"OK"
    little.run(20)
    keeper = next(name for name in "ABCDE" if name not in owners and little[name].hints.count)
    machine = little.machines[ord(keeper) - 65]
    backup = dict(machine.disk)
    little.boot(owners[2])
    little.ready()
    little.run(SOON_MS)
    assert little[keeper].hints.count == 0
    assert little.client(owners[0])("DEL", key) == 1
    little.run(3 * SOON_MS)
    assert sum(records(little)) == 0
    little.kill(keeper)
    machine.disk = backup
    little.boot(keeper)
    little.ready()
    little.run(SOON_MS)
    assert sum(records(little)) == 0
    assert little[keeper].counters.hints_dropped == 1
    assert little.client(owners[2])("DYN.WITH", "R", "3", "GET", key) is None


def test_what_a_stand_in_kept_since_its_restart_is_not_given_up_with_the_rest() -> None:
    little = Little(3, **QUICK).ready()
    hints = little["A"].hints
    owner = little["B"].identity.node_id
    old = strings.assign(b"", (b"a" * 16, 1, 0, 1), b"old", 0)      # type: ignore[arg-type]
    new = strings.assign(b"", (b"b" * 16, 1, 0, 2), b"new", 0)      # type: ignore[arg-type]
    one, other = locator_of("k"), locator_of("l")
    for name in (one, other):
        hints.keep(owner, name, old, True)
        hints._shelves[owner][hints.partition_of(name)].hints[name].is_restored = True
    hints.keep(owner, one, new, True)
    for name in (one, other):
        hints.give_up_restored(hints.partition_of(name))
    assert hints.find(one)[0] == new
    assert hints.find(other)[0] == b""


def test_every_promise_is_new_and_so_on_the_disk_with_all_that_came_before() -> None:
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    key = little.key_of("A")
    partition = slot_of(key.encode()) // little["A"].replica.width
    promises = little["A"].collection.promises
    deleted(little, "A", key)
    little.until(lambda: records(little) == [0, 0, 0])
    first = promises.promised[partition]
    little.machines[1].fsync = False
    deleted(little, "A", key)
    little.run(2 * SOON_MS)
    assert records(little) == [1, 1, 1]
    little.machines[1].fsync = True
    little.until(lambda: records(little) == [0, 0, 0])
    assert promises.promised[partition] > first + 1
    assert {
        machine.node.collection.promises.promised[partition] for machine in little.machines
    } == {promises.promised[partition]}


# ---- values that leave nothing ----


def test_a_value_that_covers_nothing_leaves_nothing_and_no_node_is_asked() -> None:
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    a = little.client("A")
    for number in range(20):
        assert a("SET", f"k{number}", "v", "PX", 300) == b"OK"
    little.run(200)
    little.kill("C")
    little.run(3000)
    assert records(little) == [0, 0]
    assert little["A"].counters.expired_dropped == 20
    assert little["A"].counters.expired_reduced == 0
    little.boot("C")
    little.ready()
    little.run(3000)
    assert records(little) == [0, 0, 0]
    assert a("GET", "k1") is None
    assert a("DBSIZE") == 0


def test_a_value_that_covers_one_without_a_time_to_live_leaves_its_tombstone() -> None:
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    key = little.key_of("A")
    a = little.client("A")
    assert a("SET", key, "for ever") == b"OK"
    little.kill("C")
    little.run(200)
    assert a("SET", key, "v", "PX", 300) == b"OK"
    little.run(5000)
    assert a("GET", key) is None
    little.boot("C")                    # with the value that was overwritten
    little.ready()
    little.run(2000)
    for name in "ABC":
        assert little.client(name)("DYN.WITH", "R", "1", "GET", key) is None
    assert sum(machine.node.counters.expired_dropped for machine in little.machines) == 0


def test_exchange_does_not_give_back_what_another_has_dropped() -> None:
    """B walks seldom: it still holds the values that A and C have dropped."""
    little = Little(3, **QUICK).ready()
    little.run(SOON_MS)
    a = little.client("A")
    little["B"].collection.tick = lambda: None      # type: ignore[method-assign]
    for number in range(20):
        assert a("SET", f"k{number}", "v", "PX", 300) == b"OK"
    little.run(6000)
    assert records(little) == [0, 20, 0]
    assert little["A"].counters.exchange_keys_repaired == 0
    assert a("GET", "k3") is None                   # nor does a reader who asks B
    little.run(50)
    assert records(little) == [0, 20, 0]


def test_a_late_remark_brings_its_value_to_who_has_dropped_it() -> None:
    """EXPIRE at A while C is cut off; C has dropped the value by the time that it receives that."""
    little = Little(3, **{**QUICK, "exchange_interval_ms": 0}).ready()
    little.run(SOON_MS)
    key = little.key_of("A")
    a = little.client("A")
    assert a("SET", key, "v", "PX", 300) == b"OK"
    little.run(5)
    little.cut("A", "C")
    little.cut("B", "C")
    little.run(150)
    assert a("PERSIST", key) == 1
    little.run(3000)
    assert records(little) == [1, 1, 0]
    little.heal()
    little.ready()
    assert a("EXPIRE", key, "1000") == 1
    little.run(5)
    assert little["C"].replica.get(locator_of(key)) == little["A"].replica.get(locator_of(key))
    assert little.client("C")("DYN.WITH", "R", "1", "GET", key) == b"v"


def test_dots_that_were_forgotten_here_are_not_claimed_when_older_ones_come_back() -> None:
    little = Little(3, **QUICK).ready()
    node = little["A"]
    key = little.key_of("A")
    locator = locator_of(key)
    a = little.client("A")
    assert a("SET", key, "v", "PX", 100) == b"OK"
    first = node.replica.get(locator)
    node.replica.drop(locator)
    for machine in little.machines[1:]:
        machine.node.replica.drop(locator)
    assert a("SET", key, "w", "PX", 100) == b"OK"
    second = node.replica.get(locator)
    node.replica.drop(locator)
    node.replica.receive(locator, first)
    assert a("DYN.PUTCTX", key, "", "new") != b""
    new = node.replica.get(locator)
    from respdyn.causal.codec import join_records

    assert len(strings.siblings(join_records(new, second), 0)) == 3
    assert new[1] & LIVE


def test_a_flush_speaks_of_a_value_that_was_dropped() -> None:
    """A has prolonged it and is cut off; the others have dropped it when they are emptied."""
    little = Little(3, **{**QUICK, "exchange_interval_ms": 0}).ready()
    little.run(SOON_MS)
    key = little.key_of("A")
    a, b = little.client("A"), little.client("B")
    assert a("SET", key, "v", "PX", 300) == b"OK"
    little.run(5)
    node = little["A"]
    node.replica.join(locator_of(key), strings.expire(
        node.replica.get(locator_of(key)), node.this.stamp(0), 0,
    ))
    little.cut("A", "B")
    little.cut("A", "C")
    little.run(3000)
    assert records(little) == [1, 0, 0]
    assert b("FLUSHALL") == b"OK"
    little.heal()
    little.ready()
    little.run(20)
    assert b("GET", key) is None
    assert a("DYN.WITH", "R", "3", "GET", key) is None
    assert not node.replica.is_live(locator_of(key))
