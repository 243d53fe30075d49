"""Connections between nodes: a listener for theirs, a dialer for ours, one direction each.

The dialer keeps a connection to every address that `node.dials()` names, for ever, with growing
pauses. Frames travel only from the dialer to the listener, so a pair of nodes has two connections,
and each order of frames is one socket's. Whether a node is welcome the core decides (`node.meet`);
here only the secret is checked (`handshake`), and time and size before it is proved.

    address -- Dial --- Outgoing --> peer      node.link(peer, up), frames out
                        Incoming <-- peer      node.frame(peer, items)

Strangers are refused and logged once per address and reason, then only counted.
"""

import asyncio
import secrets
import traceback
from typing import Final, cast

from respdyn.errors import PeerError
from respdyn.metrics import ServerMetrics
from respdyn.ports import BULK_BYTES, Random, Trace
from respdyn.server import handshake
from respdyn.server.channel import Opener
from respdyn.server.dialer import Dial, Outgoing, tune
from respdyn.server.tls import Tls
from respdyn.server.turn import Turn

REFRESH_S: Final = 0.1
QUIET_REFRESH_S: Final = 0.03   # while some machine's system says nothing
UNPROVED_MAX: Final = 128       # connections whose secret is not yet proved; the oldest goes first
LOGGED_MAX: Final = 1000          # addresses and reasons remembered as logged


class Peers:
    """Everything this node keeps with its peers."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, turn: Turn, secret: bytes, random: Random,
        trace: Trace, tls: Tls,
    ) -> None:
        self.loop = loop
        self.turn = turn
        self.metrics: ServerMetrics = turn.metrics
        self.secret = secret
        self.random = random
        self.tls = tls
        self.links: dict[str, Outgoing] = {}        # by peer: where its frames go
        self.offers: set[bytes] = set()             # nonces of our own listener's connections
        self.unproved: dict[Incoming, None] = {}    # oldest first
        self.incoming: dict[str, Incoming] = {}     # by peer
        settings = turn.node.settings
        self.output_limit = settings.peer_output_limit
        self.frame_limit = settings.peer_frame_limit
        self.handshake_s = settings.handshake_timeout_ms / 1000
        self._trace = trace
        self._logged: dict[tuple[str, str], int] = {}
        self._faults: set[tuple[str, str]] = set()  # by peer and place, those that were logged
        self._dials: dict[str, Dial] = {}
        self._wanted: dict[str, str | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        turn.send = self.send

    def start(self) -> None:
        """Begin to dial."""
        self._refresh()

    def stop(self) -> None:
        """Close every connection and dial no more; the node need not know."""
        self._is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        for dial in self._dials.values():
            dial.stop()
        for incoming in [*self.unproved, *self.incoming.values()]:
            incoming.close()

    def door(self) -> "Incoming":
        """A connection to the peer port."""
        return Incoming(self)

    def send(self, peer: str, *frame: bytes) -> None:
        """One frame, in pieces, to a peer. Without a connection it is lost, which frames may be."""
        link = self.links.get(peer)
        if link is None:
            self.metrics.peer_frames_lost += 1
        else:
            link.send(*frame)

    def refuse(self, address: str, reason: str, counts: bool = True) -> None:
        """Count a refusal; log it if this address was not refused for this reason before."""
        if counts:
            self.metrics.peer_refused += 1
        reason_logged = self._logged
        key = (address, reason)
        if key in reason_logged:
            reason_logged[key] += 1
        elif len(reason_logged) < LOGGED_MAX:
            reason_logged[key] = 1
            self._trace.event("peer_refused", address=address, reason=reason)

    def fault(self, peer: str, items: list[bytes], fault: Exception) -> None:
        """This node failed at a peer's frame. Log each such fault once, with the frame's head."""
        self.metrics.peer_faults += 1
        where = traceback.extract_tb(fault.__traceback__)[-1]
        key = (peer, f"{where.filename}:{where.lineno}")
        if key in self._faults or len(self._faults) >= LOGGED_MAX:
            return
        self._faults.add(key)
        self._trace.event(
            "peer_frame_failed", peer=peer[:8], error=repr(fault)[:200], place=key[1],
            items=len(items), head=" ".join(repr(item)[:100] for item in items[:4]),
        )

    def unreached(self, address: str, reason: str) -> None:
        """An attempt to reach a node has failed. The node's status shows why."""
        self.turn.node.readiness.unreached[address] = reason

    def established(self, outgoing: Outgoing, peer: str) -> None:
        """A connection of ours is proved. It replaces an older one to the same peer.

        The listener thinks the same: of two connections the newer is the one that is alive. Where
        a peer has two addresses this happens once, then one of the two dials rests.
        """
        node = self.turn.node
        self.turn.begin()
        node.readiness.unreached.pop(outgoing.dial.address, None)
        older = self.links.pop(peer, None)
        if older is not None:
            older.close()
            node.link(peer, False)
        self.links[peer] = outgoing
        self.metrics.peer_links = len(self.links)
        node.link(peer, True)

    def came(self, peer: str) -> None:
        """A peer has connected to us or spoken: who wants to be connected to it need wait no more.

        After its restart it is up as soon as it has answered, not up to two seconds later.
        """
        for address, name in self.turn.node.dials().items():
            if name == peer and address in self._dials:
                self._dials[address].hasten()

    def lost(self, peer: str, outgoing: Outgoing) -> None:
        """A proved connection of ours is gone."""
        if self.links.get(peer) is outgoing:
            del self.links[peer]
            self.metrics.peer_links = len(self.links)
            if not self._is_stopping:
                self.turn.begin()
                self.turn.node.link(peer, False)

    def _refresh(self) -> None:
        """Follow what the node wants dialled, and dial what is due."""
        is_quiet = self._ask_systems()
        self._timer = self.loop.call_later(
            QUIET_REFRESH_S if is_quiet else REFRESH_S, self._refresh
        )
        for peer, outgoing in list(self.links.items()):
            outgoing.dial.judge(self.turn.node.link_to(peer).is_up)
            if outgoing.has_moved():
                self.turn.begin()
                self.turn.node.readiness.moved(peer, outgoing.arrived)
        for peer, incoming in self.incoming.items():
            if incoming.has_spoken and peer not in self.links:
                self.came(peer)
            incoming.has_spoken = False
        wanted = self.turn.node.dials()
        if wanted != self._wanted:
            self._wanted = dict(wanted)
            for address in [a for a in self._dials if a not in wanted]:
                self._forget(address)
            for address in wanted:
                if address not in self._dials:
                    self._dials[address] = Dial(self, address)
        for dial in self._dials.values():
            dial.attend()

    def _ask_systems(self) -> bool:
        """Inform the node for how long peers' machines have said nothing; whether any has not."""
        is_quiet = False
        for peer, outgoing in self.links.items():
            unacknowledged_ms = outgoing.unacknowledged_ms()
            is_quiet = is_quiet or unacknowledged_ms > 0
            self.turn.node.readiness.unacknowledged(peer, unacknowledged_ms)
        return is_quiet

    def _forget(self, address: str) -> None:
        """Drop a dial. Its connection moves to the same peer's other address if it has one.

        This is the usual case: a seed is found to be a member, and known by its own address.
        """
        dial = self._dials.pop(address)
        self.turn.node.readiness.unreached.pop(address, None)
        outgoing = dial.outgoing
        if outgoing is not None and dial.peer:
            for other, peer in self._wanted.items():
                if peer == dial.peer and other != address:
                    heir = self._dials.setdefault(other, Dial(self, other))
                    if heir.outgoing is None and not heir.is_busy:
                        heir.inherit(dial)
                        return
        dial.stop()


class Incoming(asyncio.Protocol):
    """A peer's connection to us: the handshake, then frames in and nothing out."""

    def __init__(self, peers: Peers) -> None:
        self.has_spoken = False         # lately
        self._peers = peers
        self._transport: asyncio.Transport | None = None
        self._address = ""
        self._peer = ""
        self._buffer = b""
        self._nonce = secrets.token_bytes(handshake.NONCE_BYTES)
        self._opener: Opener | None = None      # once the peer is proved
        self._proved_s = 0.0            # when the peer was; 0.0 once its first frame has come
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer the handshake. Too many unproved ones: the oldest must go."""
        transport = cast(asyncio.Transport, transport)      # uvloop's is one in all but name
        peers = self._peers
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("?",))[0]
        tune(transport.get_extra_info("socket"))
        peers.offers.add(self._nonce)
        peers.unproved[self] = None
        if len(peers.unproved) > UNPROVED_MAX:
            next(iter(peers.unproved)).refuse("too many connections without proof")
        self._deadline = peers.loop.call_later(
            peers.handshake_s, self.refuse, "handshake took too long"
        )
        transport.write(handshake.encode(handshake.MAGIC, handshake.VERSION, self._nonce))

    def data_received(self, data: bytes) -> None:
        """The dialer's proof, then its frames."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            if self._peer:
                self._read(data)
            else:
                self._prove(data)
        except PeerError as wrong:
            self.refuse(str(wrong))

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone. The node learns it from silence and from its own connection."""
        self._transport = None
        self._leave_lobby()
        if self._peers.incoming.get(self._peer) is self:
            del self._peers.incoming[self._peer]

    def refuse(self, reason: str) -> None:
        """Say why, if the other end is still there, and close."""
        peers = self._peers
        self._leave_lobby()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._peer:
            peers.metrics.peer_protocol_errors += 1
            peers.refuse(self._address, reason, counts=False)
            transport.abort()
            return
        peers.refuse(self._address, reason)
        transport.write(handshake.encode(handshake.REFUSED, reason.encode()[:200]))
        transport.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _prove(self, data: bytes) -> None:
        """Check the secret; then the node judges the greeting."""
        peers = self._peers
        self._buffer += data
        message = handshake.decode(self._buffer)
        if message is None:
            return
        items, rest = message
        assert self._transport is not None
        binding = handshake.binding_of(self._transport)
        nonce2, greeting = handshake.read_hello(peers.secret, self._nonce, items, binding)
        peers.turn.begin()
        node = peers.turn.node
        peer = node.meet(greeting)
        own = node.greeting()
        proof = handshake.listener_proof(peers.secret, self._nonce, nonce2, own, binding)
        key = handshake.session_key(peers.secret, self._nonce, nonce2, binding)
        self._opener = Opener(key, peers.frame_limit)
        self._transport.write(handshake.encode(handshake.WELCOME, proof, own))
        self._leave_lobby()
        self._peer = peer
        self._proved_s = peers.loop.time()
        self._buffer = b""
        before = peers.incoming.get(peer)
        peers.incoming[peer] = self
        if before is not None:
            before.close()
        peers.came(peer)
        if rest:
            self._read(rest)

    def _read(self, data: bytes) -> None:
        """Whole frames go to the node."""
        peers = self._peers
        turn = peers.turn
        peers.metrics.peer_bytes_in += len(data)
        if not turn.is_open:
            turn.begin()
        frame = turn.node.frame
        peer = self._peer
        self.has_spoken = True
        assert self._opener is not None
        for items in self._opener.open(data):
            peers.metrics.peer_frames_in += 1
            if self._proved_s:
                self._check_first()
            try:
                frame(peer, items)
            except PeerError:
                raise
            except Exception as fault:      # a mistake of ours: it costs this link, and no more
                peers.fault(peer, items, fault)
                raise PeerError("a frame that could not be dealt with") from None
        if self._opener.unfinished > BULK_BYTES:
            turn.node.readiness.has_bulk(peer)

    def _check_first(self) -> None:
        """The first frame's time is unknown (`Receiver.frame`): it came since the proof."""
        peers = self._peers
        age_ms = 1000 * (peers.loop.time() - self._proved_s)
        if age_ms > peers.turn.node.settings.message_max_age_ms:
            raise PeerError(f"a first frame that may be {age_ms:.0f} ms old")
        self._proved_s = 0.0

    def _leave_lobby(self) -> None:
        self._peers.offers.discard(self._nonce)
        self._peers.unproved.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
