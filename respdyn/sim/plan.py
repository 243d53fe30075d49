"""One seed's circumstances: sizes, timings and which faults there will be, drawn once.

This is swarm testing: a run that suffers everything at once finds less than many runs that each
suffer something else. Everything that is drawn here is printed with a failing seed.

Source: Groce et al., Swarm Testing (2012); TigerBeetle's VOPR draws its options the same way.
"""

from dataclasses import asdict, dataclass, replace

from respdyn.sim.chance import Chance

# What may be done to a world, each for at least as long as the failure detector needs to notice.
FAULTS = (
    "kill",         # a node's process dies and is started again
    "power",        # its machine loses power: what was not synced is gone
    "wipe",         # it comes back with an empty disk
    "rot",          # it comes back, and part of what its disk held is damaged and left out
    "stop",         # SIGTERM, and it is started again
    "pause",        # SIGSTOP, for longer than every time-out
    "stall",        # turns of hundreds of milliseconds
    "cut",          # no packets between two nodes, in one direction or both
    "isolate",      # none between one node and all others
    "halves",       # none between two groups
    "swizzle",      # links stopped one by one, freed in another order
    "reset",        # connections break; what is in flight is lost from some point on
    "repeat",       # frames arrive twice, or once more on the next connection
    "late",         # what was in flight on a broken connection arrives after the next one's
    "slow-link",    # one direction many times slower
    "slow-disk",    # syncs of hundreds of milliseconds
    "full-disk",    # nothing can be stored
    "jump",         # a wall clock errs by up to an hour
    "restore",      # its data directory is put back as it was some time ago
    "decay",        # a record in its memory is damaged
    "bridge",       # none between two groups, but one node reaches both
    "start",        # a node that clients wait for is restarted while all others are there
    "set-right",    # a node starts with a wrong clock, which is set right a moment later
    "flap",         # all links of one node go silent and speak again, several times
)
# Drawn apart from the others, so that the seeds that once found something still draw the same.
_LATER_FAULTS = ("restore", "decay", "bridge", "start", "set-right", "flap")
# What takes away what was acknowledged, whatever is promised of the disk.
LOSING = ("wipe", "rot", "restore", "decay")

# What the clients do with a key; see `clients`.
PROFILES = ("register", "delete", "context", "volatile", "expiry", "session", "mixed")
# And with sets, hashes, sorted sets, lists and counters; see `collectors`.
KINDS = (
    "kept", "members", "fields", "timed", "tally", "sum", "scores", "points", "queue", "belt",
    "stream",
)
_LATER_KIND = "stream"      # drawn apart from the others
_NOT_FLUSHED = ("tally", "sum", "points", "queue", "belt", _LATER_KIND)

@dataclass(frozen=True, slots=True)
class Plan:
    """What one seed draws."""

    seed: int
    nodes: int
    n: int
    r: int
    w: int
    partitions: int
    engine: str
    durability: str
    sloppy: bool
    faults: tuple[str, ...]
    fault_every_ms: int         # mean time between the beginnings of two faults
    harm_ms: int
    harms_early: bool           # faults begin before the cluster has formed
    leaves_one_out: bool        # one node is healed only after the others proved that they serve
    keys: tuple[tuple[str, str], ...]
    clients: int
    operations: int             # about how many commands clients send while there is harm
    pipeline: int
    flushes: bool               # clients also send FLUSHALL
    spares: int                 # machines that operators may join; 0: members stay the same
    exchange_ms: int            # how often replicas are compared; 0: never
    hint_bytes: int             # how much a node keeps for others before it is passed over
    backlog_bytes: int          # how much may wait for a disk before clients do
    request_timeout_ms: int
    heartbeat_ms: int
    failure_timeout_ms: int
    speculative_ms: int
    lease_block: int
    max_inflight: int
    delay_us: int               # the least between two nodes
    jitter_us: int              # the mean of what comes on top
    turn_us: int
    write_us: int
    sync_us: int
    skew_ms: int
    drift_ppm: int
    grace_ms: int               # of tombstones; 0: longer than any run
    message_ms: int             # how old a frame may be where the grace is long; 0: older than any
    transactors: int            # clients that send transactions
    traitor: bool               # one member also says what cannot be
    collectors: int = 0         # clients that work on sets, hashes, sorted sets and counters
    collections: tuple[tuple[str, str], ...] = ()       # and on which keys
    scripters: int = 0          # clients that send scripts

    @property
    def think_us(self) -> int:
        """How long a client thinks before it sends the next commands, on average."""
        at_once = self.clients * (1 + self.pipeline) / 2
        return int(1_000 * self.harm_ms * at_once / self.operations)

    @property
    def grows(self) -> bool:
        """Whether operators make a cluster of one node."""
        return self.nodes == 1 and self.spares > 0

    @property
    def forgets(self) -> bool:
        """Whether deletions are forgotten within the run, in the end all of them."""
        return self.grace_ms > 0 or self.message_ms > 0

    @property
    def is_calm(self) -> bool:
        """Nothing fails, from the forming of the cluster to the end."""
        return not self.faults and not self.leaves_one_out and not self.harms_early

    @property
    def is_strict(self) -> bool:
        """Whether only owners count toward a quorum."""
        return not self.sloppy or (self.nodes == self.n and not self.spares)

    @property
    def reads_see_writes(self) -> bool:
        """R + W > N: a read meets every write that was acknowledged before it."""
        return self.is_strict and self.r + self.w > self.n

    @property
    def writes_meet(self) -> bool:
        """2W > N: a write meets every write that was acknowledged before it."""
        return self.is_strict and 2 * self.w > self.n

    @property
    def loses_tails(self) -> bool:
        """Whether a power cut may take away what was acknowledged."""
        return self.engine == "memory" or self.durability != "always"

    def changed(
        self, nodes: int | None = None, faults: tuple[str, ...] | None = None
    ) -> "Plan":
        """The same plan with another number of nodes, or with these faults only."""
        plan = self
        if nodes is not None:
            plan = plan.without_operators()
            n = min(3, nodes)
            plan = replace(plan, nodes=nodes, n=n, r=min(plan.r, n), w=min(plan.w, n))
        if faults is not None:
            plan = replace(plan, faults=faults)
            if plan.grows:
                plan = plan.with_operators()
        return plan

    def with_operators(self) -> "Plan":
        """The same plan with operators, who change the membership of at least three nodes.

        Or who make three of one: then nothing may be lost that only the first one has.
        """
        chance = Chance(self.seed, "members")
        plan = self if self.nodes > 1 or self.grows else self.changed(nodes=3)
        plan = replace(
            plan, spares=chance.between(1, 2), sloppy=plan.sloppy and chance.happens(0.3),
            leaves_one_out=False, harms_early=False, transactors=0, exchange_ms=100,
        )
        if Chance(self.seed, "growth").happens(0.8):
            return plan
        return replace(
            plan, nodes=1, n=3, r=2, w=2, spares=3, sloppy=False, engine="rocksdb",
            durability="always", faults=tuple(one for one in plan.faults if one not in LOSING),
        )

    def with_collections(self) -> "Plan":
        """The same plan with clients of sets, hashes, lists, streams, counters beside the others.

        Not on counters, lists and streams where FLUSHALL takes away what is counted.
        """
        chance = Chance(self.seed, "collections")
        kinds = [
            kind for kind in KINDS
            if kind != _LATER_KIND and not (self.flushes and kind in _NOT_FLUSHED)
        ]
        drawn = chance.shuffled(kinds)[: chance.between(1, 3)]
        collectors = chance.between(2, 5)
        keys: list[tuple[str, str]] = []
        for index in range(chance.between(len(drawn), 4)):
            kind = drawn[index % len(drawn)]
            keys.append((f"{kind}:{index}", kind))
            if kind == "belt":
                keys.append((f"{kind}:{index}>", kind))
        if not self.flushes and Chance(self.seed, "streams").happens(0.4):
            keys.append((f"{_LATER_KIND}:0", _LATER_KIND))
        return replace(self, collectors=collectors, collections=tuple(keys))

    def with_scripts(self) -> "Plan":
        """The same plan with clients that send scripts beside the others; a third are calm."""
        chance = Chance(self.seed, "scripts")
        plan = replace(self, scripters=chance.between(2, 5))
        if not chance.happens(0.33):
            return plan
        return replace(
            plan, faults=(), leaves_one_out=False, harms_early=False, traitor=False,
        )

    def without_operators(self) -> "Plan":
        """As the seed is drawn where it draws no operators."""
        return _draw_without_operators(self.seed) if self.spares else self

    def lines(self) -> list[str]:
        """For a reader: `name=value`, a few to a line."""
        words = [
            f"{name}={value}" for name, value in asdict(self).items()
            if name not in ("keys", "collections")
        ]
        words.append("keys=" + ",".join(f"{key}:{profile}" for key, profile in self.keys))
        words.append("collections=" + ",".join(key for key, _ in self.collections))
        lines = [""]
        for word in words:
            if len(lines[-1]) + len(word) > 96:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        return lines


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    plan = _draw_without_operators(seed)
    return plan.with_operators() if Chance(seed, "operators").happens(0.15) else plan


def _draw_without_operators(seed: int) -> Plan:
    chance = Chance(seed, "plan")
    nodes = chance.pick((1, 3, 3, 3, 3, 3, 3, 4, 5, 5))
    n = min(3, nodes)
    quorums = ((2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (1, 3), (3, 2), (2, 3), (1, 2), (1, 1))
    r, w = chance.pick(quorums) if n == 3 else (1, 1)
    volatile = chance.happens(0.1)
    slow = chance.pick((1, 1, 1, 10))
    heartbeat_ms = chance.pick((100, 300, 1000))
    profiles = chance.shuffled(PROFILES)[: chance.between(1, 3)]
    plan = Plan(
        seed=seed,
        nodes=nodes, n=n, r=r, w=w,
        partitions=chance.pick((4, 16, 64)),
        engine="memory" if volatile else "rocksdb",
        durability=chance.pick(("always", "always", "everysec", "no")),
        sloppy=chance.happens(0.5),
        faults=_draw_faults(chance) + _draw_later_faults(Chance(seed, "later faults")),
        fault_every_ms=chance.pick((300, 700, 1500)),
        harm_ms=chance.between(3_000, 9_000),
        harms_early=chance.happens(0.15),
        leaves_one_out=chance.happens(0.3),
        keys=tuple(
            (f"key:{index}", chance.pick(profiles)) for index in range(chance.between(1, 6))
        ),
        clients=chance.between(2, 6),
        operations=chance.pick((200, 500, 1_000)),
        pipeline=chance.pick((1, 1, 2, 8)),
        flushes=chance.happens(0.0),        # see `_flushing`
        exchange_ms=100,
        hint_bytes=Chance(seed, "hints").pick((1 << 28, 1 << 28, 1 << 28, 2_000)),
        backlog_bytes=1 << 26,
        request_timeout_ms=chance.pick((300, 1000, 2000)),
        heartbeat_ms=heartbeat_ms,
        failure_timeout_ms=heartbeat_ms * chance.pick((2, 3)),
        speculative_ms=chance.pick((5, 50)),
        lease_block=chance.pick((8, 64, 1_000_000)),
        max_inflight=chance.pick((4, 100_000, 100_000, 100_000)),
        delay_us=chance.pick((30, 200, 1_000)) * slow,
        jitter_us=chance.pick((20, 300, 2_000)) * slow,
        turn_us=chance.pick((50, 200, 1_000)),
        write_us=chance.pick((20, 200)),
        sync_us=chance.pick((100, 1_000, 8_000)),
        skew_ms=chance.pick((0, 10, 200)),
        drift_ppm=chance.pick((0, 100, 1_000)),
        grace_ms=0,
        message_ms=0,
        transactors=0,
        spares=0,
        traitor=False,
    )
    small = Chance(seed, "backlog").pick((1 << 26, 1_000, 4_000, 16_000))
    plan = replace(plan, backlog_bytes=small)
    plan = _forgetting(plan, Chance(seed, "grace"))
    plan = _forgetting_early(plan, Chance(seed, "early"))
    plan = _transacting(plan, Chance(seed, "transactors"))
    plan = _flushing(plan, Chance(seed, "flushes"))
    has_traitor = Chance(seed, "traitor").happens(0.12) and bool(plan.faults) and nodes > 1
    return replace(plan, traitor=has_traitor)


def _flushing(plan: Plan, chance: Chance) -> Plan:
    """With FLUSHALL, in some; not where numbers are counted that nothing takes back."""
    return replace(plan, flushes=chance.happens(0.1) and not plan.transactors)


def _transacting(plan: Plan, chance: Chance) -> Plan:
    """With clients that send transactions, in some; a third of those are calm."""
    if not chance.happens(0.25):
        return plan
    plan = replace(plan, transactors=chance.between(2, 4))
    if not chance.happens(0.33):
        return plan
    return replace(plan, faults=(), leaves_one_out=False, harms_early=False)


def _forgetting(plan: Plan, chance: Chance) -> Plan:
    """With a grace that ends within the run, where heartbeats are quick enough for that.

    Half of those also rest: many keys, few commands, and absences longer than the grace.
    """
    if plan.heartbeat_ms > 100 or chance.happens(0.3):
        return plan
    plan = replace(plan, grace_ms=chance.pick((2_500, 4_000)))
    if chance.happens(0.5):
        return plan
    keys = tuple(
        (f"key:{index}", chance.pick(("delete", "delete", "delete", "mixed", "expiry")))
        for index in range(30)
    )
    return replace(
        plan, keys=keys, operations=400, pipeline=1, failure_timeout_ms=1_000, harm_ms=15_000,
    )


def _forgetting_early(plan: Plan, chance: Chance) -> Plan:
    """With a grace of a day and hints that live for hours, in half of the others.

    What is forgotten then is so because nothing is in doubt.
    """
    if not plan.grace_ms or chance.happens(0.5):
        return plan
    return replace(plan, grace_ms=0, message_ms=1_000)


def _draw_faults(chance: Chance) -> tuple[str, ...]:
    if chance.happens(0.05):
        return ()
    wanted = chance.pick((0.1, 0.25, 0.5))
    faults = FAULTS[: -len(_LATER_FAULTS)]
    drawn = tuple(fault for fault in faults if chance.happens(wanted))
    return drawn or (chance.pick(faults),)


def _draw_later_faults(chance: Chance) -> tuple[str, ...]:
    return tuple(fault for fault in _LATER_FAULTS if chance.happens(0.1))
