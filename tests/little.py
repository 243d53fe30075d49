"""A little cluster for directed tests: real nodes, a wire between them, time by hand.

Nothing is random and nothing is late unless a test says so: every step is one millisecond in which
nodes take one turn and then all frames are delivered. As with a real driver a node takes none that
got nothing and has nothing due, but for the first step that a test asks for: it may have changed
something in a node. Use the simulator to find trouble, and this to write its story down.
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
        self.address = ""
        self.seed = seed
        self.disk: dict[bytes, bytes] = {}
        self.is_running = False
        self.fsync = True            # False: the disk takes writes but reports nothing durable
        self.submitted = 0
        self.reported = 0            # up to which generation the node knows that it is durable
        self.diary = Diary()
        self.turned_ms = 0           # what its node takes for the time
        self.due_ms = 0              # when its node wants a turn at the latest
        self.is_touched = True       # it has got something since its last turn
        self.missing: list[str] = []     # where its node wants a connection
        self.outcomes: list[bytes] = []  # of scripts, which come with its next turn

    def boot(self, now_ms: int, wall_ms: int) -> None:
        self.address = f"{self.settings.host}:{self.settings.peer_port}"
        self.seed += 1000
        self.node = Node(self.settings, Dice(self.seed), self.diary)
        self.node.script_host = self.scripts = InlineScripts(judge_of)
        pairs = [part for pair in sorted(self.disk.items()) for part in pair]
        self.node.restore(pairs)
        self.node.start(now_ms, wall_ms)
        self.is_running = self.is_touched = True
        self.missing, self.outcomes = [], []

    def touch(self, now_ms: int, wall_ms: int) -> None:
        """The node gets something: it takes a turn."""
        self.is_touched = True
        self.turned_ms = now_ms
        self.node.advance(now_ms, wall_ms)

    @property
    def name(self) -> str:
        return self.node.identity.node_id


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
        for number in range(limit_ms):
            if is_so():
                self.settle()
                return
            self.step(touches=number == 0)
        raise AssertionError("it did not come about")

    def wipe(self, name: str) -> None:
        """A killed machine's disk is emptied; only the node id is known from elsewhere."""
        self.machines[ord(name) - 65].disk.clear()

    def __getitem__(self, name: str) -> Node:
        return self.machines[ord(name) - 65].node

    # ---- time ----

    def run(self, ms: int) -> None:
        for number in range(ms):
            self.step(touches=number == 0)
        self.settle()

    def step(self, touches: bool = True) -> None:
        """A millisecond. `touches`: every node takes a turn."""
        self.now_ms += 1
        self.wall_ms += 1
        unread, self.unread = self.unread, []
        unread = [client for client in unread if self.touch(client.node)]
        now_ms, running = self.now_ms, []
        for index, machine in enumerate(self.machines):
            if machine.is_running and (touches or machine.is_touched or machine.due_ms <= now_ms):
                machine.touch(now_ms, self.wall_ms)
                running.append((index, machine))
        for client in unread:
            client.offer(b"")
        for _, machine in running:
            machine.missing = list(machine.node.dials())
        for index, machine in enumerate(self.machines):
            if machine.is_running and machine.missing:
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
        self.machines[target].touch(self.now_ms, self.wall_ms)
        try:
            self.machines[target].node.frame(self.machines[source].name, items)
        except PeerError as wrong:
            if self.refused is None:
                raise
            self.refused.append(str(wrong))
            del self._open[source, target]
            self._link(source, target, False)

    def _link(self, source: int, target: int, is_up: bool) -> None:
        """A connection is made, or gone."""
        machine = self.machines[source]
        machine.touch(self.now_ms, self.wall_ms)
        machine.node.link(self.machines[target].name, is_up)

    def touch(self, node: Node) -> bool:
        """A node gets something. False if it does not run any more."""
        machine = next((m for m in self.machines if m.is_running and m.node is node), None)
        if machine is not None:
            machine.touch(self.now_ms, self.wall_ms)
        return machine is not None

    def settle(self) -> None:
        """Every node knows the time."""
        for machine in self.machines:
            if machine.is_running and machine.turned_ms != self.now_ms:
                machine.touch(self.now_ms, self.wall_ms)

    def _drain(self, index: int, machine: Machine) -> list[tuple[int, int, list[bytes]]]:
        machine.is_touched = False
        for frame in (*machine.outcomes, *machine.scripts.take()):
            machine.node.scripts.receive(frame)
        out = machine.node.drain()
        if out.generation:
            apply(machine.disk, out.batch)
            machine.submitted = out.generation
        if machine.fsync and machine.submitted:
            machine.node.durable(machine.submitted)
            machine.is_touched = machine.reported != machine.submitted
            machine.reported = machine.submitted
        machine.outcomes = machine.scripts.take()
        machine.is_touched |= bool(machine.outcomes)
        machine.due_ms = machine.node.next_deadline()
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

    def _at(self, address: str) -> int | None:
        for index, machine in enumerate(self.machines):
            if machine.address == address:
                return index
        return None

    def _connect(self, index: int, machine: Machine) -> None:
        missing = []
        for address in machine.missing:
            target = self._at(address)
            if target is None or target == index or (index, target) in self._open:
                continue
            missing.append(address)
            other = self.machines[target]
            if not other.is_running or (index, target) in self.cuts:
                continue
            other.touch(self.now_ms, self.wall_ms)
            try:
                other.node.meet(machine.node.greeting())
                machine.node.meet(other.node.greeting())
            except PeerError:
                continue
            self._open[index, target] = hiredis.Reader()
            self._link(index, target, True)
        machine.missing = missing

    # ---- harm ----

    def kill(self, name: str) -> None:
        index = ord(name) - 65
        self.machines[index].is_running = False
        for source, target in list(self._open):
            if index in (source, target):
                del self._open[source, target]
                if source != index:
                    self._link(source, index, False)
        self.waiting = [one for one in self.waiting if index not in one[:2]]

    def boot(self, name: str) -> None:
        self.machines[ord(name) - 65].boot(self.now_ms, self.wall_ms)

    def cut(self, one: str, two: str) -> None:
        """Both directions; connections break at once."""
        for a, b in ((one, two), (two, one)):
            pair = ord(a) - 65, ord(b) - 65
            self.cuts.add(pair)
            if self._open.pop(pair, None) is not None:
                self._link(*pair, False)

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
        little.touch(node)
        self.session: Session = node.open_session("10.9.9.9:1", "10.0.0.1:6379", listener, None)
        self._reader = hiredis.Reader(replyError=lambda text: text)
        self._requests = RequestReader(RequestLimits())

    def send(self, *words: object) -> None:
        argv = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.offer(bulks(argv))

    def offer(self, data: bytes) -> None:
        """Bytes that the client sends: whole commands in them are run, now or in later steps."""
        self._little.touch(self.node)
        offer(self.node, self.session, self._requests, data)
        if self._requests.has_input() and not self.session.closing:
            self._little.unread.append(self)

    def receive(self, limit_ms: int = 5000) -> object:
        """The next reply; an error is its text."""
        for number in range(limit_ms):
            self._reader.feed(self.session.take())
            reply = self._reader.gets()
            if reply is not False:
                self._little.settle()
                return reply
            self._little.step(touches=number == 0)
        raise AssertionError("no reply")

    def __call__(self, *words: object) -> object:
        self.send(*words)
        return self.receive()
