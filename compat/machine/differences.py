"""What may differ between Redis's reply and respdyn's, each with its reason.

Everything that is not named here is compared byte for byte.
"""

from collections.abc import Callable

from compat.machine.generate import SETTINGS
from compat.machine.wire import members

Words = list[bytes]
Same = Callable[[Words, bytes, bytes], bool]

# Declared, but not run by the machine.
NOT_RUN = {
    "config|resetstat": "harmless, and nothing that could be compared follows",
    "command|docs": "a page for each command; its shape and its tokens have tests of their own",
    **dict.fromkeys(
        ("acl|deluser", "acl|load", "acl|save", "acl|setuser"),
        "changes who may do what for all stories to come",
    ),
    **dict.fromkeys(
        ("bgrewriteaof", "bgsave", "config|rewrite", "save"),
        "writes files, one at a time, in its own time",
    ),
    **dict.fromkeys(
        ("failover", "psync", "replconf", "replicaof", "slaveof", "sync"),
        "would make Redis follow another; refused here",
    ),
    "pfcount": "Redis writes what it has counted into the string",
    "wait": "counts replicas, which Redis alone has not",
    "script|debug": "Redis's debugger forks, which no pipeline can follow; there is none here",
    "shutdown": "ends the server",
}

# Run by several connections step by step (`scenes`), not in one go to one: what one command leads
# to need not be one reply.
RUN_BY_STEPS = {
    **dict.fromkeys(("quit", "client|kill"), "ends the connection that the story runs on"),
    **dict.fromkeys(
        ("psubscribe", "punsubscribe", "ssubscribe", "subscribe", "sunsubscribe", "unsubscribe"),
        "answered once for each channel",
    ),
    **dict.fromkeys(
        ("blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin"),
        "waits for another connection",
    ),
    **dict.fromkeys(("client|tracking", "monitor"), "things come that no client asked for"),
    "client|reply": "fewer replies than commands",
    "client|pause": "holds the story up",
}

# The same type of reply is all that can be asked.
OWN_CONTENT = {
    "acl|cat": "other commands",
    "acl|genpass": "chance",
    "acl|log": "refusals since the start, with addresses",
    "client|id": "numbers of connections",
    "client|info": "addresses and numbers of connections",
    "client|list": "addresses and numbers of connections",
    "cluster|count-failure-reports": "here it is 0 of any node",
    "cluster|getkeysinslot": "any of them, in any order",
    "cluster|info": "its own counts",
    "cluster|links": "none in a cluster of one",
    "cluster|myid": "its own id",
    "cluster|nodes": "its own id and address",
    "cluster|shards": "its own id and address",
    "cluster|slots": "its own id and address",
    "command|count": "another number of commands",
    "command|list": "other commands",
    "command|info": "DYN.* and lacking commands; those that both have are compared in test_table",
    "dump": "Redis compresses what it dumps; each restores what the other dumped",
    "hello": "its own id and version",
    "lastsave": "when either saved",
    "latency|doctor": "its own words",
    "latency|graph": "its own times",
    "latency|histogram": "its own times",
    "latency|history": "its own times",
    "latency|latest": "its own times",
    "latency|reset": "its own times",
    "lolwut": "a picture of its own",
    "memory|doctor": "its own words",
    "memory|malloc-stats": "its own allocator",
    "memory|stats": "its own memory",
    "object|freq": "what it keeps of each use",
    "object|idletime": "what it keeps of each use",
    "object|refcount": "Redis shares small numbers between keys",
    "randomkey": "chance",
    "slowlog|get": "its own times",
    "slowlog|len": "its own times",
    "time": "two clocks",
}

# Redis's help lists subcommands that are not here.
HELP = "the subcommands that there are"

# In any order: Redis's is that of its memory.
UNORDERED = {
    **dict.fromkeys(("hkeys", "hvals", "hgetall"), "fields come sorted here"),
    **dict.fromkeys(("smembers", "sinter", "sunion", "sdiff"), "members come sorted here"),
}
# Redis chooses, and so do we; what SPOP takes away decides all later replies about the key.
CHANCE = ("hrandfield", "srandmember", "zrandmember")
TAKEN_BY_CHANCE = b"SPOP"

# A machine with much else to do lets seconds pass between what the two are sent.
_TOLERANCES = {"ttl": 20, "expiretime": 20, "pttl": 20_000, "pexpiretime": 20_000}


def same(name: str, argv: Words, mine: bytes, theirs: bytes) -> bool:
    """Whether two replies to one command agree as far as they should."""
    if mine == theirs:
        return True
    if name in OWN_CONTENT or name.endswith("|help"):
        return kind_of(mine) == kind_of(theirs)
    if name in _TOLERANCES:
        return _near(mine, theirs, _TOLERANCES[name])
    if name == "keys":
        return mine[:1] == theirs[:1] == b"*" and sorted(members(mine)) == sorted(members(theirs))
    if name == "info":
        return _same_fields(mine, theirs)
    if name == "config|get":
        return kind_of(mine) == kind_of(theirs) and not set(map(bytes.lower, argv[2:])) <= {
            *SETTINGS
        }
    if name == "scan":
        return _same_scan(argv, mine, theirs)
    if name in ("hscan", "sscan", "zscan"):
        return _same_elements(argv, mine, theirs, 1 if name == "sscan" else 2)
    if name in UNORDERED:
        return _bag(mine, 2 if name == "hgetall" else 1) == _bag(
            theirs, 2 if name == "hgetall" else 1)
    if name in CHANCE:
        return _as_many(mine, theirs)
    return any(is_meant(argv, mine, theirs) for is_meant, _ in MEANT.get(name, ()))


def kind_of(reply: bytes) -> bytes:
    """The type of a reply. Null of any kind is one; text may be verbatim or not."""
    if reply[:3] in (b"$-1", b"*-1") or reply[:1] == b"_":
        return b"_"
    if reply[:1] in b"$=":
        return b"$"
    return reply[:1]


def _same_fields(mine: bytes, theirs: bytes) -> bool:
    """INFO: Redis's sections and fields, in its order, and more."""
    if kind_of(mine) != kind_of(theirs):
        return False
    ours = [line for line in map(_field, mine.split(b"\r\n")[1:]) if line]
    wanted = [line for line in map(_field, theirs.split(b"\r\n")[1:]) if line]
    return [line for line in ours if line in wanted] == wanted


def _field(line: bytes) -> bytes:
    """A section or the name of a field; nothing of those that come with what was done before."""
    name = line.partition(b":")[0]
    varies = (b"cmdstat_", b"errorstat_", b"latency_percentiles", b"db")
    return b"" if name.startswith(varies) else name


def _near(mine: bytes, theirs: bytes, tolerance: int) -> bool:
    """A time to come, equal but for the time that the test takes."""
    if not mine[:1] == theirs[:1] == b":":
        return False
    one, other = int(mine[1:]), int(theirs[1:])
    return min(one, other) > 0 and abs(one - other) <= tolerance


def _same_scan(argv: Words, mine: bytes, theirs: bytes) -> bool:
    """All is found, in any order, if it is found in one step; a step more is no difference.

    A cursor that no SCAN has given may lead anywhere.
    """
    if not mine[:1] == theirs[:1] == b"*":
        return False
    if argv[1] != b"0":
        return True
    (cursor, keys), (their_cursor, their_keys) = members(mine), members(theirs)
    if cursor != their_cursor:
        return True
    return sorted(members(keys)) == sorted(members(their_keys))


def _same_elements(argv: Words, mine: bytes, theirs: bytes, size: int) -> bool:
    """As `_same_scan`, of a key's elements, each of so many parts."""
    if not mine[:1] == theirs[:1] == b"*":
        return False
    (cursor, found), (their_cursor, others) = members(mine), members(theirs)
    return argv[2] != b"0" or cursor != their_cursor or _bag(found, size) == _bag(others, size)


def _bag(reply: bytes, size: int) -> tuple[bytes, list[bytes]]:
    """What an array has, in no order, in pieces of so many parts; its kind before."""
    if reply[:1] not in b"*~%":
        return reply, []
    parts = members(reply)
    return reply[:1], sorted(
        b"".join(parts[at:at + size]) for at in range(0, len(parts), size))


def _as_many(mine: bytes, theirs: bytes) -> bool:
    """Two choices of elements: as many, of one shape."""
    if kind_of(mine) != kind_of(theirs):
        return False
    return mine[:1] not in b"*~%" or len(members(mine)) == len(members(theirs))


def _at_least(argv: Words, mine: bytes, theirs: bytes) -> bool:
    return mine[:1] == theirs[:1] == b":" and int(mine[1:]) >= int(theirs[1:])


def _size_or_gone(argv: Words, mine: bytes, theirs: bytes) -> bool:
    return theirs[:1] == b":" and (mine[:1] == b":" or kind_of(mine) == b"_")


_ENCODINGS = tuple(
    {b"$%d\r\n%b\r\n" % (len(name), name) for name in names}
    for names in ((b"int", b"embstr", b"raw"), (b"intset", b"hashtable"))
)


def _of_one_kind(argv: Words, mine: bytes, theirs: bytes) -> bool:
    return any({mine, theirs} <= names for names in _ENCODINGS)


def events_left_out(argv: Words) -> set[bytes]:
    """Events that one of the two does not publish of this command."""
    name = argv[0].lower()
    events = set()
    if name in (b"copy", b"msetnx", b"renamenx"):
        events.add(b"keymiss")      # which of its keys it looks at, and how, is its own affair
    if name in (b"mset", b"msetnx") and len(set(argv[1::2])) < len(argv[1::2]):
        events.add(b"set")          # here a key that is named twice is set once
    return events


# Differences of single commands: what to look at, and why it is so.
MEANT: dict[str, tuple[tuple[Same, str], ...]] = {
    "memory|usage": ((_size_or_gone, "its own memory; and Redis still finds what has expired"),),
    "object|encoding": ((_of_one_kind, "here it follows from the value; Redis remembers how that"
                                       " came about: one that was changed in place is raw, a set"
                                       " that had a word in it is a hashtable"),),
    "dbsize": ((_at_least, "what has expired is counted until it is overwritten or collected;"
                           " Redis looks for it ten times a second"),),
}
