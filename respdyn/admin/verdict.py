"""The verdict of STATUS: what is wrong with the cluster, and what to do about it, in few lines.

The first line of DYN.CLUSTER STATUS is *all well*, or it says what hurts most; each further line
is one thing that is wrong, the worst first, with the next step. What mends itself says so.
"""

from dataclasses import dataclass, field
from statistics import median_low
from typing import Final

OLD_EXCHANGE_MS: Final = 600_000     # copies that were not found the same for so long

DEPRIORITIZED: Final = {
    "slow": ("answers too late", "look at its load and its network"),
    "unsteady": ("comes and goes", "look at its log and its network"),
    "silent": ("has just fallen silent", "look at its log and its network"),
    "busy": ("has more to do than it can", "slow the clients down"),
}

# Why a node cannot be reached, by words of the reason; else it counts as gone.
CAUSES: Final = (
    ("peer secret", "give it the peer-secret of the others"),
    ("belongs to cluster", "another cluster's node is at its address: see its data-dir and seeds"),
    ("this node's id", "a data directory was copied: start the copy empty"),
    ("protocol version", "run versions that go together"),
    ("TLS", "look at the certificates of both"),
    ("no respdyn peer port", "something else listens at its address"),
    ("handshake took too long", "its process hangs or is stopped: look at its machine"),
    ("no answer", "its machine is off, or the network is cut: look at both"),
    ("nothing comes back", "it does not reach this node: look at its network and its log"),
    ("unreachable", "the network is cut: look at it"),
    ("No route", "the network is cut: look at it"),
    ("not known", "look at the name service"),
)

Problem = tuple[str, str]            # what is wrong, and what to do


@dataclass(slots=True)
class NodeFacts:
    """One member, as the reporting node sees it, and as it reports itself if it is up."""

    name: str                           # address, for people
    state: str                          # up, down, cannot-store
    zone: str = ""
    is_here: bool = False               # the reporting node
    down_ms: int = 0                    # for so long, as seen from here
    is_unmet: bool = False              # since the reporting node started
    reason: str = ""                    # why it cannot be reached, as far as that is known
    has_successor: bool = False         # a node with an empty directory waits at its address
    deprioritized: str = ""
    disk: str = ""                      # why it cannot store
    clean_age_ms: int = 0               # -1: something was never compared
    clock_offset_ms: int = 0
    is_clock_doubted: bool = False
    ring_version: int = 0
    hints: int = 0
    hint_age_ms: int = 0
    refused: int = 0                    # of what peers claimed: it cannot be true


@dataclass(slots=True)
class ClusterFacts:
    """What is known of the whole."""

    partitions: int
    below_n: int
    below_w: int
    w: int
    ring_version: int
    clock_limit_ms: int
    is_compared: bool                   # exchange is on, and there is another owner to compare with
    below_r: int = 0                    # who refuse reads: owners are down, or are to be filled
    r: int = 1
    moving: int = 0                     # partitions that change hands
    filling: int = 0                    # of these, or lost: some owner does not hold all yet
    to_hand_over: int = 0               # held by nodes that own them no more
    eta_ms: int = -1                    # until the reporting node has filled its own; -1: unknown
    nodes: list[NodeFacts] = field(default_factory=list)


def verdict(facts: ClusterFacts) -> list[str]:
    """The verdict, and then what is wrong, the worst first."""
    wrong = [*_lost(facts), *_sick(facts)]
    mending = _mending(facts)
    up = sum(node.state != "down" for node in facts.nodes)
    if facts.below_w:
        head = (
            f"WRITES REFUSED: {facts.below_w} of {facts.partitions} partitions have fewer than"
            f" W={facts.w} nodes in reach to write to"
        )
    elif facts.below_r:
        head = (
            f"READS REFUSED: {facts.below_r} of {facts.partitions} partitions have fewer than"
            f" R={facts.r} nodes in reach to read from"
        )
    elif wrong:
        head = f"clients are served, but {wrong[0][0]}"
    elif mending:
        head = f"well, and mending itself: {up} of {len(facts.nodes)} nodes up"
    else:
        compared = [node.clean_age_ms for node in facts.nodes]
        oldest = f", copies compared within {age(max(compared))}" if facts.is_compared else ""
        head = f"all well: {up} of {len(facts.nodes)} nodes up, all partitions whole{oldest}"
    return [head, *(f"{what}: {step}" for what, step in wrong), *mending]


def _lost(facts: ClusterFacts) -> list[Problem]:
    lines: list[Problem] = []
    zones = _lost_zones(facts)
    for zone, lost in zones.items():
        names = " and ".join(node.name for node in lost)
        reasons = sorted({_because(node) for node in lost})
        lines.append((
            f"zone {zone} is lost: {names} down for {age(min(node.down_ms for node in lost))}"
            + reasons[0] * (len(reasons) == 1),
            "bring its machines or its network back" if len(reasons) > 1 else _step(lost[0]),
        ))
    for node in facts.nodes:
        if node.state == "down" and node.zone not in zones:
            since = age(node.down_ms)
            what = f"was not met in the {since} since the reporting node started" * node.is_unmet
            lines.append((f"{node.name} {what or f'is down for {since}'}{_because(node)}",
                          _step(node)))
    for node in facts.nodes:
        if node.disk or node.state == "cannot-store":
            reason = node.disk or "by its own word"
            lines.append((
                f"{node.name} cannot store ({reason})", "make room; it recovers by itself"
            ))
    if facts.below_n and not lines:
        lines.append((
            f"{facts.below_n} of {facts.partitions} partitions have fewer than N owners in reach",
            "see DYN.CLUSTER MEMBERS",
        ))
    return lines


def _lost_zones(facts: ClusterFacts) -> dict[str, list[NodeFacts]]:
    """Zones of which no node is up, while other zones have some."""
    zones: dict[str, list[NodeFacts]] = {}
    for node in facts.nodes:
        zones.setdefault(node.zone, []).append(node)
    lost = {
        zone: nodes for zone, nodes in zones.items()
        if zone and all(node.state == "down" for node in nodes)
    }
    return lost if len(lost) < len(zones) else {}


def _because(node: NodeFacts) -> str:
    return f" ({node.reason})" if node.reason else ""


def _step(node: NodeFacts) -> str:
    """What to do about a node that is down."""
    if node.has_successor:
        return "a node with an empty disk is there and takes its place when most members reach it"
    for words, step in CAUSES:
        if words in node.reason:
            return step
    return "see its log, start it again with the same settings"


def _sick(facts: ClusterFacts) -> list[Problem]:
    lines = _clocks(facts)
    for node in facts.nodes:
        if node.deprioritized in DEPRIORITIZED and node.state != "down":
            what, step = DEPRIORITIZED[node.deprioritized]
            lines.append((f"{node.name} {what}", step))
        if node.refused:
            lines.append((
                f"{node.name} has refused what cannot be true from a member {node.refused} times",
                "see peer_refused in its log for who, and stop that one; then CONFIG RESETSTAT",
            ))
        if facts.is_compared and node.clean_age_ms > OLD_EXCHANGE_MS:
            lines.append((
                f"{node.name} has not found its copies the same for {age(node.clean_age_ms)}",
                "run DYN.CLUSTER VERIFY",
            ))
    return lines


def _clocks(facts: ClusterFacts) -> list[Problem]:
    """Whose clock is wrong: the node that differs from most, be it the reporting one. Between two
    nodes nothing shows which it is.
    """
    up = [node for node in facts.nodes if node.state != "down"]
    limit_ms = facts.clock_limit_ms
    doubted = [node for node in up if node.is_clock_doubted]
    if len(up) == 2 and not doubted:
        apart_ms = up[1].clock_offset_ms - up[0].clock_offset_ms
        if abs(apart_ms) <= limit_ms:
            return []
        return [(
            f"the clocks of {up[0].name} and {up[1].name} differ by {abs(apart_ms)} ms",
            "set the wrong one right (NTP)",
        )]
    # A node that doubts its own clock reports what it is set to; the others agree among themselves.
    trusted = [node for node in up if not node.is_clock_doubted] or up
    middle_ms = median_low(node.clock_offset_ms for node in trusted) if trusted else 0
    lines = []
    for node in up:
        away_ms = node.clock_offset_ms - middle_ms
        if node.is_clock_doubted or abs(away_ms) > limit_ms:
            far = f", {away_ms:+} ms from the others" if away_ms else ""
            here = " (the reporting node)" * node.is_here
            lines.append((f"{node.name}{here} has a wrong clock{far}", "set it right (NTP)"))
    return lines


def _mending(facts: ClusterFacts) -> list[str]:
    lines = []
    others = sorted({n.ring_version for n in facts.nodes if n.ring_version} - {facts.ring_version})
    if others:
        lines.append("a new ring is on its way: not all nodes know it yet")
    if facts.moving:
        lines.append(f"{facts.moving} partitions are moving to new owners")
    if facts.filling:
        eta = f"; here in about {age(facts.eta_ms)}" if facts.eta_ms >= 0 else ""
        lines.append(f"{facts.filling} partitions have an owner that is being filled{eta}")
    if facts.to_hand_over:
        lines.append(
            f"{facts.to_hand_over} partitions are still to be handed over by nodes that owned them"
        )
    hints = sum(node.hints for node in facts.nodes)
    if hints:
        oldest = age(max(node.hint_age_ms for node in facts.nodes))
        lines.append(f"{hints} hints wait for their owners, the oldest for {oldest}")
    if facts.is_compared:
        for node in facts.nodes:
            if node.state != "down" and node.clean_age_ms < 0:
                lines.append(f"{node.name} is comparing its copies for the first time")
    return lines


def age(ms: int) -> str:
    """A length of time for people, two digits or so.

    >>> [age(ms) for ms in (0, 900, 61_000, 7_200_000, 400_000_000)]
    ['0s', '1s', '61s', '2h', '4d']
    """
    seconds = round(ms / 1000)
    for unit, size, most in (("s", 1, 120), ("m", 60, 120), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"
