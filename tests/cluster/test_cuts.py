"""A link goes silent: what was on its way, what comes after, and who coordinates meanwhile."""

from collections.abc import Iterator

import pytest

from tests.cluster.test_hints import Five
from tests.little import Little

AT_ONCE_MS = 300    # a silent peer is no longer asked by then


class Wired(Five):
    """Five nodes that see whether the systems of the others acknowledge what they are sent."""

    systems_are_cut_off = True      # where frames are lost; False: processes are stopped there
    since_ms = 0                    # when the first was lost

    def step(self, touches: bool = True) -> None:
        if self.lost and not self.since_ms:
            self.since_ms = self.now_ms
        if self.now_ms % 50 == 0 and self.systems_are_cut_off:
            for here, one in enumerate(self.machines):
                for there, two in enumerate(self.machines):
                    is_cut = {(here, there), (there, here)} & self.lost
                    for_ms = self.now_ms - self.since_ms if is_cut else 0
                    one.node.readiness.unacknowledged(two.name, for_ms if for_ms > 200 else 0)
        super().step(touches)


def silence(five: Five, here: str, there: str) -> None:
    """Nothing arrives any more between these, in either direction; no connection breaks."""
    for one in here:
        for two in there:
            five.lost |= {(ord(one) - 65, ord(two) - 65), (ord(two) - 65, ord(one) - 65)}


def in_ms(five: Five, *words: object, at: str) -> tuple[object, int]:
    """The reply, and how long it took."""
    begun_ms = five.now_ms
    reply = five.client(at)(*words)
    return reply, five.now_ms - begun_ms


def lively(five: Five) -> Iterator[None]:
    """A cluster under way: every link has delays that it is known for."""
    clients = [five.client(name) for name in "ABCDE"]
    while True:
        for number, client in enumerate(clients):
            for key in range(2):
                client.send("SET", f"load{number}:{key}", "v")
        five.run(40)
        yield


@pytest.fixture
def five() -> Wired:
    five = Wired(exchange_interval_ms=0)
    work = lively(five)
    for _ in range(50):
        next(work)
    return five


def cut_off_owners(five: Wired, prefix: str = "like") -> tuple[str, str, str]:
    """A key; its first owner, which two other nodes can reach; and those, and no others can."""
    key = five.like("key0", prefix)
    first, second, third = five.owners(key)
    others = "".join(five.others(key))
    assert five.client(first)("SET", key, "old") == b"OK"
    silence(five, first + others, second + third)
    return key, first, others


def in_reach(five: Five, name: str) -> int:
    return sum(link.is_up for link in five[name].links.values())


def writes_sent_on(five: Five) -> int:
    return sum(machine.node.counters.writes_sent_on for machine in five.machines)


def test_a_write_whose_owners_are_cut_off_is_kept_by_others_before_they_are_down(
    five: Wired,
) -> None:
    key, first, others = cut_off_owners(five)
    reply, took_ms = in_ms(five, "SET", key, "v", at=first)
    assert (reply, took_ms <= AT_ONCE_MS) == (b"OK", True)
    assert writes_sent_on(five) == five.hints() == 1
    assert in_reach(five, first) == 4
    for name in (first, *others):
        assert five.client(name)("GET", key) == b"v"
    for one, two in sorted(five.lost):
        five.cut("ABCDE"[one], "ABCDE"[two])      # what was lost comes on no connection
    five.heal()
    five.until(lambda: five.hints() == 0)
    assert {five.client(name)("GET", key) for name in "ABCDE"} == {b"v"}


def test_where_systems_answer_no_node_is_asked_until_the_owner_is_down(five: Wired) -> None:
    five.systems_are_cut_off = False
    key, first, _ = cut_off_owners(five)
    writer = five.client(first)
    writer.send("SET", key, "v")
    five.run(2 * AT_ONCE_MS)
    assert writes_sent_on(five) == 0
    assert writer.receive() == b"OK"
    assert writes_sent_on(five) == 1
    assert in_reach(five, first) == 2


def test_a_read_whose_owners_are_lost_asks_who_stands_in_for_them(five: Wired) -> None:
    key, first, _ = cut_off_owners(five)
    reply, took_ms = in_ms(five, "GET", key, at=first)
    assert (reply, took_ms <= 2 * AT_ONCE_MS) == (b"old", True)


def test_strict_terms_have_nothing_kept_by_others(five: Wired) -> None:
    key, first, _ = cut_off_owners(five)
    reply, _ = in_ms(five, "DYN.WITH", "SLOPPY", "no", "SET", key, "v", at=first)
    assert str(reply).startswith("NOQUORUM W=2 acknowledged=1")
    assert writes_sent_on(five) == five.hints() == 0


def test_what_is_kept_for_owners_that_others_reach_is_met_by_the_next_read(five: Wired) -> None:
    key = five.like("key0")
    first, second, third = five.owners(key)
    assert five.client(first)("SET", key, "old") == b"OK"
    silence(five, first, second + third)
    assert five.client(first)("SET", key, "v") == b"OK"
    assert writes_sent_on(five) == 1
    for other in five.others(key):
        assert five.client(other)("GET", key) == b"v"
    assert five.client(first)("GET", key) == b"v"


def test_who_stands_in_for_one_owner_is_not_asked_for_another(five: Wired) -> None:
    key = five.like("key0")
    first, second, third = five.owners(key)
    five.kill(third)
    five.run(50)
    silence(five, first + "".join(five.others(key)), second)
    assert five.client(first)("DYN.WITH", "W", "3", "SET", key, "v") == b"OK"
    assert writes_sent_on(five) == 1
    assert [five[name].hints.count for name in five.others(key)] == [1, 1]


def test_no_more_are_asked_than_w_needs(five: Wired) -> None:
    key = five.like("key0")
    first, second, third = five.owners(key)
    silence(five, first + third + "".join(five.others(key)), second)
    assert five.client(first)("SET", key, "v") == b"OK"
    five.run(AT_ONCE_MS)
    assert writes_sent_on(five) == 0
    reply, took_ms = in_ms(five, "DYN.WITH", "W", "3", "SET", key, "w", at=first)
    assert (reply, took_ms <= 2 * AT_ONCE_MS) == (b"OK", True)
    assert writes_sent_on(five) + five[first].counters.sloppy_writes >= 1


def test_a_peer_whose_system_says_nothing_is_down_sooner_than_one_that_is_stopped() -> None:
    took = []
    for is_cut_off in (True, False):
        five = Wired(exchange_interval_ms=0)
        five.systems_are_cut_off = is_cut_off
        work = lively(five)
        for _ in range(50):
            next(work)
        link = five["A"].links[five["B"].identity.node_id]
        silence(five, "A", "B")
        begun_ms = five.now_ms
        while link.is_up:
            next(work)
        took.append(five.now_ms - begun_ms)
    assert 350 <= took[0] <= 550 < 750 <= took[1] <= 1500


def test_without_stand_ins_both_are_refused_as_ever(five: Five) -> None:
    key = five.like("key0")
    first, second, third = five.owners(key)
    silence(five, first, second + third + "".join(five.others(key)))
    writer, reader = five.client(first), five.client(first)
    writer.send("SET", key, "v")
    reader.send("GET", key)
    assert str(writer.receive()).startswith("NOQUORUM W=2 acknowledged=1")
    assert str(reader.receive()).startswith("NOQUORUM R=2 answered=1")


def test_a_read_that_was_forwarded_to_who_fell_silent_goes_elsewhere_at_once(five: Five) -> None:
    key = five.like("key0")
    assert five.client("A")("SET", key, "v") == b"OK"
    outsider = five.others(key)[0]
    asked: list[str] = []

    def tap(source: int, target: int, items: list[bytes]) -> None:
        if "ABCDE"[source] == outsider and b"GET" in items:
            asked.append("ABCDE"[target])

    five.tap = tap
    reader = five.client(outsider)
    reader.send("GET", key)
    while not asked:
        five.step()
    assert reader.receive() == b"v"
    silence(five, outsider, asked[0])
    reply, took_ms = in_ms(five, "GET", key, at=outsider)
    assert (reply, took_ms <= AT_ONCE_MS) == (b"v", True)
    assert asked[0] == asked[1] != asked[2]


def test_who_has_fallen_silent_coordinates_nothing_long_before_it_is_down(five: Five) -> None:
    key = five.like("key0")
    first = five.owners(key)[0]
    outsider = five.others(key)[0]
    link = five[outsider].links[five[first].identity.node_id]
    silence(five, outsider, first)
    work = lively(five)
    while not link.deprioritized:
        next(work)
    assert link.is_up
    reply, took_ms = in_ms(five, "SET", key, "v", at=outsider)
    assert (reply, took_ms < 50) == (b"OK", True)


# ---- disagreement ----


def test_a_command_that_nodes_would_pass_on_for_ever_is_run_by_the_last_owner(five: Five) -> None:
    # The client's node sees the third owner only, that one the second, and the second the first.
    key = five.like("key0")
    first, second, third = five.owners(key)
    one, two = five.others(key)
    five.cut(one, first)
    five.cut(one, second)
    five.cut(third, first)
    five.run(5)
    reply, took_ms = in_ms(five, "SET", key, "v", at=one)
    assert (reply, took_ms < 20) == (b"OK", True)
    assert five.client(two)("GET", key) == b"v"
    reply, took_ms = in_ms(five, "APPEND", key, "w", at=one)
    assert (reply, took_ms < 20) == (2, True)


def test_a_round_that_is_lost_in_the_turn_in_which_it_began_takes_no_more() -> None:
    """Else its readers were asked for within it, without an end, and a write in it never ended."""
    little = Little(3, n=3).ready()
    key = little.key_of("A")
    assert little.client("A")("SET", key, "v") == b"OK"
    node, reader, writer, later = little["A"], *(little.client("A") for _ in range(3))
    reader.send("DYN.WITH", "R", "2", "GET", key)
    writer.send("DYN.WITH", "W", "3", "SET", key, "w")
    for link in node.links.values():
        node.coordinator.lose(link)
    later.send("DYN.WITH", "W", "3", "SET", key, "z")
    assert reader.receive() in (b"v", b"w")
    assert str(writer.receive()).startswith("NOQUORUM")
    assert later.receive() == b"OK"
