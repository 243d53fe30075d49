"""One turn per loop iteration: time first, one drain, one wake-up when nothing comes in."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvloop

from respdyn.config import Settings, settle
from respdyn.metrics import ServerMetrics
from respdyn.ports import Store
from respdyn.server.turn import Turn
from tests.server.stub import StubNode, TurnOutput


class SlowStore(Store):
    """Durable when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[tuple[int, list[bytes], bool]] = []
        self.durable_to = 0

    def load(self) -> Iterator[list[bytes]]:
        return iter([])

    def submit(self, generation: int, batch: list[bytes], sync: bool) -> None:
        self.submitted.append((generation, batch, sync))

    def durable(self) -> int:
        return self.durable_to


class WritingNode(StubNode):
    """Has a batch in each of the next turns, and a deadline if asked to."""

    def __init__(self) -> None:
        super().__init__(settle(Settings()))
        self.story: list[str] = []
        self.batches: list[bool] = []
        self.deadline: int | None = None

    def advance(self, now_ms: int, wall_ms: int) -> None:
        self.story.append("advance")

    def durable(self, generation: int) -> None:
        self.story.append(f"durable {generation}")

    def next_deadline(self) -> int:
        return super().next_deadline() if self.deadline is None else self.deadline

    def drain(self) -> TurnOutput:
        self.story.append("drain")
        out = super().drain()
        if self.batches:
            out.sync = self.batches.pop(0)
            out.generation = self.drains
            out.batch = [b"k", b"v"]
        return out


@pytest.fixture()
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    one = uvloop.new_event_loop()
    yield one
    one.close()


def make(loop: asyncio.AbstractEventLoop) -> tuple[Turn, WritingNode, SlowStore]:
    node, store = WritingNode(), SlowStore()
    return Turn(loop, cast(Any, node), store, ServerMetrics()), node, store


def spin(loop: asyncio.AbstractEventLoop, seconds: float = 0.0) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


def test_many_inputs_are_one_turn(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, _ = make(loop)
    for _ in range(5):
        turn.begin()
    assert node.story == ["advance"]
    spin(loop)
    assert node.story == ["advance", "drain"]
    turn.begin()
    spin(loop)
    assert node.story == ["advance", "drain"] * 2


def test_what_is_durable_waits_for_the_next_turn(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, store = make(loop)
    node.batches = [False]
    turn.begin()
    spin(loop)
    assert store.submitted == [(1, [b"k", b"v"], False)]
    store.durable_to = 1
    turn.stored()
    assert node.story == ["advance", "drain"]
    turn.begin()
    assert node.story[2:] == ["advance", "durable 1"]
    spin(loop)


def test_what_is_waited_for_begins_a_turn(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, store = make(loop)
    node.batches = [True]
    turn.begin()
    spin(loop)
    turn.stored()
    assert node.story == ["advance", "drain"]
    store.durable_to = 1
    turn.stored()
    spin(loop)
    assert node.story[2:] == ["advance", "durable 1", "drain"]


def test_a_deadline_wakes_the_node(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, _ = make(loop)
    node.deadline = time.monotonic_ns() // 1_000_000 + 1000
    turn.begin()
    spin(loop, 0.01)
    assert node.story.count("drain") == 1
    node.deadline = None
    for _ in range(100):
        spin(loop, 0.05)
        if node.story.count("drain") == 2:
            break
    else:
        raise AssertionError("a second has passed long ago, and nothing has happened")


def test_an_earlier_deadline_replaces_a_later_one(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, _ = make(loop)
    for wait_ms in (60_000, 10):
        node.deadline = time.monotonic_ns() // 1_000_000 + wait_ms
        turn.begin()
        spin(loop)
    node.deadline = None
    spin(loop, 0.05)
    assert node.story.count("drain") == 3


def test_a_node_that_has_work_left_goes_on_without_a_pause(
    loop: asyncio.AbstractEventLoop,
) -> None:
    turn, node, _ = make(loop)
    left = 200

    def advance(now_ms: int, wall_ms: int) -> None:
        nonlocal left
        left -= 1
        node.deadline = now_ms if left > 0 else None
        node.story.append("advance")

    node.advance = advance      # type: ignore[method-assign]
    turn.begin()
    for _ in range(1_000):      # turns of the loop, which pauses in none of them
        spin(loop)
    assert left <= 0


def test_a_deadline_in_the_past_does_not_spin(loop: asyncio.AbstractEventLoop) -> None:
    turn, node, _ = make(loop)
    node.deadline = 0
    turn.begin()
    spin(loop, 0.05)
    assert 2 <= node.story.count("drain") <= 60
