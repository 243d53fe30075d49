"""A change of membership as a sequence of rings: what each step may and must not do."""

import msgspec
import pytest

from respdyn.ring.change import Refused, Staged, advance, commit, holders_of, stage
from respdyn.ring.ring import FILL, JOINT, READ, Ring
from tests.ring.clusters import even_ring, member

TOKEN = "5e" * 8


def always(_: str) -> bool:
    return True


def grown() -> Ring:
    ring = even_ring(3, partitions=16)
    return commit(ring, [Staged("join", member(9, "").node_id, member(9, ""), 3)], always, TOKEN)


def carried_out(ring: Ring) -> list[Ring]:
    """All rings until nothing moves, everything being ready at once."""
    rings = [ring]
    everything = range(16)
    while True:
        names = [one.node_id for one in rings[-1].members]
        following = advance(rings[-1], everything, everything, everything, [], names)
        if following is None:
            return rings
        rings.append(following)


def test_a_partition_goes_through_its_phases_one_ring_at_a_time() -> None:
    rings = carried_out(grown())
    phases = [{move.phase for move in ring.moves} for ring in rings]
    assert phases == [{FILL}, {JOINT}, {READ}, set()]
    assert rings[-1].owners == rings[0].goal and rings[-1].goal == ()
    assert [ring.version for ring in rings] == [2, 3, 4, 5]


def test_old_and_new_owners_hold_a_partition_until_it_has_passed_on() -> None:
    ring = grown()
    move = ring.moves[0]
    held = holders_of(ring, move.partition, move)
    assert set(held) == {*ring.owners_of(move.partition), *ring.names(move.owners)}
    assert held[:3] == ring.owners_of(move.partition)


def test_a_leaving_member_stays_until_it_has_handed_over_what_the_last_ring_left_it() -> None:
    """Its state under the ring by which it still held something says nothing of what is left."""
    ring = grown()
    leaver = ring.members[0].node_id
    done = carried_out(ring)[-1]
    rings = carried_out(commit(done, [Staged("leave", leaver)], always, TOKEN))
    assert not rings[-2].moves and rings[-2].member(leaver) is not None
    assert rings[-1].member(leaver) is None


def test_a_member_removed_by_force_is_in_no_partition_from_the_next_ring_on() -> None:
    ring = even_ring(5, partitions=16)
    gone = ring.members[2].node_id
    following = commit(ring, [Staged("force-remove", gone)], always, TOKEN)
    assert following.member(gone) is None
    assert all(2 <= len(following.owners_of(p)) <= 3 for p in range(16))
    assert all(len(owners) == 3 for owners in carried_out(following)[-1].owners)


def test_who_cannot_be_reached_is_replaced_without_handing_over() -> None:
    ring = even_ring(3, partitions=16)
    old, new = ring.members[1].node_id, member(9, "")
    staged = [Staged("replace", old, new, 3)]
    assert commit(ring, staged, always, TOKEN).member(old) is not None
    assert commit(ring, staged, lambda name: name != old, TOKEN).member(old) is None


def test_a_stalled_partition_falls_back_and_others_go_on() -> None:
    joint = carried_out(grown())[1]
    first, second = joint.moves[0].partition, joint.moves[1].partition
    following = advance(joint, [], [second], [], [first], [])
    assert following is not None
    phases = {move.partition: move.phase for move in following.moves}
    assert phases[first] == FILL and phases[second] == READ


def test_a_commit_in_between_lets_those_who_are_read_from_finish_first() -> None:
    read = carried_out(grown())[2]
    leaver = read.members[0].node_id
    following = commit(read, [Staged("leave", leaver)], always, TOKEN)
    assert {move.phase for move in following.moves if move.partition in read.moving()} == {READ}


def test_n_rises_and_never_falls() -> None:
    ring = even_ring(3, partitions=16)
    new = member(9, "")
    assert commit(ring, [Staged("join", new.node_id, new, 2)], always, TOKEN).n == 3
    assert commit(ring, [Staged("join", new.node_id, new, 5)], always, TOKEN).n == 5


def test_what_cannot_be_is_refused_when_it_is_staged() -> None:
    ring = even_ring(3, partitions=16)
    one = ring.members[0]
    for change in (
        Staged("join", one.node_id, one), Staged("leave", "f" * 40),
        Staged("replace", one.node_id, ring.members[1]),
    ):
        with pytest.raises(Refused):
            stage(ring, [], change)
    leaving = stage(ring, [], Staged("leave", one.node_id))
    with pytest.raises(Refused):
        stage(ring, leaving, Staged("change", one.node_id, weight=2))
    gone = [Staged("leave", other.node_id) for other in ring.members[:2]]
    with pytest.raises(Refused, match="no node"):
        stage(ring, gone, Staged("leave", ring.members[2].node_id))
    alone = msgspec.structs.replace(even_ring(1, partitions=16))
    with pytest.raises(Refused):
        stage(alone, [], Staged("force-remove", alone.members[0].node_id))
