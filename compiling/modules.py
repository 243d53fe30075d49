"""Modules of respdyn as machine code: Python to C by mypyc, C to objects, objects to libraries.

mypyc turns all modules at once into C, since they call each other without a detour through Python;
that takes seconds. The C compiler takes minutes, so each C file is compiled apart, on all cores,
and never twice: an object is kept under the hash of all that went into it. For this each file gets
only the declarations that it names, knows a literal by its value instead of its place in the
table of all literals, and numbers its own labels. So what an edit does not touch has the same
text as before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

# What must be there besides Python. mypy as held in pyproject.toml: its releases change the C.
NEEDS: Final = ("mypy>=2.4,<2.5", "setuptools>=77")
GROUP: Final = "respdyn"
FLAGS: Final = ("--ignore-missing-imports", "--no-warn-unused-ignores")
C_FLAGS: Final = ("-O2", "-g0", "-w", "-fwrapv", "-DNDEBUG", "-fvisibility=hidden")
WORD: Final = re.compile(r"[A-Za-z_]\w*")
LITERAL: Final = re.compile(r"CPyStatics\[(\d+)\](.*)")
OPTIONAL: Final = "_extra_ops.h"        # headers that mypyc includes by need
CALLED: Final = re.compile(r"(\w+)\(")
HELPING: Final = re.compile(r"\b(__tmp|__LL)(\d+)\b")
NAMED: Final = re.compile(r"(\w+)(?:\[\w*\])*;$|(\w+)\(")


class CompileError(Exception):
    """The modules could not be compiled."""


def modules(root: Path) -> list[str]:
    """The files that are compiled, as pyproject.toml lists them."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"]
    return [path.removeprefix("/") for path in listed]


def missing() -> str:
    """What compiling needs and is not here, with what installs it; "" if all is here."""
    lacking = []
    packages = []
    if shutil.which(_compiler()[0]) is None:
        lacking.append(f"a C compiler ({_compiler()[0]})")
        packages.append("gcc")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        lacking.append("Python's headers (Python.h)")
        packages.append("python3-dev")
    if not lacking:
        return ""
    return f"{' and '.join(lacking)} missing: apt install {' '.join(packages)}"


def compile_modules(root: Path, work: Path) -> dict[str, Path]:
    """Each library by its path beside the sources, made in `work`. Raises `CompileError`.

    What `work` holds from the time before is used again; it may be interrupted at any moment.
    """
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    shared, *shims = _translate(root, modules(root), work / "c")
    heads = (*shared.include_dirs, work / "c", sysconfig.get_path("include"),
             sysconfig.get_path("platinclude"))
    kept = Kept(work / "objects", [f"-I{path}" for path in heads])
    texts = _apart({Path(path).name: Path(path) for path in shared.sources}, work / "c",
                   shared.include_dirs)
    objects = {name: kept.place(text, ".o") for name, text in texts.items()}
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    made = {}
    runs = [partial(kept.compile, texts[name], place) for name, place in objects.items()]
    runs.sort(key=lambda run: -len(run.args[0]))
    for shim in shims:
        text = Path(shim.sources[0]).read_text(encoding="utf-8")
        place = kept.place(text, ".so")
        made[shim.name.replace(".", "/") + suffix] = place
        runs.append(partial(kept.compile, text, place))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda run: run(), runs))
    linked = kept.place("".join(map(str, objects.values())), ".so")
    kept.link(list(objects.values()), linked)
    made[shared.name + suffix] = linked
    kept.forget_others({*objects.values(), *made.values()})
    return made


def _translate(root: Path, paths: Sequence[str], into: Path) -> list[Any]:
    """Write the C; what is to be compiled: the library with everything, then one for each module.

    mypyc reads mypy's settings in pyproject.toml, tells errors on standard output, and exits.
    """
    try:
        from mypyc.build import mypycify  # only here: to ask what is `missing` needs no mypy

        with contextlib.chdir(root):
            extensions = mypycify(
                [*FLAGS, "--cache-dir", str(into / "mypy"), *paths], target_dir=str(into),
                group_name=GROUP, multi_file=True,
            )
    except SystemExit as end:
        raise CompileError(f"mypyc ended with {end.code}") from None
    return sorted(extensions, key=lambda one: -len(one.sources))


class Kept:
    """A directory of compiled files, each under the hash of all that went into it."""

    def __init__(self, directory: Path, includes: Sequence[str]) -> None:
        self._directory = directory
        self._includes = includes       # follow from the versions: not hashed, since pip moves them
        directory.mkdir(parents=True, exist_ok=True)
        compiler = _compiler()
        version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
        from mypy.version import __version__ as mypy_version

        self._base = repr((compiler, version, C_FLAGS, sys.version, mypy_version)).encode()

    def place(self, text: str, suffix: str) -> Path:
        """Where what is made of this text lies."""
        name = hashlib.sha256(self._base + text.encode()).hexdigest()[:32]
        return self._directory / (name + suffix)

    def compile(self, text: str, place: Path) -> None:
        """Make an object, or a library if the place's suffix is .so, unless it is there."""
        if place.exists():
            return
        source = place.with_suffix(".c")
        source.write_text(text, encoding="utf-8")
        shape = [*_linker(), "-fPIC"] if place.suffix == ".so" else [*_compiler(), "-fPIC", "-c"]
        _make(place, [*shape, *C_FLAGS, *self._includes, str(source)])
        source.unlink()

    def link(self, objects: Sequence[Path], place: Path) -> None:
        """Make one library of the objects, unless it is there."""
        if not place.exists():
            _make(place, [*_linker(), "-s", *map(str, objects)])

    def forget_others(self, used: Iterable[Path]) -> None:
        """Delete what was made of texts that are no more."""
        for path in {*self._directory.iterdir()} - set(used):
            path.unlink(missing_ok=True)


def _make(place: Path, command: Sequence[str]) -> None:
    """Run a compiler that writes to the place. Nothing half made is ever there."""
    half = place.with_name(f".{os.getpid()}-{place.name}")
    try:
        said = subprocess.run([*command, "-o", str(half)], capture_output=True, text=True,
                              errors="replace", check=False)
        if said.returncode:
            errors = [line for line in said.stderr.splitlines() if "error" in line]
            errors.append(f"{command[0]} ended with status {said.returncode}")
            raise CompileError(f"{shlex.join(command)}\n{said.stderr}\n{errors[0]}")
        half.rename(place)
    except OSError as wrong:
        raise CompileError(f"{command[0]}: {wrong.strerror}") from None
    finally:
        half.unlink(missing_ok=True)


def _compiler() -> list[str]:
    """The C compiler: $CC, or the one that made this Python, or cc."""
    words = shlex.split(os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc"))
    if not os.environ.get("CC") and shutil.which(words[0]) is None:
        return ["cc"]
    return words


def _linker() -> list[str]:
    return [*_compiler(), *shlex.split(str(sysconfig.get_config_var("LDSHARED")))[1:]]


# ---- texts that change with their own module only ----

def _apart(
    sources: dict[str, Path], directory: Path, runtime: Sequence[str]
) -> dict[str, str]:
    """The C files' texts. Those of modules hold all that they depend on within the group.

    `runtime`: the directories of mypyc's own headers.
    """
    main = f"__native_{GROUP}.c"
    heads = [(directory / name).read_text(encoding="utf-8")
             for name in (f"__native_{GROUP}.h", f"__native_internal_{GROUP}.h")]
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    own = {name: text for name, text in texts.items()
           if name.startswith("__native_") and name != main}
    literals = _literal_names(own.values())
    includes = dict.fromkeys(
        line for head in heads for line in head.splitlines()
        if line.startswith("#include") and "__native_" not in line
    )
    functions = {line: _functions_of(line, runtime) for line in includes}
    declared = [one for head in heads for one in _declarations(head)]
    for name, text in own.items():
        text = _numbered(LITERAL.sub(lambda found: literals[found[1]] + found[2], text))
        body = "".join(line for line in text.splitlines(keepends=True)
                       if not line.startswith('#include "__native_'))
        words = set(WORD.findall(body))
        mine = "".join(f"extern PyObject *{one};\n"
                       for one in sorted(set(literals.values()) & words))
        texts[name] = "\n".join([
            *(line for line in includes if not functions[line] or functions[line] & words),
            "", "#pragma GCC visibility push(hidden)", *_named(declared, words), mine, body,
            "#pragma GCC visibility pop\n",
        ])
    # What the names of literals stand for: places in the table, which the linker puts in.
    pointer = "8" if sys.maxsize > 2 ** 32 else "4"
    places = "".join(
        f'".globl {one}\\n.hidden {one}\\n.set {one}, CPyStatics + {index} * {pointer}\\n"\n'
        for index, one in literals.items()
    )
    texts[main] = f"/*\n{heads[0]}\n{heads[1]}\n*/\n".replace("#", "") + texts[main]
    if places:
        texts[main] += f"\n__asm__(\n{places});\n"
    return texts


def _numbered(text: str) -> str:
    """With labels and helping variables numbered from 0 on: mypyc goes on from file to file."""
    numbers: dict[str, str] = {}
    return HELPING.sub(
        lambda found: found[1] + numbers.setdefault(found[2], str(len(numbers))), text)


def _functions_of(include: str, runtime: Sequence[str]) -> set[str]:
    """What a header of mypyc declares that it includes where any module of the group calls that.

    A module that calls none of it must not be compiled again when another one does. The empty set
    for all other headers, which every module gets.
    """
    name = include.split()[1].strip('"<>')
    if not name.endswith(OPTIONAL):
        return set()
    texts = [path.read_text(encoding="utf-8") for directory in runtime
             if (path := Path(directory) / name).is_file()]
    return set(CALLED.findall(texts[0])) if texts else set()


def _literal_names(texts: Iterable[str]) -> dict[str, str]:
    """A name for each place in the table of literals, after the value that mypyc notes beside."""
    values = dict(found for text in texts for found in LITERAL.findall(text))
    times = Counter(values.values())
    names = {}
    for index, value in values.items():
        name = f"CPyLiteral_{hashlib.sha256(value.encode()).hexdigest()[:24]}"
        names[index] = name if times[value] == 1 else f"{name}_{index}"
    return names


def _declarations(head: str) -> list[tuple[str, str]]:
    """Each declaration of a header with the name that it gives, "" if that is not clear."""
    found = []
    lines: list[str] = []
    depth = 0
    guarded = False
    for line in head.splitlines()[2:-1]:       # without the guard of the whole
        if line.startswith("#include") or not line.strip():
            continue
        lines.append(line)
        depth += line.count("{") - line.count("}")
        guarded = guarded or line.startswith("#ifndef")
        if line.startswith("#endif") if guarded else depth == 0 and line.endswith(";"):
            text = "\n".join(lines)
            found.append((_name(text), text))
            lines = []
            guarded = False
    return found


def _name(declaration: str) -> str:
    if declaration.startswith("#ifndef MYPYC_DECLARED_"):
        return declaration.split()[1].removeprefix("MYPYC_DECLARED_")
    last = declaration.rsplit("}", 1)[-1].strip()
    if declaration.startswith("typedef") and "}" in declaration:
        return last.rstrip(";").strip()
    if "{" in declaration:
        return ""
    name = NAMED.search(last)
    return (name[2] or name[1]) if name else ""


def _named(declared: Sequence[tuple[str, str]], words: set[str]) -> list[str]:
    """The declarations that these words name, and those that these name in turn."""
    by_name: dict[str, list[str]] = {}
    for name, text in declared:
        by_name.setdefault(name, []).append(text)
    wanted = [word for word in by_name if word in words or not word]
    seen = set(wanted)
    while wanted:
        for text in by_name[wanted.pop()]:
            more = {word for word in WORD.findall(text) if word in by_name} - seen
            seen |= more
            wanted += more
    return [text for name, text in declared if name in seen]

