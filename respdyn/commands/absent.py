"""Redis's commands that are not here yet, or never: their names and the categories they belong to.

Rules about users may name them: who moves here from Redis brings such rules along, and what they
allow will hold when the command comes. And rules are printed as Redis prints them, which counts all
commands of a category.

Source: `COMMAND` of redis-server 7.0.15; a test keeps table and server equal.
"""

from typing import Final

_BY_CATEGORIES: Final = (
    ("admin slow dangerous",
     "cluster|addslots cluster|addslotsrange cluster|bumpepoch cluster|delslots "
     "cluster|delslotsrange cluster|failover cluster|flushslots cluster|forget "
     "cluster|meet cluster|replicas cluster|replicate cluster|reset cluster|saveconfig "
     "cluster|set-config-epoch cluster|setslot cluster|slaves module|load module|loadex "
     "module|unload"),
    ("keyspace write slow dangerous",
     "migrate"),
    ("read stream fast",
     "xlen"),
    ("read stream slow",
     "xinfo|consumers xinfo|groups xinfo|stream xpending xrange xrevrange"),
    ("read stream slow blocking",
     "xread"),
    ("slow",
     "xgroup xinfo"),
    ("stream slow",
     "xgroup|help xinfo|help"),
    ("write stream fast",
     "xack xadd xautoclaim xclaim xdel xsetid"),
    ("write stream slow",
     "xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid "
     "xtrim"),
    ("write stream slow blocking",
     "xreadgroup"),
)

# By name; a subcommand is "xgroup|create", and its container is there as well.
ABSENT: Final[dict[str, frozenset[str]]] = {
    name: frozenset(categories.split()) for categories, names in _BY_CATEGORIES
    for name in names.split()
}
