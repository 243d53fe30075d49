"""Arrival: a node that has just started meets the other members before it answers clients.

Until it has, it would refuse what a moment later it could do, or have it kept by nodes that stand
in for owners that are there. So it accepts connections and commands, and lets most of them wait
(`sessions/meeting`).

First every other member reports what it remembers of it (`cluster/lives`): whether its disk went
back, so that it must begin a new life and be filled. Only then it says what it holds, so no peer
reads from it before. The wait is over when all others are up, which takes a round trip, and have
said what they hold and what time it is. A member is not waited for while all that were met hold it
for down; of those who have just started themselves the word does not count. A node alone does not
wait, nor does one that is no member. After `request-timeout` the node answers, whichever members
are up, with what `/readyz` says or with what can be done. Others coordinate meanwhile (`draining`).
"""

from collections.abc import Callable

from respdyn.cluster.link import Link
from respdyn.cluster.lives import Lives
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import NEVER
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import Membership


class Arrival:
    """Whether this node has met the others; `sessions/meeting` has the commands that wait."""

    def __init__(
        self, node: ThisNode, membership: Membership, gossip: Gossip,
        judge_clock: Callable[[], None], arrived: Callable[[], None],
        lost_memory: Callable[[], None], clients_waiting: Callable[[], int],
        clients_go_on: Callable[[int], None],
    ) -> None:
        self.is_over = False
        self._node = node
        self._membership = membership
        self._gossip = gossip
        self._judge_clock = judge_clock
        self._arrived = arrived
        self._lost_memory = lost_memory
        self._clients_waiting = clients_waiting
        self._clients_go_on = clients_go_on
        settings = node.settings
        self._until_ms = node.now.now_ms + settings.request_timeout_ms
        keeps = settings.engine != "memory"
        self.lives = lives = Lives(
            node.replica, node.identity, node.links, keeps, keeps and settings.durability != "no",
            node.random, node.trace, node.now,
        )
        lives.has_arrived = lambda: self.is_over
        lives.went_back = self._went_back
        gossip.lives = lives
        gossip.is_silent = True

    def look(self, now_ms: int) -> None:
        """See whether it is over. Call at the end of a turn."""
        is_late = now_ms >= self._until_ms
        if self._gossip.is_silent and (is_late or self._all(_has_answered)):
            self._gossip.is_silent = False
            self._gossip.send_state()
        if is_late or self._all(_has_stated):
            self.end(now_ms)

    def end(self, now_ms: int) -> None:
        """The clients that waited go on."""
        if self.is_over:
            return
        self.is_over = True
        if self._gossip.is_silent:
            self._gossip.is_silent = False
            self._gossip.send_state()
        self._judge_clock()
        others = self._others()
        if others:
            self._node.trace.event(
                "members_met", met=sum(map(_has_stated, others)), of=len(others),
                clients_waited=self._clients_waiting(),
            )
        self._arrived()
        self._clients_go_on(now_ms)

    def next_deadline(self) -> int:
        """When `look` has work at the latest."""
        return NEVER if self.is_over else self._until_ms

    def _others(self) -> list[Link]:
        node = self._node
        ring = node.ring
        here = node.identity.node_id
        members = ring.members if ring is not None else ()
        return [node.link_to(one.node_id) for one in members if one.node_id != here]

    def _all(self, is_met: Callable[[Link], bool]) -> bool:
        """Whether this holds of all other members that any node reaches."""
        ring = self._node.ring
        if self._membership.awaits or (ring is not None and not self._node.is_member()):
            return True
        others = self._others()
        met = [link for link in others if is_met(link)]
        if len(met) == len(others):
            return ring is not None
        seen = [link.sees for link in met if link.sees is not None]
        return bool(seen) and not any(
            link.peer in sees for link in others if not is_met(link) for sees in seen
        )

    def stop(self) -> None:
        """The node stops: no client waits on, and what others have reported is kept."""
        self.end(self._node.now.now_ms)
        self.lives.keep()

    def _went_back(self) -> None:
        """This node's data is older than what it has sent to others."""
        node = self._node
        node.counters.disks_went_back += 1
        node.hints.give_up()
        self._lost_memory()


def _has_answered(link: Link) -> bool:
    return link.is_up and link.has_answered


def _has_stated(link: Link) -> bool:
    return link.is_up and link.has_answered and link.state is not None
