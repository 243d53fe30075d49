"""What a peer sends may be anything: a node refuses it, and goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.cluster.messages import HEADER, PROTOCOL_VERSION
from respdyn.errors import PeerError
from respdyn.node import Node
from tests.little import Little


def survives(node: Node, peer: str, items: list[bytes]) -> None:
    """Only `PeerError` may come out, and afterwards the node still serves."""
    if items and len(items[0]) == HEADER.size:      # as the next one, so that it is looked at
        version, flags, epoch, number, *rest = HEADER.unpack(items[0])
        if number and epoch == node.link_to(peer).peer_epoch:
            number = node.link_to(peer).peer_number + 1
        items = [HEADER.pack(version, flags, epoch, number, *rest), *items[1:]]
    try:
        node.frame(peer, items)
    except PeerError:
        pass


def test_a_frame_is_refused_when_any_of_its_items_is_missing_or_damaged() -> None:
    little = Little(3).ready()
    frames: list[list[bytes]] = []

    def tap(source: int, target: int, items: list[bytes]) -> None:
        if target == 1 and len(items) > 1:
            frames.append(items)

    little.tap = tap
    client = little.client("A")
    for number in range(20):
        client("SET", f"k{number}", "v")
        client("GET", f"k{number}")
        client("DEL", f"k{number}")
    client("KEYS", "*")
    client("FLUSHALL")
    little.tap = None
    node, peer = little["B"], little.machines[0].name
    assert len(frames) > 20
    little.refused = []
    for items in frames:
        for drop in range(len(items)):
            survives(node, peer, items[:drop] + items[drop + 1 :])
        for at in range(len(items)):
            survives(node, peer, [*items[:at], items[at][:-1], *items[at + 1 :]])
            survives(node, peer, [*items[:at], b"", *items[at + 1 :]])
        survives(node, peer, [*items, b"more"])
    little.run(3000)
    assert little.client("B")("SET", "k", "v") == b"OK"
    assert little.client("C")("GET", "k") == b"v"


counts = st.lists(st.integers(0, 4), min_size=9, max_size=9)


@settings(max_examples=100, deadline=None)
@given(counts, st.integers(0, 3), st.lists(st.binary(max_size=60), max_size=30))
def test_arbitrary_items_are_refused_or_harmless(
    given_counts: list[int], number: int, items: list[bytes]
) -> None:
    little = Little(2, cluster_size=2)
    little.run(10)
    header = HEADER.pack(PROTOCOL_VERSION, 0, 7, number, 1, 0, 0, 1, 2, 3, 4, *given_counts)
    survives(little["B"], little.machines[0].name, [header, *items])
    assert little["B"].drain() is not None


def test_a_repeated_frame_takes_effect_once() -> None:
    little = Little(3).ready()
    key = little.key_of("B")
    repeated: list[list[bytes]] = []

    def tap(source: int, target: int, items: list[bytes]) -> None:
        if (source, target) == (0, 1):
            repeated.append(items)

    little.tap = tap
    little.client("A")("DYN.PUTCTX", key, "", "once")
    little.tap = None
    for items in repeated:
        little["B"].frame(little.machines[0].name, items)
    little.run(10)
    assert little.client("C")("DYN.GETCTX", key)[1] == [b"once"]    # type: ignore[index]


def test_a_frame_of_an_earlier_connection_is_dropped() -> None:
    little = Little(3).ready()
    old: list[list[bytes]] = []

    def tap(source: int, target: int, items: list[bytes]) -> None:
        if (source, target) == (0, 1):
            old.append(items)

    little.tap = tap
    little.client("A")("SET", little.key_of("A"), "v")
    little.tap = None
    little.cut("A", "B")
    little.heal()
    little.ready()
    little.run(2000)
    dropped = little["B"].counters.frames_dropped
    for items in old:
        little["B"].frame(little.machines[0].name, items)
    assert little["B"].counters.frames_dropped == dropped + len(old)
    little.run(10)
    assert little.client("B")("SET", "k", "v") == b"OK"


def test_a_connection_that_is_taken_for_an_earlier_one_ends() -> None:
    """What was sent on an earlier connection came only after frames of the later one."""
    little = Little(3, heartbeat_ms=50).ready()
    link = little["B"].link_to(little.machines[0].name)
    late = HEADER.pack(
        PROTOCOL_VERSION, 0, link.peer_epoch + 1, 1, 1, 0, 0, 1, 2, little.now_ms, 0, *[0] * 9
    )
    little["B"].frame(little.machines[0].name, [late])
    little.refused = []
    little.run(2_000)
    assert little.refused == ["frames of an earlier connection, and none of a later one"]
    assert link.is_up and link.strays == 0
    assert little.client("A")("SET", little.key_of("B"), "v") == b"OK"
