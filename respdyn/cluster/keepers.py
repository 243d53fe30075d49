"""Keepers of hints, and for which owners: the nodes that a read must ask besides the owners.

An owner that missed writes counts as one that has them only together with the nodes that keep them
for it. So a read of R owners also goes to every node that keeps a hint of the partition for one of
them, and R + W > N holds as if no node had stood in: of W nodes that have a write, each is an
owner, or keeps it for one, or has given it to one.

Every node announces to all others for which owners and partitions it keeps something, when that
begins and ends, and all of it to a peer that it meets, before that one counts it as up. A node that
has others keep a write announces that too, in the frame that goes ahead of its answer: so a node
whose client has written knows the keepers before the client can read. Such hearsay is believed for
`believed_ms`; by then the keeper has announced it itself, or cannot be reached.

While no node keeps anything for an owner that is up, `by_partition` is empty, and that is all that
a read looks at.

Source: Dynamo 4.6; decision 0029.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from respdyn.cluster.hints import Hints
from respdyn.cluster.link import Link
from respdyn.cluster.messages import GOSSIP_GAVE, GOSSIP_KEEPS, bulk
from respdyn.cluster.now import Now
from respdyn.cluster.timeouts import NEVER
from respdyn.errors import PeerError

NO_KEEPERS: Final[tuple[str, ...]] = ()
_ID_BYTES: Final = 20
_PARTITIONS_MOST: Final = 1 << 14


class Keepers:
    """What this node knows of it."""

    def __init__(
        self, here: str, links: dict[str, Link], hints: Hints, believed_ms: int, now: Now
    ) -> None:
        # By partition: the peers that are up and keep something for an owner that is up, or for
        # this node. Partitions without any are left out.
        self.by_partition: dict[int, tuple[str, ...]] = {}
        self.news: dict[tuple[bytes, bytes, int], None] = {}    # hearsay to pass on
        self._now = now
        self._here = here
        self.links = links
        self.hints = hints
        self._believed_ms = believed_ms
        # By peer and partition: for which owners it keeps something, and until when to believe it.
        self._kept: dict[str, dict[int, dict[bytes, int]]] = {}
        self._next_end_ms = NEVER

    # ---- reading ----

    def of(self, partition: int) -> tuple[str, ...]:
        """The peers to ask about a partition."""
        return self.by_partition.get(partition, NO_KEEPERS)

    def must_ask(self, partition: int) -> bool:
        """Whether owners alone do not know all of a partition that was acknowledged."""
        return partition in self.by_partition or (
            self.hints.count > 0 and self.hints.keeps(partition)
        )

    # ---- sending ----

    def gave(self, keeper: str, owner: bytes, partition: int) -> None:
        """This node has given a peer something to keep."""
        parts = self._kept.get(keeper)
        if parts is not None and owner in parts.get(partition, ()):
            return
        self._believe(keeper, owner, partition)
        self.news[bytes.fromhex(keeper), owner, partition] = None

    def greet(self, link: Link) -> None:
        """Send a peer all that is kept here."""
        places = [(owner, partition, True) for owner, partition in self.hints.places()]
        _send((link,), GOSSIP_KEEPS, (True, places))

    def turn_ends(self) -> None:
        """Send all peers what is new."""
        if not self.news and not self.hints.changed:
            return
        links = [link for _, link in sorted(self.links.items())]
        changed = self.hints.changed
        if changed:
            now = self.hints.places()
            _send(links, GOSSIP_KEEPS, (False, [(*place, place in now) for place in changed]))
            changed.clear()
        if self.news:
            _send(links, GOSSIP_GAVE, list(self.news))
            self.news.clear()

    # ---- receiving ----

    def receive(self, link: Link, body: bytes) -> None:
        """A peer's statement of what it keeps. Raises `msgspec.MsgspecError`, `PeerError`."""
        is_all, reported = msgspec.msgpack.decode(
            body, type=tuple[bool, list[tuple[bytes, int, bool]]]
        )
        parts = self._kept.setdefault(link.peer, {})
        touched: dict[int, None] = {}
        if is_all:
            touched.update(dict.fromkeys(parts))
            parts.clear()
        for owner, partition, is_kept in reported:
            _check(owner, partition)
            touched[partition] = None
            if is_kept:
                parts.setdefault(partition, {})[owner] = NEVER
            else:
                _forget(parts, partition, owner)
        if not parts:
            del self._kept[link.peer]
        for partition in touched:
            self._look(partition)

    def receive_gave(self, body: bytes) -> None:
        """A peer has had others keep something. Raises as `receive`."""
        reported = msgspec.msgpack.decode(body, type=list[tuple[bytes, bytes, int]])
        for keeper, owner, partition in reported:
            _check(owner, partition)
            _check(keeper, partition)
            name = keeper.hex()
            if name != self._here:
                self._believe(name, owner, partition)

    def _believe(self, keeper: str, owner: bytes, partition: int) -> None:
        owners = self._kept.setdefault(keeper, {}).setdefault(partition, {})
        if owners.get(owner) != NEVER:
            until_ms = self._now.now_ms + self._believed_ms
            owners[owner] = until_ms
            self._next_end_ms = min(self._next_end_ms, until_ms)
            self._look(partition)

    # ---- what follows ----

    def planned(self, members: Iterable[str]) -> None:
        """The ring, or the reachability of a node, has changed."""
        if not self._kept:
            return
        known = set(members)
        for keeper in [name for name in self._kept if name not in known]:
            del self._kept[keeper]
        self.by_partition.clear()
        for parts in list(self._kept.values()):
            for partition in parts:
                if partition not in self.by_partition:
                    self._look(partition)

    def tick(self) -> None:
        """Forget hearsay that the keeper has not confirmed."""
        now_ms = self._now.now_ms
        if now_ms < self._next_end_ms:
            return
        self._next_end_ms = NEVER
        for keeper, parts in list(self._kept.items()):
            for partition, owners in list(parts.items()):
                for owner, until_ms in list(owners.items()):
                    if until_ms <= now_ms:
                        _forget(parts, partition, owner)
                        self._look(partition)
                    else:
                        self._next_end_ms = min(self._next_end_ms, until_ms)
            if not parts:
                del self._kept[keeper]

    def _look(self, partition: int) -> None:
        """Find out whom to ask about a partition."""
        found = tuple(sorted(
            keeper for keeper, parts in self._kept.items()
            if self._is_up(keeper) and any(
                owner.hex() == self._here or self._is_up(owner.hex())
                for owner in parts.get(partition, ())
            )
        ))
        if not found:
            self.by_partition.pop(partition, None)
        elif self.by_partition.get(partition) != found:
            self.by_partition[partition] = found

    def _is_up(self, name: str) -> bool:
        link = self.links.get(name)
        return link is not None and link.is_up


def _forget(parts: dict[int, dict[bytes, int]], partition: int, owner: bytes) -> None:
    owners = parts.get(partition)
    if owners is not None:
        owners.pop(owner, None)
        if not owners:
            del parts[partition]


def _check(name: bytes, partition: int) -> None:
    if len(name) != _ID_BYTES or not 0 <= partition < _PARTITIONS_MOST:
        raise PeerError("hints for a node or of a partition that cannot be")


def _send(links: Iterable[Link], kind: bytes, what: object) -> None:
    said = bulk(kind + msgspec.msgpack.encode(what))
    for link in links:
        if link.is_connected and link.is_member:
            link.gossips.append(said)
