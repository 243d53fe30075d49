"""The slot map, as CLUSTER SLOTS and its kin show it to clients: Dynamo's partition-aware client.

Clients that know Redis Cluster ask for the slot map, connect to all nodes and send each key to the
node that is named for its slot. Here that is the key's coordinator, so a hop is saved; a client
that errs is served all the same, so there is no MOVED. Nodes are primaries only: each has its
slots, and were it a replica of others besides, some libraries would take it for nothing else.

The replies are kept as bytes until the ring or a node's reachability changes. They begin with
another node each time: clients tend to come back to the first one they read of, and thousands of
them would all ask the same node (redis-py issue 4049).

Source: Redis `cluster.c` (clusterReplyMultiBulkSlots, clusterGenNodesDescription).
"""

import msgspec

from respdyn.cluster.slot_map import SlotMap
from respdyn.cluster.this_node import ThisNode
from respdyn.errors import ReplyError
from respdyn.membership.directory import Directory
from respdyn.resp.replies import array, integer, map_, text, verbatim
from respdyn.ring.hashing import SLOTS
from respdyn.ring.ring import Member
from respdyn.sessions.session import Session

_FORMING = "CLUSTERDOWN this node does not know the ring yet"
_ALONE = "CLUSTERDOWN this node reaches too few others; ask another node"


class Wheel:
    """Encoded parts that begin with another one in each reply."""

    def __init__(self, parts: list[bytes], turn: int) -> None:
        self.count = len(parts)
        self._body = b"".join(parts)
        self._starts: list[int] = []
        at = 0
        for part in parts:
            self._starts.append(at)
            at += len(part)
        self._turn = turn

    def next(self) -> bytes:
        """All parts, from the next one on."""
        if not self.count:
            return b""
        start = self._starts[self._turn % self.count]
        self._turn += 1
        return self._body[start:] + self._body[:start]


class Topology:
    """The replies about who has which slots, made once for each change."""

    def __init__(self, node: ThisNode, slot_map: SlotMap, directory: Directory) -> None:
        self._node = node
        self._slot_map = slot_map
        self._directory = directory
        self._version = 0
        self._wheels: dict[str, Wheel] = {}

    def slots(self, session: Session) -> bytes:
        """CLUSTER SLOTS."""
        wheel = self._for_clients("slots" + _mark(session))
        return b"*%d\r\n%b" % (wheel.count, wheel.next())

    def shards(self, session: Session) -> bytes:
        """CLUSTER SHARDS."""
        wheel = self._for_clients("shards" + _mark(session))
        return b"*%d\r\n%b" % (wheel.count, wheel.next())

    def nodes(self, session: Session) -> bytes:
        """CLUSTER NODES."""
        self._refresh()
        wheel = self._wheels.get("nodes" + _mark(session)[1:])
        if wheel is None:
            raise ReplyError(_FORMING)
        return verbatim(wheel.next(), session.resp == 3)

    def info(self, resp3: bool) -> bytes:
        """CLUSTER INFO."""
        self._refresh()
        node = self._node
        ring = node.ring
        presented = self._slot_map.presented
        width = SLOTS // max(1, len(presented))
        served = width * sum(1 for owner in presented if owner)
        is_ok = bool(presented) and served == SLOTS and not self._is_alone()
        fields: dict[str, object] = {
            "cluster_state": "ok" if is_ok else "fail",
            "cluster_slots_assigned": SLOTS if presented else 0,
            "cluster_slots_ok": served,
            "cluster_slots_pfail": 0,
            "cluster_slots_fail": SLOTS - served if presented else 0,
            "cluster_known_nodes": len(ring.members) if ring else 1,
            "cluster_size": len(set(presented) - {""}),
            "cluster_current_epoch": ring.version if ring else 0,
            "cluster_my_epoch": ring.version if ring else 0,
            "cluster_stats_messages_sent": node.counters.frames_sent,
            "cluster_stats_messages_received": node.counters.frames_received,
            "total_cluster_links_buffer_limit_exceeded": 0,
        }
        lines = "".join(f"{name}:{value}\r\n" for name, value in fields.items())
        return verbatim(lines.encode(), resp3)

    def _for_clients(self, name: str) -> Wheel:
        """The map that clients go by. None rather than one that leads to this node alone, when
        that is not enough for a quorum: another node may know better."""
        self._refresh()
        if name not in self._wheels:
            raise ReplyError(_FORMING)
        if self._is_alone():
            raise ReplyError(_ALONE)
        return self._wheels[name]

    def _is_alone(self) -> bool:
        """Whether no partition has a quorum, for reads or for writes, as seen from here."""
        node = self._node
        least = min(node.default_terms.r, node.default_terms.w)
        return all(
            len(plan.replicas.writers) + plan.is_owner < least
            for plan in node.plans[:: node.replica.width]
        )

    def _refresh(self) -> None:
        node = self._node
        slot_map = self._slot_map
        slot_map.look(node.now.now_ms)
        if slot_map.version == self._version:
            return
        self._version = slot_map.version
        ring = node.ring
        assert ring is not None, "a map has a ring"
        plain = self._places()
        states = {name: self._directory.state_of(name) for name in plain}
        held: dict[str, list[tuple[int, int]]] = {name: [] for name in plain}
        for first, last, owner in slot_map.ranges():
            held.setdefault(owner, []).append((first, last))
        # Nodes start at different places, and no change starts over.
        turn = int(node.identity.node_id[:4], 16) + self._version
        self._wheels = {}
        for tls, places in (("", plain), ("t", self._over_tls(plain))):
            self._wheels["nodes" + tls] = Wheel([
                _line(member, states[name], name == node.identity.node_id, held[name], ring.version)
                for name, member in places.items()
            ], turn)
            for resp3, mark in ((False, "2" + tls), (True, "3" + tls)):
                self._wheels["slots" + mark] = Wheel([
                    _range(first, last, places[owner], resp3)
                    for first, last, owner in slot_map.ranges()
                ], turn)
                self._wheels["shards" + mark] = Wheel([
                    _shard(member, states[name], held[name], resp3)
                    for name, member in places.items()
                ], turn)

    def addresses(self, is_tls: bool) -> dict[str, str]:
        """Where clients find the cluster port of each node, by node id."""
        places = self._places()
        places = self._over_tls(places) if is_tls else places
        return {name: f"{member.host}:{_port(member)}" for name, member in places.items()}

    def _places(self) -> dict[str, Member]:
        ring = self._node.ring
        members = ring.members if ring is not None else ()
        return {one.node_id: self._directory.member(one.node_id) or one for one in members}

    def _over_tls(self, places: dict[str, Member]) -> dict[str, Member]:
        """The members as clients reach them over TLS. A member that also serves without it
        announces that port only; its port for TLS is taken to be as far from it as here.
        """
        settings = self._node.settings
        if not (settings.cluster_port and settings.tls_cluster_port):
            return places
        further = settings.tls_cluster_port - settings.cluster_port
        return {
            name: msgspec.structs.replace(member, cluster_port=_port(member) + further)
            for name, member in places.items()
        }


def _mark(session: Session) -> str:
    """Which of the replies are this client's."""
    return ("3" if session.resp == 3 else "2") + ("t" if session.is_tls else "")


def _port(member: Member) -> int:
    return member.cluster_port or member.client_port


def _range(first: int, last: int, member: Member, resp3: bool) -> bytes:
    place = [text(member.host), integer(_port(member)), text(member.node_id), map_([], resp3)]
    return array([integer(first), integer(last), array(place)])


def _shard(
    member: Member, state: str, held: list[tuple[int, int]], resp3: bool
) -> bytes:
    bounds = [integer(slot) for run in held for slot in run]
    place = map_([
        (text("id"), text(member.node_id)), (text("port"), integer(_port(member))),
        (text("ip"), text(member.host)), (text("endpoint"), text(member.host)),
        (text("role"), text("master")), (text("replication-offset"), integer(0)),
        (text("health"), text("fail" if state == "down" else "online")),
    ], resp3)
    return map_([(text("slots"), array(bounds)), (text("nodes"), array([place]))], resp3)


def _line(
    member: Member, state: str, is_here: bool, held: list[tuple[int, int]], epoch: int
) -> bytes:
    flags = "myself,master" if is_here else "master,fail" if state == "down" else "master"
    link = "disconnected" if state == "down" else "connected"
    words = [
        member.node_id, f"{member.host}:{_port(member)}@{member.peer_port}", flags,
        "-", "0", "0", str(epoch), link,
        *(f"{first}-{last}" if first != last else str(first) for first, last in held),
    ]
    return " ".join(words).encode() + b"\n"
