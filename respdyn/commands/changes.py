"""The subcommands of DYN.CLUSTER that change the membership: declarations alone.

What they do is in `admin/staging`: a change is staged, PLAN shows what all staged changes
would do, COMMIT has a majority of the members decide on it.

Source: SURFACE, "Dynamo's own commands"; Dynamo 4.8.1.
"""

from typing import Final

from respdyn.commands.declare import COVERAGE, Command


def _change(name: str, syntax: str, summary: str, complexity: str = "O(1)") -> Command:
    return Command(
        f"dyn.cluster|{name}", f"DYN.CLUSTER {syntax}", summary, since="0.1.0", group="cluster",
        flags="admin noscript", complexity=complexity, promise="local", route=COVERAGE,
    )


CHANGES: Final = (
    _change(
        "join", "JOIN node [WEIGHT weight] [ZONE zone]",
        "Stages that a node which waits, started with the cluster's seeds, becomes a member.",
    ),
    _change("leave", "LEAVE node", "Stages that a member hands over all it holds and goes."),
    _change(
        "replace", "REPLACE node newcomer",
        "Stages that a node which waits takes a member's place, and that member goes.",
    ),
    _change(
        "force-remove", "FORCE-REMOVE node",
        "Stages that a member is dropped as lost: what only it has is given up.",
    ),
    _change(
        "change", "CHANGE node [WEIGHT weight] [ZONE zone]",
        "Stages another weight or zone of a member.",
    ),
    _change(
        "plan", "PLAN", "Shows what the staged changes would move, and what to think about twice.",
        "O(N) with N the number of partitions",
    ),
    _change(
        "commit", "COMMIT", "Has a majority of the members decide on the staged changes.",
        "O(N) with N the number of partitions",
    ),
    _change("clear", "CLEAR", "Forgets the staged changes."),
    _change(
        "drain", "DRAIN [ON | OFF]",
        "Has other nodes coordinate in this node's place, before it is stopped.",
    ),
    _change(
        "renew-keys", "RENEW-KEYS",
        "Draws a new key for context tokens. Those made before are good until the next renewal.",
    ),
)
