"""Cluster-aware clients are sent which slots have another node now."""

from respdyn.sessions.moved_slots import migrations
from tests.little import Little
from tests.sessions.test_draining import aware
from tests.sessions.test_pubsub import pushed

C = b"10.0.0.3:7379"


def slots_of(ranges: bytes) -> set[int]:
    found: set[int] = set()
    for one in ranges.split(b","):
        low, high = one.split(b"-")
        found |= set(range(int(low), int(high) + 1))
    return found


def shown(little: Little, name: str, node: str) -> set[int]:
    """The slots that one node shows as another's."""
    wanted = little[node].identity.node_id
    return {
        slot for first, last, owner in little[name].slot_map.ranges() if owner == wanted
        for slot in range(first, last + 1)
    }


def test_a_node_that_is_lost_and_one_that_returns() -> None:
    little = Little(3).ready()
    little.run(10)
    client, other = aware(little, "A", "cluster"), aware(little, "B", "cluster")
    plain = little.client("A", "cluster")
    plain("HELLO", "3")
    standalone = aware(little, "A")
    before = shown(little, "A", "C")
    assert before and not pushed(client)
    little.kill("C")
    little.run(10)
    ((word, sequence, moved),) = pushed(client)  # type: ignore[misc]
    assert word == b"SMIGRATED" and sequence < 2 ** 53
    assert {source for source, _, _ in moved} == {C}
    given = [slots_of(ranges) for _, _, ranges in moved]
    assert set.union(*given) == before and sum(map(len, given)) == len(before)
    for _, target, ranges in moved:
        name = {b"10.0.0.1:7379": "A", b"10.0.0.2:7379": "B"}[target]
        assert slots_of(ranges) <= shown(little, "A", name)
    assert pushed(other)[0][1] == sequence, "the same news has the same number at every node"  # type: ignore[index]
    little.run(2100)
    ((_, repeated, repeats),) = pushed(client)  # type: ignore[misc]
    assert repeated != sequence and repeats == moved, "who asked a node too early asks again"
    assert len(pushed(other)) == 1
    little.boot("C")
    little.run(3000)
    assert not pushed(client), "it may be gone again at once"
    little.run(3500)
    ((word, again, moved),) = pushed(client)  # type: ignore[misc]
    assert word == b"SMIGRATED" and again not in (sequence, repeated)
    assert {target for _, target, _ in moved} == {C}
    assert set.union(*(slots_of(ranges) for _, _, ranges in moved)) == before
    assert pushed(other)[0][1] == again  # type: ignore[index]
    little.run(2100)
    assert pushed(client)[0][2] == moved and len(pushed(other)) == 1  # type: ignore[index]
    little.run(5000)
    assert not pushed(client) and not pushed(other)
    assert not pushed(plain) and not pushed(standalone)


def test_what_has_moved_between_two_maps() -> None:
    addresses = {"a": "A:1", "b": "B:1", "c": "C:1"}
    before = [(0, 9, "a"), (10, 19, "b"), (20, 29, "a"), (40, 49, "c"), (50, 59, "gone")]
    after = [(0, 4, "a"), (5, 24, "c"), (25, 45, "a"), (46, 49, "c"), (50, 59, "a")]
    assert b"".join(migrations(before, after, addresses)) == (
        b"*3\r\n$3\r\nA:1\r\n$3\r\nC:1\r\n$9\r\n5-9,20-24\r\n"
        b"*3\r\n$3\r\nB:1\r\n$3\r\nC:1\r\n$5\r\n10-19\r\n"
        b"*3\r\n$3\r\nC:1\r\n$3\r\nA:1\r\n$5\r\n40-45\r\n"
    )
    assert migrations(before, before, addresses) == []
