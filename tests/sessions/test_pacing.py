"""Clients that pipeline more than a node finishes in time wait, and receive no time-out."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.cluster.now import Now
from respdyn.resp.replies import bulks
from respdyn.sessions.pacing import FIRST, IDLE_MS, LEAST, Pacing
from respdyn.sessions.session import SharedSessionState
from tests.little import Client, Little

TIMEOUT_MS = 2000


class Queue:
    """A node that finishes so many commands a second, one after the other, and greedy clients."""

    def __init__(self, clients: int) -> None:
        self.load = SharedSessionState(Now())
        self.pacing = Pacing(self.load)
        self.load.window_most = 100_000
        self.clients = clients
        self.now_ms = 0
        self.waits_ms: list[int] = []
        self._begun: deque[tuple[int, int]] = deque()       # when, by whom
        self._pending = [0] * clients
        self._credit = 0.0

    def run(self, ms: int, rate: float) -> None:
        load = self.load
        for _ in range(ms):
            self.now_ms += 1
            self._credit += rate / 1000
            while self._credit >= 1 and self._begun:
                self._credit -= 1
                begun_ms, client = self._begun.popleft()
                self._pending[client] -= 1
                self.waits_ms.append(self.now_ms - begun_ms)
                load.held -= 1
                load.finished += 1
            self._credit = min(self._credit, 1 + rate / 100)
            self.pacing.look(self.now_ms, TIMEOUT_MS)
            for client in range(self.clients):
                while self._pending[client] < 1000 and (
                    load.held < load.window or not self._pending[client]
                ):
                    self._begun.append((self.now_ms, client))
                    self._pending[client] += 1
                    load.held += 1


@given(st.integers(200, 6000), st.integers(1, 50))
@settings(max_examples=12, deadline=None)
def test_no_client_waits_for_long_and_nothing_is_idle(rate: int, clients: int) -> None:
    queue = Queue(clients)
    queue.run(3000, rate)
    assert max(queue.waits_ms) < TIMEOUT_MS * 3 // 4
    assert len(queue.waits_ms) > 3 * rate * 0.9


@given(st.integers(2000, 6000), st.integers(2, 6))
@settings(max_examples=6, deadline=None)
def test_a_node_that_becomes_slow_is_noticed_and_one_that_is_quick_again(
    rate: int, times: int,
) -> None:
    queue = Queue(8)
    queue.run(1500, rate)
    assert queue.load.window > 3 * FIRST
    queue.run(3000, rate / times)
    assert max(queue.waits_ms) < TIMEOUT_MS
    queue.waits_ms.clear()
    queue.run(2000, rate / times)
    assert max(queue.waits_ms) < TIMEOUT_MS // 2
    queue.waits_ms.clear()
    queue.run(2000, rate)
    assert len(queue.waits_ms) > 2 * rate * 0.8


def test_of_a_node_that_had_nothing_to_do_nothing_is_known() -> None:
    queue = Queue(4)
    queue.run(1000, 5000)
    assert queue.load.window > FIRST
    queue.load.held = 0
    queue.pacing.look(queue.now_ms + IDLE_MS + 1, TIMEOUT_MS)
    assert queue.load.window == FIRST


def test_a_node_that_finishes_nothing_lets_few_more_begin() -> None:
    queue = Queue(4)
    queue.run(1000, 5000)
    queue.run(700, 0)
    assert queue.load.window == LEAST


# ---- in a cluster ----


@pytest.fixture
def little() -> Little:
    little = Little(3, exchange_interval_ms=0).ready()
    little.run(IDLE_MS + 100)
    return little


def pipeline(client: Client, key: str, count: int) -> None:
    client.offer(b"".join(bulks([b"SET", b"%b%d" % (key.encode(), n), b"v"]) for n in range(count)))


def test_a_pipeline_is_begun_at_the_pace_at_which_it_is_finished(little: Little) -> None:
    little.holds |= {(1, 0), (2, 0)}            # A receives nothing of its peers
    many, one = little.client("A"), little.client("A")
    pipeline(many, "key", 900)
    assert little["A"].sessions.held() == FIRST
    assert little["A"].counters.clients_paced > 0
    pipeline(one, "other", 5)                   # who waits for nothing is read all the same
    assert little["A"].sessions.held() == FIRST + 1
    little.heal()
    assert {many.receive() for _ in range(900)} == {b"OK"}
