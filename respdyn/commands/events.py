"""Keyspace events: what a command has done to a key, in the words that Redis has for it.

An event is a class, one letter of `notify-keyspace-events`, and a name. Most commands have one name
for whatever they do (`Command.event`); the rest, a key that is new or gone or that has a time to
live now, follows from the records before and after.

Source: Redis `notify.c`, and the calls of `notifyKeyspaceEvent` in each command.
"""

from typing import Final

from respdyn.commands.arguments import word
from respdyn.commands.declare import READ, Argv, Command
from respdyn.commands.sorted_sets import adding
from respdyn.types import sorted_sets, stream_groups, values

Event = tuple[str, bytes]       # class, name

# A time that is over for so long when a key is written makes its event at once, with the write. No
# client waits for it: of a record that comes by a repair it would be old news.
LONG_PAST_MS: Final = 5000

GENERIC: Final = "g"
EXPIRED: Final[Event] = ("x", b"expired")
NEW: Final[Event] = ("n", b"new")
MISS: Final[Event] = ("m", b"keymiss")
DELETED: Final[Event] = (GENERIC, b"del")
TIMED: Final[Event] = (GENERIC, b"expire")
# Steps of commands on two keys: their third argument names the event.
_STEPS: Final = frozenset(("dyn.place", "dyn.take"))
# They remove what is there and then store: the key is new, whatever was there.
_ANEW: Final = frozenset(("dyn.place", "restore", "restore-asking"))
# They store scores, which may be those that are there. Words that name no member make no event.
_SCORING: Final = frozenset(("zadd", "zincrby", "geoadd"))
# Second steps of commands that store a collection: their second argument names the event.
_STORED: Final = frozenset(("dyn.storeset", "dyn.storezset", "dyn.storelist"))

# Commands on one end of a list, which their second argument names.
_AT_AN_END: Final = {"dyn.lplace": b"push", "dyn.ltake": b"pop", "dyn.lmpop": b"pop"}

# They set the time to live of fields; one that is over already removes them.
_FIELD_TIMES: Final = frozenset(("hexpire", "hpexpire", "hexpireat", "hpexpireat", "hgetex"))
_TIMES: Final = frozenset((b"EX", b"PX", b"EXAT", b"PXAT"))
FIELD_EXPIRED: Final[Event] = ("h", b"hexpired")

# What takes the last element of a key says so, and then that the key is gone.
_OF_ELEMENTS: Final = frozenset(("h", "s", "z", "l", "t"))
_OF_ONE_ELEMENT: Final = frozenset((
    "hget", "hmget", "hexists", "hstrlen", "sismember", "smismember", "hscan", "sscan",
    "zscore", "zmscore", "zrank", "zrevrank", "zscan", "zcount", "zlexcount", "zrange",
    "zrevrange", "zrangebyscore", "zrevrangebyscore", "zrangebylex", "zrevrangebylex", "dyn.scores",
    "lindex", "lpos", "lrange", "dyn.lpeek", "xrange", "xrevrange", "xpending",
    "dyn.xread", "dyn.xlast", "dyn.xcheck",
    "geodist", "geohash", "geopos", "geosearch", "georadius_ro", "georadiusbymember_ro",
    "dyn.geoscores", "dyn.lookup",
))

# They have events only for consumers that they make.
_FOR_CONSUMERS: Final = frozenset(("xack", "xclaim", "xautoclaim", "dyn.xreadgroup"))

_LOOKING = frozenset(("getset", "getdel", "getex"))     # they look first, and say so


def of_write(
    command: Command, argv: Argv, before: bytes, after: bytes, now_ms: int
) -> list[Event]:
    """What a write has done to its key; the records are the same if it did nothing."""
    events: list[Event] = []
    existed = values.exists(before, now_ms)
    if not existed and _looks(command, argv):
        events.append(MISS)
    if after == before:
        if command.name == "ltrim" and existed:
            events.append(("l", b"ltrim"))      # also where nothing stands outside
        return events
    if command.name in _FOR_CONSUMERS:
        is_new = stream_groups.consumers_in(after) > stream_groups.consumers_in(before)
        return [*events, command.published] if is_new else events
    event = _event_of(command, argv)
    if command.name == "dyn.lmove":             # within one list
        return [*events, _at_end(argv[4], b"push"), _at_end(argv[3], b"pop")]
    over = values.over(before, now_ms)
    if event[0] == "h" and over:
        events.append(FIELD_EXPIRED)
    if command.name in _FIELD_TIMES and values.size(after) < values.size(before) - over:
        event = ("h", b"hdel")
    elif command.name == "hgetex" and any(word(one) == b"PERSIST" for one in argv[2:4]):
        event = ("h", b"hpersist")
    if not values.exists(after, 0):
        if existed and event[0] in _OF_ELEMENTS and command.name not in _STORED:
            events.append(event)
        if existed:
            events.append(event if command.name in _STEPS else DELETED)
        return events
    if existed and _is_as_before(command, argv, before, after):
        return events       # what was written was there: it has new dots, and is what it was
    if not existed or command.name in _ANEW:
        events.append(NEW)
    at = values.expire_at(after, 0)
    if command.name == "getex" and not at:
        event = (GENERIC, b"persist")
    events.append(event)
    if command.name == "hsetex" and any(word(one) in _TIMES for one in argv[2:5]):
        events.append(("h", b"hexpire"))
    if command.name == "xadd" and values.size(after) <= values.size(before):
        events.append(("t", b"xtrim"))
    if event[1] == b"set" and at and not any(word(one) == b"KEEPTTL" for one in argv[3:]):
        events.append(TIMED)
    if 0 < (at or 0) <= now_ms - LONG_PAST_MS:
        events.append(EXPIRED)
    return events


def _looks(command: Command, argv: Argv) -> bool:
    """Whether it reads the key for its reply. BITFIELD does if it changes nothing."""
    if command.name == "bitfield":
        return not any(word(one) in (b"SET", b"INCRBY") for one in argv[2:])
    return command.name in _LOOKING or (
        command.name == "set" and any(word(one) == b"GET" for one in argv[3:])
    )


def _is_as_before(command: Command, argv: Argv, before: bytes, after: bytes) -> bool:
    """Whether a reader sees no difference; of commands that write what is there once more."""
    if command.name == "sadd":
        return values.size(before) == values.size(after)
    return command.name in _SCORING and sorted_sets.is_same(before, after, argv[2:])


def _event_of(command: Command, argv: Argv) -> Event:
    if command.name in _STEPS:
        return GENERIC, argv[3].lower()
    if command.name in _STORED:
        return command.published[0], argv[2].lower()
    if command.name == "zadd" and b"INCR" in adding(argv).options:
        return "z", b"zincr"
    if command.name in _AT_AN_END:
        return _at_end(argv[2], _AT_AN_END[command.name])
    return command.published


def _at_end(side: bytes, what: bytes) -> Event:
    return "l", (b"l" if word(side) == b"LEFT" else b"r") + what


def of_read(command: Command, reply: bytes, argv: Argv, now_ms: int, resp3: bool) -> list[Event]:
    """The event of a read: that its key is not there, judged by the reply."""
    if command.route != READ or command.wants_seal:
        return []
    if command.name in _OF_ONE_ELEMENT:
        return []           # such a reply says nothing of the key
    return [MISS] if reply == command.read(argv, b"", now_ms, resp3) else []
