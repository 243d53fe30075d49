"""Which node is presented to cluster-aware clients as the primary of which slots.

A slot's presented node is its coordinator, with one exception. A node that was lost and comes back
is held back for a while: a node that flaps would otherwise have every client learn the map anew at
every flap. Meanwhile the node that took over stays, and the other learns that, so that it presents
the same: clients add up what every node says of its own. Nothing waits the other way: the slots of
a node that cannot be reached pass to the next owner at once.

What this node presents as its own is numbered, since a scan must not lose keys when slots change
hands under it: its cursor carries the number, and the scan goes on over the slots with which it
began. Any node can read any key, so that is always possible.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from respdyn.cluster.plan import Plan
from respdyn.ring.hashing import SLOTS

HOLD_MS: Final = 5000
# Numbers that a cursor may carry. It is to stay below 2 ** 53, which JavaScript can count to.
NUMBERS: Final = 63

Mine = tuple[bool, ...]     # by partition: presented by this node?


class SlotMap:
    """The presented map, as this node sees it."""

    def __init__(self, here: str, now_ms: int) -> None:
        self.version = 0                        # rises whenever a reply may have changed
        self.presented: tuple[str, ...] = ()    # by partition; "" when no owner can be reached
        self._here = here
        self._started_ms = now_ms
        self._plans: list[Plan] = []            # by partition
        self._able: set[str] = set()
        self._lost: set[str] = set()
        self._returned: dict[str, int] = {}     # when a lost node came back
        self._number = 0
        self._mine: dict[int, Mine] = {}        # the latest, by number

    def replan(self, plans: Sequence[Plan], partitions: int, can_store: bool, now_ms: int) -> None:
        """The ring or the reachability of a node has changed. `plans` are by slot."""
        self._plans = list(plans[:: SLOTS // partitions])
        able = {link.peer for plan in self._plans for link in plan.replicas.writers}
        if can_store:
            able.add(self._here)
        for node in sorted(self._able - able):
            self._lost.add(node)
            self._returned.pop(node, None)
        for node in sorted((able - self._able) & self._lost):
            self._returned[node] = now_ms
        self._able = able
        self._settle(now_ms)

    def is_held_back(self, node: str) -> bool:
        """Whether this node is back and waits."""
        return node in self._returned

    def hold_back(self, now_ms: int) -> None:
        """A peer saw this node return. That counts only just after a start: all peers have seen a
        node come back then, but perhaps no other that one connection broke."""
        if now_ms - self._started_ms < HOLD_MS and self._here not in self._returned:
            self._returned[self._here] = now_ms
            self._settle(now_ms)

    def look(self, now_ms: int) -> None:
        """Nodes that have been back for long enough take their slots again."""
        if self._returned and now_ms - min(self._returned.values()) >= HOLD_MS:
            self._settle(now_ms)

    def ranges(self) -> list[tuple[int, int, str]]:
        """First slot, last slot and node of every run of slots that a node presents."""
        found = []
        width = SLOTS // max(1, len(self.presented))
        start = 0
        for node, run in groupby(self.presented):
            stop = start + width * sum(1 for _ in run)
            if node:
                found.append((start, stop - 1, node))
            start = stop
        return found

    def mine(self) -> Mine:
        """What this node presents now."""
        return self._mine[self._number] if self._number else ()

    def mine_for(self, number: int) -> tuple[int, Mine]:
        """What a scan with this number in its cursor walks over, and the number to go on with.

        A number that is not known, or none (0), stands for now.
        """
        if number not in self._mine:
            number = self._number
        return number, self._mine.get(number, ())

    def is_mine(self, slot: int) -> bool:
        """Whether this node presents the slot."""
        mine = self.mine()
        return bool(mine) and mine[slot * len(mine) // SLOTS]

    def _settle(self, now_ms: int) -> None:
        for node, since_ms in list(self._returned.items()):
            if now_ms - since_ms >= HOLD_MS:
                del self._returned[node]
                self._lost.discard(node)
        before = self.presented
        if len(before) != len(self._plans):
            before = ("",) * len(self._plans)
        self.presented = tuple(map(self._choose, self._plans, before))
        self.version += 1
        mine = tuple(node == self._here for node in self.presented)
        if mine != self.mine():
            self._number = self._number % NUMBERS + 1
            self._mine[self._number] = mine

    def _choose(self, plan: Plan, before: str) -> str:
        wanted = plan.deprioritized or plan.coordinator    # who is spared still serves clients
        if wanted not in self._returned:
            return wanted
        if wanted == self._here:      # who took over while this node was away?
            others = (node for node in plan.owners if node in self._able and node != wanted)
            return next(others, wanted)
        return before if before in self._able and before in plan.owners else wanted
