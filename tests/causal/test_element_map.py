"""Element maps: one way to write each, readable for ever, damage never unseen, joined as maps are.
"""

import random
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from respdyn.causal import codec, element_map
from respdyn.causal.codec import decode, digest, encode, join_records, verify
from respdyn.causal.context import Context
from respdyn.causal.dot import intern_actor
from respdyn.causal.dotted_map import DottedMap, join
from respdyn.causal.marks import mark_of
from respdyn.causal.rows import covers, edges_of, merge_rows, rows_of_dots, unite_rows
from tests.causal.test_codec import is_refused, row, seal
from tests.laws.maps import contexts, dot_sets, element_maps, maps

GOLDEN = Path(__file__).parent / "golden-elements"

A = intern_actor(bytes(range(16)))
B = intern_actor(bytes(range(100, 116)))
CLOCK = 1_700_000_000_000 << 16 | 7
LATER = 1_800_000_000_000


def dot_of(actor: bytes, counter: int) -> bytes:
    return actor + counter.to_bytes(8)


def clocked(rest: bytes, clock: int = CLOCK) -> bytes:
    return clock.to_bytes(8) + rest


# What each golden file holds. A new version of the layout adds files; none is ever changed.
STATES = {
    "v1-set": DottedMap(
        {b"k": {(A, 4): clocked(b"m")}, b"mblue": {(A, 6): b""}, b"m": {(A, 9): b""},
         b"mred": {(A, 5): b"", (B, 2): b""}},
        Context({A: (3, 9), B: (0, 2)}),
    ),
    "v1-hash": DottedMap(
        {b"k": {(A, 4): clocked(b"f")}, b"fname": {(A, 5): clocked(b"vAda")},
         b"fvisits": {(A, 9): clocked(b"c" + dot_of(A, 6) + b"\0\1\5", CLOCK + 3)}},
        Context({A: (3, 9)}),
    ),
    "v1-hash-with-times": DottedMap(
        {b"k": {(A, 4): clocked(b"f")}, b"x" + dot_of(A, 4): {(A, 7): clocked(LATER.to_bytes(8))},
         b"fone": {(A, 5): clocked(b"v1")},
         b"tfone" + dot_of(A, 5): {(B, 8): clocked(LATER.to_bytes(8))}},
        Context({A: (3, 7), B: (7, 8)}),
    ),
    "v1-birth-alone": DottedMap({b"k": {(A, 4): clocked(b"m")}}, Context({A: (3, 9)})),
    "v1-baselines-alone": DottedMap(
        {b"r": {(A, 4): clocked(dot_of(B, 2) + b"\0\1\0\0\5")}}, Context({A: (3, 9), B: (0, 2)})
    ),
    "v1-set-beside-a-string": DottedMap(
        {b"k": {(A, 4): clocked(b"m")}, b"mred": {(A, 5): b""},
         b"s": {(B, 2): clocked(bytes(8) + b"text")}},
        Context({A: (3, 5), B: (0, 2)}),
    ),
    "v1-every-kind": DottedMap(
        {kind + b"name": {(A, 4 + at): clocked(b"v".ljust(40 if kind in b"gp" else 18, b"-"))}
         for at, kind in enumerate(bytes([letter]) for letter in b"efglmptuz")},
        Context({A: (3, 13)}),
    ),
}
RECORDS = {name: encode(state) for name, state in STATES.items()}
names = pytest.mark.parametrize("name", sorted(STATES))


def test_there_is_one_golden_file_for_each_state():
    assert {path.stem for path in GOLDEN.iterdir()} == set(STATES)


@names
def test_golden_files_stay_readable(name):
    golden = bytes.fromhex((GOLDEN / f"{name}.hex").read_text())
    verify(golden)
    assert decode(golden) == STATES[name]
    assert encode(STATES[name]) == golden


@settings(max_examples=400)
@given(element_maps())
def test_a_map_reads_back(state):
    record = encode(state)
    verify(record)
    assert decode(record) == state
    assert codec.context_of(record) == state.context
    assert codec.encode_entries(codec.rows_of(record), codec.entries_of(record)) == record
    is_ours = any(element[:1] in element_map.KINDS for element in state.entries)
    assert bool(record[1] & codec.ELEMENTS) == is_ours


@settings(max_examples=600)
@given(st.one_of(element_maps(), maps()), element_maps())
def test_join_of_records_is_the_join_of_maps(a, b):
    if {element[:1] for element in a.entries} & {b"", b"h"}:
        return      # kinds that none has
    one, two = encode(a), encode(b)
    joined = join_records(one, two)
    assert joined == encode(join(a, b))
    assert joined == join_records(two, one)
    if joined == two:
        assert joined is two or joined is one
    elif joined == one:
        assert joined is one


@settings(max_examples=200)
@given(element_maps(), element_maps(), element_maps())
def test_joins_associate_and_repeat(a, b, c):
    one, two, three = encode(a), encode(b), encode(c)
    both = join_records(one, two)
    assert join_records(both, three) == join_records(one, join_records(two, three))
    assert join_records(both, one) == join_records(both, two) == both


@given(element_maps(), element_maps())
def test_digests_are_equal_exactly_if_records_are(a, b):
    one, two = encode(a), encode(b)
    assert (digest(one) == digest(two)) == (one == two)


@given(element_maps())
@example(DottedMap({b"zeta": {(A, 1): bytes(8) + b"r" + bytes(7)}}, Context({A: (0, 1)})))
def test_the_head_says_what_the_map_says(state):
    record = encode(state)
    clocks = [
        int.from_bytes(held[:8]) for element, dotted in state.entries.items()
        if element[:1] != b"m" for held in dotted.values()
    ]
    assert codec.max_clock(record) == max(clocks, default=0)
    live = [
        element for element, dotted in state.entries.items() for held in dotted.values()
        if element[:1] not in (b"x", b"k", b"r", b"t")
        and not (element[:1] in (b"f", b"z") and held[8:9] == b"r")
    ]
    assert codec.is_live(record) == bool(live)
    if record[1] & codec.ELEMENTS:
        mark = 0
        for entry in codec.entries_of(record):
            mark ^= mark_of(*entry)
        assert element_map.mark_in(record) == mark


@names
def test_every_damaged_byte_is_refused(name):
    record = RECORDS[name]
    for at in range(len(record)):
        for byte in {0, 1, 2, 4, 8, 13, 127, 128, 255, record[at] ^ 1, record[at] ^ 255}:
            damaged = record[:at] + bytes([byte]) + record[at + 1 :]
            assert damaged == record or is_refused(damaged), (at, byte)


@names
def test_every_truncation_and_extension_is_refused(name):
    record = RECORDS[name]
    for size in range(len(record)):
        assert is_refused(record[:size])
    for size in range(1, 70):
        assert is_refused(record + bytes(size))
    assert is_refused(record + record)


def test_bytes_that_were_never_an_element_map_are_refused():
    rng = random.Random(5)
    for size in range(200):
        assert is_refused(bytes((1, rng.choice((8, 10, 12, 14)))) + rng.randbytes(size))
        assert is_refused(seal(12, rng.randbytes(size)))
        assert is_refused(seal(12, bytes(size)))


@settings(max_examples=300)
@given(element_maps(), st.integers(0, 15), st.randoms(use_true_random=False))
def test_damage_under_a_right_checksum_is_refused_or_is_another_canonical_record(state, form, rng):
    """A peer with a bug makes sound checksums; still nothing crashes and nothing is mis-read."""
    record = encode(state)
    bodies = [record[6:], record[6:-1], record[6:] + b"\0", record[6:] + record[18:]]
    for _ in range(12):
        body = bytearray(record[6:])
        for _ in range(rng.randrange(1, 4)):
            body[rng.randrange(len(body))] = rng.choice([0, 1, 2, 5, 8, 0x66, 0x6B, 0x6D, 255])
        bodies.append(bytes(body))
    for body in bodies:
        for each in (record[1], form):
            sealed = seal(each, body)
            if not is_refused(sealed):
                assert encode(decode(sealed)) == sealed


def body(
    counts: list[tuple[bytes, int]], rows: list[bytes], key: list[bytes], inline: list[bytes],
    clock: int = 0, mark: int | None = None, cells: tuple[tuple[bytes, bytes, bytes], ...] = (),
) -> bytes:
    """A body written down a second time from the description."""
    if mark is None:
        mark = 0
        for cell in cells:
            mark ^= mark_of(*cell)
    about_key = b"".join(key)
    return b"".join((
        struct.pack(">QQIIB", clock, mark, len(rows), len(about_key), len(counts)),
        *[struct.pack(">cI", kind, count) for kind, count in counts], *rows, about_key, *inline,
    ))


def inline(element: bytes, actor: int, counter: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IIHQ", len(element), len(payload), actor, counter) + element + payload


RED = (b"mred", dot_of(A, 3), b"")
BLUE = (b"mblue", dot_of(A, 2), b"")
ONE = inline(b"mred", 0, 3)
ROWS = [row(A, 0, 3)]


def test_the_description_is_what_is_written():
    sealed = seal(12, body([(b"m", 2)], ROWS, [], [inline(b"mblue", 0, 2), ONE], cells=(RED, BLUE)))
    assert decode(sealed).entries == {b"mblue": {(A, 2): b""}, b"mred": {(A, 3): b""}}


NOT_CANONICAL = {
    "no element": body([], ROWS, [], []),
    "the wrong count": body([(b"m", 2)], ROWS, [], [ONE], cells=(RED,)),
    "a count of nothing": body([(b"f", 0), (b"m", 1)], ROWS, [], [ONE], cells=(RED,)),
    "no count": body([], ROWS, [], [ONE], cells=(RED,)),
    "the wrong mark": body([(b"m", 1)], ROWS, [], [ONE], mark=7),
    "a clock without one": body([(b"m", 1)], ROWS, [], [ONE], clock=1, cells=(RED,)),
    "elements out of order": body(
        [(b"m", 2)], ROWS, [], [ONE, inline(b"mblue", 0, 2)], cells=(RED, BLUE)),
    "a dot twice": body([(b"m", 1)], ROWS, [], [ONE, ONE]),
    "a dot outside of the context": body(
        [(b"m", 1)], [row(A, 0, 2)], [], [ONE], cells=(RED,)),
    "an actor outside of the context": body([(b"m", 1)], ROWS, [], [inline(b"mred", 1, 3)]),
    "a string among the elements": body(
        [(b"m", 1), (b"s", 1)], ROWS, [], [ONE, inline(b"s", 0, 2, bytes(16))]),
    "a member among what is about the key": body(
        [], ROWS, [struct.pack(">II16sQ", 4, 0, A, 3) + b"mred"], []),
    "more rows than bytes": struct.pack(">QQIIB", 0, 0, 2**32 - 1, 0, 0),
    "more key entries than bytes": struct.pack(">QQIIB", 0, 0, 0, 2**32 - 1, 0),
    "more counts than bytes": struct.pack(">QQIIB", 0, 0, 0, 0, 255),
    "an element longer than the record": body(
        [(b"m", 1)], ROWS, [], [struct.pack(">IIHQ", 2**32 - 1, 2**32 - 1, 0, 3) + b"mred"]),
}


@pytest.mark.parametrize("what", sorted(NOT_CANONICAL))
def test_a_second_way_to_write_a_map_is_refused(what):
    for form in (8, 10, 12, 14):
        assert is_refused(seal(form, NOT_CANONICAL[what]))


def test_elements_in_the_general_form_are_refused():
    entry = struct.pack(">II16sQ", 4, 8, A, 3) + b"mred" + bytes(8)
    assert is_refused(seal(4, struct.pack(">QI", 0, 1) + row(A, 0, 3) + entry))


@given(contexts, contexts)
def test_rows_unite_as_contexts_do(a, b):
    one, two = codec.encode_rows(a), codec.encode_rows(b)
    both = unite_rows(one, two)
    assert both == codec.encode_rows(a.unite(b))
    assert both is one or both != one
    assert both is two or both is one or both != two


@given(dot_sets)
def test_rows_of_dots_cover_these_dots(dots):
    rows = rows_of_dots([dot_of(*dot) for dot in dots])
    assert rows == merge_rows([rows[at : at + 32] for at in range(0, len(rows), 32)])
    edges = edges_of(rows)
    assert all(covers(edges, dot_of(*dot)) for dot in dots)
    assert sum(
        int.from_bytes(rows[at + 24 : at + 32]) - int.from_bytes(rows[at + 16 : at + 24])
        for at in range(0, len(rows), 32)
    ) == len(dots)
