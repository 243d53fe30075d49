"""Nodes that keep hints: they hand them over as soon as they can, and are asked until they have."""

import pytest

from respdyn.cluster.hints import Hints
from respdyn.cluster.identity import Identity
from respdyn.cluster.keepers import Keepers
from respdyn.cluster.link import Link
from respdyn.cluster.now import Now
from respdyn.cluster.questions import Deliver
from respdyn.cluster.replica import Replica
from respdyn.cluster.statistics import Counters
from respdyn.errors import PeerError
from tests.cluster.test_hints import Five, locator_of
from tests.little import Client

SIDES = ("AB", "DE")


class Sides(Five):
    """Five nodes; A and B do not reach D and E, C reaches all. Nothing is mended by itself."""

    def __init__(self, **changes: object) -> None:
        super().__init__(exchange_interval_ms=0, **changes)
        for machine in self.machines:       # nothing is offered because a timer says so
            machine.node.handoff._timer_ms = 1 << 40

    def part(self) -> None:
        for one in SIDES[0]:
            for two in SIDES[1]:
                self.cut(one, two)
        self.run(30)

    def key(self, *owners: str) -> str:
        """A key with these owners, in this order."""
        return next(
            name for name in (f"key{number}" for number in range(100_000))
            if self.owners(name) == list(owners)
        )


def test_a_hint_for_an_owner_that_its_keeper_reaches_is_delivered_at_once() -> None:
    sides = Sides()
    sides.part()
    a = sides.client("A")
    keys = [key for key in (f"k{number}" for number in range(400)) if sides.owners(key)[0] in "AB"]
    for key in keys:
        assert a("SET", key, "new") == b"OK"
    sides.run(50)
    kept = sides["C"].hints.count_by_owner()
    assert not kept, kept
    assert sides["C"].counters.hints_delivered > 20
    given = [key for key in keys if "D" in sides.owners(key)]
    held = [key for key in given if b"new" in sides["D"].replica.get(locator_of(key))]
    assert len(held) > len(given) // 3, "what C kept for it; B keeps the others"


def test_an_owner_that_does_not_take_its_hints_is_not_asked_every_turn() -> None:
    sides = Sides()
    sides.part()
    asked: list[int] = []
    taken = {}
    for name in "DE":
        answers = sides[name].answers._answers
        taken[name], answers[Deliver] = answers[Deliver], lambda ask: asked.append(1) or 2
    a = sides.client("A")
    key = sides.key("A", "D", "E")
    for number in range(200):
        assert a("SET", key, f"{number}") == b"OK"
        sides.run(1)
    assert 1 <= len(asked) <= 4, len(asked)
    for name in "DE":
        sides[name].answers._answers[Deliver] = taken[name]
    sides.run(1100)
    assert sides["C"].hints.count == 0
    copies = [sides[name].replica.get(locator_of(key)) for name in "ADE"]
    assert b"199" in copies[1] or b"199" in copies[2]


def hold_back(five: Five, *names: str) -> None:
    """These nodes deliver nothing."""
    for name in names:
        five[name].handoff._is_able = lambda owner: False    # type: ignore[method-assign]


def go_on(five: Five, *names: str) -> None:
    for name in names:
        handoff = five[name].handoff
        del handoff._is_able
        for owner in five[name].hints.owners():
            handoff.came_up(owner)


def halved(key_owners: str = "CDE") -> tuple[Sides, str, Client]:
    """What A and B have kept for the three owners of a key while cut off from them; all is well."""
    sides = Sides()
    key = sides.key(*key_owners)
    client = sides.client("A")
    assert client("SET", key, "old") == b"OK"
    hold_back(sides, "A", "B")
    for one in "AB":
        for two in "CDE":
            sides.cut(one, two)
    sides.run(30)
    assert client("SET", key, "new") == b"OK"
    sides.heal()
    return sides, key, client


def test_after_a_heal_a_connection_never_reads_older_than_it_wrote() -> None:
    sides, key, client = halved()
    for _ in range(30):
        assert client("GET", key) == b"new"
        assert client("MGET", key) == [b"new"]
    before_ms = sides.now_ms
    sides.ready()
    assert sides.now_ms == before_ms + 1, "no node is down"
    assert sides.hints() == 2, "it was not delivery that helped"


def test_once_no_node_is_down_every_node_meets_what_only_hints_have() -> None:
    sides, key, _ = halved()
    sides.ready()
    assert sides.hints() == 2
    for name in "ABCDE":
        client = sides.client(name)
        assert client("GET", key) == b"new", name
        assert client("EXISTS", key) == 1
        assert client("DYN.GETCTX", key)[1] == [b"new", b"old"]    # type: ignore[index]
        assert client("DYN.WITH", "SLOPPY", "no", "GET", key) == b"new"
        assert client("MULTI") == b"OK"
        client("GET", key)
        assert client("EXEC") == [b"new"]
    # One that coordinates has read it by now; of another key each is the first to know.
    for name in "ABCDE":
        sides, key, _ = halved()
        sides.ready()
        client = sides.client(name)
        if name in "AB":
            assert client("WATCH", key) == b"OK"
            assert client("MULTI") == b"OK"
            client("GET", key)
            assert client("EXEC") == [b"new"], name
        else:
            assert client("DYN.WITH", "R", "1", "GET", key) == b"new", name


def test_commands_that_read_before_they_write_meet_what_only_hints_have() -> None:
    sides, key, client = halved()
    sides.ready()
    assert client("GETSET", key, "newer") == b"new"


def test_names_and_clearings_that_only_hints_have_are_found() -> None:
    sides, key, client = halved()
    for one in "AB":
        for two in "CDE":
            sides.cut(one, two)
    sides.run(30)
    other = sides.like(key)
    assert client("SET", other, "v") == b"OK"
    sides.heal()
    sides.ready()
    for name in "ABCDE":
        found = sides.client(name)("KEYS", "*")
        assert isinstance(found, list)
        assert {*found} == {key.encode(), other.encode()}, name
    assert sides.client("D")("FLUSHALL") == b"OK"
    assert sides.client("E")("GET", key) is None
    go_on(sides, "A", "B")
    assert client("DYN.SYNCWAIT", 4000) == 1
    for name in "ABCDE":
        assert sides.client(name)("MGET", key, other) == [None, None], "it is not back either"


def test_a_clearing_that_one_owner_missed_is_met_by_its_readers() -> None:
    sides = Sides()
    key = sides.key("C", "D", "E")
    client = sides.client("C")
    assert client("SET", key, "old") == b"OK"
    hold_back(sides, "A", "B")
    sides.cut("C", "D")
    sides.cut("C", "E")
    sides.run(30)
    assert client("FLUSHALL") == b"OK"
    sides.heal()
    sides.ready()
    for name in "ADE":
        assert sides.client(name)("GET", key) is None, name


def test_who_sees_both_sides_of_a_cut_reads_what_its_connection_wrote() -> None:
    sides = Sides()
    client = sides.client("C")
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        assert client("SET", key, "old") == b"OK"
    hold_back(sides, "A", "B", "C", "D", "E")
    sides.part()
    for key in keys:
        assert client("SET", key, "new") == b"OK"
        assert client("GET", key) == b"new", (key, sides.owners(key))
    for key in keys:
        assert client("MGET", key) == [b"new"], (key, sides.owners(key))


def test_an_owner_that_reaches_too_few_others_does_not_answer_for_them() -> None:
    sides = Sides()
    keys = [sides.key("D", "E", "A")]
    keys += [sides.like(keys[0], f"{number}:") for number in range(8)]
    client = sides.client("C")
    for key in keys:
        assert client("SET", key, "old") == b"OK"
    for source in "DE":
        sides.lost.add((ord(source) - 65, 0))
    for key in keys:
        assert client("SET", key, "new") == b"OK"
    sides.part()
    assert all(b"old" in sides["A"].replica.get(locator_of(key)) for key in keys)
    before = sides["A"].counters.frames_received
    for key in keys:
        assert client("GET", key) == b"new"
    assert sides["A"].counters.frames_received > before, "some went to it first"


def test_a_read_that_asked_an_owner_before_and_its_keeper_after_delivery_meets_the_write() -> None:
    sides, key, _ = halved()
    sides.ready()
    sides.holds = {(2, 0), (2, 1)}
    client = sides.client("C")
    client.send("DYN.WITH", "R", "3", "GET", key)
    sides.run(5)
    go_on(sides, "A", "B")
    sides.holds = {(2, 0), (2, 1)}
    sides.run(20)
    assert b"new" in sides["D"].replica.get(locator_of(key)) + sides["E"].replica.get(
        locator_of(key)
    )
    sides.holds = set()
    assert client.receive() == b"new"


class News:
    """One node's word of who keeps what: of peers P and Q, and of the owner O."""

    def __init__(self) -> None:
        replica = Replica(Identity(1000), lambda: None)
        self.now = Now()
        self.hints = Hints(replica, Counters(), 1 << 20, 1000, self.now)
        self.links = {name * 40: Link(name * 40) for name in "abc"}
        for link in self.links.values():
            link.is_up = link.is_connected = link.is_member = True
        self.keepers = Keepers("f" * 40, self.links, self.hints, 500, self.now)
        self.owner = bytes.fromhex("c" * 40)


def test_news_of_others_is_believed_for_a_while_and_a_keepers_own_until_it_corrects_it() -> None:
    news = News()
    keepers, owner = news.keepers, news.owner
    keepers.gave("a" * 40, owner, 7)
    assert keepers.by_partition == {7: ("a" * 40,)}
    assert list(keepers.news) == [(bytes.fromhex("a" * 40), owner, 7)]
    keepers.turn_ends()
    said = news.links["b" * 40].gossips[-1].split(b"\r\n", 1)[1][1:-2]
    news.now.now_ms = 499
    keepers.tick()
    assert keepers.by_partition
    news.now.now_ms = 500
    keepers.tick()
    assert not keepers.by_partition
    other = News()
    other.keepers.receive_gave(said)
    assert other.keepers.by_partition == {7: ("a" * 40,)}
    news.links["a" * 40].is_up = False
    keepers.receive_gave(said)
    assert not keepers.by_partition, "it cannot be asked"
    news.links["a" * 40].is_up = True
    keepers.planned(news.links)
    assert keepers.by_partition == {7: ("a" * 40,)}
    news.links["c" * 40].is_up = False
    keepers.planned(news.links)
    assert not keepers.by_partition, "the owner is not asked either"


def test_a_greeting_replaces_what_was_received_before() -> None:
    one, two = News(), News()
    record = b""
    five = Five()
    assert five.client("A")("SET", "k", "v") == b"OK"
    record = five.copies("k")[0]
    one.hints.keep("c" * 40, locator_of("k"), record, True)
    one.keepers.greet(one.links["b" * 40])
    first = one.links["b" * 40].gossips.pop().split(b"\r\n", 1)[1][1:-2]
    source = two.links["a" * 40]
    two.keepers.receive(source, first)
    partition = one.hints.partition_of(locator_of("k"))
    assert two.keepers.by_partition == {partition: (source.peer,)}
    one.hints.forget("c" * 40, one.hints.take("c" * 40, 1 << 20, 10), 1, 0)
    one.keepers.turn_ends()
    change = one.links["b" * 40].gossips.pop().split(b"\r\n", 1)[1][1:-2]
    two.keepers.receive(source, change)
    assert not two.keepers.by_partition
    two.keepers.receive(source, first)
    one.keepers.greet(one.links["b" * 40])
    two.keepers.receive(source, one.links["b" * 40].gossips.pop().split(b"\r\n", 1)[1][1:-2])
    assert not two.keepers.by_partition


@pytest.mark.parametrize("hinted", [[(b"x", 1, True)], [(bytes(20), 1 << 20, True)]])
def test_hints_that_cannot_be_are_not_believed(hinted: list[object]) -> None:
    import msgspec

    news = News()
    with pytest.raises(PeerError):
        news.keepers.receive(news.links["a" * 40], msgspec.msgpack.encode((False, hinted)))
