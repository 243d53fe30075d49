"""A node that has just started meets the other members before it answers anybody.

Until it has, it would refuse what a moment later it could do, or have it kept by nodes that stand
in for owners that are there. So it accepts connections and commands, answers what concerns the
connection or this process alone (PING, HELLO, AUTH, CLIENT, INFO ...), and lets everything else
wait, in order. A command that waited is begun as if it had come when the wait ended.

First it hears what every other member remembers of it (`cluster/lives`): whether its disk went
back, so that it must begin a new life and be filled. Only then it says what it holds, so nobody
reads from it before. The wait is over when all others are up, which takes a round trip, and have
said what they hold and what time it is. A member is not waited for while all that were met hold it
for down; of those who have just started themselves the word does not count. A node alone waits for
nobody, nor does one that is no member. After `request-timeout` the node answers, whoever is there,
with what `/readyz` says or with what can be done. Others coordinate meanwhile (`draining`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from respdyn.cluster.lives import Lives
from respdyn.cluster.timeouts import NEVER
from respdyn.commands.declare import COVERAGE, LOCAL, Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from respdyn.cluster.link import Link
    from respdyn.sessions.front import Front
    from respdyn.sessions.session import Session

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
        settings = node.settings
        keeps = settings.engine != "memory"
        self.lives = lives = Lives(
            node.replica, node.identity, node.links, keeps, keeps and settings.durability != "no",
            node.random, node.trace, node.this.now,
        )
        lives.has_arrived = lambda: self.is_over
        lives.went_back = self._went_back
        node.gossip.lives = lives
        node.gossip.is_silent = True

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
        node = self._node
        is_late = now_ms >= self._until_ms
        if node.gossip.is_silent and (is_late or self._all(_has_answered)):
            node.gossip.is_silent = False
            node.gossip.tell_state()
        if is_late or self._all(_has_told):
            self.end(now_ms)

    def end(self, now_ms: int) -> None:
        """Whoever waited goes on."""
        if self.is_over:
            return
        self.is_over = True
        node = self._node
        if node.gossip.is_silent:
            node.gossip.is_silent = False
            node.gossip.tell_state()
        node.standing.judge_clock()
        others = self._others()
        if others:
            node.trace.event(
                "members_met", met=sum(map(_has_told, others)), of=len(others),
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

    def _all(self, is_met: Callable[[Link], bool]) -> bool:
        """Whether this holds of all other members, but for those whom nobody reaches."""
        membership = self._node.membership
        if membership.awaits or (membership.ring is not None and not self._node.this.is_member()):
            return True
        others = self._others()
        met = [link for link in others if is_met(link)]
        if len(met) == len(others):
            return membership.ring is not None
        seen = [link.sees for link in met if link.sees is not None]
        return bool(seen) and not any(
            link.peer in sees for link in others if not is_met(link) for sees in seen
        )

    def stop(self) -> None:
        """The node stops: nobody waits, and what was heard of others is kept."""
        self.end(self._node.now_ms)
        self.lives.keep()

    def _went_back(self) -> None:
        """This node's data is older than what it has told others."""
        node = self._node
        node.counters.disks_went_back += 1
        node.hints.give_up()
        node.lost_memory()


def _has_answered(link: Link) -> bool:
    return link.is_up and link.has_answered


def _has_told(link: Link) -> bool:
    return link.is_up and link.has_answered and link.state is not None
