"""Hints for big keys: a write costs what it touches, on the disk as well, and so does giving."""

import pytest

from respdyn.causal.codec import BIG
from respdyn.cluster.hint_rows import PIECE_BYTES
from respdyn.cluster.hints import Hints
from respdyn.cluster.identity import Identity
from respdyn.cluster.now import Now
from respdyn.cluster.replica import Replica
from respdyn.cluster.statistics import Counters
from respdyn.ports import SWEEP
from tests.cluster.test_hints import Five, locator_of

OWNER, NAME = "b" * 40, locator_of("k")


def hints_of(replica: Replica) -> Hints:
    return Hints(replica, Counters(), 1 << 24, 1_000_000, Now())


class Kept:
    """Hints that receive all writes to a set, as a node does that stands in."""

    def __init__(self) -> None:
        self.replica = Replica(Identity(1000), lambda: None)
        self.hints = hints_of(self.replica)
        self.five = Five()
        self.client = self.five.client("A")
        self.seen = b""

    def write(self, *words: object) -> int:
        """A write, kept as a hint; how many bytes that costs the disk."""
        deltas: list[bytes] = []
        node = self.five[self.five.owners("k")[0]]
        join = node.replica.join
        node.replica.join = lambda locator, delta: (    # type: ignore[method-assign]
            deltas.append(delta), join(locator, delta))[1]
        try:
            self.client(*words)
        finally:
            node.replica.join = join                    # type: ignore[method-assign]
        before = sum(map(len, self.replica.batch))
        for delta in deltas:
            self.hints.keep(OWNER, NAME, delta, False)
        return sum(map(len, self.replica.batch)) - before

    def store(self) -> list[bytes]:
        """What the store would give back: flat pairs in order."""
        held: dict[bytes, bytes] = {}
        batch = self.replica.batch
        for at in range(0, len(batch), 2):
            name, value = batch[at], batch[at + 1]
            if name[:1] == SWEEP:
                for one in [one for one in held if name[1:] <= one < value]:
                    del held[one]
            elif value:
                held[name] = value
            else:
                held.pop(name, None)
        return [word for pair in sorted(held.items()) for word in pair]

    def record(self) -> bytes:
        return self.five[self.five.owners("k")[0]].replica.get(NAME)


def test_one_member_more_costs_the_disk_one_row() -> None:
    kept = Kept()
    kept.write("SADD", "k", *(f"member:{number:06}" for number in range(2000)))
    assert kept.hints.find(NAME)[0][1] & BIG
    assert kept.write("SADD", "k", "one more") < 400
    assert kept.write("SREM", "k", "member:000007") < 400
    again = hints_of(Replica(Identity(1000), lambda: None))
    assert again.restore(kept.store()) == 0
    assert again.find(NAME)[0] == kept.hints.find(NAME)[0] == kept.record()
    assert (again.count, again.bytes) == (kept.hints.count, kept.hints.bytes)
    kept.write("DEL", "k")
    assert len(kept.store()) == 2, "one small record, and no row of what is gone"
    again = hints_of(Replica(Identity(1000), lambda: None))
    again.restore(kept.store())
    assert again.find(NAME)[0] == kept.record()


def test_it_is_given_in_pieces_while_it_is_written() -> None:
    kept = Kept()
    kept.write("SADD", "k", *(f"member:{number:06}" for number in range(3000)))
    owner = Replica(Identity(1000), lambda: None)
    for round_number in range(100):
        taken = kept.hints.take(OWNER, 1 << 20, 100)
        if not taken:
            break
        assert sum(len(content) for _, _, content in taken) < PIECE_BYTES + 1000
        if round_number in (1, 3):      # what a write speaks of on the way is given once more
            kept.write("SREM", "k", "member:000001")
            kept.write("SADD", "k", f"late:{round_number}", "member:000002")
        for _, _, content in taken:
            owner.receive(NAME, content)
        kept.hints.forget(OWNER, taken, kept.hints.serial, 0)
    assert owner.get(NAME) == kept.record()
    assert (kept.hints.count, kept.hints.bytes) == (0, 0)
    assert not kept.store()


@pytest.mark.parametrize("restarts", [False, True])
def test_an_owner_that_comes_back_is_given_a_big_key_in_pieces(restarts: bool) -> None:
    five = Five()
    largest = 0
    deliver = five.deliver

    def measured(source: int, target: int, items: list[bytes]) -> None:
        nonlocal largest
        largest = max(largest, sum(map(len, items)))
        deliver(source, target, items)

    away = five.owners("k")[2]
    five.kill(away)
    five.run(3000)
    client = five.client(five.owners("k")[0])
    members = [f"member:{number:06}" for number in range(3000)]
    for at in range(0, 3000, 100):
        client("SADD", "k", *members[at:at + 100])
    client("SREM", "k", members[5])
    keeper = next(name for name in five.others("k") if five[name].hints.count)
    assert five[keeper].hints.find(NAME)[0][1] & BIG
    if restarts:
        five.kill(keeper)
        five.run(100)
        five.boot(keeper)
        five.run(100)
        assert five[keeper].hints.find(NAME)[0][1] & BIG
    five.deliver = measured         # type: ignore[method-assign]
    five.back(away)
    five.until(lambda: not five.hints())
    assert len(five[away].replica.get(NAME)) and largest < 2 * PIECE_BYTES
    five.run(2000)
    assert len(set(five.copies("k"))) == 1
