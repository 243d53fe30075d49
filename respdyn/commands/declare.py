"""A command is one declaration: data that a person reads, and one function that is pure.

Everything that others ask of a command is derived from here: arity checks, routing, key positions,
ACL categories, COMMAND and COMMAND DOCS, the manual. `table.py` lists all declarations.

How a command is executed follows from its `route`:

    LOCAL     this node at once: `local/table.py` has the function
    READ      `read(argv, rec, now_ms, resp3) -> reply` on the join of R answers
    WRITE     `write(argv, rec, now_ms, resp3, stamp) -> (reply, delta)` at the coordinator, blind:
              on what that node holds
    UPDATE    the same, after a quorum has been read
    GATHER    several keys: `parts(argv)` are commands of one key each, `fold(replies)` joins them;
              or `then(argv, replies, resp3)` says what is to be done with the replies of the
              parts: give this reply, or run further parts and fold those, which may again ask
              for further parts. Not one step, unless all keys live at the same nodes and the
              command stands in a transaction: between the parts others may write
    COVERAGE  every partition, or the cluster itself: `admin/tasks.py` lists the tasks
    SCRIPT    Lua, with commands in it: `coordination/script_run.py`
    WRAP      another command stands in the arguments, under other terms: `sessions/router.py`

`rec` is the key's record, b"" for none. A reply is already encoded. A delta b"" means that nothing
is to be written. With `wants_seal` the function is `read_at` or `write_at`, and takes one more
argument: what makes and reads the tokens of the key. All of them raise `ReplyError` for what is the
client's mistake.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from respdyn.causal.dot import Stamp
from respdyn.causal.tokens import Seal
from respdyn.commands.syntax import Argument, Keys, arity_of, keys_of, parse_syntax

Route = Literal["local", "read", "write", "update", "gather", "coverage", "script", "wrap"]
LOCAL: Final = "local"
READ: Final = "read"
WRITE: Final = "write"
UPDATE: Final = "update"
GATHER: Final = "gather"
COVERAGE: Final = "coverage"
SCRIPT: Final = "script"
WRAP: Final = "wrap"

Argv = list[bytes]
Read = Callable[[Argv, bytes, int, bool], bytes]
Write = Callable[[Argv, bytes, int, bool, Stamp], tuple[bytes, bytes]]
ReadAt = Callable[[Argv, bytes, int, bool, Seal], bytes]
WriteAt = Callable[[Argv, bytes, int, bool, Stamp, Seal], tuple[bytes, bytes]]
Parts = Callable[[Argv], Iterable[Argv]]      # what is wrong is raised at once, the rest is lazy
Fold = Callable[[list[bytes]], bytes]


class Further(NamedTuple):
    """Further parts of a GATHER command, and what their replies lead to."""

    parts: Iterable[Argv]
    then: Callable[[list[bytes]], "Then"]
    db: int | None = None           # theirs, if it is not the client's


Then = bytes | Further


class Move(NamedTuple):
    """What a command that moves a part of a key to another has to do: two steps, then its reply."""

    reply: bytes
    destination: bytes          # the other key
    place: Argv                 # on it; done with W copies before
    take: Argv                  # on its own key


class Blocking(NamedTuple):
    """What a command that waits is made of."""

    keys: list[bytes]
    pops: list[Argv]            # one for each of them
    timeout_ms: int             # 0: for ever
    letter: bytes               # of the elements that it waits for
    shape: Callable[[bytes, bytes, bool], bytes]    # of a key and what its pop has answered: the
                                # reply in RESP2 or 3; b"" if the pop has given nothing
    nothing: tuple[bytes, bytes]    # the reply when the time is over, in RESP2 and RESP3
    # Words of a command to be run first, and what makes of its reply the words to go on with.
    looks_up: "tuple[Argv, Callable[[bytes], Argv]] | None" = None
    line: bytes = b""           # those of one line wait one behind the other
    judges_types: bool = False   # WRONGTYPE of a pop may be of another key than it waits for


Moves = Callable[[Argv, bytes, int, bool], Move | bytes]

# Of a read that may give very much: what makes the reply in pieces; None if it is not much. Each
# yield: steps (`cluster/slices`).
LongRead = Callable[[Argv, bytes, int, bool], Generator[int, None, bytes] | None]
# Of a write that may touch very many elements: the commands on the same key that it is made of,
# each yielded and its reply sent back, then the reply of all; None if it is one step.
LongWrite = Callable[[Argv, bytes, int, bool], Generator[Argv, bytes, bytes] | None]


class Order(Protocol):
    """An order of a big key's elements, kept beside its record."""

    def is_near(self, record: bytes) -> bool:
        """Whether it takes little to have it for this record."""

    def prepare(self, record: bytes) -> Generator[int, None, None]:
        """Make it ready in pieces; yields the steps of each."""


# What a command promises in a cluster, one word each.
PROMISES: Final = {
    "converges": "concurrent changes at several nodes are kept and merged",
    "last-writer": "of concurrent changes the one with the highest clock is shown",
    "per-coordinator": "exact while its key has one coordinator, which is while nothing fails",
    "local": "concerns this connection or this node alone",
    "refused": "not offered",
}

# Redis's order of flags and of categories, so that replies can be compared with its own.
_FLAGS = ("write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading",
          "stale", "skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "no_mandatory_keys",
          "no_async_loading", "no_multi", "movablekeys", "allow_busy")
CATEGORIES = ("keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
               "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking",
               "dangerous", "connection", "transaction", "scripting")
_CATEGORY_OF_GROUP = {
    "generic": "keyspace", "string": "string", "bitmap": "bitmap", "connection": "connection",
    "hash": "hash", "set": "set", "sorted-set": "sortedset", "geo": "geo",
    "hyperloglog": "hyperloglog", "list": "list", "stream": "stream",
    "transactions": "transaction",
}

ANY_NUMBER: Final = 1 << 62
_NOWHERE: Final = Keys()


def _no_read(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    raise AssertionError(f"{argv[0]!r} is not executed as a read")


def _no_write(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    raise AssertionError(f"{argv[0]!r} is not executed as a write")


def _no_read_at(argv: Argv, rec: bytes, now_ms: int, resp3: bool, seal: Seal) -> bytes:
    raise AssertionError(f"{argv[0]!r} is not executed as a read")


def _no_write_at(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp, seal: Seal
) -> tuple[bytes, bytes]:
    raise AssertionError(f"{argv[0]!r} is not executed as a write")


def _no_parts(argv: Argv) -> Iterable[Argv]:
    raise AssertionError(f"{argv[0]!r} has no parts")


def _no_fold(replies: list[bytes]) -> bytes:
    raise AssertionError("this command has no parts")


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """What is stated, and below it what follows from that."""

    name: str                       # "get"; a subcommand "client|id"
    syntax: str
    summary: str
    since: str                      # Redis's version; respdyn's for DYN.*
    group: str
    flags: str                      # Redis's words
    route: Route
    promise: str
    complexity: str = "O(1)"
    tips: tuple[str, ...] = ()
    access: str = ""                # flags of its keys, as in Redis's key specs: "RO access";
                                    # "OW update; RO access" of the first and of the others
    notes: str = ""                 # to those flags
    acl: str = ""                   # categories besides those that follow from flags and group
    arity: int = 0                  # 0: follows from the syntax
    keys_at: Keys = _NOWHERE        # where names are that choose a slot though they are no keys
    read: Read = _no_read
    write: Write = _no_write
    read_at: ReadAt = _no_read_at
    write_at: WriteAt = _no_write_at
    wants_seal: bool = False
    wants_place: bool = False       # whether its node is the first of the key's owners, "1" or
                                    # "0", stands behind its words
    draws: bool = False             # the seed of its choice, 8 bytes, stands behind its words
    reports_siblings: bool = False    # it replaces siblings that it has not read (SEMANTICS 3)
    event: str = ""                 # its keyspace event for a changed key: a class of Redis's
                                    # `notify-keyspace-events` and a name; "": "g" and its own name
    # Does this WRITE need a quorum read first?
    reads_before_write: Callable[[Argv], bool] | None = None
    parts: Parts = _no_parts
    fold: Fold = _no_fold
    nulls: tuple[bytes, bytes] = (b"", b"")     # for `fold`, in RESP2 and RESP3: what stands for a
                                    # part whose key holds another type; b"": its error counts
    then: Callable[[Argv, list[bytes], bool], Then] | None = None   # instead of `fold`
    # The same of very much, in pieces: None if it is not; each yield: steps (`cluster/slices`).
    long_then: Callable[[Argv, list[bytes], bool], Generator[int, None, Then] | None] | None = None
    whole: Callable[[Argv], Argv] | None = None     # the one command that it is outside of a
                                    # transaction, instead of its parts
    long_read: LongRead | None = None
    long_write: LongWrite | None = None
    order: Callable[[Argv], Order | None] | None = None     # what it looks at the key's elements by
    move: Moves | None = None       # what an UPDATE of two different keys is made of
    block: Callable[[Argv], Blocking] | None = None     # outside of a transaction it waits
    waits: Callable[[Argv], bool] | None = None     # whether it does; None: always
    overtakes: bool = False         # it only adds, and need not wait while its key is busy
    is_alone: Callable[[Argv], bool] | None = None  # never part of a transaction's group
    other_key: Callable[[Argv], tuple[int, bytes] | None] | None = None     # the database and key
                                    # that it names besides its own
    stores: Callable[[Argv], list[int]] | None = None   # where further keys stand that it writes
    counted_keys: Callable[[Argv], list[int]] | None = None     # where the keys stand, if their
                                    # number stands before them
    counted_at: int = 0             # and where that stands, if not first or behind a key
    keywords: tuple[tuple[str, int, str], ...] = ()     # (keyword, first word that may be it,
                                    # access) of keys that stand behind keywords; see `stores`
    wants_all_keys: Callable[[Argv], str] | None = None     # the error for a user who may not read
                                    # every key, "" if that is not needed
    unknown_keys: tuple[tuple[str, str], ...] = ()  # (notes, access) of keys without a position
    is_in_keyspace: bool = True     # False: not in the category that its group stands for
    single: "Command | None" = None   # a GATHER command with one key is executed as this one
    inner: Callable[[Argv], Argv] | None = None     # the command that a WRAP command carries
    subcommands: tuple["Command", ...] = ()

    arguments: tuple[Argument, ...] = field(init=False)
    keys: Keys = field(init=False)
    flag_words: tuple[str, ...] = field(init=False)
    categories: tuple[str, ...] = field(init=False)
    least: int = field(init=False)  # fewest and most words, the name's included
    most: int = field(init=False)
    by_name: dict[bytes, "Command"] = field(init=False)
    published: tuple[str, bytes] = field(init=False)     # its event

    def __post_init__(self) -> None:
        words = self.name.count("|") + 1
        arguments = parse_syntax(self.syntax, words)
        if self.subcommands and not arguments:
            arguments = parse_syntax("subcommand [argument ...]", 0)
        arity = self.arity or arity_of(arguments, words)
        flags = self.flags.split()
        letter, _, event = (self.event or f"g {self.name}").partition(" ")
        derived: dict[str, object] = {
            "arguments": arguments,
            "arity": arity,
            "keys": self._keys(arguments, words),
            "flag_words": tuple(flag for flag in _FLAGS if flag in flags),
            "categories": tuple(self._categories(flags)),
            "least": abs(arity),
            "most": arity if arity > 0 else ANY_NUMBER,
            "by_name": {sub.name.split("|")[1].encode(): sub for sub in self.subcommands},
            "published": (letter, event.encode()),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        self._check(flags)

    def _keys(self, arguments: tuple[Argument, ...], words: int) -> Keys:
        if self.keys_at.first:
            return self.keys_at
        if self.counted_keys is not None:
            return Keys()
        return keys_of(arguments, words) if self.access else Keys()

    def _categories(self, flags: list[str]) -> list[str]:
        wanted = set(self.acl.split())
        wanted.update({"write", "pubsub", "blocking"}.intersection(flags))
        if "readonly" in flags and self.group != "scripting":
            wanted.add("read")
        if "admin" in flags:
            wanted.update(("admin", "dangerous"))
        wanted.add("fast" if "fast" in flags else "slow")
        if not self.subcommands and self.is_in_keyspace and self.group in _CATEGORY_OF_GROUP:
            wanted.add(_CATEGORY_OF_GROUP[self.group])
        return [category for category in CATEGORIES if category in wanted]

    def _check(self, flags: list[str]) -> None:
        """Refuse nonsense when the table is built, not when a client comes."""
        assert self.name == self.name.lower(), self.name
        assert self.syntax.upper().startswith(self.name.replace("|", " ").upper()), self.syntax
        assert self.promise in PROMISES, self.name
        assert set(flags) <= set(_FLAGS), self.name
        assert self.summary.endswith("."), self.name
        assert self.route not in (READ, WRITE, UPDATE) or self.keys.first > 0, self.name
        assert (self.route == GATHER) == (self.parts is not _no_parts), self.name
        assert self.then is None or self.fold is _no_fold, self.name
        assert (self.route == WRAP) == (self.inner is not None), self.name
        if self.route == READ:
            assert (self.read_at is not _no_read_at) == self.wants_seal, self.name
            assert (self.read is not _no_read) != self.wants_seal, self.name
        if self.route in (WRITE, UPDATE):
            assert (self.write_at is not _no_write_at) == self.wants_seal, self.name
            assert (self.write is not _no_write) != self.wants_seal, self.name
