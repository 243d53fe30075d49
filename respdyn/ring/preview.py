"""What a change of membership will do, for a person to look at before it is committed.

Which partition goes from whom to whom, how much that is, what each node holds before and after, and
what one should think about twice. It is computed from the two rings alone, so it is what happens.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from respdyn.ring.change import Staged, forced_out
from respdyn.ring.ring import Ring


@dataclass(frozen=True)
class PlannedMove:
    """One copy of a partition. `source` is who gives it up; "" where it is one copy more."""

    partition: int
    source: str
    target: str
    records: int
    size: int           # about so many bytes


@dataclass(frozen=True)
class NodeRow:
    """What a node holds and coordinates, before and after."""

    node: str
    zone: str
    weight: int
    before: int
    after: int
    leads_before: int
    leads_after: int
    bytes_in: int


@dataclass(frozen=True)
class Preview:
    """Everything that a plan shows."""

    moves: list[PlannedMove]
    nodes: list[NodeRow]
    warnings: list[str]


def preview(
    ring: Ring, following: Ring, staged: Sequence[Staged], is_up: Callable[[str], bool],
    sizes: Mapping[int, tuple[int, int]],
) -> Preview:
    """Compare two rings. `sizes`: by partition, records and bytes of one copy."""
    moves = []
    for partition in range(ring.partitions):
        before = ring.names(ring.wanted()[partition])
        after = following.names(following.wanted()[partition])
        sources = [name for name in before if name not in after]
        records, size = sizes.get(partition, (0, 0))
        for place, target in enumerate(name for name in after if name not in before):
            source = sources[place] if place < len(sources) else ""
            moves.append(PlannedMove(partition, source, target, records, size))
    return Preview(moves, _rows(ring, following, moves), _warnings(ring, following, staged, is_up))


def _rows(ring: Ring, following: Ring, moves: Sequence[PlannedMove]) -> list[NodeRow]:
    bytes_in: Counter[str] = Counter()
    for move in moves:
        bytes_in[move.target] += move.size
    tables = []
    for one in (ring, following):
        held: Counter[str] = Counter()
        led: Counter[str] = Counter()
        for indices in one.wanted():
            names = one.names(indices)
            held.update(names)
            led[names[0]] += 1
        tables.append((held, led))
    members = {one.node_id: one for one in (*ring.members, *following.members)}
    return [
        NodeRow(
            name, members[name].zone, members[name].weight, tables[0][0][name], tables[1][0][name],
            tables[0][1][name], tables[1][1][name], bytes_in[name],
        ) for name in sorted(members)
    ]


def _warnings(
    ring: Ring, following: Ring, staged: Sequence[Staged], is_up: Callable[[str], bool]
) -> list[str]:
    warnings = []
    able = [one for one in following.members if one.state == "member"]
    if len(able) < following.n:
        warnings.append(
            f"only {len(able)} nodes are left to hold copies: each key will have {len(able)} "
            f"instead of {following.n}"
        )
    if following.n > ring.n:
        warnings.append(f"N rises from {ring.n} to {following.n}; it never falls again")
    zone_of = {one.node_id: one.zone for one in following.members}
    if len(set(zone_of.values())) > 1:
        crowded = 0
        for indices in following.wanted():
            zones = [zone_of[name] for name in following.names(indices)]
            crowded += len(set(zones)) < len(zones)
        if crowded:
            warnings.append(f"{crowded} partitions will have two copies or more in one zone")
    forced = forced_out(staged, is_up)
    for name in sorted(forced):
        what = "is up: better let it leave" if is_up(name) else "cannot be reached"
        warnings.append(f"{name[:8]} {what}: its copies are given up, and what only it has is lost")
    lost = sum(1 for p in range(ring.partitions) if set(ring.owners_of(p)) <= forced)
    if lost:
        warnings.append(f"{lost} partitions lose all their copies: their keys are gone")
    for one in ring.members:
        if one.node_id not in forced and not is_up(one.node_id):
            warnings.append(
                f"{one.node_id[:8]} cannot be reached: partitions of which it holds a copy move "
                "only when it is back, or removed by force"
            )
    if ring.goal:
        warnings.append("an earlier change is still being carried out")
    return warnings
