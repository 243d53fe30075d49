"""A peer that is no member may greet, and nothing else, whatever secret it knows."""

import msgspec
import pytest

from respdyn.causal.codec import encode_plain
from respdyn.cluster.messages import (
    ENVELOPE,
    GOSSIP_CLEARED,
    GOSSIP_KEYS,
    GOSSIP_KNOWN,
    GOSSIP_RING,
    GOSSIP_USER,
    NUMBER,
    PROTOCOL_VERSION,
)
from respdyn.errors import PeerError
from respdyn.membership.membership import MAX_VISITORS, Greeting
from respdyn.membership.token_keys import PROOF_BYTES
from respdyn.ring.hashing import locator
from respdyn.ring.ring import Member
from tests.cluster.test_hostile_peers import frame_of
from tests.little import Little

RECORD = encode_plain(1 << 16, b"a" * 16, 4, 5, 0, b"stolen")
ALL_RIGHTS = msgspec.msgpack.encode((b"mallory", 1 << 60, "ab" * 20, [b"on", b"nopass", b"+@all"]))


def with_a_stranger() -> Little:
    """D knows the secret and the seeds, and was never joined."""
    little = Little(3).ready()
    little.add()
    little.until(lambda: little.machines[3].name in little["A"].membership.visitors)
    little.run(500)
    return little


@pytest.fixture(scope="module")
def little() -> Little:
    return with_a_stranger()


def say(little: Little, section: str, *items: bytes) -> None:
    node, stranger = little["A"], little.machines[3].name
    node.frame(stranger, frame_of(little, section, *items, source=3, target=0))


@pytest.mark.parametrize(("section", "items"), [
    ("verify", [locator(0, b"k"), b""]), ("feedback", [locator(0, b"k"), RECORD]),
    ("store", [locator(0, b"k"), RECORD]), ("response", [NUMBER.pack(1) + b"\xc0"]),
    ("request", [NUMBER.pack(1) + msgspec.msgpack.encode(["status"])]),
    ("forward", [ENVELOPE.pack(7, 0, 2, 1, 1, 1, 1, 1000, 1000, 3), b"SET", b"k", b"v"]),
    ("answer", [NUMBER.pack(1), b"+OK\r\n"]),
], ids=lambda each: each if isinstance(each, str) else "")
def test_what_a_stranger_asks_and_stores_is_refused(
    section: str, items: list[bytes], little: Little
) -> None:
    with pytest.raises(PeerError, match="no member"):
        say(little, section, *items)
    assert not little["A"].replica.get(locator(0, b"k"))


def test_what_a_stranger_states_is_ignored_and_counted(little: Little) -> None:
    node = little["A"]
    ring = node.membership.ring
    assert ring is not None
    own = msgspec.structs.replace(ring, version=ring.version + 1)
    lost = msgspec.msgpack.encode((node.identity.actor, 1, 2**63, None))
    before = node.counters.strangers_ignored
    for statement in (
        GOSSIP_USER + ALL_RIGHTS, GOSSIP_KEYS + msgspec.msgpack.encode([(2, b"k" * 32)]),
        GOSSIP_CLEARED + msgspec.msgpack.encode((0, 0, {b"a" * 16: 5})), GOSSIP_KNOWN + lost,
    ):
        say(little, "gossip", statement)
    assert node.counters.strangers_ignored == before + 4
    say(little, "gossip", GOSSIP_RING + bytes(PROOF_BYTES) + own.encode())
    assert node.membership.ring == ring
    assert b"mallory" not in node.sessions.users.names()
    assert not node.replica.cleared and len(node.dispatcher.token_keys) == 1


def test_a_stranger_is_sent_nothing_but_who_is_there() -> None:
    little = with_a_stranger()
    received: list[bytes] = []

    def tap(source: int, target: int, items: list[bytes]) -> None:
        if target == 3:
            received.extend(items[1:])

    little.tap = tap
    client = little.client("A")
    assert client("ACL", "SETUSER", "alice", "on", ">secret", "+@all") == b"OK"
    assert client("PUBLISH", "news", "private") == 0
    assert client("CONFIG", "SET", "notify-keyspace-events", "KEA") == b"OK"
    assert client("SET", "name", "private") == b"OK"
    assert client("FLUSHALL") == b"OK"
    assert client("PUBSUB", "CHANNELS") == []
    assert client("DYN.SYNCWAIT", "1000") == 1
    little.run(1000)
    little.tap = None
    said = b" ".join(received)
    assert b"private" not in said and b"alice" not in said and b"name" not in said
    assert {item[:1] for item in received} <= {b"k", b"i", b"l", b"r", b"w", b"a", b"f", b"q"}


def test_a_ring_is_believed_of_a_stranger_who_proves_that_he_is_a_member() -> None:
    """All members that C knows were replaced while it was away."""
    little = Little(3).ready()
    little.kill("C")
    little.add()
    name = little.machines[3].name
    little.until(lambda: name in little["A"].membership.visitors)
    client = little.client("A")
    assert client("DYN.CLUSTER", "JOIN", name) == b"OK"
    assert isinstance(client("DYN.CLUSTER", "PLAN"), list)
    assert client("DYN.CLUSTER", "COMMIT") == b"OK"
    little.until(lambda: little["D"].this.is_member())
    ring = little["D"].membership.ring
    assert ring is not None
    proof = little["D"].gossip.token_keys.proved(ring.encode())
    little.boot("C")
    stranger = little.machines[3].name
    node = little["C"]
    node.drain()
    assert not node.link_to(stranger).is_member
    node.frame(stranger, frame_of(little, "gossip", GOSSIP_RING + proof, source=3, target=2))
    assert node.link_to(stranger).is_member


def test_no_more_than_so_many_nodes_wait_and_members_are_always_met() -> None:
    little = Little(3).ready()
    node = little["A"]

    def greet(number: int) -> str:
        one = Member(f"{number:040x}", "10.1.0.1", 1, 2, 1000 + number, 4)
        return node.meet(msgspec.msgpack.encode(Greeting(PROTOCOL_VERSION, "", one, 3, 3)))

    for number in range(MAX_VISITORS):
        greet(number)
    links = len(node.links)
    for number in range(MAX_VISITORS, MAX_VISITORS + 10):
        with pytest.raises(PeerError, match="wait to join already"):
            greet(number)
    assert len(node.links) == links
    assert greet(3) == f"{3:040x}"
    assert node.meet(little["B"].greeting()) == little.machines[1].name
