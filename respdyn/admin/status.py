"""What the cluster looks like from here: DYN.EXPLAIN and DYN.CLUSTER, and their questions.

The replies are maps (in RESP2 flat lists of names and values), so that redis-cli alone is enough to
see who is up, who keeps a key, and which versions of it the replicas hold.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import msgspec

from respdyn.admin.sync_wait import sync_wait
from respdyn.admin.verdict import ClusterFacts, NodeFacts, verdict
from respdyn.admin.verify import Verification, repair
from respdyn.cluster.questions import (
    Explain,
    Run,
    Status,
)
from respdyn.cluster.tasks import Answer, Task, Wish, answer_as
from respdyn.cluster.versions import Version
from respdyn.commands.dyn import parse_wait
from respdyn.coordination.calls import Continuation
from respdyn.errors import ReplyError
from respdyn.membership.membership import address_of
from respdyn.resp.replies import array, bulk, error, integer, map_, text
from respdyn.ring.hashing import PREFIX, slot_of
from respdyn.ring.ring import Member
from respdyn.sessions import pubsub_tasks

if TYPE_CHECKING:
    from respdyn.node import Node


class Health(msgspec.Struct, array_like=True):
    """How a node is, by its own word."""

    records: int
    keys: int
    sessions: int
    in_flight: int
    can_store: bool
    ring_version: int
    clock_ms: int
    peers_up: int
    clean_age_ms: int = -1
    differences: int = 0
    hints: int = 0
    hint_bytes: int = 0
    hint_age_ms: int = 0
    disk: str = ""
    is_clock_doubted: bool = False
    repairs_due: int = 0


class ClusterView:
    """Makes the tasks of these commands, and answers the questions of all tasks."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def run(self, wish: Run, done: Callable[[bytes], None]) -> None:
        """Run a command for a task."""
        node = self._node
        try:
            reply = node.dispatcher.run(
                wish.argv, wish.db, False, node.this.default_terms, Continuation(done)
            )
        except ReplyError as wrong:
            reply = error(wrong.text)
        if reply is not None:
            done(reply)

    def health(self) -> Health:
        """How this node is, by its own word."""
        node = self._node
        ring = node.membership.ring
        return Health(
            records=node.replica.records, keys=sum(map(sum, node.replica.live)),
            sessions=len(node.front.sessions), in_flight=node.front.held(),
            can_store=not node.this.store_failure,
            ring_version=ring.version if ring else 0, clock_ms=node.standing.clock.raw_ms,
            peers_up=sum(1 for link in node.links.values() if link.is_up),
            clean_age_ms=node.exchange.clean_age_ms(),
            differences=node.counters.exchange_differences,
            hints=node.hints.count, hint_bytes=node.hints.bytes,
            hint_age_ms=node.hints.oldest_age_ms(),
            disk=node.this.store_failure, is_clock_doubted=node.standing.clock.is_doubted,
            repairs_due=node.exchange.due(),
        )

    # ---- the asking side ----

    def task(self, name: str, argv: list[bytes], db: int, resp3: bool) -> Task:
        """The task of a command that looks at the cluster."""
        if name == "dyn.explain":
            return self._explain(argv[1], db, resp3)
        if name == "dyn.cluster|status":
            return self._status(resp3)
        if name == "dyn.syncwait":
            return sync_wait(self._node.this, parse_wait(argv[1]))
        if name == "dyn.cluster|members":
            return _at_once(self._members(resp3))
        if name.startswith("pubsub|"):
            return pubsub_tasks.task(self._everybody(), name, argv)
        if name == "dyn.cluster|verify":
            return Verification(self._node).task(resp3)
        if name == "dyn.cluster|repair":
            return repair(self._node, resp3)
        if name == "dyn.cluster|ring":
            return _at_once(self._ring(resp3))
        return self._node.staging.task(name.partition("|")[2], argv, resp3)

    def _everybody(self) -> list[str]:
        """This node and all that can be reached."""
        others = [
            peer for peer, link in sorted(self._node.links.items()) if link.is_up and link.is_member
        ]
        return [self._node.identity.node_id, *others]

    def state_of(self, node_id: str) -> str:
        """How this node sees another: up, down, or up but cannot store."""
        node = self._node
        if node_id == node.identity.node_id:
            return "cannot-store" if node.this.store_failure else "up"
        link = node.links.get(node_id)
        if link is None or not link.is_up:
            return "down"
        return "up" if link.can_store else "cannot-store"

    def _explain(self, key: bytes, db: int, resp3: bool) -> Task:
        node = self._node
        slot = slot_of(key)
        plan = node.this.plans[slot]
        asked = [
            owner for owner in plan.owners
            if owner == node.identity.node_id or node.link_to(owner).is_up
        ]
        locator = PREFIX[db][slot] + key
        stand_ins = node.coverage.stand_ins_of(plan)
        wishes: list[Wish] = [(owner, Explain(locator)) for owner in asked]
        wishes += [(name, Explain(locator, True)) for name, _ in stand_ins]
        answers = yield wishes
        told = dict(zip(asked, answers, strict=False))
        replicas = []
        for owner in plan.owners:
            pairs = self._where(owner)
            pairs.append((b"state", text(self.state_of(owner))))
            role = "coordinator" if owner == plan.coordinator else "primary"
            pairs.append((b"role", text(role)))
            version = answer_as(Version, told.get(owner))
            if version is not None:
                pairs.extend(_version_pairs(version))
            replicas.append(_named(pairs, resp3))
        for (name, owner), answer in zip(stand_ins, answers[len(asked) :], strict=True):
            pairs = self._where(name)
            role = "coordinator" if name == plan.coordinator else "fallback"
            pairs += [
                (b"state", text(self.state_of(name))), (b"role", text(role)),
                (b"stands-in-for", text(owner)),
            ]
            version = answer_as(Version, answer)
            if version is not None:
                pairs.extend(_version_pairs(version))
            replicas.append(_named(pairs, resp3))
        return _named([
            (b"key", bulk(key)), (b"db", integer(db)), (b"slot", integer(slot)),
            (b"partition", integer(plan.partition)), (b"replicas", array(replicas)),
        ], resp3)

    def _status(self, resp3: bool) -> Task:
        node = self._node
        ring = node.membership.ring
        assert ring is not None, "commands wait for the ring"
        asked = [
            member.node_id for member in ring.members
            if member.node_id == node.identity.node_id or node.link_to(member.node_id).is_up
        ]
        answers = yield [(name, Status()) for name in asked]
        told = dict(zip(asked, answers, strict=True))
        rows = []
        up = 0
        progress = node.transfer.progress()
        facts = self._facts()
        facts.moving, facts.filling = progress.moving, progress.filling + progress.unfilled
        facts.eta_ms = progress.eta_ms if progress.incoming else -1
        facts.to_hand_over = sum(
            told_state.leftovers for member in ring.members
            if (told_state := node.transfers.state_of(member.node_id)) is not None
        )
        for member in ring.members:
            state = self.state_of(member.node_id)
            up += state == "up"
            pairs = self._where(member.node_id)
            one = NodeFacts(f"{member.host}:{member.client_port}", state, zone=member.zone)
            one.has_successor = node.gossip.vacancies.has_successor(member.node_id)
            one.is_here = member.node_id == node.identity.node_id
            facts.nodes.append(one)
            link = node.links.get(member.node_id)
            if link is not None:
                one.is_unmet = not link.changed_ms
                one.down_ms = node.now_ms - (link.changed_ms or node.standing.started_ms)
                one.reason = node.standing.unreached.get(address_of(link.member or member), "")
                if link.is_connected:
                    one.reason = "a connection stands, and nothing comes back"
                one.spared = link.spared
            pairs.append((b"state", text(state)))
            pairs.append((b"spared", text(one.spared)))
            pairs.append((b"zone", text(member.zone)))
            owned = sum(
                1 for p in range(ring.partitions) if member.node_id in ring.owners_of(p)
            )
            pairs.append((b"partitions", integer(owned)))
            health = answer_as(Health, told.get(member.node_id))
            if health is not None:
                offset_ms = 0
                if link is not None and member.node_id != node.identity.node_id:
                    offset_ms = health.clock_ms - node.standing.clock.raw_ms
                    known_ms = node.standing.clock.offset_ms(link)
                    offset_ms = offset_ms if known_ms is None else known_ms
                one.disk, one.is_clock_doubted = health.disk, health.is_clock_doubted
                one.clean_age_ms, one.clock_offset_ms = health.clean_age_ms, offset_ms
                one.ring_version = health.ring_version
                one.hints, one.hint_age_ms = health.hints, health.hint_age_ms
                pairs += [
                    (b"disk", text(health.disk or "ok")),
                    (b"keys", integer(health.keys)), (b"records", integer(health.records)),
                    (b"clients", integer(health.sessions)),
                    (b"in-flight", integer(health.in_flight)),
                    (b"ring-version", integer(health.ring_version)),
                    (b"peers-up", integer(health.peers_up)),
                    (b"clean-exchange-age-ms", integer(health.clean_age_ms)),
                    (b"exchange-differences", integer(health.differences)),
                    (b"hints", integer(health.hints)), (b"hint-bytes", integer(health.hint_bytes)),
                    (b"hint-age-ms", integer(health.hint_age_ms)),
                    (b"comparisons-due", integer(health.repairs_due)),
                    (b"clock-offset-ms", integer(offset_ms)),
                ]
            rows.append(_named(pairs, resp3))
        weak = facts.below_n, facts.below_w
        first, *more = verdict(facts)
        return _named([
            (b"verdict", text(first)), (b"problems", array([text(line) for line in more])),
            (b"cluster", text(ring.cluster_id)), (b"ring-version", integer(ring.version)),
            (b"seen-from", text(node.identity.node_id)),
            (b"n", integer(ring.n)), (b"r", integer(node.this.default_terms.r)),
            (b"w", integer(node.this.default_terms.w)), (b"nodes", integer(len(ring.members))),
            (b"nodes-up", integer(up)), (b"partitions", integer(ring.partitions)),
            (b"partitions-below-n", integer(weak[0])),
            (b"partitions-below-w", integer(weak[1])),
            (b"partitions-moving", integer(progress.moving)),
            (b"partitions-filling", integer(progress.filling + progress.unfilled)),
            (b"partitions-to-hand-over", integer(progress.leftovers)),
            (b"filled-here-in-ms", integer(facts.eta_ms)),
            (b"members", array(rows)),
        ], resp3)

    def _facts(self) -> ClusterFacts:
        """What is known of the cluster without asking anybody."""
        node = self._node
        ring = node.membership.ring
        assert ring is not None, "commands wait for the ring"
        below_n, below_w, below_r = self._weak_partitions()
        terms = node.this.default_terms
        return ClusterFacts(
            partitions=ring.partitions, below_n=below_n, below_w=below_w, w=terms.w,
            below_r=below_r, r=terms.r,
            ring_version=ring.version, clock_limit_ms=node.settings.max_clock_offset_ms,
            is_compared=bool(node.settings.exchange_interval_ms) and len(ring.members) > 1,
        )

    def _weak_partitions(self) -> tuple[int, int, int]:
        """How many partitions lack owners in reach; and how many refuse writes, and reads, as far
        as this node can tell. Nodes that stand in count as they do for a request.
        """
        node = self._node
        terms = node.this.default_terms
        here = node.identity.node_id
        can_store = not node.this.store_failure
        below_n = below_w = below_r = 0
        for plan in node.this.plans[:: node.replica.width]:
            able = sum(1 for owner in plan.owners if self.state_of(owner) == "up")
            replicas = plan.replicas
            copies = len(replicas.shipped) + (
                can_store and (here in plan.owners or plan.stands_in_for != "")
            )
            owners = len(replicas.readers) + plan.is_owner
            answers = owners + len(replicas.stand_ins) + (plan.stands_in_for != "")
            below_n += able < len(plan.owners)
            below_w += not plan.coordinator or copies < min(terms.w, plan.n)
            below_r += not owners or answers < min(terms.r, plan.n)
        return below_n, below_w, below_r

    def _members(self, resp3: bool) -> bytes:
        ring = self._node.membership.ring
        assert ring is not None, "commands wait for the ring"
        rows = []
        for member in ring.members:
            pairs = self._where(member.node_id)
            pairs += [
                (b"state", text(self.state_of(member.node_id))), (b"zone", text(member.zone)),
                (b"weight", integer(member.weight)), (b"membership", text(member.state)),
                (b"peer", text(address_of(member))),
            ]
            rows.append(_named(pairs, resp3))
        for name, visitor in sorted(self._node.membership.visitors.items()):
            one = visitor.member
            pairs = [
                (b"node", text(name)), (b"address", text(f"{one.host}:{one.client_port}")),
                (b"state", text(self.state_of(name))), (b"zone", text(one.zone)),
                (b"weight", integer(one.weight)),
                (b"membership", text("was-member" if visitor.was_member else "waiting")),
                (b"peer", text(address_of(one))),
            ]
            rows.append(_named(pairs, resp3))
        return array(rows)

    def _ring(self, resp3: bool) -> bytes:
        ring = self._node.membership.ring
        assert ring is not None, "commands wait for the ring"
        rows = []
        for partition in range(ring.partitions):
            slots = ring.slots_of(partition)
            rows.append(array([
                integer(partition), integer(slots.start), integer(slots.stop - 1),
                array([text(owner) for owner in ring.owners_of(partition)]),
            ]))
        return _named([
            (b"cluster", text(ring.cluster_id)), (b"version", integer(ring.version)),
            (b"n", integer(ring.n)), (b"partitions", array(rows)),
        ], resp3)

    def _where(self, node_id: str) -> list[tuple[bytes, bytes]]:
        member = self.member(node_id)
        address = f"{member.host}:{member.client_port}" if member is not None else "?"
        return [(b"node", text(node_id)), (b"address", text(address))]

    def whom(self) -> tuple[str, str]:
        """The peer that whoever is answered now has waited for, and its address; or "" twice."""
        peer = self._node.latencies.whom
        member = self.member(peer) if peer else None
        return peer, f"{member.host}:{member.client_port}" if member is not None else ""

    def member(self, node_id: str) -> Member | None:
        """A node's places, as it last told them itself if it did."""
        node = self._node
        link = node.links.get(node_id)
        if link is not None and link.member is not None:
            return link.member
        if node_id == node.identity.node_id:
            return node.membership.here
        ring = node.membership.ring
        return ring.member(node_id) if ring is not None else None


def _at_once(reply: bytes) -> Generator[list[Wish], list[Answer], bytes]:
    """A task that asks nobody."""
    yield []
    return reply


def _named(pairs: list[tuple[bytes, bytes]], resp3: bool) -> bytes:
    return map_([(bulk(name), value) for name, value in pairs], resp3)


def _version_pairs(version: Version) -> list[tuple[bytes, bytes]]:
    return [
        (b"holds", text(version.holds)),
        (b"dots", array([text(dot) for dot in version.dots])),
        (b"context", text(version.context)),
        (b"clock", integer(version.clock_ms)),
        (b"bytes", integer(version.size)),
        (b"expires", integer(version.expire_at)),
    ]
