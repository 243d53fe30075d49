"""Back-pressure: clients that write much wait while a disk or a peer is behind; none is refused.

A node is *congested* while its own disk is behind with what it was handed, or a peer with the
frames that it was sent (`cluster/backlog.py`). It says so to its peers with every frame. Each node
then lets those of its own clients wait whose commands would go to a congested node: the command
stays where it is, and what is behind it stays in the client's socket. So the pace of the disk
reaches a client that writes too fast for it, through any node. Nothing else waits: no read, no
frame, no acknowledgement, no heartbeat. Hence two nodes that wait for each other's disks do not: a
disk gets on whatever clients do.

Fair means that a client that writes little does not wait for those who write much: each may write
`LIGHT_SHARE` of the limit while a node is behind before it is held. Only when twice the limit waits
all are. A disk that has failed holds no client: others can store (`plan`), or clients get an error.

A command that was held is begun as if it had come when that ended, so its deadline is its own.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections import deque
from typing import Final

from respdyn.cluster.backlog import Backlog
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.declare import READ, UPDATE, WRITE, Command
from respdyn.ring.hashing import BRACE, slot_of
from respdyn.sessions.session import Session

LIGHT_SHARE: Final = 1024   # of the limit, a client may write while a node is behind
HARD: Final = 2             # times the limit: now all clients wait
AGE_SHARE: Final = 4        # of the request time-out, what is written may wait for the disk


class Holding:
    """Which clients wait, and for whom."""

    def __init__(self, node: ThisNode, ready: list[Session]) -> None:
        self._node = node
        self.store = Backlog(node.settings.store_backlog)
        self.is_on = False              # some node is congested, as far as is known here
        self.is_congested = False       # this one is, as announced to peers
        self.waiting: dict[Session, None] = {}
        self.let_go: list[Session] = []             # in this turn, perhaps held in it as well
        self._ready = ready
        self._let_in: dict[Session, int] = {}       # bytes, since the last change
        self._congested: set[str] = set()           # peers, by their own word or by our judgement

    def stops(self, session: Session, command: Command, argv: list[bytes]) -> bool:
        """Whether this command must wait now. If so it is to be put back."""
        is_exec = command.name == "exec"
        if not (is_exec or ("write" in command.flag_words and session.transaction is None)):
            return False
        if not self._concerns(session, command, argv):
            return False
        size = sum(map(len, argv))
        if is_exec and session.transaction is not None:
            size += session.transaction.size
        let_in = self._let_in.get(session, 0) + size
        if let_in <= self.store.most // LIGHT_SHARE and not self._is_full():
            self._let_in[session] = let_in
            return False
        self._node.counters.writes_held += 1
        session.is_held = True
        self.waiting[session] = None
        return True

    def _is_full(self) -> bool:
        """Whether no client may write any more."""
        return self.store.bytes > HARD * self.store.most or any(
            link.is_up and link.untaken.bytes > HARD * link.untaken.most
            for link in self._node.links.values()
        )

    def _concerns(self, session: Session, command: Command, argv: list[bytes]) -> bool:
        """Whether a command's writes would go to a congested node."""
        plans = self._node.plans
        if command.route not in (READ, WRITE, UPDATE) or not plans:
            return True
        key = argv[command.keys.first]
        plan = plans[slot_of(key) if BRACE in key else crc_hqx(key, 0) & 16383]
        if self.store.is_behind and (plan.is_holder or plan.stands_in_for):
            return True
        replicas = plan.replicas
        return any(
            link.peer in self._congested for link in (*replicas.shipped, *replicas.besides)
        )

    def forget(self, session: Session) -> None:
        """A connection is gone."""
        self.waiting.pop(session, None)
        self._let_in.pop(session, None)

    # ---- the end of the turn ----

    def look(self) -> None:
        """Judge who is behind; let those go on who waited for one that no longer is."""
        node = self._node
        now_ms = node.now.now_ms
        store = self.store
        has_ended = False
        self.let_go.clear()
        if store.bytes or store.is_behind:
            if node.store_failure:
                has_ended = store.is_behind
                store.is_behind = False
            elif store.judge(now_ms, node.settings.request_timeout_ms // AGE_SHARE):
                has_ended = not store.is_behind
        is_congested = store.is_behind
        congested = self._congested
        for link in node.links.values():
            untaken = link.untaken
            if not link.is_up:
                untaken.is_behind = False       # it is sent nothing but heartbeats
            elif untaken.bytes or untaken.is_behind:
                untaken.judge(now_ms, link.window_ms // 2)
            is_congested = is_congested or untaken.is_behind
            if link.is_up and (link.is_congested or untaken.is_behind):
                congested.add(link.peer)
            elif link.peer in congested:
                congested.discard(link.peer)
                has_ended = True
        if is_congested != self.is_congested:
            self.is_congested = is_congested
            for link in node.links.values():
                link.speak_by_ms = 0
        self.is_on = is_congested or bool(congested)
        node.admission.is_held = self.is_on
        if has_ended:
            self._end(now_ms)

    def _end(self, now_ms: int) -> None:
        """The clients that waited try again."""
        self._let_in.clear()
        for session in self.waiting:
            session.is_held = False
            session.backlog = deque((argv, now_ms) for argv, _ in session.backlog)
            self._ready.append(session)
        self.let_go += self.waiting
        self.waiting.clear()
