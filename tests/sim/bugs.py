"""What a deliberate bug is, and the small world in which most of them show soon."""

from dataclasses import dataclass
from typing import Any

from respdyn.node import Node


@dataclass(frozen=True)
class Bug:
    """A deliberate bug, the plan under which it shows, and where it is looked for.

    `changes` to the plan make rare circumstances common. The seeds from `first` on are tried, at
    most `within` of them; one that is known to catch it comes first, so that the test is short.
    """

    node: type[Node]
    changes: dict[str, Any]
    first: int = 1
    within: int = 10


def keys(count: int, *profiles: str) -> tuple[tuple[str, str], ...]:
    """So many keys, to which clients do these things in turn."""
    return tuple((f"key:{index}", profiles[index % len(profiles)]) for index in range(count))


# Three nodes and six clients for two seconds, and nothing that only costs time.
SMALL: dict[str, Any] = {
    "nodes": 3, "n": 3, "r": 2, "w": 2, "partitions": 4, "engine": "rocksdb",
    "durability": "always", "sloppy": False, "faults": (), "fault_every_ms": 300,
    "harm_ms": 2_000, "harms_early": False, "leaves_one_out": False, "keys": keys(2, "register"),
    "clients": 6, "operations": 400, "pipeline": 1, "exchange_ms": 0, "hint_bytes": 1 << 28,
    "backlog_bytes": 1 << 26,
    "request_timeout_ms": 1_000, "heartbeat_ms": 100, "failure_timeout_ms": 200,
    "speculative_ms": 50, "lease_block": 64, "max_inflight": 100_000, "delay_us": 200,
    "jitter_us": 300, "turn_us": 200, "write_us": 20, "sync_us": 1_000, "skew_ms": 10,
    "drift_ppm": 100, "grace_ms": 0, "message_ms": 0,
    "transactors": 0, "flushes": False, "traitor": False,
}
EXCHANGING = {"exchange_ms": 100}
