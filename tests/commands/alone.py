"""A node on its own, driven by hand: for commands that are answered from session and node."""

import random

from respdyn.config import Settings
from respdyn.node import Node
from respdyn.ports import Random, Trace
from respdyn.resp.replies import bulks
from respdyn.resp.requests import RequestLimits, RequestReader
from respdyn.scripting.inline import InlineScripts
from respdyn.sessions.acl_rules import judge_of
from respdyn.sessions.session import Session
from tests.little import offer

WALL_MS = 1_700_000_000_123


class Dice(Random):
    def __init__(self) -> None:
        self._random = random.Random(7)

    def random(self) -> float:
        return self._random.random()


class Silence(Trace):
    def event(self, name: str, **fields: object) -> None:
        pass


class Client:
    """A connection to the node."""

    def __init__(self, alone: "Alone", address: str, listener: str) -> None:
        self.alone = alone
        self.session: Session = alone.node.open_session(address, "127.0.0.1:6379", listener, self)
        self._requests = RequestReader(RequestLimits())

    def call(self, *argv: bytes) -> bytes:
        """The reply's bytes; nothing if there is none."""
        self.offer(bulks(argv))
        self.alone.turn()
        return self.session.take()

    def offer(self, data: bytes) -> None:
        """Bytes that the client sends, without a turn."""
        offer(self.alone.node, self.session, self._requests, data)

    def say(self, line: str) -> bytes:
        """The same, of words in one line."""
        return self.call(*line.encode().split(b" "))


class Alone:
    """A cluster of one in memory."""

    def __init__(self, **changes: object) -> None:
        given: dict[str, object] = {
            "host": "127.0.0.1", "client_port": 6379, "cluster_port": 7379, "peer_port": 16379,
            "n": 1, "engine": "memory",
        }
        given.update(changes)
        self.now_ms = 1000
        self.wall_ms = WALL_MS
        self.node = Node(Settings(**given), Dice(), Silence())    # type: ignore[arg-type]
        self.node.script_host = self.scripts = InlineScripts(judge_of)
        self.node.start(self.now_ms, self.wall_ms)
        self.ports = iter(range(50001, 60000))
        self.turn()

    def turn(self) -> None:
        """Three turns, and as many as the node wants at once."""
        self.wants_turns = 3
        for _ in range(10_000):
            if self.wants_turns <= 0 and self.node.next_deadline() > self.now_ms:
                return
            self.wants_turns -= 1
            self.node.advance(self.now_ms, self.wall_ms)
            out = self.node.drain()
            if out.generation:
                self.node.durable(out.generation)
            frames = self.scripts.take()
            for frame in frames:
                self.node.scripts.receive(frame)
            if frames:
                self.wants_turns = 3
        raise AssertionError("the node never rests")

    def connect(self, listener: str = "client") -> Client:
        return Client(self, f"127.0.0.1:{next(self.ports)}", listener)
