"""Status: the cluster as this node sees it, for DYN.CLUSTER STATUS, MEMBERS, RING and DYN.EXPLAIN.

Each is a report (`report`), made of what this node knows and of what those that it reaches answer.
"""

from collections.abc import Generator

from respdyn.admin.health import Health
from respdyn.admin.report import (
    ClusterReport,
    CopyReport,
    KeyReport,
    ListedMember,
    MemberReport,
    PartitionReport,
    RingReport,
)
from respdyn.admin.verdict import ClusterFacts, NodeFacts, verdict
from respdyn.cluster.questions import Explain, Status
from respdyn.cluster.tasks import Answer, Request, answer_as
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.versions import Version
from respdyn.coordination.coverage import Coverage
from respdyn.membership.directory import Directory
from respdyn.membership.gossip import Gossip
from respdyn.membership.membership import Membership, address_of
from respdyn.membership.readiness import Readiness
from respdyn.replication.transfer import Transfer
from respdyn.ring.hashing import locator_in, slot_of
from respdyn.ring.ring import Member, Ring


class ClusterStatus:
    """Makes the reports."""

    def __init__(
        self, node: ThisNode, directory: Directory, membership: Membership, gossip: Gossip,
        readiness: Readiness, coverage: Coverage, work: Transfer,
    ) -> None:
        self._node = node
        self._directory = directory
        self._membership = membership
        self._gossip = gossip
        self._readiness = readiness
        self._coverage = coverage
        self._work = work

    # ---- the whole cluster ----

    def cluster(self) -> Generator[list[Request], list[Answer], ClusterReport]:
        """DYN.CLUSTER STATUS."""
        node = self._node
        ring = self._ring()
        queried = [
            member.node_id for member in ring.members
            if member.node_id == node.identity.node_id or node.link_to(member.node_id).is_up
        ]
        answers = yield [(name, Status()) for name in queried]
        reported = dict(zip(queried, answers, strict=True))
        progress = self._work.progress()
        facts = self._facts(ring)
        facts.moving, facts.filling = progress.moving, progress.filling + progress.unfilled
        facts.eta_ms = progress.eta_ms if progress.incoming else -1
        facts.to_hand_over = sum(
            state.leftovers for member in ring.members
            if (state := node.transfers.state_of(member.node_id)) is not None
        )
        members = []
        for member in ring.members:
            report = self._member(ring, member, answer_as(Health, reported.get(member.node_id)))
            members.append(report)
            facts.nodes.append(self._judged(member, report))
        first, *more = verdict(facts)
        terms = node.default_terms
        return ClusterReport(
            verdict=first, problems=more, cluster=ring.cluster_id, ring_version=ring.version,
            seen_from=node.identity.node_id, n=ring.n, r=terms.r, w=terms.w,
            partitions=ring.partitions, below_n=facts.below_n, below_w=facts.below_w,
            moving=facts.moving, filling=facts.filling, to_hand_over=progress.leftovers,
            eta_ms=facts.eta_ms, members=members,
        )

    def _member(self, ring: Ring, member: Member, health: Health | None) -> MemberReport:
        name = member.node_id
        link = self._node.links.get(name)
        offset_ms = 0
        if health is not None and link is not None and name != self._node.identity.node_id:
            offset_ms = health.clock_ms - self._readiness.clock.raw_ms
            known_ms = self._readiness.clock.offset_ms(link)
            offset_ms = offset_ms if known_ms is None else known_ms
        return MemberReport(
            node=name, address=self._directory.address_of(name),
            state=self._directory.state_of(name),
            deprioritized=link.deprioritized if link is not None else "", zone=member.zone,
            partitions=sum(1 for p in range(ring.partitions) if name in ring.owners_of(p)),
            health=health, clock_offset_ms=offset_ms,
        )

    def _judged(self, member: Member, report: MemberReport) -> NodeFacts:
        """What the verdict rests on."""
        node = self._node
        one = NodeFacts(f"{member.host}:{member.client_port}", report.state, zone=member.zone)
        one.has_successor = self._gossip.takeovers.has_successor(member.node_id)
        one.is_here = member.node_id == node.identity.node_id
        one.deprioritized = report.deprioritized
        link = node.links.get(member.node_id)
        if link is not None:
            one.is_unmet = not link.changed_ms
            one.down_ms = node.now.now_ms - (link.changed_ms or self._readiness.started_ms)
            one.reason = self._readiness.unreached.get(address_of(link.member or member), "")
            if link.is_connected:
                one.reason = "a connection stands, and nothing comes back"
        health = report.health
        if health is not None:
            one.disk, one.is_clock_doubted = health.disk, health.is_clock_doubted
            one.clean_age_ms, one.clock_offset_ms = health.clean_age_ms, report.clock_offset_ms
            one.ring_version, one.refused = health.ring_version, health.refused
            one.hints, one.hint_age_ms = health.hints, health.hint_age_ms
        return one

    def _facts(self, ring: Ring) -> ClusterFacts:
        """What this node knows of the cluster without a request to any other."""
        node = self._node
        below_n, below_w, below_r = self._weak_partitions()
        terms = node.default_terms
        return ClusterFacts(
            partitions=ring.partitions, below_n=below_n, below_w=below_w, w=terms.w,
            below_r=below_r, r=terms.r,
            ring_version=ring.version, clock_limit_ms=node.settings.max_clock_offset_ms,
            is_compared=bool(node.settings.exchange_interval_ms) and len(ring.members) > 1,
        )

    def _weak_partitions(self) -> tuple[int, int, int]:
        """How many partitions lack owners in reach; and how many refuse writes, and reads, as far
        as this node knows. Nodes that stand in count as they do for a request.
        """
        node = self._node
        terms = node.default_terms
        here = node.identity.node_id
        can_store = not node.store_failure
        below_n = below_w = below_r = 0
        for plan in node.plans[:: node.replica.width]:
            able = sum(1 for owner in plan.owners if self._directory.state_of(owner) == "up")
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

    def members(self) -> list[ListedMember]:
        """DYN.CLUSTER MEMBERS."""
        state_of = self._directory.state_of
        listed = [
            ListedMember(
                member.node_id, self._directory.address_of(member.node_id),
                state_of(member.node_id), member.zone, member.weight, member.state,
                address_of(member),
            )
            for member in self._ring().members
        ]
        for name, visitor in sorted(self._membership.visitors.items()):
            one = visitor.member
            listed.append(ListedMember(
                name, f"{one.host}:{one.client_port}", state_of(name), one.zone, one.weight,
                "was-member" if visitor.was_member else "waiting", address_of(one),
            ))
        return listed

    def ring(self) -> RingReport:
        """DYN.CLUSTER RING."""
        ring = self._ring()
        rows = []
        for partition in range(ring.partitions):
            slots = ring.slots_of(partition)
            rows.append(PartitionReport(
                partition, slots.start, slots.stop - 1, tuple(ring.owners_of(partition))
            ))
        return RingReport(ring.cluster_id, ring.version, ring.n, rows)

    def _ring(self) -> Ring:
        ring = self._node.ring
        assert ring is not None, "commands wait for the ring"
        return ring

    # ---- one key ----

    def key(self, key: bytes, db: int) -> Generator[list[Request], list[Answer], KeyReport]:
        """DYN.EXPLAIN."""
        node = self._node
        slot = slot_of(key)
        plan = node.plans[slot]
        queried = [
            owner for owner in plan.owners
            if owner == node.identity.node_id or node.link_to(owner).is_up
        ]
        locator = locator_in(slot, db, key)
        stand_ins = self._coverage.stand_ins_of(plan)
        requests: list[Request] = [(owner, Explain(locator)) for owner in queried]
        requests += [(name, Explain(locator, True)) for name, _ in stand_ins]
        answers = yield requests
        reported = dict(zip(queried, answers, strict=False))
        copies = []
        for owner in plan.owners:
            role = "coordinator" if owner == plan.coordinator else "primary"
            copies.append(self._copy(owner, role, "", reported.get(owner)))
        for (name, owner), answer in zip(stand_ins, answers[len(queried) :], strict=True):
            role = "coordinator" if name == plan.coordinator else "fallback"
            copies.append(self._copy(name, role, owner, answer))
        return KeyReport(key, db, slot, plan.partition, copies)

    def _copy(self, name: str, role: str, owner: str, answer: Answer) -> CopyReport:
        return CopyReport(
            name, self._directory.address_of(name), self._directory.state_of(name), role, owner,
            answer_as(Version, answer),
        )
