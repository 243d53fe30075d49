"""The world: a timeline, and the machines, clocks, disks and network that are in it."""

from dataclasses import replace

from respdyn.config import Settings
from respdyn.sim.chance import Chance
from respdyn.sim.clocks import Clock
from respdyn.sim.disk import Disk
from respdyn.sim.host import Host, NodeFactory
from respdyn.sim.network import Network
from respdyn.sim.operations import NEVER
from respdyn.sim.plan import Plan
from respdyn.sim.report import Story
from respdyn.sim.timeline import Timeline

CLIENT_PORT = 6379
PEER_PORT = 16379
# What a node keeps of itself: how far its disk has come (`cluster/lives`), and its life.
_MARK = b"\xff\xffmark"
_LIFE = b"\xff\xfflife"
# How far an expiry may be off while all clocks are right: a turn, a reply, and rounding.
_MARGIN_US = 50_000
# Clocks count milliseconds.
_TICK_US = 2_000


class World(Timeline):
    """One run's world."""

    def __init__(self, plan: Plan, node_class: NodeFactory, story: Story | None = None) -> None:
        super().__init__(plan, story)
        self.node_class = node_class
        self.made: set[int] = set()         # numbers that increments under WATCH have made
        self.taken: set[bytes] = set()      # values that swaps by script have taken
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
        return Host(self, self, index, _settings(plan, index, node_id), clock, disk)

    def starts_wrong(self) -> None:
        """A node starts with its clock already wrong."""
        self.has_started_wrong = True
        self.note_clocks()

    def note_clocks(self) -> None:
        """Some clock was set: from now on clients may see expiries off by so much."""
        worst_ms = max(host.clock.worst_ms for host in self.hosts)
        if not self.has_started_wrong:
            # A node notices by itself that its clock has jumped further than that, also when it has
            # crept there in two steps; one that starts with a wrong clock learns it from others.
            worst_ms = min(worst_ms, 2 * self.hosts[0].settings.max_clock_offset_ms)
        self.history.clock_margin_us = 2_000 * worst_ms + 200 * self.plan.drift_ppm + _TICK_US
        self.history.margin_us = self.history.clock_margin_us + _MARGIN_US

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

    def life_over(self, host: Host) -> tuple[bytes, list[tuple[Host, int]]]:
        """The actor of a life that a backup would take up again, and others know to be over.

        And who knows it, in which life: they may be killed, and forget it. b"" if the backup is no
        older than what they remember.
        """
        backup = host.disk.backup
        assert backup is not None
        kept = int.from_bytes(backup.get(_MARK, b""), "big")
        over, witnesses = b"", []
        for other in self.hosts:
            if other is not host and other.node is not None:
                actor, mark = other.node.sessions.arrival.lives.remembered(host.settings.node_id)
                if actor and actor == backup.get(_LIFE, b"")[1:17] and mark > kept:
                    over = actor
                    witnesses.append((other, other.life))
        return over, witnesses

    def may_lose(self) -> bool:
        """Whether what one node has may be lost now: others have it, all of it."""
        return self.plan.w >= 2 and self.history.damaged_us == NEVER and not self.exposed_since


def _settings(plan: Plan, index: int, node_id: str) -> Settings:
    """The settings of one node."""
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
