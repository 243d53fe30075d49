"""Dynamo's own commands: contexts, siblings, and the terms of a call.

A client that wants to see concurrent versions reads them with DYN.GETCTX, which also gives a
*context*: a token that says what was read. DYN.PUTCTX and DYN.DELCTX replace or remove exactly
that, and nothing that the client has not read; the empty token means that nothing was read.

Source: Dynamo 4.4 (get and put with a context); SEMANTICS 3; SURFACE, "Dynamo's own commands".
"""

from typing import Final

from respdyn.causal.codec import context_of, max_clock
from respdyn.causal.context import Context
from respdyn.causal.dot import Stamp
from respdyn.causal.tokens import Seal
from respdyn.commands.arguments import (
    PUTCTX_OPTIONS,
    parse_integer,
    parse_options,
    quoted,
    syntax_error,
    word,
)
from respdyn.commands.changes import CHANGES
from respdyn.commands.declare import COVERAGE, LOCAL, READ, UPDATE, WRAP, WRITE, Argv, Command
from respdyn.errors import DamagedError, ReplyError
from respdyn.resp.replies import array, bulk, bulks, integer, null
from respdyn.types import strings, values

WAIT_MS_MAX: Final = 3_600_000
TERM_WORDS: Final = (b"R", b"W", b"SLOPPY", b"TIMEOUT")


def _context(seal: Seal, token: bytes, stamp: Stamp) -> Context:
    try:
        context = seal.decode(token)
    except DamagedError as wrong:
        raise ReplyError(f"BADCTX not a context of this key: {wrong}") from None
    if context.top(stamp[0]) >= stamp[1]:
        raise ReplyError("BADCTX not a context of this key: it covers what is yet to be written")
    return context


def getctx(argv: Argv, rec: bytes, now_ms: int, resp3: bool, seal: Seal) -> bytes:
    token = seal.encode(context_of(rec))
    return array([bulk(token), bulks(values.siblings(rec, now_ms))])


def fetch(argv: Argv, rec: bytes, now_ms: int, resp3: bool, seal: Seal) -> bytes:
    kind = values.kind_of(rec)
    when = values.expire_at(rec, now_ms)
    if kind is None or when is None:
        return null(resp3)
    token = bulk(seal.encode(context_of(rec)))
    if kind is values.STRING:
        return array([token, bulk(strings.value(rec, now_ms) or b""), integer(when)])
    content = values.pack(rec, now_ms)
    return array([token, bulk(content), integer(when), bulk(kind.name.encode())])


def putctx(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp, seal: Seal
) -> tuple[bytes, bytes]:
    when = parse_options(argv, 4, PUTCTX_OPTIONS).expire_at(now_ms, "dyn.putctx")
    context = _context(seal, argv[2], stamp)
    return _put(rec, context, stamp, argv[3], when, seal)


def delctx(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp, seal: Seal
) -> tuple[bytes, bytes]:
    context = _context(seal, argv[2], stamp)
    return bulk(seal.encode(context)), values.remove_context(context, stamp, rec)


def cas(
    argv: Argv, rec: bytes, now_ms: int, resp3: bool, stamp: Stamp, seal: Seal
) -> tuple[bytes, bytes]:
    context = _context(seal, argv[2], stamp)
    current = context_of(rec)
    if not current.is_within(context):
        return null(resp3), b""
    if current == context:
        new = strings.assign(rec, stamp, argv[3], 0)
        return bulk(seal.encode(context_of(new))), new
    return _put(rec, context, stamp, argv[3], 0, seal)


def _put(
    rec: bytes, context: Context, stamp: Stamp, value: bytes, when: int, seal: Seal
) -> tuple[bytes, bytes]:
    actor, counter, floor, clock = stamp
    if rec:
        stamp = (actor, counter, floor, max(clock, max_clock(rec) + 1))
    token = seal.encode(strings.context_with_dot(context, stamp, rec))
    return bulk(token), strings.put(context, stamp, value, when, rec)


def split_terms(argv: Argv) -> tuple[list[tuple[bytes, bytes]], Argv]:
    """The (word, value) pairs with which the arguments of DYN.WITH begin, and the rest.

    A term's word is never a command's name, so the first other word ends them. One DYN.WITH within
    another is refused: a client could nest them deeper than this program can follow.
    """
    pairs: list[tuple[bytes, bytes]] = []
    position = 0
    while position < len(argv) and word(argv[position]) in TERM_WORDS:
        if position + 1 == len(argv):
            raise ReplyError(f"ERR {quoted(argv[position]).upper()} needs a value")
        pairs.append((word(argv[position]), argv[position + 1]))
        position += 2
    if position < len(argv) and argv[position].lower() == b"dyn.with":
        raise ReplyError("ERR DYN.WITH cannot be nested")
    return pairs, argv[position:]


def with_inner(argv: Argv) -> Argv:
    """The command that DYN.WITH carries. Raises `ReplyError` if there is none."""
    rest = split_terms(argv[1:])[1]
    if not rest:
        raise syntax_error()
    return rest


def parse_wait(argument: bytes) -> int:
    """The milliseconds of DYN.SYNCWAIT."""
    wait_ms = parse_integer(argument)
    if not 0 <= wait_ms <= WAIT_MS_MAX:
        raise ReplyError(f"ERR the time to wait must be 0 to {WAIT_MS_MAX} milliseconds")
    return wait_ms


COMMANDS: tuple[Command, ...] = (
    Command(
        "dyn.getctx", "DYN.GETCTX key",
        "Gives all concurrent values of a key, and a context that says what was read.",
        since="0.1.0", group="string", flags="readonly", access="RO access",
        complexity="O(N) with N the number of siblings",
        promise="converges", route=READ, read_at=getctx, wants_seal=True,
    ),
    Command(
        "dyn.fetch", "DYN.FETCH key",
        "Gives a context, the value that GET answers, and when it expires in milliseconds since"
        " 1970, or 0; null if there is none. Of another type: its content, and as a"
        " fourth element the type.",
        since="0.1.0", group="string", flags="readonly", access="RO access",
        promise="last-writer", route=READ, read_at=fetch, wants_seal=True,
    ),
    Command(
        "dyn.putctx", "DYN.PUTCTX key context value [EX seconds | PX milliseconds]",
        "Stores a value in place of what was read with the context; gives the new context.",
        since="0.1.0", group="string", flags="write denyoom", access="RW update",
        complexity="O(N) with N the number of siblings",
        promise="converges", route=WRITE, write_at=putctx, event="$ set", wants_seal=True,
    ),
    Command(
        "dyn.delctx", "DYN.DELCTX key context",
        "Deletes exactly what was read with the context; gives the new context.",
        since="0.1.0", group="string", flags="write", access="RW delete",
        promise="converges", route=WRITE, write_at=delctx, event="g del", wants_seal=True,
    ),
    Command(
        "dyn.cas", "DYN.CAS key context value",
        "Stores a value if nothing happened to the key since the context; null otherwise.",
        since="0.1.0", group="string", flags="write denyoom", access="RW access update",
        promise="per-coordinator", route=UPDATE, write_at=cas, event="$ set", wants_seal=True,
    ),
    Command(
        "dyn.with",
        "DYN.WITH [R replicas] [W replicas] [SLOPPY <YES | NO>] [TIMEOUT milliseconds]"
        " command [argument ...]",
        "Runs a command under other terms: answers to wait for, stand-ins allowed, time-out.",
        since="0.1.0", group="connection", flags="noscript movablekeys",
        complexity="that of the command", promise="local", route=WRAP, inner=with_inner,
    ),
    Command(
        "dyn.consistency",
        "DYN.CONSISTENCY [R replicas] [W replicas] [SLOPPY <YES | NO>] [TIMEOUT milliseconds]",
        "Sets the terms for this connection, or returns them.",
        since="0.1.0", group="connection", flags="noscript loading stale fast",
        promise="local", route=LOCAL,
    ),
    Command(
        "dyn.explain", "DYN.EXPLAIN key",
        "Shows where a key lives, which nodes are up, and what each replica holds of it.",
        since="0.1.0", group="generic", flags="readonly", access="RO",
        complexity="O(N) with N the number of replicas", promise="local", route=COVERAGE,
    ),
    Command(
        "dyn.syncwait", "DYN.SYNCWAIT milliseconds",
        "Waits until every hint that is kept now has been delivered: 1 if it was, 0 if not.",
        since="0.1.0", group="cluster", flags="readonly",
        complexity="O(N) with N the number of hints", promise="local", route=COVERAGE,
    ),
    Command(
        "dyn.cluster", "DYN.CLUSTER", "What this node knows of the cluster.",
        since="0.1.0", group="cluster", flags="", promise="local", route=COVERAGE, arity=-2,
        subcommands=(
            Command(
                "dyn.cluster|help", "DYN.CLUSTER HELP", "Lists the subcommands of DYN.CLUSTER.",
                since="0.1.0", group="cluster", flags="loading stale", promise="local",
                route=LOCAL,
            ),
            Command(
                "dyn.cluster|status", "DYN.CLUSTER STATUS",
                "Shows how the cluster is: nodes, partitions, what is pending.",
                since="0.1.0", group="cluster", flags="loading stale",
                promise="local", route=COVERAGE,
            ),
            Command(
                "dyn.cluster|members", "DYN.CLUSTER MEMBERS",
                "Lists the members with their addresses, zones, weights and states.",
                since="0.1.0", group="cluster", flags="loading stale",
                complexity="O(N) with N the number of members", promise="local", route=COVERAGE,
            ),
            Command(
                "dyn.cluster|ring", "DYN.CLUSTER RING",
                "Lists which nodes own which slots.",
                since="0.1.0", group="cluster", flags="loading stale",
                complexity="O(N) with N the number of partitions", promise="local",
                route=COVERAGE,
            ),
            Command(
                "dyn.cluster|verify", "DYN.CLUSTER VERIFY",
                "Compares all copies of everything, and names the keys that differ.",
                since="0.1.0", group="cluster", flags="admin noscript",
                complexity="O(N) with N the number of keys written since the last", promise="local",
                route=COVERAGE,
            ),
            Command(
                "dyn.cluster|repair", "DYN.CLUSTER REPAIR",
                "Has all nodes compare and repair their copies now, and waits until they have.",
                since="0.1.0", group="cluster", flags="admin noscript",
                complexity="O(N) with N the number of keys that differ", promise="local",
                route=COVERAGE,
            ),
            *CHANGES,
        ),
    ),
)
