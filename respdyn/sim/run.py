"""The course of one seed: form a cluster, do it harm, heal it, and judge.

A failure is a broken promise (`Wrong`) or an exception out of a node, which in a server would have
stopped it. Either way the seed is run once more, now with a story.
"""

import traceback

from respdyn.node import Node
from respdyn.sim import checks
from respdyn.sim.clients import Busy, Worker
from respdyn.sim.collectors import Collector
from respdyn.sim.faults import Faults
from respdyn.sim.history import Wrong
from respdyn.sim.host import NodeFactory
from respdyn.sim.lies import Traitor
from respdyn.sim.operations import NEVER
from respdyn.sim.operator import Operator, settled, take_stock
from respdyn.sim.plan import Plan
from respdyn.sim.report import Outcome, Story
from respdyn.sim.scripters import Scripter
from respdyn.sim.transactors import Transactor
from respdyn.sim.world import World

_REPAIR_US = 30_000_000


def run(plan: Plan, node_class: NodeFactory = Node, keeps_story: bool = False) -> Outcome:
    """Run a plan; a failing one twice, the second time with its story."""
    outcome = run_once(plan, node_class)
    if outcome.failure:
        again = run_once(plan, node_class, Story(), keeps_story)
        if again.digest != outcome.digest:
            again.failure += f" (and differently the first time: {outcome.failure})"
        return again
    return outcome


def run_once(
    plan: Plan, node_class: NodeFactory, story: Story | None = None, keeps_story: bool = False
) -> Outcome:
    """Run a plan once, with a story or without."""
    world = World(plan, node_class, story)
    outcome = Outcome(plan, "")
    try:
        _course(world)
    except Wrong as wrong:
        outcome.failure, outcome.key = wrong.text, wrong.key
        world.note("", "WRONG: " + wrong.text)
    except Exception as wrong:  # whatever a node raises is the finding
        outcome.failure = f"{world.acting} fell: {type(wrong).__name__}: {wrong}"
        outcome.traceback = traceback.format_exc()
        world.note(world.acting, f"falls: {wrong!r}")
    outcome.digest = world.digest()
    outcome.deliveries = world.deliveries
    outcome.events = world.events
    outcome.operations = world.history.operations
    outcome.virtual_ms = world.now_us // 1000
    outcome.counts = dict(sorted(world.counts.items()))
    outcome.counts["in doubt"] = world.history.doubts
    outcome.counts["connections broken"] = world.network.broken
    outcome.counts["frames repeated"] = world.network.repeated
    outcome.counts["batches lost"] = sum(host.disk.lost for host in world.hosts)
    if story is not None:
        key = b"" if keeps_story else outcome.key
        outcome.story = story.all_lines(key) if keeps_story else story.lines(key)
    return outcome


def _course(world: World) -> None:
    plan = world.plan
    faults, traitor = Faults(world), Traitor(world)
    workers: list[Busy] = [Worker(world, f"c{index + 1}") for index in range(plan.clients)]
    workers += [Transactor(world, f"t{index + 1}") for index in range(plan.transactors)]
    workers += [Scripter(world, f"s{index + 1}") for index in range(plan.scripters)]
    workers += [Collector(world, f"e{index + 1}") for index in range(plan.collectors)]
    for host in world.hosts:
        host.start()
    if plan.harms_early:
        faults.start()
    else:
        checks.serve(world, "f", world.hosts)
        checks.anchor(world)
    for worker in workers:
        worker.start()
    operators = [Operator(world, f"op{index + 1}") for index in range(2)] if plan.spares else []
    for spare in world.spares:
        spare.start()
    for operator in operators:
        operator.start()
    world.run_until(world.now_us + 200_000)
    if not plan.harms_early:
        faults.start()
    traitor.start()
    for _ in range(plan.harm_ms // 100):
        world.run_until(world.now_us + 100_000)
        checks.prompt(world)
        if operators:
            take_stock(world)
    traitor.is_over = True
    # Who has lost its disk needs all others to be filled again.
    is_whole = world.history.damaged_us == NEVER
    if plan.leaves_one_out and plan.n - max(plan.r, plan.w) >= 1 and not plan.harms_early and (
        is_whole
    ):
        faults.leave_out()
        faults.heal()
        assert faults.left_out is not None
        checks.serve(world, "l", [host for host in world.hosts if host is not faults.left_out])
        world.count("served without one")
        faults.left_out = None
    for operator in operators:
        operator.is_over = True
    faults.heal()
    world.run_until(world.now_us + 1_000_000)
    if operators:
        settled(world)
    for worker in workers:
        worker.is_stopped = True
    checks.serve(world, "s", world.hosts)
    if not world.run_while(lambda: any(one.host is not None for one in workers), 30_000_000):
        raise Wrong("a client waits for ever")
    checks.handed_off(world)
    if world.plan.exchange_ms:
        checks.exchanged(world)
    if not world.run_while(lambda: world.history.damaged_us != NEVER, _REPAIR_US):
        raise Wrong("reading all keys from all replicas does not succeed")
    checks.end(world)
