"""Commands that read all that there is: every string with its siblings, every collection whole."""

from collections.abc import Callable
from functools import partial

from respdyn.sim import operations
from respdyn.sim.collection_ops import is_element
from respdyn.sim.collectors import whole
from respdyn.sim.operations import Op
from respdyn.sim.world import World

Maker = Callable[[], Op]


def strings(world: World) -> list[bytes]:
    """All keys with strings that any client ever used."""
    return sorted(key for key in world.history.keys if not is_element(key))


def collections(world: World) -> list[tuple[bytes, str]]:
    """All keys that hold collections, and of which kind."""
    return [(key.encode(), kind) for key, kind in world.plan.collections]


def of_all(world: World, terms: tuple[bytes, ...] = ()) -> list[Maker]:
    """Read each string, then each collection."""
    return [
        *(partial(operations.getctx, key, terms) for key in strings(world)),
        *(partial(whole, key, kind, terms) for key, kind in collections(world)),
    ]
