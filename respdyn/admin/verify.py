"""DYN.CLUSTER VERIFY and REPAIR: are all copies the same, and make them so, now.

*Verify* compares the hash trees of all owners of every partition, goes down to the keys where they
differ, and looks at those again and again: a write on its way is no difference, and a key that
changes at every look is reported apart, as unsettled. It changes nothing. Owners that cannot be
reached make the answer incomplete, and the answer says so.

*Repair* has every node compare all that it shares with every other at once (exchange does the rest,
see `exchange`), and waits until each comparison was clean since.
"""

from collections.abc import Generator
from typing import Final

from respdyn.cluster.admission import EXCHANGE
from respdyn.cluster.questions import (
    Fetch,
    Keys,
    Leaves,
    Mend,
    Mending,
    Page,
    Pause,
    Roots,
    Segments,
)
from respdyn.cluster.tasks import Answer, Request, Task, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.replication.exchange import FETCH_KEYS, PAUSE_MS, URGENT_BATCH
from respdyn.replication.hash_tree import LEAF_BYTES, HashTrees
from respdyn.resp.replies import array, bulk, integer, map_, text
from respdyn.ring.hashing import Locator, is_locator

LOOKS: Final = 5                # at a suspect; as many pauses of `PAUSE_MS`
MOST_SUSPECTS: Final = 10_000   # keys that are looked at; more are not needed to know
SHOWN: Final = 100              # differing keys that are named
POLL_MS: Final = 250
STUCK_MS: Final = 60_000        # a repair without progress for so long has ended
NO_DIGEST: Final = b"\0"           # a digest that no record has: `Fetch` then brings digests alone

Copies = dict[str, bytes]       # owner -> digest; b"": holds nothing
_Steps = Generator[list[Request], list[Answer], None]


class Verification:
    """One run of VERIFY."""

    def __init__(self, node: ThisNode, trees: HashTrees) -> None:
        self._node = node
        self._trees = trees
        self.owners = {
            plan.partition: plan.owners for plan in node.plans[:: node.replica.width]
        }
        here = node.identity.node_id
        every = {owner for owners in self.owners.values() for owner in owners}
        self.silent = sorted(
            owner for owner in every if owner != here and not node.link_to(owner).is_up
        )
        self.suspects: dict[Locator, Copies] = {}
        self.unsettled: dict[Locator, Copies] = {}
        self.cleared_differ: list[int] = []     # partitions that differ by what was flushed alone
        self.is_cut_short = False

    def task(self, resp3: bool) -> Task:
        """Compares everything; the result is the reply."""
        node = self._node
        began_ms = node.now.now_ms
        differing = yield from self._roots()
        for partition in differing:
            yield from self._keys(partition)
            if len(self.suspects) >= MOST_SUSPECTS:
                self.is_cut_short = True
                break
        yield from self._look_again()
        rows = [
            map_([
                (bulk(b"db"), integer(name[2])), (bulk(b"key"), bulk(name[3:])),
                (bulk(b"copies"), map_([
                    (text(owner), text(digested.hex() or "none"))
                    for owner, digested in sorted(copies.items())
                ], resp3)),
            ], resp3)
            for name, copies in sorted(self.suspects.items())[:SHOWN]
        ]
        count = len(self.suspects) + len(self.cleared_differ)
        pairs = [
            ("verdict", text(self._verdict(count))),
            ("partitions", integer(len(self.owners))),
            ("partitions-differing", integer(len(differing))),
            ("differences", integer(count)),
            ("unsettled", integer(len(self.unsettled))),
            ("not-asked", array([text(owner) for owner in self.silent])),
            ("took-ms", integer(node.now.now_ms - began_ms)),
            ("keys", array(rows)),
        ]
        return map_([(text(name), value) for name, value in pairs], resp3)

    def _verdict(self, count: int) -> str:
        if count:
            more = "or more " if self.is_cut_short else ""
            return f"{count} {more}keys differ between copies: run DYN.CLUSTER REPAIR"
        if self.silent:
            return f"the copies of nodes in reach are the same; {len(self.silent)} were not asked"
        if self.unsettled:
            return f"all copies are the same but {len(self.unsettled)} keys that never rest"
        return "all copies are the same"

    # ---- the roots ----

    def _roots(self) -> Generator[list[Request], list[Answer], list[int]]:
        """The partitions whose owners do not all have the same root."""
        node = self._node
        left: dict[str, list[int]] = {}
        for partition, owners in self.owners.items():
            for owner in owners:
                if owner not in self.silent:
                    left.setdefault(owner, []).append(partition)
        roots: dict[int, set[bytes]] = {}
        while left:
            if not node.admission.room(EXCHANGE):
                wait_ms = node.admission.ready_ms(EXCHANGE) - node.now.now_ms
                yield [Pause(max(1, wait_ms))]
            queried = sorted(left)
            answers = yield [(owner, Roots(left[owner][:URGENT_BATCH])) for owner in queried]
            for owner, answer in zip(queried, answers, strict=True):
                reported = answer_as(list[bytes], answer) or []
                for partition, root in zip(left[owner], reported, strict=False):
                    roots.setdefault(partition, set()).add(root)
                left[owner] = left[owner][len(reported) :]
                if not reported:
                    self.silent.append(owner)
                if not reported or not left[owner]:
                    del left[owner]
        return sorted(partition for partition, found in roots.items() if len(found) > 1)

    # ---- the keys ----

    def _keys(self, partition: int) -> _Steps:
        """Find the keys of one partition that may differ."""
        trees = self._trees
        owners = [owner for owner in self.owners[partition] if owner not in self.silent]
        answers = yield [(owner, Segments(partition)) for owner in owners]
        reported = [answer_as(Leaves, answer) for answer in answers]
        leaves = [one.leaves for one in reported if one is not None]
        if len(leaves) < len(owners):
            self.silent += [o for o, one in zip(owners, reported, strict=True) if one is None]
            return
        segments = _unlike(leaves)
        if not segments:
            if len({repr(one.cleared) for one in reported if one is not None}) > 1:
                self.cleared_differ.append(partition)
            return
        stop = (trees.slots_of(partition).stop, 0)
        held: dict[str, dict[bytes, bytes]] = {}
        for owner in owners:
            at = (trees.slots_of(partition).start, 0)
            found = held[owner] = {}
            while at < stop:
                (raw,) = yield [(owner, Keys(partition, segments, *at))]
                page = answer_as(Page, raw)
                if page is None or (page.slot, page.place) <= at:
                    self.silent.append(owner)
                    return
                found.update(page.entries)
                at = (page.slot, page.place)
        for name in sorted(set().union(*held.values())):
            copies = {owner: found.get(name, b"") for owner, found in held.items()}
            if len(set(copies.values())) > 1 and is_locator(name):
                self.suspects[name] = copies

    def _look_again(self) -> _Steps:
        """Drop those that have become the same; put those aside that changed at every look."""
        for _ in range(LOOKS):
            if not self.suspects and not self.unsettled:
                return
            yield [Pause(PAUSE_MS)]
            names = sorted(self.suspects | self.unsettled)
            before = self.suspects | self.unsettled
            self.suspects, self.unsettled = {}, {}
            for start in range(0, len(names), FETCH_KEYS):
                chunk = names[start : start + FETCH_KEYS]
                yield from self._look_at(chunk, before)

    def _look_at(self, chunk: list[Locator], before: dict[Locator, Copies]) -> _Steps:
        owners = sorted({owner for name in chunk for owner in before[name]})
        queried = [owner for owner in owners if owner not in self.silent]
        answers = yield [
            (owner, Fetch([(name, NO_DIGEST) for name in chunk if owner in before[name]]))
            for owner in queried
        ]
        now: dict[Locator, Copies] = {name: {} for name in chunk}
        for owner, answer in zip(queried, answers, strict=True):
            names = [name for name in chunk if owner in before[name]]
            reported = answer_as(list[tuple[bytes, bytes]], answer) or []
            for name, (digested, _) in zip(names, reported, strict=False):
                now[name][owner] = digested
        for name, copies in now.items():
            if len(set(copies.values())) > 1:
                settled = copies == before[name]
                (self.suspects if settled else self.unsettled)[name] = copies


def repair(node: ThisNode, resp3: bool) -> Task:
    """Has all nodes compare everything now, and waits for them; the result is the reply."""
    began_ms = node.now.now_ms
    ring = node.ring
    assert ring is not None, "commands wait for the ring"
    here = node.identity.node_id
    members = [member.node_id for member in ring.members]
    queried = [name for name in members if name == here or node.link_to(name).is_up]
    left = first = -1
    repaired = 0
    starts = True
    moved_ms = node.now.now_ms
    while True:
        answers = yield [(name, Mend(starts)) for name in queried]
        starts = False
        reported = [answer_as(Mending, answer) for answer in answers]
        queried = [name for name, one in zip(queried, reported, strict=True) if one is not None]
        now = sum(one.left for one in reported if one is not None)
        repaired = sum(one.repaired for one in reported if one is not None)
        if now != left:
            moved_ms = node.now.now_ms
        left = now
        first = max(first, left)
        if not left or node.now.now_ms - moved_ms > STUCK_MS:
            break
        yield [Pause(POLL_MS)]
    silent = [name for name in members if name not in queried]
    if left:
        verdict = f"not finished: {left} comparisons make no progress; look at DYN.CLUSTER STATUS"
    elif silent:
        verdict = f"the nodes in reach hold the same; {len(silent)} could not be asked"
    else:
        verdict = "all copies are compared and the same"
    pairs = [
        ("verdict", text(verdict)), ("comparisons", integer(first)), ("left", integer(left)),
        ("keys-repaired", integer(repaired)),
        ("not-asked", array([text(name) for name in silent])),
        ("took-ms", integer(node.now.now_ms - began_ms)),
    ]
    return map_([(text(name), value) for name, value in pairs], resp3)


def _unlike(trees: list[bytes]) -> list[int]:
    """The segments in which not all leaves are the same, sorted."""
    first, *others = trees
    return [
        at // LEAF_BYTES for at in range(0, len(first), LEAF_BYTES)
        if any(other[at : at + LEAF_BYTES] != first[at : at + LEAF_BYTES] for other in others)
    ]
