"""Reports as RESP: maps, and in RESP2 flat lists of names and values.

So redis-cli alone is enough to see who is up, who keeps a key, and which versions the nodes hold.
"""

from respdyn.admin.health import Health
from respdyn.admin.report import ClusterReport, KeyReport, ListedMember, MemberReport, RingReport
from respdyn.cluster.versions import Version
from respdyn.resp.replies import array, bulk, integer, map_, text

Pairs = list[tuple[bytes, bytes]]


def cluster(report: ClusterReport, resp3: bool) -> bytes:
    """DYN.CLUSTER STATUS."""
    up = sum(member.state == "up" for member in report.members)
    return _named([
        (b"verdict", text(report.verdict)),
        (b"problems", array([text(line) for line in report.problems])),
        (b"cluster", text(report.cluster)), (b"ring-version", integer(report.ring_version)),
        (b"seen-from", text(report.seen_from)),
        (b"n", integer(report.n)), (b"r", integer(report.r)), (b"w", integer(report.w)),
        (b"nodes", integer(len(report.members))), (b"nodes-up", integer(up)),
        (b"partitions", integer(report.partitions)),
        (b"partitions-below-n", integer(report.below_n)),
        (b"partitions-below-w", integer(report.below_w)),
        (b"partitions-moving", integer(report.moving)),
        (b"partitions-filling", integer(report.filling)),
        (b"partitions-to-hand-over", integer(report.to_hand_over)),
        (b"filled-here-in-ms", integer(report.eta_ms)),
        (b"members", array([_named(_member(one), resp3) for one in report.members])),
    ], resp3)


def _member(member: MemberReport) -> Pairs:
    pairs = [
        (b"node", text(member.node)), (b"address", text(member.address)),
        (b"state", text(member.state)), (b"spared", text(member.deprioritized)),
        (b"zone", text(member.zone)), (b"partitions", integer(member.partitions)),
    ]
    if member.health is not None:
        pairs += _health(member.health)
        pairs.append((b"clock-offset-ms", integer(member.clock_offset_ms)))
    return pairs


def _health(health: Health) -> Pairs:
    return [
        (b"disk", text(health.disk or "ok")),
        (b"keys", integer(health.keys)), (b"records", integer(health.records)),
        (b"clients", integer(health.sessions)), (b"in-flight", integer(health.in_flight)),
        (b"ring-version", integer(health.ring_version)), (b"peers-up", integer(health.peers_up)),
        (b"clean-exchange-age-ms", integer(health.clean_age_ms)),
        (b"exchange-differences", integer(health.differences)),
        (b"hints", integer(health.hints)), (b"hint-bytes", integer(health.hint_bytes)),
        (b"hint-age-ms", integer(health.hint_age_ms)),
        (b"comparisons-due", integer(health.repairs_due)),
        (b"refused", integer(health.refused)),
    ]


def members(listed: list[ListedMember], resp3: bool) -> bytes:
    """DYN.CLUSTER MEMBERS."""
    return array([
        _named([
            (b"node", text(one.node)), (b"address", text(one.address)),
            (b"state", text(one.state)), (b"zone", text(one.zone)),
            (b"weight", integer(one.weight)), (b"membership", text(one.membership)),
            (b"peer", text(one.peer)),
        ], resp3)
        for one in listed
    ])


def ring(report: RingReport, resp3: bool) -> bytes:
    """DYN.CLUSTER RING."""
    rows = [
        array([
            integer(one.partition), integer(one.first_slot), integer(one.last_slot),
            array([text(owner) for owner in one.owners]),
        ])
        for one in report.partitions
    ]
    return _named([
        (b"cluster", text(report.cluster)), (b"version", integer(report.version)),
        (b"n", integer(report.n)), (b"partitions", array(rows)),
    ], resp3)


def key(report: KeyReport, resp3: bool) -> bytes:
    """DYN.EXPLAIN."""
    rows = []
    for copy in report.copies:
        pairs = [
            (b"node", text(copy.node)), (b"address", text(copy.address)),
            (b"state", text(copy.state)), (b"role", text(copy.role)),
        ]
        if copy.stands_in_for:
            pairs.append((b"stands-in-for", text(copy.stands_in_for)))
        if copy.version is not None:
            pairs += _version(copy.version)
        rows.append(_named(pairs, resp3))
    return _named([
        (b"key", bulk(report.key)), (b"db", integer(report.db)), (b"slot", integer(report.slot)),
        (b"partition", integer(report.partition)), (b"replicas", array(rows)),
    ], resp3)


def _version(version: Version) -> Pairs:
    return [
        (b"holds", text(version.holds)),
        (b"dots", array([text(dot) for dot in version.dots])),
        (b"context", text(version.context)),
        (b"clock", integer(version.clock_ms)),
        (b"bytes", integer(version.size)),
        (b"expires", integer(version.expire_at)),
    ]


def _named(pairs: Pairs, resp3: bool) -> bytes:
    return map_([(bulk(name), value) for name, value in pairs], resp3)
