"""Courses of clients that wait, push, hang up and run out of time, while nodes die and come back.

Of each item it is known where it is: in its list, with one client, or lost with a coordinator whose
client received that the outcome is unknown. At the end no client waits where something is.
"""

import random

import pytest

from respdyn.sessions.blocking import BlockedClients
from tests.little import Client, Little

SEEDS = 4
STEPS = 60
KEYS = ("x", "y", "z")


class Course:
    """One course."""

    def __init__(self, seed: int, deaths: int) -> None:
        self.rng = random.Random(seed)
        self.little = Little(3).ready()
        self.deaths = deaths
        self.waiting: list[Client] = []
        self.pushed: dict[bytes, None] = {}
        self.doubted: dict[bytes, None] = {}    # pushes that may not have happened
        self.given: list[bytes] = []
        self.unknown = 0                        # clients that received so, or were cut off
        self.number = 0

    def name(self) -> str:
        return self.rng.choice([m.name[0] for m in self.little.machines if m.is_running]).upper()

    def block(self) -> None:
        keys = self.rng.sample(KEYS, self.rng.choice((1, 1, 2)))
        timeout = self.rng.choice(("0", "0.03", "0.1", "0.4"))
        client = self.little.client(self.name())
        client.send(self.rng.choice(("BLPOP", "BRPOP")), *keys, timeout)
        self.waiting.append(client)

    def push(self) -> None:
        self.number += 1
        item = b"%d" % self.number
        client = self.little.client(self.name())
        client.send("RPUSH", self.rng.choice(KEYS), item)
        reply = client.receive(limit_ms=3000)
        (self.pushed if isinstance(reply, int) else self.doubted)[item] = None

    def hang_up(self) -> None:
        if self.waiting:
            client = self.rng.choice(self.waiting)
            if client.node in [m.node for m in self.little.machines if m.is_running]:
                self.waiting.remove(client)
                if not self.receive(client):
                    one = client.node.sessions.blocking.by_number.get(client.session.blocked)
                    self.unknown += one is None or one.trying is not None
                client.node.close_session(client.session)

    def die(self) -> None:
        name = self.name()
        self.deaths -= 1
        self.look()
        gone = self.little[name]
        for client in [one for one in self.waiting if one.node is gone]:
            self.waiting.remove(client)
            self.unknown += 1
        self.little.kill(name)
        self.little.run(self.rng.randrange(1, 60))
        self.little.boot(name)
        self.little.ready()

    def receive(self, client: Client) -> bool:
        """Take what a client was sent; whether there was something."""
        client._reader.feed(client.session.take())
        reply = client._reader.gets()
        if reply is False:
            return False
        if isinstance(reply, list):
            self.given.append(reply[1])
        elif reply is not None:
            assert "unknown" in str(reply) or "nothing was done" in str(reply), reply
            self.unknown += 1
        return True

    def look(self) -> None:
        self.waiting = [client for client in self.waiting if not self.receive(client)]

    def run(self) -> None:
        acts = [self.block] * 6 + [self.push] * 6 + [self.hang_up]
        for _ in range(STEPS):
            self.rng.choice(acts)()
            if self.deaths and self.rng.random() < 0.05:
                self.die()
            self.little.run(self.rng.randrange(6))
            self.look()
        self.little.run(4000)
        self.look()
        self.judge()

    def judge(self) -> None:
        left: list[bytes] = []
        for key in KEYS:
            found = self.little.client("A")("LRANGE", key, 0, -1)
            assert isinstance(found, list)
            left += found
            blocked = [
                one for m in self.little.machines
                for one in m.node.sessions.blocking.by_number.values()
                if key.encode() in one.blocking.keys
            ]
            assert not (found and blocked), "a client waits where something is"
        assert len(set(self.given)) == len(self.given), "an item was given twice"
        assert not set(self.given) & set(left), "an item was given and is there"
        lost = [one for one in self.pushed if one not in self.given and one not in left]
        assert len(lost) <= self.unknown, f"items are lost: {lost}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_item_is_lost_without_a_word(seed: int) -> None:
    Course(seed, deaths=0).run()
    course = Course(1000 + seed, deaths=2)
    course.run()


def end_at_once(self: BlockedClients, session: object, *, is_error: bool) -> bool:
    """Time is over: each client that waits is sent that, whatever pop is under way."""
    one = self.by_number.get(session.blocked)       # type: ignore[attr-defined]
    if one is not None:
        self._end(one, one.nothing())
    return one is not None


def test_a_time_out_that_does_not_wait_for_the_pop_is_found(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BlockedClients, "unblock", end_at_once)
    with pytest.raises(AssertionError):
        for seed in range(20):
            Course(seed, deaths=0).run()
