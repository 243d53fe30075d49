"""The first inputs of the fuzzer for each surface, the same at every run. `make fuzz` does more."""

import random

import pytest

from tests.fuzz.surfaces import Peers, Restores, channel, proofs, records, requests, tokens

MANY = 2000


@pytest.mark.parametrize("say", [tokens, proofs, records, requests, channel])
def test_changed_bytes_are_refused_or_harmless(say) -> None:    # type: ignore[no-untyped-def]
    for seed in range(MANY):
        say(random.Random(f"{say.__name__}/{seed}"))


def test_changed_payloads_of_dump_are_refused_or_harmless() -> None:
    restores = Restores()
    for seed in range(300):
        restores.say(random.Random(f"restore/{seed}"))


def test_changed_frames_of_a_member_are_refused_or_harmless() -> None:
    peers = Peers()
    for seed in range(1500):
        peers.say(random.Random(f"peers/{seed}"))
    peers.serves()
