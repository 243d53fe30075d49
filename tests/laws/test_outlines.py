"""Records with large strings are worked on by their outlines, and become what they would be else.

The same is done with the strings cut to a few bytes, which are distinct: put back in their places
they must give the record that the large ones give.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from respdyn.causal.codec import decode, digest, encode, encode_plain, join_records, verify
from respdyn.causal.context import Context
from respdyn.causal.dotted_map import DottedMap, join
from respdyn.causal.outline import LARGE, outline, value_in
from respdyn.types import strings, values

ACTORS = (b"A" * 16, b"B" * 16)
SIZES = (0, 5, LARGE - 100, LARGE, LARGE + 7)


class Shown(bytes):
    """A record that is not printed in full."""

    def __repr__(self) -> str:
        return f"a record that begins {self[:80]!r}"


def a_value(actor: int, counter: int) -> bytes:
    """What this dot wrote: of the size that its number says, so the same wherever it is."""
    size = SIZES[(actor + counter) % len(SIZES)]
    return bytes([65 + actor, counter]) * (size // 2)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A string with up to three siblings, remarks and a context, as one node may hold it."""
    dots = draw(st.sets(st.tuples(st.integers(0, 1), st.integers(1, 6)), max_size=3))
    tops = [max([c for a, c in dots if a == actor] + [draw(st.integers(0, 6))])
            for actor in range(2)]
    held = {
        (ACTORS[a], c): (100 + c).to_bytes(8) + draw(st.sampled_from((0, 10**6))).to_bytes(8)
        + a_value(a, c) for a, c in dots
    }
    entries: dict[bytes, dict[tuple[bytes, int], bytes]] = {b"s": held} if held else {}
    for actor, counter in sorted(dots)[:1]:
        if draw(st.booleans()) and tops[actor] < 7:
            tops[actor] += 1
            mark = b"x" + ACTORS[actor] + counter.to_bytes(8)
            entries[mark] = {(ACTORS[actor], tops[actor]): bytes(7) + b"\x01" + bytes(8)}
    context = Context({ACTORS[a]: (0, top) for a, top in enumerate(tops) if top})   # type: ignore[misc]
    return Shown(encode(DottedMap(entries, context)))       # type: ignore[arg-type]


@given(records(), records())
def test_a_join_of_large_strings_is_the_join(one: bytes, two: bytes) -> None:
    joined = join_records(one, two)
    verify(joined)
    assert joined == encode(join(decode(one), decode(two)))
    assert digest(joined) == digest(join_records(two, one))


@given(records())
def test_what_is_known_of_a_key_is_known_of_its_outline(record: bytes) -> None:
    short = outline(record)
    assert len(short) < 3 * LARGE and (short is record or len(record) >= LARGE)
    for asked in (values.ends_at, values.is_timed, values.kind_of, values.ends_ms):
        assert asked(short) == asked(record)
    state = decode(record)
    shown = strings.value(record, 5)
    seen = strings.view(record, 5)
    assert shown == (None if seen is None else bytes(seen))
    there = state.entries.get(b"s", {})
    assert shown is None or shown in {payload[16:] for payload in there.values()}
    for (actor, counter), payload in there.items():
        found = value_in(record, actor + counter.to_bytes(8))
        assert found is not None and found == payload[16:]
    assert sorted(strings.siblings(record, 5)) == sorted(
        payload[16:] for payload in there.values()
    )


@given(records(), st.sampled_from((0, 10**7)), st.sampled_from((3, LARGE + 1)))
def test_writes_to_large_strings_give_sound_records(
    record: bytes, at_ms: int, size: int
) -> None:
    stamp = (b"C" * 16, 1, 0, 10**9)
    delta = values.expire(record, stamp, at_ms)     # type: ignore[arg-type]
    if delta:
        after = join_records(record, delta)
        verify(after)
        assert strings.value(after, 5) == strings.value(record, 0)
        assert values.ends_at(after) == at_ms
        record = after
    written = strings.assign(record, (b"D" * 16, 1, 0, 10**9), b"v" * size, at_ms)  # type: ignore[arg-type]
    verify(written)
    assert strings.value(written, 5) == b"v" * size
    verify(values.remove(written, (b"D" * 16, 2, 0, 10**9)))        # type: ignore[arg-type]


def test_an_outline_keeps_the_name_of_the_state() -> None:
    plain = encode_plain(7, ACTORS[0], 0, 1, 0, b"v" * LARGE)
    assert digest(outline(plain)) == digest(plain)
