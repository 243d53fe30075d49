"""FUNCTION's subcommands that change something: libraries compiled, made known, deleted, restored.

A library is compiled where it comes in, in the script process, which also says what functions it
registers. Then it is stated, and the client is answered when every node in reach has received and
stored it: a client with the answer may call the functions at any node.

Source: Redis `function.c`.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.questions import Received
from respdyn.cluster.quorum import Target
from respdyn.cluster.tasks import Task
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.arguments import quoted, unknown_subcommand, word
from respdyn.commands.declare import Argv
from respdyn.commands.scripting import library_of
from respdyn.coordination.scripts import CompileWaiter, Scripts
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, bulk
from respdyn.scripting.job import ENDED, Outcome
from respdyn.sessions.libraries import DUMPED, Libraries, Library, library_from
from respdyn.sessions.router import Router
from respdyn.types.dump import DumpError, WrongFooterError, unpack_string, unseal

_EXISTS: Final = "ERR Library '{}' already exists"
_EXISTS_JOINED: Final = "ERR Library {} already exists"
_BEFORE_RELEASE: Final = 246        # a type of libraries before 7.0 was out
_POLICIES: Final = (b"APPEND", b"REPLACE", b"FLUSH")


class Functions:
    """Changes of the libraries, said by clients of this node."""

    def __init__(
        self, node: ThisNode, router: Router, scripts: Scripts, libraries: Libraries
    ) -> None:
        self.libraries = libraries
        self._node = node
        self._router = router
        self._scripts = scripts

    def load(self, argv: Argv, target: Target, timeout_ms: int) -> None:
        """FUNCTION LOAD. Raises `ReplyError`."""
        for option in argv[2:-1]:
            if word(option) != b"REPLACE":
                raise ReplyError(f"ERR Unknown option given: {quoted(option)}")
        replaces, code = len(argv) > 3, argv[-1]
        name = library_of(code)
        self.libraries.check([library_from(name, code, [])], replaces, _EXISTS)

        def compiled(added: list[Library]) -> bytes:
            self.libraries.check(added, replaces, _EXISTS)
            self.libraries.add(added)
            return bulk(name)

        self._compile([code], compiled, target, timeout_ms)

    def delete(self, argv: Argv, target: Target, timeout_ms: int) -> None:
        """FUNCTION DELETE. Raises `ReplyError`."""
        self.libraries.delete(argv[2])
        self._spread(OK, target, timeout_ms)

    def flush(self, argv: Argv, target: Target, timeout_ms: int) -> None:
        """FUNCTION FLUSH. Raises `ReplyError`."""
        if len(argv) > 3:
            raise unknown_subcommand(argv)
        if len(argv) == 3 and word(argv[2]) not in (b"SYNC", b"ASYNC"):
            raise ReplyError("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
        self.libraries.statements.flush()
        self._spread(OK, target, timeout_ms)

    def restore(self, argv: Argv, target: Target, timeout_ms: int) -> None:
        """FUNCTION RESTORE. Raises `ReplyError`."""
        if len(argv) > 4:
            raise unknown_subcommand(argv)
        policy = word(argv[3]) if len(argv) > 3 else _POLICIES[0]
        if policy not in _POLICIES:
            raise ReplyError(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
            )

        def compiled(added: list[Library]) -> bytes:
            libraries = self.libraries
            if policy == b"FLUSH":
                libraries.statements.flush()
            else:
                libraries.check(added, policy == b"REPLACE", _EXISTS_JOINED)
            libraries.add(added)
            return OK

        self._compile(_codes_in(argv[2]), compiled, target, timeout_ms)

    def _compile(
        self, codes: list[bytes], done: Callable[[list[Library]], bytes], target: Target,
        timeout_ms: int,
    ) -> None:
        """Compile libraries, one after the other; `done` makes all of them known."""
        waiter = target.hold()
        deadline_ms = self._node.now.now_ms + timeout_ms
        made: list[Library] = []

        def tried(outcome: Outcome | bytes) -> None:
            if isinstance(outcome, bytes) or outcome.kind != ENDED:
                waiter.fill(outcome if isinstance(outcome, bytes) else outcome.reply)
                return
            code = codes[len(made)]
            made.append(library_from(library_of(code), code, outcome.functions))
            go_on()

        def begin(compiling: CompileWaiter) -> None:
            self._scripts.compile(codes[len(made)], True, compiling, deadline_ms)

        def go_on() -> None:
            try:
                _check_last(made)
                if len(made) == len(codes):
                    self._spread(done(made), waiter, deadline_ms - self._node.now.now_ms)
                else:
                    _check_name(codes[len(made)], made)
                    begin(CompileWaiter(tried, begin, self._scripts))
            except ReplyError as wrong:
                waiter.fail(wrong.text)

        go_on()

    def _spread(self, reply: bytes, target: Target, timeout_ms: int) -> None:
        """Answer when every node in reach has what was stated."""
        peers = [link.peer for link in self._node.links.values() if link.is_up and link.is_member]

        def task() -> Task:
            if peers:
                yield [(peer, Received()) for peer in peers]
            return reply

        self._router.start_task(task(), max(1, timeout_ms), target.hold().fill)


def _check_name(code: bytes, before: list[Library]) -> None:
    """Raises `ReplyError` if a library of a payload cannot stand behind those before it."""
    name = library_of(code)
    if any(library.name == name for library in before):
        raise ReplyError(_EXISTS.format(name.decode()))


def _check_last(libraries: list[Library]) -> None:
    """Raises `ReplyError` if functions of the last are functions of another."""
    names = {function.name.lower() for one in libraries[:-1] for function in one.functions}
    for function in libraries[-1].functions if libraries else ():
        if function.name.lower() in names:
            raise ReplyError(f"ERR Function {function.name} already exists")


def _codes_in(payload: bytes) -> list[bytes]:
    """The code of each library in what FUNCTION DUMP gave. Raises `ReplyError`."""
    try:
        packed, at, codes = unseal(payload), 0, []
        while at < len(packed):
            if packed[at] == _BEFORE_RELEASE:
                raise ReplyError("ERR Pre-GA function format not supported")
            if packed[at] != DUMPED:
                raise ReplyError("ERR given type is not a function")
            code, at = unpack_string(packed, at + 1)
            codes.append(code)
    except WrongFooterError:
        raise ReplyError("ERR DUMP payload version or checksum are wrong") from None
    except DumpError:
        raise ReplyError("ERR Failed loading library data") from None
    return codes
