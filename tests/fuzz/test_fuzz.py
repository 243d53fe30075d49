"""The first inputs of the fuzzer for each surface, the same at every run. `make fuzz` does more."""

import random

import pytest

from tests.fuzz.surfaces import Peers, channel, proofs, requests, tokens
from tests.fuzz.typed import Commands, Disks, Records, Restores

MANY = 2000


@pytest.mark.parametrize("say", [tokens, proofs, requests, channel])
def test_changed_bytes_are_refused_or_harmless(say) -> None:    # type: ignore[no-untyped-def]
    for seed in range(MANY):
        say(random.Random(f"{say.__name__}/{seed}"))


def test_changed_records_of_every_type_are_refused_or_sound() -> None:
    records = Records()
    for seed in range(MANY):
        records.say(random.Random(f"records/{seed}"))


def test_changed_payloads_of_dump_are_refused_or_harmless() -> None:
    restores = Restores()
    for seed in range(600):
        restores.say(random.Random(f"restore/{seed}"))


def test_a_node_begins_on_a_changed_disk() -> None:
    disks = Disks()
    for seed in range(30):
        disks.say(random.Random(f"disks/{seed}"))


@pytest.mark.parametrize("nodes", [1, 3])
def test_changed_commands_are_answered(nodes: int) -> None:
    commands = Commands(nodes)
    for seed in range(400 if nodes == 1 else 100):
        commands.say(random.Random(f"commands/{seed}"))


def test_changed_frames_of_a_member_are_refused_or_harmless() -> None:
    peers = Peers()
    for seed in range(1500):
        peers.say(random.Random(f"peers/{seed}"))
    peers.serves()
