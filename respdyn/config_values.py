"""What a setting is, and how its value is read from text: from a flag, a variable or a file.

Which settings there are is `config`'s.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

Value = int | str | bool | tuple[str, ...]


class ConfigError(ValueError):
    """A setting that cannot be. The text names it, its value, and the reason."""


class Setting(NamedTuple):
    """One setting. `name` is the flag and file key, `field` the attribute of `Settings`.

    `kind` is int, bytes, ms, seconds, text, secret, flag, choice, list or events. `doc` says what
    it means and what raising it costs. `redis` is Redis's name for it in CONFIG, "" for none.
    """

    name: str
    field: str
    kind: str
    default: Value
    doc: str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    runtime: bool = False
    redis: str = ""


KIB, MIB, GIB = 1024, 1024**2, 1024**3
SECOND, HOUR = 1000, 3_600_000      # in milliseconds
PORT, SLOTS = 65535, 16384

_SCALES: Final[dict[str, dict[str, int]]] = {
    "bytes": {"": 1, "b": 1, "k": 1000, "kb": KIB, "m": 10**6, "mb": MIB, "g": 10**9, "gb": GIB},
    "ms": {"": 1, "ms": 1, "s": SECOND, "m": 60 * SECOND, "h": HOUR, "d": 24 * HOUR},
    "seconds": {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400},
}
_NUMBER: Final = re.compile(r"(-?[0-9]{1,19})([a-z]*)", re.ASCII | re.IGNORECASE)
_MEMORY: Final = re.compile(r"([0-9]{0,127})([a-z]*)", re.ASCII | re.IGNORECASE)
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_BOOLEANS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


# Classes of keyspace events, in the order in which Redis shows them. A stands for the first ten.
EVENT_CLASSES: Final = "g$lshzxetd"
_EVENT_ORDER: Final = EVENT_CLASSES + "nKEm"


def _events(text: str) -> str:
    """Classes of keyspace events in Redis's order, each once."""
    if not set(text) <= set("A" + _EVENT_ORDER):
        raise ConfigError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    if "A" in text or set(EVENT_CLASSES) <= set(text):
        return "A" + "".join(letter for letter in "nKEm" if letter in text)
    return "".join(letter for letter in _EVENT_ORDER if letter in text)


def shown_events(classes: str) -> str:
    """As Redis shows them: beside A it leaves out n, though it is set."""
    return classes.replace("n", "") if "A" in classes else classes


def whole_number(text: str) -> int | None:
    """An integer of 64 bits as Redis reads it: no zeros before it, no plus, no unit.

    >>> whole_number("-5"), whole_number("05")
    (-5, None)
    """
    number = int(text) if _WHOLE.fullmatch(text) else 1 << 63
    return number if -(1 << 63) <= number < 1 << 63 else None


def memory(text: str) -> int | None:
    """Bytes as Redis reads them: digits, perhaps none, and a unit, perhaps none.

    >>> memory("10kb"), memory("10k"), memory(""), memory("-1")
    (10240, 10000, 0, None)
    """
    match = _MEMORY.fullmatch(text)
    scale = _SCALES["bytes"].get(match[2].lower()) if match else None
    return None if match is None or scale is None else int(match[1] or "0") * scale


def parse(setting: Setting, text: str) -> Value:
    """The value of a text. Raises `ConfigError` with Redis's description of what is wrong."""
    kind = setting.kind
    if kind in ("text", "secret"):
        if not text.isprintable():
            raise ConfigError("argument must be printable text")
        return text
    if kind == "list":
        return tuple(text.replace(",", " ").split())
    if kind == "events":
        return _events(text)
    if kind == "flag":
        if text.lower() not in _BOOLEANS:
            raise ConfigError("argument must be 'yes' or 'no'")
        return _BOOLEANS[text.lower()]
    if kind == "choice":
        if text.lower() not in setting.choices:
            choices = ", ".join(setting.choices)
            raise ConfigError(f"argument(s) must be one of the following: {choices}")
        return text.lower()
    number = _number(kind, text)
    if number is None:
        raise ConfigError({"bytes": "argument must be a memory value",
                           "ms": "argument must be a time, for example 500ms, 2s or 3h",
                           }.get(kind, "argument couldn't be parsed into an integer"))
    if not setting.low <= number <= setting.high:
        raise ConfigError(f"argument must be between {setting.low} and {setting.high} inclusive")
    return number


def _number(kind: str, text: str) -> int | None:
    """In base units."""
    if kind == "bytes":
        return memory(text)
    if kind == "int":
        return whole_number(text)
    match = _NUMBER.fullmatch(text)
    scale = _SCALES[kind].get(match[2].lower()) if match else None
    number = whole_number(match[1]) if match else None
    return None if number is None or scale is None else number * scale


def file_values(text: str, file_name: str) -> dict[str, str]:
    """A flat TOML document as name -> text. `_` and `-` are the same in names."""
    if not text:
        return {}
    import tomllib  # most nodes have no file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"{file_name}: {wrong}") from None
    values = {}
    for key, value in document.items():
        name = key.replace("_", "-")
        if isinstance(value, int | str):
            values[name] = str(value)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            values[name] = ",".join(value)
        else:
            raise ConfigError(f"{file_name}: {key}: must be text, an integer, true or false,"
                              " or a list of texts")
    return values


def nearest(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing if no name is close."""
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
