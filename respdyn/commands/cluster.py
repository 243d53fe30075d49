"""CLUSTER, as the client port answers it: there the cluster looks like one big Redis.

Source: Redis `cluster.c` (clusterCommand), which refuses every subcommand when cluster mode is off.
"""

from respdyn.commands.declare import LOCAL, Command

COMMANDS = (
    Command(
        "cluster", "CLUSTER subcommand [argument ...]",
        "Refused on the client port, where any node takes any key; see DYN.CLUSTER.",
        since="3.0.0", group="cluster", flags="loading stale",
        promise="refused", route=LOCAL,
    ),
)
