"""Lua 5.1 around an overlay: a job goes in, its outcome or what it wants comes out.

One runtime for all scripts of a process; each script has globals of its own, read only, and nothing
that outlives it. `sandbox.lua` is the room that they run in. What crosses between the two languages
is bytes, numbers, booleans and flat tables; no exception and no object of Python ever reaches Lua.

A call that a script ends with (`return redis.call(...)`) would take the script's frame from the
stack, and with it the line that Redis shows with an error. So such calls are turned into plain ones
in the compiled script (`frames`).

Source: decision 0056.
"""

import hashlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, Final

from lupa import lua51

from respdyn.commands.scripting import FLAGS
from respdyn.errors import ReplyError, UsedTwice
from respdyn.resp.replies import error
from respdyn.scripting.frames import keep_frames
from respdyn.scripting.job import (
    AGAIN,
    ENDED,
    FAILED,
    STOPPED,
    TOO_MUCH,
    TWICE,
    UNKNOWN,
    WANTS,
    Batch,
    Change,
    Compile,
    Function,
    Job,
    More,
    Outcome,
)
from respdyn.scripting.overlay import Judge, Missing, Overlay
from respdyn.scripting.replies import to_lua

REDIS_VERSION: Final = b"7.0.15"
_VERSION_NUMBER: Final = 0x0007000F
_CHUNK: Final = b"@user_script"
_LIBRARY_CHUNK: Final = b"@user_function"
_WRONG: Final = b"ERR Error compiling script (new function): "
_WRONG_LIBRARY: Final = b"ERR Error compiling function: "
_NOT_LOADED: Final = b"ERR Error registering functions: "
_NO_FUNCTIONS: Final = b"ERR No functions registered"
SCRIPTS_MOST: Final = 10_000        # that are kept compiled
_SPARE_MOST: Final = 8              # closures of one script that no job uses

# Kinds of an answer to Lua, see `got` in sandbox.lua.
_VALUE: Final = 0
_ERROR: Final = 2
_WAIT: Final = 5
_STOP: Final = 6

_BY_ITSELF: Final = (ENDED, FAILED)
_NOT_RUN: Final = (WANTS, AGAIN, UNKNOWN)       # not to its end

MakeJudge = Callable[[list[bytes]], Judge]


class _Run:
    """A job under way."""

    __slots__ = ("argv", "broken", "closure", "job", "logs", "overlay", "wants")

    def __init__(self, job: Job, overlay: Overlay, closure: Any) -> None:
        self.job = job
        self.overlay = overlay
        self.closure = closure
        self.logs: list[tuple[int, bytes]] = []
        self.argv: list[bytes] = []                 # of the command that waits
        self.wants: Missing | None = None           # set while it waits, cleared when it goes on
        self.broken = ""                            # a kind of outcome that it must end with


class Engine:
    """Runs jobs."""

    def __init__(
        self, make_judge: MakeJudge, is_over: Callable[[], bool] = lambda: False,
        begins: Callable[[int], None] = lambda number: None, most_kb: int = 1 << 40,
    ) -> None:
        """`is_over`: whether the script at hand must stop; asked now and then while it runs, and
        when it holds more than `most_kb`.

        `begins` gets the number of each job before it is begun or goes on, 0 when all are done.
        """
        self._make_judge = make_judge
        self._begins = begins
        self._is_too_much = False
        self._looks = 0                             # at whether the script at hand must stop
        self._at_hand: _Run | None = None
        self._runs: dict[int, _Run] = {}            # suspended
        self._bodies: dict[str, bytes] = {}         # compiled, by hash
        self._closures: dict[str, list[Any]] = {}   # spare ones, by hash
        self._judges: dict[tuple[bytes, ...], Judge] = {}
        self._runtime = runtime = lua51.LuaRuntime(
            encoding=None, register_eval=False, register_builtins=False,
            unpack_returned_tuples=True, attribute_filter=_no_attribute,
        )
        self._table = runtime.table_from
        libraries = self._libraries(most_kb)
        room = _chunk(runtime, "sandbox.lua")

        def looks() -> bool:
            self._looks += 1
            return is_over()

        parts = room(self._ask, looks, self._note, libraries)
        self._translate, self._compile, self._load, self._start, *rest = parts
        self._go_on, self._drop, self._memory = rest
        runtime.execute(
            b"for name in pairs(_G) do if name ~= '_G' then _G[name] = nil end end _G._G = nil"
        )

    def _libraries(self, most_kb: int) -> Any:
        runtime, table = self._runtime, self._table
        cmsgpack, double, float_ = _chunk(runtime, "cmsgpack.lua")()
        return table({
            b"flags": table([flag.encode() for flag in FLAGS]),
            b"most_kb": most_kb, b"version": REDIS_VERSION, b"version_number": _VERSION_NUMBER,
            b"make_cjson": _chunk(runtime, "cjson.lua")(),
            b"tables": table({
                b"cmsgpack": cmsgpack, b"bit": _chunk(runtime, "bit.lua")(),
                b"struct": _chunk(runtime, "struct.lua")(double, float_),
            }),
        })

    def holds_too_much(self, most_kb: int) -> bool:
        """Whether Lua holds more than that, garbage left out. Then the script at hand must stop."""
        self._is_too_much = self._memory() > most_kb and self._memory(True) > most_kb
        return self._is_too_much

    def held_kb(self) -> int:
        """What Lua holds, garbage included."""
        return int(self._memory())

    # ---- jobs ----

    def run(self, batch: Batch) -> Iterator[Outcome]:
        """Do all that a node has, in order; suspended jobs first."""
        for drop in batch.drops:
            if self._runs.pop(drop.number, None) is not None:
                self._drop(drop.number)
        for more in batch.more:
            run = self._runs.pop(more.number, None)
            if run is not None:
                self._begins(more.number)
                yield self._resume(run, more)
        for job in batch.jobs:
            self._begins(job.number)
            yield self._begin(job)
        for text in batch.compiles:
            self._begins(text.number)
            yield self._try(text)
        self._begins(0)

    def _begin(self, job: Job) -> Outcome:
        overlay = Overlay(job, self._judge_of(job))
        outcome = self._start_job(job, overlay)
        if job.rest and outcome.kind in _BY_ITSELF:
            outcome.changes = self._follow(job.rest, overlay, outcome.rest)
        return outcome

    def _follow(self, rest: list[Job], overlay: Overlay, outcomes: list[Outcome]) -> list[Change]:
        """Run a chain up to the first job that does not end by itself; what was written."""
        for job in rest:
            self._begins(job.number)
            before = overlay.state()
            overlay = overlay.behind(job, self._judge_of(job))
            outcome = self._start_job(job, overlay)
            outcome.changes = []
            if outcome.kind not in _BY_ITSELF:
                overlay.restore(before)
                if self._runs.pop(job.number, None) is not None:
                    self._drop(job.number)
                if outcome.kind in _NOT_RUN:
                    break
            outcomes.append(outcome)
            if outcome.kind not in _BY_ITSELF:
                break
        return overlay.changes()

    def _start_job(self, job: Job, overlay: Overlay) -> Outcome:
        try:
            closure = self._closure(job)
        except ReplyError as wrong:
            return Outcome(job.number, FAILED, b"-" + wrong.text.encode("latin-1") + b"\r\n")
        if closure is None:
            return Outcome(job.number, UNKNOWN)
        run = _Run(job, overlay, closure)
        self._looks = 0
        self._at_hand = run
        ended = self._start(
            job.number, closure, self._table(job.keys), self._table(job.args),
            job.seed & 0xFFFFFFFF, job.resp3, job.function.encode("latin-1") or None,
        )
        return self._outcome(run, ended)

    def _resume(self, run: _Run, more: More) -> Outcome:
        self._at_hand = run
        run.overlay.take(more)
        answer = self._command(run, run.argv)
        if answer[0] == _WAIT:
            self._runs[run.job.number] = run
            return self._wish(run)
        ended = self._go_on(run.job.number, run.closure, run.job.resp3, *answer)
        return self._outcome(run, ended)

    def _wish(self, run: _Run, kind: str = WANTS) -> Outcome:
        wants = run.wants
        assert wants is not None
        return Outcome(
            run.job.number, kind, wants=wants.names, dots=wants.dots, command=wants.command,
            db=run.overlay.db, resp3=run.overlay.resp3,
        )

    def _outcome(self, run: _Run, ended: Any) -> Outcome:
        """What Lua gave back, as an outcome."""
        self._at_hand = None
        tag = ended[:1] if type(ended) is bytes else ended[0]
        number = run.job.number
        if tag == b"?" and not run.broken:
            self._runs[number] = run
            return self._wish(run)
        is_whole = not run.broken and run.wants is None and tag != b"."
        spare = self._closures.setdefault(run.job.sha, [])
        if len(spare) < _SPARE_MOST and (is_whole or not run.job.function):
            spare.append(run.closure)       # of a library it keeps what its functions have kept
        if run.broken:
            return Outcome(number, run.broken)
        if run.wants is not None:       # it could not wait there, and has gone on as if it had
            return self._wish(run, AGAIN)
        kind, reply, is_noted = ENDED, b"", False
        if tag == b"=":
            reply = ended[1]
        else:
            kind = FAILED if tag == b"!" else TOO_MUCH if self._is_too_much else STOPPED
            reply = self._with_place(run.job, ended[1], ended[2], ended[3])
            is_noted = kind == FAILED and bool(ended[4])
        overlay = run.overlay
        return Outcome(
            number, kind, reply, overlay.changes(), overlay.used(),
            calls=[(name, counts[0], counts[1]) for name, counts in overlay.calls.items()],
            db=overlay.db, words=overlay.words, logs=run.logs, messages=overlay.messages,
            misses=overlay.misses, is_noted=is_noted, is_long=self._looks > 0,
        )

    @staticmethod
    def _with_place(job: Job, text: bytes, source: bytes, line: int) -> bytes:
        """An error's text, to its first NUL, with the script and the place, as Redis shows it."""
        name = (job.function or job.sha).encode("latin-1")
        where = b" script: %b, on %b:%d." % (name, source, line) if source else b""
        return b"-%b%b\r\n" % (text.partition(b"\0")[0], where)

    # ---- what Lua calls ----

    def _ask(self, *argv: bytes) -> tuple[Any, ...]:
        run = self._at_hand
        if run is None or run.wants is not None or run.broken:
            return (_STOP,)
        return self._command(run, list(argv))

    def _command(self, run: _Run, argv: list[bytes]) -> tuple[Any, ...]:
        """Run a command of a script: what Lua gets."""
        run.wants = None
        try:
            return to_lua(run.overlay.run(argv), self._table)
        except Missing as wants:
            run.wants, run.argv = wants, argv
            return (_WAIT,)
        except UsedTwice:
            run.broken = TWICE
            return (_STOP,)
        except ReplyError as wrong:
            return _ERROR, wrong.text.encode("latin-1")

    def _note(self, what: bytes, *given: Any) -> tuple[Any, ...]:
        """What is no command."""
        run = self._at_hand
        if run is None:         # a library that is loaded may log, which is dropped
            return (_VALUE, None) if what == b"log" else (_STOP,)
        if what == b"sha1hex":
            return _VALUE, hashlib.sha1(given[0]).hexdigest().encode()
        if what == b"log":
            run.logs.append((int(given[0]), given[1]))
            return _VALUE, None
        if what == b"setresp":
            run.overlay.resp3 = given[0] == 3
            return _VALUE, None
        try:
            return _VALUE, run.overlay.may(list(given))
        except ReplyError as wrong:
            return _ERROR, wrong.text.encode("latin-1")

    # ---- compiling ----

    def compile(self, sha: str, body: bytes, is_library: bool) -> None:
        """Have a script ready. Raises `ReplyError` with what Lua says of its text."""
        if sha in self._bodies:
            return
        made = self._translated(body, is_library)
        if len(self._bodies) >= SCRIPTS_MOST:
            self._bodies.clear()
            self._closures.clear()
        self._bodies[sha] = made

    def _translated(self, body: bytes, is_library: bool) -> bytes:
        chunk, wrong = (_LIBRARY_CHUNK, _WRONG_LIBRARY) if is_library else (_CHUNK, _WRONG)
        made = self._translate(without_shebang(body), chunk)
        if isinstance(made, tuple):
            raise ReplyError((wrong + made[1]).decode("latin-1"))
        return keep_frames(made)

    def _closure(self, job: Job) -> Any:
        spare = self._closures.get(job.sha)
        if spare:
            return spare.pop()
        if job.sha not in self._bodies:
            if job.body is None:
                return None
            self.compile(job.sha, job.body, bool(job.function))
        if job.function:
            return self._loaded(self._bodies[job.sha])[0]
        return self._compile(self._bodies[job.sha], _CHUNK)

    def _loaded(self, code: bytes) -> tuple[Any, Any]:
        """A library, and a table of its functions. Raises `ReplyError` with what went wrong."""
        library, found = self._load(code, _LIBRARY_CHUNK)
        if library is None:
            raise ReplyError((_NOT_LOADED + found.partition(b"\0")[0]).decode("latin-1"))
        return library, found

    def _judge_of(self, job: Job) -> Judge | None:
        if job.user is None:
            return None
        words = job.user
        key = tuple(words)
        judge = self._judges.get(key)
        if judge is None:
            if len(self._judges) >= SCRIPTS_MOST:
                self._judges.clear()
            judge = self._judges[key] = self._make_judge(words)
        return judge

    def _try(self, text: Compile) -> Outcome:
        """Whether a script can be compiled, or what functions a library has."""
        try:
            code = self._translated(text.body, text.is_library)
            if not text.is_library:
                return Outcome(text.number, ENDED)
            said = list(self._loaded(code)[1].values())
        except ReplyError as wrong:
            return Outcome(text.number, FAILED, error(wrong.text))
        functions = [
            Function(name.decode(), flags.decode().split(",") if flags else [], description or None)
            for name, description, flags in zip(said[::3], said[1::3], said[2::3], strict=True)
        ]
        if not functions:
            return Outcome(text.number, FAILED, error(_NO_FUNCTIONS.decode()))
        return Outcome(text.number, ENDED, functions=functions)


def without_shebang(body: bytes) -> bytes:
    """A script's text without its first line, if that is `#!...`; the line itself stays."""
    if not body.startswith(b"#!"):
        return body
    at = body.find(b"\n")
    return b"" if at < 0 else body[at:]


def _no_attribute(obj: object, name: object, is_setting: bool) -> object:
    raise AttributeError("no object of Python has attributes for scripts")


def _chunk(runtime: Any, name: str) -> Any:
    """A file of this package as a Lua function."""
    text = files("respdyn.scripting").joinpath(name).read_bytes()
    load = runtime.eval(b"function(text, name) return assert(loadstring(text, name)) end")
    return load(text, b"=" + name.encode())
