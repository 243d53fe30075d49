"""CONFIG GET and SET: the settings under Redis's names, and what may change while a node runs.

Source: Redis `config.c`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from respdyn.config import SETTINGS, Settings, check, show, with_values
from respdyn.config_redis import BY_NAME as REDIS_NAMES
from respdyn.config_redis import FIXED, PROTECTED, read
from respdyn.config_values import ConfigError, Value, parse

HIDDEN: Final = frozenset({"peer-secret", "tls-key-file-pass"})

_BY_CONFIG_NAME: Final = (
    {setting.name: setting for setting in SETTINGS} | {s.redis: s for s in SETTINGS if s.redis}
)


def redis_view(settings: Settings) -> dict[str, str]:
    """What CONFIG GET answers, sorted: our names, and Redis's where it has another."""
    view = dict(FIXED)
    accepted = _accepted(settings)
    for name, one in REDIS_NAMES.items():
        view[name] = accepted.get(one.name, one.default)
    for setting in SETTINGS:
        if setting.name not in HIDDEN:
            view[setting.name] = view[setting.redis or setting.name] = show(setting, settings)
    most = settings.client_output_limit
    view["client-output-buffer-limit"] = (
        f"normal {most} 0 0 slave {settings.peer_output_limit} 0 0"
        f" pubsub {settings.pubsub_output_limit} {settings.pubsub_output_soft}"
        f" {settings.pubsub_output_seconds}"
    )
    return dict(sorted(view.items()))


def accepted_value(settings: Settings, name: str) -> str:
    """What one of Redis's settings without effect was set to, or its default."""
    return _accepted(settings).get(name, REDIS_NAMES[name].default)


def _accepted(settings: Settings) -> dict[str, str]:
    follows = {
        "appendonly": "no" if settings.engine == "memory" else "yes",
        "appendfsync": settings.durability,
    }
    return follows | dict(settings.accepted)


def change(settings: Settings, changes: Sequence[tuple[str, str]]) -> Settings:
    """What CONFIG SET makes of it: all changes or, by `ConfigError`, none.

    The error's text is the whole error reply in Redis's words, beginning with `ERR `. As in Redis
    all names are looked at before any value.
    """
    _check_names([name for name, _ in changes])
    given: dict[str, Value] = {}
    accepted = dict(settings.accepted)
    for spelled, text in changes:
        name = spelled.lower()
        setting = _BY_CONFIG_NAME.get(name)
        try:
            if name == "client-output-buffer-limit":
                given.update(_buffer_limits(text))
            elif setting is not None:
                given[setting.field] = parse(setting, text)
            else:
                one = REDIS_NAMES[name]
                accepted[one.name] = read(one, text)
                if accepted[one.name] == one.default:
                    del accepted[one.name]
        except ConfigError as wrong:
            raise _failed(name, str(wrong)) from None
    changed = replace(with_values(settings, given), accepted=tuple(sorted(accepted.items())))
    try:
        check(changed)
    except ConfigError as wrong:
        blamed = str(wrong).split(" ", 1)[0]
        names = [name.lower() for name, _ in changes]
        raise _failed(blamed if blamed in names else names[-1], str(wrong)) from None
    return changed


def _check_names(names: list[str]) -> None:
    """Refuse what may not be set at all, or is set twice. Raises `ConfigError`."""
    for at, spelled in enumerate(names):
        name = spelled.lower()
        if not _is_known(name):
            raise ConfigError(
                f"ERR Unknown option or number of arguments for CONFIG SET - '{spelled}'"
            )
        setting = _BY_CONFIG_NAME.get(name)
        if name in FIXED or (setting is not None and not setting.runtime):
            kind = "protected" if name in PROTECTED else "immutable"
            raise _failed(spelled, f"can't set {kind} config")
        if name in map(str.lower, names[:at]):
            raise _failed(spelled, "duplicate parameter")


def _is_known(name: str) -> bool:
    setting = _BY_CONFIG_NAME.get(name)
    if setting is not None:
        return setting.name not in HIDDEN
    return name in FIXED or name in REDIS_NAMES or name == "client-output-buffer-limit"


def rewritten(content: str, first: Settings, now: Settings) -> str:
    """A TOML file with the settings that CONFIG SET has changed since the start.

    Their lines are replaced where they stand, comments behind them included, or added at the end;
    everything else stays as it is.
    """
    lines = content.splitlines()
    changed: dict[str, object] = {
        setting.name: getattr(now, setting.field) for setting in SETTINGS
        if setting.runtime and getattr(first, setting.field) != getattr(now, setting.field)
    }
    for name in dict(first.accepted + now.accepted):
        if accepted_value(first, name) != accepted_value(now, name):
            changed[name] = accepted_value(now, name)
    for written, value in changed.items():
        line = f"{written} = {_toml(value)}"
        for at, old in enumerate(lines):
            name = old.partition("=")[0].strip().strip("\"'").replace("_", "-")
            if name in REDIS_NAMES:
                name = REDIS_NAMES[name].name
            if "=" in old and name == written:
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
