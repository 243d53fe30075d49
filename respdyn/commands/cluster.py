"""CLUSTER and its kin, for the cluster port. The client port refuses them: it is one big Redis.

Subcommands that change who owns what are not here; see DYN.CLUSTER.

Source: Redis `cluster.c` (clusterCommand), which refuses all of them when cluster mode is off.
"""

from respdyn.commands.declare import LOCAL, Command

_VARIES = ("nondeterministic_output",)
_NODES = "O(N) with N the number of partitions"

_SUBCOMMANDS = (
    Command(
        "cluster|count-failure-reports", "CLUSTER COUNT-FAILURE-REPORTS node-id",
        "Gives 0: every node judges for itself whether another can be reached.",
        since="3.0.0", group="cluster", flags="admin stale", tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "cluster|countkeysinslot", "CLUSTER COUNTKEYSINSLOT slot",
        "Counts the keys of a slot whose primary this node is; 0 for other slots.",
        since="3.0.0", group="cluster", flags="stale",
        complexity="O(N) with N the number of keys in the slot", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|getkeysinslot", "CLUSTER GETKEYSINSLOT slot count",
        "Lists keys of a slot whose primary this node is.",
        since="3.0.0", group="cluster", flags="stale", tips=_VARIES,
        complexity="O(N) with N the number of keys in the slot", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|help", "CLUSTER HELP", "Lists the subcommands of CLUSTER.",
        since="5.0.0", group="cluster", flags="loading stale", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|info", "CLUSTER INFO",
        "Returns whether every slot has a node that serves it, as seen from here.",
        since="3.0.0", group="cluster", flags="stale", tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "cluster|keyslot", "CLUSTER KEYSLOT key", "Gives the slot of a key.",
        since="3.0.0", group="cluster", flags="stale",
        complexity="O(N) with N the length of the key", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|links", "CLUSTER LINKS", "Lists this node's connections to others.",
        since="7.0.0", group="cluster", flags="stale", tips=_VARIES,
        complexity="O(N) with N the number of nodes", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|myid", "CLUSTER MYID", "Gives this node's id.",
        since="3.0.0", group="cluster", flags="stale", promise="local", route=LOCAL,
    ),
    Command(
        "cluster|myshardid", "CLUSTER MYSHARDID",
        "Gives this node's id: a node is a shard of its own.",
        since="7.2.0", group="cluster", flags="stale", tips=_VARIES,
        promise="local", route=LOCAL,
    ),
    Command(
        "cluster|nodes", "CLUSTER NODES",
        "Returns which node has which slots, one line for each node.",
        since="3.0.0", group="cluster", flags="stale", tips=_VARIES,
        complexity=_NODES, promise="local", route=LOCAL,
    ),
    Command(
        "cluster|shards", "CLUSTER SHARDS", "Returns which node has which slots, by node.",
        since="7.0.0", group="cluster", flags="stale", tips=_VARIES,
        complexity=_NODES, promise="local", route=LOCAL,
    ),
    Command(
        "cluster|slots", "CLUSTER SLOTS", "Returns which node has which slots, by range.",
        since="3.0.0", group="cluster", flags="stale", tips=_VARIES,
        complexity=_NODES, promise="local", route=LOCAL,
    ),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "cluster", "CLUSTER", "Shows cluster-aware clients who has which slots.",
        since="3.0.0", group="cluster", flags="", arity=-2,
        promise="local", route=LOCAL, subcommands=_SUBCOMMANDS,
    ),
    Command(
        "asking", "ASKING", "Accepted on the cluster port; any node serves any key anyway.",
        since="3.0.0", group="cluster", flags="fast", acl="connection",
        promise="local", route=LOCAL,
    ),
    Command(
        "readonly", "READONLY", "Accepted on the cluster port; any node serves any key anyway.",
        since="3.0.0", group="cluster", flags="loading stale fast", acl="connection",
        promise="local", route=LOCAL,
    ),
    Command(
        "readwrite", "READWRITE", "Accepted on the cluster port; any node serves any key anyway.",
        since="3.0.0", group="cluster", flags="loading stale fast", acl="connection",
        promise="local", route=LOCAL,
    ),
)
