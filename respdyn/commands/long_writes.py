"""Writes that touch very many elements of one key: as commands on some of them, one by one.

A command that would remove or write more than `LONG` elements has a `long_write`: a generator that
yields a command on the same key, gets its reply, and so on, and returns the reply of all. The node
that coordinates the key runs them while the key is busy, so no other command of a client comes
between; but who reads at another replica may see the key on its way. In a transaction or a script
such a command is one step, as any.

What is wrong with a command's words is left to the command itself: then there is no generator.
"""

from collections.abc import Callable, Generator
from typing import Final

from respdyn.commands.declare import Argv, LongWrite
from respdyn.commands.folding import as_sum
from respdyn.errors import ReplyError

LONG: Final = 500           # elements; fewer are one step
PIECE: Final = 50           # elements of a step

Steps = Generator[Argv, bytes, bytes]


def naming(
    first: int, width: int = 1, fold: Callable[[list[bytes]], bytes] = as_sum,
    check: Callable[[Argv], object] | None = None,
) -> LongWrite:
    """A command that names the elements from word `first` on, each by `width` words.

    `check` raises `ReplyError` if something is wrong with the words.
    """
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
        if len(argv) - first <= LONG * width:
            return None
        if (len(argv) - first) % width or (check is not None and _is_wrong(check, argv)):
            return None
        return some_at_a_time(argv[:first], argv, first, width, fold)
    return begin


def _is_wrong(check: Callable[[Argv], object], argv: Argv) -> bool:
    try:
        check(argv)
    except ReplyError:
        return True
    return False


def some_at_a_time(
    head: Argv, argv: Argv, first: int, width: int, fold: Callable[[list[bytes]], bytes]
) -> Steps:
    """The words from `first` on, some at a time behind the same head."""
    replies: list[bytes] = []
    for at in range(first, len(argv), PIECE * width):
        replies.append((yield [*head, *argv[at : at + PIECE * width]]))
    return fold(replies)


def storing(verb: bytes, width: int, turned: bool = False) -> LongWrite:
    """DYN.STORESET and DYN.STOREZSET: the first elements in place of all, the others beside them.

    `turned`: the other command has the two words of an element the other way round.
    """
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
        return steps(argv) if len(argv) - 3 > LONG * width else None

    def steps(argv: Argv) -> Steps:
        behind = 3 + PIECE * width
        replies = [(yield argv[:behind])]
        rest = argv[behind:]
        if turned:
            rest[::2], rest[1::2] = rest[1::2], rest[::2]
        for at in range(0, len(rest), PIECE * width):
            replies.append((yield [verb, argv[1], *rest[at : at + PIECE * width]]))
        return as_sum(replies)
    return begin


def last(replies: list[bytes]) -> bytes:
    return replies[-1]


def taking(size: Callable[[bytes, int], int]) -> LongWrite:
    """A command that takes so many elements out: word 2 says how many, `size` how many there are.
    """
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Steps | None:
        if len(argv) != 3 or not argv[2].isdigit():
            return None
        count = int(argv[2])
        count = min(count, size(rec, now_ms)) if count > LONG else 0
        return steps(argv, count) if count > LONG else None

    def steps(argv: Argv, count: int) -> Steps:
        replies: list[bytes] = []
        while count > 0:
            replies.append((yield [argv[0], argv[1], b"%d" % min(PIECE, count)]))
            count -= PIECE
        return joined(replies)
    return begin


def joined(replies: list[bytes]) -> bytes:
    """Arrays or sets of replies as one."""
    counts, bodies = 0, [b""]
    for reply in replies:
        end = reply.index(b"\r\n")
        counts += int(reply[1:end])
        bodies.append(reply[end + 2 :])
    bodies[0] = b"%b%d\r\n" % (replies[0][:1], counts)
    return b"".join(bodies)
