"""`respdyn version`: what is installed, and which modules are compiled."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("uvloop", "hiredis", "rocksdict", "msgspec", "blake3", "prometheus-client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def run(args: argparse.Namespace) -> int:
    """Print it."""
    print(f"respdyn {_version('respdyn')}")
    print(f"{platform.python_implementation()} {platform.python_version()} on"
          f" {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        print(f"{name} {_version(name)}")
    package = Path(__file__).parents[1]
    compiled = sorted(
        str(path.relative_to(package)).split(".")[0].replace("/", ".")
        for pattern in ("*.so", "*.pyd") for path in package.rglob(pattern)
    )
    print("compiled modules: " + (", ".join(compiled) or "none"))
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"
