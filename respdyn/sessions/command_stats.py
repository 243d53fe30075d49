"""Command statistics: SLOWLOG, LATENCY and COMMANDSTATS, what commands cost this node.

A command's time is what it took this node to run it, as in Redis, and what it then waited, for
other nodes, for the disk or in a key's line, if that was `WAIT_MS` or more: what its client felt.
Less is in the histograms of `cluster/latencies` alone. A wait names the node whose answer, or want
of one, ended it: SLOWLOG as a last word of the command, the latency events as `wait-HOST:PORT`.

The other events: `command` and `fast-command` as in Redis, `quorum-read`, `quorum-write` and
`forward` for rounds, `turn` for a whole turn, and under Redis's names `aof-fsync-always` and
`aof-write` for what the store took to keep a turn's batch.

Times come from a clock that the driver supplies, since the core's own stands still within a turn.
A run of plain GETs and SETs is timed as a whole and counted as so many equal parts.

Source: Redis `slowlog.c`, `latency.c`, and the `commandstats` of `server.c`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.cluster.now import Now
from respdyn.commands.declare import Command
from respdyn.commands.table import TABLE
from respdyn.resp.requests import read_usual
from respdyn.sessions.session import ReplyPlace, Session

SAMPLES_MAX: Final = 160            # of one event, as in Redis
EVENTS_MAX: Final = 64              # different events
BATCHES_MAX: Final = 1024           # handed to the store, whose time is taken
_ARGUMENTS_MAX: Final = 32          # of a slow command that are kept
_ARGUMENT_BYTES: Final = 128
WAIT_MS: Final = 10                 # a shorter wait is no part of a command's time
PEERS_MAX: Final = 256              # that are remembered as waited for
_RUN_US: Final = 1000               # below this, a run of plain commands is not timed as one
_BUCKETS: Final = 64                # powers of two microseconds
_NEVER_NS: Final = 1 << 70

# Arguments that are secret: no log and no statistic shows them.
SECRETS: Final[dict[str, int]] = {"auth": 1, "acl|setuser": 2}     # from this word on


# They wait by design; so long is no sign of anything.
MAY_WAIT: Final = frozenset({"wait", "dyn.syncwait", "debug", "dyn.cluster|drain"})

GET: Final = TABLE[b"GET"]
SET: Final = TABLE[b"SET"]


class Cost:
    """What one command has cost so far."""

    __slots__ = ("buckets", "failed", "nsec", "rejected", "timed")

    def __init__(self) -> None:
        self.nsec = 0
        self.timed = 0              # calls that have a time
        self.rejected = 0           # refused before it ran
        self.failed = 0             # ran, and answered an error
        self.buckets = [0] * _BUCKETS       # calls that took up to 2**index microseconds

    def add(self, took_ns: int, calls: int) -> None:
        """So many calls took so long together."""
        self.nsec += took_ns
        self.timed += calls
        self.buckets[(took_ns // (1000 * calls)).bit_length()] += calls

    @property
    def usec(self) -> int:
        """All calls together."""
        return self.nsec // 1000

    def quantile(self, share: float) -> float:
        """The upper bound of the time that this share of calls stayed below, in microseconds."""
        wanted = share * self.timed
        running = 0
        for index, count in enumerate(self.buckets):
            running += count
            if count and running >= wanted:
                return float(1 << index)
        return 0.0

    def waited(self, took_ns: int) -> None:
        """One of the calls, counted so far as what it took this node, was answered after so long.

        That part is taken for one of the shortest, since there is no note of it.
        """
        self.nsec += took_ns
        for index, count in enumerate(self.buckets):
            if count:
                self.buckets[index] -= 1
                break
        else:
            self.timed += 1         # the accounts were reset meanwhile
        self.buckets[(took_ns // 1000).bit_length()] += 1


class Slow:
    """One entry of SLOWLOG."""

    __slots__ = ("address", "argv", "name", "number", "took_us", "when_s")

    def __init__(
        self, number: int, when_s: int, took_us: int, argv: list[bytes], address: str, name: bytes
    ) -> None:
        self.number = number
        self.when_s = when_s
        self.took_us = took_us
        self.argv = argv
        self.address = address
        self.name = name


class Event:
    """Samples of one kind of latency, at most one a second: the greatest of it."""

    __slots__ = ("greatest_ms", "samples")

    def __init__(self) -> None:
        self.greatest_ms = 0
        self.samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES_MAX)    # second, ms


class CommandStats:
    """What this node remembers of its commands, since the start or CONFIG RESETSTAT."""

    def __init__(self, now: Now, whom: Callable[[], tuple[str, str]]) -> None:
        """`whom`: for whom the command at hand has waited: node id and address, or "" twice."""
        self.calls: dict[Command, int] = {}
        # Nanoseconds; the driver's runs within a turn too.
        self.clock_ns: Callable[[], int] = lambda: 1_000_000 * now.now_ms
        self.costs: dict[Command, Cost] = {}
        self.slow: deque[Slow] = deque()            # newest first
        self.events: dict[str, Event] = {}
        self.waits: dict[str, list[int]] = {}       # by peer: commands that waited for it, and ms
        self.slow_max = 128
        self.slow_ms = WAIT_MS                      # from then on a wait is logged
        self._whom = whom
        self.event_ms = 0                           # 0: off
        # Whether every command must be timed by itself: a run of them may be slow as a whole.
        self.times_each = False
        self._slow_ns = self._logged_ns = _NEVER_NS   # slow; slow or an event
        self._now = now
        self._number = 0
        self._handed: deque[tuple[int, int]] = deque(maxlen=BATCHES_MAX)    # generation, when

    def cost_of(self, command: Command) -> Cost:
        """The account of a command."""
        cost = self.costs.get(command)
        if cost is None:
            cost = self.costs[command] = Cost()
        return cost

    def heed(self, slow_us: int, slow_max: int, event_ms: int) -> None:
        """From when on a command is slow (-1: never), and something an event (0: never)."""
        self.slow_max = slow_max
        self.event_ms = event_ms
        self.times_each = 0 <= slow_us < _RUN_US
        self._slow_ns = 1000 * slow_us if slow_us >= 0 else _NEVER_NS
        self._logged_ns = min(self._slow_ns, 1_000_000 * event_ms or _NEVER_NS)
        self.slow_ms = min(WAIT_MS, self._logged_ns // 1_000_000)

    def ran(self, session: Session, command: Command, argv: list[bytes], took_ns: int) -> None:
        """A command took this node so long."""
        cost = self.costs.get(command)
        if cost is None:
            cost = self.costs[command] = Cost()
        cost.nsec += took_ns
        cost.timed += 1
        cost.buckets[(took_ns // 1000).bit_length()] += 1
        if took_ns >= self._logged_ns:
            self._log(session, command, argv, took_ns)

    def failed(self, cell: ReplyPlace) -> None:
        """A command that had to wait has failed."""
        command = command_of(cell)
        if command is not None:
            self.cost_of(command).failed += 1

    def waited(self, cell: ReplyPlace, took_ms: int) -> None:
        """A command was answered, or failed, so long after it came."""
        command = command_of(cell)
        if command is None or command.name in MAY_WAIT:
            return
        peer, where = self._whom()
        took_ns = 1_000_000 * took_ms
        if took_ms >= WAIT_MS:
            self.cost_of(command).waited(took_ns)
        if peer and (peer in self.waits or len(self.waits) < PEERS_MAX):
            waits = self.waits.setdefault(peer, [0, 0])
            waits[0] += 1
            waits[1] += took_ms
        if took_ns < self._logged_ns:
            return
        argv = cell.argv
        if where:
            self.happened(f"wait-{where}", took_ms)
        self._log(cell.session, command, argv, took_ns, where)

    def ran_plain(
        self, session: Session, gets: int, sets: int, data: bytes, at: int, took_ns: int
    ) -> None:
        """So many plain GETs and SETs, the first of them at `at` in `data`, took so long."""
        both = gets + sets
        if gets:
            self.cost_of(GET).add(took_ns * gets // both, gets)
        if sets:
            self.cost_of(SET).add(took_ns * sets // both, sets)
        if took_ns >= self._logged_ns and both == 1:
            argv: list[bytes] = []
            read_usual(data, at, argv)
            self._log(session, GET if gets else SET, argv, took_ns)

    def _log(
        self, session: Session, command: Command, argv: list[bytes], took_ns: int, where: str = ""
    ) -> None:
        """A command was slow, or an event, or both."""
        if took_ns >= self._slow_ns and "skip_slowlog" not in command.flag_words:
            self._keep(session, command, argv, took_ns // 1000, where)
        kind = "fast-command" if "fast" in command.flag_words else "command"
        self.happened(kind, took_ns // 1_000_000)

    def _keep(
        self, session: Session, command: Command, argv: list[bytes], took_us: int, where: str
    ) -> None:
        words = shortened(hidden(command, argv))
        if where:
            words.append(f"(waited for {where})".encode())
        self.slow.appendleft(Slow(
            self._number, self._now.wall_ms // 1000, took_us, words, session.address, session.name,
        ))
        self._number += 1
        while len(self.slow) > self.slow_max:
            self.slow.pop()

    def happened(self, kind: str, took_ms: int) -> None:
        """Something took long. Below the threshold, or while that is off, it is no event."""
        if not self.event_ms or took_ms < self.event_ms:
            return
        event = self.events.get(kind)
        if event is None:
            if len(self.events) >= EVENTS_MAX:
                return
            event = self.events[kind] = Event()
        event.greatest_ms = max(event.greatest_ms, took_ms)
        second = self._now.wall_ms // 1000
        if event.samples and event.samples[-1][0] == second:
            took_ms = max(took_ms, event.samples.pop()[1])
        event.samples.append((second, took_ms))

    def handed_over(self, generation: int, now_ms: int) -> None:
        """The store was given a batch."""
        if self.event_ms:
            self._handed.append((generation, now_ms))

    def stored(self, generation: int, now_ms: int, waits_for_disk: bool) -> None:
        """The store has kept all up to this batch, and synced it if clients wait for the disk."""
        handed = self._handed
        if handed and handed[0][0] <= generation:
            took_ms = now_ms - handed[0][1]
            while handed and handed[0][0] <= generation:
                handed.popleft()
            self.happened("aof-fsync-always" if waits_for_disk else "aof-write", took_ms)

    def reset(self) -> None:
        """CONFIG RESETSTAT: the accounts of commands begin anew."""
        self.costs.clear()


def command_of(cell: ReplyPlace) -> Command | None:
    """Whose reply it is; None if it is a message."""
    if cell.command is not None or cell.key is None:
        return cell.command
    return SET if cell.is_write else GET


def hidden(command: Command, argv: list[bytes]) -> list[bytes]:
    """The words of a command, with what is secret made unreadable."""
    first = SECRETS.get(command.name)
    if first is not None:
        return [*argv[:first], *[b"(redacted)"] * (len(argv) - first)]
    if command.name == "hello":
        upper = [one.upper() for one in argv]
        if b"AUTH" in upper:
            at = upper.index(b"AUTH")
            return [*argv[: at + 1], *[b"(redacted)"] * min(2, len(argv) - at - 1), *argv[at + 3 :]]
    if command.name == "config|set":
        return [
            b"(redacted)" if at > 2 and at % 2 and argv[at - 1].lower() in _SECRET_SETTINGS else one
            for at, one in enumerate(argv)
        ]
    return argv


_SECRET_SETTINGS: Final = frozenset({
    b"requirepass", b"masterauth", b"masteruser", b"tls-key-file-pass", b"peer-secret",
})


def shortened(argv: list[bytes]) -> list[bytes]:
    """The words as SLOWLOG keeps them, in Redis's words where they are too many or too long."""
    kept = []
    for one in argv[:_ARGUMENTS_MAX]:
        if len(one) > _ARGUMENT_BYTES:
            more = len(one) - _ARGUMENT_BYTES
            one = b"%b... (%d more bytes)" % (one[:_ARGUMENT_BYTES], more)
        kept.append(one)
    if len(argv) > _ARGUMENTS_MAX:
        left = len(argv) - _ARGUMENTS_MAX + 1
        kept[-1] = b"... (%d more arguments)" % left
    return kept
