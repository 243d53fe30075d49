"""Lists hold what was pushed and not removed by a client that saw it, in one order, everywhere."""

import random

import pytest

from respdyn.causal import big
from respdyn.causal.codec import context_of, join_records, verify
from respdyn.causal.dot import intern_actor
from respdyn.causal.parts import fitting, flat
from respdyn.commands.table import lookup
from respdyn.types import lists, positions, view
from tests.laws.test_collections import rows_below

SEEDS = 60
STEPS = 50


class ListWorld:
    """Three owners of one key, each its coordinator now and then; deltas are late, and repeated."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.actors = [intern_actor(self.rng.randbytes(16)) for _ in range(3)]
        self.records = [b""] * 3
        self.counters = [0] * 3
        self.clock = 1000 << 16
        self.flight: list[tuple[int, bytes]] = []
        self.pushed: dict[bytes, None] = {}
        self.gone: set[bytes] = set()           # popped, removed, or set to another value
        self.together: list[list[bytes]] = []   # what one command has pushed, as it stands
        self.number = 0

    def say(self, node: int, *words: bytes) -> bytes:
        """A command at a node: its reply; what it changed is on its way to the others."""
        argv = list(words)
        self.clock += self.rng.randrange(2)
        skew = self.rng.randrange(-3, 4)
        stamp = (self.actors[node], self.counters[node] + 1, 0, self.clock + skew)
        command = lookup(argv).single or lookup(argv)
        reply, delta = command.write(argv, self.records[node], 0, False, stamp)
        if delta:
            verify(delta)
            top = context_of(delta).top(self.actors[node])
            self.counters[node] = max(self.counters[node], top)
            self.take(node, delta)
            for other in range(3):
                if other != node:
                    self.flight += [(other, delta)] * self.rng.choice((1, 1, 2))
        return reply

    def take(self, node: int, delta: bytes) -> None:
        old = self.records[node]
        self.records[node] = fitting(join_records(old, delta) if old else delta)
        verify(flat(self.records[node]))

    def shown(self, node: int) -> list[bytes]:
        """All items, as a reader sees them."""
        return lists.values(lists.view_of(self.records[node], 0))

    def values(self, count: int) -> list[bytes]:
        """Values that no client has written before."""
        self.number += count
        made = [b"%d" % (self.number - at) for at in range(count)]
        self.pushed.update(dict.fromkeys(made))
        return made

    def act(self) -> None:
        rng, node = self.rng, self.rng.randrange(3)
        there = self.shown(node)
        chance = rng.random()
        if chance < 0.4 or not there:
            made = self.values(rng.choice((1, 1, 3)))
            is_left = rng.random() < 0.5
            self.say(node, b"LPUSH" if is_left else b"RPUSH", b"k", *made)
            stands = made[::-1] if is_left else made
            after = self.shown(node)
            assert (after[: len(made)] if is_left else after[-len(made) :]) == stands, "not its end"
            self.together.append(stands)
        elif chance < 0.55:
            side = rng.choice((b"BEFORE", b"AFTER"))
            self.say(node, b"LINSERT", b"k", side, rng.choice(there), *self.values(1))
        elif chance < 0.65:
            place = rng.randrange(len(there))
            self.gone.add(there[place])
            made = self.values(1)
            self.pushed.pop(made[0])    # of two that do not know each other one is shown
            self.say(node, b"LSET", b"k", b"%d" % place, *made)
        elif chance < 0.8:
            reply = self.say(node, rng.choice((b"LPOP", b"RPOP")), b"k")
            self.gone.add(reply.split(b"\r\n")[1])
        elif chance < 0.87:
            one = rng.choice(there)
            self.gone.add(one)
            self.say(node, b"LREM", b"k", b"0", one)
        elif chance < 0.92:
            first, last = sorted(rng.choices(range(len(there)), k=2))
            self.gone.update(there[:first], there[last + 1 :])
            self.say(node, b"LTRIM", b"k", b"%d" % first, b"%d" % last)
        elif chance < 0.97:
            self.say(node, b"DYN.LMOVE", b"k", b"k", *rng.choices((b"LEFT", b"RIGHT"), k=2))
            self.together.clear()       # an item that moved stands elsewhere
            self.moved = True
        else:
            self.gone.update(there)
            self.say(node, b"DEL", b"k")

    def run(self) -> None:
        self.moved = False
        for _ in range(STEPS):
            self.act()
            self.rng.shuffle(self.flight)
            for _ in range(self.rng.randrange(4)):
                if self.flight:
                    self.take(*self.flight.pop())
        while self.flight:
            self.take(*self.flight.pop())
        self.judge()

    def judge(self) -> None:
        shows = [self.shown(node) for node in range(3)]
        assert shows[0] == shows[1] == shows[2], "replicas differ"
        assert len({flat(record) for record in self.records}) == 1
        there = shows[0]
        if not self.moved:      # two moves that do not know each other leave an item twice
            assert len(set(there)) == len(there), "an item shows twice"
            assert not self.gone & set(there), "what is gone is there again"
        lost = [one for one in self.pushed if one not in self.gone and one not in there]
        assert not lost, f"items are lost: {lost}"
        place = {one: at for at, one in enumerate(there)}
        for group in self.together:
            found = [place[one] for one in group if one in place]
            assert found == sorted(found), "a command's items changed their order"


@pytest.mark.parametrize("is_big", [False, True], ids=["small", "big"])
@pytest.mark.parametrize("seed", range(0, SEEDS, 20))
def test_nothing_pushed_is_lost_and_all_see_one_order(
    seed: int, is_big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_big:
        monkeypatch.setattr(big, "SMALL_BYTES", 0)
        monkeypatch.setattr(big, "BIG_BYTES", 0)
    for one in range(seed, seed + 20):
        ListWorld(one).run()


def short_unique(dot: bytes) -> bytes:
    """A position that does not say whose it is."""
    return bytes(8)


def push_at_one_place(last: bytes, clock: int, dots: list[bytes]) -> list[bytes]:
    """A push that knows only the time."""
    return [clock.to_bytes(8) + positions.unique_of(dot) for dot in dots]


@pytest.mark.parametrize(("module", "name", "mutant"), [
    (positions, "unique_of", short_unique),
    (positions, "after_last", push_at_one_place),
    (view, "rows_of_dots", rows_below),
], ids=["positions of no actor", "pushes by time alone", "a pop covers what came before"])
def test_a_planted_bug_is_found(monkeypatch, module, name, mutant) -> None:
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            ListWorld(seed).run()
