"""A client in one line, as CLIENT LIST shows it.

The line has every field of Redis 7, and the library's name and version of 7.2. What has no
counterpart here reads zero: no buffer is allocated before it is filled (`qbuf-free`, `rbs`, `rbp`,
`obl`). As in Redis, `qbuf` has the command in it that this client is just served.

Source: Redis `networking.c` (catClientInfoString).
"""

from respdyn.commands.declare import Argv
from respdyn.host import Host
from respdyn.sessions.memory import Memory
from respdyn.sessions.session import Session


def describe(
    session: Session, now_ms: int, host: Host, memory: Memory, argv: Argv | None = None
) -> bytes:
    """One line of CLIENT LIST, without its end. `argv`: the words that this client just said."""
    read, written = host.buffered(session.tag)
    argv_bytes = sum(map(len, argv or ()))
    if argv:
        read += len(b"*%d\r\n" % len(argv)) + sum(len(b"$%d\r\n\r\n" % len(one)) for one in argv)
        read += argv_bytes
    transaction = session.transaction
    flags = "O" if session.is_monitor else ""
    flags += "P" if session.subscriptions is not None else ""
    tracking = session.tracking
    if tracking is not None:
        flags += "t" + ("R" if tracking.broken else "") + ("B" if tracking.is_bcast else "")
    flags += ("x" if transaction is not None else "") + ("b" if session.blocked else "")
    flags += ("c" if session.closing else "") + ("e" if session.no_evict else "")
    channels, patterns, shards = (
        (0, 0, 0) if session.subscriptions is None else map(len, session.subscriptions.names)
    )
    fields: list[tuple[str, object]] = [
        ("id", session.id),
        ("addr", session.address),
        ("laddr", session.local_address),
        ("fd", host.descriptor(session.tag)),
        ("name", session.name.decode("latin-1")),
        ("age", max(0, now_ms - session.created_ms) // 1000),
        ("idle", max(0, now_ms - session.last_ms) // 1000),
        ("flags", flags or "N"),
        ("db", session.db),
        ("sub", channels), ("psub", patterns), ("ssub", shards),
        ("multi", -1 if transaction is None else len(transaction.queue)),
        ("qbuf", read), ("qbuf-free", 0), ("argv-mem", argv_bytes),
        ("multi-mem", 0 if transaction is None else transaction.size),
        ("rbs", 0), ("rbp", 0), ("obl", 0),
        ("oll", len(session.out) + len(session.pending)),
        ("omem", session.out_bytes + written),
        ("tot-mem", memory.of(session) + argv_bytes),
        ("events", "rw" if session.out or written else "r"),
        ("cmd", session.last_command or "NULL"),
        ("user", session.user.decode("latin-1")),
        ("redir", -1 if tracking is None else tracking.redirect),
        ("resp", session.resp),
        ("lib-name", session.lib_name.decode("latin-1")),
        ("lib-ver", session.lib_version.decode("latin-1")),
    ]
    return " ".join(f"{name}={value}" for name, value in fields).encode("latin-1")
