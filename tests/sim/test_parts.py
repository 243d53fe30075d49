"""The invented disk, clock, network and plan behave as the real ones may."""

from dataclasses import replace

from respdyn.cluster.identity import Identity
from respdyn.node import Node
from respdyn.sim.chance import Chance
from respdyn.sim.clocks import Clock
from respdyn.sim.disk import Disk
from respdyn.sim.plan import FAULTS, draw
from respdyn.sim.run import run_once


def filled(seed: int, durability: str, syncs: tuple[bool, ...]) -> Disk:
    """A disk after one batch per entry: key 0, key 1, ... ; the last two still queued."""
    disk = Disk(Chance(seed, "disk"), durability, False)
    for generation, sync in enumerate(syncs, 1):
        disk.submit(generation, [b"%d" % generation, b"x"], sync)
        if generation <= len(syncs) - 2:
            disk.work()
            assert disk.done(0) == generation
    return disk


def kept(disk: Disk) -> list[int]:
    """The batches that a restart finds."""
    return [int(key) for pairs in disk.load() for key in pairs[::2]]


def test_power_cut_keeps_what_was_synced_and_a_prefix_of_the_rest() -> None:
    ends = set()
    for seed in range(50):
        disk = filled(seed, "no", (False, True, False, False, False, False))
        disk.cut_power(0)
        found = kept(disk)
        assert found == list(range(1, len(found) + 1))
        ends.add(len(found))
    assert ends == {2, 3, 4, 5, 6}


def test_a_killed_process_loses_nothing_that_was_written() -> None:
    for seed in range(20):
        disk = filled(seed, "always", (True, True, True, True))
        disk.kill()
        assert kept(disk)[:2] == [1, 2]


def test_a_full_disk_stores_nothing_until_it_has_space_again() -> None:
    disk = filled(1, "always", (True, True, True))
    disk.is_full = True
    assert disk.work() is None
    disk.is_full = False
    assert disk.work() is True
    assert disk.done(5) == 3


def test_everysec_loses_at_most_the_last_second() -> None:
    disk = Disk(Chance(1, "disk"), "everysec", False)
    for generation in range(1, 31):
        disk.submit(generation, [b"%d" % generation, b"x"], False)
        disk.work()
        disk.done(100_000 * generation)
    disk.cut_power(3_000_000)
    assert kept(disk)[:29] == sorted(kept(disk))[:29] or len(kept(disk)) >= 29


def test_a_wiped_disk_is_empty() -> None:
    disk = filled(1, "always", (True, True, True, True))
    disk.wipe()
    assert kept(disk) == []


def test_a_wall_clock_jumps_and_a_monotonic_one_does_not() -> None:
    clock = Clock(drift_ppm=1000, skew_ms=20, mono_base_ms=77)
    before = clock.mono_ms(1_000_000), clock.wall_ms(1_000_000)
    clock.jump(-5000)
    assert clock.mono_ms(1_000_000) == before[0]
    assert clock.wall_ms(1_000_000) == before[1] - 5020
    for mono_ms in (78, 1000, 123_456):
        reached = clock.reach_us(mono_ms)
        assert clock.mono_ms(reached) >= mono_ms > clock.mono_ms(reached - 1)


def test_chance_has_streams_that_do_not_disturb_each_other() -> None:
    one, other = Chance(1, "a"), Chance(1, "b")
    first = [one.random() for _ in range(5)]
    other.random()
    again = Chance(1, "a")
    assert first == [again.random() for _ in range(5)]
    assert sorted(one.shuffled("abcdef")) == list("abcdef")


def test_every_fault_is_drawn_and_so_is_calm() -> None:
    plans = [draw(seed) for seed in range(1, 300)]
    assert {fault for plan in plans for fault in plan.faults} == set(FAULTS)
    assert any(not plan.faults for plan in plans)
    for plan in plans:
        assert plan.failure_timeout_ms > plan.heartbeat_ms
        assert max(plan.r, plan.w) <= plan.n <= plan.nodes + plan.spares


def test_operators_are_drawn_in_some_seeds_and_so_is_growth() -> None:
    plans = [draw(seed) for seed in range(1, 300)]
    assert 20 < sum(plan.spares > 0 for plan in plans) < 80
    assert any(plan.grows for plan in plans) and any(plan.spares and plan.n == 3 for plan in plans)
    for plan in plans:
        assert not plan.without_operators().spares
        assert plan.with_operators().with_operators() == plan.with_operators()


def test_a_plan_can_be_changed_and_run_again() -> None:
    plan = draw(5).changed(nodes=2, faults=("cut",))
    outcome = run_once(plan, Node)
    assert outcome.replay() == "respdyn sim --seed 5 --nodes 2 --faults cut"
    assert set(outcome.counts) & {f"fault {fault}" for fault in FAULTS} <= {"fault cut"}


def test_a_fall_is_a_failure_with_its_traceback() -> None:
    class Falls(Node):
        def advance(self, now_ms: int, wall_ms: int) -> None:
            assert self.now_ms - now_ms < 0 or wall_ms < 0, "falls"
            super().advance(now_ms, wall_ms)

    outcome = run_once(replace(draw(1), faults=()), Falls)
    assert "fell: AssertionError: falls" in outcome.failure
    assert "advance" in outcome.traceback


def test_a_node_that_begins_a_new_life_in_a_world_has_another_actor() -> None:
    """A stream's secret is always the same: alone it named each life alike."""
    identity, chance = Identity(64), Chance(1, "node")
    identity.begin({}, chance, "aa" * 20, False)
    actors = {identity.actor}
    for _ in range(3):
        identity.begin_life(chance)
        actors.add(identity.actor)
    assert len(actors) == 4
