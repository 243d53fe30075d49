"""Hashes as records: what only shows when a write meets others beside it."""

import pytest

from respdyn.causal.codec import join_records
from respdyn.causal.dot import intern_actor
from respdyn.types import hashes, values

ONE, TWO = intern_actor(b"1" * 16), intern_actor(b"2" * 16)


@pytest.mark.parametrize("at_ms", [0, 5_000])
def test_a_field_that_covers_what_it_met_keeps_its_time_to_live(at_ms: int) -> None:
    other = hashes.draft_of(b"", (ONE, 1, 0, 1 << 20))
    hashes.put(other, b"f", b"first")
    hashes.expire(other, b"f", 9_000)
    mine = hashes.draft_of(b"", (TWO, 1, 0, 1 << 16))
    hashes.put(mine, b"f", b"second")
    if at_ms:
        hashes.expire(mine, b"f", at_ms)
    both = join_records(other.delta(), mine.delta())
    covered = join_records(both, values.cover(mine.delta(), both, (TWO, 20, 0, 1 << 21)))
    view = hashes.view_of(covered, 1_000)
    assert hashes.items(view) == [(b"f", b"second")]
    assert hashes.ends_at(view, b"f") == at_ms
