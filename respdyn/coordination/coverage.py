"""Commands that concern every partition: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHDB and FLUSHALL.

SCAN walks the keys in an order that never changes and is the same on every node: by slot, and
within a slot by the CRC-32 of the key. Its cursor is such a position, so no node remembers a scan,
any node can continue one, and a key that was there all the time is returned exactly once however
the ring or the nodes change meanwhile. R owners of each partition return what they hold from the
position on. Where they agree on a key their word is taken; where not, the key itself is read
with a quorum.

Nodes that stand in for missing owners complete R here as for a read of one key: an owner must be
among those who answer. Nodes that still keep something for these owners take part besides. What any
of them keeps, if it is not what the owners hold, is read with a quorum.

FLUSHALL needs no tombstone per key. R owners of each partition return the highest counter of every
actor that they have seen; that vector becomes the partition's *cleared context*, W owners must
store it (nodes that stand in keep it as a hint), and everything below it is gone for good. A write
that began after the flush has a higher counter and is not touched.

Cluster-aware clients send these to every node and add up the replies. On the cluster port these
commands therefore concern only the partitions that this node presents as its own (`mine`; `None`
for all).
"""

from collections.abc import Generator
from typing import Final
from zlib import crc32

import msgspec

from respdyn.cluster.keepers import Keepers
from respdyn.cluster.plan import Plan
from respdyn.cluster.questions import Clear, ClearHint, Count, Run, Scan, Tops
from respdyn.cluster.slot_map import Mine
from respdyn.cluster.tasks import Answer, Request, Task, answer_as
from respdyn.cluster.terms import Terms
from respdyn.cluster.this_node import ThisNode
from respdyn.commands.scan import ScanRequest, glob_match
from respdyn.resp.replies import OK, array, bulk, error, integer, null
from respdyn.ring.hashing import SLOTS
from respdyn.types.values import kind_at

_PLACE_BITS = 32
_TAG_SHIFT = _PLACE_BITS + 14    # a scan's number on the cluster port stands above the position
_FLUSH_RECORDS = 200         # records per question, as far as whole partitions allow
_FLUSH_PARTITIONS = 64       # and partitions
SCAN_STEPS: Final = 8        # that a record is taken for which a question looks at (`slices`)
FLUSH_STEPS: Final = 3
_STEP_MAX = 100              # records per question when many are wanted



class ScanAnswer(msgspec.Struct, array_like=True):
    """What a replica holds from a position on, and where it stopped."""

    entries: list[tuple[int, int, bytes, bytes, str]]   # slot, place, locator, digest, type or ""
    slot: int
    place: int


class Unreachable(Exception):
    """Too few owners of some partition can be reached."""


class Coverage:
    """Makes the tasks of these commands, and answers their questions at the replicas."""

    def __init__(
        self, node: ThisNode, keepers: Keepers
    ) -> None:
        self._node = node
        self.can_store = True           # False while this node's disk fails
        self._replica = node.replica
        self._hints = keepers.hints
        self._keepers = keepers
        self._here = node.identity.node_id

    # ---- the replicas' side ----

    def answer_scan(self, ask: Scan) -> ScanAnswer:
        """What this node holds from a position on, in whole groups of equal places."""
        found: list[tuple[int, int, bytes, bytes, str]] = []
        now_ms = self._node.now.wall_ms
        last = (-1, -1)
        walk = self._hints.walk if ask.hinted else self._replica.walk
        for slot, place, locator, record in walk(range(ask.slot, ask.stop), ask.db, ask.place):
            if len(found) >= ask.limit and (slot, place) != last:
                self._node.slices.charge(SCAN_STEPS * len(found))
                return ScanAnswer(found, slot, place)
            last = (slot, place)
            kind = kind_at(record, now_ms)
            found.append((slot, place, locator, self._replica.digest(record), kind))
        self._node.slices.charge(SCAN_STEPS * len(found))
        return ScanAnswer(found, ask.stop, 0)

    def answer_count(self, ask: Count) -> list[int]:
        """Live keys of each partition here."""
        return self._replica.keys(ask.db)[0]

    def answer_tops(self, ask: Tops) -> list[tuple[int, int, dict[bytes, int]]]:
        """What each partition has seen, hints included; those that never saw anything are left out.
        """
        self._node.slices.charge(FLUSH_STEPS * sum(map(self._records_of, ask.partitions)))
        return [
            (db, partition, tops)
            for partition in ask.partitions
            for seen in (self._replica.tops(partition), self._hints.tops(partition))
            for db, tops in sorted(seen.items())
            if db in ask.dbs
        ]

    def answer_clear(self, ask: Clear) -> bool:
        """Raise cleared contexts. False: nothing was done, as it could not be kept."""
        if not self.can_store:
            return False
        for db, partition, tops in ask.entries:
            self._node.slices.charge(FLUSH_STEPS * self._records_of(partition))
            self._replica.clear(partition, db, tops)
        return True

    def answer_clear_hint(self, ask: ClearHint) -> bool:
        """Keep cleared contexts for an owner, if there is a disk to keep them on."""
        if not self.can_store:
            return False
        for db, partition, tops in ask.entries:
            self._hints.keep_cleared(ask.owner, partition, db, tops)
        return True

    # ---- walking ----

    def _plans_of(self, mine: Mine | None) -> list[Plan]:
        """One plan for each partition that is concerned."""
        plans = self._node.plans[:: self._replica.width]
        return plans if mine is None else [plan for plan in plans if mine[plan.partition]]

    def _ask_from(self, plan: Plan, wanted: int, is_sloppy: bool) -> list[tuple[str, bool]]:
        """Nodes to ask about a partition, and whether each only stands in for an owner.

        This one comes first when it is an owner. Raises `Unreachable`.
        """
        wanted = min(wanted, plan.n)
        owners = self._owners_of(plan)
        nodes = [(node, False) for node in owners]
        if is_sloppy and owners:
            nodes += [(node, True) for node, _ in self.stand_ins_of(plan)]
        if len(nodes) < wanted:
            raise Unreachable(
                f"NOQUORUM R={wanted} reachable={len(nodes)}: too few owners of "
                f"partition {plan.partition} can be reached"
            )
        nodes = nodes[:wanted]
        queried = {node for node, _ in nodes}
        return nodes + [(one, True) for one in self._keepers_of(plan) if one not in queried]

    def _keepers_of(self, plan: Plan) -> tuple[str, ...]:
        """Who keeps something for these owners, this node too."""
        keepers = self._keepers.by_partition.get(plan.partition, ())
        if not plan.is_owner and self._keepers.must_ask(plan.partition):
            keepers = (self._here, *keepers)
        return keepers

    def _owners_of(self, plan: Plan) -> list[str]:
        """The owners of a partition that are up, this node first."""
        return ([self._here] if plan.is_owner else []) + [
            link.peer for link in plan.replicas.readers
        ]

    def stand_ins_of(self, plan: Plan) -> list[tuple[str, str]]:
        """Nodes that stand in for owners of a partition, and for which."""
        pairs = [(link.peer, owner.hex()) for link, owner in plan.replicas.stand_ins]
        return ([(self._here, plan.stands_in_for)] if plan.stands_in_for else []) + pairs

    def _stretch(self, slot: int, mine: Mine | None) -> int:
        """The end of the run of partitions from this slot on that the same nodes answer for."""
        plans = self._node.plans
        first = plans[slot]
        stop = slot
        width = self._replica.width
        while stop < SLOTS and (mine is None or mine[stop // width]) and (
            plans[stop] is first
            or (plans[stop].is_owner == first.is_owner and plans[stop].n == first.n
                and plans[stop].stands_in_for == first.stands_in_for
                and plans[stop].replicas is first.replicas
                and self._keepers_of(plans[stop]) == self._keepers_of(first))
        ):
            stop += width - stop % width
        return stop

    def _next_of(self, mine: Mine | None, slot: int, place: int) -> tuple[int, int]:
        """This position, or if it is in none of `mine`, where the next one of them begins."""
        width = self._replica.width
        while mine is not None and slot < SLOTS and not mine[slot // width]:
            slot, place = slot + width - slot % width, 0
        return slot, place

    def walk(
        self, db: int, slot: int, place: int, count: int, step: int, terms: Terms,
        mine: Mine | None = None,
    ) -> Generator[list[Request], list[Answer], tuple[list[tuple[bytes, str]], int, int]]:
        """At least `count` names from a position on, unless the end comes first.

        Returns the names with their types and the position to go on from; slot `SLOTS` is the end.
        Raises `Unreachable`.
        """
        names: list[tuple[bytes, str]] = []
        slot, place = self._next_of(mine, slot, place)
        while slot < SLOTS and len(names) < count:
            stop = self._stretch(slot, mine)
            nodes = self._ask_from(self._node.plans[slot], terms.r, terms.sloppy)
            raw = yield [
                (node, Scan(db, slot, place, stop, step, stands_in)) for node, stands_in in nodes
            ]
            known: list[tuple[ScanAnswer, bool]] = [
                (one, stands_in) for one, (_, stands_in) in zip(
                    (answer_as(ScanAnswer, answer) for answer in raw), nodes, strict=True
                )
                if one is not None
            ]
            owners = sum(1 for _, stands_in in known if not stands_in)
            if len(known) < len(nodes) or not owners:
                raise Unreachable(
                    f"NOQUORUM R={len(nodes)} answered={len(known)}: too few replicas answered"
                )
            upto = min((one.slot, one.place) for one, _ in known)
            held: dict[tuple[int, int, bytes], list[tuple[bytes, str]]] = {}
            kept: dict[tuple[int, int, bytes], list[tuple[bytes, str]]] = {}
            for one, stands_in in known:
                for at, where, locator, digested, kind in one.entries:
                    if (at, where) < upto:
                        (kept if stands_in else held).setdefault((at, where, locator), []).append(
                            (digested, kind)
                        )
            doubtful = _doubtful(held, kept, owners)
            if doubtful:
                replies = yield [
                    Run([b"TYPE", name[2][3:]], db) for name in doubtful
                ]
                for name, reply in zip(doubtful, replies, strict=True):
                    if not isinstance(reply, bytes) or reply[:1] != b"+":
                        raise Unreachable("NOQUORUM a key could not be read while walking")
                    kind = reply[1:-2].decode()
                    held[name] = [(b"", "" if kind == "none" else kind)]
            names += [
                (name[2][3:], seen[0][1]) for name, seen in sorted(held.items()) if seen[0][1]
            ]
            slot, place = self._next_of(mine, *upto)
        return names, slot, place

    def scan(
        self, request: ScanRequest, db: int, terms: Terms, mine: Mine | None = None, tag: int = 0
    ) -> Task:
        """SCAN. The cursor of the answer carries the tag."""
        slot, place = _position(request.cursor)
        if slot >= SLOTS:
            return array([bulk(b"0"), array([])])
        wanted = None if request.type is None else request.type.decode("latin-1").lower()
        step = min(max(request.count * 2, 20), _STEP_MAX)
        found: list[bytes] = []
        left = request.count
        try:
            while slot < SLOTS and left > 0:
                names, slot, place = yield from self.walk(
                    db, slot, place, min(left, step), step, terms, mine
                )
                left -= len(names)
                found += [
                    bulk(key) for key, kind in names
                    if (wanted is None or kind == wanted)
                    and (request.match is None or glob_match(request.match, key))
                ]
        except Unreachable as why:
            return error(str(why))
        cursor = 0 if slot >= SLOTS else (tag << _TAG_SHIFT | slot << _PLACE_BITS | place) + 1
        return array([bulk(b"%d" % cursor), array(found)])

    def keys(
        self, pattern: bytes, db: int, terms: Terms, mine: Mine | None = None
    ) -> Task:
        """KEYS."""
        found: list[bytes] = []
        slot, place = 0, 0
        try:
            while slot < SLOTS:
                names, slot, place = yield from self.walk(
                    db, slot, place, 1, _STEP_MAX, terms, mine
                )
                found += [bulk(key) for key, _ in names if glob_match(pattern, key)]
        except Unreachable as why:
            return error(str(why))
        return array(found)

    def random_key(
        self, chance: float, db: int, resp3: bool, terms: Terms, mine: Mine | None = None
    ) -> Task:
        """RANDOMKEY: a key after a random position; keys in sparse slots are likelier."""
        start = int(chance * SLOTS)
        try:
            names, _, _ = yield from self.walk(db, start, 0, 1, 16, terms, mine)
            if not names:
                names, _, _ = yield from self.walk(db, 0, 0, 1, 16, terms, mine)
        except Unreachable as why:
            return error(str(why))
        if not names:
            return null(resp3)
        return bulk(names[crc32(b"%f" % chance) % len(names)][0])

    # ---- counting ----

    def size(self, db: int, mine: Mine | None = None) -> Task:
        """DBSIZE: each partition as its coordinator counts it.

        What this node presents it counts itself: a coordinator that has just come back, and is
        not presented yet, may not know all keys.
        """
        by_node: dict[str, list[int]] = {}
        for plan in self._plans_of(mine):
            node = plan.coordinator if plan.has_owner else next(iter(self._owners_of(plan)), "")
            if mine is not None and plan.is_owner:
                node = self._here
            if not node:
                return error(f"NOQUORUM no owner of partition {plan.partition} can be reached")
            by_node.setdefault(node, []).append(plan.partition)
        nodes = sorted(by_node)
        answers = yield [(node, Count(db)) for node in nodes]
        total = 0
        for node, raw in zip(nodes, answers, strict=True):
            counts = answer_as(list[int], raw)
            if counts is None or len(counts) <= by_node[node][-1]:
                return error(f"NOQUORUM node {node[:8]} did not answer")
            total += sum(counts[partition] for partition in by_node[node])
        return integer(total)

    # ---- emptying ----

    def flush(self, dbs: list[int], terms: Terms, mine: Mine | None = None) -> Task:
        """FLUSHDB and FLUSHALL."""
        plans = self._plans_of(mine)
        while plans:
            some, plans = self._few_of(plans)
            failed = yield from self._flush_some(some, dbs, terms)
            if failed:
                return error(failed)
        return OK

    def _few_of(self, plans: list[Plan]) -> tuple[list[Plan], list[Plan]]:
        """As many partitions as one step may empty, judged by what is here; and the others.

        One at least: it is emptied in one step at each node, since what is cleared must be gone.
        """
        records = 0
        for count, plan in enumerate(plans[:_FLUSH_PARTITIONS]):
            records += self._records_of(plan.partition)
            if records > _FLUSH_RECORDS and count:
                return plans[:count], plans[count:]
        return plans[:_FLUSH_PARTITIONS], plans[_FLUSH_PARTITIONS:]

    def _records_of(self, partition: int) -> int:
        """How many this node holds of a partition."""
        first = partition * self._replica.width
        return sum(map(len, self._replica.slots[first : first + self._replica.width]))

    def _flush_some(
        self, plans: list[Plan], dbs: list[int], terms: Terms
    ) -> Generator[list[Request], list[Answer], str]:
        nodes_of: dict[int, list[tuple[str, str]]] = {}     # node, and whom it stands in for
        besides: dict[int, list[tuple[str, str]]] = {}
        needs: dict[int, int] = {}
        parts_of: dict[str, list[int]] = {}
        for plan in plans:
            try:
                nodes = self._ask_from(plan, terms.r, terms.sloppy)
            except Unreachable as why:
                return str(why)
            everyone = [(self._here, "")] if plan.is_holder and self.can_store else []
            everyone += [(link.peer, "") for link in plan.replicas.writers]
            if terms.sloppy:
                everyone += self.stand_ins_of(plan)
            needed = plan.writes_needed(terms.w)
            if len(everyone) < needed:
                return f"NOQUORUM W={needed} reachable={len(everyone)}: nothing was flushed"
            nodes_of[plan.partition] = everyone
            needs[plan.partition] = needed
            besides[plan.partition] = [(link.peer, "") for link in plan.replicas.besides]
            for node, _ in nodes:
                parts_of.setdefault(node, []).append(plan.partition)
        queried = sorted(parts_of)
        answers = yield [(node, Tops(dbs, parts_of[node])) for node in queried]
        tops: dict[tuple[int, int], dict[bytes, int]] = {}
        for raw in answers:
            seen = answer_as(list[tuple[int, int, dict[bytes, int]]], raw)
            if seen is None:
                return f"NOQUORUM R={terms.r}: a replica did not answer; some keys may be flushed"
            for db, partition, counters in seen:
                mine = tops.setdefault((db, partition), {})
                for actor, counter in counters.items():
                    mine[actor] = max(counter, mine.get(actor, 0))
        entries_of: dict[tuple[str, str], list[tuple[int, int, dict[bytes, int]]]] = {}
        for (db, partition), counters in sorted(tops.items()):
            for target in nodes_of[partition] + besides[partition]:
                entries_of.setdefault(target, []).append((db, partition, counters))
        cleared = sorted(entries_of)
        if not cleared:
            return ""
        answers = yield [
            (node, ClearHint(owner, entries_of[node, owner]) if owner
             else Clear(entries_of[node, owner]))
            for node, owner in cleared
        ]
        done = {node for node, answer in zip(cleared, answers, strict=True) if answer is True}
        for _, partition in tops:
            stored = sum(1 for node in nodes_of[partition] if node in done)
            if stored < needs[partition]:
                return (
                    f"NOQUORUM W={needs[partition]} acknowledged={stored}: "
                    "the flush may still happen"
                )
        return ""


def _doubtful(
    held: dict[tuple[int, int, bytes], list[tuple[bytes, str]]],
    kept: dict[tuple[int, int, bytes], list[tuple[bytes, str]]], owners: int,
) -> list[tuple[int, int, bytes]]:
    """Keys about which owners differ, or of which a node keeps something else for an owner."""
    found = {
        name for name, seen in held.items()
        if len(seen) < owners or any(version != seen[0] for version in seen)
    }
    for name, seen in kept.items():
        if name not in held or any(version != held[name][0] for version in seen):
            found.add(name)
    return sorted(found)


def untag(cursor: int) -> tuple[int, int]:
    """The tag of a cursor, and the cursor without it. Both 0 for 0, where a scan begins."""
    if cursor == 0:
        return 0, 0
    tag, position = divmod(cursor - 1, 1 << _TAG_SHIFT)
    return tag, position + 1


def _position(cursor: int) -> tuple[int, int]:
    """The slot and place that a cursor stands for."""
    if cursor == 0:
        return 0, 0
    return cursor - 1 >> _PLACE_BITS, cursor - 1 & (1 << _PLACE_BITS) - 1
