"""The seam: one node of the cluster, as a machine without a clock, a socket or a disk.

Everything that decides is behind this door; only two callers use it, the server (asyncio, sockets)
and the simulator (a seed and a heap). It assembles the rooms and decides nothing itself.

The driver's loop:

    node.restore(pairs) for all that the store gives, node.restore_damaged(count) if it left
    something out, then node.start(now, wall)
    for each turn:
        node.advance(now, wall)                         # time first, once
        node.serve(...), node.frame(...), node.link(...), node.durable(...)     # what came in
        out = node.drain()
        if out.generation: store.submit(out.generation, out.batch, out.sync)
        write each of out.frames to its peer's connection
        write session.take() of each of out.sessions; close it if `closing` and nothing is pending
        node.turned(how long all this took)
        call again at node.next_deadline() at the latest

What the node promises: replies to one session leave in the order of its commands, exactly one each.
Nothing that must be durable leaves before `durable(generation)` said so. What it relies on: a frame
may be lost with its connection, and one connection never reorders. `restore` comes before `start`,
`start` before everything else. After `PeerError` from `frame` or `meet` the driver drops that
connection. Times are in milliseconds: `now` monotonic, `wall` since 1970.
"""

from respdyn.admin.answers import Answers
from respdyn.admin.tasks import Tasks
from respdyn.cluster.cleared_gossip import ClearedGossip
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.failure import FailureDetector
from respdyn.cluster.frame_receiver import Receiver
from respdyn.cluster.identity import LIFE
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.latencies import Latencies
from respdyn.cluster.link import Link, seal_all
from respdyn.cluster.plan import Planner, deprioritize
from respdyn.cluster.slot_map import SlotMap
from respdyn.cluster.tasks import TaskRunner
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.config import Settings
from respdyn.coordination.coverage import Coverage
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.fallback import Fallback
from respdyn.coordination.groups import Groups
from respdyn.coordination.inbound import Inbound
from respdyn.coordination.script_sender import ScriptSender
from respdyn.handlers import StatementHandlers
from respdyn.host import Host, NoHost
from respdyn.local.context import LocalContext
from respdyn.local.table import run
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import Membership
from respdyn.membership.readiness import Readiness
from respdyn.membership.ring_changes import RingChanges, damaged_in, member_of
from respdyn.membership.token_keys import TokenKeys
from respdyn.ports import NoScripts, Random, ScriptHost, Trace, random_bits
from respdyn.replication.collection import Collection
from respdyn.replication.exchange import Exchange
from respdyn.replication.handoff import Handoff
from respdyn.replication.scrub import Scrub
from respdyn.replication.transfer import Transfer
from respdyn.resp.requests import RequestReader
from respdyn.ring.ring import Member
from respdyn.sessions.session import Session
from respdyn.sessions.sessions import Sessions
from respdyn.sessions.turn_output import TurnOutput, to_write


class Node:
    """One node. See the module's text for how it is driven."""

    def __init__(self, settings: Settings, random: Random, trace: Trace) -> None:
        self.this = this = ThisNode(settings, random, trace, self.lost_memory)
        self.random, self.trace, self.counters = random, trace, this.counters
        self.identity, self.replica, self.hints = this.identity, this.replica, this.hints
        self.clock, self.admission, self.links = this.clock, this.admission, this.links
        self.latencies = Latencies(self.admission.waited)
        self.host: Host = NoHost()
        self.script_host: ScriptHost = NoScripts()
        self.is_named = bool(settings.node_id)      # the operator gave it this very node id
        self.damaged = 0                  # records that the store gave and that were left out
        self.is_restored = False          # the store is a copy of an earlier state of another
        self._dirty: list[Session] = []
        self._synced_generation = 0       # the last that must be on disk
        self._speak_by_ms = NEVER         # when a frame must leave even if it says nothing new
        self._waits_for_disk = settings.durability == "always"

    # ---- starting ----

    def restore(self, pairs: list[bytes]) -> None:
        """Take back what the store holds."""
        self.damaged += self.replica.restore(pairs) + self.hints.restore(pairs)

    def restore_damaged(self, count: int) -> None:
        """The store left out so many pairs that were damaged."""
        self.damaged += count

    def start(self, now_ms: int, wall_ms: int) -> None:
        """Begin: take up an identity, found or find the cluster. Commands are accepted after.

        Raises `ConfigError` when `aclfile` makes no sense, or no cluster can be found or founded.
        """
        this = self.this
        this.now.now_ms, this.now.wall_ms = now_ms, wall_ms
        self.damaged += self.replica.restored() + damaged_in(self.replica.meta)
        this.begin(this.settings.engine != "memory" and not (self.damaged or self.is_restored))
        here = member_of(this.settings, this.identity)
        self._assemble(here)
        self.notifications.tick()
        self.gossip.restore(self.is_named)
        self.sessions.begin()
        self.changes.restore()
        self.changes.found()
        self.changes.go_by_ring()
        self.replan()
        self.arrival.look(now_ms)
        self.trace.event(
            "node_started", node=here.node_id[:8], actor=this.identity.actor.hex()[:8],
            life="new" if this.identity.is_new_life else "same", records=self.replica.records,
            damaged=self.damaged,
        )

    def _assemble(self, here: Member) -> None:
        """Make the rooms and give each the others that it calls."""
        this, settings, name = self.this, self.settings, here.node_id
        self.membership, self.transfers = Membership(this, here), this.transfers
        self.planner = Planner(name, this.link_to, self.transfers)
        self.detector = FailureDetector(
            settings.heartbeat_ms, settings.failure_timeout_ms, self.trace,
            self._reachability_changed, self.replan,
            lambda peer: self.dispatcher.forwarding.fell_silent(peer),
        )
        self.readiness = Readiness(
            this, self.membership, lambda: self.sessions.held(), lambda: self.arrival.is_over,
            lambda: self.draining.retires, lambda peer: self.handoff.came_up(peer),
            lambda link: self.coordinator.lose_writes(link), self.replan,
        )
        self.slot_map = SlotMap(name, self.now_ms)
        silent_ms = 4 * settings.failure_timeout_ms
        self.keepers = Keepers(name, self.links, self.hints, silent_ms, this.now)
        self.cleared_gossip = ClearedGossip(this)
        self.gossip = Gossip(
            this, self.membership, self.replan, lambda: self.slot_map.hold_back(self.now_ms),
            lambda link: self.collection.statement(link), self.keepers,
            TokenKeys(self.replica, self.random), self.cleared_gossip,
        )
        self.gossip.begin_again = lambda node_id: self.host.begin_again(node_id)
        self.coordinator = self.make_coordinator()
        self.coordinator.waits_for_disk = self._waits_for_disk
        self.coordinator.message_max_age_ms = settings.message_max_age_ms
        self.coordinator.sent_on.goes_by(self.detector.cut_off, self.planner.stand_in)
        self.task_runner = TaskRunner(
            this, lambda question: self.answers.answer(question),
            lambda request, done: self.dispatcher.run_for_task(request, done),
        )
        fallback = Fallback(this, self.coordinator, self.task_runner)
        self.dispatcher = Dispatcher(this, self.coordinator, fallback)
        self.groups = Groups(self.dispatcher, this, self.coordinator)
        sender = ScriptSender(self.groups, self.script_host)
        self.scripts = sender.scripts
        self.inbound = Inbound(this, self.coordinator, self.dispatcher, self.groups, sender)
        self.coordinator.latencies = self.dispatcher.forwarding.latencies = self.latencies
        self.dispatcher.forwarding.failed = lambda peer: self.detector.failed(self.link_to(peer))
        self.coverage = Coverage(this, self.keepers)
        self.exchange = self.make_exchange()
        self.changes = RingChanges(
            this, self.membership, self.task_runner, self.coordinator, self.gossip,
            lambda: self.arrival.lives.send_to_all(), self.replan,
        )
        self.scrub = self.make_scrub()
        self.handoff = self.make_handoff()
        self.transfer = Transfer(
            this, self.task_runner, self.exchange, self.cleared_gossip, self.replan,
            lambda: self.collection.disturb(),
        )
        self.collection = self.make_collection()
        self.sessions = sessions = Sessions(
            this, here, lambda: self.host, self.membership, self.gossip, self.readiness,
            self.slot_map, self.coordinator, self.dispatcher, self.groups, self.latencies,
            sender, self.replan, self.lost_memory, self.task_runner.start,
            lambda session, command, argv: run(self.context, session, command, argv),
            lambda session, command, argv, terms: self.tasks.make(session, command, argv, terms),
        )
        self.arrival, self.draining = sessions.arrival, sessions.draining
        self.notifications = sessions.notifications
        self.context = LocalContext(
            this, lambda: self.host, self.apply_settings, sessions, self.slot_map, self.readiness,
            self.exchange, self.latencies, self.task_runner,
        )
        self.tasks = Tasks(
            this, sessions, self.membership, self.gossip, self.readiness, self.slot_map,
            self.coverage, self.exchange, self.transfer, self.changes, self.coordinator,
        )
        self.receiver = Receiver(
            this, self.coordinator, self.detector,
            lambda link, item: self.handlers.receive(link, item), self.inbound.forwarded,
            self.dispatcher.forwarding.answered, self.task_runner.questioned,
            self.task_runner.answered, self.readiness.peer_stores, self.readiness.peer_has_room,
            self.readiness.observe, self._forget_requests, self.changes.peer_began,
            self.arrival.lives.marked,
        )
        self.answers = Answers(
            this, self.coverage, self.handoff, self.exchange, self.transfer, self.collection,
            self.notifications.pubsub, self.scripts, self.tasks.health,
        )
        self.handlers = StatementHandlers(
            self.counters, self.readiness.clock.receive, self.gossip, self.keepers,
            self.cleared_gossip, self.collection, self.notifications, self.draining, self.scripts,
            self.dispatcher.forwarding.goes_on)
        if self._waits_for_disk:
            self.dispatcher.forwarding.bits = 0
        self.apply_settings(settings)

    def make_coordinator(self) -> Coordinator:
        """The part that counts quorums."""
        this, send = self.this, self.cleared_gossip.send_cleared
        return Coordinator(
            this.replica, this.hints, this.counters, this.settings.speculative_ms, this.stamp,
            this.plan_for, this.link_to, send, self.keepers, this.now)

    def make_exchange(self) -> Exchange:
        """The part that compares copies."""
        return Exchange(self.this, self.task_runner, self.cleared_gossip)

    def make_scrub(self) -> Scrub:
        """The part that checks checksums."""
        return Scrub(self.this, self.exchange, self.lost_memory)

    def make_handoff(self) -> Handoff:
        """The part that gives owners their hints."""
        return Handoff(self.this, self.task_runner, self.keepers, self.exchange, self._storing_here)

    def make_collection(self) -> Collection:
        """The part that collects tombstones."""
        return Collection(self.this, self.task_runner, self.transfer, self.replan)

    # ---- clients ----

    def open_session(self, address: str, local_address: str, listener: str, tag: object) -> Session:
        """A client has connected to one of the listeners, "client" or "cluster"."""
        return self.sessions.open_session(address, local_address, listener, tag, self._dirty)

    def lets_in_all(self) -> bool:
        """Whether a client need not say who it is."""
        return self.sessions.users.default.nopass

    def close_session(self, session: Session) -> None:
        """The client is gone. Its commands go on; the replies go nowhere."""
        self.sessions.close_session(session)

    def serve(
        self, session: Session, reader: RequestReader, most: int, soft_bytes: int
    ) -> int:
        """Run at most so many of the commands that a client has sent, none while it has
        `soft_bytes` of output to read; how many. Raises `ProtocolError`."""
        return self.sessions.serve(session, reader, most, soft_bytes)

    # ---- peers ----

    def dials(self) -> dict[str, str | None]:
        """Peer addresses to keep a connection to, with the node id expected there if known."""
        return self.gossip.dials(self.settings.seeds)

    def greeting(self) -> bytes:
        """What to say of oneself when connecting."""
        return self.membership.greeting()

    def meet(self, greeting: bytes) -> str:
        """Judge what a peer said of itself; its node id. Raises `PeerError` with the reason."""
        member = self.membership.meet(greeting)
        self.gossip.met(self.link_to(member.node_id), member)
        return member.node_id

    def link(self, peer: str, up: bool) -> None:
        """Our connection to a peer stands, both greetings accepted, or is gone."""
        link = self.link_to(peer)
        if up:
            link.connect(random_bits(self.random, 63) + 1)
            self.gossip.greet(link)
            self.readiness.send_clock(link)
            self.notifications.greet(link)
            self.scripts.greet(link)
            return
        if link.is_connected:
            link.disconnect()
            self.detector.broken(link, self.now_ms)
            self._forget_requests(link)

    def frame(self, peer: str, items: list[bytes]) -> None:
        """A peer's frame: a flat list of bulk strings. Raises `PeerError`."""
        self.receiver.frame(self.link_to(peer), items)

    # ---- the store ----

    def durable(self, generation: int) -> None:
        """Everything up to this generation is as durable as `fsync` demands."""
        if generation <= self.this.durable_to:
            return
        self.this.durable_to = generation
        self.sessions.stored(generation, self._waits_for_disk)
        self.identity.durable(generation)
        self.arrival.lives.durable(generation)
        self.changes.durable(generation)
        self.coordinator.durable(generation)
        if self._waits_for_disk:
            for link in self.links.values():
                link.stored(generation)
        self.task_runner.durable(generation)

    def storage_failed(self, reason: str) -> None:
        """The store cannot store: refuse writes, say so to peers, go on reading."""
        if not self.this.store_failure:
            self.trace.event("storage_failed", reason=reason)
        self.this.store_failure = reason
        self._storing_here()

    def storage_recovered(self) -> None:
        """The store works again, and has everything that it was given."""
        if self.this.store_failure:
            self.trace.event("storage_recovered")
        self.this.store_failure = ""
        self._storing_here()

    def _storing_here(self) -> None:
        """What this node can store has changed: announce it to every peer."""
        can_store = not self.this.store_failure
        self.receiver.can_store = self.coordinator.can_store = self.coverage.can_store = can_store
        for link in self.links.values():
            link.speak_by_ms = 0
        self.replan()

    # ---- time ----

    def advance(self, now_ms: int, wall_ms: int) -> None:
        """Time passes; what was due happens. First in every turn."""
        now = self.this.now
        if now_ms == now.now_ms:
            return      # a busy node takes several turns in a millisecond: nothing new is due
        now.now_ms = now_ms
        self.readiness.time(now_ms, wall_ms)     # which sets the other one
        self.sessions.tick()
        self.admission.tick()
        self.coordinator.expire()
        self.dispatcher.expire()
        self.task_runner.expire()
        self.notifications.tick()
        self.detector.look(self.links.values(), now_ms)
        self.gossip.tick(self.settings.heartbeat_ms)
        self.exchange.tick()
        self.scrub.tick()
        self.sessions.pausing.expire(now_ms)
        self.handoff.tick()
        self.collection.tick()
        self.transfer.tick()
        self.changes.tick()

    def next_deadline(self) -> int:
        """When `advance` must be called at the latest: at once if there is work, else later."""
        if self.sessions.is_ready() or not self.this.slices.is_idle():
            return self.now_ms
        if self._dirty:
            return self.now_ms + 1
        # Two by two: compiled that is a comparison, and `min` of more a call with as many objects.
        first_ms = min(self._speak_by_ms, self.detector.next_deadline())
        first_ms = min(first_ms, self.gossip.next_deadline())
        first_ms = min(first_ms, self.coordinator.next_deadline())
        first_ms = min(first_ms, self.dispatcher.next_deadline())
        first_ms = min(first_ms, self.task_runner.next_deadline())
        first_ms = min(first_ms, self.exchange.next_deadline())
        first_ms = min(first_ms, self.sessions.next_deadline())
        first_ms = min(first_ms, self.handoff.next_deadline())
        first_ms = min(first_ms, self.collection.next_deadline())
        first_ms = min(first_ms, self.changes.next_deadline())
        first_ms = min(first_ms, self.transfer.next_deadline())
        return max(self.now_ms + 1, first_ms)

    # ---- the end of the turn ----

    def drain(self) -> TurnOutput:
        """The turn ends: everything that leaves now."""
        this, identity, replica = self.this, self.identity, self.replica
        coordinator = self.coordinator
        this.slices.run()
        self.sessions.resume()
        sync, generation = self._waits_for_disk, 0
        if identity.wants_lease():
            replica.put_meta(LIFE, identity.lease(this.generation + 1))
            sync = True
        if replica.must_sync:
            replica.must_sync = False
            self.changes.seal(this.generation + 1)
            sync = True
        coordinator.seal()
        sync = self.arrival.lives.seal(this.generation + 1, sync)
        if replica.batch:
            this.generation = generation = this.generation + 1
        waits = generation if self._waits_for_disk else 0
        coordinator.stored(waits)
        while not waits and coordinator.has_opened():      # covering writes, once
            coordinator.seal()
            coordinator.stored(0)
        self.gossip.turn_ends()
        if replica.batch and not generation:
            this.generation = generation = this.generation + 1
        self.notifications.turn_ends(replica.batch)
        batch = replica.turn_ends()
        self.keepers.turn_ends()
        if generation:
            self.sessions.handed_over(generation, sum(map(len, batch)))
        if generation and sync:
            self._synced_generation = generation
        if self.task_runner.held:
            latest = this.generation if self._waits_for_disk else self._synced_generation
            self.task_runner.stored(latest if latest > this.durable_to else 0)
        self.receiver.end_turn(waits)
        self.sessions.holding.look()
        flags = self.readiness.flags(self.handoff.is_full, self.sessions.holding.is_congested)
        frames, self._speak_by_ms = seal_all(
            self.links, self.now_ms, self.clock.last, flags, self.arrival.lives.mark
        )
        self.counters.frames_sent += len(frames)
        return TurnOutput(to_write(self._dirty), frames, batch, generation, sync)

    def turned(self, took_us: int) -> None:
        """The driver's turn, from `advance` until all has been handed over, took so long."""
        self.sessions.turned(took_us // 1000)

    # ---- stopping ----

    def stop(self) -> None:
        """Refuse new commands; what is pending finishes or fails by its deadline."""
        self.this.stopping = True
        self.sessions.stop()

    def is_idle(self) -> bool:
        """Whether nothing is pending."""
        rooms = self.this.slices, self.groups, self.task_runner
        return self.sessions.held() == 0 and all(room.is_idle() for room in rooms)

    # ---- among the rooms ----

    def apply_settings(self, settings: Settings) -> None:
        """Go by these settings from now on; some of them may change while a node runs."""
        this = self.this
        this.settings = settings
        self.inbound.working_max = settings.max_inflight
        this.hints.limit_bytes = settings.hint_max_bytes
        this.hints.remember_ms = settings.request_timeout_ms
        self.coordinator.speculative_ms = settings.speculative_ms
        this.admission.settings_changed(settings)
        self.sessions.settings_changed()

    @property
    def settings(self) -> Settings:
        """What an operator has set."""
        return self.this.settings

    @property
    def now_ms(self) -> int:
        """The monotonic time of this turn."""
        return self.this.now.now_ms

    def link_to(self, peer: str) -> Link:
        """The dealings with a peer, begun if there were none."""
        return self.this.link_to(peer)

    def replan(self) -> None:
        """The ring or the reachability of a node has changed."""
        ring = self.membership.ring
        if ring is None:
            return
        self.this.mark(self.links.values())
        self.replica.set_partitions(ring.partitions)
        self.gossip.token_keys.begin()
        self.dispatcher.token_keys = self.gossip.token_keys.good()
        plans = self.planner.plan(
            ring, not self.this.store_failure, not self.handoff.is_full, self._waits_for_disk
        )
        leaves = self.draining.stands_aside
        deprioritize(
            plans[:: self.replica.width], self.identity.node_id,
            self.readiness.clock.is_doubted or leaves, leaves, self.link_to,
        )
        self.this.plans = plans
        self.dispatcher.none_can_store = bool(self.this.store_failure) and not any(
            plan.coordinator for plan in plans[:: self.replica.width]
        )
        self.slot_map.replan(plans, ring.partitions, not self.this.store_failure, self.now_ms)
        self.readiness.is_out = not (self.this.is_member() or self.draining.retires)
        self.sessions.planned(ring.most_copies())
        self.exchange.planned()
        self.handoff.planned()
        self.collection.planned()

    def _reachability_changed(self, link: Link) -> None:
        self.replan()
        if not link.is_up:
            self._forget_requests(link)
        else:
            self.readiness.clock.note(link)
            self.gossip.greet(link)
            if self.slot_map.is_held_back(link.peer):
                self.gossip.send_held(link)
            self.exchange.came_up(link.peer)
            self.handoff.came_up(link.peer)

    def _forget_requests(self, link: Link) -> None:
        """Nothing that waits for this peer will be answered."""
        self.coordinator.lose(link)
        self.dispatcher.forwarding.lose(link.peer)
        self.task_runner.lose(link.peer)
        self.notifications.lose(link.peer)

    def lost_memory(self) -> None:
        """This node has forgotten dots that it minted: a new life begins."""
        self.this.begin_life()
        self.changes.lost_memory()

