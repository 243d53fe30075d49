"""Calls that cannot be answered at once, and the waiters that get their replies.

What waits is a `Waiter`: a place in a session's order (`session.ReplyPlace`), a peer that forwarded
the command, one part of a command on several keys, or a task of the control path.
"""

from collections.abc import Callable
from typing import Final

from respdyn.causal.codec import LIVE
from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_GOES_ON, NOT_RUN, NUMBER, bulk
from respdyn.cluster.quorum import Reader, Target, Waiter
from respdyn.cluster.replica import Replica
from respdyn.cluster.statistics import Counters
from respdyn.cluster.terms import Terms
from respdyn.commands.declare import Command
from respdyn.errors import ReplyError
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator
from respdyn.types.values import INTERVALS_MOST, is_crowded

REFUSED_MAX: Final = 10_000     # keys for each peer; beyond, an order may be lost
UNANSWERED_MAX: Final = 250     # parts of one command that are under way at a time
LAST: Final = 1 << 30       # a place in a key's line: behind all that wait there
_WRONG_TYPE: Final = b"-WRONGTYPE"
FULL: Final = "OOM command not allowed when used memory > 'maxmemory'."

class Call:
    """One command on one key, wherever it runs: what it says, and on which terms.

    The second half of its fields is set while another node runs it for us (`forwarding`).
    """

    __slots__ = (
        "again_ms", "argv", "away", "began_ms", "command", "db", "deadline_ms", "frame", "hops",
        "is_done", "locator", "number", "peer", "resp3", "terms", "until_ms", "waiter",
    )

    number: int
    frame: int                  # the number of the frame that carries it
    peer: str
    waiter: Waiter
    locator: Locator
    again_ms: int               # by then the other has begun it, or never will
    away: "OutstandingForwards | None"         # if its key has a write that is away
    is_done: bool

    def __init__(
        self, command: Command, argv: list[bytes], db: int, resp3: bool, terms: Terms,
        deadline_ms: int, hops: int, until_ms: int,
    ) -> None:
        self.command = command
        self.argv = argv
        self.db = db
        self.resp3 = resp3
        self.terms = terms
        self.deadline_ms = deadline_ms      # grows while its bytes are on their way
        self.began_ms = deadline_ms - terms.timeout_ms
        self.hops = hops            # how often it was forwarded before it came here
        self.until_ms = until_ms    # if it was: it must not be begun later


class PeerReply(Waiter):
    """A reply that goes back to the node that forwarded the command."""

    __slots__ = ("_epoch", "_is_counted", "_is_filled", "_link", "_number", "_seen")

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number
        self._epoch = link.peer_epoch
        self._seen = link.applied      # the last frame of this node that its sender had seen
        self._is_filled = False
        self._is_counted = False

    def hold(self) -> Waiter:
        """Itself; from now on the command counts among those that the peer has running here."""
        if not self._is_counted:
            self._is_counted = True
            self._link.working += 1
        return self

    def is_behind_refused(self, locator: Locator) -> bool:
        """Whether one before it was refused, and its sender did not know that."""
        refused = self._link.refused
        number = refused.get(locator) if refused else None
        if number is None or self._seen < number:
            return number is not None
        del refused[locator]
        return False

    def refuse(self, locator: Locator) -> None:
        """It is not begun, nor what its sender has sent of this key before it knows that."""
        refused = self._link.refused
        if len(refused) >= REFUSED_MAX:
            refused.clear()
        refused[locator] = self._link.number + 1

    def goes_on(self) -> None:
        """Answer the peer."""
        if not self._is_filled and self._link.peer_epoch == self._epoch:
            self._link.gossips.append(bulk(GOSSIP_GOES_ON + NUMBER.pack(self._number)))

    def fill(self, reply: bytes) -> None:
        """Put the reply into the next frame, unless the peer's connection was made anew."""
        if self._is_filled:
            return
        self._is_filled = True
        if self._is_counted:
            self._link.working -= 1
        if self._link.peer_epoch == self._epoch:
            self._link.answer(self._number, reply)

    def fail(self, text: str) -> None:
        """An error as the reply."""
        self.fill(error(text))


def must_refuse(target: Target, locator: Locator, is_late: bool) -> bool:
    """Whether a forwarded command must not be begun: it is late, or behind one that was."""
    return is_late or (isinstance(target, PeerReply) and target.is_behind_refused(locator))


def refuse(target: Target, locator: Locator) -> bytes:
    """Begin a forwarded command not at all: the reply that says so."""
    if isinstance(target, PeerReply):
        target.refuse(locator)
    return NOT_RUN


def check_siblings(
    counters: Counters, record: bytes, delta: bytes, most: int, warn: int
) -> None:
    """Refuse one more version of a key that has too many: its clients never merge them.

    Otherwise a key grows without end (Riak's sibling explosion). SET still collapses them, and so
    does a write whose context covers them; repair is exempt. Raises `ReplyError`.
    """
    before, after = Replica.siblings_with(record, delta)
    if after > before and after > most:
        raise ReplyError(
            f"TOOMANYSIBLINGS {before} versions of this key are stored already: "
            "read them with DYN.GETCTX and write one in their place, or SET the key"
        )
    if after > before and after > warn:
        counters.siblings_warned += 1


def check_intervals(counters: Counters, record: bytes, delta: bytes) -> None:
    """Refuse to write a value over a context that is so long that each write of it is slow.

    Deleting is not refused: when the tombstone has been collected the context is gone. Raises
    `ReplyError`.
    """
    if delta[1] & LIVE and is_crowded(record):
        counters.intervals_refused += 1
        raise ReplyError(
            f"TOOMANYINTERVALS the context of this key has {INTERVALS_MOST} intervals or more: "
            "DEL it, and write it when its tombstone has been collected"
        )


class Gathering:
    """The replies of the parts of one command, folded into one when all are there.

    How many there will be is given, or 0: then each is announced (`add`) until there are no more
    (`close`). A fold that gives b"" has begun something else, which will fill the waiter. `null`,
    if it is not b"", stands for a part whose key holds another type than the command is for.
    Who begins many parts asks whether too many have no reply yet (`is_full`), and is called when
    that is over.
    """

    __slots__ = ("_failed_at", "_fold", "_missing", "_replies", "_shown", "_waiter", "_when_few")

    def __init__(
        self, parts: int, fold: Callable[[list[bytes]], bytes], waiter: Waiter, null: bytes = b""
    ) -> None:
        self._shown = null
        self._replies: list[bytes] = [b""] * parts
        self._missing = parts or 1
        self._failed_at = LAST          # the first of them that is an error
        self._fold = fold
        self._waiter = waiter
        self._when_few: Callable[[], None] | None = None

    def source(self) -> object:
        """Whose command it is."""
        return self._waiter.source()

    def is_full(self, when_few: Callable[[], None]) -> bool:
        """Whether `UNANSWERED_MAX` parts have no reply; if so, who is called at half as many."""
        if self._missing <= UNANSWERED_MAX:
            return False
        self._when_few = when_few
        return True

    def add(self) -> int:
        """There is one more part: its number."""
        self._missing += 1
        self._replies.append(b"")
        return len(self._replies) - 1

    def close(self) -> None:
        """There are no more."""
        self._one_less()

    def part(self, index: int, reply: bytes) -> None:
        """One part's reply. An error of any part is the reply of the whole."""
        if self._shown and reply[:1] == b"-" and reply.startswith(_WRONG_TYPE):
            reply = self._shown
        self._replies[index] = reply
        if index < self._failed_at and reply[:1] == b"-":
            self._failed_at = index
        self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        when_few = self._when_few
        if when_few is not None and self._missing <= UNANSWERED_MAX // 2:
            self._when_few = None
            when_few()
        if self._missing == 0:
            if self._failed_at != LAST:
                self._waiter.fill(self._replies[self._failed_at])
                return
            reply = self._fold(self._replies)
            if reply:
                self._waiter.fill(reply)


class Part(Waiter):
    """One part of a gathering."""

    __slots__ = ("_gathering", "_index", "_is_filled")

    def __init__(self, gathering: Gathering, index: int) -> None:
        self._gathering = gathering
        self._index = index
        self._is_filled = False

    def source(self) -> object:
        """That of the whole."""
        return self._gathering.source()

    def fill(self, reply: bytes) -> None:
        """The part's reply; only the first counts."""
        if not self._is_filled:
            self._is_filled = True
            self._gathering.part(self._index, reply)

    def fail(self, text: str) -> None:
        """An error as the reply."""
        self.fill(error(text))


class Continuation(Waiter):
    """A waiter that calls a function with the reply."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[bytes], None]) -> None:
        self._done = done

    def fill(self, reply: bytes) -> None:
        """Pass the reply on."""
        self._done(reply)

    def fail(self, text: str) -> None:
        """An error as the reply."""
        self._done(error(text))


class OutstandingForwards:
    """A key with a write that was forwarded: where to, and how many commands on it are there."""

    __slots__ = ("begun", "commands", "has_line", "peer", "refused")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.commands = 0
        # Of those that have come back: the last of each source that the peer may have begun, by its
        # number, and those that no node has begun, in order, which must not be run behind it.
        self.begun: dict[object, int] | None = None
        self.refused: list[Waiting] | None = None
        self.has_line = False       # these are first in the key's line, and no other runs them

    def begin(self, call: Call) -> None:
        """The peer may have begun it."""
        if self.begun is None:
            self.begun = {}
        source = call.waiter.source()
        if call.number > self.begun.get(source, 0):
            self.begun[source] = call.number

    def is_behind(self, call: Call) -> bool:
        """Whether a later command of the same source may have been begun."""
        return self.begun is not None and call.number < self.begun.get(call.waiter.source(), 0)


class Retry:
    """A key whose lost commands are to be run again, from this time on."""

    __slots__ = ("deadline_ms", "is_done", "locator")

    def __init__(self, locator: Locator, deadline_ms: int) -> None:
        self.locator = locator
        self.deadline_ms = deadline_ms
        self.is_done = False


class Waiting:
    """A command in a key's line, who waits for it, and until when."""

    __slots__ = ("call", "deadline_ms", "is_done", "reads_with", "waiter")

    def __init__(self, call: Call, waiter: Waiter) -> None:
        self.call = call
        self.reads_with: object = None      # the line whose first reads a quorum for all
        self.waiter = waiter
        self.deadline_ms = call.deadline_ms
        self.is_done = False        # it was answered, or its turn has come


class QueuedGroup(Waiting):
    """A transaction's group in a key's line: when its turn has come it takes the key.

    `waiter` is only ever filled where the group waited too long.
    """

    __slots__ = ("take",)

    def __init__(self, take: Callable[[], None], waiter: Waiter, deadline_ms: int) -> None:
        self.take = take
        self.reads_with = None
        self.waiter = waiter
        self.deadline_ms = deadline_ms
        self.is_done = False


class Answering(Reader):
    """A read whose reply was computed from the copy here and waits for the quorum's word.

    `again(command, argv, resp3, locator, record)` computes it from another record.
    """

    __slots__ = ("_again", "_argv", "_command", "_locator", "_reply", "_resp3", "_waiter")

    def __init__(
        self, waiter: Waiter, reply: bytes, command: Command, argv: list[bytes], resp3: bool,
        locator: Locator, again: Callable[[Command, list[bytes], bool, Locator, bytes], bytes],
    ) -> None:
        self._waiter = waiter
        self._reply = reply
        self._command = command
        self._argv = argv
        self._resp3 = resp3
        self._locator = locator
        self._again = again

    def agree(self) -> None:
        """The others hold the same."""
        self._waiter.fill(self._reply)

    def differ(self, record: bytes) -> None:
        """They do not: answer from the join."""
        self._waiter.fill(
            self._again(self._command, self._argv, self._resp3, self._locator, record)
        )

    def fail(self, text: str) -> None:
        """Too few answers."""
        self._waiter.fail(text)


class Updating(Reader):
    """The first half of a read-modify-write: once a quorum was read, the second half runs."""

    __slots__ = ("_failed", "_run")

    def __init__(self, run: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._run = run
        self._failed = failed

    def agree(self) -> None:
        """The others hold the same."""
        self._run()

    def differ(self, record: bytes) -> None:
        """The join is in the table by now."""
        self._run()

    def fail(self, text: str) -> None:
        """Too few answers."""
        self._failed(text)

