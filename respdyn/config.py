"""Every setting, declared once as data; the flag, the variable, the file key and CONFIG follow.

`SETTINGS` is the declaration, `Settings` the typed value that the rest of the program holds, and
a test checks that the two agree. Values come as text from flags, `RESPDYN_*` variables and a TOML
file, in this order of precedence, and `settle` fills what was left open and refuses what
contradicts itself, naming setting, value and reason. Nothing here reads a file, a variable or a
command line: `cli` does and passes in what it found, so the core may import this module.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from respdyn.config_access import ACCESS_SETTINGS
from respdyn.config_redis import BY_NAME as REDIS_NAMES
from respdyn.config_redis import check_accepted, read
from respdyn.config_values import (
    GIB,
    HOUR,
    KIB,
    MIB,
    PORT,
    SECOND,
    SLOTS,
    ConfigError,
    Setting,
    Value,
    file_values,
    nearest,
    parse,
    shown_events,
)

SETTINGS: Final[tuple[Setting, ...]] = (
    # Who this node is, and where it listens.
    Setting("node-id", "node_id", "text", "",
            "40 hex digits; empty: that of the lost member at this address, or drawn; then kept"),
    Setting("bind", "bind", "list", ("127.0.0.1",),
            "addresses to listen on; beyond loopback, set requirepass, peer-secret", redis="bind"),
    Setting("announce-host", "host", "text", "",
            "address for clients and peers; empty: the first bind address, or this host's"),
    Setting("port", "client_port", "int", 6379,
            "where clients connect: one big Redis; 0: only over TLS, at tls-port",
            0, PORT, redis="port"),
    Setting("cluster-port", "cluster_port", "int", 0,
            "where cluster-aware clients connect; 0: port + 1000", 0, PORT),
    Setting("peer-port", "peer_port", "int", 0,
            "where the other nodes connect; 0: port + 10000", 0, PORT),
    Setting("http-port", "http_port", "int", 8379, "metrics and health; 0: not served", 0, PORT),
    Setting("data-dir", "data_dir", "text", "./data", "where the node keeps what must survive",
            redis="dir"),
    Setting("zone", "zone", "text", "",
            "failure domain (rack, data centre); copies are spread over zones"),
    Setting("weight", "weight", "int", 1,
            "share of the ring relative to other nodes; raising it brings more data here", 1, 1000),
    # The cluster.
    Setting("seeds", "seeds", "list", (),
            "peer addresses HOST:PEERPORT to find the cluster by; retried for ever"),
    Setting("cluster-size", "cluster_size", "int", 0,
            "form a new cluster when so many nodes have met; 0: join one that exists", 0, 1000),
    Setting("peer-secret", "peer_secret", "secret", "",
            "shared by all nodes of a cluster; required where peers are not on loopback"),
    Setting("peer-secret-file", "peer_secret_file", "text", "",
            "file that holds the peer secret, so that it is not on the command line"),
    Setting("n", "n", "int", 0,
            "copies of each key; each costs memory, disk, a message; 0: 3, alone 1", 0, 16),
    Setting("r", "r", "int", 0,
            "answers a read waits for; more is fresher and slower; 0: a majority of n", 0, 16),
    Setting("w", "w", "int", 0,
            "copies a write waits for; more is safer and slower; 0: a majority of n", 0, 16),
    Setting("partitions", "partitions", "int", 256,
            "equal parts of the ring, fixed at creation; more spread finer, cost gossip", 1, SLOTS),
    # What survives.
    Setting("engine", "engine", "choice", "rocksdb",
            "rocksdb survives a restart; memory does not", choices=("rocksdb", "memory")),
    Setting("durability", "durability", "choice", "everysec",
            "when a write is on disk: always = before its reply, which costs a disk flush",
            choices=("everysec", "always", "no")),
    Setting("lease-block", "lease_block", "int", 1_000_000,
            "counters reserved per durable write; a restart skips the rest of a block",
            1000, 1 << 32),
    Setting("tombstone-grace", "tombstone_grace_ms", "ms", 24 * HOUR,
            "how long deletions are remembered while a member is away; more costs memory",
            1, 366 * 24 * HOUR),
    Setting("hint-max-age", "hint_max_age_ms", "ms", 3 * HOUR,
            "how long a write is kept for an absent owner; costs disk", 1, 366 * 24 * HOUR),
    Setting("hint-max-bytes", "hint_max_bytes", "bytes", 256 * MIB,
            "hints kept before others must stand in; raising it costs memory and disk",
            0, 64 * GIB, runtime=True),
    Setting("hint-interval", "hint_interval_ms", "ms", 10 * SECOND,
            "how often hints are offered to owners that are up, besides when they come up",
            10, HOUR, runtime=True),
    *ACCESS_SETTINGS,
    # Time.
    Setting("request-timeout", "request_timeout_ms", "ms", 2 * SECOND,
            "no reply waits longer; raising it turns quick refusals into slow ones",
            1, HOUR, runtime=True),
    Setting("heartbeat", "heartbeat_ms", "ms", SECOND,
            "how often idle peers speak; raising it notices failures later", 10, 60 * SECOND),
    Setting("failure-timeout", "failure_timeout_ms", "ms", 1500,
            "silence after which a peer is down for sure; too low accuses busy peers", 10, HOUR),
    Setting("speculative", "speculative_ms", "ms", 50,
            "after so long a read asks one more replica; lower costs more messages",
            1, 60 * SECOND, runtime=True),
    Setting("collect-interval", "collect_interval_ms", "ms", 100,
            "pause between two looks for what may be forgotten; raising it frees memory later;"
            " 0: off", 0, HOUR, (), True),
    Setting("message-max-age", "message_max_age_ms", "ms", 60 * SECOND,
            "a peer's frame that may be older is refused; deletions are remembered for longer than"
            " that, so raising it costs memory and needs a longer tombstone-grace", SECOND, HOUR),
    Setting("exchange-interval", "exchange_interval_ms", "ms", 2 * SECOND,
            "pause between comparing copies; raising it repairs later; 0: off", 0, HOUR, (), True),
    Setting("scrub-interval", "scrub_interval_ms", "ms", 200,
            "pause between checking 256 records in memory; lower finds damage sooner; 0: off",
            0, HOUR, runtime=True),
    Setting("background-rate", "background_rate", "bytes", 32 * MIB,
            "most that repair in the background moves per second; higher repairs sooner",
            MIB, 64 * GIB, runtime=True),
    Setting("background-floor", "background_floor", "bytes", 256 * KIB,
            "what it may move per second however slow clients are served; higher slows them more",
            KIB, 64 * GIB, runtime=True),
    Setting("background-latency", "background_latency_ms", "ms", 10,
            "99th percentile of what clients wait at which it slows down; higher slows them more",
            1, 60 * SECOND, runtime=True),
    Setting("max-clock-offset", "max_clock_offset_ms", "ms", 500,
            "a remote clock further ahead is not adopted; higher lets bad clocks spread", 1, HOUR),
    # Limits. Each has a counter that says when it bites.
    Setting("max-inflight", "max_inflight", "int", 100_000,
            "requests under way at once, then -OVERLOAD; each holds a few KB",
            1, 10_000_000, runtime=True),
    Setting("inflight-soft", "inflight_soft", "int", 20_000,
            "requests under way at which other nodes stop choosing this one as coordinator",
            1, 10_000_000, runtime=True),
    Setting("max-clients", "max_clients", "int", 10_000,
            "connections of clients; each idle one costs under 20 KB and a descriptor",
            1, 4_294_967_295, runtime=True, redis="maxclients"),
    Setting("client-output-soft", "client_output_soft", "bytes", MIB,
            "unread replies at which a client's commands wait; raising it costs memory per client",
            KIB, GIB, runtime=True),
    Setting("client-output-limit", "client_output_limit", "bytes", 64 * MIB,
            "unread replies at which a client is disconnected; must exceed any single reply",
            KIB, 64 * GIB, runtime=True),
    Setting("pubsub-output-limit", "pubsub_output_limit", "bytes", 32 * MIB,
            "unread messages at which a subscriber is disconnected; costs memory per subscriber",
            KIB, 64 * GIB, runtime=True),
    Setting("pubsub-output-soft", "pubsub_output_soft", "bytes", 8 * MIB,
            "unread messages that a subscriber may have only for pubsub-output-seconds",
            KIB, 64 * GIB, runtime=True),
    Setting("pubsub-output-seconds", "pubsub_output_seconds", "seconds", 60,
            "how long a subscriber may stay above pubsub-output-soft", 1, 86400, runtime=True),
    Setting("drain-timeout", "drain_timeout_ms", "ms", 5 * SECOND,
            "a stopping node waits so long for its clients to move; raising it stops later",
            0, HOUR, runtime=True),
    Setting("moving-time", "moving_seconds", "seconds", 60,
            "for how long clients that got MOVING stay away; longer than a restart takes",
            1, 86400, runtime=True),
    Setting("store-backlog", "store_backlog", "bytes", 64 * MIB,
            "bytes waiting for the disk at which clients that write much wait; costs memory",
            KIB, 64 * GIB),
    Setting("peer-output-limit", "peer_output_limit", "bytes", 256 * MIB,
            "unsent bytes at which the link to a peer is dropped; raising it costs memory",
            KIB, 64 * GIB),
    Setting("peer-frame-limit", "peer_frame_limit", "bytes", GIB,
            "largest frame accepted from a peer; must exceed proto-max-bulk-len", MIB, 4 * GIB),
    Setting("handshake-timeout", "handshake_timeout_ms", "ms", 5 * SECOND,
            "a connection between nodes must be proved within this time", 100, 60 * SECOND),
    Setting("proto-max-bulk-len", "proto_max_bulk_len", "bytes", 512 * MIB,
            "largest argument of a command; memory is taken only as bytes arrive",
            MIB, 512 * MIB, runtime=True, redis="proto-max-bulk-len"),
    Setting("proto-max-args", "proto_max_args", "int", MIB,
            "most arguments of one command; each costs about 100 bytes while it is read",
            KIB, 1 << 31, runtime=True),
    Setting("proto-max-command", "proto_max_command", "bytes", GIB,
            "largest command with all its arguments; a client can make the node hold as much",
            MIB, 64 * GIB, runtime=True, redis="client-query-buffer-limit"),
    Setting("transaction-limit", "transaction_limit", "bytes", 256 * MIB,
            "largest transaction: words queued, and 100 bytes for each; a client can hold as much",
            KIB, GIB, runtime=True),
    Setting("transaction-commands", "transaction_commands", "int", 5_000,
            "most commands of one, and keys of a WATCH or script", 1, MIB, runtime=True),
    Setting("proto-inline-max", "proto_inline_max", "bytes", 64 * KIB, "of a plain line", KIB, MIB),
    Setting("blocked-clients-max", "blocked_clients_max", "int", 10_000,
            "clients that wait in BLPOP and its kin; each costs 2 kB", 1, MIB, runtime=True),
    Setting("tracking-table-max-keys", "tracking_table_max_keys", "int", 1_000_000,
            "keys remembered for clients that cache; each costs about 300 bytes",
            1, 1 << 32, runtime=True, redis="tracking-table-max-keys"),
    Setting("maxmemory", "maxmemory", "bytes", 0,
            "memory for data and clients at which clients' writes are refused (-OOM); 0: no limit",
            0, 1 << 50, runtime=True, redis="maxmemory"),
    Setting("script-memory", "script_memory", "bytes", 256 * MIB,
            "memory that one script may take", MIB, 1 << 40),
    Setting("slowlog-log-slower-than", "slowlog_us", "int", 10_000,
            "microseconds from which a command is kept for SLOWLOG; 0: every one, -1: none",
            -1, 1 << 40, runtime=True, redis="slowlog-log-slower-than"),
    Setting("slowlog-max-len", "slowlog_max_len", "int", 128,
            "commands kept; each costs up to 4 KB", 0, 100_000, (), True, "slowlog-max-len"),
    Setting("latency-monitor-threshold", "latency_ms", "int", 0,
            "ms of a latency event; 0: off", 0, 1 << 40, (), True, "latency-monitor-threshold"),
    Setting("backups-kept", "backups_kept", "int", 3, "older backups go", 1, 1000, (), True),
    Setting("siblings-warn", "siblings_warn", "int", 25,
            "siblings of one key at which it is counted as suspicious", 1, 10_000, runtime=True),
    Setting("siblings-max", "siblings_max", "int", 100,
            "siblings at which DYN.PUTCTX is refused; each costs its value", 1, 10_000, (), True),
    Setting("timeout", "timeout", "seconds", 0,
            "disconnect a client idle so long; 0: never", 0, 2_147_483_647, (), True, "timeout"),
    Setting("tcp-keepalive", "tcp_keepalive", "seconds", 300,
            "probe silent clients so often; 0: no", 0, 2_147_483_647, (), True, "tcp-keepalive"),
    Setting("notify-keyspace-events", "notify_keyspace_events", "events", "",
            "events to publish, by Redis's letters; every node publishes what any of them wants",
            runtime=True, redis="notify-keyspace-events"),
    Setting("log-format", "log_format", "choice", "text", "text: key=value; json: one object each",
            choices=("text", "json")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one node, as declared in `SETTINGS`. Built by `load`, changed by `change`.

    `accepted` alone is not declared: it holds what Redis's settings without effect were set to.
    In a settled one (`settle`) no port and no n is left at 0 = "not given"; r and w may be: then
    they follow the n of the ring that this node is in.
    """

    node_id: str = ""
    bind: tuple[str, ...] = ("127.0.0.1",)
    host: str = ""
    client_port: int = 6379
    cluster_port: int = 0
    peer_port: int = 0
    http_port: int = 8379
    data_dir: str = "./data"
    zone: str = ""
    weight: int = 1
    seeds: tuple[str, ...] = ()
    cluster_size: int = 0
    peer_secret: str = ""
    peer_secret_file: str = ""
    n: int = 0
    r: int = 0
    w: int = 0
    partitions: int = 256
    engine: str = "rocksdb"
    durability: str = "everysec"
    lease_block: int = 1_000_000
    tombstone_grace_ms: int = 24 * HOUR
    hint_max_age_ms: int = 3 * HOUR
    hint_max_bytes: int = 256 * MIB
    hint_interval_ms: int = 10 * SECOND
    requirepass: str = ""
    requirepass_file: str = ""
    aclfile: str = ""
    acllog_max_len: int = 128
    protected_mode: bool = True
    enable_debug_command: str = "no"
    tls_port: int = 0
    tls_cluster_port: int = 0
    tls_replication: bool = False
    tls_http: bool = False
    tls_cert_file: str = ""
    tls_key_file: str = ""
    tls_key_file_pass: str = ""
    tls_ca_cert_file: str = ""
    tls_ca_cert_dir: str = ""
    tls_auth_clients: str = "yes"
    tls_protocols: str = "TLSv1.2 TLSv1.3"
    tls_ciphers: str = ""
    request_timeout_ms: int = 2 * SECOND
    heartbeat_ms: int = SECOND
    failure_timeout_ms: int = 1500
    speculative_ms: int = 50
    collect_interval_ms: int = 100
    message_max_age_ms: int = 60 * SECOND
    exchange_interval_ms: int = 2 * SECOND
    scrub_interval_ms: int = 200
    background_rate: int = 32 * MIB
    background_floor: int = 256 * KIB
    background_latency_ms: int = 10
    max_clock_offset_ms: int = 500
    max_inflight: int = 100_000
    inflight_soft: int = 20_000
    max_clients: int = 10_000
    client_output_soft: int = MIB
    client_output_limit: int = 64 * MIB
    pubsub_output_limit: int = 32 * MIB
    pubsub_output_soft: int = 8 * MIB
    pubsub_output_seconds: int = 60
    drain_timeout_ms: int = 5 * SECOND
    moving_seconds: int = 60
    store_backlog: int = 64 * MIB
    peer_output_limit: int = 256 * MIB
    peer_frame_limit: int = GIB
    handshake_timeout_ms: int = 5 * SECOND
    proto_max_bulk_len: int = 512 * MIB
    proto_max_args: int = MIB
    proto_max_command: int = GIB
    transaction_limit: int = 256 * MIB
    transaction_commands: int = 5_000
    proto_inline_max: int = 64 * KIB
    blocked_clients_max: int = 10_000
    tracking_table_max_keys: int = 1_000_000
    maxmemory: int = 0
    script_memory: int = 256 * MIB
    slowlog_us: int = 10_000
    slowlog_max_len: int = 128
    latency_ms: int = 0
    backups_kept: int = 3
    siblings_warn: int = 25
    siblings_max: int = 100
    timeout: int = 0
    tcp_keepalive: int = 300
    notify_keyspace_events: str = ""
    log_format: str = "text"
    accepted: tuple[tuple[str, str], ...] = ()  # of `config_redis`: what was set, by name


ENV_PREFIX: Final = "RESPDYN_"
ENV_FILE: Final = "RESPDYN_CONFIG"      # names the file; read by cli
ENV_OTHERS: Final = (ENV_FILE, "RESPDYN_BUILD", "RESPDYN_BUILD_CACHE")      # for who builds

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
# Kubernetes sets such variables in every pod beside a service called "respdyn".
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP).*)$")


def load(
    flags: Mapping[str, str], env: Mapping[str, str], file_text: str = "", file_name: str = "file",
) -> Settings:
    """The settled settings: flag before environment before file before default.

    `flags` maps setting names to text; of `env` only `RESPDYN_*` is looked at.
    Raises `ConfigError` for what is unknown, cannot be read, or contradicts itself.
    """
    given: dict[str, Value] = {}
    accepted: dict[str, str] = {}
    for name, text in file_values(file_text, file_name).items():
        shown = f"{file_name}: {name}"
        if name in REDIS_NAMES:
            try:
                accepted[REDIS_NAMES[name].name] = read(REDIS_NAMES[name], text)
            except ConfigError as wrong:
                raise ConfigError(f"{shown}: {_reason(text, wrong)}") from None
        else:
            _take(given, name, text, shown)
    for variable in sorted(env):
        text = env[variable]
        if not variable.startswith(ENV_PREFIX) or variable in ENV_OTHERS or text == "":
            continue
        if _SERVICE_LINK.search(variable) or text.startswith(("tcp://", "udp://")):
            continue
        _take(given, variable.removeprefix(ENV_PREFIX).lower().replace("_", "-"), text, variable)
    for name, text in flags.items():
        _take(given, name, text, f"--{name}")
    settings = with_values(Settings(), given)
    return settle(replace(settings, accepted=tuple(sorted(accepted.items()))))


def settle(settings: Settings) -> Settings:
    """A copy with ports and n filled in where they were not given. Raises `ConfigError`."""
    plain, tls = settings.client_port, settings.tls_port
    settled = replace(
        settings,
        cluster_port=settings.cluster_port or (plain and plain + 1000),
        tls_cluster_port=settings.tls_cluster_port or (tls and tls + 1000),
        peer_port=settings.peer_port or (plain or tls) + 10000,
        n=settings.n or (3 if is_clustered(settings) else 1),
    )
    check(settled)
    return settled


def is_clustered(settings: Settings) -> bool:
    """Whether this node is to be one of several."""
    return bool(settings.seeds) or settings.cluster_size > 1


def check(settings: Settings) -> None:
    """Raises `ConfigError` for the first contradiction between the settings of a settled one."""
    s = settings
    _check_quorum(s)
    _check_ports(s)
    _check_tls(s)
    if s.partitions & (s.partitions - 1):
        _refuse("partitions", s.partitions, "must be a power of two, so that each is an equal part"
                f" of the {SLOTS} slots")
    for name, text in (("announce-host", s.host), ("zone", s.zone)):
        if len(text) > 255 or " " in text:
            _refuse(name, text, "must be one word of at most 255 characters")
    if s.node_id and not re.fullmatch(r"[0-9a-f]{40}", s.node_id):
        _refuse("node-id", s.node_id, "must be 40 lower-case hex digits")
    horizon_ms = s.hint_max_age_ms + s.max_clock_offset_ms + s.message_max_age_ms
    if horizon_ms >= s.tombstone_grace_ms:
        _refuse("hint-max-age", f"{s.hint_max_age_ms} ms", "with max-clock-offset"
                f" ({s.max_clock_offset_ms} ms) and message-max-age ({s.message_max_age_ms} ms) it"
                f" must stay below"
                f" tombstone-grace ({s.tombstone_grace_ms} ms): a hint older than the memory of a"
                " deletion would bring the deleted key back")
    if s.failure_timeout_ms <= s.heartbeat_ms:
        _refuse("failure-timeout", f"{s.failure_timeout_ms} ms", "must be above heartbeat"
                f" ({s.heartbeat_ms} ms), or every idle peer is suspected")
    for name, low, above, high in (
        ("client-output-soft", s.client_output_soft, "client-output-limit", s.client_output_limit),
        ("pubsub-output-soft", s.pubsub_output_soft, "pubsub-output-limit", s.pubsub_output_limit),
        ("background-floor", s.background_floor, "background-rate", s.background_rate),
        ("siblings-warn", s.siblings_warn, "siblings-max", s.siblings_max),
    ):
        if low > high:
            _refuse(name, low, f"is above {above} ({high})")
    if s.peer_frame_limit < s.proto_max_bulk_len + MIB:
        _refuse("peer-frame-limit", s.peer_frame_limit, "must exceed proto-max-bulk-len"
                f" ({s.proto_max_bulk_len}) by 1mb, or a large value could not be replicated")
    if s.peer_secret and s.peer_secret_file:
        _refuse("peer-secret-file", s.peer_secret_file, "peer-secret is given as well; give one")
    check_accepted(s.accepted, s.engine, s.durability)
    if s.requirepass and s.requirepass_file:
        _refuse("requirepass-file", s.requirepass_file, "requirepass is given as well; give one")


def _check_quorum(s: Settings) -> None:
    """N, R, W and the number of nodes that is to hold them."""
    for name, value in (("r", s.r), ("w", s.w)):
        if value > s.n:
            _refuse(name, value, f"is above n ({s.n}): no key has so many copies")
    if s.seeds and s.cluster_size and s.cluster_size < s.n:
        _refuse("cluster-size", s.cluster_size,
                f"is below n ({s.n}): so few nodes cannot hold n copies")
    if not is_clustered(s) and s.n > 1:
        _refuse("n", s.n, "a node without seeds is a cluster of one and holds one copy;"
                " give --seeds and --cluster-size")
    for seed in s.seeds:
        host, _, port = seed.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT:
            _refuse("seeds", seed, "must be HOST:PEERPORT, for example 10.0.0.1:16379")
    if not s.bind:
        _refuse("bind", "", "must name at least one address")
    is_guarded = s.peer_secret or s.peer_secret_file or s.tls_replication
    if is_clustered(s) and not (is_guarded or is_loopback_only(s.bind)):
        _refuse("peer-secret", "", f"must be set where peers connect from elsewhere (bind is"
                f" {' '.join(s.bind)}): without it anyone who reaches the peer port could join")


def _check_ports(s: Settings) -> None:
    """Listeners of different kinds, different ports."""
    if not (s.client_port or s.tls_port):
        _refuse("port", 0, "no client could connect; give --tls-port as well, or another --port")
    taken: dict[int, str] = {}
    for name, port in (("port", s.client_port), ("cluster-port", s.cluster_port),
                       ("tls-port", s.tls_port), ("tls-cluster-port", s.tls_cluster_port),
                       ("peer-port", s.peer_port), ("http-port", s.http_port)):
        if not 0 <= port <= PORT:
            _refuse(name, port, f"is out of range 1..{PORT}; derived from port"
                    f" {s.client_port}, so give --{name}")
        if port and port in taken:
            _refuse(name, port, f"is the same as {taken[port]}")
        taken[port] = name


def _check_tls(s: Settings) -> None:
    """Who speaks TLS needs a certificate, and who judges one a CA."""
    has_ca = s.tls_ca_cert_file or s.tls_ca_cert_dir
    for name, port in (("tls-port", s.tls_port), ("tls-cluster-port", s.tls_cluster_port),
                       ("tls-replication", s.tls_replication), ("tls-http", s.tls_http)):
        if port and not (s.tls_cert_file and s.tls_key_file):
            _refuse(name, port, "needs tls-cert-file and tls-key-file")
    if s.tls_replication and not has_ca:
        _refuse("tls-replication", "yes", "needs tls-ca-cert-file: nodes judge each other by it")
    if (s.tls_port or s.tls_cluster_port) and s.tls_auth_clients != "no" and not has_ca:
        _refuse("tls-auth-clients", s.tls_auth_clients,
                "needs tls-ca-cert-file, or no certificate can be judged; or say no")
    if not s.tls_protocols or set(s.tls_protocols.split()) - {"TLSv1.2", "TLSv1.3"}:
        _refuse("tls-protocols", s.tls_protocols, "must be TLSv1.2, TLSv1.3 or both")


def is_loopback_only(addresses: Iterable[str]) -> bool:
    """Whether only this machine can connect to any of these addresses."""
    return all(a == "localhost" or a == "::1" or a.startswith("127.") for a in addresses)


def show(setting: Setting, settings: Settings) -> str:
    """The value as text, in base units; parsing it gives the value back."""
    value: object = getattr(settings, setting.field)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(value)
    if setting.kind == "events":
        return shown_events(str(value))
    return str(value)


def _take(given: dict[str, Value], name: str, text: str, shown: str) -> None:
    """Read one setting; an error names it as it was `shown`, and never shows a secret."""
    setting = _named(name, shown)
    try:
        given[setting.field] = parse(setting, text)
    except ConfigError as wrong:
        value = "" if setting.kind == "secret" else text
        raise ConfigError(f"{shown}: {_reason(value, wrong)}") from None


def _reason(text: str, wrong: ConfigError) -> str:
    """The value, if it may be shown, and what is wrong with it."""
    reason = str(wrong).removeprefix("argument ").removeprefix("argument(s) ")
    return f"{text!r} {reason}" if text else reason


def _named(name: str, shown: str) -> Setting:
    if name not in _BY_NAME:
        raise ConfigError(f"{shown}: unknown setting{nearest(name, _BY_NAME)}")
    return _BY_NAME[name]


def with_values(settings: Settings, given: Mapping[str, Value]) -> Settings:
    """A copy with these fields; `parse` has made each the type its declaration says."""
    return replace(settings, **given)  # type: ignore[arg-type]


def _refuse(name: str, value: object, reason: str) -> None:
    raise ConfigError(f"{name} {'(empty)' if value == '' else value}: {reason}")
