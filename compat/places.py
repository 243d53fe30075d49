"""Where compat keeps what it downloads, and how it gets there: by pip and npm, at pinned versions.

Everything lies in `compat/.cache`, which git ignores. A stamp beside each thing holds what it was
made from, so that a changed pin makes it anew and an unchanged one costs nothing.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
CACHE = HERE / ".cache"


class CompatError(Exception):
    """compat cannot go on. One line that says why."""


def is_fresh(stamp: Path, made_from: str) -> bool:
    """Whether what this stamp stands for was made from this."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == made_from


def venv(name: str, requirements: Path) -> Path:
    """A virtual environment with these requirements; its python."""
    home = CACHE / name
    python = home / "bin" / "python"
    stamp = CACHE / f"{name}.stamp"
    made_from = sys.version + requirements.read_text(encoding="utf-8")
    if is_fresh(stamp, made_from):
        return python
    CACHE.mkdir(exist_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(home))
    run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--requirement", str(requirements))
    stamp.write_text(made_from, encoding="utf-8")
    return python


def redis_py() -> Path:
    """redis-py's source distribution, unpacked: its root, with `redis/` and `tests/`.

    `suite/pinned.toml` names version and sha256. Raises `CompatError` if what comes is another.
    """
    pin = tomllib.loads((HERE / "suite" / "pinned.toml").read_text(encoding="utf-8"))
    name = f"redis-{pin['version']}"
    archive = CACHE / f"{name}.tar.gz"
    home = CACHE / name
    if is_fresh(CACHE / f"{name}.stamp", pin["sha256"]) and home.is_dir():
        return home
    CACHE.mkdir(exist_ok=True)
    if not archive.exists():
        run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-binary", "redis", "--dest", str(CACHE),
            f"redis=={pin['version']}")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != pin["sha256"]:
        raise CompatError(f"{archive}: sha256 is {found}, not {pin['sha256']}")
    shutil.rmtree(home, ignore_errors=True)
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "data_filter"):     # Python 3.11.4 and newer
            packed.extractall(CACHE, filter="data")
        else:
            packed.extractall(CACHE)            # its content is known, by its hash
    (CACHE / f"{name}.stamp").write_text(pin["sha256"], encoding="utf-8")
    return home


def node_modules(package: Path) -> Path:
    """The npm packages that `package-lock.json` in this directory pins, installed beside it."""
    npm = shutil.which("npm")
    if npm is None:
        raise CompatError("npm is not installed")
    lock = (package / "package-lock.json").read_text(encoding="utf-8")
    stamp = CACHE / f"{package.relative_to(HERE).as_posix().replace('/', '-')}.stamp"
    home = package / "node_modules"
    if not (is_fresh(stamp, lock) and home.is_dir()):
        CACHE.mkdir(exist_ok=True)
        run(npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", at=package)
        stamp.write_text(lock, encoding="utf-8")
    return home


def run(*words: str, at: Path = ROOT) -> None:
    """A command that must succeed. Raises `CompatError` with the end of what it said."""
    done = subprocess.run(
        words, cwd=at, capture_output=True, text=True, check=False, env=clean_environment()
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise CompatError(f"{' '.join(words[:4])} ...: {' | '.join(said[-5:])}")


def clean_environment() -> dict[str, str]:
    """Without RESPDYN_* variables: the settings are those given here."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RESPDYN_")}
