"""A node that has just started meets the other members before it answers anybody.

Until it has, it would refuse what a moment later it could do, or have it kept by nodes that stand
in for owners that are there. So it accepts connections and commands, answers what concerns the
connection or this process alone (PING, HELLO, AUTH, CLIENT, INFO ...), and lets everything else
wait, in order. A command that waited is begun as if it had come when the wait ended.

The wait is over when every other member has been met: it is up, which takes a round trip, and its
greeting came before that. A node alone waits for nobody, nor does one that is no member. After
`request-timeout` the node answers, whoever is there, with what `/readyz` says or with what can be
done. Others coordinate meanwhile (`draining`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from respdyn.cluster.deadlines import NEVER
from respdyn.commands.declare import COVERAGE, LOCAL, Command

if TYPE_CHECKING:
    from respdyn.cluster.link import Link
    from respdyn.engine.front import Front
    from respdyn.engine.session import Session

# Of what this node answers by itself: where the answer depends on whom it has met, or where
# others are to hear of it.
_WAITING_GROUPS: Final = ("cluster", "pubsub", "transactions", "generic")
# What an operator asks is answered at once, and so is what a client says of itself.
_AT_ONCE: Final = frozenset(("multi", "discard", "asking", "readonly", "readwrite", "cluster|myid"))


class Arrival:
    """Whether this node has met the others, and whose commands wait for that."""

    def __init__(self, front: Front, ready: list[Session]) -> None:
        self.is_over = False
        self.waiting: dict[Session, None] = {}      # those of which a command waits
        self._node = node = front.node
        self._ready = ready
        self._until_ms = node.now_ms + node.settings.request_timeout_ms

    def stops(self, command: Command) -> bool:
        """Whether this command waits until the others are met."""
        name = command.name
        if name.startswith("dyn.") and command.route in (COVERAGE, LOCAL):
            return False
        if command.route is not LOCAL:
            return True
        return (
            command.group in _WAITING_GROUPS and name not in _AT_ONCE and not name.endswith("help")
        )

    def hold(self, session: Session) -> None:
        """The command at hand of this client waits."""
        self._node.front.put_back(session)
        self.waiting[session] = None

    def look(self, now_ms: int) -> None:
        """See whether it is over. Call at the end of a turn."""
        if not self.is_over and (now_ms >= self._until_ms or self._has_met_all()):
            self.end(now_ms)

    def end(self, now_ms: int) -> None:
        """Whoever waited goes on."""
        if self.is_over:
            return
        self.is_over = True
        node = self._node
        others = self._others()
        if others:
            node.trace.event(
                "members_met", met=sum(map(self._has_met, others)), of=len(others),
                clients_waited=len(self.waiting),
            )
        node.draining.arrived()
        for session in self.waiting:
            session.backlog = deque((argv, now_ms) for argv, _ in session.backlog)
            self._ready.append(session)
        self.waiting.clear()

    def next_deadline(self) -> int:
        """When `look` has work at the latest."""
        return NEVER if self.is_over else self._until_ms

    def _others(self) -> list[Link]:
        node = self._node
        ring = node.membership.ring
        here = node.identity.node_id
        members = ring.members if ring is not None else ()
        return [node.link_to(one.node_id) for one in members if one.node_id != here]

    def _has_met_all(self) -> bool:
        node = self._node
        membership = node.membership
        if membership.awaits or (membership.ring is not None and not membership.is_member()):
            return True
        return membership.ring is not None and all(map(self._has_met, self._others()))

    def _has_met(self, link: Link) -> bool:
        return link.is_up
