"""The world: one heap of events, one time, and everything that is in it.

An event is a time, a serial number that breaks ties, something to call and its one argument. The
world is over when the last event before the end has been called; nothing else happens anywhere.
Every byte that leaves a node goes into the digest, so two runs that differ anywhere differ there.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from respdyn.config import Settings
from respdyn.sim.chance import Chance
from respdyn.sim.clocks import Clock
from respdyn.sim.disk import Disk
from respdyn.sim.history import History
from respdyn.sim.host import Host, NodeFactory
from respdyn.sim.network import Network
from respdyn.sim.operations import NEVER
from respdyn.sim.plan import Plan
from respdyn.sim.report import Story

if TYPE_CHECKING:
    from respdyn.sim.clients import Client
    from respdyn.sim.operations import Op

CLIENT_PORT = 6379
PEER_PORT = 16379
# How far an expiry may be off while all clocks are right: a turn, a reply, and rounding.
_MARGIN_US = 50_000
# Clocks count milliseconds.
_TICK_US = 2_000


class World:
    """One run's world."""

    def __init__(self, plan: Plan, node_class: NodeFactory, story: Story | None = None) -> None:
        self.plan = plan
        self.node_class = node_class
        self.story = story
        self.now_us = 0
        self.events = 0
        self.deliveries = 0                 # frames and commands that nodes were given
        self.counts: dict[str, int] = {}    # what happened how often
        self.acting = ""                    # who is at work, should it fail
        self.history = History(plan)
        self.made: set[int] = set()         # numbers that increments under WATCH have made
        self._heap: list[tuple[int, int, Callable[..., None], object]] = []
        self._digest = blake2b(digest_size=16)
        self.network = Network(self, Chance(plan.seed, "network"))
        self.hosts = [self._make_host(index) for index in range(plan.nodes)]
        # Machines that are no members: not yet, and not any more.
        self.spares = [self._make_host(plan.nodes + index) for index in range(plan.spares)]
        self.retired: list[Host] = []
        self.newest_version = 0             # of the rings that were ever seen
        # Since this ring a member is missing whose copies others are still to get.
        self.exposed_since = 0
        self.overdue: dict[tuple[int, int], int] = {}   # see `checks.prompt`
        machines = [*self.hosts, *self.spares]
        self._by_address = {f"{host.settings.host}:{PEER_PORT}": host for host in machines}
        self._by_id = {host.settings.node_id: host for host in machines}
        self.network.hosts = self.hosts
        self.has_jumped = False             # some clock that was told and trusted before
        self.has_started_wrong = False      # some node, with its clock already wrong
        self.note_clocks()

    def _make_host(self, index: int) -> Host:
        plan = self.plan
        chance = Chance(plan.seed, f"machine {index}")
        clock = Clock(
            chance.between(-plan.drift_ppm, plan.drift_ppm),
            chance.between(-plan.skew_ms, plan.skew_ms), chance.below(1_000_000),
        )
        disk = Disk(Chance(plan.seed, f"disk {index}"), plan.durability, plan.engine == "memory")
        node_id = "".join(f"{chance.below(256):02x}" for _ in range(20))
        return Host(self, index, _settings(plan, index, node_id), clock, disk)

    def note_clocks(self) -> None:
        """Some clock was set: from now on clients may see expiries off by so much."""
        worst_ms = max(host.clock.worst_ms for host in self.hosts)
        if not self.has_started_wrong:
            # A node notices by itself that its clock has jumped further than that, also when it has
            # crept there in two steps; one that starts with a wrong clock has to be told.
            worst_ms = min(worst_ms, 2 * self.hosts[0].settings.max_clock_offset_ms)
        self.history.clock_margin_us = 2_000 * worst_ms + 200 * self.plan.drift_ppm + _TICK_US
        self.history.margin_us = self.history.clock_margin_us + _MARGIN_US

    # ---- time ----

    def at(self, time_us: int, act: Callable[..., None], what: object) -> None:
        """Call `act(what)` at a time, now or later."""
        self.events += 1
        heappush(self._heap, (time_us, self.events, act, what))

    def after(self, wait_us: int, act: Callable[..., None], what: object) -> None:
        """Call `act(what)` after a while."""
        self.events += 1
        heappush(self._heap, (self.now_us + wait_us, self.events, act, what))

    def run_until(self, end_us: int) -> None:
        """Let everything happen that happens until then."""
        heap = self._heap
        while heap and heap[0][0] <= end_us:
            self.now_us, _, act, what = heappop(heap)
            act(what)
        self.now_us = end_us

    def run_while(self, is_wanted: Callable[[], bool], limit_us: int) -> bool:
        """As `run_until`, in steps of 10 ms, while something is so; False when time is up."""
        end_us = self.now_us + limit_us
        while is_wanted():
            if self.now_us >= end_us:
                return False
            self.run_until(self.now_us + 10_000)
        return True

    # ---- places ----

    def host_at(self, address: str) -> Host | None:
        """The host with this peer address."""
        return self._by_address.get(address)

    def host_called(self, node_id: str) -> Host:
        """The host with this node id."""
        return self._by_id[node_id]

    def running(self) -> list[Host]:
        """Hosts whose process is there."""
        return [host for host in self.hosts if host.is_running()]

    def may_lose(self) -> bool:
        """Whether what one node has may be lost now: others have it, all of it."""
        return self.plan.w >= 2 and self.history.damaged_us == NEVER and not self.exposed_since

    # ---- what is told ----

    def stamp(self, who: int, data: bytes) -> None:
        """Put bytes into the digest, with their time and origin."""
        self._digest.update(b"%d %d %d " % (self.now_us, who, len(data)))
        self._digest.update(data)

    def digest(self) -> str:
        """A hash over all that happened so far."""
        return self._digest.hexdigest()

    def count(self, what: str) -> None:
        """One more of it."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def tell(self, who: str, text: str) -> None:
        """A line of the story, if one is told."""
        if self.story is not None:
            self.story.add(self.now_us, who, text, b"")

    def tell_op(self, client: "Client", op: "Op", verb: str) -> None:
        """A line about a client's command."""
        if self.story is not None:
            where = client.host.name if client.host is not None else "nobody"
            self.story.add_op(self.now_us, client.name, where, op, verb)


def _settings(plan: Plan, index: int, node_id: str) -> Settings:
    """What one node is told."""
    alone = plan.nodes == 1 and not plan.spares
    is_first = plan.nodes == 1 and index == 0       # it founds a cluster of its own
    settings = Settings(
        node_id=node_id,
        host=f"10.0.0.{index + 1}",
        bind=(f"10.0.0.{index + 1}",),
        client_port=CLIENT_PORT,
        cluster_port=CLIENT_PORT + 1000,
        peer_port=PEER_PORT,
        http_port=0,
        zone=f"zone{index % 3}",
        seeds=() if is_first else tuple(
            f"10.0.0.{other + 1}:{PEER_PORT}" for other in range(min(plan.nodes, 3))
        ),
        cluster_size=0 if is_first or index >= plan.nodes else plan.nodes,
        peer_secret="" if alone else "the simulator's",
        n=plan.n, r=plan.r, w=plan.w,
        partitions=plan.partitions,
        engine=plan.engine,
        durability=plan.durability,
        lease_block=plan.lease_block,
        protected_mode=False,
        request_timeout_ms=plan.request_timeout_ms,
        heartbeat_ms=plan.heartbeat_ms,
        failure_timeout_ms=plan.failure_timeout_ms,
        speculative_ms=plan.speculative_ms,
        exchange_interval_ms=plan.exchange_ms,
        hint_interval_ms=3_000,
        hint_max_bytes=plan.hint_bytes,
        store_backlog=plan.backlog_bytes,
        max_inflight=plan.max_inflight,
        collect_interval_ms=50,
    )
    if plan.message_ms:
        return replace(settings, message_max_age_ms=plan.message_ms)
    if not plan.grace_ms:
        return settings
    return replace(
        settings, tombstone_grace_ms=plan.grace_ms, hint_max_age_ms=plan.grace_ms // 4,
        message_max_age_ms=1_000,
    )
