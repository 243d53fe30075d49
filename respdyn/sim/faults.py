"""What is done to a world: faults begin at random, last long enough to be noticed, and end.

The *atlas* keeps the harm within what the promises allow. With durability `always` every node may
crash at any time, all at once if it so happens. Where a crash takes away acknowledged data (a wiped
disk, a power cut under `everysec`, any restart of a memory engine), the next such crash waits until
a repair has brought everything back: a client that reads every key from all replicas.

Source: TigerBeetle's fault atlas; FoundationDB's swizzle-clog.
"""

from collections.abc import Callable

from respdyn.sim.chance import Chance
from respdyn.sim.host import DOWN, PAUSED, UP, Host
from respdyn.sim.operations import NEVER
from respdyn.sim.plan import LOSING
from respdyn.sim.repairer import Repairer
from respdyn.sim.world import World

_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
# An operator notices that a node has lost data, and has it repaired, after so long at the latest.
_REPAIR_LATEST_US = 2_000_000


class Faults:
    """Begins and ends faults until `stop`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = Chance(world.plan.seed, "faults")
        self.is_over = False
        self.left_out: Host | None = None   # healed last
        self.begun = 0
        self.repairer = Repairer(world, "fix", self._repaired)
        self._acts: dict[str, Callable[[int], bool]] = {
            "kill": self._kill,
            "power": self._power,
            "wipe": self._wipe,
            "rot": self._rot,
            "stop": self._stop,
            "pause": self._pause,
            "stall": self._stall,
            "cut": self._cut,
            "isolate": self._isolate,
            "halves": self._halves,
            "swizzle": self._swizzle,
            "reset": self._reset,
            "repeat": self._repeat,
            "late": self._late,
            "slow-link": self._slow_link,
            "slow-disk": self._slow_disk,
            "full-disk": self._full_disk,
            "jump": self._jump,
            "restore": self._restore,
            "decay": self._decay,
            "bridge": self._bridge,
            "start": self._start,
            "set-right": self._set_right,
            "flap": self._flap,
        }

    def start(self) -> None:
        """Begin."""
        if self.world.plan.faults:
            self._next()

    def _next(self) -> None:
        wait_us = 1_000 * self.chance.wait(self.world.plan.fault_every_ms)
        self.world.after(wait_us, self._strike, None)

    def _strike(self, _: None) -> None:
        if self.is_over:
            return
        fault = self.chance.pick(self.world.plan.faults)
        # Long enough for the failure detector, sometimes far longer, sometimes too short for it.
        timeout_us = 1_000 * self.world.plan.failure_timeout_ms
        lasts_us = int(timeout_us * self.chance.pick((0.1, 1.2, 1.2, 3.0)) * (
            0.5 + self.chance.random()
        ))
        if self._acts[fault](lasts_us):
            self.begun += 1
            self.world.count(f"fault {fault}")
        self._next()

    def _note(self, text: str) -> None:
        if self.world.story is not None:
            self.world.note("harm", text)

    def _any(self, *states: int) -> Host | None:
        hosts = [host for host in self.world.hosts if host.state in states]
        return self.chance.pick(hosts) if hosts else None

    # ---- lives ----

    def _loses(self, host: Host, how: str) -> bool:
        """Whether ending its life this way takes away what was acknowledged."""
        plan = self.world.plan
        if plan.engine == "memory" or how in LOSING:
            return True
        if plan.durability == "always":
            return False
        return how == "power" or host.disk.is_full

    def _is_known(self, host: Host, how: str) -> bool:
        """Whether a node that lost something knows, when it comes back, that it is to be filled.

        That a backup was put back it learns from the others, where every batch is marked.
        """
        plan = self.world.plan
        if plan.engine == "memory" or how in ("wipe", "decay"):
            return True
        if host.disk.is_full:
            return False
        return how == "rot" or (how == "restore" and plan.durability == "always")

    def may_end(self, host: Host, how: str) -> bool:
        """Whether the atlas allows it now."""
        return not self._loses(host, how) or self.world.may_lose()

    def _end(self, host: Host | None, how: str, lasts_us: int) -> bool:
        if host is None or not self.may_end(host, how):
            return False
        self._note_loss(host, how)
        host.end(how)
        self.world.after(lasts_us, self._restart, (host, host.life))
        return True

    def _note_loss(self, host: Host, how: str) -> None:
        if self._loses(host, how):
            self.world.history.damage(self.world.now_us)
            self.world.count("acknowledged data taken away")
            if not self._is_known(host, how):
                self.world.history.has_lost_tails = True

    def _end_all(self, how: str, lasts_us: int) -> bool:
        for host in self.world.running():
            self._end(host, how, lasts_us)
        return True

    def _restart(self, what: tuple[Host, int]) -> None:
        host, life = what
        is_over = host is self.left_out or host.is_given_up
        if host.life == life and host.state == DOWN and not is_over:
            host.start()
            if self.world.history.damaged_us != NEVER:
                self._repair_later()

    def _repair_later(self) -> None:
        self.world.after(self.chance.between(0, _REPAIR_LATEST_US), self._repair, None)

    def _repair(self, _: None) -> None:
        if self.world.history.damaged_us != NEVER:
            self.repairer.start()

    def _repaired(self) -> None:
        self.world.history.repaired(self.world.now_us)
        self.world.count("repaired")
        self._note("everything is repaired")

    def _kill(self, lasts_us: int) -> bool:
        if self.chance.happens(0.1) and not self.world.plan.loses_tails:
            self._note("all nodes are killed at once")
            return self._end_all("kill", lasts_us)
        return self._end(self._any(UP, PAUSED), "kill", lasts_us)

    def _power(self, lasts_us: int) -> bool:
        if self.chance.happens(0.2) and not self.world.plan.loses_tails:
            self._note("the power fails for all nodes")
            return self._end_all("power", lasts_us)
        return self._end(self._any(UP, PAUSED), "power", lasts_us)

    def _wipe(self, lasts_us: int) -> bool:
        return self._end(self._any(UP, PAUSED), "wipe", lasts_us)

    def _rot(self, lasts_us: int) -> bool:
        return self._end(self._any(UP, PAUSED), "rot", lasts_us)

    def _decay(self, _: int) -> bool:
        host = self._any(UP)
        if host is None or host.node is None or not self.may_end(host, "decay"):
            return False
        tables = [table for table in host.node.replica.slots if table]
        if not tables:
            return False
        table = self.chance.pick(tables)
        locator = self.chance.pick(sorted(table))
        record = table[locator]
        self._note(f"a record of {host.name} no longer passes its checksum")
        # The checksum itself: what is read until the scrub comes by is what was written.
        table[locator] = record[:2] + bytes([record[2] ^ 1]) + record[3:]
        self._note_loss(host, "decay")
        self._repair_later()
        return True

    def _restore(self, lasts_us: int) -> bool:
        """The first time a backup is made, the second time it is put back."""
        host = self.chance.pick(self.world.hosts)
        if host.disk.backup is None:
            self._note(f"a backup of {host.name} is made")
            host.disk.back_up()
            return True
        if host.state == DOWN:
            return False
        return self._end(host, "restore", lasts_us)

    def _start(self, lasts_us: int) -> bool:
        """Kill a node and start it again, clients at its door, while no other is missing."""
        host = self._any(UP)
        world = self.world
        if host is None or any(other.state != UP for other in world.hosts):
            return False
        return self._end(host, "kill", lasts_us)

    def _stop(self, lasts_us: int) -> bool:
        host = self._any(UP)
        if host is None or not self.may_end(host, "stop"):
            return False
        if self._loses(host, "stop"):
            self.world.history.damage(self.world.now_us)
            self.world.history.has_lost_tails |= self.world.plan.engine != "memory"
        host.stop()
        self.world.after(lasts_us, self._restart_stopped, (host, host.life))
        return True

    def _restart_stopped(self, what: tuple[Host, int]) -> None:
        host, life = what
        if host.life == life and host.state != DOWN:
            self.world.after(50_000, self._restart_stopped, what)
        else:
            self._restart(what)

    def _pause(self, lasts_us: int) -> bool:
        host = self._any(UP)
        if host is None:
            return False
        self._note(f"{host.name} is paused for {lasts_us} us")
        host.pause()
        self.world.after(lasts_us, self._resume, (host, host.life))
        return True

    def _resume(self, what: tuple[Host, int]) -> None:
        host, life = what
        if host.life == life and host.state == PAUSED and host is not self.left_out:
            self._note(f"{host.name} goes on")
            host.resume()

    def _stall(self, lasts_us: int) -> bool:
        host = self._any(UP)
        if host is None:
            return False
        host.stall_us = self.chance.pick((20_000, 200_000, 800_000))
        self._note(f"turns of {host.name} take up to {host.stall_us} us")
        self.world.after(lasts_us, self._end_stall, host)
        return True

    def _end_stall(self, host: Host) -> None:
        host.stall_us = 0

    # ---- links ----

    def _block(self, paths: list[tuple[int, int]], lasts_us: int) -> None:
        network = self.world.network
        for path in paths:
            network.block(*path)
        self.world.after(lasts_us, self._free, paths)

    def _free(self, paths: list[tuple[int, int]]) -> None:
        if self.is_over:
            return
        self._note("free again: " + _names(paths))
        for path in paths:
            self.world.network.free(*path)

    def _cut(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        one, other = self.chance.shuffled(range(count))[:2]
        paths = [(one, other)]
        if self.chance.happens(0.5):
            paths.append((other, one))
        self._note(f"no packets for {lasts_us} us: " + _names(paths))
        self._block(paths, lasts_us)
        return True

    def _isolate(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        one = self.chance.below(count)
        both = (True, True)
        outward, inward = self.chance.pick((both, both, (True, False), (False, True)))
        paths = [(one, other) for other in range(count) if other != one and outward]
        paths += [(other, one) for other in range(count) if other != one and inward]
        self._note(f"n{one + 1} is cut off for {lasts_us} us: " + _names(paths))
        self._block(paths, lasts_us)
        return True

    def _halves(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        order = self.chance.shuffled(range(count))
        middle = self.chance.between(1, count - 1)
        left, right = order[:middle], order[middle:]
        paths = [(one, other) for one in left for other in right]
        paths += [(other, one) for one, other in paths]
        self._note(f"two halves for {lasts_us} us: " + _names(paths))
        self._block(paths, lasts_us)
        return True

    def _bridge(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 3:
            return False
        middle, *order = self.chance.shuffled(range(count))
        place = self.chance.between(1, count - 2)
        paths = [(one, other) for one in order[:place] for other in order[place:]]
        paths += [(other, one) for one, other in paths]
        self._note(f"only n{middle + 1} reaches all for {lasts_us} us: " + _names(paths))
        self._block(paths, lasts_us)
        return True

    def _swizzle(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        one = self.chance.below(count)
        paths = [(one, other) for other in range(count) if other != one]
        paths += [(other, one) for other in range(count) if other != one]
        self._note(f"links of n{one + 1} go one by one")
        step_us = lasts_us // len(paths)
        for place, path in enumerate(self.chance.shuffled(paths)):
            self.world.after(place * step_us, self._block_one, path)
        for place, path in enumerate(self.chance.shuffled(paths)):
            self.world.after(lasts_us + place * step_us, self._free, [path])
        return True

    def _flap(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        one = self.chance.below(count)
        paths = [(one, other) for other in range(count) if other != one]
        paths += [(other, one) for one, other in paths]
        half_us = self.chance.between(100_000, 1_000_000)
        self._note(f"n{one + 1} flaps, {half_us} us off and on")
        for at_us in range(0, max(lasts_us, 4 * half_us), 2 * half_us):
            for path in paths:
                self.world.after(at_us, self._block_one, path)
            self.world.after(at_us + half_us, self._free, paths)
        return True

    def _block_one(self, path: tuple[int, int]) -> None:
        if not self.is_over:
            self._note("no packets: " + _names([path]))
            self.world.network.block(*path)

    def _reset(self, lasts_us: int) -> bool:
        network = self.world.network
        connections = list(network.connections)
        if not connections:
            return False
        if self.chance.happens(0.7):
            connections = [self.chance.pick(connections)]
        for connection in connections:
            network.reset(connection)
        return True

    def _repeat(self, lasts_us: int) -> bool:
        self.world.network.repeats = self.chance.pick((0.01, 0.2))
        self.world.after(2 * lasts_us, self._end_repeat, None)
        return True

    def _end_repeat(self, _: None) -> None:
        self.world.network.repeats = 0.0

    def _late(self, lasts_us: int) -> bool:
        self.world.network.comes_late = 0.7
        self.world.after(4 * lasts_us, self._end_late, None)
        return self._reset(lasts_us)

    def _end_late(self, _: None) -> None:
        self.world.network.comes_late = 0.0

    def _slow_link(self, lasts_us: int) -> bool:
        count = len(self.world.hosts)
        if count < 2:
            return False
        one, other = self.chance.shuffled(range(count))[:2]
        self.world.network.slow[one, other] = self.chance.pick((10, 100, 1000))
        self._note(f"n{one + 1}->n{other + 1} is slow")
        self.world.after(2 * lasts_us, self._end_slow_link, (one, other))
        return True

    def _end_slow_link(self, path: tuple[int, int]) -> None:
        self.world.network.speed_up(path)

    # ---- disks and clocks ----

    def _slow_disk(self, lasts_us: int) -> bool:
        host = self.chance.pick(self.world.hosts)
        host.slow_disk = self.chance.pick((20, 200))
        self._note(f"the disk of {host.name} is {host.slow_disk} times slower")
        self.world.after(2 * lasts_us, self._end_slow_disk, host)
        return True

    def _end_slow_disk(self, host: Host) -> None:
        host.slow_disk = 1

    def _full_disk(self, lasts_us: int) -> bool:
        host = self.chance.pick(self.world.hosts)
        if host.disk.is_full or self.world.plan.engine == "memory":
            return False
        self._note(f"the disk of {host.name} is full for {lasts_us} us")
        host.disk.is_full = True
        host.receive_disk()
        self.world.after(lasts_us, self._end_full_disk, host)
        return True

    def _end_full_disk(self, host: Host) -> None:
        if host.disk.is_full:
            self._note(f"the disk of {host.name} has space again")
            host.disk.is_full = False
            host.receive_disk()

    def _jump(self, lasts_us: int) -> bool:
        host = self.chance.pick(self.world.hosts)
        far_ms = self.chance.pick((100, 1_000, 10_000, _HOUR_MS))
        offset_ms = self.chance.between(-far_ms, far_ms)
        # Two that agree about a wrong time would be the majority that the third one goes by.
        limit_ms = host.settings.max_clock_offset_ms
        if abs(offset_ms) > limit_ms and any(
            abs(other.clock.offset_ms) > limit_ms
            and abs(other.clock.offset_ms - offset_ms) < 2 * limit_ms
            for other in self.world.hosts if other is not host
        ):
            return False
        self._note(f"the wall clock of {host.name} is wrong by {offset_ms} ms")
        self.world.has_jumped = True
        host.clock.jump(offset_ms)
        self.world.note_clocks()
        self.world.after(2 * lasts_us, self._end_jump, host)
        return True

    def _end_jump(self, host: Host) -> None:
        host.clock.set_right()

    def _set_right(self, lasts_us: int) -> bool:
        """Restart a node with a clock that is wrong, and set that right a moment later."""
        host = self._any(UP)
        limit_ms = self.world.hosts[0].settings.max_clock_offset_ms
        if host is None or any(
            abs(other.clock.offset_ms) > limit_ms for other in self.world.hosts
        ) or not self._end(host, "kill", lasts_us):
            return False
        host.clock.jump(self.chance.pick((-_MINUTE_MS, -_MINUTE_MS, _MINUTE_MS)))
        self._note(f"{host.name} starts with a clock that is wrong by {host.clock.offset_ms} ms")
        self.world.after(
            lasts_us + self.chance.between(0, 2_000_000), self._end_jump, host
        )
        return True

    # ---- the end ----

    def leave_out(self) -> None:
        """One node stays away, dead or stopped, while the others are healed."""
        host = self.chance.pick(self.world.hosts)
        if host.state == UP:
            if self.may_end(host, "kill"):
                self._end(host, "kill", 0)
            else:
                host.pause()
        self.left_out = host

    def heal(self) -> None:
        """Undo everything, except for the node that is left out; nothing else begins."""
        self.is_over = True
        out = self.left_out
        self.world.note("heal", f"all is well but {out.name}" if out else "all is well")
        self.world.network.free_all()
        for host in [*self.world.hosts, *self.world.spares, *self.world.retired]:
            host.stall_us = 0
            host.slow_disk = 1
            host.clock.set_right()
            if host is out or (host.is_given_up and host in self.world.retired):
                continue
            if host.is_given_up:        # by a power cut; and now it is back after all
                host.is_given_up = False
                self._note_loss(host, "power")
            self._end_full_disk(host)
            if host.state == PAUSED:
                host.resume()
            elif host.state == DOWN:
                host.start()
        if out is None and self.world.history.damaged_us != NEVER:
            self.repairer.start()


def _names(paths: list[tuple[int, int]]) -> str:
    return " ".join(f"n{one + 1}->n{other + 1}" for one, other in paths)
