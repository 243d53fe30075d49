"""An operator, who changes the membership of a world that is in use and in trouble.

Spare machines are started with the seeds of the cluster and joined; members leave or are replaced;
one that is gone for good is removed by force, as long as others have what it had; weights change.
Two operators do so at once and know nothing of each other. Many of their commits fail, as they
should: there is no majority, or a race was lost. Some worlds begin with a single node, of which
they make a cluster.

In the end, when all is well, a node that is not in the newest ring is out of the world; a member
has nothing left to move, to fill or to hand over, and all know the same ring.
"""


from respdyn.ring.ring import Ring
from respdyn.sim import operations
from respdyn.sim.clients import Client
from respdyn.sim.history import Wrong
from respdyn.sim.host import DOWN, UP, Host
from respdyn.sim.world import World

_EVERY_US = 1_200_000
_TIMEOUT_MS = 12_000
_SETTLE_US = 60_000_000


class Operator(Client):
    """Changes something now and then."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.is_over = False

    def start(self) -> None:
        """Begin."""
        self.world.after(self.chance.wait(_EVERY_US), self._act, None)

    def idle(self) -> None:
        """See `Client.idle`."""

    def _act(self, _: None) -> None:
        if self.is_over:
            self.hang_up()
            return
        self.world.after(self.chance.wait(_EVERY_US), self._act, None)
        if self.waiting:
            return
        self.hang_up()
        words = self._choose()
        hosts = [host for host in self.world.hosts if host.state == UP]
        if words and hosts and self.connect(self.chance.pick(hosts)):
            self.change(words)

    def change(self, words: list[bytes]) -> None:
        """Stage, plan, commit; and forget it if that did not work."""
        self.world.count("change " + words[0].decode())
        self.send([
            operations.administer(_TIMEOUT_MS, *rest)
            for rest in (words, [b"PLAN"], [b"COMMIT"], [b"CLEAR"])
        ])

    def _choose(self) -> list[bytes]:
        world, chance = self.world, self.chance
        ring = newest_ring(world)
        if ring is None:
            return []
        members = [world.host_called(one.node_id) for one in ring.members if one.state == "member"]
        waiting = [
            host for host in world.spares
            if host.state == UP and ring.member(host.settings.node_id) is None
        ]
        if len(members) > 2 and may_force(world, ring) and chance.happens(0.15):
            return [b"FORCE-REMOVE", address(self._write_off(chance.pick(members), ring))]
        lot = chance.random()
        if lot < 0.15:
            one = chance.pick(members)
            return [b"CHANGE", address(one), b"WEIGHT", b"%d" % chance.between(1, 3)]
        if waiting and lot < 0.6:
            return [b"JOIN", address(chance.pick(waiting))]
        least = max(2, world.plan.n)
        if len(members) <= least:
            if waiting and len(members) > 1 and may_force(world, ring):
                world.exposed_since = ring.version      # if it cannot be reached, it is forced out
                return [b"REPLACE", address(chance.pick(members)), address(chance.pick(waiting))]
            return []
        return [b"LEAVE", address(chance.pick(members))]

    def _write_off(self, host: Host, ring: Ring) -> Host:
        """A machine is gone for good, with its disk, unless its removal fails."""
        host.is_given_up = True
        self.world.exposed_since = ring.version
        if host.state != DOWN:
            host.end("power")
        return host


def address(host: Host) -> bytes:
    """How an operator names a host."""
    return host.client_address.encode()


def newest_ring(world: World) -> Ring | None:
    """The ring with the highest version that any node goes by."""
    rings = [
        host.node.membership.ring for host in [*world.hosts, *world.spares, *world.retired]
        if host.node is not None and host.node.membership.ring is not None
    ]
    return max(rings, key=lambda ring: ring.version, default=None)


def may_force(world: World, ring: Ring) -> bool:
    """Whether a member may go without handing over: the others have all that it has."""
    return world.may_lose() and not ring.goal and not ring.moves


def take_stock(world: World) -> None:
    """The members by the newest ring are the world's hosts, and no others."""
    ring = newest_ring(world)
    if ring is None or ring.version < world.newest_version:
        return              # those who know a newer one are down
    world.newest_version = ring.version
    if ring.version > world.exposed_since and not ring.goal and not ring.moves:
        world.exposed_since = 0
    for host in list(world.spares):
        if ring.member(host.settings.node_id) is not None:
            world.spares.remove(host)
            world.hosts.append(host)
    for host in list(world.hosts):
        if ring.member(host.settings.node_id) is None:
            world.hosts.remove(host)
            world.retired.append(host)


def settled(world: World) -> None:
    """All that was begun comes to an end. Raises `Wrong`."""

    def is_moving() -> bool:
        take_stock(world)
        ring = newest_ring(world)
        return ring is None or any(_moves(host, ring) for host in world.hosts)

    if not world.run_while(is_moving, _SETTLE_US):
        ring = newest_ring(world)
        slow = next(host for host in world.hosts if ring is None or _moves(host, ring))
        raise Wrong(f"changes of membership do not end: {slow.name} {_state(slow)}")
    ring = newest_ring(world)
    if world.plan.grows and ring is not None and ring.copies() == world.plan.n:
        world.count("grown from one")
    for host in [*world.retired, *world.spares]:
        if host.state != DOWN:
            host.end("kill")
    rings = {
        (host.node.membership.ring.version, host.node.membership.ring.encode())
        for host in world.hosts
        if host.node is not None and host.node.membership.ring is not None
    }
    if len(rings) > 1:
        raise Wrong("members go by different rings")


def _moves(host: Host, ring: Ring) -> bool:
    node = host.node
    if node is None or node.membership.ring is None:
        return True
    transfers = node.transfers
    return bool(
        node.membership.ring.version != ring.version or transfers.is_changing or transfers.to_fill()
        or transfers.leftovers or transfers.own.version != ring.version
        or node.changes.is_committing
    )


def _state(host: Host) -> str:
    node = host.node
    if node is None or node.membership.ring is None:
        return "has no ring"
    ring, transfers = node.membership.ring, node.transfers
    return (
        f"is at ring {ring.version}, settled at {transfers.own.version}, with "
        f"{[(move.partition, move.phase) for move in ring.moves][:4]} moving, "
        f"{transfers.to_fill()[:4]} to fill, {sorted(transfers.leftovers)[:4]} to hand over"
        f"{', a commit is under way' * node.changes.is_committing}"
    )
