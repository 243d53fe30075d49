"""Commands about channels: who listens, who speaks, and who is listening.

Channels are the whole cluster's: a message reaches every subscriber, at whatever node. It is
delivered at most once and kept nowhere, as in Redis. `local/channels.py` answers these commands.

Source: Redis `pubsub.c`.
"""

from respdyn.commands.declare import COVERAGE, LOCAL, Command
from respdyn.commands.syntax import Keys

_QUIET = "pubsub noscript loading stale"
_LISTED = "pubsub loading stale"
_EACH_NODE = "O(N) with N the number of nodes and of names"

_SUBCOMMANDS = (
    Command(
        "pubsub|channels", "PUBSUB CHANNELS [pattern]",
        "Lists the channels that have subscribers.",
        since="2.8.0", group="pubsub", flags=_LISTED, complexity=_EACH_NODE, arity=-2,
        promise="local", route=COVERAGE,
    ),
    Command(
        "pubsub|help", "PUBSUB HELP", "Lists the subcommands of PUBSUB.",
        since="6.2.0", group="pubsub", flags="loading stale", promise="local", route=LOCAL,
    ),
    Command(
        "pubsub|numpat", "PUBSUB NUMPAT", "Returns how many patterns have subscribers.",
        since="2.8.0", group="pubsub", flags=_LISTED, complexity=_EACH_NODE,
        promise="local", route=COVERAGE,
    ),
    Command(
        "pubsub|numsub", "PUBSUB NUMSUB [channel [channel ...]]",
        "Returns the number of subscribers of each of these channels, patterns left out.",
        since="2.8.0", group="pubsub", flags=_LISTED, complexity=_EACH_NODE,
        promise="local", route=COVERAGE,
    ),
    Command(
        "pubsub|shardchannels", "PUBSUB SHARDCHANNELS [pattern]",
        "Lists the shard channels that have subscribers.",
        since="7.0.0", group="pubsub", flags=_LISTED, complexity=_EACH_NODE, arity=-2,
        promise="local", route=COVERAGE,
    ),
    Command(
        "pubsub|shardnumsub", "PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]",
        "Returns the number of subscribers of each of these shard channels.",
        since="7.0.0", group="pubsub", flags=_LISTED, complexity=_EACH_NODE,
        promise="local", route=COVERAGE,
    ),
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "subscribe", "SUBSCRIBE channel [channel ...]", "Begins to listen to channels.",
        since="2.0.0", group="pubsub", flags=_QUIET, complexity="O(N) with N channels",
        promise="local", route=LOCAL,
    ),
    Command(
        "unsubscribe", "UNSUBSCRIBE [channel [channel ...]]",
        "Listens no longer to these channels, or to any.",
        since="2.0.0", group="pubsub", flags=_QUIET, complexity="O(N) with N channels",
        promise="local", route=LOCAL,
    ),
    Command(
        "psubscribe", "PSUBSCRIBE pattern [pattern ...]",
        "Begins to listen to all channels whose names match.",
        since="2.0.0", group="pubsub", flags=_QUIET, complexity="O(N) with N patterns",
        promise="local", route=LOCAL,
    ),
    Command(
        "punsubscribe", "PUNSUBSCRIBE [pattern [pattern ...]]",
        "Listens no longer to these patterns, or to any.",
        since="2.0.0", group="pubsub", flags=_QUIET, complexity="O(N) with N patterns",
        promise="local", route=LOCAL,
    ),
    Command(
        "publish", "PUBLISH channel message",
        "Sends a message to a channel's subscribers at all nodes, and returns how many.",
        since="2.0.0", group="pubsub", flags="pubsub loading stale fast",
        complexity="O(N+M) with N listeners and M patterns", promise="local", route=LOCAL,
    ),
    Command(
        "ssubscribe", "SSUBSCRIBE shardchannel [shardchannel ...]",
        "Begins to listen to shard channels, which are channels of their own.",
        since="7.0.0", group="pubsub", flags=_QUIET, access="not_key", keys_at=Keys(1, -1, 1),
        complexity="O(N) with N channels", promise="local", route=LOCAL,
    ),
    Command(
        "sunsubscribe", "SUNSUBSCRIBE [shardchannel [shardchannel ...]]",
        "Listens no longer to these shard channels, or to any.",
        since="7.0.0", group="pubsub", flags=_QUIET, access="not_key", keys_at=Keys(1, -1, 1),
        complexity="O(N) with N channels", promise="local", route=LOCAL,
    ),
    Command(
        "spublish", "SPUBLISH shardchannel message",
        "Sends a message to all who listen to a shard channel at any node.",
        since="7.0.0", group="pubsub", flags="pubsub loading stale fast", access="not_key",
        keys_at=Keys(1, 1, 1), complexity="O(N) with N listeners", promise="local", route=LOCAL,
    ),
    Command(
        "pubsub", "PUBSUB", "Shows subscriptions at all nodes.",
        since="2.8.0", group="pubsub", flags="", arity=-2,
        promise="local", route=LOCAL, subcommands=_SUBCOMMANDS,
    ),
)
