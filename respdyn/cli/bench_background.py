"""Work in the background for a benchmark: one node of several comes back with nothing.

Of four nodes with N=3 the last is stopped, every key is written once more, so that others keep
hints for it, and it is started again. Its engine is memory: it is empty. From then on hints are
delivered to it, three quarters of all keys are transferred to it, and each partition of it is
compared with two other owners before it counts again: handoff, transfer and exchange, all at once
and as fast as the admission controllers let them.

`keep_busy` returns when that has begun. What `remark` says afterwards is how much was moved, and
whether there was work to the end: a figure of a node with nothing to do proves nothing.
"""

import re
import time
from collections.abc import Callable
from typing import Final

from respdyn.cli.bench_servers import BenchError, Running
from respdyn.cli.client import Reply

BEGUN_S: Final = 30.0
CALM_S: Final = 1.0
COMPARED: Final = (b"hints", b"comparisons-due")
KINDS: Final = ("hints", "transfer", "exchange")
_BYTES: Final = re.compile(rb"dynamo_background_(\w+)_bytes:(\d+)")


class Work:
    """What the nodes do in the background from now on."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._begun = time.monotonic()
        self._before = moved(running)

    def remark(self) -> str:
        """How fast it went; or that it was over too soon."""
        after = moved(self._running)
        took_s = time.monotonic() - self._begun
        each = {kind: (after[kind] - self._before[kind]) / took_s / 1e6 for kind in KINDS}
        said = ", ".join(f"{kind} {rate:.1f}" for kind, rate in each.items())
        early = "" if left(self._running) else "; it was over before the end"
        return f"MB/s in the background: {said}{early}"


def keep_busy(running: Running, write_all: Callable[[], None]) -> Work:
    """Have the last node come back empty. Raises `BenchError`."""
    settle(running)
    last = running.servers[-1]
    last.stop()
    write_all()
    last.restart()
    last.until("begun to be filled", lambda: bool(left(running)), BEGUN_S)
    return Work(running)


def settle(running: Running, within_s: float = 120.0) -> None:
    """Wait until nothing is left of the work before: all is filled, handed over and compared."""
    running.servers[0].until("settled", lambda: not left(running, COMPARED), within_s)
    time.sleep(CALM_S)


def left(running: Running, also: tuple[bytes, ...] = ()) -> int:
    """Partitions that a node is still to be given; and of these figures of all members the sum.

    Something that was never compared counts as one more.
    """
    status = _named(running.servers[0].ask("DYN.CLUSTER", "STATUS"))
    count = _number(status, b"partitions-filling")
    members = status[b"members"]
    for member in map(_named, members if also and isinstance(members, list) else ()):
        count += sum(_number(member, name) for name in also)
        count += _number(member, b"clean-exchange-age-ms", -1) < 0
    return count


def _named(reply: Reply) -> dict[Reply, Reply]:
    if not isinstance(reply, list):
        raise BenchError(f"no status: {reply!r}")
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _number(facts: dict[Reply, Reply], name: bytes, otherwise: int = 0) -> int:
    value = facts.get(name)
    return value if isinstance(value, int) else otherwise


def moved(running: Running) -> dict[str, int]:
    """Bytes that were moved for each kind of work, by all nodes together."""
    total = dict.fromkeys(KINDS, 0)
    for server in running.servers:
        said = server.ask("INFO", "dynamo")
        for name, count in _BYTES.findall(said if isinstance(said, bytes) else b""):
            if name.decode() in total:
                total[name.decode()] += int(count)
    return total
