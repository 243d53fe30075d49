"""Preference lists: for each partition every node of the cluster, in the order to try them.

Owners come first, as the ring has them. Fallbacks follow in rendezvous order (each partition
ranks nodes by a hash of both), so that the stand-ins for one failed node are spread over all
others, and an unrelated change of membership moves no other. Zones take turns: the next fallback
is always from a zone that the list has used least. A node on its way out comes last.

Who is reachable is the caller's knowledge and changes by the second; a list depends on the ring
alone, so every node computes the same one and may keep it until the ring changes.

Source: Dynamo 4.3 and 4.6; Thaler and Ravishankar, "A name-based mapping scheme for rendezvous".
"""

from collections.abc import Container

from blake3 import blake3

from respdyn.ring.ring import Ring


def preference_list(ring: Ring, partition: int) -> tuple[str, ...]:
    """All members' ids, owners first. About 1 us per member: keep the result."""
    owners = ring.owners[partition]
    used: dict[str, int] = {}
    for index in owners:
        zone = ring.members[index].zone
        used[zone] = used.get(zone, 0) + 1
    salt = partition.to_bytes(2, "big")
    waiting: dict[str, list[tuple[bytes, str]]] = {}
    last: list[tuple[bytes, str]] = []
    for index, member in enumerate(ring.members):
        if index not in owners:
            ranked = blake3(salt + member.node_id.encode()).digest(8), member.node_id
            queue = last if member.state == "leaving" else waiting.setdefault(member.zone, [])
            queue.append(ranked)
    for queue in waiting.values():
        queue.sort(reverse=True)
    names = [ring.members[index].node_id for index in owners]
    while waiting:
        zone = min(waiting, key=lambda zone: (used.get(zone, 0), waiting[zone][-1]))
        names.append(waiting[zone].pop()[1])
        used[zone] = used.get(zone, 0) + 1
        if not waiting[zone]:
            del waiting[zone]
    names.extend(node_id for _, node_id in sorted(last))
    return tuple(names)


def first_reachable(preference: tuple[str, ...], reachable: Container[str]) -> str | None:
    """The first node of the list that is reachable: who coordinates a write."""
    for node_id in preference:
        if node_id in reachable:
            return node_id
    return None


def reachable_nodes(
    preference: tuple[str, ...], reachable: Container[str], count: int
) -> tuple[str, ...]:
    """The first `count` reachable nodes, in order; fewer if there are not as many.

    This is the sloppy quorum. A strict one passes only the owners as `preference`.
    """
    found: list[str] = []
    for node_id in preference:
        if node_id in reachable:
            found.append(node_id)
            if len(found) == count:
                break
    return tuple(found)


def stand_ins(
    preference: tuple[str, ...], reachable: Container[str], owners: int
) -> tuple[tuple[str, str], ...]:
    """Pairs (fallback, the unreachable owner it stands in for), for a list that begins with
    `owners` owners.

    The first missing owner gets the first reachable fallback; with too few fallbacks the last
    missing owners get none. No fallback stands in for two: an acknowledgement is a distinct node.
    """
    fallbacks = (node_id for node_id in preference[owners:] if node_id in reachable)
    missing = (owner for owner in preference[:owners] if owner not in reachable)
    return tuple((fallback, owner) for owner, fallback in zip(missing, fallbacks, strict=False))
