"""A little cluster for directed tests: real nodes, a wire between them, time by hand.

Nothing is random and nothing is late unless a test says so: every step is one millisecond in which
each node takes one turn and then all frames are delivered. Use the simulator to find trouble, and
this to tell its story.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import hiredis

from respdyn.config import Settings
from respdyn.errors import PeerError
from respdyn.node import Node
from respdyn.ports import Random, Trace
from respdyn.resp.replies import bulks
from respdyn.resp.requests import RequestLimits, RequestReader
from respdyn.scripting.inline import InlineScripts
from respdyn.sessions.acl_rules import judge_of
from respdyn.sessions.session import Session
from respdyn.storage.memory import apply

START_MS = 1_700_000_000_000


class Dice(Random):
    """A seeded sequence."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        return self._random.random()


class Diary(Trace):
    """Remembers the names of what happened."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def event(self, name: str, **fields: object) -> None:
        self.names.append(name)


class Machine:
    """One node and its disk."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.seed = seed
        self.disk: dict[bytes, bytes] = {}
        self.is_running = False
        self.fsync = True            # False: the disk takes writes but reports nothing durable
        self.submitted = 0
        self.diary = Diary()

    def boot(self, now_ms: int, wall_ms: int) -> None:
        self.seed += 1000
        self.node = Node(self.settings, Dice(self.seed), self.diary)
        self.node.script_host = self.scripts = InlineScripts(judge_of)
        pairs = [part for pair in sorted(self.disk.items()) for part in pair]
        self.node.restore(pairs)
        self.node.start(now_ms, wall_ms)
        self.is_running = True

    @property
    def name(self) -> str:
        return self.node.identity.node_id

    @property
    def address(self) -> str:
        return f"{self.settings.host}:{self.settings.peer_port}"


class Little:
    """A cluster of `count` nodes named A, B, C ..."""

    def __init__(self, count: int, seeds: int | None = None, **changes: object) -> None:
        self.now_ms = 1000
        self.wall_ms = START_MS
        self.machines: list[Machine] = []
        self.cuts: set[tuple[int, int]] = set()            # (from, to): connections are refused
        self.lost: set[tuple[int, int]] = set()            # (from, to): frames vanish in silence
        self.holds: set[tuple[int, int]] = set()           # (from, to): frames wait
        # Why connections were broken off by who was sent something; None: that fails the test.
        self.refused: list[str] | None = None
        self.waiting: list[tuple[int, int, list[bytes]]] = []
        self.unread: list[Client] = []      # clients of which not all was read
        self._open: dict[tuple[int, int], hiredis.Reader] = {}
        self.tap: Callable[[int, int, list[bytes]], None] | None = None
        every = tuple(f"10.0.0.{i + 1}:16379" for i in range(count))
        for index in range(count):
            given: dict[str, object] = {
                "node_id": f"{index + 10:x}" * 40, "host": f"10.0.0.{index + 1}",
                "client_port": 6379, "cluster_port": 7379, "peer_port": 16379,
                "seeds": every[:seeds] if count > 1 else (),
                "cluster_size": count if count > 1 else 0, "n": min(3, count),
                "r": 0, "w": 0, "engine": "rocksdb", "durability": "everysec",
            }
            given.update(changes)
            machine = Machine(Settings(**given), index)    # type: ignore[arg-type]
            self.machines.append(machine)
            machine.boot(self.now_ms, self.wall_ms)

    def add(self, **changes: object) -> Node:
        """One more machine, started with the seeds of those that are there."""
        index = len(self.machines)
        given: dict[str, object] = {
            "node_id": f"{index + 10:x}" * 40, "host": f"10.0.0.{index + 1}",
            "client_port": 6379, "cluster_port": 7379, "peer_port": 16379,
            "seeds": tuple(machine.address for machine in self.machines), "cluster_size": 0,
            "n": 3, "r": 0, "w": 0, "engine": "rocksdb", "durability": "everysec",
        }
        given.update(changes)
        machine = Machine(Settings(**given), index)    # type: ignore[arg-type]
        self.machines.append(machine)
        machine.boot(self.now_ms, self.wall_ms)
        return machine.node

    def until(self, is_so: Callable[[], bool], limit_ms: int = 20_000) -> None:
        """Let time pass until something is so."""
        for _ in range(limit_ms):
            if is_so():
                return
            self.step()
        raise AssertionError("it did not come about")

    def wipe(self, name: str) -> None:
        """A killed machine's disk is emptied; only the node id is known from elsewhere."""
        self.machines[ord(name) - 65].disk.clear()

    def __getitem__(self, name: str) -> Node:
        return self.machines[ord(name) - 65].node

    # ---- time ----

    def run(self, ms: int) -> None:
        for _ in range(ms):
            self.step()

    def step(self) -> None:
        self.now_ms += 1
        self.wall_ms += 1
        running = [(i, m) for i, m in enumerate(self.machines) if m.is_running]
        for _, machine in running:
            machine.node.advance(self.now_ms, self.wall_ms)
        unread, self.unread = self.unread, []
        for client in unread:
            if any(machine.node is client.node for _, machine in running):
                client.offer(b"")
        for index, machine in running:
            self._connect(index, machine)
        held, self.waiting = self.waiting, []
        sent: list[tuple[int, int, list[bytes]]] = []
        for source, target, items in held:
            (self.waiting if (source, target) in self.holds else sent).append(
                (source, target, items)
            )
        for index, machine in running:
            sent += self._drain(index, machine)
        for source, target, items in sent:
            if (source, target) in self.holds:
                self.waiting.append((source, target, items))
            elif (source, target) in self._open and self.machines[target].is_running:
                self.deliver(source, target, items)

    def deliver(self, source: int, target: int, items: list[bytes]) -> None:
        if self.tap is not None:
            self.tap(source, target, items)
        if (source, target) in self.lost:
            return
        try:
            self.machines[target].node.frame(self.machines[source].name, items)
        except PeerError as wrong:
            if self.refused is None:
                raise
            self.refused.append(str(wrong))
            del self._open[source, target]
            self.machines[source].node.link(self.machines[target].name, False)

    def _drain(self, index: int, machine: Machine) -> list[tuple[int, int, list[bytes]]]:
        for frame in machine.scripts.take():
            machine.node.scripts.receive(frame)
        out = machine.node.drain()
        if out.generation:
            apply(machine.disk, out.batch)
            machine.submitted = out.generation
        if machine.fsync and machine.submitted:
            machine.node.durable(machine.submitted)
        sent = []
        for peer, frame in out.frames:
            target = next(i for i, m in enumerate(self.machines) if m.name == peer)
            reader = self._open.get((index, target))
            if reader is not None:
                reader.feed(b"".join(frame))
                items = reader.gets()
                assert items is not False and reader.gets() is False, "one frame, whole"
                sent.append((index, target, items))
        return sent

    def _connect(self, index: int, machine: Machine) -> None:
        for address in machine.node.dials():
            target = next((i for i, m in enumerate(self.machines) if m.address == address), None)
            if target is None or target == index or (index, target) in self._open:
                continue
            other = self.machines[target]
            if not other.is_running or (index, target) in self.cuts:
                continue
            try:
                other.node.meet(machine.node.greeting())
                machine.node.meet(other.node.greeting())
            except PeerError:
                continue
            self._open[index, target] = hiredis.Reader()
            machine.node.link(other.name, True)

    # ---- harm ----

    def kill(self, name: str) -> None:
        index = ord(name) - 65
        self.machines[index].is_running = False
        for source, target in list(self._open):
            if index in (source, target):
                del self._open[source, target]
                if source != index:
                    self.machines[source].node.link(self.machines[index].name, False)
        self.waiting = [one for one in self.waiting if index not in one[:2]]

    def boot(self, name: str) -> None:
        self.machines[ord(name) - 65].boot(self.now_ms, self.wall_ms)

    def cut(self, one: str, two: str) -> None:
        """Both directions; connections break at once."""
        for a, b in ((one, two), (two, one)):
            pair = ord(a) - 65, ord(b) - 65
            self.cuts.add(pair)
            if self._open.pop(pair, None) is not None:
                self.machines[pair[0]].node.link(self.machines[pair[1]].name, False)

    def heal(self) -> None:
        self.cuts.clear()
        self.lost.clear()
        self.holds.clear()

    def client(self, name: str, listener: str = "client") -> Client:
        return Client(self, self[name], listener)

    def ready(self) -> Little:
        """Until every node knows the ring and sees every other."""
        for _ in range(5000):
            self.step()
            if all(
                m.node.membership.ring is not None
                and sum(link.is_up for link in m.node.links.values()) == len(self.machines) - 1
                and not m.node.draining.is_arriving
                and not any(link.is_leaving for link in m.node.links.values())
                for m in self.machines
            ):
                return self
        raise AssertionError("the cluster did not form")

    def key_of(self, name: str, prefix: str = "key") -> str:
        """A key whose first owner is this node."""
        ring = self["A"].membership.ring
        assert ring is not None
        from respdyn.ring.hashing import slot_of

        wanted = self.machines[ord(name) - 65].name
        for number in range(10_000):
            key = f"{prefix}{number}"
            if ring.owners_of(ring.partition_of(slot_of(key.encode())))[0] == wanted:
                return key
        raise AssertionError("no such key")


def offer(node: Node, session: Session, reader: RequestReader, data: bytes) -> None:
    """Bytes that a client sends: all whole commands in them are run."""
    reader.feed(data)
    reader.authenticated = session.authenticated
    while node.serve(session, reader, 1000, 1 << 30):
        reader.authenticated = session.authenticated


class Client:
    """A client's connection to one node."""

    def __init__(self, little: Little, node: Node, listener: str = "client") -> None:
        self._little = little
        self.node = node
        self.session: Session = node.open_session("10.9.9.9:1", "10.0.0.1:6379", listener, None)
        self._reader = hiredis.Reader(replyError=lambda text: text)
        self._requests = RequestReader(RequestLimits())

    def send(self, *words: object) -> None:
        argv = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.offer(bulks(argv))

    def offer(self, data: bytes) -> None:
        """Bytes that the client sends: whole commands in them are run, now or in later steps."""
        offer(self.node, self.session, self._requests, data)
        if self._requests.has_input() and not self.session.closing:
            self._little.unread.append(self)

    def receive(self, limit_ms: int = 5000) -> object:
        """The next reply; an error is its text."""
        for _ in range(limit_ms):
            self._reader.feed(self.session.take())
            reply = self._reader.gets()
            if reply is not False:
                return reply
            self._little.step()
        raise AssertionError("no reply")

    def __call__(self, *words: object) -> object:
        self.send(*words)
        return self.receive()
