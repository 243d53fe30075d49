"""One machine: a node, its clocks and disk, and the loop that drives the node as a server does.

All that arrives within a turn's length waits in the inbox and is fed together; then the node is
drained. A host knows nothing of what the bytes mean. A life is the time between two starts of the
node's process; what belongs to an earlier life is dropped.
"""

from collections.abc import Callable
from typing import Protocol, cast

import hiredis

from respdyn.config import Settings
from respdyn.errors import PeerError
from respdyn.node import Node
from respdyn.ports import Trace
from respdyn.sessions.session import Session
from respdyn.sim.chance import Chance
from respdyn.sim.clocks import EPOCH_MS, Clock
from respdyn.sim.disk import Disk
from respdyn.sim.history import Wrong
from respdyn.sim.network import BROKEN, DIALLING, GREETED, OPEN, Connection, Network
from respdyn.sim.operations import Op
from respdyn.sim.script_process import ScriptProcess
from respdyn.sim.timeline import NodeTrace, Timeline

DOWN, UP, PAUSED = range(3)

_FIRST_DIAL_US = 1_000
_DIAL_EVERY_US = 50_000
_REDIAL_US = 100_000
# A disk takes no longer, however slow it is.
_SLOWEST_US = 1_500_000
# So many turns in a row without any input, at the same millisecond, are a node that spins.
_SPIN = 1_000


NodeFactory = Callable[[Settings, Chance, Trace], Node]


class Peer(Protocol):
    """A client, as the machine sees it that it is connected to."""

    link: int                       # the number of its connection
    held_us: int                    # when its next write last waited for a disk

    def open(self, node: Node, link: int) -> None:
        """The connection is accepted."""

    def feed(self, node: Node, ops: list[Op], now_us: int) -> None:
        """Commands have reached the node."""

    def take_output(self, session: Session, now_us: int) -> None:
        """The node has replies."""

    def host_died(self) -> None:
        """The host's process is gone."""


class Surroundings(Protocol):
    """What a machine finds around it."""

    network: Network
    node_class: NodeFactory

    def host_at(self, address: str) -> "Host | None":
        """The machine with this peer address."""

    def life_over(self, host: "Host") -> tuple[bytes, list[tuple["Host", int]]]:
        """The actor of the life in its backup if others remember more of it, or b""; and who."""

    def starts_wrong(self) -> None:
        """A node starts with its clock already wrong."""


class Host:
    """One machine of the timeline."""

    def __init__(
        self, timeline: Timeline, around: Surroundings, index: int, settings: Settings,
        clock: Clock, disk: Disk,
    ) -> None:
        self.timeline = timeline
        self.around = around
        self.index = index
        self.name = f"n{index + 1}"
        self.settings = settings
        self.client_address = f"{settings.host}:{settings.client_port}"
        self.clock = clock
        self.disk = disk
        self.chance = Chance(timeline.plan.seed, f"host {index}")
        self.state = DOWN
        self.life = 0
        self.node: Node | None = None
        # What arrived since the last turn: who takes it, and two arguments.
        self.inbox: list[tuple[Callable[..., None], object, object]] = []
        self.largest_inbox = 0
        self.turn_us = timeline.plan.turn_us
        self.stall_us = 0                   # how much longer turns are for now
        self.slow_disk = 1                  # how many times slower it is for now
        self.disturbed_us = 0               # when a pause or a stall last ended
        self.started_us = 0                 # when this life began
        self.over = b""                     # the actor of a life that others know to be over
        self.witnesses: list[tuple[Host, int]] = []     # who knows it, in which life
        self.minted = 0                     # the counter, as it was last looked at
        self.knew_clocks = self.was_ahead = False   # of all others; of events, before they were met
        self.is_given_up = False            # it is being removed by force, and stays down
        self._has_turn = False              # a turn is due
        self._busy_us = 0                   # the end of the turn under way
        self._wake_us = 0                   # the earliest wake-up under way; 0 for none
        self._spins = 0
        self._out: dict[str, Connection] = {}        # by address
        self._links: dict[str, Connection] = {}      # by peer, open ones
        self._old: dict[str, Connection] = {}        # by address, the one before
        self._redial_us: dict[str, int] = {}
        self.clients: list[Peer] = []              # connected or connecting
        self._reader = hiredis.Reader()

    # ---- lives ----

    def is_running(self) -> bool:
        """Whether the process is there, perhaps stopped."""
        return self.state != DOWN

    def start(self) -> None:
        """A new life: restore what the disk kept, then serve."""
        assert self.state == DOWN
        self.life += 1
        self.state = UP
        self.started_us = self.timeline.now_us
        if abs(self.clock.offset_ms) > self.settings.max_clock_offset_ms:
            self.around.starts_wrong()
        timeline = self.timeline
        node = self.around.node_class(
            self.settings, Chance(timeline.plan.seed, f"node {self.index}/{self.life}"),
            NodeTrace(timeline, self.index, self.name),
        )
        self.node = node
        node.script_host = self.scripts = ScriptProcess(timeline, f"{self.index}/{self.life}")
        self._spins = 0
        self._busy_us = self._wake_us = 0
        records = 0
        for pairs in self.disk.load():
            records += len(pairs) // 2
            node.restore(pairs)
        if self.disk.damaged:
            node.restore_damaged(self.disk.damaged)
            self.disk.damaged = 0
        if timeline.story is not None:
            timeline.note(self.name, f"starts its life {self.life} with {records} pairs from disk")
        now_us = timeline.now_us
        node.start(self.clock.mono_ms(now_us), self.clock.wall_ms(now_us))
        if self.disk.is_full:
            self._receive(self._feed_failure, None, None)
        self._want_turn(now_us)
        timeline.after(_FIRST_DIAL_US, self._dial, self.life)

    def end(self, how: str) -> None:
        """The life ends: `kill`, `power`, `wipe`, `rot`, `restore` or `stop`."""
        assert self.state != DOWN
        timeline = self.timeline
        self.state = DOWN
        self.note_dropped_hints()
        self.node = None
        self._has_turn = False
        self.inbox.clear()
        lost = self.disk.lost
        self.over, self.witnesses = b"", []
        if how == "restore":
            self.over, self.witnesses = self.around.life_over(self)
        if how == "power":
            self.disk.cut_power(timeline.now_us)
        elif how == "wipe":
            self.disk.wipe()
        elif how == "rot":
            self.disk.rot()
        elif how == "restore":
            self.disk.restore()
        elif how == "kill":
            self.disk.kill()
        else:
            self.disk.close()
        lost = self.disk.lost - lost
        if timeline.story is not None:
            timeline.note(self.name, f"ends: {how}; {lost} batches are lost")
        self._out.clear()
        self._links.clear()
        self._old.clear()
        self._redial_us.clear()
        self.around.network.died(self, is_silent=how in ("power", "wipe", "rot", "restore"))
        clients, self.clients = self.clients, []
        for client in clients:
            client.host_died()

    def _check_start(self, node: Node, now_us: int) -> None:
        """A node that has met all others knows whether its disk went back, and what time it is.

        Raises `Wrong`.
        """
        has_minted, self.minted = node.identity.counter != self.minted, node.identity.counter
        others = [one for one in node.links.values() if one.peer != node.identity.node_id]
        knew_clocks, self.knew_clocks = self.knew_clocks, False
        off_ms = (node.clock.last >> 16) - EPOCH_MS - now_us // 1000
        limit_ms = 4 * self.settings.max_clock_offset_ms
        self.was_ahead &= off_ms > limit_ms
        if not node.sessions.arrival.is_over or not all(
            link.is_up and link.has_answered for link in others
        ):
            self.was_ahead = off_ms > limit_ms      # clocks of events do not go back
            return
        is_informed = any(one.life == life for one, life in self.witnesses)
        if is_informed and node.identity.actor == self.over:
            raise Wrong(f"{self.name} was put back, is informed, and goes on with its old life")
        clock = node.readiness.clock
        self.knew_clocks = all(clock.offset_ms(link) is not None for link in others)
        # Whose clock has become known in this turn is counted from the next one on.
        is_judged = knew_clocks and len(others) >= 2 and not self.timeline.has_jumped
        if has_minted and is_judged and abs(off_ms) > limit_ms and not self.was_ahead:
            raise Wrong(f"{self.name} mints {off_ms} ms off, although it has met the others")

    def note_dropped_hints(self) -> None:
        """Where hints have an age that they can reach, those that were too old are forgiven."""
        plan = self.timeline.plan
        if self.node is not None and plan.sloppy and plan.grace_ms:
            self.timeline.history.has_dropped_hints |= self.node.counters.hints_dropped > 0

    def pause(self) -> None:
        """SIGSTOP."""
        self.state = PAUSED

    def resume(self) -> None:
        """SIGCONT."""
        self.state = UP
        self.disturbed_us = self.timeline.now_us
        if self.inbox or self._has_turn:
            self._has_turn = False
            self._want_turn(self.timeline.now_us)
        self._wake(self.timeline.now_us)

    # ---- inputs ----

    def _receive(self, feed: Callable[..., None], first: object, second: object) -> None:
        self.inbox.append((feed, first, second))
        if not self._has_turn:
            self._want_turn(self.timeline.now_us)

    def receive_commands(self, client: Peer, link: int, ops: list[Op]) -> None:
        """Commands of a client, in one piece."""
        self._receive(self._feed_commands, (client, link), ops)

    def receive_open(self, client: Peer) -> None:
        """A client connects."""
        self.clients.append(client)
        self._receive(self._feed_open, client, client.link)

    def receive_close(self, session: Session | None) -> None:
        """A client hangs up."""
        if session is not None:
            self._receive(self._feed_close, session, None)

    def receive_frame(self, connection: Connection, frame: bytes) -> None:
        """A frame of a peer."""
        self._receive(self._feed_frame, connection, frame)

    def receive_greeting(self, connection: Connection, greeting: bytes) -> None:
        """A peer connects."""
        self._receive(self._feed_greeting, connection, greeting)

    def receive_welcome(self, connection: Connection, greeting: bytes) -> None:
        """The other end of our connection answers."""
        self._receive(self._feed_welcome, connection, greeting)

    def receive_break(self, connection: Connection) -> None:
        """Our connection broke."""
        self._receive(self._feed_break, connection, None)

    def receive_disk(self) -> None:
        """The disk has just filled up, or has space again."""
        if self.state == DOWN:
            return
        if self.disk.is_full:
            self._receive(self._feed_failure, None, None)
        else:
            self._receive(self._feed_recovery, None, None)
            self._start_disk()

    # ---- the turn ----

    def _want_turn(self, now_us: int) -> None:
        self._has_turn = True
        if self.state == UP:
            # What arrives meanwhile is fed in the same turn.
            at_us = now_us + self.turn_us // 4
            busy_us = self._busy_us
            self.timeline.at(busy_us if busy_us > at_us else at_us, self._turn, self.life)

    def _wake(self, now_us: int) -> None:
        """See to it that a turn comes when the node has a deadline."""
        node = self.node
        assert node is not None
        at_us = max(self.clock.reach_us(node.next_deadline()), now_us)
        if self._wake_us == 0 or at_us < self._wake_us:
            self._wake_us = at_us
            self.timeline.at(at_us, self._woken, (self.life, at_us))

    def _woken(self, what: tuple[int, int]) -> None:
        life, at_us = what
        if life != self.life or at_us != self._wake_us:
            return
        self._wake_us = 0
        if self.state == UP and not self._has_turn:
            self._want_turn(self.timeline.now_us)

    def _turn(self, life: int) -> None:
        if life != self.life or self.state != UP or not self._has_turn:
            return
        timeline = self.timeline
        now_us = timeline.now_us
        if now_us < self._busy_us:
            timeline.at(self._busy_us, self._turn, life)
            return
        self._has_turn = False
        inbox, self.inbox = self.inbox, []
        timeline.acting = self.name
        self._run(inbox, now_us)
        self._spins = 0 if inbox else self._spins + 1
        if self._spins > _SPIN:
            raise Wrong(f"{self.name} spins: its next deadline is never in the future")
        self.largest_inbox = max(self.largest_inbox, len(inbox))
        self._busy_us = now_us + self.turn_us + 5 * len(inbox)
        if self.stall_us:
            self._busy_us += self.chance.below(self.stall_us)
            self.disturbed_us = self._busy_us
        if self.node is not None:
            self.node.turned(self._busy_us - now_us)
        if self.inbox:
            self._want_turn(now_us)
        self._wake(now_us)

    def _run(
        self, inbox: list[tuple[Callable[..., None], object, object]], now_us: int
    ) -> None:
        """The driver loop: advance, feed, drain, hand over."""
        node = self.node
        assert node is not None
        timeline = self.timeline
        node.advance(self.clock.mono_ms(now_us), self.clock.wall_ms(now_us))
        for feed, first, second in inbox:
            feed(node, first, second)
        out = node.drain()
        self._check_start(node, now_us)
        if out.generation:
            self.disk.submit(out.generation, out.batch, out.sync)
            self._start_disk()
        links = self._links
        for peer, pieces in out.frames:
            connection, frame = links.get(peer), b"".join(pieces)
            if connection is not None and connection.state == OPEN:
                timeline.stamp(self.index, frame)
                self.around.network.send(connection, frame)
        self.scripts.report(self._receive)
        for session in out.sessions:
            client = cast(Peer, session.tag)
            client.take_output(session, now_us)
        holding = node.sessions.holding
        for session in (*holding.waiting, *holding.let_go):
            client = cast(Peer, session.tag)
            client.held_us = now_us
            timeline.count("clients held")

    def _feed_commands(self, node: Node, who: tuple[Peer, int], ops: list[Op]) -> None:
        client, link = who
        if link == client.link:
            self.timeline.deliveries += len(ops)
            client.feed(node, ops, self.timeline.now_us)

    def _feed_open(self, node: Node, client: Peer, link: int) -> None:
        client.open(node, link)

    def _feed_close(self, node: Node, session: Session, _: None) -> None:
        node.close_session(session)

    def _feed_frame(self, node: Node, connection: Connection, frame: bytes) -> None:
        if connection.is_refused:
            return
        self.timeline.deliveries += 1
        reader = self._reader
        reader.feed(frame)
        try:
            node.frame(connection.source_id, reader.gets())
        except PeerError as wrong:
            self.timeline.count("frame refused")
            self.around.network.refuse(connection, str(wrong))

    def _feed_durable(self, node: Node, generation: int, _: None) -> None:
        node.durable(generation)

    def _feed_failure(self, node: Node, _: None, __: None) -> None:
        node.storage_failed("no space left on device")

    def _feed_recovery(self, node: Node, _: None, __: None) -> None:
        node.storage_recovered()

    # ---- peers ----

    def _dial(self, life: int) -> None:
        """Keep the connections that the node wants; now, and again after a while."""
        if life != self.life or self.state == DOWN:
            return
        now_us = self.timeline.now_us
        self.timeline.after(_DIAL_EVERY_US, self._dial, life)
        node = self.node
        if node is None or self.state != UP:
            return
        for connection in list(self._links.values()):
            is_up = node.link_to(connection.peer).is_up
            if connection.was_up and not is_up and connection.state == OPEN:
                self.around.network.reset(connection)        # no answer comes: a new one is better
            connection.was_up = is_up
            unheard_us = self.around.network.unheard_us(connection)
            node.readiness.unacknowledged(connection.peer, unheard_us // 1000)
        wanted = node.dials()
        for address in [each for each in self._out if each not in wanted]:
            self.around.network.break_down(self._out[address], "not wanted any more")
        for address in wanted:
            if address in self._out or now_us < self._redial_us.get(address, 0):
                continue
            target = self.around.host_at(address)
            if target is not None and target is not self:
                self._out[address] = self.around.network.dial(
                    self, target, address, node.greeting()
                )

    def _feed_greeting(self, node: Node, connection: Connection, greeting: bytes) -> None:
        if connection.state != DIALLING:
            return
        try:
            connection.source_id = node.meet(greeting)
        except PeerError as wrong:
            self.timeline.count("greeting refused")
            self.around.network.refuse(connection, str(wrong))
            return
        self.around.network.accept(connection, node.greeting())

    def _feed_welcome(self, node: Node, connection: Connection, greeting: bytes) -> None:
        if connection.state != GREETED:
            return
        try:
            peer = node.meet(greeting)
        except PeerError as wrong:
            self.timeline.count("greeting refused")
            self.around.network.break_down(connection, f"refused by {self.name}: {wrong}")
            return
        connection.state = OPEN
        connection.peer = peer
        self._links[peer] = connection
        if self.timeline.story is not None:
            self.timeline.note("net", f"{connection} is up")
        node.link(peer, True)
        older = self._old.get(connection.address)
        if older is not None:
            self.around.network.repeat_on(connection, older)

    def _feed_break(self, node: Node, connection: Connection, _: None) -> None:
        assert connection.state == BROKEN
        if self._out.get(connection.address) is connection:
            del self._out[connection.address]
            self._old[connection.address] = connection
            self._redial_us[connection.address] = self.timeline.now_us + self.chance.between(
                _REDIAL_US // 2, 2 * _REDIAL_US
            )
        if connection.peer and self._links.get(connection.peer) is connection:
            del self._links[connection.peer]
            node.link(connection.peer, False)

    # ---- disk ----

    def _start_disk(self) -> None:
        needs_sync = self.disk.work()
        if needs_sync is None:
            return
        plan = self.timeline.plan
        mean_us = plan.sync_us if needs_sync else plan.write_us
        wait_us = (mean_us // 2 + self.chance.wait(mean_us)) * self.slow_disk
        wait_us = min(wait_us, _SLOWEST_US)
        self.timeline.after(wait_us, self._disk_done, self.life)

    def _disk_done(self, life: int) -> None:
        if life != self.life or self.state == DOWN:
            return
        generation = self.disk.done(self.timeline.now_us)
        if generation:
            self._receive(self._feed_durable, generation, None)
        self._start_disk()

    # ---- queries ----

    def stop(self) -> None:
        """SIGTERM: the node finishes what is pending; the life ends soon."""
        node = self.node
        assert node is not None
        if self.timeline.story is not None:
            self.timeline.note(self.name, "gets SIGTERM")
        node.stop()
        if not self._has_turn:
            self._want_turn(self.timeline.now_us)
        self._await_idle((self.life, self.timeline.now_us + 5_000_000))

    def _await_idle(self, what: tuple[int, int]) -> None:
        life, until_us = what
        if life != self.life or self.state == DOWN:
            return
        node = self.node
        assert node is not None
        if (node.is_idle() and not self.disk.queued) or self.timeline.now_us >= until_us:
            if not node.is_idle():
                self.timeline.count("stop without idle")
            self.end("stop")
        else:
            self.timeline.after(20_000, self._await_idle, what)
