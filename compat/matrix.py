"""docs/compatibility.md: every command of Redis 7.0, and whether and how respdyn answers it.

Written from the declarations and from `redis_commands.tsv`; a test keeps page and text equal
(`pytest --rewrite tests/commands` writes it anew).
"""

from compat import programs
from compat.scope import NO_COUNTERPART, RedisCommand, redis_commands, why_out_of_scope
from respdyn.commands.declare import PROMISES, Command
from respdyn.commands.table import COMMANDS

_HEAD = """\
# Compatibility

Every command of Redis 7.0.15, as its redis-server lists them, and what becomes of it here. Replies
and error texts are those of Redis unless *differs* says otherwise; that they are is tried with
random commands sent to both ([compat](compat.md)).

What a command promises when several nodes work at once:

"""

_PROGRAMS = """\
Each at work on three nodes, its processes at nodes of their own
([how](compat.md#applications)). What is in the last column was seen on a busy machine; a dash:
no node was killed.

"""
_TIES = "of members equally far COUNT may leave out others"
# What is known to differ. A command's summary in docs/commands.md says more of what it does.
DIFFERS = {
    **dict.fromkeys(
        ("eval", "evalsha", "eval_ro", "evalsha_ro"),
        "no `pairs` over libraries; PUBLISH in it replies 0"),
    "script|debug": "only NO: there is no debugger",
    "script|kill": "never UNKILLABLE: nothing is written before a script ends",
    "bgrewriteaof": "makes a backup, as BGSAVE does",
    "client|pause": "who connects, and CLIENT UNPAUSE, never waits, also under ALL",
    "client|list": "buffers are not allocated ahead: `qbuf-free`, `rbs`, `rbp`, `obl` are 0",
    "cluster|count-failure-reports": "always 0: every node judges for itself",
    "command|docs": "has respdyn's own words, and `promise`",
    "config|get": "other settings, other defaults",
    "config|set": "only what may change at run time here",
    "copy": "not one step: looks, then writes; no event `keymiss`",
    "dbsize": "counts what has expired until it is overwritten or collected",
    "bitop": "not one step: reads, then writes",
    "flushall": "also what was written before it at nodes that are away; caches are notified only"
                " if there was something to clear",
    **dict.fromkeys(("hgetall", "hkeys", "hvals"), "sorted by field"),
    "hscan": "cursors are places in an order of checksums; any node goes on with them",
    "sscan": "cursors are places in an order of checksums; any node goes on with them",
    **dict.fromkeys(("sort", "sort_ro"), "not one step: reads the key, then what BY and GET name"),
    "zscan": "cursors are places in an order of checksums; any node goes on with them",
    "zadd": "a score of -0 is kept as 0; of a member that is there with that score it changes the"
            " record: WATCH notices it",
    "zincrby": "a score of -0 is kept as 0; by 0 it changes the record: WATCH notices it",
    **dict.fromkeys(
        ("zunion", "zinter", "zdiff", "zintercard", "zunionstore", "zinterstore", "zdiffstore"),
        "not one step: reads each key, then combines"),
    **dict.fromkeys(("zrangestore", "geosearchstore"), "not one step: reads, then writes"),
    **dict.fromkeys(("georadius", "georadiusbymember"),
                    "with STORE not one step: reads, then writes; " + _TIES),
    **dict.fromkeys(("georadius_ro", "georadiusbymember_ro", "geosearch"), _TIES),
    "zmpop": "not one step: tries one key after the other",
    **dict.fromkeys(("zpopmin", "zpopmax"),
                    "two coordinators may give the same member while nodes fail"),
    **dict.fromkeys(("zrangebylex", "zrevrangebylex", "zlexcount", "zremrangebylex"),
                    "where scores differ, as if they were few"),
    "sadd": "of a member that is there it changes the record: WATCH notices it",
    **dict.fromkeys(
        ("sinter", "sunion", "sdiff", "sintercard", "sinterstore", "sunionstore", "sdiffstore"),
        "not one step: reads each set, then combines"),
    "smove": "not one step: adds, then removes; in between both sets have it",
    "spop": "two coordinators may give the same member while nodes fail",
    "info": "`used_memory` is counted from what is held; `# Dynamo` beside Redis's sections",
    "keys": "of the whole cluster on the client port",
    "latency|latest": "events of quorum, forwarding, disk and turn beside those of commands",
    **dict.fromkeys(("lpop", "rpop"), "two coordinators may give the same item while nodes fail"),
    **dict.fromkeys(
        ("lmove", "rpoplpush"), "not one step: adds, then removes; in between both lists have it"),
    "ltrim": "if nothing is removed, WATCH notices nothing",
    "xgroup|create": "WATCH notices it",
    "lmpop": "not one step: tries key after key",
    **dict.fromkeys(
        ("blpop", "brpop", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"),
        "a plain pop may come between the push and who waits"),
    **dict.fromkeys(
        ("blmove", "brpoplpush"), "not one step: adds, then removes; in between both have it"),
    "lcs": "at most 4 million pairs of bytes",
    "lolwut": "draws the ring, whatever version is asked for",
    "memory|usage": "what one replica spends",
    "mset": "not one step: others may see some keys before the rest",
    "msetnx": "not one step: answers an error if another client came between",
    "move": "not one step: writes there, then removes here; the event `move_to` comes first",
    "monitor": "what clients ask of this node",
    "object|encoding": "follows from the value; `raw` only for what is long",
    "object|freq": "the error that Redis gives without an LFU policy, but for its advice",
    "object|idletime": "since the last write: reads leave no trace",
    "slowlog|get": "waiting counts; a last word names the node that was waited for",
    "pfcount": "only reads: the string's cached count is not filled; of several keys not one step",
    "pfmerge": "not one step: reads each key, then merges",
    "pfselftest": "counts fewer elements, to be quick",
    "rename": "not one step: writes, then removes; the event `rename_to` comes first",
    "renamenx": "not one step: writes, then removes; the event `rename_to` comes first",
    "role": "master without replicas, whatever node is asked",
    "randomkey": "of the whole cluster on the client port",
    "scan": "of the whole cluster on the client port; cursors are longer",
    "xadd": "`~` removes whole hundreds, whatever the size of entries",
    "xinfo|stream": "`radix-tree-keys` and `-nodes` count the entries in hundreds",
    "wait": "asks owners what they hold; after one WAIT, of at most the last 10,000 keys",
    "setnx": "no mutual exclusion during a cut or a failover",
}

_GROUPS = (
    ("string", "Strings"), ("bitmap", "Bits"), ("generic", "Keys"),
    ("transactions", "Transactions"), ("pubsub", "Pub/sub"), ("connection", "Connections"),
    ("server", "The server"),
    ("cluster", "The cluster port"), ("hash", "Hashes"), ("list", "Lists"), ("set", "Sets"),
    ("sorted-set", "Sorted sets"), ("stream", "Streams"), ("hyperloglog", "HyperLogLog"),
    ("geo", "Geo"), ("scripting", "Scripting"),
)


def declared() -> dict[str, Command]:
    """All commands that are here, subcommands by their full names."""
    found = {command.name: command for command in COMMANDS}
    found.update({sub.name: sub for command in COMMANDS for sub in command.subcommands})
    return found


def render() -> str:
    """The whole page."""
    here = declared()
    theirs = redis_commands()
    containers = {name.partition("|")[0] for name in theirs if "|" in name}
    leaves = {name: one for name, one in theirs.items() if name not in containers or (
        name in here and not here[name].subcommands
    )}
    parts = [_HEAD]
    parts += [f"* **{word}**: {meaning}\n" for word, meaning in PROMISES.items()]
    supported = sum(name in here for name in leaves)
    parts.append(f"\n{supported} of {len(leaves)} commands and subcommands are here.\n")
    assert {one.group for one in leaves.values()} <= {group for group, _ in _GROUPS}
    for group, title in _GROUPS:
        members = sorted(name for name, one in leaves.items() if one.group == group)
        parts.append(f"\n## {title}\n\n| command | since | arity | here | promise | differs |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts += [_row(theirs[name], here.get(name)) for name in members]
    own = sorted(name for name, one in here.items() if name not in theirs and not one.subcommands)
    parts.append("\n## Beyond Redis 7.0\n\n| command | since | arity | promise |\n")
    parts.append("|---|---|---|---|\n")
    parts += [
        f"| {_shown(name)} | {_since(here[name])} | {here[name].arity} | {here[name].promise} |\n"
        for name in own
    ]
    parts.append("\n## Programs\n\n" + _PROGRAMS + programs.table())
    return "".join(parts)


def _row(theirs: RedisCommand, mine: Command | None) -> str:
    start = f"| {_shown(theirs.name)} | {theirs.since} | {theirs.arity} |"
    why = why_out_of_scope(theirs.name)
    if mine is None:
        return f"{start} {'no' if theirs.name in NO_COUNTERPART else 'not yet'} | | {why} |\n"
    if mine.promise == "refused":
        return f"{start} refused | refused | {DIFFERS.get(mine.name, why)} |\n"
    arity = "" if mine.arity == theirs.arity else f"arity {mine.arity}; "
    return f"{start} yes | {mine.promise} | {arity}{DIFFERS.get(mine.name, '')} |\n"


def _shown(name: str) -> str:
    return name.upper().replace("|", " ")


def _since(command: Command) -> str:
    return f"respdyn {command.since}" if command.name.startswith("dyn.") else command.since
