"""The two rows that are not rates: memory per key, and how long a full node takes to serve again.

Both fill a server with keys of 16 bytes and values of 100. Memory is the growth of the process's
resident set, so that what an empty server takes is left out; one figure each, since it does not
drift. Starting is timed from the creation of the process to a right answer about the last key, and
repeated in turn for both sides.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from respdyn.cli.bench_rows import ONE, ONE_EVERYSEC, REDIS_EVERYSEC, REDIS_ONE, Sample, fill
from respdyn.cli.bench_servers import Running, Setup, start
from respdyn.cli.load import key

VALUE_BYTES: Final = 100
SETTLE_S: Final = 1.0
START_S: Final = 180.0


def memory_per_key(
    directory: Path, keys: int, has_peer: bool,
) -> tuple[list[Sample], list[Sample]]:
    """Bytes, ours and Redis's. Raises `BenchError`."""
    ours = [Sample(_growth(ONE, directory, keys) / keys)]
    return ours, [Sample(_growth(REDIS_ONE, directory, keys) / keys)] if has_peer else []


def start_to_serving(
    directory: Path, keys: int, rounds: int, has_peer: bool,
) -> tuple[list[Sample], list[Sample]]:
    """Seconds, ours and Redis's, for each round. Raises `BenchError`."""
    ours: list[Sample] = []
    peer: list[Sample] = []
    setups = [(ONE_EVERYSEC, ours)] + ([(REDIS_EVERYSEC, peer)] if has_peer else [])
    with ExitStack() as stack:
        sides = []
        for setup, samples in setups:
            running = stack.enter_context(start(setup, directory))
            fill(running, keys, VALUE_BYTES)
            running.servers[0].stop()
            sides.append((running, samples))
        for _ in range(rounds):
            for running, samples in sides:
                samples.append(Sample(_start_s(running, keys)))
    return ours, peer


def _growth(setup: Setup, directory: Path, keys: int) -> int:
    with start(setup, directory) as running:
        server = running.servers[0]
        empty = server.memory_bytes()
        fill(running, keys, VALUE_BYTES)
        time.sleep(SETTLE_S)
        return server.memory_bytes() - empty


def _start_s(running: Running, keys: int) -> float:
    server = running.servers[0]
    last = key(keys - 1).decode("ascii")
    begun = time.monotonic()
    server.restart()
    server.until("served", lambda: server.ask("GET", last) == b"x" * VALUE_BYTES, START_S)
    took_s = time.monotonic() - begun
    server.stop()
    return took_s
