"""CLIENT TRACKING: which clients cache what, and their invalidation when it may have changed.

A client that reads a key is remembered with it before the read begins. It is notified as soon as
*any owner's record* of that key changes, by whatever way: a write, a repair, hints, exchange,
FLUSHALL. Each owner says so at the end of its turn, here and to every node that has such clients.
So what a client cached can be out of date only until that word comes: if the final state differs
from what was read, then each replica that was read still has to change, and each had been notified
before it answered that this node wants to know (one connection, in order). The message comes at
least once, often once for each copy. An invalidation never overtakes a reply: it goes behind all
replies that are waited for.

If a connection between nodes breaks, messages may have been lost: then every tracking client is
to forget everything (a null). While a cut is not noticed yet, a cache may be out of date.

Clients with NOLOOP are not notified of a record that they made themselves, where this node
coordinated the write; of others they may be. The table is bounded (`tracking-table-max-keys`):
beyond that the key that has been longest in it is given up, and its clients are notified.

Source: Redis `tracking.c`.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_CHANGED
from respdyn.cluster.messages import bulk as statement
from respdyn.cluster.replica import Replica
from respdyn.errors import PeerError
from respdyn.resp.replies import bulk, bulks, integer, null, push
from respdyn.ring.hashing import Locator
from respdyn.sessions.session import Session, Tracking

CHANNEL: Final = b"__redis__:invalidate"
CHANGES_MAX: Final = 10_000     # keys of one turn that are announced, or given up, one by one
OWN_MAX: Final = 1000           # records of a NOLOOP client that are remembered as its own
_META: Final = 64               # locators of a node's own facts begin with a byte above this
_CLEARED: Final = b"\xff\xffcleared"
_LATER: Final = 1 << 62

Change = tuple[bytes, bytes]    # key, digest of the record that is there now


class Trackers:
    """All clients here that track, and what they have read."""

    def __init__(
        self, links: dict[str, Link], replica: Replica, sessions: dict[int, Session],
        interested: Callable[[], set[str]], changed: Callable[[], None],
    ) -> None:
        self.most_keys = 1_000_000
        self.sessions: dict[int, Session] = {}
        self.invalidations = 0          # keys that clients were notified of
        self._keys: dict[bytes, dict[int, int]] = {}    # key -> session id -> when it was read
        self._links = links
        self._replica = replica
        self._sessions = sessions
        self._interested = interested   # peers with such clients
        self._changed = changed         # called when the first comes or the last goes
        self._past = 0                  # length of all batches before this turn's
        self._writing: list[tuple[int, int, Session]] = []  # who made which part of this turn's

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._keys)

    def items(self) -> int:
        """How many pairs of a key and a client that has read it. Costs a look at each key."""
        return sum(map(len, self._keys.values()))

    def prefixes(self) -> int:
        """How many different prefixes clients have named (BCAST)."""
        named = [one.tracking for one in self.sessions.values() if one.tracking is not None]
        return len({prefix for tracking in named for prefix in tracking.prefixes})

    # ---- clients ----

    def enable(self, session: Session, tracking: Tracking) -> None:
        """The client tracks from now on."""
        session.tracking = tracking
        self.sessions[session.id] = session
        if len(self.sessions) == 1:
            self._changed()

    def disable(self, session: Session) -> None:
        """It does no longer. What is remembered of it is dropped when it is met."""
        session.tracking = None
        if self.sessions.pop(session.id, None) is not None and not self.sessions:
            self._keys.clear()
            self._changed()

    def remember(self, session: Session, keys: list[bytes]) -> None:
        """A client is about to read these keys."""
        tracking = session.tracking
        assert tracking is not None
        if tracking.is_bcast or (tracking.is_optin and not tracking.caching):
            return
        if tracking.is_optout and tracking.caching:
            return
        now = self._past + len(self._replica.batch)
        for key in keys:
            readers = self._keys.get(key)
            if readers is None:
                readers = self._keys[key] = {}
                if self.is_over():
                    self._notify_readers(next(iter(self._keys)), b"", _LATER)
            elif len(readers) > 2 * len(self.sessions):
                for gone in [one for one in readers if one not in self.sessions]:
                    del readers[gone]
            readers[session.id] = now
            tracking.own.pop(key, None)

    def is_over(self) -> bool:
        """Whether more keys are remembered than may be; 0 is no limit."""
        return 0 < self.most_keys < len(self._keys)

    def shrink(self) -> None:
        """Give up keys, the oldest first, `CHANGES_MAX` in a turn, until there are few enough."""
        for _ in range(CHANGES_MAX):
            if not self.is_over():
                return
            self._notify_readers(next(iter(self._keys)), b"", _LATER)

    def begin_write(self) -> int:
        """A NOLOOP client's command begins; give the number to `end_write`."""
        return self._past + len(self._replica.batch)

    def end_write(self, session: Session, began: int) -> None:
        """What it changed at once it has changed itself."""
        ended = self._past + len(self._replica.batch)
        if ended > began:
            self._writing.append((began, ended, session))

    # ---- changes ----

    def turn_ends(self, batch: list[bytes]) -> None:
        """The turn has changed these records, flat pairs."""
        past = self._past
        self._past += len(batch)
        writing, self._writing = self._writing, []
        peers = [
            link for peer, link in self._links.items()
            if link.is_connected and link.is_member and peer in self._interested()
        ]
        if not batch or not (peers or self.sessions):
            return
        changes: dict[bytes, tuple[int, bytes]] = {}
        for at in range(0, len(batch), 2):
            locator = batch[at]
            if locator[0] < _META:
                changes[locator[3:]] = past + at, batch[at + 1]
            elif locator.startswith(_CLEARED):
                changes.clear()
                self._everything(peers)
                return
        if len(changes) > CHANGES_MAX:
            self._everything(peers)
            return
        news = [(key, self._replica.digest(record)) for key, (_, record) in changes.items()]
        if self.sessions:
            for (key, mark), (index, _) in zip(news, changes.values(), strict=True):
                for began, ended, session in writing:
                    if began <= index < ended:
                        self._wrote(session, key, mark)
                self._notify_readers(key, mark, index)
            self._notify_prefixes(news)
        if peers and news:
            self._say(peers, msgspec.msgpack.encode(news))

    def expired(self, locator: Locator) -> None:
        """A key's time has come: for a cache that is a change, though no record has changed."""
        news = [(locator[3:], b"")]
        self._invalidate(news)
        interested = self._interested()
        self._say(
            [link for peer, link in self._links.items() if peer in interested],
            msgspec.msgpack.encode(news),
        )

    def receive(self, link: Link, item: bytes) -> None:
        """A peer's records have changed. Raises `PeerError`."""
        try:
            news = msgspec.msgpack.decode(item[1:], type=list[Change] | None)
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"changes that are malformed: {wrong}") from wrong
        if news is None:
            self.flush()
        else:
            self._invalidate(news)

    def _invalidate(self, news: list[Change]) -> None:
        if self.sessions:
            for key, mark in news:
                self._notify_readers(key, mark, _LATER)
            self._notify_prefixes(news)

    def flush(self) -> None:
        """Anything may have changed: all clients forget everything."""
        self._keys.clear()
        for session in list(self.sessions.values()):
            self._send(session, null(session.resp == 3))

    def _everything(self, peers: list[Link]) -> None:
        self.flush()
        self._say(peers, msgspec.msgpack.encode(None))

    @staticmethod
    def _say(peers: list[Link], body: bytes) -> None:
        for link in peers:
            if link.is_connected:
                link.gossips.append(statement(GOSSIP_CHANGED + body))

    def _wrote(self, session: Session, key: bytes, mark: bytes) -> None:
        """A client has made this record itself."""
        tracking = session.tracking
        if tracking is not None and tracking.is_noloop:
            tracking.own.pop(key, None)
            tracking.own[key] = mark
            if len(tracking.own) > OWN_MAX:
                del tracking.own[next(iter(tracking.own))]

    def _notify_readers(self, key: bytes, mark: bytes, index: int) -> None:
        """Notify the clients that read a key before this change of it."""
        readers = self._keys.get(key)
        if readers is None:
            return
        for number, when in list(readers.items()):
            if when > index:
                continue                # it read the key after the change, in the same turn
            del readers[number]
            session = self.sessions.get(number)
            if session is None or session.tracking is None or session.tracking.is_bcast:
                continue
            if mark and session.tracking.own.get(key) == mark:
                continue
            self.invalidations += 1
            self._send(session, bulks([key]))
        if not readers:
            del self._keys[key]

    def _notify_prefixes(self, news: list[Change]) -> None:
        """Notify the clients that want all keys with some prefix, of each key by itself."""
        for session in list(self.sessions.values()):
            tracking = session.tracking
            if tracking is None or not tracking.is_bcast:
                continue
            for prefix in sorted(tracking.prefixes):
                keys = [
                    key for key, mark in news
                    if key.startswith(prefix) and not (mark and tracking.own.get(key) == mark)
                ]
                if keys:
                    self.invalidations += len(keys)
                    self._send(session, bulks(keys))

    def _send(self, session: Session, keys: bytes) -> None:
        """One invalidation, to the client itself or to whom it has named."""
        tracking = session.tracking
        assert tracking is not None
        target = session
        if tracking.redirect:
            found = self._sessions.get(tracking.redirect)
            if found is None or found.closing:
                tracking.broken = True
                if session.resp == 3:
                    session.push(push(
                        [bulk(b"tracking-redir-broken"), integer(tracking.redirect)], True
                    ))
                return
            target = found
        if target.resp == 3:
            target.push(push([bulk(b"invalidate"), keys], True))
        elif target is not session and target.subscriptions is not None:
            target.push(push([bulk(b"message"), bulk(CHANNEL), keys], False))
