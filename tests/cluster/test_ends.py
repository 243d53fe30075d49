"""How far actors have come is proved wherever their dots come: nothing honest is refused for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from respdyn.causal.codec import encode_plain, verify
from respdyn.causal.minting import (
    COUNTER_MAX,
    LEVELS,
    STEP,
    chain_of,
    check_proof,
    end_of,
    level_of,
)
from respdyn.cluster.ends import ENDS, HASHES_MAX, Ends
from respdyn.cluster.identity import LIFE, Identity
from respdyn.cluster.statistics import Counters
from respdyn.errors import DamagedError
from respdyn.ring.hashing import locator
from tests.little import Dice, Little

CHAIN = chain_of(b"s" * 16)


@given(st.integers(1, COUNTER_MAX))
def test_levels_speak_of_every_counter_and_of_little_more(counter: int) -> None:
    end = end_of(level_of(counter))
    assert counter <= end <= counter + max(STEP, counter // 8)
    assert end_of(level_of(counter) - 1) < counter


@given(st.integers(0, LEVELS), st.integers(0, LEVELS))
def test_a_proof_proves_its_level_and_no_other(known: int, level: int) -> None:
    if known < level:
        check_proof(CHAIN[0], known, CHAIN[known], level, CHAIN[level])
    for wrong in (level - 1, level + 1):
        with pytest.raises(DamagedError):
            check_proof(CHAIN[0], known, CHAIN[known], wrong, CHAIN[level])


def some_ends(counters: Counters) -> Ends:
    identity = Identity(1000)
    identity.begin({}, Dice(1), "aa" * 20, True)
    return Ends(identity, lambda name, value: None, lambda: None, counters)


def test_proofs_that_prove_nothing_are_refused_and_so_is_work_without_end() -> None:
    counters = Counters()
    ends = some_ends(counters)
    for statement in (
        CHAIN[0] + (5).to_bytes(2, "big") + CHAIN[4], CHAIN[1] + (5).to_bytes(2, "big") + CHAIN[5],
        CHAIN[0] + (LEVELS + 1).to_bytes(2, "big") + CHAIN[LEVELS], b"x" * 33,
    ):
        with pytest.raises(DamagedError):
            ends.receive("peer", statement)
    assert counters.proofs_refused == 3 and not ends.highest
    top = LEVELS.to_bytes(2, "big")
    many = [chain_of(bytes([i]) * 8 + bytes([j]) * 8) for i in range(4) for j in range(250)]
    assert len(many) * LEVELS > HASHES_MAX
    statement = b"".join(chain[0] + top + chain[LEVELS] for chain in many)
    with pytest.raises(DamagedError, match="one turn"):
        ends.receive("peer", statement)
    ends.turn_ends()
    ends.receive("peer", statement)         # what was checked is known: the next connection goes on
    assert len(ends.highest) == len(many)


def spread(little: Little, name: str, by: int) -> None:
    """Have a node mint so many dots more, of which the last one is a write's."""
    little[name].identity.counter += by
    little[name].identity.safe_end += by
    little[name].identity.lease_end += by


@pytest.mark.parametrize("by", [STEP - 1, STEP, STEP + 1, 10 * STEP, 10**6, 10**12])
def test_a_write_beyond_what_was_proved_is_taken_in_the_same_turn(by: int) -> None:
    little = Little(3).ready()
    for name in "ABC":
        spread(little, name, by)
        key = little.key_of(name)
        assert little.client(name)("SET", key, name) == b"OK"
        assert [little.client(other)("GET", key) for other in "ABC"] == [name.encode()] * 3
    assert sum(little[name].counters.claims_refused for name in "ABC") == 0


def test_a_record_that_comes_by_another_node_brings_its_proof() -> None:
    """A and B, B and C see each other. A's write reaches C by B, by whatever way."""
    little = Little(3, exchange_interval_ms=200).ready()
    little.cut("A", "C")
    little.run(3000)
    spread(little, "A", 50 * STEP)
    keys = [f"k{i}" for i in range(40)]
    for key in keys:
        little.client("A")("SET", key, "v")
    little.run(4000)
    for key in keys:
        assert little.client("C")("DYN.WITH", "R", "1", "GET", key) == b"v", key
    assert sum(little[name].counters.claims_refused for name in "ABC") == 0


def test_a_token_brings_the_proofs_to_where_no_node_knows_them() -> None:
    """C alone is cut off. It does not know A's dots when a client shows it a context of them."""
    little = Little(3, w=1, r=1, n=3).ready()
    little.cut("A", "C")
    little.cut("B", "C")
    little.run(3000)
    spread(little, "A", 50 * STEP)
    token = little.client("A")("DYN.PUTCTX", "k", "", "v")
    assert isinstance(token, bytes) and len(token) > 80
    reply = little.client("C")("DYN.PUTCTX", "k", token, "w")
    assert isinstance(reply, bytes), reply
    little.heal()
    little.run(8000)
    for name in "ABC":
        assert little.client(name)("DYN.GETCTX", "k")[1] == [b"w"], name     # type: ignore[index]
    assert sum(little[name].counters.claims_refused for name in "ABC") == 0


def test_proofs_are_on_the_disk_with_the_records() -> None:
    little = Little(3).ready()
    spread(little, "A", 5 * STEP)
    little.client("A")("SET", little.key_of("A"), "v")
    little.run(50)
    ends = dict(little["B"].this.ends.highest)
    for name in "ABC":
        little.kill(name)
    little.boot("B")
    assert {actor: little["B"].this.ends.highest[actor] for actor in ends} == ends


def test_a_proof_of_this_node_that_it_has_not_shown_says_that_its_disk_went_back() -> None:
    little = Little(3).ready()
    b = little["B"]
    actor, links = b.identity.actor, b.identity.links
    level = level_of(b.identity.counter) + 3
    b.this.ends.receive("peer", actor + level.to_bytes(2, "big") + links[level])
    assert b.identity.actor != actor
    little.run(3000)
    assert little.client("B")("SET", little.key_of("B"), "v") == b"OK"


def test_a_directory_from_before_there_were_proofs_keeps_what_it_holds() -> None:
    """Its dots are those of lives that are over. No memory is lost: only names are new."""
    little = Little(3).ready()
    for i in range(20):
        little.client("A")("SET", f"k{i}", "v")
    little.run(50)
    for name in "ABC":
        little.kill(name)
    old = {}
    for machine in little.machines:
        disk = machine.disk
        for entry in [entry for entry in disk if entry.startswith(ENDS)]:
            del disk[entry]
        end = disk[LIFE][17:25]
        old[machine.settings.node_id] = actor = bytes([len(old) + 1]) * 16
        disk[LIFE] = b"\x01" + actor + end
        # Only this node knows one that is gone.
        gone = encode_plain(1 << 16, bytes([len(old) + 64]) * 16, 0, 7 * STEP, 0, b"old")
        verify(gone)
        disk[locator(0, b"of" + actor)] = gone
    for name in "ABC":
        little.boot(name)
    little.run(5000)
    assert not any("memory_lost" in machine.diary.names for machine in little.machines)
    for name in "ABC":
        node, client = little[name], little.client(name)
        assert node.identity.actor not in old.values() and not node.identity.is_new_life
        assert [client("GET", f"k{i}") for i in range(20)] == [b"v"] * 20
        assert [client("GET", b"of" + actor) for actor in old.values()] == [b"old"] * 3
        assert client("SET", "k1", "v") == b"OK"
        assert node.counters.claims_refused == 0
