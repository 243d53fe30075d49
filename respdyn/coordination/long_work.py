"""Commands on one key that are much work, in slices (`cluster/slices`).

There are three kinds, by what a command's declaration has. A *long read* makes its reply in pieces
of a record that never changes, so the key is not kept busy. A *long write* is made of commands on
some of the elements each, which run here one after the other, each with its quorum and in a turn of
its own. And what looks at a key by an *order* that is not at hand (after a start, a repair) waits
until that is made. In both of these cases the key is busy: what comes for it waits in line, and
takes effect behind it.

Each piece has a time-out of its own. Who waits, here in line or at the node that forwarded the
command, is sent word now and then that it goes on, so long work is no failure.

Source: decision 0063.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import Final, TypeVar

from respdyn.causal.codec import BIG
from respdyn.cluster.coordinator import Coordinator
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Reader, Target, Waiter
from respdyn.cluster.slices import Job
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import Argv, Command
from respdyn.commands.table import lookup
from respdyn.coordination.calls import Call, Continuation, QueuedGroup, Waiting
from respdyn.coordination.lines import Lines
from respdyn.coordination.may_write import half_done
from respdyn.errors import ReplyError
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator, slot_of_locator

LONG_VALUE: Final = 1 << 20     # bytes: to look at all of a longer one may be a long read
WORD_SHARE: Final = 4           # of a time-out, after which who waits is sent word again
WRITE_STEPS: Final = 1000       # that a command of a long write is taken for
_LEFT_UNDONE: Final = (
    "TIMEOUT the coordinator of the key has changed: some of the elements are done, others are not"
)
_ERROR: Final = b"-"

Apply = Callable[[Command, Argv, Locator, Plan, bool, Terms, int, Target], bytes | None]
Answer = Generator[int, None, bytes]
Steps = Generator[Argv, bytes, bytes]
Made = TypeVar("Made")


class LongWork:
    """The long commands of this node. `apply` runs a write on a key that it coordinates.

    `under_way`: keys that stay busy until it is done.
    """

    def __init__(
        self, node: ThisNode, coordinator: Coordinator, lines: Lines, apply: Apply,
        under_way: set[Locator],
    ) -> None:
        self.node = node
        self.lines = lines
        self.apply = apply
        self.under_way = under_way
        self._coordinator = coordinator

    # ---- an order that is not at hand ----

    def must_prepare(self, command: Command, argv: Argv, record: bytes) -> bool:
        """Whether a command needs an order of this record that is long work to make."""
        if command.order is None or not record or not record[1] & BIG:
            return False
        order = command.order(argv)
        return order is not None and not order.is_near(record)

    def prepare(self, call: Call, locator: Locator, target: Target) -> None:
        """Have a command wait until its order is made."""
        assert call.command.order is not None, "it must be prepared"
        order = call.command.order(call.argv)
        assert order is not None, "it must be prepared"
        record = self.node.replica.get(locator)
        self.lines.line_up(locator, [Waiting(call, target.hold())])
        self.under_way.add(locator)
        every_ms = call.terms.timeout_ms // WORD_SHARE
        self.node.slices.start(self._prepare(order.prepare(record), locator, record, every_ms))

    def _prepare(
        self, work: Generator[int, None, None], locator: Locator, record: bytes, every_ms: int
    ) -> Job:
        yield from self._reporting(work, every_ms, lambda: self.hold_line(locator))
        self.let_go(record)
        self.free(locator)

    def _reporting(
        self, work: Generator[int, None, Made], every_ms: int, goes_on: Callable[[], None]
    ) -> Generator[int, None, Made]:
        """This work, with word so often that it goes on."""
        now = self.node.now
        reported_ms = now.now_ms
        while True:
            try:
                steps = next(work)
            except StopIteration as end:
                made: Made = end.value
                return made
            if now.now_ms - reported_ms >= every_ms:
                reported_ms = now.now_ms
                goes_on()
            yield steps

    def hold_line(self, locator: Locator) -> None:
        """Who waits in a key's line has its time from now on."""
        for waiting in self.lines.busy.get(locator, ()):
            if not isinstance(waiting, QueuedGroup):
                until_ms = self.node.now.now_ms + waiting.call.terms.timeout_ms
                waiting.call.deadline_ms = waiting.deadline_ms = until_ms
                waiting.waiter.goes_on()

    def free(self, locator: Locator) -> None:
        """The key is busy no more."""
        self.under_way.discard(locator)
        self.lines.next_in_line(locator)

    def let_go(self, record: bytes) -> None:
        """A big record that was held meanwhile may be the last of what it was made of."""
        if record and record[1] & BIG:
            self.node.replica.let_fall(record)

    # ---- reading ----

    def is_long(self, command: Command, argv: Argv, record: bytes, resp3: bool) -> bool:
        """Whether a read of a big key is long work, or needs an order that is not at hand."""
        return self.must_prepare(command, argv, record) or (
            self.begin_read(command, argv, record, resp3) is not None
        )

    def begin_read(
        self, command: Command, argv: Argv, record: bytes, resp3: bool
    ) -> Answer | None:
        """What makes the reply in pieces; None if it is not long, or an error."""
        if command.long_read is None:
            return None
        try:
            return command.long_read(argv, record, self.node.now.wall_ms, resp3)
        except ReplyError:
            return None

    def read(
        self, call: Call, locator: Locator, plan: Plan, record: bytes, target: Target
    ) -> bool:
        """Begin a long read; False where too few can be asked, which others say."""
        command, terms = call.command, call.terms
        if self.must_prepare(command, call.argv, record):
            if command.draws:
                call.argv = call.argv[:-1]      # the seed is drawn again
            self.prepare(call, locator, target)
            return True
        r = min(terms.r, plan.n)
        if (plan.replicas if terms.sloppy else plan.strict).answers < r or (
            call.hops and len(plan.replicas.readers) < r - 1
        ):
            return False
        work = self.begin_read(command, call.argv, record, call.resp3)
        assert work is not None, "it is long"
        reading = LongReading(self, work, call, record, target.hold())
        if r <= 1 and plan.partition not in self._coordinator.keepers.by_partition:
            reading.agree()
        else:
            self._coordinator.read(
                plan, reading, locator, record, r, terms.sloppy, call.deadline_ms)
        return True

    def answer(self, work: Answer, record: bytes, waiter: Waiter, every_ms: int) -> Job:
        """Make a reply; who waits is sent word so often that it goes on."""
        waiter.fill((yield from self._reporting(work, every_ms, waiter.goes_on)))
        self.let_go(record)

    # ---- writing ----

    def steps_of(
        self, command: Command, argv: Argv, locator: Locator, resp3: bool
    ) -> Steps | None:
        """The commands that a write is made of; None if it is one step, or an error."""
        assert command.long_write is not None, "it has none"
        record = self.node.replica.get(locator)
        try:
            return command.long_write(argv, record, self.node.now.wall_ms, resp3)
        except ReplyError:
            return None

    def write(self, work: Steps, call: Call, locator: Locator, target: Target) -> None:
        """A long write; the key is, or becomes, busy."""
        if locator not in self.lines.busy:
            self.lines.busy[locator] = deque()
        self.under_way.add(locator)
        writing = LongWriting(self, work, call, locator, target.hold())
        self.node.slices.start(writing.next(next(work)))


class LongReading(Reader):
    """A read whose reply will be made in pieces once its quorum has agreed."""

    __slots__ = ("_call", "_owner", "_record", "_waiter", "_work")

    def __init__(
        self, owner: LongWork, work: Answer, call: Call, record: bytes, waiter: Waiter
    ) -> None:
        self._owner = owner
        self._work = work
        self._call = call
        self._record = record
        self._waiter = waiter

    def agree(self) -> None:
        """The others hold the same."""
        self._begin(self._work, self._record)

    def _begin(self, work: Answer, record: bytes) -> None:
        every_ms = self._call.terms.timeout_ms // WORD_SHARE
        self._owner.node.slices.start(self._owner.answer(work, record, self._waiter, every_ms))

    def differ(self, record: bytes) -> None:
        """They do not: answer from the join."""
        owner, call = self._owner, self._call
        owner.let_go(self._record)
        work = owner.begin_read(call.command, call.argv, record, call.resp3)
        if work is not None:
            self._begin(work, record)
            return
        now_ms = owner.node.now.wall_ms
        try:
            self._waiter.fill(call.command.read(call.argv, record, now_ms, call.resp3))
        except ReplyError as wrong:
            self._waiter.fail(wrong.text)

    def fail(self, text: str) -> None:
        """Too few answers."""
        self._owner.let_go(self._record)
        self._waiter.fail(text)


class LongWriting:
    """A long write under way: a command in a turn, the next one when that has its quorum."""

    __slots__ = (
        "_call", "_has_written", "_locator", "_owner", "_reported_ms", "_waiter", "_work"
    )

    def __init__(
        self, owner: LongWork, work: Steps, call: Call, locator: Locator, waiter: Waiter
    ) -> None:
        self._owner = owner
        self._work = work
        self._call = call
        self._locator = locator
        self._waiter = waiter
        self._has_written = False
        self._reported_ms = owner.node.now.now_ms

    def next(self, argv: Argv) -> Job:
        """One of its commands, in a turn of its own."""
        yield 1
        owner, call = self._owner, self._call
        node = owner.node
        plan = node.plans[slot_of_locator(self._locator)]
        if not plan.is_owner or plan.coordinator != node.identity.node_id:
            self._end(error(_LEFT_UNDONE))
            return
        now_ms = node.now.now_ms
        if now_ms - self._reported_ms >= call.terms.timeout_ms // WORD_SHARE:
            self._reported_ms = now_ms
            self._waiter.goes_on()
            owner.hold_line(self._locator)
        reply = owner.apply(
            lookup(argv), argv, self._locator, plan, call.resp3, call.terms,
            now_ms + call.terms.timeout_ms, Continuation(self._done),
        )
        if reply is not None:
            self._done(reply)
        yield WRITE_STEPS

    def _done(self, reply: bytes) -> None:
        if reply[:1] == _ERROR:
            self._work.close()
            self._end(half_done(reply) if self._has_written else reply)
            return
        self._has_written = True
        try:
            argv = self._work.send(reply)
        except StopIteration as end:
            self._end(end.value)
            return
        self._owner.node.slices.start(self.next(argv))

    def _end(self, reply: bytes) -> None:
        self._waiter.fill(reply)
        self._owner.free(self._locator)
