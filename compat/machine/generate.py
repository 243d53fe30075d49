"""Random commands, derived from the declarations: whatever is declared is tried.

A command's argument tree says what may stand where; the name of an argument says from which values
to choose. Then mistakes are put in: a word left out, doubled, or replaced by something odd. No
random value expires while a test runs: times are far ahead or long past.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hypothesis import strategies as st

from respdyn.commands.declare import Command
from respdyn.commands.syntax import Argument

Words = list[bytes]
Several = st.SearchStrategy[tuple[bytes, ...]]
Choices = Mapping[str, Sequence[bytes]]

KEYS = (b"a", b"b", b"{a}c", b"", b"\x00\xff\r\n")
_VALUES = (b"", b"v", b"10", b"-1", b"0.5", b"\r\n", b"\x00\xff", b"hello world", b"abcabba" * 3)
_SECONDS = (b"100000", b"20000000", b"0", b"-1")
_NUMBERS = (b"0", b"1", b"-1", b"3", b"7", b"-9", b"30", b"100")
_COUNTS = (b"0", b"1", b"10", b"1000", b"-1")
_ODD = (
    b"x", b"", b"1.5", b"01", b"+1", b" 1", b"-0", b"1e3", b"nan", b"inf", b"0x10", b"*", b"k\x00",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"9223372036854775",
    b"4294967296", b"NX", b"XX", b"GET", b"EX", b"nope", b"\xe9\n",
)

# What CONFIG SET may change in a story, and what it is set to again: nothing that a story feels.
SETTINGS: dict[bytes, bytes] = {
    b"hz": b"10", b"save": b"", b"loglevel": b"notice", b"lua-time-limit": b"5000",
    b"busy-reply-threshold": b"5000", b"hash-max-listpack-value": b"64",
    b"list-max-listpack-size": b"-2", b"latency-tracking-info-percentiles": b"50 99 99.9",
}

# What an argument is called, and what may stand there.
_BY_NAME: dict[str, Sequence[bytes]] = {
    "seconds": _SECONDS,
    "milliseconds": (b"100000000", b"20000000000", b"0", b"-1"),
    "unix-time-seconds": (b"5000000000", b"6000000000", b"7000000000", b"1", b"0", b"-3"),
    "unix-time-milliseconds": (b"5000000000001", b"6000000000000", b"7000000000499", b"1", b"-1"),
    "cursor": (b"0",),
    "pattern": (b"*", b"a*", b"?", b"[^a]", b"\\*", b"", b"{a}c", b"*c*", b"hz", b"save",
                b"lua-time-limit", b"LogLevel"),
    "type": (b"string", b"hash", b"zset", b"STRING", b"nope"),
    "index": (b"0", b"1", b"15", b"16", b"-1"),
    "destination-db": (b"0", b"1", b"15", b"16", b"-1"),
    "increment": (*_NUMBERS, b"9223372036854775807", b"1.5", b"3e2", b"-0.1"),
    "decrement": (*_NUMBERS, b"-9223372036854775808"),
    "offset": (*_NUMBERS, b"#1", b"100000"),
    "bit": (b"0", b"1", b"2"),
    "encoding": (b"u8", b"i5", b"i64", b"u63", b"u64", b"i0", b"i16"),
    "operation": (b"AND", b"or", b"XOR", b"Not"),
    "protover": (b"2", b"3", b"4"),
    "count": _COUNTS,
    "len": _COUNTS,
    "slot": (b"0", b"15495", b"16383", b"16384", b"-1"),
    "section": (b"nope", b"server", b"memory", b"stats", b"persistence", b"modules", b"everything"),
    "parameter": (*SETTINGS, b"nope", b"databases", b"dir", b"daemonize"),
    "command-name": (b"get", b"SET", b"client|id", b"nope", b"object"),
    "command": (b"get", b"set", b"MSET", b"nope", b"bitop", b"client"),
    "subcommand": (b"get", b"help", b"nope"),
    "category": (b"read", b"string", b"nope"),
    "connection-name": (b"me", b"", b"a b", b"\xff"),
    "clientname": (b"me", b"", b"a b"),
    "libname": (b"lib", b"a b"),
    "libver": (b"1.0", b"1 0"),
    "username": (b"default", b"nouser"),
    "password": (b"secret", b""),
    "channel": (b"news", b"a"),
    "member": _VALUES[:6], "member1": _VALUES[:4], "member2": _VALUES[:4],
    "score": (b"0", b"1", b"-1.5", b"inf", b"-inf", b"1e17", b"0.1"),
    "min": (b"-inf", b"0", b"(1", b"-", b"[a", b"(v"),
    "max": (b"+inf", b"1", b"(3", b"+", b"[v", b"(hello"),
    "start": (*_NUMBERS[:4], b"-inf", b"-", b"[a", b"(0"),
    "stop": (*_NUMBERS[:4], b"+inf", b"+", b"[v", b"(3"),
    "weight": (b"1", b"2", b"-0.5", b"inf"),
    "numkeys": (b"1", b"2", b"1", b"2", b"0"),
    "longitude": (b"0", b"13.361389", b"-122.4", b"180", b"181"),
    "latitude": (b"0", b"38.115556", b"37.7", b"-85", b"86"),
    "radius": (b"0", b"1000", b"20000", b"-1"), "width": (b"0", b"1000", b"20000", b"-1"),
    "height": (b"0", b"1000", b"20000", b"-1"),
}
_LONGEST = 3            # repetitions of what may repeat

# Groups of commands that make a story together, what of them there must be most of, and what is
# run with each.
FAMILIES = (
    ("string", "bitmap", "hyperloglog"), ("hash",), ("set",), ("list",), ("sorted-set", "geo"),
)
_ADDING = frozenset((
    "set", "setrange", "setbit", "pfadd", "hset", "hincrby", "hincrbyfloat", "sadd", "rpush",
    "lpush", "zadd", "zincrby", "geoadd",
))
_AROUND = ("generic",)
_ABOUT_NO_KEY = frozenset(("object|help", "randomkey"))


def command_strategy(
    command: Command, choices: Mapping[str, Sequence[bytes]] = MappingProxyType({})
) -> st.SearchStrategy[Words]:
    """Words that call this command, mostly right.

    `choices`: by name of an argument, what else may stand there than usual.
    """
    name = [part.encode() for part in command.name.split("|")]
    right = st.tuples(*(_argument(one, choices) for one in command.arguments)).map(
        lambda parts: [word for part in parts for word in part]
    )
    return st.tuples(right, _mistake(), _SPELLINGS).map(
        lambda drawn: [*(drawn[2](word) for word in name), *drawn[1](drawn[0])]
    )


_SPELLINGS = st.sampled_from((bytes.upper, bytes.upper, bytes.lower, bytes.title))


def _argument(argument: Argument, choices: Choices) -> Several:
    """The words of one argument, those of its repetitions included."""
    one = _once(argument, choices)
    if argument.multiple:
        least = 0 if argument.optional else 1
        return st.lists(one, min_size=least, max_size=_LONGEST).map(_flat)
    if argument.optional:
        return st.one_of(st.just(()), one)
    return one


def _once(argument: Argument, choices: Choices) -> Several:
    inner: Several
    if argument.kind == "pure-token":
        return st.sampled_from(
            ((argument.token.encode(),), (argument.token.lower().encode(),))
        )
    if argument.kind == "oneof":
        inner = st.one_of(*(_argument(child, choices) for child in argument.children))
    elif argument.kind == "block":
        inner = st.tuples(*(_argument(child, choices) for child in argument.children)).map(_flat)
    else:
        inner = st.sampled_from(_words_of(argument, choices)).map(lambda word: (word,))
    if argument.token:
        token = argument.token.encode()
        return inner.map(lambda words: (token, *words))
    return inner


def _words_of(argument: Argument, choices: Choices) -> Sequence[bytes]:
    if argument.name in choices:
        return choices[argument.name]
    if argument.kind == "key":
        return choices.get("key", KEYS)
    if argument.name in _BY_NAME:
        return _BY_NAME[argument.name]
    return _NUMBERS if argument.kind == "integer" else _VALUES


def _flat(parts: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
    return tuple(word for part in parts for word in part)


class Mistake:
    """A change to a command's arguments that shows itself readably."""

    def __init__(self, kind: str, at: int, word: bytes) -> None:
        self._kind = kind
        self._at = at
        self._word = word

    def __call__(self, words: Words) -> Words:
        """The arguments with the mistake in them."""
        if self._kind == "none":
            return words
        at = self._at % (len(words) + 1)
        if self._kind == "add":
            return [*words[:at], self._word, *words[at:]]
        if self._kind == "drop":
            return [*words[:at], *words[at + 1:]]
        return [*words[:at], self._word, *words[at + 1:]]


def _mistake() -> st.SearchStrategy[Mistake]:
    kinds = ("none",) * 6 + ("add", "drop", "replace")
    return st.builds(
        Mistake, st.sampled_from(kinds), st.integers(0, 6), st.sampled_from(_ODD)
    )


def story_strategy(
    commands: Sequence[Command], longest: int, choices: Choices = MappingProxyType({})
) -> st.SearchStrategy[list[Words]]:
    """Sequences of commands. Those that write a value are more frequent than the table has them.

    Most are of one family of commands, for what it does to a key is seen only by commands of its
    own. Every third is a transaction, and may have been spoilt before it begins.
    """
    made = {one.name: command_strategy(one, choices) for one in commands}
    often = [one for one in commands if one.name in ("set", "incr", "append")] * 3
    casts = [[*commands, *often]]
    for family in FAMILIES:
        own = [one for one in commands if one.group in family]
        adding = [one for one in own if one.name in _ADDING] * 2
        around = [one for one in commands if one.group in _AROUND and one.name not in _ABOUT_NO_KEY]
        casts.append([*own, *own, *adding, *around] if own else casts[0])
    return st.sampled_from(casts).flatmap(
        lambda cast: _of_these(st.sampled_from(cast).flatmap(lambda one: made[one.name]), longest,
                               "multi" in made)
    )


def _of_these(
    word: st.SearchStrategy[Words], longest: int, has_transactions: bool
) -> st.SearchStrategy[list[Words]]:
    plain = st.lists(word, min_size=1, max_size=longest)
    before = st.lists(word, max_size=3)
    in_one = st.tuples(before, st.lists(word, max_size=longest)).map(
        lambda parts: [*parts[0], [b"MULTI"], *parts[1], [b"EXEC"]]
    )
    return st.one_of(plain, plain, in_one) if has_transactions else plain
