"""What pip asks when it builds a wheel: compile where that is possible, and say what was made.

RESPDYN_BUILD chooses: `auto` (compiled where there is a C compiler, else interpreted), `compiled`
(or fail), `interpreted`. RESPDYN_BUILD_CACHE is a directory in which compiled files are kept for
the next time; else it is build/ beside the sources. An editable installation stays interpreted.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parents[1]))

from compiling.modules import NEEDS, CompileError, compile_modules, missing, modules

CHOICES: Final = ("auto", "compiled", "interpreted")


class CustomBuildHook(BuildHookInterface[Any]):
    """hatchling looks for a class like this one."""

    def dependencies(self) -> list[str]:
        """What the build needs: nothing unless it compiles, then also the types of libraries."""
        if _choice() == "interpreted" or missing():
            return []
        return [*NEEDS, *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is written: put the compiled modules beside their sources."""
        if version == "editable":
            return
        choice = _choice()
        if choice == "interpreted":
            _say("the interpreted build, as RESPDYN_BUILD says")
            return
        reason = missing()
        if not reason:
            try:
                self._compile(build_data)
                return
            except CompileError as wrong:
                reason = f"compiling failed: {str(wrong).strip().splitlines()[-1]}"
                print(wrong, file=sys.stderr)
        if choice == "compiled":
            raise SystemExit(f"respdyn: RESPDYN_BUILD=compiled, but {reason}")
        _say(f"the interpreted build, about half as fast: {reason}")

    def _compile(self, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        count = len(modules(root))
        _say(f"compiling {count} modules (at first some minutes; RESPDYN_BUILD=interpreted does"
             " without)")
        for beside, library in compile_modules(root, _work(root)).items():
            build_data["force_include"][str(library)] = beside
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        _say(f"the compiled build, {count} modules")


def _choice() -> str:
    choice = os.environ.get("RESPDYN_BUILD") or "auto"
    if choice not in CHOICES:
        raise SystemExit(f"respdyn: RESPDYN_BUILD={choice}: must be one of {', '.join(CHOICES)}")
    return choice


def _work(root: Path) -> Path:
    """Where compiled files are kept."""
    base = os.environ.get("RESPDYN_BUILD_CACHE") or (
        str(root / "build") if os.access(root, os.W_OK) else tempfile.mkdtemp(prefix="respdyn-"))
    return Path(base) / f"compiled-{sys.implementation.cache_tag}-{sysconfig.get_platform()}"


def _say(text: str) -> None:
    """One line for the person who waits. pip hides what a build prints, so pip's own stderr too."""
    line = f"respdyn: {text}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
    own = os.fstat(2)
    for place in (f"/proc/{os.getppid()}/fd/2", "/dev/tty"):
        try:
            handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
        except OSError:
            continue
        with os.fdopen(handle, "w") as shown:
            there = os.fstat(handle)
            if (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
                shown.write(line)
        return
