"""Where settings come from: the command line, the environment, a file. `config` judges them."""

import argparse
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

from respdyn.cli.main import given_settings
from respdyn.config import ENV_FILE, Settings, is_clustered, is_loopback_only, load
from respdyn.config_values import ConfigError

SECRET_BYTES = 16       # at least, of a secret that an attacker could try from elsewhere


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
    _check_secret(settings)
    return settings


def _check_secret(settings: Settings) -> None:
    """A client that reaches the peer port must not be able to guess the secret, or do without."""
    secret = settings.peer_secret
    if not secret and settings.tls_replication and is_clustered(settings):
        raise ConfigError(
            "peer-secret : must be set beside tls-replication: any certificate of the same CA, a"
            " client's too, would make a peer"
        )
    if is_loopback_only(settings.bind) or not (secret or is_clustered(settings)):
        return
    if len(secret.encode()) < SECRET_BYTES:
        raise ConfigError(
            f"peer-secret (not shown): has fewer than {SECRET_BYTES} bytes, and the peer port can"
            " be reached from elsewhere; head -c 32 /dev/urandom | base64 makes a good one"
        )


def file_of(args: argparse.Namespace) -> str:
    """The file of settings; "" if there is none."""
    return str(args.config or os.environ.get(ENV_FILE, ""))


def _secret(name: str, path: str) -> str:
    """What a file of one secret holds, without the line's end."""
    secret = _read(name, path).strip()
    if not secret:
        raise ConfigError(f"{name} {path}: is empty")
    if (mode := stat.S_IMODE(Path(path).stat().st_mode)) & 0o044:
        print(
            f"respdyn: warning: {name} {path}: others can read it (mode {mode:04o}); chmod 600",
            file=sys.stderr,
        )
    return secret


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as wrong:
        reason = wrong.strerror if isinstance(wrong, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{name} {path}: {reason}") from None
