"""Who reads everything, so that read repair brings back what a node has lost for good."""

from collections.abc import Callable

from respdyn.sim.clients import Client
from respdyn.sim.collectors import readers_of
from respdyn.sim.host import UP
from respdyn.sim.operations import DONE, Op
from respdyn.sim.world import World


class Repairer(Client):
    """Reads every key from all replicas, so that read repair brings back what one has lost.

    A pass counts when nothing broke or began meanwhile; then a second one proves the first.
    """

    def __init__(self, world: World, name: str, repaired: Callable[[], None]) -> None:
        super().__init__(world, name)
        self.is_active = False
        self._note_repaired = repaired
        self._todo: list[Callable[[], Op]] = []
        self._passes = 0
        self._ticket = 0
        self._signs: tuple[object, ...] = ()

    def start(self) -> None:
        """Begin, or begin again."""
        if not self.is_active:
            self.is_active = True
            self._begin()

    def receive(self, op: Op) -> None:
        """See `Client.receive`."""
        if op.kind in ("read", "tally") and op.outcome == DONE and self._todo:
            self._todo.pop()

    def idle(self) -> None:
        """See `Client.idle`."""
        if self._todo or self.host is None:
            self._later(30_000, self._step)
        else:
            self._later(300_000, self._end_pass)

    def _later(self, wait_us: int, act: Callable[[], None]) -> None:
        """Go on with `act`, and with nothing that was planned before."""
        self._ticket += 1
        self.world.after(wait_us, self._go_on, (self._ticket, act))

    def _go_on(self, what: tuple[int, Callable[[], None]]) -> None:
        ticket, act = what
        if ticket == self._ticket and self.is_active:
            act()

    def _begin(self) -> None:
        self._signs = self._look()
        self._passes = 0
        self._fill()

    def _fill(self) -> None:
        self._todo = readers_of(self.world, (b"R", b"ALL", b"SLOPPY", b"no"))
        self._later(0, self._step)

    def _step(self) -> None:
        if self.waiting:
            return
        if self.host is None and not self.connect(self.chance.pick(self.world.hosts)):
            self._later(50_000, self._step)
            return
        if self._todo:
            self.send([self._todo[-1]()])
        else:
            self._later(300_000, self._end_pass)

    def _look(self) -> tuple[object, ...]:
        world = self.world
        return (
            world.network.broken, tuple((host.state, host.life) for host in world.hosts),
            tuple(host.disk.is_full for host in world.hosts),
        )

    def _end_pass(self) -> None:
        is_calm = all(
            host.state == UP and not host.disk.is_full
            and host.node is not None and not host.node.hints.count
            for host in self.world.hosts
        )
        if self._look() != self._signs or not is_calm:
            self._begin()
            return
        self._passes += 1
        if self._passes < 2:
            self._fill()
            return
        self.is_active = False
        self.hang_up()
        self._note_repaired()
