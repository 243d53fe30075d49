"""Where settings come from: the command line, the environment, a file. `config` judges them."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from respdyn.cli.main import given_settings
from respdyn.config import ENV_FILE, Settings, load
from respdyn.config_values import ConfigError


def read_settings(args: argparse.Namespace, more: dict[str, str] | None = None) -> Settings:
    """The settled settings, the peer secret read from its file. Raises `ConfigError`.

    `more` are flags that stand before those given.
    """
    file_name = args.config or os.environ.get(ENV_FILE, "")
    file_text = _read("config", file_name) if file_name else ""
    settings = load({**given_settings(args), **(more or {})}, os.environ, file_text, file_name)
    if not settings.peer_secret_file:
        return settings
    secret = _read("peer-secret-file", settings.peer_secret_file).strip()
    if not secret:
        raise ConfigError(f"peer-secret-file {settings.peer_secret_file}: is empty")
    return replace(settings, peer_secret=secret, peer_secret_file="")


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{name} {path}: {reason}") from None
