"""Records: canonical, readable for ever, and damage never goes unseen."""

import random
import struct
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from respdyn.causal import codec
from respdyn.causal.codec import decode, digest, encode, join_records, verify
from respdyn.causal.context import Context
from respdyn.causal.dot import intern_actor
from respdyn.causal.dotted_map import DottedMap, join
from respdyn.errors import DamagedError
from tests.laws.maps import maps

GOLDEN = Path(__file__).parent / "golden"

A = intern_actor(bytes(range(16)))
B = intern_actor(bytes(range(100, 116)))
CLOCK = 1_700_000_000_000 << 16 | 7
LATER = 1_800_000_000_000


def payload(clock: int, expire_at: int, value: bytes = b"") -> bytes:
    return clock.to_bytes(8) + expire_at.to_bytes(8) + value


REMARK = b"x" + A + (9).to_bytes(8)

# What each golden file holds. A new version of the layout adds files; none is ever changed.
STATES = {
    "v1-plain": DottedMap({b"s": {(A, 9): payload(CLOCK, 0, b"hello")}}, Context({A: (3, 9)})),
    "v1-plain-empty-value": DottedMap({b"s": {(A, 9): payload(0, 0)}}, Context({A: (8, 9)})),
    "v1-plain-expires": DottedMap(
        {b"s": {(A, 2**64 - 1): payload(CLOCK, LATER, b"\r\n\0")}}, Context({A: (0, 2**64 - 1)})
    ),
    "v1-general-empty": DottedMap({}, Context()),
    "v1-general-tombstone": DottedMap({}, Context({A: (3, 9, 12, 13), B: (0, 1)})),
    "v1-general-two-intervals": DottedMap(
        {b"s": {(A, 20): payload(CLOCK, 0, b"after a restart")}}, Context({A: (3, 9, 19, 20)})
    ),
    "v1-general-siblings": DottedMap(
        {b"s": {(A, 9): payload(CLOCK, 0, b"one"), (B, 4): payload(CLOCK + 1, LATER, b"two")}},
        Context({A: (3, 9), B: (0, 4)}),
    ),
    "v1-general-remark": DottedMap(
        {
            b"s": {(A, 9): payload(CLOCK, 0, b"lent")},
            REMARK: {(A, 10): payload(CLOCK + 1, LATER), (B, 4): payload(CLOCK + 2, 0)},
        },
        Context({A: (3, 10), B: (3, 4)}),
    ),
    "v1-general-remark-alone": DottedMap(
        {REMARK: {(B, 4): payload(CLOCK, LATER)}}, Context({B: (3, 4)})
    ),
    "v1-general-other-kinds": DottedMap(
        {b"": {(A, 8): CLOCK.to_bytes(8)}, b"hfield": {(A, 9): CLOCK.to_bytes(8) + b"value"}},
        Context({A: (3, 9)}),
    ),
}
RECORDS = {name: encode(state) for name, state in STATES.items()}
names = pytest.mark.parametrize("name", sorted(STATES))


def seal(form: int, body: bytes) -> bytes:
    """A record with a right checksum, written down a second time from the description."""
    checksum = zlib.crc32(body, 1 << 8 | form)
    return struct.pack(">BBI", 1, form, checksum) + body


def test_there_is_one_golden_file_for_each_state():
    assert {path.stem for path in GOLDEN.iterdir()} == set(STATES)


@names
def test_golden_files_stay_readable(name):
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())
    verify(golden)
    assert decode(golden) == STATES[name]
    assert encode(STATES[name]) == golden


@settings(max_examples=400)
@given(maps())
def test_a_map_reads_back(state):
    record = encode(state)
    verify(record)
    assert decode(record) == state
    assert codec.context_of(record) == state.context


@given(maps(), st.randoms(use_true_random=False))
def test_equal_maps_have_equal_bytes_in_any_order_of_insertion(state, rng):
    elements = list(state.entries)
    rng.shuffle(elements)
    entries = {}
    for element in elements:
        dots = list(state.entries[element])
        rng.shuffle(dots)
        entries[element] = {dot: state.entries[element][dot] for dot in dots}
    actors = list(state.context.spans)
    rng.shuffle(actors)
    shuffled = DottedMap(entries, Context({actor: state.context.spans[actor] for actor in actors}))
    assert encode(shuffled) == encode(state)


@settings(max_examples=1000)
@given(maps(), maps())
def test_join_of_records_is_the_join_of_maps(a, b):
    one, two = encode(a), encode(b)
    joined = join_records(one, two)
    assert joined == encode(join(a, b))
    assert joined == join_records(two, one)
    if joined == two:
        assert joined is two or joined is one
    elif joined == one:
        assert joined is one


@given(maps())
def test_the_absent_key_joins_as_nothing(state):
    record = encode(state)
    assert join_records(b"", record) is record
    assert join_records(record, b"") is record
    assert join_records(b"", b"") == b""


@given(maps(), maps())
def test_digests_are_equal_exactly_if_records_are(a, b):
    one, two = encode(a), encode(b)
    assert (digest(one) == digest(two)) == (one == two)
    assert digest(one) != digest(b"") == b""


@given(maps())
def test_what_is_read_without_decoding_is_what_the_map_says(state):
    record = encode(state)
    clocks = [int.from_bytes(held[:8]) for d in state.entries.values() for held in d.values()]
    assert codec.max_clock(record) == max(clocks, default=0)
    assert codec.is_live(record) == any(element[:1] != b"x" for element in state.entries)
    assert codec.entries_of(record) == [
        (element, dot[0] + dot[1].to_bytes(8), state.entries[element][dot])
        for element in sorted(state.entries)
        for dot in sorted(state.entries[element])
    ]
    if not record[1] & codec.EXPIRES:
        assert not any(element[:1] == b"x" for element in state.entries)
        assert all(held[8:16] == bytes(8) for held in state.entries.get(b"s", {}).values())


def test_the_absent_key_reads_as_nothing():
    assert codec.max_clock(b"") == 0
    assert not codec.is_live(b"")
    assert codec.context_of(b"") == Context()
    assert codec.entries_of(b"") == []


def is_refused(record: bytes) -> bool:
    """Whether both doors refuse it, and with no other exception than `DamagedError`."""
    refusals = 0
    for door in (verify, decode):
        try:
            door(record)
        except DamagedError:
            refusals += 1
    assert refusals in (0, 2)
    return refusals == 2


@names
def test_every_damaged_byte_is_refused(name):
    record = RECORDS[name]
    for at in range(len(record)):
        for byte in range(256):
            damaged = record[:at] + bytes([byte]) + record[at + 1 :]
            assert damaged == record or is_refused(damaged), (at, byte)


@names
def test_every_truncation_and_extension_is_refused(name):
    record = RECORDS[name]
    for size in range(len(record)):
        assert is_refused(record[:size])
        assert is_refused(record[size + 1 :])
    for byte in range(256):
        assert is_refused(record + bytes([byte]))
        assert is_refused(bytes([byte]) + record)
    for size in range(2, 70):
        assert is_refused(record + bytes(size))
    assert is_refused(record + record)


def test_bytes_that_were_never_a_record_are_refused():
    rng = random.Random(4)
    for size in range(120):
        assert is_refused(rng.randbytes(size))
        assert is_refused(b"\x01\x05" + rng.randbytes(size))
        assert is_refused(bytes(size))


@settings(max_examples=300)
@given(maps(), st.integers(0, 7), st.randoms(use_true_random=False))
def test_damage_under_a_right_checksum_is_refused_or_is_another_canonical_record(state, form, rng):
    """A peer with a bug makes sound checksums; still nothing crashes and nothing is mis-read."""
    record = encode(state)
    bodies = [record[6:], record[6:-1], record[6:] + b"\0", record[6:] + record[18:]]
    for _ in range(12):
        body = bytearray(record[6:])
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.choice([0, 1, 2, 5, 8, 0x61, 0x62, 0x73, 255])
        bodies.append(bytes(body))
    for body in bodies:
        for each in (record[1], form):
            sealed = seal(each, body)
            if not is_refused(sealed):
                assert encode(decode(sealed)) == sealed


def general(form: int, clock: int, rows: list[bytes], *entries: bytes) -> bytes:
    return seal(form, struct.pack(">QI", clock, len(rows)) + b"".join([*rows, *entries]))


def row(actor: bytes, lo: int, hi: int) -> bytes:
    return struct.pack(">16sQQ", actor, lo, hi)


def entry(element: bytes, actor: bytes, counter: int, held: bytes) -> bytes:
    head = struct.pack(">II16sQ", len(element), len(held), actor, counter)
    return head + element + held


HELD = payload(5, 0, b"v")
NOT_CANONICAL = {
    "an empty interval": general(0, 0, [row(A, 3, 3)]),
    "a reversed interval": general(0, 0, [row(A, 4, 3)]),
    "touching intervals": general(0, 0, [row(A, 0, 3), row(A, 3, 4)]),
    "overlapping intervals": general(0, 0, [row(A, 0, 3), row(A, 2, 4)]),
    "intervals out of order": general(0, 0, [row(A, 5, 6), row(A, 0, 3)]),
    "actors out of order": general(0, 0, [row(B, 0, 3), row(A, 0, 3)]),
    "more intervals than bytes": seal(0, struct.pack(">QI", 0, 2**32 - 1) + row(A, 0, 1)),
    "a plain map in the general form": general(4, 5, [row(A, 0, 3)], entry(b"s", A, 3, HELD)),
    "a dot outside of the context": general(4, 5, [row(A, 0, 3)], entry(b"s", A, 4, HELD)),
    "a dot at the open end": general(4, 5, [row(A, 2, 4)], entry(b"s", A, 2, HELD)),
    "a dot of another actor": general(4, 5, [row(A, 0, 3)], entry(b"s", B, 3, HELD)),
    "a dot twice": general(4, 5, [row(A, 0, 3)], *[entry(b"s", A, 2, HELD)] * 2),
    "dots out of order": general(
        4, 5, [row(A, 0, 3)], entry(b"s", A, 3, HELD), entry(b"s", A, 2, HELD)
    ),
    "elements out of order": general(
        4, 5, [row(A, 0, 3)], entry(b"s", A, 2, HELD), entry(b"h", A, 3, HELD)
    ),
    "the wrong highest clock": general(4, 6, [row(A, 0, 3)], entry(b"s", A, 2, HELD)),
    "a string without an expire_at": general(
        4, 5, [row(A, 0, 3)], entry(b"s", A, 2, (5).to_bytes(8) + b"1234567")
    ),
    "a payload without a clock": general(4, 5, [row(A, 0, 3)], entry(b"h", A, 2, b"1234567")),
    "not live with a value": general(0, 5, [row(A, 0, 3)], entry(b"s", A, 2, HELD)),
    "live without a value": general(4, 0, [row(A, 0, 3)]),
    "an expiry that none mentions": general(6, 5, [row(A, 0, 3)], entry(b"s", A, 2, HELD)),
    "an expiry unmentioned": general(
        4, 5, [row(A, 0, 3)], entry(b"s", A, 2, payload(5, 9, b"v"))
    ),
    "an entry longer than the record": general(
        4, 5, [row(A, 0, 3)], struct.pack(">II16sQ", 1, 2**32 - 1, A, 2) + b"s" + HELD
    ),
    "half of an entry's head": general(0, 0, [row(A, 0, 3)], bytes(31)),
    "plain with an empty interval": seal(5, struct.pack(">Q16sQQ", 5, A, 3, 3) + b"v"),
    "plain expiring never": seal(7, struct.pack(">Q16sQQQ", 5, A, 2, 3, 0) + b"v"),
    "plain too short to expire": seal(7, struct.pack(">Q16sQQ", 5, A, 2, 3) + b"1234567"),
    "plain and not live": seal(1, struct.pack(">Q16sQQ", 5, A, 2, 3) + b"v"),
    "a form of tomorrow": seal(8, struct.pack(">Q16sQQ", 5, A, 2, 3) + b"v"),
}


@pytest.mark.parametrize("what", sorted(NOT_CANONICAL))
def test_a_second_way_to_write_a_map_is_refused(what):
    assert is_refused(NOT_CANONICAL[what])


def test_encode_refuses_what_it_could_not_read_back():
    for state in (
        DottedMap({b"s": {(A, 4): HELD}}, Context({A: (0, 3)})),
        DottedMap({b"s": {(A, 3): b"short"}}, Context({A: (0, 3)})),
        DottedMap({b"s": {}}, Context({A: (0, 3)})),
    ):
        with pytest.raises(AssertionError):
            encode(state)


def calls_during(action) -> set[str]:
    """The names of all Python functions called meanwhile."""
    called = set()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_name))
    try:
        action()
    finally:
        sys.setprofile(None)
    return called


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (codec.encode_plain(5, A, 3, 9, 0, b"v"), codec.encode_plain(6, A, 3, 12, 0, b"w")),
        (codec.encode_plain(5, A, 3, 9, 7, b"v"), codec.encode_plain(6, A, 3, 12, 8, b"w")),
        (
            codec.encode_plain(5, A, 3, 9, 0, b"v"),
            codec.encode_lone(row(A, 3, 9) + row(B, 1, 2), 6, B, 2, 0, b"w"),
        ),
        (
            codec.encode_lone(row(A, 3, 9) + row(B, 1, 2), 6, B, 2, 0, b"w"),
            codec.encode_lone(row(A, 3, 12) + row(B, 1, 2), 7, A, 12, 0, b"w"),
        ),
        (codec.encode_plain(5, A, 3, 9, 0, b"v"), codec.encode_tombstone(row(A, 3, 9))),
    ],
)
def test_a_newer_record_wins_whole_and_undecoded(older, newer):
    for a, b in ((older, newer), (newer, older), (newer, bytes(bytearray(newer)))):
        assert join_records(a, b) == newer
        assert not calls_during(lambda a=a, b=b: join_records(a, b)) & {"_build", "join", "encode"}
    assert join_records(older, newer) is newer
    assert join_records(newer, older) is newer


NUMBERS = st.sampled_from([1, 2, 255, 256, 1 << 31, (1 << 56) - 1, (1 << 63) + 5])


@given(
    st.tuples(NUMBERS, NUMBERS, NUMBERS), st.booleans(),
    st.tuples(NUMBERS, st.integers(0, 3), NUMBERS), st.sampled_from([0, 9]),
)
def test_an_overwrite_made_of_slices_is_the_record_that_is_meant(before, is_own, stamp, at) -> None:
    clock, hi, lo = before
    now, floor, counter = stamp
    record = codec.encode_plain(clock, A, min(lo, hi) - 1, hi, at, b"old")
    made = codec.overwrite_plain(record, A if is_own else B, counter, floor, now, b"new")
    if is_own and not at and now > clock and counter > hi > floor:
        assert made == codec.encode_plain(now, A, min(lo, hi) - 1, counter, 0, b"new")
    else:
        assert made == b""
