"""Who listens to what at this node, and how a message reaches those at the others.

A message goes to the listeners here in the call, and as one statement to every connected peer; each
peer delivers it in the turn in which its frame comes and says to how many. So there is no interest
to be gossiped and nothing that could lag behind: whoever's SUBSCRIBE was answered before a PUBLISH
was sent hears it, wherever both are connected, while the link between the two nodes stands. The
publisher's reply waits for the counts of all peers that are up, at most for the request time-out.

What a listener is promised: at most once, as in Redis. Messages of one publisher's connection come
in its order. What is sent while the link between the two nodes is cut, or to a listener that was
cut off for not reading, is lost and nobody is told; the publisher's count does not contain it.

Source: Redis `pubsub.c`, `cluster.c` (clusterPropagatePublish broadcasts as well).
"""

from struct import Struct
from typing import Final

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_COUNT, GOSSIP_MESSAGE, bulk
from respdyn.cluster.now import Now
from respdyn.cluster.quorum import Target, Waiter
from respdyn.cluster.timeouts import Deadlines
from respdyn.commands.scan import glob_match
from respdyn.errors import PeerError
from respdyn.resp.replies import integer
from respdyn.sessions.session import CHANNEL, PATTERN, SHARD, Session, Subscriptions

# Of a message: number, kind (CHANNEL or SHARD), length of the channel's name; name and text follow.
# Number 0 wants no count.
_MESSAGE: Final = Struct(">QBI")
_COUNT: Final = Struct(">QI")

Listeners = dict[bytes, dict[Session, None]]


class Publication:
    """A message whose receivers are being counted."""

    __slots__ = ("deadline_ms", "is_done", "missing", "number", "total", "waiter")

    def __init__(
        self, number: int, missing: set[str], total: int, waiter: Waiter, deadline_ms: int
    ) -> None:
        self.number = number
        self.missing = missing      # peers that have not answered
        self.total = total
        self.waiter = waiter
        self.deadline_ms = deadline_ms
        self.is_done = False


class PubSub:
    """Listeners and messages."""

    def __init__(self, links: dict[str, Link], now: Now) -> None:
        self._now = now
        self.delivered = 0          # messages to clients
        self.listeners: tuple[Listeners, ...] = ({}, {}, {})
        self._links = links
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
        if subscriptions.is_empty():
            session.subscriptions = None

    def forget(self, session: Session) -> None:
        """The session listens to nothing any more."""
        if session.subscriptions is None:
            return
        for kind, names in enumerate(session.subscriptions.names):
            for name in list(names):
                self.unsubscribe(session, kind, name)

    # ---- speaking ----

    def publish(
        self, kind: int, channel: bytes, message: bytes, target: Target, timeout_ms: int
    ) -> bytes | None:
        """Send a message to all listeners. The reply, or None: then `target` gave it a place."""
        total = self.deliver(kind, channel, message)
        connected = [link for link in self._links.values() if link.is_connected and link.is_member]
        waited = {link.peer for link in connected if link.is_up}
        if not connected:
            return integer(total)
        self._number = number = self._number + 1
        self._tell(connected, number if waited else 0, kind, channel, message)
        if not waited:
            return integer(total)
        publication = Publication(
            number, waited, total, target.hold(), self._now.now_ms + timeout_ms
        )
        self._open[number] = publication
        self._deadlines.add(publication, timeout_ms)
        return None

    @staticmethod
    def _tell(
        links: list[Link], number: int, kind: int, channel: bytes, message: bytes
    ) -> None:
        if links:
            head = GOSSIP_MESSAGE + _MESSAGE.pack(number, kind, len(channel))
            statement = bulk(head + channel + message)
            for link in links:
                link.gossips.append(statement)

    def deliver_event(self, channel: bytes, message: bytes, is_ours: bool) -> None:
        """Give a keyspace event to those who listen here."""
        self.deliver(CHANNEL, channel, message, "" if is_ours else "client")

    def deliver(self, kind: int, channel: bytes, message: bytes, only: str = "") -> int:
        """Give a message to those who listen here; to how many it went.

        `only`: to those who are connected to this listener.
        """
        receivers = 0
        sessions = self.listeners[kind].get(channel)
        if sessions:
            word = b"smessage" if kind == SHARD else b"message"
            body = b"3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
                len(word), word, len(channel), channel, len(message), message
            )
            receivers += _push(sessions, body, only)
        if kind == CHANNEL:
            for pattern, sessions in self.listeners[PATTERN].items():
                if glob_match(pattern, channel):
                    body = b"4\r\n$8\r\npmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
                        len(pattern), pattern, len(channel), channel, len(message), message
                    )
                    receivers += _push(sessions, body, only)
        self.delivered += receivers
        return receivers

    # ---- peers ----

    def heard_message(self, link: Link, item: bytes) -> None:
        """A peer's client has published. Raises `PeerError` when the statement is malformed."""
        start = 1 + _MESSAGE.size
        if len(item) < start:
            raise PeerError("a published message that is cut short")
        number, kind, length = _MESSAGE.unpack_from(item, 1)
        if kind not in (CHANNEL, SHARD) or len(item) < start + length:
            raise PeerError("a published message that is malformed")
        receivers = self.deliver(kind, item[start : start + length], item[start + length :])
        if number and link.is_connected:
            link.gossips.append(bulk(GOSSIP_COUNT + _COUNT.pack(number, receivers)))

    def heard_count(self, link: Link, item: bytes) -> None:
        """A peer tells how many there heard our message."""
        if len(item) != 1 + _COUNT.size:
            raise PeerError("a count of receivers that is malformed")
        number, receivers = _COUNT.unpack_from(item, 1)
        publication = self._open.get(number)
        if publication is not None and link.peer in publication.missing:
            publication.total += receivers
            self._answered(publication, link.peer)

    def lose(self, peer: str) -> None:
        """The peer will not say how many heard."""
        for publication in list(self._open.values()):
            if peer in publication.missing:
                self._answered(publication, peer)

    def _answered(self, publication: Publication, peer: str) -> None:
        publication.missing.discard(peer)
        if not publication.missing:
            self._finish(publication)

    def _finish(self, publication: Publication) -> None:
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
        """The names that somebody here listens to and that match; all for an empty pattern."""
        return [
            name for name in self.listeners[kind] if not pattern or glob_match(pattern, name)
        ]

    def counts(self, kind: int, names: list[bytes]) -> list[int]:
        """How many listen here to each of these."""
        return [len(self.listeners[kind].get(name, ())) for name in names]


def _push(sessions: dict[Session, None], body: bytes, only: str) -> int:
    """Give each of them a message; `body` is all but the first byte."""
    two = b"*" + body
    three = b">" + body
    receivers = 0
    for session in sessions:
        if not session.closing and (not only or session.listener == only):
            session.push(three if session.resp == 3 else two)
            receivers += 1
    return receivers
