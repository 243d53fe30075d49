"""INFO: how this node is, in Redis's sections and field names, and what Dynamo adds to them.

Every field of Redis 7 that some tool is known to read is there. Where respdyn has no such thing the
value is the one that is true (`rdb_bgsave_in_progress:0`). What only the process around the node
knows (memory, CPU, bytes on sockets) the driver supplies by field name: `LocalContext.outside`.

Keys are counted once in the whole cluster: each node reports those whose primary it is to
cluster-aware clients, so the sum over the nodes is the number of keys. `dynamo_live_keys` counts
the copies on this node.

Source: Redis `server.c` (genRedisInfoString).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from respdyn.commands.arguments import word
from respdyn.config_view import accepted_value
from respdyn.local.context import LocalContext
from respdyn.resp.replies import verbatim
from respdyn.sessions.command_stats import Cost
from respdyn.sessions.session import CHANNEL, PATTERN, SHARD

# The version whose commands and replies are offered; clients choose what they send by it.
REDIS_VERSION: Final = "7.0.15"
RESPDYN_VERSION: Final = "0.1.0"

Fields = dict[str, object]


def reply(context: LocalContext, wanted: list[bytes], resp3: bool, listener: str) -> bytes:
    """INFO with these sections; the default ones if none are named. `listener`: the client's."""
    names = [word(one).decode("latin-1").lower() for one in wanted] or ["default"]
    chosen = set(names)
    if "all" in chosen:
        chosen.update(SECTIONS)
    if "module_list" in chosen:
        chosen.add("modules")
    if "everything" in chosen:
        chosen.update(SECTIONS)
    if "default" in chosen:
        chosen.update(name for name in SECTIONS if name not in _BY_COMMAND)
    outside = dict(context.outside())
    if listener == "cluster":
        outside |= {
            "redis_mode": "cluster", "cluster_enabled": "1",
            "tcp_port": str(context.settings.cluster_port),
        }
    parts = []
    for name, (title, make) in SECTIONS.items():
        if name in chosen:
            lines = [f"# {title}\r\n"]
            for field, value in make(context).items():
                shown = str(outside.get(field, value)).replace("\r", " ").replace("\n", " ")
                lines.append(f"{field}:{shown}\r\n")
            parts.append("".join(lines))
    return verbatim("\r\n".join(parts).encode(), resp3)


def _server(context: LocalContext) -> Fields:
    identity = context.node.identity
    settings = context.settings
    up_s = max(0, context.now_ms - context.started_ms) // 1000
    hertz = accepted_value(settings, "hz")
    return {
        "redis_version": REDIS_VERSION,
        "server_name": "respdyn",
        "respdyn_version": RESPDYN_VERSION,
        "respdyn_build": "unknown",
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "standalone",
        "os": "unknown",
        "arch_bits": 64,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "asyncio",
        "atomicvar_api": "none",
        "gcc_version": "0.0.0",
        "process_id": 0,
        "process_supervised": "no",
        "run_id": (identity.actor.hex() * 2)[:40],
        "tcp_port": settings.client_port,
        "server_time_usec": context.now_ms * 1000,
        "uptime_in_seconds": up_s,
        "uptime_in_days": up_s // 86400,
        "hz": hertz,
        "configured_hz": hertz,
        "lru_clock": context.now_ms // 1000 & 0xFFFFFF,
        "executable": "",
        "config_file": context.host.config_file(),
        "io_threads_active": 0,
    }


def _clients(context: LocalContext) -> Fields:
    waiting = [one for one in context.sessions.by_id.values() if one.out]
    return {
        "connected_clients": len(context.sessions.by_id),
        "cluster_connections": len(context.node.links),
        "maxclients": context.settings.max_clients,
        "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": max((one.out_bytes for one in waiting), default=0),
        "blocked_clients": (
            len(context.sessions.pausing.waiting) + len(context.sessions.blocking.by_number)
        ),
        "tracking_clients": len(context.notifications.trackers.sessions),
        "clients_in_timeout_table": 0,
    }


def _of_scripts(context: LocalContext) -> Fields:
    """What scripts take here; what Lua takes is another process's."""
    count, size = context.sessions.scripting.scripts.count()
    libraries, functions, code = context.sessions.libraries.counts()
    return {
        "used_memory_lua": 0,
        "used_memory_vm_eval": 0,
        "used_memory_lua_human": "0B",
        "used_memory_scripts_eval": size,
        "number_of_cached_scripts": count,
        "number_of_functions": functions,
        "number_of_libraries": libraries,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": 0,
        "used_memory_vm_total_human": "0B",
        "used_memory_functions": code,
        "used_memory_scripts": size + code,
        "used_memory_scripts_human": human(size + code),
    }


def memory(context: LocalContext) -> Fields:
    """INFO's section of that name."""
    outside = context.outside()
    account = context.sessions.memory
    clients = account.sample()
    used, dataset = account.used(), account.dataset()
    startup, peak = account.startup, account.peak
    overhead = used - dataset
    rss = int(outside.get("used_memory_rss", "0")) or used
    total = int(outside.get("total_system_memory", "0"))
    return {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": rss,
        "used_memory_rss_human": human(rss),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": f"{100 * used / peak if peak else 100:.2f}%",
        "used_memory_overhead": overhead,
        "used_memory_startup": startup,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": f"{100 * dataset / max(1, used - startup):.2f}%",
        "allocator_allocated": used,        # as Redis reports it where malloc says nothing itself
        "allocator_active": rss,
        "allocator_resident": rss,
        "total_system_memory": total,
        "total_system_memory_human": human(total),
        **_of_scripts(context),
        "maxmemory": context.settings.maxmemory,
        "maxmemory_human": human(context.settings.maxmemory),
        "maxmemory_policy": accepted_value(context.settings, "maxmemory-policy"),
        "allocator_frag_ratio": f"{rss / used if used else 1:.2f}",
        "allocator_frag_bytes": rss - used,
        "allocator_rss_ratio": "1.00",
        "allocator_rss_bytes": 0,
        "rss_overhead_ratio": "1.00",
        "rss_overhead_bytes": 0,
        "mem_fragmentation_ratio": f"{rss / used if used else 1:.2f}",
        "mem_fragmentation_bytes": rss - used,
        "mem_not_counted_for_evict": startup,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": clients,
        "mem_cluster_links": 0,
        "mem_aof_buffer": 0,
        "mem_allocator": "libc",
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": 0,
    }


def _persistence(context: LocalContext) -> Fields:
    settings = context.settings
    is_failing = bool(context.node.store_failure)
    backups = context.backups
    return {
        "loading": 0,
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "current_save_keys_processed": 0,
        "current_save_keys_total": 0,
        "rdb_changes_since_last_save": backups.unsaved(context.node.counters),
        "rdb_bgsave_in_progress": int(backups.is_running and not backups.is_rewrite),
        "rdb_last_save_time": (backups.last_ms or context.started_ms) // 1000,
        "rdb_last_bgsave_status": "ok" if backups.is_well else "err",
        "rdb_last_bgsave_time_sec": -1 if backups.took_ms < 0 else backups.took_ms // 1000,
        "rdb_current_bgsave_time_sec":
            (context.now_ms - backups.began_ms) // 1000 if backups.is_running else -1,
        "rdb_saves": backups.count,
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": 0,
        "rdb_last_load_keys_loaded": context.loaded,
        "aof_enabled": 0 if settings.engine == "memory" else 1,
        "aof_rewrite_in_progress": int(backups.is_running and backups.is_rewrite),
        "aof_rewrite_scheduled": int(backups.waits(True)),
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_rewrites": 0,
        "aof_rewrites_consecutive_failures": 0,
        "aof_last_write_status": "err" if is_failing else "ok",
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    }


def _stats(context: LocalContext) -> Fields:
    sessions = context.sessions
    trackers = context.notifications.trackers
    return {
        "total_connections_received": sessions.connections,
        "total_commands_processed": sum(sessions.calls.values()),
        "instantaneous_ops_per_sec": 0,
        "total_net_input_bytes": 0,
        "total_net_output_bytes": 0,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": "0.00",
        "instantaneous_output_kbps": "0.00",
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": 0,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": (
            context.node.replica.expired_keys()
            + context.node.counters.expired_reduced + context.node.counters.expired_dropped
        ),
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": 0,
        "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": 0,
        "evicted_clients": 0,
        "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0,
        "keyspace_hits": context.node.counters.keyspace_hits,
        "keyspace_misses": context.node.counters.keyspace_misses,
        "pubsub_channels": len(context.notifications.pubsub.listeners[CHANNEL]),
        "pubsub_patterns": len(context.notifications.pubsub.listeners[PATTERN]),
        "pubsubshard_channels": len(context.notifications.pubsub.listeners[SHARD]),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": trackers.keys,
        "tracking_total_items": trackers.items(),
        "tracking_total_prefixes": trackers.prefixes(),
        "unexpected_error_replies": 0,
        "total_error_replies": sum(sessions.errors.values()),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": 0,
        "total_writes_processed": 0,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
    }


def _replication(context: LocalContext) -> Fields:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": context.node.identity.node_id,
        "master_replid2": "0" * 40,
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": accepted_value(context.settings, "repl-backlog-size"),
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    }


def _cpu(context: LocalContext) -> Fields:
    return dict.fromkeys(
        ("used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children",
         "used_cpu_sys_main_thread", "used_cpu_user_main_thread"), "0.000000",
    )


def _modules(context: LocalContext) -> Fields:
    return {}


def _commandstats(context: LocalContext) -> Fields:
    sessions = context.sessions
    fields: Fields = {}
    found = {**sessions.calls, **context.command_stats.costs}
    for command in sorted(found, key=lambda one: one.name):
        calls = sessions.calls.get(command, 0)
        cost = context.command_stats.costs.get(command) or Cost()
        each = cost.usec / cost.timed if cost.timed else 0
        fields[f"cmdstat_{command.name}"] = (
            f"calls={calls},usec={cost.usec},usec_per_call={each:.2f},"
            f"rejected_calls={cost.rejected},failed_calls={cost.failed}"
        )
    return fields


def _latencystats(context: LocalContext) -> Fields:
    costs = context.command_stats.costs
    wanted = accepted_value(context.settings, "latency-tracking-info-percentiles").split()
    return {
        f"latency_percentiles_usec_{command.name}": ",".join(
            f"p{share}={costs[command].quantile(float(share) / 100):.3f}" for share in wanted
        )
        for command in sorted(costs, key=lambda one: one.name) if costs[command].timed
    }


def _errorstats(context: LocalContext) -> Fields:
    errors = context.sessions.errors
    return {f"errorstat_{name}": f"count={errors[name]}" for name in sorted(errors)}


def _cluster(context: LocalContext) -> Fields:
    return {"cluster_enabled": 0}


def _keyspace(context: LocalContext) -> Fields:
    node = context.node
    context.slot_map.look(node.now.now_ms)
    mine = [partition for partition, is_mine in enumerate(context.slot_map.mine()) if is_mine]
    fields: Fields = {}
    for db, (live, timed) in enumerate(node.replica.keys_of(range(len(node.replica.live)))):
        keys = sum(live[partition] for partition in mine)
        if keys:
            expires = sum(timed[partition] for partition in mine)
            ttl_ms = context.times_to_live.average_ms(db, node.now.wall_ms) if expires else 0
            fields[f"db{db}"] = f"keys={keys},expires={expires},avg_ttl={ttl_ms}"
    return fields


def _dynamo(context: LocalContext) -> Fields:
    node = context.node
    ring = node.ring
    fields: Fields = {
        "dynamo_node_id": node.identity.node_id,
        "dynamo_cluster_id": ring.cluster_id if ring else "",
        "dynamo_ring_version": ring.version if ring else 0,
        "dynamo_members": len(ring.members) if ring else 0,
        "dynamo_peers_up": sum(1 for link in node.links.values() if link.is_up),
        "dynamo_partitions": ring.partitions if ring else 0,
        "dynamo_n": context.n,
        "dynamo_r": context.terms.r,
        "dynamo_w": context.terms.w,
        "dynamo_durability": context.settings.durability,
        "dynamo_cannot_store": node.store_failure,
        "dynamo_store_backlog_bytes": context.sessions.holding.store.bytes,
        "dynamo_store_behind": int(context.sessions.holding.store.is_behind),
        "dynamo_clients_held": len(context.sessions.holding.waiting),
        "dynamo_records": node.replica.records,
        "dynamo_live_keys": sum(map(sum, node.replica.live)),
        "dynamo_requests_in_flight": context.sessions.held(),
        "dynamo_requests_window": context.sessions.window(),
        "dynamo_orders_members": context.sessions.memory.orders()[0],
        "dynamo_orders_dropped": context.sessions.memory.orders()[1],
        "dynamo_hints_pending": node.hints.count,
        "dynamo_hints_bytes": node.hints.bytes,
        "dynamo_hints_oldest_ms": node.hints.oldest_age_ms(),
        "dynamo_tombstones": node.replica.records - sum(map(sum, node.replica.live)),
        "dynamo_exchange_age_ms": context.exchange.clean_age_ms(),
        "dynamo_exchange_due": context.exchange.due(),
        "dynamo_clock_doubted": int(context.readiness.clock.is_doubted),
        "dynamo_peers_spared": sum(1 for link in node.links.values() if link.deprioritized),
        "dynamo_background_rate": node.admission.rate,
        "dynamo_background_slowed": node.admission.slowed,
    }
    for kind, spent, _ in node.admission.rows():
        fields[f"dynamo_background_{kind}_bytes"] = spent
    for operation, role, histogram in context.latencies.rows():
        fields[f"dynamo_{role}_{operation}s"] = (
            f"count={histogram.count},p50_usec={histogram.quantile(0.5)},"
            f"p99_usec={histogram.quantile(0.99)},p999_usec={histogram.quantile(0.999)}"
        )
    fields.update({f"dynamo_{name}": value for name, value in node.counters.rows()})
    return fields


SECTIONS: Final[dict[str, tuple[str, Callable[[LocalContext], Fields]]]] = {
    "server": ("Server", _server),
    "clients": ("Clients", _clients),
    "memory": ("Memory", memory),
    "persistence": ("Persistence", _persistence),
    "stats": ("Stats", _stats),
    "replication": ("Replication", _replication),
    "cpu": ("CPU", _cpu),
    "modules": ("Modules", _modules),
    "commandstats": ("Commandstats", _commandstats),
    "errorstats": ("Errorstats", _errorstats),
    "latencystats": ("Latencystats", _latencystats),
    "cluster": ("Cluster", _cluster),
    "keyspace": ("Keyspace", _keyspace),
    "dynamo": ("Dynamo", _dynamo),
}


_BY_COMMAND: Final = frozenset({"commandstats", "latencystats"})      # shown when named


def human(size: int) -> str:
    """Bytes as Redis prints them for people.

    >>> human(0), human(1585240)
    ('0B', '1.51M')
    """
    if size < 1024:
        return f"{size}B"
    shown = float(size)
    for unit in "KMGT":
        shown /= 1024
        if shown < 1024:
            return f"{shown:.2f}{unit}"
    return f"{shown / 1024:.2f}P"
