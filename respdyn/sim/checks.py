"""What must be true when a world has been healed.

Every node serves, and soon; all answer the same of every key; that is what the history allows;
the copies are equal to the byte; nothing waits in any queue; walking all keys finds what is alive.
"""

from collections.abc import Callable

from respdyn.causal.parts import flat
from respdyn.ring.hashing import locator, slot_of_locator
from respdyn.sim import collectors, operations
from respdyn.sim.chance import Chance
from respdyn.sim.clients import Client
from respdyn.sim.clocks import EPOCH_MS
from respdyn.sim.collection_ops import element_key
from respdyn.sim.history import Wrong
from respdyn.sim.host import UP, Host
from respdyn.sim.operations import DONE, Op
from respdyn.sim.world import World
from respdyn.types import values

# Healed nodes must serve within so many failure time-outs, and this on top.
_SERVE_US = 10_000_000
_RETRY_US = 50_000
# A round of exchanges over all partitions and peers, and a second one.
_EXCHANGE_US = 20_000_000
# What a fallback has kept goes to an owner that is back at once, or the next time it is offered.
_HANDOFF_US = 10_000_000
# What is kept for an owner that is up goes to it at once.
_PROMPT_MS = 300
_OVERDUE_MOST = 8
_PATHS_ONLY = frozenset(("cut", "isolate", "halves", "swizzle", "bridge"))
# Walking all partitions takes a round trip for each, one after the other.
_WALK_MS = 8_000
# No inbox grows longer than this: requests are bounded by the clients, frames by turns.
_LARGEST_INBOX = 200_000
# Of what waits for a disk beside its limit: what a turn brings, and what others had sent by then.
_TURN_BYTES = 64_000
# Heartbeats may be under way while everything rests.
_MOST_UNANSWERED = 8


class Prober(Client):
    """Sends commands one after the other through one host, each again until it succeeds."""

    def __init__(
        self, world: World, name: str, target: Host, makers: list[Callable[[], Op]]
    ) -> None:
        super().__init__(world, name)
        self.target = target
        self.results: list[Op] = []
        self._makers = makers
        self._sleeps = False
        self._is_answered = False
        self._plan(0)

    def is_done(self) -> bool:
        """Whether all have succeeded."""
        return len(self.results) == len(self._makers)

    def receive(self, op: Op) -> None:
        """See `Client.receive`."""
        self._is_answered = op.outcome == DONE
        if self._is_answered and op.argv[0] != b"DYN.CONSISTENCY":
            self.results.append(op)

    def idle(self) -> None:
        """See `Client.idle`."""
        self._plan(1_000 if self._is_answered else _RETRY_US)

    def _plan(self, wait_us: int) -> None:
        if not self._sleeps:
            self._sleeps = True
            self.world.after(wait_us, self._step, None)

    def _step(self, _: None) -> None:
        self._sleeps = False
        if self.waiting:
            return
        if self.is_done():
            self.hang_up()
        elif self.host is None and not self.connect(self.target):
            self._plan(_RETRY_US)
        elif not self.waiting:
            self.send([self._makers[len(self.results)]()])


def probe(
    world: World, hosts: list[Host], make: Callable[[Host], list[Callable[[], Op]]], label: str,
    limit_us: int,
) -> list[Prober]:
    """Have commands succeed through each host; raises `Wrong` if that takes too long."""
    probers = [Prober(world, f"{label}{host.index + 1}", host, make(host)) for host in hosts]
    if not world.run_while(lambda: not all(one.is_done() for one in probers), limit_us):
        slow = next(one for one in probers if not one.is_done())
        raise Wrong(
            f"{slow.target.name} does not serve {limit_us // 1_000_000} s after all was well:"
            f" command {len(slow.results) + 1} of {label} has not succeeded"
        )
    return probers


def serve(world: World, label: str, hosts: list[Host]) -> None:
    """Each of these hosts can write and read, soon."""
    patience_us = _SERVE_US + 5_000 * world.plan.failure_timeout_ms

    def make(host: Host) -> list[Callable[[], Op]]:
        key = f"probe:{label}:{host.index}".encode()
        tries = iter(range(1_000_000))
        return [
            lambda: operations.set_(key, b"%b/%d" % (key, next(tries))),
            lambda: operations.get(key),
        ]

    probe(world, hosts, make, label, patience_us)


def anchor(world: World) -> None:
    """Give all owners a value of each key that is never removed."""
    host = Chance(world.plan.seed, "anchor").pick(world.hosts)
    tries = iter(range(1_000_000))

    def maker(key: bytes) -> Callable[[], Op]:
        return lambda: operations.everywhere(
            operations.set_(key, b"%b/anchor/%d" % (key, next(tries)))
        )

    kept = [key.encode() for key, profile in world.plan.keys if profile in ("register", "context")]
    probe(world, [host], lambda _: [maker(key) for key in kept], "k", _SERVE_US)


def read_all(
    world: World, label: str, hosts: list[Host], terms: tuple[bytes, ...] = ()
) -> list[Prober]:
    """Read every key whole through each of these hosts."""
    return probe(world, hosts, lambda _: collectors.readers_of(world, terms), label, _SERVE_US)


def end(world: World) -> None:
    """Everything that must be true in the end. Raises `Wrong`."""
    assert all(host.state == UP for host in world.hosts)
    for host in world.hosts:
        host.note_dropped_hints()
    read_all(world, "r", world.hosts)
    # One reader meets all copies; read repair must bring the join to each of them.
    one = Chance(world.plan.seed, "end").pick(world.hosts)
    read_all(world, "a", [one], (b"R", b"ALL", b"SLOPPY", b"no"))
    world.run_until(world.now_us + 1_000_000)
    compare_copies(world)
    asked_us = world.now_us
    probers = read_all(world, "e", world.hosts)
    keys = collectors.strings_of(world)
    for index, key in enumerate(keys):
        answers_of = [prober.results[index].read or () for prober in probers]
        # Nodes whose clocks differ may see a value expire at different moments.
        is_timeless = not world.history.of(key).may_expire()
        for prober, siblings in zip(probers, answers_of, strict=True):
            if siblings != answers_of[0] and is_timeless:
                raise Wrong(
                    f"{prober.target.name} has {len(siblings)} siblings, or in another order"
                    f" than {probers[0].target.name} with {len(answers_of[0])}", key,
                )
        world.history.judge_end(key, answers_of[0], asked_us, world.now_us)
        if len(answers_of[0]) > 1:
            world.count("siblings in the end")
    alive = {key for index, key in enumerate(keys) if probers[0].results[index].read}
    for index, (key, kind) in enumerate(collectors.collections_of(world), len(keys)):
        answers_of_key = [prober.results[index] for prober in probers]
        said = [collectors.answers(op) for op in answers_of_key]
        if any(one != said[0] for one in said) and not _fades(world, key):
            raise Wrong(f"nodes answer differently: {said}", key)
        if collectors.judge_end(world, key, kind, answers_of_key[0], asked_us):
            alive.add(key)
    walk(world, alive)
    if world.plan.forgets:
        collected(world)
        compare_copies(world, "after tombstones were collected")
        world.count("collected")
    rest(world)


def handed_off(world: World) -> None:
    """Everything that was kept for owners has been given to them."""
    if not world.run_while(lambda: not is_handed_off(world), _HANDOFF_US):
        keeper = next(host for host in world.hosts if host.node and host.node.hints.count)
        assert keeper.node is not None
        raise Wrong(
            f"{keeper.name} still keeps {keeper.node.hints.count} hints, although all is well"
        )
    for host in world.hosts:
        assert host.node is not None
        if host.node.hints.bytes:
            raise Wrong(f"{host.name} keeps no hints, but counts {host.node.hints.bytes} bytes")
        if host.node.counters.hints_delivered:
            world.count("hints delivered")
        if host.node.counters.sloppy_reads:
            world.count("sloppy reads")
        if host.node.counters.writes_sent_on:
            world.count("writes sent on")


def prompt(world: World) -> None:
    """No node keeps hints for long that the owner could be given, while only paths are cut.

    Looked at every 100 ms. A cut that was too short to be noticed still holds up what is on its
    way, so only what lasts is wrong.
    """
    plan, network = world.plan, world.network
    if plan.is_strict or plan.grace_ms or plan.spares or not _PATHS_ONLY.issuperset(plan.faults):
        return
    limit_ms = _PROMPT_MS + (plan.delay_us + plan.jitter_us) // 100
    for host in world.hosts:
        for other in world.hosts:
            node = host.node
            link = node.links.get(other.settings.node_id) if node is not None else None
            is_overdue = (
                node is not None and link is not None and link.is_up
                and network.is_open(host.index, other.index)
                and node.now_ms - link.changed_ms > 2 * limit_ms
                and node.hints.age_ms(link.peer) > limit_ms
            )
            pair = host.index, other.index
            world.overdue[pair] = world.overdue.get(pair, 0) + 1 if is_overdue else 0
            if world.overdue[pair] > _OVERDUE_MOST:
                raise Wrong(
                    f"{host.name} still keeps hints for {other.name}, which it reaches, after"
                    f" {limit_ms + 100 * _OVERDUE_MOST} ms"
                )


def is_handed_off(world: World) -> bool:
    """Whether no node keeps a hint."""
    return all(host.node is not None and not host.node.hints.count for host in world.hosts)


def exchanged(world: World) -> None:
    """Exchange alone makes all copies equal, before any read."""
    if not world.run_while(lambda: bool(_unlike(world)), _EXCHANGE_US):
        compare_copies(world, "although no client writes and nodes had time to exchange")


def collected(world: World) -> None:
    """Sooner or later every tombstone is forgotten, and every expired value with it."""
    grace_us = 1_000 * (world.plan.grace_ms or 2 * world.plan.message_ms)
    if not world.run_while(lambda: _has_tombstones(world), 6 * grace_us + _EXCHANGE_US):
        raise Wrong("tombstones are still there although all is well and their grace is over")


def _has_tombstones(world: World) -> bool:
    """Whether a record without a living value is anywhere."""
    replicas = [host.node.replica for host in world.hosts if host.node is not None]
    return any(replica.records > sum(map(sum, replica.live)) for replica in replicas)


def compare_copies(world: World, when: str = "after they were read from all replicas") -> None:
    """All owners of a key hold the same bytes, whether or not one keeps them taken apart."""
    for key, copies in _unlike(world):
        raise Wrong(
            f"copies differ {when}: " + ", ".join(
                f"{name} has {len(copy)} bytes" for copy, name in copies.items()
            ), key,
        )


def _unlike(world: World) -> list[tuple[bytes, dict[bytes, str]]]:
    """Keys whose owners hold different bytes, with these and one of those who hold them.

    What shrinks is put together later than what grows is taken apart: between two sizes a record
    may be in either form.
    """
    wall_ms = EPOCH_MS + world.now_us // 1000
    found = []
    for key in _keys(world):
        name = locator(0, key)
        copies: dict[bytes, str] = {}
        is_reduced = True       # one owner has made a tombstone of a value that all know is expired
        for host in world.hosts:
            assert host.node is not None
            if not host.node.this.plans[slot_of_locator(name)].is_owner:
                continue
            replica = host.node.replica
            record, is_dead = replica.get(name), not replica.is_live(name)
            is_reduced = is_reduced and (is_dead or values.is_expired(record, wall_ms))
            # While owners collect, one may have forgotten a tombstone and another not yet.
            copies.setdefault(b"" if is_dead and world.plan.forgets else flat(record), host.name)
        if len(copies) > 1 and not (is_reduced and _fades(world, key)):
            found.append((key, copies))
    return found


def _keys(world: World) -> list[bytes]:
    """All keys."""
    return [*collectors.strings_of(world), *(key for key, _ in collectors.collections_of(world))]


def _fades(world: World, key: bytes) -> bool:
    """Whether a key, or a part of it, was ever given a time to live."""
    kind = dict(collectors.collections_of(world)).get(key)
    if kind is None:
        return world.history.of(key).may_expire()
    return any(
        world.history.of(element_key(key, element)).may_expire()
        for element in collectors.elements_of(kind)
    )


def walk(world: World, alive: set[bytes]) -> None:
    """SCAN, KEYS and DBSIZE find the live keys, each once."""
    host = Chance(world.plan.seed, "walk").pick(world.hosts)
    found: list[bytes] = []
    cursor = b"0"
    for _ in range(1_000):
        answer = _ask(world, host, b"SCAN", cursor, b"COUNT", b"3")
        assert isinstance(answer, list)
        cursor = answer[0]
        found += answer[1]
        if cursor == b"0":
            break
    else:
        raise Wrong(f"SCAN through {host.name} never ends")
    doubtful = {key for key in _keys(world) if _fades(world, key)}
    alive = alive - doubtful
    if len(set(found)) != len(found):
        raise Wrong(f"SCAN through {host.name} finds a key twice")
    listed = _ask(world, host, b"KEYS", b"*")
    assert isinstance(listed, list)
    for what, names in (("SCAN", found), ("KEYS", listed)):
        for key in sorted(alive ^ (set(names) - doubtful)):
            verb = "does not find" if key in alive else "finds"
            raise Wrong(f"{what} through {host.name} {verb} {key.decode()}", key)
    if not doubtful and _ask(world, host, b"DBSIZE") != len(alive):
        raise Wrong(f"DBSIZE through {host.name} is not {len(alive)}")


def _ask(world: World, host: Host, *argv: bytes) -> object:
    makers = [lambda: operations.command(_WALK_MS, *argv)]
    probers = probe(world, [host], lambda _: makers, "w", _SERVE_US)
    return probers[0].results[0].result


def rest(world: World) -> None:
    """No queue has anything in it, and none was ever too long."""
    plan = world.plan
    # A key with siblings is stored whole with each write; a pipeline's are stored in one turn.
    whole = plan.clients * any(kind == "context" for _, kind in plan.keys)
    for host in world.hosts:
        node = host.node
        assert node is not None
        # After a pause one turn takes all that clients sent meanwhile: large values may be many.
        turn = max(_TURN_BYTES, host.disk.largest_batch)
        most_bytes = 2 * plan.backlog_bytes + turn + whole * host.disk.largest_pair
        if host.disk.most_bytes > most_bytes:
            raise Wrong(f"{host.disk.most_bytes} bytes waited for the disk of {host.name}")
        if host.largest_inbox > _LARGEST_INBOX:
            raise Wrong(f"{host.name} had {host.largest_inbox} inputs waiting")
        if not node.is_idle():
            raise Wrong(f"{host.name} is at rest, but says that something is pending")
        for link in node.links.values():
            if not link.is_up:
                continue    # heartbeats to a machine that is gone, until its connection breaks
            waiting = len(link.unapplied) + len(link.undurable)
            if waiting > _MOST_UNANSWERED:
                raise Wrong(f"{host.name} is at rest, but {waiting} frames wait for an answer")
