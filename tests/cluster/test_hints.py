"""Sloppy quorums: who stands in for owners that are missing, what they keep, and its way home."""

import pytest

from respdyn.causal.codec import context_of
from respdyn.cluster.hint import WHOLE_BYTES
from respdyn.cluster.hints import Hints
from respdyn.cluster.identity import Identity
from respdyn.cluster.now import Now
from respdyn.cluster.questions import Deliver
from respdyn.cluster.replica import Replica
from respdyn.cluster.statistics import Counters
from respdyn.ring.hashing import PREFIX, slot_of
from tests.little import Client, Little


def locator_of(key: str) -> bytes:
    return PREFIX[0][slot_of(key.encode())] + key.encode()


class Five(Little):
    """Five nodes, three owners for each key."""

    def __init__(self, **changes: object) -> None:
        super().__init__(5, n=3, hint_interval_ms=200, **changes)
        self.ready()
        self.ring = self["A"].membership.ring
        self.names = {m.name: chr(65 + index) for index, m in enumerate(self.machines)}

    def owners(self, key: str) -> list[str]:
        assert self.ring is not None
        return [self.names[owner] for owner in self.ring.owners_of(
            self.ring.partition_of(slot_of(key.encode()))
        )]

    def others(self, key: str) -> list[str]:
        return [name for name in "ABCDE" if name not in self.owners(key)]

    def like(self, key: str, prefix: str = "like") -> str:
        """Another key with the same owners, in the same order."""
        return next(
            name for name in (f"{prefix}{number}" for number in range(10_000))
            if self.owners(name) == self.owners(key)
        )

    def hints(self) -> int:
        return sum(m.node.hints.count for m in self.machines if m.is_running)

    def back(self, *names: str) -> None:
        for name in names:
            self.boot(name)
        self.ready()

    def copies(self, key: str) -> list[bytes]:
        return [self[name].replica.get(locator_of(key)) for name in self.owners(key)]


def without_owners(five: Five, key: str) -> Client:
    """All owners of a key are lost; a client of a node that is left."""
    for owner in five.owners(key):
        five.kill(owner)
    five.run(20)
    return five.client(five.others(key)[0])


def test_with_any_two_of_five_lost_every_key_is_written_and_read() -> None:
    for lost in ("AB", "CE"):
        five = Five(exchange_interval_ms=0)
        keys = [f"k{number}" for number in range(60)]
        a = five.client("D")
        for key in keys:
            assert a("SET", key, "before") == b"OK"
        for name in lost:
            five.kill(name)
        five.run(20)
        for key in keys:
            assert a("SET", key, "after") == b"OK"
            assert a("GET", key) == b"after"
        assert five.hints() > 0
        five.back(*lost)
        assert a("DYN.SYNCWAIT", 5000) == 1
        assert five.hints() == 0
        for key in keys:
            one, *others = five.copies(key)
            assert one and all(other == one for other in others)
        assert sum(five[name].counters.hints_delivered for name in "ABCDE") > 0


def test_terms_that_are_not_sloppy_count_owners_only() -> None:
    five = Five()
    one, two, three = five.owners("k")
    five.kill(one)
    five.kill(two)
    five.run(20)
    client = five.client(five.others("k")[0])
    refused = client("DYN.WITH", "SLOPPY", "no", "SET", "k", "v")
    assert str(refused).startswith("NOQUORUM W=2 reachable=1: nothing was done")
    assert str(client("DYN.WITH", "SLOPPY", "no", "GET", "k")).startswith("NOQUORUM R=2")
    assert five.hints() == 0
    five.kill(three)
    five.run(20)
    assert str(client("DYN.WITH", "SLOPPY", "no", "W", "1", "SET", "k", "v")).startswith("NOQUORUM")
    assert str(client("DYN.WITH", "SLOPPY", "no", "R", "1", "GET", "k")).startswith("NOQUORUM")


def test_one_owner_that_is_left_gives_the_word_that_a_key_is_absent() -> None:
    five = Five()
    for name in five.owners("k")[:2]:
        five.kill(name)
    five.run(20)
    for name in "ABCDE":
        if five.machines[ord(name) - 65].is_running:
            assert five.client(name)("GET", "k") is None


def test_without_an_owner_not_found_is_nobodys_word() -> None:
    five = Five()
    known, unknown = "k", five.like("k")
    assert five.client("A")("SET", known, "v") == b"OK"
    client = without_owners(five, known)
    for key in (known, unknown):
        for words in (
            ("GET", key), ("DYN.WITH", "R", "1", "GET", key), ("EXISTS", key), ("INCR", key),
            ("DEL", key), ("SETNX", key, "1"), ("DYN.WITH", "R", "1", "APPEND", key, "x"),
            ("MSETNX", key, "1", five.like(key, "other"), "2"), ("COPY", key, "elsewhere"),
        ):
            assert str(client(*words)).startswith("NOQUORUM"), words
    assert five.hints() == 0, "nothing was done"
    assert client("SET", known, "w") == b"OK"
    assert client("GET", known) == b"w"
    assert str(client("GET", unknown)).startswith("NOQUORUM")


def test_without_an_owner_commands_read_and_write_what_hints_have() -> None:
    five = Five()
    client = without_owners(five, "k")
    other = five.client(five.others("k")[1])
    assert client("SET", "k", "5") == b"OK"
    assert other("INCR", "k") == 6
    assert client("GET", "k") == other("GET", "k") == b"6"
    assert other("DEL", "k") == 1
    assert client("GET", "k") is None, "the deletion is known"
    assert client("SETNX", "k", "9") == 1
    assert other("GETDEL", "k") == b"9"
    assert client("SET", "k", "10") == b"OK"
    five.back(*five.owners("k"))
    assert client("DYN.SYNCWAIT", 5000) == 1
    for name in "ABCDE":
        assert five.client(name)("GET", "k") == b"10"


def test_a_node_that_stands_in_claims_its_bare_dot() -> None:
    """Whatever it minted for the key before may be forgotten here, and known to the owners."""
    five = Five()
    client = without_owners(five, "k")
    coordinator = five.others("k")[0]
    for value in ("one", "two", "three"):
        client("DYN.PUTCTX", "k", "", value)
    keeper = next(five[name] for name in five.others("k") if five[name].counters.sloppy_writes)
    dots = context_of(keeper.hints.find(locator_of("k"))[0]).rows()
    five.back(*five.owners("k"))
    assert client("DYN.SYNCWAIT", 5000) == 1
    for owner in five.owners("k"):
        five.kill(owner)
    five.run(20)
    client("DYN.PUTCTX", "k", "", "four")
    keeper = next(five[name] for name in five.others("k") if five[name].hints.count)
    (row,) = context_of(keeper.hints.find(locator_of("k"))[0]).rows()
    assert dots and row[1] == row[2] - 1, coordinator
    five.back(*five.owners("k"))
    assert client("DYN.SYNCWAIT", 5000) == 1
    found = client("DYN.GETCTX", "k")
    assert sorted(found[1]) == [b"four", b"one", b"three", b"two"]    # type: ignore[index]


def test_hints_survive_a_restart_of_their_keeper() -> None:
    five = Five(exchange_interval_ms=0)
    client = without_owners(five, "k")
    assert client("SET", "k", "v") == b"OK"
    for name in five.others("k"):
        five.kill(name)
    for name in five.others("k"):
        five.boot(name)
        assert five[name].hints.count == 1
    five.back(*five.owners("k"))
    assert five.client("A")("DYN.SYNCWAIT", 5000) == 1
    for name in five.owners("k")[:2]:       # for the third there was no node left to stand in
        assert five.client(name)("DYN.WITH", "R", "1", "GET", "k") == b"v"
    for machine in five.machines:
        assert not any(b"hint" in name for name in machine.disk)


def test_hints_are_kept_until_the_owner_has_them_on_its_disk() -> None:
    five = Five(exchange_interval_ms=0, durability="always")
    first = five.owners("k")[0]
    five.kill(first)
    five.run(20)
    client = five.client(five.others("k")[0])
    assert client("SET", "k", "v") == b"OK"
    five.run(5)
    assert five.hints() == 1
    five.boot(first)
    five.machines[ord(first) - 65].fsync = False
    five.run(1500)
    assert five.hints() == 1, "it may have the hint, but not on its disk"
    five.machines[ord(first) - 65].fsync = True
    assert client("DYN.SYNCWAIT", 5000) == 1
    assert five.hints() == 0


def test_an_owner_that_lost_its_disk_is_given_its_hints() -> None:
    five = Five(exchange_interval_ms=0)
    first = five.owners("k")[0]
    five.kill(first)
    five.run(20)
    client = five.client(five.others("k")[0])
    assert client("SET", "k", "v") == b"OK"
    five.machines[ord(first) - 65].disk.clear()
    five.back(first)
    assert client("DYN.SYNCWAIT", 5000) == 1
    assert five.client(first)("DYN.WITH", "R", "1", "GET", "k") == b"v"


def test_deletions_and_clearings_travel_as_hints() -> None:
    five = Five(exchange_interval_ms=0)
    key, other = "k", five.like("k")
    client = five.client(five.others(key)[0])
    assert client("MSET", key, "v", other, "w") == b"OK"
    one, two, three = five.owners(key)
    five.kill(one)
    five.run(20)
    assert client("DEL", key) == 1
    five.kill(two)
    five.run(20)
    assert client("FLUSHALL") == b"OK"
    assert client("DBSIZE") == 0
    assert client("KEYS", "*") == []
    five.kill(three)
    five.run(20)
    assert str(client("FLUSHALL")).startswith("NOQUORUM")
    five.boot(one)                # not the one that was asked directly
    five.boot(two)
    five.run(1500)
    assert client("DYN.SYNCWAIT", 5000) == 1
    for name in (one, two):
        for each in (key, other):
            assert five.client(name)("DYN.WITH", "R", "1", "GET", each) is None
        assert not five[name].replica.get(locator_of(other))


def test_coverage_finds_what_only_a_hint_has() -> None:
    five = Five(exchange_interval_ms=0)
    client = without_owners(five, "k")
    assert client("SET", "k", "v") == b"OK"
    assert str(client("KEYS", "*")).startswith("NOQUORUM")
    assert str(client("DBSIZE")).startswith("NOQUORUM")
    keepers = {name: five[name].handoff for name in five.others("k")}
    for handoff in keepers.values():
        handoff.tick = lambda: None    # type: ignore[method-assign]
    first = five.owners("k")[0]
    five.boot(first)
    five.run(1100)
    assert five.hints() == 2
    assert client("KEYS", "*") == [b"k"]
    assert client("SCAN", "0", "COUNT", "1000")[1] == [b"k"]    # type: ignore[index]


def test_explain_shows_who_stands_in_and_what_it_keeps() -> None:
    five = Five(exchange_interval_ms=0)
    one, two, _ = five.owners("k")
    five.kill(one)
    five.run(20)
    client = five.client(two)
    assert client("SET", "k", "v") == b"OK"
    explanation = client("DYN.EXPLAIN", "k")
    assert isinstance(explanation, list)
    rows = [dict(zip(row[::2], row[1::2], strict=True)) for row in explanation[-1]]
    assert [row[b"role"] for row in rows] == [b"primary", b"coordinator", b"primary", b"fallback"]
    assert rows[3][b"stands-in-for"] == rows[0][b"node"] == five[one].identity.node_id.encode()
    assert rows[3][b"holds"] == rows[1][b"holds"] == b"value"
    assert rows[3][b"dots"] == rows[1][b"dots"]


def test_hints_are_delivered_before_copies_are_compared() -> None:
    five = Five()
    one = five.owners("k")[0]
    client = five.client(five.others("k")[0])
    five.kill(one)
    five.run(20)
    for number in range(50):
        assert client("SET", five.like("k", f"{number}:"), "v") == b"OK"
    before = sum(five[name].counters.exchange_differences for name in "ABCDE" if name != one)
    five.back(one)
    five.run(5000)
    after = sum(machine.node.counters.exchange_differences for machine in five.machines)
    assert five.hints() == 0 and after == before
    assert five[one].exchange.clean_age_ms() >= 0, "they were compared"


def test_half_a_record_is_no_answer() -> None:
    """A change to a large key travels alone; what it is a change of the keeper does not know."""
    five = Five(exchange_interval_ms=0)
    one, two, three = five.owners("k")
    client = five.client(five.others("k")[0])
    assert client("SET", "k", "x" * WHOLE_BYTES) == b"OK"
    assert client("SET", five.like("k"), "small") == b"OK"
    five.kill(one)
    five.kill(two)
    five.run(20)
    for key in ("k", five.like("k")):
        assert isinstance(client("DYN.PUTCTX", key, "", "beside it"), bytes)
    five.kill(three)
    five.run(20)
    assert str(client("GET", "k")).startswith("NOQUORUM")
    assert client("GET", five.like("k")) == b"beside it"
    five.back(one, two, three)
    assert client("DYN.SYNCWAIT", 5000) == 1
    for name in (one, two, three):
        _, values = five.client(name)("DYN.WITH", "R", "1", "DYN.GETCTX", "k")  # type: ignore[misc]
        assert values == [b"beside it", b"x" * WHOLE_BYTES]


def test_a_time_to_live_for_a_large_value_is_kept_with_the_value() -> None:
    """Else the hint would prolong what has been forgotten meanwhile (0033)."""
    five = Five(exchange_interval_ms=0)
    owners = five.owners("k")
    client = five.client(five.others("k")[0])
    assert client("SET", "k", "x" * WHOLE_BYTES) == b"OK"
    five.kill(owners[0])
    five.kill(owners[1])
    five.run(20)
    assert client("EXPIRE", "k", 1000) == 1
    five.kill(owners[2])
    five.run(20)
    assert client("GET", "k") == b"x" * WHOLE_BYTES
    five.back(*owners)
    assert client("DYN.SYNCWAIT", 5000) == 1
    for name in owners:
        assert five.client(name)("DYN.WITH", "R", "1", "TTL", "k") > 900    # type: ignore[operator]


def test_the_age_of_a_hint_is_checked_at_both_ends() -> None:
    five = Five(exchange_interval_ms=0, hint_max_age_ms=800)
    first = five.owners("k")[0]
    five.kill(first)
    five.run(20)
    client = five.client(five.others("k")[0])
    assert client("SET", "k", "v") == b"OK"
    five.run(5)
    old = five.wall_ms
    record = next(five[name].hints.find(locator_of("k"))[0] for name in five.others("k")
                  if five[name].hints.count)
    five.run(1100)
    assert five.hints() == 0
    assert sum(five[name].counters.hints_dropped for name in five.others("k")) == 1
    five.back(first)
    assert five[first].handoff.answer(Deliver([(locator_of("k"), old, record)])) == 1
    assert five[first].replica.get(locator_of("k")) == b""
    assert five[first].counters.hints_dropped == 1


def test_a_keeper_without_room_is_passed_over_and_writes_go_on() -> None:
    five = Five(exchange_interval_ms=0, hint_max_bytes=2000)
    first = five.owners("k")[0]
    five.kill(first)
    five.run(20)
    client = five.client(five.others("k")[0])
    for number in range(60):
        assert client("SET", five.like("k", f"{number}:"), "x" * 100) == b"OK"
        five.run(2)
    kept = [five[name].hints.bytes for name in five.others("k")]
    assert all(2000 <= size < 2600 for size in kept), kept
    assert sum(five[name].counters.copies_unkept for name in "ABCDE" if name != first) > 0
    five.back(first)
    assert client("DYN.SYNCWAIT", 5000) == 1
    assert all(link.has_room for link in five["A"].links.values())


def test_a_hint_for_a_node_that_has_left_goes_to_those_who_own_the_partition_now() -> None:
    replica = Replica(Identity(1000), lambda: None)
    now = Now()
    hints = Hints(replica, Counters(), 1 << 20, 1000, now)
    now.wall_ms = 5000
    gone, stays, new, here = ("d" * 40, "b" * 40, "c" * 40, "a" * 40)
    five = Five()
    assert five.client("A")("SET", "k", "v") == b"OK"
    record, name = five.copies("k")[0], locator_of("k")
    hints.keep(gone, name, record, True)
    now.wall_ms = 6000
    hints.retarget(lambda _: (stays, new), here)
    assert hints.count_by_owner() == {stays: 1, new: 1}
    assert hints.oldest_of(hints.partition_of(name)) == 5000
    hints.retarget(lambda _: (here, new), here)
    assert hints.count_by_owner() == {new: 1}
    assert replica.get(name) == record
    pairs = replica.batch
    kept = {pairs[at]: pairs[at + 1] for at in range(0, len(pairs), 2)}
    kept = {name: value for name, value in kept.items() if value}
    assert sum(key.startswith(b"\xff\xffhint") for key in kept) == 1


def test_what_was_written_meanwhile_is_not_forgotten_with_what_was_delivered() -> None:
    five = Five()
    a = five.client("A")
    replica = Replica(Identity(1000), lambda: None)
    hints = Hints(replica, Counters(), 1 << 20, 1000, Now())
    owner, name = "b" * 40, locator_of("k")
    a("SET", "k", "one")
    hints.keep(owner, name, five.copies("k")[0], True)
    taken = hints.take(owner, 1 << 20, 100)
    a("SET", "k", "two")
    hints.keep(owner, name, five.copies("k")[0], True)
    hints.forget(owner, taken, 1, 0)
    assert hints.count == 1 and hints.find(name)[0] == five.copies("k")[0]
    hints.forget(owner, hints.take(owner, 1 << 20, 100), 2, 0)
    assert (hints.count, hints.bytes) == (0, 0)


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x02" + bytes(40), b"\x01\x01" + bytes(60)])
def test_damaged_hints_are_counted_when_they_are_read_back(value: bytes) -> None:
    hints = Hints(Replica(Identity(1000), lambda: None), Counters(), 1 << 20, 1000, Now())
    name = b"\xff\xffhint" + bytes(20) + bytes(2) + locator_of("k")
    assert hints.restore([name, value]) == 1
    assert hints.count == 0


def test_hints_for_another_nodes_partition_are_not_taken() -> None:
    five = Five()
    assert five.client("A")("SET", "k", "v") == b"OK"
    record = five.copies("k")[0]
    stranger = five[five.others("k")[0]]
    assert stranger.handoff.answer(Deliver([(locator_of("k"), five.wall_ms, record)])) == 2
    assert stranger.replica.get(locator_of("k")) == b""
