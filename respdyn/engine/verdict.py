"""What is wrong with the cluster, and what to do about it: a line or a few, for a tired reader.

The first line of DYN.CLUSTER STATUS is *all well*, or it says what hurts most; each further line
is one thing that is wrong, the worst first, with the next step. What mends itself says so.
"""

from dataclasses import dataclass, field
from typing import Final

OLD_EXCHANGE_MS: Final = 600_000     # copies that were not found the same for so long

SPARED: Final = {
    "slow": ("answers too late", "look at its load and its network"),
    "unsteady": ("comes and goes", "look at its log and its network"),
    "busy": ("has more to do than it can", "slow the clients down"),
}

Problem = tuple[str, str]            # what is wrong, and what to do


@dataclass(slots=True)
class NodeFacts:
    """One member, as the node that is asked sees it, and by its own word if it is up."""

    name: str                           # address, for people
    state: str                          # up, down, cannot-store
    down_ms: int = 0                    # for so long, as seen from here
    has_successor: bool = False         # a node with an empty directory waits at its address
    spared: str = ""
    disk: str = ""                      # why it cannot store
    clean_age_ms: int = 0               # -1: something was never compared
    clock_offset_ms: int = 0
    is_clock_doubted: bool = False
    ring_version: int = 0
    hints: int = 0
    hint_age_ms: int = 0


@dataclass(slots=True)
class ClusterFacts:
    """What is known of the whole."""

    partitions: int
    below_n: int
    below_w: int
    w: int
    ring_version: int
    clock_limit_ms: int
    is_compared: bool                   # exchange is on, and there is somebody to compare with
    below_r: int = 0                    # who refuse reads: owners are down, or are to be filled
    r: int = 1
    moving: int = 0                     # partitions that change hands
    filling: int = 0                    # of these, or lost: some owner does not hold all yet
    eta_ms: int = -1                    # until the asked node has filled its own; -1: unknown
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
    down = [node for node in facts.nodes if node.state == "down"]
    lines: list[Problem] = []
    for node in down:
        lines.append((
            f"{node.name} is down for {age(node.down_ms)}",
            "a node with an empty disk is there and takes its place when most members reach it"
            if node.has_successor else "see its log, start it again with the same settings",
        ))
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


def _sick(facts: ClusterFacts) -> list[Problem]:
    lines: list[Problem] = []
    for node in facts.nodes:
        if node.is_clock_doubted or abs(node.clock_offset_ms) > facts.clock_limit_ms:
            far = f", {node.clock_offset_ms:+} ms from here" if node.clock_offset_ms else ""
            lines.append((f"{node.name} has a wrong clock{far}", "set it right (NTP)"))
        elif node.spared in SPARED and node.state != "down":
            what, step = SPARED[node.spared]
            lines.append((f"{node.name} {what}", step))
        if facts.is_compared and node.clean_age_ms > OLD_EXCHANGE_MS:
            lines.append((
                f"{node.name} has not found its copies the same for {age(node.clean_age_ms)}",
                "run DYN.CLUSTER VERIFY",
            ))
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
