"""The exposition: the metrics, plain counters, as Prometheus text.

What Redis also has carries redis_exporter's names, so that its dashboards work; the rest is
`respdyn_*`. Imported at the first scrape: most processes never pay for it.
"""

import resource
import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from respdyn.metrics import Histogram, ServerMetrics
from respdyn.node import Node
from respdyn.server.process_stats import resident_bytes

SERVER_COUNTERS = {
    "client_bytes_in": ("redis_net_input_bytes", "Bytes received from clients"),
    "client_bytes_out": ("redis_net_output_bytes", "Bytes sent to clients"),
    "clients_opened": ("redis_connections_received", "Connections accepted"),
    "clients_refused": ("redis_rejected_connections", "Connections refused by maxclients"),
    "clients_protected": ("respdyn_clients_protected", "Connections refused by protected mode"),
    "clients_protocol_errors": ("respdyn_clients_protocol_errors", "Malformed requests"),
    "clients_paused": ("respdyn_clients_paused", "Times a client's unread replies made it wait"),
    "clients_output_closed": ("respdyn_clients_output_closed", "Closed by client-output-limit"),
    "clients_idle_closed": ("respdyn_clients_idle_closed", "Closed by timeout"),
    "peer_dials": ("respdyn_peer_dials", "Attempts to connect to peers"),
    "peer_links_abandoned": (
        "respdyn_peer_links_abandoned", "Connections given up because a peer was silent"
    ),
    "peer_refused": ("respdyn_peer_refused", "Peer connections refused before proof"),
    "peer_faults": ("respdyn_peer_faults", "Frames of proved peers whose handling failed here"),
    "peer_protocol_errors": ("respdyn_peer_protocol_errors", "Malformed bytes of proved peers"),
    "peer_frames_in": ("respdyn_peer_frames_received", "Frames from peers"),
    "peer_frames_out": ("respdyn_peer_frames_sent", "Frames to peers"),
    "peer_frames_lost": ("respdyn_peer_frames_lost", "Frames for peers that were not connected"),
    "peer_output_dropped": ("respdyn_peer_output_dropped", "Links dropped by peer-output-limit"),
    "peer_bytes_in": ("respdyn_peer_bytes_received", "Bytes from peers"),
    "peer_bytes_out": ("respdyn_peer_bytes_sent", "Bytes to peers"),
    "http_requests": ("respdyn_http_requests", "Requests on the HTTP port"),
    "http_refused": ("respdyn_http_refused", "Connections closed on the HTTP port"),
    "storage_failures": ("respdyn_storage_failures", "Times the store stopped storing"),
    "turns": ("respdyn_turns", "Turns of the loop"),
}


def exposition(node: Node, metrics: ServerMetrics, started: float) -> bytes:
    """Everything, now, as text. `started` is the wall-clock second at which the node started."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node, metrics, started))
    return generate_latest(registry)


class NodeCollector(Collector):
    """Reads a node's plain counters at each scrape."""

    def __init__(self, node: Node, metrics: ServerMetrics, started: float) -> None:
        self._node = node
        self._metrics = metrics
        self._started = started

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._server()
        yield from self._redis()
        yield from self._dynamo()

    def _server(self) -> Iterator[Metric]:
        metrics = self._metrics
        for field, (name, text) in SERVER_COUNTERS.items():
            yield _counter(name, text, getattr(metrics, field))
        yield _gauge("respdyn_peer_links", "Proved connections to peers", metrics.peer_links)
        yield _gauge("respdyn_storage_failed", "1 while writes cannot be stored",
                     metrics.storage_failed)
        yield _histogram("respdyn_turn_duration_seconds", "One turn of the loop", metrics.turn_us)

    def _redis(self) -> Iterator[Metric]:
        node = self._node
        sessions = node.sessions
        yield _gauge("redis_up", "1", 1)
        yield _gauge("redis_uptime_in_seconds", "Since start", int(time.time() - self._started))
        yield _gauge("redis_connected_clients", "Clients", self._metrics.clients_connected)
        yield _gauge("redis_max_clients", "Their limit", node.settings.max_clients)
        yield _gauge("redis_blocked_clients", "Clients that wait in a blocking command",
                     len(sessions.blocking.by_number))
        yield _gauge("redis_connected_slaves", "None: respdyn has peers", 0)
        yield _gauge("redis_memory_used_bytes", "Data, clients, and the process as it began",
                     sessions.memory.used())
        yield _gauge("redis_memory_used_peak_bytes", "The most of it", sessions.memory.peak)
        yield _gauge("redis_memory_used_rss_bytes", "Resident memory", resident_bytes())
        yield _gauge("redis_memory_max_bytes", "0: no limit", node.settings.maxmemory)
        yield _gauge("redis_cluster_state", "1 once a ring is known",
                     1 if node.membership.ring is not None else 0)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield _counter("redis_cpu_user_seconds", "CPU in user mode", usage.ru_utime)
        yield _counter("redis_cpu_sys_seconds", "CPU in the kernel", usage.ru_stime)
        commands = CounterMetricFamily("redis_commands", "Calls by command", labels=["cmd"])
        total = 0
        for command, calls in list(sessions.calls.items()):
            commands.add_metric([command.name], calls)
            total += calls
        yield commands
        yield _counter("redis_commands_processed", "Calls of all commands", total)
        errors = CounterMetricFamily("redis_errors", "Error replies by first word", labels=["err"])
        for word, count in list(sessions.errors.items()):
            errors.add_metric([word], count)
        yield errors
        keys = GaugeMetricFamily("redis_db_keys", "Live keys held here", labels=["db"])
        for db, (live, _) in enumerate(node.replica.keys_of(range(len(node.replica.live)))):
            count = sum(live)
            if count or db == 0:
                keys.add_metric([f"db{db}"], count)
        yield keys

    def _dynamo(self) -> Iterator[Metric]:
        node = self._node
        for name, value in node.counters.rows():
            yield _counter(f"respdyn_{name}", name.replace("_", " "), value)
        yield _gauge("respdyn_records", "Records held, tombstones included", node.replica.records)
        yield _gauge("respdyn_in_flight", "Requests without a reply yet", node.sessions.held())
        yield _gauge("respdyn_window", "So many in flight: pipelines are read no further",
                     node.sessions.window())
        members, dropped = node.sessions.memory.orders()
        yield _gauge("respdyn_orders_members", "Of orders kept beside big sorted sets and lists",
                     members)
        yield _counter("respdyn_orders_dropped", "Orders that were given up for others", dropped)
        yield _gauge("respdyn_hints_pending", "Hints kept for owners", node.hints.count)
        holding = node.sessions.holding
        yield _gauge("respdyn_store_backlog_bytes", "Handed to the store, not yet durable",
                     holding.store.bytes)
        yield _gauge("respdyn_clients_held", "Clients whose writes wait for a disk or a peer",
                     len(holding.waiting))
        yield _gauge("respdyn_hints_bytes", "Their size", node.hints.bytes)
        yield _gauge("respdyn_hints_oldest_seconds", "The age of the oldest",
                     node.hints.oldest_age_ms() / 1000)
        yield from self._work()
        ring = node.membership.ring
        yield _gauge("respdyn_ring_version", "0: none yet", ring.version if ring else 0)
        up = GaugeMetricFamily("respdyn_peer_up", "1: answers", labels=["peer"])
        delay = GaugeMetricFamily("respdyn_peer_round_trip_seconds", "Smoothed", labels=["peer"])
        spared = GaugeMetricFamily(
            "respdyn_peer_spared", "1: up, and others are preferred", labels=["peer"]
        )
        offset = GaugeMetricFamily(
            "respdyn_clock_offset_seconds", "How far the peer's clock is ahead", labels=["peer"]
        )
        clock = node.readiness.clock
        here = node.identity.node_id
        ids = {one.node_id for one in ring.members if one.node_id != here} if ring else set()
        for peer, link in list(node.links.items()):
            if peer not in ids:
                continue            # a former member, or a node that is not expected to be there
            up.add_metric([peer[:8]], 1 if link.is_up else 0)
            delay.add_metric([peer[:8]], link.round_trip_ms / 1000)
            spared.add_metric([peer[:8]], 1 if link.deprioritized else 0)
            offset_ms = clock.offset_ms(link)
            if offset_ms is not None:
                offset.add_metric([peer[:8]], offset_ms / 1000)
        waits = CounterMetricFamily(
            "respdyn_waits", "Clients' commands that waited 10 ms or more for this peer",
            labels=["peer"],
        )
        waited = CounterMetricFamily("respdyn_wait_seconds", "How long they did", labels=["peer"])
        for peer, (count, took_ms) in list(node.sessions.command_stats.waits.items()):
            if peer in ids:
                waits.add_metric([peer[:8]], count)
                waited.add_metric([peer[:8]], took_ms / 1000)
        yield from (up, delay, spared, offset, waits, waited)
        yield _gauge("respdyn_clock_doubted", "1 while the wall clock is not gone by",
                     1 if clock.is_doubted else 0)

    def _work(self) -> Iterator[Metric]:
        """How long requests took, and what is done in the background."""
        node = self._node
        took = HistogramMetricFamily(
            "respdyn_request_duration_seconds", "Requests that waited for other nodes",
            labels=["operation", "role"],
        )
        for operation, role, histogram in node.latencies.rows():
            took.add_metric([operation, role], _buckets(histogram), histogram.total / 1_000_000)
        yield took
        moved = CounterMetricFamily("respdyn_background_bytes", "Moved", labels=["kind"])
        refused = CounterMetricFamily(
            "respdyn_background_refused", "Times there was no room", labels=["kind"]
        )
        for kind, spent, times in node.admission.rows():
            moved.add_metric([kind], spent)
            refused.add_metric([kind], times)
        yield from (moved, refused)
        yield _gauge("respdyn_background_rate_bytes", "What may be moved per second",
                     node.admission.rate)
        yield _counter("respdyn_background_slowed", "Times it was lowered", node.admission.slowed)
        yield _gauge("respdyn_exchange_age_seconds", "Since the stalest comparison was clean; -1",
                     max(-1, node.exchange.clean_age_ms() / 1000))
        yield _gauge("respdyn_exchange_due", "Comparisons due at once", node.exchange.due())
        yield _gauge("respdyn_tombstones", "Records without a live value",
                     node.replica.records - sum(map(sum, node.replica.live)))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(
        name, text, buckets=_buckets(histogram), sum_value=histogram.total / 1_000_000
    )


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds: Iterable[str] = [*(str(b / 1_000_000) for b in histogram.bounds), "+Inf"]
    return [(b, float(n)) for b, n in zip(bounds, histogram.cumulative(), strict=True)]
