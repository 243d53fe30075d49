"""Keyspace notifications: announced by the coordinator of the write, received at every node.

A node publishes the classes that any node it is connected to wants, so `CONFIG SET
notify-keyspace-events` at one node is enough for its subscribers to get the events of all keys. An
event leaves when the quorum has the write, or when it failed: then the write may still appear, so
it is published as well. At least once: a write that is run again, or a coordinator that changes at
the moment of an expiry, publishes twice. A key that expires before the event of its write has left
has its `expired` behind that.

Subscribers on the client port get the events of all nodes; those on the cluster port, who
subscribe at each node as they must with Redis Cluster, get those of the node that they are at.

Source: Redis `notify.c`.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_EVENT, GOSSIP_INTEREST, bulk
from respdyn.cluster.quorum import Waiter
from respdyn.commands.declare import Argv, Command
from respdyn.commands.events import EXPIRED, Event, of_read, of_write
from respdyn.config_values import EVENT_CLASSES
from respdyn.errors import PeerError
from respdyn.ring.hashing import Locator

_KEY_AT: Final = 3      # in a locator

_Published = tuple[int, bytes, bytes, bool, bool]     # database, event, key, keyspace, keyevent


class NotifyAfterWrite(Waiter):
    """Waits for a write, and publishes its events when it is done, or failed."""

    __slots__ = ("_events", "_is_published", "_keyspace_events", "_locator", "_waiter")

    def __init__(
        self, waiter: Waiter, keyspace_events: "KeyspaceEvents", locator: Locator,
        events: list[Event],
    ) -> None:
        self._waiter = waiter
        self._keyspace_events = keyspace_events
        self._locator = locator
        self._events = events
        self._is_published = False

    def fill(self, reply: bytes) -> None:
        """Publish, then pass the reply on."""
        self._publish()
        self._waiter.fill(reply)

    def fail(self, text: str) -> None:
        """The write may still appear: publish, then pass the error on."""
        self._publish()
        self._waiter.fail(text)

    def add(self, events: list[Event]) -> None:
        """These have happened since, and are published behind."""
        self._events += events

    def _publish(self) -> None:
        if not self._is_published:
            self._is_published = True
            self._keyspace_events.publish(self._locator, self._events)
            self._keyspace_events.has_published(self._locator, self)


class NotifyAfterRead(Waiter):
    """Waits for a read, and publishes `keymiss` if its key was not there."""

    __slots__ = ("_publish", "_waiter")

    def __init__(self, waiter: Waiter, publish: Callable[[bytes], None]) -> None:
        self._waiter = waiter
        self._publish = publish

    def fill(self, reply: bytes) -> None:
        """Look at the reply, then pass it on."""
        self._publish(reply)
        self._waiter.fill(reply)

    def fail(self, text: str) -> None:
        """It is unknown whether the key is there."""
        self._waiter.fail(text)


class KeyspaceEvents:
    """The events of keys that this node publishes, and to which peers."""

    def __init__(
        self, deliver: Callable[[bytes, bytes, bool], None], links: dict[str, Link]
    ) -> None:
        """`deliver(channel, message, is_ours)`: give an event to those who listen here."""
        self.published = 0
        self.classes = ""               # what any node, this one or a peer, wants
        self.trackers: set[str] = set()         # peers with clients that track
        self._own = ""
        self._own_tracks = b"-"
        self._wanted: dict[str, str] = {}        # by peer
        self._unpublished: dict[Locator, NotifyAfterWrite] = {}     # by locator: the last to wait
        self._give = deliver
        self._links = links

    # ---- which node wants what ----

    def ask(self, classes: str) -> None:
        """What this node's own setting wants."""
        if classes != self._own:
            self._own = classes
            for link in self._links.values():
                self.greet(link)
        self._settle()

    def ask_for_changes(self, is_wanted: bool) -> None:
        """Whether this node wants to know which records have changed (CLIENT TRACKING)."""
        self._own_tracks = b"+" if is_wanted else b"-"
        for link in self._links.values():
            self.greet(link)

    def greet(self, link: Link) -> None:
        """Announce to a peer what this node wants."""
        if link.is_connected:
            link.gossips.append(
                bulk(GOSSIP_INTEREST + self._own_tracks + self._own.encode())
            )

    def receive_interest(self, link: Link, item: bytes) -> None:
        """What a peer wants. Raises `PeerError`."""
        try:
            self._wanted[link.peer] = item[2:].decode("ascii")
        except UnicodeDecodeError:
            raise PeerError("classes of events that are malformed") from None
        if item[1:2] == b"+":
            self.trackers.add(link.peer)
        else:
            self.trackers.discard(link.peer)
        self._settle()

    def _settle(self) -> None:
        self.classes = "".join(sorted(set("".join([self._own, *self._wanted.values()]))))

    def is_wanted(self) -> bool:
        """Whether anything is to be published."""
        return "K" in self.classes or "E" in self.classes

    # ---- what happens ----

    def wait_for_write(
        self, waiter: Waiter, command: Command, argv: Argv, locator: Locator, before: bytes,
        after: bytes, now_ms: int,
    ) -> Waiter:
        """The waiter for a write's outcome that publishes its events."""
        return self.wait(waiter, locator, of_write(command, argv, before, after, now_ms))

    def wait(self, waiter: Waiter, locator: Locator, events: list[Event]) -> Waiter:
        """The waiter for a write's outcome that publishes these events."""
        events = self._chosen(events)
        if not events:
            return waiter
        announcing = self._unpublished[locator] = NotifyAfterWrite(waiter, self, locator, events)
        return announcing

    def happened(self, locator: Locator, events: list[Event]) -> None:
        """These have happened to a key."""
        self.publish(locator, self._chosen(events))

    def written(
        self, command: Command, argv: Argv, locator: Locator, before: bytes, after: bytes,
        now_ms: int,
    ) -> None:
        """A write is done, or did nothing."""
        self.happened(locator, of_write(command, argv, before, after, now_ms))

    def wait_for_read(
        self, waiter: Waiter, command: Command, argv: Argv, locator: Locator, now_ms: int,
        resp3: bool,
    ) -> Waiter:
        """The waiter for a read's reply that publishes a miss."""
        if "m" not in self.classes:
            return waiter
        return NotifyAfterRead(
            waiter, lambda reply: self.read(command, argv, locator, now_ms, resp3, reply)
        )

    def read(
        self, command: Command, argv: Argv, locator: Locator, now_ms: int, resp3: bool,
        reply: bytes,
    ) -> None:
        """A read was answered."""
        if "m" in self.classes:
            self.publish(locator, of_read(command, reply, argv, now_ms, resp3))

    def expired(self, locator: Locator) -> None:
        """A key's time has come."""
        events = self._chosen([EXPIRED])
        waiting = self._unpublished.get(locator)
        if waiting is None:
            self.publish(locator, events)
        else:
            waiting.add(events)

    def has_published(self, locator: Locator, announcing: NotifyAfterWrite) -> None:
        """Its events are published."""
        if self._unpublished.get(locator) is announcing:
            del self._unpublished[locator]

    def _chosen(self, events: list[Event]) -> list[Event]:
        return [event for event in events if self._is_wanted(event[0])]

    def _is_wanted(self, kind: str) -> bool:
        return kind in self.classes or ("A" in self.classes and kind in EVENT_CLASSES)

    # ---- publishing ----

    def publish(self, locator: Locator, events: list[Event]) -> None:
        """Publish events of a key, here and to all peers."""
        keyspace, keyevent = "K" in self.classes, "E" in self.classes
        connected = [link for link in self._links.values() if link.is_connected and link.is_member]
        for _, name in events:
            self.published += 1
            published = (locator[2], name, locator[_KEY_AT:], keyspace, keyevent)
            self._deliver(published, True)
            if connected:
                statement = bulk(GOSSIP_EVENT + msgspec.msgpack.encode(published))
                for link in connected:
                    link.gossips.append(statement)

    def receive_event(self, link: Link, item: bytes) -> None:
        """A peer's event. Raises `PeerError`."""
        try:
            published = msgspec.msgpack.decode(item[1:], type=_Published)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed event: {wrong}") from wrong
        self._deliver(published, False)

    def _deliver(self, published: _Published, is_ours: bool) -> None:
        db, name, key, keyspace, keyevent = published
        if keyspace:
            self._give(b"__keyspace@%d__:%b" % (db, key), name, is_ours)
        if keyevent:
            self._give(b"__keyevent@%d__:%b" % (db, name), key, is_ours)
