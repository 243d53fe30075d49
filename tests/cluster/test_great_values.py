"""A value of many megabytes takes its time on the way: that is no silence, and no time-out."""

from tests.little import Client, Little

VALUE = b"v" * (2 << 20)
AGE_MS = 600            # on the way: longer than request-timeout, and than a silence may last


def formed() -> Little:
    """A cluster whose nodes know how quick their links are."""
    little = Little(
        3, request_timeout_ms=400, heartbeat_ms=200, failure_timeout_ms=300
    ).ready()
    little.run(1000)
    return little


def on_its_way(little: Little, client: Client, ways: tuple[str, ...], moves: bool) -> None:
    """Great frames are on these ways ("AB": from A to B) for a while, moving or stuck."""
    little.holds |= {(ord(way[0]) - 65, ord(way[1]) - 65) for way in ways}
    little.run(2)
    for part in range(AGE_MS // 20):
        for source, target in ways:
            if moves:
                link = little[source].link_to(little[target].identity.node_id)
                little[source].readiness.moved(link.peer, link.arrived + len(VALUE) // 40)
                little[target].readiness.has_bulk(little[source].identity.node_id)
            assert not client.session.out or not moves, part
        little.run(20)
    little.heal()


def downs(little: Little) -> int:
    return sum(machine.diary.names.count("peer_down") for machine in little.machines)


def test_a_command_that_is_long_on_its_way_to_its_coordinator_is_answered() -> None:
    little = formed()
    client = little.client("A")
    client.send("SET", little.key_of("B"), VALUE)
    on_its_way(little, client, ("AB",), True)
    assert client.receive() == b"OK"
    assert downs(little) == 0
    assert little["A"].counters.commands_forwarded == 1, "it was sent once"


def test_copies_that_are_long_on_their_way_are_waited_for() -> None:
    little = formed()
    client = little.client("B")
    client.send("SET", little.key_of("B"), VALUE)
    on_its_way(little, client, ("BA", "BC"), True)
    assert client.receive() == b"OK"
    assert downs(little) == 0


def test_a_read_behind_great_frames_is_waited_for() -> None:
    little = formed()
    key = little.key_of("B")
    client = little.client("B")
    assert client("SET", key, "v") == b"OK"
    little.holds |= {(1, 0), (1, 2)}
    little.client("B").send("SET", little.key_of("B", "other"), VALUE)
    little.step()
    client.send("GET", key)
    on_its_way(little, client, ("BA", "BC"), True)
    assert client.receive() == b"v"
    assert downs(little) == 0


def test_what_does_not_move_is_given_up() -> None:
    little = formed()
    client = little.client("A")
    began_ms = little.now_ms
    client.send("SET", little.key_of("B"), VALUE)
    for _ in range(2):
        on_its_way(little, client, ("AB",), False)
        little.holds.add((0, 1))
    assert "outcome is unknown" in str(client.receive())
    assert downs(little) > 0 and little.now_ms - began_ms <= 2 * AGE_MS + 10


def test_what_moves_for_ever_is_given_up_as_well() -> None:
    little = formed()
    client = little.client("A")
    client.send("SET", little.key_of("B"), VALUE)
    little.holds.add((0, 1))
    link = little["A"].link_to(little["B"].identity.node_id)
    began_ms = little.now_ms
    while not client.session.out:
        little["A"].readiness.moved(link.peer, link.arrived + 1000)
        little["B"].readiness.has_bulk(little["A"].identity.node_id)
        little.run(20)
    assert "outcome is unknown" in str(client.receive())
    assert 3200 < little.now_ms - began_ms < 5000


def test_who_is_busy_with_a_great_value_says_so_and_is_given_more_time() -> None:
    for says_so in (False, True):
        little = formed()
        little.run(2000)
        if says_so:
            little["B"].readiness.has_bulk()
        little.run(5)
        little.holds |= {(1, 0), (1, 2)}        # a long turn
        little.run(500)
        little.heal()
        little.run(100)
        noticed = any("peer_down" in little.machines[at].diary.names for at in (0, 2))
        assert noticed is not says_so
