"""Plans that are made anew in part are those that would be made from scratch."""

import random

from respdyn.cluster.plan import Plan, Planner, ReplicaSet, deprioritize
from tests.little import Little


def shown_set(replicas: ReplicaSet) -> tuple[object, ...]:
    return (
        [link.peer for link in replicas.readers], [link.peer for link in replicas.writers],
        [(link.peer, owner) for link, owner in replicas.stand_ins], replicas.unkept,
        [link.peer for link in replicas.besides], replicas.copies, replicas.answers,
    )


def shown(plan: Plan) -> tuple[object, ...]:
    return (
        plan.partition, plan.owners, plan.is_owner, plan.coordinator, plan.has_owner,
        plan.stands_in_for, plan.deprioritized, plan.is_instant, plan.holders, plan.is_holder,
        plan.sizes,
        shown_set(plan.replicas), shown_set(plan.strict),
    )


def test_what_is_made_anew_in_part_is_what_is_made_from_scratch() -> None:
    little = Little(5, n=3, partitions=16).ready()
    node = little["A"]
    ring = node.membership.ring
    assert ring is not None
    name = node.identity.node_id
    chance = random.Random(1)
    links = [node.link_to(member.node_id) for member in ring.members if member.node_id != name]
    kept = Planner(name, node.link_to, node.transfers)
    in_part = 0
    for _ in range(400):
        link = chance.choice(links)
        what = chance.randrange(12)
        if what == 0:
            link.is_up = not link.is_up
        elif what == 1:
            link.can_store = not link.can_store
        elif what == 2:
            link.has_room = not link.has_room
        elif what == 3:
            link.deprioritized = "slow" if not link.deprioritized else ""
        elif what == 4:
            link.unfilled = None
        elif what < 9:
            link.unfilled = frozenset(chance.sample(range(16), chance.randrange(5)))
        else:
            node.transfers.unfilled = set(chance.sample(range(16), chance.randrange(3)))
        reachable = chance.random() < 0.9, chance.random() < 0.9, False
        before = kept.plan(ring, *reachable)
        plans = kept.plan(ring, *reachable)
        in_part += plans[0] is before[0]
        fresh = Planner(name, node.link_to, node.transfers).plan(ring, *reachable)
        for one in (plans, fresh):
            deprioritize(one[:: node.replica.width], name, False, False, node.link_to)
        width = node.replica.width
        assert list(map(shown, plans[::width])) == list(map(shown, fresh[::width]))
    assert in_part > 300


def test_one_partition_more_is_one_plan_more() -> None:
    little = Little(4, n=3, partitions=16).ready()
    node = little["A"]
    ring = node.membership.ring
    assert ring is not None
    link = node.link_to(little.machines[1].name)
    link.unfilled = frozenset({1, 2, 3})
    before = node.planner.plan(ring, True, True, False)
    link.unfilled = frozenset({1, 3})
    after = node.planner.plan(ring, True, True, False)
    width = node.replica.width
    changed = [p for p in range(16) if before[p * width] is not after[p * width]]
    assert changed == [2]
    assert all(after[p * width] is after[(p + 1) * width - 1] for p in range(16))
    assert len(after) == len(before) == 16384
