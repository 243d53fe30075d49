"""What is spliced into a large element map is what a join of maps gives, and usual changes are."""

import pytest

from respdyn.causal import codec, element_map
from respdyn.causal.codec import join_records
from respdyn.causal.dot import intern_actor
from respdyn.causal.dotted_map import join
from respdyn.causal.splice import splice
from respdyn.types import hashes, sets
from respdyn.types.view import Draft, View

A, B = intern_actor(b"a" * 16), intern_actor(b"b" * 16)
NAMES = [b"", b"f", b"name:1", b"name:2", b"x" * 300, b"\0\0\0\5", *[b"n%d" % n for n in range(90)]]


def stamp(counter, actor=A):
    return actor, counter, 0, counter << 20


def big(letter):
    """A key with all names, made at A; half of them written once more, each by itself."""
    record, counter = b"", 1
    for name in [*NAMES, *NAMES[::2]]:
        record, counter = changed(record, letter, counter, put_one(letter, name))
    return record, counter


def put_one(letter, name):
    if letter == b"m":
        return lambda draft: sets.add(draft, name)
    return lambda draft: hashes.put(draft, name, b"f" + name[::-1] + name)


def draft_of(record, letter, counter):
    kind = sets.draft_of if letter == b"m" else hashes.draft_of
    return kind(record, stamp(counter))


def delta_of(record, letter, counter, change):
    draft = draft_of(record, letter, counter)
    change(draft)
    return draft.delta()


def changed(record, letter, counter, change):
    delta = delta_of(record, letter, counter, change)
    return join_records(record, delta), counter + 3


CHANGES = {
    "the first": lambda draft, one: one.remove(draft, b""),
    "the last": lambda draft, one: one.remove(draft, b"x" * 300),
    "one that is there": lambda draft, one: put_one(draft.kind.letter, b"n40")(draft),
    "one before all": lambda draft, one: put_one(draft.kind.letter, b"\0")(draft),
    "one in between": lambda draft, one: put_one(draft.kind.letter, b"n400")(draft),
    "one behind all": lambda draft, one: put_one(draft.kind.letter, b"z")(draft),
    "several": lambda draft, one: [put_one(draft.kind.letter, name)(draft)
                                   for name in (b"z", b"a", b"name:1", b"nn", b"a")],
    "both": lambda draft, one: (one.remove(draft, b"n7"), one.remove(draft, b"f"),
                                put_one(draft.kind.letter, b"n70")(draft)),
    "one over itself": lambda draft, one: (put_one(draft.kind.letter, b"new")(draft),
                                           one.remove(draft, b"new"),
                                           one.remove(draft, b"n1")),
}


@pytest.mark.parametrize("letter", [b"f", b"m"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_usual_changes_are_spliced_in(letter, change):
    record, counter = big(letter)
    one = sets if letter == b"m" else hashes
    delta = delta_of(record, letter, counter, lambda draft: change(draft, one))
    spliced = splice(record, codec.rows_of(delta), codec.entries_of(delta))
    assert spliced is not None
    outcome = codec.seal(*spliced)
    codec.verify(outcome)
    assert outcome == codec.encode(join(codec.decode(record), codec.decode(delta)))
    assert join_records(record, delta) == outcome == join_records(outcome, delta)


@pytest.mark.parametrize("letter", [b"f", b"m"])
def test_an_element_is_found_whatever_the_names_and_values_look_like(letter):
    record, _ = big(letter)
    one = sets if letter == b"m" else hashes
    all_cells = {}
    for element, dot, payload in codec.entries_of(record):
        all_cells.setdefault(element, []).append((dot, payload))
    for name in [*NAMES, b"n", b"name", b"no", b"n1x", b"1", b"\0"]:
        element = letter + name
        assert element_map.cells_of(record, element) == all_cells.get(element, [])
        assert one.view_of(record, 0).cells(element) == all_cells.get(element, [])
    assert one.count(one.view_of(record, 0)) == len(NAMES)


@pytest.mark.parametrize("letter", [b"f", b"m"])
def test_siblings_of_an_element_are_kept_apart(letter):
    record, counter = big(letter)
    there = codec.join_records(
        record, draft_and_change(record, letter, put_one(letter, b"n40"), stamp(1, B)))
    here, counter = changed(record, letter, counter, put_one(letter, b"n40"))
    both = join_records(here, there)
    assert both == join_records(there, here)
    assert len(element_map.cells_of(both, letter + b"n40")) == 2
    gone, _ = changed(both, letter, counter, lambda draft: (
        sets if letter == b"m" else hashes).remove(draft, b"n40"))
    codec.verify(gone)
    assert element_map.cells_of(gone, letter + b"n40") == []
    assert element_map.counts_of(gone)[letter] == len(NAMES) - 1


def draft_and_change(record, letter, change, by):
    draft = (sets if letter == b"m" else hashes).draft_of(record, by)
    change(draft)
    return draft.delta()


def test_what_was_changed_is_seen_before_it_is_joined():
    record, counter = big(b"m")
    draft = sets.draft_of(record, stamp(counter))
    assert isinstance(draft, Draft) and isinstance(draft, View)
    assert sets.remove(draft, b"n1") and not sets.remove(draft, b"n1")
    assert sets.add(draft, b"new") and not sets.add(draft, b"new")
    assert sets.count(draft) == len(NAMES)
    assert b"n1" not in sets.members(draft) and b"new" in sets.members(draft)
    for name in NAMES:
        sets.remove(draft, name)
    assert not draft.is_empty()
    sets.remove(draft, b"new")
    assert draft.is_empty()
    assert not codec.is_live(join_records(record, draft.delta()))
