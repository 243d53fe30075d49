"""MEMORY: what this node's memory is used for.

Source: Redis `object.c` (memoryCommand).
"""

from __future__ import annotations

from typing import Final

from respdyn.commands.declare import Argv
from respdyn.commands.inspecting import ENTRY_BYTES
from respdyn.commands.introspection import help_text
from respdyn.local import info
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, bulk, double, integer, map_, text
from respdyn.sessions.memory import CONNECTION_BYTES
from respdyn.sessions.session import Session


def help_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("memory"))


def purge(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return OK


def malloc_stats(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(b"Stats not supported for the current allocator")


def doctor(context: LocalContext, session: Session, argv: Argv) -> bytes:
    fields = info.memory(context)
    used, rss = int(str(fields["used_memory"])), int(str(fields["used_memory_rss"]))
    waiting = sum(map(context.sessions.memory.of, context.sessions.by_id.values()))
    waiting -= CONNECTION_BYTES * len(context.sessions.by_id)
    lines = []
    if rss > 1.5 * used > 0:
        lines.append(
            f"The process holds {rss} bytes, {rss / used:.1f} times what is in use: memory that was"
            " freed has not gone back to the system."
        )
    if waiting * 10 > used > 0:
        lines.append(f"{waiting} bytes wait to be run, or to be read: see CLIENT LIST.")
    records, live = context.node.replica.records, sum(map(sum, context.node.replica.live))
    if records > 2 * live + 1000:
        lines.append(f"{records - live} of {records} records are deletions not yet forgotten.")
    return text("\n".join(lines or ["Nothing about this node's memory is out of the ordinary."]))


def stats(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """Redis's rows in its order. Of a database it shows what its table costs, data included."""
    fields = info.memory(context)
    replica = context.node.replica
    resp3 = session.resp == 3

    def row(name: str, field: str) -> tuple[bytes, bytes]:
        return text(name), integer(int(str(fields[field])))

    def share(name: str, part: str, whole: int) -> tuple[bytes, bytes]:
        return text(name), double(int(str(fields[part])) / max(1, whole), resp3)

    used, peak, rss, startup, data = (
        int(str(fields[name])) for name in (
            "used_memory", "used_memory_peak", "used_memory_rss", "used_memory_startup",
            "used_memory_dataset",
        )
    )
    keys = sum(map(sum, replica.live))
    pairs = [row(*one) for one in _BEFORE_DATABASES]
    for db, live in enumerate(replica.live):
        if count := sum(live):
            table = [
                (text("overhead.hashtable.main"), integer(ENTRY_BYTES * count)),
                (text("overhead.hashtable.expires"), integer(0)),
                (text("overhead.hashtable.slot-to-keys"), integer(0)),
            ]
            pairs.append((text(f"db.{db}"), map_(table, resp3)))
    pairs += [
        row("overhead.total", "used_memory_overhead"),
        (text("keys.count"), integer(keys)),
        (text("keys.bytes-per-key"), integer((used - startup) // keys if keys else 0)),
        row("dataset.bytes", "used_memory_dataset"),
        (text("dataset.percentage"), double(100 * data / max(1, used - startup), resp3)),
        (text("peak.percentage"), double(100 * used / peak if peak else 0.0, resp3)),
        row("allocator.allocated", "allocator_allocated"),
        row("allocator.active", "allocator_active"),
        row("allocator.resident", "allocator_resident"),
        share("allocator-fragmentation.ratio", "allocator_active", used),
        row("allocator-fragmentation.bytes", "allocator_frag_bytes"),
        share("allocator-rss.ratio", "allocator_resident", rss),
        row("allocator-rss.bytes", "allocator_rss_bytes"),
        share("rss-overhead.ratio", "used_memory_rss", rss),
        row("rss-overhead.bytes", "rss_overhead_bytes"),
        share("fragmentation", "used_memory_rss", used),
        row("fragmentation.bytes", "mem_fragmentation_bytes"),
        (text("records.count"), integer(replica.records)),      # respdyn's own: tombstones as well
    ]
    return map_(pairs, resp3)


_BEFORE_DATABASES: Final = (
    ("peak.allocated", "used_memory_peak"), ("total.allocated", "used_memory"),
    ("startup.allocated", "used_memory_startup"),
    ("replication.backlog", "mem_replication_backlog"),
    ("clients.slaves", "mem_clients_slaves"), ("clients.normal", "mem_clients_normal"),
    ("cluster.links", "mem_cluster_links"), ("aof.buffer", "mem_aof_buffer"),
    ("lua.caches", "used_memory_scripts_eval"), ("functions.caches", "used_memory_functions"),
)
