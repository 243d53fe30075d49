"""A link goes silent: what was on its way, what comes after, and who coordinates meanwhile."""

from collections.abc import Iterator

import pytest

from tests.cluster.test_hints import Five

AT_ONCE_MS = 300    # a silent peer is no longer asked by then


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
def five() -> Five:
    five = Five(exchange_interval_ms=0)
    work = lively(five)
    for _ in range(50):
        next(work)
    return five


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
