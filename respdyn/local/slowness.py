"""SLOWLOG and LATENCY: what they answer from the command statistics.

Source: Redis `slowlog.c`, `latency.c`.
"""

from __future__ import annotations

from typing import Final

from respdyn.commands import introspection
from respdyn.commands.arguments import integer_of, quoted, unknown_subcommand
from respdyn.commands.declare import Argv
from respdyn.commands.table import COMMANDS, find_by_name
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, array, bulk, bulks, integer, map_, text, verbatim
from respdyn.sessions.command_stats import Cost, Event
from respdyn.sessions.session import Session

_SHOWN: Final = 10          # entries of SLOWLOG, unless more are requested
_ROWS: Final = 4            # of LATENCY GRAPH
_COLUMNS: Final = 80
_OFF: Final = (
    "Latency events are not noted: say CONFIG SET latency-monitor-threshold MILLISECONDS first.\n"
)
_WELL: Final = "Nothing took as long as latency-monitor-threshold so far.\n"
_ADVICE: Final = {
    "command": "commands that look at much hold up all others: see SLOWLOG GET",
    "aof-fsync-always": "the disk syncs slowly: see its load; everysec does not wait for it",
    "aof-write": "the disk is slow: see its load",
    "fast-command": "cheap commands were slow: the machine is busy, or the process was paused",
    "forward": "the node that coordinates a key answered late: see DYN.CLUSTER STATUS",
    "quorum-read": "other owners answered late: see DYN.CLUSTER STATUS and their load",
    "quorum-write": "other owners answered late, or their disks: see DYN.CLUSTER STATUS",
    "turn": "one round of the event loop was long: many clients, or one large command",
}


def slowlog_get(context: LocalContext, session: Session, argv: Argv) -> bytes:
    count = _SHOWN
    if len(argv) > 3:
        raise unknown_subcommand(argv)
    if len(argv) == 3:
        number = integer_of(argv[2])
        if number is None or number < -1:
            raise ReplyError("ERR count should be greater than or equal to -1")
        count = number
    slow = context.command_stats.slow
    shown = list(slow)[: len(slow) if count == -1 else count]
    return array([
        array([
            integer(one.number), integer(one.when_s), integer(one.took_us), bulks(one.argv),
            text(one.address), bulk(one.name),
        ])
        for one in shown
    ])


def slowlog_len(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return integer(len(context.command_stats.slow))


def slowlog_reset(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.command_stats.slow.clear()
    return OK


def slowlog_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("slowlog"))


def latency_latest(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return array([
        array([
            text(kind), integer(event.samples[-1][0]), integer(event.samples[-1][1]),
            integer(event.greatest_ms),
        ])
        for kind, event in context.command_stats.events.items()
    ])


def latency_history(context: LocalContext, session: Session, argv: Argv) -> bytes:
    event = context.command_stats.events.get(argv[2].decode("latin-1"))
    samples = event.samples if event is not None else ()
    return array([array([integer(second), integer(ms)]) for second, ms in samples])


def latency_reset(context: LocalContext, session: Session, argv: Argv) -> bytes:
    events = context.command_stats.events
    names = [one.decode("latin-1") for one in argv[2:]] or list(events)
    return integer(sum(events.pop(name, None) is not None for name in names))


def latency_graph(context: LocalContext, session: Session, argv: Argv) -> bytes:
    kind = argv[2].decode("latin-1")
    event = context.command_stats.events.get(kind)
    if event is None:
        raise ReplyError(f"ERR No samples available for event '{quoted(argv[2])}'")
    return verbatim(_graph(kind, event, context.now_ms // 1000).encode(), session.resp == 3)


def _graph(kind: str, event: Event, now_s: int) -> str:
    """Columns of the last samples, the greatest at full height; below, how long ago each was."""
    samples = list(event.samples)[-_COLUMNS:]
    high = max(ms for _, ms in samples)
    low = min(ms for _, ms in samples)
    heights = [max(1, round(_ROWS * ms / high)) if high else 1 for _, ms in samples]
    ages = [_age(now_s - second) for second, _ in samples]
    rows = [
        "".join("#" if height > row else " " for height in heights).rstrip()
        for row in range(_ROWS - 1, -1, -1)
    ]
    width = max(map(len, ages))
    rows += ["", *("".join(age.ljust(width)[at] for age in ages).rstrip() for at in range(width))]
    head = f"{kind} - high {high} ms, low {low} ms (all time high {event.greatest_ms} ms)"
    return "\n".join([head, "-" * _COLUMNS, *rows]) + "\n"


def _age(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def latency_doctor(context: LocalContext, session: Session, argv: Argv) -> bytes:
    stats = context.command_stats
    if not stats.event_ms:
        said = _OFF
    elif not stats.events:
        said = _WELL
    else:
        lines = [f"Samples of {stats.event_ms} ms and more, by event:"]
        for number, (kind, event) in enumerate(stats.events.items(), 1):
            times = [ms for _, ms in event.samples]
            lines.append(
                f"{number}. {kind}: {len(times)} samples, on average {sum(times) // len(times)} ms,"
                f" at most {event.greatest_ms} ms. Advice: {_ADVICE.get(kind, 'see the log')}."
            )
        said = "\n".join(lines) + "\n"
    return verbatim(said.encode(), session.resp == 3)


def latency_histogram(context: LocalContext, session: Session, argv: Argv) -> bytes:
    stats = context.command_stats
    if len(argv) == 2:
        wanted = [one for command in COMMANDS for one in (command, *command.subcommands)]
    else:
        found = [find_by_name(name) for name in argv[2:]]
        wanted = [
            one for command in found if command is not None
            for one in (command, *command.subcommands)
        ]
    resp3 = session.resp == 3
    return map_([
        (text(command.name), _distribution(stats.costs[command], resp3))
        for command in dict.fromkeys(wanted)
        if command in stats.costs and stats.costs[command].timed
    ], resp3)


def _distribution(cost: Cost, resp3: bool) -> bytes:
    """Calls, and how many of them took up to so many microseconds, where that number grows."""
    running = 0
    bounds = []
    for index, count in enumerate(cost.buckets):
        running += count
        if count:
            bounds.append((integer(1 << index), integer(running)))
    return map_([
        (text("calls"), integer(cost.timed)), (text("histogram_usec"), map_(bounds, resp3)),
    ], resp3)


def latency_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("latency"))
