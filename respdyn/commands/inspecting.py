"""Looking at what a key holds rather than at its value: OBJECT, DUMP, RESTORE, MEMORY USAGE.

Redis answers some of these from how it stores things in memory. Here the answer is what a client
wants to know by it: OBJECT ENCODING follows from the value alone, OBJECT IDLETIME counts from the
last write, since reads leave no trace, and MEMORY USAGE is what one replica spends.

Source: Redis `object.c`, `cluster.c` (DUMP, RESTORE).
"""

from typing import Final

from respdyn.causal.big import weight
from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import option_pairs, parse_integer, syntax_error, word
from respdyn.commands.declare import LOCAL, READ, UPDATE, Argv, Command
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, ONE, bulk, integer, null
from respdyn.types import values
from respdyn.types.dump import DumpError, WrongFooterError, not_offered, seal, unseal
from respdyn.types.values import Kind

# What one replica spends on a key besides its bytes, in CPython: two objects of 33 bytes and an
# entry in a dictionary of its slot, as measured with a million keys.
ENTRY_BYTES: Final = 170

_NO_FREQUENCY = (
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. There is none here:"
    " nothing is evicted, at maxmemory writes are refused."
)
_WRONG_FOOTER = "ERR DUMP payload version or checksum are wrong"
_BUSY = "BUSYKEY Target key name already exists."


def _shown(rec: bytes, now_ms: int) -> Kind | None:
    """The kind of value that a key has now; None if it is absent or expired."""
    return values.kind_of(rec) if values.exists(rec, now_ms) else None


def encoding(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    kind = _shown(rec, now_ms)
    return null(resp3) if kind is None else bulk(kind.encoding(rec))


def idletime(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    if not values.exists(rec, now_ms):
        return null(resp3)
    return integer(max(0, now_ms - values.written_ms(rec)) // 1000)


def freq(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    if not values.exists(rec, now_ms):
        return null(resp3)
    raise ReplyError(_NO_FREQUENCY)


def refcount(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    return ONE if values.exists(rec, now_ms) else null(resp3)


def usage(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    for _, value in option_pairs(argv, 3, b"SAMPLES"):
        if parse_integer(value) < 0:
            raise syntax_error()
    if not values.exists(rec, now_ms):
        return null(resp3)
    return integer(ENTRY_BYTES + len(argv[2]) + weight(rec))


def dump(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    kind = _shown(rec, now_ms)
    return null(resp3) if kind is None else bulk(seal(kind.dump(rec, now_ms)))


def restore(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    given = _restore_options(argv)
    exists = values.exists(rec, now_ms)
    if exists and b"REPLACE" not in given:
        raise ReplyError(_BUSY)
    when = parse_integer(argv[2])
    if when < 0:
        raise ReplyError("ERR Invalid TTL value, must be >= 0")
    if when and b"ABSTTL" not in given:
        when += now_ms
    try:
        new = _load(argv[3], rec, stamp, min(when, (1 << 63) - 1))
    except WrongFooterError:
        raise ReplyError(_WRONG_FOOTER) from None
    except DumpError as wrong:
        raise ReplyError(f"ERR {wrong}") from None
    if when and when <= now_ms:
        return OK, values.remove(rec, stamp)
    return OK, new


def _load(payload: bytes, rec: bytes, stamp: Stamp, when: int) -> bytes:
    """The new state of a key that a dump is restored to. Raises `DumpError`."""
    packed = unseal(payload)
    for kind in values.KINDS.values():
        if packed and packed[0] in kind.dump_numbers:
            return kind.load(packed, rec, stamp, when)
    raise not_offered(packed)


def _restore_options(argv: Argv) -> set[bytes]:
    """The options that are given; IDLETIME and FREQ are checked, and change nothing here."""
    given: set[bytes] = set()
    position = 4
    while position < len(argv):
        option = word(argv[position])
        more = len(argv) - position > 1
        if option in (b"REPLACE", b"ABSTTL"):
            pass
        elif option == b"IDLETIME" and more and b"FREQ" not in given:
            position += 1
            if parse_integer(argv[position]) < 0:
                raise ReplyError("ERR Invalid IDLETIME value, must be >= 0")
        elif option == b"FREQ" and more and b"IDLETIME" not in given:
            position += 1
            if not 0 <= parse_integer(argv[position]) <= 255:
                raise ReplyError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise syntax_error()
        given.add(option)
        position += 1
    return given


_VARIES = ("nondeterministic_output",)
_OBJECT = (
    Command(
        "object|encoding", "OBJECT ENCODING key",
        "Returns how Redis would store the value, judged by the value alone.",
        since="2.2.3", group="generic", flags="readonly", access="RO", tips=_VARIES,
        promise="last-writer", route=READ, read=encoding,
    ),
    Command(
        "object|freq", "OBJECT FREQ key", "Is refused: how often a key is used is not counted.",
        since="4.0.0", group="generic", flags="readonly", access="RO", tips=_VARIES,
        promise="refused", route=READ, read=freq,
    ),
    Command(
        "object|help", "OBJECT HELP", "Lists the subcommands of OBJECT.",
        since="6.2.0", group="generic", flags="loading stale", acl="keyspace", promise="local",
        route=LOCAL,
    ),
    Command(
        "object|idletime", "OBJECT IDLETIME key",
        "Gives the seconds since a key was last written: reads leave no trace.",
        since="2.2.3", group="generic", flags="readonly", access="RO", tips=_VARIES,
        promise="last-writer", route=READ, read=idletime,
    ),
    Command(
        "object|refcount", "OBJECT REFCOUNT key", "Gives 1: no two keys share a value here.",
        since="2.2.3", group="generic", flags="readonly", access="RO", tips=_VARIES,
        promise="last-writer", route=READ, read=refcount,
    ),
)

MEMORY_USAGE = Command(
    "memory|usage", "MEMORY USAGE key [SAMPLES count]",
    "Estimates the bytes that one replica spends on a key.",
    since="4.0.0", group="server", flags="readonly", access="RO",
    promise="last-writer", route=READ, read=usage,
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "object", "OBJECT", "Looks at how a key is stored.",
        since="2.2.3", group="generic", flags="", promise="local", route=LOCAL, arity=-2,
        subcommands=_OBJECT,
    ),
    Command(
        "dump", "DUMP key",
        "Gives a value in Redis's format, with its version and checksum; never compressed.",
        since="2.6.0", group="generic", flags="readonly", access="RO access", tips=_VARIES,
        complexity="O(N) with N the length of the value",
        promise="last-writer", route=READ, read=dump,
    ),
    Command(
        "restore",
        "RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        "Stores what DUMP gave, of Redis or respdyn, if a type here. IDLETIME and FREQ do nothing.",
        since="2.6.0", group="generic", flags="write denyoom", access="OW update",
        acl="dangerous", complexity="O(N) with N the length of the value",
        promise="last-writer", route=UPDATE, write=restore, reports_siblings=True,
    ),
    Command(
        "restore-asking",
        "RESTORE-ASKING key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds]"
        " [FREQ frequency]",
        "Is RESTORE, as MIGRATE of a server in cluster mode calls it.",
        since="3.0.0", group="server", flags="write denyoom asking", access="OW update",
        acl="keyspace dangerous", complexity="O(N) with N the length of the value",
        promise="last-writer", route=UPDATE, write=restore, event="g restore",
        reports_siblings=True,
    ),
)
