"""The HyperLogLog commands.

PFADD reads a quorum before it says that an element is counted already: it would else be this node's
copy alone that says so. Conflict feedback would cover what another coordinator has counted, so none
is requested: siblings stay, and are shown merged (`types/hyperloglog.py`).

PFCOUNT of several keys and PFMERGE fetch what each of them holds, at its own coordinator.

Source: Redis `hyperloglog.c`.
"""

from typing import Final

from respdyn.causal.dot import Stamp
from respdyn.commands.arguments import quoted
from respdyn.commands.declare import GATHER, LOCAL, READ, UPDATE, Argv, Command, Further, Then
from respdyn.commands.folding import payload_of
from respdyn.commands.pieces import rewrite
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, ONE, ZERO, array, bulk, integer, null, status
from respdyn.types import hyperloglog, strings
from respdyn.types.hyperloglog import Corrupted
from respdyn.types.values import text

_NOT_ONE: Final = "WRONGTYPE Key is not a valid HyperLogLog string value."
_CORRUPTED: Final = "INVALIDOBJ Corrupted HLL object detected"


def _held(rec: bytes, now_ms: int) -> bytes | None:
    """What a key has counted; None if it is absent. Raises `ReplyError`."""
    found = text(rec, now_ms)
    if found is not None and not hyperloglog.is_one(found):
        raise ReplyError(_NOT_ONE)
    return found


def _sound(rec: bytes, now_ms: int) -> bytes | None:
    found = _held(rec, now_ms)
    if found is not None:
        _checked(found)
    return found


def _checked(value: bytes) -> bytearray:
    try:
        return hyperloglog.registers_of(value)
    except Corrupted:
        raise ReplyError(_CORRUPTED) from None


def _keep(
    rec: bytes, now_ms: int, stamp: Stamp, value: bytes, *, is_new: bool
) -> bytes:
    return strings.assign(rec, stamp, value, 0) if is_new else rewrite(rec, now_ms, stamp, value)


def pfadd(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    found = _held(rec, now_ms)
    held = hyperloglog.empty() if found is None else found
    try:
        value = hyperloglog.add(held, argv[2:])
    except Corrupted:
        raise ReplyError(_CORRUPTED) from None
    if value is None:
        if found is not None:
            return ZERO, b""
        value = hyperloglog.stale(held)
    return ONE, _keep(rec, now_ms, stamp, value, is_new=found is None)


def pfcount(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    found = _held(rec, now_ms)
    if found is None:
        return ZERO
    try:
        return integer(hyperloglog.count(found))
    except Corrupted:
        raise ReplyError(_CORRUPTED) from None


def pfget(argv: Argv, rec: bytes, now_ms: int, resp3: bool) -> bytes:
    found = _sound(rec, now_ms)
    return null(resp3) if found is None else bulk(found)


def parts(argv: Argv) -> list[Argv]:
    return [[b"DYN.PFGET", key] for key in argv[1:]]


def pfcount_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    return integer(hyperloglog.count_together(_values(replies)))


def pfmerge_then(argv: Argv, replies: list[bytes], resp3: bool) -> Then:
    merging = [b"DYN.PFMERGE", argv[1], *_values(replies[1:])]
    return Further([merging], lambda merged: merged[0])


def _values(replies: list[bytes]) -> list[bytes]:
    return [value for reply in replies if (value := payload_of(reply)) is not None]


def pfmerge(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    found = _held(rec, now_ms)
    for value in argv[2:]:
        if not hyperloglog.is_one(value):
            raise ReplyError(_NOT_ONE)
    held = hyperloglog.empty() if found is None else found
    try:
        value = hyperloglog.union(held, argv[2:])
    except Corrupted:
        raise ReplyError(_CORRUPTED) from None
    return OK, _keep(rec, now_ms, stamp, value, is_new=found is None)


def pfdebug(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp
) -> tuple[bytes, bytes]:
    found = _held(rec, now_ms)
    if found is None:
        raise ReplyError("ERR The specified key does not exist")
    name = quoted(argv[1])
    is_sparse = not hyperloglog.is_dense(found)
    if name.lower() == "encoding":
        return status(b"sparse" if is_sparse else b"dense"), b""
    if name.lower() == "decode":
        if not is_sparse:
            raise ReplyError("ERR HLL encoding is not sparse")
        return bulk(_decoded(found)), b""
    if name.lower() not in ("getreg", "todense"):
        raise ReplyError(f"ERR Unknown PFDEBUG subcommand '{name}'")
    registers = _checked(found)
    if name.lower() == "getreg":
        reply = array([integer(register) for register in registers])
    else:
        reply = ONE if is_sparse else ZERO
    if not is_sparse:
        return reply, b""
    return reply, rewrite(rec, now_ms, stamp, hyperloglog.to_dense(found))


def _decoded(value: bytes) -> bytes:
    shown = []
    for number, span in hyperloglog.runs_of(value):
        if number:
            shown.append(b"v:%d,%d" % (number, span))
        else:
            shown.append(b"%b:%d" % (b"z" if span <= hyperloglog.ZEROS_MAX else b"Z", span))
    return b" ".join(shown)


PFCOUNT_ONE: Final = Command(
    "pfcount", "PFCOUNT key [key ...]",
    "Returns nearly how many different elements were added to any of the keys.",
    since="2.8.9", group="hyperloglog", flags="readonly", access="RW access",
    notes="RW because it may change the internal representation of the key, and propagate to"
          " replicas",
    complexity="O(1), with a large constant time", promise="converges", route=READ, read=pfcount,
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "pfadd", "PFADD key [element [element ...]]",
        "Counts elements, and returns whether any of them was new; creates the key if need be.",
        since="2.8.9", group="hyperloglog", flags="write denyoom fast", access="RW insert",
        complexity="O(N) with N the number of elements", promise="converges",
        route=UPDATE, write=pfadd, event="$ pfadd",
    ),
    Command(
        "pfcount", "PFCOUNT key [key ...]", PFCOUNT_ONE.summary,
        since="2.8.9", group="hyperloglog", flags="readonly", access="RW access",
        notes=PFCOUNT_ONE.notes, complexity="O(N) with N the number of keys, with a large constant"
        " time", promise="converges", route=GATHER, parts=parts, then=pfcount_then,
        single=PFCOUNT_ONE,
    ),
    Command(
        "pfmerge", "PFMERGE destkey [sourcekey [sourcekey ...]]",
        "Counts in the first key what was counted in the others.",
        since="2.8.9", group="hyperloglog", flags="write denyoom",
        access="RW access insert; RO access",
        complexity="O(N) with N the number of keys, with a large constant time",
        promise="converges", route=GATHER, parts=parts, then=pfmerge_then,
    ),
    Command(
        "pfdebug", "PFDEBUG subcommand key",
        "Shows how a count is kept: ENCODING, DECODE, GETREG; or has it kept dense, TODENSE.",
        since="2.8.9", group="hyperloglog", flags="write denyoom admin", access="RW access",
        complexity="O(1), with a large constant time", promise="converges",
        route=UPDATE, write=pfdebug, event="$ pfadd",
    ),
    Command(
        "pfselftest", "PFSELFTEST", "Tries registers and estimates on counts of its own.",
        since="2.8.9", group="hyperloglog", flags="admin",
        complexity="O(1), with a large constant time", promise="local", route=LOCAL,
    ),
    Command(
        "dyn.pfget", "DYN.PFGET key",
        "Gives the HyperLogLog that a key holds. It is the first step of PFCOUNT and PFMERGE.",
        since="0.1.0", group="hyperloglog", flags="readonly", access="RO access",
        promise="converges", route=READ, read=pfget,
    ),
    Command(
        "dyn.pfmerge", "DYN.PFMERGE key [value ...]",
        "Counts in a key what was counted in HyperLogLogs. It is the second step of PFMERGE.",
        since="0.1.0", group="hyperloglog", flags="write denyoom", access="RW update",
        complexity="O(N) with N the number of values, with a large constant time",
        promise="converges", route=UPDATE, write=pfmerge, event="$ pfadd",
    ),
)
