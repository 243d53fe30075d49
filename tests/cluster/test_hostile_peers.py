"""What one member says can be anything: it costs that member its link, and no other anything."""

from __future__ import annotations

import msgspec
import pytest

from respdyn.causal.codec import (
    encode,
    encode_plain,
    encode_tombstone,
    entries_of,
    join_records,
    verify,
)
from respdyn.causal.context import Context
from respdyn.causal.dotted_map import DottedMap
from respdyn.cluster.messages import (
    ENVELOPE,
    GOSSIP_CANDIDATES,
    GOSSIP_CLEARED,
    GOSSIP_MOVED,
    GOSSIP_RING,
    GOSSIP_STATE,
    HEADER,
    IN_FEEDBACK,
    NUMBER,
    POSITION,
    PROTOCOL_VERSION,
)
from respdyn.errors import PeerError
from respdyn.ring.hashing import locator, slot_of
from tests.little import Little

SECTIONS = (
    "verify", "feedback", "store", "differ", "forward", "answer", "request", "response", "gossip"
)
HUGE = 2**63 - 1


def frame_of(
    little: Little, section: str, *items: bytes, entries: int = 1, source: int = 0, target: int = 1
) -> list[bytes]:
    """The next frame from A to B, with something in one section."""
    link = little.machines[target].node.link_to(little.machines[source].name)
    counts = [entries if name == section else 0 for name in SECTIONS]
    header = HEADER.pack(
        PROTOCOL_VERSION, 0, link.peer_epoch, link.peer_number + 1, 0, 0, 0, 1,
        little.now_ms, little.now_ms, 0, *counts,
    )
    return [header, *items]


def say(little: Little, section: str, *items: bytes, entries: int = 1) -> None:
    """A says something to B that no node says."""
    little["B"].frame(little.machines[0].name, frame_of(little, section, *items, entries=entries))


def ask(*parts: object) -> bytes:
    return NUMBER.pack(1) + msgspec.msgpack.encode(list(parts))


# What ended a node with a traceback once, or hung it.
DEADLY_QUESTIONS = {
    "scan to no end": ask("scan", 0, 0, 0, HUGE, 10),
    "scan before the first slot": ask("scan", 0, -1, 0, 16384, 10),
    "scan beyond the last slot": ask("scan", 0, 10**9, 0, 10**9 + 1, 10),
    "scan of no database": ask("scan", 99, 0, 0, 16384, 10),
    "count of no database": ask("count", 99),
    "count of a huge database": ask("count", HUGE),
    "explain nothing": ask("explain", b""),
    "explain a hint of nothing": ask("explain", b"\x01", True),
    "digests of nothing": ask("digests", [b"\x00"]),
    "digests of no slot": ask("digests", [b"\xff\xff\x00k"]),
    "listeners of no kind": ask("listening", 7, b"*"),
    "listeners of less than no kind": ask("listening", -9, b"*"),
    "keep what overflows": ask("clearhint", "aa" * 20, [(0, 0, {b"a" * 16: 2**64 - 1})]),
    "keep less than nothing": ask("clearhint", "aa" * 20, [(0, 0, {b"a" * 16: -1})]),
    "clear no partition": ask("clear", [(0, 16384, {b"a" * 16: 5})]),
    "clear no partition of these": ask("clear", [(0, 16383, {b"a" * 16: 5})]),
    "clear no database": ask("clear", [(300, 0, {b"a" * 16: 5})]),
    "clear no actor": ask("clear", [(0, 0, {b"a": 5})]),
    "clear all that will ever be": ask("clear", [(0, 0, {b"a" * 16: 2**64 - 1})]),
    "tops of no partition": ask("tops", [0], [20000]),
    "tops of less than none": ask("tops", [0], [-3]),
    "keys of no partition": ask("keys", HUGE, [0], 0, 0),
    "keys of no segment": ask("keys", 0, [-1], 0, 0),
    "pull nothing": ask("pull", [-1], 0, 0),
    "vow about nothing": ask("vow", 1, [(999, 5)]),
    "forget nothing": ask("drop", 0, 1, 1, [(b"", b"")]),
    "deliver nothing": ask("deliver", [(b"\x80", 1, b"")]),
    "deliver what was cleared of nothing": ask("deliver", [(b"\x80\x10\x00\x00", 1, b"")]),
    "deliver half an actor": ask("deliver", [(b"\x80\x00\x00\x00", 1, b"a" * 23)]),
    "no number": b"123",
    "no question": NUMBER.pack(1) + b"\xc1",
    "deeper than any reader goes": NUMBER.pack(1) + b"\x91" * 5000 + b"\xc0",
}


@pytest.fixture(scope="module")
def little() -> Little:
    return Little(3).ready()


@pytest.mark.parametrize("name", DEADLY_QUESTIONS)
def test_a_question_that_cannot_be_is_refused(name: str, little: Little) -> None:
    with pytest.raises(PeerError):
        say(little, "request", DEADLY_QUESTIONS[name])


def envelope(size: int, db: int = 0, hops: int = 1, timeout_ms: int = 1000) -> bytes:
    return ENVELOPE.pack(7, db, 2, hops, 1, 1, 1, timeout_ms, 1000, size)


DEADLY_FORWARDS: dict[str, list[bytes]] = {
    "a SET of one word": [envelope(1), b"SET"],
    "a SET of two words": [envelope(2), b"SET", b"k"],
    "a SET that says it has four words": [envelope(4), b"SET", b"k", b"v"],
    "a SET that says it has two words": [envelope(2), b"SET", b"k", b"v"],
    "a GET of no key": [envelope(1), b"GET"],
    "an EXEC of nothing": [envelope(1), b"EXEC"],
    "no database": [envelope(3, db=99), b"SET", b"k", b"v"],
    "no words": [envelope(0)],
    "no hop": [envelope(3, hops=0), b"SET", b"k", b"v"],
    "a word that is no command": [envelope(2), b"NONSENSE", b"k"],
    "what is not forwarded": [envelope(1), b"FLUSHALL"],
    "a group that is none": [envelope(2), b"\x00group", b"\xc1"],
}


@pytest.mark.parametrize("name", DEADLY_FORWARDS)
def test_a_forwarded_command_that_cannot_be_is_refused_or_answered(
    name: str, little: Little
) -> None:
    try:
        say(little, "forward", *DEADLY_FORWARDS[name])
    except PeerError:
        return
    little["B"].drain()


def test_a_forwarded_command_that_takes_the_next_ones_words_is_refused(little: Little) -> None:
    for size in (2, 3, 2**32 - 1):
        with pytest.raises(PeerError):
            say(little, "forward", envelope(size), b"SET", b"k", b"v", entries=2)


def group(*steps: object, watches: object = ()) -> bytes:
    return msgspec.msgpack.encode([list(steps), list(watches), 1])      # type: ignore[call-overload]


DEADLY_GROUPS = {
    "no step": group(),
    "a step of no words": group([[], 0, False, 1, 1]),
    "a step of one word": group([[b"GET"], 0, False, 1, 1]),
    "a WATCH of nothing": group([[b"WATCH"], 0, False, 1, 1]),
    "no database": group([[b"GET", b"k"], 99, False, 1, 1]),
    "less than no database": group([[b"GET", b"k"], -1, False, 1, 1]),
    "no answers wanted": group([[b"SET", b"k", b"v"], 0, False, -5, -5]),
    "watches nothing": group([[b"GET", b"k"], 0, False, 1, 1], watches=[[b"", b""]]),
    "watches no slot": group(
        [[b"GET", b"k"], 0, False, 1, 1], watches=[[b"\xff\xff\x00k", b"+"]]
    ),
    "too many keys for a SET": group([[b"SET", b"k"], 0, False, 1, 1]),
}


@pytest.mark.parametrize("name", DEADLY_GROUPS)
def test_a_group_that_cannot_be_is_refused(name: str, little: Little) -> None:
    from respdyn.coordination.groups import GROUP

    with pytest.raises(PeerError):
        say(little, "forward", envelope(2), GROUP, DEADLY_GROUPS[name])


def member(**changes: object) -> list[object]:
    fields: dict[str, object] = {
        "node_id": "ab" * 20, "host": "10.0.0.9", "client": 6379, "cluster": 7379, "peer": 16379,
        "http": 8379,
    }
    return list({**fields, **changes}.values())


DEADLY_STATEMENTS = {
    "cleared of no partition": GOSSIP_CLEARED + msgspec.msgpack.encode((0, 9999, {b"a" * 16: 1})),
    "cleared of no database": GOSSIP_CLEARED + msgspec.msgpack.encode((16, 0, {b"a" * 16: 1})),
    "cleared of no actor": GOSSIP_CLEARED + msgspec.msgpack.encode((0, 0, {b"": 1})),
    "cleared below nothing": GOSSIP_CLEARED + msgspec.msgpack.encode((0, 0, {b"a" * 16: -1})),
    "cleared beyond all": GOSSIP_CLEARED + msgspec.msgpack.encode((0, 0, {b"a" * 16: 2**64 - 1})),
    "a ring that is none": GOSSIP_RING + b"\x02\xc1",
    "a state of no partition": GOSSIP_STATE + msgspec.msgpack.encode((1, [-1], [], [], 0)),
    "a state of huge numbers": GOSSIP_STATE + msgspec.msgpack.encode((2**64 - 1, [2**40])),
    "moved to nowhere": GOSSIP_MOVED + msgspec.msgpack.encode({"aa" * 20: ("\n", 1)}),
    "moved to no port": GOSSIP_MOVED + msgspec.msgpack.encode({"aa" * 20: ("10.0.0.1", -7)}),
    "a candidate without a name": GOSSIP_CANDIDATES + msgspec.msgpack.encode([member(node_id="")]),
    "a candidate without a host": GOSSIP_CANDIDATES + msgspec.msgpack.encode([member(host="\n")]),
    "a candidate without a port": GOSSIP_CANDIDATES + msgspec.msgpack.encode([member(peer=-1)]),
    "no statement": b"",
}


@pytest.mark.parametrize("name", DEADLY_STATEMENTS)
def test_a_statement_that_cannot_be_is_refused(name: str, little: Little) -> None:
    with pytest.raises(PeerError):
        say(little, "gossip", DEADLY_STATEMENTS[name])


def test_what_a_newer_version_states_or_asks_is_counted_and_passed_over(little: Little) -> None:
    """Two versions can stand side by side: no link is dropped, and who asked gets no answer."""
    counters, link = little["B"].counters, little["B"].link_to(little.machines[0].name)
    before = counters.statements_unknown, counters.questions_unknown
    say(little, "gossip", b"\xff", entries=1)
    say(little, "gossip", b"\xffwhatever", entries=1)
    say(little, "request", ask("a kind to come", 1, [2], {"three": 4}))
    after = counters.statements_unknown, counters.questions_unknown
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)
    assert link.responses[-1].endswith(NUMBER.pack(1) + b"\xc0\r\n"), "answered, with nothing"


def test_a_greeting_whose_member_cannot_be_is_refused(little: Little) -> None:
    for changes in ({"node_id": "X" * 40}, {"host": "\r\n"}, {"host": ""}, {"peer": 10**9}):
        greeting = msgspec.msgpack.encode([PROTOCOL_VERSION, "", member(**changes), 3, 3])
        with pytest.raises(PeerError):
            little["B"].meet(greeting)


def test_what_differs_in_no_way_is_refused(little: Little) -> None:
    for position, record in (
        (POSITION.pack(1, 7, 0), b""), (POSITION.pack(1, IN_FEEDBACK, 0), b""), (b"", b""),
        (POSITION.pack(1, 0, 0), b"nonsense"),
    ):
        with pytest.raises(PeerError):
            say(little, "differ", position, record)


def test_numbers_of_the_section_heads_that_do_not_add_up_are_refused(little: Little) -> None:
    for section in SECTIONS:
        with pytest.raises(PeerError):
            say(little, section, b"x", entries=2**32 - 1)
        with pytest.raises(PeerError):
            say(little, section)


def test_a_locator_that_cannot_be_is_refused_in_every_section(little: Little) -> None:
    record = encode_plain(1 << 16, b"a" * 16, 4, 5, 0, b"v")
    for name in (b"", b"\x00", b"\x00\x00", b"\x40" + b"a" * 20, b"\x00\x00\x10k", b"\x42\x00",
                 b"\xff\xff\x00", b"\x41" + b"a" * 20 + b"\x00\x00\x63k"):
        for section, second in (("verify", b""), ("feedback", record), ("store", record)):
            with pytest.raises(PeerError):
                say(little, section, name, second)


def of_the_future(little: Little, actor: bytes, top: int) -> bytes:
    """A tombstone that covers what an actor has yet to mint, after many actors that no node is."""
    rows = [bytes([i]) * 16 for i in range(20)] + [actor]
    return encode_tombstone(b"".join(
        name + (0).to_bytes(8, "big") + top.to_bytes(8, "big") for name in sorted(rows)
    ))


def test_a_record_of_events_that_no_node_can_have_minted_is_refused(little: Little) -> None:
    record = of_the_future(little, little["C"].identity.actor, 2**64 - 1)
    lone = encode_plain(1 << 16, b"c" * 16, 2**60, 2**60 + 1, 0, b"v")
    for section in ("store", "feedback"):
        for each in (record, lone):
            with pytest.raises(PeerError, match="no node can have minted"):
                say(little, section, locator(0, b"future"), each)
    assert not little["B"].replica.get(locator(0, b"future"))


def covering(actor: bytes, top: int) -> bytes:
    """A tombstone that covers one actor's dots up to a counter."""
    return encode_tombstone(actor + (0).to_bytes(8, "big") + top.to_bytes(8, "big"))


def first_above(little: Little, name: str) -> int:
    """The lowest counter for which no node can have seen a proof."""
    ends = little[name].this.ends
    return int.from_bytes(ends.highest[little[name].identity.actor], "big") + 1


@pytest.mark.parametrize("whose", "BC")
def test_a_record_that_claims_more_than_was_proved_is_refused(whose: str) -> None:
    """Of the node itself and of another; the first 400 bytes of a context are not all of it."""
    little = Little(3).ready()
    little.refused = []
    for name in "ABC":
        little.client(name)("SET", little.key_of(name), "v")
    little.run(10)
    actor, top = little[whose].identity.actor, first_above(little, whose)
    key = little.key_of(whose).encode()
    for section in ("store", "feedback"):
        for lie in (covering(actor, top), of_the_future(little, actor, top)):
            with pytest.raises(PeerError, match="no node can have minted"):
                say(little, section, locator(0, key), lie)
    assert little["B"].counters.claims_refused == 4
    assert little[whose].identity.actor == actor
    little.run(3000)
    for name in "ABC":
        assert little.client(name)("SET", key, name) == b"OK"
        assert [little.client(other)("GET", key) for other in "ABC"] == [name.encode()] * 3


def test_a_cleared_context_that_claims_more_than_was_proved_is_refused() -> None:
    """Stated, asked to raise or to keep, handed over; and as what a peer has seen, at FLUSHALL."""
    little = Little(3).ready()
    little.refused = []
    little.client("C")("SET", little.key_of("C"), "v")
    little.run(10)
    actor, top = little["C"].identity.actor, first_above(little, "C")
    key = little.key_of("C").encode()
    partition = slot_of(key) // little["B"].replica.width
    tops = {actor: top}
    where = bytes([0, partition >> 8, partition & 255])
    lies = (
        ("gossip", GOSSIP_CLEARED + msgspec.msgpack.encode((0, partition, tops))),
        ("request", ask("clear", [(0, partition, tops)])),
        ("request", ask("clearhint", "cc" * 20, [(0, partition, tops)])),
        ("request", ask("deliver", [(b"\x80" + where, 1, actor + top.to_bytes(8, "big"))])),
    )
    for section, lie in lies:
        with pytest.raises(PeerError, match="no node can have minted"):
            say(little, section, lie)
    assert little["B"].counters.claims_refused == len(lies)
    assert not little["B"].replica.cleared and little["C"].identity.actor == actor
    little.run(3000)
    assert little.client("C")("SET", key, "v") == b"OK"
    assert [little.client(other)("GET", key) for other in "ABC"] == [b"v"] * 3


def test_what_a_peer_says_it_has_seen_at_a_flushall_is_judged() -> None:
    little = Little(3).ready()
    little.refused = []
    c = little["C"]
    honest = c.replica.tops
    lie = {c.identity.actor: 2**50}
    c.replica.tops = lambda partition: {0: lie}     # type: ignore[method-assign]
    reply = little.client("A")("FLUSHALL")
    c.replica.tops = honest                         # type: ignore[method-assign]
    assert reply != b"OK" and little.refused
    assert little["A"].counters.claims_refused and not little["A"].replica.cleared
    little.run(3000)
    for name in "ABC":
        key = little.key_of(name)
        assert little.client("A")("SET", key, "v") == b"OK"
        assert [little.client(other)("GET", key) for other in "ABC"] == [b"v"] * 3


def test_a_claim_below_what_was_proved_ends_at_the_first_write_that_it_would_swallow() -> None:
    """B is sent that C's next dots were seen and removed. C learns it with its next write."""
    little = Little(3, r=1).ready()
    little.refused = []
    little.client("C")("SET", little.key_of("C"), "v")
    little.run(10)
    c, key = little["C"], little.key_of("C").encode()
    actor = c.identity.actor
    say(little, "store", locator(0, key), covering(actor, c.identity.counter + 500))
    assert c.identity.actor == actor
    little.client("C")("SET", key, "w")
    assert c.identity.actor != actor
    little.run(3000)
    for name in "ABC":
        assert little.client(name)("SET", key, name) == b"OK"
        little.run(20)
        assert [little.client(other)("GET", key) for other in "ABC"] == [name.encode()] * 3


def test_a_record_of_a_time_to_come_is_refused() -> None:
    little = Little(3).ready()
    actor = little["C"].identity.actor
    little.client("C")("SET", little.key_of("C"), "v")
    little.run(10)
    late = encode_plain(0x40 << 56, actor, 0, 1, 0, b"v")
    with pytest.raises(PeerError, match="4199"):
        say(little, "store", locator(0, b"late"), late)
    assert little["B"].counters.record_clocks_refused == 1


def intervals(actor: bytes, count: int) -> bytes:
    return encode_tombstone(b"".join(
        actor + (2 * i).to_bytes(8, "big") + (2 * i + 1).to_bytes(8, "big") for i in range(count)
    ))


def test_a_record_of_too_many_intervals_is_refused_and_one_of_many_is_not_written_to() -> None:
    """A SET over 300,000 intervals took 0.3 s each time."""
    little = Little(3).ready()
    little.refused = []
    c = little["C"]
    c.identity.counter += 100_000
    little.client("C")("SET", little.key_of("C"), "v")
    little.run(10)
    name, actor = locator(0, b"many"), c.identity.actor
    with pytest.raises(PeerError, match="32768 intervals"):
        say(little, "store", name, intervals(actor, 32_769))
    assert little["B"].counters.intervals_refused == 1
    little.run(3000)
    for each in "ABC":
        little[each].replica.receive(name, intervals(actor, 8192))
    for each in "ABC":
        for words in (["SET", "v"], ["APPEND", "v"], ["INCR"], ["DYN.PUTCTX", "", "v"]):
            reply = little.client(each)(words[0], "many", *words[1:])
            assert str(reply).startswith("TOOMANYINTERVALS the context of this key"), (each, words)
    assert little.client("A")("DEL", "many") == 0


def test_a_record_here_that_names_this_nodes_future_is_refused_and_the_node_lives() -> None:
    """It came by a disk: no check has judged it."""
    for words in (["SET", "v"], ["APPEND", "v"], ["INCR"], ["SET", "v", "EX", "100"]):
        little = Little(1)
        little.run(20)
        node = little["A"]
        actor = node.identity.actor
        name = locator(0, b"k")
        node.replica.join(name, of_the_future(little, actor, 2**55))
        client = little.client("A")
        assert str(client(words[0], "k", *words[1:])).startswith("TRYAGAIN"), words
        assert node.identity.actor != actor
        little.run(50)
        assert client(words[0], "k", *words[1:]) in (b"OK", 1), words


def test_after_all_this_the_cluster_serves(little: Little) -> None:
    little.refused = []
    little.run(3000)
    assert little.client("B")("SET", "k", "v") == b"OK"
    assert little.client("C")("GET", "k") == b"v"
    assert little["B"].replica.get(locator(0, b"k"))


def test_elements_of_a_kind_that_no_node_knows_stay_beside_a_set() -> None:
    """A newer type's, or a liar's: such a record is let in, so a write to its key must not fail."""
    little = Little(1)
    little.run(20)
    client = little.client("A")
    client("SADD", "k", "a")
    node = little["A"]
    slot = slot_of(b"k")
    name = locator(0, b"k")
    actor = b"x" * 16
    strange = encode(DottedMap(
        {b"Q": {(actor, 1): bytes(8)}}, Context({actor: (0, 1)}),      # type: ignore[dict-item]
    ))
    joined = join_records(node.replica.slots[slot][name], strange)
    verify(joined)
    assert len(entries_of(joined)) == len(entries_of(node.replica.slots[slot][name])) + 1
    node.replica.join(name, strange)
    assert client("SADD", "k", "b") == 1
    assert client("SCARD", "k") == 2
    for number in range(300):
        client("SADD", "k", f"m{number}")
    assert client("SCARD", "k") == 302
    assert client("DEL", "k") == 1
