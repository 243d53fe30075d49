"""Clients that wait in a blocking command, at the node that they are connected to.

The command is tried at once, pop after pop. If nothing is there, the client is registered at the
coordinator of each of its keys (`coordination/waits`), under a ticket that it keeps. On an offer
this node sends the pop, on the client's terms. One pop is under way at a time; other offers wait
for its outcome. A pop that gives something ends the wait; one that gives nothing leaves the client
where it was. When the time is over while a pop is under way, that pop's outcome is still the
client's: an item is never taken and thrown away. If the outcome is unknown, the reply says so.

All that its client says behind the command waits. The client takes no part in what is counted as
under way (`max-inflight`), and its wait is no slowness.

Source: decision 0054; Redis `blocked.c`.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final
from zlib import crc32

from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER, Deadlines
from respdyn.commands.declare import Argv, Blocking, Command
from respdyn.coordination.calls import Continuation
from respdyn.coordination.dispatch import Dispatcher
from respdyn.coordination.waits import AGAIN, BEGIN, END, Waits, encode_wait, statement_of
from respdyn.errors import ReplyError
from respdyn.resp.replies import error
from respdyn.ring.hashing import Locator, slot_of_locator
from respdyn.ring.hashing import locator as locator_of
from respdyn.sessions.session import ReplyPlace, Session

AGAIN_MS: Final = 2_500                 # after that registrations are said again
_UNBLOCKED: Final = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
_TOO_MANY: Final = "OVERLOAD {} clients wait already (blocked-clients-max): nothing was done"
_NOTHING_DONE: Final = b"nothing was done"


class BlockedClient:
    """One client that waits."""

    __slots__ = (
        "blocking", "cell", "deadline_ms", "is_done", "is_registered", "line", "locators", "number",
        "offers", "over", "session", "since_ms", "terms", "trying",
    )

    def __init__(
        self, number: int, session: Session, cell: ReplyPlace, blocking: Blocking, terms: Terms,
        now_ms: int, wall_ms: int,
    ) -> None:
        self.number = number
        self.session = session
        self.cell = cell
        self.blocking = blocking
        self.terms = terms
        self.line = crc32(blocking.line)
        self.since_ms = wall_ms
        self.deadline_ms = now_ms + blocking.timeout_ms if blocking.timeout_ms else NEVER
        self.locators: dict[Locator, int] = {}      # of its keys, with their places
        for at, key in enumerate(blocking.keys):
            self.locators.setdefault(locator_of(session.db, key), at)
        self.offers: dict[Locator, None] = {}       # that wait for the pop under way
        self.trying: Locator | None = None
        self.over = b""                 # the reply if the pop under way gives nothing
        self.is_registered = False
        self.is_done = False

    def nothing(self) -> bytes:
        """The reply when the time is over."""
        return self.blocking.nothing[self.session.resp == 3]


class BlockedClients:
    """All of this node."""

    def __init__(self, node: ThisNode, dispatcher: Dispatcher, waits: Waits) -> None:
        self.by_number: dict[int, BlockedClient] = {}
        self._node = node
        self._now = node.now
        self._here = node.identity
        self._dispatcher = dispatcher
        self._waits = waits
        self._number = 0
        self._deadlines: Deadlines[BlockedClient] = Deadlines()
        self._again_ms = NEVER
        self._local: deque[tuple[int, Locator]] = deque()   # offers of this node to itself
        waits.offered = self.offered

    # ---- the command ----

    def begin(
        self, session: Session, command: Command, block: Callable[[Argv], Blocking], argv: Argv,
        terms: Terms, deadline_ms: int,
    ) -> None:
        """Try the command; if it gives nothing, its client waits. Raises `ReplyError`."""
        blocking = block(argv)
        cell = session.hold()
        assert isinstance(cell, ReplyPlace)
        session.bar()
        self._number += 1
        one = BlockedClient(
            self._number, session, cell, blocking, terms, self._now.now_ms, self._now.wall_ms)
        if blocking.looks_up is None:
            self._try(one, command, argv, deadline_ms)
            return
        first, settled = blocking.looks_up

        def answered(reply: bytes) -> None:
            if reply[:1] == b"-":
                cell.fill(reply)
                return
            words = settled(reply)
            one.blocking = block(words)
            self._try(one, command, words, deadline_ms)

        try:
            self._dispatcher.run(
                first, session.db, False, terms, Continuation(answered), deadline_ms)
        except ReplyError as wrong:
            cell.fail(wrong.text)

    def _try(
        self, one: BlockedClient, command: Command, argv: Argv, deadline_ms: int
    ) -> None:
        """The command as if it did not wait."""
        session, cell = one.session, one.cell

        def tried(reply: bytes) -> None:
            if reply == one.nothing():
                self._wait(one)
            else:
                cell.fill(reply)

        try:
            self._dispatcher.gather(
                command, argv, session.db, session.resp == 3, one.terms, Continuation(tried),
                deadline_ms,
            )
        except ReplyError as wrong:
            cell.fail(wrong.text)

    def _wait(self, one: BlockedClient) -> None:
        most = self._node.settings.blocked_clients_max
        if one.session.closing or one.deadline_ms <= self._now.now_ms or self._node.stopping:
            one.cell.fill(one.nothing())
            return
        if len(self.by_number) >= most:
            self._node.counters.waits_refused += 1
            one.cell.fail(_TOO_MANY.format(most))
            return
        self.by_number[one.number] = one
        one.session.blocked = one.number
        one.session.mark()      # its client may have hung up since
        one.session.load.held -= 1
        one.is_registered = True
        if one.deadline_ms != NEVER:
            self._deadlines.add(one, one.blocking.timeout_ms)
        self._again_ms = min(self._again_ms, self._now.now_ms + AGAIN_MS)
        for locator in one.locators:
            self._register(one, locator, BEGIN)

    def _register(self, one: BlockedClient, locator: Locator, what: int) -> None:
        """Say to a key's coordinator that a client waits, or no longer."""
        peer = self._node.plans[slot_of_locator(locator)].coordinator
        if peer == self._here.node_id:
            self._waits.announce(
                peer, one.number, one.since_ms, one.blocking.letter, one.line, what, locator)
        elif peer and self._node.link_to(peer).is_connected:
            said = encode_wait(
                one.number, one.since_ms, one.blocking.letter, one.line, what, locator)
            self._node.link_to(peer).gossips.append(statement_of([said]))

    # ---- offers ----

    def offered(self, home: str, number: int, locator: Locator) -> None:
        """A coordinator has something for one of this node's clients."""
        if home == self._here.node_id:
            self._local.append((number, locator))       # maybe at the end of a turn
        else:
            self._take(number, locator)

    def is_offered(self) -> bool:
        """Whether `take_offers` has work."""
        return bool(self._local)

    def take_offers(self) -> None:
        """Take what this node has offered to its own clients. Once a turn."""
        for _ in range(len(self._local)):
            self._take(*self._local.popleft())

    def _take(self, number: int, locator: Locator) -> None:
        one = self.by_number.get(number)
        if one is None or locator not in one.locators:
            return
        if one.trying is not None:
            one.offers[locator] = None
            return
        one.trying = locator
        at = one.locators[locator]
        session, timeout_ms = one.session, one.terms.timeout_ms
        session.note_write(locator, self._node.plans[slot_of_locator(locator)].group)
        try:
            reply = self._dispatcher.run(
                one.blocking.pops[at], session.db, session.resp == 3, one.terms,
                Continuation(partial(self._popped, one, locator)), self._now.now_ms + timeout_ms,
            )
        except ReplyError as wrong:
            reply = error(wrong.text)
        if reply is not None:
            self._popped(one, locator, reply)

    def _popped(self, one: BlockedClient, locator: Locator, reply: bytes) -> None:
        if one.is_done:
            return
        one.trying = None
        what = AGAIN
        if reply[:1] == b"-":
            is_other_type = reply[:10] == b"-WRONGTYPE" and not one.blocking.judges_types
            if not is_other_type and _NOTHING_DONE not in reply:
                self._end(one, reply)
                return
            what = AGAIN if is_other_type else BEGIN    # refused: the offer stands until it is over
        else:
            key = one.blocking.keys[one.locators[locator]]
            shown = one.blocking.shape(key, reply, one.session.resp == 3)
            if shown:
                self._end(one, shown)
                return
        if one.over:
            self._end(one, one.over)
            return
        self._register(one, locator, what)
        if one.offers and one.trying is None:
            following = next(iter(one.offers))
            del one.offers[following]
            self._take(one.number, following)

    def _end(self, one: BlockedClient, reply: bytes) -> None:
        one.is_done = True
        self.by_number.pop(one.number, None)
        one.session.blocked = 0
        for locator in one.locators:
            self._register(one, locator, END)
        one.session.load.held += 1
        one.cell.came_ms = self._now.now_ms     # to wait is what it was to do
        one.cell.fill(reply)

    # ---- what ends a wait ----

    def forget(self, session: Session) -> None:
        """The client is gone."""
        self.unblock(session, is_error=False)

    def unblock(self, session: Session, *, is_error: bool) -> bool:
        """End the wait of a client as if its time were over, or with an error; whether it waited.

        If a pop is under way for it, that pop's outcome comes first.
        """
        one = self.by_number.get(session.blocked)
        if one is None:
            return False
        over = error(_UNBLOCKED) if is_error else one.nothing()
        if one.trying is not None:
            one.over = over
        else:
            self._end(one, over)
        return True

    def stop(self) -> None:
        """The node stops: no client waits any longer."""
        for one in list(self.by_number.values()):
            self.unblock(one.session, is_error=False)

    # ---- time ----

    def replanned(self) -> None:
        """Others may coordinate now: register with them."""
        if self.by_number:
            self._again_ms = self._now.now_ms

    def tick(self) -> None:
        """Time passes."""
        now_ms = self._now.now_ms
        for one in self._deadlines.expired(now_ms):
            self.unblock(one.session, is_error=False)
        if now_ms >= self._again_ms:
            self._again_ms = now_ms + AGAIN_MS if self.by_number else NEVER
            self._say_again()

    def _say_again(self) -> None:
        said: dict[str, list[bytes]] = {}
        plans = self._node.plans
        for one in list(self.by_number.values()):
            for locator in one.locators:
                peer = plans[slot_of_locator(locator)].coordinator
                if peer == self._here.node_id:
                    self._register(one, locator, BEGIN)
                else:
                    said.setdefault(peer, []).append(
                        encode_wait(one.number, one.since_ms, one.blocking.letter, one.line, BEGIN,
                                    locator))
        for peer, waits in said.items():
            if peer and self._node.link_to(peer).is_connected:
                self._node.link_to(peer).gossips.append(statement_of(waits))

    def next_deadline(self) -> int:
        """When `tick` has work at the earliest."""
        return min(self._deadlines.first_ms, self._again_ms)
