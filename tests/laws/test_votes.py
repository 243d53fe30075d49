"""Whatever is lost or restarts, members decide on one ring; and what breaks that shows."""

import pytest

from respdyn.membership.decision import Decision
from respdyn.membership.votes import Accept, Prepare
from tests.laws.voting import Vote

SCHEDULES = 600
STEPS = 600


def decided(seed: int, decision_class: type[Decision]) -> int:
    """How many rings were decided for one version."""
    return len(Vote(seed, decision_class).run(STEPS))


class ForgetsItsVotes(Decision):
    """What it promised and accepted is forgotten over a restart."""

    def restore(self, kept: bytes | None, life: bytes, is_new_life: bool) -> None:
        super().restore(None, life, is_new_life)


class ForgetsItsPromises(Decision):
    """What it promised is forgotten over a restart; what it accepted is not."""

    def restore(self, kept: bytes | None, life: bytes, is_new_life: bool) -> None:
        super().restore(kept, life, is_new_life)
        self._kept.promised = (0, 0)


class SendsBeforeItIsStored(Decision):
    """Its answers do not wait for the disk."""

    def _prepare(self, peer: str, ask: Prepare) -> None:
        super()._prepare(peer, ask)
        self._send_now()

    def _accept(self, peer: str, ask: Accept) -> None:
        super()._accept(peer, ask)
        self._send_now()

    def _send_now(self) -> None:
        held, self.held, self._sealed = self.held, [], 0
        for peer, message in held:
            self._out(peer, message)


class IgnoresWhatWasAccepted(Decision):
    """Its promise does not say what it has accepted before."""

    def _prepare(self, peer: str, ask: Prepare) -> None:
        kept = self._kept
        accepted, ring = kept.accepted, kept.ring
        kept.accepted, kept.ring = (0, 0), b""
        super()._prepare(peer, ask)
        kept.accepted, kept.ring = accepted, ring


class VotesWithoutItsMemory(Decision):
    """One that has lost its disk votes as if it had never voted."""

    def begin_life(self, life: bytes) -> None:
        self.life = life


def test_one_ring_is_decided() -> None:
    made = [decided(seed, Decision) for seed in range(SCHEDULES)]
    assert max(made) == 1
    assert made.count(1) > SCHEDULES // 2


@pytest.mark.parametrize("mutant", [
    ForgetsItsVotes, ForgetsItsPromises, SendsBeforeItIsStored, IgnoresWhatWasAccepted,
    VotesWithoutItsMemory,
])
def test_a_deliberate_bug_decides_on_two(mutant: type[Decision]) -> None:
    assert any(decided(seed, mutant) > 1 for seed in range(SCHEDULES))
