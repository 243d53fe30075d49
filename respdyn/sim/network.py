"""Connections between nodes: first in, first out, and whole, until they break.

A connection carries frames in one direction, as a node's outgoing TCP connection does. Frames on it
are delayed but never overtake each other. When packets are cut off, frames wait (TCP sends again)
until the cut heals or the connection breaks; what was in flight when it breaks is lost from some
point on. Two faults go further than TCP, because what comes after a reconnection may look so: a
frame may arrive twice, and what was in flight may arrive after the next connection's frames.

A connection begins with both ends' greetings, one round trip; a stranger is refused.
"""

from collections import deque
from typing import Protocol

from respdyn.sim.chance import Chance
from respdyn.sim.timeline import Timeline

DIALLING, GREETED, OPEN, BROKEN = range(4)

# A packet takes no longer, however slow its path.
_SLOWEST_US = 2_000_000


class Endpoint(Protocol):
    """A machine, as the network sees it."""

    index: int
    name: str
    life: int

    def is_running(self) -> bool:
        """Whether the process is there, perhaps stopped."""

    def receive_greeting(self, connection: "Connection", greeting: bytes) -> None:
        """A peer connects."""

    def receive_welcome(self, connection: "Connection", greeting: bytes) -> None:
        """The other end of its own connection answers."""

    def receive_frame(self, connection: "Connection", frame: bytes) -> None:
        """A frame of a peer."""

    def receive_break(self, connection: "Connection") -> None:
        """Its own connection broke."""


class Connection:
    """One node's outgoing connection to another."""

    __slots__ = (
        "address", "arrival_us", "blocked_us", "held", "in_flight", "is_refused", "last_frame",
        "life", "number", "peer", "source", "source_id", "state", "target", "target_life",
        "was_up",
    )

    def __init__(self, number: int, source: Endpoint, target: Endpoint, address: str) -> None:
        self.number = number
        self.source = source
        self.target = target
        self.address = address
        self.life = source.life             # the life of the source that opened it
        self.target_life = 0                # the life of the target that accepted it
        self.state = DIALLING
        self.is_refused = False             # the target will get no more of it
        self.peer = ""                      # who the target said it is
        self.source_id = ""                 # who the source said it is
        self.arrival_us = 0                 # of the latest frame under way
        self.blocked_us = 0                 # since when nothing gets through, one way or the other
        self.in_flight: deque[bytes] = deque()
        self.held: deque[bytes] = deque()   # frames that a cut keeps from arriving
        self.last_frame = b""
        self.was_up = False                 # the target was held for up lately

    def __str__(self) -> str:
        return f"{self.source.name}->{self.target.name}#{self.number}"


class Network:
    """All connections, and what is wrong with the paths between hosts."""

    def __init__(self, timeline: Timeline, chance: Chance) -> None:
        self.timeline = timeline
        self.chance = chance
        self.blocked: dict[tuple[int, int], int] = {}   # (from, to) -> how many faults block it
        self.slow: dict[tuple[int, int], int] = {}      # (from, to) -> how many times slower
        self.repeats = 0.0
        self.comes_late = 0.0
        self.connections: list[Connection] = []         # not broken
        self.opened = 0
        self.broken = 0
        self.repeated = 0
        self.delay_us = timeline.plan.delay_us
        self.jitter_us = timeline.plan.jitter_us

    # ---- paths ----

    def block(self, source: int, target: int) -> None:
        """Packets from one host to the other get lost until `free`."""
        path = (source, target)
        self.blocked[path] = self.blocked.get(path, 0) + 1
        for connection in self.connections:
            if (connection.source.index, connection.target.index) not in (path, path[::-1]):
                continue
            connection.blocked_us = connection.blocked_us or self.timeline.now_us
            if self.chance.happens(0.6):
                wait_us = self.chance.between(200_000, 4_000_000)
                self.timeline.after(wait_us, self._give_up, connection)

    def free(self, source: int, target: int) -> None:
        """Take one block away; frames that waited arrive."""
        path = (source, target)
        left = self.blocked.get(path, 0) - 1
        if left > 0:
            self.blocked[path] = left
            return
        self.blocked.pop(path, None)
        for connection in self.connections:
            if self.is_open(connection.source.index, connection.target.index):
                connection.blocked_us = 0
            if connection.held and (connection.source.index, connection.target.index) == path:
                self._resend(connection)

    def speed_up(self, path: tuple[int, int]) -> None:
        """A slow path is as quick as others again, for what is on it already too."""
        self.slow.pop(path, None)
        for connection in self.connections:
            if (connection.source.index, connection.target.index) == path:
                connection.arrival_us = 0
                self._resend(connection)

    def free_all(self) -> None:
        """All paths whole and quick again."""
        for path in list(self.slow):
            self.speed_up(path)
        self.repeats = self.comes_late = 0.0
        for path in list(self.blocked):
            self.blocked[path] = 1
            self.free(*path)

    def is_open(self, source: int, target: int) -> bool:
        """Whether packets get through both ways."""
        return (source, target) not in self.blocked and (target, source) not in self.blocked

    def unheard_us(self, connection: Connection) -> int:
        """For how long the other end's system has acknowledged nothing, if it had to; else 0."""
        if not connection.blocked_us or connection.state != OPEN:
            return 0
        return self.timeline.now_us - connection.blocked_us

    def _delay(self, source: int, target: int) -> int:
        delay = self.delay_us + self.chance.wait(self.jitter_us)
        if self.slow:
            delay = min(delay * self.slow.get((source, target), 1), _SLOWEST_US)
        return delay

    # ---- opening ----

    def dial(self, source: Endpoint, target: Endpoint, address: str, greeting: bytes) -> Connection:
        """Begin a connection; the source gets `welcome`, or learns that it is broken."""
        self.opened += 1
        connection = Connection(self.opened, source, target, address)
        self.connections.append(connection)
        if self.is_open(source.index, target.index):
            delay = self._delay(source.index, target.index)
            self.timeline.after(delay, self._knock, (connection, greeting))
        else:
            self.timeline.after(self.chance.between(500_000, 1_500_000), self._end_dial, connection)
        return connection

    def _end_dial(self, connection: Connection) -> None:
        self.break_down(connection, "no answer")

    def _knock(self, what: tuple[Connection, bytes]) -> None:
        connection, greeting = what
        if connection.state == BROKEN:
            return
        if not connection.target.is_running():
            self.break_down(connection, "refused")
            return
        connection.target_life = connection.target.life
        connection.target.receive_greeting(connection, greeting)

    def accept(self, connection: Connection, greeting: bytes) -> None:
        """The target says who it is."""
        connection.state = GREETED
        delay = self._delay(connection.target.index, connection.source.index)
        self.timeline.after(delay, self._welcome, (connection, greeting))

    def _welcome(self, what: tuple[Connection, bytes]) -> None:
        connection, greeting = what
        if connection.state == GREETED and self._source_lives(connection):
            connection.source.receive_welcome(connection, greeting)

    # ---- frames ----

    def send(self, connection: Connection, frame: bytes) -> None:
        """Put a frame under way."""
        if connection.held:
            connection.held.append(frame)
            return
        now_us = self.timeline.now_us
        arrival_us = now_us + self._delay(connection.source.index, connection.target.index)
        if arrival_us <= connection.arrival_us:
            arrival_us = connection.arrival_us + 1
        connection.arrival_us = arrival_us
        connection.in_flight.append(frame)
        self.timeline.at(arrival_us, self._arrive, connection)

    def _arrive(self, connection: Connection) -> None:
        if not connection.in_flight:
            return
        frame = connection.in_flight.popleft()
        if connection.held or (
            self.blocked
            and (connection.source.index, connection.target.index) in self.blocked
        ):
            connection.held.append(frame)
            return
        self._hand_over(connection, frame)

    def _hand_over(self, connection: Connection, frame: bytes) -> None:
        target = connection.target
        if connection.target_life != target.life:
            self.break_down(connection, "reset by the target")
            return
        if not target.is_running():
            return
        target.receive_frame(connection, frame)
        connection.last_frame = frame
        if self.repeats and connection.state == OPEN and self.chance.happens(self.repeats):
            self.repeated += 1
            target.receive_frame(connection, frame)

    def _resend(self, connection: Connection) -> None:
        """A cut has healed: what waited arrives, after TCP's next attempt."""
        frames = list(connection.held)
        connection.held.clear()
        frames.extend(connection.in_flight)
        connection.in_flight.clear()
        connection.arrival_us = max(
            connection.arrival_us, self.timeline.now_us + self.chance.between(0, 400_000)
        )
        for frame in frames:
            self.send(connection, frame)

    # ---- breaking ----

    def _give_up(self, connection: Connection) -> None:
        if connection.state != BROKEN and not self.is_open(
            connection.source.index, connection.target.index
        ):
            self.break_down(connection, "timed out")

    def break_down(self, connection: Connection, reason: str) -> None:
        """The connection is gone; its source learns that after a while."""
        if connection.state == BROKEN:
            return
        was_open = connection.state == OPEN
        connection.state = BROKEN
        self.connections.remove(connection)
        self.broken += was_open
        timeline = self.timeline
        if timeline.story is not None:
            timeline.note("net", f"{connection} breaks: {reason}")
        frames = list(connection.held) + list(connection.in_flight)
        connection.held.clear()
        connection.in_flight.clear()
        if was_open and frames and reason != "the source died" and self.comes_late:
            survivors = self.chance.below(len(frames) + 1)
            if self.chance.happens(self.comes_late):
                wait_us = self.chance.between(1_000, 600_000)
                for frame in frames[:survivors]:
                    timeline.after(wait_us, self._arrive_late, (connection, frame))
        if self._source_lives(connection):
            delay = self._delay(connection.target.index, connection.source.index)
            timeline.after(delay, self._inform_source, connection)

    def _arrive_late(self, what: tuple[Connection, bytes]) -> None:
        connection, frame = what
        target = connection.target
        if connection.target_life == target.life and target.is_running():
            target.receive_frame(connection, frame)

    def _inform_source(self, connection: Connection) -> None:
        if self._source_lives(connection):
            connection.source.receive_break(connection)

    def died(self, host: Endpoint, is_silent: bool) -> None:
        """A host's process is gone; `is_silent`: its machine is too, and resets no connection."""
        for connection in [each for each in self.connections if each.source is host]:
            self.break_down(connection, "the source died")
        for connection in [each for each in self.connections if each.target is host]:
            if not is_silent and self.is_open(connection.source.index, host.index):
                self.break_down(connection, "the target died")
            else:
                wait_us = self.chance.between(200_000, 4_000_000)
                self.timeline.after(wait_us, self._notice_death, connection)

    def _notice_death(self, connection: Connection) -> None:
        target = connection.target
        if connection.target_life != target.life or not target.is_running():
            self.break_down(connection, "timed out")

    def refuse(self, connection: Connection, reason: str) -> None:
        """The target wants no more of it."""
        connection.is_refused = True
        self.break_down(connection, f"refused by {connection.target.name}: {reason}")

    def _source_lives(self, connection: Connection) -> bool:
        return connection.life == connection.source.life and connection.source.is_running()

    def reset(self, connection: Connection) -> None:
        """Break it now; frames under way arrive up to some point."""
        frames = len(connection.in_flight)
        for _ in range(self.chance.below(frames + 1)):
            if connection.in_flight and not connection.held:
                self._arrive(connection)
        self.break_down(connection, "reset")

    def repeat_on(self, connection: Connection, older: Connection) -> None:
        """Bring the last frame of an older connection once more on a new one."""
        if older.last_frame and self.repeats and self.chance.happens(0.5):
            self.repeated += 1
            self.send(connection, older.last_frame)
