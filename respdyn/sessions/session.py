"""One client's connection as the core sees it: its settings, and its replies in order.

Replies leave in the order in which commands came, whatever finishes first. A command that cannot
be answered at once takes a `ReplyPlace` (`hold`) in the queue, which is filled later; replies
behind it wait. While nothing waits, a reply goes straight to the output list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from respdyn.cluster.now import Now
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import Command
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator
from respdyn.sessions.acl_rules import User


class SharedSessionState:
    """What all sessions of a node share."""

    __slots__ = (
        "cut", "errors", "finished", "held", "in_its_keys", "note_failed", "now", "push_limit",
        "ready", "slow_ms", "waited", "window", "window_most",
    )

    def __init__(self, now: Now) -> None:
        self.now = now
        self.errors: dict[str, int] = {}    # error replies, by first word
        # Called for a command whose reply came later and was an error.
        self.note_failed: Callable[[ReplyPlace], None] = lambda cell: None
        # And of one that waited for at least so many milliseconds, and how many.
        self.waited: Callable[[ReplyPlace, int], None] = lambda cell, took_ms: None
        self.slow_ms = 1 << 60
        self.cut = 0                        # sessions that let too many messages wait
        self.push_limit = 0                 # bytes of messages that may wait for a reply
        self.held = 0                       # replies that are waited for
        self.finished = 0                   # replies that were, since the start
        self.window = self.window_most = 1 << 30    # at so many, who waits is read no further
        self.ready: list[Session] = []      # sessions whose backlog may go on
        self.in_its_keys: set[bytes] = set()    # hashes of scripts, see `Scripts.in_its_keys`

    def failed(self, reply: bytes) -> None:
        """Count an error reply."""
        word = reply[1:].split(b" ", 1)[0].decode("latin-1").strip()
        if word in self.errors or len(self.errors) < ERRORS_MAX:
            self.errors[word] = self.errors.get(word, 0) + 1


# Different first words of errors that are counted.
ERRORS_MAX: Final = 128

# How many replies one client may wait for, and how many of its commands may wait to be begun; what
# it sends beyond that is left unread.
PENDING_MAX: Final = 1000

# Keys that are kept for WAIT, once a connection has said it.
WRITTEN_MAX: Final = 10_000

# In place of a key: any of them.
ALL_KEYS: Final = b"all keys"

_EVALS: Final = frozenset((b"EVAL", b"EVALSHA", b"FCALL"))

# What one listens to: a name, names like a pattern, or a channel of a shard.
CHANNEL: Final = 0
PATTERN: Final = 1
SHARD: Final = 2


class ReplyPlace(Waiter):
    """A place kept in a session's order of replies."""

    __slots__ = (
        "argv", "came_ms", "command", "is_barrier", "is_script", "is_write", "key", "reply",
        "session", "shown",
    )

    argv: list[bytes]       # unless it belongs to no command

    def __init__(self, session: Session, shown: bool) -> None:
        self.session = session
        self.reply: bytes | None = None
        self.key: bytes | None = None       # of a command in flight on one key, or `ALL_KEYS`
        self.is_write = False
        self.is_script = False              # so they do, but for scripts on the same key
        self.is_barrier = False             # all commands behind it wait in the backlog
        self.shown = shown
        self.command: Command | None = None     # None with a key: a plain GET or SET
        self.came_ms = session.load.now.now_ms      # monotonic; of the command

    def source(self) -> object:
        """Its session."""
        return self.session

    def note(self, command: Command | None, argv: list[bytes], came_ms: int) -> None:
        """Whose reply it is to be, and when that came."""
        self.command = command
        self.argv = argv
        self.came_ms = came_ms

    def fill(self, reply: bytes) -> None:
        """Give the reply; it and all that waited behind it move to the output."""
        if self.reply is not None:
            return
        self.reply = reply
        session = self.session
        load = session.load
        load.held -= 1
        load.finished += 1
        if load.now.now_ms - self.came_ms >= load.slow_ms:
            load.waited(self, load.now.now_ms - self.came_ms)
        if self.is_barrier:
            session.scripts -= self.is_script
            session.has_barrier = session.scripts > 0
        if reply[:1] == b"-":
            load.failed(reply)
            load.note_failed(self)
        if self.key is not None:
            if self.is_write:
                session.writes -= 1
            else:
                session.reads -= 1
        pending = session.pending
        if pending and pending[0] is self:
            if not session.is_dirty:
                session.is_dirty = True
                session.dirty.append(session)
            out = session.out
            while pending and (done := pending[0].reply) is not None:
                if pending.popleft().shown:
                    out.append(done)
                    session.out_bytes += len(done)
            if session.backlog and not pending:
                session.load.ready.append(session)

    def fail(self, text: str) -> None:
        """An error as the reply."""
        self.fill(error(text))


class Transaction:
    """What a client has queued since MULTI."""

    __slots__ = ("commands", "is_broken", "queue", "size")

    def __init__(self) -> None:
        self.queue: list[tuple[Command, list[bytes]]] = []
        self.size = 0               # bytes
        self.commands = 0           # one of many keys counts as so many
        self.is_broken = False      # a command was refused: EXEC will run nothing


class ExecTarget(Target):
    """Where a command that runs inside an EXEC answers later, or says several things at once."""

    __slots__ = ("is_held", "pushed", "takes_pushes", "waiter")

    def __init__(self, waiter: Waiter, takes_pushes: bool) -> None:
        self.waiter = waiter
        self.takes_pushes = takes_pushes    # it answers by messages (SUBSCRIBE)
        self.pushed: list[bytes] = []
        self.is_held = False

    def hold(self) -> Waiter:
        """Its place in the reply of EXEC."""
        self.is_held = True
        return self.waiter


class Subscriptions:
    """What one session listens to, by kind."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: tuple[dict[bytes, None], ...] = ({}, {}, {})

    def count(self, kind: int) -> int:
        """The number that a reply about this kind shows: shard channels are counted apart."""
        if kind == SHARD:
            return len(self.names[SHARD])
        return len(self.names[CHANNEL]) + len(self.names[PATTERN])

    def is_empty(self) -> bool:
        """Whether the session listens to nothing."""
        return not any(self.names)


class Tracking:
    """How one client tracks."""

    __slots__ = (
        "broken", "caching", "is_bcast", "is_noloop", "is_optin", "is_optout", "own", "prefixes",
        "redirect",
    )

    def __init__(self) -> None:
        self.is_bcast = self.is_optin = self.is_optout = self.is_noloop = False
        self.redirect = 0               # id of the client that gets the messages instead
        self.broken = False             # it is gone
        self.caching = False            # CLIENT CACHING, for the next command
        self.prefixes: list[bytes] = []
        self.own: dict[bytes, bytes] = {}       # of NOLOOP: key -> digest of what it wrote


class Session(Target):
    """A client's connection. The driver reads `out`, `closing` and `pending`; the core the rest."""

    __slots__ = (
        "address",
        "authenticated",
        "backlog",
        "blocked",
        "closing",
        "commands",
        "created_ms",
        "db",
        "dirty",
        "exec_target",
        "guard",
        "has_barrier",
        "id",
        "is_dirty",
        "is_held",
        "is_met",
        "is_monitor",
        "is_put_off",
        "is_tls",
        "last_command",
        "last_ms",
        "last_writes",
        "lib_name",
        "lib_version",
        "listener",
        "load",
        "local_address",
        "moving",
        "name",
        "no_evict",
        "no_touch",
        "out",
        "out_bytes",
        "pending",
        "pushed_bytes",
        "reads",
        "reply_mode",
        "resp",
        "script_key",
        "scripts",
        "scripts_keep",
        "subscriptions",
        "tag",
        "terms",
        "tracking",
        "transaction",
        "user",
        "waited",
        "watched",
        "writes",
        "written",
    )

    def __init__(
        self, session_id: int, address: str, local_address: str, listener: str,
        now_ms: int, terms: Terms, dirty: list[Session], tag: object,
        load: SharedSessionState,
    ) -> None:
        self.id = session_id
        self.address = address              # "ip:port" of the client
        self.local_address = local_address  # "ip:port" it connected to
        self.listener = listener            # "client" or "cluster"
        self.load = load
        self.tag = tag                      # the driver's own; the core never looks
        self.dirty = dirty                  # the node's list of sessions with output
        self.is_dirty = False
        self.is_put_off = False             # its output waits for the next turn
        self.is_held = False                # its next write waits for a disk (`holding`)
        self.out: list[bytes] = []          # replies ready to be written, in order
        self.out_bytes = 0
        self.pending: deque[ReplyPlace] = deque()
        # Commands behind one that concerns all keys (FLUSHALL, SCAN) or takes two steps (MSETNX):
        # that one waits until all before it have been answered, and they wait for it.
        # Each with the time at which it came.
        self.backlog: deque[tuple[list[bytes], int]] = deque()
        self.has_barrier = False
        self.scripts = 0                    # in flight
        self.script_key = b""               # that all of them are on, if it is one
        self.scripts_keep = False           # none of them uses another key than it declares
        self.blocked = 0                    # its number while it waits in a command (`blocking`)
        self.reads = 0                      # in flight
        self.writes = 0
        self.closing = False                # write what is in `out`, then close
        self.created_ms = now_ms            # wall clock
        self.last_ms = now_ms               # of the last command, wall clock
        self.commands = 0
        self.last_command = ""              # "get", "client|id"
        self.db = 0
        self.resp = 2
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.authenticated = False
        self.user = b"default"
        self.guard: User | None = None      # `sessions/users` judges by it; None: all is allowed
        self.reply_mode = "on"              # on, off, or skip: the next reply is left out
        self.is_tls = False
        self.no_evict = False
        self.no_touch = False
        self.terms = terms
        self.subscriptions: Subscriptions | None = None     # None: it listens to nothing
        self.is_monitor = False
        self.tracking: Tracking | None = None       # None: it caches nothing (CLIENT TRACKING)
        self.moving = b""                   # the kind of address that MOVING is to name
        self.pushed_bytes = 0               # of messages that wait for a reply before them
        self.transaction: Transaction | None = None     # after MULTI
        # For WAIT, locators: the last that was written of each group of owners (`Plan.group`), and
        # once it has said WAIT all of them since.
        self.last_writes: dict[int, Locator] = {}
        self.written: dict[Locator, None] | None = None
        self.waited: list[Locator] = []       # what its last WAIT looked at
        self.is_met = True                  # and found as widely stored as WAIT demanded
        self.exec_target: ExecTarget | None = None  # while a command of an EXEC is answered here
        self.watched: dict[tuple[int, bytes], bytes] = {}   # (database, key) -> its version

    def runs(self, command: Command) -> list[Command]:
        """What a command stands for: EXEC runs what was queued."""
        if command.name == "exec" and self.transaction is not None:
            return [queued for queued, _ in self.transaction.queue]
        return [command]

    def reply(self, reply: bytes) -> None:
        """Answer the command at hand, behind everything that still waits."""
        if self.reply_mode != "on" and not self._is_shown():
            return
        if self.pending:
            cell = ReplyPlace(self, True)
            cell.reply = reply
            self.pending.append(cell)
            return
        self.out.append(reply)
        self.out_bytes += len(reply)
        if not self.is_dirty:
            self.is_dirty = True
            self.dirty.append(self)

    def is_full(self) -> bool:
        """Whether so much of it waits, or here, that no more is taken (`pacing`)."""
        waits, load = len(self.pending), self.load
        if waits > PENDING_MAX or (waits and load.held >= load.window and not self.blocked):
            return True
        return len(self.backlog) > PENDING_MAX

    def mark(self) -> None:
        """Have the driver look at it at the end of the turn."""
        if not self.is_dirty:
            self.is_dirty = True
            self.dirty.append(self)

    @property
    def listens(self) -> bool:
        """Whether it gets messages that it does not ask for one by one."""
        return self.subscriptions is not None or self.is_monitor

    def push(self, message: bytes) -> None:
        """Send what no command requested, behind all replies to commands before it.

        CLIENT REPLY does not hold it back. A session that would let too much of it wait is cut.
        """
        if self.exec_target is not None and self.exec_target.takes_pushes:
            self.exec_target.pushed.append(message)
            return
        if self.pending and not self.blocked:
            self.pushed_bytes += len(message)
            if self.pushed_bytes > self.load.push_limit:
                self.load.cut += 1
                self.cut()
                return
            cell = ReplyPlace(self, True)
            cell.reply = message
            self.pending.append(cell)
            return
        self.pushed_bytes = 0
        self.out.append(message)
        self.out_bytes += len(message)
        self.mark()

    def cut(self) -> None:
        """Close the connection at once, without the replies that it waits for."""
        self.closing = True
        self.backlog.clear()
        self.pending.clear()
        self.out.clear()
        self.out_bytes = 0
        self.mark()

    def hold(self) -> Waiter:
        """A place for a reply that comes later."""
        if self.exec_target is not None:
            return self.exec_target.hold()
        self.load.held += 1
        cell = ReplyPlace(self, self.reply_mode == "on" or self._is_shown())
        self.pending.append(cell)
        return cell

    def hold_key(self, argv: list[bytes], is_write: bool) -> ReplyPlace:
        """As `hold`, of a plain GET or SET, while `reply_mode` is "on"."""
        self.load.held += 1
        cell = ReplyPlace(self, True)
        cell.argv = argv
        cell.key = argv[1]
        cell.is_write = is_write
        if is_write:
            self.writes += 1
        else:
            self.reads += 1
        self.pending.append(cell)
        return cell

    def note(self, key: bytes, is_write: bool) -> None:
        """The command that has just taken a place reads or writes this key, or `ALL_KEYS`.

        If it has been answered meanwhile, at once that is, nothing has to wait for it.
        """
        if not self.pending or self.pending[-1].reply is not None:
            return
        cell = self.pending[-1]
        cell.key = key
        cell.is_write = is_write
        if is_write:
            self.writes += 1
        else:
            self.reads += 1

    def bar(self) -> None:
        """Hold back what comes behind the command that has just taken a place."""
        self.pending[-1].is_barrier = True
        self.has_barrier = True

    def bar_script(self, argv: list[bytes]) -> None:
        """As `bar`, of a script: others may follow it, see `lets_follow`."""
        key = argv[3] if argv[2] == b"1" and len(argv) > 3 else b""
        keeps = bool(key) and argv[1] in self.load.in_its_keys
        if self.scripts:
            key = key if key == self.script_key else b""
            keeps = keeps and self.scripts_keep
        self.pending[-1].is_script = True
        self.scripts += 1
        self.script_key, self.scripts_keep = key, keeps
        self.bar()

    def lets_follow(self, argv: list[bytes]) -> bool:
        """Whether these words may follow the scripts under way: they are one, too.

        It is on the same one key; or it and all of them use the one key alone that they declare, so
        far as was seen here: then it matters to none of them which is first.
        """
        return (
            self.scripts > 0 and len(argv) > 3 and argv[0].upper() in _EVALS and argv[2] == b"1"
            and self.transaction is None and (
                (argv[3] == self.script_key and bool(argv[3]))
                or (self.scripts_keep and argv[1] in self.load.in_its_keys)
            )
        )

    def unbar(self) -> None:
        """Let what came behind a command without a reply of its own go on."""
        self.has_barrier = False
        if self.backlog:
            self.load.ready.append(self)

    def note_write(self, locator: Locator, group: int) -> None:
        """WAIT will want to know of this."""
        self.last_writes[group] = locator
        written = self.written
        if written is not None:
            written[locator] = None
            if len(written) > WRITTEN_MAX:
                del written[next(iter(written))]

    def must_wait(self, key: bytes, is_write: bool) -> bool:
        """Whether a command on this key (or `ALL_KEYS`) must wait for this client's own before it.

        A write waits for a read: that may yet ask one more replica, and would see a write that the
        client made after it. A read waits for a write: that may yet find a sibling at a replica
        and cover it, and until then the sibling may be what is read.
        """
        if not (self.reads if is_write else self.writes):
            return False
        return any(
            cell.key is not None and cell.is_write is not is_write and cell.reply is None
            and (cell.key is ALL_KEYS or key is ALL_KEYS or cell.key == key)
            for cell in self.pending
        )

    def take(self) -> bytes:
        """All output that is ready, as one piece; the list is empty afterwards."""
        out = self.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.out_bytes = 0
        return data

    def _is_shown(self) -> bool:
        """Whether CLIENT REPLY lets this reply through. After SKIP one reply is left out."""
        if self.reply_mode == "skip":
            self.reply_mode = "on"
            return False
        return self.reply_mode == "on"
