"""A big element map is what the small one is, whatever is done to it and in whatever order."""

import random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from respdyn.causal import big, cell_tree, codec, dot_tree, element_map, persistent_tree
from respdyn.causal.codec import digest, encode, join_records
from respdyn.causal.dot import intern_actor
from respdyn.causal.marks import mark_of
from respdyn.causal.parts import cut_rows, flat, piece_of, restricted, sum_of
from respdyn.causal.rows import common_rows, minus_rows, unite_rows
from respdyn.types import hashes, sets, sorted_sets, values
from tests.laws.maps import element_maps

PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
ACTORS = [intern_actor(letter * 16) for letter in (b"a", b"b", b"c")]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Trees grow high with few elements, and nothing is too small to be big."""
    monkeypatch.setattr(big, "SMALL_BYTES", 0)
    monkeypatch.setattr(big, "BIG_BYTES", 0)
    monkeypatch.setattr(big, "ONE_BY_ONE", 20)
    for module in (cell_tree, dot_tree, persistent_tree):
        for name, value in (("LEAF_ELEMENTS", 4), ("_LEAF_ENTRIES", 4), ("KIDS_MAX", 4),
                            ("_KIDS_FEW", 2)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


def is_map(record):
    return bool(record) and bool(record[1] & codec.ELEMENTS) and bool(
        element_map.counts_of(record))


def as_big(record):
    return big.taken_apart(record) if is_map(record) else record


def check(record):
    """The trees hold what the head says, and their sums are right."""
    if not record or not record[1] & codec.BIG:
        return
    held = big.entries_of(record)
    assert flat(record) == codec.encode_entries(codec.rows_of(record), held)
    mark = 0
    for entry in held:
        mark ^= mark_of(*entry)
    assert element_map.mark_in(record) == mark
    inline = [entry for entry in held if entry[0][:1] in element_map.INLINE]
    for root in (record.cells, record.dots):
        if root is not None:
            check_sums(root)
    assert len(inline) == (record.dots.count if record.dots else 0)
    names = {entry[0] for entry in inline}
    assert len(names) == (record.cells.count if record.cells else 0)
    for kind in {name[:1] for name in names}:
        order = sorted((cell_tree.place_of(name), name) for name in names if name[:1] == kind)
        assert big.names_of(record, kind, 1 << 30) == [name for _, name in order]
        assert [big.nth(record, kind, at) for at in range(len(order))] == [
            name for _, name in order
        ]
        middle = order[len(order) // 2]
        assert big.names_of(record, kind, 1, middle[0]) == [middle[1]]


def check_sums(node):
    sums = ("count", "mark", "live", "odd", "crowded", "top", "weight")
    if not node.kids:
        return
    made = persistent_tree.above(node.low, node.kids)
    assert [getattr(node, name) for name in sums] == [getattr(made, name) for name in sums]
    lows = [kid.low for kid in node.kids]
    assert lows == sorted(set(lows)) and lows[0] == node.low
    for kid in node.kids:
        check_sums(kid)


@settings(max_examples=150, phases=PHASES)
@given(element_maps(), element_maps())
def test_the_join_is_that_of_small_maps(one, two):
    a, b = encode(one), encode(two)
    wanted = join_records(a, b)
    for ours, theirs in ((as_big(a), b), (a, as_big(b)), (as_big(a), as_big(b))):
        joined = join_records(ours, theirs)
        check(joined)
        assert flat(joined) == wanted and digest(joined) == digest(wanted)
        assert join_records(joined, theirs) is joined or flat(joined) == wanted


@settings(max_examples=100, phases=PHASES)
@given(element_maps(), element_maps(), st.integers(0, 8))
def test_pieces_are_records_and_their_join_is_the_whole(one, two, cut):
    record = encode(one)
    rows = [b"".join(actor + lo.to_bytes(8) + hi.to_bytes(8) for actor in ACTORS)
            for lo, hi in ((0, cut), (cut, 9)) if lo < hi]
    for whole in (record, as_big(record)):
        pieces = [restricted(whole, each) for each in rows]
        for piece in pieces:
            codec.verify(piece)
        other = encode(two)
        joined = other
        for piece in pieces:
            joined = join_records(joined, piece)
        assert joined == join_records(other, record)


def run_course(seed, letter, steps):
    """Two coordinators add, overwrite and remove; each keeps its key big and small."""
    rng = random.Random(seed)
    sides = [[b"", b"", actor, 1] for actor in ACTORS[:2]]
    kind = {b"m": sets, b"f": hashes, b"z": sorted_sets}[letter]
    for step in range(steps):
        side = rng.choice(sides)
        small, large, actor, counter = side
        draft = kind.draft_of(small, (actor, counter, 0, (step + 1) << 20))
        other = kind.draft_of(large, (actor, counter, 0, (step + 1) << 20))
        for _ in range(rng.choice([1, 1, 1, 8])):
            name = b"n%d" % rng.randrange(60)
            does = rng.random()
            for each in (draft, other):
                if does < 0.3:
                    kind.remove(each, name)
                elif letter == b"m":
                    sets.add(each, name)
                elif letter == b"z" and does < 0.7:
                    sorted_sets.put(each, name, float(step % 7))
                elif letter == b"z":
                    sorted_sets.add(each, name, float(step % 5 - 2))
                elif does < 0.8:
                    hashes.put(each, name, b"%d" % step)
                elif hashes.value(each, name) is not None and does < 0.9:
                    hashes.expire(each, name, 1 << 50)
                else:
                    hashes.add(each, name, step)
        delta = draft.delta()
        assert other.delta() == delta
        side[3] = counter + 40
        for each in sides:
            if each is side or rng.random() < 0.5:
                before = each[1]
                each[0] = join_records(each[0], delta)
                each[1] = as_big(join_records(each[1], delta)) if not (
                    before and before[1] & codec.BIG) else join_records(before, delta)
                check(each[1])
                assert flat(each[1]) == each[0]
                if letter == b"z" and rng.random() < 0.3:
                    check_order(each[0], each[1])
        if rng.random() < 0.05:
            one, two = sides
            for which in (0, 1):
                joined = join_records(one[which], two[which])
                one[which] = two[which] = joined
            check(one[1])
            assert flat(one[1]) == one[0]


def check_order(small, large):
    """The order that follows a big map is the one that is read of the small one."""
    read, kept = (sorted_sets.order_of(sorted_sets.view_of(one, 0)) for one in (small, large))
    assert kept.scores == read.scores
    assert list(kept.each()) == sorted((score, name) for name, score in read.scores.items())


@pytest.mark.parametrize("letter", [b"f", b"m", b"z"])
def test_courses_of_writes(letter):
    for seed in range(12):
        run_course(seed, letter, 150)


@pytest.mark.parametrize("bug", ["touches nothing", "skips a state", "baselines are no change"])
def test_an_order_that_does_not_follow_is_found(bug, monkeypatch):
    note = big._note_lineage
    if bug == "baselines are no change":
        monkeypatch.setattr(big, "_baselines", lambda key: [])
    elif bug == "touches nothing":
        monkeypatch.setattr(big, "_note_lineage", lambda was, made: note(was, made) or setattr(
            made, "lineage", made.lineage._replace(touched=[])))
    else:
        monkeypatch.setattr(big, "_note_lineage", lambda was, made: note(was, made) or setattr(
            made, "lineage", was.lineage or made.lineage))
    with pytest.raises(AssertionError):
        for seed in range(60):
            run_course(seed, b"z", 150)
            run_resets(seed)


def run_resets(seed):
    """Increments at one coordinator, DEL and new members at another; the order is asked for at
    both, and the deltas cross."""
    rng = random.Random(seed)
    sides = [[as_big(b""), actor, 1] for actor in ACTORS[:2]]
    for step in range(60):
        side = rng.choice(sides)
        record, actor, counter = side
        stamp = (actor, counter, 0, (step + 1) << 20)
        if rng.random() < 0.05:
            delta = values.remove(record, stamp)
        else:
            draft = sorted_sets.draft_of(record, stamp)
            for _ in range(3):
                sorted_sets.add(draft, b"n%d" % rng.randrange(12), 1.0)
            delta = draft.delta()
        side[2] = counter + 10
        for each in sides:
            if delta and (each is side or rng.random() < 0.5):
                each[0] = as_big(join_records(each[0], delta)) if not (
                    each[0] and each[0][1] & codec.BIG) else join_records(each[0], delta)
            if each[0] and each[0][1] & codec.BIG:
                check_order(flat(each[0]), each[0])
        if rng.random() < 0.1:
            sides[0][0] = sides[1][0] = join_records(sides[0][0], sides[1][0])


def test_orders_follow_resets():
    for seed in range(30):
        run_resets(seed)


def test_a_big_removal_leaves_what_it_has_not_seen():
    record = b""
    for at in range(100):
        draft = sets.draft_of(record, (ACTORS[at % 2], at + 1, 0, 1 << 20))
        sets.add(draft, b"%d" % at)
        record = join_records(record, draft.delta())
    removal = codec.encode_tombstone(ACTORS[0] + bytes(8) + (1 << 20).to_bytes(8))
    removal = join_records(removal, codec.encode_tombstone(
        ACTORS[1] + bytes(8) + (90).to_bytes(8)))
    wanted = join_records(record, removal)
    joined = join_records(as_big(record), removal)
    check(joined)
    assert flat(joined) == wanted and element_map.counts_of(joined) == {b"m": 5}


def test_what_is_held_stays_as_it_is():
    """A state that a read or a transfer holds on to does not change with the key."""
    record = b""
    states = []
    for at in range(60):
        draft = sets.draft_of(record, (ACTORS[0], 3 * at + 1, 0, 1 << 20))
        sets.add(draft, b"%d" % at) if at % 3 else sets.remove(draft, b"%d" % (at - 1))
        record = as_big(join_records(record, draft.delta())) if not at else join_records(
            record, draft.delta())
        states.append((record, flat(record)))
    for state, before in states:
        check(state)
        assert flat(state) == before


@settings(max_examples=120, phases=PHASES)
@given(element_maps(), element_maps(), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_copies_that_trade_what_differs_become_their_join(one, two, pieces, cells, is_big):
    """As `matching` does it: by spans, the peer's piece first, then what it lacked."""
    a, b = encode(one), encode(two)
    wanted = join_records(a, b)
    ours, theirs = (as_big(a), as_big(b)) if is_big else (a, b)
    spans = cut_rows(unite_rows(codec.rows_of(a), codec.rows_of(b)), pieces)
    assert len(spans) <= pieces + 1
    for span in spans:
        if sum_of(ours, span)[0] == sum_of(theirs, span)[0]:
            assert flat(restricted(ours, span)) == flat(restricted(theirs, span))
            continue
        while span:
            covered, piece = piece_of(theirs, span, cells, 1 << 20)
            assert covered == common_rows(covered, span) != b""
            if piece:
                codec.verify(piece)
                ours = join_records(ours, piece)
            back = restricted(ours, covered)
            if codec.rows_of(back):
                theirs = join_records(theirs, back)
            assert sum_of(ours, covered) == sum_of(theirs, covered)
            span = minus_rows(span, covered)
    check(ours)
    check(theirs)
    assert flat(ours) == flat(theirs) == wanted
