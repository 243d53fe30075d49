"""Writes whose answers do not come: other nodes keep them as hints for the silent owners.

A write was sent to its owners, and then the network was cut. So long as an owner may only be late,
waiting costs nothing but time; and once it is down, those who stand in for it are sent what comes
after. What is on its way between these two moments would fail, though there are nodes that could
keep it. So it is sent on:

* early: the owner is *cut off* (`failure`): it owes an answer for longer than it ever took, and
  nothing that its machine's system says has arrived either. A process that is merely busy, or
  stopped, is not: there the system acknowledges bytes, and the write is not sent on.
* at the latest when the owner is lost and W could not be reached without.

The write is not run again: it is the same event, sent to one more node, which keeps it as a hint
and offers it to its owner, and which every read includes until that has it (`keepers`). The owner
and those who keep it for it are one answer (`quorum.Substitutes`): R + W > N counts owners, and
this one may have it already. It goes to no node that was sent the write in any other part, to no
more than W needs, and to none where terms are strict.

Source: Dynamo 4.6; decision 0044.
"""

from collections.abc import Callable
from typing import Final

from respdyn.cluster.link import Link
from respdyn.cluster.messages import pair
from respdyn.cluster.now import Now
from respdyn.cluster.plan import Plan
from respdyn.cluster.quorum import Substitutes, WriteOp, WriteRound
from respdyn.cluster.statistics import Counters
from respdyn.cluster.timeouts import NEVER
from respdyn.ring.hashing import Locator

LOOK_MS: Final = 10         # between two looks at what owners that are cut off owe

# Sends a hint: to whom, for which owner, by which plan, the entry, and the write's place in its
# round if siblings are reported.
HaveKept = Callable[[Link, bytes, Plan, bytes, tuple[WriteRound, int] | None], None]


class SentOn:
    """Finds such writes and sends them on."""

    def __init__(
        self, counters: Counters, plan_for: Callable[[Locator], Plan],
        link_to: Callable[[str], Link], kept: Callable[[Plan, WriteOp], tuple[bytes, bytes]],
        have_kept: HaveKept, now: Now,
    ) -> None:
        self.cut_off: dict[str, Link] = {}      # owners that are: the failure detector's
        self.stand_in: Callable[[int, set[str]], str] = lambda partition, avoided: ""
        self._counters = counters
        self._plan_for = plan_for
        self._link_to = link_to
        self._kept = kept
        self._have_kept = have_kept
        self._now = now
        self._next_look_ms = 0

    def goes_by(
        self, cut_off: dict[str, Link], stand_in: Callable[[int, set[str]], str]
    ) -> None:
        """Sets the callables that say which peers are cut off, and which node can keep hints."""
        self.cut_off, self.stand_in = cut_off, stand_in

    def next_deadline(self) -> int:
        """When `look` has work at the earliest."""
        return self._next_look_ms if self.cut_off else NEVER

    def look(self, patience_ms: int) -> None:
        """Send on what owners that are cut off have not answered for so long."""
        now_ms = self._now.now_ms
        if not self.cut_off or now_ms < self._next_look_ms:
            return
        self._next_look_ms = now_ms + LOOK_MS
        late: dict[WriteRound, list[str]] = {}      # who owes an answer to it and is cut off
        for peer, link in self.cut_off.items():
            for flight in link.undurable:
                if flight.sent_ms > now_ms - patience_ms:
                    break
                for write_round in flight.write_rounds:
                    if not write_round.is_done and peer not in write_round.substitutes:
                        late.setdefault(write_round, []).append(peer)
        for write_round, peers in late.items():
            hoped_for = write_round.acknowledged + write_round.open_answers - len(peers)
            for peer in peers:
                if hoped_for < write_round.w and self.ask(write_round, peer):
                    hoped_for += 1

    def ask(self, write_round: WriteRound, owner: str) -> bool:
        """Have others keep the writes of a round for this owner; False where that cannot be.

        Who answers early (see `coordinator`) is such a node itself, and its word is waited for.
        """
        if (
            write_round.is_done or not write_round.is_sloppy or write_round.early
            or owner in write_round.substitutes or not write_round.ops
        ):
            return False
        avoided = {owner, *write_round.sent_to, *self.cut_off}
        for one in write_round.substitutes.values():
            avoided.update(one.peers)
        chosen: list[tuple[Plan, str]] = []
        for op in write_round.ops:
            plan = self._plan_for(op[2])
            keeper = self.stand_in(plan.partition, avoided)
            if plan.sizes is not None or owner not in plan.owners or not keeper:
                return False
            chosen.append((plan, keeper))
        quiet = set(write_round.quiet)
        for index, (plan, keeper) in enumerate(chosen):
            op = write_round.ops[index]
            kind, content = self._kept(plan, op)
            entry = pair(b"%b%b%b" % (kind, bytes.fromhex(owner), op[2]), content)
            place = None if index in quiet else (write_round, index)
            self._have_kept(self._link_to(keeper), bytes.fromhex(owner), plan, entry, place)
        peers = list(dict.fromkeys(keeper for _, keeper in chosen))
        for keeper in peers:
            self._link_to(keeper).write_rounds.append(write_round)
        write_round.substitutes[owner] = Substitutes(peers)
        self._counters.writes_sent_on += len(chosen)
        return True
