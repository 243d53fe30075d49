"""Redis's settings that have no counterpart here: accepted, remembered and given back.

Frameworks, test suites and operators' scripts set them, and a server that stops a script for a
limit of a listpack helps no one. So `CONFIG SET` takes them with Redis's own types, ranges and
error texts, `CONFIG GET` gives them back in Redis's form, `CONFIG REWRITE` keeps them, and nothing
else happens. Where having no effect would break a promise that users rely on (eviction,
another password for TLS, a replica that must answer) the one value that is true is accepted, and
any other refused with the reason (`only`). `FIXED` are those that Redis itself refuses to change.

What is a setting of respdyn, under whatever name, is in `config`.

Source: Redis 7.0.15 `config.c` (static_configs).
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from respdyn.config_values import ConfigError, memory, whole_number

_INT: Final = (1 << 31) - 1
_LONG: Final = (1 << 63) - 1

# Redis's values of what it reads at start only, where one value is true here.
FIXED: Final[dict[str, str]] = {
    "always-show-logo": "no", "aof_rewrite_cpulist": "", "appenddirname": "appendonlydir",
    "appendfilename": "appendonly.aof", "bgsave_cpulist": "", "bio_cpulist": "",
    "cluster-config-file": "", "cluster-enabled": "no", "daemonize": "no", "databases": "16",
    "dbfilename": "", "disable-thp": "yes", "enable-module-command": "no",
    "enable-protected-configs": "no", "io-threads": "1", "io-threads-do-reads": "no",
    "logfile": "", "pidfile": "", "rdbchecksum": "yes", "replicaof": "", "server_cpulist": "",
    "set-proc-title": "no", "slaveof": "", "socket-mark-id": "0", "supervised": "no",
    "syslog-enabled": "no", "syslog-facility": "local0", "syslog-ident": "redis",
    "tcp-backlog": "511", "tls-cluster": "no", "unixsocket": "", "unixsocketperm": "0",
}
PROTECTED: Final = frozenset({"dbfilename", "dir"})     # Redis has another word for these


FOLLOWS: Final = ""     # the default of two that follow durability and engine


class RedisSetting(NamedTuple):
    """One of them. `kind` names its type in `_READERS`; a flag is yes or no.

    `also` is Redis's old name for it. With `only`, a reason, nothing but the default is accepted.
    """

    name: str
    kind: str
    default: str
    low: int = 0
    high: int = _LONG
    choices: tuple[str, ...] = ()
    also: str = ""
    only: str = ""


def _flags(default: str, *names: str) -> tuple[RedisSetting, ...]:
    return tuple(RedisSetting(name, "flag", default) for name in names)


def _numbers(kind: str, *rows: tuple[str, int, int, int]) -> tuple[RedisSetting, ...]:
    return tuple(RedisSetting(name, kind, str(value), low, high) for name, value, low, high in rows)


_EVICTION: Final = (
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru",
    "allkeys-lfu", "allkeys-random", "noeviction",
)
_SIGNALS: Final = ("default", "save", "nosave", "now", "force")
_FIXED_BY_HOST: Final = "clients get announce-host and the ports, which are fixed at start"
_TLS: Final = "respdyn leaves this to OpenSSL, or uses the node's own certificate"

ACCEPTED: Final[tuple[RedisSetting, ...]] = (
    # How types that are not here, or are kept otherwise, lie in memory.
    *_numbers(
        "int",
        ("active-defrag-cycle-max", 25, 1, 99), ("active-defrag-cycle-min", 1, 1, 99),
        ("active-defrag-max-scan-fields", 1000, 1, _LONG),
        ("active-defrag-threshold-lower", 10, 0, 1000),
        ("active-defrag-threshold-upper", 100, 0, 1000), ("active-expire-effort", 1, 1, 10),
        ("auto-aof-rewrite-percentage", 100, 0, _INT), ("cluster-migration-barrier", 1, 0, _INT),
        ("cluster-node-timeout", 15000, 0, _LONG),
        ("lfu-decay-time", 1, 0, _INT), ("lfu-log-factor", 10, 0, _INT),
        ("list-compress-depth", 0, 0, _INT), ("maxmemory-eviction-tenacity", 10, 0, 100),
        ("maxmemory-samples", 5, 1, _INT), ("repl-backlog-ttl", 3600, 0, _LONG),
        ("repl-diskless-sync-delay", 5, 0, _INT), ("repl-diskless-sync-max-replicas", 0, 0, _INT),
        ("repl-timeout", 60, 1, _INT), ("set-max-intset-entries", 512, 0, _LONG),
        ("shutdown-timeout", 10, 0, _INT), ("stream-node-max-entries", 100, 0, _LONG),
        ("tls-session-cache-size", 20480, 0, _INT), ("tls-session-cache-timeout", 300, 0, _INT),
    ),
    *_numbers(
        "memory",
        ("active-defrag-ignore-bytes", 100 << 20, 1, _LONG),
        ("auto-aof-rewrite-min-size", 64 << 20, 0, _LONG),
        ("cluster-link-sendbuf-limit", 0, 0, (1 << 64) - 1),
        ("hll-sparse-max-bytes", 3000, 0, _LONG),
        ("stream-node-max-bytes", 4096, 0, _LONG),
    ),
    RedisSetting("repl-backlog-size", "backlog", str(1 << 20), 1),
    RedisSetting("hz", "hertz", "10", 0, _INT),
    RedisSetting("busy-reply-threshold", "int", "5000", also="lua-time-limit"),
    RedisSetting("cluster-replica-validity-factor", "int", "10", 0, _INT,
                 also="cluster-slave-validity-factor"),
    RedisSetting("hash-max-listpack-entries", "int", "512", also="hash-max-ziplist-entries"),
    RedisSetting("hash-max-listpack-value", "memory", "64", also="hash-max-ziplist-value"),
    RedisSetting("list-max-listpack-size", "int", "-2", -_INT - 1, _INT,
                 also="list-max-ziplist-size"),
    RedisSetting("zset-max-listpack-entries", "int", "128", also="zset-max-ziplist-entries"),
    RedisSetting("zset-max-listpack-value", "memory", "64", also="zset-max-ziplist-value"),
    RedisSetting("replica-announce-port", "int", "0", 0, 65535, also="slave-announce-port"),
    RedisSetting("replica-priority", "int", "100", 0, _INT, also="slave-priority"),
    RedisSetting("repl-ping-replica-period", "int", "10", 1, _INT, also="repl-ping-slave-period"),
    *_flags("no", "aof-disable-auto-gc", "aof-timestamp-enabled", "cluster-allow-reads-when-down",
            "cluster-require-full-coverage", "lazyfree-lazy-eviction", "lazyfree-lazy-expire",
            "lazyfree-lazy-server-del", "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush",
            "no-appendfsync-on-rewrite", "rdb-del-sync-files", "repl-disable-tcp-nodelay",
            "replica-ignore-disk-write-errors"),
    *_flags("yes", "activerehashing", "aof-load-truncated", "aof-rewrite-incremental-fsync",
            "aof-use-rdb-preamble", "cluster-allow-pubsubshard-when-down",
            "cluster-allow-replica-migration", "crash-log-enabled", "crash-memcheck-enabled",
            "dynamic-hz", "jemalloc-bg-thread", "latency-tracking", "rdb-save-incremental-fsync",
            "rdbcompression", "repl-diskless-sync", "replica-announced",
            "stop-writes-on-bgsave-error", "tls-session-caching"),
    RedisSetting("cluster-replica-no-failover", "flag", "no", also="cluster-slave-no-failover"),
    RedisSetting("replica-ignore-maxmemory", "flag", "yes", also="slave-ignore-maxmemory"),
    RedisSetting("replica-lazy-flush", "flag", "no", also="slave-lazy-flush"),
    RedisSetting("replica-read-only", "flag", "yes", also="slave-read-only"),
    RedisSetting("replica-serve-stale-data", "flag", "yes", also="slave-serve-stale-data"),
    *(RedisSetting(name, "text", "") for name in ("ignore-warnings", "masterauth", "masteruser")),
    RedisSetting("replica-announce-ip", "text", "", also="slave-announce-ip"),
    RedisSetting("proc-title-template", "title", "{title} {listen-addr} {server-mode}"),
    RedisSetting("save", "save", ""),
    RedisSetting("latency-tracking-info-percentiles", "percentiles", "50 99 99.9"),
    RedisSetting("oom-score-adj-values", "scores", "0 200 800"),
    RedisSetting("cluster-preferred-endpoint-type", "choice", "ip",
                 choices=("ip", "hostname", "unknown-endpoint")),
    RedisSetting("loglevel", "choice", "notice", choices=("debug", "verbose", "notice", "warning")),
    RedisSetting("oom-score-adj", "oom", "no", choices=("no", "yes", "relative", "absolute")),
    RedisSetting("propagation-error-behavior", "choice", "ignore",
                 choices=("ignore", "panic", "panic-on-replicas")),
    RedisSetting("repl-diskless-load", "choice", "disabled",
                 choices=("disabled", "on-empty-db", "swapdb")),
    RedisSetting("sanitize-dump-payload", "choice", "no", choices=("no", "yes", "clients")),
    RedisSetting("shutdown-on-sigint", "signal", "default", choices=_SIGNALS),
    RedisSetting("shutdown-on-sigterm", "signal", "default", choices=_SIGNALS),
    # A value below what respdyn does anyway changes nothing. `config.check` refuses more.
    RedisSetting("appendfsync", "choice", FOLLOWS, choices=("everysec", "always", "no")),
    RedisSetting("appendonly", "flag", FOLLOWS),
    # Accepted at the one value that is true.
    RedisSetting("acl-pubsub-default", "choice", "resetchannels",
                 choices=("allchannels", "resetchannels"),
                 only="a new user of respdyn has no channel until it is given some"),
    RedisSetting("activedefrag", "flag", "no",
                 only="Active defragmentation cannot be enabled: it requires a Redis server"
                      " compiled with a modified Jemalloc like the one shipped by default with the"
                      " Redis source distribution"),
    RedisSetting("bind-source-addr", "text", "", only="the system chooses it"),
    RedisSetting("cluster-announce-bus-port", "int", "0", 0, 65535, only=_FIXED_BY_HOST),
    RedisSetting("cluster-announce-hostname", "hostname", "", only=_FIXED_BY_HOST),
    RedisSetting("cluster-announce-ip", "text", "", only=_FIXED_BY_HOST),
    RedisSetting("cluster-announce-port", "int", "0", 0, 65535, only=_FIXED_BY_HOST),
    RedisSetting("cluster-announce-tls-port", "int", "0", 0, 65535, only=_FIXED_BY_HOST),
    RedisSetting("maxmemory-clients", "memory or percent", "0",
                 only="respdyn puts out no client for memory; client-output-limit bounds each"),
    RedisSetting("maxmemory-policy", "choice", "noeviction", choices=_EVICTION,
                 only="respdyn evicts nothing: at maxmemory writes are refused (noeviction)"),
    RedisSetting("min-replicas-max-lag", "int", "10", 0, _INT, also="min-slaves-max-lag"),
    RedisSetting("min-replicas-to-write", "int", "0", 0, _INT, also="min-slaves-to-write",
                 only="there are no replicas: set w, the copies that a write waits for"),
    *(RedisSetting(name, "text", "", only=_TLS)
      for name in ("tls-ciphersuites", "tls-client-cert-file", "tls-client-key-file",
                   "tls-client-key-file-pass", "tls-dh-params-file")),
    RedisSetting("tls-prefer-server-ciphers", "flag", "no", only=_TLS),
)


def read(setting: RedisSetting, text: str) -> str:
    """The value in Redis's form. Raises `ConfigError` with Redis's description of what is wrong."""
    value = _READERS[setting.kind](setting, text)
    if setting.only and value != setting.default:
        raise ConfigError(setting.only)
    return value


def check_accepted(accepted: Iterable[tuple[str, str]], engine: str, durability: str) -> None:
    """Refuse, by `ConfigError`, settings that ask for more than this node's start has given it."""
    for name, value in accepted:
        if name == "appendonly" and value == "yes" and engine == "memory":
            raise ConfigError(f"{name} yes: engine is memory, which keeps nothing on disk")
        if name == "appendfsync" and _STRENGTH[value] > _STRENGTH[durability]:
            raise ConfigError(
                f"{name} {value}: durability, which is fixed at the start, is {durability}"
            )


_STRENGTH: Final = {"no": 0, "everysec": 1, "always": 2}        # of what durability promises


def _flag(setting: RedisSetting, text: str) -> str:
    if text.lower() not in ("yes", "no"):
        raise ConfigError("argument must be 'yes' or 'no'")
    return text.lower()


def _choice(setting: RedisSetting, text: str) -> str:
    return _chosen(setting, [text])


def _chosen(setting: RedisSetting, words: Iterable[str]) -> str:
    given = [word.lower() for word in words]
    if not given or not set(given) <= set(setting.choices):
        raise ConfigError(
            f"argument(s) must be one of the following: {', '.join(setting.choices)}"
        )
    return " ".join(one for one in setting.choices if one in given)


def _oom(setting: RedisSetting, text: str) -> str:
    chosen = _choice(setting, text)
    return "yes" if chosen == "relative" else chosen      # two words for one thing


def _signal(setting: RedisSetting, text: str) -> str:
    chosen = _chosen(setting, text.split(" "))
    if {"save", "nosave"} <= set(chosen.split()):
        raise ConfigError("shutdown options SAVE and NOSAVE can't be used simultaneously")
    return chosen if chosen == "default" else chosen.removeprefix("default ")


def _integer(setting: RedisSetting, text: str) -> str:
    number = whole_number(text)
    if number is None:
        raise ConfigError("argument couldn't be parsed into an integer")
    return _within(setting, number)


def _hertz(setting: RedisSetting, text: str) -> str:
    return str(min(max(int(_integer(setting, text)), 1), 500))


def _memory(setting: RedisSetting, text: str) -> str:
    number = memory(text)
    if number is None:
        raise ConfigError("argument must be a memory value")
    return _within(setting, number)


def _backlog(setting: RedisSetting, text: str) -> str:
    return str(max(int(_memory(setting, text)), 16384))


def _memory_or_percent(setting: RedisSetting, text: str) -> str:
    number = memory(text)
    if number is not None and number <= _LONG:
        return str(number)
    share = (1 << 64) - number if number is not None else None  # Redis keeps both in one number
    if text.endswith("%"):
        share = whole_number(text[:-1])
    if share is None or share < 0:
        raise ConfigError("argument must be a memory or percent value")
    if share > 100:
        raise ConfigError("percentage argument must be less or equal to 100")
    return f"{share}%" if share else "0"


def _within(setting: RedisSetting, number: int) -> str:
    if not setting.low <= number <= setting.high:
        raise ConfigError(
            f"argument must be between {setting.low} and {setting.high} inclusive"
        )
    return str(number)


def _text(setting: RedisSetting, text: str) -> str:
    if not text.isprintable():
        raise ConfigError("argument must be printable text")
    return text


def _hostname(setting: RedisSetting, text: str) -> str:
    if len(text) >= 256:
        raise ConfigError("Hostnames must be less than 256 characters")
    if not re.fullmatch(r"[A-Za-z0-9.-]*", text):
        raise ConfigError("Hostnames may only contain alphanumeric characters, hyphens or dots")
    return text


_TITLE_PARTS: Final = re.compile(
    r"\{(title|listen-addr|server-mode|port|tls-port|unixsocket|config-file)\}"
)


def _title(setting: RedisSetting, text: str) -> str:
    rest = _TITLE_PARTS.sub(lambda part: "x" if part[1].endswith(("addr", "port")) else "", text)
    if not rest.strip() or "{" in rest or "}" in rest:
        raise ConfigError("template format is invalid or contains unknown variables")
    return _text(setting, text)


def _save(setting: RedisSetting, text: str) -> str:
    words = text.split(" ") if text else []
    if len(words) % 2 or not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words) or any(
        int(seconds) < 1 for seconds in words[::2]
    ):
        raise ConfigError("Invalid save parameters")
    return " ".join(str(int(word)) for word in words)


def _percentiles(setting: RedisSetting, text: str) -> str:
    shown = []
    for word in text.split(" ") if text else []:
        try:
            share = float(word)
        except ValueError:
            share = float("nan")
        if share != share:
            raise ConfigError(f"Invalid {setting.name} parameters")
        if not 0.0 <= share <= 100.0:
            raise ConfigError(f"{setting.name} parameters should sit between [0.0,100.0]")
        shown.append(f"{share:f}".rstrip("0").rstrip("."))
    return " ".join(shown)


def _scores(setting: RedisSetting, text: str) -> str:
    words = text.split(" ")
    if len(words) != 3:
        raise ConfigError("wrong number of arguments")
    if not all(
        re.fullmatch(r"(-?[0-9]{1,18})?", word) and -2000 <= int(word or 0) <= 2000
        for word in words
    ):
        raise ConfigError(f"Invalid {setting.name}, elements must be between -2000 and 2000.")
    return " ".join(str(int(word or 0)) for word in words)


_READERS: Final[dict[str, Callable[[RedisSetting, str], str]]] = {
    "flag": _flag, "choice": _choice, "oom": _oom, "signal": _signal, "int": _integer,
    "hertz": _hertz, "memory": _memory, "backlog": _backlog,
    "memory or percent": _memory_or_percent, "text": _text, "hostname": _hostname, "title": _title,
    "save": _save, "percentiles": _percentiles, "scores": _scores,
}

BY_NAME: Final[dict[str, RedisSetting]] = {
    name: setting for setting in ACCEPTED for name in (setting.name, setting.also) if name
}
