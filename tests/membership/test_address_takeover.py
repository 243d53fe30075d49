"""A node that lost its disk is started as it always was, and finds the place that it had."""

from dataclasses import replace

import msgspec
import pytest

from respdyn.errors import PeerError
from respdyn.host import NoHost
from respdyn.membership.address_takeover import Takeover
from tests.little import Little
from tests.membership.test_membership import (
    FAST,
    change,
    expect_empty_handed,
    fill,
    read,
    ring_of,
    settle,
    waits,
)

STRANGE = "7" * 40


class Process(NoHost):
    """Remembers under which node id the process is to begin anew."""

    def __init__(self) -> None:
        self.place = ""

    def begin_again(self, node_id: str) -> None:
        self.place = node_id


def start_empty(little: Little, name: str, **changes: object) -> Process:
    """Start a machine with an empty disk and no node id."""
    machine = little.machines[ord(name) - 65]
    little.wipe(name)
    given: dict[str, object] = {"node_id": "", **changes}
    machine.settings = replace(machine.settings, **given)      # type: ignore[arg-type]
    little.boot(name)
    process = Process()
    machine.node.host = process
    return process


def begin_again(little: Little, name: str, process: Process) -> None:
    """What the process does when it is asked to."""
    machine = little.machines[ord(name) - 65]
    little.kill(name)
    machine.settings = replace(machine.settings, node_id=process.place)
    little.boot(name)


def test_a_node_with_an_empty_disk_takes_the_place_that_it_had_in_a_new_life() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    before, actor = ring_of(little), little["C"].identity.actor
    lost = little.machines[2].name
    little.kill("C")
    little.run(20)
    process = start_empty(little, "C")
    stranger = little.machines[2].name
    little.until(lambda: process.place != "")
    assert process.place == lost != stranger
    assert "takes_place" in little.machines[2].diary.names
    begin_again(little, "C", process)
    little.until(lambda: little["C"].membership.ring is not None)
    assert little["C"].identity.actor != actor and little["C"].identity.is_new_life
    expect_empty_handed(little, "C")
    settle(little, "ABC")
    read(little, "ABC", "R", 1)
    assert ring_of(little).members == before.members
    assert not little["A"].membership.visitors, "it does not wait any more"


@pytest.mark.parametrize("others", [1, 2])
def test_it_finds_its_place_in_a_cluster_that_has_grown_beyond_its_seeds(others: int) -> None:
    little = Little(3, **FAST, seeds=2 if others == 2 else 3).ready()
    for number in range(others):
        little.add(**FAST)
        waits(little, "DE"[number])
    change(little, "A", *(f"JOIN 10.0.0.{4 + number}:6379" for number in range(others)))
    names = "ABCDE"[: 3 + others]
    settle(little, names)
    fill(little)
    lost = little.machines[2].name
    little.kill("C")
    little.run(20)
    process = start_empty(little, "C")
    stranger = little.machines[2].name
    little.until(lambda: all(little["C"].link_to(m.name).is_up for m in little.machines[3:]))
    assert all(stranger in little[name].membership.visitors for name in names if name != "C")
    little.until(lambda: process.place == lost, 5000)
    begin_again(little, "C", process)
    little.until(lambda: little["C"].membership.ring is not None)
    settle(little, names)
    read(little, names, "R", 1)


def test_who_waits_to_join_is_known_to_all_members_though_it_knows_one() -> None:
    little = Little(3, **FAST).ready()
    little.add(**FAST, seeds=("10.0.0.2:16379",))
    stranger = little.machines[3].name
    little.until(lambda: all(stranger in little[name].membership.visitors for name in "ABC"))
    little.until(lambda: all(little["D"].link_to(m.name).is_up for m in little.machines[:3]))
    change(little, "C", "JOIN 10.0.0.4:6379")
    settle(little, "ABCD")


def test_members_that_have_all_moved_find_each_other_by_one_that_has_not() -> None:
    little = Little(4, **FAST).ready()
    fill(little)
    for name in "ABC":
        little.kill(name)
    for number, name in enumerate("ABC"):
        machine = little.machines[number]
        machine.settings = replace(machine.settings, host=f"10.0.1.{number + 1}", seeds=())
        little.boot(name)
    little.ready()
    read(little, "ABCD")


def test_nonsense_about_members_that_moved_is_a_peers_mistake() -> None:
    little = Little(3, **FAST).ready()
    membership = little["A"].membership
    with pytest.raises(PeerError, match="malformed"):
        membership.learn_moved(msgspec.msgpack.encode({"b" * 40: "10.0.0.9"}))
    membership.learn_moved(msgspec.msgpack.encode({STRANGE: ("10.0.0.9", 1)}))
    assert membership.moved == {}, "no node that it knows"


def test_killed_between_its_two_names_it_is_no_reader_either() -> None:
    little = Little(3, **FAST).ready()
    fill(little)
    lost = little.machines[2].name
    little.kill("C")
    process = start_empty(little, "C")
    little.until(lambda: process.place != "")
    little.cut("A", "C")
    little.cut("B", "C")
    begin_again(little, "C", process)
    little.run(5)
    little.kill("C")
    little.heal()
    # Started once more as always: the name is on the disk, a ring never was.
    little.machines[2].settings = replace(little.machines[2].settings, node_id="")
    little.boot("C")
    assert little.machines[2].name == lost
    little.until(lambda: little["C"].membership.ring is not None)
    assert len(little["C"].transfers.to_fill()) == 16
    settle(little, "ABC")
    read(little, "ABC", "R", 1)


def test_one_of_two_others_is_not_enough() -> None:
    little = Little(3, **FAST).ready()
    little.kill("C")
    little.cut("B", "C")
    process = start_empty(little, "C")
    little.until(lambda: bool(little["A"].membership.visitors))
    little.run(8000)
    assert process.place == ""
    status = little.client("A")("DYN.CLUSTER", "STATUS")
    assert isinstance(status, list) and b"takes its place" in b"".join(status[3])
    little.heal()
    little.until(lambda: process.place != "")


def test_the_one_other_of_two_is_enough() -> None:
    little = Little(2, **FAST).ready()
    little.kill("B")
    process = start_empty(little, "B")
    little.until(lambda: process.place != "")


def test_a_member_that_is_reached_elsewhere_keeps_its_place() -> None:
    little = Little(3, **FAST).ready()
    lost = little.machines[2].name
    # C has moved to another address, of which A and B know; a stranger is put where it was.
    little.kill("C")
    little.machines[2].settings = replace(little.machines[2].settings, host="10.0.0.9")
    little.boot("C")
    little.until(lambda: all(little[n].link_to(lost).is_up for n in "AB"))
    little.add(**FAST, node_id="", host="10.0.0.3")
    process = Process()
    little["D"].host = process
    little.until(lambda: bool(little["A"].membership.visitors))
    little.run(5000)
    assert process.place == ""


def test_one_voice_that_reaches_the_member_is_enough_for_a_refusal() -> None:
    little = Little(5, **FAST, n=3).ready()
    little.kill("E")
    process = start_empty(little, "E")
    lost = "e" * 40
    takeovers = little["E"].gossip.takeovers
    cluster = ring_of(little).cluster_id
    little.until(lambda: little["E"].membership.awaits != "")
    for at in range(0, 9000, 500):
        # A reaches it somewhere, says A.
        said = Takeover(cluster, lost, True, 5)
        takeovers.receive(little.machines[0].name, msgspec.msgpack.encode(said))
        little["A"].gossip.takeovers.statements = list      # type: ignore[assignment, method-assign]
        little.run(500)
        assert process.place == "", at
    little.run(6000)
    assert process.place == lost, "old news counts no more"


def test_a_node_that_was_given_a_name_wants_that_one() -> None:
    little = Little(3, **FAST).ready()
    little.kill("C")
    process = start_empty(little, "C", node_id=STRANGE)
    little.until(lambda: STRANGE in little["A"].membership.visitors)
    little.run(5000)
    assert process.place == ""


def test_at_another_port_it_is_a_stranger() -> None:
    little = Little(3, **FAST).ready()
    little.kill("C")
    process = start_empty(little, "C", peer_port=16380)
    little.until(lambda: bool(little["A"].membership.visitors))
    little.run(5000)
    assert process.place == ""
    assert little["C"].membership.awaits


def test_nonsense_about_places_is_a_peers_mistake() -> None:
    little = Little(3, **FAST).ready()
    with pytest.raises(PeerError, match="takeover"):
        little["A"].gossip.takeovers.receive("x", b"\xc1")
