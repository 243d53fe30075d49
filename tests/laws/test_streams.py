"""Streams hold what was added and not removed by a client that saw it; groups skip nothing."""

import random

import pytest

from respdyn.causal import big
from respdyn.causal.codec import context_of, join_records, rows_of, verify
from respdyn.causal.dot import intern_actor
from respdyn.causal.parts import fitting, flat
from respdyn.commands.table import lookup
from respdyn.types import stream_dump, stream_groups, streams, view
from tests.commands.test_elements import parsed

SEEDS = 60
STEPS = 60


class StreamWorld:
    """Three owners of one key, each its coordinator now and then; deltas are late, and repeated.

    No command reads a quorum: all that is promised here holds however little a coordinator knows.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.actors = [intern_actor(self.rng.randbytes(16)) for _ in range(3)]
        self.records = [b""] * 3
        self.counters = [0] * 3
        self.clock = 1000 << 16
        self.flight: list[tuple[int, bytes]] = []
        self.added: dict[bytes, bytes] = {}     # ids, by value
        self.gone: set[bytes] = set()           # ids
        self.given: dict[bytes, int] = {}       # how often a group was given an id
        self.acked: set[bytes] = set()
        self.claimed: set[bytes] = set()        # given by XAUTOCLAIM, or twice
        for node in range(3):
            self.say(0, b"XGROUP", b"CREATE", b"k", b"g", b"0", b"MKSTREAM")
            self.take(node, self.records[0])

    def say(self, node: int, *words: bytes) -> object:
        """A command at a node: its reply; what it changed is on its way to the others."""
        argv = list(words)
        self.clock += self.rng.randrange(2) << 16
        skew = self.rng.randrange(-3, 4) << 16
        stamp = (self.actors[node], self.counters[node] + 1, 0, self.clock + skew)
        command = lookup(argv)
        if command.wants_place:
            argv.append(b"1" if node == 0 else b"0")
        if command.name == "xgroup|create" and self.records[node]:
            return None
        reply, delta = command.write(argv, self.records[node], self.clock >> 16, False, stamp)
        if delta:
            verify(delta)
            top = context_of(delta).top(self.actors[node])
            self.counters[node] = max(self.counters[node], top)
            self.take(node, delta)
            for other in range(3):
                if other != node:
                    self.flight += [(other, delta)] * self.rng.choice((1, 1, 2))
        return parsed(reply)

    def take(self, node: int, delta: bytes) -> None:
        old = self.records[node]
        self.records[node] = fitting(join_records(old, delta) if old else delta)
        verify(flat(self.records[node]))

    def ids(self, node: int) -> list[bytes]:
        """The ids that a reader sees, in their order."""
        found = streams.view_of(self.records[node], 0)
        order = streams.order_of(found)
        return [streams.shown(element[1:]) for element in order.first(order.count())]

    def act(self) -> None:
        rng, node = self.rng, self.rng.randrange(3)
        there = self.ids(node)
        chance = rng.random()
        if chance < 0.4:
            value = b"%d" % len(self.added)
            id_ = self.say(node, b"XADD", b"k", b"*", b"v", value)
            assert isinstance(id_, bytes) and id_ not in self.added.values(), "given twice"
            assert self.ids(node)[-1] == id_
            self.added[value] = id_
        elif chance < 0.7:
            words = [b"DYN.XREADGROUP", b"k", b"g", b">", b"c%d" % node,
                     b"%d" % rng.choice((1, 2, 100)), b"ACK"]
            for id_, _ in self.say(node, *words) or ():     # type: ignore[attr-defined]
                self.given[id_] = self.given.get(id_, 0) + 1
        elif chance < 0.8 and self.given:
            chosen = rng.choice(sorted(self.given))
            if self.say(node, b"XACK", b"k", b"g", chosen):
                self.acked.add(chosen)
        elif chance < 0.87:
            words = [b"XAUTOCLAIM", b"k", b"g", b"c%d" % node, b"0", b"0", b"COUNT", b"2"]
            for id_, _ in self.say(node, *words)[1]:        # type: ignore[index]
                self.claimed.add(id_)
        elif chance < 0.94 and there:
            chosen = rng.choice(there)
            self.say(node, b"XDEL", b"k", chosen)
            self.gone.add(chosen)
        elif there:
            left = rng.randrange(len(there) + 1)
            self.say(node, b"XTRIM", b"k", b"MAXLEN", b"%d" % left)
            self.gone.update(there[: len(there) - left])

    def run(self) -> None:
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
        assert flat(self.records[0]) == flat(self.records[1]) == flat(self.records[2])
        left = self.ids(0)
        assert set(left) == set(self.added.values()) - self.gone
        assert left == sorted(left, key=lambda id_: tuple(map(int, id_.split(b"-"))))
        found = streams.view_of(self.records[0], 0)
        group = stream_groups.group_of(found, b"g")
        assert group is not None
        new = {streams.shown(element[1:])
               for element in stream_groups.new_entries(found, b"g", group, 0)}
        assert new == {id_ for id_ in left if id_ not in self.given}, "skipped, or given again"
        pending = {
            streams.shown(element[-16:])
            for element in stream_groups.PendingList(found, b"g").between(streams.ZERO_ID)
        }
        for id_, times in self.given.items():
            if id_ not in self.acked and id_ not in self.gone:
                assert id_ in pending, "neither pending nor acknowledged"
            if id_ in self.acked and times == 1 and id_ not in self.claimed:
                assert id_ not in pending, "an acknowledgement was undone"


@pytest.mark.parametrize("inline", [2048, 200])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost_skipped_or_back(
    seed: int, inline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inline`: also where all but the shortest streams are big."""
    monkeypatch.setattr(big, "BIG_BYTES", inline)
    monkeypatch.setattr(big, "SMALL_BYTES", inline // 2)
    StreamWorld(seed).run()


def test_groups_by_their_last_id_skip_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_groups, "_late", lambda *words: set())
    skipped = 0
    for seed in range(20):
        try:
            StreamWorld(seed).run()
        except AssertionError as wrong:
            skipped += "skipped" in str(wrong)
    assert skipped > 5


def test_the_order_beside_a_big_stream_is_that_of_its_record() -> None:
    world = StreamWorld(1)
    for at in range(200):
        world.say(at % 3, b"XADD", b"k", b"*", b"v", b"%d" % at)
        while world.flight:
            world.take(*world.flight.pop())
        if at % 7 == 0:
            world.act()
        record = world.records[at % 3]
        order = streams.order_of(streams.view_of(record, 0))
        small = view.View(flat(record), 0, streams.STREAM, view.always)
        assert order.first(1000) == small.elements_of(b"e")


def test_a_context_stays_short_while_one_node_coordinates() -> None:
    world = StreamWorld(3)
    for at in range(300):
        world.say(0, b"XADD", b"k", b"MAXLEN", b"20", b"*", b"v", b"%d" % at)
        words = [b"DYN.XREADGROUP", b"k", b"g", b">", b"c", b"0", b"ACK"]
        for id_, _ in world.say(0, *words):     # type: ignore[attr-defined]
            world.say(0, b"XACK", b"k", b"g", id_)
    assert len(rows_of(world.records[0])) <= 2 * 32
    group = stream_groups.group_of(streams.view_of(world.records[0], 0), b"g")
    assert group is not None and len(group.rows) <= 2 * 32


def test_a_copy_has_new_dots_and_the_same_late_entries() -> None:
    world = StreamWorld(5)
    for at in range(40):
        world.act()
        if at % 3 == 0 and world.flight:
            world.take(*world.flight.pop())
    while world.flight:
        world.take(*world.flight.pop())
    record = world.records[0]
    stamp = (world.actors[0], 10_000, 0, world.clock)
    copy = stream_dump.unpack(stream_dump.pack(record, 0), b"", stamp, 0)
    verify(copy)
    entries = []
    for one in (record, copy):
        found = streams.view_of(one, 0)
        group = stream_groups.group_of(found, b"g")
        assert group is not None
        entries.append(stream_groups.new_entries(found, b"g", group, 0))
    assert entries[0] == entries[1]
