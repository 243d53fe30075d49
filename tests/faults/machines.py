"""Real nodes, each on a machine of its own: a network namespace with its own disk and clock.

The machines hang on one bridge; the test talks to them from outside. Harm is done from outside as
well: signals to processes, rules in a machine's packet filter, a disk that is small, put away or
taken from under the process. Everything is taken down again, whatever happened.

Needs root, iproute2, iptables, and ext4 on loop devices.
"""

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from tests.server.process import PROGRAM, ROOT

PORT = 6379
DISK_BYTES = 128 << 20
_PREFIX = "rdf"


def sh(*words: str) -> str:
    """Run a program of the system; its output. Raises with what it said if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"
    return done.stdout


def at_once(commands: list[list[str]]) -> None:
    """Run programs of the system side by side: a cut is one moment, also on a busy machine."""
    running = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for words in commands]
    for words, one in zip(commands, running, strict=True):
        assert one.wait() == 0, " ".join(words)


def starved_s(process: int | str, thread: int | str = "") -> float:
    """For how long the main thread of a process, or another one, was ready and had no processor."""
    try:
        place = Path(f"/proc/{process}/task/{thread or process}/schedstat")
        return int(place.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def starved_here_s() -> float:
    """The same of all threads of the tests: while one holds the interpreter the others wait."""
    return sum(starved_s("self", task.name) for task in Path("/proc/self/task").iterdir())


class Machine:
    """One machine: its namespace, its address, its disk, and the node's process if it runs."""

    def __init__(self, machines: "Machines", number: int, disk: Path) -> None:
        self.machines = machines
        self.number = number
        self.name = f"n{number}"
        self.space = f"{_PREFIX}{machines.tag}-{number}"
        self.host = f"10.231.{machines.tag % 250 + 1}.{number}"
        self.inner = f"{_PREFIX}{machines.tag}i{number}"       # the two ends of its cable
        self.outer = f"{_PREFIX}{machines.tag}o{number}"
        self.disk = disk
        self.log = disk.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.env: dict[str, str] = {}
        # Until then it cannot be blamed: it was stopped, or its cable to clients was bad.
        self.rough_until_s = 0.0
        self._late: subprocess.Popen[bytes] | None = None

    # ---- the node ----

    def start(self, *more: str) -> None:
        """Start the node's process; it need not be ready."""
        others = ",".join(f"{one.host}:{PORT + 10_000}" for one in self.machines.founders[:3])
        words = [
            "serve", "--bind", self.host, "--port", str(PORT), "--data-dir", str(self.disk),
            "--http-port", "8379", "--seeds", others, "--peer-secret", "the tests' own secret",
            "--protected-mode", "no", *self.machines.settings, *more,
        ]
        if self in self.machines.founders:
            words += ["--cluster-size", str(len(self.machines.founders))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, *PROGRAM, *words], cwd=ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.env}, start_new_session=True,
            )

    def client(self, timeout_s: float = 3.0) -> "redis.Redis":
        """A client without retries, so that what it receives is what was answered."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return redis.Redis(
            host=self.host, port=PORT, socket_timeout=timeout_s, socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0), protocol=2,
        )

    def is_ready(self) -> bool:
        """Whether the node serves all that it should."""
        return self._answers("GET", "is it there")

    def is_open(self) -> bool:
        """Whether the node answers clients; cut off from a key's owners it refuses that key."""
        return self._answers("PING")

    def _answers(self, *words: str) -> bool:
        client = self.client(1.0)
        try:
            return client.execute_command(*words) in {None, True}
        except redis.RedisError:
            return False
        finally:
            client.close()

    def wait_until_ready(self, seconds: float) -> None:
        """Until its node serves all that it should, if it runs."""
        self._wait_until(self.is_ready, seconds)

    def wait_until_open(self, seconds: float) -> None:
        """Until its node answers clients, if it runs."""
        self._wait_until(self.is_open, seconds)

    def _wait_until(self, holds: Callable[[], bool], seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.is_running() and not holds():
            assert time.monotonic() < until, (
                f"{self.name}: no {holds.__name__} in {seconds} s: {self.log.read_text()[-2000:]}"
            )
            time.sleep(0.05)

    def send(self, number: int) -> None:
        """Send a signal to the node and to its storage process."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        if number == signal.SIGSTOP:
            self.rough_until_s = math.inf

    def starved_s(self) -> float:
        """For how long its node was ready to run, and the tests' machine had no processor."""
        return starved_s(self.process.pid) if self.process is not None else 0.0

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the process; its exit status."""
        assert self.process is not None
        self.send(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def is_running(self) -> bool:
        """Whether the process is there, perhaps stopped."""
        return self.process is not None and self.process.poll() is None

    # ---- the disk ----

    @property
    def image(self) -> Path:
        """What the disk really holds: what was not synced is in the system's memory only."""
        return self.disk.with_suffix(".img")

    def format(self) -> None:
        """An empty disk. A node that is started with it finds its old place by its address.

        Another file than before: where mounts are not shared, the other machines' processes keep
        the old one in use.
        """
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as image:
            image.truncate(DISK_BYTES)
        sh("mkfs.ext4", "-q", "-F", str(self.image))
        self.mount()

    def mount(self) -> None:
        """Put the disk in. It is written to when it is asked to, not every five seconds."""
        sh("mount", "-o", "loop,commit=300", str(self.image), str(self.disk))

    def unmount(self) -> None:
        """Take the disk out."""
        sh("umount", str(self.disk))

    def wipe(self) -> None:
        """An empty disk in place of this one; the process must have ended."""
        self.unmount()
        self.format()

    def cut_power(self) -> None:
        """The machine loses its power: what was not synced is gone."""
        self.send(signal.SIGSTOP)
        kept = self.image.with_suffix(".kept")
        shutil.copyfile(self.image, kept)
        self.kill()
        self.unmount()
        kept.replace(self.image)
        self.mount()

    def fill_disk(self) -> None:
        """Leave no space on the disk."""
        with (self.disk / "ballast").open("wb") as ballast:
            block = bytes(1 << 16)
            try:
                while True:
                    ballast.write(block)
                    ballast.flush()
            except OSError:
                pass

    def clear_disk(self) -> None:
        """Give the space back."""
        (self.disk / "ballast").unlink(missing_ok=True)

    # ---- the network ----

    def filter(self, *words: str) -> None:
        """Change the machine's packet filter."""
        sh("ip", "netns", "exec", self.space, "iptables", "-w", *words)

    def deafening(self, other: "Machine") -> list[str]:
        """What to run, so that nothing of what the other sends arrives here."""
        rule = ["iptables", "-w", "-A", "INPUT", "-s", other.host, "-j", "DROP"]
        return ["ip", "netns", "exec", self.space, *rule]

    def lose(self, share: float) -> None:
        """So much of what the others send is lost."""
        self.rough_until_s = math.inf
        self.filter(
            "-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", f"{share:.2f}",
            "-j", "DROP",
        )

    def slow_down(self, bits_per_s: int) -> None:
        """What it sends queues for a slow cable, for up to half a second."""
        self.rough_until_s = math.inf
        sh(
            "tc", "-n", self.space, "qdisc", "add", "dev", self.inner, "root", "tbf",
            "rate", str(bits_per_s), "burst", "16kb", "latency", "500ms",
        )

    def delay(self, mean_ms: float, spread_ms: float, seed: int) -> None:
        """What it sends is late, each packet by a time of its own."""
        self.rough_until_s = math.inf
        words = [sys.executable, "-m", "tests.faults.late", "--seed", str(seed)]
        words += ["--mean-ms", str(mean_ms), "--spread-ms", str(spread_ms)]
        self._late = subprocess.Popen(
            ["ip", "netns", "exec", self.space, *words], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._late.stdout is not None
        said = self._late.stdout.readline()
        assert said == b"late\n", f"no packets can be queued (NFQUEUE): {said!r}"
        self.filter("-A", "OUTPUT", "-o", self.inner, "-j", "NFQUEUE", "--queue-num", "1")

    def free(self) -> None:
        """Everything arrives again, and at once."""
        self.filter("-F")
        self.end_delay()
        subprocess.run(
            ["tc", "-n", self.space, "qdisc", "del", "dev", self.inner, "root"],
            capture_output=True, check=False,
        )

    def end_delay(self) -> None:
        """What it sends is not late any more; what waits is lost."""
        if self._late is not None:
            self._late.kill()
            self._late.wait()
            self._late = None


class Machines:
    """A cluster of real nodes. A context manager."""

    def __init__(self, count: int, *settings: str) -> None:
        self.tag = os.getpid() % 1000
        self.begun_s = time.monotonic()
        self.settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="respdyn-faults-"))
        self.founders: list[Machine] = []
        self.all: list[Machine] = []
        self._bridge = f"{_PREFIX}{self.tag}br"
        for number in range(1, count + 1):
            self.all.append(self._machine(number))
        self.founders = list(self.all)

    def _machine(self, number: int) -> Machine:
        disk = self.folder / f"n{number}"
        disk.mkdir(exist_ok=True)
        return Machine(self, number, disk)

    def __enter__(self) -> "Machines":
        self._clean_up()
        sh("ip", "link", "add", self._bridge, "type", "bridge")
        sh("ip", "addr", "add", f"10.231.{self.tag % 250 + 1}.254/24", "dev", self._bridge)
        sh("ip", "link", "set", self._bridge, "up")
        try:
            for machine in self.all:
                machine.format()
                self._plug_in(machine)
                machine.start()
            self.wait_until_ready(60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def add(self, *more: str) -> Machine:
        """One more machine, its node started."""
        machine = self._machine(len(self.all) + 1)
        self.all.append(machine)
        machine.format()
        self._plug_in(machine)
        machine.start(*more)
        return machine

    def remove(self, machine: Machine) -> None:
        """Take away a machine whose node has left the cluster."""
        assert machine.end() == 0
        self.discard(machine)

    def discard(self, machine: Machine) -> None:
        """Take away a machine whose node has ended."""
        self.all.remove(machine)
        self._unplug(machine)

    def ask(self, *words: str, seconds: float = 60.0) -> object:
        """Have a command succeed at a founder, in so much time."""
        deadline = time.monotonic() + seconds
        while True:
            client = self.founders[0].client(10)
            try:
                return client.execute_command(*words)
            except redis.RedisError as wrong:
                assert time.monotonic() < deadline, f"{' '.join(words)}: {wrong}"
                time.sleep(0.2)
            finally:
                client.close()

    def change(self, *words: str) -> None:
        """Change the members: stage, look, commit."""
        for step in (words, ("PLAN",), ("COMMIT",)):
            self.ask("DYN.CLUSTER", *step)

    def wait_until_moved(self, seconds: float = 120.0) -> None:
        """Until every partition is where the ring wants it."""
        deadline = time.monotonic() + seconds
        while True:
            reply = self.ask("DYN.CLUSTER", "STATUS")
            status = dict(zip(reply[::2], reply[1::2], strict=True))      # type: ignore[index]
            if not status[b"partitions-moving"] and not status[b"partitions-filling"]:
                return
            assert time.monotonic() < deadline, f"still moving: {status}"
            time.sleep(0.2)

    def _plug_in(self, machine: Machine) -> None:
        inner, outer = machine.inner, machine.outer
        sh("ip", "netns", "add", machine.space)
        sh("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        sh("ip", "link", "set", outer, "master", self._bridge, "up")
        sh("ip", "link", "set", inner, "netns", machine.space)
        for words in (
            ("addr", "add", f"{machine.host}/24", "dev", inner), ("link", "set", inner, "up"),
            ("link", "set", "lo", "up"),
        ):
            sh("ip", "-n", machine.space, *words)

    def __exit__(self, *_: object) -> None:
        for machine in self.all:
            if machine.is_running():
                machine.end(signal.SIGKILL)
            machine.end_delay()
        self._clean_up()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean_up(self) -> None:
        for machine in self.all:
            self._unplug(machine)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)

    def _unplug(self, machine: Machine) -> None:
        for words in (
            ["ip", "netns", "del", machine.space],
            ["ip", "link", "del", machine.outer],
            ["umount", str(machine.disk)],
        ):
            subprocess.run(words, capture_output=True, check=False)

    def wait_until_ready(self, seconds: float) -> float:
        """Until all running nodes serve; how long that took."""
        begun = time.monotonic()
        for machine in self.all:
            machine.wait_until_ready(begun + seconds - time.monotonic())
        return time.monotonic() - begun

    def cut(self, one: list[Machine], two: list[Machine], *, is_one_way: bool = False) -> None:
        """Nothing of what `one` sends arrives at `two`, and in the other direction neither."""
        rules = [here.deafening(there) for here in two for there in one]
        if not is_one_way:
            rules += [here.deafening(there) for here in one for there in two]
        at_once(rules)

    def join(self) -> None:
        """Everything arrives everywhere again."""
        at_once([
            ["ip", "netns", "exec", machine.space, "iptables", "-w", "-F"] for machine in self.all
        ])

    def heal(self) -> None:
        """All is well again: the network, and processes that were stopped or have ended."""
        self.join()
        for machine in self.all:
            machine.free()
            machine.clear_disk()
            if machine.is_running():
                machine.send(signal.SIGCONT)
            else:
                machine.start()
            if machine.rough_until_s == math.inf:       # and what is on its way may be resent
                machine.rough_until_s = time.monotonic() + 3.0

    def logs(self) -> str:
        """The last lines of every node, for a test that fails."""
        return "\n".join(
            f"{machine.name}: " + "\n    ".join(machine.log.read_text().splitlines()[-12:])
            for machine in self.all if machine.log.exists()
        )
