"""More was lost at once than W promises to survive: what is left is put together, and served."""

from respdyn.cluster.identity import META
from respdyn.membership.decision import AMNESIA_MS
from tests.little import Little
from tests.membership.test_membership import FAST, KEYS, fill


def lose(little: Little, names: str) -> None:
    for name in names:
        little.kill(name)
        little.wipe(name)
    for name in names:
        little.boot(name)


def is_filled(little: Little) -> bool:
    return all(
        machine.node.membership.ring is not None and not machine.node.transfers.to_fill()
        for machine in little.machines
    )


def test_two_nodes_that_lost_their_disks_do_not_wait_for_each_other_for_ever() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    little.run(20)
    lose(little, "AB")
    little.until(lambda: is_filled(little), 20_000)
    client = little.client("B")
    for key in KEYS:
        assert client("GET", key) == b"v-" + key.encode()
    assert client("SET", "new", "1") == b"OK"


def test_a_cluster_that_is_restored_from_backups_has_what_any_of_them_has() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    little.run(20)
    for name in "ABC":
        little.kill(name)
    for at, machine in enumerate(little.machines):
        records = sorted(name for name in machine.disk if name[:2] != META)
        for number, name in enumerate(records):
            if number % 3 == at:                # each lacks a third
                del machine.disk[name]
        left = records[(at + 1) % 3]            # and one is damaged, so it begins a new life
        machine.disk[left] = machine.disk[left][:-1] + b"?"
        little.boot("ABC"[at])
        assert machine.node.identity.is_new_life
    little.until(lambda: is_filled(little), 20_000)
    for name in "ABC":
        client = little.client(name)
        for key in KEYS:
            assert client("DYN.WITH", "R", 1, "GET", key) == b"v-" + key.encode()
    # All have forgotten their votes. With all nodes there for a minute they vote again.
    assert all(machine.node.changes.decision.has_forgotten for machine in little.machines)
    client = little.client("A")
    for command in (("CHANGE", "10.0.0.2:6379", "WEIGHT", 2), ("PLAN",)):
        client("DYN.CLUSTER", *command)
    client.send("DYN.CLUSTER", "COMMIT")
    assert "try again in a minute" in str(client.receive(12_000))
    little.cut("A", "C")
    little.run(70_000)
    assert all(machine.node.changes.decision.has_forgotten for machine in little.machines[::2])
    little.heal()
    little.run(AMNESIA_MS + 5_000)
    assert not any(machine.node.changes.decision.has_forgotten for machine in little.machines)
    client("DYN.CLUSTER", "PLAN")
    assert client("DYN.CLUSTER", "COMMIT") == b"OK"
