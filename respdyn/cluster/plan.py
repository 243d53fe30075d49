"""Plans: each partition's coordinator and replicas now, by its preference list and who is up.

A `Plan` is made anew whenever the ring or a node's reachability changes, which is rare, so that a
request finds its replicas with one look into a list by slot. Partitions with the same reachable
replicas share a `ReplicaSet`, and with it the rounds of a turn: in a cluster of three all writes of
a turn are one round.

For each owner that cannot be reached or cannot store, the next node of the list that can *stands
in*: it keeps a hint and counts as one of W, but it knows nothing of the key besides its hints.
Terms that are not sloppy take part in `strict`, which leaves stand-ins out.

Source: Dynamo 4.6 (sloppy quorum); decision 0013.
"""

from collections.abc import Callable, Container

from respdyn.cluster.link import Link
from respdyn.cluster.quorum import ReadRound, WriteRound
from respdyn.cluster.terms import Terms
from respdyn.cluster.transfer_state import TransferState
from respdyn.ring.hashing import SLOTS
from respdyn.ring.preference import preference_list, stand_ins
from respdyn.ring.ring import FILL, Ring


class ReplicaSet:
    """The peers that share some partitions with this node, or stand in, and are reachable now."""

    __slots__ = (
        "answers", "besides", "copies", "is_short", "open_reads", "open_writes", "probed",
        "readers", "sent_to", "shipped", "stand_ins", "turns", "unkept", "writers",
    )

    def __init__(
        self, readers: tuple[Link, ...], writers: tuple[Link, ...],
        stand_ins: tuple[tuple[Link, str], ...], unkept: int, besides: tuple[Link, ...] = (),
    ) -> None:
        self.besides = besides            # are sent writes and do not count: owners to come
        self.readers = readers            # owners that are up, and have not lost what they hold
        self.writers = writers            # owners that are up, and their disks work
        # Whom, and the owner that is stood in for: its node id as 20 bytes.
        self.stand_ins = tuple((link, bytes.fromhex(owner)) for link, owner in stand_ins)
        self.unkept = unkept              # owners that are missing, and no node keeps their hints
        self.is_short = bool(stand_ins) or unkept > 0
        self.shipped = (*writers, *(link for link, _ in stand_ins))
        self.sent_to = tuple(link.peer for link in self.shipped)
        self.probed = tuple(link.peer for link, _ in stand_ins)
        self.copies = 1 + len(self.shipped)                  # that a write can have, this one too
        self.answers = 1 + len(readers) + len(stand_ins)     # that a read can have
        self.open_writes: list[WriteRound] = []   # this turn's, the latest first
        self.open_reads: list[ReadRound] = []
        self.turns = 0                    # rotates which replica comes first


class Plan:
    """How requests for one partition go now."""

    __slots__ = (
        "coordinator",
        "deprioritized",
        "group",
        "has_owner",
        "holders",
        "is_holder",
        "is_instant",
        "is_owner",
        "n",
        "owners",
        "partition",
        "replicas",
        "sizes",
        "stands_in_for",
        "strict",
    )

    def __init__(
        self, partition: int, owners: tuple[str, ...], is_owner: bool, coordinator: str,
        has_owner: bool, stands_in_for: str, replicas: ReplicaSet, strict: ReplicaSet,
        is_instant: bool, group: int,
    ) -> None:
        self.partition = partition
        self.group = group                # the same for all partitions with these owners
        self.owners = owners
        self.is_owner = is_owner          # this node is among the first N, and can answer
        # The first reachable owner that can store; if there is none, the first that stands in.
        self.coordinator = coordinator    # "" for none
        self.has_owner = has_owner        # the coordinator is an owner
        self.stands_in_for = stands_in_for   # the owner for which this node keeps hints; "": none
        self.replicas = replicas
        self.deprioritized = ""                  # who would coordinate, were it not deprioritized
        self.strict = strict              # without stand-ins; the same if there are none
        self.is_instant = is_instant      # no other node and no disk to wait for
        self.n = len(owners)              # more than so many answers there are not
        self.holders = owners             # owners, and in a transfer those to come or to go
        self.is_holder = is_owner
        # In the middle of a transfer: how many old owners, new owners, old only, new only.
        self.sizes: tuple[int, int, int, int] | None = None

    def place_of(self, node_id: str) -> bytes:
        """Whether a node is the first of the owners: b"1" or b"0" (`Command.wants_place`)."""
        return b"1" if self.owners[:1] == (node_id,) else b"0"

    def may_be_last(self, terms: Terms) -> bool:
        """Whether this node, the last that a write is passed on to, may coordinate it itself.

        Nodes that see different nodes up would pass it on in turns, until each has met the
        others; an owner, or who stands in where no owner is in reach, need not wait for that.
        """
        return self.is_owner or (
            terms.sloppy and not self.has_owner and self.stands_in_for != ""
        )

    def writes_needed(self, w: int) -> int:
        """How many of those that are sent a write, and this node, make W.

        In the middle of a transfer any so many of them contain W old owners and W new ones.
        """
        if self.sizes is None:
            return min(w, self.n)
        old, new, only_old, only_new = self.sizes
        return max(min(w, old) + only_new, min(w, new) + only_old)


class Planner:
    """Makes plans, and remembers the preference lists of a ring."""

    def __init__(
        self, here: str, link_to: Callable[[str], Link], transfers: TransferState
    ) -> None:
        self._here = here
        self._transfers = transfers
        self._link_to = link_to
        self._ring: Ring | None = None
        self._preferences: dict[int, tuple[str, ...]] = {}
        self._sets: dict[tuple[object, ...], ReplicaSet] = {}
        # What the plans were made from, and what they are.
        self._conditions: tuple[set[str], set[str], set[str], bool] | None = None
        self._lost: dict[str, frozenset[int] | None] = {}
        self._plans: list[Plan] = []        # by slot
        self._first: list[str] = []         # by partition: who coordinates, if not deprioritized
        self._groups: dict[tuple[str, ...], int] = {}       # of owners, since the start

    def plan(
        self, ring: Ring, can_store: bool, has_room: bool, waits_for_disk: bool
    ) -> list[Plan]:
        """One plan per slot; slots of a partition share theirs.

        While a node is being filled it announces a few more partitions many times a second. If
        nothing else has changed, only plans of these are made anew: all of them take milliseconds.
        """
        links = [
            self._link_to(member.node_id) for member in ring.members
            if member.node_id != self._here
        ]
        up = {link.peer for link in links if link.is_up}
        able = {link.peer for link in links if link.is_up and link.can_store}
        roomy = {link.peer for link in links if link.peer in able and link.has_room}
        if can_store:
            able.add(self._here)
            if has_room:
                roomy.add(self._here)
        lost: dict[str, frozenset[int] | None] = {link.peer: link.unfilled for link in links}
        lost[self._here] = frozenset(self._transfers.unfilled)
        conditions = up, able, roomy, waits_for_disk
        width = SLOTS // ring.partitions
        if ring is self._ring and conditions == self._conditions:
            stale = self._stale(lost, width)
        else:
            stale = list(range(ring.partitions))
            self._sets = {}
            self._plans = []
            self._first = [""] * ring.partitions
        if ring is not self._ring:
            self._ring = ring
            self._preferences = {}
        self._conditions = conditions
        self._lost = lost
        for partition in stale:
            plan = self._plan_one(ring, partition, able, roomy, waits_for_disk)
            self._first[partition] = plan.coordinator
            self._plans[partition * width : (partition + 1) * width] = [plan] * width
        return list(self._plans)

    def stand_in(self, partition: int, avoided: Container[str]) -> str:
        """The next node of a partition's list that owns none of it and can keep hints; "": none."""
        if self._ring is None or self._conditions is None:
            return ""
        holders, roomy = self._transfers.holders(partition), self._conditions[2]
        for name in self._preference(self._ring, partition):
            if (
                name in roomy and name not in holders and name not in avoided
                and name != self._here
            ):
                return name
        return ""

    def _stale(self, lost: dict[str, frozenset[int] | None], width: int) -> list[int]:
        """Partitions whose plans are to be made anew: some owner has lost or regained them, or a
        plan was given to another coordinator.
        """
        stale: set[int] = set()
        for node, partitions in lost.items():
            before = self._lost[node]
            if partitions is None or before is None:
                if partitions is not before:
                    return list(range(len(self._first)))
            else:
                stale |= partitions ^ before
        for partition, first in enumerate(self._first):
            if self._plans[partition * width].coordinator != first:
                stale.add(partition)
        return sorted(one for one in stale if 0 <= one < len(self._first))

    def _plan_one(
        self, ring: Ring, partition: int, able: set[str], roomy: set[str], waits_for_disk: bool
    ) -> Plan:
        here, transfers = self._here, self._transfers
        move = transfers.moving.get(partition)
        owners = transfers.serving(partition)
        holders = transfers.holders(partition)
        links = [link for link in map(self._link_to, holders) if link.peer != here and link.is_up]
        readers = tuple(
            link for link in links if link.peer in owners and _is_whole(link, partition)
        )
        counted = owners if move is not None and move.phase == FILL else holders
        writers = tuple(link for link in links if link.can_store and link.peer in counted)
        besides = tuple(link for link in links if link.can_store and link.peer not in counted)
        missing = [owner for owner in counted if owner not in able]
        pairs: tuple[tuple[str, str], ...] = ()
        if missing:
            reachable = able.intersection(counted) | roomy.difference(holders)
            others_last = (one for one in self._preference(ring, partition) if one not in counted)
            pairs = stand_ins((*counted, *others_last), reachable, len(counted))
        strict = self._set(readers, writers, (), len(missing), besides)
        replicas = strict
        others = tuple((self._link_to(one), owner) for one, owner in pairs if one != here)
        if others:
            replicas = self._set(readers, writers, others, len(missing) - len(pairs), besides)
        whole = {link.peer for link in readers}
        if partition not in transfers.unfilled:
            whole.add(here)
        owner = next((owner for owner in owners if owner in able and owner in whole), "")
        is_owner = here in owners and here in whole
        plan = Plan(
            partition, owners, is_owner, owner or (pairs[0][0] if pairs else ""), bool(owner),
            next((owner for one, owner in pairs if one == here), ""), replicas, strict,
            is_owner and len(holders) == 1 and not waits_for_disk,
            self._groups.setdefault(owners, len(self._groups)),
        )
        plan.holders = holders
        plan.is_holder = here in holders
        if move is not None and move.phase != FILL:
            old, new = set(ring.owners_of(partition)), set(ring.names(move.owners))
            plan.sizes = len(old), len(new), len(old - new), len(new - old)
        return plan

    def _preference(self, ring: Ring, partition: int) -> tuple[str, ...]:
        found = self._preferences.get(partition)
        if found is None:
            found = self._preferences[partition] = preference_list(ring, partition)
        return found

    def _set(
        self, readers: tuple[Link, ...], writers: tuple[Link, ...],
        stand_ins: tuple[tuple[Link, str], ...], unkept: int, besides: tuple[Link, ...],
    ) -> ReplicaSet:
        names = (
            tuple(link.peer for link in readers), tuple(link.peer for link in writers),
            tuple((link.peer, owner) for link, owner in stand_ins), unkept,
            tuple(link.peer for link in besides),
        )
        found = self._sets.get(names)
        if found is None:
            found = self._sets[names] = ReplicaSet(readers, writers, stand_ins, unkept, besides)
        return found


def deprioritize(
    plans: list[Plan], here: str, declines_here: bool, leaves_here: bool,
    link_to: Callable[[str], Link],
) -> None:
    """Let another owner coordinate where the first one is deprioritized, if one is not.

    A deprioritized owner still runs what a node that does not know of it yet sends its way, and
    clients are shown it. One that leaves passes such commands on, and is not shown.
    """
    before: Plan | None = None
    for plan in plans:
        if plan is before:
            continue
        before = plan
        if not plan.has_owner or not _is_deprioritized(
            plan.coordinator, here, declines_here, link_to
        ):
            continue
        able = {link.peer for link in plan.replicas.writers}
        for owner in plan.owners:
            if (owner in able and not _is_deprioritized(owner, here, declines_here, link_to)) or (
                owner == here and plan.is_owner and not declines_here
            ):
                leaves = leaves_here if plan.coordinator == here else (
                    link_to(plan.coordinator).is_leaving
                )
                plan.deprioritized = "" if leaves else plan.coordinator
                plan.coordinator = owner
                break


def _is_deprioritized(
    node: str, here: str, declines_here: bool, link_to: Callable[[str], Link]
) -> bool:
    if node == here:
        return declines_here
    if not node:
        return False
    link = link_to(node)
    return bool(link.deprioritized) or link.is_leaving


def _is_whole(link: Link, partition: int) -> bool:
    """Whether the peer has said that it has lost nothing of the partition."""
    return link.unfilled is not None and partition not in link.unfilled


def silent(plan: Plan) -> str:
    """The replica that owes an answer to anything for longest; "" if none does."""
    return min((
        (link.unapplied[0].sent_ms, link.peer) for link in plan.replicas.shipped if link.unapplied
    ), default=(0, ""))[1]
