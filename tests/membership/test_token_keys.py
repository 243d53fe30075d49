"""Context tokens are made under a key that the members share, and no other ever sees."""

import re
from base64 import urlsafe_b64encode

from blake3 import blake3

from respdyn.causal.codec import encode_rows
from respdyn.causal.context import Context
from respdyn.cluster.messages import GOSSIP_KEYS
from respdyn.node import Node
from respdyn.ring.hashing import locator
from tests.little import Little


def keys_of(node: Node) -> tuple[bytes, ...]:
    return node.dispatcher.token_keys


def forged(node: Node, key: bytes) -> bytes:
    """What a client could make that knows the cluster's id: INFO shows it."""
    ring = node.membership.ring
    assert ring is not None
    loc = blake3(f"{ring.cluster_id} ".encode()).digest(16) + locator(0, key)
    future = Context({node.identity.actor: (0, 2**64 - 1)})
    body = b"\x01" + blake3(loc).digest(8) + encode_rows(future)
    end = blake3(len(loc).to_bytes(4, "big") + loc + body).digest(8)
    return urlsafe_b64encode(body + end).rstrip(b"=")


def test_members_share_a_key_and_take_each_others_tokens() -> None:
    little = Little(3).ready()
    keys = keys_of(little["A"])
    assert len(keys) == 1 and len(keys[0]) == 32
    assert keys == keys_of(little["B"]) == keys_of(little["C"])
    a, b = little.client("A"), little.client("B")
    token = a("DYN.PUTCTX", "k", "", "one")
    assert isinstance(b("DYN.PUTCTX", "k", token, "two"), bytes)
    assert a("GET", "k") == b"two"


def test_a_token_made_from_what_info_shows_is_refused_and_hurts_no_node() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    assert a("SET", "k", "v") == b"OK"
    for name in "ABC":
        reply = a("DYN.PUTCTX", "k", forged(little[name], b"k"), "poison")
        assert str(reply).startswith("BADCTX"), reply
    little.run(50)
    assert b("GET", "k") == b"v"
    assert not any("memory_lost" in machine.diary.names for machine in little.machines)


def test_the_key_survives_a_restart_and_a_lost_disk_receives_it() -> None:
    little = Little(3).ready()
    keys = keys_of(little["A"])
    token = little.client("A")("DYN.PUTCTX", "k", "", "one")
    little.kill("A")
    little.boot("A")
    little.kill("B")
    little.wipe("B")
    little.boot("B")
    little.ready()
    assert keys_of(little["A"]) == keys_of(little["B"]) == keys
    assert isinstance(little.client("B")("DYN.PUTCTX", "k", token, "two"), bytes)


def test_a_node_that_waits_receives_the_key_only_when_it_is_a_member() -> None:
    little = Little(3).ready()
    received: list[int] = []
    little.tap = lambda source, target, items: received.extend(
        target for item in items[1:] if item[:1] == GOSSIP_KEYS and keys_of(little["A"])[0] in item
    )
    little.add()
    name = little.machines[3].name
    little.until(lambda: name in little["A"].membership.visitors)
    little.run(1000)
    assert 3 not in received and not keys_of(little["D"])
    client = little.client("A")
    assert client("DYN.CLUSTER", "JOIN", name) == b"OK"
    assert isinstance(client("DYN.CLUSTER", "PLAN"), list)
    assert client("DYN.CLUSTER", "COMMIT") == b"OK"
    little.until(lambda: little["D"].this.is_member())
    assert keys_of(little["D"]) == keys_of(little["A"])


def test_a_cluster_of_before_agrees_on_a_key_and_takes_what_each_member_made_meanwhile() -> None:
    little = Little(3).ready()
    for name in "ABC":
        little.kill(name)
    for index, machine in enumerate(little.machines):
        for key in [key for key in machine.disk if key.endswith(b"tokenkeys")]:
            del machine.disk[key]
        little.boot("ABC"[index])
    before = {keys_of(machine.node) for machine in little.machines}
    assert len(before) == 3
    little.ready()
    little.run(10)
    assert keys_of(little["A"]) == keys_of(little["B"]) == keys_of(little["C"])
    assert set(keys_of(little["A"])) == {key for keys in before for key in keys}


def test_a_renewed_key_is_everywhere_and_the_one_before_the_last_is_good_no_more() -> None:
    little = Little(3).ready()
    a, b = little.client("A"), little.client("B")
    first = a("DYN.PUTCTX", "k", "", "one")
    assert b("DYN.CLUSTER", "RENEW-KEYS") == b"OK"
    little.run(10)
    assert len(keys_of(little["A"])) == 2
    second = a("DYN.PUTCTX", "k", first, "two")
    assert isinstance(second, bytes)
    assert a("DYN.CLUSTER", "RENEW-KEYS") == b"OK"
    little.run(10)
    assert isinstance(b("DYN.PUTCTX", "k", second, "three"), bytes)
    assert "read again" in str(b("DYN.PUTCTX", "k", first, "four"))


def test_no_reply_shows_the_key() -> None:
    little = Little(3).ready()
    client = little.client("A")
    key = keys_of(little["A"])[0]
    for words in (
        ("INFO", "everything"), ("CONFIG", "GET", "*"), ("DYN.CLUSTER", "STATUS"),
        ("DYN.CLUSTER", "RING"), ("DYN.CLUSTER", "MEMBERS"), ("DYN.EXPLAIN", "k"),
        ("CLUSTER", "NODES"), ("KEYS", "*"),
    ):
        shown = repr(client(*words))
        assert key.hex() not in shown and not re.search(re.escape(repr(key)[2:-1]), shown), words
