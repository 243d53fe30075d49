"""Changes of membership: what is staged becomes a goal, and the goal is reached step by step.

`commit` makes the next ring from staged changes: its members, the goal that `claim` computes, and a
move for each partition whose owners change. `advance` makes the next ring when some moves may go on
to their next phase. Both are functions of their arguments; who may propose a ring, and when, is
decided elsewhere.

    join X            X owns its share
    leave X           X owns nothing, hands over what it has, and is dropped from the ring after
    replace X Y       Y takes X's places, X leaves
    force-remove X    X is gone: its copies are given up, the others fill new ones from what is left
    change X          another weight or zone

A node that is replaced while it is out of reach cannot hand over: then it is removed by force.

Source: Dynamo 4.9; the staged changes of Riak's cluster administration; decision 0014.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

import msgspec

from respdyn.ring.claim import claim
from respdyn.ring.ring import FILL, JOINT, MAX_MEMBERS, READ, Member, Move, Owners, Ring

Kind = Literal["join", "leave", "replace", "force-remove", "change"]
Names = list[tuple[str, ...]]


class Staged(msgspec.Struct, frozen=True):
    """One staged change. `newcomer` is who joins; `n` how many copies it expects."""

    kind: Kind
    node: str
    newcomer: Member | None = None
    n: int = 0
    weight: int = 0
    zone: str | None = None


class Refused(ValueError):
    """A change that cannot be. The text says why."""


def stage(ring: Ring, staged: Sequence[Staged], new: Staged) -> list[Staged]:
    """The staged changes with one more. Raises `Refused`."""
    member = ring.member(new.node)
    if new.kind == "join":
        if member is not None:
            raise Refused(f"{new.node[:8]} is a member already")
    elif member is None:
        raise Refused(f"{new.node[:8]} is not a member")
    elif new.kind in ("leave", "replace") and member.state == "leaving":
        raise Refused(f"{new.node[:8]} is leaving already")
    if new.newcomer is not None and new.kind == "replace" and ring.member(new.newcomer.node_id):
        raise Refused(f"{new.newcomer.node_id[:8]} is a member already")
    touched = {one.node for one in staged} | {
        one.newcomer.node_id for one in staged if one.newcomer is not None
    }
    mine = {new.node} | ({new.newcomer.node_id} if new.newcomer is not None else set())
    for name in sorted(touched & mine):
        raise Refused(f"a change of {name[:8]} is staged already")
    result = [*staged, new]
    if sum(1 for one in _members_after(ring, result) if one.state == "member") == 0:
        raise Refused("no node would be left to own anything")
    if len(ring.members) + len(result) > MAX_MEMBERS:
        raise Refused(f"a cluster has {MAX_MEMBERS} members at the most")
    return result


def commit(
    ring: Ring, staged: Sequence[Staged], is_up: Callable[[str], bool], token: str
) -> Ring:
    """The ring with which the staged changes begin."""
    forced = forced_out(staged, is_up)
    members = tuple(one for one in _members_after(ring, staged) if one.node_id not in forced)
    n = max([ring.n, *(one.n for one in staged)])
    goal = _goal(ring, staged, members, n)
    serving = [_without(ring.owners_of(p), forced) for p in range(ring.partitions)]
    moving = ring.moving()
    owners: Names = []
    moves: list[tuple[int, tuple[str, ...], int, int, int]] = []
    version = ring.version + 1
    for partition, wanted in enumerate(goal):
        now, move = serving[partition], moving.get(partition)
        coming = _without(ring.names(move.owners), forced) if move is not None else ()
        if move is not None and move.phase == READ and coming and now:
            # Some read from the new owners already: this move must end before another begins.
            moves.append((partition, coming, READ, move.begun, move.since))
        elif move is not None and now and set(coming) == set(wanted) and len(coming) == len(
            move.owners
        ):
            moves.append((partition, wanted, move.phase, move.begun, move.since))
        elif not now:
            now = coming if move is not None and move.phase == READ and coming else wanted
        elif set(now) != set(wanted):
            moves.append((partition, wanted, FILL, version, version))
        else:
            now = wanted
        owners.append(now)
    return _assemble(ring, members, n, owners, goal, moves, ring.changes + 1, token)


def forced_out(staged: Sequence[Staged], is_up: Callable[[str], bool]) -> set[str]:
    """Who is removed without handing over."""
    return {
        one.node for one in staged
        if one.kind == "force-remove" or (one.kind == "replace" and not is_up(one.node))
    }


def advance(
    ring: Ring, filled: Collection[int], verified: Collection[int], settled: Collection[int],
    stalled: Collection[int], gone: Collection[str],
) -> Ring | None:
    """The ring with every move one phase on that may be, or None if none may.

    `filled`: partitions in FILL whose new owners hold everything. `verified`: in JOINT, whose new
    owners have proved it. `settled`: in READ, whose old owners all know. `stalled`: in JOINT, one
    of whose new owners cannot be reached: back to FILL, where no write waits for it. `gone`:
    leaving members that have handed over everything.
    """
    version = ring.version + 1
    owners: Names = [ring.owners_of(p) for p in range(ring.partitions)]
    goal = [ring.names(indices) for indices in ring.wanted()]
    moves: list[tuple[int, tuple[str, ...], int, int, int]] = []
    has_changed = False
    moving = ring.moving()
    for partition in range(ring.partitions):
        move = moving.get(partition)
        if move is None:
            if set(owners[partition]) != set(goal[partition]):
                moves.append((partition, goal[partition], FILL, version, version))
                has_changed = True
            continue
        coming = ring.names(move.owners)
        phase, since = move.phase, version
        if phase == FILL and partition in filled:
            phase = JOINT
        elif phase == JOINT and partition in stalled:
            phase = FILL
        elif phase == JOINT and partition in verified:
            phase = READ
        elif phase == READ and partition in settled:
            owners[partition] = coming
            has_changed = True
            continue
        else:
            since = move.since
        has_changed = has_changed or phase != move.phase
        moves.append((partition, coming, phase, move.begun, since))
    # By this ring, not by the next: who holds something until then has not handed it over.
    held = [*ring.owners, *(move.owners for move in ring.moves)]
    needed = {name for indices in held for name in ring.names(indices)}
    members = tuple(
        one for one in ring.members
        if one.state != "leaving" or one.node_id in needed or one.node_id not in gone
    )
    if not has_changed and len(members) == len(ring.members):
        return None
    return _assemble(ring, members, ring.n, owners, goal, moves, ring.changes, ring.token)


def holders_of(ring: Ring, partition: int, move: Move | None) -> tuple[str, ...]:
    """All nodes that are to store what is written to a partition: owners, and those to come."""
    owners = ring.owners[partition]
    if move is None:
        return ring.names(owners)
    if move.phase == READ:
        both = move.owners + tuple(index for index in owners if index not in move.owners)
    else:
        both = owners + tuple(index for index in move.owners if index not in owners)
    return ring.names(both)


# ---- what a change does ----


def _members_after(ring: Ring, staged: Sequence[Staged]) -> tuple[Member, ...]:
    members = {member.node_id: member for member in ring.members}
    for one in staged:
        member = members.get(one.node)
        if one.newcomer is not None:
            newcomer = msgspec.structs.replace(one.newcomer, state="member")
            if one.weight:
                newcomer = msgspec.structs.replace(newcomer, weight=one.weight)
            if one.zone is not None:
                newcomer = msgspec.structs.replace(newcomer, zone=one.zone)
            members[newcomer.node_id] = newcomer
        if one.kind in ("leave", "replace") and member is not None:
            members[one.node] = msgspec.structs.replace(member, state="leaving")
        elif one.kind == "force-remove":
            members.pop(one.node, None)
        elif one.kind == "change" and member is not None:
            members[one.node] = msgspec.structs.replace(
                member, weight=one.weight or member.weight,
                zone=member.zone if one.zone is None else one.zone,
            )
    return tuple(members[name] for name in sorted(members))


def _goal(
    ring: Ring, staged: Sequence[Staged], members: tuple[Member, ...], n: int
) -> Names:
    """Who is to own what, moving no more than must be."""
    stands_for = {
        one.node: one.newcomer for one in staged
        if one.kind == "replace" and one.newcomer is not None
    }
    before = msgspec.structs.replace(
        ring, members=tuple(stands_for.get(old.node_id, old) for old in ring.members),
        owners=ring.wanted(), goal=(), moves=(),
    )
    owners = claim(members, ring.partitions, n, before)
    return [tuple(members[index].node_id for index in row) for row in owners]


def _without(names: tuple[str, ...], forced: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in forced)


def _assemble(
    ring: Ring, members: tuple[Member, ...], n: int, owners: Names, goal: Names,
    moves: Sequence[tuple[int, tuple[str, ...], int, int, int]], changes: int, token: str,
) -> Ring:
    """The next ring, from names."""
    index_of: Mapping[str, int] = {one.node_id: index for index, one in enumerate(members)}

    def indices(names: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(index_of[name] for name in names)

    placed: Owners = tuple(map(indices, owners))
    wanted: Owners = tuple(map(indices, goal))
    is_done = not moves and all(set(a) == set(b) for a, b in zip(placed, wanted, strict=True))
    result = Ring(
        cluster_id=ring.cluster_id, version=ring.version + 1, n=n, members=members,
        owners=wanted if is_done else placed, goal=() if is_done else wanted,
        moves=tuple(
            Move(partition, indices(coming), phase, begun, since)
            for partition, coming, phase, begun, since in moves
        ),
        changes=changes, token=token,
    )
    result.validate()
    return result
