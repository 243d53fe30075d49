"""MEMORY, WAIT, DEBUG and SWAPDB, as a client meets them.

WAIT counts copies that exist, not acknowledgements that came: it requests from the owners of each
key that this connection has written the digest of what they hold, and compares with the
coordinator's. It repeats that until enough are equal or time is up. From a connection's first WAIT
on a list of what it writes is kept, of at most `WRITTEN_MAX` keys. Before that, since a list costs
every write something, only the last key of each group of owners: what is written with the same
owners goes the same way in the same order, so an owner that has the last has them all, unless its
connection to the coordinator broke in between.

Source: Redis `replication.c` (waitCommand), `object.c` (memoryCommand), `debug.c`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from respdyn.cluster.questions import Digests, Pause
from respdyn.cluster.tasks import Answer, Request, Task, answer_as
from respdyn.commands.arguments import INT64_MAX, integer_of, parse_integer, quoted, word
from respdyn.commands.declare import Argv
from respdyn.commands.inspecting import ENTRY_BYTES
from respdyn.commands.introspection import help_text
from respdyn.errors import ReplyError
from respdyn.local import info
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, array, bulk, double, integer, map_, status, text
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.sessions.memory import CONNECTION_BYTES
from respdyn.sessions.session import WRITTEN_MAX, Session
from respdyn.sessions.users import check_debug

Counting = Generator[list[Request], list[Answer], int]

_POLL_MS: Final = 20
_SLEEP_MAX_S: Final = 3600.0

_DEBUG_UNKNOWN = (
    "ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP."
)
_DEBUG_HELP = (
    b"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"SLEEP <seconds>",
    b"    Answer this connection after <seconds>. No other client waits. Decimals allowed.",
    b"HELP",
    b"    Prints this help.",
)


# ---- WAIT ----


def wait(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    wanted = parse_integer(argv[1])
    timeout_ms = integer_of(argv[2])
    if timeout_ms is None:
        raise ReplyError("ERR timeout is not an integer or out of range")
    if timeout_ms < 0:
        raise ReplyError("ERR timeout is negative")
    node = context.node
    is_inside = session.exec_target is not None
    if session.pending and not is_inside:
        context.router.put_back(session)
        return None
    if not node.plans:
        raise context.readiness.refusal()
    names = _waited_for(session)
    until_ms = node.now.now_ms + timeout_ms if timeout_ms else INT64_MAX
    if is_inside:           # as Redis does: in a transaction it only counts
        until_ms = 0
    task = _count(context, session, names, wanted, until_ms)
    step_ms = context.settings.request_timeout_ms
    _later(context, session, task, min(step_ms, timeout_ms or step_ms))
    return None


def _waited_for(session: Session) -> list[Locator]:
    """What was written since the last WAIT, and what that one has not seen stored widely enough."""
    new = list(session.written or session.last_writes.values())
    names = [*([] if session.is_met else session.waited), *new] or session.waited
    session.waited = list(dict.fromkeys(names))[-WRITTEN_MAX:]
    session.is_met = False
    session.written = {}
    session.last_writes.clear()
    return session.waited


def _later(context: LocalContext, session: Session, task: Task, step_ms: int) -> None:
    """Answer with what the task gives; commands behind it wait."""
    is_inside = session.exec_target is not None
    waiter = session.hold()
    if not is_inside:
        session.has_barrier = True

    def done(reply: bytes) -> None:
        if not is_inside:
            session.has_barrier = False
        waiter.fill(reply)

    context.task_runner.start_quietly(task, step_ms, done)


def _count(
    context: LocalContext, session: Session, locators: list[Locator], wanted: int, until_ms: int
) -> Task:
    """How many replicas hold all of it, once that is enough or time is up."""
    node = context.node
    while True:
        held = yield from _copies(context, locators)
        if held >= wanted:
            session.is_met = True
        if held >= wanted or node.now.now_ms >= until_ms or session.closing or node.stopping:
            return integer(held)
        yield [Pause(min(_POLL_MS, until_ms - node.now.now_ms))]


def _copies(context: LocalContext, locators: list[Locator]) -> Counting:
    """Of the key with the fewest copies, how many there are besides the coordinator's."""
    node = context.node
    plans = node.plans
    here = node.identity.node_id
    if not locators:
        up = sum(1 for link in node.links.values() if link.is_up)
        return min(up, context.n - 1)
    wanted: dict[str, list[Locator]] = {}
    for name in locators:
        for owner in plans[slot_of_locator(name)].owners:
            if owner == here or node.link_to(owner).is_up:
                wanted.setdefault(owner, []).append(name)
    answers = yield [(owner, Digests(names)) for owner, names in wanted.items()]
    reported: dict[Locator, dict[str, bytes]] = {}
    for (owner, names), answer in zip(wanted.items(), answers, strict=True):
        digests = answer_as(list[bytes], answer)
        if digests is not None and len(digests) == len(names):
            for name, digest in zip(names, digests, strict=True):
                reported.setdefault(name, {})[owner] = digest
    fewest = context.n - 1
    for name in locators:
        held = reported.get(name, {})
        first = held.get(plans[slot_of_locator(name)].coordinator)
        same = sum(1 for digest in held.values() if digest == first)
        fewest = min(fewest, max(0, same - 1))
    return fewest


# ---- DEBUG ----


def debug(context: LocalContext, session: Session, argv: Argv) -> bytes | None:
    check_debug(context.settings, session)
    subcommand = word(argv[1])
    if subcommand == b"HELP" and len(argv) == 2:
        return array([status(line) for line in _DEBUG_HELP])
    if subcommand != b"SLEEP" or len(argv) != 3:
        raise ReplyError(_DEBUG_UNKNOWN.format(quoted(argv[1], 128)))
    if session.pending and session.exec_target is None:
        context.router.put_back(session)
        return None
    try:
        seconds = float(argv[2])
    except ValueError:
        seconds = 0.0
    if not seconds > 0.0:       # also for what is not a number
        return OK
    _later(context, session, _sleep(int(min(seconds, _SLEEP_MAX_S) * 1000)), 1)
    return None


def _sleep(ms: int) -> Task:
    yield [Pause(max(1, ms))]
    return OK


# ---- MEMORY, SWAPDB ----


def memory_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("memory"))


def object_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("object"))


def xgroup_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("xgroup"))


def xinfo_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return help_text(context.container("xinfo"))


def memory_purge(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return OK


def memory_malloc_stats(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(b"Stats not supported for the current allocator")


def memory_doctor(context: LocalContext, session: Session, argv: Argv) -> bytes:
    fields = info.memory(context)
    used, rss = int(str(fields["used_memory"])), int(str(fields["used_memory_rss"]))
    waiting = sum(map(context.sessions.memory.of, context.sessions.by_id.values()))
    waiting -= CONNECTION_BYTES * len(context.sessions.by_id)
    lines = []
    if rss > 1.5 * used > 0:
        lines.append(
            f"The process holds {rss} bytes, {rss / used:.1f} times what is in use: memory that was"
            " freed has not gone back to the system."
        )
    if waiting * 10 > used > 0:
        lines.append(f"{waiting} bytes wait to be run, or to be read: see CLIENT LIST.")
    records, live = context.node.replica.records, sum(map(sum, context.node.replica.live))
    if records > 2 * live + 1000:
        lines.append(f"{records - live} of {records} records are deletions not yet forgotten.")
    return text("\n".join(lines or ["Nothing about this node's memory is out of the ordinary."]))


def memory_stats(context: LocalContext, session: Session, argv: Argv) -> bytes:
    """Redis's rows in its order. Of a database it shows what its table costs, data included."""
    fields = info.memory(context)
    replica = context.node.replica
    resp3 = session.resp == 3

    def row(name: str, field: str) -> tuple[bytes, bytes]:
        return text(name), integer(int(str(fields[field])))

    def share(name: str, part: str, whole: int) -> tuple[bytes, bytes]:
        return text(name), double(int(str(fields[part])) / max(1, whole), resp3)

    used, peak, rss, startup, data = (
        int(str(fields[name])) for name in (
            "used_memory", "used_memory_peak", "used_memory_rss", "used_memory_startup",
            "used_memory_dataset",
        )
    )
    keys = sum(map(sum, replica.live))
    pairs = [row(*one) for one in _BEFORE_DATABASES]
    for db, live in enumerate(replica.live):
        if count := sum(live):
            table = [
                (text("overhead.hashtable.main"), integer(ENTRY_BYTES * count)),
                (text("overhead.hashtable.expires"), integer(0)),
                (text("overhead.hashtable.slot-to-keys"), integer(0)),
            ]
            pairs.append((text(f"db.{db}"), map_(table, resp3)))
    pairs += [
        row("overhead.total", "used_memory_overhead"),
        (text("keys.count"), integer(keys)),
        (text("keys.bytes-per-key"), integer((used - startup) // keys if keys else 0)),
        row("dataset.bytes", "used_memory_dataset"),
        (text("dataset.percentage"), double(100 * data / max(1, used - startup), resp3)),
        (text("peak.percentage"), double(100 * used / peak if peak else 0.0, resp3)),
        row("allocator.allocated", "allocator_allocated"),
        row("allocator.active", "allocator_active"),
        row("allocator.resident", "allocator_resident"),
        share("allocator-fragmentation.ratio", "allocator_active", used),
        row("allocator-fragmentation.bytes", "allocator_frag_bytes"),
        share("allocator-rss.ratio", "allocator_resident", rss),
        row("allocator-rss.bytes", "allocator_rss_bytes"),
        share("rss-overhead.ratio", "used_memory_rss", rss),
        row("rss-overhead.bytes", "rss_overhead_bytes"),
        share("fragmentation", "used_memory_rss", used),
        row("fragmentation.bytes", "mem_fragmentation_bytes"),
        (text("records.count"), integer(replica.records)),      # respdyn's own: tombstones as well
    ]
    return map_(pairs, resp3)


_BEFORE_DATABASES: Final = (
    ("peak.allocated", "used_memory_peak"), ("total.allocated", "used_memory"),
    ("startup.allocated", "used_memory_startup"),
    ("replication.backlog", "mem_replication_backlog"),
    ("clients.slaves", "mem_clients_slaves"), ("clients.normal", "mem_clients_normal"),
    ("cluster.links", "mem_cluster_links"), ("aof.buffer", "mem_aof_buffer"),
    ("lua.caches", "used_memory_scripts_eval"), ("functions.caches", "used_memory_functions"),
)
