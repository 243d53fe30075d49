"""CONFIG GET and SET: the settings under Redis's names, and what may change while a node runs.

Source: Redis `config.c`.
"""

from collections.abc import Mapping
from typing import Final

from respdyn.config import SETTINGS, Settings, check, show, with_values
from respdyn.config_values import ConfigError, Value, parse

# Names that Redis has and clients ask for; each has one value that is true here.
FIXED: Final[dict[str, str]] = {
    "databases": "16", "save": "", "maxmemory-policy": "noeviction",
    "maxmemory-samples": "5", "maxmemory-clients": "0", "cluster-enabled": "no",
    "cluster-node-timeout": "15000", "cluster-require-full-coverage": "no",
        "latency-tracking": "no", "lfu-decay-time": "1",
    "lfu-log-factor": "10", "loglevel": "notice", "logfile": "", "daemonize": "no",
    "supervised": "no", "pidfile": "", "unixsocket": "", "io-threads": "1",
    "hz": "10", "activedefrag": "no", "replicaof": "", "masterauth": "", "replica-read-only": "yes",
    "repl-backlog-size": "1048576", "min-replicas-to-write": "0", "min-replicas-max-lag": "10",
    "dbfilename": "", "stop-writes-on-bgsave-error": "yes",
}
HIDDEN: Final = frozenset({"peer-secret", "tls-key-file-pass"})
FROM_ENGINE: Final = frozenset({"appendonly"})

_BY_CONFIG_NAME: Final = (
    {setting.name: setting for setting in SETTINGS} | {s.redis: s for s in SETTINGS if s.redis}
)


def redis_view(settings: Settings) -> dict[str, str]:
    """What CONFIG GET answers, sorted: our names, and Redis's where it has another."""
    view = dict(FIXED)
    for setting in SETTINGS:
        if setting.name not in HIDDEN:
            view[setting.name] = view[setting.redis or setting.name] = show(setting, settings)
    view["appendonly"] = "no" if settings.engine == "memory" else "yes"
    most = settings.client_output_limit
    view["client-output-buffer-limit"] = (
        f"normal {most} 0 0 slave {settings.peer_output_limit} 0 0"
        f" pubsub {settings.pubsub_output_limit} {settings.pubsub_output_soft}"
        f" {settings.pubsub_output_seconds}"
    )
    return dict(sorted(view.items()))


def change(settings: Settings, changes: Mapping[str, str]) -> Settings:
    """What CONFIG SET makes of it: all changes or, by `ConfigError`, none.

    The error's text is the whole error reply in Redis's words, beginning with `ERR `. A name that
    is fixed here may be set to the value it has, as tools do that set `save ""` to be sure.
    """
    given: dict[str, Value] = {}
    last = ""
    for spelled, text in changes.items():
        last = name = spelled.lower()
        setting = _BY_CONFIG_NAME.get(name)
        if name == "client-output-buffer-limit":
            try:
                given.update(_buffer_limits(text))
            except ConfigError as wrong:
                raise _failed(name, str(wrong)) from None
        elif setting is None or setting.name in HIDDEN:
            if name not in FIXED and name not in FROM_ENGINE:
                raise ConfigError(
                    f"ERR Unknown option or number of arguments for CONFIG SET - '{spelled}'"
                )
            if redis_view(settings)[name] != text:
                raise _failed(name, "not supported by respdyn, which has one value for it")
        elif not setting.runtime:
            raise _failed(name, "can't set immutable config")
        else:
            try:
                given[setting.field] = parse(setting, text)
            except ConfigError as wrong:
                raise _failed(name, str(wrong)) from None
    changed = with_values(settings, given)
    try:
        check(changed)
    except ConfigError as wrong:
        raise _failed(last, str(wrong)) from None
    return changed


def rewritten(content: str, first: Settings, now: Settings) -> str:
    """A TOML file with the settings that CONFIG SET has changed since the start.

    Their lines are replaced where they stand, comments behind them included, or added at the end;
    everything else stays as it is.
    """
    lines = content.splitlines()
    for setting in SETTINGS:
        if not setting.runtime or getattr(first, setting.field) == getattr(now, setting.field):
            continue
        line = f"{setting.name} = {_toml(getattr(now, setting.field))}"
        for at, old in enumerate(lines):
            name = old.partition("=")[0].strip().strip("\"'").replace("_", "-")
            if "=" in old and name == setting.name:
                lines[at] = line
                break
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _buffer_limits(text: str) -> dict[str, Value]:
    """`client-output-buffer-limit`: class, hard, soft and seconds, once or more."""
    words = text.split()
    if not words or len(words) % 4:
        raise ConfigError("Wrong number of arguments in buffer limit configuration.")
    given: dict[str, Value] = {}
    for at in range(0, len(words), 4):
        kind, hard, soft, seconds = words[at : at + 4]
        fields = _LIMITS.get(kind.lower())
        if fields is None:
            raise ConfigError("Invalid client class specified in buffer limit configuration.")
        for name, value in zip(fields, (hard, soft, seconds), strict=False):
            setting = _BY_CONFIG_NAME[name]
            try:
                given[setting.field] = parse(setting, value)
            except ConfigError as wrong:
                raise ConfigError(f"{kind}: {wrong}") from None
    return given


# Of other connections than clients' there is one limit, fixed at start.
_LIMITS: Final[dict[str, tuple[str, ...]]] = {
    "normal": ("client-output-limit",), "slave": (), "replica": (),
    "pubsub": ("pubsub-output-limit", "pubsub-output-soft", "pubsub-output-seconds"),
}


def _failed(name: str, reason: str) -> ConfigError:
    return ConfigError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
