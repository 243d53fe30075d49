"""The compiled build of a source tree, in .compiled, made beside what runs: what `make` calls.

    python -m compiling.tree start     # say where to find the programs to run; compile if need be
    python -m compiling.tree which     # only say where to find them
    python -m compiling.tree make      # compile now, and wait for it

`.compiled/current` is a link to a directory that is named after the hash of all that it was made
of: an environment with respdyn compiled, and everything else from the environment that runs this
file. It is made elsewhere and renamed, so it is whole or not there. A compiled build of other
sources than these is never started.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import traceback
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from compiling.modules import NEEDS, CompileError, compile_modules, missing, modules

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
BASE: Final = ROOT / ".compiled"
CURRENT: Final = BASE / "current"
LOG: Final = BASE / "log"
SHOWN_LOG: Final = ".compiled/log"
FAILED: Final = BASE / "failed"
LOCK: Final = BASE / "lock"
TOOLS: Final = BASE / "tools"
SLOWER: Final = "running the interpreted build, about half as fast"
SCRIPT: Final = """#!{python} -P
import sys
from respdyn.cli.main import main
sys.exit(main())
"""


def stamp() -> str:
    """The hash of all that the compiled build is made of."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix} {ROOT}".encode())
    for path in sorted([ROOT / "pyproject.toml", *HERE.glob("*.py"), *_package()]):
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _package() -> list[Path]:
    return [path for path in (ROOT / "respdyn").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts]


def which() -> Path:
    """The directory of programs to run: compiled if that is made of these sources."""
    if CURRENT.is_symlink() and CURRENT.resolve().name == stamp():
        return CURRENT.resolve() / "bin"
    return Path(sys.executable).parent


def start() -> Path:
    """The same; if it is not compiled, compile in the background, or say why not."""
    found = which()
    if found == Path(sys.executable).parent:
        _say(_in_background())
    return found


def _in_background() -> str:
    """Begin to compile, with what is left over of the machine; what to tell."""
    reason = missing()
    if reason:
        return f"{SLOWER}: {reason}"
    if FAILED.exists():         # is told once; the next start tries again
        reason = FAILED.read_text(encoding="utf-8").strip()
        FAILED.unlink()
        return f"{SLOWER}: compiling failed ({reason}); {SHOWN_LOG} says more"
    subprocess.Popen(
        [sys.executable, "-m", "compiling.tree", "background"], start_new_session=True, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return (f"{SLOWER}; compiling {len(modules(ROOT))} modules in the background (some minutes,"
            f" {SHOWN_LOG}): the next start takes the compiled build")


def background() -> int:
    """Compile at the lowest priority, unless somebody else does; the exit status."""
    with _alone(waits=False) as is_ours:
        if not is_ours:
            return 0
        _step_back()
        with LOG.open("w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        return _tried(_make)


def _step_back() -> None:
    """Leave the processors to all others.

    Linux shares them between sessions first (autogroups), and counts this process's own priority
    within its session alone.
    """
    os.nice(19)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")


def make() -> int:
    """Compile now; the exit status."""
    reason = missing()
    if reason:
        _say(reason)
        return 1
    with _alone(waits=True):
        if which() == Path(sys.executable).parent:
            _say(f"compiling {len(modules(ROOT))} modules (at first some minutes)")
            return _tried(_make)
    return 0


def _tried(action: Callable[[], None]) -> int:
    """Do it; leave word for the next start if it fails."""
    try:
        action()
    except (CompileError, OSError, subprocess.CalledProcessError) as wrong:
        traceback.print_exc()
        FAILED.write_text(str(wrong).strip().splitlines()[-1][:200] + "\n", encoding="utf-8")
        return 1
    FAILED.unlink(missing_ok=True)
    return 0


def _make() -> None:
    """Make the environment and put `current` on it. What others may still run stays."""
    made_of = stamp()
    _get_tools()
    libraries = compile_modules(ROOT, BASE / "work")
    half = BASE / f"half-{made_of}"
    shutil.rmtree(half, ignore_errors=True)
    venv.EnvBuilder(symlinks=True).create(half)
    packages = next((half / "lib").glob("python*")) / "site-packages"
    shutil.copytree(ROOT / "respdyn", packages / "respdyn",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for beside, library in libraries.items():
        shutil.copy(library, packages / beside)
    others = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (packages / "others.pth").write_text("".join(f"{path}\n" for path in others))
    whole = BASE / made_of
    script = half / "bin" / "respdyn"
    script.write_text(SCRIPT.format(python=whole / "bin" / "python"))
    script.chmod(0o755)
    if stamp() != made_of:
        raise CompileError("the sources changed meanwhile: the next start tries again")
    before = CURRENT.resolve().name if CURRENT.is_symlink() else ""
    shutil.rmtree(whole, ignore_errors=True)
    half.rename(whole)
    link = BASE / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(made_of)
    link.rename(CURRENT)
    for old in BASE.iterdir():
        is_tree = (old / "pyvenv.cfg").exists() and not old.is_symlink()
        if is_tree and old.name not in (made_of, before):
            shutil.rmtree(old, ignore_errors=True)
    print(f"compiled: {CURRENT.relative_to(ROOT)}")


def _get_tools() -> None:
    """Have mypyc, if not from this environment then from one of its own."""
    held = NEEDS[0].removeprefix("mypy>=").split(",")[0]
    with suppress(ImportError):
        if importlib.util.find_spec("setuptools") and version("mypy").startswith(held):
            return
    mark = TOOLS / hashlib.sha256(repr((NEEDS, sys.version)).encode()).hexdigest()[:16]
    if not mark.exists():
        shutil.rmtree(TOOLS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check",
                        "install", "--target", str(TOOLS), *NEEDS], check=True)
        mark.touch()
    sys.path.insert(0, str(TOOLS))


@contextmanager
def _alone(waits: bool) -> Iterator[bool]:
    """Hold the lock: one compiles at a time. Gives whether it is held."""
    BASE.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _say(text: str) -> None:
    print(f"respdyn: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    word = sys.argv[1]
    if word in ("start", "which"):
        print(start() if word == "start" else which())
    else:
        sys.exit({"background": background, "make": make}[word]())
