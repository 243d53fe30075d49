"""Settings that may change while a node runs, and which room goes by each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from respdyn.cluster.timeouts import NEVER

if TYPE_CHECKING:
    from respdyn.node import Node


def tune(node: Node) -> None:
    """Pass on what CONFIG SET may have changed."""
    settings = node.settings
    node.inbound.working_max = settings.max_inflight
    node.hints.limit_bytes = settings.hint_max_bytes
    node.hints.remember_ms = settings.request_timeout_ms
    node.dispatcher.siblings = settings.siblings_max, settings.siblings_warn
    node.coordinator.speculative_ms = settings.speculative_ms
    node.front.settings_changed()
    node.latencies.tell_ms = settings.latency_ms or NEVER
    node.admission.most = settings.background_rate
    node.admission.least = settings.background_floor
    node.admission.slow_ms = settings.background_latency_ms
    node.telling.settings_changed(settings)
