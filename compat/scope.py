"""Redis's commands, and which of them respdyn sets out to answer.

`redis_commands.tsv` is what redis-server 7.0.15 says of itself (name, group, since, arity), one
command a line; `python -m compat table` writes it anew. Out of scope are single commands that
make no sense where no node leads.
"""

from dataclasses import dataclass
from functools import cache

from compat.places import HERE
from compat.servers import redis

TABLE = HERE / "redis_commands.tsv"

# Commands that are left out or refused: what they do has no counterpart.
NO_COUNTERPART = {
    **dict.fromkeys(
        ("failover", "psync", "replconf", "replicaof", "slaveof", "sync"),
        "replication with a leader",
    ),
    **dict.fromkeys(
        ("module|load", "module|loadex", "module|unload"), "modules of Redis",
    ),
    **dict.fromkeys(
        ("cluster|addslots", "cluster|addslotsrange", "cluster|bumpepoch", "cluster|delslots",
         "cluster|delslotsrange", "cluster|failover", "cluster|flushslots", "cluster|forget",
         "cluster|meet", "cluster|replicate", "cluster|replicas", "cluster|reset",
         "cluster|saveconfig", "cluster|set-config-epoch", "cluster|setslot", "cluster|slaves"),
        "slots moved by hand and replicas as nodes of their own",
    ),
    "object|freq": "no frequency is kept",
    "swapdb": "two databases that change places at all nodes at once",
    "migrate": "refused: a node connects to no other server for a client; DUMP and RESTORE do it",
}

# Redis has these, but hides them from its list.
HIDDEN = {"psync", "replconf", "pfdebug", "pfselftest"}


@dataclass(frozen=True)
class RedisCommand:
    """What Redis says of one of its commands."""

    name: str
    group: str
    since: str
    arity: int


@cache
def redis_commands() -> dict[str, RedisCommand]:
    """By name; a container and its subcommands are both there."""
    rows = [line.split("\t") for line in TABLE.read_text(encoding="ascii").splitlines()
            if not line.startswith("#")]
    return {row[0]: RedisCommand(row[0], row[1], row[2], int(row[3])) for row in rows}


def why_out_of_scope(name: str) -> str:
    """What stands against a command, "" if it is one that respdyn sets out to answer."""
    command = redis_commands().get(name)
    if command is None:
        return "" if name.partition("|")[0] in redis_commands() else "not a command of Redis 7.0"
    return NO_COUNTERPART.get(name, "")


def write_table() -> int:
    """Ask the redis-server that is installed."""
    with redis() as server:
        docs = server.ask("COMMAND", "DOCS")
        infos = server.ask("COMMAND", "INFO")
        version = server.ask("INFO", "server")
    assert isinstance(docs, list) and isinstance(infos, list) and isinstance(version, bytes)
    arities = {}
    for info in infos:
        arities[info[0]] = info[1]
        arities.update({sub[0]: sub[1] for sub in info[9]})
    rows = []
    for name, fields in _pairs(docs):
        entry = dict(_pairs(fields))
        members = [(name, entry), *(
            (sub, dict(_pairs(of_sub))) for sub, of_sub in _pairs(entry.get(b"subcommands", []))
        )]
        for full, one in members:
            rows.append((full.decode(), one[b"group"].decode(), one[b"since"].decode(),
                         str(arities[full])))
    number = next(line for line in version.decode().splitlines() if "redis_version" in line)
    text = f"# {number.replace(':', ' ')}: name, group, since, arity\n"
    text += "".join("\t".join(row) + "\n" for row in sorted(rows))
    TABLE.write_text(text, encoding="ascii")
    return 0


def _pairs(flat: list) -> list[tuple]:
    return list(zip(flat[::2], flat[1::2], strict=True))
