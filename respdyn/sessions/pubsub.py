"""Pub/sub: the subscribers at this node, and how a message reaches those at the others.

A message goes to the listeners here in the call, and as one statement to every connected peer; each
peer delivers it in the turn in which its frame comes and says to how many. So there is no interest
to be gossiped and nothing that could lag behind: a client whose SUBSCRIBE was answered before a
PUBLISH was sent gets it, wherever both are connected, while the link between the two nodes stands.
The publisher's reply waits for the counts of all peers that are up, at most for the request
time-out.

A message that many patterns have to be compared with, or that goes to many, is delivered in slices;
those behind it wait.

What a listener is promised: at most once, as in Redis. Messages of one publisher's connection come
in its order. What is sent while the link between the two nodes is cut, or to a listener that was
cut off for not reading, is lost without an error; the publisher's count does not contain it.

Source: Redis `pubsub.c`, `cluster.c` (clusterPropagatePublish broadcasts as well).
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_COUNT, GOSSIP_MESSAGE, bulk
from respdyn.cluster.now import Now
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.slices import Job, Slices
from respdyn.cluster.statistics import Counters
from respdyn.cluster.timeouts import Deadlines
from respdyn.commands.scan import glob_match
from respdyn.errors import PeerError, ReplyError
from respdyn.resp.replies import integer
from respdyn.sessions.patterns import Patterns
from respdyn.sessions.session import CHANNEL, PATTERN, SHARD, Session, Subscriptions

# Of a message: number, kind (CHANNEL or SHARD), length of the channel's name; name and text follow.
# Number 0 wants no count.
_MESSAGE: Final = Struct(">QBI")
_COUNT: Final = Struct(">QI")

# Of all messages that wait to be delivered here. Beyond it PUBLISH is refused, and what peers and
# keyspace events have to say is lost, as every message may be.
WAITING_BYTES_MAX: Final = 64 << 20
_MESSAGE_BYTES: Final = 200     # of one of them, besides its words
_TOO_MUCH: Final = "OVERLOAD too many messages wait to be delivered here already; try again"
_HERE: Final = ""

PIECE_STEPS: Final = 100        # of work on one message in a row (`slices`)
CROWD: Final = 200              # listeners that are given a message in a row
STEP_BYTES: Final = 1000        # of a name that are compared, or of messages that are made, in one

Listeners = dict[bytes, dict[Session, None]]


class Publication:
    """A message whose receivers are being counted."""

    __slots__ = ("deadline_ms", "is_done", "missing", "number", "total", "waiter")

    def __init__(self, number: int, missing: set[str], deadline_ms: int) -> None:
        self.number = number
        self.missing = missing      # nodes without a count yet, `_HERE` for this one
        self.total = 0
        self.waiter: Waiter | None = None
        self.deadline_ms = deadline_ms
        self.is_done = False


class Message:
    """A message for those who listen at this node."""

    __slots__ = ("channel", "done", "kind", "only", "size", "text")

    def __init__(
        self, kind: int, channel: bytes, text: bytes, done: Callable[[int], None], only: str
    ) -> None:
        self.kind = kind
        self.channel = channel
        self.text = text
        self.done = done
        self.only = only
        self.size = len(channel) + len(text) + _MESSAGE_BYTES


def _ignore_count(receivers: int) -> None:
    """To how many an event went."""


class PubSub:
    """Listeners and messages."""

    def __init__(
        self, links: dict[str, Link], now: Now, slices: Slices, counters: Counters
    ) -> None:
        self._now = now
        self._counters = counters
        self.listeners: tuple[Listeners, ...] = ({}, {}, {})
        self._patterns = Patterns()
        self._links = links
        self._slices = slices
        # Messages for those who listen here, in order; the first of them is being delivered.
        self._messages: deque[Message] = deque()
        self._waiting_bytes = 0
        self._number = 0
        self._open: dict[int, Publication] = {}
        self._deadlines: Deadlines[Publication] = Deadlines()

    # ---- listening ----

    def subscribe(self, session: Session, kind: int, name: bytes) -> None:
        """Begin to listen."""
        if session.subscriptions is None:
            session.subscriptions = Subscriptions()
        session.subscriptions.names[kind][name] = None
        self.listeners[kind].setdefault(name, {})[session] = None
        if kind == PATTERN:
            self._patterns.add(name)

    def unsubscribe(self, session: Session, kind: int, name: bytes) -> None:
        """Listen no longer. Nothing happens if the session did not."""
        subscriptions = session.subscriptions
        if subscriptions is None or name not in subscriptions.names[kind]:
            return
        del subscriptions.names[kind][name]
        listeners = self.listeners[kind]
        del listeners[name][session]
        if not listeners[name]:
            del listeners[name]
            if kind == PATTERN:
                self._patterns.remove(name)
        if subscriptions.is_empty():
            session.subscriptions = None

    def forget(self, session: Session) -> None:
        """The session listens to nothing any more. One that is gone leaves in slices."""
        job = self._forget(session)
        if session.closing:
            self._slices.start(job)
        else:
            for _ in job:
                pass

    def _forget(self, session: Session) -> Job:
        if session.subscriptions is None:
            return
        left = PIECE_STEPS
        for kind, names in enumerate(session.subscriptions.names):
            for name in list(names):
                if not left:
                    yield PIECE_STEPS
                    left = PIECE_STEPS
                left -= 1
                self.unsubscribe(session, kind, name)

    # ---- speaking ----

    def publish(
        self, kind: int, channel: bytes, message: bytes, target: Target, timeout_ms: int
    ) -> bytes | None:
        """Send a message to all listeners. The reply, or None: then `target` gave it a place.

        Raises `ReplyError` when too much waits to be delivered.
        """
        if self.is_full():
            raise ReplyError(_TOO_MUCH)
        connected = [link for link in self._links.values() if link.is_connected and link.is_member]
        waited = {link.peer for link in connected if link.is_up}
        self._number = number = self._number + 1
        publication = Publication(number, waited | {_HERE}, self._now.now_ms + timeout_ms)
        self._send_counted(connected, number if waited else 0, kind, channel, message)
        self.deliver(
            kind, channel, message,
            lambda receivers: self._answered(publication, _HERE, receivers),
        )
        if not publication.missing:
            return integer(publication.total)
        publication.waiter = target.hold()
        self._open[number] = publication
        self._deadlines.add(publication, timeout_ms)
        return None

    @staticmethod
    def _send_counted(
        links: list[Link], number: int, kind: int, channel: bytes, message: bytes
    ) -> None:
        if links:
            head = GOSSIP_MESSAGE + _MESSAGE.pack(number, kind, len(channel))
            statement = bulk(head + channel + message)
            for link in links:
                link.gossips.append(statement)

    def deliver_event(self, channel: bytes, message: bytes, is_ours: bool) -> None:
        """Give a keyspace event to those who listen here."""
        if self.is_full():
            self._counters.messages_dropped += 1
        else:
            self.deliver(CHANNEL, channel, message, _ignore_count, "" if is_ours else "client")

    def is_full(self) -> bool:
        """Whether as much waits to be delivered here as may."""
        return self._waiting_bytes > WAITING_BYTES_MAX

    def deliver(
        self, kind: int, channel: bytes, message: bytes, done: Callable[[int], None],
        only: str = "",
    ) -> None:
        """Give a message to the subscribers here; `done` gets, now or later, to how many it went.

        `only`: to those who are connected to this listener.
        """
        one = Message(kind, channel, message, done, only)
        self._waiting_bytes += one.size
        self._messages.append(one)
        if len(self._messages) == 1:
            self._slices.start(self._deliver_all())

    def _deliver_all(self) -> Job:
        """One message behind the other, so that all listeners get them in one order."""
        messages = self._messages
        while messages:
            one = messages[0]
            receivers = 0
            head = b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
                len(one.channel), one.channel, len(one.text), one.text
            )
            sessions = self.listeners[one.kind].get(one.channel)
            if sessions:
                word = b"$8\r\nsmessage" if one.kind == SHARD else b"$7\r\nmessage"
                body = b"3\r\n%b\r\n%b" % (word, head)
                for some in _crowds(sessions):
                    receivers += _push(some, body, one.only)
                    if len(some) == CROWD:
                        yield CROWD
            if one.kind == CHANNEL and self.listeners[PATTERN]:
                steps = 0
                size = len(one.channel)
                for pattern in self._patterns.candidates(one.channel):
                    steps += 1 + size * self._patterns.weight(pattern) // STEP_BYTES
                    if self._patterns.matches(pattern, one.channel):
                        body = b"4\r\n$8\r\npmessage\r\n$%d\r\n%b\r\n%b" % (
                            len(pattern), pattern, head
                        )
                        steps += 1 + len(body) // STEP_BYTES
                        for some in _crowds(self.listeners[PATTERN][pattern]):
                            receivers += _push(some, body, one.only)
                            steps += len(some)
                            if len(some) == CROWD:
                                yield steps
                                steps = 0
                    if steps > PIECE_STEPS:
                        yield steps
                        steps = 0
            messages.popleft()
            self._waiting_bytes -= one.size
            self._counters.messages_delivered += receivers
            one.done(receivers)

    # ---- peers ----

    def receive_message(self, link: Link, item: bytes) -> None:
        """A peer's client has published. Raises `PeerError` when the statement is malformed."""
        start = 1 + _MESSAGE.size
        if len(item) < start:
            raise PeerError("a published message that is cut short")
        number, kind, length = _MESSAGE.unpack_from(item, 1)
        if kind not in (CHANNEL, SHARD) or len(item) < start + length:
            raise PeerError("a published message that is malformed")
        if self.is_full():
            self._counters.messages_dropped += 1
            return

        def done(receivers: int) -> None:
            if number and link.is_connected:
                link.gossips.append(bulk(GOSSIP_COUNT + _COUNT.pack(number, receivers)))

        self.deliver(kind, item[start : start + length], item[start + length :], done)

    def receive_count(self, link: Link, item: bytes) -> None:
        """A peer's count of the subscribers there that got our message."""
        if len(item) != 1 + _COUNT.size:
            raise PeerError("a count of receivers that is malformed")
        number, receivers = _COUNT.unpack_from(item, 1)
        publication = self._open.get(number)
        if publication is not None and link.peer in publication.missing:
            self._answered(publication, link.peer, receivers)

    def lose(self, peer: str) -> None:
        """The peer's count will not come."""
        for publication in list(self._open.values()):
            if peer in publication.missing:
                self._answered(publication, peer, 0)

    def _answered(self, publication: Publication, node: str, receivers: int) -> None:
        publication.total += receivers
        publication.missing.discard(node)
        if not publication.missing and publication.waiter is not None:
            self._finish(publication)

    def _finish(self, publication: Publication) -> None:
        if not publication.is_done and publication.waiter is not None:
            del self._open[publication.number]
            publication.is_done = True
            publication.waiter.fill(integer(publication.total))

    # ---- time ----

    def expire(self) -> None:
        """Answer publishers whose counts did not come in time with what did."""
        for publication in self._deadlines.expired(self._now.now_ms):
            self._finish(publication)

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        return self._deadlines.first_ms

    # ---- who listens ----

    def names(self, kind: int, pattern: bytes) -> list[bytes]:
        """The names that have subscribers here and that match; all for an empty pattern."""
        return [
            name for name in self.listeners[kind] if not pattern or glob_match(pattern, name)
        ]

    def counts(self, kind: int, names: list[bytes]) -> list[int]:
        """How many listen here to each of these."""
        return [len(self.listeners[kind].get(name, ())) for name in names]


def _crowds(sessions: dict[Session, None]) -> list[list[Session]]:
    """All of them, so many at a time."""
    subscribers = list(sessions)
    return [subscribers[at : at + CROWD] for at in range(0, len(subscribers), CROWD)]


def _push(sessions: list[Session], body: bytes, only: str) -> int:
    """Give each of them a message; `body` is all but the first byte."""
    two = b"*" + body
    three = b">" + body
    receivers = 0
    for session in sessions:
        if not session.closing and (not only or session.listener == only):
            session.push(three if session.resp == 3 else two)
            receivers += 1
    return receivers
