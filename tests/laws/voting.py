"""Members who vote on one ring while messages are lost and disks forget what was not synced."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from respdyn.cluster.now import Now
from respdyn.membership.decision import VOTE, Decision
from respdyn.ports import random_bits
from respdyn.ring.ring import Ring
from respdyn.sim.chance import Chance
from tests.ring.clusters import even_ring


@dataclass
class Voter:
    """One member: its process, and its disk."""

    name: str
    decision: Decision
    life: int = 0
    written: bytes = b""                                # not synced yet
    kept: bytes = b""
    is_empty: bool = False                              # its disk, since it was replaced
    decided: set[bytes] = field(default_factory=set)    # rings that it took for decided


class Vote:
    """A world in which several members want another next ring each."""

    def __init__(self, seed: int, decision_class: type[Decision]) -> None:
        self.chance = Chance(seed, "votes")
        self.now = Now()
        self.ring = even_ring(self.chance.pick((3, 3, 5)), partitions=4)
        self.under_way: list[tuple[str, str, bytes]] = []
        self._class = decision_class
        self.voters: dict[str, Voter] = {}
        for member in self.ring.members:
            name = member.node_id
            voter = self.voters[name] = Voter(name, self._decision(name))
            self._begin(voter, is_new_life=False)

    def _decision(self, name: str) -> Decision:
        def keep(key: bytes, value: bytes) -> None:
            assert key == VOTE
            self.voters[name].written = value

        def send(peer: str, data: bytes) -> None:
            self.under_way.append((name, peer, data))

        def decided(ring: Ring) -> None:
            self.voters[name].decided.add(ring.encode())

        return self._class(name, self.chance, keep, send, decided, lambda peer: None, self.now)

    def _begin(self, voter: Voter, is_new_life: bool) -> None:
        voter.life += is_new_life
        life = b"%b/%d" % (voter.name.encode(), voter.life)
        voter.decision = self._decision(voter.name)
        if is_new_life:
            voter.decision.begin_life(life)
        else:
            voter.decision.restore(voter.kept, life, False)
        voter.decision.adopt(self.ring)

    def run(self, steps: int) -> set[bytes]:
        """Take so many steps; all rings that any member took for decided."""
        for _ in range(steps):
            self._step(self.chance.pick(list(self.voters.values())), self.chance.random())
        return {ring for voter in self.voters.values() for ring in voter.decided}

    def _step(self, voter: Voter, lot: float) -> None:
        chance = self.chance
        self.now.now_ms += chance.between(0, 20)
        if lot < 0.68 and self.under_way:
            at = chance.below(len(self.under_way))
            source, target, data = (
                self.under_way[at] if chance.happens(0.1) else self.under_way.pop(at)
            )
            if chance.happens(0.95):
                self.voters[target].decision.receive(source, data)
        elif lot < 0.88:
            votes = voter.decision.seal()
            voter.kept = voter.written
            voter.is_empty = False
            voter.decision.release(votes)
        elif lot < 0.93:
            voter.decision.tick()
        elif lot < 0.95:
            token = f"{random_bits(chance, 64):016x}"
            wanted = replace(self.ring, version=self.ring.version + 1, token=token)
            voter.decision.propose(wanted)
        elif lot < 0.997:
            voter.written = voter.kept          # a process ends, and begins again
            self._begin(voter, is_new_life=voter.is_empty)
        else:
            voter.written = voter.kept = b""    # with an empty disk
            voter.is_empty = True
            self._begin(voter, is_new_life=True)
