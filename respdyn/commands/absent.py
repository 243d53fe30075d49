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
)

# By name; a subcommand is "cluster|meet".
ABSENT: Final[dict[str, frozenset[str]]] = {
    name: frozenset(categories.split()) for categories, names in _BY_CATEGORIES
    for name in names.split()
}
