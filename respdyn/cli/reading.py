"""Where settings come from: the command line, the environment, a file. `config` judges them."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from respdyn.cli.main import given_settings
from respdyn.config import ENV_FILE, Settings, load
from respdyn.config_values import ConfigError


def read_settings(args: argparse.Namespace, more: dict[str, str] | None = None) -> Settings:
    """The settled settings, secrets read from their files. Raises `ConfigError`.

    `more` are flags that stand before those given.
    """
    file_name = file_of(args)
    file_text = _read("config", file_name) if file_name else ""
    settings = load({**given_settings(args), **(more or {})}, os.environ, file_text, file_name)
    if settings.peer_secret_file:
        secret = _secret("peer-secret-file", settings.peer_secret_file)
        settings = replace(settings, peer_secret=secret, peer_secret_file="")
    if settings.requirepass_file:
        secret = _secret("requirepass-file", settings.requirepass_file)
        settings = replace(settings, requirepass=secret, requirepass_file="")
    return settings


def file_of(args: argparse.Namespace) -> str:
    """The file of settings; "" if there is none."""
    return str(args.config or os.environ.get(ENV_FILE, ""))


def _secret(name: str, path: str) -> str:
    """What a file of one secret holds, without the line's end."""
    secret = _read(name, path).strip()
    if not secret:
        raise ConfigError(f"{name} {path}: is empty")
    return secret


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{name} {path}: {reason}") from None
