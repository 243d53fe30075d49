"""Stories of several connections: who says what, and what they may say of each other.

The commands are those that change what a connection is or receives, and enough commands on keys
for something to come. Words come from the declarations, as in `generate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st

from compat.machine.generate import command_strategy
from respdyn.commands.declare import Command
from respdyn.commands.table import BY_NAME

CAST = 3                # connections in a story
LONGEST = 18            # commands

# How often a command comes, by kind; within a kind all are as frequent.
KEY_COMMANDS = (
    "get", "set", "set", "set", "del", "unlink", "mget", "mset", "incr", "incrby", "append",
    "setrange", "setbit", "bitfield", "bitop", "getset", "getdel", "getex", "setnx", "msetnx",
    "expire", "pexpireat", "persist", "rename", "renamenx", "copy", "move", "exists", "touch",
    "strlen", "type", "getbit", "flushdb", "flushall", "setex", "incrbyfloat",
)
TRACKING_COMMANDS = (
    "client|tracking", "client|tracking", "client|tracking", "client|caching",
    "client|trackinginfo", "client|getredir",
)
CONNECTION_COMMANDS = (
    "client|kill", "client|kill", "client|list", "client|info", "client|id", "client|pause",
    "client|pause", "client|unpause", "client|reply", "client|setname", "client|getname",
    "client|no-evict", "client|unblock", "select", "reset", "hello", "quit", "ping", "echo",
    "monitor",
)
PUBSUB_COMMANDS = (
    "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe",
    "publish", "publish", "publish", "spublish", "pubsub|channels", "pubsub|numsub",
    "pubsub|numpat", "pubsub|shardchannels", "pubsub|shardnumsub",
)
TRANSACTION_COMMANDS = ("multi", "multi", "exec", "exec", "discard", "watch", "watch", "unwatch")
WAITING_COMMANDS = (
    "blpop", "blpop", "brpop", "blmove", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax",
    "bzmpop",
)
WAKING_COMMANDS = (
    "rpush", "rpush", "lpush", "lpush", "zadd", "zadd", "zincrby", "rename", "copy", "move",
    "lmove", "rpoplpush", "linsert", "lpushx", "zunionstore", "zrangestore", "geoadd", "sort",
    "set", "sadd", "del", "lpop", "zpopmin", "ltrim", "lrem", "client|unblock", "client|kill",
    "client|list", "select", "exec", "multi", "ping", "expire", "lmpop", "zmpop", "flushall",
)
KINDS = (
    KEY_COMMANDS, KEY_COMMANDS, KEY_COMMANDS, TRACKING_COMMANDS, CONNECTION_COMMANDS,
    PUBSUB_COMMANDS, TRANSACTION_COMMANDS,
)
# Of stories of clients that wait for something to take.
KINDS_OF_WAITING = (
    WAITING_COMMANDS, WAITING_COMMANDS, WAKING_COMMANDS, WAKING_COMMANDS, WAKING_COMMANDS,
    TRANSACTION_COMMANDS,
)
NAMES = tuple(dict.fromkeys(name for kind in (*KINDS, *KINDS_OF_WAITING) for name in kind))

EVENT_CLASSES = (b"", b"", b"KEA", b"KEAnm", b"Kg", b"E$n", b"Ex")

_IDS = tuple(b"<id %d>" % who for who in range(CAST))
# What may stand where, other than where one connection speaks alone.
_HERE: dict[str, Sequence[bytes]] = {
    "client-id": (*_IDS, *_IDS, b"0", b"-1", b"99999999"),
    "ip:port": (*(b"<addr %d>" % who for who in range(CAST)), b"1.2.3.4:5"),
    "yes/no": (b"yes", b"no", b"no", b"maybe"),
    "prefix": (b"a", b"b", b"{", b"ab", b""),
    "channel": (b"news", b"a", b"__redis__:invalidate", b"__keyspace@0__:a"),
    "shardchannel": (b"news", b"a"),
    "pattern": (b"*", b"n*", b"__key*__:*"),
    "index": (b"0", b"1", b"16"),
    "destination-db": (b"0", b"1"),
    "seconds": (b"100000", b"20000000", b"0", b"-1"),
    "unix-time-seconds": (b"5000000000", b"6000000000"),
    "unix-time-milliseconds": (b"5000000000001", b"6000000000000"),
    "milliseconds": (b"100000000", b"20000000000"),
}
# Few keys, so that what one waits for comes; and none waits for some time: a clock would decide.
_OF_WAITING = {
    "key": (b"a", b"a", b"a", b"b"), "timeout": (b"0", b"0", b"0", b"0", b"-1", b"x"),
    "index": (b"0", b"0", b"1"), "destination-db": (b"0", b"1"),
}
_OF_KILL = {"type": (b"NORMAL", b"pubsub", b"MASTER", b"nope")}
# All are stopped for a moment, which the prompter sees the end of; or those that write for so long
# that a story is over before. One after the other would stop all for long: each story has one kind.
_SHORT_PAUSES = (b"0", b"1", b"20", b"-1", b"x")
_LONG_PAUSE = b"100000"


class Story(Enum):
    """What a scene is about."""

    OF_SHORT_PAUSES = 0
    OF_LONG_PAUSES = 1
    OF_WAITING = 2


@dataclass(frozen=True)
class Scene:
    """A story of several, and how it begins."""

    events: bytes                               # notify-keyspace-events
    resp3: tuple[bool, ...]                     # of each connection
    steps: tuple[tuple[int, tuple[bytes, ...]], ...]


def scene_strategy(longest: int = LONGEST) -> st.SearchStrategy[Scene]:
    """Stories of `CAST` connections."""
    return st.sampled_from(Story).flatmap(lambda story: st.builds(
        Scene, st.sampled_from(EVENT_CLASSES), st.tuples(*[st.booleans()] * CAST),
        st.lists(
            st.tuples(st.integers(0, CAST - 1), _any_command(story)), min_size=1,
            max_size=longest,
        ).map(tuple),
    ))


def _any_command(story: Story) -> st.SearchStrategy[tuple[bytes, ...]]:
    kinds = KINDS_OF_WAITING if story is Story.OF_WAITING else KINDS
    return st.sampled_from(kinds).flatmap(st.sampled_from).flatmap(
        lambda name: _of(name, story)
    )


_made: dict[tuple[str, Story], st.SearchStrategy[tuple[bytes, ...]]] = {}


def _of(name: str, story: Story) -> st.SearchStrategy[tuple[bytes, ...]]:
    """One command, its words sensible more often than not."""
    if (name, story) not in _made:
        words = command_strategy(declared(name), _words_for(name, story)).map(tuple)
        if name == "client|pause":
            words = words.map(lambda argv: _pause(argv, story is Story.OF_LONG_PAUSES))
        _made[name, story] = words
    return _made[name, story]


def _words_for(name: str, story: Story) -> Mapping[str, Sequence[bytes]]:
    if story is Story.OF_WAITING:
        return {**_HERE, **_OF_KILL, **_OF_WAITING}
    is_long = story is Story.OF_LONG_PAUSES
    if name == "client|kill":
        return {**_HERE, **_OF_KILL}
    if name == "client|pause":
        return {"timeout": (_LONG_PAUSE,) if is_long else _SHORT_PAUSES}
    return _HERE


def _pause(argv: tuple[bytes, ...], is_long: bool) -> tuple[bytes, ...]:
    """The pause, if it is of the kind of this story."""
    is_write = len(argv) > 3 and argv[3].upper() == b"WRITE"
    if is_long and not is_write:
        return (*argv[:2], _LONG_PAUSE, b"WRITE")
    if not is_long and len(argv) > 2 and (is_write or argv[2] not in _SHORT_PAUSES):
        return (*argv[:2], b"20")
    return argv


def declared(name: str) -> Command:
    """A command or subcommand by its full name."""
    command = BY_NAME[name.partition("|")[0].encode()]
    return next((sub for sub in command.subcommands if sub.name == name), command)
