"""Worlds from seeds: the same ones each time, those that once found a bug, and a few new ones.

A failure shows the seed's story and the command that runs it again.
"""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from respdyn.node import Node
from respdyn.sim.plan import FAULTS, draw
from respdyn.sim.report import Outcome
from respdyn.sim.run import run

FIXED = 180
COLLECTIONS = 12
SCRIPTS = 6
GROWN = 226         # one node grows to a cluster here
FRESH = 10

# What some of the fixed seeds must have met, or they prove less than they seem to.
WANTED = (
    *(f"fault {fault}" for fault in FAULTS),
    "acknowledged data taken away", "repaired", "served without one", "siblings in the end",
    "hints delivered", "sloppy reads", "in doubt", "connections broken", "frames repeated",
    "batches lost", "client gave up",
    "trace ring_adopted", "trace peer_down", "trace storage_failed", "trace clock_offset",
    "trace peer_full",
    "change JOIN", "change LEAVE", "change REPLACE", "change CHANGE", "change FORCE-REMOVE",
    "grown from one",
)


def known_seeds(name: str = "seeds.txt") -> list[tuple[int, str]]:
    """The seeds that once found a bug, and which."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(int(seed), text) for seed, text in pairs]


def go(seed: int) -> Outcome:
    """Run a seed."""
    return run(draw(seed), Node)


def go_without_operators(seed: int) -> Outcome:
    """Run a seed without what was not drawn yet when it was found."""
    return run(replace(draw(seed).without_operators(), flushes=False), Node)


def go_with_collections(seed: int) -> Outcome:
    """Run a seed with clients that work on sets, hashes and counters."""
    return run(draw(seed).with_collections(), Node)


def go_with_scripts(seed: int) -> Outcome:
    """Run a seed with clients that send scripts as well."""
    return run(draw(seed).with_collections().with_scripts(), Node)


def passed(outcome: Outcome) -> Outcome:
    """A failure is shown as the command line shows it."""
    if outcome.failure:
        pytest.fail("\n".join(outcome.lines()), pytrace=False)
    return outcome


@pytest.mark.slow
def test_fixed_seeds_keep_every_promise_and_meet_every_fault(cores: ProcessPoolExecutor) -> None:
    counts = dict.fromkeys(WANTED, 0)
    for outcome in cores.map(go, (*range(1, FIXED + 1), GROWN)):
        for what, count in passed(outcome).counts.items():
            if what in counts:
                counts[what] += count
    assert not [what for what, count in counts.items() if not count]


@pytest.mark.slow
def test_seeds_that_once_found_a_bug(cores: ProcessPoolExecutor) -> None:
    seeds = known_seeds()
    assert all(text for _, text in seeds)
    for outcome in cores.map(go_without_operators, [seed for seed, _ in seeds]):
        passed(outcome)


@pytest.mark.slow
def test_collections_keep_every_promise(cores: ProcessPoolExecutor) -> None:
    known = [seed for seed, _ in known_seeds("collection_seeds.txt")]
    for outcome in cores.map(go_with_collections, (*range(1, COLLECTIONS + 1), *known)):
        passed(outcome)


@pytest.mark.slow
def test_scripts_beside_collections_keep_every_promise(cores: ProcessPoolExecutor) -> None:
    known = [seed for seed, _ in known_seeds("script_seeds.txt")]
    for outcome in cores.map(go_with_scripts, (*range(1, SCRIPTS + 1), *known)):
        passed(outcome)


@pytest.mark.slow
def test_seeds_never_tried_before(cores: ProcessPoolExecutor) -> None:
    first = random.SystemRandom().randrange(10**6, 10**9)
    print(f"seeds {first} to {first + FRESH - 1}")
    for outcome in cores.map(go, range(first, first + FRESH)):
        passed(outcome)
    for outcome in cores.map(go_with_collections, range(first, first + FRESH)):
        passed(outcome)
