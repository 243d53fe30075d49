"""`respdyn version`: what is installed, which build it is, and which modules are compiled."""

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from respdyn.build import compiled_modules, shown_build

LIBRARIES = ("uvloop", "hiredis", "rocksdict", "msgspec", "blake3", "prometheus-client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""


def run(args: argparse.Namespace) -> int:
    """Print it."""
    print(f"respdyn {_version('respdyn')}, {shown_build()}")
    print(f"{platform.python_implementation()} {platform.python_version()} on"
          f" {platform.system()} {platform.machine()}")
    for name in LIBRARIES:
        print(f"{name} {_version(name)}")
    print("compiled modules: " + (", ".join(compiled_modules()) or "none"))
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed as a package)"
