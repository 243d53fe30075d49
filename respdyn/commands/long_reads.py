"""Reads that give much: all of a big key, or a long range of it, made in pieces.

A reply of a million elements takes seconds. So a command that may give so many has two forms: the
`read` that computes it at once, and a `long_read` that is a generator: it yields the steps of each
piece (`cluster/slices`) and returns the reply. A big record never changes, so what comes of it is
the key at one moment, however long that takes. Below `LONG` elements there is no generator, None.

All elements of a big hash or set are given in the order of the record, that of HSCAN and SSCAN.
"""

from collections.abc import Callable, Generator
from typing import Final, TypeVar

from respdyn.commands.declare import Argv, LongRead
from respdyn.commands.elements import Type, view_of
from respdyn.types.chance import Chance
from respdyn.types.view import View

LONG: Final = 500           # elements; of fewer a reply is made at once
PIECE: Final = 50           # elements in a row
SOUGHT: Final = 100         # and those that are only looked at
STEPS: Final = 8            # that one of them is taken for

Answer = Generator[int, None, bytes]
Show = Callable[[View, bytes], bytes]           # one element, encoded; b"": it is not there
Head = Callable[[int, bool], bytes]             # what stands before so many
Item = TypeVar("Item")


def array_head(count: int, resp3: bool) -> bytes:
    return b"*%d\r\n" % count


def set_head(count: int, resp3: bool) -> bytes:
    return b"%b%d\r\n" % (b"~" if resp3 else b"*", count)


def map_head(count: int, resp3: bool) -> bytes:
    return b"%%%d\r\n" % count if resp3 else b"*%d\r\n" % (2 * count)


def whole(of: Type, show: Show, head: Head) -> LongRead:
    """All elements of a key, each as `show` has it."""
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
        view = view_of(of, rec, now_ms)
        if not view.is_big() or view.size() <= LONG:
            return None
        return answer(view, resp3)

    def answer(view: View, resp3: bool) -> Answer:
        parts: list[bytes] = [b""]
        count = done = 0
        for elements in view.walk():
            shown = [one for element in elements if (one := show(view, element))]
            count += len(shown)
            parts.append(b"".join(shown))
            done += len(elements)
            if done >= PIECE:
                yield done * STEPS
                done = 0
        parts[0] = head(count, resp3)
        return b"".join(parts)
    return begin


def in_pieces(
    found: list[Item], show: Callable[[list[Item]], list[bytes]], head: Head, resp3: bool
) -> Answer | None:
    """The reply of so many, encoded by `show` some at a time; None if they are not many."""
    return _answer(found, show, head, resp3) if len(found) > LONG else None


def _answer(
    found: list[Item], show: Callable[[list[Item]], list[bytes]], head: Head, resp3: bool
) -> Answer:
    parts: list[bytes] = [b""]
    count = 0
    for at in range(0, len(found), PIECE):
        shown = show(found[at : at + PIECE])
        count += len(shown)
        parts.append(b"".join(shown))
        yield PIECE * STEPS
    parts[0] = head(count, resp3)
    return b"".join(parts)


def chosen(
    of: Type, parse: Callable[[Argv], int], show: Show, head: Head,
    has_numbers: Callable[[View], bool] = lambda view: True,
) -> LongRead:
    """Elements chosen at random, very many; the last word is the seed.

    `parse`: how many, below 0 if one may come twice. `has_numbers`: whether each number stands for
    an element that is there.
    """
    def begin(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> Answer | None:
        view = view_of(of, rec, now_ms)
        count = parse(argv[:-1]) if len(argv) > 3 else 1
        if abs(count) <= LONG or not view.is_big() or not has_numbers(view):
            return None
        return answer(Chance(int.from_bytes(argv[-1])), rec, now_ms, resp3, count)

    def answer(chance: Chance, rec: bytes, now_ms: int, resp3: bool, count: int) -> Answer:
        size = view_of(of, rec, now_ms).size()
        total = -count if count < 0 else min(count, size)
        each = chance.each(size, total)
        parts = [head(total, resp3)]
        for at in range(0, total, PIECE):
            view = view_of(of, rec, now_ms)     # what it has read goes with it
            view.open()
            parts += [
                show(view, view.nth(chance.below(size) if count < 0 else next(each)))
                for _ in range(min(PIECE, total - at))
            ]
            yield PIECE * STEPS
        return b"".join(parts)
    return begin
