"""Health: what a node says of itself, its answer to `Status`."""

import msgspec

from respdyn.cluster.this_node import ThisNode
from respdyn.membership.clock_watch import ClockWatch
from respdyn.replication.exchange import Exchange


class Health(msgspec.Struct, array_like=True):
    """The answer. Nodes of other versions may send more, or fewer from the end."""

    records: int
    keys: int
    sessions: int
    in_flight: int
    can_store: bool
    ring_version: int
    clock_ms: int
    peers_up: int
    clean_age_ms: int = -1
    differences: int = 0
    hints: int = 0
    hint_bytes: int = 0
    hint_age_ms: int = 0
    disk: str = ""
    is_clock_doubted: bool = False
    repairs_due: int = 0
    refused: int = 0        # of what peers claimed, because it cannot be true


def health_of(
    node: ThisNode, exchange: Exchange, clock: ClockWatch, sessions: int, in_flight: int
) -> Health:
    """This node's."""
    ring = node.ring
    return Health(
        records=node.replica.records, keys=sum(map(sum, node.replica.live)),
        sessions=sessions, in_flight=in_flight,
        can_store=not node.store_failure,
        ring_version=ring.version if ring else 0, clock_ms=clock.raw_ms,
        peers_up=sum(1 for link in node.links.values() if link.is_up),
        clean_age_ms=exchange.clean_age_ms(),
        differences=node.counters.exchange_differences,
        hints=node.hints.count, hint_bytes=node.hints.bytes,
        hint_age_ms=node.hints.oldest_age_ms(),
        disk=node.store_failure, is_clock_doubted=clock.is_doubted,
        repairs_due=exchange.due(), refused=node.counters.refused(),
    )
