"""The first ring: seeds, candidates, promises; and who is refused."""

from dataclasses import replace

import pytest

from respdyn.config_values import ConfigError
from respdyn.errors import PeerError
from respdyn.membership.membership import RING
from respdyn.membership.token_keys import TOKEN_KEYS
from tests.little import Little


def ring_ids(little: Little) -> set[str]:
    return {
        m.node.membership.ring.cluster_id for m in little.machines
        if m.node.membership.ring is not None
    }


def test_nodes_that_know_one_seed_find_each_other() -> None:
    little = Little(3, seeds=1).ready()
    assert len(ring_ids(little)) == 1


def test_a_node_alone_is_a_cluster_of_one() -> None:
    little = Little(1).ready()
    client = little.client("A")
    assert client("SET", "k", "v") == b"OK"
    assert client("GET", "k") == b"v"


def test_until_the_cluster_has_formed_commands_say_so() -> None:
    little = Little(3)
    little.machines[1].is_running = little.machines[2].is_running = False
    assert str(little.client("A")("GET", "k")).startswith("CLUSTERDOWN the cluster is forming")
    assert little.client("A")("PING") == b"PONG"


def test_four_nodes_of_a_cluster_of_three_form_one_ring() -> None:
    little = Little(4, cluster_size=3)
    little.run(3000)
    assert len(ring_ids(little)) == 1
    assert sum(m.node.membership.ring is not None for m in little.machines) == 3


def test_the_ring_survives_a_restart_of_all() -> None:
    little = Little(3).ready()
    before = ring_ids(little)
    assert little.client("A")("SET", "k", "v") == b"OK"
    little.run(5)
    for name in "ABC":
        little.kill(name)
    for name in "ABC":
        little.boot(name)
    little.ready()
    assert ring_ids(little) == before
    assert little.client("B")("GET", "k") == b"v"


def test_a_foreign_cluster_is_refused() -> None:
    ours, theirs = Little(3).ready(), Little(3, node_id="").ready()
    with pytest.raises(PeerError, match="belongs to cluster"):
        ours["A"].meet(theirs["A"].greeting())


def test_malformed_greetings_are_refused() -> None:
    node = Little(3)["A"]
    whole = Little(3)["B"].greeting()
    for cut in range(len(whole)):
        with pytest.raises(PeerError):
            node.meet(whole[:cut])
    with pytest.raises(PeerError):
        node.meet(b"\xc1" * 40)


def test_a_restarted_node_keeps_its_actor_and_never_repeats_a_counter() -> None:
    little = Little(3).ready()
    assert little.client("A")("SET", "k", "v") == b"OK"
    little.run(5)
    identity = little["A"].identity
    little.kill("A")
    little.boot("A")
    again = little["A"].identity
    assert again.node_id == identity.node_id and again.actor == identity.actor
    assert again.counter >= identity.counter and again.floor == again.counter


def test_a_memory_node_begins_a_new_life() -> None:
    little = Little(3, engine="memory").ready()
    actor = little["A"].identity.actor
    little.kill("A")
    little.boot("A")
    assert little["A"].identity.actor != actor


def test_damage_in_the_store_ends_a_life_and_keeps_the_node_id() -> None:
    little = Little(3).ready()
    assert little.client("A")("SET", "k", "v") == b"OK"
    little.run(5)
    machine = little.machines[0]
    before = machine.node.identity
    little.kill("A")
    locator = next(name for name in machine.disk if name[:2] != b"\xff\xff")
    machine.disk[locator] = machine.disk[locator][:-1] + b"X"
    little.boot("A")
    after = machine.node.identity
    assert machine.node.damaged == 1
    assert after.node_id == before.node_id and after.actor != before.actor
    little.ready()
    assert little.client("A")("GET", "k") == b"v"


def test_a_node_that_was_given_an_older_data_directory_mints_under_a_new_name() -> None:
    """Otherwise it would mint dots a second time, and the new values would pass for the old."""
    little = Little(3, lease_block=4).ready()
    a = little.client("A")
    key = little.key_of("A")
    little.run(5)
    backup = dict(little.machines[0].disk)
    actor = little["A"].identity.actor
    for number in range(40):
        assert a("SET", key, number) == b"OK"
    little.run(5)
    little.kill("A")
    little.machines[0].disk = backup
    little.boot("A")
    little.ready()
    assert little["A"].identity.actor != actor          # it learned that as it met the others
    assert little.client("A")("GET", key) == b"39"
    little.client("B")("GET", key)
    little.run(20)
    assert little.client("A")("SET", key, "after") == b"OK"
    little.run(5)
    for name in "ABC":
        assert little.client(name)("GET", key) == b"after"


@pytest.mark.parametrize("given", [{"cluster_size": 3}, {"cluster_size": 3, "n": 3}])
def test_a_size_without_seeds_is_no_cluster_of_one(given: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="cluster-size 3: without seeds"):
        Little(1, **given)


def test_who_still_forms_and_is_started_without_seeds_founds_nothing() -> None:
    little = Little(3)
    little.run(1)
    little.kill("B")
    little.kill("C")
    little.run(50)
    assert little["A"].membership.ring is None
    little.kill("A")
    machine = little.machines[0]
    machine.settings = replace(machine.settings, seeds=(), cluster_size=0)
    with pytest.raises(ConfigError, match="begun with seeds"):
        little.boot("A")
    little.wipe("A")
    little.boot("A")
    assert little["A"].membership.ring is not None


@pytest.mark.parametrize("value", [
    b"", b"\x02", b"\x02\x05", b"\x05", b"\x91\x92\x01\xc4\x01k", b"\xff",
])
@pytest.mark.parametrize("name", [RING, TOKEN_KEYS])
def test_a_damaged_fact_of_a_node_is_sent_by_the_others(name: bytes, value: bytes) -> None:
    """The node ended with a traceback, at each start."""
    little = Little(3).ready()
    assert little.client("A")("SET", "k", "v") == b"OK"
    ring, keys = little["A"].membership.ring, little["A"].dispatcher.token_keys
    little.kill("A")
    little.machines[0].disk[name] = value
    little.boot("A")
    assert little["A"].damaged == 1 and little["A"].identity.is_new_life
    little.ready()
    assert little["A"].membership.ring == ring
    assert set(keys) <= set(little["A"].dispatcher.token_keys)
    assert little.client("A")("GET", "k") == b"v"


def test_a_node_with_a_damaged_ring_and_no_seeds_founds_a_cluster_only_if_asked_to() -> None:
    little = Little(1).ready()
    little.client("A")("SET", "k", "v")
    little.run(20)
    little.kill("A")
    machine = little.machines[0]
    machine.disk[RING] = b"\x02damaged"
    with pytest.raises(ConfigError, match="--cluster-size 1"):
        little.boot("A")
    machine.settings = replace(machine.settings, cluster_size=1)
    little.boot("A")
    assert little.client("A")("GET", "k") == b"v"
