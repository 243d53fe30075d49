"""`respdyn bench`: respdyn beside redis-server, in one run on one machine, as one table of ratios.

Both sides of a row run at the same time and are measured in turn, in rounds; the load generator is
a process of its own (`load`). Absolute figures drift by half on shared machines and prove nothing;
the ratios of interleaved rounds do. Where the generator is the bottleneck the row says
`client-bound`, and a ratio there compares the generator with itself. Without redis-server the
figures of respdyn stand alone.

Everything is on loopback, on free ports, in a temporary directory; what was started is stopped,
also after Ctrl-C or SIGTERM.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from respdyn.build import COMPILED, build
from respdyn.cli.bench_rows import (
    MANY,
    ROWS,
    Pace,
    Row,
    Sample,
    Shot,
    fill,
    fill_for,
    fire,
    in_order,
    shots,
)
from respdyn.cli.bench_servers import BenchError, Running, Setup, redis_path, start
from respdyn.cli.bench_size import memory_per_key, start_to_serving
from respdyn.cli.bench_table import Outcome, as_data, table

ROUNDS: Final = 5
SECONDS: Final = 2.0
QUICK_ROUNDS: Final = 2
QUICK_SECONDS: Final = 0.5
WARM_SHARE: Final = 0.2
KEYS: Final = 100_000
SIZE_KEYS: Final = 1_000_000
QUICK_SIZE_KEYS: Final = 100_000
QUICK_ELEMENTS: Final = 10_000
QUIET_S: Final = 3.0            # for what a shot leaves behind (a compaction) to end
QUIET_POLL_S: Final = 0.1
QUIET_SHARE: Final = 0.2
NOISE: Final = 0.2              # cores that others use, from which the reader is warned
USAGE_ERROR: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--rows", metavar="NAME,...",
                        help="only these; * stands for anything (three-*). See --list")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, metavar="S",
                        help=f"of each measurement (default {SECONDS:g})")
    parser.add_argument("--keys", type=int, metavar="K",
                        help=f"for the rows about memory and starting (default {SIZE_KEYS})")
    parser.add_argument("--quick", action="store_true",
                        help=f"{QUICK_ROUNDS} rounds of {QUICK_SECONDS:g} s and fewer keys: shows"
                             " that it works, proves little")
    parser.add_argument("--json", action="store_true", help="everything measured, for programs")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")


def run(args: argparse.Namespace) -> int:
    """Measure and print; the exit status is 1 if a row could not be measured."""
    try:
        rows = select(args.rows)
        pace = pace_of(args)
    except ValueError as wrong:
        print(f"respdyn bench: {wrong}", file=sys.stderr)
        return USAGE_ERROR
    if args.list:
        print("\n".join(f"{row.name:20} {row.title}, beside {row.beside}" for row in rows))
        return 0
    size_keys = args.keys or (QUICK_SIZE_KEYS if args.quick else SIZE_KEYS)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        noise = Noise()
        outcomes = measure(rows, pace, size_keys)
        about = _about(pace, size_keys, noise.cores())
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.json:
        print(json.dumps(as_data(outcomes, about), indent=1))
    else:
        print("\n".join([table(outcomes), "", *_notes(about)]))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


def select(wanted: str | None) -> list[Row]:
    """The rows of these names, in the table's order. Raises `ValueError` for an unknown name."""
    if wanted is None:
        return list(ROWS)
    names = [word for word in wanted.split(",") if word]
    for name in names:
        if not any(fnmatch(row.name, name) for row in ROWS):
            raise ValueError(f"--rows {name}: no such row; --list names them")
    return [row for row in ROWS if any(fnmatch(row.name, name) for name in names)]


def pace_of(args: argparse.Namespace) -> Pace:
    """How often and how long. Raises `ValueError`."""
    rounds = QUICK_ROUNDS if args.quick else ROUNDS
    seconds = QUICK_SECONDS if args.quick else SECONDS
    rounds = rounds if args.rounds is None else args.rounds
    seconds = seconds if args.seconds is None else args.seconds
    if rounds < 1:
        raise ValueError(f"--rounds {rounds}: at least 1")
    if not 0.1 <= seconds <= 600:
        raise ValueError(f"--seconds {seconds:g}: from 0.1 to 600")
    if args.keys is not None and args.keys < 1:
        raise ValueError(f"--keys {args.keys}: at least 1")
    most = QUICK_ELEMENTS if args.quick else MANY
    return Pace(rounds, seconds, seconds * WARM_SHARE, KEYS, most)


def measure(rows: list[Row], pace: Pace, size_keys: int) -> list[Outcome]:
    """All rows, stage by stage. A stage that fails is named in its rows; the others go on."""
    outcomes = {row.name: Outcome(row) for row in rows}
    has_peer = bool(redis_path())
    with tempfile.TemporaryDirectory(prefix="respdyn-bench-") as name:
        directory = Path(name)
        for stage in dict.fromkeys(row.stage for row in rows):
            here = [outcomes[row.name] for row in rows if row.stage == stage]
            try:
                if stage == "memory":
                    _say("memory per key")
                    here[0].ours, here[0].peer = memory_per_key(directory, size_keys, has_peer)
                elif stage == "start":
                    _say("start to serving")
                    here[0].ours, here[0].peer = start_to_serving(
                        directory, size_keys, pace.rounds, has_peer)
                else:
                    _measure_stage(here, directory, pace, has_peer)
            except BenchError as wrong:
                _say(f"failed: {wrong}")
                for outcome in here:
                    outcome.failure = f"failed: {wrong}"
    return list(outcomes.values())


def _measure_stage(
    outcomes: list[Outcome], directory: Path, pace: Pace, has_peer: bool,
) -> None:
    """The rows that share servers: start these, fill them, fire all shots in every round."""
    wanted = shots([outcome.row for outcome in outcomes], has_peer)
    with ExitStack() as stack:
        running: dict[Setup, Running] = {}
        for setup in dict.fromkeys(shot.setup for shot in wanted):
            running[setup] = stack.enter_context(start(setup, directory))
            if any(shot.setup == setup and not shot.keys for shot in wanted):
                fill(running[setup], pace.keys)
        for shot in wanted:
            fill_for(shot, running[shot.setup], pace)
        for number in range(pace.rounds):
            _say(f"{outcomes[0].row.stage}: round {number + 1} of {pace.rounds}")
            samples: dict[Shot, Sample] = {}
            rates: dict[Shot, float] = {}
            for shot in in_order(wanted, number):
                _until_quiet(list(running.values()))
                samples[shot] = fire(shot, running[shot.setup], pace, number + 1, rates)
                rates[shot] = samples[shot].rate
            for outcome in outcomes:
                row = outcome.row
                if row.ours in samples:
                    outcome.ours.append(samples[row.ours])
                if row.peer in samples:
                    outcome.peer.append(samples[row.peer])


def _until_quiet(running: list[Running]) -> None:
    """Wait, not for long, until the servers do nothing."""
    deadline = time.monotonic() + QUIET_S
    used_s = sum(one.cpu_s() for one in running)
    while time.monotonic() < deadline:
        time.sleep(QUIET_POLL_S)
        before_s, used_s = used_s, sum(one.cpu_s() for one in running)
        if used_s - before_s <= QUIET_POLL_S * QUIET_SHARE:
            return


class Noise:
    """How much of the machine others used meanwhile; known where there is /proc."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = _own_s()

    def cores(self) -> float:
        """On average, since this was made. Counts our own children once they have ended."""
        others_s = (_busy_s() - self._busy_s) - (_own_s() - self._own_s)
        return max(round(others_s / (time.monotonic() - self._begun), 2), 0.0)


def _busy_s() -> float:
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, steal = (int(w) for w in first.split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _about(pace: Pace, size_keys: int, noise: float) -> dict[str, object]:
    path = redis_path()
    redis = ""
    if path:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        redis = said.stdout.strip()
    return {
        "rounds": pace.rounds, "seconds": pace.seconds, "keys": pace.keys, "size_keys": size_keys,
        "cores": os.cpu_count() or 0, "machine": platform.platform(),
        "python": platform.python_version(), "build": build(), "redis": redis,
        "noise_cores": noise,
    }


def _notes(about: dict[str, object]) -> list[str]:
    """What stands below the table."""
    notes = [
        f"Medians of {about['rounds']} rounds of {about['seconds']} s, ratios within rounds;"
        f" 50 connections, {about['keys']} keys, values of 3 bytes (memory and start:"
        f" {about['size_keys']} keys, 100 bytes); {about['cores']} cores, Python"
        f" {about['python']}.",
        f"respdyn is the {about['build']} build." + (
            "" if about["build"] == COMPILED else
            " The compiled one is about twice as fast (docs/builds.md)."),
    ]
    if isinstance(about["rounds"], int) and about["rounds"] < ROUNDS:
        notes.append(f"Fewer than {ROUNDS} rounds: these figures prove little.")
    if not about["redis"]:
        notes.append("redis-server is not on PATH: respdyn's figures stand alone. Install it and"
                     " run this again to compare.")
    noise = about["noise_cores"]
    if isinstance(noise, float) and noise > NOISE:
        notes.append(f"Other processes used {noise:.1f} of {about['cores']} cores meanwhile.")
    return notes


def _say(text: str) -> None:
    """Progress, for the person who waits."""
    print(f"respdyn bench: {text}", file=sys.stderr, flush=True)
