"""Messages between a node and its script process: jobs there, outcomes back, in batches.

A job is everything that a script may depend on: its text, keys and arguments, the records of its
keys, a block of dots, the time and a seed. Its outcome is everything that it may cause: a reply,
one joined delta for each key, and notes. Between the two a script may *want* something (the record
of a key that it had not declared, more dots, the answer to a command that only the node can give);
then it is suspended until the node hands that over (`More`), or begins it again.

Nothing of a job is written before its outcome is here: what dies with the process was not done.

A job may have others behind it that want the same keys: a *chain*. Each of them runs on the records
as the one before it has left them, and all have one outcome, which has the changes of all in one.
The chain ends at the first that does not end by itself; those behind that are not run.

Source: decisions 0056 and 0060.
"""

from typing import Final

import msgspec

from respdyn.ring.hashing import Locator

# Outcomes.
ENDED: Final = "="          # `reply` is the client's
FAILED: Final = "!"         # the script raised an error: `reply` is that
STOPPED: Final = "."        # it was stopped: `reply` is where it was, as in an error's text
WANTS: Final = "?"          # see `Outcome`
TOO_MUCH: Final = "m"       # it was stopped, since it took too much memory
AGAIN: Final = "~"          # it wants something where it cannot wait: it must be begun again
UNKNOWN: Final = "0"        # the process does not know this body: send it along
TWICE: Final = "2"          # a record has dots that are yet to come: nothing was done


class Given(msgspec.Struct, array_like=True):
    """A key's record, and the floor under the dots of its partition (`Stamp`)."""

    locator: Locator
    record: bytes
    floor: int
    actor: bytes = b""          # of a key that another node has lent, whose dots these are
    counter: int = 0
    dots: int = 0
    clock: int = 0
    place: bytes = b"0"         # "1": at the first of the key's owners (`Command.wants_place`)


class Block(msgspec.Struct, array_like=True):
    """Dots for what a job writes: `count` of them above `counter`, their clocks above `clock`."""

    actor: bytes
    counter: int
    count: int
    clock: int


class Job(msgspec.Struct, array_like=True):
    """One script to run."""

    number: int
    sha: str
    keys: list[bytes]
    args: list[bytes]
    db: int
    resp3: bool
    now_ms: int
    seed: int
    records: list[Given]
    block: Block
    body: bytes | None = None       # None: the process has it
    function: str = ""              # of the library that the body is
    refusal: str = ""               # why no write can be done; "" if it can
    reads_only: bool = False
    is_full: bool = False           # no memory for more (`maxmemory`)
    reports_events: bool = False
    reports_words: bool = False       # a client monitors
    user: list[bytes] | None = None     # the words of its rights; None: all
    rest: list["Job"] = []          # the others of its chain; what records they need it has


class More(msgspec.Struct, array_like=True):
    """What a suspended job wanted."""

    number: int
    records: list[Given]
    block: Block | None = None
    reply: bytes | None = None      # to the command that only the node can run


class Drop(msgspec.Struct, array_like=True):
    """A suspended job that no client waits for any more."""

    number: int


class Compile(msgspec.Struct, array_like=True):
    """A script to compile, to see whether it can be; or a library, to see what is in it."""

    number: int
    body: bytes
    is_library: bool = False


class Batch(msgspec.Struct, array_like=True):
    """What a node has for its process at the end of a turn, in order of the numbers."""

    jobs: list[Job]
    more: list[More]
    drops: list[Drop]
    compiles: list[Compile]


class Change(msgspec.Struct, array_like=True):
    """What a script has written to a key: the join of all its deltas."""

    locator: Locator
    delta: bytes
    reports_siblings: bool
    events: list[tuple[str, bytes]]
    record: bytes = b""             # what has become of the one that was given, if that is small


class Function(msgspec.Struct, array_like=True):
    """One function of a library."""

    name: str
    flags: list[str]
    description: bytes | None = None


class Outcome(msgspec.Struct, array_like=True):
    """What became of a job."""

    number: int
    kind: str
    reply: bytes = b""
    changes: list[Change] = []
    used: int = 0                   # dots
    wants: list[Locator] = []       # of records
    dots: int = 0                   # or so many dots, for one command
    command: list[bytes] = []       # or the reply to a command, in this database
    db: int = 0
    resp3: bool = False
    calls: list[tuple[str, int, int]] = []      # commands: how often, how often in vain
    words: list[list[bytes]] = []   # of each of them, for those who monitor
    logs: list[tuple[int, bytes]] = []
    messages: list[tuple[bytes, bytes, bool]] = []  # to publish: channel, message, of a shard
    misses: list[tuple[Locator, str, bytes]] = []     # events of keys that were only read
    functions: list[Function] = []  # of a library that was compiled
    is_noted: bool = False          # the error is that of a command, and counted there
    is_long: bool = False           # it took long: another should not wait for it in a chain
    rest: list["Outcome"] = []      # of those behind it that were run, without changes


encode: Final = msgspec.msgpack.Encoder().encode
read_batch: Final = msgspec.msgpack.Decoder(Batch).decode
read_outcomes: Final = msgspec.msgpack.Decoder(list[Outcome]).decode
