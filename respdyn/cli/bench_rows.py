"""What is measured: each row with its two sides and its bars, and how rounds interleave.

A shot is one load on one setup. In a round every shot of a stage is fired once, the two sides of a
row right after each other, and every second round in reverse order: a machine that gets slower by
half during a run gets slower for both sides. A row is judged by the ratios within rounds.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from respdyn.cli.bench_background import keep_busy, settle
from respdyn.cli.bench_servers import REDIS, RESPDYN, BenchError, Running, Setup
from respdyn.cli.load import Load, Report, arguments

CLIENT_BOUND: Final = 0.9       # share of a core from which the generator is the bottleneck
PACE_KEPT: Final = 0.95
GRACE_S: Final = 60.0
LEAST_RATE: Final = 100.0
FEW: Final = 100                # elements of one key
MANY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shot:
    """One load on one setup. `half_of`: paced at half of what that shot reached in this round.

    `is_disturbed`: while handoff, transfer and exchange have all hands full.
    """

    setup: Setup
    op: str
    pipeline: int = 1
    wait: int = -1
    is_spread: bool = False
    half_of: "Shot | None" = None
    is_disturbed: bool = False
    keys: int = 0                   # or elements of the one key; 0: as `Pace` says


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `unit` ops/s counts upwards, all others (us, B, s) downwards."""

    name: str
    title: str
    stage: str
    unit: str
    beside: str
    first: float
    goal: float
    ours: Shot | None = None
    peer: Shot | None = None

    @property
    def is_more_better(self) -> bool:
        """Whether a ratio must be at least the bar, rather than at most."""
        return self.unit == "ops/s"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one shot brought. `server_us` = processor time of all servers per operation."""

    value: float
    remark: str = ""
    client_cpu: float = 0.0
    server_us: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long and how often."""

    rounds: int
    seconds: float
    warm_s: float
    keys: int
    elements_most: int = MANY       # of one key


ONE: Final = Setup(RESPDYN)
ONE_EVERYSEC: Final = Setup(RESPDYN, 1, "everysec")
ONE_ALWAYS: Final = Setup(RESPDYN, 1, "always")
THREE: Final = Setup(RESPDYN, 3)
THREE_ALWAYS: Final = Setup(RESPDYN, 3, "always")
FOUR: Final = Setup(RESPDYN, 4)
REDIS_ONE: Final = Setup(REDIS)
REDIS_EVERYSEC: Final = Setup(REDIS, 1, "everysec")
REDIS_ALWAYS: Final = Setup(REDIS, 1, "always")
REDIS_THREE: Final = Setup(REDIS, 3)
REDIS_THREE_ALWAYS: Final = Setup(REDIS, 3, "always")

THREE_SET: Final = Shot(THREE, "set")
THREE_SET_16: Final = Shot(THREE, "set", 16)
THREE_GET: Final = Shot(THREE, "get")
THREE_GET_16: Final = Shot(THREE, "get", 16)
FOUR_SET: Final = Shot(FOUR, "set")
FOUR_GET: Final = Shot(FOUR, "get")


# Of a key of a hundred elements: at least 0.7 of what SET is to reach beside redis-server.
_ELEMENTS: Final = {
    "hset": "HSET", "hget": "HGET", "sadd": "SADD", "sismember": "SISMEMBER", "zadd": "ZADD",
    "zrange": "ZRANGE 0 9", "zrank": "ZRANK", "lmove": "LMOVE, a pop and a push",
    "lrange": "LRANGE 0 9",
}
_SLOWER: Final = ("zadd", "zrank")      # with the logarithm of the size


def _row(
    name: str, title: str, beside: str, bars: tuple[float, float], ours: Shot, peer: Shot,
    unit: str = "ops/s", stage: str = "",
) -> Row:
    stage = stage or ours.setup.name
    return Row(name, title, stage, unit, beside, bars[0], bars[1], ours, peer)


ROWS: Final[tuple[Row, ...]] = (
    _row("memory-get-1", "one node, memory: GET P1", "redis-server", (0.6, 1.0),
         Shot(ONE, "get"), Shot(REDIS_ONE, "get")),
    _row("memory-set-1", "one node, memory: SET P1", "redis-server", (0.6, 1.0),
         Shot(ONE, "set"), Shot(REDIS_ONE, "set")),
    _row("memory-get-16", "one node, memory: GET P16", "redis-server", (0.3, 0.7),
         Shot(ONE, "get", 16), Shot(REDIS_ONE, "get", 16)),
    _row("memory-set-16", "one node, memory: SET P16", "redis-server", (0.3, 0.7),
         Shot(ONE, "set", 16), Shot(REDIS_ONE, "set", 16)),
    _row("everysec-set-1", "one node, rocksdb everysec: SET P1", "Redis AOF everysec", (0.5, 1.0),
         Shot(ONE_EVERYSEC, "set"), Shot(REDIS_EVERYSEC, "set")),
    _row("everysec-set-16", "one node, rocksdb everysec: SET P16", "Redis AOF everysec", (0.2, 0.5),
         Shot(ONE_EVERYSEC, "set", 16), Shot(REDIS_EVERYSEC, "set", 16)),
    _row("always-set-1", "one node, rocksdb always: SET P1", "Redis AOF always", (0.5, 1.0),
         Shot(ONE_ALWAYS, "set"), Shot(REDIS_ALWAYS, "set")),
    _row("three-always-set-1", "three nodes, rocksdb always: SET P1",
         "Redis AOF always, 2 replicas, WAIT 1", (0.4, 1.0),
         Shot(THREE_ALWAYS, "set"), Shot(REDIS_THREE_ALWAYS, "set", wait=1)),
    _row("three-always-set-16", "three nodes, rocksdb always: SET P16",
         "Redis AOF always, 2 replicas, WAIT 1", (0.15, 0.5),
         Shot(THREE_ALWAYS, "set", 16), Shot(REDIS_THREE_ALWAYS, "set", 16, wait=1)),
    _row("three-set-1", "three nodes, memory: SET P1", "Redis, 2 replicas, WAIT 1", (0.7, 1.5),
         THREE_SET, Shot(REDIS_THREE, "set", wait=1)),
    _row("three-set-16", "three nodes, memory: SET P16", "Redis, 2 replicas, WAIT 1", (0.25, 0.8),
         THREE_SET_16, Shot(REDIS_THREE, "set", 16, wait=1)),
    _row("three-get-1", "three nodes, memory: GET R=2 P1", "respdyn's own SET", (0.9, 1.2),
         THREE_GET, THREE_SET),
    _row("three-get-16", "three nodes, memory: GET R=2 P16", "respdyn's own SET", (0.9, 1.5),
         THREE_GET_16, THREE_SET_16),
    _row("spread-set-1", "three nodes, memory: SET P1, clients on all", "clients on one",
         (1.0, 1.3), Shot(THREE, "set", is_spread=True), THREE_SET),
    _row("spread-set-16", "three nodes, memory: SET P16, clients on all", "clients on one",
         (1.0, 1.3), Shot(THREE, "set", 16, is_spread=True), THREE_SET_16),
    *(
        _row(f"{op}-{p}", f"one node, memory: {op} by EVALSHA P{p}", "redis-server",
             (0.4, 0.8) if p == 1 else (0.25, 0.5), Shot(ONE, op, p), Shot(REDIS_ONE, op, p))
        for op in ("limiter", "unlock") for p in (1, 16)
    ),
    *(
        _row(f"three-{op}-{p}", f"three nodes, memory: {op} by EVALSHA P{p}",
             "Redis, 2 replicas, WAIT 1", (0.25, 0.5) if p == 1 else (0.15, 0.3),
             Shot(THREE, op, p), Shot(REDIS_THREE, op, p, wait=1))
        for op in ("limiter", "unlock") for p in (1, 16)
    ),
    _row("hot-1", "one node, memory: limiter on one key P1", "redis-server", (0.25, 0.5),
         Shot(ONE, "hot"), Shot(REDIS_ONE, "hot")),
    *(
        _row(f"{op}-few", f"{title}, {FEW} elements", "redis-server", (0.42, 0.7),
             Shot(ONE, op, keys=FEW), Shot(REDIS_ONE, op, keys=FEW), stage="elements")
        for op, title in _ELEMENTS.items()
    ),
    _row("hgetall-ten", "HGETALL, 10 fields", "redis-server", (0.42, 0.7),
         Shot(ONE, "hgetall", keys=10), Shot(REDIS_ONE, "hgetall", keys=10), stage="elements"),
    *(
        _row(f"{op}-many", f"{title}, {MANY} elements", f"the same, {FEW} elements",
             (0.33, 0.33) if op in _SLOWER else (0.67, 0.67),
             Shot(ONE, op, keys=MANY), Shot(ONE, op, keys=FEW), stage="elements")
        for op, title in _ELEMENTS.items()
    ),
    _row("latency-set", "three nodes, memory: SET p99.9 at half rate", "Redis SET + WAIT 1",
         (4.0, 1.0), Shot(THREE, "set", half_of=THREE_SET),
         Shot(REDIS_THREE, "set", wait=1, half_of=THREE_SET), "us"),
    _row("latency-get", "three nodes, memory: GET R=2 p99.9 at half rate", "Redis SET + WAIT 1",
         (4.0, 1.0), Shot(THREE, "get", half_of=THREE_GET),
         Shot(REDIS_THREE, "set", wait=1, half_of=THREE_GET), "us"),
    _row("background-set", "four nodes, N=3: SET p99.9, one node being refilled",
         "the same in calm", (2.0, 1.2), Shot(FOUR, "set", half_of=FOUR_SET, is_disturbed=True),
         Shot(FOUR, "set", half_of=FOUR_SET), "us"),
    _row("background-get", "four nodes, N=3: GET p99.9, one node being refilled",
         "the same in calm", (2.0, 1.2), Shot(FOUR, "get", half_of=FOUR_GET, is_disturbed=True),
         Shot(FOUR, "get", half_of=FOUR_GET), "us"),
    Row("memory-per-key", "memory per key, one node", "memory", "B", "redis-server", 4.0, 2.0),
    Row("start", "start to serving from disk", "start", "s", "redis-server, its AOF", 6.0, 2.0),
)


def shots(rows: Iterable[Row], has_peer: bool) -> list[Shot]:
    """Every shot that the rows need, once, what another one's rate depends on before it."""
    wanted: list[Shot] = []
    for row in rows:
        for shot in (row.ours, row.peer):
            for needed in ((shot.half_of, shot) if shot else ()):
                if needed and needed not in wanted and (has_peer or needed.setup.kind != REDIS):
                    wanted.append(needed)
    return wanted


def in_order(wanted: Sequence[Shot], round_number: int) -> list[Shot]:
    """The order of a round: forwards, then backwards, but never before what a rate depends on."""
    if round_number % 2 == 0:
        return list(wanted)
    turned = list(reversed(wanted))
    return [s for s in turned if s.half_of is None] + [s for s in turned if s.half_of is not None]


def fire(
    shot: Shot, running: Running, pace: Pace, seed: int, rates: Mapping[Shot, float],
) -> Sample:
    """Run one shot. Raises `BenchError`."""
    rate = max(rates[shot.half_of] / 2, LEAST_RATE) if shot.half_of else 0.0
    load = Load(
        targets=running.targets(shot.is_spread), op=shot.op, pipeline=shot.pipeline,
        keys=_keys(shot, pace), seconds=pace.seconds, warm_s=pace.warm_s, wait=shot.wait,
        rate=rate, seed=seed,
    )
    work = None
    if shot.is_disturbed:
        work = keep_busy(running, lambda: fill(running, pace.keys))
    elif shot.setup == FOUR:
        settle(running)
    before_s = running.cpu_s()
    report = run_apart(load, running)
    share = pace.seconds / (pace.seconds + pace.warm_s)
    server_us = (running.cpu_s() - before_s) * share / report.ops * 1e6
    remark = "client-bound" if report.cpu > CLIENT_BOUND else ""
    if rate and report.rate < PACE_KEPT * rate:
        remark = f"{running.setup.kind} did not keep the pace"
    if work is not None and not remark:
        remark = work.remark()
    value = report.p999_us if rate else report.rate
    return Sample(value, remark, report.cpu, round(server_us, 2), report.rate)


def _keys(shot: Shot, pace: Pace) -> int:
    return min(shot.keys, pace.elements_most) or pace.keys


def fill_for(shot: Shot, running: Running, pace: Pace) -> None:
    """Give it the elements that a shot is about. Raises `BenchError`."""
    if shot.keys:
        elements = _keys(shot, pace)
        run_apart(Load(targets=running.targets(), op=shot.op, keys=elements, is_fill=True,
                       seconds=elements / 1000), running)


def fill(running: Running, keys: int, value_bytes: int = 3) -> None:
    """Give it every key once. Raises `BenchError`."""
    run_apart(Load(targets=running.targets(), keys=keys, value_bytes=value_bytes, is_fill=True,
                   seconds=keys / 1000), running)


def run_apart(load: Load, running: Running) -> Report:
    """A load in an interpreter of its own. Raises `BenchError` with what went wrong."""
    name = running.setup.name
    words = [sys.executable, "-P", "-m", "respdyn.cli.load", *arguments(load)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=load.seconds + load.warm_s + GRACE_S,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{name}: the load did not end in time") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BenchError(f"{name}: the load failed: {lines[-1] if lines else 'silently'}") from None
    if "error" in answer:
        dead = [s.last_words() for s in running.servers if not s.is_alive()]
        raise BenchError(f"{name}: {answer['error']}" + "".join(f"; it ended: {w}" for w in dead))
    return Report(**answer)
