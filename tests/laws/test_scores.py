"""Scores: one node shows Redis's doubles, several show the exact sum of what each has moved."""

import random
from fractions import Fraction

import pytest

from respdyn.causal.codec import join_records
from respdyn.causal.dot import Stamp, intern_actor
from respdyn.types import registers, sorted_sets
from respdyn.types.view import Draft, always

AMOUNTS = (0.1, 0.2, 1.0, -0.3, 1e16, -1e16, 5e-324, 1e300)
SEEDS = 150


class Node:
    """An owner that coordinates."""

    def __init__(self, letter: bytes) -> None:
        self.actor = intern_actor(letter * 16)
        self.counter = 0
        self.record = b""

    def draft(self) -> Draft:
        """A draft of what it holds. Its deltas mint at most three dots."""
        self.counter += 4
        stamp: Stamp = (self.actor, self.counter, 0, self.counter)
        return Draft(self.record, 0, sorted_sets.SCORES, always, stamp)

    def put(self, score: float, member: bytes = b"m") -> None:
        draft = self.draft()
        sorted_sets.put(draft, member, score)
        self.take(draft.delta())

    def add(self, increment: float) -> float:
        draft = self.draft()
        shown = sorted_sets.add(draft, b"m", increment)
        self.take(draft.delta())
        return shown

    def remove(self) -> None:
        draft = self.draft()
        sorted_sets.remove(draft, b"m")
        self.take(draft.delta())

    def take(self, record: bytes) -> None:
        self.record = join_records(self.record, record) if self.record and record else (
            record or self.record)

    @property
    def score(self) -> float | None:
        return sorted_sets.score(sorted_sets.view_of(self.record, 0), b"m")


def alone(seed: int) -> None:
    """A course at one node, and the same in doubles."""
    chance = random.Random(seed)
    node, expected = Node(b"a"), chance.choice((0.1, 1.5, 1e16, -3.3, chance.uniform(-1e3, 1e3)))
    node.put(expected)
    for _ in range(chance.randrange(1, 25)):
        amount = chance.choice((*AMOUNTS, chance.uniform(-5, 5)))
        expected += amount
        assert node.add(amount) == expected == node.score


def cut(seed: int) -> None:
    """Three nodes move a score apart, each by sums that it shows exactly; then they meet."""
    chance = random.Random(seed)
    nodes = [Node(letter) for letter in (b"a", b"b", b"c")]
    nodes[0].put(8.0)
    for node in nodes[1:]:
        node.take(nodes[0].record)
    total = Fraction(8)
    for _ in range(20):
        amount = chance.choice((0.5, 1.0, -2.25, 0.0, 1024.0))
        chance.choice(nodes).add(amount)
        total += Fraction(amount)
    shown = set()
    for _ in range(3):
        whole = Node(b"d")
        for node in chance.sample(nodes, 3):
            whole.take(node.record)
        shown.add(whole.score)
    assert shown == {float(total)}


def removed(seed: int) -> None:
    """A removal takes away what it has seen of the increments of others, no more."""
    chance = random.Random(seed)
    one, other = Node(b"a"), Node(b"b")
    if seed % 2:
        other.put(1.0, b"another, so the key stays")
    other.add(float(chance.randrange(1, 9)))
    one.take(other.record)
    late = 0.0
    for _ in range(chance.randrange(1, 4)):
        amount = float(chance.randrange(1, 9))
        late += amount
        other.add(amount)
    one.remove()
    one.take(other.record)
    other.take(one.record)
    assert one.record == other.record and one.score == late


LAWS = {"alone": alone, "cut": cut, "removed": removed}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_scores_are_exact(law):
    for seed in range(SEEDS):
        law(seed)


def add_the_increment(draft, member, increment):
    """ZINCRBY that keeps what it was asked for, not what the shown score has moved by."""
    registers.move(
        draft, sorted_sets.LETTER + member, sorted_sets.doubles.grains_of(increment),
        sorted_sets.doubles.ONE,
    )
    return sorted_sets.score(draft, member)


def erase_without_baselines(draft, element):
    """ZREM that does not say what it has seen of others' runs."""
    draft.drop(element)


def put_the_sum(draft, element, amount, one):
    """ZINCRBY that writes the new score as a value."""
    before = sorted_sets.score(draft, element[1:]) or 0.0
    registers.write(
        draft, element, sorted_sets.doubles.pack(before + sorted_sets.doubles.from_grains(amount)))


@pytest.mark.parametrize(("module", "name", "mutant", "law"), [
    (sorted_sets, "add", add_the_increment, alone),
    (registers, "erase", erase_without_baselines, removed),
    (registers, "move", put_the_sum, cut),
], ids=["a run keeps increments", "ZREM leaves no baselines", "ZINCRBY is a ZADD"])
def test_a_planted_bug_is_found(module, name, mutant, law, monkeypatch):
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            law(seed)
