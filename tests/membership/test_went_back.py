"""A disk that is older than what its node has sent is noticed before a client is answered."""

from respdyn.cluster.identity import META
from tests.little import Little

KEYS = [f"k{at}" for at in range(20)]


def started(**changes: object) -> Little:
    given: dict[str, object] = {"durability": "always", "heartbeat_ms": 100, "partitions": 8}
    given.update(changes)
    little = Little(3, **given).ready()
    little.run(50)
    return little


def write(little: Little, name: str, value: str) -> None:
    client = little.client(name)
    for key in KEYS:
        assert client("SET", key, value) == b"OK"
    little.run(20)


def snapshot(little: Little, name: str) -> dict[bytes, bytes]:
    return dict(little.machines[ord(name) - 65].disk)


def put_back(little: Little, name: str, disk: dict[bytes, bytes]) -> None:
    little.kill(name)
    little.run(50)
    little.machines[ord(name) - 65].disk = dict(disk)
    little.boot(name)


def went_back(little: Little, name: str) -> bool:
    return "data_went_back" in little.machines[ord(name) - 65].diary.names


def test_an_old_copy_of_the_disk_begins_a_new_life_before_a_client_is_shown_it() -> None:
    little = started()
    write(little, "A", "old")
    disk = snapshot(little, "B")
    write(little, "C", "new")
    before = little["B"].identity.actor
    put_back(little, "B", disk)
    clients = {key: little.client("B") for key in KEYS}
    for key, client in clients.items():
        client.send("DYN.WITH", "R", 1, "GET", key)
    for client in clients.values():
        assert client.receive() == b"new"
    assert went_back(little, "B") and little["B"].identity.actor != before
    assert little["B"].counters.disks_went_back == 1
    little.until(lambda: not little["B"].transfers.unfilled, 20_000)
    for slot in range(16384):
        assert little["B"].replica.slots[slot] == little["A"].replica.slots[slot]
    little.kill("B")
    little.run(50)
    little.boot("B")                    # and that life goes on
    little.run(50)
    assert not little["B"].identity.is_new_life and little["B"].counters.disks_went_back == 0


def test_a_torn_tail_is_noticed() -> None:
    """One batch that was synced is gone: that of the last command that others have received."""
    little = started()
    write(little, "B", "1")
    disk = snapshot(little, "B")
    assert little.client("A")("SET", little.key_of("A"), "2") == b"OK"
    little.run(150)
    put_back(little, "B", disk)
    little.run(100)
    assert went_back(little, "B")


def test_who_lost_nothing_goes_on_with_its_life() -> None:
    for durability in ("always", "everysec", "no"):
        little = started(durability=durability)
        for name in "ABCAB":
            write(little, name, name)
            little.kill(name)
            little.run(300)
            little.boot(name)
            little.run(100)
            assert not little[name].identity.is_new_life
        little.kill("A")
        little.kill("C")                # who remembers is restarted as well
        for name in "CA":
            little.boot(name)
            little.run(500)
        little.cut("A", "B")
        little.run(300)
        little.heal()
        little.run(1_000)
        assert not any(went_back(little, name) for name in "ABC")


def test_under_everysec_an_older_copy_is_noticed_and_a_lost_second_is_not() -> None:
    little = started(durability="everysec")
    write(little, "A", "1")
    disk = snapshot(little, "B")
    write(little, "A", "2")
    put_back(little, "B", disk)
    little.run(300)
    assert not went_back(little, "B")
    write(little, "A", "3")
    little.run(12_000)                  # a mark has been synced since
    put_back(little, "B", disk)
    little.run(300)
    assert went_back(little, "B")


def test_those_who_remember_do_so_across_their_own_restarts() -> None:
    little = started()
    write(little, "A", "old")
    disk = snapshot(little, "B")
    for round in range(3):
        write(little, "A", f"new{round}")
        little.run(1_100)
    for name in "AC":
        little.kill(name)
        little.run(10)
        little.boot(name)
        little.run(300)
    put_back(little, "B", disk)
    little.run(300)
    assert went_back(little, "B")


def test_an_old_disk_does_not_come_back_after_a_new_one() -> None:
    little = started()
    write(little, "A", "old")
    disk = snapshot(little, "B")
    put_back(little, "B", {})
    little.until(lambda: not little["B"].transfers.unfilled, 20_000)
    little.run(1_000)
    put_back(little, "B", disk)
    little.run(300)
    assert went_back(little, "B")
    little.until(lambda: not little["B"].transfers.unfilled, 20_000)


def test_what_was_deleted_and_forgotten_since_stays_deleted() -> None:
    little = started(
        tombstone_grace_ms=2_000, hint_max_age_ms=500, message_max_age_ms=500,
        max_clock_offset_ms=200, collect_interval_ms=50,
    )
    write(little, "A", "v")
    assert little.client("A")("DEL", KEYS[0]) == 1      # a first round of collecting
    little.run(4_000)
    disk = snapshot(little, "B")
    for key in KEYS[1:]:
        assert little.client("A")("DEL", key) == 1
    little.until(lambda: not any(m.node.replica.records for m in little.machines), 20_000)
    put_back(little, "B", disk)
    little.run(300)
    assert went_back(little, "B")
    little.until(lambda: not little["B"].transfers.unfilled, 20_000)
    little.run(5_000)
    for key in KEYS:
        for name in "ABC":
            assert little.client(name)("DYN.WITH", "R", 3, "GET", key) is None


def test_nothing_is_asked_twice_under_one_number() -> None:
    """Else a copy from between two questions has promised what it was not there for."""
    collection = started()["A"].collection
    assert collection._promise_here(3) < collection._promise_here(3)


def test_hints_of_an_old_disk_are_not_handed_over() -> None:
    little = Little(4, durability="always", heartbeat_ms=100, partitions=8).ready()
    little.kill("A")
    little.run(2_000)
    write(little, "B", "hinted")
    keepers = [name for name in "BCD" if little[name].hints.count]
    disk = snapshot(little, keepers[0])
    little.boot("A")
    little.until(lambda: not any(little[name].hints.count for name in "ABCD"), 20_000)
    write(little, "B", "later")
    little.run(300)
    put_back(little, keepers[0], disk)
    little.run(300)
    assert went_back(little, keepers[0]) and not little[keepers[0]].counters.hints_delivered


def test_a_member_that_all_hold_for_down_is_not_waited_for() -> None:
    little = started(request_timeout_ms=2_000)
    little.kill("C")
    little.run(3_000)
    little.kill("B")
    little.run(100)
    little.boot("B")
    client = little.client("B")
    client.send("SET", "k", "v")
    assert client.receive(60) == b"OK"


def test_a_malformed_word_is_refused() -> None:
    import pytest

    from respdyn.cluster.messages import GOSSIP_KNOWN, GOSSIP_LIFE
    from respdyn.errors import PeerError

    little = started()
    link = little["A"].links[little.machines[1].name]
    for kind in (GOSSIP_LIFE, GOSSIP_KNOWN):
        for body in (b"", b"\xc1", b"\x93\xc4\x01a\x01\x01"):
            with pytest.raises(PeerError):
                little["A"].sessions.arrival.lives.receive(link, kind + body)
    assert META + b"mark" in little.machines[0].disk
