"""Scripts and functions: Lua that runs beside the data, and what is known of it.

How a script is run is in `coordination/script_run`; what this says of one (its keys, its shebang)
follows from its words alone.

Source: Redis `function.c`, `eval.c`, `script.c`.
"""

from typing import Final

from respdyn.commands.arguments import counted_at, integer_of, parse_integer, quoted
from respdyn.commands.declare import COVERAGE, LOCAL, SCRIPT, Argv, Command
from respdyn.errors import ReplyError
from respdyn.resp.requests import split_inline

_VARIES = "nondeterministic_output"
_ALL_SHARDS: Final = "request_policy:all_shards"
_ALL_SUCCEED = "response_policy:all_succeeded"

NO_WRITES: Final = "no-writes"
ALLOW_OOM: Final = "allow-oom"
NO_CLUSTER: Final = "no-cluster"
# In the order in which they are shown.
FLAGS: Final = (NO_WRITES, ALLOW_OOM, "allow-stale", NO_CLUSTER, "allow-cross-slot-keys")
_ENGINE: Final = b"#!lua"
_WORD: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_NO_METADATA: Final = "ERR Invalid library metadata"
_RUNS: Final = "noscript stale skip_monitor no_mandatory_keys movablekeys"


def keys_and_args(argv: Argv) -> tuple[list[bytes], list[bytes]]:
    """Keys and arguments of a call. Raises `ReplyError`."""
    count = parse_integer(argv[2])
    if count > len(argv) - 3:
        raise ReplyError("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise ReplyError("ERR Number of keys can't be negative")
    return argv[3 : 3 + count], argv[3 + count :]


def shebang_of(body: bytes) -> frozenset[str] | None:
    """The flags in a script's first line; None if it has no such line. Raises `ReplyError`.

    >>> sorted(shebang_of(b"#!lua flags=no-writes,allow-oom" + bytes([10])))
    ['allow-oom', 'no-writes']
    """
    if not body.startswith(b"#!"):
        return None
    end = body.find(b"\n")
    if end < 0:
        raise ReplyError("ERR Invalid script shebang")
    words = body[:end].split()
    if words[0] != _ENGINE:
        raise ReplyError(f"ERR Unexpected engine in script shebang: {quoted(words[0])}")
    flags: list[str] = []
    for word in words[1:]:
        if not word.startswith(b"flags="):
            raise ReplyError(f"ERR Unknown lua shebang option: {quoted(word)}")
        for flag in word[6:].split(b","):
            if flag and flag.decode("latin-1") not in FLAGS:
                raise ReplyError(f"ERR Unexpected flag in script shebang: {quoted(flag)}")
            flags.append(flag.decode("latin-1"))
    return frozenset(flags) - {""}


def keys_and_args_of_function(argv: Argv) -> tuple[list[bytes], list[bytes]]:
    """The same of FCALL, which has a text of its own for what is no number."""
    if integer_of(argv[2]) is None:
        raise ReplyError("ERR Bad number of keys provided")
    return keys_and_args(argv)


def library_of(body: bytes) -> bytes:
    """The name in a library's first line. Raises `ReplyError`.

    >>> library_of(b"#!lua name=limits" + bytes([10]))
    b'limits'
    """
    if not body.startswith(b"#!"):
        raise ReplyError("ERR Missing library metadata")
    line, end, _ = body.partition(b"\n")
    words = split_inline(line) if end and b"\0" not in line else None
    if not words:
        raise ReplyError(_NO_METADATA)
    name = None
    for word in words[1:]:
        if word[:5].lower() != b"name=":
            raise ReplyError(f"ERR Invalid metadata value given: {quoted(word)}")
        if name is not None:
            raise ReplyError(
                "ERR Invalid metadata value, name argument was given multiple times"
            )
        name = word[5:]
    if name is None:
        raise ReplyError("ERR Library name was not given")
    if not is_library_name(name):
        raise ReplyError(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be"
            " at least one character long"
        )
    if words[0][2:].lower() != b"lua":
        raise ReplyError(f"ERR Engine '{quoted(words[0][2:])}' not found")
    return name


def is_library_name(name: bytes) -> bool:
    """Whether a library, or a function, may be called so."""
    return bool(name) and _WORD.issuperset(name)


def _part(
    syntax: str, summary: str, since: str, flags: str = "noscript", tips: tuple[str, ...] = (),
    is_everywhere: bool = False,
) -> Command:
    """A subcommand; its name is the first two words of its syntax."""
    return Command(
        "|".join(syntax.split()[:2]).lower(), syntax, summary, since=since, group="scripting",
        flags=flags, acl="scripting", route=COVERAGE if is_everywhere else LOCAL, promise="local",
        tips=tips,
    )


def _call(
    syntax: str, summary: str, since: str, kind: str, access: str, notes: str = "",
) -> Command:
    """One that runs Lua. `kind`: "readonly ", or nothing."""
    return Command(
        syntax.split()[0].lower(), syntax, summary, since=since, group="scripting",
        flags=kind + _RUNS,
        access=access, notes=notes, complexity="Depends on the script", acl="scripting",
        promise="per-coordinator", route=SCRIPT, counted_keys=counted_at(2), counted_at=2,
    )


_FUNCTION: Final = (
    _part("FUNCTION DELETE library-name", "Deletes a library, at every node.", "7.0.0",
          "write noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION DUMP", "Gives all libraries in Redis's format.", "7.0.0"),
    _part("FUNCTION FLUSH [ASYNC | SYNC]", "Deletes all libraries, at every node.", "7.0.0",
          "write noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION HELP", "Lists the subcommands of FUNCTION.", "7.0.0", "loading stale"),
    _part("FUNCTION KILL", "Ends the function that has run for the longest time, at each node.",
          "7.0.0", "noscript allow_busy", (_ALL_SHARDS, "response_policy:one_succeeded"), True),
    _part("FUNCTION LIST [LIBRARYNAME library-name-pattern] [WITHCODE]",
          "Lists libraries and their functions.", "7.0.0", "noscript",
          ("nondeterministic_output_order",)),
    _part("FUNCTION LOAD [REPLACE] function-code",
          "Makes a library of functions known to every node.", "7.0.0",
          "write denyoom noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]",
          "Makes the libraries known that FUNCTION DUMP gave, here or in Redis.", "7.0.0",
          "write denyoom noscript", (_ALL_SHARDS, _ALL_SUCCEED)),
    _part("FUNCTION STATS", "Returns what runs for the longest time, and how many libraries there "
          "are.", "7.0.0",
          "noscript allow_busy", (_VARIES, _ALL_SHARDS, "response_policy:special"), True),
)

_SCRIPT: Final = (
    _part("SCRIPT DEBUG <YES | SYNC | NO>", "Takes NO; there is no debugger.", "3.2.0"),
    _part("SCRIPT EXISTS sha1 [sha1 ...]", "Returns which scripts some node in reach knows.",
          "2.6.0", "noscript", (_ALL_SHARDS, "response_policy:agg_logical_and"), True),
    _part("SCRIPT FLUSH [ASYNC | SYNC]", "Forgets all scripts, at every node in reach.", "2.6.0",
          "noscript", ("request_policy:all_nodes", _ALL_SUCCEED)),
    _part("SCRIPT HELP", "Lists the subcommands of SCRIPT.", "5.0.0", "loading stale"),
    _part("SCRIPT KILL", "Ends the script that has run for the longest time, at each node.",
          "2.6.0", "noscript allow_busy", (_ALL_SHARDS, "response_policy:one_succeeded"), True),
    _part("SCRIPT LOAD script", "Makes a script known to every node in reach.", "2.6.0",
          "noscript stale", ("request_policy:all_nodes", _ALL_SUCCEED)),
)

_UNSURE: Final = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"
_UNSURE_RO: Final = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"

COMMANDS: tuple[Command, ...] = (
    _call("EVAL script numkeys [key ...] [arg ...]",
          "Runs a script: one step, whichever nodes coordinate its keys.", "2.6.0", "",
          "RW access update", _UNSURE),
    _call("EVALSHA sha1 numkeys [key ...] [arg ...]", "Runs a script that is known by its SHA-1.",
          "2.6.0", "", "RW access update"),
    _call("EVAL_RO script numkeys [key ...] [arg ...]", "Runs a script that may not write.",
          "7.0.0", "readonly ", "RO access", _UNSURE_RO),
    _call("EVALSHA_RO sha1 numkeys [key ...] [arg ...]",
          "Runs a script that is known by its SHA-1, and may not write.", "7.0.0", "readonly ",
          "RO access"),
    _call("FCALL function numkeys [key ...] [arg ...]", "Runs a function of a library.", "7.0.0",
          "", "RW access update", _UNSURE),
    _call("FCALL_RO function numkeys [key ...] [arg ...]",
          "Runs a function of a library that may not write.", "7.0.0", "readonly ", "RO access",
          _UNSURE_RO),
    Command(
        "function", "FUNCTION", "Makes libraries of functions known, and says what is known.",
        since="7.0.0", group="scripting", flags="", route=LOCAL, promise="local", arity=-2,
        subcommands=_FUNCTION,
    ),
    Command(
        "script", "SCRIPT", "Makes scripts known, and says what is known of them.",
        since="2.6.0", group="scripting", flags="", route=LOCAL, promise="local", arity=-2,
        subcommands=_SCRIPT,
    ),
)
